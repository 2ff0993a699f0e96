// SPDX-License-Identifier: Apache-2.0

// Package v1beta2 owns the wire types of group controlplane.cluster.x-k8s.io, version v1beta2: KubeadmControlPlane and
// KubeadmControlPlaneTemplate, and the names, condition types and reasons that are theirs alone. It holds data only.
//
// +kubebuilder:object:generate=true
// +groupName=controlplane.cluster.x-k8s.io
package v1beta2
