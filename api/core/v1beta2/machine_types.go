// SPDX-License-Identifier: Apache-2.0

package v1beta2

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// MachinePhase is one word for how far a Machine has come. It is for people; controllers read conditions and fields.
type MachinePhase string

// The phases of a Machine.
const (
	MachinePhasePending      MachinePhase = "Pending"
	MachinePhaseProvisioning MachinePhase = "Provisioning"
	MachinePhaseProvisioned  MachinePhase = "Provisioned"
	MachinePhaseRunning      MachinePhase = "Running"
	MachinePhaseUpdating     MachinePhase = "Updating"
	MachinePhaseDeleting     MachinePhase = "Deleting"
	MachinePhaseDeleted      MachinePhase = "Deleted"
	MachinePhaseFailed       MachinePhase = "Failed"
	MachinePhaseUnknown      MachinePhase = "Unknown"
)

// Machine is one host that is to become a node of a cluster. It ties a bootstrap provider's object (how the host becomes
// a node) to an infrastructure provider's (the host itself) and follows the node.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:path=machines,shortName=ma,scope=Namespaced,categories=cluster-api
// +kubebuilder:storageversion
// +kubebuilder:subresource:status
// +kubebuilder:metadata:labels={"cluster.x-k8s.io/v1beta2=v1beta2","cluster.x-k8s.io/provider=cluster-api","clusterctl.cluster.x-k8s.io="}
// +kubebuilder:printcolumn:name="Cluster",type="string",JSONPath=".spec.clusterName",description="Cluster of this Machine"
// +kubebuilder:printcolumn:name="Node Name",type="string",JSONPath=".status.nodeRef.name",description="Node that this Machine has become"
// +kubebuilder:printcolumn:name="Provider ID",type="string",JSONPath=".spec.providerID",description="Identity of the host at its provider",priority=10
// +kubebuilder:printcolumn:name="Failure domain",type="string",JSONPath=".status.failureDomain",description="Failure domain that the host is in"
// +kubebuilder:printcolumn:name="Ready",type="string",JSONPath=".status.conditions[?(@.type==\"Ready\")].status",description="Whether host and node are in order"
// +kubebuilder:printcolumn:name="Available",type="string",JSONPath=".status.conditions[?(@.type==\"Available\")].status",description="Whether the Machine has been Ready for long enough"
// +kubebuilder:printcolumn:name="Up-to-date",type="string",JSONPath=".status.conditions[?(@.type==\"UpToDate\")].status",description="Whether the Machine matches what its owner wants"
// +kubebuilder:printcolumn:name="Internal-IP",type="string",JSONPath=".status.addresses[?(@.type==\"InternalIP\")].address",description="Internal addresses",priority=10
// +kubebuilder:printcolumn:name="External-IP",type="string",JSONPath=".status.addresses[?(@.type==\"ExternalIP\")].address",description="External addresses",priority=10
// +kubebuilder:printcolumn:name="OS-Image",type="string",JSONPath=".status.nodeInfo.osImage",description="Operating system that the node reports",priority=10
// +kubebuilder:printcolumn:name="Paused",type="string",JSONPath=".status.conditions[?(@.type==\"Paused\")].status",description="Whether controllers leave the Machine alone",priority=10
// +kubebuilder:printcolumn:name="Phase",type="string",JSONPath=".status.phase",description="How far the Machine has come"
// +kubebuilder:printcolumn:name="Age",type="date",JSONPath=".metadata.creationTimestamp",description="Time since the Machine was created"
// +kubebuilder:printcolumn:name="Version",type="string",JSONPath=".spec.version",description="Kubernetes version asked for"
type Machine struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is the standard object metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is what the machine should be.
	// +required
	// +kubebuilder:validation:XValidation:rule="self.clusterName == oldSelf.clusterName",message="clusterName cannot be changed: delete the Machine and make one for the other Cluster"
	Spec MachineSpec `json:"spec,omitempty,omitzero"`

	// status is what was last seen of the machine.
	// +optional
	Status MachineStatus `json:"status,omitempty,omitzero"`
}

// GetConditions returns the conditions of the object, not a copy.
func (m *Machine) GetConditions() []metav1.Condition { return m.Status.Conditions }

// SetConditions replaces the conditions of the object.
func (m *Machine) SetConditions(conditions []metav1.Condition) { m.Status.Conditions = conditions }

// MachineList is a list of Machines.
//
// +kubebuilder:object:root=true
type MachineList struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is the standard list metadata.
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`

	// items are the Machines.
	Items []Machine `json:"items"`
}

// MachineSpec is what a Machine should be.
type MachineSpec struct {
	// clusterName is the name of the Cluster, in the same namespace, that the Machine belongs to.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	ClusterName string `json:"clusterName,omitempty"`

	// bootstrap says where the data comes from that makes a host into a node.
	// +required
	Bootstrap Bootstrap `json:"bootstrap,omitempty,omitzero"`

	// infrastructureRef names the infrastructure provider's object: the machine itself in a Machine, a template of it in
	// a MachineSet or MachineDeployment.
	// +required
	InfrastructureRef ContractVersionedObjectReference `json:"infrastructureRef,omitempty,omitzero"`

	// version of Kubernetes that the node is to run, such as v1.37.1.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	// +kubebuilder:validation:XValidation:rule="self.startsWith('v') && isSemver(self.substring(1))",message="not a version of Kubernetes: write all three numbers with a v before them, such as v1.37.1"
	Version string `json:"version,omitempty"`

	// providerID is the host's identity at its provider, the same as in the node's spec.providerID: it is how the node is
	// found. Copied from the infrastructure object.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	ProviderID string `json:"providerID,omitempty"`

	// failureDomain is the name of the failure domain to place the machine in, one of the Cluster's
	// status.failureDomains. Absent: the infrastructure provider chooses.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	FailureDomain string `json:"failureDomain,omitempty"`

	// minReadySeconds is for how many seconds the Machine has to be Ready without a break until it is Available. 0 when
	// absent.
	// +optional
	// +kubebuilder:validation:Minimum=0
	MinReadySeconds *int32 `json:"minReadySeconds,omitempty"`

	// readinessGates name further conditions of the Machine that have a say in whether it is Ready.
	// +optional
	// +listType=map
	// +listMapKey=conditionType
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	ReadinessGates []MachineReadinessGate `json:"readinessGates,omitempty"`

	// deletion bounds the steps that are gone through when the Machine is deleted.
	// +optional
	// +kubebuilder:default={nodeDeletionTimeoutSeconds: 10}
	Deletion MachineDeletionSpec `json:"deletion,omitempty,omitzero"`

	// taints that the node is to have.
	// +optional
	// +listType=map
	// +listMapKey=key
	// +listMapKey=effect
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:XValidation:rule="self.all(t, !format.qualifiedName().validate(t.key).hasValue())",message="the key of one of the taints is too long: use at most 253 characters before its '/' and 63 after it"
	Taints []MachineTaint `json:"taints,omitempty"`
}

// MachineDeletionSpec bounds the steps that are gone through when a Machine is deleted.
//
// +kubebuilder:validation:MinProperties=1
type MachineDeletionSpec struct {
	// nodeDrainTimeoutSeconds is for how long to try to drain the node, counted from the first try. 0 or absent: for as
	// long as it takes.
	// +optional
	// +kubebuilder:validation:Minimum=0
	NodeDrainTimeoutSeconds *int32 `json:"nodeDrainTimeoutSeconds,omitempty"`

	// nodeVolumeDetachTimeoutSeconds is for how long to wait until all volumes are detached from the node. 0 or absent: for
	// as long as it takes.
	// +optional
	// +kubebuilder:validation:Minimum=0
	NodeVolumeDetachTimeoutSeconds *int32 `json:"nodeVolumeDetachTimeoutSeconds,omitempty"`

	// nodeDeletionTimeoutSeconds is for how long to try to delete the Node object after the host is gone. 0: for as long as
	// it takes. 10 when absent.
	// +optional
	// +kubebuilder:default=10
	// +kubebuilder:validation:Minimum=0
	NodeDeletionTimeoutSeconds *int32 `json:"nodeDeletionTimeoutSeconds,omitempty"`
}

// DefaultNodeDeletionTimeoutSeconds is what MachineDeletionSpec.NodeDeletionTimeoutSeconds means when it is absent.
const DefaultNodeDeletionTimeoutSeconds int32 = 10

// Bootstrap says where the data comes from that makes a host into a node. One of the two fields is set by whoever makes
// the Machine; dataSecretName is filled in by the Machine controller when configRef is used.
//
// +kubebuilder:validation:XValidation:rule="has(self.configRef) || has(self.dataSecretName)",message="without bootstrap data no node comes of the machine: give bootstrap.configRef, or bootstrap.dataSecretName"
type Bootstrap struct {
	// configRef names a bootstrap provider's object that produces the data: the configuration itself in a Machine, a
	// template of it in a MachineSet or MachineDeployment.
	// +optional
	ConfigRef ContractVersionedObjectReference `json:"configRef,omitempty,omitzero"`

	// dataSecretName is the name of the Secret, in the same namespace, that holds the data under the key value.
	// +optional
	// +kubebuilder:validation:MinLength=0
	// +kubebuilder:validation:MaxLength=253
	DataSecretName *string `json:"dataSecretName,omitempty"`
}

// MachineStatus is what was last seen of a Machine.
//
// +kubebuilder:validation:MinProperties=1
type MachineStatus struct {
	// conditions of the Machine: Available, Ready and what they are made of, and UpToDate from its owner.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=32
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// initialization holds what other controllers wait for while the Machine is first made. Its fields turn true once and
	// never back.
	// +optional
	Initialization MachineInitializationStatus `json:"initialization,omitempty,omitzero"`

	// nodeRef names the node that the Machine has become.
	// +optional
	NodeRef MachineNodeReference `json:"nodeRef,omitempty,omitzero"`

	// nodeInfo is what the node reports about itself.
	// +optional
	NodeInfo *corev1.NodeSystemInfo `json:"nodeInfo,omitempty"`

	// lastUpdated is when the phase last changed.
	// +optional
	LastUpdated metav1.Time `json:"lastUpdated,omitempty,omitzero"`

	// addresses of the host, as the infrastructure object reports them.
	// +optional
	Addresses MachineAddresses `json:"addresses,omitempty"`

	// failureDomain that the host was really placed in.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	FailureDomain string `json:"failureDomain,omitempty"`

	// phase is one word, for people, for how far the Machine has come.
	// +optional
	// +kubebuilder:validation:Enum=Pending;Provisioning;Provisioned;Running;Updating;Deleting;Deleted;Failed;Unknown
	Phase string `json:"phase,omitempty"`

	// certificatesExpiryDate is when the first of the certificates on a control-plane machine expires.
	// +optional
	CertificatesExpiryDate metav1.Time `json:"certificatesExpiryDate,omitempty,omitzero"`

	// observedGeneration is the metadata.generation that this status was computed from.
	// +optional
	// +kubebuilder:validation:Minimum=1
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// deletion holds when the steps of the deletion began. Only set while the Machine is deleted.
	// +optional
	Deletion *MachineDeletionStatus `json:"deletion,omitempty"`

	// deprecated keeps status of older API versions. Accepted but not acted on by this version.
	// +optional
	Deprecated *MachineDeprecatedStatus `json:"deprecated,omitempty"`
}

// MachineNodeReference names a node of the workload cluster.
type MachineNodeReference struct {
	// name of the node.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`
	Name string `json:"name,omitempty"`
}

// IsDefined tells whether there is a node.
func (r MachineNodeReference) IsDefined() bool { return r.Name != "" }

// MachineInitializationStatus holds what others wait for while a Machine is first made.
//
// +kubebuilder:validation:MinProperties=1
type MachineInitializationStatus struct {
	// infrastructureProvisioned is true once the infrastructure object has reported itself provisioned.
	// +optional
	InfrastructureProvisioned *bool `json:"infrastructureProvisioned,omitempty"`

	// bootstrapDataSecretCreated is true once the Secret with the bootstrap data exists.
	// +optional
	BootstrapDataSecretCreated *bool `json:"bootstrapDataSecretCreated,omitempty"`
}

// MachineDeletionStatus holds when the steps of a Machine's deletion began; time limits count from these.
type MachineDeletionStatus struct {
	// nodeDrainStartTime is when draining of the node began.
	// +optional
	NodeDrainStartTime metav1.Time `json:"nodeDrainStartTime,omitempty,omitzero"`

	// waitForNodeVolumeDetachStartTime is when the wait for volumes to be detached began.
	// +optional
	WaitForNodeVolumeDetachStartTime metav1.Time `json:"waitForNodeVolumeDetachStartTime,omitempty,omitzero"`

	// waitForPreDrainHookStartTime is when the wait for pre-drain hook annotations to go began.
	// +optional
	WaitForPreDrainHookStartTime metav1.Time `json:"waitForPreDrainHookStartTime,omitempty,omitzero"`

	// waitForPreTerminateHookStartTime is when the wait for pre-terminate hook annotations to go began.
	// +optional
	WaitForPreTerminateHookStartTime metav1.Time `json:"waitForPreTerminateHookStartTime,omitempty,omitzero"`
}

// MachineDeprecatedStatus keeps status of older API versions.
type MachineDeprecatedStatus struct {
	// v1beta1 keeps status of API version v1beta1.
	// +optional
	V1Beta1 *MachineV1Beta1DeprecatedStatus `json:"v1beta1,omitempty"`
}

// MachineV1Beta1DeprecatedStatus keeps status of API version v1beta1.
type MachineV1Beta1DeprecatedStatus struct {
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
}
