// SPDX-License-Identifier: Apache-2.0

package kubeadmcontrolplane

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"

	bootstrapv1 "github.com/slipway-project/slipway/api/bootstrap/v1beta2"
	controlplanev1 "github.com/slipway-project/slipway/api/controlplane/v1beta2"
	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	"github.com/slipway-project/slipway/conditions"
	"github.com/slipway-project/slipway/contract"
	"github.com/slipway-project/slipway/credentials"
	"github.com/slipway-project/slipway/etcd"
	"github.com/slipway-project/slipway/plan"
)

// world is a control plane, its hosts and its etcd, in memory and in slow motion: a tick is
// a second. It does what plans say, and what hosts do by themselves.
type world struct {
	*testing.T
	controlPlane *controlplanev1.KubeadmControlPlane
	cluster      *clusterv1.Cluster
	template     *contract.Object
	machines     []*clusterv1.Machine
	objects      map[string]Objects
	orphans      []*clusterv1.Machine
	members      []etcd.Member
	leader       uint64
	lastID       uint64
	// dead are the machines whose hosts do not run any more, whole those on which all
	// runs, stuck those that never come up.
	dead, whole, stuck map[string]bool
	// nobodyComes has all hosts that come up from now on stand still.
	nobodyComes bool
	// progress is for how many ticks a host has been joining.
	progress map[string]int
	now      time.Time
	lines    []string
}

func newWorld(t *testing.T, replicas int32) *world {
	controlPlane, cluster, template := beginnings()
	controlPlane.Spec.Replicas = &replicas
	controlPlane.Labels = map[string]string{clusterv1.ClusterNameLabel: cluster.Name}
	w := &world{
		T: t, controlPlane: controlPlane, cluster: cluster, template: &contract.Object{Unstructured: template},
		objects: map[string]Objects{}, dead: map[string]bool{}, whole: map[string]bool{}, stuck: map[string]bool{}, progress: map[string]int{}, now: testTime,
	}
	for _, domain := range []string{"a", "b", "c"} {
		yes := true
		cluster.Status.FailureDomains = append(cluster.Status.FailureDomains, clusterv1.FailureDomain{Name: domain, ControlPlane: &yes})
	}
	return w
}

func (w *world) surge(n int) {
	value := intstr.FromInt(n)
	w.controlPlane.Spec.Rollout.Strategy.RollingUpdate.MaxSurge = &value
}

func (w *world) view() plan.Known[etcd.View] {
	view := etcd.View{Members: slices.Clone(w.members), Answers: map[string]etcd.Answer{}}
	for _, machine := range w.machines {
		if name := machine.Status.NodeRef.Name; name != "" {
			view.Answers[name] = w.answer(machine.Name)
		}
	}
	if len(w.members) > 0 && !view.Without().Holds() {
		return plan.Known[etcd.View]{Err: "no quorum", At: w.now}
	}
	return plan.KnownValue(view, w.now)
}

func (w *world) answer(name string) etcd.Answer {
	index := slices.IndexFunc(w.members, func(member etcd.Member) bool { return member.Name == name })
	if w.dead[name] || index < 0 {
		return etcd.Answer{Err: "no answer"}
	}
	return etcd.Answer{ID: w.members[index].ID, Leader: w.leader, Learner: w.members[index].Learner}
}

func (w *world) snapshot() Snapshot {
	s := Snapshot{
		Now: w.now, ControlPlane: w.controlPlane.DeepCopy(), Cluster: w.cluster.DeepCopy(), Template: plan.KnownValue(w.template, w.now),
		Objects: maps.Clone(w.objects), Certificates: map[credentials.Purpose]Certificate{}, Kubeconfig: Kubeconfig{Ours: true, UID: "kubeconfig"}, LastContact: w.now,
		Etcd: w.view(),
	}
	for _, purpose := range credentials.Purposes() {
		s.Certificates[purpose] = Certificate{}
	}
	shown := Workload{Initialized: len(w.members) > 0, Pods: map[string]*corev1.PodStatus{}, Nodes: map[string]Node{}}
	for _, machine := range w.machines {
		s.Machines = append(s.Machines, machine.DeepCopy())
		name := machine.Status.NodeRef.Name
		if name == "" {
			continue
		}
		shown.Nodes[name] = Node{Labels: map[string]string{controlPlaneRole: ""}, Taints: []corev1.Taint{{Key: controlPlaneRole, Effect: corev1.TaintEffectNoSchedule}}}
		for _, part := range components(s) {
			ready := corev1.ConditionFalse
			if w.whole[machine.Name] && !w.dead[machine.Name] {
				ready = corev1.ConditionTrue
			}
			shown.Pods[part.name+"-"+name] = &corev1.PodStatus{Phase: corev1.PodRunning, Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: ready}}}
		}
	}
	for _, orphan := range w.orphans {
		s.Orphans = append(s.Orphans, orphan.DeepCopy())
	}
	s.Workload = plan.KnownValue(shown, w.now)
	return s
}

// tick is what hosts and the Machine controller do in a second.
func (w *world) tick() {
	w.now = w.now.Add(time.Second)
	yes := true
	var left []*clusterv1.Machine
	for _, machine := range w.machines {
		name := machine.Name
		if machine.DeletionTimestamp != nil {
			w.set(machine, conditions.True(clusterv1.DeletingCondition, clusterv1.WaitingForPreTerminateHookReason, ""))
			if _, kept := machine.Annotations[hook]; kept {
				left = append(left, machine)
				continue
			}
			w.say("the host of %s is gone", name)
			delete(w.objects, name)
			w.whole[name] = false
			continue
		}
		left = append(left, machine)
		config := w.objects[name].Config
		if config == nil || w.nobodyComes || w.stuck[name] || w.whole[name] {
			continue
		}
		machine.Status.Initialization.InfrastructureProvisioned = &yes
		if _, waits := config.Annotations[bootstrapv1.HoldJoinAnnotation]; waits {
			continue
		}
		machine.Status.Initialization.BootstrapDataSecretCreated, config.Status.Initialization.DataSecretCreated = &yes, &yes
		w.join(machine)
	}
	w.machines = left
}

// join goes through what kubeadm does: the member is announced, starts as a learner, and
// gets its vote.
func (w *world) join(machine *clusterv1.Machine) {
	name := machine.Name
	w.progress[name]++
	first := len(w.members) == 0
	switch w.progress[name] {
	case 2:
		w.lastID++
		w.members = append(w.members, etcd.Member{ID: w.lastID, PeerURLs: []string{"https://" + name}, Learner: !first})
		if first {
			w.leader = w.lastID
		}
	case 3:
		machine.Status.NodeRef.Name = name
		w.member(name).Name = name
	case 4:
		w.member(name).Learner = false
		w.whole[name] = true
		w.set(machine, conditions.True(clusterv1.ReadyCondition, clusterv1.ReadyReason, ""))
		w.say("%s has joined", name)
	}
}

func (w *world) member(name string) *etcd.Member {
	for i := range w.members {
		if slices.Contains(w.members[i].PeerURLs, "https://"+name) {
			return &w.members[i]
		}
	}
	w.Fatalf("%s has no member", name)
	return nil
}

// kill ends the host of a machine, and has a health check tell of it.
func (w *world) kill(name string) {
	w.dead[name] = true
	w.say("%s dies", name)
	w.fail(name)
	if member := w.member(name); w.leader == member.ID {
		for _, other := range w.members {
			if !w.dead[other.Name] && !other.Learner {
				w.leader = other.ID
			}
		}
	}
}

// fail is a health check that does not hold.
func (w *world) fail(name string) {
	machine := w.machineNamed(name)
	w.set(machine, conditions.False(clusterv1.ReadyCondition, clusterv1.NotReadyReason, "the node does not report"))
	w.set(machine, conditions.False(clusterv1.HealthCheckSucceededCondition, clusterv1.UnhealthyNodeReason, "the node does not report"))
	w.set(machine, conditions.False(clusterv1.OwnerRemediatedCondition, clusterv1.WaitingForRemediationReason, ""))
}

func (w *world) machineNamed(name string) *clusterv1.Machine {
	for _, machine := range w.machines {
		if machine.Name == name {
			return machine
		}
	}
	w.Fatalf("there is no Machine %s", name)
	return nil
}

func (w *world) set(machine *clusterv1.Machine, condition metav1.Condition) {
	machine.Status.Conditions = slices.DeleteFunc(machine.Status.Conditions, func(c metav1.Condition) bool { return c.Type == condition.Type })
	machine.Status.Conditions = append(machine.Status.Conditions, condition)
}

func (w *world) say(format string, values ...any) {
	w.lines = append(w.lines, fmt.Sprintf("%4ds  %s", int(w.now.Sub(testTime).Seconds()), fmt.Sprintf(format, values...)))
}

// do carries an action out.
func (w *world) do(action plan.Action) {
	switch action := action.(type) {
	case plan.Create:
		w.create(action.Object)
	case plan.Apply:
		w.apply(action)
	case plan.Patch:
		w.patch(action)
	case plan.Delete:
		w.machineNamed(action.On.Name).DeletionTimestamp = &metav1.Time{Time: w.now}
	case plan.Operate:
		switch operation := action.Operation.(type) {
		case etcd.MoveLeader:
			w.leader = operation.To.ID
		case etcd.RemoveMember:
			if operation.Member.ID == w.leader && len(w.members) > 1 {
				w.Errorf("%s: it leads", action)
			}
			w.members = slices.DeleteFunc(w.members, func(member etcd.Member) bool { return member.ID == operation.Member.ID })
		}
	}
}

func (w *world) create(object *unstructured.Unstructured) {
	name := object.GetName()
	switch object.GetKind() {
	case machineKind.Kind:
		machine := &clusterv1.Machine{}
		w.decode(object.Object, machine)
		machine.UID, machine.CreationTimestamp = types.UID(name), metav1.NewTime(w.now)
		w.machines = append(w.machines, machine)
	case configKind.Kind:
		config := &bootstrapv1.KubeadmConfig{}
		w.decode(object.Object, config)
		objects := w.objects[name]
		objects.Config = config
		w.objects[name] = objects
	default:
		objects := w.objects[name]
		objects.Infrastructure = infrastructureOf(&contract.Object{Unstructured: object})
		w.objects[name] = objects
	}
}

func (w *world) decode(content map[string]any, into any) {
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(content, into); err != nil {
		w.Fatal(err)
	}
}

func (w *world) apply(action plan.Apply) {
	object := action.Object
	switch {
	case object.GetKind() == kind.Kind:
		for key, value := range object.GetAnnotations() {
			w.controlPlane.Annotations = with(w.controlPlane.Annotations, key, value)
		}
	case action.Subresource == "status":
		status := &clusterv1.Machine{}
		w.decode(object.Object, status)
		for _, condition := range status.Status.Conditions {
			w.set(w.machineNamed(object.GetName()), condition)
		}
	case action.Aspect == "adoption":
		for _, orphan := range w.orphans {
			orphan.OwnerReferences = object.GetOwnerReferences()
			w.machines = append(w.machines, orphan)
		}
		w.orphans = nil
	}
}

// patch knows annotations and labels, as a whole and one at a time.
func (w *world) patch(action plan.Patch) {
	var on metav1.Object
	switch action.On.Kind {
	case kind.Kind:
		on = w.controlPlane
	case machineKind.Kind:
		on = w.machineNamed(action.On.Name)
	case configKind.Kind:
		on = w.objects[action.On.Name].Config
	default:
		return
	}
	for _, operation := range action.Operations {
		key, one := strings.CutPrefix(operation.Path, "/metadata/annotations/")
		key = strings.ReplaceAll(key, "~1", "/")
		annotations := maps.Clone(on.GetAnnotations())
		switch {
		case one && operation.Op == "remove":
			delete(annotations, key)
			on.SetAnnotations(annotations)
		case operation.Path == "/metadata/annotations" && operation.Op != "test":
			annotations = map[string]string{}
			for name, value := range operation.Value.(map[string]any) {
				annotations[name] = value.(string)
			}
			on.SetAnnotations(annotations)
		}
	}
}

// plans are made and carried out until one has nothing to do.
func (w *world) plans() plan.Plan[controlplanev1.KubeadmControlPlaneStatus] {
	w.Helper()
	for range 30 {
		s := w.snapshot()
		decided := checked(w.T, s)
		w.controlPlane.Status = decided.Status
		if len(decided.Actions) == 0 {
			return decided
		}
		for _, action := range decided.Actions {
			if decided.Outcome.Reason != "UpdatingMachines" && !strings.HasPrefix(action.String(), "apply status") && action.Target().Kind != "DockerMachine" {
				w.say("%s: %s", decided.Outcome.Reason, action)
			}
			w.do(action)
		}
		if len(w.members) > 0 && !w.view().OK() {
			w.Fatalf("etcd has no quorum after %v", decided.Actions)
		}
	}
	w.Fatalf("plans do not come to an end: %v", w.lines)
	return plan.Plan[controlplanev1.KubeadmControlPlaneStatus]{}
}

// settle lets the world go on until nothing is to be done for a while.
func (w *world) settle() {
	w.Helper()
	quiet := 0
	for range 400 {
		decided := w.plans()
		if quiet++; decided.Outcome.Kind != plan.Converged {
			quiet = 0
		}
		if quiet == 3 {
			w.say("%s, members: %s", decided.Outcome.Kind, w.memberNames())
			return
		}
		w.tick()
	}
	w.Fatalf("it does not settle: %s\n%s", w.plans().Outcome, strings.Join(w.lines, "\n"))
}

func (w *world) memberNames() string {
	var names []string
	for _, member := range w.members {
		names = append(names, member.Name)
	}
	return strings.Join(names, ", ")
}

// checked is the plan for a snapshot, held to the rules of plans and of the kind.
func checked(t *testing.T, s Snapshot) plan.Plan[controlplanev1.KubeadmControlPlaneStatus] {
	t.Helper()
	decided := Plan(s)
	for _, broken := range append(plan.Check(decided), invariants(s, decided)...) {
		t.Errorf("%s\n%s", broken, plan.Print(decided, s.Now))
	}
	return decided
}
