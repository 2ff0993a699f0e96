// SPDX-License-Identifier: Apache-2.0

// Package v1beta2 owns the wire types of group bootstrap.cluster.x-k8s.io, version v1beta2: KubeadmConfig and
// KubeadmConfigTemplate, and the condition types and reasons that are theirs alone.
//
// It holds data only; what becomes of the data is package bootstrap's. The types under clusterConfiguration,
// initConfiguration and joinConfiguration have the form that the wire format gives them, which is not that of any
// version of kubeadm's own configuration file.
//
// +kubebuilder:object:generate=true
// +groupName=bootstrap.cluster.x-k8s.io
package v1beta2
