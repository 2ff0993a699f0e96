// SPDX-License-Identifier: Apache-2.0

package v1beta2

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	bootstrapv1 "github.com/slipway-project/slipway/api/bootstrap/v1beta2"
	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
)

// KubeadmControlPlaneRolloutStrategyType is how old control-plane machines are replaced.
//
// +kubebuilder:validation:Enum=RollingUpdate
type KubeadmControlPlaneRolloutStrategyType string

// RollingUpdateStrategyType replaces old machines one by one.
const RollingUpdateStrategyType KubeadmControlPlaneRolloutStrategyType = "RollingUpdate"

// KubeadmControlPlane is the control plane of a cluster, made by kubeadm on machines of its own.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:path=kubeadmcontrolplanes,shortName=kcp,scope=Namespaced,categories=cluster-api
// +kubebuilder:storageversion
// +kubebuilder:subresource:status
// +kubebuilder:subresource:scale:specpath=.spec.replicas,statuspath=.status.replicas,selectorpath=.status.selector
// +kubebuilder:metadata:labels={"cluster.x-k8s.io/v1beta2=v1beta2","cluster.x-k8s.io/provider=control-plane-kubeadm","clusterctl.cluster.x-k8s.io="}
// +kubebuilder:printcolumn:name="Cluster",type="string",JSONPath=".metadata.labels['cluster\\.x-k8s\\.io/cluster-name']",description="Cluster of this control plane"
// +kubebuilder:printcolumn:name="Available",type="string",JSONPath=`.status.conditions[?(@.type=="Available")].status`,description="Whether the control plane does its work"
// +kubebuilder:printcolumn:name="Desired",type=integer,JSONPath=".spec.replicas",description="Machines asked for"
// +kubebuilder:printcolumn:name="Current",type="integer",JSONPath=".status.replicas",description="Machines that exist"
// +kubebuilder:printcolumn:name="Ready",type="integer",JSONPath=".status.readyReplicas",description="Machines that are ready"
// +kubebuilder:printcolumn:name="Available",type=integer,JSONPath=".status.availableReplicas",description="Machines that are available"
// +kubebuilder:printcolumn:name="Up-to-date",type=integer,JSONPath=".status.upToDateReplicas",description="Machines that match their specification"
// +kubebuilder:printcolumn:name="Paused",type="string",JSONPath=".status.conditions[?(@.type==\"Paused\")].status",description="Whether controllers leave the control plane alone",priority=10
// +kubebuilder:printcolumn:name="Initialized",type=boolean,JSONPath=".status.initialization.controlPlaneInitialized",description="Whether the API server has answered once"
// +kubebuilder:printcolumn:name="Age",type="date",JSONPath=".metadata.creationTimestamp",description="Time since the KubeadmControlPlane was created"
// +kubebuilder:printcolumn:name="Version",type=string,JSONPath=".spec.version",description="Kubernetes version asked for"
type KubeadmControlPlane struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is the standard object metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is what the control plane should be.
	// +required
	Spec KubeadmControlPlaneSpec `json:"spec,omitempty,omitzero"`

	// status is what was last seen of the control plane.
	// +optional
	Status KubeadmControlPlaneStatus `json:"status,omitempty,omitzero"`
}

// GetConditions returns the conditions of the object, not a copy.
func (c *KubeadmControlPlane) GetConditions() []metav1.Condition { return c.Status.Conditions }

// SetConditions replaces the conditions of the object.
func (c *KubeadmControlPlane) SetConditions(conditions []metav1.Condition) {
	c.Status.Conditions = conditions
}

// KubeadmControlPlaneList is a list of KubeadmControlPlanes.
//
// +kubebuilder:object:root=true
type KubeadmControlPlaneList struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is the standard list metadata.
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`

	// items are the KubeadmControlPlanes.
	Items []KubeadmControlPlane `json:"items"`
}

// KubeadmControlPlaneSpec is what a control plane should be.
//
// +kubebuilder:validation:XValidation:rule="!has(self.replicas) || self.replicas % 2 == 1 || self.?kubeadmConfigSpec.?clusterConfiguration.?etcd.?external.hasValue()",message="replicas has to be odd while etcd runs on the machines of the control plane, or a member more would not bear a failure more: use 1, 3, 5 or 7"
// +kubebuilder:validation:XValidation:rule="!self.?rollout.?strategy.?rollingUpdate.?maxSurge.hasValue() || self.rollout.strategy.rollingUpdate.maxSurge != 0 || (has(self.replicas) && self.replicas >= 3)",message="with rollout.strategy.rollingUpdate.maxSurge 0 a machine is removed before the new one is there, which needs at least 3 replicas: raise replicas, or set maxSurge to 1"
// +kubebuilder:validation:XValidation:rule="self.?kubeadmConfigSpec.?clusterConfiguration.?etcd.?external.hasValue() == oldSelf.?kubeadmConfigSpec.?clusterConfiguration.?etcd.?external.hasValue()",message="etcd cannot be moved between the machines of the control plane and elsewhere: set kubeadmConfigSpec.clusterConfiguration.etcd back to what it was"
// +kubebuilder:validation:XValidation:rule=`(has(self.kubeadmConfigSpec) && has(self.kubeadmConfigSpec.clusterConfiguration) && has(self.kubeadmConfigSpec.clusterConfiguration.certificatesDir) ? self.kubeadmConfigSpec.clusterConfiguration.certificatesDir : "") == (has(oldSelf.kubeadmConfigSpec) && has(oldSelf.kubeadmConfigSpec.clusterConfiguration) && has(oldSelf.kubeadmConfigSpec.clusterConfiguration.certificatesDir) ? oldSelf.kubeadmConfigSpec.clusterConfiguration.certificatesDir : "")`,message="kubeadmConfigSpec.clusterConfiguration.certificatesDir cannot be changed once machines may have been made with it: set it back to what it was, or make another cluster"
// +kubebuilder:validation:XValidation:rule="self.?kubeadmConfigSpec.?clusterConfiguration.?caCertificateValidityPeriodDays == oldSelf.?kubeadmConfigSpec.?clusterConfiguration.?caCertificateValidityPeriodDays",message="kubeadmConfigSpec.clusterConfiguration.caCertificateValidityPeriodDays cannot be changed once machines may have been made with it: set it back to what it was, or make another cluster"
// +kubebuilder:validation:XValidation:rule=`(has(self.kubeadmConfigSpec) && has(self.kubeadmConfigSpec.clusterConfiguration) && has(self.kubeadmConfigSpec.clusterConfiguration.controlPlaneEndpoint) ? self.kubeadmConfigSpec.clusterConfiguration.controlPlaneEndpoint : "") == (has(oldSelf.kubeadmConfigSpec) && has(oldSelf.kubeadmConfigSpec.clusterConfiguration) && has(oldSelf.kubeadmConfigSpec.clusterConfiguration.controlPlaneEndpoint) ? oldSelf.kubeadmConfigSpec.clusterConfiguration.controlPlaneEndpoint : "")`,message="kubeadmConfigSpec.clusterConfiguration.controlPlaneEndpoint cannot be changed once machines may have been made with it: set it back to what it was, or make another cluster"
// +kubebuilder:validation:XValidation:rule="!self.?kubeadmConfigSpec.?clusterConfiguration.?certificateValidityPeriodDays.hasValue() || self.?rollout.?before.?certificatesExpiryDays.orValue(0) < self.kubeadmConfigSpec.clusterConfiguration.certificateValidityPeriodDays",message="with rollout.before.certificatesExpiryDays not below kubeadmConfigSpec.clusterConfiguration.certificateValidityPeriodDays every new machine would be due for replacement at once: lower the first or raise the second"
type KubeadmControlPlaneSpec struct {
	// replicas is the number of machines. With etcd on the machines it has to be odd. 1 when absent; the default counts only
	// when the object has no value at all.
	// +optional
	// +kubebuilder:default=1
	// +kubebuilder:validation:XValidation:rule="self > 0",message="a control plane needs at least one machine: set replicas to 1 or more, or delete the Cluster"
	Replicas *int32 `json:"replicas,omitempty"`

	// version of Kubernetes, such as v1.37.1. It goes up by one minor at a time, and never down.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	// +kubebuilder:validation:XValidation:rule="self.startsWith('v') && isSemver(self.substring(1))",message="not a version of Kubernetes: write all three numbers with a v before them, such as v1.37.1"
	// +kubebuilder:validation:XValidation:rule="!isSemver(self, true) || !isSemver(oldSelf, true) || semver(self, true).compareTo(semver(oldSelf, true)) >= 0",message="a control plane cannot go back to an older version: set version to the one it had, or to a newer one"
	// +kubebuilder:validation:XValidation:rule="!isSemver(self, true) || !isSemver(oldSelf, true) || (semver(self, true).major() == semver(oldSelf, true).major() && semver(self, true).minor() <= semver(oldSelf, true).minor() + 1)",message="a control plane goes up by one minor version at a time: upgrade to the next minor first"
	Version string `json:"version,omitempty"`

	// machineTemplate is what the machines are made from.
	// +required
	MachineTemplate KubeadmControlPlaneMachineTemplate `json:"machineTemplate,omitempty,omitzero"`

	// kubeadmConfigSpec is how the machines become nodes.
	// +optional
	// +kubebuilder:validation:XValidation:rule="self.?clusterConfiguration.?certificateValidityPeriodDays.orValue(0) <= self.?clusterConfiguration.?caCertificateValidityPeriodDays.orValue(3650)",message="no certificate outlives the CA that signs it: lower clusterConfiguration.certificateValidityPeriodDays to at most caCertificateValidityPeriodDays, which is 3650 when absent"
	// +kubebuilder:validation:XValidation:rule="self.?initConfiguration.?timeouts.?controlPlaneComponentHealthCheckSeconds == self.?joinConfiguration.?timeouts.?controlPlaneComponentHealthCheckSeconds",message="all machines of a control plane wait equally long: give timeouts.controlPlaneComponentHealthCheckSeconds the same value in initConfiguration and joinConfiguration, or leave it out of both"
	// +kubebuilder:validation:XValidation:rule="!has(self.clusterConfiguration) || !has(self.clusterConfiguration.dns) || !has(self.clusterConfiguration.dns.imageTag) || isSemver(self.clusterConfiguration.dns.imageTag.replace('_', '+'), true)",message="clusterConfiguration.dns.imageTag has to be a version of CoreDNS, or nobody could tell whether it can follow the one that runs: write it like v1.14.2"
	KubeadmConfigSpec bootstrapv1.KubeadmConfigSpec `json:"kubeadmConfigSpec,omitempty,omitzero"`

	// rollout says when and how machines are replaced.
	// +optional
	// +kubebuilder:default={strategy: {type: "RollingUpdate", rollingUpdate: {maxSurge: 1}}}
	Rollout KubeadmControlPlaneRolloutSpec `json:"rollout,omitempty,omitzero"`

	// remediation bounds how unhealthy machines are replaced.
	// +optional
	Remediation KubeadmControlPlaneRemediationSpec `json:"remediation,omitempty,omitzero"`

	// machineNaming says how new Machines are named.
	// +optional
	MachineNaming MachineNamingSpec `json:"machineNaming,omitempty,omitzero"`
}

// KubeadmControlPlaneMachineTemplate is what the machines of a control plane are made from.
type KubeadmControlPlaneMachineTemplate struct {
	// metadata that new Machines get.
	// +optional
	// +kubebuilder:validation:XValidation:rule="!has(self.labels) || self.labels.all(k, !format.labelValue().validate(self.labels[k]).hasValue())",message="the value of one of the labels is not valid: write it as at most 63 letters, digits, '-', '_' and '.' that begin and end with a letter or digit, or leave it empty"
	ObjectMeta clusterv1.ObjectMeta `json:"metadata,omitempty,omitzero"`

	// spec that new Machines get.
	// +required
	Spec KubeadmControlPlaneMachineTemplateSpec `json:"spec,omitempty,omitzero"`
}

// KubeadmControlPlaneMachineTemplateSpec is the part of a Machine's spec that can be chosen for a control plane.
type KubeadmControlPlaneMachineTemplateSpec struct {
	// infrastructureRef names the infrastructure provider's template.
	// +required
	InfrastructureRef clusterv1.ContractVersionedObjectReference `json:"infrastructureRef,omitempty,omitzero"`

	// readinessGates name further conditions of the Machines that have a say in whether they are Ready.
	// +optional
	// +listType=map
	// +listMapKey=conditionType
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	ReadinessGates []clusterv1.MachineReadinessGate `json:"readinessGates,omitempty"`

	// deletion bounds the steps that are gone through when a Machine is deleted.
	// +optional
	Deletion KubeadmControlPlaneMachineTemplateDeletionSpec `json:"deletion,omitempty,omitzero"`

	// taints that the nodes are to have.
	// +optional
	// +listType=map
	// +listMapKey=key
	// +listMapKey=effect
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:XValidation:rule="self.all(t, !format.qualifiedName().validate(t.key).hasValue())",message="the key of one of the taints is too long: use at most 253 characters before its '/' and 63 after it"
	Taints []clusterv1.MachineTaint `json:"taints,omitempty"`
}

// KubeadmControlPlaneMachineTemplateDeletionSpec bounds the steps that are gone through when a Machine is deleted.
//
// +kubebuilder:validation:MinProperties=1
type KubeadmControlPlaneMachineTemplateDeletionSpec struct {
	// nodeDrainTimeoutSeconds is for how long to try to drain the node. 0 or absent: for as long as it takes.
	// +optional
	// +kubebuilder:validation:Minimum=0
	NodeDrainTimeoutSeconds *int32 `json:"nodeDrainTimeoutSeconds,omitempty"`

	// nodeVolumeDetachTimeoutSeconds is for how long to wait for volumes to be detached. 0 or absent: for as long as it
	// takes.
	// +optional
	// +kubebuilder:validation:Minimum=0
	NodeVolumeDetachTimeoutSeconds *int32 `json:"nodeVolumeDetachTimeoutSeconds,omitempty"`

	// nodeDeletionTimeoutSeconds is for how long to try to delete the Node object after the host is gone. 0: for as long as
	// it takes. 10 when absent.
	// +optional
	// +kubebuilder:validation:Minimum=0
	NodeDeletionTimeoutSeconds *int32 `json:"nodeDeletionTimeoutSeconds,omitempty"`
}

// KubeadmControlPlaneRolloutSpec says when and how machines are replaced.
//
// +kubebuilder:validation:MinProperties=1
type KubeadmControlPlaneRolloutSpec struct {
	// before replaces machines ahead of something that comes.
	// +optional
	Before KubeadmControlPlaneRolloutBeforeSpec `json:"before,omitempty,omitzero"`

	// after is a point in time: once it has passed, older machines are replaced though nothing changed.
	// +optional
	After metav1.Time `json:"after,omitempty,omitzero"`

	// strategy is how old machines are replaced. RollingUpdate with maxSurge 1 when absent.
	// +optional
	// +kubebuilder:default={type: "RollingUpdate", rollingUpdate: {maxSurge: 1}}
	Strategy KubeadmControlPlaneRolloutStrategy `json:"strategy,omitempty,omitzero"`
}

// KubeadmControlPlaneRolloutBeforeSpec replaces machines ahead of something that comes.
//
// +kubebuilder:validation:MinProperties=1
type KubeadmControlPlaneRolloutBeforeSpec struct {
	// certificatesExpiryDays replaces a machine when its certificates expire in fewer days than this. At least 7.
	// +optional
	// +kubebuilder:validation:Minimum=7
	CertificatesExpiryDays int32 `json:"certificatesExpiryDays,omitempty"`
}

// KubeadmControlPlaneRolloutStrategy is how old machines are replaced.
//
// +kubebuilder:validation:MinProperties=1
type KubeadmControlPlaneRolloutStrategy struct {
	// type of the strategy.
	// +required
	// +kubebuilder:default="RollingUpdate"
	Type KubeadmControlPlaneRolloutStrategyType `json:"type,omitempty"`

	// rollingUpdate bounds the steps.
	// +optional
	RollingUpdate KubeadmControlPlaneRolloutStrategyRollingUpdate `json:"rollingUpdate,omitempty,omitzero"`
}

// KubeadmControlPlaneRolloutStrategyRollingUpdate bounds the steps of a rolling update.
//
// +kubebuilder:validation:MinProperties=1
type KubeadmControlPlaneRolloutStrategyRollingUpdate struct {
	// maxSurge is how many machines there may be above replicas: 1 (when absent) makes the new machine first, 0 removes the
	// old one first and needs at least three replicas.
	// +optional
	// +kubebuilder:default=1
	// +kubebuilder:validation:XValidation:rule="self == 0 || self == 1",message="maxSurge of a control plane is 0 or 1: etcd bears one change at a time"
	MaxSurge *intstr.IntOrString `json:"maxSurge,omitempty"`
}

// KubeadmControlPlaneRemediationSpec bounds how unhealthy machines are replaced.
//
// +kubebuilder:validation:MinProperties=1
type KubeadmControlPlaneRemediationSpec struct {
	// maxRetry is how often a replacement that fails in its turn is replaced. Absent: without end.
	// +optional
	MaxRetry *int32 `json:"maxRetry,omitempty"`

	// retryPeriodSeconds is for how long to wait between one try and the next. 0 when absent.
	// +optional
	// +kubebuilder:validation:Minimum=0
	RetryPeriodSeconds *int32 `json:"retryPeriodSeconds,omitempty"`

	// minHealthyPeriodSeconds is for how long a replacement has to be healthy until its failing counts as a new failure and
	// not as a retry. 3600, an hour, when absent.
	// +optional
	// +kubebuilder:validation:Minimum=0
	MinHealthyPeriodSeconds *int32 `json:"minHealthyPeriodSeconds,omitempty"`
}

// MachineNamingSpec says how Machines are named.
//
// +kubebuilder:validation:MinProperties=1
type MachineNamingSpec struct {
	// template is a Go template for the names of new Machines. It can use .cluster.name, .kubeadmControlPlane.name and
	// .random (five letters or digits), and it has to use .random, or two Machines would claim one name. A name that grows
	// past 63 characters is cut before the random part. `{{ .kubeadmControlPlane.name }}-{{ .random }}` when absent.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	// +kubebuilder:validation:XValidation:rule="self.matches('[{][{]-? *[.]random *-?[}][}]')",message="every Machine needs a name of its own: use {{ .random }} in the template, such as {{ .kubeadmControlPlane.name }}-{{ .random }}"
	// +kubebuilder:validation:XValidation:rule="self.matches('^([a-z0-9]|[{][{][^{}]*[}][}])(([a-z0-9.-]|[{][{][^{}]*[}][}])*([a-z0-9]|[{][{][^{}]*[}][}]))?$')",message="the names made from the template would not be valid: outside of {{ }} use lower-case letters, digits, '-' and '.' only, with a letter, a digit or {{ }} first and last"
	Template string `json:"template,omitempty"`
}

// KubeadmControlPlaneStatus is what was last seen of a control plane.
//
// +kubebuilder:validation:MinProperties=1
type KubeadmControlPlaneStatus struct {
	// conditions of the control plane.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=32
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// initialization holds what other controllers wait for. Its fields turn true once and never back.
	// +optional
	Initialization KubeadmControlPlaneInitializationStatus `json:"initialization,omitempty,omitzero"`

	// selector picks the Machines of the control plane, as text, for the scale subresource.
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
	Versions []clusterv1.StatusVersion `json:"versions,omitempty"`

	// version is the lowest Kubernetes version that a Machine runs. versions says more.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	Version string `json:"version,omitempty"`

	// observedGeneration is the metadata.generation that this status was computed from.
	// +optional
	// +kubebuilder:validation:Minimum=1
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// lastRemediation is the last replacement of an unhealthy Machine.
	// +optional
	LastRemediation LastRemediationStatus `json:"lastRemediation,omitempty,omitzero"`

	// deprecated keeps status of older API versions. Accepted but not acted on by this version.
	// +optional
	Deprecated *KubeadmControlPlaneDeprecatedStatus `json:"deprecated,omitempty"`
}

// KubeadmControlPlaneInitializationStatus holds what others wait for while a control plane is first made.
//
// +kubebuilder:validation:MinProperties=1
type KubeadmControlPlaneInitializationStatus struct {
	// controlPlaneInitialized is true once the API server has answered for the first time.
	// +optional
	ControlPlaneInitialized *bool `json:"controlPlaneInitialized,omitempty"`
}

// LastRemediationStatus is the last replacement of an unhealthy Machine.
type LastRemediationStatus struct {
	// machine is the name of the Machine that was replaced.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Machine string `json:"machine,omitempty"`

	// time when the replacement began.
	// +required
	Time metav1.Time `json:"time,omitempty,omitzero"`

	// retryCount is how many replacements in a row this was after the first.
	// +required
	// +kubebuilder:validation:Minimum=0
	RetryCount *int32 `json:"retryCount,omitempty"`
}

// KubeadmControlPlaneDeprecatedStatus keeps status of older API versions.
type KubeadmControlPlaneDeprecatedStatus struct {
	// v1beta1 keeps status of API version v1beta1.
	// +optional
	V1Beta1 *KubeadmControlPlaneV1Beta1DeprecatedStatus `json:"v1beta1,omitempty"`
}

// KubeadmControlPlaneV1Beta1DeprecatedStatus keeps status of API version v1beta1.
type KubeadmControlPlaneV1Beta1DeprecatedStatus struct {
	// conditions in the old form.
	// +optional
	Conditions clusterv1.Conditions `json:"conditions,omitempty"`

	// failureReason is one word for a failure that was final.
	// +optional
	FailureReason string `json:"failureReason,omitempty"`

	// failureMessage tells people about a failure that was final.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=10240
	FailureMessage *string `json:"failureMessage,omitempty"`

	// updatedReplicas is the number of Machines that matched the specification.
	// +optional
	UpdatedReplicas int32 `json:"updatedReplicas"`

	// readyReplicas is the number of Machines that were ready in the old sense.
	// +optional
	ReadyReplicas int32 `json:"readyReplicas"`

	// unavailableReplicas is the number of Machines that were missing or not available in the old sense.
	// +optional
	UnavailableReplicas int32 `json:"unavailableReplicas"`
}
