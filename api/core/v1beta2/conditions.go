// SPDX-License-Identifier: Apache-2.0

package v1beta2

// A condition type or reason has one constant here, whatever kinds use it: its value with Condition or Reason behind it.
// Types and reasons that only one of the sibling groups uses stand in that group's package.

// Types of conditions that several kinds have. True is the good status unless the comment says otherwise.
const (
	// AvailableCondition: the object does its work.
	AvailableCondition = "Available"

	// ReadyCondition: the object, and what it stands for, is in order now.
	ReadyCondition = "Ready"

	// UpToDateCondition: the Machine matches what its owner wants. The owner sets it.
	UpToDateCondition = "UpToDate"

	// BootstrapConfigReadyCondition mirrors the bootstrap object's Ready.
	BootstrapConfigReadyCondition = "BootstrapConfigReady"

	// InfrastructureReadyCondition mirrors the infrastructure object's Ready.
	InfrastructureReadyCondition = "InfrastructureReady"

	// MachinesReadyCondition sums up Ready of all Machines.
	MachinesReadyCondition = "MachinesReady"

	// MachinesUpToDateCondition sums up UpToDate of all Machines.
	MachinesUpToDateCondition = "MachinesUpToDate"

	// RollingOutCondition: True while Machines are replaced. False is good.
	RollingOutCondition = "RollingOut"

	// ScalingUpCondition: True while Machines are missing. False is good.
	ScalingUpCondition = "ScalingUp"

	// ScalingDownCondition: True while there are too many Machines. False is good.
	ScalingDownCondition = "ScalingDown"

	// RemediatingCondition: True while unhealthy Machines are replaced. False is good.
	RemediatingCondition = "Remediating"

	// DeletingCondition: True while the object is deleted. False is good.
	DeletingCondition = "Deleting"

	// PausedCondition: True while controllers leave the object alone. Neither status is bad.
	PausedCondition = "Paused"
)

// Types of conditions of a Cluster.
const (
	// TopologyReconciledCondition: the objects of a managed topology are as the ClusterClass wants them.
	TopologyReconciledCondition = "TopologyReconciled"

	// ControlPlaneInitializedCondition: the API server has answered once. It stays True from then on.
	ControlPlaneInitializedCondition = "ControlPlaneInitialized"

	// ControlPlaneAvailableCondition mirrors the control-plane object's Available.
	ControlPlaneAvailableCondition = "ControlPlaneAvailable"

	// WorkersAvailableCondition sums up Available of all groups of workers.
	WorkersAvailableCondition = "WorkersAvailable"

	// ControlPlaneMachinesReadyCondition sums up Ready of the control-plane Machines.
	ControlPlaneMachinesReadyCondition = "ControlPlaneMachinesReady"

	// WorkerMachinesReadyCondition sums up Ready of the worker Machines.
	WorkerMachinesReadyCondition = "WorkerMachinesReady"

	// ControlPlaneMachinesUpToDateCondition sums up UpToDate of the control-plane Machines.
	ControlPlaneMachinesUpToDateCondition = "ControlPlaneMachinesUpToDate"

	// WorkerMachinesUpToDateCondition sums up UpToDate of the worker Machines.
	WorkerMachinesUpToDateCondition = "WorkerMachinesUpToDate"

	// RemoteConnectionProbeCondition: the API server of the workload cluster answers the manager.
	RemoteConnectionProbeCondition = "RemoteConnectionProbe"
)

// Types of conditions of a Machine.
const (
	// UpdatingCondition: True while the Machine is changed in place. False is good.
	UpdatingCondition = "Updating"

	// NodeReadyCondition follows the node's own Ready.
	NodeReadyCondition = "NodeReady"

	// NodeHealthyCondition: the node is Ready and under no pressure.
	NodeHealthyCondition = "NodeHealthy"

	// HealthCheckSucceededCondition: a health check found the Machine healthy. Only there if a health check covers it.
	HealthCheckSucceededCondition = "HealthCheckSucceeded"

	// OwnerRemediatedCondition: False asks the Machine's owner to replace it, and tells how far that is.
	OwnerRemediatedCondition = "OwnerRemediated"

	// ExternallyRemediatedCondition: False says that another object was asked to remedy the Machine.
	ExternallyRemediatedCondition = "ExternallyRemediated"
)

// Reasons that several conditions share.
const (
	AvailableReason        = "Available"
	NotAvailableReason     = "NotAvailable"
	AvailableUnknownReason = "AvailableUnknown"

	ReadyReason        = "Ready"
	NotReadyReason     = "NotReady"
	ReadyUnknownReason = "ReadyUnknown"

	UpToDateReason        = "UpToDate"
	NotUpToDateReason     = "NotUpToDate"
	UpToDateUnknownReason = "UpToDateUnknown"

	RollingOutReason        = "RollingOut"
	NotRollingOutReason     = "NotRollingOut"
	RollingOutUnknownReason = "RollingOutUnknown"

	ScalingUpReason        = "ScalingUp"
	NotScalingUpReason     = "NotScalingUp"
	ScalingUpUnknownReason = "ScalingUpUnknown"

	ScalingDownReason        = "ScalingDown"
	NotScalingDownReason     = "NotScalingDown"
	ScalingDownUnknownReason = "ScalingDownUnknown"

	RemediatingReason    = "Remediating"
	NotRemediatingReason = "NotRemediating"

	DeletingReason          = "Deleting"
	NotDeletingReason       = "NotDeleting"
	DeletionCompletedReason = "DeletionCompleted"

	PausedReason    = "Paused"
	NotPausedReason = "NotPaused"

	InitializedReason    = "Initialized"
	NotInitializedReason = "NotInitialized"

	ProvisionedReason    = "Provisioned"
	NotProvisionedReason = "NotProvisioned"

	// NoReplicasReason: there are no Machines to sum up.
	NoReplicasReason = "NoReplicas"

	// NoWorkersReason: the Cluster has no workers to sum up.
	NoWorkersReason = "NoWorkers"

	// WaitingForReplicasSetReason: spec.replicas is not set.
	WaitingForReplicasSetReason = "WaitingForReplicasSet"

	// WaitingForAvailableReplicasSetReason: status.availableReplicas is not set.
	WaitingForAvailableReplicasSetReason = "WaitingForAvailableReplicasSet"

	// InvalidConditionReportedReason: another object's condition, which should be mirrored, is malformed.
	InvalidConditionReportedReason = "InvalidConditionReported"

	// InternalErrorReason: something went wrong that should not; the manager's log has more.
	InternalErrorReason = "InternalError"

	// ObjectDoesNotExistReason: an object that is referred to was not found, and was not seen before.
	ObjectDoesNotExistReason = "ObjectDoesNotExist"

	// ObjectDeletedReason: an object that is referred to was there and is gone.
	ObjectDeletedReason = "ObjectDeleted"

	// ConnectionDownReason: the workload cluster cannot be reached.
	ConnectionDownReason = "ConnectionDown"

	// InspectionFailedReason: the workload cluster was reached but did not tell.
	InspectionFailedReason = "InspectionFailed"

	WaitingForClusterInfrastructureReadyReason = "WaitingForClusterInfrastructureReady"
	WaitingForControlPlaneInitializedReason    = "WaitingForControlPlaneInitialized"
	WaitingForBootstrapDataReason              = "WaitingForBootstrapData"
)

// Reasons of a Cluster's conditions, in the order of the deletion, and of RemoteConnectionProbe.
const (
	WaitingForBeforeDeleteHookReason       = "WaitingForBeforeDeleteHook"
	WaitingForWorkersDeletionReason        = "WaitingForWorkersDeletion"
	WaitingForControlPlaneDeletionReason   = "WaitingForControlPlaneDeletion"
	WaitingForInfrastructureDeletionReason = "WaitingForInfrastructureDeletion"

	ProbeSucceededReason = "ProbeSucceeded"
	ProbeFailedReason    = "ProbeFailed"
)

// Reasons of a Cluster's TopologyReconciled.
const (
	ReconcileSucceededReason                = "ReconcileSucceeded"
	ReconcileFailedReason                   = "ReconcileFailed"
	ClusterCreatingReason                   = "ClusterCreating"
	ClusterUpgradingReason                  = "ClusterUpgrading"
	ClusterClassNotReconciledReason         = "ClusterClassNotReconciled"
	ControlPlaneUpgradePendingReason        = "ControlPlaneUpgradePending"
	MachineDeploymentsCreatePendingReason   = "MachineDeploymentsCreatePending"
	MachineDeploymentsUpgradePendingReason  = "MachineDeploymentsUpgradePending"
	MachineDeploymentsUpgradeDeferredReason = "MachineDeploymentsUpgradeDeferred"
	MachinePoolsCreatePendingReason         = "MachinePoolsCreatePending"
	MachinePoolsUpgradePendingReason        = "MachinePoolsUpgradePending"
	MachinePoolsUpgradeDeferredReason       = "MachinePoolsUpgradeDeferred"
	LifecycleHookBlockingReason             = "LifecycleHookBlocking"
)

// Reasons of a Machine's conditions.
const (
	// WaitingForMinReadySecondsReason: Ready, but not yet for minReadySeconds.
	WaitingForMinReadySecondsReason = "WaitingForMinReadySeconds"

	// DataSecretProvidedReason: bootstrap data was given as a Secret, so there is no bootstrap object to mirror.
	DataSecretProvidedReason = "DataSecretProvided"

	UpdatingReason            = "Updating"
	NotUpdatingReason         = "NotUpdating"
	InPlaceUpdatingReason     = "InPlaceUpdating"
	InPlaceUpdateFailedReason = "InPlaceUpdateFailed"

	NodeReadyReason        = "NodeReady"
	NodeNotReadyReason     = "NodeNotReady"
	NodeReadyUnknownReason = "NodeReadyUnknown"

	NodeHealthyReason        = "NodeHealthy"
	NodeNotHealthyReason     = "NodeNotHealthy"
	NodeHealthyUnknownReason = "NodeHealthyUnknown"

	// NodeDoesNotExistReason: there is no node yet.
	NodeDoesNotExistReason = "NodeDoesNotExist"

	// NodeDeletedReason: there was a node and it is gone.
	NodeDeletedReason = "NodeDeleted"

	HealthCheckSucceededReason             = "HealthCheckSucceeded"
	UnhealthyNodeReason                    = "UnhealthyNode"
	UnhealthyMachineReason                 = "UnhealthyMachine"
	NodeStartupTimeoutReason               = "NodeStartupTimeout"
	HasRemediateAnnotationReason           = "HasRemediateAnnotation"
	WaitingForRemediationReason            = "WaitingForRemediation"
	RemediationTemplateNotFoundReason      = "RemediationTemplateNotFound"
	RemediationRequestCreationFailedReason = "RemediationRequestCreationFailed"

	// CannotBeRemediatedReason, RemediationDeferredReason and MachineDeletingReason are the owner's answers to a request to
	// remedy a Machine.
	CannotBeRemediatedReason  = "CannotBeRemediated"
	RemediationDeferredReason = "RemediationDeferred"
	MachineDeletingReason     = "MachineDeleting"

	// The steps of a deletion, in their order. WaitingForInfrastructureDeletionReason comes after the pre-terminate hooks.
	WaitingForPreDrainHookReason      = "WaitingForPreDrainHook"
	DrainingNodeReason                = "DrainingNode"
	WaitingForVolumeDetachReason      = "WaitingForVolumeDetach"
	WaitingForPreTerminateHookReason  = "WaitingForPreTerminateHook"
	WaitingForBootstrapDeletionReason = "WaitingForBootstrapDeletion"
	DeletingNodeReason                = "DeletingNode"
)
