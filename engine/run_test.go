// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	"github.com/slipway-project/slipway/plan"
)

func TestPassWritesStatusOnceAndActs(t *testing.T) {
	w := newWorld(t, Options{}, writesConfigMaps(), createConfigMap, subject())
	result, writes := w.pass()
	if diff := cmp.Diff([]string{"apply status", "create ConfigMap"}, writes); diff != "" {
		t.Errorf("writes of the first pass (-want +got):\n%s", diff)
	}
	if result.RequeueAfter == 0 {
		t.Error("after actions the key is to be planned again")
	}
	if _, writes = w.pass(); !slices.Equal(writes, []string{"apply status"}) {
		t.Errorf("the second pass wrote %v, want the status alone", writes)
	}
	for range 3 {
		if result, writes = w.pass(); len(writes) > 0 || result.RequeueAfter != 0 {
			t.Errorf("a settled pass wrote %v and asks to be run again after %s", writes, result.RequeueAfter)
		}
	}
	machine := &clusterv1.Machine{}
	if err := w.server.Get(t.Context(), subjectKey, machine); err != nil {
		t.Fatal(err)
	}
	if machine.Status.Phase != "Running" {
		t.Errorf("the status shows %q", machine.Status.Phase)
	}
}

// TestRestartWritesNothing: what an engine remembers is not needed for being settled.
func TestRestartWritesNothing(t *testing.T) {
	w := newWorld(t, Options{}, writesConfigMaps(), createConfigMap, subject())
	for range 3 {
		w.pass()
	}
	w.run.keys = map[Key]*keyState{}
	if _, writes := w.pass(); len(writes) > 0 {
		t.Errorf("after a restart a settled key wrote %v", writes)
	}
}

func TestEmptyStatusIsNotWritten(t *testing.T) {
	w := newWorld(t, Options{}, writesConfigMaps(), func(snapshot) plan.Plan[clusterv1.MachineStatus] {
		return plan.Of(plan.Settle("Nothing"), clusterv1.MachineStatus{})
	}, subject())
	if _, writes := w.pass(); len(writes) > 0 {
		t.Errorf("a controller that shows nothing wrote %v", writes)
	}
}

func TestDryRunWritesNothing(t *testing.T) {
	w := newWorld(t, Options{DryRun: true}, writesConfigMaps(), createConfigMap, subject())
	if _, writes := w.pass(); len(writes) > 0 {
		t.Errorf("a dry run wrote %v", writes)
	}
	if w.logged("create ConfigMap default/subject (it is wanted)") != 1 {
		t.Errorf("the plan is not printed:\n%v", w.logs)
	}
}

func TestUnsoundPlansAreRefused(t *testing.T) {
	ref := plan.Ref{GroupVersionKind: configMapKind, Namespace: "default", Name: "subject", UID: "u"}
	noUID := ref
	noUID.UID = ""
	for name, test := range map[string]struct {
		decision plan.Decision
		broken   string
	}{
		"delete without UID":  {plan.Act("Deleting", "", plan.Delete{On: noUID, Reason: "r"}), "must carry the UID"},
		"undeclared kind":     {plan.Act("Deleting", "", plan.Delete{On: plan.Ref{GroupVersionKind: schema.GroupVersionKind{Version: "v1", Kind: "Secret"}, Name: "s", UID: "u"}, Reason: "r"}), "declares no such output"},
		"undeclared verb":     {plan.Act("Patching", "", plan.Patch{On: ref, Operations: []plan.PatchOperation{{Op: "test", Path: "/a"}}, Reason: "r"}), "declares no such output"},
		"undeclared operator": {plan.Act("Operating", "", plan.Operate{System: "docker", Operation: operation{}, Reason: "r"}), "declares no such output"},
		"workload cluster":    {plan.Act("Deleting", "", plan.Delete{On: plan.Ref{GroupVersionKind: configMapKind, Name: "s", UID: "u", Cluster: Key{Name: "c"}}, Reason: "r"}), "declares no such output"},
		"invariant":           {plan.Settle("BreaksInvariant"), "an invariant of the kind"},
		"no outcome":          {plan.Decision{}, "outcome kind"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, Options{}, writesConfigMaps(), func(snapshot) plan.Plan[clusterv1.MachineStatus] {
				return plan.Of(test.decision, clusterv1.MachineStatus{Phase: "Pending"})
			}, subject())
			for range 3 {
				result, writes := w.pass()
				if len(writes) > 0 {
					t.Errorf("a refused plan wrote %v", writes)
				}
				if result.RequeueAfter <= 0 {
					t.Error("a refused plan is to be made again some time")
				}
			}
			if told := w.logged(test.broken); told != 1 {
				t.Errorf("it was logged %d times, want once: %v", told, w.logs)
			}
			if told := w.eventsWith("PlanRefused"); told != 1 {
				t.Errorf("%d events, want one", told)
			}
		})
	}
}

func TestOutcomesAreToldOnce(t *testing.T) {
	decision := plan.Wait("WaitingForX", "x is not there")
	w := newWorld(t, Options{}, writesConfigMaps(), func(snapshot) plan.Plan[clusterv1.MachineStatus] {
		return plan.Of(decision, clusterv1.MachineStatus{})
	}, subject())
	for range 3 {
		w.pass()
	}
	if told := w.logged("WaitingForX"); told != 1 {
		t.Errorf("the same outcome was logged %d times", told)
	}
	decision = plan.Block("NeedsY", "give it y")
	for range 3 {
		w.pass()
	}
	if logged, events := w.logged("NeedsY"), w.eventsWith("NeedsY give it y"); logged != 1 || events != 1 {
		t.Errorf("a blocked outcome was logged %d times with %d events, want once each", logged, events)
	}
	decision = plan.Wait("WaitingForX", "x is not there")
	w.pass()
	if told := w.logged("WaitingForX"); told != 2 {
		t.Errorf("an outcome that is news again was logged %d times in all, want 2", told)
	}
}

func TestRecheck(t *testing.T) {
	recheck := time.Duration(0)
	w := newWorld(t, Options{}, writesConfigMaps(), func(s snapshot) plan.Plan[clusterv1.MachineStatus] {
		return plan.Of(plan.Wait("Waiting", "for time to pass").At(s.Now.Add(recheck)), clusterv1.MachineStatus{})
	}, subject())
	for _, test := range []struct{ recheck, want time.Duration }{
		{7 * time.Second, 7 * time.Second},
		{-time.Hour, 10 * time.Millisecond},
	} {
		recheck = test.recheck
		if result, _ := w.pass(); result.RequeueAfter != test.want {
			t.Errorf("a recheck in %s comes after %s, want %s", test.recheck, result.RequeueAfter, test.want)
		}
	}
}

func TestGoneObjectsAreForgotten(t *testing.T) {
	w := newWorld(t, Options{}, writesConfigMaps(), createConfigMap, subject())
	w.pass()
	if err := w.server.Delete(t.Context(), subject()); err != nil {
		t.Fatal(err)
	}
	if _, writes := w.pass(); len(writes) > 0 {
		t.Errorf("for an object that is gone it wrote %v", writes)
	}
	if len(w.run.keys) != 0 {
		t.Errorf("it still remembers %v", w.run.keys)
	}
}

func TestAlreadyThere(t *testing.T) {
	foreign := owned("subject")
	foreign.OwnerReferences[0].UID, foreign.OwnerReferences[0].Name = "other-uid", "other"
	orphan := owned("subject")
	orphan.OwnerReferences = nil
	for name, test := range map[string]struct {
		there  *corev1.ConfigMap
		reason string
		phase  string
	}{
		"made by an earlier attempt": {owned("subject"), "", "Running"},
		"belongs to somebody else":   {foreign, "NameTaken", "Failed"},
		"belongs to nobody":          {orphan, "NameTaken", "Failed"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, Options{}, writesConfigMaps(), createConfigMap, subject(), test.there)
			w.cache.lagBehind(subject())
			w.pass()
			state := w.run.state(subjectKey)
			if test.reason == "" {
				if state.failure != nil {
					t.Fatalf("it failed: %+v", state.failure)
				}
			} else if state.failure == nil || state.failure.Reason != test.reason {
				t.Fatalf("the failure is %+v, want reason %s", state.failure, test.reason)
			}
			w.cache.catchUp()
			w.pass()
			machine := &clusterv1.Machine{}
			if err := w.server.Get(t.Context(), subjectKey, machine); err != nil {
				t.Fatal(err)
			}
			if machine.Status.Phase != test.phase {
				t.Errorf("the status shows %q, want %q", machine.Status.Phase, test.phase)
			}
		})
	}
}

type operation struct{}

func (operation) String() string    { return "do it" }
func (operation) Subject() plan.Ref { return plan.RefTo(machineKind, subject()) }

type operator func() error

func (o operator) Operate(context.Context, plan.Operation) error { return o() }

type reasoned struct{ error }

func (reasoned) FailureReason() string { return "ImageMissing" }

func TestFailuresAreFedBack(t *testing.T) {
	attempts := 0
	failure := error(reasoned{errors.New("no image x; build it")})
	options := Options{Operators: map[string]Operator{"docker": operator(func() error { attempts++; return failure })}}
	w := newWorld(t, options, append(writesConfigMaps(), Operates("docker")), func(s snapshot) plan.Plan[clusterv1.MachineStatus] {
		status := clusterv1.MachineStatus{Phase: "Pending"}
		if s.LastFailure != nil {
			status.Phase = s.LastFailure.Reason
		}
		return plan.Of(plan.Act("Operating", "", plan.Operate{System: "docker", Operation: operation{}, Reason: "r"}), status)
	}, subject())

	// Each failure is shown at once, and tried again when its pause is over; passes that
	// events cause meanwhile try nothing.
	var pauses []time.Duration
	for attempt := range 12 {
		result, _ := w.pass()
		if attempts != attempt+1 || result.RequeueAfter > 50*time.Millisecond {
			t.Fatalf("attempt %d: %d attempts were made, and the failure is shown after %s", attempt+1, attempts, result.RequeueAfter)
		}
		w.now = w.now.Add(result.RequeueAfter)
		for range 3 {
			result, _ = w.pass()
		}
		if attempts != attempt+1 {
			t.Fatalf("attempt %d: it was tried again before its time", attempt+1)
		}
		pauses = append(pauses, result.RequeueAfter)
		w.now = w.now.Add(result.RequeueAfter)
	}
	if !slices.IsSorted(pauses) || pauses[11] < 19*time.Second || pauses[11] > 20*time.Second {
		t.Errorf("pauses do not grow to 20s: %v", pauses)
	}
	if got := w.plans[len(w.plans)-1].LastFailure; got == nil || got.Count != 12 || got.Message != "no image x; build it" || got.Reason != "ImageMissing" || got.Action != "docker: do it" {
		t.Errorf("the last plan's failure is %+v", got)
	}
	if logged, events := w.logged("no image x"), w.eventsWith("ImageMissing"); logged != 1 || events != 1 {
		t.Errorf("the same failure was logged %d times with %d events, want once each", logged, events)
	}

	failure = errors.New("something else")
	w.pass()
	if w.logged("something else") != 1 {
		t.Error("another failure is news and was not logged")
	}
	if w.run.state(subjectKey).failure.Reason != "ActionFailed" {
		t.Errorf("the reason of an error without one is %q", w.run.state(subjectKey).failure.Reason)
	}
	failure = nil
	w.now = w.now.Add(time.Minute)
	w.pass()
	w.pass()
	if last := w.plans[len(w.plans)-1].LastFailure; last != nil {
		t.Errorf("after it went well the plan still sees %+v", last)
	}
}

// TestFailuresThatDifferSlowDown: an action that fails may hold other bytes each time, as
// one with a key that is made afresh.
func TestFailuresThatDifferSlowDown(t *testing.T) {
	made := 0
	w := newWorld(t, Options{}, writesConfigMaps(), func(s snapshot) plan.Plan[clusterv1.MachineStatus] {
		made++
		wanted := owned(s.Machine.Name)
		wanted.UID, wanted.Data = "", map[string]string{"key": fmt.Sprint(made)}
		return plan.Of(plan.Act("Creating", "", plan.Create{Object: plan.Intent(configMapKind, wanted), Reason: "it is wanted"}), clusterv1.MachineStatus{})
	}, subject())
	tries := 0
	w.refuse = func(string) error { tries++; return errors.New("quota exceeded") }
	for begin := w.now; w.now.Before(begin.Add(time.Minute)); {
		result, _ := w.pass()
		w.now = w.now.Add(result.RequeueAfter)
	}
	if tries > 12 {
		t.Errorf("it was tried %d times in a minute", tries)
	}
	// Who corrects the object is not made to wait.
	machine := &clusterv1.Machine{}
	if err := w.server.Get(t.Context(), subjectKey, machine); err != nil {
		t.Fatal(err)
	}
	w.pass()
	before := tries
	for range 3 {
		w.pass()
	}
	if tries != before {
		t.Fatal("it was tried before its time")
	}
	machine.Generation++
	if err := w.server.Update(t.Context(), machine); err != nil {
		t.Fatal(err)
	}
	w.pass()
	if tries != before+1 {
		t.Errorf("after the object changed it was tried %d times, want once", tries-before)
	}
}

// TestFailuresThatTakeTurnsSlowDown: two lists of actions that both fail, each planned
// because the other did.
func TestFailuresThatTakeTurnsSlowDown(t *testing.T) {
	tries := 0
	options := Options{Operators: map[string]Operator{"docker": operator(func() error { tries++; return errors.New("broken") })}}
	w := newWorld(t, options, append(writesConfigMaps(), Operates("docker")), func(s snapshot) plan.Plan[clusterv1.MachineStatus] {
		work := plan.Action(plan.Operate{System: "docker", Operation: operation{}, Reason: "r"})
		if s.LastFailure != nil && s.LastFailure.Action == work.String() {
			wanted := owned(s.Machine.Name)
			work = plan.Create{Object: plan.Intent(configMapKind, wanted), Reason: "to record it"}
		}
		return plan.Of(plan.Act("Working", "", work), clusterv1.MachineStatus{})
	}, subject())
	w.refuse = func(string) error { tries++; return errors.New("no space") }
	for begin := w.now; w.now.Before(begin.Add(time.Minute)); {
		result, _ := w.pass()
		w.now = w.now.Add(max(result.RequeueAfter, time.Millisecond))
	}
	if tries > 24 {
		t.Errorf("both were tried %d times in a minute", tries)
	}
	if logged := w.logged("action failed"); logged != 2 {
		t.Errorf("the two failures were logged %d times, want once each", logged)
	}
}

// TestFailureThatIsOverIsNotShown: when what failed need not be done any more, because
// somebody else has done it, no event comes by which the status would be written anew.
func TestFailureThatIsOverIsNotShown(t *testing.T) {
	needed := true
	options := Options{Operators: map[string]Operator{"docker": operator(func() error { return errors.New("broken") })}}
	w := newWorld(t, options, append(writesConfigMaps(), Operates("docker")), func(s snapshot) plan.Plan[clusterv1.MachineStatus] {
		status := clusterv1.MachineStatus{Phase: "Running"}
		if s.LastFailure != nil {
			status.Phase = "Failed"
		}
		if !needed {
			return plan.Of(plan.Settle("Done"), status)
		}
		return plan.Of(plan.Act("Operating", "", plan.Operate{System: "docker", Operation: operation{}, Reason: "r"}), status)
	}, subject())
	w.pass()
	w.pass()
	needed = false
	for range 5 {
		if result, _ := w.pass(); result.RequeueAfter == 0 {
			break
		}
	}
	machine := &clusterv1.Machine{}
	if err := w.server.Get(t.Context(), subjectKey, machine); err != nil {
		t.Fatal(err)
	}
	if machine.Status.Phase != "Running" {
		t.Errorf("the status shows %q", machine.Status.Phase)
	}
}

// TestReplacedObjectBeginsAnew: what is remembered is of one object, not of its name.
func TestReplacedObjectBeginsAnew(t *testing.T) {
	options := Options{Operators: map[string]Operator{"docker": operator(func() error { return errors.New("broken") })}}
	w := newWorld(t, options, append(writesConfigMaps(), Operates("docker")), func(s snapshot) plan.Plan[clusterv1.MachineStatus] {
		return plan.Of(plan.Act("Operating", "", plan.Operate{System: "docker", Operation: operation{}, Reason: "r"}), clusterv1.MachineStatus{})
	}, subject())
	for range 20 {
		result, _ := w.pass()
		w.now = w.now.Add(result.RequeueAfter)
	}
	if count := w.run.state(subjectKey).failure.Count; count < 5 {
		t.Fatalf("it failed %d times only", count)
	}
	if err := w.server.Delete(t.Context(), subject()); err != nil {
		t.Fatal(err)
	}
	next := subject()
	next.UID = "next-uid"
	if err := w.server.Create(t.Context(), next); err != nil {
		t.Fatal(err)
	}
	w.pass()
	w.pass()
	for _, seen := range w.plans[len(w.plans)-1:] {
		if seen.LastFailure != nil {
			t.Errorf("the next object's plan sees %+v", seen.LastFailure)
		}
	}
	if failure := w.run.state(subjectKey).failure; failure == nil || failure.Count != 1 {
		t.Errorf("the failure of another object of that name is %+v, want its first", failure)
	}
}

// TestPlansWithoutEffectSlowDown: an operation that succeeds and changes nothing must
// not be done as fast as the machine can.
func TestPlansWithoutEffectSlowDown(t *testing.T) {
	done := 0
	options := Options{Operators: map[string]Operator{"docker": operator(func() error { done++; return nil })}}
	w := newWorld(t, options, []Output{Operates("docker")}, func(s snapshot) plan.Plan[clusterv1.MachineStatus] {
		return plan.Of(plan.Act("Operating", "", plan.Operate{System: "docker", Operation: operation{}, Reason: "r"}), clusterv1.MachineStatus{})
	}, subject())
	begin := w.now
	for w.now.Before(begin.Add(time.Minute)) {
		result, _ := w.pass()
		w.now = w.now.Add(result.RequeueAfter)
	}
	if done > 20 {
		t.Errorf("it was done %d times in a minute", done)
	}
}

// TestLongEventsAreCut: the API takes no more than 1024 bytes, and drops the event.
func TestLongEventsAreCut(t *testing.T) {
	options := Options{Operators: map[string]Operator{"docker": operator(func() error { return errors.New(strings.Repeat("é", 2000)) })}}
	w := newWorld(t, options, []Output{Operates("docker")}, func(s snapshot) plan.Plan[clusterv1.MachineStatus] {
		return plan.Of(plan.Act("Operating", "", plan.Operate{System: "docker", Operation: operation{}, Reason: "r"}), clusterv1.MachineStatus{})
	}, subject())
	w.pass()
	select {
	case event := <-w.events.Events:
		if len(event) > 1100 || !utf8.ValidString(event) {
			t.Errorf("the event has %d bytes, valid %t", len(event), utf8.ValidString(event))
		}
	default:
		t.Error("no event was recorded")
	}
}

func TestMissingOperatorIsAFailure(t *testing.T) {
	w := newWorld(t, Options{}, append(writesConfigMaps(), Operates("docker")), func(snapshot) plan.Plan[clusterv1.MachineStatus] {
		return plan.Of(plan.Act("Operating", "", plan.Operate{System: "docker", Operation: operation{}, Reason: "r"}), clusterv1.MachineStatus{})
	}, subject())
	w.pass()
	if state := w.run.state(subjectKey); state.failure == nil {
		t.Error("an operation that nobody can carry out counted as done")
	}
}

// TestActionsStopAtTheFirstFailure: what comes after rests on what came before.
func TestActionsStopAtTheFirstFailure(t *testing.T) {
	second := owned("subject")
	second.Name, second.UID = "second", ""
	first := second.DeepCopy()
	first.Name = "first"
	w := newWorld(t, Options{}, writesConfigMaps(), func(snapshot) plan.Plan[clusterv1.MachineStatus] {
		return plan.Of(plan.Act("Creating", "",
			plan.Create{Object: plan.Intent(configMapKind, first), Reason: "r"},
			plan.Create{Object: plan.Intent(configMapKind, second), Reason: "r"}), clusterv1.MachineStatus{})
	}, subject())
	w.refuse = func(write string) error { return errors.New("disk full") }
	if _, writes := w.pass(); !slices.Equal(writes, []string{"create ConfigMap"}) {
		t.Errorf("it wrote %v, want one attempt", writes)
	}
}

// TestConflictsArePlannedAgain: a precondition that does not hold is no failure, but
// says that the plan was made from something else.
func TestConflictsArePlannedAgain(t *testing.T) {
	w := newWorld(t, Options{}, writesConfigMaps(), func(s snapshot) plan.Plan[clusterv1.MachineStatus] {
		return plan.Of(plan.Act("Deleting", "", plan.Delete{On: plan.RefTo(configMapKind, s.ConfigMap), Reason: "r"}), clusterv1.MachineStatus{})
	}, subject(), owned("subject"))
	w.refuse = func(string) error {
		return apierrors.NewConflict(schema.GroupResource{Resource: "configmaps"}, "subject", errors.New("the UID in the precondition differs"))
	}
	var pauses []time.Duration
	for range 12 {
		result, _ := w.pass()
		pauses = append(pauses, result.RequeueAfter)
		if w.run.state(subjectKey).failure != nil {
			t.Fatal("a conflict was taken for a failure")
		}
	}
	if pauses[0] > 50*time.Millisecond || !slices.IsSorted(pauses) || pauses[11] != 5*time.Second {
		t.Errorf("pauses do not grow from little to 5s: %v", pauses)
	}
}

func TestPatchPreconditions(t *testing.T) {
	machine := subject()
	machine.Finalizers = []string{"a", "b"}
	w := newWorld(t, Options{}, writesConfigMaps(), nil, machine)
	stale := machine.DeepCopy()
	stale.Finalizers = []string{"a"}
	_, err := perform(t.Context(), w.server, plan.RemoveFinalizer(machineKind, stale, "a", "r"), client.FieldOwner("x"))
	if err == nil {
		t.Error("a finalizer was removed from a list that had changed")
	}
	result, err := perform(t.Context(), w.server, plan.RemoveFinalizer(machineKind, machine, "a", "r"), client.FieldOwner("x"))
	if err != nil || result == nil {
		t.Fatalf("remove finalizer: %v, %v", result, err)
	}
	gone := machine.DeepCopy()
	gone.Name = "gone"
	if result, err := perform(t.Context(), w.server, plan.RemoveFinalizer(machineKind, gone, "a", "r"), client.FieldOwner("x")); err != nil || result != nil {
		t.Errorf("to remove a finalizer of what is gone gave %v, %v; want nothing", result, err)
	}
	if result, err := perform(t.Context(), w.server, plan.Delete{On: plan.RefTo(machineKind, gone)}, client.FieldOwner("x")); err != nil || result != nil {
		t.Errorf("to delete what is gone gave %v, %v; want nothing", result, err)
	}
}

func TestRetryNow(t *testing.T) {
	for _, test := range []struct {
		err  error
		want bool
	}{
		{apierrors.NewConflict(schema.GroupResource{}, "x", nil), true},
		{fmt.Errorf("write: %w", errChanged), true},
		{apierrors.NewForbidden(schema.GroupResource{}, "x", nil), false},
		{errors.New("other"), false},
	} {
		if got := retryNow(test.err); got != test.want {
			t.Errorf("retryNow(%v) is %t", test.err, got)
		}
	}
}

func TestOwners(t *testing.T) {
	object := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", OwnerReferences: []metav1.OwnerReference{
		{APIVersion: "cluster.x-k8s.io/v1beta1", Kind: "Machine", Name: "older-version"},
		{APIVersion: "cluster.x-k8s.io/v1beta2", Kind: "Machine", Name: "m"},
		{APIVersion: "other.io/v1", Kind: "Machine", Name: "other-group"},
		{APIVersion: "cluster.x-k8s.io/v1beta2", Kind: "Cluster", Name: "other-kind"},
		{APIVersion: "a/b/c", Kind: "Machine", Name: "nonsense"},
	}}}
	want := []Key{{Namespace: "ns", Name: "older-version"}, {Namespace: "ns", Name: "m"}}
	if diff := cmp.Diff(want, Owners(object, machineKind.GroupKind())); diff != "" {
		t.Errorf("owners (-want +got):\n%s", diff)
	}
}

// TestRefusedStatusDoesNotStopActions: a deletion must not hang on what is shown of it,
// and the refusal must be told all the same.
func TestRefusedStatusDoesNotStopActions(t *testing.T) {
	w := newWorld(t, Options{}, writesConfigMaps(), createConfigMap, subject())
	w.refuse = func(write string) error {
		if strings.Contains(write, "status") {
			return errors.New("the server refuses the status")
		}
		return nil
	}
	_, err := w.run.reconcile(t.Context(), reconcile.Request{NamespacedName: subjectKey})
	if err == nil || !strings.Contains(err.Error(), "refuses the status") {
		t.Errorf("the refusal was not told: %v", err)
	}
	if !slices.Contains(w.writes, "create ConfigMap") {
		t.Errorf("the actions were not carried out: %v", w.writes)
	}
}
