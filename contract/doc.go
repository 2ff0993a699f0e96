// SPDX-License-Identifier: Apache-2.0

// Package contract reads and writes the objects of providers by the provider
// contract (v1beta2, and v1beta1 where providers still serve it): by the paths of
// fields that the contract names, never by a provider's Go types.
//
// It is pure: it never fetches anything, and never decides.
package contract
