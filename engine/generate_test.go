// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	"github.com/slipway-project/slipway/plan"
)

var update = flag.Bool("update", false, "write what is generated into the golden files")

func declared() Declaration {
	nobody := func(context.Context, Reader, client.Object) []Key { return nil }
	return Declaration{
		Name: "example", Kind: machineKind,
		Inputs: []Input{
			Subject(&clusterv1.Machine{}), Mapped(&clusterv1.Cluster{}, nobody), Live(&corev1.Secret{}),
			Contract("InfraMachine", nobody),
			WorkloadNodes(func(context.Context, Reader, WorkloadEvent) []Key { return nil }),
			Events("docker", func(context.Context, Reader, func(Key)) error { return nil }),
		},
		Outputs: []Output{
			Writes(machineKind, "patch", "patch status"), Writes(corev1.SchemeGroupVersion.WithKind("Secret"), "create"),
			WritesContract("InfraMachine", "delete"),
			WritesWorkload(corev1.SchemeGroupVersion.WithKind("Node"), "patch"), WritesWorkloadAnything("create", "patch"), Operates("docker"),
		},
	}
}

func TestRules(t *testing.T) {
	rules, err := Rules(testScheme(), declared())
	if err != nil {
		t.Fatal(err)
	}
	text, err := yaml.Marshal(rules)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "rules.yaml", string(text))
}

func TestGraph(t *testing.T) { golden(t, "graph.mmd", Graph(testScheme(), declared())) }

func TestRulesOfUnknownKind(t *testing.T) {
	_, err := Rules(runtime.NewScheme(), Declaration{Name: "example", Inputs: []Input{Subject(&clusterv1.Machine{})}})
	if err == nil {
		t.Error("rules were made for a kind that the scheme does not know")
	}
}

func golden(t *testing.T, file, got string) {
	t.Helper()
	path := filepath.Join("testdata", file)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("it differs from %s (-recorded +made; run with -update if it is right):\n%s", path, diff)
	}
}

func TestFence(t *testing.T) {
	outputs := declared().Outputs
	provider := schema.GroupVersionKind{Group: "infrastructure.cluster.x-k8s.io", Version: "v1", Kind: "MemoryMachine"}
	other := schema.GroupVersionKind{Group: "infrastructure.cluster.x-k8s.io", Version: "v1", Kind: "MemoryCluster"}
	workload := types.NamespacedName{Namespace: "default", Name: "demo"}
	on := func(kind schema.GroupVersionKind) plan.Ref {
		return plan.Ref{GroupVersionKind: kind, Name: "x", UID: "u"}
	}
	in := func(ref plan.Ref) plan.Ref { ref.Cluster = workload; return ref }
	object := func(kind schema.GroupVersionKind) *unstructured.Unstructured {
		object := &unstructured.Unstructured{}
		object.SetGroupVersionKind(kind)
		object.SetName("x")
		return object
	}
	node, secret := corev1.SchemeGroupVersion.WithKind("Node"), corev1.SchemeGroupVersion.WithKind("Secret")
	otherVersion := machineKind
	otherVersion.Version = "v1beta1"
	for _, test := range []struct {
		name   string
		action plan.Action
		want   bool
	}{
		{"declared patch", plan.Patch{On: on(machineKind)}, true},
		{"the kind in another version", plan.Patch{On: on(otherVersion)}, true},
		{"apply is a patch", plan.Apply{Object: object(machineKind)}, true},
		{"apply to the status", plan.Apply{Object: object(machineKind), Subresource: "status"}, true},
		{"apply to another subresource", plan.Apply{Object: object(machineKind), Subresource: "scale"}, false},
		{"verb not declared", plan.Delete{On: on(machineKind)}, false},
		{"kind not declared", plan.Delete{On: on(configMapKind)}, false},
		{"create declared", plan.Create{Object: object(secret)}, true},
		{"apply where only create is declared", plan.Apply{Object: object(secret), Creates: true}, false},
		{"provider's kind", plan.Delete{On: on(provider)}, true},
		{"provider's kind, verb not declared", plan.Create{Object: object(provider)}, false},
		{"provider's kind in another role", plan.Delete{On: on(other)}, false},
		{"a kind of the management cluster in a workload cluster", plan.Delete{On: in(on(machineKind))}, false},
		{"anything in a workload cluster", plan.Create{Object: object(secret), In: workload}, true},
		{"a workload output in the management cluster", plan.Patch{On: on(node)}, false},
		{"declared system", plan.Operate{System: "docker", Operation: operation{}}, true},
		{"other system", plan.Operate{System: "cloud", Operation: operation{}}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			plays := func(role string, kind schema.GroupKind) bool {
				return (role == "InfraMachine" && kind == provider.GroupKind()) || (role == "InfraCluster" && kind == other.GroupKind())
			}
			if got := allowed(outputs, test.action, plays); got != test.want {
				t.Errorf("allowed is %t, want %t", got, test.want)
			}
		})
	}
}
