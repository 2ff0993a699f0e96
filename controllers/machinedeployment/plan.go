// SPDX-License-Identifier: Apache-2.0

package machinedeployment

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/api/equality"
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
)

// firstRevision is the revision of a MachineDeployment's only MachineSet.
const firstRevision = "1"

var (
	kind    = clusterv1.GroupVersion.WithKind("MachineDeployment")
	setKind = clusterv1.GroupVersion.WithKind("MachineSet")
)

// Plan decides what to do for a MachineDeployment.
func Plan(s Snapshot) plan.Plan[clusterv1.MachineDeploymentStatus] {
	decided := decide(s)
	_, due := reporting(s)
	decided.Recheck = plan.Earliest(decided.Recheck, due)
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
		return plan.Act("Adopting", "", claim)
	}
	if len(s.Sets) == 0 && pausesRollouts(s) {
		return plan.Wait(rolloutsPaused, "no MachineSet is made for spec.template while spec.paused is true")
	}
	if len(s.Sets) == 0 {
		return plan.Act("CreatingMachineSet", "", plan.Create{Object: newSet(s), Reason: "there is no MachineSet for the template yet"})
	}
	staying, going := stayingSets(s)
	if len(staying) == 0 {
		// The new one will have the same name.
		return plan.Wait(machineSetDeleting, fmt.Sprintf("waiting for MachineSet %s to be gone, after which a new one is made", going[0].Name))
	}
	return keepSet(s, staying, going)
}

// keepSet keeps the set of the template as it should be. Where none is of the template,
// the Machines are kept as they are: their number, and what can be changed in them,
// follow the MachineDeployment still.
func keepSet(s Snapshot, staying, going []*clusterv1.MachineSet) plan.Decision {
	set := currentSet(s)
	outdated := set == nil
	if outdated {
		set = staying[len(staying)-1]
	}
	if sync := syncReplicas(s, set); sync != nil {
		return plan.Act(scaling, fmt.Sprintf("MachineSet %s to %d replicas", set.Name, replicas(s.Deployment)), sync)
	}
	// Not in one wave with the number: that is kept even if the template cannot be
	// passed on, as when a label in it is not valid.
	if patch, needed := inPlace(s, set); needed {
		return plan.Act(updatingInPlace, "MachineSet "+set.Name, patch)
	}
	switch {
	case outdated:
		return plan.Block("TemplateChanged", templateChanged(s))
	case selectorChanged(s, set):
		return plan.Block("SelectorChanged", fmt.Sprintf(
			"spec.selector is not that of MachineSet %s, by which its Machines are found and which cannot change; "+
				"set spec.selector and the labels in spec.template that it asks for back, or create another MachineDeployment with them and delete this one", set.Name))
	case len(going) > 0:
		return plan.Wait("ScalingMachineSet", fmt.Sprintf("waiting for MachineSet %s to be gone", going[0].Name))
	case len(s.Machines) != int(replicas(s.Deployment)):
		return plan.Wait("ScalingMachineSet", fmt.Sprintf("MachineSet %s has %d of %d Machines", set.Name, len(s.Machines), replicas(s.Deployment)))
	default:
		return plan.Settle("MachineSetUpToDate")
	}
}

// pausesRollouts reports that no MachineSet is to be made for the template. That is all
// that spec.paused does: the number of Machines, what can be changed in them and the
// deletion go on.
func pausesRollouts(s Snapshot) bool {
	return s.Deployment.Spec.Paused != nil && *s.Deployment.Spec.Paused
}

func replicas(deployment *clusterv1.MachineDeployment) int32 {
	if deployment.Spec.Replicas == nil {
		return 1
	}
	return *deployment.Spec.Replicas
}

// claim states the finalizer, the cluster's label and the Cluster as owner.
func claim(s Snapshot) plan.Apply {
	claim := plan.AddFinalizer(kind, s.Deployment, clusterv1.MachineDeploymentFinalizer)
	claim.Object.SetLabels(map[string]string{clusterv1.ClusterNameLabel: s.Cluster.Name})
	claim.Object.SetOwnerReferences([]metav1.OwnerReference{
		*plan.OwnerReference(clusterv1.GroupVersion.WithKind("Cluster"), s.Cluster, false),
	})
	// The revision is what the cluster autoscaler and kubectl tell rollouts by.
	claim.Object.SetAnnotations(map[string]string{clusterv1.RevisionAnnotation: firstRevision})
	return claim
}

// currentSet is the set whose template makes the machines asked for; nil if none does.
func currentSet(s Snapshot) *clusterv1.MachineSet {
	for _, set := range bySeniority(s.Sets) {
		if set.DeletionTimestamp == nil && machines.SameMachines(set.Spec.Template, s.Deployment.Spec.Template) {
			return set
		}
	}
	return nil
}

// templateChanged says that the sets that stay make other machines than are asked for;
// empty when one makes these or when there is none.
func templateChanged(s Snapshot) string {
	staying, _ := stayingSets(s)
	if len(staying) == 0 || currentSet(s) != nil {
		return ""
	}
	return fmt.Sprintf("spec.template asks for other Machines than those of MachineSet %s, and this version of Slipway does not replace Machines; "+
		"set spec.template back, or create another MachineDeployment with the new template and delete this one", staying[len(staying)-1].Name)
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

// templateHash tells the sets of one MachineDeployment apart. It follows from the
// template, so that a plan made twice arrives at one set. Nothing else is decided by
// it: whether machines are up to date is decided field by field.
func templateHash(s Snapshot) string {
	template := s.Deployment.Spec.Template.DeepCopy()
	template.ObjectMeta = clusterv1.ObjectMeta{}
	raw, err := json.Marshal(template.Spec)
	if err != nil {
		panic(fmt.Sprintf("write the template of MachineDeployment %s: %v", s.Deployment.Name, err))
	}
	return machines.Suffix(string(s.Deployment.UID), string(raw))
}

func newSet(s Snapshot) *unstructured.Unstructured {
	hash := templateHash(s)
	selector := s.Deployment.Spec.Selector.DeepCopy()
	selector.MatchLabels = merged(selector.MatchLabels, map[string]string{clusterv1.MachineDeploymentUniqueLabel: hash})
	template := templateFor(s, *selector)
	count := replicas(s.Deployment)
	set := &clusterv1.MachineSet{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: s.Deployment.Namespace, Name: setName(s.Deployment.Name, hash),
			Labels:          template.Labels,
			Annotations:     annotations(s),
			OwnerReferences: []metav1.OwnerReference{*plan.OwnerReference(kind, s.Deployment, true)},
			Finalizers:      []string{clusterv1.MachineSetFinalizer},
		},
		Spec: clusterv1.MachineSetSpec{
			ClusterName: s.Deployment.Spec.ClusterName, Replicas: &count, Selector: *selector, Template: *template,
			MachineNaming: s.Deployment.Spec.MachineNaming,
			Deletion:      deletionOrder(s),
		},
	}
	return plan.Intent(setKind, set)
}

// templateFor is the template of a set with the selector given. Its labels always hold
// what the selector matches, machine-template-hash with it: a set whose selector does
// not match its own Machines is refused by the server.
func templateFor(s Snapshot, selector metav1.LabelSelector) *clusterv1.MachineTemplateSpec {
	template := s.Deployment.Spec.Template.DeepCopy()
	template.Labels = merged(merged(template.Labels, map[string]string{
		clusterv1.ClusterNameLabel: s.Cluster.Name, clusterv1.MachineDeploymentNameLabel: machines.LabelValue(s.Deployment.Name),
	}), selector.MatchLabels)
	return template
}

func selectorChanged(s Snapshot, set *clusterv1.MachineSet) bool {
	was := set.Spec.Selector.DeepCopy()
	delete(was.MatchLabels, clusterv1.MachineDeploymentUniqueLabel)
	return !equality.Semantic.DeepEqual(*was, s.Deployment.Spec.Selector)
}

// setName leaves room for the suffix of the machines.
func setName(deployment, hash string) string {
	if longest := machines.MaxNameLength - 2*(len(hash)+1); len(deployment) > longest {
		deployment = strings.TrimRight(deployment[:longest], "-.")
	}
	return deployment + "-" + hash
}

func annotations(s Snapshot) map[string]string {
	count := strconv.Itoa(int(replicas(s.Deployment)))
	return map[string]string{
		clusterv1.RevisionAnnotation: firstRevision, clusterv1.DesiredReplicasAnnotation: count,
	}
}

// syncReplicas states the number of machines; nil when the set has it already.
func syncReplicas(s Snapshot, set *clusterv1.MachineSet) plan.Action {
	intent := plan.Partial(setKind, set)
	intent.SetAnnotations(annotations(s))
	intent.Object["spec"] = map[string]any{"replicas": int64(replicas(s.Deployment))}
	if !plan.NeedsApply(plan.Live(setKind, set), intent, plan.Manager(name), "") {
		return nil
	}
	return plan.Apply{Object: intent, Reason: "the MachineDeployment asks for it"}
}

// deletionOrder states the default too, as the server fills it in for a MachineSet; see
// plan.Follow.
func deletionOrder(s Snapshot) clusterv1.MachineSetDeletionSpec {
	return clusterv1.MachineSetDeletionSpec{Order: cmp.Or(s.Deployment.Spec.Deletion.Order, clusterv1.RandomMachineSetDeletionOrder)}
}

// inPlace passes on to the set what can be changed while its machines live on.
func inPlace(s Snapshot, set *clusterv1.MachineSet) (plan.Patch, bool) {
	template := templateFor(s, set.Spec.Selector)
	wanted := plan.Intent(setKind, &clusterv1.MachineSet{
		ObjectMeta: metav1.ObjectMeta{Labels: template.Labels},
		Spec: clusterv1.MachineSetSpec{
			Template: *template, MachineNaming: s.Deployment.Spec.MachineNaming,
			Deletion: deletionOrder(s),
		},
	})
	fields := append([]string{"/metadata/labels", "/spec/deletion", "/spec/machineNaming", "/spec/template/metadata"}, machines.InPlace("/spec/template/spec")...)
	return plan.Follow(setKind, set, wanted, name, "the MachineDeployment asks for it", fields...)
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
	for _, action := range decided.Actions {
		create, ok := action.(plan.Create)
		if !ok {
			continue
		}
		if s.Deployment.DeletionTimestamp != nil {
			broken = append(broken, fmt.Sprintf("%s: nothing is made for a MachineDeployment that is being deleted", create))
		}
		if len(s.Sets) > 0 {
			broken = append(broken, fmt.Sprintf("%s: there is a MachineSet already", create))
		}
	}
	return broken
}
