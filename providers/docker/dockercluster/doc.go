// SPDX-License-Identifier: Apache-2.0

// Package dockercluster keeps the load balancer of a DockerCluster: a container in
// front of the cluster's control-plane machines, whose address is the endpoint.
//
// It decides what the load balancer points to. It never touches the containers of
// machines.
package dockercluster
