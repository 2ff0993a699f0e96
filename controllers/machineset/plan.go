// SPDX-License-Identifier: Apache-2.0

package machineset

import (
	"fmt"
	"maps"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"

	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	"github.com/slipway-project/slipway/contract"
	"github.com/slipway-project/slipway/machines"
	"github.com/slipway-project/slipway/plan"
)

const (
	name = "machineset"

	updatingInPlace    = "UpdatingInPlace"
	completingMachines = "CompletingMachines"
	markingUpToDate    = "MarkingUpToDate"

	// readRecheck is how often to look again at objects that may not be read: no event
	// tells when they may.
	readRecheck = 10 * time.Second
)

var (
	kind        = clusterv1.GroupVersion.WithKind("MachineSet")
	machineKind = clusterv1.GroupVersion.WithKind("Machine")
)

// Plan decides what to do for a MachineSet.
func Plan(s Snapshot) plan.Plan[clusterv1.MachineSetStatus] {
	decided := decide(s)
	_, due := reporting(s)
	decided.Recheck = plan.Earliest(decided.Recheck, due)
	if s.Deployment != nil {
		if after, due := machines.RolloutDue(s.Deployment, s.Now); !due {
			decided.Recheck = plan.Earliest(decided.Recheck, after)
		}
	}
	return plan.Of(decided, status(s, decided.Outcome))
}

// decide goes through what can stand in the way, in order; the first that does has
// the word.
func decide(s Snapshot) plan.Decision {
	if paused, why := machines.Paused(s.Cluster, s.MachineSet); paused {
		return plan.Wait(clusterv1.PausedReason, why)
	}
	if s.MachineSet.DeletionTimestamp != nil {
		return deletion(s)
	}
	if s.Cluster == nil {
		return plan.Wait("ClusterNotFound", fmt.Sprintf("Cluster %s does not exist yet", s.MachineSet.Spec.ClusterName))
	}
	if s.Cluster.DeletionTimestamp != nil {
		return plan.Wait("ClusterDeleting", fmt.Sprintf("Cluster %s is being deleted", s.Cluster.Name))
	}
	if !slices.Contains(s.MachineSet.Finalizers, clusterv1.MachineSetFinalizer) || (s.Deployment == nil && !ownedByCluster(s)) {
		return plan.Act("Adopting", "", claim(s))
	}
	if adopted := adoptions(s); len(adopted) > 0 {
		return plan.Act("Adopting", "", adopted...)
	}
	// Machines are made and removed even if the template cannot be passed on, as when
	// a label in it is not valid.
	decided := keepNumber(s)
	if len(decided.Actions) > 0 {
		return decided
	}
	if followed := append(inPlace(s), inPlaceObjects(s)...); len(followed) > 0 {
		return plan.Act(updatingInPlace, "", followed...)
	}
	return decided
}

// keepNumber removes, replaces, completes and makes machines. What is too much goes first:
// that needs no template, and nothing is to be made for a machine that is to go.
func keepNumber(s Snapshot) plan.Decision {
	if surplus := surplus(s); len(surplus) > 0 {
		surplus = append(noteOrdinal(s), surplus...)
		return plan.Act(clusterv1.ScalingDownReason, fmt.Sprintf("from %d to %d Machines", len(owned(s)), replicas(s.MachineSet)), surplus...)
	}
	if len(staying(s)) < len(owned(s)) {
		if noted := noteOrdinal(s); len(noted) > 0 {
			return plan.Act("NotingOrdinal", "", noted...)
		}
	}
	if answered := remediation(s); len(answered) > 0 {
		return plan.Act(clusterv1.RemediatingReason, "", answered...)
	}
	if problem := templateProblem(s); problem != nil {
		return *problem
	}
	if completed, err := completions(s); err != nil {
		return plan.Block("InvalidTemplate", err.Error())
	} else if len(completed) > 0 {
		return plan.Act(completingMachines, "", completed...)
	}
	if marks := upToDateMarks(s); len(marks) > 0 {
		return plan.Act(markingUpToDate, "", marks...)
	}
	if problem := readProblem(s); problem != nil {
		return *problem
	}
	return scaleUp(s)
}

func ownedByCluster(s Snapshot) bool {
	return slices.ContainsFunc(s.MachineSet.OwnerReferences, func(r metav1.OwnerReference) bool { return r.UID == s.Cluster.UID })
}

// claim states the finalizer, the cluster's label and, when no MachineDeployment
// owns the set, the Cluster as owner.
func claim(s Snapshot) plan.Action {
	claim := plan.AddFinalizer(kind, s.MachineSet, clusterv1.MachineSetFinalizer)
	claim.Object.SetLabels(map[string]string{clusterv1.ClusterNameLabel: s.Cluster.Name})
	if s.Deployment == nil {
		claim.Object.SetOwnerReferences([]metav1.OwnerReference{*plan.OwnerReference(clusterv1.GroupVersion.WithKind("Cluster"), s.Cluster, false)})
	}
	return claim
}

// owned are the machines that count. Those on their way out are among them: one is
// replaced when it is gone, so that there are never more than were asked for, however
// long deletions take.
func owned(s Snapshot) []*clusterv1.Machine {
	return machines.ControlledBy(s.Machines, s.MachineSet.UID)
}

// staying are the owned machines that are not on their way out.
func staying(s Snapshot) []*clusterv1.Machine {
	return slices.DeleteFunc(owned(s), machines.Deleting)
}

func replicas(set *clusterv1.MachineSet) int {
	if set.Spec.Replicas == nil {
		return 1
	}
	return int(*set.Spec.Replicas)
}

func deletion(s Snapshot) plan.Decision {
	owned := owned(s)
	if len(owned) == 0 {
		if !slices.Contains(s.MachineSet.Finalizers, clusterv1.MachineSetFinalizer) {
			return plan.Wait(clusterv1.DeletingReason, "the other finalizers of the MachineSet are not removed yet")
		}
		return plan.Act(clusterv1.DeletionCompletedReason, "",
			plan.RemoveFinalizer(kind, s.MachineSet, clusterv1.MachineSetFinalizer, "all its Machines are gone"))
	}
	var deletes []plan.Action
	for _, machine := range owned {
		if !machines.Deleting(machine) {
			deletes = append(deletes, plan.Delete{On: plan.RefTo(machineKind, machine), Reason: "its MachineSet is being deleted"})
		}
	}
	if len(deletes) > 0 {
		return plan.Act(clusterv1.DeletingReason, "", deletes...)
	}
	return plan.Wait(clusterv1.DeletingReason, fmt.Sprintf("waiting for %d Machines to be gone: %s", len(owned), list(machines.Names(owned))))
}

// adopting matches the machines that the set takes when nobody controls them. An empty
// selector stands for the labels that the controller itself sets, which no other
// machine has: it never means every machine.
func adopting(machineSet *clusterv1.MachineSet) labels.Selector {
	selector, err := metav1.LabelSelectorAsSelector(&machineSet.Spec.Selector)
	if err != nil || selector.Empty() {
		return labels.Nothing()
	}
	return selector
}

// adoptions make this set the controller of machines that match its selector and
// have none.
func adoptions(s Snapshot) []plan.Action {
	var actions []plan.Action
	for _, machine := range s.Machines {
		if metav1.GetControllerOf(machine) != nil || machines.Deleting(machine) || !adopting(s.MachineSet).Matches(labels.Set(machine.Labels)) {
			continue
		}
		intent := plan.Partial(machineKind, machine)
		intent.SetOwnerReferences([]metav1.OwnerReference{*plan.OwnerReference(kind, s.MachineSet, true)})
		actions = append(actions, plan.Apply{Object: intent, Reason: "it matches the selector and has no controller"})
	}
	return actions
}

// templateProblem says why no machine could be made from the templates. Machines
// that are there already are not touched by it, so a set with all its machines goes on.
func templateProblem(s Snapshot) *plan.Decision {
	lacking := slices.ContainsFunc(staying(s), func(m *clusterv1.Machine) bool {
		return s.Missing[m.Name].Bootstrap || s.Missing[m.Name].Infrastructure
	})
	if len(owned(s)) >= replicas(s.MachineSet) && !lacking {
		return nil
	}
	for _, template := range []plan.Known[*contract.Object]{s.InfrastructureTemplate, s.BootstrapTemplate} {
		if !template.OK() {
			problem := plan.Block("TemplateNotAvailable", template.Err+"; create it, or correct the reference in spec.template of MachineSet "+s.MachineSet.Name)
			return &problem
		}
	}
	return nil
}

// readProblem says which objects of machines cannot be read. Whether they are there is
// not known, so that none is made, and nor are further machines, whose objects could not
// be read either.
func readProblem(s Snapshot) *plan.Decision {
	for _, machine := range sorted(staying(s)) {
		if unread := s.Missing[machine.Name].Err; unread != "" {
			problem := plan.Block("ObjectsNotReadable", fmt.Sprintf("it cannot be told whether the objects of Machine %s are there: %s", machine.Name, unread)).
				At(s.Now.Add(readRecheck))
			return &problem
		}
	}
	return nil
}

// machineLabels always hold what the selector matches, whatever the template says.
func machineLabels(s Snapshot) map[string]string {
	all := map[string]string{}
	maps.Copy(all, s.MachineSet.Spec.Template.Labels)
	maps.Copy(all, s.MachineSet.Spec.Selector.MatchLabels)
	all[clusterv1.ClusterNameLabel] = s.MachineSet.Spec.ClusterName
	all[clusterv1.MachineSetNameLabel] = machines.LabelValue(s.MachineSet.Name)
	if deployment := s.MachineSet.Labels[clusterv1.MachineDeploymentNameLabel]; deployment != "" {
		all[clusterv1.MachineDeploymentNameLabel] = deployment
	}
	return all
}

// surplus are the deletes of machines that are too many. Those on their way out come
// first, so that no other goes in their place.
func surplus(s Snapshot) []plan.Action {
	order := machines.DeletionOrder(owned(s), s.MachineSet.Spec.Deletion.Order)
	var deletes []plan.Action
	for _, machine := range order[:max(len(order)-replicas(s.MachineSet), 0)] {
		if !machines.Deleting(machine) {
			deletes = append(deletes, plan.Delete{On: plan.RefTo(machineKind, machine), Reason: "there are more Machines than asked for"})
		}
	}
	return deletes
}

// scaleUp makes machines until there are as many as asked for, and says what is waited
// for when nothing is to be made.
func scaleUp(s Snapshot) plan.Decision {
	have, want := len(owned(s)), replicas(s.MachineSet)
	going := have - len(staying(s))
	switch {
	case have < want && makesNone(s):
		return plan.Wait("MachineCreationDisabled", machines.CreationDisabled)
	case have < want:
		if problem := preflight(s); problem != nil {
			return *problem
		}
		actions, err := creations(s, want-have)
		if err != nil {
			return plan.Block("InvalidMachineNaming", err.Error())
		}
		return plan.Act(clusterv1.ScalingUpReason, fmt.Sprintf("from %d to %d Machines", have, want), actions...)
	case have > want:
		return plan.Wait(clusterv1.ScalingDownReason, fmt.Sprintf("waiting for %d Machines to be gone", going))
	case going > 0:
		return plan.Wait("MachinesDeleting", fmt.Sprintf("waiting for %d Machines to be gone, after which others are made", going))
	default:
		return plan.Settle("AllMachinesThere")
	}
}

// makesNone reports that the set is to make no Machines, by an annotation.
func makesNone(s Snapshot) bool {
	return s.MachineSet.Annotations[clusterv1.DisableMachineCreateAnnotation] == "true"
}

// naming gives the Machines their names.
func naming(s Snapshot) machines.Naming {
	template := s.MachineSet.Spec.MachineNaming.Template
	if template == "" {
		template = "{{ .machineSet.name }}-{{ .random }}"
	}
	return machines.Naming{
		Template: template, Owner: s.MachineSet, There: machines.Names(s.Machines),
		Values: map[string]any{
			"machineSet": map[string]any{"name": s.MachineSet.Name},
			"cluster":    map[string]any{"name": s.MachineSet.Spec.ClusterName},
		},
	}
}

// noteOrdinal is due before a Machine is gone, or its name would be given to the next.
func noteOrdinal(s Snapshot) []plan.Action {
	value, needed := naming(s).Note()
	if !needed {
		return nil
	}
	intent := plan.Partial(kind, s.MachineSet)
	intent.SetAnnotations(map[string]string{machines.NextAnnotation: value})
	return []plan.Action{plan.Apply{Object: intent, Aspect: "ordinal", Reason: "so that no name is given twice"}}
}

// creations are the Machines to add.
func creations(s Snapshot, count int) ([]plan.Action, error) {
	names, err := naming(s).Next(count)
	if err != nil {
		return nil, err
	}
	actions := make([]plan.Action, len(names))
	for i, machineName := range names {
		actions[i] = plan.Create{Object: newMachine(s, machineName), Reason: "there are fewer Machines than asked for"}
	}
	return actions, nil
}

func newMachine(s Snapshot, machineName string) *unstructured.Unstructured {
	template := s.MachineSet.Spec.Template
	machine := &clusterv1.Machine{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: s.MachineSet.Namespace, Name: machineName,
			Labels: machineLabels(s), Annotations: template.Annotations,
			OwnerReferences: []metav1.OwnerReference{*plan.OwnerReference(kind, s.MachineSet, true)},
			Finalizers:      []string{clusterv1.MachineFinalizer},
		},
		Spec: *template.Spec.DeepCopy(),
	}
	machine.Spec.ClusterName = s.MachineSet.Spec.ClusterName
	machine.Spec.InfrastructureRef = cloneRef(machine.Spec.InfrastructureRef, machineName)
	if machine.Spec.Bootstrap.ConfigRef.IsDefined() {
		machine.Spec.Bootstrap.ConfigRef = cloneRef(machine.Spec.Bootstrap.ConfigRef, machineName)
	}
	return plan.Intent(machineKind, machine)
}

func cloneRef(template clusterv1.ContractVersionedObjectReference, machineName string) clusterv1.ContractVersionedObjectReference {
	cloned := contract.ClonedKind(schema.GroupVersionKind{Group: template.APIGroup, Kind: template.Kind})
	return clusterv1.ContractVersionedObjectReference{APIGroup: template.APIGroup, Kind: cloned.Kind, Name: machineName}
}

func sorted(list []*clusterv1.Machine) []*clusterv1.Machine {
	return slices.SortedFunc(slices.Values(list), func(a, b *clusterv1.Machine) int {
		if a.Name < b.Name {
			return -1
		}
		return 1
	})
}

func list(names []string) string {
	const shown = 3
	if len(names) > shown {
		return fmt.Sprintf("%v and %d more", names[:shown], len(names)-shown)
	}
	return fmt.Sprintf("%v", names)
}

// invariants are what no plan for a MachineSet may break.
func invariants(s Snapshot, decided plan.Plan[clusterv1.MachineSetStatus]) []string {
	var broken []string
	created, deleted := 0, 0
	_, replaced := answers(s)
	for _, action := range decided.Actions {
		switch action := action.(type) {
		case plan.Create:
			if action.Object.GetKind() == machineKind.Kind {
				created++
			}
			if s.MachineSet.DeletionTimestamp != nil {
				broken = append(broken, fmt.Sprintf("%s: nothing is made for a MachineSet that is being deleted", action))
			}
		case plan.Delete:
			if !slices.ContainsFunc(replaced, func(m *clusterv1.Machine) bool { return m.UID == action.On.UID }) {
				deleted++
			}
			if !slices.ContainsFunc(owned(s), func(m *clusterv1.Machine) bool { return m.UID == action.On.UID }) {
				broken = append(broken, fmt.Sprintf("%s: it is not a Machine of this MachineSet", action))
			}
		}
	}
	want := replicas(s.MachineSet)
	if have := len(owned(s)); created > 0 && have+created > want {
		broken = append(broken, fmt.Sprintf("%d Machines would be made where %d of %d are there", created, have, want))
	}
	if stay := len(staying(s)); s.MachineSet.DeletionTimestamp == nil && deleted > 0 && stay-deleted < want {
		broken = append(broken, fmt.Sprintf("%d Machines would be removed where %d of %d stay", deleted, stay, want))
	}
	return broken
}
