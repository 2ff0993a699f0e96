// SPDX-License-Identifier: Apache-2.0

// Package network holds the manifest of the default pod network, which a ClusterResourceSet delivers to workload
// clusters. It owns the text and its names; it never applies it anywhere. The program that the manifest runs is
// the module nodeimage/network, and its image is part of the node image.
package network

import (
	_ "embed"
	"regexp"
)

// ConfigMapName is the name of the ConfigMap that carries Manifest in each namespace with clusters, for
// a ClusterResourceSet to refer to.
const ConfigMapName = "default-network"

// ConfigMapKey is the key of the manifest in that ConfigMap's data.
const ConfigMapKey = "network.yaml"

//go:embed network.yaml
var manifest string

// Manifest returns the objects of the pod network as one YAML text of several documents. It is the same for
// every cluster: what differs from node to node the agent finds out on the node.
func Manifest() string { return manifest }

var imageLine = regexp.MustCompile(`(?m)^ *image: (\S+)$`)

// Image returns the name of the image that Manifest runs on each node. It is never pulled there: node images hold it, and
// into a node of another image it has to be loaded.
func Image() string { return imageLine.FindStringSubmatch(manifest)[1] }
