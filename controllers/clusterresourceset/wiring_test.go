// SPDX-License-Identifier: Apache-2.0

package clusterresourceset_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr/testr"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	addonsv1 "github.com/slipway-project/slipway/api/addons/v1beta2"
	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	"github.com/slipway-project/slipway/conditions"
	"github.com/slipway-project/slipway/controllers/clusterresourceset"
	"github.com/slipway-project/slipway/credentials"
	"github.com/slipway-project/slipway/engine"
	"github.com/slipway-project/slipway/workload"
	"github.com/slipway-project/slipway/workload/workloadtest"
)

// world is a management cluster that is its own workload cluster, with both controllers
// of this package at work in it.
type world struct {
	*testing.T
	client client.Client
}

func newWorld(t *testing.T) world {
	t.Helper()
	server := workloadtest.Start(t)
	config, err := workload.RESTConfig(server.Kubeconfig())
	if err != nil {
		t.Fatal(err)
	}
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, apiextensionsv1.AddToScheme, clusterv1.AddToScheme, addonsv1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	w := world{T: t}
	if w.client, err = client.New(config, client.Options{Scheme: scheme}); err != nil {
		t.Fatal(err)
	}
	w.until("namespace default", func() bool {
		return w.client.Get(t.Context(), client.ObjectKey{Name: "default"}, &corev1.Namespace{}) == nil
	})
	if _, err := envtest.InstallCRDs(config, envtest.CRDInstallOptions{Paths: []string{"../../deploy/crds"}, Scheme: scheme, ErrorIfPathMissing: true}); err != nil {
		t.Fatal(err)
	}
	manager, err := ctrl.NewManager(config, ctrl.Options{Scheme: scheme, Logger: testr.New(t), Metrics: metricsserver.Options{BindAddress: "0"}})
	if err != nil {
		t.Fatal(err)
	}
	connections := workload.New(workload.Options{Secrets: manager.GetAPIReader(), Clusters: manager.GetCache(), Log: manager.GetLogger()})
	if err := manager.Add(connections); err != nil {
		t.Fatal(err)
	}
	e := engine.New(manager, engine.Options{Workloads: connections})
	for _, err := range []error{engine.Add(e, clusterresourceset.Controller()), engine.Add(e, clusterresourceset.BindingController())} {
		if err != nil {
			t.Fatal(err)
		}
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
	w.create(credentials.KubeconfigSecret("default", "demo", server.Kubeconfig()))
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

// bring makes a set with one ConfigMap that holds the manifest.
func (w world) bring(name, manifest string) *addonsv1.ClusterResourceSet {
	w.Helper()
	w.create(&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}, Data: map[string]string{"manifest.yaml": manifest}})
	set := &addonsv1.ClusterResourceSet{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}, Spec: addonsv1.ClusterResourceSetSpec{
		ClusterSelector: metav1.LabelSelector{MatchLabels: map[string]string{"cni": "default"}},
		Resources:       []addonsv1.ResourceRef{{Kind: "ConfigMap", Name: name}},
	}}
	w.create(set)
	return set
}

// applied is the condition of a set that tells how far it has come; nil before there is one.
func (w world) applied(name string) *metav1.Condition {
	w.Helper()
	set := &addonsv1.ClusterResourceSet{}
	if err := w.client.Get(w.Context(), client.ObjectKey{Namespace: "default", Name: name}, set); err != nil {
		w.Fatal(err)
	}
	return conditions.Find(set.Status.Conditions, addonsv1.ResourcesAppliedCondition)
}

// gone reports that an object does not exist any more.
func (w world) gone(object client.Object) bool {
	return apierrors.IsNotFound(w.client.Get(w.Context(), client.ObjectKeyFromObject(object), object))
}

// TestBindingFromFirstSetToLast goes through the life of a record on a real server, whose
// managed fields tell what a create wrote from what was written since.
func TestBindingFromFirstSetToLast(t *testing.T) {
	w := newWorld(t)
	cluster := &clusterv1.Cluster{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "demo", Labels: map[string]string{"cni": "default"}},
		Spec: clusterv1.ClusterSpec{
			InfrastructureRef: clusterv1.ContractVersionedObjectReference{APIGroup: "infrastructure.cluster.x-k8s.io", Kind: "DockerCluster", Name: "demo"},
		},
	}
	w.create(cluster)
	refused := w.bring("a-refused", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x, namespace: nowhere}\n")
	unserved := w.bring("b-unserved", "apiVersion: example.org/v1\nkind: Thing\nmetadata: {name: thing}\n")
	good := w.bring("c-good", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: brought, namespace: default}\n")
	cluster.Status.Initialization.ControlPlaneInitialized = new(true)
	if err := w.client.Status().Update(t.Context(), cluster); err != nil {
		t.Fatal(err)
	}
	says := func(set, text string) func() bool {
		return func() bool {
			condition := w.applied(set)
			return condition != nil && condition.Status == metav1.ConditionFalse && strings.Contains(condition.Message, text)
		}
	}
	w.until("the good set is applied, whatever the others do", func() bool {
		condition := w.applied("c-good")
		return condition != nil && condition.Status == metav1.ConditionTrue
	})
	w.until("the refused set says why", says("a-refused", `namespaces "nowhere" not found`))
	w.until("the set with an unknown kind says which", says("b-unserved", "does not serve Thing.example.org"))

	binding := &addonsv1.ClusterResourceSetBinding{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "demo"}}
	for _, set := range []*addonsv1.ClusterResourceSet{good, unserved} {
		if err := w.client.Delete(t.Context(), set); err != nil {
			t.Fatal(err)
		}
		w.until("set "+set.Name+" is gone", func() bool { return w.gone(set) })
		if w.gone(binding) {
			t.Fatalf("the record is gone with set %s, and one is left", set.Name)
		}
		for _, entry := range binding.Spec.Bindings {
			if entry.ClusterResourceSetName == set.Name {
				t.Errorf("the record still lists set %s", set.Name)
			}
		}
		for _, owner := range binding.OwnerReferences {
			if owner.UID == set.UID {
				t.Errorf("the record still has set %s as owner", set.Name)
			}
		}
	}
	if err := w.client.Delete(t.Context(), refused); err != nil {
		t.Fatal(err)
	}
	w.until("the last set is gone", func() bool { return w.gone(refused) })
	w.until("the record is gone", func() bool { return w.gone(binding) })
	if err := w.client.Get(t.Context(), client.ObjectKey{Namespace: "default", Name: "brought"}, &corev1.ConfigMap{}); err != nil {
		t.Errorf("what was brought in is to stay: %v", err)
	}
}
