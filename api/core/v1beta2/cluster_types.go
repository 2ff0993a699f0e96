// SPDX-License-Identifier: Apache-2.0

package v1beta2

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ClusterPhase is one word for how far a Cluster has come. It is for people; controllers read conditions and fields.
type ClusterPhase string

// The phases of a Cluster, in the order they come.
const (
	ClusterPhasePending      ClusterPhase = "Pending"
	ClusterPhaseProvisioning ClusterPhase = "Provisioning"
	ClusterPhaseProvisioned  ClusterPhase = "Provisioned"
	ClusterPhaseDeleting     ClusterPhase = "Deleting"
	ClusterPhaseFailed       ClusterPhase = "Failed"
	ClusterPhaseUnknown      ClusterPhase = "Unknown"
)

// Cluster is one Kubernetes cluster: it ties the object of an infrastructure provider to that of a control-plane
// provider, and shows how the whole is doing.
//
// +kubebuilder:validation:XValidation:rule="self.metadata.name.size() <= 63",message="the name of a Cluster is used as the value of a label: choose one of at most 63 characters"
// +kubebuilder:object:root=true
// +kubebuilder:resource:path=clusters,shortName=cl,scope=Namespaced,categories=cluster-api
// +kubebuilder:storageversion
// +kubebuilder:subresource:status
// +kubebuilder:metadata:labels={"cluster.x-k8s.io/v1beta2=v1beta2","cluster.x-k8s.io/provider=cluster-api","clusterctl.cluster.x-k8s.io="}
// +kubebuilder:printcolumn:name="ClusterClass",type="string",JSONPath=".spec.topology.classRef.name",description="ClusterClass of this Cluster; empty when its topology is not managed"
// +kubebuilder:printcolumn:name="Available",type="string",JSONPath=".status.conditions[?(@.type==\"Available\")].status",description="Whether the Cluster can be used"
// +kubebuilder:printcolumn:name="CP Desired",type=integer,JSONPath=".status.controlPlane.desiredReplicas",description="Control-plane machines asked for"
// +kubebuilder:printcolumn:name="CP Current",type="integer",JSONPath=".status.controlPlane.replicas",description="Control-plane machines that exist",priority=10
// +kubebuilder:printcolumn:name="CP Ready",type="integer",JSONPath=".status.controlPlane.readyReplicas",description="Control-plane machines that are ready",priority=10
// +kubebuilder:printcolumn:name="CP Available",type=integer,JSONPath=".status.controlPlane.availableReplicas",description="Control-plane machines that are available"
// +kubebuilder:printcolumn:name="CP Up-to-date",type=integer,JSONPath=".status.controlPlane.upToDateReplicas",description="Control-plane machines that match their specification"
// +kubebuilder:printcolumn:name="W Desired",type=integer,JSONPath=".status.workers.desiredReplicas",description="Worker machines asked for"
// +kubebuilder:printcolumn:name="W Current",type="integer",JSONPath=".status.workers.replicas",description="Worker machines that exist",priority=10
// +kubebuilder:printcolumn:name="W Ready",type="integer",JSONPath=".status.workers.readyReplicas",description="Worker machines that are ready",priority=10
// +kubebuilder:printcolumn:name="W Available",type=integer,JSONPath=".status.workers.availableReplicas",description="Worker machines that are available"
// +kubebuilder:printcolumn:name="W Up-to-date",type=integer,JSONPath=".status.workers.upToDateReplicas",description="Worker machines that match their specification"
// +kubebuilder:printcolumn:name="Paused",type="string",JSONPath=".status.conditions[?(@.type==\"Paused\")].status",description="Whether controllers leave the Cluster alone",priority=10
// +kubebuilder:printcolumn:name="Phase",type="string",JSONPath=".status.phase",description="How far the Cluster has come"
// +kubebuilder:printcolumn:name="Age",type="date",JSONPath=".metadata.creationTimestamp",description="Time since the Cluster was created"
// +kubebuilder:printcolumn:name="Version",type="string",JSONPath=".spec.topology.version",description="Kubernetes version of the topology, if it is managed"
type Cluster struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is the standard object metadata. The name is used as a label value, so it has at most 63 characters.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is what the cluster should be.
	// +required
	Spec ClusterSpec `json:"spec,omitempty,omitzero"`

	// status is what was last seen of the cluster.
	// +optional
	Status ClusterStatus `json:"status,omitempty,omitzero"`
}

// GetConditions returns the conditions of the object, not a copy.
func (c *Cluster) GetConditions() []metav1.Condition { return c.Status.Conditions }

// SetConditions replaces the conditions of the object.
func (c *Cluster) SetConditions(conditions []metav1.Condition) { c.Status.Conditions = conditions }

// ClusterList is a list of Clusters.
//
// +kubebuilder:object:root=true
type ClusterList struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is the standard list metadata.
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`

	// items are the Clusters.
	Items []Cluster `json:"items"`
}

// ClusterSpec is what a Cluster should be.
//
// +kubebuilder:validation:XValidation:rule="has(self.controlPlaneRef) || has(self.infrastructureRef) || has(self.topology)",message="a Cluster needs at least one of infrastructureRef, controlPlaneRef and topology, or nothing can be made of it: give infrastructureRef and controlPlaneRef"
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.controlPlaneRef) || has(self.controlPlaneRef)",message="controlPlaneRef cannot be removed once it is set: put it back, or delete the Cluster"
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.infrastructureRef) || has(self.infrastructureRef)",message="infrastructureRef cannot be removed once it is set: put it back, or delete the Cluster"
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.topology) || has(self.topology)",message="topology cannot be removed once it is set: put it back, or delete the Cluster"
// +kubebuilder:validation:MinProperties=1
type ClusterSpec struct {
	// paused true keeps every controller from acting on this Cluster and on all that belongs to it.
	// +optional
	Paused *bool `json:"paused,omitempty"`

	// clusterNetwork holds the networks inside the cluster. The bootstrap and infrastructure providers read it when they
	// make machines; it cannot do anything for machines that exist already.
	// +optional
	ClusterNetwork ClusterNetwork `json:"clusterNetwork,omitempty,omitzero"`

	// controlPlaneEndpoint is where clients reach the API server. Left empty, it is copied from the infrastructure or the
	// control-plane object once that one knows it.
	// +optional
	ControlPlaneEndpoint APIEndpoint `json:"controlPlaneEndpoint,omitempty,omitzero"`

	// controlPlaneRef names the control-plane provider's object, for example a KubeadmControlPlane. The object may be
	// created later than the Cluster.
	// +optional
	ControlPlaneRef ContractVersionedObjectReference `json:"controlPlaneRef,omitempty,omitzero"`

	// infrastructureRef names the infrastructure provider's object, for example a DockerCluster. The object may be created
	// later than the Cluster.
	// +optional
	InfrastructureRef ContractVersionedObjectReference `json:"infrastructureRef,omitempty,omitzero"`

	// topology describes the whole cluster by a ClusterClass. Accepted but not acted on by this version: give
	// controlPlaneRef and infrastructureRef, and MachineDeployments, yourself.
	// +optional
	Topology Topology `json:"topology,omitempty,omitzero"`

	// availabilityGates name further conditions of this Cluster that have a say in whether it is Available.
	// +optional
	// +listType=map
	// +listMapKey=conditionType
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	AvailabilityGates []ClusterAvailabilityGate `json:"availabilityGates,omitempty"`
}

// ClusterAvailabilityGate names one more condition of a Cluster that has a say in whether the Cluster is Available.
type ClusterAvailabilityGate struct {
	// conditionType is the type of a condition in the Cluster's status.conditions. A missing condition counts as not
	// available.
	// +required
	// +kubebuilder:validation:Pattern=`^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])$`
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=316
	ConditionType string `json:"conditionType,omitempty"`

	// polarity says whether True (Positive) or False (Negative) is the good status. Positive when absent.
	// +optional
	Polarity ConditionPolarity `json:"polarity,omitempty"`
}

// ClusterNetwork holds the networks inside a cluster.
//
// +kubebuilder:validation:MinProperties=1
type ClusterNetwork struct {
	// apiServerPort is the TCP port that API servers bind on their machines. 6443 when absent.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	APIServerPort int32 `json:"apiServerPort,omitempty"`

	// services are the networks that addresses of Services come from.
	// +optional
	Services NetworkRanges `json:"services,omitempty,omitzero"`

	// pods are the networks that addresses of pods come from.
	// +optional
	Pods NetworkRanges `json:"pods,omitempty,omitzero"`

	// serviceDomain is the DNS domain of Services. cluster.local when absent.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	ServiceDomain string `json:"serviceDomain,omitempty"`
}

// NetworkRanges are networks in CIDR notation.
type NetworkRanges struct {
	// cidrBlocks are networks such as 10.244.0.0/16 or fd00::/64: one, or one of each IP family.
	// +required
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=100
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=43
	// +kubebuilder:validation:items:XValidation:rule="isCIDR(self)",message="not a network in CIDR notation: write it like 10.244.0.0/16 or fd00:10:244::/56"
	CIDRBlocks []string `json:"cidrBlocks,omitempty"`
}

// ClusterStatus is what was last seen of a Cluster.
//
// +kubebuilder:validation:MinProperties=1
type ClusterStatus struct {
	// conditions of the Cluster: Available and what it is made of.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=32
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// initialization holds what other controllers wait for while the Cluster is first made. Its fields turn true once and
	// never back.
	// +optional
	Initialization ClusterInitializationStatus `json:"initialization,omitempty,omitzero"`

	// controlPlane counts control-plane machines.
	// +optional
	ControlPlane *ClusterControlPlaneStatus `json:"controlPlane,omitempty"`

	// workers counts worker machines.
	// +optional
	Workers *WorkersStatus `json:"workers,omitempty"`

	// failureDomains that machines can be spread over, as the infrastructure provider reports them.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=100
	FailureDomains []FailureDomain `json:"failureDomains,omitempty"`

	// phase is one word, for people, for how far the Cluster has come.
	// +optional
	// +kubebuilder:validation:Enum=Pending;Provisioning;Provisioned;Deleting;Failed;Unknown
	Phase string `json:"phase,omitempty"`

	// observedGeneration is the metadata.generation that this status was computed from.
	// +optional
	// +kubebuilder:validation:Minimum=1
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// deprecated keeps status of older API versions. Accepted but not acted on by this version.
	// +optional
	Deprecated *ClusterDeprecatedStatus `json:"deprecated,omitempty"`
}

// ClusterInitializationStatus holds what others wait for while a Cluster is first made.
//
// +kubebuilder:validation:MinProperties=1
type ClusterInitializationStatus struct {
	// infrastructureProvisioned is true once the infrastructure object has reported itself provisioned.
	// +optional
	InfrastructureProvisioned *bool `json:"infrastructureProvisioned,omitempty"`

	// controlPlaneInitialized is true once the API server has answered for the first time.
	// +optional
	ControlPlaneInitialized *bool `json:"controlPlaneInitialized,omitempty"`
}

// ClusterControlPlaneStatus counts the control-plane machines of a Cluster.
type ClusterControlPlaneStatus struct {
	// desiredReplicas is the number of machines asked for.
	// +optional
	DesiredReplicas *int32 `json:"desiredReplicas,omitempty"`

	// replicas is the number of machines that exist.
	// +optional
	Replicas *int32 `json:"replicas,omitempty"`

	// upToDateReplicas is the number of machines that match their specification.
	// +optional
	UpToDateReplicas *int32 `json:"upToDateReplicas,omitempty"`

	// readyReplicas is the number of machines that are Ready.
	// +optional
	ReadyReplicas *int32 `json:"readyReplicas,omitempty"`

	// availableReplicas is the number of machines that are Available.
	// +optional
	AvailableReplicas *int32 `json:"availableReplicas,omitempty"`

	// versions counts machines by Kubernetes version, the lowest version first.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	Versions []StatusVersion `json:"versions,omitempty"`

	// upgradePlan lists the versions that an upgrade of a managed topology has still to reach, the next one first.
	// Accepted but not acted on by this version.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	UpgradePlan []StatusUpgradePlanVersion `json:"upgradePlan,omitempty"`
}

// WorkersStatus counts the worker machines of a Cluster.
type WorkersStatus struct {
	// desiredReplicas is the number of machines asked for.
	// +optional
	DesiredReplicas *int32 `json:"desiredReplicas,omitempty"`

	// replicas is the number of machines that exist.
	// +optional
	Replicas *int32 `json:"replicas,omitempty"`

	// upToDateReplicas is the number of machines that match their specification.
	// +optional
	UpToDateReplicas *int32 `json:"upToDateReplicas,omitempty"`

	// readyReplicas is the number of machines that are Ready.
	// +optional
	ReadyReplicas *int32 `json:"readyReplicas,omitempty"`

	// availableReplicas is the number of machines that are Available.
	// +optional
	AvailableReplicas *int32 `json:"availableReplicas,omitempty"`

	// versions counts machines by Kubernetes version, the lowest version first.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	Versions []StatusVersion `json:"versions,omitempty"`

	// upgradePlan lists the versions that an upgrade of a managed topology has still to reach, the next one first.
	// Accepted but not acted on by this version.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	UpgradePlan []StatusUpgradePlanVersion `json:"upgradePlan,omitempty"`
}

// ClusterDeprecatedStatus keeps status of older API versions.
type ClusterDeprecatedStatus struct {
	// v1beta1 keeps status of API version v1beta1.
	// +optional
	V1Beta1 *ClusterV1Beta1DeprecatedStatus `json:"v1beta1,omitempty"`
}

// ClusterV1Beta1DeprecatedStatus keeps status of API version v1beta1.
type ClusterV1Beta1DeprecatedStatus struct {
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
