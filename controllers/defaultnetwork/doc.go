// SPDX-License-Identifier: Apache-2.0

// Package defaultnetwork keeps the ConfigMap default-network, which holds the manifest
// of Slipway's pod network, in each namespace that has a Cluster, so that a
// ClusterResourceSet can name it, and removes it with the last Cluster.
//
// It never touches a ConfigMap of that name that somebody else made.
package defaultnetwork
