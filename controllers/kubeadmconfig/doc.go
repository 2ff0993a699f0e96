// SPDX-License-Identifier: Apache-2.0

// Package kubeadmconfig turns a KubeadmConfig into the Secret with the user data
// that its machine boots from.
//
// It decides which machine initializes the control plane and which join it, when the
// data can be made (not while the control plane holds the join of a machine that boots
// early), and how long the bootstrap token of a join lives: the token is
// made for one machine, kept good until that machine has become a node, and removed
// then. It makes the cluster's certificates only for a control plane that no
// control-plane object looks after. It never makes or changes Machines, and the words
// of the user data are package bootstrap's.
package kubeadmconfig
