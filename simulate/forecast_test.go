// SPDX-License-Identifier: Apache-2.0

package simulate

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/client"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"

	"github.com/slipway-project/slipway/deploy"
	"github.com/slipway-project/slipway/engine"
)

// management is a world that stands for a real management cluster: it can be read, and not
// the values of its Secrets.
type management struct {
	world *World
	// crds are what its server shows as definitions.
	crds []*apiextensionsv1.CustomResourceDefinition
}

func (m management) Get(ctx context.Context, key client.ObjectKey, object client.Object, options ...client.GetOption) error {
	if err := noSecret(object.GetObjectKind().GroupVersionKind().Kind, object); err != nil {
		return err
	}
	return m.world.Store.Get(ctx, key, object, options...)
}

func (m management) List(ctx context.Context, list client.ObjectList, options ...client.ListOption) error {
	kind := list.GetObjectKind().GroupVersionKind().Kind
	if err := noSecret(strings.TrimSuffix(kind, "List"), list); err != nil {
		return err
	}
	if kind != "CustomResourceDefinitionList" {
		return m.world.Store.List(ctx, list, options...)
	}
	for _, crd := range m.crds {
		object := unstructured.Unstructured{Object: plain(crd).(map[string]any)}
		into := list.(*unstructured.UnstructuredList)
		into.Items = append(into.Items, object)
	}
	return nil
}

func noSecret(kind string, object any) error {
	_, metadata := object.(*metav1.PartialObjectMetadataList)
	_, typed := object.(*corev1.SecretList)
	if (kind == "Secret" && !metadata) || typed {
		return fmt.Errorf("the values of Secrets are read as %T", object)
	}
	return nil
}

// try is what a server makes of an apply that it does not keep.
func (m management) try(t *testing.T, text string) Applied {
	t.Helper()
	object := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(text), &object.Object); err != nil {
		t.Fatal(err)
	}
	object, kind, err := m.world.Store.content(object)
	if err != nil {
		t.Fatal(err)
	}
	before := m.world.Store.held(kind.GroupKind(), client.ObjectKeyFromObject(object))
	if before == nil {
		m.world.Store.schemas.setDefaults(object)
		object.SetUID("drawn-for-a-dry-run")
		return Applied{After: object}
	}
	after, err := m.world.Store.schemas.apply(before.DeepCopy(), object.DeepCopy(), "somebody", true, "")
	if err != nil {
		t.Fatal(err)
	}
	return Applied{Before: before.DeepCopy(), After: after}
}

func foresee(t *testing.T, live *World, workloads engine.Workloads, texts ...string) Forecast {
	t.Helper()
	crds, err := deploy.CRDs()
	if err != nil {
		t.Fatal(err)
	}
	m := management{live, crds}
	question := Question{
		Source: Source{Reader: m, Workloads: workloads}, Scheme: testScheme(t), Controllers: shipped(), Start: live.Now(),
	}
	for _, text := range texts {
		question.Applied = append(question.Applied, m.try(t, text))
	}
	version := live.version()
	forecast, err := Foresee(t.Context(), question)
	if err != nil {
		t.Fatal(err)
	}
	if live.version() != version {
		t.Error("the forecast changed what it is about")
	}
	return forecast
}

const threeWorkers = `
apiVersion: cluster.x-k8s.io/v1beta2
kind: MachineDeployment
metadata: {namespace: default, name: demo-workers}
spec: {replicas: 3}
`

// What is foretold is what happens then, action for action and name for name.
func TestForecastComesTrue(t *testing.T) {
	live := talkWorld(t)
	forecast := foresee(t, live, workloads{live}, threeWorkers)
	if len(forecast.Notes) > 0 {
		t.Errorf("all can be looked at, and yet there are notes: %v", forecast.Notes)
	}
	golden(t, "forecast", forecast.Text())
	if diff := cmp.Diff(forecast, foresee(t, live, workloads{live}, threeWorkers)); diff != "" {
		t.Errorf("asked again, the answer differs:\n%s", diff)
	}
	for _, action := range forecast.Actions {
		if action.Invented {
			t.Errorf("%s: its name follows from the UID of what is there", action)
		}
	}
	unconnected := foresee(t, live, nil, threeWorkers)
	if len(unconnected.Notes) != 1 || !strings.Contains(unconnected.Notes[0], "default/demo was not looked at") {
		t.Errorf("notes on a workload cluster that is not looked at: %v", unconnected.Notes)
	}
	if diff := cmp.Diff(forecast.Report, unconnected.Report); diff != "" {
		t.Errorf("without a connection (-with +without):\n%s", diff)
	}
	did := len(live.Trail())
	live.state(t, threeWorkers)
	live.run(t)
	var happened []Action
	for _, action := range live.Trail()[did:] {
		if !action.Detail {
			happened = append(happened, action)
		}
	}
	if diff := cmp.Diff(forecast.Actions, happened, cmpopts.IgnoreFields(Action{}, "Invented")); diff != "" {
		t.Errorf("foretold and happened (-foretold +happened):\n%s", diff)
	}
	if diff := cmp.Diff(forecast.Reached, live.Report(false).Reached); diff != "" {
		t.Errorf("reached (-foretold +happened):\n%s", diff)
	}
}

// A cluster that is new is told from nothing, and its names are marked as not to be known.
func TestForecastOfNewObjects(t *testing.T) {
	live := newWorld(t)
	var texts []string
	for _, file := range []string{"1-cluster.yaml", "2-docker-cluster.yaml", "3-control-plane.yaml"} {
		for _, object := range documents(t, talk+file) {
			raw, err := object.MarshalJSON()
			if err != nil {
				t.Fatal(err)
			}
			texts = append(texts, string(raw))
		}
	}
	forecast := foresee(t, live, nil, texts...)
	for _, change := range forecast.Changes {
		if !change.New {
			t.Errorf("%s is not told to be new", change.Object)
		}
	}
	made := 0
	for _, action := range forecast.Actions {
		if action.Do == "create" && strings.HasPrefix(action.Target, "Machine ") && action.Invented {
			made++
		}
	}
	if made != 3 {
		t.Errorf("%d Machines with invented names are made, want 3:\n%s", made, forecast.Text())
	}
}

func TestLook(t *testing.T) {
	live := newWorld(t)
	live.applyFiles(t, talk+"1-cluster.yaml", talk+"2-docker-cluster.yaml", talk+"3-control-plane.yaml")
	bench := engine.Bench{Scheme: live.options.Scheme, Reader: live.Store, Live: live.Store, Writer: live.Store, Now: live.Now, Workloads: workloads{live}}
	version := live.version()
	looked, err := Look(t.Context(), bench, shipped(), demoKey)
	if err != nil {
		t.Fatal(err)
	}
	if live.version() != version {
		t.Error("to look has changed something")
	}
	found := false
	for _, one := range looked {
		if one.Controller == "kubeadmcontrolplane" {
			found = one.Object == "KubeadmControlPlane default/demo-control-plane" && one.Outcome == "Acting" && len(one.Actions) == 1
		}
		if !strings.Contains(one.Text, "outcome: "+one.Outcome) {
			t.Errorf("the plan of %s is not printed: %s", one.Object, one.Text)
		}
	}
	if !found {
		t.Errorf("the next step of the control plane is not told: %+v", looked)
	}
	if _, err := Look(t.Context(), bench, shipped(), client.ObjectKey{Namespace: "default", Name: "nobody"}); err == nil {
		t.Error("a Cluster that does not exist has plans")
	}
}

func TestChangeOf(t *testing.T) {
	read := func(text string) *unstructured.Unstructured {
		object := &unstructured.Unstructured{}
		if err := yaml.Unmarshal([]byte(text), &object.Object); err != nil {
			t.Fatal(err)
		}
		return object
	}
	for name, test := range map[string]struct {
		before, after string
		want          []string
	}{
		"values": {
			`{kind: K, metadata: {name: n, resourceVersion: "1"}, spec: {version: v1, same: x, gone: old}, status: {a: 1}}`,
			`{kind: K, metadata: {name: n, resourceVersion: "2"}, spec: {version: v2, same: x, made: {deep: 1}}, status: {a: 2}}`,
			[]string{"spec.gone: removed (was old)", "spec.made.deep: set to 1", "spec.version: v1 -> v2"},
		},
		"names with dots": {
			`{kind: K, metadata: {name: n, labels: {a.io/b: x}}}`, `{kind: K, metadata: {name: n, labels: {a.io/b: "y"}}}`,
			[]string{`metadata.labels["a.io/b"]: x -> y`},
		},
		"lists are shown whole": {
			`{kind: K, metadata: {name: n}, spec: {list: [1]}}`, `{kind: K, metadata: {name: n}, spec: {list: [1, 2]}}`,
			[]string{"spec.list: [1] -> [1,2]"},
		},
		"a Secret": {
			`{kind: Secret, metadata: {name: n}, data: {k: c2VjcmV0}}`, `{kind: Secret, metadata: {name: n, labels: {l: x}}, data: {k: b3RoZXI=}}`,
			[]string{"data.k: (not shown) -> (not shown)", "metadata.labels.l: set to x"},
		},
		"files of a bootstrap configuration": {
			`{kind: K, metadata: {name: n}, spec: {files: [{content: secret}]}}`, `{kind: K, metadata: {name: n}, spec: {files: [{content: other}]}}`,
			[]string{"spec.files: (not shown) -> (not shown)"},
		},
		"nothing": {`{kind: K, metadata: {name: n}}`, `{kind: K, metadata: {name: n, generation: 7}, status: {x: y}}`, nil},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, field := range ChangeOf(read(test.before), read(test.after)).Fields {
				got = append(got, field.String())
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("changes (-want +got):\n%s", diff)
			}
		})
	}
}
