// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	"github.com/slipway-project/slipway/plan"
)

// pretended stands in for the controllers of a cluster with one machine each of control
// plane and workers: it replaces machines of another version than asked for.
type pretended struct {
	t *testing.T
	m *management
}

// run goes on until the context ends, with every change.
func (c pretended) run(ctx context.Context, key client.ObjectKey, started, ended chan struct{}) {
	defer close(ended)
	w, err := c.m.watchFamily(ctx, "", key, familyKinds())
	if err != nil {
		c.t.Error(err)
		close(started)
		return
	}
	defer w.close()
	close(started)
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.changed:
		}
		f, err := w.read(ctx)
		if err != nil || f.Cluster == nil || f.ControlPlane == nil {
			continue
		}
		c.roll(ctx, f.ControlPlane, kubeadmControlPlaneKind, f.ControlPlane.DesiredVersion(), f.controlPlaneMachines(), map[string]string{clusterv1.MachineControlPlaneLabel: ""}, f.ControlPlane)
		for _, deployment := range f.Deployments {
			for _, set := range f.setsOf(deployment) {
				c.roll(ctx, &deployment, machineDeploymentKind, deployment.Spec.Template.Spec.Version, f.machinesOf(deployment), nil, &set)
			}
		}
	}
}

// roll makes a machine of the version, takes the others away, and reports. Failures are
// those of a stale cache, and tried again with the next change.
func (c pretended) roll(ctx context.Context, object metav1.Object, kind schema.GroupVersionKind, version string, list []clusterv1.Machine, labels map[string]string, owner metav1.Object) {
	current := false
	for _, machine := range list {
		if machine.Spec.Version == version {
			current = true
		} else {
			_ = c.m.client.Delete(ctx, &machine)
		}
	}
	if !current {
		ownerKind := kind
		if kind == machineDeploymentKind {
			ownerKind = machineSetKind
		}
		machine := &clusterv1.Machine{ObjectMeta: metav1.ObjectMeta{
			Namespace: object.GetNamespace(), Name: object.GetName() + "-" + nameOfVersion(version), Labels: map[string]string{clusterv1.ClusterNameLabel: "demo"},
			OwnerReferences: []metav1.OwnerReference{*plan.OwnerReference(ownerKind, owner, true)},
		}}
		for key, value := range labels {
			machine.Labels[key] = value
		}
		secret := "data"
		machine.Spec = clusterv1.MachineSpec{
			ClusterName: "demo", Version: version, Bootstrap: clusterv1.Bootstrap{DataSecretName: &secret}, InfrastructureRef: ref(dockerMachineKind, machine.Name),
		}
		if c.m.client.Create(ctx, machine) == nil {
			machine.Status.Conditions = []metav1.Condition{{Type: clusterv1.AvailableCondition, Status: metav1.ConditionTrue, Reason: clusterv1.AvailableReason, LastTransitionTime: metav1.Now()}}
			if err := c.m.client.Status().Update(ctx, machine); err != nil && ctx.Err() == nil {
				c.t.Error(err)
			}
		}
	}
	if !current || len(list) != 1 {
		return
	}
	live := &unstructured.Unstructured{}
	live.SetGroupVersionKind(kind)
	if c.m.client.Get(ctx, client.ObjectKeyFromObject(objectOf(object)), live) != nil {
		return
	}
	if observed, _, _ := unstructured.NestedInt64(live.Object, "status", "observedGeneration"); observed == live.GetGeneration() {
		return
	}
	live.Object["status"] = map[string]any{
		"observedGeneration": live.GetGeneration(), "replicas": int64(1), "readyReplicas": int64(1), "availableReplicas": int64(1), "upToDateReplicas": int64(1),
		"conditions": []any{map[string]any{"type": "Available", "status": "True", "reason": "Available", "message": "", "lastTransitionTime": time.Now().UTC().Format(time.RFC3339)}},
	}
	_ = c.m.client.Status().Update(ctx, live)
}

func objectOf(object metav1.Object) client.Object {
	named := &unstructured.Unstructured{}
	named.SetNamespace(object.GetNamespace())
	named.SetName(object.GetName())
	return named
}

// start makes a cluster and pretends its controllers; the function ends them.
func (c pretended) start(ctx context.Context) (stop func()) {
	c.t.Helper()
	wanted := planOf(c.t, func(r *clusterRequest) { r.version, r.workers = "v1.36.3", 1 })
	if _, err := c.m.apply(ctx, manifests(wanted)); err != nil {
		c.t.Fatal(err)
	}
	deployment := &clusterv1.MachineDeployment{}
	if err := c.m.client.Get(ctx, client.ObjectKey{Namespace: "default", Name: "demo-workers"}, deployment); err != nil {
		c.t.Fatal(err)
	}
	set := &clusterv1.MachineSet{ObjectMeta: metav1.ObjectMeta{
		Namespace: "default", Name: "demo-workers-set", OwnerReferences: []metav1.OwnerReference{*plan.OwnerReference(machineDeploymentKind, deployment, true)},
	}}
	set.Spec = clusterv1.MachineSetSpec{ClusterName: "demo", Selector: deployment.Spec.Selector, Template: deployment.Spec.Template}
	if err := c.m.client.Create(ctx, set); err != nil {
		c.t.Fatal(err)
	}
	running, end := context.WithCancel(ctx)
	started, ended := make(chan struct{}), make(chan struct{})
	go c.run(running, client.ObjectKey{Namespace: "default", Name: "demo"}, started, ended)
	<-started
	return func() {
		end()
		<-ended
	}
}

// An upgrade goes from the control plane to the workers, is gone on with after it was
// interrupted, and leaves what create cluster would have made of that version.
func TestUpgradeOnAServer(t *testing.T) {
	_, m := startManagement(t)
	c := pretended{t: t, m: m}
	stop := c.start(t.Context())
	key := client.ObjectKey{Namespace: "default", Name: "demo"}
	flags := upgradeFlags{target: target{namespace: "default"}, request: upgradeRequest{Version: "v1.37.1"}, wait: time.Minute}
	var said heard
	tool := &tool{out: &said, err: &said, now: time.Now}
	settle := func() {
		t.Helper()
		p := newProgress(&said, time.Now)
		at := wait{key: key, limit: time.Minute, what: "making", done: "ready", kinds: familyKinds(), troubles: troubles, steps: func(f family) []step { return upgradeSteps(f, "v1.36.3") }}
		if err := tool.await(t.Context(), m, at, p); err != nil {
			t.Fatal(err)
		}
	}
	upgrade := func(ctx context.Context) error {
		t.Helper()
		u, err := m.readUpgrade(ctx, flags, "demo")
		if err != nil {
			t.Fatal(err)
		}
		if err := m.rehearseUpgrade(ctx, u); err != nil {
			t.Fatal(err)
		}
		return tool.carryOut(ctx, m, flags, u, key, newProgress(&said, time.Now))
	}
	version := func() string {
		t.Helper()
		deployment := &clusterv1.MachineDeployment{}
		if err := m.client.Get(t.Context(), client.ObjectKey{Namespace: "default", Name: "demo-workers"}, deployment); err != nil {
			t.Fatal(err)
		}
		return deployment.Spec.Template.Spec.Version + " " + deployment.Spec.Template.Spec.InfrastructureRef.Name
	}
	settle()
	stop()
	// With nobody to carry it out, it waits for the control plane, and is interrupted.
	ctx, interrupt := context.WithCancel(t.Context())
	over := make(chan error, 1)
	go func() { over <- upgrade(ctx) }()
	said.await(t, "Control plane: 0 of 1 machine at v1.37.1")
	interrupt()
	if err := <-over; err == nil || !strings.Contains(err.Error(), "interrupted") {
		t.Fatalf("interrupted: %v", err)
	}
	if got := version(); got != "v1.36.3 demo-workers-v1-36-3" {
		t.Fatalf("the workers went before the control plane: %s", got)
	}
	running, end := context.WithCancel(t.Context())
	started, ended := make(chan struct{}), make(chan struct{})
	go c.run(running, key, started, ended)
	defer func() { end(); <-ended }()
	<-started
	if err := upgrade(t.Context()); err != nil {
		t.Fatalf("%v, said:\n%s", err, said.text.String())
	}
	if got := version(); got != "v1.37.1 demo-workers-v1-37-1" {
		t.Errorf("workers are at %s", got)
	}
	if err := upgrade(t.Context()); err != nil {
		t.Errorf("again: %v", err)
	}
	for _, want := range []string{
		"KubeadmControlPlane default/demo-control-plane goes from v1.36.3 to v1.37.1.", "Control plane: done in", "MachineDeployment default/demo-workers goes from v1.36.3 to v1.37.1.",
		"Workers demo-workers: done in", "Cluster default/demo is at v1.37.1 after", "All of Cluster default/demo is set to v1.37.1 already.",
	} {
		said.await(t, want)
	}
	wanted := planOf(t, func(r *clusterRequest) { r.version, r.workers = "v1.37.1", 1 })
	creating, _, failures := newTool()
	if err := creating.writeCluster(t.Context(), m, wanted, createFlags{}); err != nil || !strings.Contains(failures.String(), "exists already, as asked for") {
		t.Errorf("create cluster of that version: %v %s", err, failures)
	}
}

// Verbs for single objects, and a tree that is watched, on a real server.
func TestVerbsOnAServer(t *testing.T) {
	running, m := startManagement(t)
	place := target{kubeconfig: running.KubeconfigPath(), namespace: "default"}
	if _, err := m.apply(t.Context(), manifests(planOf(t, func(*clusterRequest) {}))); err != nil {
		t.Fatal(err)
	}
	var watched heard
	gone := make(chan error, 1)
	go func() {
		tool := &tool{out: &watched, err: &watched, now: time.Now}
		gone <- tool.describeCluster(t.Context(), place, "demo", treeOptions{Grouping: true}, formatTable, true)
	}()
	watched.await(t, "MachineDeployment/demo-workers")
	for _, test := range []struct{ line, want string }{
		{"rollout pause md/demo-workers", "is paused; resume it with"},
		{"rollout restart md/demo-workers", "paused by spec.paused"},
		{"rollout resume md demo-workers", "goes on."},
		{"rollout restart md/demo-workers", "replaces its machines"},
		{"rollout pause kcp/demo-control-plane", "is paused; resume it with"},
		{"rollout resume kcp/demo-control-plane", "goes on."},
		{"rollout restart kcp/demo-control-plane", "replaces its machines"},
		{"rollout restart kcp/demo-control-plain", "did you mean demo-control-plane?"},
		{"why cluster/demo", "Root cause: DockerCluster/demo: no controller has told anything about it yet"},
		{"why kcp demo-control-plane -o json", `"object": "KubeadmControlPlane/demo-control-plane"`},
		{"why dockermachinetemplate/demo-workers-v1-37-1", "is done"},
		{"why machin/demo", `no kind "machin"; did you mean machine`},
		{"upgrade cluster demo --to v1.39.0", "skips a minor version"},
		{"upgrade cluster demo --to v1.36.0 --dry-run", "Kubernetes cannot go back"},
		{"upgrade cluster demo --to v1.38.0 --dry-run -o yaml", "has not told yet how it is"},
		{"upgrade cluster nodemo --to v1.38.0", "Cluster default/nodemo does not exist"},
	} {
		tool, out, failures := newTool()
		tool.run(t.Context(), append(strings.Fields(test.line), "--kubeconfig", place.kubeconfig))
		if said := out.String() + failures.String(); !strings.Contains(said, test.want) {
			t.Errorf("slipway %s\n%s\nwant: %s", test.line, said, test.want)
		}
	}
	watched.await(t, "MachineDeployment/demo-workers (paused): ")
	cluster := &clusterv1.Cluster{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "demo"}}
	if err := m.client.Delete(t.Context(), cluster); err != nil {
		t.Fatal(err)
	}
	if err := <-gone; err != nil {
		t.Error(err)
	}
	watched.await(t, "Cluster default/demo is gone.")
}
