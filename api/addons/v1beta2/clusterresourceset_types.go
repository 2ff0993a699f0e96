// SPDX-License-Identifier: Apache-2.0

package v1beta2

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
)

const (
	// ClusterResourceSetFinalizer holds a ClusterResourceSet until its bindings no longer name it.
	ClusterResourceSetFinalizer = "addons.cluster.x-k8s.io"

	// ClusterResourceSetSecretType is the type that a Secret has to have for a ClusterResourceSet to apply it.
	ClusterResourceSetSecretType corev1.SecretType = "addons.cluster.x-k8s.io/resource-set"
)

// The condition of a ClusterResourceSet, besides Paused, and its reasons, besides InternalError.
const (
	// ResourcesAppliedCondition: every resource is on every cluster that is selected.
	ResourcesAppliedCondition = "ResourcesApplied"

	AppliedReason         = "Applied"
	NotAppliedReason      = "NotApplied"
	WrongSecretTypeReason = "WrongSecretType"
)

// ClusterResourceSetResourceKind is a kind that can hold resources.
type ClusterResourceSetResourceKind string

// The kinds that can hold resources.
const (
	SecretClusterResourceSetResourceKind    ClusterResourceSetResourceKind = "Secret"
	ConfigMapClusterResourceSetResourceKind ClusterResourceSetResourceKind = "ConfigMap"
)

// ClusterResourceSetStrategy is how often resources are applied.
type ClusterResourceSetStrategy string

const (
	// ClusterResourceSetStrategyApplyOnce applies a resource to a cluster once.
	ClusterResourceSetStrategyApplyOnce ClusterResourceSetStrategy = "ApplyOnce"

	// ClusterResourceSetStrategyReconcile applies a resource again when its content changes.
	ClusterResourceSetStrategyReconcile ClusterResourceSetStrategy = "Reconcile"
)

// ClusterResourceSet applies objects, held in ConfigMaps and Secrets, to all clusters that its selector picks.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:path=clusterresourcesets,scope=Namespaced,categories=cluster-api
// +kubebuilder:storageversion
// +kubebuilder:subresource:status
// +kubebuilder:metadata:labels={"cluster.x-k8s.io/v1beta2=v1beta2","cluster.x-k8s.io/provider=cluster-api","clusterctl.cluster.x-k8s.io="}
// +kubebuilder:printcolumn:name="Applied",type="string",JSONPath=`.status.conditions[?(@.type=="ResourcesApplied")].status`,description="Whether every resource is on every selected cluster"
// +kubebuilder:printcolumn:name="Paused",type="string",JSONPath=`.status.conditions[?(@.type=="Paused")].status`,description="Whether controllers leave the ClusterResourceSet alone",priority=10
// +kubebuilder:printcolumn:name="Age",type="date",JSONPath=".metadata.creationTimestamp",description="Time since the ClusterResourceSet was created"
type ClusterResourceSet struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is the standard object metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is what is applied where.
	// +required
	Spec ClusterResourceSetSpec `json:"spec,omitempty,omitzero"`

	// status is how far that is.
	// +optional
	Status ClusterResourceSetStatus `json:"status,omitempty,omitzero"`
}

// GetConditions returns the conditions of the object, not a copy.
func (s *ClusterResourceSet) GetConditions() []metav1.Condition { return s.Status.Conditions }

// SetConditions replaces the conditions of the object.
func (s *ClusterResourceSet) SetConditions(conditions []metav1.Condition) {
	s.Status.Conditions = conditions
}

// ClusterResourceSetList is a list of ClusterResourceSets.
//
// +kubebuilder:object:root=true
type ClusterResourceSetList struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is the standard list metadata.
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`

	// items are the ClusterResourceSets.
	Items []ClusterResourceSet `json:"items"`
}

// ClusterResourceSetSpec is what is applied where.
type ClusterResourceSetSpec struct {
	// clusterSelector picks Clusters of the same namespace by their labels. It cannot be empty and cannot be changed.
	// +required
	// +kubebuilder:validation:XValidation:rule="(has(self.matchLabels) && self.matchLabels.size() > 0) || (has(self.matchExpressions) && self.matchExpressions.size() > 0)",message="an empty clusterSelector would pick no Cluster: give matchLabels or matchExpressions"
	// +kubebuilder:validation:XValidation:rule="!has(self.matchExpressions) || self.matchExpressions.all(e, e.operator in ['In', 'NotIn'] ? has(e.values) && e.values.size() > 0 : e.operator in ['Exists', 'DoesNotExist'] && (!has(e.values) || e.values.size() == 0))",message="one of clusterSelector.matchExpressions is not valid: use the operator In or NotIn with values, or Exists or DoesNotExist without"
	// +kubebuilder:validation:XValidation:rule="(!has(self.matchLabels) || self.matchLabels.all(k, !format.qualifiedName().validate(k).hasValue() && !format.labelValue().validate(self.matchLabels[k]).hasValue())) && (!has(self.matchExpressions) || self.matchExpressions.all(e, !format.qualifiedName().validate(e.key).hasValue() && (!has(e.values) || e.values.all(v, !format.labelValue().validate(v).hasValue()))))",message="clusterSelector asks for a label that cannot be: write each key as a name or prefix/name, and key and value each as at most 63 letters, digits, '-', '_' and '.' that begin and end with a letter or digit"
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="clusterSelector cannot be changed: make another ClusterResourceSet with the selector you want, then delete this one"
	ClusterSelector metav1.LabelSelector `json:"clusterSelector,omitempty,omitzero"`

	// resources name the ConfigMaps and Secrets that hold the objects, in the order they are applied.
	// +required
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=100
	Resources []ResourceRef `json:"resources,omitempty"`

	// strategy is ApplyOnce (when absent) or Reconcile. It cannot be changed.
	// +optional
	// +kubebuilder:validation:Enum=ApplyOnce;Reconcile
	// +kubebuilder:default="ApplyOnce"
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="strategy cannot be changed: make another ClusterResourceSet with the strategy you want, then delete this one"
	Strategy string `json:"strategy,omitempty"`
}

// ResourceRef names a ConfigMap or a Secret of the same namespace, each of whose values holds objects as YAML.
type ResourceRef struct {
	// name of the ConfigMap or Secret.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name,omitempty"`

	// kind is ConfigMap, or Secret, which has to be of type addons.cluster.x-k8s.io/resource-set.
	// +required
	// +kubebuilder:validation:Enum=Secret;ConfigMap
	Kind string `json:"kind,omitempty"`
}

// ClusterResourceSetStatus is how far a ClusterResourceSet is.
//
// +kubebuilder:validation:MinProperties=1
type ClusterResourceSetStatus struct {
	// conditions of the ClusterResourceSet.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=32
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// observedGeneration is the metadata.generation that this status was computed from.
	// +optional
	// +kubebuilder:validation:Minimum=1
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// deprecated keeps status of older API versions. Accepted but not acted on by this version.
	// +optional
	Deprecated *ClusterResourceSetDeprecatedStatus `json:"deprecated,omitempty"`
}

// ClusterResourceSetDeprecatedStatus keeps status of older API versions.
type ClusterResourceSetDeprecatedStatus struct {
	// v1beta1 keeps status of API version v1beta1.
	// +optional
	V1Beta1 *ClusterResourceSetV1Beta1DeprecatedStatus `json:"v1beta1,omitempty"`
}

// ClusterResourceSetV1Beta1DeprecatedStatus keeps status of API version v1beta1.
type ClusterResourceSetV1Beta1DeprecatedStatus struct {
	// conditions in the old form.
	// +optional
	Conditions clusterv1.Conditions `json:"conditions,omitempty"`
}
