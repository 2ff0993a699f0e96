// SPDX-License-Identifier: Apache-2.0

package machinedeployment

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

// status is what a MachineDeployment shows.
func status(s Snapshot, outcome plan.Outcome) clusterv1.MachineDeploymentStatus {
	counters := machines.Count(s.Machines)
	for _, machine := range outdatedMachines(s) {
		if conditions.Is(machine.Status.Conditions, clusterv1.UpToDateCondition, metav1.ConditionTrue) {
			counters.UpToDate--
		}
	}
	return clusterv1.MachineDeploymentStatus{
		Selector:           selectorText(s.Deployment),
		Replicas:           &counters.Replicas,
		ReadyReplicas:      &counters.Ready,
		AvailableReplicas:  &counters.Available,
		UpToDateReplicas:   &counters.UpToDate,
		Versions:           machines.Versions(s.Machines),
		Phase:              string(phase(s)),
		ObservedGeneration: s.Deployment.Generation,
		Conditions: conditions.Next(s.Deployment.Status.Conditions, s.Deployment.Generation, s.Now,
			available(s, counters),
			machinesReady(s),
			machinesUpToDate(s, outcome),
			rollingOut(s, outcome),
			scalingUp(s, outcome),
			scalingDown(s, outcome),
			machines.RemediatingCondition(s.Machines),
			deleting(s, outcome),
			machines.PausedCondition(machines.Paused(s.Cluster, s.Deployment)),
		),
	}
}

// selectorText is the selector by which others find the machines. Where spec.selector
// is empty it is the label that every machine of the MachineDeployment gets.
func selectorText(deployment *clusterv1.MachineDeployment) string {
	if len(deployment.Spec.Selector.MatchLabels)+len(deployment.Spec.Selector.MatchExpressions) == 0 {
		return clusterv1.MachineDeploymentNameLabel + "=" + machines.LabelValue(deployment.Name)
	}
	return metav1.FormatLabelSelector(&deployment.Spec.Selector)
}

func phase(s Snapshot) clusterv1.MachineDeploymentPhase {
	have, want := len(s.Machines), int(replicas(s.Deployment))
	switch {
	case s.Deployment.DeletionTimestamp != nil || have > want:
		return clusterv1.MachineDeploymentPhaseScalingDown
	case have < want:
		return clusterv1.MachineDeploymentPhaseScalingUp
	default:
		return clusterv1.MachineDeploymentPhaseRunning
	}
}

// available holds while no more machines are missing than maxUnavailable permits.
func available(s Snapshot, counters machines.Counters) metav1.Condition {
	if s.Deployment.DeletionTimestamp != nil {
		return conditions.False(clusterv1.AvailableCondition, clusterv1.NotAvailableReason, "Deletion in progress")
	}
	fleet, _ := fleetOf(s)
	least := fleet.Least()
	if int(counters.Available) >= least {
		return conditions.True(clusterv1.AvailableCondition, clusterv1.AvailableReason, "")
	}
	return conditions.False(clusterv1.AvailableCondition, clusterv1.NotAvailableReason,
		fmt.Sprintf("%d available replicas, at least %d required (spec.replicas is %d)", counters.Available, least, fleet.Replicas))
}

func machinesReady(s Snapshot) metav1.Condition {
	if len(s.Machines) == 0 {
		return conditions.True(clusterv1.MachinesReadyCondition, clusterv1.NoReplicasReason, "")
	}
	return conditions.Aggregate(clusterv1.MachinesReadyCondition,
		conditions.Reasons{True: clusterv1.ReadyReason, False: clusterv1.NotReadyReason, Unknown: clusterv1.ReadyUnknownReason},
		"Machine", clusterv1.ReadyCondition, machines.Members(s.Machines, clusterv1.ReadyCondition))
}

// reporting are the machines that are told to be up to date or not, and when another one
// is.
func reporting(s Snapshot) (counting []*clusterv1.Machine, recheck time.Time) {
	return conditions.Reporting(s.Machines, func(m *clusterv1.Machine) []metav1.Condition { return m.Status.Conditions }, clusterv1.UpToDateCondition, s.Now)
}

func machinesUpToDate(s Snapshot, outcome plan.Outcome) metav1.Condition {
	if outcome.Kind == plan.Blocked {
		return conditions.False(clusterv1.MachinesUpToDateCondition, clusterv1.NotUpToDateReason, outcome.Message)
	}
	if outcome.Reason == updatingInPlace && s.LastFailure != nil {
		return conditions.False(clusterv1.MachinesUpToDateCondition, clusterv1.NotUpToDateReason,
			"spec.template does not reach the Machines: "+s.LastFailure.Message)
	}
	counting, _ := reporting(s)
	if len(counting) == 0 {
		return conditions.True(clusterv1.MachinesUpToDateCondition, clusterv1.NoReplicasReason, "")
	}
	return conditions.Aggregate(clusterv1.MachinesUpToDateCondition,
		conditions.Reasons{True: clusterv1.UpToDateReason, False: clusterv1.NotUpToDateReason, Unknown: clusterv1.UpToDateUnknownReason},
		"Machine", clusterv1.UpToDateCondition, upToDateMembers(s, counting))
}

// upToDateMembers are what the Machines say. Those of an outdated set that was not told
// yet are told here.
func upToDateMembers(s Snapshot, counting []*clusterv1.Machine) []conditions.Member {
	differs := map[string]string{}
	for _, set := range s.Sets {
		what := machines.Outdated(set, s.Deployment, s.Now)
		if len(what) == 0 {
			continue
		}
		for _, machine := range machines.ControlledBy(s.Machines, set.UID) {
			differs[machine.Name] = strings.Join(what, "; ")
		}
	}
	members := machines.Members(counting, clusterv1.UpToDateCondition)
	for i, member := range members {
		if what := differs[member.Name]; what != "" && (member.Condition == nil || member.Condition.Status != metav1.ConditionFalse) {
			told := conditions.False(clusterv1.UpToDateCondition, clusterv1.NotUpToDateReason, what)
			members[i].Condition = &told
		}
	}
	return members
}

// rollingOut tells what of the Machines differs from the template, and what the rollout
// waits for.
func rollingOut(s Snapshot, outcome plan.Outcome) metav1.Condition {
	outdated := outdatedMachines(s)
	if len(outdated) == 0 || s.Deployment.DeletionTimestamp != nil {
		return conditions.False(clusterv1.RollingOutCondition, clusterv1.NotRollingOutReason, "")
	}
	message := fmt.Sprintf("Rolling out %d not up-to-date replicas", len(outdated))
	var said []string
	for _, set := range bySeniority(s.Sets) {
		if len(machines.ControlledBy(s.Machines, set.UID)) == 0 {
			continue
		}
		for _, what := range machines.Outdated(set, s.Deployment, s.Now) {
			if line := "\n* " + what; !slices.Contains(said, line) {
				said = append(said, line)
			}
		}
	}
	message += strings.Join(said, "")
	switch {
	case pausesRollouts(s):
		return conditions.False(clusterv1.RollingOutCondition, clusterv1.NotRollingOutReason,
			strings.Replace(message, "Rolling out", "spec.paused is true:", 1))
	case s.LastFailure != nil:
		message += "\n* " + s.LastFailure.Message
	case outcome.Kind == plan.Waiting || outcome.Kind == plan.Blocked:
		message += "\n* " + outcome.Message
	}
	return conditions.True(clusterv1.RollingOutCondition, clusterv1.RollingOutReason, message)
}

func scalingUp(s Snapshot, outcome plan.Outcome) metav1.Condition {
	have, want := len(s.Machines), int(replicas(s.Deployment))
	if have >= want || s.Deployment.DeletionTimestamp != nil {
		return conditions.False(clusterv1.ScalingUpCondition, clusterv1.NotScalingUpReason, "")
	}
	message := fmt.Sprintf("Scaling up from %d to %d replicas", have, want)
	if said := whatSetsSay(s, clusterv1.ScalingUpCondition); said != "" {
		message += ": " + said
	} else if s.LastFailure != nil {
		message += ": " + s.LastFailure.Message
	} else if outcome.Kind == plan.Blocked || slices.Contains([]string{clusterNotFound, machineSetDeleting, rolloutsPaused, invalidStrategy}, outcome.Reason) {
		message += " does not go on: " + outcome.Message
	}
	return conditions.True(clusterv1.ScalingUpCondition, clusterv1.ScalingUpReason, message)
}

// whatSetsSay is what a MachineSet of the MachineDeployment tells of the scaling.
func whatSetsSay(s Snapshot, conditionType string) string {
	for _, set := range bySeniority(s.Sets) {
		if condition := conditions.Find(set.Status.Conditions, conditionType); condition != nil && condition.Status == metav1.ConditionTrue {
			return "MachineSet " + set.Name + ": " + condition.Message
		}
	}
	return ""
}

func scalingDown(s Snapshot, outcome plan.Outcome) metav1.Condition {
	have, want := len(s.Machines), int(replicas(s.Deployment))
	if s.Deployment.DeletionTimestamp != nil {
		want = 0
	}
	if have <= want {
		return conditions.False(clusterv1.ScalingDownCondition, clusterv1.NotScalingDownReason, "")
	}
	message := fmt.Sprintf("Scaling down from %d to %d replicas", have, want)
	if said := whatSetsSay(s, clusterv1.ScalingDownCondition); said != "" {
		message += ": " + said
	} else if s.LastFailure != nil && (outcome.Reason == scaling || s.Deployment.DeletionTimestamp != nil) {
		message += ": " + s.LastFailure.Message
	}
	return conditions.True(clusterv1.ScalingDownCondition, clusterv1.ScalingDownReason, message)
}

// deleting tells the step of the deletion, and what went wrong there last.
func deleting(s Snapshot, outcome plan.Outcome) metav1.Condition {
	if s.Deployment.DeletionTimestamp == nil {
		return conditions.False(clusterv1.DeletingCondition, clusterv1.NotDeletingReason, "")
	}
	reason, message := clusterv1.DeletingReason, outcome.Message
	if outcome.Reason == clusterv1.DeletionCompletedReason {
		reason = clusterv1.DeletionCompletedReason
	}
	if s.LastFailure != nil {
		message = strings.TrimPrefix(fmt.Sprintf("%s; %s failed: %s", message, s.LastFailure.Action, s.LastFailure.Message), "; ")
	}
	return conditions.True(clusterv1.DeletingCondition, reason, message)
}
