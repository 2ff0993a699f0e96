// SPDX-License-Identifier: Apache-2.0

package kubeadmcontrolplane

import (
	"fmt"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/version"

	controlplanev1 "github.com/slipway-project/slipway/api/controlplane/v1beta2"
	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	"github.com/slipway-project/slipway/conditions"
	"github.com/slipway-project/slipway/etcd"
	"github.com/slipway-project/slipway/machines"
	"github.com/slipway-project/slipway/plan"
)

// status is what a KubeadmControlPlane shows. Machines count until they are gone: each
// is a member of the control plane till then.
func status(s Snapshot, outcome plan.Outcome) controlplanev1.KubeadmControlPlaneStatus {
	counters := machines.Count(s.Machines)
	versions := machines.Versions(s.Machines)
	shown := controlplanev1.KubeadmControlPlaneStatus{
		Selector:           fmt.Sprintf("%s=%s,%s", clusterv1.ClusterNameLabel, clusterName(s), clusterv1.MachineControlPlaneLabel),
		Replicas:           &counters.Replicas,
		ReadyReplicas:      &counters.Ready,
		AvailableReplicas:  &counters.Available,
		UpToDateReplicas:   &counters.UpToDate,
		Versions:           versions,
		Version:            lowest(versions),
		LastRemediation:    lastRemediation(s),
		ObservedGeneration: s.ControlPlane.Generation,
	}
	if isInitializedNow(s) {
		yes := true
		shown.Initialization.ControlPlaneInitialized = &yes
	}
	wanted := []metav1.Condition{available(s, outcome), initialized(s), certificatesAvailable(s, outcome)}
	if !externalEtcd(s.ControlPlane.Spec.KubeadmConfigSpec) {
		wanted = append(wanted, etcdClusterHealthy(s))
	}
	shown.Conditions = conditions.Next(s.ControlPlane.Status.Conditions, s.ControlPlane.Generation, s.Now, append(wanted,
		componentsHealthy(s),
		machinesReady(s),
		machinesUpToDate(s),
		rollingOut(s, outcome),
		scalingUp(s, outcome),
		scalingDown(s, outcome),
		remediatingCondition(s),
		deleting(s, outcome),
		machines.PausedCondition(machines.Paused(s.Cluster, s.ControlPlane)),
	)...)
	return shown
}

// lowest is the lowest of some Kubernetes versions; empty when there is none.
func lowest(versions []clusterv1.StatusVersion) string {
	var least *version.Version
	text := ""
	for _, counted := range versions {
		parsed, err := version.ParseSemantic(counted.Version)
		if err == nil && (least == nil || parsed.LessThan(least)) {
			least, text = parsed, counted.Version
		}
	}
	return text
}

// looked reports that the facts about the machines were gathered. While paused or on
// the way out they are not, and what was last shown stands.
func looked(s Snapshot) bool { return working(s) }

// kept is the condition as it stands, for a pass that did not look.
func kept(s Snapshot, conditionType, otherwise string) metav1.Condition {
	return keptOr(s, conditions.Unknown(conditionType, otherwise, "not looked at yet"))
}

func keptOr(s Snapshot, otherwise metav1.Condition) metav1.Condition {
	if seen := conditions.Find(s.ControlPlane.Status.Conditions, otherwise.Type); seen != nil {
		return *seen
	}
	return otherwise
}

func initialized(s Snapshot) metav1.Condition {
	if isInitializedNow(s) {
		return conditions.True(controlplanev1.InitializedCondition, clusterv1.InitializedReason, "")
	}
	return conditions.False(controlplanev1.InitializedCondition, clusterv1.NotInitializedReason, "")
}

func certificatesAvailable(s Snapshot, outcome plan.Outcome) metav1.Condition {
	const condition = controlplanev1.CertificatesAvailableCondition
	if !looked(s) {
		return kept(s, condition, clusterv1.AvailableUnknownReason)
	}
	for _, purpose := range purposes(s) {
		if certificate := s.Certificates[purpose]; certificate.Missing || certificate.Leftover != "" || certificate.Problem != "" {
			return conditions.False(condition, clusterv1.NotAvailableReason, because(s, outcome))
		}
	}
	return conditions.True(condition, clusterv1.AvailableReason, "")
}

var healthReasons = conditions.Reasons{
	True: controlplanev1.HealthyReason, False: controlplanev1.NotHealthyReason, Unknown: controlplanev1.HealthUnknownReason,
}

func componentsHealthy(s Snapshot) metav1.Condition {
	return health(s, controlplanev1.ControlPlaneComponentsHealthyCondition, podParts(s))
}

// etcdClusterHealthy sums up what the members say, and tells of those that no machine has.
func etcdClusterHealthy(s Snapshot) metav1.Condition {
	parts := memberParts(s)
	if unseen(s) == "" && len(joining(s)) == 0 {
		for _, member := range s.Etcd.Value.Members {
			if why := stray(s, member); why != "" {
				left := conditions.False("", controlplanev1.NotHealthyReason, why)
				parts = append(parts, conditions.Part{Type: "Member " + member.String(), Condition: &left})
			}
		}
	}
	return health(s, controlplanev1.EtcdClusterHealthyCondition, parts)
}

func health(s Snapshot, conditionType string, parts []conditions.Part) metav1.Condition {
	switch {
	case !looked(s):
		return kept(s, conditionType, controlplanev1.HealthUnknownReason)
	case !isInitializedNow(s):
		return conditions.Unknown(conditionType, controlplanev1.HealthUnknownReason, "the control plane is not initialized yet")
	case len(parts) == 0:
		return conditions.Unknown(conditionType, controlplanev1.HealthUnknownReason, "there is no Machine")
	default:
		return conditions.Summary(conditionType, healthReasons, parts...)
	}
}

// available: the control plane serves, with one whole machine and a majority of etcd.
func available(s Snapshot, outcome plan.Outcome) metav1.Condition {
	const condition = clusterv1.AvailableCondition
	switch {
	case s.ControlPlane.DeletionTimestamp != nil:
		return conditions.False(condition, clusterv1.NotAvailableReason, "the control plane is being deleted")
	case !isInitializedNow(s):
		message := "the control plane is not initialized yet"
		if s.LastFailure != nil || outcome.Kind == plan.Blocked {
			message += ": " + because(s, outcome)
		}
		return conditions.False(condition, clusterv1.NotAvailableReason, message)
	case !looked(s):
		return kept(s, condition, clusterv1.AvailableUnknownReason)
	}
	running, unknown, quorum := quorumOf(s)
	whole, perhaps := wholeMachines(s)
	problems := strings.Join(notHealthy(s), "; ")
	switch {
	case running >= quorum && whole > 0:
		return conditions.True(condition, clusterv1.AvailableReason, "")
	case running+unknown >= quorum && whole+perhaps > 0:
		return conditions.Unknown(condition, clusterv1.InspectionFailedReason, problems)
	default:
		return conditions.False(condition, clusterv1.NotAvailableReason, problems)
	}
}

// quorumOf are the members of etcd that are healthy, those that may be, and how many are
// needed. The list that the members gave counts where it is known; else the machines with
// a node, for others are no members yet.
func quorumOf(s Snapshot) (running, unknown, needed int) {
	if !stacked(s) {
		return 0, 0, 0
	}
	if s.Workload.OK() && s.Etcd.OK() {
		seen := s.Etcd.Value.Without()
		return seen.Healthy, 0, etcd.Quorum(seen.Voters)
	}
	var parts []conditions.Part
	for _, machine := range s.Machines {
		if machine.Status.NodeRef.IsDefined() {
			parts = append(parts, partsOf(s, machine, true)...)
		}
	}
	if len(parts) > 0 {
		needed = etcd.Quorum(len(parts))
	}
	return count(parts, metav1.ConditionTrue), count(parts, metav1.ConditionUnknown), needed
}

// wholeMachines counts the machines whose components all run, and those of which that
// may be so.
func wholeMachines(s Snapshot) (whole, perhaps int) {
	for _, machine := range s.Machines {
		parts := append(partsOf(s, machine, false), partsOf(s, machine, true)...)
		switch {
		case count(parts, metav1.ConditionTrue) == len(parts):
			whole++
		case count(parts, metav1.ConditionFalse) == 0:
			perhaps++
		}
	}
	return whole, perhaps
}

func notHealthy(s Snapshot) []string {
	if len(s.Machines) == 0 {
		return []string{"there is no Machine"}
	}
	var problems []string
	for _, part := range append(podParts(s), memberParts(s)...) {
		if part.Condition != nil && part.Condition.Status != metav1.ConditionTrue {
			problems = append(problems, part.Type+": "+part.Condition.Message)
		}
	}
	return problems
}

func machinesReady(s Snapshot) metav1.Condition {
	if len(s.Machines) == 0 {
		return conditions.True(clusterv1.MachinesReadyCondition, clusterv1.NoReplicasReason, "")
	}
	return conditions.Aggregate(clusterv1.MachinesReadyCondition,
		conditions.Reasons{True: clusterv1.ReadyReason, False: clusterv1.NotReadyReason, Unknown: clusterv1.ReadyUnknownReason},
		"Machine", clusterv1.ReadyCondition, machines.Members(s.Machines, clusterv1.ReadyCondition))
}

func machinesUpToDate(s Snapshot) metav1.Condition {
	const condition = clusterv1.MachinesUpToDateCondition
	if len(s.Machines) == 0 {
		return conditions.True(condition, clusterv1.NoReplicasReason, "")
	}
	members := machines.Members(s.Machines, clusterv1.UpToDateCondition)
	if looked(s) {
		for i, machine := range sorted(s.Machines) {
			members[i].Condition = conditions.Find(machineConditions(s, machine), clusterv1.UpToDateCondition)
		}
	}
	return conditions.Aggregate(condition,
		conditions.Reasons{True: clusterv1.UpToDateReason, False: clusterv1.NotUpToDateReason, Unknown: clusterv1.UpToDateUnknownReason},
		"Machine", clusterv1.UpToDateCondition, members)
}

// rollingOut names the machines that are to be replaced because the spec asks for others.
func rollingOut(s Snapshot, outcome plan.Outcome) metav1.Condition {
	const condition = clusterv1.RollingOutCondition
	if s.ControlPlane.DeletionTimestamp != nil {
		return conditions.False(condition, clusterv1.NotRollingOutReason, "")
	}
	if !looked(s) {
		return keptOr(s, conditions.False(condition, clusterv1.NotRollingOutReason, ""))
	}
	reasons := outdatedReasons(s)
	if len(reasons) == 0 {
		return conditions.False(condition, clusterv1.NotRollingOutReason, "")
	}
	return conditions.True(condition, clusterv1.RollingOutReason,
		withCause(s, fmt.Sprintf("Rolling out %d not up-to-date replicas (%s)", len(reasons), some(reasons)), outcome))
}

// remediatingCondition tells what becomes of the machines that fail.
func remediatingCondition(s Snapshot) metav1.Condition {
	const condition = clusterv1.RemediatingCondition
	switch {
	case s.ControlPlane.DeletionTimestamp != nil:
		return conditions.False(condition, clusterv1.NotRemediatingReason, "")
	case !looked(s):
		return keptOr(s, conditions.False(condition, clusterv1.NotRemediatingReason, ""))
	}
	var lines []string
	for _, machine := range sorted(active(s)) {
		if mark := verdictMark(s, machine); mark != nil {
			lines = append(lines, fmt.Sprintf("Machine %s: %s", machine.Name, mark.Message))
		}
	}
	if record := inProgress(s); record != nil {
		lines = append(lines, fmt.Sprintf("Machine %s is being replaced", record.Machine))
	}
	if len(lines) == 0 {
		return conditions.False(condition, clusterv1.NotRemediatingReason, "")
	}
	return conditions.True(condition, clusterv1.RemediatingReason, strings.Join(lines, "; "))
}

func scalingUp(s Snapshot, outcome plan.Outcome) metav1.Condition {
	now, want := len(active(s)), replicas(s.ControlPlane)
	switch {
	case s.ControlPlane.DeletionTimestamp != nil:
		return conditions.False(clusterv1.ScalingUpCondition, clusterv1.NotScalingUpReason, "")
	case now >= want && looked(s) && incomplete(s):
		return conditions.True(clusterv1.ScalingUpCondition, clusterv1.ScalingUpReason, withCause(s, "Completing the last Machine", outcome))
	case now >= want:
		return conditions.False(clusterv1.ScalingUpCondition, clusterv1.NotScalingUpReason, "")
	}
	return conditions.True(clusterv1.ScalingUpCondition, clusterv1.ScalingUpReason,
		withCause(s, fmt.Sprintf("Scaling up from %d to %d replicas", now, want), outcome))
}

func scalingDown(s Snapshot, outcome plan.Outcome) metav1.Condition {
	want := replicas(s.ControlPlane)
	if s.ControlPlane.DeletionTimestamp != nil {
		want = 0
	}
	if len(s.Machines) <= want {
		return conditions.False(clusterv1.ScalingDownCondition, clusterv1.NotScalingDownReason, "")
	}
	return conditions.True(clusterv1.ScalingDownCondition, clusterv1.ScalingDownReason,
		withCause(s, fmt.Sprintf("Scaling down from %d to %d replicas", len(s.Machines), want), outcome))
}

func withCause(s Snapshot, message string, outcome plan.Outcome) string {
	switch {
	case s.LastFailure != nil:
		return message + ": " + s.LastFailure.Message
	case outcome.Kind == plan.Blocked || outcome.Kind == plan.Waiting:
		return message + " does not go on: " + outcome.Message
	default:
		return message
	}
}

func deleting(s Snapshot, outcome plan.Outcome) metav1.Condition {
	if s.ControlPlane.DeletionTimestamp == nil {
		return conditions.False(clusterv1.DeletingCondition, clusterv1.NotDeletingReason, "")
	}
	reason, message := outcome.Reason, outcome.Message
	switch paused, why := machines.Paused(s.Cluster, s.ControlPlane); {
	case paused: // "Paused" is not among the reasons of this condition
		reason, message = clusterv1.DeletingReason, "it does not go on while "+why
	case s.LastFailure != nil:
		message = s.LastFailure.Message
	}
	return conditions.True(clusterv1.DeletingCondition, reason, message)
}

// because is why something is not there yet. What failed has the first word.
func because(s Snapshot, outcome plan.Outcome) string {
	switch {
	case s.LastFailure != nil:
		return s.LastFailure.Message
	case outcome.Message != "":
		return outcome.Message
	default:
		return outcome.Reason
	}
}
