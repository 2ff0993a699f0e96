// SPDX-License-Identifier: Apache-2.0

package simulate

import (
	"context"
	"fmt"
	"os"
	"testing"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/klog/v2"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/slipway-project/slipway/deploy"
	"github.com/slipway-project/slipway/standalone"
)

// realServer is a kube-apiserver with our CRDs.
func realServer(t *testing.T) client.Client {
	t.Helper()
	const binaries = "SLIPWAY_TEST_BINARIES"
	if os.Getenv(binaries) == "" {
		t.Skipf("set %s to a directory with etcd, kube-apiserver and kube-controller-manager", binaries)
	}
	klog.SetLogger(logr.Discard())
	ctrllog.SetLogger(logr.Discard())
	definitions, err := deploy.CRDs()
	if err != nil {
		t.Fatal(err)
	}
	var objects []client.Object
	for _, definition := range definitions {
		objects = append(objects, definition)
	}
	running, err := standalone.Start(t.Context(), standalone.Options{Home: t.TempDir(), BinariesDir: os.Getenv(binaries), Objects: objects})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := running.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	c, err := client.New(running.AdminConfig(), client.Options{Scheme: testScheme(t)})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// request is one write, made alike to the store and to a real server.
type request struct {
	name string
	do   func(ctx context.Context, c client.Client, object *unstructured.Unstructured) error
	// object is the one written, or the identity of it.
	object string
}

const (
	deploymentID = "{apiVersion: cluster.x-k8s.io/v1beta2, kind: MachineDeployment, metadata: {namespace: default, name: d}}"
	aDeployment  = `{apiVersion: cluster.x-k8s.io/v1beta2, kind: MachineDeployment, metadata: {namespace: default, name: d, finalizers: [a.io/a], labels: {l: x}},
spec: {clusterName: demo, selector: {matchLabels: {pool: w}}, template: {metadata: {labels: {pool: w}}, spec: {clusterName: demo, version: v1.36.3,
infrastructureRef: {apiGroup: infrastructure.cluster.x-k8s.io, kind: DockerMachineTemplate, name: t},
bootstrap: {configRef: {apiGroup: bootstrap.cluster.x-k8s.io, kind: KubeadmConfigTemplate, name: t}}}}}}`
	shownCondition = `{type: %s, status: "True", reason: R, message: "", lastTransitionTime: "2026-01-02T03:04:05Z"}`
)

func creating(ctx context.Context, c client.Client, object *unstructured.Unstructured) error {
	return c.Create(ctx, object, client.FieldOwner("maker"))
}

func applying(manager string, force bool) func(context.Context, client.Client, *unstructured.Unstructured) error {
	return func(ctx context.Context, c client.Client, object *unstructured.Unstructured) error {
		options := []client.ApplyOption{client.FieldOwner(manager)}
		if force {
			options = append(options, client.ForceOwnership)
		}
		return c.Apply(ctx, client.ApplyConfigurationFromUnstructured(object), options...)
	}
}

func applyingStatus(manager string) func(context.Context, client.Client, *unstructured.Unstructured) error {
	return func(ctx context.Context, c client.Client, object *unstructured.Unstructured) error {
		return c.Status().Apply(ctx, client.ApplyConfigurationFromUnstructured(object), client.FieldOwner(manager), client.ForceOwnership)
	}
}

func patching(text string) func(context.Context, client.Client, *unstructured.Unstructured) error {
	return func(ctx context.Context, c client.Client, object *unstructured.Unstructured) error {
		return c.Patch(ctx, object, client.RawPatch(types.JSONPatchType, []byte(text)), client.FieldOwner("patcher"))
	}
}

func requests() []request {
	const spec, status = "{apiVersion: cluster.x-k8s.io/v1beta2, kind: MachineDeployment, metadata: {namespace: default, name: d%s}, spec: %s}",
		"{apiVersion: cluster.x-k8s.io/v1beta2, kind: MachineDeployment, metadata: {namespace: default, name: d}, status: {%s}}"
	conditionsOf := func(names ...string) string {
		text := "conditions: ["
		for _, name := range names {
			text += fmt.Sprintf(shownCondition, name) + ", "
		}
		return fmt.Sprintf(status, text+"]")
	}
	return []request{
		{"create", creating, aDeployment},
		{"create again", creating, aDeployment},
		{"state a field", applying("one", false), fmt.Sprintf(spec, ", finalizers: [b.io/b]", "{rollout: {after: \"2026-01-02T03:04:05Z\"}}")},
		{"state what another has made", applying("one", false), fmt.Sprintf(spec, "", "{template: {spec: {version: v1.37.1}}}")},
		{"take it over", applying("one", true), fmt.Sprintf(spec, "", "{template: {spec: {version: v1.37.1}}}")},
		{"the same again", applying("one", true), fmt.Sprintf(spec, "", "{template: {spec: {version: v1.37.1}}}")},
		{"a status", applyingStatus("one"), conditionsOf("A", "B")},
		{"another's condition", applyingStatus("two"), conditionsOf("C")},
		{"one condition less", applyingStatus("one"), conditionsOf("B")},
		{"a status by the wrong door", applying("one", true), fmt.Sprintf(status, "phase: Running")},
		{"a patch", patching(`[{"op":"test","path":"/metadata/labels/l","value":"x"},{"op":"replace","path":"/metadata/labels/l","value":"y"}]`), deploymentID},
		{"a patch whose test fails", patching(`[{"op":"test","path":"/metadata/labels/l","value":"x"},{"op":"remove","path":"/metadata/labels"}]`), deploymentID},
		{"another UID", applying("one", true), "{apiVersion: cluster.x-k8s.io/v1beta2, kind: MachineDeployment, metadata: {namespace: default, name: d, uid: other}, spec: {replicas: 7}}"},
		{"delete", func(ctx context.Context, c client.Client, object *unstructured.Unstructured) error {
			return c.Delete(ctx, object)
		}, deploymentID},
		{"one finalizer less", patching(`[{"op":"test","path":"/metadata/finalizers/0","value":"a.io/a"},{"op":"remove","path":"/metadata/finalizers/0"}]`), deploymentID},
		{"the last finalizer", patching(`[{"op":"test","path":"/metadata/name","value":"d"},{"op":"remove","path":"/metadata/finalizers"}]`), deploymentID},
		{"delete what is gone", func(ctx context.Context, c client.Client, object *unstructured.Unstructured) error {
			return c.Delete(ctx, object)
		}, deploymentID},
		{"a status of nothing", applyingStatus("one"), conditionsOf("A")},
	}
}

// The store does what a real API server does, write for write: the same objects, the same
// owners of fields, the same kinds of refusal.
func TestStoreIsLikeAnAPIServer(t *testing.T) {
	real, memory := realServer(t), newWorld(t).Store
	for _, one := range requests() {
		object := &unstructured.Unstructured{}
		if err := yaml.Unmarshal([]byte(one.object), &object.Object); err != nil {
			t.Fatal(err)
		}
		wanted := one.do(t.Context(), real, object.DeepCopy())
		got := one.do(t.Context(), memory, object.DeepCopy())
		if apierrors.ReasonForError(wanted) != apierrors.ReasonForError(got) || (wanted == nil) != (got == nil) {
			t.Errorf("%s: the store answers %v and a server %v", one.name, got, wanted)
		}
		if diff := cmp.Diff(stateIn(t, real), stateIn(t, memory)); diff != "" {
			t.Errorf("%s: what is there then (-server +store):\n%s", one.name, diff)
		}
	}
}

// stateIn is the MachineDeployment without what must differ between two servers: its UID,
// its version, the times. nil when it is not there.
func stateIn(t *testing.T, c client.Client) map[string]any {
	t.Helper()
	object := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(deploymentID), &object.Object); err != nil {
		t.Fatal(err)
	}
	err := c.Get(t.Context(), client.ObjectKeyFromObject(object), object)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, field := range []string{"uid", "resourceVersion", "creationTimestamp", "deletionGracePeriodSeconds"} {
		unstructured.RemoveNestedField(object.Object, "metadata", field)
	}
	if object.GetDeletionTimestamp() != nil {
		object.SetDeletionTimestamp(&metav1.Time{})
	}
	owners := map[string]any{}
	for _, entry := range object.GetManagedFields() {
		owners[fmt.Sprintf("%s %s %s", entry.Manager, entry.Operation, entry.Subresource)] = string(entry.FieldsV1.GetRawBytes())
	}
	object.SetManagedFields(nil)
	return map[string]any{"object": object.Object, "owners": owners}
}
