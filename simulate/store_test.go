// SPDX-License-Identifier: Apache-2.0

package simulate

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
)

var machineKind = clusterv1.GroupVersion.WithKind("Machine")

func aMachine() *clusterv1.Machine {
	return &clusterv1.Machine{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "m", Finalizers: []string{"a/a"}},
		Spec:       clusterv1.MachineSpec{ClusterName: "demo"},
	}
}

func applied(content map[string]any) *unstructured.Unstructured {
	object := &unstructured.Unstructured{Object: content}
	object.SetGroupVersionKind(machineKind)
	object.SetNamespace("default")
	object.SetName("m")
	return object
}

func condition(kind, status string) map[string]any {
	return map[string]any{"type": kind, "status": status, "reason": "R", "message": "", "lastTransitionTime": "2026-01-02T03:04:05Z"}
}

// Several managers state conditions and finalizers of one object, as the schema of its kind
// lets them, and take only their own back.
func TestStoreMergesBySchema(t *testing.T) {
	w := newWorld(t)
	s := w.Store
	if err := s.Create(t.Context(), aMachine(), client.FieldOwner("maker")); err != nil {
		t.Fatal(err)
	}
	status := func(manager string, all ...any) {
		t.Helper()
		object := applied(map[string]any{"status": map[string]any{"conditions": all}})
		if err := s.Status().Apply(t.Context(), client.ApplyConfigurationFromUnstructured(object), client.FieldOwner(manager), client.ForceOwnership); err != nil {
			t.Fatal(err)
		}
	}
	status("one", condition("A", "True"), condition("B", "True"))
	status("two", condition("C", "True"))
	status("one", condition("B", "False"))
	finalizer := applied(map[string]any{})
	finalizer.SetFinalizers([]string{"b/b"})
	if err := w.Apply(finalizer, "one", true); err != nil {
		t.Fatal(err)
	}
	machine := &clusterv1.Machine{}
	if err := s.Get(t.Context(), types.NamespacedName{Namespace: "default", Name: "m"}, machine); err != nil {
		t.Fatal(err)
	}
	shown := map[string]string{}
	for _, c := range machine.Status.Conditions {
		shown[c.Type] = string(c.Status)
	}
	if diff := cmp.Diff(map[string]string{"B": "False", "C": "True"}, shown); diff != "" {
		t.Errorf("conditions (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"a/a", "b/b"}, machine.Finalizers); diff != "" {
		t.Errorf("finalizers (-want +got):\n%s", diff)
	}
	if machine.Generation != 1 || machine.UID == "" || !machine.CreationTimestamp.Time.Equal(begins) {
		t.Errorf("generation %d, UID %q, made at %s", machine.Generation, machine.UID, machine.CreationTimestamp)
	}
}

// A write that changes nothing makes no new version; one of the spec makes a generation.
func TestStoreCountsChanges(t *testing.T) {
	w := newWorld(t)
	if err := w.Store.Create(t.Context(), aMachine()); err != nil {
		t.Fatal(err)
	}
	state := func(domain string) *unstructured.Unstructured {
		t.Helper()
		result, err := w.Store.Merge(applied(map[string]any{"spec": map[string]any{"failureDomain": domain}}), "one", true, "")
		if err != nil {
			t.Fatal(err)
		}
		return result
	}
	first, again, other := state("fd1"), state("fd1"), state("fd2")
	if first.GetResourceVersion() != again.GetResourceVersion() || first.GetGeneration() != 2 || other.GetGeneration() != 3 {
		t.Errorf("versions %s, %s; generations %d, %d", first.GetResourceVersion(), again.GetResourceVersion(), first.GetGeneration(), other.GetGeneration())
	}
	if _, err := w.Store.Merge(applied(map[string]any{"spec": map[string]any{"failureDomain": "fd3"}}), "another", false, ""); !apierrors.IsConflict(err) {
		t.Errorf("what another manager states is taken over without force: %v", err)
	}
}

func TestStorePreconditions(t *testing.T) {
	w := newWorld(t)
	s := w.Store
	if err := s.Create(t.Context(), aMachine()); err != nil {
		t.Fatal(err)
	}
	if err := s.Create(t.Context(), aMachine()); !apierrors.IsAlreadyExists(err) {
		t.Errorf("made twice: %v", err)
	}
	wrong := types.UID("another")
	if err := s.Delete(t.Context(), aMachine(), client.Preconditions{UID: &wrong}); !apierrors.IsConflict(err) {
		t.Errorf("deleted under another UID: %v", err)
	}
	replaced := applied(map[string]any{})
	replaced.SetUID(wrong)
	if _, err := s.Merge(replaced, "one", true, ""); !apierrors.IsInvalid(err) {
		t.Errorf("applied to another UID: %v", err)
	}
	test := client.RawPatch(types.JSONPatchType, []byte(`[{"op":"test","path":"/spec/clusterName","value":"other"},{"op":"remove","path":"/metadata/finalizers"}]`))
	var status apierrors.APIStatus
	if err := s.Patch(t.Context(), aMachine(), test); !apierrors.IsInvalid(err) || !asStatus(err, &status) || len(status.Status().Details.Causes) != 0 {
		t.Errorf("patched though the test fails: %v", err)
	}
	// Marked while a finalizer is there, gone with the last.
	if err := s.Delete(t.Context(), aMachine()); err != nil {
		t.Fatal(err)
	}
	there := s.held(machineKind.GroupKind(), types.NamespacedName{Namespace: "default", Name: "m"})
	if there == nil || there.GetDeletionTimestamp() == nil {
		t.Fatalf("a finalizer keeps %v", there)
	}
	if err := s.Patch(t.Context(), aMachine(), client.RawPatch(types.JSONPatchType, []byte(`[{"op":"remove","path":"/metadata/finalizers"}]`))); err != nil {
		t.Fatal(err)
	}
	if err := s.Get(t.Context(), types.NamespacedName{Namespace: "default", Name: "m"}, &clusterv1.Machine{}); !apierrors.IsNotFound(err) {
		t.Errorf("without finalizers it is left: %v", err)
	}
	first := there.GetUID()
	if err := s.Create(t.Context(), aMachine()); err != nil {
		t.Fatal(err)
	}
	if second := s.held(machineKind.GroupKind(), types.NamespacedName{Namespace: "default", Name: "m"}).GetUID(); second == first {
		t.Error("another object of the name has the same UID")
	}
}

func asStatus(err error, into *apierrors.APIStatus) bool {
	status, ok := err.(apierrors.APIStatus)
	*into = status
	return ok
}

func TestStoreEvictsAsBudgetsAllow(t *testing.T) {
	for name, test := range map[string]struct {
		allowed, healthy int32
		ready            bool
		policy           policyv1.UnhealthyPodEvictionPolicyType
		refused          bool
	}{
		"allowed":                           {allowed: 1, healthy: 2, ready: true},
		"not allowed":                       {healthy: 1, ready: true, refused: true},
		"not ready, and enough others are":  {healthy: 1},
		"not ready, and too few others are": {refused: true},
		"not ready, which always may go":    {policy: policyv1.AlwaysAllow},
	} {
		t.Run(name, func(t *testing.T) {
			s := newWorld(t).Store
			c := workloadCluster{store: s}
			is := corev1.ConditionFalse
			if test.ready {
				is = corev1.ConditionTrue
			}
			pod := &corev1.Pod{
				ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "p", Labels: map[string]string{"app": "x"}},
				Status:     corev1.PodStatus{Phase: corev1.PodRunning, Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: is}}},
			}
			budget := &policyv1.PodDisruptionBudget{
				ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "b"},
				Spec:       policyv1.PodDisruptionBudgetSpec{Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "x"}}},
			}
			if test.policy != "" {
				budget.Spec.UnhealthyPodEvictionPolicy = &test.policy
			}
			if err := c.make(pod, budget); err != nil {
				t.Fatal(err)
			}
			if _, err := s.edit(s.held(budgetKind.GroupKind(), client.ObjectKeyFromObject(budget)), "test", statusSubresource, func(content map[string]any) {
				content["status"] = plain(policyv1.PodDisruptionBudgetStatus{DisruptionsAllowed: test.allowed, CurrentHealthy: test.healthy, DesiredHealthy: 1})
			}); err != nil {
				t.Fatal(err)
			}
			err := s.SubResource("eviction").Create(t.Context(), pod, &policyv1.Eviction{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "p"}})
			left := s.held(podKind.GroupKind(), client.ObjectKeyFromObject(pod)) != nil
			if apierrors.IsTooManyRequests(err) != test.refused || left != test.refused {
				t.Errorf("refused: %v; the Pod is left: %t", err, left)
			}
		})
	}
}
