// SPDX-License-Identifier: Apache-2.0

package wiring

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	"github.com/slipway-project/slipway/conditions"
	"github.com/slipway-project/slipway/plan"
)

// TestNeedsApplyAgreesWithTheServer applies statuses and fields and asks, after each,
// whether applying the same again, or something else, would change anything: a wrong no
// leaves an object as it should not be, a wrong yes writes for ever.
func TestNeedsApplyAgreesWithTheServer(t *testing.T) {
	c := admin(t)
	namespace := newNamespace(t, c)
	kind := clusterv1.GroupVersion.WithKind("Machine")
	secret := "none"
	machine := &clusterv1.Machine{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "m"},
		Spec: clusterv1.MachineSpec{
			ClusterName: "demo", Version: "v1.37.1", Bootstrap: clusterv1.Bootstrap{DataSecretName: &secret},
			InfrastructureRef: clusterv1.ContractVersionedObjectReference{APIGroup: providerGroup, Kind: "MemoryMachine", Name: "m"},
		},
	}
	if err := c.Create(t.Context(), machine); err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	status := func(generation int64, wanted ...metav1.Condition) *clusterv1.MachineStatus {
		return &clusterv1.MachineStatus{
			Phase: "Pending", ObservedGeneration: generation, Conditions: conditions.Next(nil, generation, now, wanted...),
			Addresses: clusterv1.MachineAddresses{{Type: clusterv1.MachineInternalIP, Address: "10.0.0.1"}, {Type: clusterv1.MachineHostName, Address: "m"}},
		}
	}
	two := status(1, conditions.True("Ready", "Ready", ""), conditions.False("Deleting", "NotDeleting", "no"))
	one := status(1, conditions.True("Ready", "Ready", ""))
	without := one.DeepCopy()
	without.Addresses, without.Phase, without.ObservedGeneration = nil, "", 0
	less := one.DeepCopy()
	less.Addresses = less.Addresses[:1]
	changed := one.DeepCopy()
	changed.Conditions[0].Message = "changed"

	// Garbage collection takes away what has an owner that is not there.
	owner := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "owner"}}
	if err := c.Create(t.Context(), owner); err != nil {
		t.Fatal(err)
	}
	metadata := func(labels map[string]string, finalizers ...string) *unstructured.Unstructured {
		intent := plan.Partial(kind, machine)
		intent.SetLabels(labels)
		intent.SetFinalizers(finalizers)
		return intent
	}
	intents := map[string][]*unstructured.Unstructured{
		"status": {statusIntent(t, machine, two), statusIntent(t, machine, one), statusIntent(t, machine, less), statusIntent(t, machine, changed), statusIntent(t, machine, without)},
		"": {
			metadata(map[string]string{"a": "1", "b": "2"}, "example.org/one"), metadata(map[string]string{"a": "1"}, "example.org/one"),
			metadata(map[string]string{"a": "1"}, "example.org/two"), metadata(nil), withOwner(metadata(nil), owner),
		},
	}
	for subresource, list := range intents {
		for i, intent := range list {
			apply(t, c, intent, subresource)
			for j, next := range list {
				live := &clusterv1.Machine{}
				if err := c.Get(t.Context(), client.ObjectKeyFromObject(machine), live); err != nil {
					t.Fatal(err)
				}
				if got, want := plan.NeedsApply(plan.Live(kind, live), next, plan.Manager("tested"), subresource), i != j; got != want {
					t.Errorf("%q: after intent %d, intent %d needs an apply: %t, want %t", subresource, i, j, got, want)
				}
			}
		}
	}
}

func statusIntent(t *testing.T, machine *clusterv1.Machine, status *clusterv1.MachineStatus) *unstructured.Unstructured {
	t.Helper()
	intent, err := plan.StatusIntent(clusterv1.GroupVersion.WithKind("Machine"), machine, status)
	if err != nil {
		t.Fatal(err)
	}
	return intent
}

func withOwner(intent *unstructured.Unstructured, owner metav1.Object) *unstructured.Unstructured {
	intent.SetOwnerReferences([]metav1.OwnerReference{*plan.OwnerReference(corev1.SchemeGroupVersion.WithKind("ConfigMap"), owner, false)})
	return intent
}

func apply(t *testing.T, c client.Client, intent *unstructured.Unstructured, subresource string) {
	t.Helper()
	configuration := client.ApplyConfigurationFromUnstructured(intent.DeepCopy())
	var err error
	if subresource == "" {
		err = c.Apply(t.Context(), configuration, client.FieldOwner(plan.Manager("tested")), client.ForceOwnership)
	} else {
		err = c.Status().Apply(t.Context(), configuration, client.FieldOwner(plan.Manager("tested")), client.ForceOwnership)
	}
	if err != nil {
		t.Fatal(err)
	}
}
