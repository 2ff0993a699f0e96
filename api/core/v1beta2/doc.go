// SPDX-License-Identifier: Apache-2.0

// Package v1beta2 owns the wire types of group cluster.x-k8s.io, version v1beta2: Cluster, Machine, MachineSet and
// MachineDeployment, the types that the sibling groups share with them, and the names (labels, annotations,
// finalizers, condition types and reasons) that act as API.
//
// It holds data only. It never talks to a server, never decides anything, and imports nothing but k8s.io/api and
// k8s.io/apimachinery. The wire format is that of Cluster API v1beta2, field for field; test/upstream holds it to that.
//
// Conventions: numbers and booleans whose zero differs from "not set" are pointers; structs are values and are left
// out of the JSON when they are zero; durations are whole seconds in fields called ...Seconds.
//
// +kubebuilder:object:generate=true
// +groupName=cluster.x-k8s.io
package v1beta2
