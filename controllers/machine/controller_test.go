// SPDX-License-Identifier: Apache-2.0

package machine

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	"github.com/slipway-project/slipway/contract"
	"github.com/slipway-project/slipway/engine"
	"github.com/slipway-project/slipway/plan"
)

// memory reads Machines that are in memory; it has nothing else.
type memory struct{ client.Reader }

func (m memory) Live() client.Reader         { return m.Reader }
func (m memory) Now() time.Time              { return time.Time{} }
func (m memory) LastFailure() *plan.Failure  { return nil }
func (m memory) Workloads() engine.Workloads { return nil }

func (m memory) Contract(context.Context, string, contract.Ref, string) (*contract.Object, error) {
	return nil, engine.ErrNoProvider
}

// A host's object concerns the Machine that owns it and any other that refers to it:
// that one is blocked for as long as the object is there, and has to hear when it goes.
func TestMachinesOfObject(t *testing.T) {
	scheme := runtime.NewScheme()
	if err := clusterv1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	hostRef := func(name string) clusterv1.ContractVersionedObjectReference {
		return clusterv1.ContractVersionedObjectReference{APIGroup: "infrastructure.cluster.x-k8s.io", Kind: "DockerMachine", Name: name}
	}
	machine := func(namespace, name, host string) *clusterv1.Machine {
		return &clusterv1.Machine{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
			Spec:       clusterv1.MachineSpec{ClusterName: "demo", InfrastructureRef: hostRef(host)},
		}
	}
	reader := memory{fake.NewClientBuilder().WithScheme(scheme).WithObjects(
		machine("default", "first", "shared"), machine("default", "second", "shared"), machine("default", "third", "own"), machine("other", "fourth", "shared"),
	).Build()}
	host := func(owners ...metav1.OwnerReference) *unstructured.Unstructured {
		object := &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "infrastructure.cluster.x-k8s.io/v1beta2", "kind": "DockerMachine",
			"metadata": map[string]any{"namespace": "default", "name": "shared"},
		}}
		object.SetOwnerReferences(owners)
		return object
	}
	ownedBy := func(name string) metav1.OwnerReference {
		yes := true
		return metav1.OwnerReference{APIVersion: kind.GroupVersion().String(), Kind: kind.Kind, Name: name, UID: "uid", Controller: &yes}
	}
	concerned := machinesOfObject(func(m *clusterv1.Machine) clusterv1.ContractVersionedObjectReference { return m.Spec.InfrastructureRef })
	for name, test := range map[string]struct {
		object *unstructured.Unstructured
		want   []string
	}{
		"nobody's":            {host(), []string{"first", "second"}},
		"the first one's":     {host(ownedBy("first")), []string{"first", "second"}},
		"one's not referring": {host(ownedBy("third")), []string{"first", "second", "third"}},
		"a set's":             {host(metav1.OwnerReference{APIVersion: kind.GroupVersion().String(), Kind: "MachineSet", Name: "workers", UID: "uid"}), []string{"first", "second"}},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, key := range concerned(t.Context(), reader, test.object) {
				if key.Namespace != "default" {
					t.Errorf("%s is in another namespace", key)
				}
				got = append(got, key.Name)
			}
			slices.SortFunc(got, strings.Compare)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("Machines concerned (-want +got):\n%s", diff)
			}
		})
	}
}
