// SPDX-License-Identifier: Apache-2.0

package kubeadmcontrolplane

import (
	"fmt"
	"math/rand"
	"slices"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	bootstrapv1 "github.com/slipway-project/slipway/api/bootstrap/v1beta2"
	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	"github.com/slipway-project/slipway/conditions"
	"github.com/slipway-project/slipway/etcd"
	"github.com/slipway-project/slipway/plan"
)

// TestRandomFleets holds plans for control planes in any state to the laws of etcd and of
// machines, counted here anew and not by what decides.
func TestRandomFleets(t *testing.T) {
	const fleets = 400
	reasons := map[string]int{}
	for seed := range int64(fleets) {
		w := randomFleet(t, rand.New(rand.NewSource(seed)))
		s := w.snapshot()
		if seed%17 == 0 {
			s.Etcd = plan.Known[etcd.View]{Err: "no answer"}
		}
		decided := checked(t, s)
		if decided.Outcome.Reason == "UpdatingMachines" { // what is told first is in the way of nothing
			for _, action := range decided.Actions {
				w.do(action)
			}
			seen := s.Etcd
			s = w.snapshot()
			s.Etcd = seen
			decided = checked(t, s)
		}
		if again := plan.Print(Plan(s), s.Now); again != plan.Print(decided, s.Now) {
			t.Errorf("two plans for the same snapshot:\n%s\n%s", plan.Print(decided, s.Now), again)
		}
		reasons[decided.Outcome.Reason]++
		for _, broken := range laws(w, s, decided.Actions) {
			t.Errorf("fleet %d: %s\n%s\nmembers %+v", seed, broken, plan.Print(decided, s.Now), s.Etcd)
		}
		if t.Failed() {
			return
		}
	}
	// A generator that gets nowhere near the decisions shows nothing.
	for _, reason := range []string{"RemovingMember", "MovingLeader", "RemovingStrayMember", "ReleasingHosts", "Remediating", "RollingOut", "ScalingUp", "ScalingDown", "DepartureHeld"} {
		if reasons[reason] == 0 {
			t.Errorf("of %d fleets none came to %s: %v", fleets, reason, reasons)
		}
	}
}

// laws are what an onlooker can say of some actions.
func laws(w *world, s Snapshot, actions []plan.Action) []string {
	var broken []string
	created, changes := 0, 0
	for _, action := range actions {
		switch action := action.(type) {
		case plan.Create:
			if action.Object.GetKind() == machineKind.Kind {
				created++
			}
		case plan.Operate:
			changes++
			if remove, ok := action.Operation.(etcd.RemoveMember); ok {
				if voters, healthy := w.without(remove.Member.Name, remove.Member.ID); healthy < voters/2+1 {
					broken = append(broken, fmt.Sprintf("I1: %s leaves %d healthy of %d voters", action, healthy, voters))
				}
				if remove.Member.ID == w.leader {
					broken = append(broken, fmt.Sprintf("I4: %s takes the leader away", action))
				}
			}
			if !s.Etcd.OK() {
				broken = append(broken, fmt.Sprintf("%s: without having seen the members", action))
			}
		case plan.Delete:
			machine := machineNamed(s, action.On.Name)
			if held(s, machine) {
				continue
			}
			if index := slices.IndexFunc(w.members, func(member etcd.Member) bool { return member.Name == machine.Name }); index >= 0 {
				changes++
				if voters, healthy := w.without(machine.Name, w.members[index].ID); healthy < voters/2+1 {
					broken = append(broken, fmt.Sprintf("I2: %s leaves %d healthy of %d voters", action, healthy, voters))
				}
			}
		case plan.Patch:
			if removes(action, bootstrapv1.HoldJoinAnnotation) {
				changes++
				if w.busy() {
					broken = append(broken, fmt.Sprintf("I3: %s while the membership is about to change", action))
				}
			}
			if removes(action, hook) && len(s.Machines) > 1 && slices.ContainsFunc(w.members, func(member etcd.Member) bool { return member.Name == action.On.Name }) {
				broken = append(broken, fmt.Sprintf("%s: its member is listed", action))
			}
		}
	}
	if changes > 1 {
		broken = append(broken, fmt.Sprintf("I3: %d changes of the membership at once", changes))
	}
	if limit := replicas(s.ControlPlane) + surge(s); created > 0 && created+len(s.Machines) > limit {
		broken = append(broken, fmt.Sprintf("I11: %d machines are made where %d are there and %d may be", created, len(s.Machines), limit))
	}
	return broken
}

// without counts the voters without one member, and those of them that are well.
func (w *world) without(name string, id uint64) (voters, healthy int) {
	for _, member := range w.members {
		if member.ID == id || member.Learner {
			continue
		}
		voters++
		// A member that no machine has answers to nobody.
		there := slices.ContainsFunc(w.machines, func(machine *clusterv1.Machine) bool { return machine.Status.NodeRef.Name == member.Name })
		if member.Name != "" && member.Name != name && there && !w.dead[member.Name] {
			healthy++
		}
	}
	return voters, healthy
}

// busy reports that a member is announced or learns, or is about to leave. The last one that
// is well does not leave before another is.
func (w *world) busy() bool {
	for _, member := range w.members {
		if member.Learner || member.Name == "" {
			return true
		}
	}
	return slices.ContainsFunc(w.machines, func(machine *clusterv1.Machine) bool {
		listed := slices.ContainsFunc(w.members, func(member etcd.Member) bool { return member.Name == machine.Name })
		last := w.well(machine) && !slices.ContainsFunc(w.machines, func(other *clusterv1.Machine) bool { return other != machine && w.well(other) })
		return machine.DeletionTimestamp != nil && listed && !last
	})
}

func (w *world) well(machine *clusterv1.Machine) bool {
	return w.whole[machine.Name] && !w.dead[machine.Name]
}

// randomFleet is a control plane of one to five machines in any state, most of them well.
func randomFleet(t *testing.T, random *rand.Rand) *world {
	w := newWorld(t, []int32{1, 3, 5}[random.Intn(3)])
	yes := true
	w.controlPlane.Status.Initialization.ControlPlaneInitialized = &yes
	if *w.controlPlane.Spec.Replicas > 1 {
		w.surge(random.Intn(2))
	}
	count := 1 + random.Intn(5)
	for i := range count {
		w.randomMachine(random, i)
	}
	if random.Intn(6) == 0 { // somebody was here before
		w.lastID++
		w.members = append(w.members, etcd.Member{ID: w.lastID, Name: []string{"", "gone"}[random.Intn(2)], PeerURLs: []string{"https://gone"}, Learner: random.Intn(2) == 0})
	}
	for _, member := range w.members {
		if member.Name != "" && member.Name != "gone" && !member.Learner && !w.dead[member.Name] && (w.leader == 0 || random.Intn(3) == 0) {
			w.leader = member.ID
		}
	}
	return w
}

func (w *world) randomMachine(random *rand.Rand, i int) {
	yes := true
	s := w.snapshot()
	name := fmt.Sprintf("cp-%d", i)
	machine := newMachine(s, name, []string{"a", "b", "c"}[random.Intn(3)])
	machine.UID, machine.CreationTimestamp = "uid-"+machine.UID, metav1.NewTime(w.now.Add(-time.Duration(random.Intn(100))*time.Minute))
	if random.Intn(4) == 0 {
		machine.Spec.Version = "v1.36.3"
	}
	w.machines = append(w.machines, machine)
	w.create(newConfig(s, machine))
	infrastructure, err := newInfrastructure(s, machine)
	if err != nil {
		w.Fatal(err)
	}
	w.create(infrastructure)
	machine.Status.Initialization.InfrastructureProvisioned = &yes
	if state := random.Intn(10); state > 0 { // else its join is held
		w.objects[name].Config.Annotations = nil
		w.objects[name].Config.Status.Initialization.DataSecretCreated = &yes
		w.lastID++
		member := etcd.Member{ID: w.lastID, Name: name, PeerURLs: []string{"https://" + name}, Learner: state == 1}
		if state == 2 {
			member.Name = ""
		}
		if state != 3 { // else it has none
			w.members = append(w.members, member)
		}
		if state > 3 || random.Intn(2) == 0 {
			machine.Status.NodeRef.Name = name
		}
		w.whole[name], w.dead[name] = state > 3, state == 4
		if state > 4 {
			w.set(machine, conditions.True(clusterv1.ReadyCondition, clusterv1.ReadyReason, ""))
		} else if random.Intn(2) == 0 {
			w.fail(name)
		}
	}
	if random.Intn(7) == 0 {
		machine.DeletionTimestamp = &metav1.Time{Time: w.now.Add(-time.Duration(random.Intn(10)) * time.Second)}
		if random.Intn(3) > 0 {
			w.set(machine, conditions.True(clusterv1.DeletingCondition, clusterv1.WaitingForPreTerminateHookReason, ""))
		}
	}
	if random.Intn(10) == 0 {
		machine.Annotations = with(machine.Annotations, clusterv1.DeleteMachineAnnotation, "")
	}
}
