// SPDX-License-Identifier: Apache-2.0

// Package kubeadmcontrolplane keeps the control plane of a cluster that kubeadm makes:
// its certificates and kubeconfig, its Machines with their bootstrap and infrastructure
// objects, its members of etcd, and what is known of its health.
//
// It decides which Machines to make, where and when each joins, which are replaced because
// the spec asks for others or because they fail, and which go; before the host of one goes
// it moves the leadership of etcd and removes the member. Whatever it does leaves etcd its
// quorum, and it changes the membership once at a time. Of a Machine's spec, and of the
// labels and annotations of its objects, it changes in place what needs no new host.
//
// It reads the members of etcd and never talks to them: package workload does, and carries
// out what package etcd says.
//
// A Machine is made before the objects it refers to: it is the record of the intent. A
// crash in between leaves a Machine whose objects the next plan makes.
package kubeadmcontrolplane
