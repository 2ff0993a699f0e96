// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
)

// The goldens hold the steps of a creation, and what stands in its way.
func TestSteps(t *testing.T) {
	eachRecorded(t, func(t *testing.T, name string, f family, _ time.Time) {
		var out strings.Builder
		for _, s := range steps(f) {
			fmt.Fprintf(&out, "%s done=%t %s\n", s.Title, s.Done, s.Detail)
		}
		out.WriteString("\nin the way:\n")
		// What is told is the first; a few more show the order.
		list := troubles(f)
		for _, found := range list[:min(4, len(list))] {
			fmt.Fprintf(&out, "mend=%t %s\n", found.Mend, found.sentence())
		}
		golden(t, "steps/"+name+".txt", out.String())
		if finished(steps(f)) != (name == "ready") {
			t.Errorf("finished is %t", finished(steps(f)))
		}
	})
}

func TestStepsOfNoCluster(t *testing.T) {
	if finished(steps(family{})) {
		t.Error("a Cluster that does not exist is ready")
	}
}

// A wait ends when a trouble has stood for the grace, not before, and not for one that
// went meanwhile or that waiting mends.
func TestStuck(t *testing.T) {
	start := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	image := trouble{Kind: "DockerMachine", Name: "a", Mend: true, Condition: metav1.Condition{Type: "ContainerProvisioned", Reason: "ImageNotAvailable"}}
	waiting := trouble{Kind: "DockerMachine", Name: "b", Condition: metav1.Condition{Type: "ContainerProvisioned", Reason: "WaitingForBootstrapData"}}
	c := &creation{grace: 3 * time.Second, since: map[string]time.Time{}}
	look := func(after time.Duration, list ...trouble) (bool, time.Duration) {
		found, next := c.stuck(list, start.Add(after))
		return found != nil, next
	}
	for _, step := range []struct {
		what  string
		after time.Duration
		list  []trouble
		stuck bool
		next  time.Duration
	}{
		{"first seen", 0, []trouble{image, waiting}, false, 3 * time.Second},
		{"still there", 2 * time.Second, []trouble{image}, false, time.Second},
		{"gone", 2500 * time.Millisecond, []trouble{waiting}, false, 0},
		{"back", 4 * time.Second, []trouble{image}, false, 3 * time.Second},
		{"for good", 7 * time.Second, []trouble{waiting, image}, true, 0},
		{"only waiting", time.Hour, []trouble{waiting}, false, 0},
	} {
		stuck, next := look(step.after, step.list...)
		if stuck != step.stuck || next != step.next {
			t.Errorf("%s: stuck %t, next %s; want %t, %s", step.what, stuck, next, step.stuck, step.next)
		}
	}
}

// A controller that says in an event that it is blocked, and still tells the same in
// a condition, is not waited for.
func TestBlockedByEvent(t *testing.T) {
	const note = "DockerMachineTemplate default/x does not exist; create it"
	set := clusterv1.MachineSet{ObjectMeta: metav1.ObjectMeta{Name: "demo-workers-abc", UID: "1"}}
	set.Status.Conditions = []metav1.Condition{{
		Type: clusterv1.ScalingUpCondition, Status: metav1.ConditionTrue, Reason: clusterv1.ScalingUpReason,
		Message: "Scaling up from 0 to 2 replicas does not go on: " + note,
	}}
	event := eventsv1.Event{Type: "Warning", Action: "Plan", Note: note}
	event.Regarding.UID = "1"
	f := family{Sets: []clusterv1.MachineSet{set}}
	if list := troubles(f); len(list) != 0 {
		t.Errorf("scaling up is no trouble by itself: %v", list)
	}
	f.Blocked = []eventsv1.Event{event}
	if list := troubles(f); len(list) != 1 || !list[0].Mend {
		t.Errorf("troubles: %v", list)
	}
	f.Sets[0].Status.Conditions[0].Message = "Scaling up from 1 to 2 replicas"
	if list := troubles(f); len(list) != 0 {
		t.Errorf("what is over is still told: %v", list)
	}
	f.Blocked[0].Regarding.UID = "2"
	f.Sets[0].Status.Conditions[0].Message = note
	if list := troubles(f); len(list) != 0 {
		t.Errorf("another object's event counts: %v", list)
	}
}

func TestPausedIsToBeMended(t *testing.T) {
	cluster := &clusterv1.Cluster{ObjectMeta: metav1.ObjectMeta{Name: "demo"}}
	cluster.Status.Conditions = []metav1.Condition{{Type: clusterv1.PausedCondition, Status: metav1.ConditionTrue, Reason: clusterv1.PausedReason, Message: "spec.paused is true"}}
	list := troubles(family{Cluster: cluster})
	if len(list) != 1 || !list[0].Mend {
		t.Errorf("troubles of a paused Cluster: %v", list)
	}
}

func TestGoneBetween(t *testing.T) {
	objects, _ := recorded(t, "testdata/objects/ready.yaml")
	before, err := familyOf(objects, "demo")
	if err != nil {
		t.Fatal(err)
	}
	var left []string
	after := before
	after.Machines = before.Machines[:1]
	for _, gone := range goneBetween(before, after) {
		kind, _, _ := strings.Cut(gone, "/")
		left = append(left, kind)
	}
	want := []string{"DockerMachine", "DockerMachine", "KubeadmConfig", "KubeadmConfig", "Machine", "Machine"}
	if diff := cmp.Diff(want, left); diff != "" {
		t.Errorf("gone (-want +got):\n%s", diff)
	}
	if gone := goneBetween(after, before); len(gone) > 0 {
		t.Errorf("what came is told as gone: %v", gone)
	}
}
