// SPDX-License-Identifier: Apache-2.0

// Command etcd is the etcd server at the version that this Kubernetes minor's
// kubeadm asks for.
package main

import (
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() { etcdmain.Main(os.Args) }
