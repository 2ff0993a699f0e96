// SPDX-License-Identifier: Apache-2.0

package kubeadmcontrolplane

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	bootstrapv1 "github.com/slipway-project/slipway/api/bootstrap/v1beta2"
	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	"github.com/slipway-project/slipway/conditions"
	"github.com/slipway-project/slipway/machines"
	"github.com/slipway-project/slipway/plan"
)

// step is one thing to see to: it acts, waits, or has nothing to do and gives nil.
type step func(Snapshot) *plan.Decision

// inOrder is the first of some steps that acts; one that would try again what just failed
// at etcd is put behind all others. Where none does it is the first that somebody has to
// help, else the first that waits, to be looked at again when the first of all asks for it;
// nil where there is nothing to do.
func inOrder(s Snapshot, steps ...step) *plan.Decision {
	var rests, again *plan.Decision
	var recheck time.Time
	for _, next := range steps {
		decided := next(s)
		if decided == nil {
			continue
		}
		switch {
		case len(decided.Actions) > 0 && !repeatsFailure(s, *decided):
			return decided
		case len(decided.Actions) > 0:
			again = cmp.Or(again, decided)
			continue
		}
		recheck = plan.Earliest(recheck, decided.Recheck)
		if rests == nil || (rests.Outcome.Kind == plan.Waiting && decided.Outcome.Kind == plan.Blocked) {
			rests = decided
		}
	}
	if again != nil || rests == nil {
		return again
	}
	decision := rests.At(recheck)
	return &decision
}

// care looks after the machines and members that are there, whatever the spec asks for.
func care(s Snapshot) *plan.Decision {
	return inOrder(s, strayMembers, departures, remediation)
}

// membership makes machines complete, and brings their number, their versions and their
// configuration to what is asked for.
func membership(s Snapshot) *plan.Decision {
	return inOrder(s, adoption, func(s Snapshot) *plan.Decision {
		for _, obstacle := range []step{completion, lost, versionRefused, surgeProblem} {
			if decided := obstacle(s); decided != nil {
				return decided
			}
		}
		if !isInitializedNow(s) {
			return beginning(s)
		}
		return inOrder(s, superseded, creation, removal, release, settling)
	})
}

// adoption takes over Machines of the control plane that nobody controls. Their objects
// stay as they are; the labels and the hook follow.
func adoption(s Snapshot) *plan.Decision {
	var actions []plan.Action
	for _, machine := range sorted(s.Orphans) {
		intent := plan.Partial(machineKind, machine)
		intent.SetOwnerReferences([]metav1.OwnerReference{*plan.OwnerReference(kind, s.ControlPlane, true)})
		actions = append(actions, plan.Apply{Object: intent, Aspect: "adoption", Reason: "it belongs to the control plane of Cluster " + s.Cluster.Name + ", and nobody controls it"})
	}
	if len(actions) == 0 {
		return nil
	}
	decision := plan.Act("AdoptingMachines", "", actions...)
	return &decision
}

// completion makes the objects that machines refer to and that a crash, or a slow provider,
// has left out.
func completion(s Snapshot) *plan.Decision {
	var decision plan.Decision
	switch unread := unreadInfrastructure(s); {
	case incomplete(s) && !s.Template.OK():
		decision = templateMissing(s)
	case incomplete(s):
		completed, err := completions(s)
		if err != nil {
			decision = plan.Block("InvalidTemplate", err.Error())
		} else {
			decision = plan.Act("CompletingMachines", "", completed...)
		}
	case unread != "":
		decision = plan.Block("InfrastructureNotReadable", unread).At(s.Now.Add(recheckHealthy))
	default:
		return nil
	}
	return &decision
}

// lost tells of a control plane whose data are gone: none of its machines has ever joined.
func lost(s Snapshot) *plan.Decision {
	if !wasInitialized(s) || slices.ContainsFunc(s.Machines, func(machine *clusterv1.Machine) bool { return !held(s, machine) }) {
		return nil
	}
	decision := plan.Block("ControlPlaneLost", fmt.Sprintf("the control plane was initialized and all its Machines are gone, and with them the data of Cluster %s; "+
		"delete the Cluster and create it anew", s.Cluster.Name))
	return &decision
}

// surge is how many machines there may be above replicas.
func surge(s Snapshot) int {
	if asked := s.ControlPlane.Spec.Rollout.Strategy.RollingUpdate.MaxSurge; asked != nil {
		return asked.IntValue()
	}
	return 1
}

// surgeProblem refuses a rollout that would begin by taking away what cannot be spared.
func surgeProblem(s Snapshot) *plan.Decision {
	if want := replicas(s.ControlPlane); surge(s) == 0 && want < 3 {
		decision := plan.Block("SurgeNeeded", fmt.Sprintf("spec.rollout.strategy.rollingUpdate.maxSurge is 0 and spec.replicas is %d: with fewer than 3 Machines none can be taken away before another has joined; set maxSurge to 1, or spec.replicas to 3", want))
		return &decision
	}
	return nil
}

// beginning makes the first machine, and no other before the control plane is initialized.
// Until then there is nothing to lose, and one that is not as the spec asks for any more is
// made anew.
func beginning(s Snapshot) *plan.Decision {
	var decision plan.Decision
	now, going := active(s), len(s.Machines)-len(active(s))
	switch old := outdated(s); {
	case len(old) > 0:
		decision = plan.Act("ReplacingFirstMachine", "", deletions(s, old, "the control plane is not initialized yet, and the spec has changed: ")...)
	case len(now) > 0 && !provisioned(s), len(now) == 0 && going == 0 && !provisioned(s):
		decision = plan.Wait(clusterv1.WaitingForClusterInfrastructureReadyReason, fmt.Sprintf("the infrastructure of Cluster %s is not provisioned yet", s.Cluster.Name))
	case len(now) > 0:
		decision = plan.Wait(clusterv1.WaitingForControlPlaneInitializedReason, notInitialized(s))
	case going > 0:
		decision = plan.Wait(clusterv1.ScalingUpReason, fmt.Sprintf("waiting for %d Machines to be gone before others are made", going))
	default:
		decision = create(s, 1)
	}
	return &decision
}

// create makes so many machines. Their objects follow in the next plan.
func create(s Snapshot, wanted int) plan.Decision {
	if !s.Template.OK() {
		return templateMissing(s)
	}
	made, err := newMachines(s, wanted)
	if err != nil {
		return plan.Block("InvalidMachineNaming", err.Error())
	}
	reason := "there are fewer Machines than asked for"
	if len(active(s)) >= replicas(s.ControlPlane) {
		reason = "it is to take the place of one that is not up to date"
	}
	var actions []plan.Action
	for _, machine := range made {
		actions = append(actions, plan.Create{Object: machine, Reason: reason})
	}
	return plan.Act(busy(s), fmt.Sprintf("from %d to %d Machines", len(active(s)), len(active(s))+wanted), actions...)
}

// busy is the word for what is going on.
func busy(s Snapshot) string {
	switch now, want := len(active(s)), replicas(s.ControlPlane); {
	case remediating(s):
		return clusterv1.RemediatingReason
	case now >= want && len(outdated(s)) > 0:
		return clusterv1.RollingOutReason
	case now > want:
		return clusterv1.ScalingDownReason
	default:
		return clusterv1.ScalingUpReason
	}
}

func waits(s Snapshot, format string, values ...any) *plan.Decision {
	decision := plan.Wait(busy(s), fmt.Sprintf(format, values...))
	return &decision
}

// superseded are machines whose join is held and that are outdated before they had their
// turn. They have no part in the cluster, and go.
func superseded(s Snapshot) *plan.Decision {
	old := slices.DeleteFunc(outdated(s), func(machine *clusterv1.Machine) bool { return !held(s, machine) })
	if len(old) == 0 {
		return nil
	}
	decision := plan.Act(clusterv1.RollingOutReason, "", deletions(s, old, "it has not joined, and the spec asks for another: ")...)
	return &decision
}

func deletions(s Snapshot, list []*clusterv1.Machine, reason string) []plan.Action {
	var actions []plan.Action
	for _, machine := range oldest(list) {
		actions = append(actions, plan.Delete{On: plan.RefTo(machineKind, machine), Reason: reason + strings.Join(differences(s, machine), ", ")})
	}
	return actions
}

// creation makes all machines that are missing at once, so that their hosts boot at the
// same time, and one more for a rollout that makes the new before it takes the old. Those
// on their way out count: their hosts are still there.
func creation(s Snapshot) *plan.Decision {
	now, want, all := len(active(s)), replicas(s.ControlPlane), len(s.Machines)
	missing := want - now
	rolls := missing == 0 && surge(s) > 0 && len(outdated(s)) > 0
	if rolls {
		missing = 1
	}
	switch room := want + surge(s) - all; {
	case missing <= 0:
		return nil
	case rolls && remediating(s):
		return waits(s, "Machines that fail are replaced before any that is not up to date")
	case room <= 0, !rolls && !slices.ContainsFunc(active(s), func(machine *clusterv1.Machine) bool { return !held(s, machine) }):
		return waits(s, "waiting for %d Machines to be gone before others are made", all-now)
	case !provisioned(s):
		decision := plan.Wait(clusterv1.WaitingForClusterInfrastructureReadyReason, fmt.Sprintf("the infrastructure of Cluster %s is not provisioned yet", s.Cluster.Name))
		return &decision
	case unseen(s) != "" && !remediating(s):
		return waits(s, "no Machine is made while %s", unseen(s))
	default:
		if rolls {
			if problems := unfit(s, nil); len(problems) > 0 {
				return waits(s, "no Machine is replaced before all are in order: %s", some(problems))
			}
		}
		if decided := clusterConfiguration(s); decided != nil {
			return decided
		}
		decision := create(s, min(missing, room))
		return &decision
	}
}

// unfit says what of the control plane keeps it from losing a machine, besides the one that
// is to go. nil for one that is to be made.
func unfit(s Snapshot, leaving *clusterv1.Machine) []string {
	if why := unseen(s); why != "" {
		return []string{why}
	}
	var problems []string
	for _, machine := range oldest(s.Machines) {
		missing := lacks(s, machine)
		switch {
		case machine == leaving:
		case machines.Deleting(machine):
			problems = append(problems, fmt.Sprintf("Machine %s is being deleted", machine.Name))
		case held(s, machine):
			problems = append(problems, fmt.Sprintf("Machine %s has not joined yet", machine.Name))
		case len(missing) > 0:
			problems = append(problems, fmt.Sprintf("Machine %s (%s)", machine.Name, strings.Join(missing, ", ")))
		case leaving != nil && len(differences(s, machine)) == 0 && !conditions.Is(machine.Status.Conditions, clusterv1.ReadyCondition, metav1.ConditionTrue):
			// It is to carry what the one that goes leaves behind. One that is to be replaced
			// itself may stay as it is till then, or what is wrong could not be rolled out.
			problems = append(problems, fmt.Sprintf("Machine %s (%s)", machine.Name, clusterv1.ReadyCondition))
		}
	}
	var going []uint64
	if leaving != nil {
		if member, ok := memberOf(s, leaving); ok {
			going = append(going, member.ID)
		}
	}
	problems = append(problems, membersInOrder(s, going...)...)
	if left := s.Etcd.Value.Without(going...); stacked(s) && !left.Holds() {
		problems = append(problems, fmt.Sprintf("etcd would have no quorum: %s", left))
	}
	return problems
}

// removal takes one machine away, where there are more than asked for or where a rollout
// takes the old before it makes the new. The hook then sees to its member of etcd.
func removal(s Snapshot) *plan.Decision {
	now, want := active(s), replicas(s.ControlPlane)
	old := outdated(s)
	candidates, reason := now, "there are more Machines than asked for"
	switch {
	case len(old) > 0 && len(now) > want && len(now)-want <= surge(s), len(old) > 0 && len(now) == want && surge(s) == 0:
		candidates, reason = old, "it is not up to date"
	case len(now) <= want:
		return nil
	}
	if remediating(s) {
		return waits(s, "Machines that fail are replaced before any other is taken away")
	}
	leaving := firstToGo(s, candidates)
	if !held(s, leaving) {
		if problems := unfit(s, leaving); len(problems) > 0 {
			return waits(s, "Machine %s goes when all others are in order: %s", leaving.Name, some(problems))
		}
	}
	if differs := differences(s, leaving); len(differs) > 0 {
		reason += ": " + strings.Join(differs, ", ")
	}
	if decided := handOver(s, leaving); decided != nil {
		return decided
	}
	decision := plan.Act(busy(s), fmt.Sprintf("from %d to %d Machines", len(now), len(now)-1), plan.Delete{On: plan.RefTo(machineKind, leaving), Reason: reason})
	return &decision
}

// firstToGo is the machine that is taken away first: one that somebody marked, one that has
// not joined, one that does not work, one that is outdated; of the first such sort the
// oldest in the failure domain with the most machines.
func firstToGo(s Snapshot, candidates []*clusterv1.Machine) *clusterv1.Machine {
	domains := map[string]int{}
	for _, machine := range active(s) {
		domains[domainOf(machine)]++
	}
	return slices.MinFunc(oldest(candidates), func(a, b *clusterv1.Machine) int {
		return cmp.Or(cmp.Compare(keepRank(s, a), keepRank(s, b)), cmp.Compare(domains[domainOf(b)], domains[domainOf(a)]))
	})
}

func keepRank(s Snapshot, machine *clusterv1.Machine) int {
	_, marked := machine.Annotations[clusterv1.DeleteMachineAnnotation]
	old, sick := len(differences(s, machine)) > 0, !serves(s, machine)
	ranks := []bool{marked && old, marked, held(s, machine), sick && old, old, sick, true}
	return slices.Index(ranks, true)
}

// release lets the next machine join, the oldest first, when the control plane bears one
// more member.
func release(s Snapshot) *plan.Decision {
	waiting := oldest(slices.DeleteFunc(active(s), func(machine *clusterv1.Machine) bool { return !held(s, machine) }))
	if len(waiting) == 0 {
		return nil
	}
	machine := waiting[0]
	if problems := notReadyForJoin(s); len(problems) > 0 {
		return waits(s, "Machines join one by one, and Machine %s, whose turn it is, waits: %s", machine.Name, some(problems))
	}
	if decided := clusterConfiguration(s); decided != nil {
		return decided
	}
	config := s.Objects[machine.Name].Config
	path := "/metadata/annotations/" + strings.ReplaceAll(bootstrapv1.HoldJoinAnnotation, "/", "~1")
	decision := plan.Act(busy(s), fmt.Sprintf("Machine %s joins", machine.Name), plan.Patch{
		On: plan.RefTo(configKind, config), Reason: "it is its turn to join", Operations: []plan.PatchOperation{
			{Op: "test", Path: "/metadata/uid", Value: string(config.UID)},
			{Op: "test", Path: path, Value: config.Annotations[bootstrapv1.HoldJoinAnnotation]},
			{Op: "remove", Path: path},
		},
	})
	return &decision
}

// notReadyForJoin says what keeps a machine from joining. One more member that does not run
// may cost the majority. While a machine that fails is being replaced not all can be in
// order, and it is enough that the majority holds with one more member that does not run.
func notReadyForJoin(s Snapshot) []string {
	if why := unseen(s); why != "" {
		return []string{why}
	}
	var problems []string
	for _, machine := range oldest(joining(s)) {
		problems = append(problems, fmt.Sprintf("Machine %s (%s)", machine.Name, strings.Join(lacks(s, machine), ", ")))
	}
	for _, machine := range oldest(deletingMembers(s)) {
		if staysForSuccessor(s, machine) {
			continue
		}
		problems = append(problems, fmt.Sprintf("Machine %s is being deleted, and is a member of etcd still", machine.Name))
	}
	for _, member := range s.Etcd.Value.Members {
		if stacked(s) && (member.Learner || !member.Started()) {
			problems = append(problems, fmt.Sprintf("member %s of etcd: %s", member, s.Etcd.Value.Problem(member)))
		}
	}
	if len(problems) > 0 {
		return problems
	}
	if remediating(s) {
		grown := s.Etcd.Value.Without()
		if grown.Voters++; stacked(s) && !grown.Holds() {
			problems = append(problems, fmt.Sprintf("etcd could lose its quorum: with one more member there would be %s", grown))
		}
		if !slices.ContainsFunc(active(s), func(machine *clusterv1.Machine) bool { return serves(s, machine) }) {
			problems = append(problems, "no Machine of the control plane is whole")
		}
		return problems
	}
	for _, machine := range oldest(active(s)) {
		if missing := lacks(s, machine); len(missing) > 0 && !held(s, machine) {
			problems = append(problems, fmt.Sprintf("Machine %s (%s)", machine.Name, strings.Join(missing, ", ")))
		}
	}
	return append(problems, membersInOrder(s)...)
}

// staysForSuccessor reports that a machine on its way out is the only one on which the
// control plane runs, so that it keeps its member until another has joined: see notYet.
func staysForSuccessor(s Snapshot, machine *clusterv1.Machine) bool {
	return serves(s, machine) && !slices.ContainsFunc(s.Machines, func(other *clusterv1.Machine) bool { return other != machine && serves(s, other) })
}

// settling is what is left when all machines are as asked for: to wait for those that come
// and go, and then to bring along what kubeadm runs beside them.
func settling(s Snapshot) *plan.Decision {
	if going := len(s.Machines) - len(active(s)); going > 0 {
		return waits(s, "waiting for %d Machines to be gone", going)
	}
	if coming := joining(s); len(coming) > 0 && unseen(s) == "" {
		return waits(s, "waiting for %s to join", list(machines.Names(coming)))
	}
	if len(s.Machines) != replicas(s.ControlPlane) || len(outdated(s)) > 0 || unseen(s) != "" || slices.ContainsFunc(s.Machines, func(machine *clusterv1.Machine) bool { return held(s, machine) }) {
		return nil
	}
	return addons(s)
}
