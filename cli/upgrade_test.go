// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	"github.com/slipway-project/slipway/plan"
)

// upgradable is a cluster as create cluster makes it, with one machine each of control
// plane and workers, all well.
func upgradable(t *testing.T, change func(*clusterRequest)) []*unstructured.Unstructured {
	t.Helper()
	objects := manifests(planOf(t, func(r *clusterRequest) {
		r.version, r.workers = "v1.36.3", 1
		change(r)
	}))
	for _, object := range objects {
		if object.GetKind() == "KubeadmControlPlane" {
			setConditions(object, metav1.Condition{Type: "Available", Status: "True", Reason: "Available"})
		}
		object.SetUID("uid-" + object.GetUID())
	}
	machine := &clusterv1.Machine{}
	machine.Namespace, machine.Name = "default", "demo-control-plane-a"
	machine.Labels = map[string]string{clusterv1.ClusterNameLabel: "demo", clusterv1.MachineControlPlaneLabel: ""}
	machine.Spec.ClusterName, machine.Spec.Version = "demo", "v1.36.3"
	return append(objects, plan.Intent(machineKind, machine))
}

func setConditions(object *unstructured.Unstructured, list ...metav1.Condition) {
	var items []any
	for _, condition := range list {
		items = append(items, map[string]any{
			"type": condition.Type, "status": string(condition.Status), "reason": condition.Reason, "message": condition.Message,
			"lastTransitionTime": "2026-11-26T11:00:00Z",
		})
	}
	_ = unstructured.SetNestedSlice(object.Object, items, "status", "conditions")
}

// reading reads templates out of objects.
func reading(objects []*unstructured.Unstructured) templateReader {
	return func(kind schema.GroupKind, name string) (*unstructured.Unstructured, error) {
		for _, object := range objects {
			if object.GroupVersionKind().GroupKind() == kind && object.GetName() == name {
				return object, nil
			}
		}
		return nil, nil
	}
}

func named(t *testing.T, objects []*unstructured.Unstructured, kind string) *unstructured.Unstructured {
	t.Helper()
	for _, object := range objects {
		if object.GetKind() == kind {
			return object
		}
	}
	t.Fatalf("there is no %s", kind)
	return nil
}

func editsOf(t *testing.T, request upgradeRequest, objects []*unstructured.Unstructured) (upgrade, error) {
	t.Helper()
	f, err := familyOf(objects, "demo")
	if err != nil {
		t.Fatal(err)
	}
	return request.edits(f, reading(objects))
}

// The goldens hold what an upgrade writes, in its order.
func TestUpgradeEdits(t *testing.T) {
	for name, test := range map[string]struct {
		request upgradeRequest
		change  func(t *testing.T, objects []*unstructured.Unstructured) []*unstructured.Unstructured
	}{
		"created": {},
		"by-hand": {change: func(t *testing.T, objects []*unstructured.Unstructured) []*unstructured.Unstructured {
			template := named(t, objects, "DockerMachineTemplate") // the control plane's
			template.SetAnnotations(map[string]string{"kubectl.kubernetes.io/last-applied-configuration": "{}", "mine": "kept"})
			set(t, template, "kindest/node:v1.36.3", "spec", "template", "spec", "customImage")
			set(t, template, []any{map[string]any{"hostPath": "/var/run/docker.sock", "containerPath": "/var/run/docker.sock"}}, "spec", "template", "spec", "extraMounts")
			return objects
		}},
		"no-image":           {change: withoutImages},
		"other-provider":     {change: otherProvider},
		"image-given":        {request: upgradeRequest{Image: "registry.local/node:nightly"}},
		"control-plane-only": {request: upgradeRequest{ControlPlaneOnly: true}},
		"own-templates": {request: upgradeRequest{ControlPlaneTemplate: "mine", WorkersTemplate: "mine"}, change: func(t *testing.T, objects []*unstructured.Unstructured) []*unstructured.Unstructured {
			mine := named(t, objects, "DockerMachineTemplate").DeepCopy()
			mine.SetName("mine")
			set(t, mine, "slipway/node:v1.37.1", imagePath...)
			return append(objects, mine)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			objects := upgradable(t, func(*clusterRequest) {})
			if test.change != nil {
				objects = test.change(t, objects)
			}
			test.request.Version = "v1.37.1"
			u, err := editsOf(t, test.request, objects)
			if err != nil {
				t.Fatal(err)
			}
			var out strings.Builder
			if err := printObjects(&out, formatYAML, u.objects()); err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(&out, "---\nimages: %v\n", u.images())
			for _, note := range u.Notes {
				out.WriteString("note: " + note + "\n")
			}
			golden(t, "upgrade/"+name+".yaml", out.String())
		})
	}
}

func withoutImages(_ *testing.T, objects []*unstructured.Unstructured) []*unstructured.Unstructured {
	for _, object := range objects {
		if object.GetKind() == "DockerMachineTemplate" {
			unstructured.RemoveNestedField(object.Object, imagePath...)
		}
	}
	return objects
}

func otherProvider(t *testing.T, objects []*unstructured.Unstructured) []*unstructured.Unstructured {
	for _, object := range objects {
		switch object.GetKind() {
		case "DockerMachineTemplate":
			object.SetKind("RackMachineTemplate")
		case "KubeadmControlPlane":
			set(t, object, "RackMachineTemplate", "spec", "machineTemplate", "spec", "infrastructureRef", "kind")
		case "MachineDeployment":
			set(t, object, "RackMachineTemplate", "spec", "template", "spec", "infrastructureRef", "kind")
		}
	}
	return objects
}

// For the cluster of examples/talk an upgrade writes what is written there by hand.
func TestUpgradeOfTheTalk(t *testing.T) {
	var objects []*unstructured.Unstructured
	for _, name := range []string{"1-cluster", "2-docker-cluster", "3-control-plane", "4-workers"} {
		text, err := os.ReadFile("../examples/talk/" + name + ".yaml")
		if err != nil {
			t.Fatal(err)
		}
		objects = append(objects, decode(t, text)...)
	}
	setConditions(named(t, objects, "KubeadmControlPlane"), metav1.Condition{Type: "Available", Status: "True", Reason: "Available"})
	text, err := os.ReadFile("../examples/talk/6-upgrade.yaml")
	if err != nil {
		t.Fatal(err)
	}
	u, err := editsOf(t, upgradeRequest{Version: "v1.37.1", ControlPlaneOnly: true}, objects)
	if err != nil {
		t.Fatal(err)
	}
	written := u.objects()
	for _, object := range written {
		object.SetOwnerReferences(nil) // whose they are is found out by controllers there
	}
	if diff := cmp.Diff(decode(t, text), written); diff != "" {
		t.Errorf("by hand (-) and by the command (+):\n%s", diff)
	}
}

// Who would apply what is printed is told what kubectl would take out.
func TestUpgradePrintedOfClientSide(t *testing.T) {
	objects := upgradable(t, func(*clusterRequest) {})
	fields := []metav1.ManagedFieldsEntry{{
		Manager: "kubectl-client-side-apply", Operation: metav1.ManagedFieldsOperationUpdate, APIVersion: "cluster.x-k8s.io/v1beta2", FieldsType: "FieldsV1",
		FieldsV1: metav1.NewFieldsV1(`{"f:metadata":{"f:annotations":{"f:kubectl.kubernetes.io/last-applied-configuration":{}}}}`),
	}}
	const said = "was applied without --server-side before"
	for name, applied := range map[string]bool{"KubeadmControlPlane": true, "MachineDeployment": true, "Cluster": false} {
		for _, object := range objects {
			object.SetManagedFields(nil)
		}
		named(t, objects, name).SetManagedFields(fields)
		u, err := editsOf(t, upgradeRequest{Version: "v1.37.1"}, objects)
		if err != nil {
			t.Fatal(err)
		}
		tool, out, failures := newTool()
		if err := tool.printUpgrade(formatYAML, u); err != nil {
			t.Fatal(err)
		}
		if got := strings.Count(failures.String(), said); (got == 1) != applied || strings.Contains(out.String(), said) {
			t.Errorf("%s was applied by kubectl itself: it is said %d times: %s", name, got, failures)
		}
	}
}

// What was written is not written again, and what was begun is gone on with.
func TestUpgradeGoesOn(t *testing.T) {
	objects := upgradable(t, func(*clusterRequest) {})
	request := upgradeRequest{Version: "v1.37.1"}
	first, err := editsOf(t, request, objects)
	if err != nil {
		t.Fatal(err)
	}
	// Interrupted after the template.
	objects = append(objects, first.ControlPlane.Template.DeepCopy())
	second, err := editsOf(t, request, objects)
	if err != nil || second.ControlPlane.Template != nil || !second.ControlPlane.needed() || second.ControlPlane.NewTemplate != first.ControlPlane.NewTemplate {
		t.Fatalf("after the template: %+v %v", second.ControlPlane, err)
	}
	// After the control plane, which is now rolling out and not healthy.
	controlPlane := named(t, objects, "KubeadmControlPlane")
	set(t, controlPlane, "v1.37.1", "spec", "version")
	set(t, controlPlane, first.ControlPlane.NewTemplate, "spec", "machineTemplate", "spec", "infrastructureRef", "name")
	setConditions(controlPlane, metav1.Condition{Type: "Available", Status: "False", Reason: "NotAvailable"})
	third, err := editsOf(t, request, objects)
	if err != nil || third.ControlPlane.needed() || len(third.Workers) != 1 || !third.Workers[0].needed() {
		t.Fatalf("after the control plane: %+v %v", third, err)
	}
	// After the workers.
	deployment := named(t, objects, "MachineDeployment")
	set(t, deployment, "v1.37.1", "spec", "template", "spec", "version")
	set(t, deployment, third.Workers[0].NewTemplate, "spec", "template", "spec", "infrastructureRef", "name")
	objects = append(objects, third.Workers[0].Template)
	fourth, err := editsOf(t, request, objects)
	if err != nil || len(fourth.objects()) > 0 || len(fourth.images()) > 0 {
		t.Fatalf("at the end: %+v %v", fourth, err)
	}
}

// The golden holds every refusal.
func TestUpgradeRefusals(t *testing.T) {
	type objects = []*unstructured.Unstructured
	var out strings.Builder
	for _, test := range []struct {
		name    string
		request upgradeRequest
		change  func(list objects) objects
	}{
		{name: "downgrade", request: upgradeRequest{Version: "v1.36.2"}},
		{name: "skip", request: upgradeRequest{Version: "v1.38.0"}},
		{name: "major", request: upgradeRequest{Version: "v2.36.3"}},
		{name: "deleting", change: func(list objects) objects {
			now := metav1.Now()
			named(t, list, "Cluster").SetDeletionTimestamp(&now)
			return list
		}},
		{name: "control plane deleting", change: func(list objects) objects {
			now := metav1.Now()
			named(t, list, "KubeadmControlPlane").SetDeletionTimestamp(&now)
			return list
		}},
		{name: "topology", change: func(list objects) objects {
			set(t, named(t, list, "Cluster"), map[string]any{"classRef": map[string]any{"name": "quick"}, "version": "v1.36.3"}, "spec", "topology")
			return list
		}},
		{name: "paused", change: func(list objects) objects {
			set(t, named(t, list, "Cluster"), true, "spec", "paused")
			return list
		}},
		{name: "control plane paused", change: func(list objects) objects {
			named(t, list, "KubeadmControlPlane").SetAnnotations(map[string]string{clusterv1.PausedAnnotation: ""})
			return list
		}},
		{name: "no control plane", change: func(list objects) objects {
			unstructured.RemoveNestedField(named(t, list, "Cluster").Object, "spec", "controlPlaneRef")
			return list
		}},
		{name: "control plane missing", change: func(list objects) objects {
			named(t, list, "KubeadmControlPlane").SetName("other")
			return list
		}},
		{name: "not told yet", change: func(list objects) objects {
			setConditions(named(t, list, "KubeadmControlPlane"))
			return list
		}},
		{name: "not available", change: func(list objects) objects {
			setConditions(named(t, list, "KubeadmControlPlane"), metav1.Condition{Type: "Available", Status: "Unknown", Reason: "InspectionFailed"})
			return list
		}},
		{name: "etcd sick", change: func(list objects) objects {
			setConditions(named(t, list, "KubeadmControlPlane"), metav1.Condition{Type: "Available", Status: "True", Reason: "Available"},
				metav1.Condition{Type: "EtcdClusterHealthy", Status: "False", Reason: "NotHealthy", Message: "* Machine demo-control-plane-a:\n  * member does not answer"})
			return list
		}},
		{name: "another upgrade", change: func(list objects) objects {
			set(t, named(t, list, "Machine"), "v1.35.9", "spec", "version")
			return list
		}},
		{name: "no version", change: func(list objects) objects {
			unstructured.RemoveNestedField(named(t, list, "KubeadmControlPlane").Object, "spec", "version")
			return list
		}},
		{name: "template missing", change: func(list objects) objects {
			named(t, list, "DockerMachineTemplate").SetName("other")
			return list
		}},
		{name: "template taken", change: func(list objects) objects {
			taken := named(t, list, "DockerMachineTemplate").DeepCopy()
			taken.SetName("demo-control-plane-v1-37-1")
			return append(list, taken)
		}},
		{name: "image by digest", change: func(list objects) objects {
			set(t, named(t, list, "DockerMachineTemplate"), "kindest/node:v1.36.3@sha256:aaaa", imagePath...)
			return list
		}},
		{name: "image without version", change: func(list objects) objects {
			set(t, named(t, list, "DockerMachineTemplate"), "registry:5000/node:latest", imagePath...)
			return list
		}},
		{name: "image without tag", change: func(list objects) objects {
			set(t, named(t, list, "DockerMachineTemplate"), "registry:5000/node", imagePath...)
			return list
		}},
		{name: "named template missing", request: upgradeRequest{Version: "v1.37.1", ControlPlaneTemplate: "mine"}},
		{name: "named template of another version", request: upgradeRequest{Version: "v1.37.1", WorkersTemplate: "demo-workers-v1-36-3"}},
		{name: "image of another version", request: upgradeRequest{Version: "v1.37.1", Image: "kindest/node:v1.37.0@sha256:aaaa"}},
		{name: "image with versions of its own", change: func(list objects) objects {
			set(t, named(t, list, "DockerMachineTemplate"), "registry:5000/node:2.0.1", imagePath...)
			return list
		}},
		{name: "image for another provider", request: upgradeRequest{Version: "v1.37.1", Image: "a:b"}, change: func(list objects) objects { return otherProvider(t, list) }},
		{name: "workers paused", change: func(list objects) objects {
			set(t, named(t, list, "MachineDeployment"), true, "spec", "paused")
			return list
		}},
		{name: "workers newer", change: func(list objects) objects {
			set(t, named(t, list, "MachineDeployment"), "v1.37.5", "spec", "template", "spec", "version")
			return list
		}},
	} {
		list := upgradable(t, func(*clusterRequest) {})
		if test.change != nil {
			list = test.change(list)
		}
		if test.request.Version == "" {
			test.request.Version = "v1.37.1"
		}
		_, err := editsOf(t, test.request, list)
		if err == nil {
			t.Errorf("%s is not refused", test.name)
			continue
		}
		fmt.Fprintf(&out, "%s:\n  %s\n", test.name, err)
	}
	for _, flags := range []upgradeFlags{
		{}, {request: upgradeRequest{Version: "1.37"}}, {request: upgradeRequest{Version: "v1.37.1"}, wait: -1},
		{request: upgradeRequest{Version: "v1.37.1", ControlPlaneOnly: true, WorkersTemplate: "a"}}, {request: upgradeRequest{Version: "v1.37.1"}, output: formatJSON},
	} {
		err := flags.check(flags.output != formatTable)
		if wrong := (*usageError)(nil); !errors.As(err, &wrong) {
			t.Errorf("%+v: %v is no usage error", flags, err)
			continue
		}
		fmt.Fprintf(&out, "flags:\n  %s\n", err)
	}
	golden(t, "upgrade/refusals.txt", out.String())
}

func TestNamesOfVersions(t *testing.T) {
	for old, want := range map[string]string{
		"demo-control-plane-v1-36-3": "demo-control-plane-v1-37-1", "demo": "demo-v1-37-1", "a-v1-36-0-rc-1-big": "a-v1-37-1-big", "v1-35-0-to-v1-36-3": "v1-35-0-to-v1-37-1",
	} {
		if got := templateOfVersion(old, "v1.37.1"); got != want {
			t.Errorf("%s becomes %s, want %s", old, got, want)
		}
	}
	for old, want := range map[string][2]string{
		"slipway/node:v1.36.3": {"v1.36.3", "slipway/node:v1.37.1"}, "registry:5000/node:1.36.3-debian": {"v1.36.3", "registry:5000/node:1.37.1-debian"},
		"node:v1.36.0-rc.1": {"v1.36.0-rc.1", "node:v1.37.1"}, "node:v1.36.3_x1": {"v1.36.3+x1", "node:v1.37.1"}, "node:v1.37.1": {"v1.36.3", "node:v1.37.1"},
	} {
		if got, err := imageOfVersion(old, want[0], "v1.37.1"); got != want[1] || err != nil {
			t.Errorf("%s becomes %s %v, want %s", old, got, err, want[1])
		}
	}
}

// A phase is done when all machines are of the version and none of the old is left.
func TestUpgradeSteps(t *testing.T) {
	objects := upgradable(t, func(r *clusterRequest) { r.controlPlanes = 3 })
	controlPlane := named(t, objects, "KubeadmControlPlane")
	objects = objects[:len(objects)-1]
	controlPlane.SetGeneration(2)
	machine := func(name, version string, available, deleting bool) *unstructured.Unstructured {
		m := &clusterv1.Machine{}
		m.Namespace, m.Name = "default", name
		m.Labels = map[string]string{clusterv1.ClusterNameLabel: "demo", clusterv1.MachineControlPlaneLabel: ""}
		m.Spec.ClusterName, m.Spec.Version = "demo", version
		if available {
			m.Status.Conditions = []metav1.Condition{{Type: "Available", Status: "True", Reason: "Available"}}
		}
		if deleting {
			now := metav1.Now()
			m.DeletionTimestamp = &now
		}
		return plan.Live(machineKind, m)
	}
	var out strings.Builder
	look := func(what string, version string, observed, upToDate int64, list ...*unstructured.Unstructured) {
		set(t, controlPlane, version, "spec", "version")
		set(t, controlPlane, observed, "status", "observedGeneration")
		set(t, controlPlane, int64(len(list)), "status", "replicas")
		set(t, controlPlane, upToDate, "status", "upToDateReplicas")
		f, err := familyOf(append(objects[:len(objects):len(objects)], list...), "demo")
		if err != nil {
			t.Fatal(err)
		}
		s := controlPlaneUpgrade(f, "v1.37.1")
		fmt.Fprintf(&out, "%s: done=%t %s\n", what, s.Done, s.Detail)
	}
	a, b, c := machine("a", "v1.36.3", true, false), machine("b", "v1.36.3", true, false), machine("c", "v1.36.3", true, false)
	na, nb, nc := machine("na", "v1.37.1", true, false), machine("nb", "v1.37.1", true, false), machine("nc", "v1.37.1", true, false)
	look("before", "v1.36.3", 1, 3, a, b, c)
	look("just edited, stale status", "v1.37.1", 1, 3, a, b, c)
	look("surge", "v1.37.1", 2, 1, a, b, c, machine("na", "v1.37.1", false, false))
	look("one replaced", "v1.37.1", 2, 1, na, b, c)
	look("last one goes", "v1.37.1", 2, 3, na, nb, nc, machine("c", "v1.36.3", true, true))
	look("done but for the status", "v1.37.1", 1, 3, na, nb, nc)
	look("done", "v1.37.1", 2, 3, na, nb, nc)
	look("lost one after", "v1.37.1", 2, 3, na, nb)
	golden(t, "upgrade/steps.txt", out.String())
}
