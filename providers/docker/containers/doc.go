// SPDX-License-Identifier: Apache-2.0

// Package containers owns everything that touches Docker: the network, the load balancer and the node containers of the
// clusters of one management cluster, reached through the Docker API (Docker Engine from API 1.40 on, or Podman's
// Docker-compatible socket).
//
// It offers two sorts of functions. Reads (Machine, Machines, LoadBalancer, Network, Image, Booted, Orphans, ...) list facts
// for an observer: what is there, never what to do about it; a nil error with Exists false means "looked, and it is not
// there", an error means "could not tell". Writes (CreateMachine, DeleteMachine, UpdateLoadBalancer, DeleteNetwork, ...)
// carry out one operation that has been decided elsewhere; each can be repeated after a crash at any point and ends in the
// same state, because it finds what it made before by name and by label.
//
// Where it is told to (Options.Record), it remembers in a file which engine has all this, and takes no other for it.
//
// It never decides whether something should exist, never reads or writes the management cluster, and never adopts,
// changes or deletes a container, volume or network whose labels do not say that this management cluster made it.
package containers
