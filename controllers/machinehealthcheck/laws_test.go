// SPDX-License-Identifier: Apache-2.0

package machinehealthcheck

import (
	"encoding/json"
	"fmt"
	"math/rand"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"

	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	"github.com/slipway-project/slipway/conditions"
	"github.com/slipway-project/slipway/contract"
	"github.com/slipway-project/slipway/machines"
	"github.com/slipway-project/slipway/plan"
	"github.com/slipway-project/slipway/plan/plantest"
)

var testTime = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// fleet is a random snapshot, and what its Machines were made to be, by name.
type fleet struct {
	Snapshot
	truth map[string]string
	limit int
}

var truths = []string{"well", "well", "well", "well", "unknown", "deleted", "asked", "pending", "starting", "going", "skipped", "paused"}

func newFleet(random *rand.Rand) fleet {
	yes := true
	f := fleet{truth: map[string]string{}}
	f.Now = testTime
	f.HealthCheck = &clusterv1.MachineHealthCheck{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "workers", UID: "hc", CreationTimestamp: metav1.NewTime(testTime.Add(-2 * time.Hour)), Generation: 1},
		Spec: clusterv1.MachineHealthCheckSpec{
			ClusterName: "demo", Selector: metav1.LabelSelector{MatchLabels: map[string]string{"pool": "workers"}},
			Checks: clusterv1.MachineHealthCheckChecks{UnhealthyNodeConditions: []clusterv1.UnhealthyNodeCondition{{Type: "Ready", Status: "Unknown", TimeoutSeconds: new(int32(60))}}},
		},
	}
	f.Cluster = &clusterv1.Cluster{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "demo", UID: "c"}}
	f.Cluster.Status.Initialization = clusterv1.ClusterInitializationStatus{InfrastructureProvisioned: &yes, ControlPlaneInitialized: &yes}
	f.Connection = Connection{Connected: true, LastSuccess: testTime, InSightSince: testTime.Add(-time.Hour)}
	count := random.Intn(9)
	for i := range count {
		f.add(fmt.Sprintf("m%d", i), truths[random.Intn(len(truths))], random)
	}
	f.limit = random.Intn(count + 1)
	limit := intstr.FromInt32(int32(f.limit))
	f.HealthCheck.Spec.Remediation.TriggerIf.UnhealthyLessThanOrEqualTo = &limit
	if random.Intn(3) == 0 {
		f.HealthCheck.Spec.Remediation.TemplateRef = clusterv1.MachineHealthCheckRemediationTemplateReference{
			APIVersion: "infrastructure.cluster.x-k8s.io/v1alpha1", Kind: "RebootTemplate", Name: "reboot",
		}
		f.Template = plan.KnownValue(&contract.Object{Contract: contract.V1Beta2, Unstructured: &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "infrastructure.cluster.x-k8s.io/v1alpha1", "kind": "RebootTemplate",
			"metadata": map[string]any{"namespace": "default", "name": "reboot"}, "spec": map[string]any{"template": map[string]any{"spec": map[string]any{}}},
		}}}, testTime)
		f.Requests = plan.KnownValue(map[string]*contract.Object{}, testTime)
	}
	switch random.Intn(5) {
	case 0:
		f.Connection = Connection{LastSuccess: testTime.Add(-time.Minute), InSightSince: testTime.Add(-time.Hour), Err: "no answer"}
		f.Nodes = plan.Known[[]Node]{Err: "not connected"}
	case 1:
		f.Connection.LastSuccess = testTime.Add(-2 * contactGrace)
	}
	return f
}

func (f *fleet) add(name, truth string, random *rand.Rand) {
	machine := &clusterv1.Machine{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "default", Name: name, UID: types.UID("uid-" + name), Labels: map[string]string{"pool": "workers"}, Annotations: map[string]string{},
			CreationTimestamp: metav1.NewTime(testTime.Add(-time.Hour)), Generation: 1,
			OwnerReferences: []metav1.OwnerReference{{APIVersion: "cluster.x-k8s.io/v1beta2", Kind: "MachineSet", Name: "workers", UID: "ms", Controller: new(true)}},
		},
		Spec:   clusterv1.MachineSpec{ClusterName: "demo", ProviderID: "test:////" + name},
		Status: clusterv1.MachineStatus{NodeRef: clusterv1.MachineNodeReference{Name: name}},
	}
	node := Node{Name: name, ProviderID: machine.Spec.ProviderID, Conditions: []corev1.NodeCondition{{Type: "Ready", Status: "True", LastTransitionTime: metav1.NewTime(testTime.Add(-30 * time.Minute))}}}
	unwell := func(ago time.Duration) {
		node.Conditions[0].Status, node.Conditions[0].LastTransitionTime = "Unknown", metav1.NewTime(testTime.Add(-ago))
	}
	there := true
	switch truth {
	case "unknown":
		unwell(time.Minute + time.Duration(random.Intn(100))*time.Second)
	case "deleted":
		there = false
	case "asked":
		machine.Annotations[clusterv1.RemediateMachineAnnotation] = ""
	case "pending":
		unwell(time.Duration(random.Intn(60)) * time.Second)
	case "starting":
		there, machine.Status.NodeRef.Name = false, ""
		machine.CreationTimestamp = metav1.NewTime(testTime.Add(-time.Minute))
	case "going":
		machine.DeletionTimestamp, machine.Finalizers = &metav1.Time{Time: testTime.Add(-time.Minute)}, []string{clusterv1.MachineFinalizer}
	case "skipped":
		machine.Annotations[clusterv1.MachineSkipRemediationAnnotation] = ""
		unwell(time.Hour)
	case "paused":
		machine.Annotations[clusterv1.PausedAnnotation] = ""
		unwell(time.Hour)
	}
	if there {
		f.Nodes.Value = append(f.Nodes.Value, node)
	}
	f.Machines = append(f.Machines, machine)
	f.truth[name] = truth
}

// notHealthy counts, from what the Machines were made to be, those that count against the
// limit while the cluster is in sight.
func (f fleet) notHealthy() (sick int) {
	for _, truth := range f.truth {
		if truth != "well" && truth != "skipped" && truth != "paused" {
			sick++
		}
	}
	return sick
}

// TestLaws holds plans for random fleets to what no plan may break, and sees that they
// come to rest.
func TestLaws(t *testing.T) {
	asked := 0
	for seed := range int64(150) {
		f := newFleet(rand.New(rand.NewSource(seed)))
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			for round := 0; ; round++ {
				raw, err := json.Marshal(f.Snapshot)
				if err != nil {
					t.Fatal(err)
				}
				decided := plantest.Laws(t, subject, raw)
				asked += f.holds(t, decided)
				if len(decided.Actions) == 0 {
					return
				}
				if round == 5 {
					t.Fatalf("still acting: %s", plan.Print(decided, f.Now))
				}
				f.carryOut(t, decided.Actions)
			}
		})
	}
	if asked < 40 {
		t.Errorf("only %d remediations were asked for: the test shows little", asked)
	}
}

// holds checks a plan against what the fleet was made to be, and counts the remediations.
func (f fleet) holds(t *testing.T, decided plan.Plan[clusterv1.MachineHealthCheckStatus]) (asked int) {
	t.Helper()
	sighted := f.Connection.Connected && f.Now.Sub(f.Connection.LastSuccess) <= contactGrace
	for _, action := range decided.Actions {
		if action.Target().Kind == "MachineHealthCheck" {
			continue
		}
		truth := f.truth[action.Target().Name]
		if truth == "paused" || truth == "going" {
			t.Errorf("%s: the Machine is %s", action, truth)
		}
		apply, isApply := action.(plan.Apply)
		_, isCreate := action.(plan.Create)
		if !isCreate && !(isApply && asksOwner(apply)) {
			continue
		}
		asked++
		if truth != "unknown" && truth != "deleted" && truth != "asked" {
			t.Errorf("%s: the Machine is %s", action, truth)
		}
		if truth != "asked" && !sighted {
			t.Errorf("%s: the cluster is out of sight", action)
		}
		if sighted && f.notHealthy() > f.limit {
			t.Errorf("%s: %d are not healthy, and %d may be", action, f.notHealthy(), f.limit)
		}
	}
	status := decided.Status
	checked := 0
	for _, truth := range f.truth {
		if truth != "skipped" && truth != "paused" {
			checked++
		}
	}
	if int(*status.ExpectedMachines) != checked || len(status.Targets) != checked || !slices.IsSorted(status.Targets) {
		t.Errorf("%d Machines are to be checked, and the status says %d: %v", checked, *status.ExpectedMachines, status.Targets)
	}
	if healthy := int(*status.CurrentHealthy); sighted && healthy != checked-f.notHealthy() {
		t.Errorf("%d Machines are healthy, want %d", healthy, checked-f.notHealthy())
	}
	return asked
}

// carryOut does what a server would.
func (f *fleet) carryOut(t *testing.T, actions []plan.Action) {
	t.Helper()
	for _, action := range actions {
		switch action := action.(type) {
		case plan.Create:
			f.Requests.Value[action.Object.GetName()] = &contract.Object{Contract: contract.V1Beta2, Unstructured: action.Object}
		case plan.Delete:
			delete(f.Requests.Value, action.On.Name)
		case plan.Apply:
			if action.Target().Kind == "MachineHealthCheck" {
				f.HealthCheck.Finalizers, f.HealthCheck.Labels, f.HealthCheck.OwnerReferences = action.Object.GetFinalizers(), action.Object.GetLabels(), action.Object.GetOwnerReferences()
				continue
			}
			i := slices.IndexFunc(f.Machines, func(m *clusterv1.Machine) bool { return m.UID == action.Object.GetUID() })
			state(t, f.Machines[i], action)
		default:
			t.Fatalf("no plan of a health check holds a %T", action)
		}
	}
}

func state(t *testing.T, machine *clusterv1.Machine, apply plan.Apply) {
	t.Helper()
	manager := plan.Manager(name, apply.Aspect)
	machine.ManagedFields = slices.DeleteFunc(machine.ManagedFields, func(entry metav1.ManagedFieldsEntry) bool { return entry.Manager == manager })
	for conditionType, aspect := range aspects {
		if aspect == apply.Aspect {
			machine.Status.Conditions = slices.DeleteFunc(machine.Status.Conditions, func(c metav1.Condition) bool { return c.Type == conditionType })
		}
	}
	var read clusterv1.Machine
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(apply.Object.Object, &read); err != nil {
		t.Fatal(err)
	}
	for _, condition := range read.Status.Conditions {
		machine.Status.Conditions = append(machine.Status.Conditions, condition)
		fields := fmt.Sprintf(`{"f:status":{"f:conditions":{"k:{\"type\":\"%s\"}":{".":{},"f:type":{},"f:status":{},"f:reason":{},"f:message":{},"f:lastTransitionTime":{},"f:observedGeneration":{}}}}}`, condition.Type)
		machine.ManagedFields = append(machine.ManagedFields, metav1.ManagedFieldsEntry{
			Manager: manager, Operation: metav1.ManagedFieldsOperationApply, Subresource: "status", APIVersion: "cluster.x-k8s.io/v1beta2", FieldsType: "FieldsV1",
			FieldsV1: metav1.NewFieldsV1(fields),
		})
	}
}

// TestRecoveryTakesEverythingBack heals whole fleets: all that was asked for is gone then.
func TestRecoveryTakesEverythingBack(t *testing.T) {
	for seed := range int64(60) {
		f := newFleet(rand.New(rand.NewSource(seed)))
		settle(t, &f)
		f.Connection = Connection{Connected: true, LastSuccess: testTime, InSightSince: testTime.Add(-time.Hour)}
		f.Nodes = plan.KnownValue([]Node(nil), testTime)
		for _, machine := range f.Machines {
			machine.Annotations, machine.Status.NodeRef.Name = nil, machine.Name
			f.Nodes.Value = append(f.Nodes.Value, Node{Name: machine.Name})
		}
		settle(t, &f)
		for _, machine := range f.Machines {
			if machines.Deleting(machine) {
				continue
			}
			list := machine.Status.Conditions
			if !conditions.Is(list, clusterv1.HealthCheckSucceededCondition, metav1.ConditionTrue) || len(list) != 1 || f.Requests.Value[machine.Name] != nil {
				t.Errorf("seed %d: Machine %s is healthy again and shows %+v", seed, machine.Name, list)
			}
		}
	}
}

func settle(t *testing.T, f *fleet) {
	t.Helper()
	for range 6 {
		decided := Plan(f.Snapshot)
		if len(decided.Actions) == 0 {
			return
		}
		f.carryOut(t, decided.Actions)
	}
	t.Fatal("does not come to rest")
}

// TestDueAt: the time in which nobody saw the cluster does not count.
func TestDueAt(t *testing.T) {
	at := func(seconds int) time.Time { return testTime.Add(time.Duration(seconds) * time.Second) }
	outage := Connection{InSightUntil: at(100), InSightSince: at(300)}
	for _, test := range []struct {
		name       string
		connection Connection
		since      time.Time
		want       time.Time
	}{
		{"without an outage", Connection{}, at(0), at(60)},
		{"run out before it", outage, at(20), at(80)},
		{"run out just as it began", outage, at(40), at(100)},
		{"began before it", outage, at(80), at(340)},
		{"began in it", outage, at(200), at(360)},
		{"began just as it ended", outage, at(300), at(360)},
		{"began after it", outage, at(310), at(370)},
		{"began before this process", Connection{InSightSince: at(300)}, at(20), at(360)},
		{"nobody knows since when", Connection{InSightSince: at(300)}, time.Time{}, at(360)},
	} {
		if got := dueAt(Snapshot{Connection: test.connection}, test.since, time.Minute); !got.Equal(test.want) {
			t.Errorf("%s: due at %s, want %s", test.name, got, test.want)
		}
	}
}
