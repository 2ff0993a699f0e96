// SPDX-License-Identifier: Apache-2.0

package machineset

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	"github.com/slipway-project/slipway/contract"
	"github.com/slipway-project/slipway/engine"
)

// answering gives one answer for each kind of a provider, and counts how often it is
// asked.
type answering struct {
	engine.Reader
	answers map[string]error
	asked   map[string]int
}

func (a answering) Contract(_ context.Context, _ string, ref contract.Ref, _ string) (*contract.Object, error) {
	a.asked[ref.Kind]++
	if err := a.answers[ref.Kind]; err != nil {
		return nil, err
	}
	return &contract.Object{}, nil
}

// TestObserveObjects: that a kind cannot be listed is a fact to plan with, and asked for
// once, since it takes its time to come out.
func TestObserveObjects(t *testing.T) {
	yes := true
	set := &clusterv1.MachineSet{ObjectMeta: metav1.ObjectMeta{Name: "workers", UID: "set-uid"}}
	machine := func(name string) *clusterv1.Machine {
		ref := func(kind string) clusterv1.ContractVersionedObjectReference {
			return clusterv1.ContractVersionedObjectReference{APIGroup: "g.io", Kind: kind, Name: name}
		}
		return &clusterv1.Machine{
			ObjectMeta: metav1.ObjectMeta{Name: name, OwnerReferences: []metav1.OwnerReference{{UID: "set-uid", Controller: &yes}}},
			Spec:       clusterv1.MachineSpec{InfrastructureRef: ref("Host"), Bootstrap: clusterv1.Bootstrap{ConfigRef: ref("Config")}},
		}
	}
	provisioned := machine("c")
	provisioned.Status.Initialization.InfrastructureProvisioned = &yes
	machines := []*clusterv1.Machine{machine("a"), machine("b"), provisioned}
	made := machine("d")
	made.Status.Initialization.BootstrapDataSecretCreated = &yes
	made.Spec.InfrastructureRef.Kind = "Served"
	machines = append(machines, made)
	notFound := apierrors.NewNotFound(schema.GroupResource{Resource: "configs"}, "a")
	notListed := fmt.Errorf("%w: objects of kind Host.g.io", engine.ErrNotListed)
	reader := answering{answers: map[string]error{"Config": notFound, "Host": notListed}, asked: map[string]int{}}
	got, there, err := observeObjects(t.Context(), reader, set, machines)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]Missing{
		"a": {Bootstrap: true, Err: notListed.Error()}, "b": {Bootstrap: true, Err: notListed.Error()}, "c": {Bootstrap: true},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("missing (-want +got):\n%s", diff)
	}
	if len(there) != 1 || there["d"].Infrastructure == nil || there["d"].Bootstrap != nil {
		t.Errorf("there are %v", there)
	}
	if diff := cmp.Diff(map[string]int{"Config": 4, "Host": 1, "Served": 1}, reader.asked); diff != "" {
		t.Errorf("asked (-want +got):\n%s", diff)
	}
	reader.answers["Host"] = errors.New("timeout")
	if _, _, err := observeObjects(t.Context(), reader, set, machines); err == nil {
		t.Error("what is unexpected is no error")
	}
}
