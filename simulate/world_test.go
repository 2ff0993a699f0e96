// SPDX-License-Identifier: Apache-2.0

package simulate

import (
	"bytes"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/yaml"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"

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

// talkWorld is the talk's cluster as files 1 to 5 make it.
func talkWorld(t *testing.T) *World {
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
	report := w.Report(true)
	golden(t, "talk", report.Text())
	for _, standing := range report.Reached {
		if !standing.Settled {
			t.Errorf("%s: %s", standing.Object, standing.Text)
		}
	}
	ready := 0
	for _, node := range w.clusters[engine.Key{Namespace: "default", Name: "demo"}].store.All(nodeKind.GroupKind()) {
		if isReady(node) {
			ready++
		}
	}
	if ready != 4 {
		t.Errorf("%d Nodes are Ready, want 4", ready)
	}
	_ = corev1.Node{}
	_ = metav1.Now
}
