// SPDX-License-Identifier: Apache-2.0

package dockermachine

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	controlplanev1 "github.com/slipway-project/slipway/api/controlplane/v1beta2"
	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
)

func TestOthersServing(t *testing.T) {
	machine := func(name string, change func(*clusterv1.Machine)) clusterv1.Machine {
		made := clusterv1.Machine{ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID(name), Labels: map[string]string{clusterv1.MachineControlPlaneLabel: ""}}}
		made.Status.NodeRef.Name = name
		if change != nil {
			change(&made)
		}
		return made
	}
	told := func(status metav1.ConditionStatus) func(*clusterv1.Machine) {
		return func(m *clusterv1.Machine) {
			m.Status.Conditions = []metav1.Condition{{Type: controlplanev1.APIServerPodHealthyCondition, Status: status}}
		}
	}
	leaving := machine("leaving", nil)
	for name, test := range map[string]struct {
		other clusterv1.Machine
		want  int
	}{
		"itself":                           {leaving, 0},
		"one with a node":                  {machine("b", nil), 1},
		"one whose API server runs":        {machine("b", told(metav1.ConditionTrue)), 1},
		"one whose API server does not":    {machine("b", told(metav1.ConditionFalse)), 0},
		"one of which nothing is known":    {machine("b", told(metav1.ConditionUnknown)), 0},
		"one that has no node yet":         {machine("b", func(m *clusterv1.Machine) { m.Status.NodeRef.Name = "" }), 0},
		"one that is being deleted itself": {machine("b", func(m *clusterv1.Machine) { now := metav1.NewTime(time.Unix(1, 0)); m.DeletionTimestamp = &now }), 0},
		"a worker":                         {machine("b", func(m *clusterv1.Machine) { m.Labels = nil }), 0},
	} {
		if got := othersServing([]clusterv1.Machine{leaving, test.other}, &leaving); got != test.want {
			t.Errorf("%s: %d serve, want %d", name, got, test.want)
		}
	}
}
