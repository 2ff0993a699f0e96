// SPDX-License-Identifier: Apache-2.0

package machine_test

import (
	"context"
	"testing"
	"time"

	"github.com/go-logr/logr/testr"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	controllerconfig "sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	"github.com/slipway-project/slipway/conditions"
	"github.com/slipway-project/slipway/controllers/machine"
	"github.com/slipway-project/slipway/credentials"
	"github.com/slipway-project/slipway/engine"
	"github.com/slipway-project/slipway/workload"
	"github.com/slipway-project/slipway/workload/workloadtest"
)

// world is a management cluster that is its own workload cluster, with the Machine
// controller at work in it. The test plays the providers.
type world struct {
	*testing.T
	client client.WithWatch
}

func newWorld(t *testing.T) world {
	t.Helper()
	server := workloadtest.Start(t)
	config, err := workload.RESTConfig(server.Kubeconfig())
	if err != nil {
		t.Fatal(err)
	}
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, apiextensionsv1.AddToScheme, clusterv1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	w := world{T: t}
	if w.client, err = client.NewWithWatch(config, client.Options{Scheme: scheme}); err != nil {
		t.Fatal(err)
	}
	w.until("the server answers", func() bool { return w.client.List(t.Context(), &corev1.NamespaceList{}) == nil })
	w.until("namespace default", func() bool {
		return w.client.Get(t.Context(), client.ObjectKey{Name: "default"}, &corev1.Namespace{}) == nil
	})
	if _, err := envtest.InstallCRDs(config, envtest.CRDInstallOptions{Paths: []string{"../../deploy/crds"}, Scheme: scheme, ErrorIfPathMissing: true}); err != nil {
		t.Fatal(err)
	}
	again := true
	manager, err := ctrl.NewManager(config, ctrl.Options{
		Scheme: scheme, Logger: testr.New(t), Metrics: metricsserver.Options{BindAddress: "0"},
		// Each test has a controller of this name.
		Controller: controllerconfig.Controller{SkipNameValidation: &again},
	})
	if err != nil {
		t.Fatal(err)
	}
	connections := workload.New(workload.Options{Secrets: manager.GetAPIReader(), Clusters: manager.GetCache(), Log: manager.GetLogger()})
	if err := manager.Add(connections); err != nil {
		t.Fatal(err)
	}
	if err := engine.Add(engine.New(manager, engine.Options{Workloads: connections}), machine.Controller()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- manager.Start(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("manager: %v", err)
		}
	})
	secret := credentials.KubeconfigSecret("default", "demo", server.Kubeconfig())
	w.create(secret)
	return w
}

func (w world) until(what string, holds func() bool) {
	w.Helper()
	deadline := time.After(2 * time.Minute)
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for !holds() {
		select {
		case <-deadline:
			w.Fatalf("not within two minutes: %s", what)
		case <-ticker.C:
		}
	}
}

func (w world) create(object client.Object) {
	w.Helper()
	if err := w.client.Create(w.Context(), object); err != nil {
		w.Fatal(err)
	}
}

func (w world) machine(name string) *clusterv1.Machine {
	w.Helper()
	read := &clusterv1.Machine{}
	if err := w.client.Get(w.Context(), client.ObjectKey{Namespace: "default", Name: name}, read); err != nil {
		w.Fatal(err)
	}
	return read
}

func object(apiVersion, kind, name string, spec map[string]any) *unstructured.Unstructured {
	made := &unstructured.Unstructured{Object: map[string]any{"apiVersion": apiVersion, "kind": kind, "spec": spec}}
	made.SetNamespace("default")
	made.SetName(name)
	return made
}

func (w world) report(object *unstructured.Unstructured, status map[string]any) {
	w.Helper()
	object.Object["status"] = status
	if err := w.client.Status().Update(w.Context(), object); err != nil {
		w.Fatal(err)
	}
}

func newMachine(name string) *clusterv1.Machine {
	return &clusterv1.Machine{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, Labels: map[string]string{"node-role.kubernetes.io/worker": ""}},
		Spec: clusterv1.MachineSpec{
			ClusterName:       "demo",
			Bootstrap:         clusterv1.Bootstrap{ConfigRef: clusterv1.ContractVersionedObjectReference{APIGroup: "bootstrap.cluster.x-k8s.io", Kind: "KubeadmConfig", Name: name}},
			InfrastructureRef: clusterv1.ContractVersionedObjectReference{APIGroup: "infrastructure.cluster.x-k8s.io", Kind: "DockerMachine", Name: name},
		},
	}
}

// TestFromMachineToNodeAndBack goes the whole way on real servers: no object is
// written again once all is settled, and nothing is left after the deletion.
func TestFromMachineToNodeAndBack(t *testing.T) {
	w := newWorld(t)
	w.create(&clusterv1.Cluster{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "demo"}, Spec: clusterv1.ClusterSpec{
		InfrastructureRef: clusterv1.ContractVersionedObjectReference{APIGroup: "infrastructure.cluster.x-k8s.io", Kind: "DockerCluster", Name: "demo"},
	}})
	controlPlane := newMachine("control-plane")
	controlPlane.Labels = map[string]string{clusterv1.MachineControlPlaneLabel: ""}
	w.create(controlPlane)
	w.create(newMachine("a"))
	infrastructure := object("infrastructure.cluster.x-k8s.io/v1beta2", "DockerMachine", "a", map[string]any{})
	infrastructure.SetFinalizers([]string{"test.example.com/host"})
	w.create(infrastructure)
	bootstrap := object("bootstrap.cluster.x-k8s.io/v1beta2", "KubeadmConfig", "a", map[string]any{"joinConfiguration": map[string]any{"nodeRegistration": map[string]any{"name": "x"}}})
	w.create(bootstrap)
	fresh := func(o *unstructured.Unstructured) *unstructured.Unstructured {
		t.Helper()
		if err := w.client.Get(t.Context(), client.ObjectKeyFromObject(o), o); err != nil {
			t.Fatal(err)
		}
		return o
	}
	w.until("both objects have the Machine as owner", func() bool {
		return metav1.GetControllerOf(fresh(infrastructure)) != nil && metav1.GetControllerOf(fresh(bootstrap)) != nil
	})
	w.report(bootstrap, map[string]any{"dataSecretName": "a", "initialization": map[string]any{"dataSecretCreated": true}})
	fresh(infrastructure).Object["spec"].(map[string]any)["providerID"] = "docker:////a"
	if err := w.client.Update(t.Context(), infrastructure); err != nil {
		t.Fatal(err)
	}
	w.report(infrastructure, map[string]any{"initialization": map[string]any{"provisioned": true}, "addresses": []any{map[string]any{"type": "InternalIP", "address": "172.18.0.3"}}})
	w.until("provisioned, and connected to the workload cluster", func() bool {
		status := w.machine("a").Status
		healthy := conditions.Find(status.Conditions, clusterv1.NodeHealthyCondition)
		return status.Phase == "Provisioned" && healthy.Reason == clusterv1.NodeDoesNotExistReason
	})

	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "a"}, Spec: corev1.NodeSpec{ProviderID: "docker:////a", Taints: []corev1.Taint{clusterv1.NodeUninitializedTaint}}}
	begun := time.Now()
	w.create(node)
	w.until("nodeRef", func() bool { return w.machine("a").Status.NodeRef.Name == "a" })
	t.Logf("from the create of the Node to nodeRef: %s", time.Since(begun))
	w.until("the Node is in line with the Machine", func() bool {
		if err := w.client.Get(t.Context(), client.ObjectKey{Name: "a"}, node); err != nil {
			t.Fatal(err)
		}
		_, labelled := node.Labels["node-role.kubernetes.io/worker"]
		tainted := false
		for _, taint := range node.Spec.Taints {
			tainted = tainted || taint.MatchTaint(&clusterv1.NodeUninitializedTaint)
		}
		return labelled && !tainted && node.Annotations[clusterv1.MachineAnnotation] == "a"
	})
	node.Status.Conditions = []corev1.NodeCondition{{Type: "Ready", Status: "True"}, {Type: "MemoryPressure", Status: "False"}, {Type: "DiskPressure", Status: "False"}, {Type: "PIDPressure", Status: "False"}}
	if err := w.client.Status().Update(t.Context(), node); err != nil {
		t.Fatal(err)
	}
	w.until("Available", func() bool {
		return conditions.Is(w.machine("a").Status.Conditions, clusterv1.AvailableCondition, metav1.ConditionTrue)
	})
	w.staysQuiet(t)
	w.deletesAll(t, infrastructure, node)
}

// staysQuiet makes the controller look again, and sees that it writes nothing.
func (w world) staysQuiet(t *testing.T) {
	t.Helper()
	watched, err := w.client.Watch(t.Context(), &clusterv1.MachineList{}, client.InNamespace("default"))
	if err != nil {
		t.Fatal(err)
	}
	defer watched.Stop()
	cluster := &clusterv1.Cluster{}
	if err := w.client.Get(t.Context(), client.ObjectKey{Namespace: "default", Name: "demo"}, cluster); err != nil {
		t.Fatal(err)
	}
	versions := map[string]string{}
	cluster.Annotations = map[string]string{"test.example.com/look": "again"}
	if err := w.client.Update(t.Context(), cluster); err != nil {
		t.Fatal(err)
	}
	quiet := time.After(2 * time.Second)
	for {
		select {
		case event := <-watched.ResultChan():
			seen := event.Object.(*clusterv1.Machine)
			if was, ok := versions[seen.Name]; ok && was != seen.ResourceVersion {
				t.Errorf("Machine %s was written again though nothing had changed: %+v", seen.Name, seen.Status)
			}
			versions[seen.Name] = seen.ResourceVersion
		case <-quiet:
			return
		}
	}
}

func (w world) deletesAll(t *testing.T, infrastructure *unstructured.Unstructured, node *corev1.Node) {
	t.Helper()
	if err := w.client.Delete(t.Context(), w.machine("a")); err != nil {
		t.Fatal(err)
	}
	w.until("the infrastructure object is asked to go", func() bool {
		if err := w.client.Get(t.Context(), client.ObjectKeyFromObject(infrastructure), infrastructure); err != nil {
			t.Fatal(err)
		}
		return infrastructure.GetDeletionTimestamp() != nil
	})
	w.until("and is waited for", func() bool {
		deleting := conditions.Find(w.machine("a").Status.Conditions, clusterv1.DeletingCondition)
		return deleting != nil && deleting.Reason == clusterv1.WaitingForInfrastructureDeletionReason
	})
	if err := w.client.Get(t.Context(), client.ObjectKeyFromObject(node), node); err != nil {
		t.Errorf("the Node went before its host: %v", err)
	}
	infrastructure.SetFinalizers(nil)
	if err := w.client.Update(t.Context(), infrastructure); err != nil {
		t.Fatal(err)
	}
	w.until("the Machine is gone", func() bool {
		return apierrors.IsNotFound(w.client.Get(t.Context(), client.ObjectKey{Namespace: "default", Name: "a"}, &clusterv1.Machine{}))
	})
	if err := w.client.Get(t.Context(), client.ObjectKeyFromObject(node), node); !apierrors.IsNotFound(err) {
		t.Errorf("the Node is still there: %v", err)
	}
	left := object("bootstrap.cluster.x-k8s.io/v1beta2", "KubeadmConfig", "a", nil)
	if err := w.client.Get(t.Context(), client.ObjectKeyFromObject(left), left); !apierrors.IsNotFound(err) {
		t.Errorf("the bootstrap object is still there: %v", err)
	}
}
