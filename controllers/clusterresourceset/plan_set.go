// SPDX-License-Identifier: Apache-2.0

package clusterresourceset

import (
	"fmt"
	"slices"
	"strings"

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
	if waiting := notYet(s); waiting != "" {
		decided = plan.Wait(addonsv1.NotAppliedReason, waiting)
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

// contentsOf are the resources whose content counts: what was written for good is not
// looked at again.
func contentsOf(s SetSnapshot) []addonsv1.ResourceRef {
	if paused, _ := machines.Paused(nil, s.Set); paused || s.Set.DeletionTimestamp != nil {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(s.Set.Spec.Resources), func(ref addonsv1.ResourceRef) bool {
		return !slices.ContainsFunc(s.Clusters, func(cluster *clusterv1.Cluster) bool {
			return !settledOnce(s.Set, record(bindingOf(s, cluster), s.Set.Name, ref))
		})
	})
}

// bindingOf is the record of a Cluster; nil when there is none yet.
func bindingOf(s SetSnapshot, cluster *clusterv1.Cluster) *addonsv1.ClusterResourceSetBinding {
	for _, binding := range s.Bindings {
		if binding.Name == cluster.Name {
			return binding
		}
	}
	return nil
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

// notYet says which of the selected Clusters do not have everything, and why; empty when
// all have. One that is being deleted gets nothing more.
func notYet(s SetSnapshot) string {
	var waiting []string
	for _, cluster := range s.Clusters {
		if cluster.DeletionTimestamp != nil {
			continue
		}
		if causes := lacks(s, cluster); len(causes) > 0 {
			waiting = append(waiting, fmt.Sprintf("Cluster %s (%s)", cluster.Name, some(causes)))
		}
	}
	if len(waiting) == 0 {
		return ""
	}
	slices.Sort(waiting)
	return "not applied yet to " + some(waiting)
}

// lacks says for each resource that a Cluster does not have why that is.
func lacks(s SetSnapshot, cluster *clusterv1.Cluster) []string {
	binding := bindingOf(s, cluster)
	notes := notesOf(binding)
	var causes []string
	for _, ref := range s.Set.Spec.Resources {
		recorded := record(binding, s.Set.Name, ref)
		if isApplied(recorded) && (!reconciles(s.Set) || recorded.Hash == s.Contents[id(ref)].Hash) {
			continue
		}
		paused, why := machines.Paused(cluster, cluster)
		noted := notes[noteKey(s.Set.Name, ref)]
		switch {
		case paused:
			return []string{why}
		case !initialized(cluster):
			return []string{"its control plane is not initialized yet"}
		case noted.Cause != "":
			causes = append(causes, id(ref)+": "+noted.Cause)
		default:
			causes = append(causes, id(ref)+" has its turn next")
		}
	}
	return causes
}

// some joins the first of many.
func some(texts []string) string {
	const shown = 3
	if len(texts) > shown {
		return fmt.Sprintf("%s; and %d more", strings.Join(texts[:shown], "; "), len(texts)-shown)
	}
	return strings.Join(texts, "; ")
}
