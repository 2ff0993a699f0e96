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
		machinesReady(s, clusterv1.ControlPlaneMachinesReadyCondition, true),
		machinesReady(s, clusterv1.WorkerMachinesReadyCondition, false),
		machinesUpToDate(s, clusterv1.ControlPlaneMachinesUpToDateCondition, true),
		machinesUpToDate(s, clusterv1.WorkerMachinesUpToDateCondition, false),
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

// infrastructureProvisioned never goes back to false. Where no infrastructure is referred
// to there is none to wait for.
func infrastructureProvisioned(s Snapshot) bool {
	if isTrue(s.Cluster.Status.Initialization.InfrastructureProvisioned) {
		return true
	}
	if !s.Cluster.Spec.InfrastructureRef.IsDefined() {
		return !s.Cluster.Spec.Topology.IsDefined() && s.Cluster.DeletionTimestamp == nil
	}
	infrastructure := s.Infrastructure.ours()
	return infrastructure != nil && infrastructure.Provisioned()
}

// controlPlaneInitialized never goes back to false. Without a control-plane object
// the first control-plane Machine with a Node tells.
func controlPlaneInitialized(s Snapshot) bool {
	if isTrue(s.Cluster.Status.Initialization.ControlPlaneInitialized) {
		return true
	}
	if s.Cluster.Spec.ControlPlaneRef.IsDefined() {
		controlPlane := s.ControlPlane.ours()
		return controlPlane != nil && controlPlane.ControlPlaneInitialized()
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
	infrastructure := s.Infrastructure.ours()
	if infrastructure == nil || !infrastructure.Provisioned() {
		return s.Cluster.Status.FailureDomains
	}
	var domains []clusterv1.FailureDomain
	for _, domain := range infrastructure.FailureDomains() {
		domains = append(domains, clusterv1.FailureDomain{Name: domain.Name, ControlPlane: domain.ControlPlane, Attributes: domain.Attributes})
	}
	return domains
}

func controlPlaneCounters(s Snapshot) *clusterv1.ClusterControlPlaneStatus {
	controlPlane := s.ControlPlane.ours()
	if controlPlane == nil {
		return nil
	}
	counters := controlPlane.Replicas()
	shown := &clusterv1.ClusterControlPlaneStatus{
		DesiredReplicas: counters.Desired, Replicas: counters.Current, ReadyReplicas: counters.Ready,
		AvailableReplicas: counters.Available, UpToDateReplicas: counters.UpToDate,
	}
	for _, version := range controlPlane.Versions() {
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
	if s.LastFailure != nil && !deleting {
		failed := conditions.False("LastAction", s.LastFailure.Reason, fmt.Sprintf("%s: %s", s.LastFailure.Action, s.LastFailure.Message))
		parts = append(parts, conditions.Part{Type: failed.Type, Condition: &failed, InfoOnly: true})
	}
	return conditions.Summary(clusterv1.AvailableCondition,
		conditions.Reasons{True: clusterv1.AvailableReason, False: clusterv1.NotAvailableReason, Unknown: clusterv1.AvailableUnknownReason}, parts...)
}

func infrastructureReady(s Snapshot) metav1.Condition {
	const conditionType = clusterv1.InfrastructureReadyCondition
	ref := s.Cluster.Spec.InfrastructureRef
	if !ref.IsDefined() && infrastructureProvisioned(s) {
		return conditions.True(conditionType, clusterv1.ProvisionedReason, "")
	}
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

// missing is the condition of an object that is referred to and not there, or of which
// that is not known.
func missing(s Snapshot, conditionType string, ref clusterv1.ContractVersionedObjectReference, referenced Referenced, was bool) metav1.Condition {
	deleting := s.Cluster.DeletionTimestamp != nil
	switch {
	case referenced.NoKind:
		return conditions.False(conditionType, clusterv1.ObjectDoesNotExistReason, referenced.Err)
	case referenced.Err != "":
		return conditions.Unknown(conditionType, clusterv1.InternalErrorReason, referenced.Err)
	case deleting && was:
		return conditions.False(conditionType, clusterv1.ObjectDeletedReason, fmt.Sprintf("%s has been deleted", ref.Kind))
	case deleting:
		return conditions.False(conditionType, clusterv1.ObjectDoesNotExistReason, fmt.Sprintf("%s does not exist", ref.Kind))
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
	if referenced.OwnedBy != "" {
		return conditions.False(conditionType, "NameTaken", fmt.Sprintf("%s %s belongs to Cluster %s; correct the reference, or delete Cluster %s first",
			referenced.Object.GetKind(), referenced.Object.GetName(), referenced.OwnedBy, referenced.OwnedBy))
	}
	if mirror, reported := referenced.Object.Mirror(source, conditionType); reported {
		return mirror
	}
	if fallback {
		return conditions.True(conditionType, yes, "")
	}
	return conditions.False(conditionType, no, fmt.Sprintf("%s %s is not provisioned yet", referenced.Object.GetKind(), referenced.Object.GetName()))
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

// reporting are the Machines that are told to be up to date or not, and when another one
// is. Machines that stand alone carry no such condition.
func reporting(s Snapshot, controlPlane bool) (counting []*clusterv1.Machine, recheck time.Time) {
	owned := slices.DeleteFunc(machinesOf(s, controlPlane), func(m *clusterv1.Machine) bool { return metav1.GetControllerOf(m) == nil })
	return conditions.Reporting(owned, func(m *clusterv1.Machine) []metav1.Condition { return m.Status.Conditions }, clusterv1.UpToDateCondition, s.Now)
}

func machinesOf(s Snapshot, controlPlane bool) []*clusterv1.Machine {
	return slices.DeleteFunc(slices.Clone(s.Machines), func(m *clusterv1.Machine) bool { return machines.IsControlPlane(m) != controlPlane })
}

func machinesReady(s Snapshot, conditionType string, controlPlane bool) metav1.Condition {
	return aggregate(conditionType, machinesOf(s, controlPlane), clusterv1.ReadyCondition,
		conditions.Reasons{True: clusterv1.ReadyReason, False: clusterv1.NotReadyReason, Unknown: clusterv1.ReadyUnknownReason})
}

func machinesUpToDate(s Snapshot, conditionType string, controlPlane bool) metav1.Condition {
	counting, _ := reporting(s, controlPlane)
	return aggregate(conditionType, counting, clusterv1.UpToDateCondition,
		conditions.Reasons{True: clusterv1.UpToDateReason, False: clusterv1.NotUpToDateReason, Unknown: clusterv1.UpToDateUnknownReason})
}

func aggregate(conditionType string, counted []*clusterv1.Machine, source string, reasons conditions.Reasons) metav1.Condition {
	if len(counted) == 0 {
		return conditions.True(conditionType, clusterv1.NoReplicasReason, "")
	}
	return conditions.Aggregate(conditionType, reasons, "Machine", source, machines.Members(counted, source))
}

// connectionGraceEnd is when a connection that is not there becomes worth telling; zero
// when there is nothing to wait for. One that this process has not had yet counts from
// when it was first asked for: a restart of ours says nothing about the cluster.
func connectionGraceEnd(s Snapshot) time.Time {
	began := s.Connection.LastSuccess
	if began.IsZero() {
		began = s.Connection.Since
	}
	if s.Connection.Connected || began.IsZero() {
		return time.Time{}
	}
	if end := began.Add(connectionGrace); end.After(s.Now) {
		return end
	}
	return time.Time{}
}

// remoteConnectionProbe stays as it was while it cannot be known better: after a restart,
// and once the Cluster is being deleted, when the connection is not looked at any more.
func remoteConnectionProbe(s Snapshot) metav1.Condition {
	const conditionType = clusterv1.RemoteConnectionProbeCondition
	observed := conditions.Find(s.Cluster.Status.Conditions, conditionType)
	waits := !connectionGraceEnd(s).IsZero()
	switch {
	case s.Connection.Connected, waits && !s.Connection.LastSuccess.IsZero():
		return conditions.True(conditionType, clusterv1.ProbeSucceededReason, "")
	case observed != nil && (waits || s.Cluster.DeletionTimestamp != nil):
		return *observed
	case s.Connection.LastSuccess.IsZero():
		return conditions.False(conditionType, clusterv1.ProbeFailedReason, "Remote connection not established yet")
	default:
		return conditions.False(conditionType, clusterv1.ProbeFailedReason,
			"Remote connection probe failed, probe last succeeded at "+s.Connection.LastSuccess.UTC().Format(time.RFC3339))
	}
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
	if controlPlane := s.ControlPlane.ours(); controlPlane != nil {
		condition, _ := controlPlane.Condition(conditionType)
		add(controlPlane.GetKind()+" "+controlPlane.GetName(), condition)
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

// deleting tells the step of the deletion, and what went wrong there last.
func deleting(s Snapshot, outcome plan.Outcome) metav1.Condition {
	if s.Cluster.DeletionTimestamp == nil {
		return conditions.False(clusterv1.DeletingCondition, clusterv1.NotDeletingReason, "")
	}
	message := outcome.Message
	if s.LastFailure != nil {
		message = strings.TrimPrefix(fmt.Sprintf("%s; %s failed: %s", message, s.LastFailure.Action, s.LastFailure.Message), "; ")
	}
	return conditions.True(clusterv1.DeletingCondition, outcome.Reason, message)
}
