// SPDX-License-Identifier: Apache-2.0

package kubeadmcontrolplane

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	controlplanev1 "github.com/slipway-project/slipway/api/controlplane/v1beta2"
	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	"github.com/slipway-project/slipway/conditions"
	"github.com/slipway-project/slipway/machines"
	"github.com/slipway-project/slipway/plan"
)

// component is a part of the control plane that runs as a static pod on each machine.
type component struct {
	name, condition string
}

const etcdComponent = "etcd"

// components are those that kubeadm starts on each machine.
func components(s Snapshot) []component {
	list := []component{
		{"kube-apiserver", controlplanev1.APIServerPodHealthyCondition},
		{"kube-controller-manager", controlplanev1.ControllerManagerPodHealthyCondition},
		{"kube-scheduler", controlplanev1.SchedulerPodHealthyCondition},
	}
	if !externalEtcd(s.ControlPlane.Spec.KubeadmConfigSpec) {
		list = append(list, component{etcdComponent, controlplanev1.EtcdPodHealthyCondition})
	}
	return list
}

// podName is the name of a component's mirror pod, as the kubelet gives it.
func podName(part component, machine *clusterv1.Machine) string {
	return part.name + "-" + machine.Status.NodeRef.Name
}

// machineConditions are what the control plane says about one of its machines.
func machineConditions(s Snapshot, machine *clusterv1.Machine) []metav1.Condition {
	upToDate := conditions.True(clusterv1.UpToDateCondition, clusterv1.UpToDateReason, "")
	if differs := differences(s, machine); len(differs) > 0 {
		upToDate = conditions.False(clusterv1.UpToDateCondition, clusterv1.NotUpToDateReason, strings.Join(differs, ", "))
	}
	wanted := []metav1.Condition{upToDate}
	for _, part := range components(s) {
		wanted = append(wanted, podHealthy(s, machine, part))
	}
	return conditions.Next(machine.Status.Conditions, machine.Generation, s.Now, wanted...)
}

// podHealthy tells how one component on one machine is doing.
func podHealthy(s Snapshot, machine *clusterv1.Machine, part component) metav1.Condition {
	if machines.Deleting(machine) {
		return conditions.Unknown(part.condition, clusterv1.DeletingReason, "the Machine is being deleted")
	}
	if !s.Workload.OK() {
		seen := conditions.Find(machine.Status.Conditions, part.condition)
		if seen != nil && s.Now.Sub(s.LastContact) < contactGrace {
			return *seen
		}
		if !isInitializedNow(s) {
			return conditions.Unknown(part.condition, clusterv1.InspectionFailedReason, "the control plane is not initialized yet")
		}
		return conditions.Unknown(part.condition, clusterv1.ConnectionDownReason, s.Workload.Err)
	}
	if !machine.Status.NodeRef.IsDefined() {
		return conditions.Unknown(part.condition, clusterv1.InspectionFailedReason, "the Node of the Machine is not there yet")
	}
	status, found := s.Workload.Value.Pods[podName(part, machine)]
	if !found {
		return conditions.False(part.condition, controlplanev1.DoesNotExistReason, fmt.Sprintf("Pod %s does not exist", podName(part, machine)))
	}
	return podCondition(part.condition, status)
}

// podCondition reads a pod's status. A container that has ended before, or waits after
// an error, has failed; one that has not started yet is coming.
func podCondition(conditionType string, status *corev1.PodStatus) metav1.Condition {
	for _, condition := range status.Conditions {
		if status.Phase == corev1.PodRunning && condition.Type == corev1.PodReady && condition.Status == corev1.ConditionTrue {
			return conditions.True(conditionType, controlplanev1.RunningReason, "")
		}
	}
	switch status.Phase {
	case corev1.PodFailed, corev1.PodSucceeded:
		return conditions.False(conditionType, controlplanev1.FailedReason, "all containers have ended")
	case corev1.PodPending, corev1.PodRunning:
	default:
		return conditions.Unknown(conditionType, clusterv1.InspectionFailedReason, "the kubelet does not report the pod's phase")
	}
	for _, container := range status.ContainerStatuses {
		waiting, ended := container.State.Waiting, container.State.Terminated
		switch {
		case waiting != nil && waiting.Reason != "ContainerCreating" && waiting.Reason != "PodInitializing":
			return conditions.False(conditionType, controlplanev1.FailedReason, trouble(container.Name, waiting.Reason, waiting.Message))
		case ended != nil:
			return conditions.False(conditionType, controlplanev1.FailedReason, trouble(container.Name, ended.Reason, ended.Message))
		}
	}
	return conditions.False(conditionType, controlplanev1.ProvisioningReason, "the pod is starting")
}

func trouble(container, reason, message string) string {
	if message == "" {
		return fmt.Sprintf("container %s: %s", container, reason)
	}
	return fmt.Sprintf("container %s: %s: %s", container, reason, message)
}

// conditionMarks show on each machine what the control plane says about it.
func conditionMarks(s Snapshot) []plan.Action {
	var actions []plan.Action
	for _, machine := range sorted(s.Machines) {
		intent, err := plan.StatusIntent(machineKind, machine, &clusterv1.MachineStatus{Conditions: machineConditions(s, machine)})
		if err != nil || !plan.NeedsApply(plan.Live(machineKind, machine), intent, plan.Manager(name), "status") {
			continue
		}
		actions = append(actions, plan.Apply{Object: intent, Subresource: "status", Reason: "to tell how its part of the control plane is doing"})
	}
	return actions
}

// healthParts are the pods' conditions of all machines, of etcd or of all but etcd.
func healthParts(s Snapshot, etcd bool) []conditions.Part {
	var parts []conditions.Part
	for _, machine := range sorted(s.Machines) {
		parts = append(parts, partsOf(s, machine, etcd)...)
	}
	return parts
}

func partsOf(s Snapshot, machine *clusterv1.Machine, etcd bool) []conditions.Part {
	shown := machineConditions(s, machine)
	var parts []conditions.Part
	for _, part := range components(s) {
		if (part.name == etcdComponent) == etcd {
			parts = append(parts, conditions.Part{Type: "Machine " + machine.Name + ": " + part.condition, Condition: conditions.Find(shown, part.condition)})
		}
	}
	return parts
}

func count(parts []conditions.Part, status metav1.ConditionStatus) int {
	n := 0
	for _, part := range parts {
		if part.Condition != nil && part.Condition.Status == status {
			n++
		}
	}
	return n
}

// allHealthy reports that every pod of every machine runs.
func allHealthy(s Snapshot) bool {
	parts := append(healthParts(s, true), healthParts(s, false)...)
	return len(parts) > 0 && count(parts, metav1.ConditionTrue) == len(parts)
}
