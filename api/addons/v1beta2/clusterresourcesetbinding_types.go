// SPDX-License-Identifier: Apache-2.0

package v1beta2

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ClusterResourceSetBinding records what ClusterResourceSets have applied to one Cluster, whose name it has.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:path=clusterresourcesetbindings,scope=Namespaced,categories=cluster-api
// +kubebuilder:storageversion
// +kubebuilder:metadata:labels={"cluster.x-k8s.io/v1beta2=v1beta2","cluster.x-k8s.io/provider=cluster-api","clusterctl.cluster.x-k8s.io="}
// +kubebuilder:printcolumn:name="Cluster",type="string",JSONPath=".spec.clusterName",description="Cluster of this binding"
// +kubebuilder:printcolumn:name="Age",type="date",JSONPath=".metadata.creationTimestamp",description="Time since the binding was created"
type ClusterResourceSetBinding struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is the standard object metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is what was applied. Controllers write it.
	// +required
	Spec ClusterResourceSetBindingSpec `json:"spec,omitempty,omitzero"`
}

// ClusterResourceSetBindingList is a list of ClusterResourceSetBindings.
//
// +kubebuilder:object:root=true
type ClusterResourceSetBindingList struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is the standard list metadata.
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`

	// items are the ClusterResourceSetBindings.
	Items []ClusterResourceSetBinding `json:"items"`
}

// ClusterResourceSetBindingSpec is what was applied to one Cluster.
type ClusterResourceSetBindingSpec struct {
	// bindings, one for each ClusterResourceSet that picks the Cluster.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=100
	Bindings []ResourceSetBinding `json:"bindings,omitempty"`

	// clusterName is the name of the Cluster.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="clusterName cannot be changed: a binding belongs to one Cluster"
	ClusterName string `json:"clusterName,omitempty"`
}

// ResourceSetBinding is what one ClusterResourceSet has applied to one Cluster.
type ResourceSetBinding struct {
	// clusterResourceSetName is the name of the ClusterResourceSet.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	ClusterResourceSetName string `json:"clusterResourceSetName,omitempty"`

	// resources of the ClusterResourceSet, and how each of them fared.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=100
	Resources []ResourceBinding `json:"resources,omitempty"`
}

// ResourceBinding is how one resource fared on one Cluster.
type ResourceBinding struct {
	// The ConfigMap or Secret.
	ResourceRef `json:",inline"`

	// hash of the content that was last applied: sha256:<hex>.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	Hash string `json:"hash,omitempty"`

	// lastAppliedTime is when the content was last applied.
	// +optional
	LastAppliedTime metav1.Time `json:"lastAppliedTime,omitempty,omitzero"`

	// applied is true if the last try succeeded for every object in the content.
	// +required
	Applied *bool `json:"applied,omitempty"`
}
