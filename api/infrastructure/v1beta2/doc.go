// SPDX-License-Identifier: Apache-2.0

// Package v1beta2 owns the wire types of group infrastructure.cluster.x-k8s.io, version v1beta2, of the provider that
// makes machines as containers: DockerCluster, DockerMachine and their templates, and the names, condition types and
// reasons that are theirs alone. It holds data only.
//
// +kubebuilder:object:generate=true
// +groupName=infrastructure.cluster.x-k8s.io
package v1beta2
