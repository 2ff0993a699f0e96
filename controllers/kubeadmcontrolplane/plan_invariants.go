// SPDX-License-Identifier: Apache-2.0

package kubeadmcontrolplane

import (
	"fmt"
	"slices"
	"strings"

	bootstrapv1 "github.com/slipway-project/slipway/api/bootstrap/v1beta2"
	controlplanev1 "github.com/slipway-project/slipway/api/controlplane/v1beta2"
	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	"github.com/slipway-project/slipway/etcd"
	"github.com/slipway-project/slipway/plan"
)

// invariants are what no plan for a KubeadmControlPlane may break. They stand beside what
// decides, and ask the snapshot anew.
func invariants(s Snapshot, decided plan.Plan[controlplanev1.KubeadmControlPlaneStatus]) []string {
	var broken []string
	created, memberships := 0, 0
	for _, action := range decided.Actions {
		problem := ""
		switch action := action.(type) {
		case plan.Create:
			if action.Object.GetKind() == machineKind.Kind {
				created++
			}
			if s.ControlPlane.DeletionTimestamp != nil {
				problem = "nothing is made for a control plane that is being deleted"
			}
		case plan.Delete:
			problem = deletionProblem(s, action)
			if machine := machineNamed(s, action.On.Name); machine != nil && !memberless(s, machine) {
				memberships++
			}
		case plan.Operate:
			memberships++
			if remove, ok := action.Operation.(etcd.RemoveMember); ok && !s.Etcd.Value.Without(remove.Member.ID).Holds() {
				problem = fmt.Sprintf("etcd would lose its quorum: %s", s.Etcd.Value.Without(remove.Member.ID))
			}
		case plan.Patch:
			switch {
			case removes(action, hook):
				problem = hookProblem(s, machineNamed(s, action.On.Name))
			case removes(action, bootstrapv1.HoldJoinAnnotation):
				memberships++
			}
		}
		if problem != "" {
			broken = append(broken, fmt.Sprintf("%s: %s", action, problem))
		}
	}
	if memberships > 1 && s.ControlPlane.DeletionTimestamp == nil {
		broken = append(broken, fmt.Sprintf("%d changes of the membership of etcd would be made at once", memberships))
	}
	if limit := replicas(s.ControlPlane) + surge(s); created > 0 && len(s.Machines)+created > limit {
		broken = append(broken, fmt.Sprintf("%d Machines would be made where %d are there and %d may be", created, len(s.Machines), limit))
	}
	if created > 1 && !isInitializedNow(s) {
		broken = append(broken, fmt.Sprintf("%d Machines would be made where one initializes the control plane", created))
	}
	if wasInitialized(s) && !isTrue(decided.Status.Initialization.ControlPlaneInitialized) {
		broken = append(broken, "status.initialization.controlPlaneInitialized would go back to false")
	}
	return broken
}

// deletionProblem says why a Machine may not be deleted; empty when it may.
func deletionProblem(s Snapshot, action plan.Delete) string {
	machine := machineNamed(s, action.On.Name)
	switch {
	case s.ControlPlane.DeletionTimestamp != nil && len(s.Workers) > 0:
		return "the control plane would go before the workers"
	case s.ControlPlane.DeletionTimestamp != nil:
		return ""
	case machine == nil:
		return "it is no Machine of this control plane"
	case memberless(s, machine):
		return ""
	case !s.Etcd.OK():
		return "what etcd would be without it cannot be seen"
	}
	member, _ := memberOf(s, machine)
	if left := s.Etcd.Value.Without(member.ID); !left.Holds() {
		return fmt.Sprintf("etcd would lose its quorum: %s", left)
	}
	return ""
}

// hookProblem says why the host of a machine on its way out may not go; empty when it may.
func hookProblem(s Snapshot, machine *clusterv1.Machine) string {
	switch {
	case machine == nil:
		return "it is no Machine of this control plane"
	case s.ControlPlane.DeletionTimestamp != nil, s.Cluster != nil && s.Cluster.DeletionTimestamp != nil, len(s.Machines) == 1, memberless(s, machine):
		return ""
	default:
		return "its member of etcd is not removed yet"
	}
}

func machineNamed(s Snapshot, name string) *clusterv1.Machine {
	for _, machine := range s.Machines {
		if machine.Name == name {
			return machine
		}
	}
	return nil
}

// removes reports that a patch takes an annotation away.
func removes(patch plan.Patch, annotation string) bool {
	path := "/metadata/annotations/" + strings.ReplaceAll(annotation, "/", "~1")
	return slices.ContainsFunc(patch.Operations, func(operation plan.PatchOperation) bool { return operation.Op == "remove" && operation.Path == path })
}
