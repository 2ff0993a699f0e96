// SPDX-License-Identifier: Apache-2.0

package machineset

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	"github.com/slipway-project/slipway/conditions"
	"github.com/slipway-project/slipway/machines"
	"github.com/slipway-project/slipway/plan"
)

// status is what a MachineSet shows.
func status(s Snapshot, outcome plan.Outcome) clusterv1.MachineSetStatus {
	now := active(s)
	counters := machines.Count(now)
	return clusterv1.MachineSetStatus{
		Selector:           selectorText(s.MachineSet),
		Replicas:           &counters.Replicas,
		ReadyReplicas:      &counters.Ready,
		AvailableReplicas:  &counters.Available,
		UpToDateReplicas:   &counters.UpToDate,
		Versions:           machines.Versions(now),
		ObservedGeneration: s.MachineSet.Generation,
		Conditions: conditions.Next(s.MachineSet.Status.Conditions, s.MachineSet.Generation, s.Now,
			scalingUp(s, outcome),
			scalingDown(s),
			machinesReady(now),
			machinesUpToDate(s, now, outcome),
			remediating(),
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
	now, want := len(active(s)), replicas(s.MachineSet)
	if now >= want || s.MachineSet.DeletionTimestamp != nil {
		return conditions.False(clusterv1.ScalingUpCondition, clusterv1.NotScalingUpReason, "")
	}
	message := fmt.Sprintf("Scaling up from %d to %d replicas", now, want)
	switch {
	case s.LastFailure != nil:
		message += ": " + s.LastFailure.Message
	case outcome.Kind == plan.Blocked || outcome.Kind == plan.Waiting:
		message += " does not go on: " + outcome.Message
	}
	return conditions.True(clusterv1.ScalingUpCondition, clusterv1.ScalingUpReason, message)
}

func scalingDown(s Snapshot) metav1.Condition {
	owned := machines.ControlledBy(s.Machines, s.MachineSet.UID)
	want := replicas(s.MachineSet)
	if s.MachineSet.DeletionTimestamp != nil {
		want = 0
	}
	if len(owned) <= want {
		return conditions.False(clusterv1.ScalingDownCondition, clusterv1.NotScalingDownReason, "")
	}
	return conditions.True(clusterv1.ScalingDownCondition, clusterv1.ScalingDownReason,
		fmt.Sprintf("Scaling down from %d to %d replicas", len(owned), want))
}

func machinesReady(now []*clusterv1.Machine) metav1.Condition {
	if len(now) == 0 {
		return conditions.True(clusterv1.MachinesReadyCondition, clusterv1.NoReplicasReason, "")
	}
	return conditions.Aggregate(clusterv1.MachinesReadyCondition,
		conditions.Reasons{True: clusterv1.ReadyReason, False: clusterv1.NotReadyReason, Unknown: clusterv1.ReadyUnknownReason},
		"Machine", clusterv1.ReadyCondition, machines.Members(now, clusterv1.ReadyCondition))
}

func machinesUpToDate(s Snapshot, now []*clusterv1.Machine, outcome plan.Outcome) metav1.Condition {
	if outcome.Reason == updatingInPlace && s.LastFailure != nil {
		return conditions.False(clusterv1.MachinesUpToDateCondition, clusterv1.NotUpToDateReason,
			"spec.template does not reach the Machines: "+s.LastFailure.Message)
	}
	if len(now) == 0 || s.Deployment == nil {
		return conditions.True(clusterv1.MachinesUpToDateCondition, clusterv1.NoReplicasReason, "")
	}
	return conditions.Aggregate(clusterv1.MachinesUpToDateCondition,
		conditions.Reasons{True: clusterv1.UpToDateReason, False: clusterv1.NotUpToDateReason, Unknown: clusterv1.UpToDateUnknownReason},
		"Machine", clusterv1.UpToDateCondition, machines.Members(now, clusterv1.UpToDateCondition))
}

func remediating() metav1.Condition {
	return conditions.False(clusterv1.RemediatingCondition, clusterv1.NotRemediatingReason, "")
}

func deleting(s Snapshot, outcome plan.Outcome) metav1.Condition {
	if s.MachineSet.DeletionTimestamp == nil {
		return conditions.False(clusterv1.DeletingCondition, clusterv1.NotDeletingReason, "")
	}
	reason := clusterv1.DeletingReason
	if outcome.Reason == clusterv1.DeletionCompletedReason {
		reason = clusterv1.DeletionCompletedReason
	}
	return conditions.True(clusterv1.DeletingCondition, reason, outcome.Message)
}
