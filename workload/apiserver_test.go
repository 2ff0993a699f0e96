// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"context"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/slipway-project/slipway/engine"
	"github.com/slipway-project/slipway/workload/workloadtest"
)

// within waits as eventually does, for as long as a server takes to start.
func within(t *testing.T, limit time.Duration, events <-chan engine.WorkloadEvent, what string, holds func() bool) {
	t.Helper()
	deadline := time.After(limit)
	for !holds() {
		select {
		case <-events:
		case <-deadline:
			t.Fatalf("not within %s: %s", limit, what)
		}
	}
}

func TestRealServer(t *testing.T) {
	server, store := workloadtest.Start(t), &secrets{}
	store.set("demo-kubeconfig", server.Kubeconfig())
	times := usual
	times.probeEvery = 200 * time.Millisecond
	c, events := connections(t, store, times)
	within(t, 2*time.Minute, events, "connected", connected(c))

	writes, err := c.Writer(t.Context(), demo)
	if err != nil {
		t.Fatal(err)
	}
	made := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: "a"},
		Spec:       corev1.NodeSpec{ProviderID: "docker:////a", Taints: []corev1.Taint{{Key: "node.cluster.x-k8s.io/uninitialized", Effect: "NoSchedule"}}},
	}
	created := time.Now()
	if err := writes.Create(t.Context(), made); err != nil {
		t.Fatal(err)
	}
	within(t, 10*time.Second, events, "the Node's event", func() bool {
		reads, err := c.Reader(t.Context(), demo)
		return err == nil && reads.Get(t.Context(), client.ObjectKey{Name: "a"}, &corev1.Node{}) == nil
	})
	t.Logf("from the create to the Node in the cache and told: %s", time.Since(created))
	readsWhatIsWritten(t, c, made.UID)
	liveReads(t, c)

	server.Stop()
	within(t, time.Minute, events, "lost", func() bool { return !connected(c)() })
	t.Logf("the cause of the loss: %s", c.Probe(demo).Err)
	server.Restart()
	within(t, 2*time.Minute, events, "connected again", connected(c))
	reads, err := c.Reader(t.Context(), demo)
	if err != nil {
		t.Fatal(err)
	}
	var found corev1.NodeList
	if err := reads.List(t.Context(), &found, client.MatchingFields{ProviderIDField: "docker:////a"}); err != nil || len(found.Items) != 1 {
		t.Fatalf("after the restart: %v, %d Nodes", err, len(found.Items))
	}
	deletes(t, c, made.UID)
}

// readsWhatIsWritten applies and patches as plans do; each write shows in the cache
// when it returns.
func readsWhatIsWritten(t *testing.T, c *Connections, uid types.UID) {
	t.Helper()
	writes, err := c.Writer(t.Context(), demo)
	if err != nil {
		t.Fatal(err)
	}
	reads, err := c.Reader(t.Context(), demo)
	if err != nil {
		t.Fatal(err)
	}
	intent := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "Node", "metadata": map[string]any{"name": "a", "uid": string(uid), "labels": map[string]any{"node.cluster.x-k8s.io/pool": "x"}},
	}}
	owner := client.FieldOwner("slipway-machine")
	if err := writes.Apply(t.Context(), client.ApplyConfigurationFromUnstructured(intent), owner, client.ForceOwnership); err != nil {
		t.Fatal(err)
	}
	node := &corev1.Node{}
	if err := reads.Get(t.Context(), client.ObjectKey{Name: "a"}, node); err != nil || node.Labels["node.cluster.x-k8s.io/pool"] != "x" {
		t.Errorf("the cache does not show what was applied: %v, labels %v", err, node.Labels)
	}
	if len(node.ManagedFields) != 0 {
		t.Error("the cache keeps managedFields")
	}
	patch := func() error {
		object := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Node", "metadata": map[string]any{"name": "a"}}}
		return writes.Patch(t.Context(), object, client.RawPatch(types.JSONPatchType, []byte(
			`[{"op":"test","path":"/spec/taints/0/key","value":"node.cluster.x-k8s.io/uninitialized"},{"op":"remove","path":"/spec/taints/0"}]`)), owner)
	}
	// The server adds a taint of its own to Nodes that are not ready, so ours may not be the first.
	if len(node.Spec.Taints) > 0 && node.Spec.Taints[0].Key == "node.cluster.x-k8s.io/uninitialized" {
		if err := patch(); err != nil {
			t.Fatal(err)
		}
		if err := reads.Get(t.Context(), client.ObjectKey{Name: "a"}, node); err != nil {
			t.Fatal(err)
		}
		for _, taint := range node.Spec.Taints {
			if taint.Key == "node.cluster.x-k8s.io/uninitialized" {
				t.Error("the cache still shows the taint that was removed")
			}
		}
	}
	if err := patch(); err == nil {
		t.Error("a patch whose test does not hold succeeds")
	}
}

// liveReads reads and writes a kind that is not cached, found by discovery.
func liveReads(t *testing.T, c *Connections) {
	t.Helper()
	writes, err := c.Writer(t.Context(), demo)
	if err != nil {
		t.Fatal(err)
	}
	reads, err := c.Reader(t.Context(), demo)
	if err != nil {
		t.Fatal(err)
	}
	if err := writes.Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "x"}, Data: map[string]string{"a": "b"}}); err != nil {
		t.Fatal(err)
	}
	read := &corev1.ConfigMap{}
	if err := reads.Get(t.Context(), client.ObjectKey{Namespace: "default", Name: "x"}, read); err != nil || read.Data["a"] != "b" {
		t.Errorf("read ConfigMap: %v %v", err, read.Data)
	}
}

func deletes(t *testing.T, c *Connections, uid types.UID) {
	t.Helper()
	writes, err := c.Writer(t.Context(), demo)
	if err != nil {
		t.Fatal(err)
	}
	node := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Node", "metadata": map[string]any{"name": "a"}}}
	wrong := types.UID("another")
	if err := writes.Delete(t.Context(), node, client.Preconditions{UID: &wrong}); !apierrors.IsConflict(err) {
		t.Errorf("delete with another UID: %v", err)
	}
	if err := writes.Delete(t.Context(), node, client.Preconditions{UID: &uid}); err != nil {
		t.Fatal(err)
	}
	reads, err := c.Reader(context.Background(), demo)
	if err != nil {
		t.Fatal(err)
	}
	if err := reads.Get(t.Context(), client.ObjectKey{Name: "a"}, &corev1.Node{}); !apierrors.IsNotFound(err) {
		t.Errorf("the cache still shows the Node that was deleted: %v", err)
	}
}
