// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/recorder"

	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	"github.com/slipway-project/slipway/plan"
)

var (
	machineKind   = clusterv1.GroupVersion.WithKind("Machine")
	configMapKind = corev1.SchemeGroupVersion.WithKind("ConfigMap")
	subjectKey    = Key{Namespace: "default", Name: "subject"}
)

// snapshot is what the controller of these tests sees: a Machine, and the ConfigMap
// that it may have.
type snapshot struct {
	Now         time.Time
	Machine     *clusterv1.Machine
	ConfigMap   *corev1.ConfigMap
	LastFailure *plan.Failure
}

// world is an engine on a fake server, with one controller whose plans the test makes.
type world struct {
	*testing.T
	server client.WithWatch
	cache  *switchingReader
	run    *run
	now    time.Time
	writes []string
	logs   []string
	events *events.FakeRecorder
	// refuse, where set, answers a write with an error.
	refuse func(write string) error
	plans  []snapshot
}

// switchingReader is a cache that a test can stop from following the server.
type switchingReader struct {
	client.Reader
	server client.Reader
}

func (s *switchingReader) lagBehind(objects ...client.Object) {
	s.Reader = fake.NewClientBuilder().WithScheme(testScheme()).WithObjects(objects...).Build()
}

func (s *switchingReader) catchUp() { s.Reader = s.server }

// testManager has of a manager what an engine asks of it.
type testManager struct {
	manager.Manager
	logger   logr.Logger
	recorder recorder.EventRecorder
	scheme   *runtime.Scheme
}

func (m testManager) GetLogger() logr.Logger                         { return m.logger }
func (m testManager) GetEventRecorder(string) recorder.EventRecorder { return m.recorder }
func (m testManager) GetScheme() *runtime.Scheme                     { return m.scheme }

func testScheme() *runtime.Scheme {
	known := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{scheme.AddToScheme, clusterv1.AddToScheme} {
		if err := add(known); err != nil {
			panic(err)
		}
	}
	return known
}

// planner makes the plan of a pass.
type planner func(snapshot) plan.Plan[clusterv1.MachineStatus]

func newWorld(t *testing.T, options Options, outputs []Output, decide planner, objects ...client.Object) *world {
	w := &world{T: t, now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), events: events.NewFakeRecorder(100)}
	known := testScheme()
	w.server = interceptor.NewClient(
		fake.NewClientBuilder().WithScheme(known).WithObjects(objects...).WithStatusSubresource(&clusterv1.Machine{}).WithReturnManagedFields().Build(),
		w.noting())
	w.cache = &switchingReader{Reader: w.server, server: w.server}
	log := funcr.New(func(prefix, args string) { w.logs = append(w.logs, prefix+" "+args) }, funcr.Options{})
	options.Now = func() time.Time { return w.now }
	e := &Engine{
		manager: testManager{logger: log, recorder: w.events, scheme: known}, options: options, now: options.Now,
		cache: w.cache, live: w.server, writer: w.server,
		contracts: &contracts{reader: w.cache, seen: map[played]bool{}},
	}
	c := Controller[snapshot, clusterv1.MachineStatus]{
		Name: "tested", Kind: machineKind, Outputs: outputs,
		Inputs:  []Input{Subject(&clusterv1.Machine{}), Owned(&corev1.ConfigMap{}, machineKind.GroupKind())},
		Observe: w.observe,
		Subject: func(s snapshot) client.Object {
			if s.Machine == nil {
				return nil
			}
			return s.Machine
		},
		Plan: func(s snapshot) plan.Plan[clusterv1.MachineStatus] {
			w.plans = append(w.plans, s)
			return decide(s)
		},
		Invariants: func(_ snapshot, p plan.Plan[clusterv1.MachineStatus]) []string {
			if p.Outcome.Reason == "BreaksInvariant" {
				return []string{"an invariant of the kind"}
			}
			return nil
		},
	}
	w.run = newRun(e, c.Name, c.Kind, c.Inputs, c.Outputs)
	w.run.think = thinking(w.run, c)
	return w
}

func (w *world) observe(ctx context.Context, reader Reader, key Key) (snapshot, error) {
	seen := snapshot{Now: reader.Now(), LastFailure: reader.LastFailure()}
	machine := &clusterv1.Machine{}
	if err := reader.Get(ctx, key, machine); err != nil {
		return seen, client.IgnoreNotFound(err)
	}
	seen.Machine = machine
	configMap := &corev1.ConfigMap{}
	switch err := reader.Get(ctx, key, configMap); {
	case err == nil:
		seen.ConfigMap = configMap
	case !apierrors.IsNotFound(err):
		return seen, err
	}
	return seen, nil
}

// noting remembers every write, and refuses those that the test refuses.
func (w *world) noting() interceptor.Funcs {
	note := func(verb string, name string) error {
		write := verb + " " + name
		w.writes = append(w.writes, write)
		if w.refuse != nil {
			return w.refuse(write)
		}
		return nil
	}
	return interceptor.Funcs{
		Create: func(ctx context.Context, c client.WithWatch, object client.Object, options ...client.CreateOption) error {
			if err := note("create", object.GetObjectKind().GroupVersionKind().Kind); err != nil {
				return err
			}
			return c.Create(ctx, object, options...)
		},
		Delete: func(ctx context.Context, c client.WithWatch, object client.Object, options ...client.DeleteOption) error {
			if err := note("delete", object.GetObjectKind().GroupVersionKind().Kind); err != nil {
				return err
			}
			return c.Delete(ctx, object, options...)
		},
		Patch: func(ctx context.Context, c client.WithWatch, object client.Object, patch client.Patch, options ...client.PatchOption) error {
			if err := note("patch", object.GetObjectKind().GroupVersionKind().Kind); err != nil {
				return err
			}
			return c.Patch(ctx, object, patch, options...)
		},
		Apply: func(ctx context.Context, c client.WithWatch, object runtime.ApplyConfiguration, options ...client.ApplyOption) error {
			if err := note("apply", fmt.Sprintf("%T", object)); err != nil {
				return err
			}
			return c.Apply(ctx, object, options...)
		},
		SubResourceApply: func(ctx context.Context, c client.Client, subresource string, object runtime.ApplyConfiguration, options ...client.SubResourceApplyOption) error {
			if err := note("apply", subresource); err != nil {
				return err
			}
			return c.SubResource(subresource).Apply(ctx, object, options...)
		},
	}
}

// pass is one reconcile of the subject. It gives the writes that the pass made.
func (w *world) pass() (reconcile.Result, []string) {
	w.Helper()
	w.writes = nil
	result, err := w.run.reconcile(w.Context(), reconcile.Request{NamespacedName: subjectKey})
	if err != nil {
		w.Fatalf("reconcile: %v", err)
	}
	return result, w.writes
}

func (w *world) logged(text string) int {
	count := 0
	for _, line := range w.logs {
		if strings.Contains(line, text) {
			count++
		}
	}
	return count
}

func (w *world) eventsWith(text string) int {
	count := 0
	for {
		select {
		case event := <-w.events.Events:
			if strings.Contains(event, text) {
				count++
			}
		default:
			return count
		}
	}
}

func subject() *clusterv1.Machine {
	return &clusterv1.Machine{ObjectMeta: metav1.ObjectMeta{Namespace: subjectKey.Namespace, Name: subjectKey.Name, UID: "subject-uid"}}
}

func owned(by string) *corev1.ConfigMap {
	yes := true
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{
		Namespace: subjectKey.Namespace, Name: subjectKey.Name, UID: "configmap-uid",
		OwnerReferences: []metav1.OwnerReference{{APIVersion: clusterv1.GroupVersion.String(), Kind: "Machine", Name: by, UID: "subject-uid", Controller: &yes}},
	}}
}

// createConfigMap plans to make the ConfigMap until it is seen.
func createConfigMap(s snapshot) plan.Plan[clusterv1.MachineStatus] {
	status := clusterv1.MachineStatus{Phase: "Pending"}
	if s.LastFailure != nil {
		status.Phase = "Failed"
	}
	if s.ConfigMap != nil && metav1.IsControlledBy(s.ConfigMap, s.Machine) {
		status.Phase = "Running"
		return plan.Of(plan.Settle("Done"), status)
	}
	wanted := owned(s.Machine.Name)
	wanted.UID = ""
	return plan.Of(plan.Act("Creating", "", plan.Create{Object: plan.Intent(configMapKind, wanted), Reason: "it is wanted"}), status)
}

func writesConfigMaps() []Output {
	return []Output{Writes(machineKind, "patch", "patch status"), Writes(configMapKind, "create", "delete")}
}
