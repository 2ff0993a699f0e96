// SPDX-License-Identifier: Apache-2.0

// Package e2e holds what Slipway promises against real clusters of real containers: the built binary is run as a user
// runs it, and what it made is looked at through the container engine, kubectl and the Kubernetes API.
//
// Each test has a management cluster of its own (its data directory, its id), on a network that does not lead out of the
// host, and checks at its end that it has left nothing behind. Nothing here reaches into Slipway's packages for anything
// but names.
//
// The tests run when SLIPWAY_TEST_E2E is set. They need a container engine, the images slipway/node:<version> and
// slipway/haproxy, and the binaries of Kubernetes that "slipway image build" leaves in the cache. Also read:
//
//	SLIPWAY_E2E_VERSION       Kubernetes version of clusters (default v1.37.1)
//	SLIPWAY_E2E_TALK_VERSION  version for the manifests of examples/talk (default: SLIPWAY_E2E_VERSION); v1.36.3 takes them as they stand
//	SLIPWAY_E2E_KILLS         how often the kill test kills (default 20)
//	SLIPWAY_E2E_SEED          its seed (default: one that it prints)
//	SLIPWAY_E2E_UPGRADE       anything: also the tests that take long, of upgrades from v1.36.3 to v1.37.1, of faults in them, and of five
//	                          control planes; "make e2e-long" sets it, and builds the images of both versions before
//	SLIPWAY_E2E_IDS           file that the ids of management clusters, and their data directories, are appended to (default: none)
package e2e
