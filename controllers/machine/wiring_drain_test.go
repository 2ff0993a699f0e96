// SPDX-License-Identifier: Apache-2.0

package machine_test

import (
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	"github.com/slipway-project/slipway/conditions"
)

// running makes a Cluster with a control-plane Machine, and the Machine a with its host and
// Node. The host stays until its finalizer is taken off.
func (w world) running() (host *unstructured.Unstructured, node *corev1.Node) {
	w.Helper()
	w.create(&clusterv1.Cluster{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "demo"}, Spec: clusterv1.ClusterSpec{
		InfrastructureRef: clusterv1.ContractVersionedObjectReference{APIGroup: "infrastructure.cluster.x-k8s.io", Kind: "DockerCluster", Name: "demo"},
	}})
	controlPlane := newMachine("control-plane")
	controlPlane.Labels = map[string]string{clusterv1.MachineControlPlaneLabel: ""}
	w.create(controlPlane)
	host = object("infrastructure.cluster.x-k8s.io/v1beta2", "DockerMachine", "a", map[string]any{"providerID": "docker:////a"})
	host.SetFinalizers([]string{"test.example.com/host"})
	w.create(host)
	machine := newMachine("a")
	secret := "a"
	machine.Spec.Bootstrap = clusterv1.Bootstrap{DataSecretName: &secret}
	machine.Spec.Taints = []clusterv1.MachineTaint{{Key: "example.com/kept", Effect: corev1.TaintEffectPreferNoSchedule, Propagation: clusterv1.MachineTaintPropagationAlways}}
	w.create(machine)
	w.report(host, map[string]any{"initialization": map[string]any{"provisioned": true}})
	node = &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "a"}, Spec: corev1.NodeSpec{ProviderID: "docker:////a"}}
	w.create(node)
	node.Status.Conditions = []corev1.NodeCondition{{Type: "Ready", Status: "True"}}
	if err := w.client.Status().Update(w.Context(), node); err != nil {
		w.Fatal(err)
	}
	return host, node
}

// pod makes a Pod that runs on Node a and is ready.
func (w world) pod(name string, labels map[string]string, owners ...metav1.OwnerReference) {
	w.Helper()
	no := false
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, Labels: labels, OwnerReferences: owners},
		Spec:       corev1.PodSpec{NodeName: "a", AutomountServiceAccountToken: &no, Containers: []corev1.Container{{Name: "c", Image: "i"}}},
	}
	w.create(pod)
	pod.Status.Phase = corev1.PodRunning
	pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
	if err := w.client.Status().Update(w.Context(), pod); err != nil {
		w.Fatal(err)
	}
}

// going names the Pods that are being deleted.
func (w world) going() []string {
	w.Helper()
	pods := &corev1.PodList{}
	if err := w.client.List(w.Context(), pods, client.InNamespace("shop")); err != nil {
		w.Fatal(err)
	}
	var names []string
	for _, pod := range pods.Items {
		if pod.DeletionTimestamp != nil {
			names = append(names, pod.Name)
		}
	}
	return names
}

// end is what the kubelet does: the Pods that are being deleted are gone.
func (w world) end() {
	w.Helper()
	for _, name := range w.going() {
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name}}
		if err := w.client.Delete(w.Context(), pod, client.GracePeriodSeconds(0)); err != nil {
			w.Fatal(err)
		}
	}
}

// allow is what the controller of budgets does.
func (w world) allow(budget *policyv1.PodDisruptionBudget, disruptions int32) {
	w.Helper()
	if err := w.client.Get(w.Context(), client.ObjectKeyFromObject(budget), budget); err != nil {
		w.Fatal(err)
	}
	budget.Status = policyv1.PodDisruptionBudgetStatus{ObservedGeneration: budget.Generation, DisruptionsAllowed: disruptions, CurrentHealthy: 1 + disruptions, DesiredHealthy: 1, ExpectedPods: 2}
	if err := w.client.Status().Update(w.Context(), budget); err != nil {
		w.Fatal(err)
	}
}

func (w world) deletes(reason, text string) bool {
	w.Helper()
	deleting := conditions.Find(w.machine("a").Status.Conditions, clusterv1.DeletingCondition)
	return deleting != nil && deleting.Reason == reason && strings.Contains(deleting.Message, text)
}

// TestDrain empties a Node on a real API server: a budget that allows nothing is
// respected, Pods go in their order, what is to stay stays, and the host goes when the last
// volume is detached.
func TestDrain(t *testing.T) {
	w := newWorld(t)
	host, node := w.running()
	w.create(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop", Labels: map[string]string{"team": "a"}}})
	w.create(&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "default"}})
	yes := true
	w.pod("agent", nil, metav1.OwnerReference{APIVersion: "apps/v1", Kind: "DaemonSet", Name: "agent", UID: "agent-uid", Controller: &yes})
	w.pod("log", map[string]string{clusterv1.PodDrainLabel: clusterv1.PodDrainLabelSkip})
	w.pod("db", map[string]string{"app": "db"})
	w.pod("web-0", map[string]string{"app": "web"})
	w.pod("web-1", map[string]string{"app": "web"})
	one := intstr.FromInt32(1)
	budget := &policyv1.PodDisruptionBudget{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web"}, Spec: policyv1.PodDisruptionBudgetSpec{
		MinAvailable: &one, Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}},
	}}
	w.create(budget)
	w.allow(budget, 0)
	order := int32(5)
	w.create(&clusterv1.MachineDrainRule{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "db"}, Spec: clusterv1.MachineDrainRuleSpec{
		Drain: clusterv1.MachineDrainRuleDrainConfig{Behavior: clusterv1.MachineDrainRuleDrainBehaviorDrain, Order: &order},
		Pods: []clusterv1.MachineDrainRulePodSelector{{
			Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "db"}}, NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"team": "a"}},
		}},
	}})
	volume := "pv-1"
	attachment := &storagev1.VolumeAttachment{ObjectMeta: metav1.ObjectMeta{Name: "a"}, Spec: storagev1.VolumeAttachmentSpec{
		Attacher: "csi.example.com", NodeName: "a", Source: storagev1.VolumeAttachmentSource{PersistentVolumeName: &volume},
	}}
	w.create(attachment)
	w.until("the Node has the Machine's taint", func() bool {
		if err := w.client.Get(t.Context(), client.ObjectKey{Name: "a"}, node); err != nil {
			t.Fatal(err)
		}
		kept := slices.ContainsFunc(node.Spec.Taints, func(taint corev1.Taint) bool { return taint.Key == "example.com/kept" })
		return kept && node.Annotations[clusterv1.TaintsFromMachineAnnotation] == "example.com/kept:PreferNoSchedule" && w.machine("a").Status.NodeRef.Name == "a"
	})

	if err := w.client.Delete(t.Context(), w.machine("a")); err != nil {
		t.Fatal(err)
	}
	w.until("it says which budget holds which Pods", func() bool {
		return w.deletes(clusterv1.DrainingNodeReason, "2 (shop/web-0, shop/web-1) held by PodDisruptionBudget shop/web")
	})
	if err := w.client.Get(t.Context(), client.ObjectKey{Name: "a"}, node); err != nil || !node.Spec.Unschedulable {
		t.Errorf("the Node is not cordoned (%v)", err)
	}
	if names := w.going(); len(names) > 0 {
		t.Fatalf("against the budget, or out of order, %v are being deleted", names)
	}
	w.allow(budget, 1)
	w.until("one Pod of the budget is evicted", func() bool { return len(w.going()) == 1 })
	w.until("and the other waits", func() bool {
		return w.deletes(clusterv1.DrainingNodeReason, "1 (shop/web-1) held by PodDisruptionBudget shop/web") && w.deletes(clusterv1.DrainingNodeReason, "1 (shop/db) to be evicted when those before are gone")
	})
	w.end()
	w.allow(budget, 1)
	w.until("the other is evicted", func() bool { names := w.going(); return len(names) == 1 && names[0] == "web-1" })
	w.end()
	w.until("the next batch is evicted", func() bool { names := w.going(); return len(names) == 1 && names[0] == "db" })
	w.end()
	w.until("the volume is waited for", func() bool {
		return w.deletes(clusterv1.WaitingForVolumeDetachReason, "PersistentVolume pv-1")
	})
	starts := w.machine("a").Status.Deletion
	if starts == nil || starts.NodeDrainStartTime.IsZero() || starts.WaitForNodeVolumeDetachStartTime.IsZero() {
		t.Errorf("when the steps began is not told: %+v", starts)
	}
	if err := w.client.Delete(t.Context(), attachment); err != nil {
		t.Fatal(err)
	}
	w.until("the host is asked to go", func() bool {
		return w.deletes(clusterv1.WaitingForInfrastructureDeletionReason, "DockerMachine default/a")
	})
	for _, name := range []string{"agent", "log"} {
		pod := &corev1.Pod{}
		if err := w.client.Get(t.Context(), client.ObjectKey{Namespace: "shop", Name: name}, pod); err != nil || pod.DeletionTimestamp != nil {
			t.Errorf("Pod %s did not stay: %v", name, err)
		}
	}
	if err := w.client.Get(t.Context(), client.ObjectKeyFromObject(host), host); err != nil {
		t.Fatal(err)
	}
	host.SetFinalizers(nil)
	if err := w.client.Update(t.Context(), host); err != nil {
		t.Fatal(err)
	}
	w.until("the Machine is gone", func() bool {
		return apierrors.IsNotFound(w.client.Get(t.Context(), client.ObjectKey{Namespace: "default", Name: "a"}, &clusterv1.Machine{}))
	})
}
