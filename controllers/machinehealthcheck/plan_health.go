// SPDX-License-Identifier: Apache-2.0

package machinehealthcheck

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	"github.com/slipway-project/slipway/conditions"
	"github.com/slipway-project/slipway/machines"
	"github.com/slipway-project/slipway/plan"
)

// health is how a Machine is found to be.
type health int

const (
	unsettled health = iota
	healthy
	unhealthy
)

// verdict is the judgement on one Machine.
type verdict struct {
	machine *clusterv1.Machine
	health  health
	// judged is false where what was judged before stands, because there is no evidence.
	judged bool
	// reason and message say what is wrong, or what is waited for.
	reason, message string
	// due is when an unsettled Machine becomes unhealthy if nothing changes; zero: never.
	due time.Time
}

// evidence says whether something may be relied on, and if not, why.
type evidence struct {
	ok          bool
	reason, why string
	// recheck is when to look again where no event may tell; zero: only on events.
	recheck time.Time
}

// findings are all that the decision and the status are made from.
type findings struct {
	// invalid says what is wrong with the spec, template what with the template.
	invalid, template string
	// evidence is what there is to judge Machines by.
	evidence evidence
	// verdicts are on the Machines that are checked, by name.
	verdicts []verdict
	// elsewhere says which selected Machines other health checks check.
	elsewhere []string
	trigger   trigger
	due       time.Time
}

func (f findings) count(which health) int {
	count := 0
	for _, v := range f.verdicts {
		if v.health == which {
			count++
		}
	}
	return count
}

func examine(s Snapshot) findings {
	f := findings{invalid: specProblem(s.HealthCheck), template: templateProblem(s)}
	byOther := map[string][]string{}
	for _, machine := range s.Machines {
		holder := holderOf(s, machine)
		switch {
		case s.HealthCheck.DeletionTimestamp != nil || holder == nil || !selects(s.HealthCheck, machine) || resting(machine) || skipped(machine):
		case holder.Name != s.HealthCheck.Name:
			byOther[holder.Name] = append(byOther[holder.Name], machine.Name)
		default:
			f.verdicts = append(f.verdicts, judge(s, machine))
		}
	}
	for _, other := range s.Others {
		if names := byOther[other.Name]; len(names) > 0 {
			f.elsewhere = append(f.elsewhere, fmt.Sprintf("MachineHealthCheck %s, which is older or first by name, checks %s", other.Name, some(names)))
		}
	}
	for _, v := range f.verdicts {
		f.due = plan.Earliest(f.due, v.due)
	}
	f.evidence, f.trigger = evidenceFor(s, f.verdicts), triggered(s, f)
	return f
}

// holderOf is the health check that checks a Machine: the oldest that selects it.
func holderOf(s Snapshot, machine *clusterv1.Machine) *clusterv1.MachineHealthCheck {
	var holder *clusterv1.MachineHealthCheck
	for _, candidate := range append([]*clusterv1.MachineHealthCheck{s.HealthCheck}, s.Others...) {
		if candidate.DeletionTimestamp != nil || !selects(candidate, machine) {
			continue
		}
		if holder == nil || cmp.Or(candidate.CreationTimestamp.Compare(holder.CreationTimestamp.Time), strings.Compare(candidate.Name, holder.Name)) < 0 {
			holder = candidate
		}
	}
	return holder
}

// selects reports whether a health check selects a Machine. An empty selector, which the
// API refuses, selects none.
func selects(healthCheck *clusterv1.MachineHealthCheck, machine *clusterv1.Machine) bool {
	selector, err := metav1.LabelSelectorAsSelector(&healthCheck.Spec.Selector)
	return err == nil && !selector.Empty() && selector.Matches(labels.Set(machine.Labels))
}

// resting Machines are left just as they are.
func resting(machine *clusterv1.Machine) bool {
	_, ok := machine.Annotations[clusterv1.PausedAnnotation]
	return ok
}

func skipped(machine *clusterv1.Machine) bool {
	_, ok := machine.Annotations[clusterv1.MachineSkipRemediationAnnotation]
	return ok
}

// provisioned reports whether the Cluster's infrastructure is there.
func provisioned(s Snapshot) evidence {
	if s.Cluster == nil {
		return evidence{reason: "ClusterNotFound", why: fmt.Sprintf("Cluster %s does not exist", s.HealthCheck.Spec.ClusterName)}
	}
	if done := s.Cluster.Status.Initialization.InfrastructureProvisioned; done == nil || !*done {
		return evidence{reason: clusterv1.WaitingForClusterInfrastructureReadyReason, why: fmt.Sprintf("the Machines of Cluster %s are not judged before its infrastructure is provisioned; only those with the annotation %s are remedied",
			s.Cluster.Name, clusterv1.RemediateMachineAnnotation)}
	}
	return evidence{ok: true}
}

// initialized reports whether the control plane is, too.
func initialized(s Snapshot) evidence {
	if there := provisioned(s); !there.ok {
		return there
	}
	if done := s.Cluster.Status.Initialization.ControlPlaneInitialized; done == nil || !*done {
		return evidence{reason: clusterv1.WaitingForControlPlaneInitializedReason, why: fmt.Sprintf("of the Machines of Cluster %s only those of its control plane are judged before that is initialized, and those with the annotation %s are remedied",
			s.Cluster.Name, clusterv1.RemediateMachineAnnotation)}
	}
	return evidence{ok: true}
}

// amongFirst reports a Machine of a control plane that is not initialized yet. It is judged
// without its Node, or a first one that fails would be in the way for ever.
func amongFirst(s Snapshot, machine *clusterv1.Machine) bool {
	return machines.IsControlPlane(machine) && provisioned(s).ok && !initialized(s).ok
}

// judgeable reports whether there is evidence to judge a Machine by.
func judgeable(s Snapshot, machine *clusterv1.Machine) bool {
	return amongFirst(s, machine) || initialized(s).ok && inSight(s).ok
}

// evidenceFor says what evidence is missing for the Machines that are checked.
func evidenceFor(s Snapshot, verdicts []verdict) evidence {
	there := initialized(s)
	switch {
	case there.ok:
		return inSight(s)
	case slices.ContainsFunc(verdicts, func(v verdict) bool { return amongFirst(s, v.machine) }):
		return evidence{ok: true}
	default:
		return there
	}
}

// inSight reports whether what is known of the workload cluster is from now.
func inSight(s Snapshot) evidence {
	last := "there was none since Slipway started"
	if !s.Connection.LastSuccess.IsZero() {
		last = "the last came at " + at(s.Connection.LastSuccess)
	}
	const stands = "; what was found of its Machines before stands, and nothing new is remedied until it answers"
	name := s.HealthCheck.Spec.ClusterName
	settled := s.Connection.InSightSince.Add(contactSettle)
	switch {
	case !s.Connection.Connected:
		why := cmp.Or(s.Connection.Err, s.Nodes.Err, "not connected")
		return evidence{reason: clusterv1.ConnectionDownReason, why: fmt.Sprintf("no answer from Cluster %s (%s): %s%s", name, last, why, stands)}
	case !s.Nodes.OK():
		return evidence{recheck: s.Now.Add(recheckContact), reason: clusterv1.InspectionFailedReason, why: fmt.Sprintf("the Nodes of Cluster %s cannot be read: %s%s", name, s.Nodes.Err, stands)}
	case !s.Connection.LastSuccess.IsZero() && s.Now.Sub(s.Connection.LastSuccess) > contactGrace:
		return evidence{recheck: s.Now.Add(recheckContact), reason: clusterv1.ConnectionDownReason, why: fmt.Sprintf("no answer from Cluster %s for longer than %s (%s)%s", name, contactGrace, last, stands)}
	case s.Now.Before(settled):
		return evidence{recheck: settled, reason: clusterv1.ConnectionDownReason, why: fmt.Sprintf("Cluster %s answers since %s, which is too short a time to judge its Machines by", name, at(s.Connection.InSightSince))}
	default:
		return evidence{ok: true}
	}
}

// judge goes through what makes a Machine unhealthy; the first that does has the word.
func judge(s Snapshot, machine *clusterv1.Machine) verdict {
	found := verdict{machine: machine, judged: true}
	if _, ok := machine.Annotations[clusterv1.RemediateMachineAnnotation]; ok {
		return found.sick(clusterv1.HasRemediateAnnotationReason, "it has the annotation "+clusterv1.RemediateMachineAnnotation)
	}
	if !judgeable(s, machine) || s.Cluster.DeletionTimestamp != nil {
		return asBefore(machine)
	}
	found = machineConditions(s, found)
	if found.health == unhealthy {
		return found
	}
	node, was := nodeOf(s, machine), machine.Status.NodeRef.Name
	switch {
	case amongFirst(s, machine) && was != "":
		found.message = cmp.Or(found.message, fmt.Sprintf("its Node %s is judged once the control plane is initialized", was))
	case node == nil && was != "":
		return found.sick(clusterv1.NodeDeletedReason, fmt.Sprintf("Node %s has been deleted", was))
	case node == nil:
		found = startup(s, found)
	default:
		found = nodeConditions(s, node, found)
	}
	if found.health == unsettled && found.message == "" {
		found.health = healthy
	}
	if machines.Deleting(machine) && found.health != unhealthy {
		found.health, found.message, found.due = unsettled, "it is being deleted", time.Time{}
	}
	return found
}

// asBefore is what was found of a Machine when there was evidence. Of the annotation,
// which somebody took away, nothing is left.
func asBefore(machine *clusterv1.Machine) verdict {
	found := verdict{machine: machine, message: "it was not judged yet"}
	mark := conditions.Find(machine.Status.Conditions, clusterv1.HealthCheckSucceededCondition)
	switch {
	case mark == nil || mark.Reason == clusterv1.HasRemediateAnnotationReason:
	case mark.Status == metav1.ConditionTrue:
		found.health = healthy
	case mark.Status == metav1.ConditionFalse:
		found.health, found.reason, found.message = unhealthy, mark.Reason, mark.Message
	}
	return found
}

func (v verdict) sick(reason, message string) verdict {
	v.health, v.reason, v.message, v.due = unhealthy, reason, message, time.Time{}
	return v
}

// after is the verdict once something is seen that is unhealthy when it has lasted long
// enough. Of several the one that is due first has the word.
func (v verdict) after(s Snapshot, since time.Time, timeout time.Duration, reason, what string) verdict {
	due := dueAt(s, since, timeout)
	if !s.Now.Before(due) {
		if timeout > 0 {
			what = fmt.Sprintf("%s, for longer than %s", what, timeout)
		}
		return v.sick(reason, what)
	}
	if v.due.IsZero() || due.Before(v.due) {
		v.due, v.message = due, fmt.Sprintf("%s; unhealthy at %s if that lasts", what, at(due))
	}
	return v
}

// dueAt is when something that began at since has lasted for the time given, where the
// part of it does not count that lies in the last silence of the workload cluster.
func dueAt(s Snapshot, since time.Time, timeout time.Duration) time.Time {
	due := since.Add(timeout)
	begin, end := s.Connection.InSightUntil, s.Connection.InSightSince
	switch {
	case !since.Before(end), !begin.IsZero() && !due.After(begin):
		return due
	case since.Before(begin):
		return end.Add(timeout - begin.Sub(since))
	default:
		return end.Add(timeout)
	}
}

// machineConditions looks for those of the Machine that make it unhealthy.
func machineConditions(s Snapshot, found verdict) verdict {
	if machines.Deleting(found.machine) {
		return found
	}
	turn, come := turnOf(found.machine)
	for _, watched := range s.HealthCheck.Spec.Checks.UnhealthyMachineConditions {
		seen := conditions.Find(found.machine.Status.Conditions, watched.Type)
		if seen == nil || seen.Status != watched.Status || aboutUs(seen) {
			continue
		}
		since := seen.LastTransitionTime.Time
		if watched.Type != clusterv1.InfrastructureReadyCondition {
			// All but the host waits for the turn.
			if !come {
				continue
			}
			since = latest(since, turn)
		}
		what := fmt.Sprintf("condition %s is %s since %s", seen.Type, seen.Status, at(seen.LastTransitionTime.Time))
		if found = found.after(s, since, seconds(watched.TimeoutSeconds), clusterv1.UnhealthyMachineReason, what); found.health == unhealthy {
			return found
		}
	}
	return found
}

// aboutUs reports that a condition only says that somebody could not look.
func aboutUs(condition *metav1.Condition) bool {
	return condition.Reason == clusterv1.ConnectionDownReason || condition.Reason == clusterv1.InspectionFailedReason
}

// nodeConditions looks for those of the Node that make the Machine unhealthy.
func nodeConditions(s Snapshot, node *Node, found verdict) verdict {
	for _, watched := range s.HealthCheck.Spec.Checks.UnhealthyNodeConditions {
		i := slices.IndexFunc(node.Conditions, func(c corev1.NodeCondition) bool { return c.Type == watched.Type })
		if i < 0 || node.Conditions[i].Status != watched.Status {
			continue
		}
		since := node.Conditions[i].LastTransitionTime.Time
		what := fmt.Sprintf("condition %s of Node %s is %s since %s", watched.Type, node.Name, watched.Status, at(since))
		if found = found.after(s, since, seconds(watched.TimeoutSeconds), clusterv1.UnhealthyNodeReason, what); found.health == unhealthy {
			return found
		}
	}
	return found
}

// turnOf is since when a Machine has its turn to join its control plane, or to begin it:
// since its bootstrap data was made, for which it may have to wait. Other Machines have
// theirs from the beginning, and one that has joined waits for none.
func turnOf(machine *clusterv1.Machine) (since time.Time, come bool) {
	if !machines.IsControlPlane(machine) || machine.Status.NodeRef.IsDefined() {
		return time.Time{}, true
	}
	made := machine.Status.Initialization.BootstrapDataSecretCreated
	changed := conditions.Find(machine.Status.Conditions, clusterv1.BootstrapConfigReadyCondition)
	if made == nil || !*made || changed == nil {
		return time.Time{}, false
	}
	return changed.LastTransitionTime.Time, true
}

// startup bounds for how long a Machine may be without a Node.
func startup(s Snapshot, found verdict) verdict {
	since := found.machine.CreationTimestamp.Time
	for _, conditionType := range []string{clusterv1.InfrastructureReadyCondition, clusterv1.ControlPlaneInitializedCondition} {
		if met := conditions.Find(s.Cluster.Status.Conditions, conditionType); met != nil && met.Status == metav1.ConditionTrue {
			since = latest(since, met.LastTransitionTime.Time)
		}
	}
	turn, come := turnOf(found.machine)
	if !come {
		found.message = cmp.Or(found.message, "it waits for its bootstrap data, from which on the time for its Node to come counts")
		return found
	}
	since = latest(since, turn)
	what := "it has no Node since " + at(since)
	timeout := startupTimeout(s.HealthCheck)
	if timeout == 0 {
		found.message = cmp.Or(found.message, what)
		return found
	}
	return found.after(s, since, timeout, clusterv1.NodeStartupTimeoutReason, what)
}

func startupTimeout(healthCheck *clusterv1.MachineHealthCheck) time.Duration {
	if asked := healthCheck.Spec.Checks.NodeStartupTimeoutSeconds; asked != nil {
		return seconds(asked)
	}
	return 10 * time.Minute
}

// nodeOf is the Machine's Node: by the name that the Machine noted, or by its provider ID.
func nodeOf(s Snapshot, machine *clusterv1.Machine) *Node {
	for i, node := range s.Nodes.Value {
		if node.Name == machine.Status.NodeRef.Name || (node.ProviderID != "" && node.ProviderID == machine.Spec.ProviderID) {
			return &s.Nodes.Value[i]
		}
	}
	return nil
}

func seconds(count *int32) time.Duration {
	if count == nil {
		return 0
	}
	return time.Duration(*count) * time.Second
}

func latest(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

func at(t time.Time) string { return t.UTC().Format(time.RFC3339) }
