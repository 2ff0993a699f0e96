// SPDX-License-Identifier: Apache-2.0

package kubeadmcontrolplane

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/types"

	bootstrapv1 "github.com/slipway-project/slipway/api/bootstrap/v1beta2"
	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	"github.com/slipway-project/slipway/etcd"
	"github.com/slipway-project/slipway/machines"
	"github.com/slipway-project/slipway/plan"
)

// stacked reports that etcd runs on the machines of the control plane, so that each is a
// member of it.
func stacked(s Snapshot) bool { return !externalEtcd(s.ControlPlane.Spec.KubeadmConfigSpec) }

// nodeNames are the Nodes of the machines, those on their way out included, sorted.
func nodeNames(s Snapshot) []string {
	var names []string
	for _, machine := range s.Machines {
		if machine.Status.NodeRef.IsDefined() {
			names = append(names, machine.Status.NodeRef.Name)
		}
	}
	slices.Sort(names)
	return names
}

// memberOf is the member of etcd that runs on a machine. kubeadm names it after the host,
// as the kubelet names the Node; until the Node is known it is found by the names that the
// infrastructure gives for the host, or by the Machine's.
func memberOf(s Snapshot, machine *clusterv1.Machine) (etcd.Member, bool) {
	if node := machine.Status.NodeRef.Name; node != "" {
		return s.Etcd.Value.On(node)
	}
	for _, address := range machine.Status.Addresses {
		if address.Type != clusterv1.MachineHostName && address.Type != clusterv1.MachineInternalDNS {
			continue
		}
		if member, ok := s.Etcd.Value.On(address.Address); ok {
			return member, true
		}
	}
	return s.Etcd.Value.On(machine.Name)
}

// held reports that a machine boots and its join is held, so that it has no part in the
// cluster yet.
func held(s Snapshot, machine *clusterv1.Machine) bool {
	config := s.Objects[machine.Name].Config
	if config == nil {
		return false
	}
	_, annotated := config.Annotations[bootstrapv1.HoldJoinAnnotation]
	return annotated && !isTrue(config.Status.Initialization.DataSecretCreated)
}

// memberless reports that a machine certainly has no member of etcd, so that its removal
// changes no membership. What cannot be seen is not taken for nothing.
func memberless(s Snapshot, machine *clusterv1.Machine) bool {
	switch {
	case !stacked(s), held(s, machine), !isInitializedNow(s):
		return true
	case !s.Etcd.OK():
		return false
	default:
		_, member := memberOf(s, machine)
		return !member
	}
}

// unseen says why the state of the control plane is not known well enough to change its
// membership; empty when it is.
func unseen(s Snapshot) string {
	switch {
	case !s.Workload.OK():
		return "the state of the Machines that are there cannot be seen: " + s.Workload.Err
	case stacked(s) && !s.Etcd.OK():
		return "the members of etcd cannot be seen: " + s.Etcd.Err
	default:
		return ""
	}
}

// lacks are the types of the conditions that a machine on which the control plane runs
// has, and this one has not, as they are now and whether it is on its way out or not.
func lacks(s Snapshot, machine *clusterv1.Machine) []string {
	var missing []string
	for _, shown := range partConditions(s, machine) {
		if shown.Status != "True" {
			missing = append(missing, shown.Type)
		}
	}
	return missing
}

// serves reports that the whole control plane runs on a machine, now.
func serves(s Snapshot, machine *clusterv1.Machine) bool {
	return unseen(s) == "" && len(lacks(s, machine)) == 0
}

// joining are the machines that may join just now: nothing holds them, and they are not
// whole yet. While there is one, the membership is about to change.
func joining(s Snapshot) []*clusterv1.Machine {
	return slices.DeleteFunc(active(s), func(machine *clusterv1.Machine) bool {
		if held(s, machine) || serves(s, machine) {
			return true
		}
		_, member := memberOf(s, machine)
		return machine.Status.NodeRef.IsDefined() && (member || !stacked(s) || unseen(s) != "")
	})
}

// inFlight are the machines whose join is to be waited for before anything else changes the
// membership: those that join, and those whose member has no vote yet. One that fails is
// not waited for.
func inFlight(s Snapshot) []*clusterv1.Machine {
	coming := joining(s)
	for _, machine := range active(s) {
		if member, ok := memberOf(s, machine); ok && member.Learner && !slices.Contains(coming, machine) {
			coming = append(coming, machine)
		}
	}
	return slices.DeleteFunc(coming, machines.RemediationAsked)
}

// oldest sorts machines by age; the name decides among equals.
func oldest(list []*clusterv1.Machine) []*clusterv1.Machine {
	return slices.SortedFunc(slices.Values(list), func(a, b *clusterv1.Machine) int {
		return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(a.Name, b.Name))
	})
}

func clusterKey(s Snapshot) types.NamespacedName {
	return types.NamespacedName{Namespace: s.Cluster.Namespace, Name: s.Cluster.Name}
}

// answering are the Nodes whose members answered, which can be asked for a change.
func answering(s Snapshot) []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(s.Etcd.Value.Answers)), func(node string) bool { return s.Etcd.Value.Answers[node].Err != "" })
}

func removeMember(s Snapshot, on plan.Ref, member etcd.Member, reason string) plan.Action {
	others := slices.DeleteFunc(answering(s), func(node string) bool { return node == member.Name })
	return plan.Operate{System: etcd.System, Reason: reason, Operation: etcd.RemoveMember{
		On: on, Cluster: clusterKey(s), Nodes: others, Member: member,
	}}
}

// strayMembers removes members that nobody will come for any more, one at a time: those
// that a machine left behind, and those that were announced and never started. While a
// machine may join, neither can be told from what it is about to become: kubeadm starts
// the member before it makes the Node.
func strayMembers(s Snapshot) *plan.Decision {
	if !stacked(s) || unseen(s) != "" || len(joining(s)) > 0 {
		return nil
	}
	for _, member := range s.Etcd.Value.Members {
		why := stray(s, member)
		if why == "" {
			continue
		}
		if left := s.Etcd.Value.Without(member.ID); !left.Holds() {
			decision := plan.Wait("StrayMemberKept", fmt.Sprintf("member %s of etcd is to be removed, for %s; it stays until enough others are healthy: without it there would be %s", member, why, left))
			return &decision
		}
		decision := plan.Act("RemovingStrayMember", "", removeMember(s, plan.RefTo(kind, s.ControlPlane), member, why))
		return &decision
	}
	return nil
}

// stray says why a member has nobody; empty for all others.
func stray(s Snapshot, member etcd.Member) string {
	if !member.Started() {
		return "it has never started, and no Machine is joining"
	}
	for _, machine := range slices.Concat(s.Machines, s.Orphans) {
		if found, ok := memberOf(s, machine); ok && found.ID == member.ID {
			return ""
		}
	}
	if _, there := s.Workload.Value.Nodes[member.Name]; there {
		return ""
	}
	return "neither a Machine nor a Node of its name is there"
}

// membersInOrder say what of the membership of etcd keeps it from being changed, but for
// the members given, which are to go.
func membersInOrder(s Snapshot, going ...uint64) []string {
	if !stacked(s) {
		return nil
	}
	var problems []string
	for _, member := range s.Etcd.Value.Members {
		if slices.Contains(going, member.ID) {
			continue
		}
		if problem := s.Etcd.Value.Problem(member); problem != "" {
			problems = append(problems, fmt.Sprintf("member %s of etcd: %s", member, problem))
		}
	}
	return problems
}

// deletingMembers are the machines on their way out that are members of etcd still, or
// may be.
func deletingMembers(s Snapshot) []*clusterv1.Machine {
	return slices.DeleteFunc(slices.Clone(s.Machines), func(machine *clusterv1.Machine) bool {
		return !machines.Deleting(machine) || memberless(s, machine)
	})
}
