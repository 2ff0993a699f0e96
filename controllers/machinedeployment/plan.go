// SPDX-License-Identifier: Apache-2.0

package machinedeployment

import (
	"fmt"
	"maps"
	"slices"
	"strconv"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	"github.com/slipway-project/slipway/machines"
	"github.com/slipway-project/slipway/plan"
)

const (
	name = "machinedeployment"

	clusterNotFound    = "ClusterNotFound"
	rolloutsPaused     = "RolloutsPaused"
	scaling            = "Scaling"
	updatingInPlace    = "UpdatingInPlace"
	machineSetDeleting = "MachineSetDeleting"
	invalidStrategy    = "InvalidStrategy"
)

var (
	kind    = clusterv1.GroupVersion.WithKind("MachineDeployment")
	setKind = clusterv1.GroupVersion.WithKind("MachineSet")
)

// Plan decides what to do for a MachineDeployment.
func Plan(s Snapshot) plan.Plan[clusterv1.MachineDeploymentStatus] {
	decided := decide(s)
	_, due := reporting(s)
	decided.Recheck = plan.Earliest(decided.Recheck, due)
	if after, due := machines.RolloutDue(s.Deployment, s.Now); !due {
		decided.Recheck = plan.Earliest(decided.Recheck, after)
	}
	return plan.Of(decided, status(s, decided.Outcome))
}

func decide(s Snapshot) plan.Decision {
	if paused, why := machines.Paused(s.Cluster, s.Deployment); paused {
		return plan.Wait(clusterv1.PausedReason, why)
	}
	if s.Deployment.DeletionTimestamp != nil {
		return deletion(s)
	}
	if s.Cluster == nil {
		return plan.Wait(clusterNotFound, fmt.Sprintf("Cluster %s does not exist yet", s.Deployment.Spec.ClusterName))
	}
	if s.Cluster.DeletionTimestamp != nil {
		return plan.Wait("ClusterDeleting", fmt.Sprintf("Cluster %s is being deleted", s.Cluster.Name))
	}
	if claim := claim(s); plan.NeedsApply(plan.Live(kind, s.Deployment), claim.Object, plan.Manager(name, claim.Aspect), "") {
		if slices.Contains(s.Deployment.Finalizers, clusterv1.MachineDeploymentFinalizer) {
			claim.Reason = "its revision is that of its current MachineSet"
			return plan.Act("UpdatingMetadata", "", claim)
		}
		return plan.Act("Adopting", "", claim)
	}
	if _, _, err := machines.RolloutLimits(s.Deployment.Spec.Rollout.Strategy, int(replicas(s.Deployment))); err != nil {
		return plan.Block(invalidStrategy, "spec.rollout.strategy.rollingUpdate: "+err.Error())
	}
	return roll(s)
}

// pausesRollouts reports that no MachineSet is to be made for the template, and no Machine
// to be replaced. That is all that spec.paused does: the number of Machines, what can be
// changed in them and the deletion go on.
func pausesRollouts(s Snapshot) bool {
	return s.Deployment.Spec.Paused != nil && *s.Deployment.Spec.Paused
}

func replicas(deployment *clusterv1.MachineDeployment) int32 {
	if deployment.Spec.Replicas == nil {
		return 1
	}
	return *deployment.Spec.Replicas
}

// claim states the finalizer, the cluster's label and the Cluster as owner, and the
// revision of the current MachineSet.
func claim(s Snapshot) plan.Apply {
	claim := plan.AddFinalizer(kind, s.Deployment, clusterv1.MachineDeploymentFinalizer)
	claim.Object.SetLabels(map[string]string{clusterv1.ClusterNameLabel: s.Cluster.Name})
	claim.Object.SetOwnerReferences([]metav1.OwnerReference{
		*plan.OwnerReference(clusterv1.GroupVersion.WithKind("Cluster"), s.Cluster, false),
	})
	// The revision is what the cluster autoscaler and kubectl tell rollouts by.
	revision := max(highestRevision(s.Sets), 1)
	if current := currentSet(s); current != nil {
		revision = currentRevision(s, current)
	}
	claim.Object.SetAnnotations(map[string]string{clusterv1.RevisionAnnotation: strconv.Itoa(revision)})
	return claim
}

// revisionOf is 0 for a set that has none.
func revisionOf(set *clusterv1.MachineSet) int {
	revision, err := strconv.Atoi(set.Annotations[clusterv1.RevisionAnnotation])
	if err != nil {
		return 0
	}
	return max(revision, 0)
}

func highestRevision(sets []*clusterv1.MachineSet) int {
	highest := 0
	for _, set := range sets {
		highest = max(highest, revisionOf(set))
	}
	return highest
}

// currentSet is the oldest set whose machines are those asked for; nil if there is none.
func currentSet(s Snapshot) *clusterv1.MachineSet {
	for _, set := range bySeniority(s.Sets) {
		if set.DeletionTimestamp == nil && len(machines.Outdated(set, s.Deployment, s.Now)) == 0 {
			return set
		}
	}
	return nil
}

// stayingSets are the sets that are not being deleted, and those that are; the oldest
// come first.
func stayingSets(s Snapshot) (staying, going []*clusterv1.MachineSet) {
	for _, set := range bySeniority(s.Sets) {
		if set.DeletionTimestamp == nil {
			staying = append(staying, set)
		} else {
			going = append(going, set)
		}
	}
	return staying, going
}

func bySeniority(sets []*clusterv1.MachineSet) []*clusterv1.MachineSet {
	return slices.SortedFunc(slices.Values(sets), func(a, b *clusterv1.MachineSet) int {
		if by := a.CreationTimestamp.Compare(b.CreationTimestamp.Time); by != 0 {
			return by
		}
		if a.Name < b.Name {
			return -1
		}
		return 1
	})
}

func deletion(s Snapshot) plan.Decision {
	if len(s.Sets) == 0 {
		if !slices.Contains(s.Deployment.Finalizers, clusterv1.MachineDeploymentFinalizer) {
			return plan.Wait(clusterv1.DeletingReason, "the other finalizers of the MachineDeployment are not removed yet")
		}
		return plan.Act(clusterv1.DeletionCompletedReason, "",
			plan.RemoveFinalizer(kind, s.Deployment, clusterv1.MachineDeploymentFinalizer, "all its MachineSets are gone"))
	}
	var deletes []plan.Action
	for _, set := range bySeniority(s.Sets) {
		if set.DeletionTimestamp == nil {
			deletes = append(deletes, plan.Delete{On: plan.RefTo(setKind, set), Reason: "its MachineDeployment is being deleted"})
		}
	}
	if len(deletes) > 0 {
		return plan.Act(clusterv1.DeletingReason, "", deletes...)
	}
	return plan.Wait(clusterv1.DeletingReason, fmt.Sprintf("waiting for %d MachineSets with %d Machines to be gone", len(s.Sets), len(s.Machines)))
}

func merged(base, over map[string]string) map[string]string {
	out := make(map[string]string, len(base)+len(over))
	maps.Copy(out, base)
	maps.Copy(out, over)
	return out
}

// invariants are what no plan for a MachineDeployment may break.
func invariants(s Snapshot, decided plan.Plan[clusterv1.MachineDeploymentStatus]) []string {
	var broken []string
	fleet, sets := fleetOf(s)
	most, grown := 0, 0
	for i, set := range sets {
		share := fleet.Shares[i]
		most += max(share.Replicas, share.Seen)
		for _, action := range decided.Actions {
			if action.Target().UID != set.UID {
				continue
			}
			switch action := action.(type) {
			case plan.Apply:
				if count, found, err := unstructured.NestedInt64(action.Object.Object, "spec", "replicas"); found && err == nil {
					grown += max(int(count)-max(share.Replicas, share.Seen), 0)
				}
			case plan.Delete:
				if s.Deployment.DeletionTimestamp == nil && (share.Seen > 0 || share.Replicas > 0) {
					broken = append(broken, fmt.Sprintf("%s: it has Machines", action))
				}
			}
		}
	}
	created := 0
	for _, action := range decided.Actions {
		create, ok := action.(plan.Create)
		if !ok {
			continue
		}
		created++
		if s.Deployment.DeletionTimestamp != nil {
			broken = append(broken, fmt.Sprintf("%s: nothing is made for a MachineDeployment that is being deleted", create))
		}
		if currentSet(s) != nil || created > 1 {
			broken = append(broken, fmt.Sprintf("%s: there is a MachineSet of the template already", create))
		}
		if count, found, err := unstructured.NestedInt64(create.Object.Object, "spec", "replicas"); found && err == nil {
			grown += int(count)
		}
	}
	if grown > 0 && most+grown > max(fleet.Limit(), fleet.Replicas) {
		broken = append(broken, fmt.Sprintf("%d Machines more would be asked for where there may be %d of %d", grown, most, fleet.Limit()))
	}
	return broken
}
