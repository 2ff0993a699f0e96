// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
)

// The golden holds what each verb does to objects in each state, and what it refuses.
func TestRolloutChanges(t *testing.T) {
	now := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	truth := true
	well, paused := &clusterv1.Cluster{}, &clusterv1.Cluster{}
	well.Name, paused.Name = "demo", "demo"
	paused.Spec.Paused = &truth
	var out strings.Builder
	for _, kind := range []schema.GroupVersionKind{machineDeploymentKind, kubeadmControlPlaneKind} {
		for _, state := range []struct {
			name    string
			cluster *clusterv1.Cluster
			change  func(*unstructured.Unstructured)
		}{
			{"well", well, func(*unstructured.Unstructured) {}},
			{"restarted before", well, func(u *unstructured.Unstructured) { set(t, u, "2026-11-26T11:00:00Z", "spec", "rollout", "after") }},
			{"restart planned", well, func(u *unstructured.Unstructured) { set(t, u, "2026-11-26T13:00:00Z", "spec", "rollout", "after") }},
			{"annotated", well, func(u *unstructured.Unstructured) {
				u.SetAnnotations(map[string]string{clusterv1.PausedAnnotation: ""})
			}},
			{"spec.paused", well, func(u *unstructured.Unstructured) { set(t, u, true, "spec", "paused") }},
			{"cluster paused", paused, func(*unstructured.Unstructured) {}},
			{"deleting", well, func(u *unstructured.Unstructured) { at := metav1.NewTime(now); u.SetDeletionTimestamp(&at) }},
		} {
			if kind == kubeadmControlPlaneKind && state.name == "spec.paused" {
				continue // it has no such field
			}
			object := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{"clusterName": "demo"}}}
			object.SetGroupVersionKind(kind)
			object.SetNamespace("team")
			object.SetName("demo-x")
			state.change(object)
			for _, verb := range []struct {
				name   string
				change rolloutChange
			}{{"restart", restartChange}, {"pause", pauseChange}, {"resume", resumeChange}} {
				patch, said, err := verb.change(object.DeepCopy(), state.cluster, now)
				fmt.Fprintf(&out, "%s, %s: %s\n", kind.Kind, state.name, verb.name)
				if err != nil {
					fmt.Fprintf(&out, "  refused: %s\n", err)
					continue
				}
				if patch != nil {
					text, err := json.Marshal(patch)
					if err != nil {
						t.Fatal(err)
					}
					fmt.Fprintf(&out, "  writes %s\n", text)
				}
				fmt.Fprintf(&out, "  %s\n", said)
			}
		}
	}
	golden(t, "rollout.txt", out.String())
}

func TestObjectArguments(t *testing.T) {
	tool, _, _ := newTool()
	command := tool.whyCommand()
	for line, want := range map[string]string{
		"machine/a": "machine a", "machine a": "machine a", "md.cluster.x-k8s.io/a": "md.cluster.x-k8s.io a",
		"": "needs an object", "machine": "names no object", "/a": "names no object", "a/b/c": "names no object", "a/b c": "takes one object", "a b c": "takes one object",
	} {
		kind, name, err := objectArgument(command, strings.Fields(line))
		got := kind + " " + name
		if err != nil {
			got = err.Error()
		}
		if !strings.Contains(got, want) {
			t.Errorf("%q: %s, want %s", line, got, want)
		}
	}
	for _, word := range []string{"machine", "cluster"} {
		if _, err := rolledKind(word); err == nil || !strings.Contains(err.Error(), "machinedeployment (md)") {
			t.Errorf("%s: %v", word, err)
		}
	}
	for word, want := range map[string]schema.GroupVersionKind{"MD": machineDeploymentKind, "kcp": kubeadmControlPlaneKind, "machinedeployments": machineDeploymentKind} {
		if kind, err := rolledKind(word); kind != want || err != nil {
			t.Errorf("%s: %v %v", word, kind, err)
		}
	}
}

func TestMatchKind(t *testing.T) {
	served := []*metav1.APIResourceList{
		{GroupVersion: "v1", APIResources: []metav1.APIResource{{Name: "pods", SingularName: "pod", Kind: "Pod"}, {Name: "machines", Kind: "Machine"}}},
		{GroupVersion: "cluster.x-k8s.io/v1beta2", APIResources: []metav1.APIResource{
			{Name: "machines", SingularName: "machine", Kind: "Machine", ShortNames: []string{"ma"}}, {Name: "machines/status", Kind: "Machine"},
			{Name: "machinesets", SingularName: "machineset", Kind: "MachineSet", ShortNames: []string{"ms"}},
		}},
		{GroupVersion: "infrastructure.cluster.x-k8s.io/v1beta1", APIResources: []metav1.APIResource{{Name: "rackmachines", SingularName: "rackmachine", Kind: "RackMachine"}}},
	}
	for word, want := range map[string]string{
		"machine": "cluster.x-k8s.io/v1beta2, Kind=Machine", "MA": "cluster.x-k8s.io/v1beta2, Kind=Machine", "rackmachines.infrastructure.cluster.x-k8s.io": "infrastructure.cluster.x-k8s.io/v1beta1, Kind=RackMachine",
		"RackMachine": "infrastructure.cluster.x-k8s.io/v1beta1, Kind=RackMachine", "pod": "/v1, Kind=Pod",
	} {
		if kind, err := matchKind(served, word); err != nil || kind.String() != want {
			t.Errorf("%s is %s %v, want %s", word, kind, err, want)
		}
	}
	for word, want := range map[string]string{"machin": "did you mean machine or machineset", "volcano": "it has machine, machineset, rackmachine", "machine.example.com": "did you mean machine"} {
		if _, err := matchKind(served, word); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", word, err, want)
		}
	}
}

func TestNoObjectNamesNearOnes(t *testing.T) {
	there := func(names ...string) []unstructured.Unstructured {
		var list []unstructured.Unstructured
		for _, name := range names {
			namespace, name, _ := strings.Cut(name, "/")
			object := unstructured.Unstructured{Object: map[string]any{}}
			object.SetNamespace(namespace)
			object.SetName(name)
			list = append(list, object)
		}
		return list
	}
	for want, list := range map[string][]unstructured.Unstructured{
		"did you mean demo-workers-abc?":            there("default/demo-workers-abc", "default/unlike"),
		"did you mean demo-workers or demo-worker?": there("default/demo-worker", "default/demo-workers"),
		"there is one of that name in namespace b":  there("b/demo-workerss"),
		"in namespace default there is: a, b":       there("default/b", "default/a", "x/c"),
		"and no other in namespace default":         there("x/c"),
		"a, b, c, d, e and 1 more":                  there("default/a", "default/b", "default/c", "default/d", "default/e", "default/f"),
	} {
		name := "demo-workerss"
		if strings.Contains(want, "abc") {
			name = "demo-workers-abd"
		}
		if err := noObject("MachineDeployment", client.ObjectKey{Namespace: "default", Name: name}, list); !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}
