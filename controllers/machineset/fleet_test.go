// SPDX-License-Identifier: Apache-2.0

package machineset

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"

	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	"github.com/slipway-project/slipway/contract"
	"github.com/slipway-project/slipway/machines"
	"github.com/slipway-project/slipway/plan"
	"github.com/slipway-project/slipway/plan/plantest"
)

// TestLawsOnRandomFleets holds the laws of plans, and what no MachineSet may do, against
// sets in every state.
func TestLawsOnRandomFleets(t *testing.T) {
	reasons := map[string]int{}
	for seed := range 120 {
		random := rand.New(rand.NewPCG(uint64(seed), 5))
		snapshot := randomSnapshot(random)
		raw, err := json.Marshal(snapshot)
		if err != nil {
			t.Fatal(err)
		}
		decided := plantest.Laws(t, plantest.Subject[Snapshot, clusterv1.MachineSetStatus]{
			Plan: Plan, Invariants: invariants, Now: func(s Snapshot) time.Time { return s.Now },
		}, raw)
		reasons[decided.Outcome.Reason]++
		for _, broken := range limits(snapshot, decided) {
			t.Errorf("%s", broken)
		}
		if t.Failed() {
			t.Fatalf("set %d: %s", seed, raw)
		}
	}
	for _, reason := range []string{clusterv1.ScalingUpReason, clusterv1.ScalingDownReason, clusterv1.RemediatingReason, "ControlPlaneNotStable", "KubernetesVersionSkew", "AllMachinesThere", "TemplateNotAvailable"} {
		if reasons[reason] == 0 {
			t.Errorf("no set came to %s, so the test shows little: %v", reason, reasons)
		}
	}
}

// limits are told from the snapshot alone, without what the plan uses.
func limits(s Snapshot, decided plan.Plan[clusterv1.MachineSetStatus]) []string {
	var broken []string
	created, sickDeleted, sick := 0, 0, map[types.UID]bool{}
	going := 0
	for _, machine := range owned(s) {
		switch {
		case machines.OwnerIsAsked(machine):
			sick[machine.UID] = true
		case machines.BeingRemediated(machine):
			going++
		}
	}
	upgrading := s.ControlPlane.Value != nil && len(s.ControlPlane.Value.Versions()) > 0 && s.ControlPlane.Value.Versions()[0].Version < s.ControlPlane.Value.DesiredVersion()
	for _, action := range decided.Actions {
		switch action := action.(type) {
		case plan.Create:
			if action.Object.GetKind() == machineKind.Kind {
				created++
			}
		case plan.Delete:
			if sick[action.On.UID] {
				sickDeleted++
			}
		}
	}
	if created > 0 && upgrading {
		broken = append(broken, "Machines are made while the control plane is upgraded")
	}
	if decided.Outcome.Reason == clusterv1.RemediatingReason && sickDeleted > 0 {
		if upgrading {
			broken = append(broken, "Machines are replaced while the control plane is upgraded")
		}
		if limit := s.Deployment.Spec.Remediation.MaxInFlight; limit != nil && limit.Type == intstr.Int && going+sickDeleted > limit.IntValue() {
			broken = append(broken, fmt.Sprintf("%d Machines are replaced at a time, and %d may be", going+sickDeleted, limit.IntValue()))
		}
		if s.Deployment.Spec.Template.Spec.Version != s.MachineSet.Spec.Template.Spec.Version {
			broken = append(broken, "an old MachineSet replaces Machines")
		}
	}
	return broken
}

func randomSnapshot(random *rand.Rand) Snapshot {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	yes, chance := true, func(of int) bool { return random.IntN(of) == 0 }
	count := int32(random.IntN(6))
	versions := []string{"v1.36.3", "v1.37.1", "v1.37.1", "v1.37.1"}
	spec := clusterv1.MachineSpec{
		ClusterName: "demo", Version: versions[random.IntN(len(versions))],
		InfrastructureRef: clusterv1.ContractVersionedObjectReference{APIGroup: "g.io", Kind: "HostTemplate", Name: "small"},
		Bootstrap:         clusterv1.Bootstrap{ConfigRef: clusterv1.ContractVersionedObjectReference{APIGroup: "g.io", Kind: "ConfigTemplate", Name: "small"}},
	}
	controller := func(kind, name string) []metav1.OwnerReference {
		return []metav1.OwnerReference{{APIVersion: clusterv1.GroupVersion.String(), Kind: kind, Name: name, UID: types.UID(name + "-uid"), Controller: &yes}}
	}
	s := Snapshot{
		Now: now,
		MachineSet: &clusterv1.MachineSet{
			ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "set", UID: "set-uid", Finalizers: []string{clusterv1.MachineSetFinalizer}, OwnerReferences: controller("MachineDeployment", "workers")},
			Spec:       clusterv1.MachineSetSpec{ClusterName: "demo", Replicas: &count, Template: clusterv1.MachineTemplateSpec{Spec: spec}},
		},
		Deployment: &clusterv1.MachineDeployment{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "workers", UID: "workers-uid"}},
		Cluster: &clusterv1.Cluster{
			ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "demo", UID: "demo-uid"},
			Spec:       clusterv1.ClusterSpec{ControlPlaneRef: clusterv1.ContractVersionedObjectReference{APIGroup: "g.io", Kind: "ControlPlane", Name: "cp"}},
		},
		Missing: map[string]Missing{},
	}
	s.Deployment.Spec.Template.Spec = *spec.DeepCopy()
	if chance(4) {
		s.Deployment.Spec.Template.Spec.Version = "v1.37.9"
	}
	if chance(2) {
		limit := intstr.FromInt32(int32(random.IntN(3)))
		s.Deployment.Spec.Remediation.MaxInFlight = &limit
	}
	if chance(6) {
		s.MachineSet.DeletionTimestamp = &metav1.Time{Time: now}
	}
	s.InfrastructureTemplate = randomTemplate(random, "HostTemplate")
	s.BootstrapTemplate = randomTemplate(random, "ConfigTemplate")
	running := []string{"v1.36.2", "v1.37.1", "v1.37.1"}[random.IntN(3)]
	desired := running
	if chance(3) {
		desired = "v1.37.2"
	}
	s.ControlPlane = plan.KnownValue(&contract.Object{Contract: contract.V1Beta2, Unstructured: &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "g.io/v1", "kind": "ControlPlane", "metadata": map[string]any{"name": "cp", "namespace": "default"},
		"spec": map[string]any{"version": desired}, "status": map[string]any{"versions": []any{map[string]any{"version": running}}},
	}}}, now)
	for i := range random.IntN(7) {
		name := fmt.Sprintf("set-%d", i)
		machine := &clusterv1.Machine{
			ObjectMeta: metav1.ObjectMeta{
				Namespace: "default", Name: name, UID: types.UID(name), OwnerReferences: controller("MachineSet", "set"),
				CreationTimestamp: metav1.NewTime(now.Add(-time.Duration(random.IntN(100)) * time.Minute)), Finalizers: []string{clusterv1.MachineFinalizer},
			},
			Spec: *spec.DeepCopy(),
		}
		machine.Spec.InfrastructureRef.Kind, machine.Spec.InfrastructureRef.Name = "Host", name
		machine.Spec.Bootstrap.ConfigRef.Kind, machine.Spec.Bootstrap.ConfigRef.Name = "Config", name
		randomState(random, now, machine)
		if machine.DeletionTimestamp == nil && chance(6) {
			s.Missing[name] = Missing{Bootstrap: chance(2), Infrastructure: true}
		}
		s.Machines = append(s.Machines, machine)
	}
	return s
}

func randomTemplate(random *rand.Rand, kind string) plan.Known[*contract.Object] {
	if random.IntN(10) == 0 {
		return plan.Known[*contract.Object]{Err: kind + " default/small does not exist"}
	}
	return plan.Known[*contract.Object]{Value: &contract.Object{Contract: contract.V1Beta2, Unstructured: &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "g.io/v1", "kind": kind, "metadata": map[string]any{"name": "small", "namespace": "default"},
	}}}}
}

func randomState(random *rand.Rand, now time.Time, machine *clusterv1.Machine) {
	set := func(kind string, status metav1.ConditionStatus) {
		machine.Status.Conditions = append(machine.Status.Conditions, metav1.Condition{Type: kind, Status: status, Reason: "R", LastTransitionTime: metav1.NewTime(now)})
	}
	if random.IntN(5) == 0 {
		machine.DeletionTimestamp = &metav1.Time{Time: now}
	}
	if random.IntN(8) == 0 {
		machine.Annotations = map[string]string{clusterv1.DeleteMachineAnnotation: ""}
	}
	if random.IntN(4) > 0 {
		machine.Status.NodeRef.Name = machine.Name
		set(clusterv1.AvailableCondition, metav1.ConditionTrue)
	}
	if random.IntN(3) == 0 {
		set(clusterv1.HealthCheckSucceededCondition, metav1.ConditionFalse)
		set(clusterv1.OwnerRemediatedCondition, metav1.ConditionFalse)
	}
}
