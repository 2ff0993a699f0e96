// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	"github.com/slipway-project/slipway/plan"
)

// onBench puts the controller of these tests on a bench over the same server.
func (w *world) onBench(decide planner, writing bool) *Stepper {
	c := Controller[snapshot, clusterv1.MachineStatus]{
		Name: "tested", Kind: machineKind, Outputs: writesConfigMaps(), Observe: w.observe,
		Inputs: []Input{Subject(&clusterv1.Machine{}), Owned(&corev1.ConfigMap{}, machineKind.GroupKind())},
		Subject: func(s snapshot) client.Object {
			if s.Machine == nil {
				return nil
			}
			return s.Machine
		},
		Plan: decide,
	}
	bench := Bench{Scheme: testScheme(), Reader: w.server, Live: w.server, Now: w.run.engine.now}
	if writing {
		bench.Writer = w.server
	}
	return NewStepper(bench, c)
}

func verbs(actions []plan.Action) []string {
	var all []string
	for _, action := range actions {
		all = append(all, action.String())
	}
	return all
}

func TestLookWritesNothing(t *testing.T) {
	w := newWorld(t, Options{}, writesConfigMaps(), createConfigMap, subject())
	stepper := w.onBench(createConfigMap, false)
	pass, err := stepper.Look(t.Context(), subjectKey)
	if err != nil {
		t.Fatal(err)
	}
	if len(w.writes) > 0 || len(pass.Done) > 0 {
		t.Errorf("to look wrote %v, and did %v", w.writes, pass.Done)
	}
	if diff := cmp.Diff([]string{"create ConfigMap default/subject"}, verbs(pass.Planned)); diff != "" || pass.Outcome.Reason != "Creating" || pass.Text == "" {
		t.Errorf("planned (-want +got):\n%s outcome %s, text %q", diff, pass.Outcome, pass.Text)
	}
	if _, err := stepper.Step(t.Context(), subjectKey); err == nil || len(w.writes) > 0 {
		t.Errorf("without a writer a step is taken: %v, %v", err, w.writes)
	}
}

func TestStepTellsWhatWasDone(t *testing.T) {
	w := newWorld(t, Options{}, writesConfigMaps(), createConfigMap, subject())
	stepper := w.onBench(createConfigMap, true)
	step := func() Pass {
		t.Helper()
		pass, err := stepper.Step(t.Context(), subjectKey)
		if err != nil {
			t.Fatal(err)
		}
		return pass
	}
	w.refuse = func(write string) error {
		if write == "create ConfigMap" {
			return errors.New("no room")
		}
		return nil
	}
	if pass := step(); pass.Failure == nil || pass.Failure.Message != "no room" || len(pass.Done) != 1 {
		t.Errorf("a write that fails is told as %+v, done %v", pass.Failure, pass.Done)
	}
	w.refuse, w.now = nil, w.now.Add(failingKept)
	if diff := cmp.Diff([]string{"apply status of Machine default/subject", "create ConfigMap default/subject"}, verbs(step().Done)); diff != "" {
		t.Errorf("done (-want +got):\n%s", diff)
	}
	step()
	if pass := step(); len(pass.Done) > 0 || pass.Next != 0 || pass.Outcome.Kind != plan.Converged || pass.Failure != nil {
		t.Errorf("a settled pass: %+v", pass)
	}
	if pass, err := stepper.Step(t.Context(), Key{Namespace: "default", Name: "nobody"}); err != nil || pass.Subject != nil {
		t.Errorf("of an object that is not there: %+v, %v", pass, err)
	}
}
