// SPDX-License-Identifier: Apache-2.0

package clusterresourceset

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta/testrestmapper"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	addonsv1 "github.com/slipway-project/slipway/api/addons/v1beta2"
	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	"github.com/slipway-project/slipway/contract"
	"github.com/slipway-project/slipway/engine"
	"github.com/slipway-project/slipway/plan"
)

var testTime = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// memory reads a management cluster, and through workloads a workload cluster, that are
// in memory. The cache lists sets in the order that nobody hopes for.
type memory struct {
	client.Reader
	workload client.Client
	live     *[]string
}

func (m memory) List(ctx context.Context, list client.ObjectList, options ...client.ListOption) error {
	err := m.Reader.List(ctx, list, options...)
	if sets, ok := list.(*addonsv1.ClusterResourceSetList); ok {
		slices.Reverse(sets.Items)
	}
	return err
}

func (m memory) Live() client.Reader         { return noting{m.Reader, m.live} }
func (m memory) Now() time.Time              { return testTime }
func (m memory) LastFailure() *plan.Failure  { return nil }
func (m memory) Workloads() engine.Workloads { return workloads{workload: m.workload} }

func (m memory) Contract(context.Context, string, contract.Ref, string) (*contract.Object, error) {
	return nil, engine.ErrNoProvider
}

// noting writes down what is read past the cache.
type noting struct {
	client.Reader
	read *[]string
}

func (n noting) Get(ctx context.Context, key client.ObjectKey, object client.Object, options ...client.GetOption) error {
	*n.read = append(*n.read, key.Name)
	return n.Reader.Get(ctx, key, object, options...)
}

type workloads struct {
	engine.Workloads
	workload client.Client
}

func (w workloads) Reader(ctx context.Context, key engine.Key) (client.Reader, error) {
	return w.Writer(ctx, key)
}

func (w workloads) Writer(context.Context, engine.Key) (client.Client, error) {
	if w.workload == nil {
		return nil, engine.ErrNotConnected
	}
	return w.workload, nil
}

func (w workloads) Probe(engine.Key) engine.Probe { return engine.Probe{} }

// Subscribe gives no events: observing needs none.
func (w workloads) Subscribe(context.Context) <-chan engine.WorkloadEvent { return nil }

func holding(t *testing.T, get func(key client.ObjectKey) error, objects ...client.Object) client.Client {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, clusterv1.AddToScheme, addonsv1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	funcs := interceptor.Funcs{}
	if get != nil {
		funcs.Get = func(ctx context.Context, c client.WithWatch, key client.ObjectKey, object client.Object, options ...client.GetOption) error {
			if err := get(key); err != nil {
				return err
			}
			return c.Get(ctx, key, object, options...)
		}
	}
	return fake.NewClientBuilder().WithScheme(scheme).WithRESTMapper(testrestmapper.TestOnlyStaticRESTMapper(scheme)).
		WithObjects(objects...).WithInterceptorFuncs(funcs).Build()
}

// managed is a Cluster with three sets, of one ConfigMap each.
func managed(strategy addonsv1.ClusterResourceSetStrategy) []client.Object {
	cluster := &clusterv1.Cluster{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "demo", UID: "cluster-uid", Labels: map[string]string{"cni": "default"}}}
	cluster.Status.Initialization.ControlPlaneInitialized = new(true)
	objects := []client.Object{cluster}
	for name, manifest := range map[string]string{
		"a": "apiVersion: example.org/v1\nkind: Thing\nmetadata: {name: thing}\n",
		"b": "apiVersion: v1\nkind: Secret\nmetadata: {name: b}\n",
		"c": "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: c}\n",
	} {
		objects = append(objects,
			&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}, Data: map[string]string{"x": manifest}},
			&addonsv1.ClusterResourceSet{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}, Spec: addonsv1.ClusterResourceSetSpec{
				ClusterSelector: metav1.LabelSelector{MatchLabels: map[string]string{"cni": "default"}}, Strategy: string(strategy),
				Resources: []addonsv1.ResourceRef{{Kind: "ConfigMap", Name: name}},
			}})
	}
	return objects
}

func observed(t *testing.T, workload client.Client, objects ...client.Object) BindingSnapshot {
	t.Helper()
	s, err := observeBinding(t.Context(), memory{Reader: holding(t, nil, objects...), workload: workload, live: &[]string{}}, engine.Key{Namespace: "default", Name: "demo"})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// recorded carries the record out that a plan ends with.
func recorded(t *testing.T, objects []client.Object, s BindingSnapshot) []client.Object {
	t.Helper()
	actions := PlanBinding(s).Actions
	create, ok := actions[len(actions)-1].(plan.Create)
	if !ok {
		t.Fatalf("the plan is %v, and does not end with a new record", actions)
	}
	binding := &addonsv1.ClusterResourceSetBinding{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(create.Object.Object, binding); err != nil {
		t.Fatal(err)
	}
	return append(objects, binding)
}

// The sets come in the order of their names, and the workload cluster is asked about those
// whose turn it is and no others.
func TestOneTurnIsLookedUp(t *testing.T) {
	objects := managed(addonsv1.ClusterResourceSetStrategyApplyOnce)
	workload := holding(t, nil)
	s := observed(t, workload, objects...)
	var names []string
	for _, set := range s.Sets {
		names = append(names, set.Name)
	}
	if diff := cmp.Diff([]string{"a", "b", "c"}, names); diff != "" {
		t.Errorf("order of sets (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string][]Lookup{"ConfigMap/a": {{UnknownKind: true}}}, s.Lookups); diff != "" {
		t.Errorf("at first, what is known (-want +got):\n%s", diff)
	}
	// That the kind is unknown is noted now, and the next has its turn.
	s = observed(t, workload, recorded(t, objects, s)...)
	want := map[string][]Lookup{"ConfigMap/a": {{UnknownKind: true}}, "ConfigMap/b": {{Namespaced: true}}}
	if diff := cmp.Diff(want, s.Lookups); diff != "" {
		t.Errorf("then, what is known (-want +got):\n%s", diff)
	}
}

// What the workload cluster refuses is one resource's trouble; that it does not answer is
// everybody's.
func TestRefusedAndUnanswered(t *testing.T) {
	objects := managed(addonsv1.ClusterResourceSetStrategyApplyOnce)[:1]
	for _, object := range managed(addonsv1.ClusterResourceSetStrategyApplyOnce)[1:] {
		if object.GetName() != "a" {
			objects = append(objects, object)
		}
	}
	refusing := holding(t, func(key client.ObjectKey) error {
		if key.Name == "b" {
			return apierrors.NewForbidden(schema.GroupResource{Resource: "secrets"}, key.Name, errors.New("no"))
		}
		return nil
	})
	s := observed(t, refusing, objects...)
	if !strings.Contains(s.Unread["ConfigMap/b"], "forbidden") || s.Connection != "" {
		t.Errorf("refused: unread %v, connection %q", s.Unread, s.Connection)
	}
	if s = observed(t, refusing, recorded(t, objects, s)...); len(s.Lookups["ConfigMap/c"]) != 1 {
		t.Errorf("after what was refused the next is not looked up: %v", s.Lookups)
	}
	silent := holding(t, func(client.ObjectKey) error {
		return &url.Error{Op: "Get", URL: "https://x", Err: errors.New("no answer")}
	})
	if s := observed(t, silent, objects...); s.Connection == "" || s.Connecting || len(s.Unread) != 0 {
		t.Errorf("unanswered: connection %q, connecting %t, unread %v", s.Connection, s.Connecting, s.Unread)
	}
	if s := observed(t, nil, objects...); s.Connection == "" || !s.Connecting {
		t.Errorf("not connected: connection %q, connecting %t", s.Connection, s.Connecting)
	}
}

// A set reads what may still be written, and leaves alone what was written for good.
func TestSetReadsWhatCounts(t *testing.T) {
	for strategy, want := range map[addonsv1.ClusterResourceSetStrategy]bool{
		addonsv1.ClusterResourceSetStrategyApplyOnce: false, addonsv1.ClusterResourceSetStrategyReconcile: true,
	} {
		applied := &addonsv1.ClusterResourceSetBinding{
			ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "demo"},
			Spec: addonsv1.ClusterResourceSetBindingSpec{ClusterName: "demo", Bindings: []addonsv1.ResourceSetBinding{
				{ClusterResourceSetName: "b", Resources: []addonsv1.ResourceBinding{{ResourceRef: addonsv1.ResourceRef{Kind: "ConfigMap", Name: "b"}, Applied: new(true)}}},
			}},
		}
		for name, wanted := range map[string]bool{"a": true, "b": want} {
			var read []string
			reader := memory{Reader: holding(t, nil, append(managed(strategy), applied)...), live: &read}
			if _, err := observeSet(t.Context(), reader, engine.Key{Namespace: "default", Name: name}); err != nil {
				t.Fatal(err)
			}
			if got := slices.Contains(read, name); got != wanted {
				t.Errorf("%s, set %s: read %t, want %t", strategy, name, got, wanted)
			}
		}
	}
}
