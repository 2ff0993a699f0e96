// SPDX-License-Identifier: Apache-2.0

package machinedeployment

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"

	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	"github.com/slipway-project/slipway/plan"
	"github.com/slipway-project/slipway/plan/plantest"
)

// TestLawsOnRandomFleets holds the laws of plans, and what no MachineDeployment may do,
// against fleets in every state. That the limits hold over time is tested beside the
// arithmetic.
func TestLawsOnRandomFleets(t *testing.T) {
	reasons := map[string]int{}
	for seed := range 120 {
		random := rand.New(rand.NewPCG(uint64(seed), 9))
		snapshot := randomSnapshot(random)
		raw, err := json.Marshal(snapshot)
		if err != nil {
			t.Fatal(err)
		}
		decided := plantest.Laws(t, plantest.Subject[Snapshot, clusterv1.MachineDeploymentStatus]{
			Plan: Plan, Invariants: invariants, Now: func(s Snapshot) time.Time { return s.Now },
		}, raw)
		reasons[decided.Outcome.Reason]++
		for _, action := range decided.Actions {
			if create, ok := action.(plan.Create); ok {
				names := map[string]bool{}
				for _, set := range snapshot.Sets {
					names[set.Name] = true
				}
				if names[create.Object.GetName()] {
					t.Errorf("%s: it is there", create)
				}
			}
		}
		if t.Failed() {
			t.Fatalf("fleet %d: %s", seed, raw)
		}
	}
	for _, reason := range []string{"CreatingMachineSet", scaling, "MachineSetUpToDate", clusterv1.RollingOutReason, rolloutsPaused, "WaitingForMachineSet", machineSetDeleting} {
		if reasons[reason] == 0 {
			t.Errorf("no fleet came to %s, so the test shows little: %v", reason, reasons)
		}
	}
}

func randomSnapshot(random *rand.Rand) Snapshot {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	yes, chance := true, func(of int) bool { return random.IntN(of) == 0 }
	replicas := int32(random.IntN(6))
	template := func(version string) clusterv1.MachineTemplateSpec {
		return clusterv1.MachineTemplateSpec{Spec: clusterv1.MachineSpec{
			ClusterName: "demo", Version: version, InfrastructureRef: clusterv1.ContractVersionedObjectReference{APIGroup: "g.io", Kind: "HostTemplate", Name: "small"},
		}}
	}
	s := Snapshot{
		Now: now, Cluster: &clusterv1.Cluster{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "demo", UID: "demo-uid"}},
		Deployment: &clusterv1.MachineDeployment{
			ObjectMeta: metav1.ObjectMeta{
				Namespace: "default", Name: "workers", UID: "workers-uid", Finalizers: []string{clusterv1.MachineDeploymentFinalizer}, Labels: map[string]string{clusterv1.ClusterNameLabel: "demo"},
				OwnerReferences: []metav1.OwnerReference{{APIVersion: clusterv1.GroupVersion.String(), Kind: "Cluster", Name: "demo", UID: "demo-uid"}},
			},
			Spec: clusterv1.MachineDeploymentSpec{ClusterName: "demo", Replicas: &replicas, Template: template("v1.37.1")},
		},
	}
	strategy := &s.Deployment.Spec.Rollout.Strategy
	if chance(4) {
		strategy.Type = clusterv1.OnDeleteMachineDeploymentStrategyType
	} else {
		surge, unavailable := intstr.FromInt32(int32(random.IntN(3))), intstr.FromInt32(int32(random.IntN(3)))
		strategy.RollingUpdate.MaxSurge, strategy.RollingUpdate.MaxUnavailable = &surge, &unavailable
	}
	if chance(5) {
		s.Deployment.Spec.Paused = &yes
	}
	if chance(8) {
		s.Deployment.Spec.Rollout.After = metav1.NewTime(now.Add(time.Duration(random.IntN(60)-30) * time.Minute))
	}
	left := int(replicas) + random.IntN(2)
	for i, version := range []string{"v1.35.2", "v1.36.3", "v1.37.1"}[random.IntN(3):] {
		if chance(6) {
			continue
		}
		count := random.IntN(left + 1)
		if version == "v1.37.1" && chance(2) {
			count = left
		}
		left -= count
		randomSet(random, &s, fmt.Sprintf("workers-%d", i), i+1, count, template(version))
	}
	s.Deployment.Annotations = map[string]string{clusterv1.RevisionAnnotation: claimed(s)}
	return s
}

// claimed is the revision that the MachineDeployment has when it follows its sets.
func claimed(s Snapshot) string {
	claim := claim(s)
	return claim.Object.GetAnnotations()[clusterv1.RevisionAnnotation]
}

func randomSet(random *rand.Rand, s *Snapshot, name string, revision, count int, template clusterv1.MachineTemplateSpec) {
	yes, now := true, s.Now
	asked, reported := int32(count), int32(count)
	set := &clusterv1.MachineSet{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "default", Name: name, UID: types.UID(name), Generation: 2, CreationTimestamp: metav1.NewTime(now.Add(time.Duration(revision-9) * time.Minute)),
			Annotations:     annotations(*s, revision),
			OwnerReferences: []metav1.OwnerReference{{APIVersion: clusterv1.GroupVersion.String(), Kind: "MachineDeployment", Name: "workers", UID: "workers-uid", Controller: &yes}},
		},
		Spec:   clusterv1.MachineSetSpec{ClusterName: "demo", Replicas: &asked, Template: template, Deletion: deletionOrder(*s)},
		Status: clusterv1.MachineSetStatus{Replicas: &reported, ObservedGeneration: 2},
	}
	set.Spec.Selector.MatchLabels = map[string]string{clusterv1.MachineDeploymentUniqueLabel: strconv.Itoa(revision)}
	set.Spec.Template.Labels = templateFor(*s, set.Spec.Selector).Labels
	set.Labels = set.Spec.Template.Labels
	if template.Spec.Version != "v1.37.1" {
		set.Annotations[clusterv1.DisableMachineCreateAnnotation] = "true"
	}
	switch random.IntN(12) {
	case 0:
		set.Status.ObservedGeneration = 1
	case 1:
		set.DeletionTimestamp = &metav1.Time{Time: now}
	case 2:
		reported++
	}
	for i := range max(count-random.IntN(2), 0) {
		machine := &clusterv1.Machine{ObjectMeta: metav1.ObjectMeta{
			Namespace: "default", Name: fmt.Sprintf("%s-%d", name, i), UID: types.UID(fmt.Sprintf("%s-%d", name, i)), CreationTimestamp: set.CreationTimestamp,
			OwnerReferences: []metav1.OwnerReference{{APIVersion: clusterv1.GroupVersion.String(), Kind: "MachineSet", Name: name, UID: set.UID, Controller: &yes}},
		}, Spec: template.Spec}
		if random.IntN(4) > 0 {
			machine.Status.NodeRef.Name = machine.Name
			machine.Status.Conditions = []metav1.Condition{{Type: clusterv1.AvailableCondition, Status: metav1.ConditionTrue, Reason: "R", LastTransitionTime: metav1.NewTime(now)}}
		}
		if random.IntN(8) == 0 {
			machine.DeletionTimestamp = &metav1.Time{Time: now}
		}
		s.Machines = append(s.Machines, machine)
	}
	s.Sets = append(s.Sets, set)
}
