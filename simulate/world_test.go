// SPDX-License-Identifier: Apache-2.0

package simulate

import (
	"bytes"
	"errors"
	"flag"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/yaml"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"

	addonsv1 "github.com/slipway-project/slipway/api/addons/v1beta2"
	bootstrapv1 "github.com/slipway-project/slipway/api/bootstrap/v1beta2"
	controlplanev1 "github.com/slipway-project/slipway/api/controlplane/v1beta2"
	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	infrav1 "github.com/slipway-project/slipway/api/infrastructure/v1beta2"
	"github.com/slipway-project/slipway/controllers/cluster"
	"github.com/slipway-project/slipway/controllers/clusterresourceset"
	"github.com/slipway-project/slipway/controllers/defaultnetwork"
	"github.com/slipway-project/slipway/controllers/kubeadmconfig"
	"github.com/slipway-project/slipway/controllers/kubeadmcontrolplane"
	"github.com/slipway-project/slipway/controllers/machine"
	"github.com/slipway-project/slipway/controllers/machinedeployment"
	"github.com/slipway-project/slipway/controllers/machineset"
	"github.com/slipway-project/slipway/deploy"
	"github.com/slipway-project/slipway/engine"
	"github.com/slipway-project/slipway/etcd"
	"github.com/slipway-project/slipway/machines"
)

var update = flag.Bool("update", false, "write the goldens")

var begins = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func on[Snapshot, Status any](c engine.Controller[Snapshot, Status]) Controller {
	return func(bench engine.Bench) *engine.Stepper { return engine.NewStepper(bench, c) }
}

func shipped() []Controller {
	return []Controller{
		on(cluster.Controller()), on(kubeadmcontrolplane.Controller()), on(machinedeployment.Controller()), on(machineset.Controller()),
		on(machine.Controller()), on(kubeadmconfig.Controller()), on(clusterresourceset.Controller()), on(clusterresourceset.BindingController()),
		on(defaultnetwork.Controller()),
	}
}

func testScheme(t *testing.T) *runtime.Scheme {
	t.Helper()
	known := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		clientgoscheme.AddToScheme, clusterv1.AddToScheme, bootstrapv1.AddToScheme, controlplanev1.AddToScheme, addonsv1.AddToScheme, infrav1.AddToScheme,
	} {
		if err := add(known); err != nil {
			t.Fatal(err)
		}
	}
	return known
}

func newWorld(t *testing.T) *World {
	t.Helper()
	crds, err := deploy.CRDs()
	if err != nil {
		t.Fatal(err)
	}
	w, err := New(Options{Scheme: testScheme(t), CRDs: crds, Start: begins, Controllers: shipped()})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// documents reads a file with YAML documents.
func documents(t *testing.T, path string) []*unstructured.Unstructured {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var objects []*unstructured.Unstructured
	for decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(text), 4096); ; {
		object := &unstructured.Unstructured{}
		if err := decoder.Decode(&object.Object); errors.Is(err, io.EOF) {
			return objects
		} else if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		objects = append(objects, object)
	}
}

func (w *World) applyFiles(t *testing.T, paths ...string) {
	t.Helper()
	for _, path := range paths {
		for _, object := range documents(t, path) {
			if err := w.Apply(object, "kubectl", false); err != nil {
				t.Fatal(err)
			}
		}
	}
}

const talk = "../examples/talk/"

var demoKey = client.ObjectKey{Namespace: "default", Name: "demo"}

// talkMade is the talk's cluster, made once.
var talkMade *World

// talkWorld is the talk's cluster as files 1 to 5 make it, after a restart of the process
// that made it: nothing of it may be needed.
func talkWorld(t *testing.T) *World {
	t.Helper()
	if talkMade == nil {
		talkMade = makeTalkWorld(t)
	}
	w := newWorld(t)
	w.now, w.trail, w.beats = talkMade.now, slices.Clone(talkMade.trail), talkMade.beats
	w.strangers, w.counts = maps.Clone(talkMade.strangers), maps.Clone(talkMade.counts)
	w.Store.fillFrom(talkMade.Store)
	for _, owner := range w.allClusters() {
		was := talkMade.clusters[client.ObjectKeyFromObject(owner)]
		is, err := w.clusterOf(owner)
		if err != nil {
			t.Fatal(err)
		}
		is.initialized, is.members = was.initialized, members{list: slices.Clone(was.members.list), leader: was.members.leader, silent: maps.Clone(was.members.silent)}
		for id, h := range was.hosts {
			same := *h
			is.hosts[id] = &same
		}
		is.store.fillFrom(was.store)
	}
	return w
}

func (s *Store) fillFrom(other *Store) {
	for _, kind := range other.Kinds() {
		for _, object := range other.All(kind) {
			s.put(object.DeepCopy())
		}
	}
	s.version, s.made, s.invented = other.version, maps.Clone(other.made), maps.Clone(other.invented)
}

func makeTalkWorld(t *testing.T) *World {
	t.Helper()
	w := newWorld(t)
	w.applyFiles(t, talk+"1-cluster.yaml", talk+"2-docker-cluster.yaml", talk+"3-control-plane.yaml", talk+"4-workers.yaml", talk+"5-network.yaml")
	w.run(t)
	return w
}

func (w *World) run(t *testing.T) {
	t.Helper()
	if err := w.Run(t.Context()); err != nil {
		t.Fatalf("%v\n%s", err, w.Report(true).Text())
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".txt")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v; go test ./simulate -update writes it", err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-there +now; go test ./simulate -update writes it):\n%s", path, diff)
	}
}

// The whole system: from the talk's files to a cluster that is Available.
func TestTalkBecomesAvailable(t *testing.T) {
	w := talkWorld(t)
	report := w.Report(false)
	golden(t, "talk", report.Text())
	for _, standing := range report.Reached {
		if !standing.Settled {
			t.Errorf("%s: %s", standing.Object, standing.Text)
		}
	}
	demo := w.clusters[demoKey]
	ready := 0
	for _, node := range demo.store.All(nodeKind.GroupKind()) {
		if isReady(node) {
			ready++
		}
	}
	voters := (etcd.View{Members: demo.members.list}).Voters()
	if ready != 4 || len(voters) != 3 {
		t.Errorf("%d Nodes are Ready, want 4; the voters are %v, want 3", ready, voters)
	}
}

// The same input gives the same actions, statuses and times.
func TestWorldIsDeterministic(t *testing.T) {
	first, second := talkWorld(t), makeTalkWorld(t)
	if diff := cmp.Diff(first.Report(true), second.Report(true)); diff != "" {
		t.Errorf("two runs differ:\n%s", diff)
	}
	if !first.Now().Equal(second.Now()) {
		t.Errorf("the clocks show %s and %s", first.Now(), second.Now())
	}
	for _, kind := range first.Store.Kinds() {
		if kind == secretKind.GroupKind() {
			continue // keys are drawn
		}
		if diff := cmp.Diff(contents(first, kind), contents(second, kind)); diff != "" {
			t.Errorf("%s of two runs differ:\n%s", kind, diff)
		}
	}
}

func contents(w *World, kind schema.GroupKind) []map[string]any {
	var all []map[string]any
	for _, object := range w.Store.All(kind) {
		all = append(all, object.Object)
	}
	return all
}

// A world at rest stays at rest.
func TestSettledWorldDoesNothing(t *testing.T) {
	w := talkWorld(t)
	before, did := w.version(), len(w.Trail())
	w.run(t)
	if w.version() != before || len(w.Trail()) != did {
		t.Errorf("%d changes and %d actions in a world at rest: %v", w.version()-before, len(w.Trail())-did, w.Trail()[did:])
	}
}

// state states fields of an object that is there, besides what others do.
func (w *World) state(t *testing.T, text string) {
	t.Helper()
	object := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(text), &object.Object); err != nil {
		t.Fatal(err)
	}
	if err := w.Apply(object, "somebody", true); err != nil {
		t.Fatal(err)
	}
}

// since are the actions on machines from a point of the trail on.
func (w *World) since(did int) []string {
	var lines []string
	for _, action := range w.Trail()[did:] {
		if !action.Detail {
			lines = append(lines, action.By+": "+action.String())
		}
	}
	return lines
}

func TestWorkersScale(t *testing.T) {
	w := talkWorld(t)
	did := len(w.Trail())
	w.state(t, "{apiVersion: cluster.x-k8s.io/v1beta2, kind: MachineDeployment, metadata: {namespace: default, name: demo-workers}, spec: {replicas: 3}}")
	w.run(t)
	if standing := w.standing(t, "MachineDeployment default/demo-workers"); !standing.Settled || standing.Available != 3 {
		t.Errorf("reached: %s", standing.Text)
	}
	lines := w.since(did)
	if len(lines) != 3 || !strings.Contains(lines[0], "scale MachineSet") || !strings.Contains(lines[0], "to 3") || !strings.Contains(lines[2], "create Machine") {
		t.Errorf("actions: %s", strings.Join(lines, "\n"))
	}
	did = len(w.Trail())
	w.state(t, "{apiVersion: cluster.x-k8s.io/v1beta2, kind: MachineDeployment, metadata: {namespace: default, name: demo-workers}, spec: {replicas: 1}}")
	w.run(t)
	if standing := w.standing(t, "MachineDeployment default/demo-workers"); !standing.Settled || standing.Available != 1 {
		t.Errorf("reached: %s", standing.Text)
	}
	if nodes := len(w.clusters[demoKey].store.All(nodeKind.GroupKind())); nodes != 4 {
		t.Errorf("%d Nodes are there, want 4: those of deleted Machines go with them\n%s", nodes, strings.Join(w.since(did), "\n"))
	}
}

func (w *World) standing(t *testing.T, object string) Standing {
	t.Helper()
	for _, standing := range w.Report(false).Reached {
		if standing.Object == object {
			return standing
		}
	}
	t.Fatalf("nothing is told of %s", object)
	return Standing{}
}

// A Machine that somebody deletes goes with all that belongs to it, and another one comes.
func TestDeletedWorkerIsReplaced(t *testing.T) {
	w := talkWorld(t)
	var worker string
	for _, machine := range w.machines() {
		if !machines.IsControlPlane(machine) {
			worker = machine.Name
		}
	}
	gone := w.Store.held(clusterv1.GroupVersion.WithKind("Machine").GroupKind(), client.ObjectKey{Namespace: "default", Name: worker})
	if err := w.Store.Delete(t.Context(), gone.DeepCopy()); err != nil {
		t.Fatal(err)
	}
	w.run(t)
	if standing := w.standing(t, "MachineDeployment default/demo-workers"); !standing.Settled {
		t.Errorf("reached: %s\n%s", standing.Text, w.Report(false).Text())
	}
	demo := w.clusters[demoKey]
	if demo.store.held(nodeKind.GroupKind(), client.ObjectKey{Name: worker}) != nil {
		t.Errorf("Node %s is left", worker)
	}
	for _, kind := range w.Store.Kinds() {
		if w.Store.held(kind, client.ObjectKey{Namespace: "default", Name: worker}) != nil {
			t.Errorf("%s %s is left", kind.Kind, worker)
		}
	}
}

// A Cluster goes with everything that was made for it; what the user applied beside it, and
// the Cluster does not own, stays.
func TestDeletedClusterLeavesNothing(t *testing.T) {
	w := talkWorld(t)
	cluster := w.Store.held(clusterv1.GroupVersion.WithKind("Cluster").GroupKind(), demoKey)
	if err := w.Store.Delete(t.Context(), cluster.DeepCopy()); err != nil {
		t.Fatal(err)
	}
	w.run(t)
	var left []string
	for _, kind := range w.Store.Kinds() {
		for _, object := range w.Store.All(kind) {
			if kind != crdKind && !strings.HasSuffix(kind.Kind, "Template") && kind.Kind != "ClusterResourceSet" {
				left = append(left, kind.Kind+" "+object.GetName())
			}
		}
	}
	if len(left) > 0 {
		t.Errorf("left: %v\n%s", left, w.Report(false).Text())
	}
}

// What blocks is told with its reason, and nothing is done meanwhile.
func TestBlockedIsTold(t *testing.T) {
	w := newWorld(t)
	w.applyFiles(t, talk+"1-cluster.yaml", talk+"2-docker-cluster.yaml", talk+"3-control-plane.yaml")
	template := w.Store.held(infrav1.GroupVersion.WithKind("DockerMachineTemplate").GroupKind(), client.ObjectKey{Namespace: "default", Name: "demo-control-plane-v1-36-3"})
	if err := w.Store.Delete(t.Context(), template.DeepCopy()); err != nil {
		t.Fatal(err)
	}
	w.run(t)
	report := w.Report(false)
	if len(report.Actions) > 0 {
		t.Errorf("actions without a template: %v", report.Actions)
	}
	if text := report.Text(); !strings.Contains(text, "KubeadmControlPlane default/demo-control-plane: ") || !strings.Contains(text, "DockerMachineTemplate default/demo-control-plane-v1-36-3 does not exist") {
		t.Errorf("it is not told what is missing:\n%s", text)
	}
}

// Nodes are named as those that are there show it.
func TestNodesAreNamedAsTheProviderDoes(t *testing.T) {
	for node, want := range map[string]string{"m-1-realm": "new-realm", "site-m-1": "site-new", "m-1": "new", "10.0.0.1": "new"} {
		w := newWorld(t)
		c := &workloadCluster{world: w, store: w.Store, initialized: true, hosts: map[string]*host{}}
		c.learn(host{name: "m-1", node: node})
		if err := c.join(host{name: "new", providerID: "played:////new", version: "v1.36.3"}, ""); err != nil {
			t.Fatal(err)
		}
		if w.Store.held(nodeKind.GroupKind(), client.ObjectKey{Name: want}) == nil {
			t.Errorf("beside Node %s of Machine m-1 there is no Node %s of Machine new", node, want)
		}
	}
}

// The leader moves and members go as they are told to; quorum decides who leads.
func TestMembers(t *testing.T) {
	w := talkWorld(t)
	demo := w.clusters[demoKey]
	operator := etcdOperator{w}
	first, second, third := demo.members.list[0], demo.members.list[1], demo.members.list[2]
	names := []string{first.Name, second.Name, third.Name}
	if leader, ok := demo.view(names).Leader(); !ok || leader.ID != first.ID {
		t.Errorf("%v leads, want the first", leader)
	}
	if err := operator.Operate(t.Context(), etcd.MoveLeader{Cluster: demoKey, From: first, To: second}); err != nil {
		t.Fatal(err)
	}
	for range 2 { // done twice, the second time changes nothing
		if err := operator.Operate(t.Context(), etcd.RemoveMember{Cluster: demoKey, Member: first}); err != nil {
			t.Fatal(err)
		}
	}
	view := demo.view(names)
	if leader, ok := view.Leader(); !ok || leader.ID != second.ID || len(view.Members) != 2 || view.Answers[first.Name].Err == "" {
		t.Errorf("%v leads %v; answers %v", leader, view.Members, view.Answers)
	}
	if err := operator.Operate(t.Context(), etcd.MoveLeader{Cluster: demoKey, From: second, To: first}); err == nil {
		t.Error("the leadership moves to a member that is not there")
	}
	for _, h := range demo.hosts {
		if h.node == second.Name {
			demo.lose(h.providerID)
		}
	}
	if leader, ok := demo.view(names).Leader(); ok {
		t.Errorf("with one of two voters gone %v leads", leader)
	}
}
