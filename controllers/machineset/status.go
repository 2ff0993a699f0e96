// SPDX-License-Identifier: Apache-2.0

package machineset

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

// status is what a MachineSet shows.
func status(s Snapshot, outcome plan.Outcome) clusterv1.MachineSetStatus {
	all := owned(s)
	counters := machines.Count(all)
	return clusterv1.MachineSetStatus{
		Selector:           selectorText(s.MachineSet),
		Replicas:           &counters.Replicas,
		ReadyReplicas:      &counters.Ready,
		AvailableReplicas:  &counters.Available,
		UpToDateReplicas:   &counters.UpToDate,
		Versions:           machines.Versions(all),
		ObservedGeneration: s.MachineSet.Generation,
		Conditions: conditions.Next(s.MachineSet.Status.Conditions, s.MachineSet.Generation, s.Now,
			scalingUp(s, outcome),
			scalingDown(s),
			machinesReady(s, outcome),
			machinesUpToDate(s, outcome),
			remediating(s),
			deleting(s, outcome),
			machines.PausedCondition(machines.Paused(s.Cluster, s.MachineSet)),
		),
	}
}

// selectorText is the selector by which others find the machines of the set. Where
// spec.selector is empty it is the label that every machine of the set gets.
func selectorText(set *clusterv1.MachineSet) string {
	if len(set.Spec.Selector.MatchLabels)+len(set.Spec.Selector.MatchExpressions) == 0 {
		return clusterv1.MachineSetNameLabel + "=" + machines.LabelValue(set.Name)
	}
	return metav1.FormatLabelSelector(&set.Spec.Selector)
}

func scalingUp(s Snapshot, outcome plan.Outcome) metav1.Condition {
	have, want := len(owned(s)), replicas(s.MachineSet)
	if have >= want || s.MachineSet.DeletionTimestamp != nil {
		return conditions.False(clusterv1.ScalingUpCondition, clusterv1.NotScalingUpReason, "")
	}
	message := fmt.Sprintf("Scaling up from %d to %d replicas", have, want)
	switch {
	case makesNone(s):
		message += " does not go on: " + machines.CreationDisabled
	case s.LastFailure != nil:
		message += ": " + s.LastFailure.Message
	case outcome.Kind == plan.Blocked || outcome.Kind == plan.Waiting:
		message += " does not go on: " + outcome.Message
	}
	return conditions.True(clusterv1.ScalingUpCondition, clusterv1.ScalingUpReason, message)
}

func scalingDown(s Snapshot) metav1.Condition {
	have, want := len(owned(s)), replicas(s.MachineSet)
	if s.MachineSet.DeletionTimestamp != nil {
		want = 0
	}
	if have <= want {
		return conditions.False(clusterv1.ScalingDownCondition, clusterv1.NotScalingDownReason, "")
	}
	message := fmt.Sprintf("Scaling down from %d to %d replicas", have, want)
	if deleteFailed(s) {
		message += ": " + s.LastFailure.Message
	}
	return conditions.True(clusterv1.ScalingDownCondition, clusterv1.ScalingDownReason, message)
}

// deleteFailed reports that what failed last was the removal of a machine.
func deleteFailed(s Snapshot) bool {
	return s.LastFailure != nil && slices.ContainsFunc(owned(s), func(m *clusterv1.Machine) bool {
		return s.LastFailure.Action == plan.Delete{On: plan.RefTo(machineKind, m)}.String()
	})
}

func machinesReady(s Snapshot, outcome plan.Outcome) metav1.Condition {
	if outcome.Reason == completingMachines && s.LastFailure != nil {
		return conditions.False(clusterv1.MachinesReadyCondition, clusterv1.NotReadyReason,
			"what the Machines refer to cannot be made: "+s.LastFailure.Message)
	}
	all := owned(s)
	if len(all) == 0 {
		return conditions.True(clusterv1.MachinesReadyCondition, clusterv1.NoReplicasReason, "")
	}
	return conditions.Aggregate(clusterv1.MachinesReadyCondition,
		conditions.Reasons{True: clusterv1.ReadyReason, False: clusterv1.NotReadyReason, Unknown: clusterv1.ReadyUnknownReason},
		"Machine", clusterv1.ReadyCondition, machines.Members(all, clusterv1.ReadyCondition))
}

// reporting are the machines that are told to be up to date or not, and when another one
// is. A set that stands alone tells of none.
func reporting(s Snapshot) (counting []*clusterv1.Machine, recheck time.Time) {
	if s.Deployment == nil {
		return nil, time.Time{}
	}
	return conditions.Reporting(owned(s), func(m *clusterv1.Machine) []metav1.Condition { return m.Status.Conditions }, clusterv1.UpToDateCondition, s.Now)
}

func machinesUpToDate(s Snapshot, outcome plan.Outcome) metav1.Condition {
	if s.LastFailure != nil {
		switch outcome.Reason {
		case updatingInPlace:
			return conditions.False(clusterv1.MachinesUpToDateCondition, clusterv1.NotUpToDateReason,
				"spec.template does not reach the Machines: "+s.LastFailure.Message)
		case markingUpToDate:
			return conditions.Unknown(clusterv1.MachinesUpToDateCondition, clusterv1.UpToDateUnknownReason,
				"the Machines cannot be marked: "+s.LastFailure.Message)
		}
	}
	counting, _ := reporting(s)
	if len(counting) == 0 {
		return conditions.True(clusterv1.MachinesUpToDateCondition, clusterv1.NoReplicasReason, "")
	}
	return conditions.Aggregate(clusterv1.MachinesUpToDateCondition,
		conditions.Reasons{True: clusterv1.UpToDateReason, False: clusterv1.NotUpToDateReason, Unknown: clusterv1.UpToDateUnknownReason},
		"Machine", clusterv1.UpToDateCondition, machines.Members(counting, clusterv1.UpToDateCondition))
}

// deleting tells the step of the deletion, and what went wrong there last.
func deleting(s Snapshot, outcome plan.Outcome) metav1.Condition {
	if s.MachineSet.DeletionTimestamp == nil {
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
