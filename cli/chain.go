// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	addonsv1 "github.com/slipway-project/slipway/api/addons/v1beta2"
	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	"github.com/slipway-project/slipway/conditions"
	"github.com/slipway-project/slipway/contract"
	"github.com/slipway-project/slipway/machines"
)

// member is one object of a family, of whatever kind.
type member struct {
	Kind       string
	Object     metav1.Object
	Conditions []metav1.Condition
}

func (m member) title() string { return m.Kind + "/" + m.Object.GetName() }

// link is one object of a chain, with the condition that tells why it is not done.
type link struct {
	member
	Condition metav1.Condition
}

// chain leads from an object that is not done to what that comes from.
type chain struct {
	// Links begin with the object that was asked for; none means that it is done.
	Links []link
	// Beside are other objects that are not done either, where the chain could have
	// gone on with them; of an object that is done those below it.
	Beside []string
	// Mend is true when nothing goes on until somebody mends the last one.
	Mend bool
}

// deciding are the conditions by which an object is done or not, the first that is not
// as it should be counts. Machines are not told here to be out of date: that is for those
// who replace them.
var deciding = []string{
	clusterv1.ReadyCondition, clusterv1.UpdatingCondition, clusterv1.AvailableCondition, clusterv1.RemediatingCondition, clusterv1.RollingOutCondition,
	clusterv1.ScalingDownCondition, clusterv1.ScalingUpCondition, clusterv1.MachinesReadyCondition, clusterv1.MachinesUpToDateCondition,
	clusterv1.TopologyReconciledCondition, clusterv1.RemediationAllowedCondition, addonsv1.ResourcesAppliedCondition,
}

// decides is the condition by which an object is not done; nil when it is done.
func (m member) decides() *metav1.Condition {
	if paused := conditions.Find(m.Conditions, clusterv1.PausedCondition); paused != nil && paused.Status == metav1.ConditionTrue {
		return paused
	}
	if at := m.Object.GetDeletionTimestamp(); at != nil {
		if found := conditions.Find(m.Conditions, clusterv1.DeletingCondition); found != nil && found.Status == metav1.ConditionTrue {
			return found
		}
		return &metav1.Condition{
			Type: clusterv1.DeletingCondition, Status: metav1.ConditionTrue, Reason: clusterv1.DeletingReason, LastTransitionTime: *at,
			Message: "its controller has not told yet what it waits for",
		}
	}
	for _, name := range deciding {
		if found := conditions.Find(m.Conditions, name); found != nil && abnormal(*found) {
			return found
		}
	}
	if len(m.Conditions) == 0 && reportsConditions(m.Kind) {
		return &metav1.Condition{
			Type: clusterv1.ReadyCondition, Status: metav1.ConditionUnknown, Reason: "NotReported", LastTransitionTime: m.Object.GetCreationTimestamp(),
			Message: "no controller has told anything about it yet",
		}
	}
	return nil
}

func abnormal(condition metav1.Condition) bool {
	if negative[condition.Type] {
		return condition.Status == metav1.ConditionTrue
	}
	return condition.Status != metav1.ConditionTrue
}

// reportsConditions tells that an object of a kind is expected to have conditions: one
// without is new, or has no controller.
func reportsConditions(kind string) bool {
	return slices.Contains([]string{clusterKind.Kind, machineKind.Kind, machineSetKind.Kind, machineDeploymentKind.Kind, kubeadmControlPlaneKind.Kind,
		kubeadmConfigKind.Kind, dockerClusterKind.Kind, dockerMachineKind.Kind}, kind)
}

// whyNot follows an object that is not done to the root cause.
func whyNot(f family, start member) chain {
	var c chain
	condition := start.decides()
	if condition == nil && start.Kind == machineKind.Kind {
		if outdated := conditions.Find(start.Conditions, clusterv1.UpToDateCondition); outdated != nil && outdated.Status != metav1.ConditionTrue {
			condition = outdated
		}
	}
	if condition == nil {
		for _, below := range f.causes(start) {
			if below.decides() != nil {
				c.Beside = append(c.Beside, below.title())
			}
		}
		return c
	}
	visited := map[string]bool{}
	for at := start; ; {
		visited[at.title()] = true
		next, beside := f.cause(at, *condition, visited)
		c.Beside = append(c.Beside, beside...)
		if next == nil {
			last := link{at, f.first(at, *condition)}
			c.Links = append(c.Links, last)
			c.Mend = f.mends(at) || last.Condition.Reason == clusterv1.ObjectDoesNotExistReason || last.Condition.Reason == clusterv1.ObjectDeletedReason
			c.Beside = slices.DeleteFunc(c.Beside, func(title string) bool { return visited[title] })
			return c
		}
		c.Links = append(c.Links, link{at, *condition})
		at, condition = *next, next.decides()
	}
}

// cause is the object that one that is not done waits for, and which others it could be.
func (f *family) cause(at member, condition metav1.Condition, visited map[string]bool) (next *member, beside []string) {
	if condition.Type == clusterv1.PausedCondition || missing(at) {
		return nil, nil
	}
	var candidates []member
	for _, below := range f.causes(at) {
		if !visited[below.title()] && below.decides() != nil {
			candidates = append(candidates, below)
		}
	}
	others := func(chosen member) []string {
		var list []string
		if at.Kind == machineKind.Kind { // its own two parts wait for each other
			return nil
		}
		for _, candidate := range candidates {
			if candidate.title() != chosen.title() {
				list = append(list, candidate.title())
			}
		}
		return list
	}
	for _, candidate := range candidates {
		if f.mendsBelow(candidate) {
			return &candidate, others(candidate)
		}
	}
	if f.mends(at) {
		return nil, nil
	}
	if across := f.across(at, condition); across != nil && !visited[across.title()] && across.decides() != nil {
		return across, others(*across)
	}
	if len(candidates) == 0 {
		return nil, nil
	}
	slices.SortStableFunc(candidates, f.likelier)
	return &candidates[0], others(candidates[0])
}

// missing tells that an object refers to one that is not there, which is the cause.
func missing(m member) bool {
	return slices.ContainsFunc(m.Conditions, func(c metav1.Condition) bool {
		return (c.Reason == clusterv1.ObjectDoesNotExistReason || c.Reason == clusterv1.ObjectDeletedReason) && abnormal(c)
	})
}

// likelier sorts what may be a cause: what is broken or going before what only changes,
// and what waits for something else last.
func (f *family) likelier(a, b member) int {
	hard := func(m member) int {
		switch condition := m.decides(); {
		case f.waitsElsewhere(m):
			return 2
		case condition.Type == clusterv1.ReadyCondition || condition.Type == clusterv1.AvailableCondition || condition.Type == clusterv1.DeletingCondition:
			return 0
		}
		return 1
	}
	if order := hard(a) - hard(b); order != 0 || a.Kind != machineKind.Kind || b.Kind != machineKind.Kind {
		return order
	}
	return a.decides().LastTransitionTime.Compare(b.decides().LastTransitionTime.Time)
}

// waitsElsewhere tells that a Machine has no bootstrap data because the cluster is not
// so far.
func (f *family) waitsElsewhere(m member) bool {
	bootstrap := f.Bootstraps[m.Object.GetName()]
	return m.Kind == machineKind.Kind && bootstrap != nil && f.across(of(bootstrap), metav1.Condition{}) != nil
}

// across is what an object waits for that is not below it: a bootstrap configuration for
// the cluster, and a Machine that is out of date for who replaces it.
func (f *family) across(at member, condition metav1.Condition) *member {
	outdated := at.Kind == machineKind.Kind && condition.Type == clusterv1.UpToDateCondition ||
		at.Kind == machineSetKind.Kind && condition.Type == clusterv1.MachinesUpToDateCondition
	if outdated {
		return f.owner(at.Object)
	}
	machine := f.machineOfBootstrap(at)
	if machine == nil || f.Cluster == nil || f.Bootstraps[machine.Name].DataSecretCreated() {
		return nil
	}
	if f.Infrastructure != nil && !isTrue(f.Cluster.Status.Initialization.InfrastructureProvisioned) {
		infrastructure := of(f.Infrastructure)
		return &infrastructure
	}
	if f.ControlPlane == nil || isTrue(f.Cluster.Status.Initialization.ControlPlaneInitialized) {
		return nil
	}
	// The first control-plane machine waits for nobody, the others for it.
	first := machines.IsControlPlane(machine) && !slices.ContainsFunc(f.controlPlaneMachines(), func(other clusterv1.Machine) bool {
		bootstrap := f.Bootstraps[other.Name]
		return other.Name != machine.Name && bootstrap != nil && bootstrap.DataSecretCreated()
	})
	if first {
		return nil
	}
	controlPlane := of(f.ControlPlane)
	return &controlPlane
}

func (f *family) machineOfBootstrap(at member) *clusterv1.Machine {
	for _, machine := range f.Machines {
		if bootstrap := f.Bootstraps[machine.Name]; bootstrap != nil && bootstrap.GetKind() == at.Kind && bootstrap.GetName() == at.Object.GetName() {
			return &machine
		}
	}
	return nil
}

// owner is the member that controls an object.
func (f *family) owner(object metav1.Object) *member {
	reference := metav1.GetControllerOf(object)
	if reference == nil {
		return nil
	}
	return f.find(reference.Kind, reference.Name)
}

// mends tells that nothing goes on with an object until somebody mends it.
func (f *family) mends(m member) bool {
	return slices.ContainsFunc(f.of(m.Kind, m.Object.GetName(), m.Object.GetUID(), m.Conditions), func(t trouble) bool { return t.Mend })
}

// mendsBelow tells the same of an object or one that it waits for.
func (f *family) mendsBelow(m member) bool {
	return m.decides() != nil && (f.mends(m) || slices.ContainsFunc(f.causes(m), f.mendsBelow))
}

// first is the condition that tells most about the last object of a chain: what is said
// at first hand, and not what sums it up.
func (f *family) first(m member, condition metav1.Condition) metav1.Condition {
	if condition.Type == clusterv1.PausedCondition || condition.Type == clusterv1.DeletingCondition {
		return condition
	}
	list := mendFirst(f.of(m.Kind, m.Object.GetName(), m.Object.GetUID(), m.Conditions))
	for _, found := range list {
		if missing(member{Conditions: []metav1.Condition{found.Condition}}) {
			return found.Condition
		}
	}
	if unhealthy := conditions.Find(m.Conditions, clusterv1.HealthCheckSucceededCondition); unhealthy != nil && unhealthy.Status == metav1.ConditionFalse {
		told := *unhealthy
		if owner := conditions.Find(m.Conditions, clusterv1.OwnerRemediatedCondition); owner != nil && owner.Status == metav1.ConditionFalse && owner.Message != "" {
			told.Message += fmt.Sprintf("; not replaced yet (%s): %s", owner.Reason, owner.Message)
		}
		return told
	}
	if len(list) > 0 && (list[0].Mend || summaries[condition.Type]) && !summaries[list[0].Condition.Type] {
		return list[0].Condition
	}
	for _, other := range m.Conditions {
		if summaries[condition.Type] && other.Status == metav1.ConditionUnknown && !summaries[other.Type] && !negative[other.Type] && other.Message != "" {
			return other
		}
	}
	return condition
}

// of is the member that an object of a provider is.
func of(object *contract.Object) member {
	return member{Kind: object.GetKind(), Object: object, Conditions: conditionsOf(object)}
}

func ofMachine(machine clusterv1.Machine) member {
	return member{Kind: machineKind.Kind, Object: &machine, Conditions: machine.Status.Conditions}
}

func ofSet(set clusterv1.MachineSet) member {
	return member{Kind: machineSetKind.Kind, Object: &set, Conditions: set.Status.Conditions}
}

func ofDeployment(deployment clusterv1.MachineDeployment) member {
	return member{Kind: machineDeploymentKind.Kind, Object: &deployment, Conditions: deployment.Status.Conditions}
}

// everything is all members of a family.
func (f *family) everything() []member {
	var list []member
	if f.Cluster != nil {
		list = append(list, member{Kind: clusterKind.Kind, Object: f.Cluster, Conditions: f.Cluster.Status.Conditions})
	}
	for _, object := range slices.Concat([]*contract.Object{f.Infrastructure, f.ControlPlane}, f.HealthChecks, f.Others) {
		if object != nil {
			list = append(list, of(object))
		}
	}
	for _, deployment := range f.Deployments {
		list = append(list, ofDeployment(deployment))
	}
	for _, set := range f.Sets {
		list = append(list, ofSet(set))
	}
	for _, machine := range f.Machines {
		list = append(list, ofMachine(machine))
		for _, object := range []*contract.Object{f.Bootstraps[machine.Name], f.Hosts[machine.Name]} {
			if object != nil {
				list = append(list, of(object))
			}
		}
	}
	for _, set := range f.ResourceSets {
		list = append(list, member{Kind: clusterResourceSetKind.Kind, Object: &set, Conditions: set.Status.Conditions})
	}
	return list
}

// find is a member by kind and name; nil for none.
func (f *family) find(kind, name string) *member {
	for _, each := range f.everything() {
		if each.Kind == kind && each.Object.GetName() == name {
			return &each
		}
	}
	return nil
}

// causes are the objects right below one, by which it may not be done, in the order in
// which they are made; of one that is being deleted, those that have to go first.
func (f *family) causes(m member) []member {
	name, deleting := m.Object.GetName(), m.Object.GetDeletionTimestamp() != nil
	var list []member
	switch {
	case m.Kind == clusterKind.Kind:
		return f.causesOfCluster(deleting)
	case f.ControlPlane != nil && m.Kind == f.ControlPlane.GetKind() && name == f.ControlPlane.GetName():
		for _, machine := range f.controlPlaneMachines() {
			list = append(list, ofMachine(machine))
		}
		if deleting && len(f.Deployments) > 0 && len(list) > 0 && f.Cluster != nil && f.Cluster.DeletionTimestamp != nil {
			list = append(f.workerMembers(), list...)
		}
	case m.Kind == machineDeploymentKind.Kind:
		for _, set := range f.Sets {
			if metav1.IsControlledBy(&set, m.Object) {
				list = append(list, ofSet(set))
			}
		}
	case m.Kind == machineSetKind.Kind:
		for _, machine := range f.Machines {
			if metav1.IsControlledBy(&machine, m.Object) {
				list = append(list, ofMachine(machine))
			}
		}
	case m.Kind == machineKind.Kind:
		return f.causesOfMachine(m)
	}
	if !deleting {
		return list
	}
	return slices.DeleteFunc(list, func(below member) bool { return below.Object.GetDeletionTimestamp() == nil })
}

func (f *family) workerMembers() []member {
	var list []member
	for _, deployment := range f.Deployments {
		list = append(list, ofDeployment(deployment))
	}
	for _, set := range f.Sets {
		if metav1.GetControllerOf(&set) == nil {
			list = append(list, ofSet(set))
		}
	}
	for _, machine := range f.workers() {
		if metav1.GetControllerOf(&machine) == nil {
			list = append(list, ofMachine(machine))
		}
	}
	return list
}

func (f *family) causesOfCluster(deleting bool) []member {
	var infrastructure, controlPlane, sets []member
	if f.Infrastructure != nil {
		infrastructure = append(infrastructure, of(f.Infrastructure))
	}
	if f.ControlPlane != nil {
		controlPlane = append(controlPlane, of(f.ControlPlane))
	}
	workers := f.workerMembers()
	if deleting {
		// Each part begins to go when the one before it is gone.
		for _, part := range [][]member{workers, controlPlane, infrastructure} {
			if len(part) > 0 {
				return part
			}
		}
		return nil
	}
	if f.Cluster != nil && isTrue(f.Cluster.Status.Initialization.ControlPlaneInitialized) {
		for _, set := range f.ResourceSets {
			sets = append(sets, member{Kind: clusterResourceSetKind.Kind, Object: &set, Conditions: set.Status.Conditions})
		}
	}
	return slices.Concat(infrastructure, controlPlane, sets, workers)
}

// causesOfMachine are its bootstrap configuration and its infrastructure; while it goes,
// the one whose end it waits for.
func (f *family) causesOfMachine(m member) []member {
	var list []member
	name := m.Object.GetName()
	bootstrap, host := f.Bootstraps[name], f.Hosts[name]
	reason := ""
	if condition := m.decides(); condition != nil && m.Object.GetDeletionTimestamp() != nil {
		reason = condition.Reason
	}
	if bootstrap != nil && (reason == "" || reason == clusterv1.WaitingForBootstrapDeletionReason) {
		list = append(list, of(bootstrap))
	}
	if host != nil && (reason == "" || reason == clusterv1.WaitingForInfrastructureDeletionReason) {
		list = append(list, of(host))
	}
	return list
}

// memberOf is the member that an object is which was read by itself.
func memberOf(object *unstructured.Unstructured) member {
	return of(&contract.Object{Unstructured: object, Contract: contract.V1Beta2})
}

// longestCause is how much of a message stands in the line of the root cause, in
// characters; all of it stands in the chain.
const longestCause = 240

// sentence says a link in one line.
func (l link) sentence() string {
	message := cut(oneLine(strings.TrimPrefix(l.Condition.Message, "* ")), longestCause)
	if message == "" {
		message = fmt.Sprintf("%s is %s (%s)", l.Condition.Type, l.Condition.Status, l.Condition.Reason)
	}
	return l.title() + ": " + message
}
