// SPDX-License-Identifier: Apache-2.0

// Package nodeimage builds, on a machine that can pull no image, what a cluster
// is made of: the Kubernetes binaries of a version, the node image that runs
// them (slipway/node:<version>), the load balancer's image (slipway/haproxy) and
// the pod network's (slipway.dev/network), for nodes of other images.
//
// It owns the cache of those things (Options.CacheDir) and the modules under its
// folder: one Go module a Kubernetes minor (v1.37/), with CoreDNS in a module of
// its own, one for what runs below Kubernetes (runtime/: containerd, network
// plugins, pause) and one for the pod network's agent (network/). Everything is
// compiled from modules that go.sum pins; the base comes from Debian packages.
//
// It never talks to the management cluster, never starts a container and never
// decides which version a machine gets. It writes to the cache and, through its
// API, to the Docker engine's image store; nowhere else.
package nodeimage
