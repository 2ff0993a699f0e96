// SPDX-License-Identifier: Apache-2.0

package v1beta2

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// MachineSet keeps a number of Machines made from one template.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:path=machinesets,shortName=ms,scope=Namespaced,categories=cluster-api
// +kubebuilder:storageversion
// +kubebuilder:subresource:status
// +kubebuilder:subresource:scale:specpath=.spec.replicas,statuspath=.status.replicas,selectorpath=.status.selector
// +kubebuilder:metadata:labels={"cluster.x-k8s.io/v1beta2=v1beta2","cluster.x-k8s.io/provider=cluster-api","clusterctl.cluster.x-k8s.io="}
// +kubebuilder:printcolumn:name="Cluster",type="string",JSONPath=".spec.clusterName",description="Cluster of this MachineSet"
// +kubebuilder:printcolumn:name="Desired",type=integer,JSONPath=".spec.replicas",description="Machines asked for"
// +kubebuilder:printcolumn:name="Current",type="integer",JSONPath=".status.replicas",description="Machines that exist"
// +kubebuilder:printcolumn:name="Ready",type="integer",JSONPath=".status.readyReplicas",description="Machines that are ready"
// +kubebuilder:printcolumn:name="Available",type=integer,JSONPath=".status.availableReplicas",description="Machines that are available"
// +kubebuilder:printcolumn:name="Up-to-date",type=integer,JSONPath=".status.upToDateReplicas",description="Machines that match their specification"
// +kubebuilder:printcolumn:name="Paused",type="string",JSONPath=".status.conditions[?(@.type==\"Paused\")].status",description="Whether controllers leave the MachineSet alone",priority=10
// +kubebuilder:printcolumn:name="Age",type="date",JSONPath=".metadata.creationTimestamp",description="Time since the MachineSet was created"
// +kubebuilder:printcolumn:name="Version",type="string",JSONPath=".spec.template.spec.version",description="Kubernetes version asked for"
type MachineSet struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is the standard object metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is what should exist.
	// +required
	Spec MachineSetSpec `json:"spec,omitempty,omitzero"`

	// status is what was last seen.
	// +optional
	Status MachineSetStatus `json:"status,omitempty,omitzero"`
}

// GetConditions returns the conditions of the object, not a copy.
func (m *MachineSet) GetConditions() []metav1.Condition { return m.Status.Conditions }

// SetConditions replaces the conditions of the object.
func (m *MachineSet) SetConditions(conditions []metav1.Condition) { m.Status.Conditions = conditions }

// MachineSetList is a list of MachineSets.
//
// +kubebuilder:object:root=true
type MachineSetList struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is the standard list metadata.
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`

	// items are the MachineSets.
	Items []MachineSet `json:"items"`
}

// MachineSetSpec is what a MachineSet should keep.
//
// +kubebuilder:validation:XValidation:rule="self.template.spec.clusterName == self.clusterName",message="template.spec.clusterName has to be the same as clusterName"
// +kubebuilder:validation:XValidation:rule="!has(self.selector.matchLabels) || self.selector.matchLabels.all(k, k == 'cluster.x-k8s.io/cluster-name' ? self.selector.matchLabels[k] == self.clusterName : has(self.template.metadata) && has(self.template.metadata.labels) && k in self.template.metadata.labels && self.template.metadata.labels[k] == self.selector.matchLabels[k])",message="selector would not match the Machines: put every label of selector.matchLabels into template.metadata.labels, with the same value; only cluster.x-k8s.io/cluster-name, which is clusterName on every Machine, need not be there"
// +kubebuilder:validation:XValidation:rule="!has(self.selector.matchExpressions) || self.selector.matchExpressions.all(e, (e.operator in ['In', 'Exists']) == (e.key == 'cluster.x-k8s.io/cluster-name' ? !has(e.values) || e.values.size() == 0 || self.clusterName in e.values : has(self.template.metadata) && has(self.template.metadata.labels) && e.key in self.template.metadata.labels && (!has(e.values) || e.values.size() == 0 || self.template.metadata.labels[e.key] in e.values)))",message="selector would not match the Machines: correct template.metadata.labels, or the entry of selector.matchExpressions that they do not fit"
// +kubebuilder:validation:XValidation:rule="!has(self.template.spec.taints) || self.template.spec.taints.all(t, t.key != 'node-role.kubernetes.io/control-plane')",message="the taint node-role.kubernetes.io/control-plane is for machines of the control plane: take it out of template.spec.taints"
type MachineSetSpec struct {
	// clusterName is the name of the Cluster, in the same namespace, that the Machines belong to.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="clusterName cannot be changed: delete the MachineSet and make one for the other Cluster"
	ClusterName string `json:"clusterName,omitempty"`

	// replicas is the number of Machines to keep. 1 when absent.
	//
	// Leave it out of what you apply when an autoscaler or `kubectl scale` owns the number: the default counts only when
	// the object has no value at all, so an apply without the field keeps the number that is there.
	// +optional
	// +kubebuilder:default=1
	// +kubebuilder:validation:Minimum=0
	Replicas *int32 `json:"replicas,omitempty"`

	// selector picks the Machines that count, by their labels. It has to match the labels of the template. An empty
	// selector stands for the labels that the controller puts on its Machines itself.
	// +required
	// +kubebuilder:validation:XValidation:rule="!has(self.matchExpressions) || self.matchExpressions.all(e, e.operator in ['In', 'NotIn'] ? has(e.values) && e.values.size() > 0 : e.operator in ['Exists', 'DoesNotExist'] && (!has(e.values) || e.values.size() == 0))",message="one of selector.matchExpressions is not valid: use the operator In or NotIn with values, or Exists or DoesNotExist without"
	// +kubebuilder:validation:XValidation:rule="(!has(self.matchLabels) || self.matchLabels.all(k, !format.qualifiedName().validate(k).hasValue() && !format.labelValue().validate(self.matchLabels[k]).hasValue())) && (!has(self.matchExpressions) || self.matchExpressions.all(e, !format.qualifiedName().validate(e.key).hasValue() && (!has(e.values) || e.values.all(v, !format.labelValue().validate(v).hasValue()))))",message="selector asks for a label that cannot be: write each key as a name or prefix/name, and key and value each as at most 63 letters, digits, '-', '_' and '.' that begin and end with a letter or digit"
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="selector cannot be changed: make another MachineSet with the selector you want, then delete this one"
	Selector metav1.LabelSelector `json:"selector,omitempty,omitzero"`

	// template is what new Machines are made from.
	// +required
	Template MachineTemplateSpec `json:"template,omitempty,omitzero"`

	// machineNaming says how new Machines are named.
	// +optional
	MachineNaming MachineNamingSpec `json:"machineNaming,omitempty,omitzero"`

	// deletion says which Machines go first when there are too many.
	// +optional
	// +kubebuilder:default={order: "Random"}
	Deletion MachineSetDeletionSpec `json:"deletion,omitempty,omitzero"`
}

// MachineSetDeletionSpec says which Machines go first when there are too many.
//
// +kubebuilder:validation:MinProperties=1
type MachineSetDeletionSpec struct {
	// order among Machines that are equally fit to go. Random when absent. Machines that are being deleted, that carry the
	// annotation cluster.x-k8s.io/delete-machine, that are not healthy, or that are not available, go before all others, in
	// this order.
	// +optional
	Order MachineSetDeletionOrder `json:"order,omitempty"`
}

// MachineTemplateSpec is what Machines are made from.
type MachineTemplateSpec struct {
	// metadata that new Machines get.
	// +optional
	// +kubebuilder:validation:XValidation:rule="!has(self.labels) || self.labels.all(k, !format.labelValue().validate(self.labels[k]).hasValue())",message="the value of one of the labels is not valid: write it as at most 63 letters, digits, '-', '_' and '.' that begin and end with a letter or digit, or leave it empty"
	ObjectMeta `json:"metadata,omitempty,omitzero"`

	// spec that new Machines get. Its references name templates; each Machine gets its own copy of those.
	// +required
	Spec MachineSpec `json:"spec,omitempty,omitzero"`
}

// MachineSetStatus is what was last seen of a MachineSet.
//
// +kubebuilder:validation:MinProperties=1
type MachineSetStatus struct {
	// conditions of the MachineSet.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=32
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// selector is spec.selector as text, for the scale subresource.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=4096
	Selector string `json:"selector,omitempty"`

	// replicas is the number of Machines that exist.
	// +optional
	Replicas *int32 `json:"replicas,omitempty"`

	// readyReplicas is the number of Machines that are Ready.
	// +optional
	ReadyReplicas *int32 `json:"readyReplicas,omitempty"`

	// availableReplicas is the number of Machines that are Available.
	// +optional
	AvailableReplicas *int32 `json:"availableReplicas,omitempty"`

	// upToDateReplicas is the number of Machines that match their specification.
	// +optional
	UpToDateReplicas *int32 `json:"upToDateReplicas,omitempty"`

	// versions counts Machines by Kubernetes version, the lowest version first.
	// +optional
	// +listType=map
	// +listMapKey=version
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=100
	Versions []StatusVersion `json:"versions,omitempty"`

	// observedGeneration is the metadata.generation that this status was computed from.
	// +optional
	// +kubebuilder:validation:Minimum=1
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// deprecated keeps status of older API versions. Accepted but not acted on by this version.
	// +optional
	Deprecated *MachineSetDeprecatedStatus `json:"deprecated,omitempty"`
}

// MachineSetDeprecatedStatus keeps status of older API versions.
type MachineSetDeprecatedStatus struct {
	// v1beta1 keeps status of API version v1beta1.
	// +optional
	V1Beta1 *MachineSetV1Beta1DeprecatedStatus `json:"v1beta1,omitempty"`
}

// MachineSetV1Beta1DeprecatedStatus keeps status of API version v1beta1.
type MachineSetV1Beta1DeprecatedStatus struct {
	// conditions in the old form.
	// +optional
	Conditions Conditions `json:"conditions,omitempty"`

	// failureReason is one word for a failure that was final.
	// +optional
	FailureReason *string `json:"failureReason,omitempty"`

	// failureMessage tells people about a failure that was final.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=10240
	FailureMessage *string `json:"failureMessage,omitempty"`

	// fullyLabeledReplicas is the number of Machines with all labels of the template.
	// +optional
	FullyLabeledReplicas int32 `json:"fullyLabeledReplicas"`

	// readyReplicas is the number of Machines that were ready in the old sense.
	// +optional
	ReadyReplicas int32 `json:"readyReplicas"`

	// availableReplicas is the number of Machines that were available in the old sense.
	// +optional
	AvailableReplicas int32 `json:"availableReplicas"`
}
