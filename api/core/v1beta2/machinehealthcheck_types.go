// SPDX-License-Identifier: Apache-2.0

package v1beta2

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

const (
	// MachineHealthCheckFinalizer keeps a MachineHealthCheck until what it marked on Machines is taken back.
	MachineHealthCheckFinalizer = "machinehealthcheck.cluster.x-k8s.io"

	// RemediationAllowedCondition of a MachineHealthCheck: unhealthy Machines may be remedied. Unknown while their health
	// cannot be judged.
	RemediationAllowedCondition = "RemediationAllowed"

	// RemediationAllowedReason: nothing stands in the way.
	RemediationAllowedReason = "RemediationAllowed"

	// TooManyUnhealthyReason: more Machines are not healthy than spec.remediation.triggerIf allows.
	TooManyUnhealthyReason = "TooManyUnhealthy"

	// TooFewUnhealthyReason: fewer Machines are not healthy than spec.remediation.triggerIf.unhealthyInRange asks for.
	TooFewUnhealthyReason = "TooFewUnhealthy"
)

// MachineHealthCheck finds Machines that are not healthy and has them remedied.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:path=machinehealthchecks,shortName=mhc;mhcs,scope=Namespaced,categories=cluster-api
// +kubebuilder:storageversion
// +kubebuilder:subresource:status
// +kubebuilder:metadata:labels={"cluster.x-k8s.io/v1beta2=v1beta2","cluster.x-k8s.io/provider=cluster-api","clusterctl.cluster.x-k8s.io="}
// +kubebuilder:printcolumn:name="Cluster",type="string",JSONPath=".spec.clusterName",description="Cluster of this MachineHealthCheck"
// +kubebuilder:printcolumn:name="Replicas",type="integer",JSONPath=".status.expectedMachines",description="Machines that are checked"
// +kubebuilder:printcolumn:name="Healthy",type="integer",JSONPath=".status.currentHealthy",description="Machines that are healthy"
// +kubebuilder:printcolumn:name="Paused",type="string",JSONPath=".status.conditions[?(@.type==\"Paused\")].status",description="Whether controllers leave the MachineHealthCheck alone",priority=10
// +kubebuilder:printcolumn:name="Age",type="date",JSONPath=".metadata.creationTimestamp",description="Time since the MachineHealthCheck was created"
type MachineHealthCheck struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is the standard object metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec says which Machines are checked, for what, and what is done about those that are not healthy.
	// +required
	Spec MachineHealthCheckSpec `json:"spec,omitempty,omitzero"`

	// status is what was last seen.
	// +optional
	Status MachineHealthCheckStatus `json:"status,omitempty,omitzero"`
}

// GetConditions returns the conditions of the object, not a copy.
func (m *MachineHealthCheck) GetConditions() []metav1.Condition { return m.Status.Conditions }

// SetConditions replaces the conditions of the object.
func (m *MachineHealthCheck) SetConditions(conditions []metav1.Condition) {
	m.Status.Conditions = conditions
}

// MachineHealthCheckList is a list of MachineHealthChecks.
//
// +kubebuilder:object:root=true
type MachineHealthCheckList struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is the standard list metadata.
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`

	// items are the MachineHealthChecks.
	Items []MachineHealthCheck `json:"items"`
}

// MachineHealthCheckSpec says which Machines are checked, for what, and what is done about those that are not healthy.
type MachineHealthCheckSpec struct {
	// clusterName is the name of the Cluster, in the same namespace, whose Machines are checked.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="clusterName cannot be changed: delete the MachineHealthCheck and make one for the other Cluster"
	ClusterName string `json:"clusterName,omitempty"`

	// selector picks the Machines that are checked, by their labels. It cannot be empty. A Machine that several
	// MachineHealthChecks pick is checked by the oldest of them.
	// +required
	// +kubebuilder:validation:XValidation:rule="(has(self.matchLabels) && self.matchLabels.size() > 0) || (has(self.matchExpressions) && self.matchExpressions.size() > 0)",message="an empty selector would pick every Machine of the Cluster: name a label of those to check, such as cluster.x-k8s.io/deployment-name or cluster.x-k8s.io/control-plane"
	// +kubebuilder:validation:XValidation:rule="!has(self.matchExpressions) || self.matchExpressions.all(e, e.operator in ['In', 'NotIn'] ? has(e.values) && e.values.size() > 0 : e.operator in ['Exists', 'DoesNotExist'] && (!has(e.values) || e.values.size() == 0))",message="one of selector.matchExpressions is not valid: use the operator In or NotIn with values, or Exists or DoesNotExist without"
	// +kubebuilder:validation:XValidation:rule="(!has(self.matchLabels) || self.matchLabels.all(k, !format.qualifiedName().validate(k).hasValue() && !format.labelValue().validate(self.matchLabels[k]).hasValue())) && (!has(self.matchExpressions) || self.matchExpressions.all(e, !format.qualifiedName().validate(e.key).hasValue() && (!has(e.values) || e.values.all(v, !format.labelValue().validate(v).hasValue()))))",message="selector asks for a label that cannot be: write each key as a name or prefix/name, and key and value each as at most 63 letters, digits, '-', '_' and '.' that begin and end with a letter or digit"
	Selector metav1.LabelSelector `json:"selector,omitempty,omitzero"`

	// checks say when a Machine is unhealthy. Any one suffices.
	//
	// Whatever they say, a Machine is unhealthy when its Node has been deleted, and when it has the annotation
	// cluster.x-k8s.io/remediate-machine.
	// +optional
	// +kubebuilder:default={nodeStartupTimeoutSeconds: 600}
	Checks MachineHealthCheckChecks `json:"checks,omitempty,omitzero"`

	// remediation says what is done about unhealthy Machines. Absent: their owner replaces them, however many they are.
	// +optional
	Remediation MachineHealthCheckRemediation `json:"remediation,omitempty,omitzero"`
}

// MachineHealthCheckChecks say when a Machine is unhealthy.
//
// +kubebuilder:validation:MinProperties=1
type MachineHealthCheckChecks struct {
	// nodeStartupTimeoutSeconds is for how long a Machine may be without a Node, counted from when the Machine was made, its
	// Cluster's infrastructure was ready and its control plane initialized, whichever is last. 600 when absent; 0 turns the
	// check off.
	// +optional
	// +kubebuilder:default=600
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:XValidation:rule="self == 0 || self >= 30",message="a machine cannot have a node within less than 30 seconds: set nodeStartupTimeoutSeconds to 30 or more, or to 0 for no check"
	NodeStartupTimeoutSeconds *int32 `json:"nodeStartupTimeoutSeconds,omitempty"`

	// unhealthyNodeConditions are conditions of the Node that make the Machine unhealthy.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=100
	// +kubebuilder:validation:XValidation:rule="self.all(a, self.exists_one(b, a.type == b.type && a.status == b.status))",message="unhealthyNodeConditions names one type with the same status twice: keep the entry with the timeoutSeconds that you want"
	UnhealthyNodeConditions []UnhealthyNodeCondition `json:"unhealthyNodeConditions,omitempty"`

	// unhealthyMachineConditions are conditions of the Machine that make it unhealthy. They are not looked at while the
	// Machine is being deleted, and one that only says that the workload cluster could not be asked does not count.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=100
	// +kubebuilder:validation:XValidation:rule="self.all(a, self.exists_one(b, a.type == b.type && a.status == b.status))",message="unhealthyMachineConditions names one type with the same status twice: keep the entry with the timeoutSeconds that you want"
	UnhealthyMachineConditions []UnhealthyMachineCondition `json:"unhealthyMachineConditions,omitempty"`
}

// MachineHealthCheckRemediation says what is done about unhealthy Machines.
//
// +kubebuilder:validation:MinProperties=1
type MachineHealthCheckRemediation struct {
	// triggerIf bounds when anything is done at all.
	// +optional
	TriggerIf MachineHealthCheckRemediationTriggerIf `json:"triggerIf,omitempty,omitzero"`

	// templateRef names a template to make an object from that remedies a Machine: one for each unhealthy Machine, with its
	// name, which is deleted when the Machine is healthy again. Absent: the Machine's owner replaces it.
	// +optional
	TemplateRef MachineHealthCheckRemediationTemplateReference `json:"templateRef,omitempty,omitzero"`
}

// MachineHealthCheckRemediationTriggerIf bounds when unhealthy Machines are remedied at all: too many at a time point to a
// cause outside of the Machines. Those count that are not known to be healthy, and so a Machine that is starting, one that
// is being deleted, and one with a time limit running, too.
//
// +kubebuilder:validation:MinProperties=1
type MachineHealthCheckRemediationTriggerIf struct {
	// unhealthyLessThanOrEqualTo is the most Machines that may be unhealthy: a number, or a percentage of those checked,
	// rounded down. 100% when absent. Not read if unhealthyInRange is given.
	// +optional
	// +kubebuilder:validation:XValidation:rule="type(self) == int ? self >= 0 : self.matches('^[0-9]+%$')",message="give unhealthyLessThanOrEqualTo as a number that is not negative, or as a percentage such as 40%"
	UnhealthyLessThanOrEqualTo *intstr.IntOrString `json:"unhealthyLessThanOrEqualTo,omitempty"`

	// unhealthyInRange is a range, such as [3-5], that the number of unhealthy Machines has to lie in.
	// +optional
	// +kubebuilder:validation:Pattern=^\[[0-9]+-[0-9]+\]$
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="!self.matches('^.[0-9]{1,9}-[0-9]{1,9}.$') ? false : int(self.substring(1, self.indexOf('-'))) <= int(self.substring(self.indexOf('-') + 1, self.size() - 1))",message="unhealthyInRange has to go from the smaller number to the larger one, each of at most nine digits, such as [3-5]"
	UnhealthyInRange string `json:"unhealthyInRange,omitempty"`
}

// MachineHealthCheckStatus is what was last seen of a MachineHealthCheck.
//
// +kubebuilder:validation:MinProperties=1
type MachineHealthCheckStatus struct {
	// conditions of the MachineHealthCheck: RemediationAllowed and Paused.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=32
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// expectedMachines is the number of Machines that are checked.
	// +optional
	// +kubebuilder:validation:Minimum=0
	ExpectedMachines *int32 `json:"expectedMachines,omitempty"`

	// currentHealthy is the number of those Machines that are healthy.
	// +optional
	// +kubebuilder:validation:Minimum=0
	CurrentHealthy *int32 `json:"currentHealthy,omitempty"`

	// remediationsAllowed is how many more Machines may become unhealthy before none is remedied any more.
	// +optional
	// +kubebuilder:validation:Minimum=0
	RemediationsAllowed *int32 `json:"remediationsAllowed,omitempty"`

	// observedGeneration is the metadata.generation that this status was computed from.
	// +optional
	// +kubebuilder:validation:Minimum=1
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// targets are the names of the Machines that are checked, sorted.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=10000
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=253
	Targets []string `json:"targets,omitempty"`

	// deprecated keeps status of older API versions. Accepted but not acted on by this version.
	// +optional
	Deprecated *MachineHealthCheckDeprecatedStatus `json:"deprecated,omitempty"`
}

// MachineHealthCheckDeprecatedStatus keeps status of older API versions.
type MachineHealthCheckDeprecatedStatus struct {
	// v1beta1 keeps status of API version v1beta1.
	// +optional
	V1Beta1 *MachineHealthCheckV1Beta1DeprecatedStatus `json:"v1beta1,omitempty"`
}

// MachineHealthCheckV1Beta1DeprecatedStatus keeps status of API version v1beta1.
type MachineHealthCheckV1Beta1DeprecatedStatus struct {
	// conditions in the old form.
	// +optional
	Conditions Conditions `json:"conditions,omitempty"`
}
