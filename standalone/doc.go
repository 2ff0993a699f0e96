// SPDX-License-Identifier: Apache-2.0

// Package standalone owns the management cluster that `slipway up` runs on one
// Linux machine: the data directory and its lock, the certificate authorities
// and credentials, the three child processes (etcd, kube-apiserver and a
// kube-controller-manager reduced to garbage collection and namespace
// deletion), their supervision, and finding, describing and stopping such a
// cluster from another process.
//
// It never knows a Cluster API kind, never runs a Slipway controller and never
// decides what is installed: the caller hands over the objects and runs the
// controllers. It builds no binaries and prints nothing; progress and logs go
// to the functions in Options.
//
// A data directory ($SLIPWAY_HOME) looks like this; everything in it is
// readable by its owner only:
//
//	lock             held by flock while a process runs the cluster; names that process
//	state.json       what the running process last reported; absent when stopped cleanly
//	settings.json    what must stay the same over restarts: address and ports, versions that wrote the data, its id
//	kubeconfig       the administrator's
//	encryption.yaml  the key that Secrets are encrypted with in etcd
//	pki/             certificate authorities, certificates, keys
//	etcd/            the data
//	logs/            one file a process, rotated
package standalone
