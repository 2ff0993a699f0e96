// SPDX-License-Identifier: Apache-2.0

package v1beta2

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// MachineDrainRuleDrainBehavior is what draining does with a pod.
//
// +kubebuilder:validation:Enum=Drain;Skip;WaitCompleted
type MachineDrainRuleDrainBehavior string

// What draining does with a pod.
const (
	// MachineDrainRuleDrainBehaviorDrain evicts the pod when its turn has come.
	MachineDrainRuleDrainBehaviorDrain MachineDrainRuleDrainBehavior = "Drain"

	// MachineDrainRuleDrainBehaviorSkip leaves the pod where it is until the host goes.
	MachineDrainRuleDrainBehaviorSkip MachineDrainRuleDrainBehavior = "Skip"

	// MachineDrainRuleDrainBehaviorWaitCompleted waits until the pod has ended by itself, in the first batch.
	MachineDrainRuleDrainBehaviorWaitCompleted MachineDrainRuleDrainBehavior = "WaitCompleted"
)

// Values of PodDrainLabel. A pod that has one is not subject to any MachineDrainRule.
const (
	PodDrainLabelSkip          = "skip"
	PodDrainLabelWaitCompleted = "wait-completed"
)

// MachineDrainRule says whether, and in which order, pods are taken off a node before its Machine goes. The first rule
// counts, in the order of their names, that picks both the Machine and the pod; a pod that no rule picks is evicted with
// order 0. Pods of DaemonSets, static pods and pods that have ended stay whatever a rule says.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:path=machinedrainrules,scope=Namespaced,categories=cluster-api
// +kubebuilder:storageversion
// +kubebuilder:metadata:labels={"cluster.x-k8s.io/v1beta2=v1beta2","cluster.x-k8s.io/provider=cluster-api","clusterctl.cluster.x-k8s.io="}
// +kubebuilder:printcolumn:name="Behavior",type="string",JSONPath=".spec.drain.behavior",description="What is done with the pods"
// +kubebuilder:printcolumn:name="Order",type="string",JSONPath=".spec.drain.order",description="Batch in which the pods are evicted, the lowest first"
// +kubebuilder:printcolumn:name="Age",type="date",JSONPath=".metadata.creationTimestamp",description="Time since the MachineDrainRule was created"
type MachineDrainRule struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is the standard object metadata.
	// +required
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is what is done with which pods on which Machines.
	// +required
	Spec MachineDrainRuleSpec `json:"spec,omitempty,omitzero"`
}

// MachineDrainRuleList is a list of MachineDrainRules.
//
// +kubebuilder:object:root=true
type MachineDrainRuleList struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is the standard list metadata.
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`

	// items are the MachineDrainRules.
	Items []MachineDrainRule `json:"items"`
}

// MachineDrainRuleSpec is what is done with which pods on which Machines.
type MachineDrainRuleSpec struct {
	// drain is what is done with the pods.
	// +required
	// +kubebuilder:validation:XValidation:rule="!has(self.order) || self.behavior == 'Drain'",message="only pods that are evicted have an order: take out order, or set behavior to Drain"
	Drain MachineDrainRuleDrainConfig `json:"drain,omitempty,omitzero"`

	// machines pick the Machines, of all Clusters in the namespace, that the rule is for: those that at least one entry
	// picks. Absent: all Machines.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:XValidation:rule="self.all(x, self.exists_one(y, x == y))",message="one of the entries of machines is there twice: take one of them out"
	Machines []MachineDrainRuleMachineSelector `json:"machines,omitempty"`

	// pods pick the pods that the rule is for: those that at least one entry picks. Absent: all pods.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:XValidation:rule="self.all(x, self.exists_one(y, x == y))",message="one of the entries of pods is there twice: take one of them out"
	Pods []MachineDrainRulePodSelector `json:"pods,omitempty"`
}

// MachineDrainRuleDrainConfig is what is done with pods.
type MachineDrainRuleDrainConfig struct {
	// behavior is Drain (evict them), Skip (leave them until the host goes) or WaitCompleted (never evict them, and wait
	// until they have ended by themselves; this belongs to the batch of order 0).
	// +required
	Behavior MachineDrainRuleDrainBehavior `json:"behavior,omitempty"`

	// order tells in which batch the pods are evicted: the lowest order goes first, and the next one begins when no pod
	// of those before it is left on the node. Only with behavior Drain. 0 when absent.
	// +optional
	Order *int32 `json:"order,omitempty"`
}

// MachineDrainRuleMachineSelector picks Machines that both of its selectors pick.
//
// +kubebuilder:validation:MinProperties=1
type MachineDrainRuleMachineSelector struct {
	// selector picks Machines by their labels. Absent or empty: all.
	// +optional
	// +kubebuilder:validation:XValidation:rule="!has(self.matchExpressions) || self.matchExpressions.all(e, e.operator in ['In', 'NotIn'] ? has(e.values) && e.values.size() > 0 : e.operator in ['Exists', 'DoesNotExist'] && (!has(e.values) || e.values.size() == 0))",message="one of selector.matchExpressions is not valid: use the operator In or NotIn with values, or Exists or DoesNotExist without"
	// +kubebuilder:validation:XValidation:rule="(!has(self.matchLabels) || self.matchLabels.all(k, !format.qualifiedName().validate(k).hasValue() && !format.labelValue().validate(self.matchLabels[k]).hasValue())) && (!has(self.matchExpressions) || self.matchExpressions.all(e, !format.qualifiedName().validate(e.key).hasValue()))",message="selector asks for a label that cannot be: write each key as a name or prefix/name, and key and value each as at most 63 letters, digits, '-', '_' and '.' that begin and end with a letter or digit"
	Selector *metav1.LabelSelector `json:"selector,omitempty"`

	// clusterSelector picks Machines by the labels of their Cluster. Absent or empty: those of all Clusters.
	// +optional
	// +kubebuilder:validation:XValidation:rule="!has(self.matchExpressions) || self.matchExpressions.all(e, e.operator in ['In', 'NotIn'] ? has(e.values) && e.values.size() > 0 : e.operator in ['Exists', 'DoesNotExist'] && (!has(e.values) || e.values.size() == 0))",message="one of clusterSelector.matchExpressions is not valid: use the operator In or NotIn with values, or Exists or DoesNotExist without"
	// +kubebuilder:validation:XValidation:rule="(!has(self.matchLabels) || self.matchLabels.all(k, !format.qualifiedName().validate(k).hasValue() && !format.labelValue().validate(self.matchLabels[k]).hasValue())) && (!has(self.matchExpressions) || self.matchExpressions.all(e, !format.qualifiedName().validate(e.key).hasValue()))",message="clusterSelector asks for a label that cannot be: write each key as a name or prefix/name, and key and value each as at most 63 letters, digits, '-', '_' and '.' that begin and end with a letter or digit"
	ClusterSelector *metav1.LabelSelector `json:"clusterSelector,omitempty"`
}

// MachineDrainRulePodSelector picks pods that both of its selectors pick.
//
// +kubebuilder:validation:MinProperties=1
type MachineDrainRulePodSelector struct {
	// selector picks pods by their labels. Absent or empty: all.
	// +optional
	// +kubebuilder:validation:XValidation:rule="!has(self.matchExpressions) || self.matchExpressions.all(e, e.operator in ['In', 'NotIn'] ? has(e.values) && e.values.size() > 0 : e.operator in ['Exists', 'DoesNotExist'] && (!has(e.values) || e.values.size() == 0))",message="one of selector.matchExpressions is not valid: use the operator In or NotIn with values, or Exists or DoesNotExist without"
	// +kubebuilder:validation:XValidation:rule="(!has(self.matchLabels) || self.matchLabels.all(k, !format.qualifiedName().validate(k).hasValue() && !format.labelValue().validate(self.matchLabels[k]).hasValue())) && (!has(self.matchExpressions) || self.matchExpressions.all(e, !format.qualifiedName().validate(e.key).hasValue()))",message="selector asks for a label that cannot be: write each key as a name or prefix/name, and key and value each as at most 63 letters, digits, '-', '_' and '.' that begin and end with a letter or digit"
	Selector *metav1.LabelSelector `json:"selector,omitempty"`

	// namespaceSelector picks pods by the labels of their namespace. Absent or empty: those of all namespaces.
	// +optional
	// +kubebuilder:validation:XValidation:rule="!has(self.matchExpressions) || self.matchExpressions.all(e, e.operator in ['In', 'NotIn'] ? has(e.values) && e.values.size() > 0 : e.operator in ['Exists', 'DoesNotExist'] && (!has(e.values) || e.values.size() == 0))",message="one of namespaceSelector.matchExpressions is not valid: use the operator In or NotIn with values, or Exists or DoesNotExist without"
	// +kubebuilder:validation:XValidation:rule="(!has(self.matchLabels) || self.matchLabels.all(k, !format.qualifiedName().validate(k).hasValue() && !format.labelValue().validate(self.matchLabels[k]).hasValue())) && (!has(self.matchExpressions) || self.matchExpressions.all(e, !format.qualifiedName().validate(e.key).hasValue()))",message="namespaceSelector asks for a label that cannot be: write each key as a name or prefix/name, and key and value each as at most 63 letters, digits, '-', '_' and '.' that begin and end with a letter or digit"
	NamespaceSelector *metav1.LabelSelector `json:"namespaceSelector,omitempty"`
}
