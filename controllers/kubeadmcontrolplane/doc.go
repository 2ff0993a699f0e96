// SPDX-License-Identifier: Apache-2.0

// Package kubeadmcontrolplane keeps the control plane of a cluster that kubeadm makes:
// its certificates and kubeconfig, its Machines with their bootstrap and
// infrastructure objects, and what is known of its health.
//
// It decides which Machines to make, where, and one after the other; it tells whether
// the control plane is initialized, healthy and up to date. It never replaces a Machine
// and never takes one from a control plane that is to stay: what would need that is
// refused in words, because without care for the members of etcd it would cost data.
// Of a Machine's spec, and of the labels and annotations of its objects, it changes only
// what needs no new host.
//
// Not done in this version: replacing Machines (rollout, remediation), scaling down, care
// for members of etcd, taking over Machines that nobody controls, upgrading CoreDNS and
// kube-proxy.
//
// A Machine is made before the objects it refers to: it is the record of the intent. A
// crash in between leaves a Machine whose objects the next plan makes.
package kubeadmcontrolplane
