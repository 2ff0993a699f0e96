// SPDX-License-Identifier: Apache-2.0

package v1beta2

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// The types in this file are the shape of a Cluster's spec.topology. They are accepted and kept, but no controller of
// this version acts on them.

// Topology describes a whole cluster by a ClusterClass and what is particular to this cluster.
type Topology struct {
	// classRef names the ClusterClass.
	// +required
	ClassRef ClusterClassRef `json:"classRef,omitempty,omitzero"`

	// version of Kubernetes for the whole cluster, such as v1.37.1.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	// +kubebuilder:validation:XValidation:rule="self.startsWith('v') && isSemver(self.substring(1))",message="not a version of Kubernetes: write all three numbers with a v before them, such as v1.37.1"
	Version string `json:"version,omitempty"`

	// controlPlane is what is particular to the control plane.
	// +optional
	ControlPlane ControlPlaneTopology `json:"controlPlane,omitempty,omitzero"`

	// workers lists the groups of worker machines.
	// +optional
	Workers WorkersTopology `json:"workers,omitempty,omitzero"`

	// variables are values for the variables that the ClusterClass declares.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=1000
	Variables []ClusterVariable `json:"variables,omitempty"`
}

// IsDefined tells whether the topology names a ClusterClass.
func (t *Topology) IsDefined() bool { return t != nil && t.ClassRef != ClusterClassRef{} }

// ClusterClassRef names a ClusterClass.
type ClusterClassRef struct {
	// name of the ClusterClass.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`
	Name string `json:"name,omitempty"`

	// namespace of the ClusterClass. The Cluster's own when absent.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Namespace string `json:"namespace,omitempty"`
}

// ControlPlaneTopology is what is particular to the control plane of a cluster.
//
// +kubebuilder:validation:MinProperties=1
type ControlPlaneTopology struct {
	// metadata that the control plane and its machines get.
	// +optional
	Metadata ObjectMeta `json:"metadata,omitempty,omitzero"`

	// replicas is the number of control-plane machines.
	// +optional
	Replicas *int32 `json:"replicas,omitempty"`

	// rollout says when machines are replaced though nothing changed.
	// +optional
	Rollout ControlPlaneTopologyRolloutSpec `json:"rollout,omitempty,omitzero"`

	// healthCheck takes the place of the ClusterClass's health check for the control plane.
	// +optional
	HealthCheck ControlPlaneTopologyHealthCheck `json:"healthCheck,omitempty,omitzero"`

	// deletion bounds the steps that are gone through when a machine is deleted.
	// +optional
	Deletion TopologyMachineDeletionSpec `json:"deletion,omitempty,omitzero"`

	// taints that the nodes are to have.
	// +optional
	// +listType=map
	// +listMapKey=key
	// +listMapKey=effect
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	Taints []MachineTaint `json:"taints,omitempty"`

	// readinessGates name further conditions that have a say in whether a machine is Ready.
	// +optional
	// +listType=map
	// +listMapKey=conditionType
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	ReadinessGates []MachineReadinessGate `json:"readinessGates,omitempty"`

	// variables hold values that count for the control plane only.
	// +optional
	Variables ControlPlaneVariables `json:"variables,omitempty,omitzero"`
}

// ControlPlaneTopologyRolloutSpec says when control-plane machines are replaced.
//
// +kubebuilder:validation:MinProperties=1
type ControlPlaneTopologyRolloutSpec struct {
	// after is a point in time: once it has passed, older machines are replaced though nothing changed.
	// +optional
	After metav1.Time `json:"after,omitempty,omitzero"`
}

// ControlPlaneTopologyHealthCheck is a health check for control-plane machines.
//
// +kubebuilder:validation:MinProperties=1
type ControlPlaneTopologyHealthCheck struct {
	// enabled turns the health check on or off, whatever the ClusterClass says.
	// +optional
	Enabled *bool `json:"enabled,omitempty"`

	// checks say when a machine is unhealthy.
	// +optional
	Checks ControlPlaneTopologyHealthCheckChecks `json:"checks,omitempty,omitzero"`

	// remediation says what to do about unhealthy machines.
	// +optional
	Remediation ControlPlaneTopologyHealthCheckRemediation `json:"remediation,omitempty,omitzero"`
}

// ControlPlaneTopologyHealthCheckChecks say when a control-plane machine is unhealthy.
//
// +kubebuilder:validation:MinProperties=1
type ControlPlaneTopologyHealthCheckChecks struct {
	// nodeStartupTimeoutSeconds is for how long a machine may be without a node. 0 turns the check off.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:XValidation:rule="self == 0 || self >= 30",message="a machine cannot have a node within less than 30 seconds: set nodeStartupTimeoutSeconds to 30 or more, or to 0 for no check"
	NodeStartupTimeoutSeconds *int32 `json:"nodeStartupTimeoutSeconds,omitempty"`

	// unhealthyNodeConditions are conditions of the node that make the machine unhealthy. Any one suffices.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=100
	UnhealthyNodeConditions []UnhealthyNodeCondition `json:"unhealthyNodeConditions,omitempty"`

	// unhealthyMachineConditions are conditions of the Machine that make it unhealthy. Any one suffices.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=100
	UnhealthyMachineConditions []UnhealthyMachineCondition `json:"unhealthyMachineConditions,omitempty"`
}

// ControlPlaneTopologyHealthCheckRemediation says what to do about unhealthy control-plane machines.
//
// +kubebuilder:validation:MinProperties=1
type ControlPlaneTopologyHealthCheckRemediation struct {
	// triggerIf bounds when anything is done at all.
	// +optional
	TriggerIf HealthCheckRemediationTriggerIf `json:"triggerIf,omitempty,omitzero"`

	// templateRef names a template to make an object from that does the remediation. Absent: the machine's owner does it.
	// +optional
	TemplateRef MachineHealthCheckRemediationTemplateReference `json:"templateRef,omitempty,omitzero"`
}

// HealthCheckRemediationTriggerIf bounds when unhealthy machines are remedied at all: too many at a time points to a
// cause outside the machines.
//
// +kubebuilder:validation:MinProperties=1
type HealthCheckRemediationTriggerIf struct {
	// unhealthyLessThanOrEqualTo is the most machines, a number or a percentage, that may be unhealthy.
	// +optional
	UnhealthyLessThanOrEqualTo *intstr.IntOrString `json:"unhealthyLessThanOrEqualTo,omitempty"`

	// unhealthyInRange is a range, such as [3-5], that the number of unhealthy machines has to lie in.
	// +optional
	// +kubebuilder:validation:Pattern=^\[[0-9]+-[0-9]+\]$
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=32
	UnhealthyInRange string `json:"unhealthyInRange,omitempty"`
}

// MachineHealthCheckRemediationTemplateReference names a template, with its version, in the same namespace.
type MachineHealthCheckRemediationTemplateReference struct {
	// kind of the template.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-zA-Z]([-a-zA-Z0-9]*[a-zA-Z0-9])?$`
	Kind string `json:"kind,omitempty"`

	// name of the template.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`
	Name string `json:"name,omitempty"`

	// apiVersion of the template: group/version.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=317
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\/[a-z]([-a-z0-9]*[a-z0-9])?$`
	APIVersion string `json:"apiVersion,omitempty"`
}

// UnhealthyNodeCondition is a condition of a node that, once it has lasted long enough, makes the machine unhealthy.
type UnhealthyNodeCondition struct {
	// type of the node's condition.
	// +required
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=316
	Type corev1.NodeConditionType `json:"type,omitempty"`

	// status of the condition that is unhealthy.
	// +required
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=316
	Status corev1.ConditionStatus `json:"status,omitempty"`

	// timeoutSeconds is for how long the condition has to last.
	// +required
	// +kubebuilder:validation:Minimum=0
	TimeoutSeconds *int32 `json:"timeoutSeconds,omitempty"`
}

// UnhealthyMachineCondition is a condition of a Machine that, once it has lasted long enough, makes it unhealthy.
type UnhealthyMachineCondition struct {
	// type of the Machine's condition. Conditions that follow from health checks themselves cannot be used.
	// +required
	// +kubebuilder:validation:Pattern=`^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])$`
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=316
	// +kubebuilder:validation:XValidation:rule="!(self in ['Ready','Available','HealthCheckSucceeded','OwnerRemediated','ExternallyRemediated'])",message="conditions that follow from health checks (Ready, Available, HealthCheckSucceeded, OwnerRemediated, ExternallyRemediated) cannot be checked: name another condition"
	Type string `json:"type,omitempty"`

	// status of the condition that is unhealthy.
	// +required
	// +kubebuilder:validation:Enum=True;False;Unknown
	Status metav1.ConditionStatus `json:"status,omitempty"`

	// timeoutSeconds is for how long the condition has to last.
	// +required
	// +kubebuilder:validation:Minimum=0
	TimeoutSeconds *int32 `json:"timeoutSeconds,omitempty"`
}

// TopologyMachineDeletionSpec bounds the steps of deleting a machine of a managed topology.
//
// +kubebuilder:validation:MinProperties=1
type TopologyMachineDeletionSpec struct {
	// nodeDrainTimeoutSeconds is for how long to try to drain the node. 0: for as long as it takes.
	// +optional
	// +kubebuilder:validation:Minimum=0
	NodeDrainTimeoutSeconds *int32 `json:"nodeDrainTimeoutSeconds,omitempty"`

	// nodeVolumeDetachTimeoutSeconds is for how long to wait for volumes to be detached. 0: for as long as it takes.
	// +optional
	// +kubebuilder:validation:Minimum=0
	NodeVolumeDetachTimeoutSeconds *int32 `json:"nodeVolumeDetachTimeoutSeconds,omitempty"`

	// nodeDeletionTimeoutSeconds is for how long to try to delete the Node object. 0: for as long as it takes.
	// +optional
	// +kubebuilder:validation:Minimum=0
	NodeDeletionTimeoutSeconds *int32 `json:"nodeDeletionTimeoutSeconds,omitempty"`
}

// WorkersTopology lists the groups of worker machines of a cluster.
//
// +kubebuilder:validation:MinProperties=1
type WorkersTopology struct {
	// machineDeployments of the cluster.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=2000
	MachineDeployments []MachineDeploymentTopology `json:"machineDeployments,omitempty"`

	// machinePools of the cluster.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=2000
	MachinePools []MachinePoolTopology `json:"machinePools,omitempty"`
}

// MachineDeploymentTopology is one MachineDeployment of a managed topology.
//
// +kubebuilder:validation:XValidation:rule="!has(self.replicas) || !has(self.metadata) || !has(self.metadata.annotations) || !('cluster.x-k8s.io/cluster-api-autoscaler-node-group-min-size' in self.metadata.annotations || 'cluster.x-k8s.io/cluster-api-autoscaler-node-group-max-size' in self.metadata.annotations)",message="replicas is the autoscaler's to choose where metadata.annotations hold its bounds: take replicas out, or the annotations"
type MachineDeploymentTopology struct {
	// metadata that the MachineDeployment and its machines get.
	// +optional
	Metadata ObjectMeta `json:"metadata,omitempty,omitzero"`

	// class is the name of a worker class in the ClusterClass.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	Class string `json:"class,omitempty"`

	// name of this group in the topology; the object's name is made from it.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`
	Name string `json:"name,omitempty"`

	// failureDomain to place the machines in.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	FailureDomain string `json:"failureDomain,omitempty"`

	// replicas is the number of machines. Absent: something else, such as an autoscaler, owns the number.
	// +optional
	Replicas *int32 `json:"replicas,omitempty"`

	// healthCheck takes the place of the ClusterClass's health check for this group.
	// +optional
	HealthCheck MachineDeploymentTopologyHealthCheck `json:"healthCheck,omitempty,omitzero"`

	// deletion says which machines go first, and bounds the steps of deleting one.
	// +optional
	Deletion MachineDeploymentTopologyMachineDeletionSpec `json:"deletion,omitempty,omitzero"`

	// taints that the nodes are to have.
	// +optional
	// +listType=map
	// +listMapKey=key
	// +listMapKey=effect
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	Taints []MachineTaint `json:"taints,omitempty"`

	// minReadySeconds is for how long a machine has to be Ready until it is Available.
	// +optional
	// +kubebuilder:validation:Minimum=0
	MinReadySeconds *int32 `json:"minReadySeconds,omitempty"`

	// readinessGates name further conditions that have a say in whether a machine is Ready.
	// +optional
	// +listType=map
	// +listMapKey=conditionType
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	ReadinessGates []MachineReadinessGate `json:"readinessGates,omitempty"`

	// rollout says when and how machines are replaced.
	// +optional
	Rollout MachineDeploymentTopologyRolloutSpec `json:"rollout,omitempty,omitzero"`

	// variables hold values that count for this group only.
	// +optional
	Variables MachineDeploymentVariables `json:"variables,omitempty,omitzero"`
}

// MachineDeploymentTopologyHealthCheck is a health check for the machines of a group.
//
// +kubebuilder:validation:MinProperties=1
type MachineDeploymentTopologyHealthCheck struct {
	// enabled turns the health check on or off, whatever the ClusterClass says.
	// +optional
	Enabled *bool `json:"enabled,omitempty"`

	// checks say when a machine is unhealthy.
	// +optional
	Checks ControlPlaneTopologyHealthCheckChecks `json:"checks,omitempty,omitzero"`

	// remediation says what to do about unhealthy machines.
	// +optional
	Remediation MachineDeploymentTopologyHealthCheckRemediation `json:"remediation,omitempty,omitzero"`
}

// MachineDeploymentTopologyHealthCheckRemediation says what to do about unhealthy machines of a group.
//
// +kubebuilder:validation:MinProperties=1
type MachineDeploymentTopologyHealthCheckRemediation struct {
	// maxInFlight is how many machines, a number or a percentage, may be under replacement at a time.
	// +optional
	MaxInFlight *intstr.IntOrString `json:"maxInFlight,omitempty"`

	// triggerIf bounds when anything is done at all.
	// +optional
	TriggerIf HealthCheckRemediationTriggerIf `json:"triggerIf,omitempty,omitzero"`

	// templateRef names a template to make an object from that does the remediation. Absent: the machine's owner does it.
	// +optional
	TemplateRef MachineHealthCheckRemediationTemplateReference `json:"templateRef,omitempty,omitzero"`
}

// MachineDeploymentTopologyMachineDeletionSpec says which machines of a group go first, and bounds the steps of deleting
// one.
//
// +kubebuilder:validation:MinProperties=1
type MachineDeploymentTopologyMachineDeletionSpec struct {
	// order among machines that are equally fit to go.
	// +optional
	Order MachineSetDeletionOrder `json:"order,omitempty"`

	// nodeDrainTimeoutSeconds is for how long to try to drain the node. 0: for as long as it takes.
	// +optional
	// +kubebuilder:validation:Minimum=0
	NodeDrainTimeoutSeconds *int32 `json:"nodeDrainTimeoutSeconds,omitempty"`

	// nodeVolumeDetachTimeoutSeconds is for how long to wait for volumes to be detached. 0: for as long as it takes.
	// +optional
	// +kubebuilder:validation:Minimum=0
	NodeVolumeDetachTimeoutSeconds *int32 `json:"nodeVolumeDetachTimeoutSeconds,omitempty"`

	// nodeDeletionTimeoutSeconds is for how long to try to delete the Node object. 0: for as long as it takes.
	// +optional
	// +kubebuilder:validation:Minimum=0
	NodeDeletionTimeoutSeconds *int32 `json:"nodeDeletionTimeoutSeconds,omitempty"`
}

// MachineDeploymentTopologyRolloutSpec says when and how machines of a group are replaced.
//
// +kubebuilder:validation:MinProperties=1
type MachineDeploymentTopologyRolloutSpec struct {
	// after is a point in time: once it has passed, older machines are replaced though nothing changed.
	// +optional
	After metav1.Time `json:"after,omitempty,omitzero"`

	// strategy is how old machines are replaced.
	// +optional
	Strategy MachineDeploymentTopologyRolloutStrategy `json:"strategy,omitempty,omitzero"`
}

// MachineDeploymentTopologyRolloutStrategy is how old machines of a group are replaced.
//
// +kubebuilder:validation:MinProperties=1
type MachineDeploymentTopologyRolloutStrategy struct {
	// type of the strategy.
	// +required
	Type MachineDeploymentRolloutStrategyType `json:"type,omitempty"`

	// rollingUpdate bounds the steps of RollingUpdate.
	// +optional
	RollingUpdate MachineDeploymentTopologyRolloutStrategyRollingUpdate `json:"rollingUpdate,omitempty,omitzero"`
}

// MachineDeploymentTopologyRolloutStrategyRollingUpdate bounds the steps of a rolling update.
//
// +kubebuilder:validation:XValidation:rule="!has(self.maxSurge) || !has(self.maxUnavailable) || !((self.maxSurge == 0 || self.maxSurge == '0%') && (self.maxUnavailable == 0 || self.maxUnavailable == '0%'))",message="with maxSurge and maxUnavailable both 0 no Machine could ever be replaced: raise one of them"
// +kubebuilder:validation:MinProperties=1
type MachineDeploymentTopologyRolloutStrategyRollingUpdate struct {
	// maxUnavailable is how many machines, a number or a percentage, may be missing at a time.
	// +optional
	MaxUnavailable *intstr.IntOrString `json:"maxUnavailable,omitempty"`

	// maxSurge is how many machines, a number or a percentage, there may be above replicas.
	// +optional
	MaxSurge *intstr.IntOrString `json:"maxSurge,omitempty"`
}

// MachinePoolTopology is one MachinePool of a managed topology.
type MachinePoolTopology struct {
	// metadata that the MachinePool gets.
	// +optional
	Metadata ObjectMeta `json:"metadata,omitempty,omitzero"`

	// class is the name of a pool class in the ClusterClass.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	Class string `json:"class,omitempty"`

	// name of this pool in the topology; the object's name is made from it.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`
	Name string `json:"name,omitempty"`

	// failureDomains to place the machines in.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=100
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=256
	FailureDomains []string `json:"failureDomains,omitempty"`

	// deletion bounds the steps that are gone through when a machine is deleted.
	// +optional
	Deletion TopologyMachineDeletionSpec `json:"deletion,omitempty,omitzero"`

	// taints that the nodes are to have.
	// +optional
	// +listType=map
	// +listMapKey=key
	// +listMapKey=effect
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	Taints []MachineTaint `json:"taints,omitempty"`

	// minReadySeconds is for how long a machine has to be Ready until it is Available.
	// +optional
	// +kubebuilder:validation:Minimum=0
	MinReadySeconds *int32 `json:"minReadySeconds,omitempty"`

	// replicas is the number of machines. Absent: something else, such as an autoscaler, owns the number.
	// +optional
	Replicas *int32 `json:"replicas,omitempty"`

	// variables hold values that count for this pool only.
	// +optional
	Variables MachinePoolVariables `json:"variables,omitempty,omitzero"`
}

// ClusterVariable is a value for a variable that the ClusterClass declares.
type ClusterVariable struct {
	// name of the variable.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	Name string `json:"name,omitempty"`

	// value is any JSON; the ClusterClass says what it has to look like.
	// +required
	// +kubebuilder:pruning:PreserveUnknownFields
	// +kubebuilder:validation:Schemaless
	Value JSON `json:"value,omitempty,omitzero"`
}

// ControlPlaneVariables hold values that count for the control plane only.
//
// +kubebuilder:validation:MinProperties=1
type ControlPlaneVariables struct {
	// overrides take the place of the topology's variables of the same name.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=1000
	Overrides []ClusterVariable `json:"overrides,omitempty"`
}

// MachineDeploymentVariables hold values that count for one MachineDeployment only.
//
// +kubebuilder:validation:MinProperties=1
type MachineDeploymentVariables struct {
	// overrides take the place of the topology's variables of the same name.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=1000
	Overrides []ClusterVariable `json:"overrides,omitempty"`
}

// MachinePoolVariables hold values that count for one MachinePool only.
//
// +kubebuilder:validation:MinProperties=1
type MachinePoolVariables struct {
	// overrides take the place of the topology's variables of the same name.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=1000
	Overrides []ClusterVariable `json:"overrides,omitempty"`
}
