// SPDX-License-Identifier: Apache-2.0

package kubeadmcontrolplane

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	controlplanev1 "github.com/slipway-project/slipway/api/controlplane/v1beta2"
	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	"github.com/slipway-project/slipway/conditions"
	"github.com/slipway-project/slipway/etcd"
	"github.com/slipway-project/slipway/machines"
	"github.com/slipway-project/slipway/plan"
)

// outOfBalance is how long after its deletion began a machine keeps its member and its API
// server at least. The load balancer takes a machine out when that has a deletion
// timestamp; meanwhile clients are still sent there.
const outOfBalance = 3 * time.Second

const hook = controlplanev1.PreTerminateHookCleanupAnnotation

// hooked are the machines on their way out whose hosts are kept until their members are
// out of etcd, those that were deleted first in front.
func hooked(s Snapshot) []*clusterv1.Machine {
	going := slices.DeleteFunc(slices.Clone(s.Machines), func(machine *clusterv1.Machine) bool {
		_, kept := machine.Annotations[hook]
		return !machines.Deleting(machine) || !kept
	})
	return slices.SortedFunc(slices.Values(going), inOrderOfDeletion)
}

// inOrderOfDeletion compares machines on their way out: the one that was deleted first is
// less.
func inOrderOfDeletion(a, b *clusterv1.Machine) int {
	return cmp.Or(a.DeletionTimestamp.Compare(b.DeletionTimestamp.Time), cmp.Compare(a.Name, b.Name))
}

// dropHook lets the host of a machine go.
func dropHook(machine *clusterv1.Machine, reason string) plan.Action {
	path := "/metadata/annotations/" + strings.ReplaceAll(hook, "/", "~1")
	return plan.Patch{On: plan.RefTo(machineKind, machine), Reason: reason, Operations: []plan.PatchOperation{
		{Op: "test", Path: "/metadata/uid", Value: string(machine.UID)},
		{Op: "test", Path: path, Value: machine.Annotations[hook]},
		{Op: "remove", Path: path},
	}}
}

// dropHooks lets the hosts of all machines on their way out go, where nothing is left to
// take care of.
func dropHooks(s Snapshot, reason string) []plan.Action {
	var actions []plan.Action
	for _, machine := range hooked(s) {
		actions = append(actions, dropHook(machine, reason))
	}
	return actions
}

// departures take the members of machines on their way out off etcd, one at a time, and
// then let the hosts go; nil when no machine is held. One whose node takes long to drain is
// no reason to keep the others.
func departures(s Snapshot) *plan.Decision {
	going := hooked(s)
	if len(going) == 0 {
		return nil
	}
	var free []plan.Action
	for _, machine := range going {
		if why := noReasonToKeep(s, machine); why != "" {
			free = append(free, dropHook(machine, why))
		}
	}
	if len(free) > 0 {
		decision := plan.Act("ReleasingHosts", "", free...)
		return &decision
	}
	var steps []step
	for _, machine := range going {
		steps = append(steps, func(s Snapshot) *plan.Decision {
			decision := departure(s, machine)
			return &decision
		})
	}
	return inOrder(s, steps...)
}

// noReasonToKeep says why the host of a machine on its way out need not wait for anything;
// empty when it has to.
func noReasonToKeep(s Snapshot, machine *clusterv1.Machine) string {
	switch {
	case len(s.Machines) == 1:
		return "it is the last Machine of the control plane, and nothing is left to be kept whole"
	case !stacked(s):
		return ""
	case memberless(s, machine):
		return "it has no member of etcd"
	default:
		return ""
	}
}

// departure is the next step of a machine that may still be a member of etcd, or whose API
// server may still be asked.
func departure(s Snapshot, machine *clusterv1.Machine) plan.Decision {
	if decision := handOver(s, machine); decision != nil {
		return *decision
	}
	if decision := notYet(s, machine); decision != nil {
		return *decision
	}
	if !stacked(s) {
		return plan.Act("ReleasingHosts", "", dropHook(machine, "another control-plane Machine serves, and etcd is elsewhere"))
	}
	member, _ := memberOf(s, machine)
	view := s.Etcd.Value
	if left := view.Without(member.ID); !left.Holds() {
		return keeps(machine, fmt.Sprintf("etcd would lose its quorum without member %s: there would be %s", member, left))
	}
	return plan.Act("RemovingMember", "", removeMember(s, plan.RefTo(machineKind, machine), member, fmt.Sprintf("Machine %s leaves; %s then", machine.Name, view.Without(member.ID))))
}

// handOverAttempts is how often a leader is asked to hand over before it is removed as it
// is. The others elect one then; that takes a second or so, in which etcd stands still.
const handOverAttempts = 3

// handOver has the member of a machine that leaves hand the leadership over; nil when it
// does not lead, or cannot be asked. It comes before everything else that a departure takes:
// only the leader itself can hand over, and it is reached through the kubelet and the API
// server of its machine, which others may end before the host goes. It changes no membership.
func handOver(s Snapshot, machine *clusterv1.Machine) *plan.Decision {
	if !stacked(s) || unseen(s) != "" {
		return nil
	}
	member, found := memberOf(s, machine)
	leader, known := s.Etcd.Value.Leader()
	if !found || !known || leader.ID != member.ID || s.Etcd.Value.Answers[member.Name].Err != "" || handOverFails(s) {
		return nil
	}
	heir, ok := newestHealthy(s, machine)
	if !ok {
		return nil
	}
	decision := plan.Act("MovingLeader", "", plan.Operate{
		System: etcd.System, Reason: fmt.Sprintf("Machine %s leaves, and etcd would stand still until it had elected another leader", machine.Name),
		Operation: etcd.MoveLeader{On: plan.RefTo(machineKind, machine), Cluster: clusterKey(s), Nodes: answering(s), From: member, To: heir},
	})
	return &decision
}

// handOverFails reports that the last thing that failed, more than once, was a handing over.
func handOverFails(s Snapshot) bool {
	return s.LastFailure != nil && s.LastFailure.Count >= handOverAttempts && strings.HasPrefix(s.LastFailure.Action, etcd.System+": move the leadership")
}

// notYet says what a machine on its way out waits for before its member may go; nil when
// nothing does.
func notYet(s Snapshot, machine *clusterv1.Machine) *plan.Decision {
	var decision plan.Decision
	reached := conditions.Find(machine.Status.Conditions, clusterv1.DeletingCondition)
	due := machine.DeletionTimestamp.Add(outOfBalance)
	switch others := otherHooks(machine); {
	case reached == nil || reached.Status != metav1.ConditionTrue || reached.Reason != clusterv1.WaitingForPreTerminateHookReason:
		at := "its deletion has just begun"
		if reached != nil && reached.Status == metav1.ConditionTrue {
			at = reached.Reason
		}
		decision = plan.Wait("WaitingForDrain", fmt.Sprintf("Machine %s keeps its part in the control plane until its node is drained (%s)", machine.Name, at))
	case len(others) > 0:
		decision = plan.Wait(clusterv1.WaitingForPreTerminateHookReason, fmt.Sprintf("Machine %s keeps its part in the control plane until these annotations are removed by who set them: %s", machine.Name, strings.Join(others, ", ")))
	case s.Now.Before(due):
		decision = plan.Wait("WaitingForLoadBalancer", fmt.Sprintf("Machine %s keeps its part in the control plane until %s, when no client is sent to it any more", machine.Name, due.UTC().Format(time.RFC3339))).At(due)
	case unseen(s) != "":
		decision = keeps(machine, unseen(s))
	case len(inFlight(s)) > 0:
		decision = plan.Wait("WaitingForJoin", fmt.Sprintf("Machine %s keeps its part in the control plane until %s has joined: the membership of etcd changes once at a time", machine.Name, list(machines.Names(inFlight(s)))))
	case !slices.ContainsFunc(s.Machines, func(other *clusterv1.Machine) bool { return other != machine && serves(s, other) }):
		decision = keeps(machine, "no other Machine of the control plane is whole")
	default:
		return nil
	}
	return &decision
}

func keeps(machine *clusterv1.Machine, why string) plan.Decision {
	return plan.Wait("DepartureHeld", fmt.Sprintf("Machine %s, which is being deleted, keeps its host: %s; it goes when that is over, or when somebody removes its annotation %s and takes the loss", machine.Name, why, hook))
}

// otherHooks are the pre-terminate hooks of others, sorted. They may still need the API
// server on the machine.
func otherHooks(machine *clusterv1.Machine) []string {
	const prefix = clusterv1.PreTerminateDeleteHookAnnotationPrefix
	var others []string
	for key := range machine.Annotations {
		if key != hook && (key == prefix || strings.HasPrefix(key, prefix+"/")) {
			others = append(others, key)
		}
	}
	slices.Sort(others)
	return others
}

// newestHealthy is the member that is to lead after that of a machine that leaves: the one on
// the newest machine that stays, which is the last to be replaced. Where none stays it is
// one that leaves later, so that no two hand the leadership to each other.
func newestHealthy(s Snapshot, leaving *clusterv1.Machine) (etcd.Member, bool) {
	heirs := slices.DeleteFunc(oldest(s.Machines), func(other *clusterv1.Machine) bool {
		return other == leaving || machines.Deleting(other) && (!machines.Deleting(leaving) || inOrderOfDeletion(other, leaving) < 0)
	})
	slices.Reverse(heirs)
	slices.SortStableFunc(heirs, func(a, b *clusterv1.Machine) int {
		return cmp.Compare(rank(machines.Deleting(a)), rank(machines.Deleting(b)))
	})
	for _, machine := range heirs {
		if member, ok := memberOf(s, machine); ok && s.Etcd.Value.Problem(member) == "" {
			return member, true
		}
	}
	return etcd.Member{}, false
}

// rank sorts what is last.
func rank(last bool) int {
	if last {
		return 1
	}
	return 0
}
