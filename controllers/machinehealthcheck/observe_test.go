// SPDX-License-Identifier: Apache-2.0

package machinehealthcheck

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	"github.com/slipway-project/slipway/contract"
	"github.com/slipway-project/slipway/engine"
	"github.com/slipway-project/slipway/plan"
)

// memory is a Reader of objects in memory, whose providers' kinds are not served.
type memory struct {
	client.Reader
	workloads engine.Workloads
	contract  error
}

func (m memory) Contract(context.Context, string, contract.Ref, string) (*contract.Object, error) {
	return nil, m.contract
}
func (memory) Live() client.Reader           { return nil }
func (memory) Now() time.Time                { return testTime }
func (memory) LastFailure() *plan.Failure    { return nil }
func (m memory) Workloads() engine.Workloads { return m.workloads }

type cluster struct {
	engine.Workloads
	nodes client.Reader
	err   error
	probe engine.Probe
}

func (c cluster) Reader(context.Context, engine.Key) (client.Reader, error) { return c.nodes, c.err }
func (c cluster) Probe(engine.Key) engine.Probe                             { return c.probe }

func holding(t *testing.T, objects ...client.Object) client.Reader {
	t.Helper()
	known := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clusterv1.AddToScheme, corev1.AddToScheme} {
		if err := add(known); err != nil {
			t.Fatal(err)
		}
	}
	return fake.NewClientBuilder().WithScheme(known).WithObjects(objects...).Build()
}

func checkedCluster(template bool) []client.Object {
	yes := true
	check := &clusterv1.MachineHealthCheck{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "workers"}, Spec: clusterv1.MachineHealthCheckSpec{ClusterName: "demo"}}
	if template {
		check.Spec.Remediation.TemplateRef = clusterv1.MachineHealthCheckRemediationTemplateReference{APIVersion: "infrastructure.cluster.x-k8s.io/v1", Kind: "RebootTemplate", Name: "reboot"}
	}
	demo := &clusterv1.Cluster{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "demo"}}
	demo.Status.Initialization = clusterv1.ClusterInitializationStatus{InfrastructureProvisioned: &yes, ControlPlaneInitialized: &yes}
	machine := func(name, cluster string) *clusterv1.Machine {
		return &clusterv1.Machine{
			ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name},
			Spec:       clusterv1.MachineSpec{ClusterName: cluster, ProviderID: "test:////" + name},
		}
	}
	other := check.DeepCopy()
	other.Name = "other"
	elsewhere := check.DeepCopy()
	elsewhere.Name, elsewhere.Spec.ClusterName = "elsewhere", "another"
	return []client.Object{check, other, elsewhere, demo, machine("b", "demo"), machine("a", "demo"), machine("c", "another")}
}

func observed(t *testing.T, reader memory) Snapshot {
	t.Helper()
	snapshot, err := observe(t.Context(), reader, engine.Key{Namespace: "default", Name: "workers"})
	if err != nil {
		t.Fatal(err)
	}
	return snapshot
}

func TestObserve(t *testing.T) {
	node := func(name, id string) *corev1.Node {
		return &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.NodeSpec{ProviderID: id}}
	}
	s := observed(t, memory{Reader: holding(t, checkedCluster(false)...), workloads: cluster{
		nodes: holding(t, node("z", "test:////a"), node("stranger", "test:////x"), node("nobody", "")),
		probe: engine.Probe{Connected: true, LastSuccess: testTime, InSightSince: testTime.Add(-time.Hour), InSightUntil: testTime.Add(-2 * time.Hour)},
	}})
	if len(s.Machines) != 2 || s.Machines[0].Name != "a" || s.Machines[1].Name != "b" {
		t.Errorf("the Machines are %v", s.Machines)
	}
	if len(s.Others) != 1 || s.Others[0].Name != "other" {
		t.Errorf("the other health checks are %v", s.Others)
	}
	if diff := cmp.Diff([]Node{{Name: "z", ProviderID: "test:////a"}}, s.Nodes.Value); diff != "" || !s.Nodes.OK() {
		t.Errorf("the Nodes (-want +got):\n%s", diff)
	}
	want := Connection{Connected: true, LastSuccess: testTime, InSightSince: testTime.Add(-time.Hour), InSightUntil: testTime.Add(-2 * time.Hour)}
	if s.Connection != want {
		t.Errorf("the connection is %+v", s.Connection)
	}
}

// TestObserveWithoutConnection: nothing that the cluster does not say counts as said.
func TestObserveWithoutConnection(t *testing.T) {
	objects := checkedCluster(false)
	for name, workloads := range map[string]engine.Workloads{
		"no connection":             cluster{err: fmt.Errorf("%w: connecting", engine.ErrNotConnected)},
		"the last probe failed":     cluster{nodes: holding(t), probe: engine.Probe{Err: "no answer"}},
		"no clusters are connected": nil,
	} {
		s := observed(t, memory{Reader: holding(t, objects...), workloads: workloads})
		if s.Connection.Connected || inSight(s).ok {
			t.Errorf("%s: the cluster counts as in sight: %+v", name, s.Connection)
		}
	}
}

// TestObserveBeforeInitialization: no Node is asked for, and the time before this process
// looked is known not to count.
func TestObserveBeforeInitialization(t *testing.T) {
	objects := checkedCluster(false)
	for _, object := range objects {
		if demo, ok := object.(*clusterv1.Cluster); ok {
			demo.Status.Initialization.ControlPlaneInitialized = nil
		}
	}
	s := observed(t, memory{Reader: holding(t, objects...), workloads: cluster{
		err: errors.New("nobody is to ask"), probe: engine.Probe{Since: testTime.Add(-time.Minute)},
	}})
	if want := (Connection{InSightSince: testTime.Add(-time.Minute)}); s.Connection != want || s.Nodes.Err != "" {
		t.Errorf("the connection is %+v, and of the Nodes is said %q", s.Connection, s.Nodes.Err)
	}
}

func TestObserveRemediation(t *testing.T) {
	gone := apierrors.NewNotFound(schema.GroupResource{Resource: "reboottemplates"}, "reboot")
	s := observed(t, memory{Reader: holding(t, checkedCluster(true)...), workloads: cluster{err: engine.ErrNotConnected}, contract: gone})
	if !s.Template.OK() || s.Template.Value != nil || !s.Requests.OK() || len(s.Requests.Value) != 0 {
		t.Errorf("of what is not there: %+v, %+v", s.Template, s.Requests)
	}
	s = observed(t, memory{Reader: holding(t, checkedCluster(true)...), workloads: cluster{err: engine.ErrNotConnected}, contract: engine.ErrNoProvider})
	if s.Template.OK() || s.Requests.OK() {
		t.Errorf("of what nobody serves: %+v, %+v", s.Template, s.Requests)
	}
	_, err := observe(t.Context(), memory{Reader: holding(t, checkedCluster(true)...), workloads: cluster{err: engine.ErrNotConnected}, contract: errors.New("broken")}, engine.Key{Namespace: "default", Name: "workers"})
	if err == nil {
		t.Error("an unexpected error is not told")
	}
}
