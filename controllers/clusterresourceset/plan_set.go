// SPDX-License-Identifier: Apache-2.0

package clusterresourceset

import (
	"fmt"
	"slices"

	addonsv1 "github.com/slipway-project/slipway/api/addons/v1beta2"
	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	"github.com/slipway-project/slipway/machines"
	"github.com/slipway-project/slipway/plan"
)

const setName = "clusterresourceset"

// PlanSet decides what to do for a ClusterResourceSet, and shows how far its resources
// have come.
func PlanSet(s SetSnapshot) plan.Plan[addonsv1.ClusterResourceSetStatus] {
	decided := decideSet(s)
	return plan.Of(decided, status(s))
}

func decideSet(s SetSnapshot) plan.Decision {
	if paused, why := machines.Paused(nil, s.Set); paused {
		return plan.Wait(clusterv1.PausedReason, why)
	}
	if left := leftBindings(s); len(left) > 0 {
		return plan.Act("TidyingBindings", "", left...)
	}
	has := slices.Contains(s.Set.Finalizers, addonsv1.ClusterResourceSetFinalizer)
	if s.Set.DeletionTimestamp != nil {
		for _, binding := range s.Bindings {
			if listed(binding, s.Set.Name) {
				return plan.Wait(clusterv1.DeletingReason, fmt.Sprintf("ClusterResourceSetBinding %s still lists it", binding.Name))
			}
		}
		if !has {
			return plan.Wait(clusterv1.DeletingReason, "the other finalizers of the ClusterResourceSet are not removed yet")
		}
		return plan.Act(clusterv1.DeletionCompletedReason, "",
			plan.RemoveFinalizer(setKind, s.Set, addonsv1.ClusterResourceSetFinalizer, "no binding lists it any more"))
	}
	if !has {
		return plan.Act("Claiming", "", plan.AddFinalizer(setKind, s.Set, addonsv1.ClusterResourceSetFinalizer))
	}
	if _, problem := firstProblem(s); problem != "" {
		return plan.Block(addonsv1.NotAppliedReason, problem).At(s.Now.Add(contentRecheck))
	}
	decided := plan.Settle(addonsv1.AppliedReason)
	if waiting, failing := clustersWaiting(s); len(waiting) > 0 {
		decided = plan.Wait(addonsv1.NotAppliedReason, notYet(s.Set.Namespace, waiting, failing))
	}
	if len(s.Clusters) > 0 && followsSecret(s.Set) {
		decided = decided.At(s.Now.Add(secretRecheck))
	}
	return decided
}

// leftBindings are records of this set whose Cluster is gone without their having been
// removed, as after a crash at the very end of a deletion.
func leftBindings(s SetSnapshot) []plan.Action {
	var deletes []plan.Action
	for _, binding := range s.Bindings {
		if listed(binding, s.Set.Name) && binding.DeletionTimestamp == nil && !slices.Contains(s.AllClusters, binding.Name) {
			deletes = append(deletes, plan.Delete{On: plan.RefTo(bindingKind, binding), Reason: "its Cluster is gone"})
		}
	}
	return deletes
}

func listed(binding *addonsv1.ClusterResourceSetBinding, set string) bool {
	return slices.ContainsFunc(binding.Spec.Bindings, func(entry addonsv1.ResourceSetBinding) bool { return entry.ClusterResourceSetName == set })
}

// firstProblem is what keeps the resources from being written anywhere. While no
// Cluster is selected there is nothing to write, and so no problem.
func firstProblem(s SetSnapshot) (reason, problem string) {
	if len(s.Clusters) == 0 {
		return "", ""
	}
	for _, ref := range s.Set.Spec.Resources {
		if content := s.Contents[id(ref)]; content.Problem != "" {
			return content.Reason, content.Problem
		}
	}
	return "", ""
}

// clustersWaiting are the selected clusters that do not have everything yet. failing
// are those of them where the last try failed.
func clustersWaiting(s SetSnapshot) (waiting, failing []string) {
	for _, cluster := range s.Clusters {
		index := slices.IndexFunc(s.Bindings, func(b *addonsv1.ClusterResourceSetBinding) bool { return b.Name == cluster.Name })
		waits, fails := false, false
		for _, ref := range s.Set.Spec.Resources {
			var recorded *addonsv1.ResourceBinding
			if index >= 0 {
				recorded = record(s.Bindings[index], s.Set.Name, ref)
			}
			applied := recorded != nil && recorded.Applied != nil && *recorded.Applied
			waits = waits || !applied || (reconciles(s.Set) && recorded.Hash != s.Contents[id(ref)].Hash)
			fails = fails || failed(recorded)
		}
		if waits {
			waiting = append(waiting, cluster.Name)
		}
		if fails {
			failing = append(failing, cluster.Name)
		}
	}
	slices.Sort(waiting)
	slices.Sort(failing)
	return waiting, failing
}

func notYet(namespace string, waiting, failing []string) string {
	text := "not applied yet to Clusters " + some(waiting)
	if len(failing) == 0 {
		return text + "; the events of a Cluster say what stands in the way"
	}
	return fmt.Sprintf("%s; the last try failed for Clusters %s and is repeated: kubectl describe cluster -n %s %s says why in its events",
		text, some(failing), namespace, failing[0])
}

func some(names []string) string {
	const shown = 3
	if len(names) > shown {
		return fmt.Sprintf("%v and %d more", names[:shown], len(names)-shown)
	}
	return fmt.Sprint(names)
}
