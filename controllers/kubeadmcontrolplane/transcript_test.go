// SPDX-License-Identifier: Apache-2.0

package kubeadmcontrolplane

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
)

// TestTranscripts plays what happens to a control plane from one change to the next. The
// quorum of etcd is looked at after each plan, the rules of plans with each. What was done
// and when is recorded in testdata/transcripts; go test -update writes it anew.
func TestTranscripts(t *testing.T) {
	scale := func(w *world, replicas int32) {
		w.controlPlane.Spec.Replicas = &replicas
		w.say("spec.replicas is %d", replicas)
		w.settle()
	}
	upgrade := func(w *world, version string) {
		w.controlPlane.Spec.Version = version
		w.say("spec.version is %s", version)
		w.settle()
		for _, machine := range w.machines {
			if machine.Spec.Version != version {
				w.Errorf("Machine %s is at %s", machine.Name, machine.Spec.Version)
			}
		}
	}
	for name, play := range map[string]func(w *world){
		"scale": func(w *world) {
			for _, replicas := range []int32{3, 5, 3, 1} {
				scale(w, replicas)
			}
		},
		"upgrade_one": func(w *world) { upgrade(w, "v1.38.0") },
		"upgrade_surge": func(w *world) {
			scale(w, 3)
			upgrade(w, "v1.38.0")
		},
		"upgrade_no_surge": func(w *world) {
			scale(w, 3)
			w.surge(0)
			upgrade(w, "v1.38.0")
		},
		"upgrade_changed_midway": func(w *world) {
			w.controlPlane.Spec.Replicas = new(int32(3))
			w.plans()
			for range 3 {
				w.tick()
				w.plans()
			}
			upgrade(w, "v1.37.2")
		},
		"remediation_one_of_three": func(w *world) {
			scale(w, 3)
			w.kill(w.machines[1].Name)
			w.settle()
		},
		"remediation_two_of_five": func(w *world) {
			scale(w, 5)
			w.kill(w.machines[0].Name)
			w.kill(w.machines[3].Name)
			w.settle()
		},
		"remediation_node_never_came": func(w *world) {
			w.controlPlane.Spec.Replicas = new(int32(3))
			w.plans()
			w.stuck[w.machines[1].Name] = true
			for range 10 {
				w.tick()
				w.plans()
			}
			w.say("%s does not come up", w.machines[1].Name)
			w.fail(w.machines[1].Name)
			w.settle()
		},
		"remediation_member_never_started": func(w *world) {
			w.controlPlane.Spec.Replicas = new(int32(3))
			for range 2 { // it is announced, and then its host ends
				w.plans()
				w.tick()
			}
			name := w.machines[1].Name
			w.stuck[name] = true
			w.say("%s stops while it joins", name)
			w.fail(name)
			w.settle()
		},
		"deleted_by_hand": func(w *world) {
			scale(w, 3)
			for _, machine := range w.machines[:2] {
				machine.DeletionTimestamp = &metav1.Time{Time: w.now}
				w.say("somebody deletes %s", machine.Name)
			}
			w.settle()
		},
		"all_deleted_by_hand": func(w *world) {
			scale(w, 3)
			for _, machine := range w.machines[:2] {
				machine.DeletionTimestamp = &metav1.Time{Time: w.now}
				w.say("somebody deletes %s", machine.Name)
			}
			w.plans()
			machine := w.machines[2]
			machine.DeletionTimestamp = &metav1.Time{Time: w.now}
			w.say("and then %s", machine.Name)
			w.settle()
		},
		"adoption": func(w *world) {
			scale(w, 3)
			w.orphans, w.machines = w.machines, nil
			for _, machine := range w.orphans {
				machine.OwnerReferences, machine.Annotations = nil, nil
			}
			w.say("the control plane is deleted without its Machines, and made again")
			// Nodes of machines that nobody controls are not asked for.
			w.plans()
			w.settle()
			if len(w.machines) != 3 {
				w.Errorf("%d Machines are there", len(w.machines))
			}
			if _, kept := w.machines[0].Annotations[hook]; !kept {
				w.Error("an adopted Machine has no hook")
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 1)
			w.settle()
			play(w)
			domains := map[string]int{}
			for _, machine := range w.machines {
				domains[machine.Spec.FailureDomain]++
				if domains[machine.Spec.FailureDomain] > (len(w.machines)+2)/3 {
					t.Errorf("%d of %d machines are in failure domain %s", domains[machine.Spec.FailureDomain], len(w.machines), machine.Spec.FailureDomain)
				}
			}
			compare(t, filepath.Join("testdata", "transcripts", name+".txt"), strings.Join(w.lines, "\n")+"\n")
		})
	}
}

// TestFirstMachineFails: before the control plane is initialized any machine that fails is
// replaced, and the retries are counted.
func TestFirstMachineFails(t *testing.T) {
	w := newWorld(t, 1)
	w.controlPlane.Spec.Remediation.MaxRetry, w.nobodyComes = new(int32(2)), true
	for round := range 4 {
		w.plans()
		if len(w.machines) != 1 {
			t.Fatalf("%d Machines are there in round %d", len(w.machines), round)
		}
		name := w.machines[0].Name
		w.fail(name)
		for range 3 {
			w.tick()
			w.plans()
		}
		if replaced := w.machines[0].Name != name; replaced != (round < 3) {
			t.Errorf("round %d: replaced %t", round, replaced)
		}
	}
	last := w.controlPlane.Status.LastRemediation
	if last.Machine == "" || *last.RetryCount != 2 || last.Time.IsZero() || last.Time.Sub(testTime) > time.Minute {
		t.Errorf("the last remediation is %+v", last)
	}
	if told := w.machines[0].Status.Conditions; told[len(told)-1].Reason != clusterv1.CannotBeRemediatedReason {
		t.Errorf("the last machine says %+v", told[len(told)-1])
	}
}

func compare(t *testing.T, path, got string) {
	t.Helper()
	if flag.Lookup("update").Value.String() == "true" {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("it went otherwise than %s says (-recorded +made; run with -update if it is right):\n%s", path, diff)
	}
}
