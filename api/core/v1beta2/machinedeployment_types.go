// SPDX-License-Identifier: Apache-2.0

package v1beta2

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// MachineDeploymentPhase is one word for what a MachineDeployment is doing. It is for people.
type MachineDeploymentPhase string

// The phases of a MachineDeployment.
const (
	MachineDeploymentPhaseScalingUp   MachineDeploymentPhase = "ScalingUp"
	MachineDeploymentPhaseScalingDown MachineDeploymentPhase = "ScalingDown"
	MachineDeploymentPhaseRunning     MachineDeploymentPhase = "Running"
	MachineDeploymentPhaseFailed      MachineDeploymentPhase = "Failed"
	MachineDeploymentPhaseUnknown     MachineDeploymentPhase = "Unknown"
)

// MachineDeploymentRolloutStrategyType is how old Machines are replaced.
//
// +kubebuilder:validation:Enum=RollingUpdate;OnDelete
type MachineDeploymentRolloutStrategyType string

const (
	// RollingUpdateMachineDeploymentStrategyType replaces old Machines step by step.
	RollingUpdateMachineDeploymentStrategyType MachineDeploymentRolloutStrategyType = "RollingUpdate"

	// OnDeleteMachineDeploymentStrategyType replaces an old Machine when somebody deletes it.
	OnDeleteMachineDeploymentStrategyType MachineDeploymentRolloutStrategyType = "OnDelete"
)

// MachineDeployment keeps a number of Machines and replaces them when their template changes, through one MachineSet for
// each template that is in use.
//
// +kubebuilder:validation:XValidation:rule="self.metadata.name.size() <= 63",message="the name of a MachineDeployment is used as the value of a label: choose one of at most 63 characters"
// +kubebuilder:object:root=true
// +kubebuilder:resource:path=machinedeployments,shortName=md,scope=Namespaced,categories=cluster-api
// +kubebuilder:storageversion
// +kubebuilder:subresource:status
// +kubebuilder:subresource:scale:specpath=.spec.replicas,statuspath=.status.replicas,selectorpath=.status.selector
// +kubebuilder:metadata:labels={"cluster.x-k8s.io/v1beta2=v1beta2","cluster.x-k8s.io/provider=cluster-api","clusterctl.cluster.x-k8s.io="}
// +kubebuilder:printcolumn:name="Cluster",type="string",JSONPath=".spec.clusterName",description="Cluster of this MachineDeployment"
// +kubebuilder:printcolumn:name="Available",type="string",JSONPath=".status.conditions[?(@.type==\"Available\")].status",description="Whether enough Machines are available"
// +kubebuilder:printcolumn:name="Desired",type=integer,JSONPath=".spec.replicas",description="Machines asked for"
// +kubebuilder:printcolumn:name="Current",type="integer",JSONPath=".status.replicas",description="Machines that exist"
// +kubebuilder:printcolumn:name="Ready",type="integer",JSONPath=".status.readyReplicas",description="Machines that are ready"
// +kubebuilder:printcolumn:name="Available",type=integer,JSONPath=".status.availableReplicas",description="Machines that are available"
// +kubebuilder:printcolumn:name="Up-to-date",type=integer,JSONPath=".status.upToDateReplicas",description="Machines that match their specification"
// +kubebuilder:printcolumn:name="Paused",type="string",JSONPath=".status.conditions[?(@.type==\"Paused\")].status",description="Whether controllers leave the MachineDeployment alone",priority=10
// +kubebuilder:printcolumn:name="Phase",type="string",JSONPath=".status.phase",description="What the MachineDeployment is doing"
// +kubebuilder:printcolumn:name="Age",type="date",JSONPath=".metadata.creationTimestamp",description="Time since the MachineDeployment was created"
// +kubebuilder:printcolumn:name="Version",type="string",JSONPath=".spec.template.spec.version",description="Kubernetes version asked for"
type MachineDeployment struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is the standard object metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is what should exist.
	// +required
	Spec MachineDeploymentSpec `json:"spec,omitempty,omitzero"`

	// status is what was last seen.
	// +optional
	Status MachineDeploymentStatus `json:"status,omitempty,omitzero"`
}

// GetConditions returns the conditions of the object, not a copy.
func (m *MachineDeployment) GetConditions() []metav1.Condition { return m.Status.Conditions }

// SetConditions replaces the conditions of the object.
func (m *MachineDeployment) SetConditions(conditions []metav1.Condition) {
	m.Status.Conditions = conditions
}

// MachineDeploymentList is a list of MachineDeployments.
//
// +kubebuilder:object:root=true
type MachineDeploymentList struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is the standard list metadata.
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`

	// items are the MachineDeployments.
	Items []MachineDeployment `json:"items"`
}

// MachineDeploymentSpec is what a MachineDeployment should keep.
//
// +kubebuilder:validation:XValidation:rule="self.template.spec.clusterName == self.clusterName",message="template.spec.clusterName has to be the same as clusterName"
// +kubebuilder:validation:XValidation:rule="!has(self.selector.matchLabels) || self.selector.matchLabels.all(k, k == 'cluster.x-k8s.io/cluster-name' ? self.selector.matchLabels[k] == self.clusterName : has(self.template.metadata) && has(self.template.metadata.labels) && k in self.template.metadata.labels && self.template.metadata.labels[k] == self.selector.matchLabels[k])",message="selector would not match the Machines: put every label of selector.matchLabels into template.metadata.labels, with the same value; only cluster.x-k8s.io/cluster-name, which is clusterName on every Machine, need not be there"
// +kubebuilder:validation:XValidation:rule="!has(self.selector.matchExpressions) || self.selector.matchExpressions.all(e, (e.operator in ['In', 'Exists']) == (e.key == 'cluster.x-k8s.io/cluster-name' ? !has(e.values) || e.values.size() == 0 || self.clusterName in e.values : has(self.template.metadata) && has(self.template.metadata.labels) && e.key in self.template.metadata.labels && (!has(e.values) || e.values.size() == 0 || self.template.metadata.labels[e.key] in e.values)))",message="selector would not match the Machines: correct template.metadata.labels, or the entry of selector.matchExpressions that they do not fit"
// +kubebuilder:validation:XValidation:rule="!has(self.template.spec.taints) || self.template.spec.taints.all(t, t.key != 'node-role.kubernetes.io/control-plane')",message="the taint node-role.kubernetes.io/control-plane is for machines of the control plane: take it out of template.spec.taints"
type MachineDeploymentSpec struct {
	// clusterName is the name of the Cluster, in the same namespace, that the Machines belong to.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="clusterName cannot be changed: delete the MachineDeployment and make one for the other Cluster"
	ClusterName string `json:"clusterName,omitempty"`

	// replicas is the number of Machines to keep. 1 when absent.
	//
	// Leave it out of what you apply when an autoscaler or `kubectl scale` owns the number: the default counts only when
	// the object has no value at all, so an apply without the field keeps the number that is there. Bounds in the
	// autoscaler's annotations are the autoscaler's to enforce; the default does not look at them.
	// +optional
	// +kubebuilder:default=1
	// +kubebuilder:validation:Minimum=0
	Replicas *int32 `json:"replicas,omitempty"`

	// rollout says when and how Machines are replaced.
	// +optional
	// +kubebuilder:default={strategy: {type: "RollingUpdate", rollingUpdate: {maxSurge: 1, maxUnavailable: 0}}}
	Rollout MachineDeploymentRolloutSpec `json:"rollout,omitempty,omitzero"`

	// selector picks the MachineSets and Machines that count, by their labels. It has to match the labels of the template.
	// An empty selector stands for the labels that the controller puts on them itself.
	// +required
	// +kubebuilder:validation:XValidation:rule="!has(self.matchExpressions) || self.matchExpressions.all(e, e.operator in ['In', 'NotIn'] ? has(e.values) && e.values.size() > 0 : e.operator in ['Exists', 'DoesNotExist'] && (!has(e.values) || e.values.size() == 0))",message="one of selector.matchExpressions is not valid: use the operator In or NotIn with values, or Exists or DoesNotExist without"
	// +kubebuilder:validation:XValidation:rule="(!has(self.matchLabels) || self.matchLabels.all(k, !format.qualifiedName().validate(k).hasValue() && !format.labelValue().validate(self.matchLabels[k]).hasValue())) && (!has(self.matchExpressions) || self.matchExpressions.all(e, !format.qualifiedName().validate(e.key).hasValue() && (!has(e.values) || e.values.all(v, !format.labelValue().validate(v).hasValue()))))",message="selector asks for a label that cannot be: write each key as a name or prefix/name, and key and value each as at most 63 letters, digits, '-', '_' and '.' that begin and end with a letter or digit"
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="selector cannot be changed: make another MachineDeployment with the selector you want, then delete this one"
	Selector metav1.LabelSelector `json:"selector,omitempty,omitzero"`

	// template is what new Machines are made from.
	// +required
	Template MachineTemplateSpec `json:"template,omitempty,omitzero"`

	// machineNaming says how new Machines are named.
	// +optional
	MachineNaming MachineNamingSpec `json:"machineNaming,omitempty,omitzero"`

	// remediation bounds how many unhealthy Machines are replaced at a time.
	// +optional
	Remediation MachineDeploymentRemediationSpec `json:"remediation,omitempty,omitzero"`

	// deletion says which Machines go first when there are too many.
	// +optional
	Deletion MachineDeploymentDeletionSpec `json:"deletion,omitempty,omitzero"`

	// paused true suspends rollouts: no MachineSet is made for a template, and no Machine is replaced by another of a
	// newer template. Scaling, what can be changed in Machines that live on, and the deletion go on. To pause all of it,
	// use the annotation cluster.x-k8s.io/paused.
	// +optional
	Paused *bool `json:"paused,omitempty"`
}

// MachineDeploymentRolloutSpec says when and how Machines are replaced.
//
// +kubebuilder:validation:MinProperties=1
type MachineDeploymentRolloutSpec struct {
	// after is a point in time: once it has passed, Machines that are older than it are replaced though nothing changed.
	// +optional
	After metav1.Time `json:"after,omitempty,omitzero"`

	// strategy is how old Machines are replaced. RollingUpdate with maxSurge 1 and maxUnavailable 0 when absent.
	// +optional
	// +kubebuilder:default={type: "RollingUpdate", rollingUpdate: {maxSurge: 1, maxUnavailable: 0}}
	Strategy MachineDeploymentRolloutStrategy `json:"strategy,omitempty,omitzero"`
}

// MachineDeploymentRolloutStrategy is how old Machines are replaced.
//
// +kubebuilder:validation:MinProperties=1
type MachineDeploymentRolloutStrategy struct {
	// type of the strategy: RollingUpdate goes step by step, OnDelete waits until somebody deletes an old Machine.
	// +required
	// +kubebuilder:default="RollingUpdate"
	Type MachineDeploymentRolloutStrategyType `json:"type,omitempty"`

	// rollingUpdate bounds the steps of RollingUpdate. Not read for OnDelete.
	// +optional
	RollingUpdate MachineDeploymentRolloutStrategyRollingUpdate `json:"rollingUpdate,omitempty,omitzero"`
}

// MachineDeploymentRolloutStrategyRollingUpdate bounds the steps of a rolling update. The two cannot both be 0.
//
// +kubebuilder:validation:XValidation:rule="!has(self.maxSurge) || !has(self.maxUnavailable) || !((self.maxSurge == 0 || self.maxSurge == '0%') && (self.maxUnavailable == 0 || self.maxUnavailable == '0%'))",message="with maxSurge and maxUnavailable both 0 no Machine could ever be replaced: raise one of them"
// +kubebuilder:validation:MinProperties=1
type MachineDeploymentRolloutStrategyRollingUpdate struct {
	// maxUnavailable is how many Machines may be missing at a time: a number, or a percentage of replicas, rounded down. 0
	// when absent.
	// +optional
	// +kubebuilder:default=0
	// +kubebuilder:validation:XValidation:rule="type(self) == int ? self >= 0 : self.matches('^[0-9]+%$')",message="give maxUnavailable as a number that is not negative, or as a percentage such as 25%"
	MaxUnavailable *intstr.IntOrString `json:"maxUnavailable,omitempty"`

	// maxSurge is how many Machines there may be above replicas: a number, or a percentage of replicas, rounded up. 1 when
	// absent.
	// +optional
	// +kubebuilder:default=1
	// +kubebuilder:validation:XValidation:rule="type(self) == int ? self >= 0 : self.matches('^[0-9]+%$')",message="give maxSurge as a number that is not negative, or as a percentage such as 25%"
	MaxSurge *intstr.IntOrString `json:"maxSurge,omitempty"`
}

// MachineDeploymentRemediationSpec bounds how many unhealthy Machines are replaced at a time.
//
// +kubebuilder:validation:MinProperties=1
type MachineDeploymentRemediationSpec struct {
	// maxInFlight is how many unhealthy Machines may be under replacement at a time: a number, or a percentage of replicas,
	// rounded down but at least one. Absent: all.
	// +optional
	// +kubebuilder:validation:XValidation:rule="type(self) == int ? self >= 0 : self.matches('^[0-9]+%$')",message="give maxInFlight as a number that is not negative, or as a percentage such as 25%"
	MaxInFlight *intstr.IntOrString `json:"maxInFlight,omitempty"`
}

// MachineDeploymentDeletionSpec says which Machines go first when there are too many.
//
// +kubebuilder:validation:MinProperties=1
type MachineDeploymentDeletionSpec struct {
	// order among Machines that are equally fit to go. Random when absent.
	// +optional
	Order MachineSetDeletionOrder `json:"order,omitempty"`
}

// MachineDeploymentStatus is what was last seen of a MachineDeployment.
//
// +kubebuilder:validation:MinProperties=1
type MachineDeploymentStatus struct {
	// conditions of the MachineDeployment.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=32
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// observedGeneration is the metadata.generation that this status was computed from.
	// +optional
	// +kubebuilder:validation:Minimum=1
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

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

	// phase is one word, for people, for what the MachineDeployment is doing.
	// +optional
	// +kubebuilder:validation:Enum=ScalingUp;ScalingDown;Running;Failed;Unknown
	Phase string `json:"phase,omitempty"`

	// deprecated keeps status of older API versions. Accepted but not acted on by this version.
	// +optional
	Deprecated *MachineDeploymentDeprecatedStatus `json:"deprecated,omitempty"`
}

// MachineDeploymentDeprecatedStatus keeps status of older API versions.
type MachineDeploymentDeprecatedStatus struct {
	// v1beta1 keeps status of API version v1beta1.
	// +optional
	V1Beta1 *MachineDeploymentV1Beta1DeprecatedStatus `json:"v1beta1,omitempty"`
}

// MachineDeploymentV1Beta1DeprecatedStatus keeps status of API version v1beta1.
type MachineDeploymentV1Beta1DeprecatedStatus struct {
	// conditions in the old form.
	// +optional
	Conditions Conditions `json:"conditions,omitempty"`

	// updatedReplicas is the number of Machines made from the current template.
	// +optional
	UpdatedReplicas int32 `json:"updatedReplicas"`

	// readyReplicas is the number of Machines that were ready in the old sense.
	// +optional
	ReadyReplicas int32 `json:"readyReplicas"`

	// availableReplicas is the number of Machines that were available in the old sense.
	// +optional
	AvailableReplicas int32 `json:"availableReplicas"`

	// unavailableReplicas is the number of Machines that were missing or not available in the old sense.
	// +optional
	UnavailableReplicas int32 `json:"unavailableReplicas"`
}
