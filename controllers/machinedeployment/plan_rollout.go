// SPDX-License-Identifier: Apache-2.0

package machinedeployment

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	"github.com/slipway-project/slipway/conditions"
	"github.com/slipway-project/slipway/machines"
	"github.com/slipway-project/slipway/plan"
)

// roll makes a MachineSet for the template where there is none, moves the Machines over to
// it and removes the sets that are empty then.
func roll(s Snapshot) plan.Decision {
	staying, going := stayingSets(s)
	current := currentSet(s)
	switch {
	case current == nil && pausesRollouts(s) && len(staying) == 0:
		return plan.Wait(rolloutsPaused, "no MachineSet is made for spec.template while spec.paused is true")
	case current == nil && !pausesRollouts(s):
		return create(s, going)
	}
	fleet, sets := fleetOf(s)
	step := machines.Roll(fleet)
	if synced := syncs(s, sets, step, current); len(synced) > 0 {
		return plan.Act(scaling, stepText(sets, step), synced...)
	}
	// Not in one wave with the number: that is kept even if the template cannot be
	// passed on, as when a label in it is not valid.
	var followed []plan.Action
	for _, set := range staying {
		if patch, needed := inPlace(s, set); needed {
			followed = append(followed, patch)
		}
	}
	if len(followed) > 0 {
		return plan.Act(updatingInPlace, "", followed...)
	}
	if current != nil && selectorChanged(s, current) {
		return plan.Block("SelectorChanged", fmt.Sprintf(
			"spec.selector is not that of MachineSet %s, by which its Machines are found and which cannot change; "+
				"set spec.selector and the labels in spec.template that it asks for back, or create another MachineDeployment with them and delete this one", current.Name))
	}
	return waits(s, fleet, sets, step)
}

// create makes the set of the template. It has as many replicas at once as the limits leave
// room for. There is one set a template at any time: one that is being deleted is waited for.
func create(s Snapshot, going []*clusterv1.MachineSet) plan.Decision {
	set := newSet(s)
	for _, leaving := range going {
		if leaving.Name == set.GetName() || len(machines.Outdated(leaving, s.Deployment, s.Now)) == 0 {
			return plan.Wait(machineSetDeleting, fmt.Sprintf("waiting for MachineSet %s to be gone, after which a new one is made", leaving.Name))
		}
	}
	reason := "there is no MachineSet for the template yet"
	if after, due := machines.RolloutDue(s.Deployment, s.Now); due && len(s.Sets) > 0 {
		reason += ", or it was made before " + after.UTC().Format("2006-01-02T15:04:05Z")
	}
	return plan.Act("CreatingMachineSet", "", plan.Create{Object: set, Reason: reason})
}

// fleetOf is the MachineDeployment in numbers, and the sets in their order there.
func fleetOf(s Snapshot) (machines.Fleet, []*clusterv1.MachineSet) {
	want := int(replicas(s.Deployment))
	// What is wrong with the strategy was told before.
	surge, unavailable, _ := machines.RolloutLimits(s.Deployment.Spec.Rollout.Strategy, want)
	fleet := machines.Fleet{
		Replicas: want, Surge: surge, Unavailable: unavailable, Current: -1,
		OnDelete: s.Deployment.Spec.Rollout.Strategy.Type == clusterv1.OnDeleteMachineDeploymentStrategyType,
	}
	sets, current := bySeniority(s.Sets), currentSet(s)
	for i, set := range sets {
		if set == current && !pausesRollouts(s) {
			fleet.Current = i
		}
		fleet.Shares = append(fleet.Shares, shareOf(set, machines.ControlledBy(s.Machines, set.UID)))
	}
	return fleet, sets
}

func shareOf(set *clusterv1.MachineSet, owned []*clusterv1.Machine) machines.Share {
	share := machines.Share{
		Replicas: 1, Seen: len(owned),
		Behind: set.Status.ObservedGeneration < set.Generation, Leaving: set.DeletionTimestamp != nil,
	}
	scaling := conditions.Find(set.Status.Conditions, clusterv1.ScalingUpCondition)
	share.Idle = set.Annotations[clusterv1.DisableMachineCreateAnnotation] == "true" && scaling != nil && strings.Contains(scaling.Message, machines.CreationDisabled)
	if set.Spec.Replicas != nil {
		share.Replicas = int(*set.Spec.Replicas)
	}
	if set.Status.Replicas != nil {
		share.Reported = int(*set.Status.Replicas)
	}
	for _, machine := range owned {
		available := conditions.Find(machine.Status.Conditions, clusterv1.AvailableCondition)
		switch {
		case machines.Deleting(machine):
			share.Going++
		case machines.Fit(machine):
			share.Available++
		case available == nil || available.Status == metav1.ConditionUnknown:
			share.Unknown++
		}
	}
	return share
}

// syncs state on each set what is asked of it, and remove the sets that are empty.
func syncs(s Snapshot, sets []*clusterv1.MachineSet, step machines.Step, current *clusterv1.MachineSet) []plan.Action {
	var actions []plan.Action
	for i, set := range sets {
		if set.DeletionTimestamp != nil {
			continue
		}
		old := current != nil && set != current && !pausesRollouts(s)
		if old && step.Replicas[i] == 0 && isEmpty(s, set) {
			actions = append(actions, plan.Delete{On: plan.RefTo(setKind, set), Reason: "its template is no longer used, and all its Machines are gone"})
			continue
		}
		if sync := sync(s, set, step.Replicas[i], set == current, old); sync != nil {
			actions = append(actions, sync)
		}
	}
	return actions
}

// isEmpty reports that a set has and will have no Machines.
func isEmpty(s Snapshot, set *clusterv1.MachineSet) bool {
	share := shareOf(set, machines.ControlledBy(s.Machines, set.UID))
	return share.Replicas == 0 && share.Seen == 0 && share.Reported == 0 && !share.Behind
}

// sync states the number of machines, the revision, and that an old set makes no more
// Machines; nil when the set has it already.
func sync(s Snapshot, set *clusterv1.MachineSet, count int, current, old bool) plan.Action {
	intent := plan.Partial(setKind, set)
	revision := revisionOf(set)
	if current {
		revision = currentRevision(s, set)
	}
	stated := annotations(s, revision)
	if old {
		stated[clusterv1.DisableMachineCreateAnnotation] = "true"
	}
	intent.SetAnnotations(stated)
	intent.Object["spec"] = map[string]any{"replicas": int64(count)}
	if !plan.NeedsApply(plan.Live(setKind, set), intent, plan.Manager(name), "") {
		return nil
	}
	return plan.Apply{Object: intent, Reason: "the MachineDeployment asks for it"}
}

// currentRevision is the highest: a set that is gone back to gets a new number.
func currentRevision(s Snapshot, current *clusterv1.MachineSet) int {
	others := slices.DeleteFunc(slices.Clone(s.Sets), func(set *clusterv1.MachineSet) bool { return set == current })
	if revision := revisionOf(current); revision > highestRevision(others) {
		return revision
	}
	return highestRevision(s.Sets) + 1
}

func annotations(s Snapshot, revision int) map[string]string {
	fleet, _ := fleetOf(s)
	stated := map[string]string{
		clusterv1.DesiredReplicasAnnotation: strconv.Itoa(fleet.Replicas), clusterv1.MaxReplicasAnnotation: strconv.Itoa(fleet.Limit()),
	}
	if revision > 0 {
		stated[clusterv1.RevisionAnnotation] = strconv.Itoa(revision)
	}
	return stated
}

// stepText says what a step changes in the numbers.
func stepText(sets []*clusterv1.MachineSet, step machines.Step) string {
	text := ""
	for i, set := range sets {
		had := shareOf(set, nil).Replicas
		if set.DeletionTimestamp == nil && had != step.Replicas[i] {
			text += fmt.Sprintf(", MachineSet %s from %d to %d replicas", set.Name, had, step.Replicas[i])
		}
	}
	if text == "" {
		return ""
	}
	return text[2:]
}

// waits says what is waited for when nothing is to be done.
func waits(s Snapshot, fleet machines.Fleet, sets []*clusterv1.MachineSet, step machines.Step) plan.Decision {
	_, going := stayingSets(s)
	outdated := len(outdatedMachines(s))
	have, want := len(s.Machines), fleet.Replicas
	switch {
	case step.Behind >= 0:
		return plan.Wait("WaitingForMachineSet", fmt.Sprintf("waiting for MachineSet %s to tell how many Machines it has, after its number was changed", sets[step.Behind].Name))
	case outdated > 0 && pausesRollouts(s):
		return plan.Wait(rolloutsPaused, fmt.Sprintf("%s not replaced while spec.paused is true", countOf(outdated, "outdated Machine is", "outdated Machines are")))
	case outdated > 0 && fleet.OnDelete && have <= want && have-outdated == currentShare(fleet).Replicas:
		return plan.Wait("WaitingForDeletion", fmt.Sprintf("%s replaced when somebody deletes them, as spec.rollout.strategy.type is OnDelete", countOf(outdated, "outdated Machine is", "outdated Machines are")))
	case outdated > 0:
		return plan.Wait(clusterv1.RollingOutReason, rolloutWaits(s, fleet, sets, outdated))
	case len(going) > 0:
		return plan.Wait("ScalingMachineSet", fmt.Sprintf("waiting for MachineSet %s to be gone", going[0].Name))
	case have != want:
		return plan.Wait("ScalingMachineSet", fmt.Sprintf("%d of %d Machines are there%s", have, want, after("; ", whatSetsSay(s, clusterv1.ScalingUpCondition))))
	default:
		return plan.Settle("MachineSetUpToDate")
	}
}

func currentShare(fleet machines.Fleet) machines.Share {
	if fleet.Current < 0 {
		return machines.Share{}
	}
	return fleet.Shares[fleet.Current]
}

// rolloutWaits says what the next step of a rollout waits for.
func rolloutWaits(s Snapshot, fleet machines.Fleet, sets []*clusterv1.MachineSet, outdated int) string {
	left := countOf(outdated, "outdated Machine is left: ", "outdated Machines are left: ")
	current := currentShare(fleet)
	leaving := 0
	for _, share := range fleet.Shares {
		leaving += max(share.Going, max(share.Seen, share.Reported)-share.Replicas)
		if share.Leaving {
			leaving += share.Seen - share.Going
		}
	}
	switch missing := current.Replicas - current.Available; {
	case missing > 0:
		said := after("; ", whatSetsSay(s, clusterv1.ScalingUpCondition))
		return left + fmt.Sprintf("waiting for %s of MachineSet %s to be available%s", countOf(missing, "Machine", "Machines"), sets[fleet.Current].Name, said)
	case leaving > 0:
		return left + fmt.Sprintf("waiting for %s to be gone", countOf(leaving, "Machine", "Machines"))
	default:
		return left + fmt.Sprintf("waiting for more than %d Machines to be available", fleet.Least())
	}
}

// outdatedMachines are the Machines of sets that are not current.
func outdatedMachines(s Snapshot) []*clusterv1.Machine {
	var outdated []*clusterv1.Machine
	for _, set := range bySeniority(s.Sets) {
		if len(machines.Outdated(set, s.Deployment, s.Now)) > 0 {
			outdated = append(outdated, machines.ControlledBy(s.Machines, set.UID)...)
		}
	}
	return outdated
}

func countOf(count int, one, many string) string {
	if count == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", count, many)
}

func after(separator, text string) string {
	if text == "" {
		return ""
	}
	return separator + text
}

func selectorChanged(s Snapshot, set *clusterv1.MachineSet) bool {
	was := set.Spec.Selector.DeepCopy()
	delete(was.MatchLabels, clusterv1.MachineDeploymentUniqueLabel)
	return !equality.Semantic.DeepEqual(*was, s.Deployment.Spec.Selector)
}
