// SPDX-License-Identifier: Apache-2.0

// Package cluster brings a Cluster and the objects it refers to together: it claims
// the infrastructure cluster and the control plane, carries the endpoint and the
// failure domains over, sums up how everything stands, and takes all of it down in
// order.
//
// It decides in which order things go when a Cluster is deleted: workers first, then
// the control plane, then the infrastructure. It makes nothing but the kubeconfig of a
// Cluster that has no control plane object, and deletes only what it claimed before.
package cluster
