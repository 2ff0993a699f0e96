// SPDX-License-Identifier: Apache-2.0

package wiring

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	"github.com/slipway-project/slipway/plan"
)

// observer makes every Machine available that is made, and remembers how many there were
// at most and how few were available, from when it is told to.
type observer struct {
	*world
	mu            sync.Mutex
	there         map[string]bool
	most, fewest  int
	setsEver      map[string]bool
	unavailableIs string // a version whose Machines never become available
}

func (w *world) observe(withhold string) *observer {
	w.Helper()
	o := &observer{world: w, there: map[string]bool{}, fewest: 1 << 30, setsEver: map[string]bool{}, unavailableIs: withhold}
	machines, err := w.client.Watch(context.Background(), &clusterv1.MachineList{}, client.InNamespace(w.namespace))
	if err != nil {
		w.Fatal(err)
	}
	sets, err := w.client.Watch(context.Background(), &clusterv1.MachineSetList{}, client.InNamespace(w.namespace))
	if err != nil {
		w.Fatal(err)
	}
	var done sync.WaitGroup
	done.Go(func() {
		for event := range machines.ResultChan() {
			if machine, ok := event.Object.(*clusterv1.Machine); ok {
				o.saw(event.Type, machine)
			}
		}
	})
	done.Go(func() {
		for event := range sets.ResultChan() {
			if set, ok := event.Object.(*clusterv1.MachineSet); ok {
				o.mu.Lock()
				o.setsEver[set.Name] = true
				o.mu.Unlock()
			}
		}
	})
	w.Cleanup(func() { machines.Stop(); sets.Stop(); done.Wait() })
	return o
}

func (o *observer) saw(event watch.EventType, machine *clusterv1.Machine) {
	available := slices.ContainsFunc(machine.Status.Conditions, func(c metav1.Condition) bool {
		return c.Type == clusterv1.AvailableCondition && c.Status == metav1.ConditionTrue
	})
	o.mu.Lock()
	if event == watch.Deleted {
		delete(o.there, machine.Name)
	} else {
		o.there[machine.Name] = available && machine.DeletionTimestamp == nil
	}
	o.most = max(o.most, len(o.there))
	o.fewest = min(o.fewest, o.available())
	o.mu.Unlock()
	if event == watch.Added && !available && machine.Spec.Version != o.unavailableIs {
		o.makeAvailable(machine)
	}
}

func (o *observer) available() int {
	count := 0
	for available := range maps.Values(o.there) {
		if available {
			count++
		}
	}
	return count
}

func (o *observer) makeAvailable(machine *clusterv1.Machine) {
	intent := plan.Partial(clusterv1.GroupVersion.WithKind("Machine"), machine)
	now := metav1.Now().UTC().Format(time.RFC3339)
	condition := func(kind string) any {
		return map[string]any{"type": kind, "status": "True", "reason": kind, "message": "", "lastTransitionTime": now}
	}
	intent.Object["status"] = map[string]any{
		"nodeRef":    map[string]any{"name": machine.Name},
		"conditions": []any{condition(clusterv1.ReadyCondition), condition(clusterv1.AvailableCondition)},
	}
	err := o.client.Status().Apply(context.Background(), client.ApplyConfigurationFromUnstructured(intent), client.FieldOwner("tested"), client.ForceOwnership)
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		o.Errorf("make Machine %s available: %v", machine.Name, err)
	}
}

// begin counts from now on, once so many are available.
func (o *observer) begin(available int) {
	o.Helper()
	eventually(o.T, 20*time.Second, func() string {
		o.mu.Lock()
		defer o.mu.Unlock()
		if got := o.available(); got != available {
			return fmt.Sprintf("%d Machines are available", got)
		}
		o.most, o.fewest, o.setsEver = len(o.there), available, map[string]bool{}
		return ""
	})
}

func (o *observer) end(most, fewest, sets int) {
	o.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.most > most || o.fewest < fewest {
		o.Errorf("there were up to %d Machines, and at least %d available; %d and %d are permitted", o.most, o.fewest, most, fewest)
	}
	if len(o.setsEver) != sets {
		o.Errorf("there were MachineSets %v, not %d", slices.Sorted(maps.Keys(o.setsEver)), sets)
	}
}

// haveVersion waits until the Machines are as many and of one version.
func (w *world) haveVersion(count int, version string) {
	w.Helper()
	eventually(w.T, time.Minute, func() string {
		machines := w.machines()
		for _, machine := range machines {
			upToDate := slices.ContainsFunc(machine.Status.Conditions, func(c metav1.Condition) bool {
				return c.Type == clusterv1.UpToDateCondition && c.Status == metav1.ConditionTrue
			})
			if machine.Spec.Version != version || !upToDate {
				return fmt.Sprintf("Machine %s has version %s, up to date %t", machine.Name, machine.Spec.Version, upToDate)
			}
		}
		if len(machines) != count {
			return fmt.Sprintf("there are %d Machines", len(machines))
		}
		return ""
	})
	w.settlesAt(count)
}

// TestRollout changes the template, with caches that are up to date and with caches that lag
// behind: one MachineSet a template, and both limits are held to at every time.
func TestRollout(t *testing.T) {
	for name, line := range map[string]*wire{
		"fresh":                    {},
		"machine sets come late":   {lag: 300 * time.Millisecond, lagging: []string{"machinesets"}},
		"machines come late":       {lag: 300 * time.Millisecond, lagging: []string{"machines"}},
		"both come late":           {lag: 300 * time.Millisecond, lagging: []string{"machines", "machinesets"}},
		"the deployment is behind": {lag: 300 * time.Millisecond, lagging: []string{"machinedeployments"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 3)
			o := w.observe("")
			startControllers(t, line, w.namespace)
			w.finishDeletions()
			o.begin(3)
			w.patch(`{"spec":{"template":{"spec":{"version":"v1.37.2"}}}}`)
			w.haveVersion(3, "v1.37.2")
			o.end(4, 3, 2)

			o.begin(3)
			w.patch(`{"spec":{"rollout":{"strategy":{"rollingUpdate":{"maxSurge":0,"maxUnavailable":"70%"}}}}}`)
			w.patch(`{"spec":{"template":{"spec":{"version":"v1.37.3"}}}}`)
			w.haveVersion(3, "v1.37.3")
			o.end(3, 1, 2)
		})
	}
}

// TestRolloutBack: the new Machines never work, so the template is set back. The Machines
// that are there stay, and so does their MachineSet.
func TestRolloutBack(t *testing.T) {
	w := newWorld(t, 2)
	o := w.observe("v1.37.9")
	startControllers(t, &wire{}, w.namespace)
	w.finishDeletions()
	o.begin(2)
	before := w.set()
	w.patch(`{"spec":{"template":{"spec":{"version":"v1.37.9"}}}}`)
	eventually(t, 20*time.Second, func() string {
		if machines := w.machines(); !slices.ContainsFunc(machines, func(m clusterv1.Machine) bool { return m.Spec.Version == "v1.37.9" }) {
			return "no new Machine was made"
		}
		return ""
	})
	w.patch(`{"spec":{"template":{"spec":{"version":"v1.37.1"}}}}`)
	w.haveVersion(2, "v1.37.1")
	o.end(3, 2, 2)
	after := w.set()
	if after.UID != before.UID || after.Annotations[clusterv1.RevisionAnnotation] != "3" {
		t.Errorf("there is MachineSet %s with annotations %v, after %s", after.Name, after.Annotations, before.Name)
	}
	if _, there := after.Annotations[clusterv1.DisableMachineCreateAnnotation]; there {
		t.Error("the set that was gone back to may make no Machines")
	}
	w.scale(3)
	w.haveVersion(3, "v1.37.1")
}

// TestRestart: spec.rollout.after replaces all Machines though nothing changed, once.
func TestRestart(t *testing.T) {
	w := newWorld(t, 2)
	o := w.observe("")
	startControllers(t, &wire{}, w.namespace)
	w.finishDeletions()
	o.begin(2)
	before := w.set()
	w.patch(fmt.Sprintf(`{"spec":{"rollout":{"after":%q}}}`, time.Now().Add(2*time.Second).UTC().Format(time.RFC3339)))
	eventually(t, 40*time.Second, func() string {
		if set := w.set(); set.UID == "" || set.UID == before.UID {
			return "the MachineSet was not replaced"
		}
		return ""
	})
	w.haveVersion(2, "v1.37.1")
	o.end(3, 2, 2)
}

// TestOnDelete: an old Machine is replaced when somebody deletes it, and not before.
func TestOnDelete(t *testing.T) {
	w := newWorld(t, 2)
	o := w.observe("")
	startControllers(t, &wire{}, w.namespace)
	w.finishDeletions()
	o.begin(2)
	w.patch(`{"spec":{"rollout":{"strategy":{"type":"OnDelete","rollingUpdate":null}},"template":{"spec":{"version":"v1.37.2"}}}}`)
	eventually(t, 20*time.Second, func() string {
		sets := &clusterv1.MachineSetList{}
		if err := w.client.List(t.Context(), sets, client.InNamespace(w.namespace)); err != nil {
			return err.Error()
		}
		if len(sets.Items) != 2 || !slices.ContainsFunc(sets.Items, func(s clusterv1.MachineSet) bool {
			return s.Annotations[clusterv1.DisableMachineCreateAnnotation] == "true"
		}) {
			return "the old MachineSet makes Machines still"
		}
		return ""
	})
	for left := 2; left > 0; left-- {
		machines := w.machines()
		at := slices.IndexFunc(machines, func(m clusterv1.Machine) bool { return m.Spec.Version == "v1.37.1" })
		if at < 0 {
			t.Fatal("an old Machine was replaced though nobody deleted it")
		}
		if err := w.client.Delete(t.Context(), &machines[at]); err != nil {
			t.Fatal(err)
		}
		eventually(t, 20*time.Second, func() string {
			outdated, fresh := 0, 0
			for _, machine := range w.machines() {
				if machine.Spec.Version == "v1.37.1" {
					outdated++
				} else {
					fresh++
				}
			}
			if outdated != left-1 || fresh != 3-left {
				return fmt.Sprintf("%d old and %d new Machines", outdated, fresh)
			}
			return ""
		})
	}
	w.haveVersion(2, "v1.37.2")
	o.end(2, 0, 2)
}

// TestObjectsFollow: labels of the template reach the objects of a Machine, and go again.
func TestObjectsFollow(t *testing.T) {
	w := newWorld(t, 1)
	startControllers(t, &wire{}, w.namespace)
	w.finishDeletions()
	w.settlesAt(1)
	reach := func(want string) {
		t.Helper()
		eventually(t, 20*time.Second, func() string {
			object := &unstructured.Unstructured{}
			object.SetAPIVersion(providerGroup + "/v1")
			object.SetKind("MemoryMachine")
			if err := w.client.Get(t.Context(), client.ObjectKey{Namespace: w.namespace, Name: w.machines()[0].Name}, object); err != nil {
				return err.Error()
			}
			if got := object.GetLabels()["extra"]; got != want {
				return fmt.Sprintf("label extra is %q, not %q", got, want)
			}
			return ""
		})
	}
	w.patch(`{"spec":{"template":{"metadata":{"labels":{"extra":"one"}}}}}`)
	reach("one")
	w.patch(`{"spec":{"template":{"metadata":{"labels":{"extra":null}}}}}`)
	reach("")
}

// TestUnhealthyIsReplaced: a Machine that a health check found unhealthy is replaced, by the
// conditions that the health check sets.
func TestUnhealthyIsReplaced(t *testing.T) {
	w := newWorld(t, 2)
	o := w.observe("")
	startControllers(t, &wire{}, w.namespace)
	w.finishDeletions()
	o.begin(2)
	sick := w.machines()[0]
	intent := plan.Partial(clusterv1.GroupVersion.WithKind("Machine"), &sick)
	now := metav1.Now().UTC().Format(time.RFC3339)
	intent.Object["status"] = map[string]any{"conditions": []any{
		map[string]any{"type": clusterv1.HealthCheckSucceededCondition, "status": "False", "reason": clusterv1.UnhealthyNodeReason, "message": "", "lastTransitionTime": now},
		map[string]any{"type": clusterv1.OwnerRemediatedCondition, "status": "False", "reason": clusterv1.WaitingForRemediationReason, "message": "", "lastTransitionTime": now},
	}}
	apply(t, w.client, intent, "status")
	eventually(t, 20*time.Second, func() string {
		if machines := w.machines(); len(machines) != 2 || slices.ContainsFunc(machines, func(m clusterv1.Machine) bool { return m.Name == sick.Name }) {
			return fmt.Sprintf("there are %d Machines, and %s is one of them or not replaced", len(machines), sick.Name)
		}
		return ""
	})
	w.settlesAt(2)
}
