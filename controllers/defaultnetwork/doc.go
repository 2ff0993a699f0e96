// SPDX-License-Identifier: Apache-2.0

// Package defaultnetwork keeps the ConfigMap default-network, which holds the manifest
// of Slipway's pod network, in each namespace that has a Cluster, so that a
// ClusterResourceSet can name it. All Clusters of the namespace own it together: with the
// last one it is collected, even if no controller is there to see that one go.
//
// It never touches a ConfigMap of that name that somebody else made. Who wants to keep
// one of ours takes the label slipway.dev/kept-by and the owner references off.
package defaultnetwork
