// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	"github.com/slipway-project/slipway/conditions"
)

// upgradeSteps are the phases of an upgrade, as far as they are done.
func upgradeSteps(f family, to string) []step {
	list := []step{controlPlaneUpgrade(f, to)}
	for _, deployment := range f.Deployments {
		if deployment.DeletionTimestamp == nil && deployment.Spec.Template.Spec.Version == to {
			list = append(list, workersUpgrade(f, deployment, to))
		}
	}
	return list
}

// rollingStep is a phase in which machines are replaced.
func rollingStep(title string, list []clusterv1.Machine, desired int, settled bool, to string, standing []trouble) step {
	s := step{Title: title}
	there, old := 0, 0
	for _, machine := range list {
		switch {
		case machine.DeletionTimestamp != nil || machine.Spec.Version != to || conditions.Is(machine.Status.Conditions, clusterv1.UpToDateCondition, metav1.ConditionFalse):
			old++
		case conditions.Is(machine.Status.Conditions, clusterv1.AvailableCondition, metav1.ConditionTrue):
			there++
		}
	}
	s.Done = settled && old == 0 && there >= desired && len(list) == desired
	if s.Done {
		return s
	}
	details := []string{fmt.Sprintf("%d of %s at %s and available", there, plural(desired, "machine"), to)}
	if old > 0 {
		details = append(details, fmt.Sprintf("%d to be replaced", old))
	}
	if len(standing) > 0 {
		details = append(details, standing[0].short())
	}
	s.Detail = strings.Join(details, "; ")
	return s
}

// controlPlaneUpgrade is done when all control-plane machines are of the version and
// the provider says so of what it was last asked for.
func controlPlaneUpgrade(f family, to string) step {
	const title = "Control plane"
	if f.ControlPlane == nil {
		return step{Title: title, Detail: "its object is gone"}
	}
	counters := f.ControlPlane.Replicas()
	settled := f.ControlPlane.DesiredVersion() == to
	if observed, found, _ := unstructured.NestedInt64(f.ControlPlane.Object, "status", "observedGeneration"); found {
		settled = settled && observed >= f.ControlPlane.GetGeneration()
	}
	list := f.controlPlaneMachines()
	if counters.Desired == nil && len(list) == 0 {
		// A control plane without machines tells its versions only.
		s := step{Title: title, Done: settled && len(f.ControlPlane.Versions()) > 0, Detail: "its provider has not told yet that it is at " + to}
		for _, version := range f.ControlPlane.Versions() {
			s.Done = s.Done && version.Version == to
		}
		return s
	}
	desired := int(valueOr(counters.Desired, int32(len(list))))
	settled = settled && int(valueOr(counters.Current, int32(desired))) == desired && int(valueOr(counters.UpToDate, int32(desired))) == desired &&
		!conditions.Is(conditionsOf(f.ControlPlane), clusterv1.RollingOutCondition, metav1.ConditionTrue)
	return rollingStep(title, list, desired, settled, to, controlPlaneTroubles(f))
}

// workersUpgrade is done when all machines of a MachineDeployment are of the version.
func workersUpgrade(f family, deployment clusterv1.MachineDeployment, to string) step {
	desired := valueOr(deployment.Spec.Replicas, 1)
	status := deployment.Status
	settled := status.ObservedGeneration >= deployment.Generation && valueOr(status.Replicas, 0) == desired && valueOr(status.UpToDateReplicas, 0) == desired
	return rollingStep("Workers "+deployment.Name, f.machinesOf(deployment), int(desired), settled, to, f.deploymentTroubles(deployment))
}

// setsOf are the MachineSets of a MachineDeployment.
func (f *family) setsOf(deployment clusterv1.MachineDeployment) []clusterv1.MachineSet {
	var list []clusterv1.MachineSet
	for _, set := range f.Sets {
		if metav1.IsControlledBy(&set, &deployment) {
			list = append(list, set)
		}
	}
	return list
}

// machinesOf are the Machines of a MachineDeployment.
func (f *family) machinesOf(deployment clusterv1.MachineDeployment) []clusterv1.Machine {
	var list []clusterv1.Machine
	for _, set := range f.setsOf(deployment) {
		list = append(list, f.machinesOfSet(set)...)
	}
	return list
}

func (f *family) machinesOfSet(set clusterv1.MachineSet) []clusterv1.Machine {
	var list []clusterv1.Machine
	for _, machine := range f.Machines {
		if metav1.IsControlledBy(&machine, &set) {
			list = append(list, machine)
		}
	}
	return list
}

// deploymentTroubles are those of one MachineDeployment.
func (f *family) deploymentTroubles(deployment clusterv1.MachineDeployment) []trouble {
	list := f.machineTroubles(f.machinesOf(deployment))
	for _, set := range f.setsOf(deployment) {
		list = append(list, f.of(machineSetKind.Kind, set.Name, set.UID, set.Status.Conditions)...)
	}
	return mendFirst(append(list, f.of(machineDeploymentKind.Kind, deployment.Name, deployment.UID, deployment.Status.Conditions)...))
}
