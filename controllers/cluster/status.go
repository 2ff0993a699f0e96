// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"fmt"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	"github.com/slipway-project/slipway/conditions"
	"github.com/slipway-project/slipway/machines"
	"github.com/slipway-project/slipway/plan"
)

// connectionGrace is how long the workload cluster may be out of reach before the
// Cluster says so.
const connectionGrace = 50 * time.Second

// status is what a Cluster shows.
func status(s Snapshot, outcome plan.Outcome) clusterv1.ClusterStatus {
	shown := clusterv1.ClusterStatus{
		FailureDomains:     failureDomains(s),
		ControlPlane:       controlPlaneCounters(s),
		Workers:            workerCounters(s),
		ObservedGeneration: s.Cluster.Generation,
		Phase:              string(phase(s)),
	}
	yes := true
	if infrastructureProvisioned(s) {
		shown.Initialization.InfrastructureProvisioned = &yes
	}
	if controlPlaneInitialized(s) {
		shown.Initialization.ControlPlaneInitialized = &yes
	}
	parts := []metav1.Condition{
		infrastructureReady(s), controlPlaneInitializedCondition(s), controlPlaneAvailable(s), workersAvailable(s),
		machinesCondition(s, clusterv1.ControlPlaneMachinesReadyCondition, clusterv1.ReadyCondition, true),
		machinesCondition(s, clusterv1.WorkerMachinesReadyCondition, clusterv1.ReadyCondition, false),
		machinesCondition(s, clusterv1.ControlPlaneMachinesUpToDateCondition, clusterv1.UpToDateCondition, true),
		machinesCondition(s, clusterv1.WorkerMachinesUpToDateCondition, clusterv1.UpToDateCondition, false),
		remoteConnectionProbe(s),
		activity(s, clusterv1.RollingOutCondition, clusterv1.RollingOutReason, clusterv1.NotRollingOutReason),
		activity(s, clusterv1.ScalingUpCondition, clusterv1.ScalingUpReason, clusterv1.NotScalingUpReason),
		activity(s, clusterv1.ScalingDownCondition, clusterv1.ScalingDownReason, clusterv1.NotScalingDownReason),
		activity(s, clusterv1.RemediatingCondition, clusterv1.RemediatingReason, clusterv1.NotRemediatingReason),
		deleting(s, outcome),
		machines.PausedCondition(machines.Paused(s.Cluster, s.Cluster)),
	}
	if s.Cluster.Spec.Topology.IsDefined() {
		parts = append(parts, conditions.False(clusterv1.TopologyReconciledCondition, "ReconcileFailed", "This version of Slipway does not act on spec.topology"))
	}
	parts = append([]metav1.Condition{available(s, parts)}, parts...)
	shown.Conditions = conditions.Next(s.Cluster.Status.Conditions, s.Cluster.Generation, s.Now, parts...)
	return shown
}

func infrastructureProvisioned(s Snapshot) bool {
	return isTrue(s.Cluster.Status.Initialization.InfrastructureProvisioned) ||
		(s.Infrastructure.Object != nil && s.Infrastructure.Object.Provisioned())
}

// controlPlaneInitialized never goes back to false. Without a control-plane object
// the first control-plane Machine with a Node tells.
func controlPlaneInitialized(s Snapshot) bool {
	if isTrue(s.Cluster.Status.Initialization.ControlPlaneInitialized) {
		return true
	}
	if s.Cluster.Spec.ControlPlaneRef.IsDefined() {
		return s.ControlPlane.Object != nil && s.ControlPlane.Object.ControlPlaneInitialized()
	}
	return slices.ContainsFunc(s.Machines, func(m *clusterv1.Machine) bool {
		return machines.IsControlPlane(m) && m.Status.NodeRef.IsDefined()
	})
}

func phase(s Snapshot) clusterv1.ClusterPhase {
	switch {
	case s.Cluster.DeletionTimestamp != nil:
		return clusterv1.ClusterPhaseDeleting
	case infrastructureProvisioned(s) && s.Cluster.Spec.ControlPlaneEndpoint.IsValid():
		return clusterv1.ClusterPhaseProvisioned
	case s.Cluster.Spec.InfrastructureRef.IsDefined() || s.Cluster.Spec.ControlPlaneRef.IsDefined():
		return clusterv1.ClusterPhaseProvisioning
	default:
		return clusterv1.ClusterPhasePending
	}
}

func failureDomains(s Snapshot) []clusterv1.FailureDomain {
	if s.Infrastructure.Object == nil || !s.Infrastructure.Object.Provisioned() {
		return s.Cluster.Status.FailureDomains
	}
	var domains []clusterv1.FailureDomain
	for _, domain := range s.Infrastructure.Object.FailureDomains() {
		domains = append(domains, clusterv1.FailureDomain{Name: domain.Name, ControlPlane: domain.ControlPlane, Attributes: domain.Attributes})
	}
	return domains
}

func controlPlaneCounters(s Snapshot) *clusterv1.ClusterControlPlaneStatus {
	if s.ControlPlane.Object == nil {
		return nil
	}
	counters := s.ControlPlane.Object.Replicas()
	shown := &clusterv1.ClusterControlPlaneStatus{
		DesiredReplicas: counters.Desired, Replicas: counters.Current, ReadyReplicas: counters.Ready,
		AvailableReplicas: counters.Available, UpToDateReplicas: counters.UpToDate,
	}
	for _, version := range s.ControlPlane.Object.Versions() {
		if version.Replicas != nil && *version.Replicas > 0 {
			shown.Versions = append(shown.Versions, clusterv1.StatusVersion{Version: version.Version, Replicas: *version.Replicas})
		}
	}
	return shown
}

// workerCounters sum up MachineDeployments, MachineSets that stand alone and Machines
// that do.
func workerCounters(s Snapshot) *clusterv1.WorkersStatus {
	var desired int32
	for _, deployment := range s.Deployments {
		desired += valueOr(deployment.Spec.Replicas, 1)
	}
	for _, set := range s.Sets {
		if metav1.GetControllerOf(set) == nil {
			desired += valueOr(set.Spec.Replicas, 1)
		}
	}
	var workers []*clusterv1.Machine
	for _, machine := range s.Machines {
		if machines.IsControlPlane(machine) {
			continue
		}
		workers = append(workers, machine)
		if metav1.GetControllerOf(machine) == nil {
			desired++
		}
	}
	counters := machines.Count(workers)
	return &clusterv1.WorkersStatus{
		DesiredReplicas: &desired, Replicas: &counters.Replicas, ReadyReplicas: &counters.Ready,
		AvailableReplicas: &counters.Available, UpToDateReplicas: &counters.UpToDate, Versions: machines.Versions(workers),
	}
}

func valueOr(value *int32, otherwise int32) int32 {
	if value == nil {
		return otherwise
	}
	return *value
}

// available sums up what makes a cluster usable.
func available(s Snapshot, all []metav1.Condition) metav1.Condition {
	parts := []conditions.Part{{Type: clusterv1.DeletingCondition, Condition: conditions.Find(all, clusterv1.DeletingCondition), Negative: true}}
	deleting := s.Cluster.DeletionTimestamp != nil
	for _, conditionType := range []string{
		clusterv1.RemoteConnectionProbeCondition, clusterv1.InfrastructureReadyCondition,
		clusterv1.ControlPlaneAvailableCondition, clusterv1.WorkersAvailableCondition,
	} {
		parts = append(parts, conditions.Part{Type: conditionType, Condition: conditions.Find(all, conditionType), InfoOnly: deleting})
	}
	if s.Cluster.Spec.Topology.IsDefined() {
		parts = append(parts, conditions.Part{Type: clusterv1.TopologyReconciledCondition, Condition: conditions.Find(all, clusterv1.TopologyReconciledCondition)})
	}
	for _, gate := range s.Cluster.Spec.AvailabilityGates {
		parts = append(parts, conditions.Part{
			Type: gate.ConditionType, Condition: conditions.Find(s.Cluster.Status.Conditions, gate.ConditionType),
			Negative: gate.Polarity == clusterv1.NegativePolarityCondition,
		})
	}
	return conditions.Summary(clusterv1.AvailableCondition,
		conditions.Reasons{True: clusterv1.AvailableReason, False: clusterv1.NotAvailableReason, Unknown: clusterv1.AvailableUnknownReason}, parts...)
}

func infrastructureReady(s Snapshot) metav1.Condition {
	const conditionType = clusterv1.InfrastructureReadyCondition
	ref := s.Cluster.Spec.InfrastructureRef
	if !ref.IsDefined() {
		return conditions.False(conditionType, clusterv1.ObjectDoesNotExistReason, "spec.infrastructureRef is not set")
	}
	if s.Infrastructure.Object == nil {
		return missing(s, conditionType, ref, s.Infrastructure, isTrue(s.Cluster.Status.Initialization.InfrastructureProvisioned))
	}
	return mirrored(conditionType, s.Infrastructure, clusterv1.ReadyCondition, s.Infrastructure.Object.Provisioned(),
		clusterv1.ProvisionedReason, clusterv1.NotProvisionedReason)
}

func controlPlaneAvailable(s Snapshot) metav1.Condition {
	const conditionType = clusterv1.ControlPlaneAvailableCondition
	ref := s.Cluster.Spec.ControlPlaneRef
	if !ref.IsDefined() {
		if controlPlaneInitialized(s) {
			return conditions.True(conditionType, clusterv1.AvailableReason, "")
		}
		return conditions.False(conditionType, clusterv1.NotAvailableReason, "spec.controlPlaneRef is not set and no control-plane Machine has a Node")
	}
	if s.ControlPlane.Object == nil {
		return missing(s, conditionType, ref, s.ControlPlane, isTrue(s.Cluster.Status.Initialization.ControlPlaneInitialized))
	}
	return mirrored(conditionType, s.ControlPlane, clusterv1.AvailableCondition, s.ControlPlane.Object.ControlPlaneInitialized(),
		clusterv1.AvailableReason, clusterv1.NotAvailableReason)
}

// missing is the condition of an object that is referred to and not there.
func missing(s Snapshot, conditionType string, ref clusterv1.ContractVersionedObjectReference, referenced Referenced, was bool) metav1.Condition {
	switch {
	case referenced.NoProvider != "":
		return conditions.False(conditionType, clusterv1.ObjectDoesNotExistReason, referenced.NoProvider)
	case s.Cluster.DeletionTimestamp != nil:
		return conditions.False(conditionType, clusterv1.ObjectDeletedReason, fmt.Sprintf("%s has been deleted", ref.Kind))
	case was:
		return conditions.False(conditionType, clusterv1.ObjectDeletedReason,
			fmt.Sprintf("%s %s has been deleted while the Cluster still exists; restore it, or delete the Cluster", ref.Kind, ref.Name))
	default:
		return conditions.False(conditionType, clusterv1.ObjectDoesNotExistReason, fmt.Sprintf("%s %s does not exist; create it", ref.Kind, ref.Name))
	}
}

// mirrored carries a provider's condition over. One that is not reported is told from
// the contract's boolean.
func mirrored(conditionType string, referenced Referenced, source string, fallback bool, yes, no string) metav1.Condition {
	condition, malformed := referenced.Object.Condition(source)
	switch {
	case referenced.OwnedBy != "":
		return conditions.False(conditionType, "NameTaken", fmt.Sprintf("%s %s belongs to Cluster %s; correct the reference, or delete Cluster %s first",
			referenced.Object.GetKind(), referenced.Object.GetName(), referenced.OwnedBy, referenced.OwnedBy))
	case malformed != "":
		return conditions.Unknown(conditionType, clusterv1.InvalidConditionReportedReason, fmt.Sprintf("%s: %s", referenced.Object.GetKind(), malformed))
	case condition != nil:
		reason := condition.Reason
		if reason == "" {
			reason = no
		}
		return metav1.Condition{Type: conditionType, Status: condition.Status, Reason: reason, Message: condition.Message}
	case fallback:
		return conditions.True(conditionType, yes, "")
	default:
		return conditions.False(conditionType, no, fmt.Sprintf("%s %s is not provisioned yet", referenced.Object.GetKind(), referenced.Object.GetName()))
	}
}

func controlPlaneInitializedCondition(s Snapshot) metav1.Condition {
	if controlPlaneInitialized(s) {
		return conditions.True(clusterv1.ControlPlaneInitializedCondition, clusterv1.InitializedReason, "")
	}
	return conditions.False(clusterv1.ControlPlaneInitializedCondition, clusterv1.NotInitializedReason, "Control plane not yet initialized")
}

func workersAvailable(s Snapshot) metav1.Condition {
	const conditionType = clusterv1.WorkersAvailableCondition
	if len(s.Deployments) == 0 {
		return conditions.True(conditionType, clusterv1.NoWorkersReason, "")
	}
	members := make([]conditions.Member, len(s.Deployments))
	for i, deployment := range s.Deployments {
		members[i] = conditions.Member{Name: deployment.Name, Condition: conditions.Find(deployment.Status.Conditions, clusterv1.AvailableCondition)}
	}
	return conditions.Aggregate(conditionType,
		conditions.Reasons{True: clusterv1.AvailableReason, False: clusterv1.NotAvailableReason, Unknown: clusterv1.AvailableUnknownReason},
		"MachineDeployment", clusterv1.AvailableCondition, members)
}

func machinesCondition(s Snapshot, conditionType, source string, controlPlane bool) metav1.Condition {
	var counted []*clusterv1.Machine
	for _, machine := range s.Machines {
		// Machines that stand alone carry no UpToDate condition.
		if machines.IsControlPlane(machine) != controlPlane || (source == clusterv1.UpToDateCondition && metav1.GetControllerOf(machine) == nil) {
			continue
		}
		counted = append(counted, machine)
	}
	if len(counted) == 0 {
		return conditions.True(conditionType, clusterv1.NoReplicasReason, "")
	}
	reasons := conditions.Reasons{True: clusterv1.ReadyReason, False: clusterv1.NotReadyReason, Unknown: clusterv1.ReadyUnknownReason}
	if source == clusterv1.UpToDateCondition {
		reasons = conditions.Reasons{True: clusterv1.UpToDateReason, False: clusterv1.NotUpToDateReason, Unknown: clusterv1.UpToDateUnknownReason}
	}
	return conditions.Aggregate(conditionType, reasons, "Machine", source, machines.Members(counted, source))
}

// connectionGraceEnd is when a lost connection becomes worth telling; zero when there
// is nothing to wait for.
func connectionGraceEnd(s Snapshot) time.Time {
	if s.Connection.Connected || s.Connection.LastSuccess.IsZero() {
		return time.Time{}
	}
	if end := s.Connection.LastSuccess.Add(connectionGrace); end.After(s.Now) {
		return end
	}
	return time.Time{}
}

func remoteConnectionProbe(s Snapshot) metav1.Condition {
	const conditionType = clusterv1.RemoteConnectionProbeCondition
	if s.Connection.Connected || !connectionGraceEnd(s).IsZero() {
		return conditions.True(conditionType, clusterv1.ProbeSucceededReason, "")
	}
	message := "Remote connection not established yet"
	if !s.Connection.LastSuccess.IsZero() {
		message = "Remote connection probe failed, probe last succeeded at " + s.Connection.LastSuccess.UTC().Format(time.RFC3339)
	}
	return conditions.False(conditionType, clusterv1.ProbeFailedReason, message)
}

// activity is true when the control plane or a group of workers is busy with what the
// condition tells.
func activity(s Snapshot, conditionType, yes, no string) metav1.Condition {
	var busy []string
	add := func(what string, condition *metav1.Condition) {
		if condition == nil || condition.Status != metav1.ConditionTrue {
			return
		}
		text := what
		if condition.Message != "" {
			text += ": " + condition.Message
		}
		busy = append(busy, text)
	}
	if s.ControlPlane.Object != nil {
		condition, _ := s.ControlPlane.Object.Condition(conditionType)
		add(s.ControlPlane.Object.GetKind()+" "+s.ControlPlane.Object.GetName(), condition)
	}
	for _, deployment := range s.Deployments {
		add("MachineDeployment "+deployment.Name, conditions.Find(deployment.Status.Conditions, conditionType))
	}
	for _, set := range s.Sets {
		if metav1.GetControllerOf(set) == nil {
			add("MachineSet "+set.Name, conditions.Find(set.Status.Conditions, conditionType))
		}
	}
	if len(busy) == 0 {
		return conditions.False(conditionType, no, "")
	}
	return conditions.True(conditionType, yes, strings.Join(busy, "\n"))
}

func deleting(s Snapshot, outcome plan.Outcome) metav1.Condition {
	if s.Cluster.DeletionTimestamp == nil {
		return conditions.False(clusterv1.DeletingCondition, clusterv1.NotDeletingReason, "")
	}
	return conditions.True(clusterv1.DeletingCondition, outcome.Reason, outcome.Message)
}
