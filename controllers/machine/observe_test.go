// SPDX-License-Identifier: Apache-2.0

package machine

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	"github.com/slipway-project/slipway/contract"
	"github.com/slipway-project/slipway/engine"
)

// answering gives one answer about every object of a provider, and connects to one
// workload cluster.
type answering struct {
	memory
	err       error
	workloads engine.Workloads
}

func (a answering) Contract(context.Context, string, contract.Ref, string) (*contract.Object, error) {
	return nil, a.err
}

func (a answering) Workloads() engine.Workloads { return a.workloads }

type connected struct {
	engine.Workloads
	nodes client.Reader
}

func (c connected) Reader(context.Context, engine.Key) (client.Reader, error) { return c.nodes, nil }
func (c connected) Probe(engine.Key) engine.Probe                             { return engine.Probe{Connected: true} }

func schemeOf(t *testing.T) *runtime.Scheme {
	t.Helper()
	known := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clusterv1.AddToScheme, corev1.AddToScheme} {
		if err := add(known); err != nil {
			t.Fatal(err)
		}
	}
	return known
}

// TestObserveWhatCannotBeRead: only where the API has no such kind, as with one that is
// misspelled, is it certain that there is no object.
func TestObserveWhatCannotBeRead(t *testing.T) {
	machine := &clusterv1.Machine{Spec: clusterv1.MachineSpec{InfrastructureRef: clusterv1.ContractVersionedObjectReference{APIGroup: "g.io", Kind: "Dockermachine", Name: "m"}}}
	for name, test := range map[string]struct {
		err    error
		noKind bool
	}{
		"no kind":        {errors.Join(engine.ErrNoProvider, engine.ErrNoKind), true},
		"no contract":    {fmt.Errorf("%w: no label", engine.ErrNoProvider), false},
		"may not listed": {fmt.Errorf("%w: objects", engine.ErrNotListed), false},
	} {
		t.Run(name, func(t *testing.T) {
			seen, err := observeObject(t.Context(), answering{err: test.err}, roleInfrastructure, machine, machine.Spec.InfrastructureRef)
			if err != nil || seen != (Referenced{Err: test.err.Error(), NoKind: test.noKind}) {
				t.Errorf("it is seen as %+v, error %v", seen, err)
			}
		})
	}
	if _, err := observeObject(t.Context(), answering{err: errors.New("timeout")}, roleInfrastructure, machine, machine.Spec.InfrastructureRef); err == nil {
		t.Error("what is unexpected is no error")
	}
}

// TestObserveNodeByName: the provider ID went with the infrastructure object before the
// Machine had it; the Node must not be left behind for that.
func TestObserveNodeByName(t *testing.T) {
	deletion := metav1.NewTime(time.Date(2026, 1, 2, 3, 4, 0, 0, time.UTC))
	node := func(machine string) *corev1.Node {
		made := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "a", UID: "node-uid"}}
		if machine != "" {
			made.Annotations = map[string]string{clusterv1.MachineAnnotation: machine}
		}
		return made
	}
	for name, test := range map[string]struct {
		node     *corev1.Node
		deleting *metav1.Time
		want     types.UID
	}{
		"its own":             {node("workers-a"), &deletion, "node-uid"},
		"without a note":      {node(""), &deletion, "node-uid"},
		"another Machine's":   {node("workers-b"), &deletion, ""},
		"gone":                {nil, &deletion, ""},
		"of one that is kept": {node("workers-a"), nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			nodes := fake.NewClientBuilder().WithScheme(schemeOf(t))
			if test.node != nil {
				nodes = nodes.WithObjects(test.node)
			}
			snapshot := Snapshot{
				Cluster: &clusterv1.Cluster{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "demo"}},
				Machine: &clusterv1.Machine{
					ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "workers-a", DeletionTimestamp: test.deleting},
					Status:     clusterv1.MachineStatus{NodeRef: clusterv1.MachineNodeReference{Name: "a"}},
				},
			}
			observeNode(t.Context(), answering{workloads: connected{nodes: nodes.Build()}}, &snapshot)
			var got types.UID
			if snapshot.Node.Value != nil {
				got = snapshot.Node.Value.UID
			}
			if got != test.want || !snapshot.Node.OK() {
				t.Errorf("the Node is %q (%s), want %q", got, snapshot.Node.Err, test.want)
			}
		})
	}
}
