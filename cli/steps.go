// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	"github.com/slipway-project/slipway/conditions"
)

// step is a phase of the creation of a cluster.
type step struct {
	Title string
	Done  bool
	// Detail says what a step that is not done waits for.
	Detail string
}

// steps are the phases of the creation of a cluster, in order, as far as they are
// done. One that is done can be so before an earlier one.
func steps(f family) []step {
	if f.Cluster == nil {
		return []step{{Title: "Cluster", Detail: "it does not exist"}}
	}
	list := []step{infrastructureStep(f), controlPlaneStep(f)}
	if len(f.ResourceSets) > 0 {
		list = append(list, networkStep(f))
	}
	workersWanted := workersWanted(f)
	if workersWanted > 0 {
		joined := joined(f.workers())
		list = append(list, step{
			Title: "Workers", Done: joined >= workersWanted,
			Detail: fmt.Sprintf("%d of %d joined", joined, workersWanted),
		})
	}
	wanted := workersWanted + controlPlanesWanted(f)
	ready := readyNodes(f.Machines)
	return append(list, step{
		Title: "Nodes", Done: ready >= wanted && len(f.Machines) == wanted,
		Detail: fmt.Sprintf("%d of %d Ready", ready, wanted),
	}, availabilityStep(f))
}

// availabilityStep is the last: nodes can be Ready while parts of the control plane are
// still starting.
func availabilityStep(f family) step {
	s := step{Title: "Availability", Detail: "not told yet"}
	if available := conditions.Find(f.Cluster.Status.Conditions, clusterv1.AvailableCondition); available != nil {
		s.Done = available.Status == metav1.ConditionTrue
		s.Detail = strings.TrimPrefix(firstLine(available.Message), "* ")
	}
	if s.Done {
		s.Detail = ""
	}
	return s
}

// finished tells that all steps are done.
func finished(list []step) bool {
	return !slices.ContainsFunc(list, func(s step) bool { return !s.Done })
}

func infrastructureStep(f family) step {
	s := step{Title: "Infrastructure", Done: isTrue(f.Cluster.Status.Initialization.InfrastructureProvisioned)}
	if !s.Done {
		s.Detail = waitsFor(infrastructureTroubles(f))
	}
	return s
}

func controlPlaneStep(f family) step {
	s := step{Title: "Control plane", Done: isTrue(f.Cluster.Status.Initialization.ControlPlaneInitialized)}
	if !s.Done {
		s.Detail = waitsFor(controlPlaneTroubles(f))
	}
	return s
}

func networkStep(f family) step {
	applied, wanted := 0, 0
	for _, set := range f.ResourceSets {
		for _, resource := range set.Spec.Resources {
			wanted++
			if f.Binding == nil {
				continue
			}
			for _, bound := range f.Binding.Spec.Bindings {
				if bound.ClusterResourceSetName != set.Name {
					continue
				}
				for _, entry := range bound.Resources {
					if entry.Kind == resource.Kind && entry.Name == resource.Name && isTrue(entry.Applied) {
						applied++
					}
				}
			}
		}
	}
	return step{Title: "Network", Done: applied >= wanted, Detail: fmt.Sprintf("%d of %s applied", applied, plural(wanted, "resource"))}
}

func waitsFor(list []trouble) string {
	if len(list) == 0 {
		return ""
	}
	return list[0].short()
}

func controlPlanesWanted(f family) int {
	if f.ControlPlane != nil {
		if desired := f.ControlPlane.Replicas().Desired; desired != nil {
			return int(*desired)
		}
	}
	return len(f.controlPlaneMachines())
}

func workersWanted(f family) int {
	wanted := 0
	for _, deployment := range f.Deployments {
		wanted += int(valueOr(deployment.Spec.Replicas, 1))
	}
	for _, set := range f.Sets {
		if metav1.GetControllerOf(&set) == nil {
			wanted += int(valueOr(set.Spec.Replicas, 1))
		}
	}
	for _, machine := range f.workers() {
		if metav1.GetControllerOf(&machine) == nil {
			wanted++
		}
	}
	return wanted
}

func joined(list []clusterv1.Machine) int {
	count := 0
	for _, machine := range list {
		if machine.Status.NodeRef.IsDefined() {
			count++
		}
	}
	return count
}

func readyNodes(list []clusterv1.Machine) int {
	count := 0
	for _, machine := range list {
		if conditions.Is(machine.Status.Conditions, clusterv1.NodeReadyCondition, metav1.ConditionTrue) {
			count++
		}
	}
	return count
}

func isTrue(value *bool) bool { return value != nil && *value }

func valueOr[T any](value *T, otherwise T) T {
	if value == nil {
		return otherwise
	}
	return *value
}
