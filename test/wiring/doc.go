// SPDX-License-Identifier: Apache-2.0

// Package wiring holds the engine and its controllers against a real kube-apiserver:
// what a fake client cannot show, as caches that lag, managed fields, preconditions and
// the rights that RBAC grants.
//
// It needs the programs of Kubernetes, so its tests run only if SLIPWAY_TEST_BINARIES
// names a folder with them. The providers are kinds made up here that no controller
// serves. It holds tests only.
package wiring
