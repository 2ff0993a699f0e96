// SPDX-License-Identifier: Apache-2.0

// Package credentials makes, checks and packs the secrets a workload cluster stands on: its certificate
// authorities and service-account keys, its admin kubeconfig, the bootstrap tokens nodes join with, and the
// Secret objects all of these are kept in under the names and keys that the Cluster API contract fixes.
//
// It owns the formats and the arithmetic (names, key usages, lifetimes, when to renew). It never reads a clock,
// a file or a network, and it never stores anything: time and randomness are parameters, results are values.
// Functions named New... make private keys. Two calls never give the same key, so the caller makes a key once,
// stores it, and from then on reads it back; nothing here may be called to "find out" what a key is.
//
// Errors name the Secret and the data key at fault and say what to do about it. No error and no String method
// carries private key material or a token's secret half.
package credentials
