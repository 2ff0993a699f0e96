// SPDX-License-Identifier: Apache-2.0

package machineset

import (
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	"github.com/slipway-project/slipway/conditions"
	"github.com/slipway-project/slipway/machines"
	"github.com/slipway-project/slipway/plan"
)

// remediationAspect is of the OwnerRemediated condition, which the set states only while it
// has an answer to a health check.
const remediationAspect = "remediation"

// remediation answers the health checks that ask for Machines to be replaced: each Machine
// is told what becomes of it, then those whose turn it is are deleted. Others are made in
// their place when they are gone, like for any that is missing.
func remediation(s Snapshot) []plan.Action {
	answers, replaced := answers(s)
	var actions []plan.Action
	for _, machine := range sorted(owned(s)) {
		if answer := answerAction(s, machine, answers[machine.Name]); answer != nil {
			actions = append(actions, answer)
		}
	}
	if len(replaced) > 0 {
		actions = append(actions, noteOrdinal(s)...)
	}
	for _, machine := range replaced {
		actions = append(actions, plan.Delete{On: plan.RefTo(machineKind, machine), Reason: "it is unhealthy, and is replaced"})
	}
	return actions
}

// answers are what is told of remediation, by name of a Machine, and those to be replaced
// now.
func answers(s Snapshot) (told map[string]metav1.Condition, replaced []*clusterv1.Machine) {
	told = map[string]metav1.Condition{}
	var asking []*clusterv1.Machine
	inFlight := 0
	for _, machine := range owned(s) {
		switch {
		case machines.OwnerIsAsked(machine):
			asking = append(asking, machine)
		case machines.BeingRemediated(machine):
			inFlight++
			told[machine.Name] = answer(clusterv1.MachineDeletingReason, "it is being deleted, and another is made when it is gone")
		}
	}
	room, why := remediationRoom(s, inFlight)
	for _, machine := range machines.RemediationOrder(asking) {
		if len(replaced) < room {
			replaced = append(replaced, machine)
			told[machine.Name] = answer(clusterv1.MachineDeletingReason, "it is being deleted, and another is made when it is gone")
			continue
		}
		told[machine.Name] = why
	}
	return told, replaced
}

func answer(reason, message string) metav1.Condition {
	return conditions.False(clusterv1.OwnerRemediatedCondition, reason, message)
}

// remediationRoom is how many Machines may be replaced now, and what the others are told.
func remediationRoom(s Snapshot, inFlight int) (room int, why metav1.Condition) {
	deferred := func(message string) (int, metav1.Condition) {
		return 0, answer(clusterv1.RemediationDeferredReason, message)
	}
	if s.Deployment != nil && len(machines.Outdated(s.MachineSet, s.Deployment, s.Now)) > 0 {
		return 0, answer(clusterv1.CannotBeRemediatedReason, fmt.Sprintf("MachineSet %s is not the current one of MachineDeployment %s: the Machine goes as the rollout goes on", s.MachineSet.Name, s.Deployment.Name))
	}
	if makesNone(s) {
		return deferred("no Machine could be made in its place while MachineSet " + s.MachineSet.Name + " has the annotation " + clusterv1.DisableMachineCreateAnnotation)
	}
	if missing := missingTemplate(s); missing != "" {
		return deferred("no Machine could be made in its place: " + missing)
	}
	if problem := preflight(s); problem != nil {
		return deferred("no Machine could be made in its place: " + problem.Outcome.Message)
	}
	limit := replicas(s.MachineSet)
	if s.Deployment != nil {
		most, err := machines.InFlight(s.Deployment.Spec.Remediation.MaxInFlight, limit)
		if err != nil {
			return deferred(fmt.Sprintf("spec.remediation.%v in MachineDeployment %s", err, s.Deployment.Name))
		}
		limit = most
	}
	if limit == 0 {
		return deferred("spec.remediation.maxInFlight is 0, so no Machine is replaced; raise it, or delete the Machine")
	}
	return max(limit-inFlight, 0), answer(clusterv1.RemediationDeferredReason,
		fmt.Sprintf("its turn comes later: spec.remediation.maxInFlight permits %d at a time", limit))
}

// answerAction states the answer on a Machine, or takes the last one back when its health
// check asks for nothing any more; nil when nothing changes.
func answerAction(s Snapshot, machine *clusterv1.Machine, told metav1.Condition) plan.Action {
	manager := plan.Manager(name, remediationAspect)
	if told.Type == "" && !slices.ContainsFunc(machine.ManagedFields, func(e metav1.ManagedFieldsEntry) bool { return e.Manager == manager }) {
		// So it is with nearly all of a large set.
		return nil
	}
	status := clusterv1.MachineStatus{}
	if told.Type != "" {
		status.Conditions = conditions.Next(machine.Status.Conditions, machine.Generation, s.Now, told)
	}
	intent, err := plan.StatusIntent(machineKind, machine, &status)
	if err != nil || !plan.NeedsApply(plan.Live(machineKind, machine), intent, manager, "status") {
		return nil
	}
	return plan.Apply{Object: intent, Subresource: "status", Aspect: remediationAspect, Reason: "to answer its health check"}
}

// remediating tells which Machines are to be replaced, with the answers of this plan. A set
// that rests gives none.
func remediating(s Snapshot) metav1.Condition {
	if paused, _ := machines.Paused(s.Cluster, s.MachineSet); paused {
		return machines.RemediatingCondition(owned(s))
	}
	told, _ := answers(s)
	all := slices.Clone(owned(s))
	for i, machine := range all {
		if answer, ok := told[machine.Name]; ok {
			shown := *machine
			shown.Status.Conditions = []metav1.Condition{*conditions.Find(machine.Status.Conditions, clusterv1.HealthCheckSucceededCondition), answer}
			all[i] = &shown
		}
	}
	return machines.RemediatingCondition(all)
}
