// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"slices"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	"github.com/slipway-project/slipway/plan"
)

func TestShownBy(t *testing.T) {
	now := metav1.Now()
	object := func(uid, version string, deleted bool) *metav1.ObjectMeta {
		meta := &metav1.ObjectMeta{UID: types.UID(uid), ResourceVersion: version}
		if deleted {
			meta.DeletionTimestamp = &now
		}
		return meta
	}
	for _, test := range []struct {
		name  string
		write written
		cache *metav1.ObjectMeta
		want  bool
	}{
		{"same version", written{uid: "a", resourceVersion: "10"}, object("a", "10", false), true},
		{"newer version", written{uid: "a", resourceVersion: "9"}, object("a", "10", false), true},
		{"older version", written{uid: "a", resourceVersion: "10"}, object("a", "9", false), false},
		{"longer is not by letter", written{uid: "a", resourceVersion: "100"}, object("a", "99", false), false},
		{"a newer object of the name", written{uid: "a", resourceVersion: "10"}, object("b", "12", false), true},
		{"an older object of the name", written{uid: "b", resourceVersion: "12"}, object("a", "10", false), false},
		{"deletion begun", written{uid: "a", deleted: true}, object("a", "10", true), true},
		{"deletion not seen", written{uid: "a", deleted: true}, object("a", "10", false), false},
		{"deleted and made again", written{uid: "a", deleted: true}, object("b", "11", false), true},
		{"no version known", written{uid: "a", resourceVersion: ""}, object("a", "10", false), false},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := test.write.shownBy(test.cache); got != test.want {
				t.Errorf("shown is %t, want %t", got, test.want)
			}
		})
	}
}

// TestBarrier: as long as the cache does not show what was written, no plan is made,
// or it would be made again.
func TestBarrier(t *testing.T) {
	w := newWorld(t, Options{}, writesConfigMaps(), createConfigMap, subject())
	w.cache.lagBehind(subject())
	if _, writes := w.pass(); !slices.Contains(writes, "create ConfigMap") {
		t.Fatalf("the first pass wrote %v", writes)
	}
	planned := len(w.plans)
	for range 5 {
		result, writes := w.pass()
		if len(writes) > 0 || len(w.plans) != planned {
			t.Fatalf("behind the barrier it wrote %v and made %d plans", writes, len(w.plans)-planned)
		}
		if result.RequeueAfter == 0 {
			t.Fatal("a pass that is put off must come again")
		}
	}
	w.cache.catchUp()
	w.pass()
	if len(w.plans) != planned+1 {
		t.Errorf("once the cache has caught up %d plans were made, want one", len(w.plans)-planned)
	}
}

// TestBarrierAsksTheServer: what was made and taken away again never shows in a cache.
func TestBarrierAsksTheServer(t *testing.T) {
	silent := func(s snapshot) plan.Plan[clusterv1.MachineStatus] {
		decided := createConfigMap(s)
		decided.Status = clusterv1.MachineStatus{}
		return decided
	}
	w := newWorld(t, Options{}, writesConfigMaps(), silent, subject())
	w.pass()
	w.pass()
	made := owned("subject")
	if err := w.server.Delete(t.Context(), made); err != nil {
		t.Fatal(err)
	}
	machine := &clusterv1.Machine{}
	if err := w.server.Get(t.Context(), subjectKey, machine); err != nil {
		t.Fatal(err)
	}
	w.cache.lagBehind(machine)
	w.pass() // makes it again
	if err := w.server.Delete(t.Context(), made); err != nil {
		t.Fatal(err)
	}
	planned := len(w.plans)
	w.pass()
	if len(w.plans) != planned {
		t.Fatal("a plan was made although the write could still come into sight")
	}
	w.now = w.now.Add(barrierPatience + 1)
	w.pass()
	if len(w.plans) != planned+1 {
		t.Error("the barrier still waits for an object that is gone on the server")
	}
}

// TestBarrierLetsGoOfPatchedObjects: an object that was there before a patch and that
// the cache no longer shows is gone, as after its last finalizer was removed.
func TestBarrierLetsGoOfPatchedObjects(t *testing.T) {
	machine := subject()
	w := newWorld(t, Options{}, writesConfigMaps(), func(s snapshot) plan.Plan[clusterv1.MachineStatus] {
		return plan.Of(plan.Settle("Seen"), clusterv1.MachineStatus{})
	}, machine)
	w.pass()
	state := w.run.state(subjectKey)
	state.writes = []written{{kind: machineKind, key: subjectKey, uid: machine.UID, resourceVersion: "1000", at: w.now}}
	if err := w.server.Delete(t.Context(), machine); err != nil {
		t.Fatal(err)
	}
	if result, _ := w.pass(); result.RequeueAfter != 0 || len(w.run.keys) != 0 {
		t.Errorf("it waits for %+v, and looks again after %s", state.writes, result.RequeueAfter)
	}
}

// TestBarrierIgnoresWhatIsNotRead: a kind that the controller reads from the server, or
// not at all, never shows in its cache.
func TestBarrierIgnoresWhatIsNotRead(t *testing.T) {
	w := newWorld(t, Options{}, writesConfigMaps(), createConfigMap, subject())
	left, err := w.run.unseen(t.Context(), []written{{kind: machineKind, key: Key{Name: "never-read"}, resourceVersion: "7", made: true, at: w.now}})
	if err != nil || len(left) > 0 {
		t.Errorf("it waits for %v, %v", left, err)
	}
}
