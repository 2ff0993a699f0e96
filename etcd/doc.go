// SPDX-License-Identifier: Apache-2.0

// Package etcd holds what is known of the etcd members of a workload cluster, the
// arithmetic of their quorum, and the operations on their membership, as data.
//
// It decides what a change of membership would leave, and never carries one out: package
// workload asks the members and does what the operations say.
package etcd
