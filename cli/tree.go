// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	addonsv1 "github.com/slipway-project/slipway/api/addons/v1beta2"
	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	"github.com/slipway-project/slipway/conditions"
	"github.com/slipway-project/slipway/contract"
	"github.com/slipway-project/slipway/machines"
)

// branch is an object in the tree of a cluster, with what is shown of it.
type branch struct {
	// Title is "Kind/name", with its role before it where it has one.
	Title                                string
	Replicas, Available, Ready, UpToDate string
	// Condition is the one that sums the object up; nil where it has none.
	Condition *metav1.Condition
	// Conditions are all, where they are asked for.
	Conditions []metav1.Condition
	Children   []branch
}

// treeOptions say how much of a tree is wanted.
type treeOptions struct {
	// Grouping draws equal machines together.
	Grouping bool
	// Sets shows MachineSets between MachineDeployments and Machines.
	Sets bool
	// Conditions names what to show all conditions of: "all", a kind, or kind/name.
	Conditions []string
}

// all tells whether all conditions of an object are asked for.
func (o treeOptions) all(kind, name string) bool {
	return slices.ContainsFunc(o.Conditions, func(asked string) bool {
		return asked == "all" || strings.EqualFold(asked, kind) || strings.EqualFold(asked, kind+"/"+name)
	})
}

// tree draws a family up.
func tree(f family, o treeOptions) branch {
	root := o.branch("", clusterKind.Kind, &f.Cluster.ObjectMeta, f.Cluster.Status.Conditions, clusterv1.AvailableCondition)
	if isTrue(f.Cluster.Spec.Paused) {
		root.Title += " (paused)"
	}
	if counted := f.Cluster.Status.ControlPlane; counted != nil {
		root.count(sum(counted.Replicas, workersOf(f).Replicas), sum(counted.DesiredReplicas, workersOf(f).DesiredReplicas),
			sum(counted.AvailableReplicas, workersOf(f).AvailableReplicas), sum(counted.ReadyReplicas, workersOf(f).ReadyReplicas),
			sum(counted.UpToDateReplicas, workersOf(f).UpToDateReplicas))
	}
	root.Children = append(root.Children, referred(o, "ClusterInfrastructure", f.Infrastructure, f.Cluster.Spec.InfrastructureRef, clusterv1.ReadyCondition)...)
	controlPlane := referred(o, "ControlPlane", f.ControlPlane, f.Cluster.Spec.ControlPlaneRef, clusterv1.AvailableCondition)
	if len(controlPlane) > 0 {
		if f.ControlPlane != nil {
			counters := f.ControlPlane.Replicas()
			controlPlane[0].count(counters.Current, counters.Desired, counters.Available, counters.Ready, counters.UpToDate)
		}
		controlPlane[0].Children = append(controlPlane[0].Children, o.machines(f.controlPlaneMachines())...)
	}
	root.Children = append(root.Children, controlPlane...)
	if workers := o.workers(f); len(workers.Children) > 0 {
		root.Children = append(root.Children, workers)
	}
	if len(f.HealthChecks) > 0 {
		checks := branch{Title: "MachineHealthChecks"}
		for _, check := range f.HealthChecks {
			checks.Children = append(checks.Children, o.healthCheck(check))
		}
		root.Children = append(root.Children, checks)
	}
	if len(f.ResourceSets) > 0 {
		sets := branch{Title: "ClusterResourceSets"}
		for _, set := range f.ResourceSets {
			sets.Children = append(sets.Children, o.branch("", clusterResourceSetKind.Kind, &set.ObjectMeta, set.Status.Conditions, addonsv1.ResourcesAppliedCondition))
		}
		root.Children = append(root.Children, sets)
	}
	if len(f.Others) > 0 {
		others := branch{Title: "Others"}
		for _, other := range f.Others {
			others.Children = append(others.Children, o.branch("", other.GetKind(), other, conditionsOf(other), clusterv1.ReadyCondition))
		}
		root.Children = append(root.Children, others)
	}
	return root
}

func workersOf(f family) clusterv1.WorkersStatus {
	if f.Cluster.Status.Workers == nil {
		return clusterv1.WorkersStatus{}
	}
	return *f.Cluster.Status.Workers
}

func sum(a, b *int32) *int32 {
	if a == nil {
		return nil
	}
	total := *a + valueOr(b, 0)
	return &total
}

// branch is the row of one object.
func (o treeOptions) branch(role, kind string, object metav1.Object, all []metav1.Condition, summary string) branch {
	b := branch{Title: kind + "/" + object.GetName(), Condition: conditions.Find(all, summary)}
	if role != "" {
		b.Title = role + " - " + b.Title
	}
	if object.GetDeletionTimestamp() != nil {
		b.Title += " (deleting)"
		if deleting := conditions.Find(all, clusterv1.DeletingCondition); deleting != nil {
			b.Condition = deleting
		}
	}
	if changing := progressing(all); changing != nil && b.Condition != nil && b.Condition.Status == metav1.ConditionTrue && object.GetDeletionTimestamp() == nil {
		b.Condition = changing
	}
	if _, paused := object.GetAnnotations()[clusterv1.PausedAnnotation]; paused {
		b.Title += " (paused)"
	}
	if o.all(kind, object.GetName()) {
		b.Conditions = all
	}
	return b
}

// progressing is the condition by which an object that is well is still being changed;
// nil where it is not.
func progressing(all []metav1.Condition) *metav1.Condition {
	for _, name := range []string{
		clusterv1.RemediatingCondition, clusterv1.UpdatingCondition, clusterv1.RollingOutCondition, clusterv1.ScalingDownCondition, clusterv1.ScalingUpCondition,
	} {
		if found := conditions.Find(all, name); found != nil && found.Status == metav1.ConditionTrue {
			return found
		}
	}
	return nil
}

// healthCheck is the row of a MachineHealthCheck: how many machines it watches over, and
// how many of them are healthy.
func (o treeOptions) healthCheck(check *contract.Object) branch {
	b := o.branch("", check.GetKind(), check, conditionsOf(check), clusterv1.RemediationAllowedCondition)
	counted := func(field string) *int32 {
		value, found, err := unstructured.NestedInt64(check.Object, "status", field)
		if err != nil || !found {
			return nil
		}
		count := int32(value)
		return &count
	}
	b.count(counted("currentHealthy"), counted("expectedMachines"), nil, nil, nil)
	return b
}

// referred is the row of an object that the Cluster refers to, whether or not it is
// there.
func referred(o treeOptions, role string, object *contract.Object, field clusterv1.ContractVersionedObjectReference, summary string) []branch {
	switch {
	case object != nil:
		return []branch{o.branch(role, object.GetKind(), object, conditionsOf(object), summary)}
	case field.IsDefined():
		return []branch{{Title: fmt.Sprintf("%s - %s/%s (does not exist)", role, field.Kind, field.Name)}}
	default:
		return nil
	}
}

// count sets the columns of numbers.
func (b *branch) count(current, desired, available, ready, upToDate *int32) {
	if desired != nil {
		b.Replicas = fmt.Sprintf("%d/%d", valueOr(current, 0), *desired)
	} else {
		b.Replicas = number(current)
	}
	b.Available, b.Ready, b.UpToDate = number(available), number(ready), number(upToDate)
}

func number(value *int32) string {
	if value == nil {
		return ""
	}
	return strconv.Itoa(int(*value))
}

func (o treeOptions) workers(f family) branch {
	workers := branch{Title: "Workers"}
	left := f.workers()
	take := func(belongs func(clusterv1.Machine) bool) []clusterv1.Machine {
		var taken []clusterv1.Machine
		left = slices.DeleteFunc(left, func(m clusterv1.Machine) bool {
			if belongs(m) {
				taken = append(taken, m)
				return true
			}
			return false
		})
		return taken
	}
	inSet := func(set clusterv1.MachineSet) func(clusterv1.Machine) bool {
		return func(m clusterv1.Machine) bool { return metav1.IsControlledBy(&m, &set) }
	}
	setBranch := func(set clusterv1.MachineSet) branch {
		b := o.branch("", machineSetKind.Kind, &set.ObjectMeta, set.Status.Conditions, clusterv1.MachinesReadyCondition)
		b.count(set.Status.Replicas, set.Spec.Replicas, set.Status.AvailableReplicas, set.Status.ReadyReplicas, set.Status.UpToDateReplicas)
		b.Children = o.machines(take(inSet(set)))
		return b
	}
	shown := map[string]bool{}
	for _, deployment := range f.Deployments {
		b := o.branch("", machineDeploymentKind.Kind, &deployment.ObjectMeta, deployment.Status.Conditions, clusterv1.AvailableCondition)
		if isTrue(deployment.Spec.Paused) {
			b.Title += " (paused)"
		}
		b.count(deployment.Status.Replicas, deployment.Spec.Replicas, deployment.Status.AvailableReplicas, deployment.Status.ReadyReplicas, deployment.Status.UpToDateReplicas)
		sets := f.setsOf(deployment)
		used := slices.DeleteFunc(slices.Clone(sets), func(set clusterv1.MachineSet) bool {
			return valueOr(set.Spec.Replicas, 1) == 0 && len(f.machinesOfSet(set)) == 0
		})
		var mine []clusterv1.Machine
		for _, set := range sets {
			shown[set.Name] = true
			switch {
			case o.Sets || (len(used) > 1 && slices.ContainsFunc(used, func(u clusterv1.MachineSet) bool { return u.Name == set.Name })):
				// While machines roll from one to another it counts which they belong to.
				b.Children = append(b.Children, setBranch(set))
			default:
				mine = append(mine, take(inSet(set))...)
			}
		}
		b.Children = append(b.Children, o.machines(mine)...)
		workers.Children = append(workers.Children, b)
	}
	for _, set := range f.Sets {
		if !shown[set.Name] {
			workers.Children = append(workers.Children, setBranch(set))
		}
	}
	workers.Children = append(workers.Children, o.machines(left)...)
	return workers
}

// machines are the rows of Machines; equal ones are drawn together.
func (o treeOptions) machines(list []clusterv1.Machine) []branch {
	var rows []branch
	var groups [][]clusterv1.Machine
	for _, machine := range list {
		at := -1
		if o.Grouping && !o.all(machineKind.Kind, machine.Name) {
			at = slices.IndexFunc(groups, func(g []clusterv1.Machine) bool { return alike(g[0], machine) })
		}
		if at < 0 {
			groups = append(groups, []clusterv1.Machine{machine})
		} else {
			groups[at] = append(groups[at], machine)
		}
	}
	for _, group := range groups {
		rows = append(rows, o.machineBranch(group))
	}
	return rows
}

// alike tells that two Machines show the same.
func alike(a, b clusterv1.Machine) bool {
	if machines.Deleting(&a) != machines.Deleting(&b) {
		return false
	}
	for _, conditionType := range []string{clusterv1.ReadyCondition, clusterv1.AvailableCondition, clusterv1.UpToDateCondition, clusterv1.DeletingCondition} {
		x, y := conditions.Find(a.Status.Conditions, conditionType), conditions.Find(b.Status.Conditions, conditionType)
		if (x == nil) != (y == nil) || (x != nil && (x.Status != y.Status || x.Reason != y.Reason)) {
			return false
		}
	}
	return true
}

func (o treeOptions) machineBranch(group []clusterv1.Machine) branch {
	first := group[0]
	b := o.branch("", machineKind.Kind, &first.ObjectMeta, first.Status.Conditions, clusterv1.ReadyCondition)
	counted := func(conditionType string) *int32 {
		var count int32
		for _, machine := range group {
			if conditions.Is(machine.Status.Conditions, conditionType, metav1.ConditionTrue) {
				count++
			}
		}
		return &count
	}
	total := int32(len(group))
	b.count(&total, nil, counted(clusterv1.AvailableCondition), counted(clusterv1.ReadyCondition), counted(clusterv1.UpToDateCondition))
	if len(group) == 1 {
		return b
	}
	b.Title = fmt.Sprintf("%d Machines...", len(group))
	if machines.Deleting(&first) {
		b.Title += " (deleting)"
	}
	if b.Condition == nil {
		b.Condition = &metav1.Condition{}
	}
	shown := *b.Condition
	shown.Message = "See " + someNames(group)
	b.Condition = &shown
	return b
}

func someNames(group []clusterv1.Machine) string {
	const limit = 3
	var list []string
	for _, machine := range group[:min(limit, len(group))] {
		list = append(list, machine.Name)
	}
	text := strings.Join(list, ", ")
	if len(group) > limit {
		text += ", ..."
	}
	return text
}
