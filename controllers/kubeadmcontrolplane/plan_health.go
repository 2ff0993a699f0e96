// SPDX-License-Identifier: Apache-2.0

package kubeadmcontrolplane

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	bootstrapv1 "github.com/slipway-project/slipway/api/bootstrap/v1beta2"
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
	for _, shown := range append(partConditions(s, machine), nodeMarks(s, machine)) {
		if machines.Deleting(machine) {
			shown = conditions.Unknown(shown.Type, clusterv1.DeletingReason, "the Machine is being deleted")
		}
		wanted = append(wanted, shown)
	}
	if mark := verdictMark(s, machine); mark != nil {
		wanted = append(wanted, *mark)
	}
	return conditions.Next(machine.Status.Conditions, machine.Generation, s.Now, wanted...)
}

// partConditions tell how the parts of the control plane on one machine are doing, whether
// it is on its way out or not: its pods, and its member of etcd.
func partConditions(s Snapshot, machine *clusterv1.Machine) []metav1.Condition {
	var shown []metav1.Condition
	for _, part := range components(s) {
		shown = append(shown, podHealthy(s, machine, part))
	}
	if stacked(s) {
		shown = append(shown, memberHealthy(s, machine))
	}
	return shown
}

// notSeen is what to say of a machine of which nothing can be seen; nil when it can. What
// was last seen counts for a while.
func notSeen(s Snapshot, machine *clusterv1.Machine, conditionType string) *metav1.Condition {
	var shown metav1.Condition
	switch {
	case !s.Workload.OK():
		seen := conditions.Find(machine.Status.Conditions, conditionType)
		switch {
		case seen != nil && s.Now.Sub(s.LastContact) < contactGrace:
			return seen
		case !isInitializedNow(s):
			shown = conditions.Unknown(conditionType, clusterv1.InspectionFailedReason, "the control plane is not initialized yet")
		default:
			shown = conditions.Unknown(conditionType, clusterv1.ConnectionDownReason, s.Workload.Err)
		}
	case !machine.Status.NodeRef.IsDefined():
		shown = conditions.Unknown(conditionType, clusterv1.InspectionFailedReason, "the Node of the Machine is not there yet")
	default:
		return nil
	}
	return &shown
}

// podHealthy tells how one component on one machine is doing.
func podHealthy(s Snapshot, machine *clusterv1.Machine, part component) metav1.Condition {
	if shown := notSeen(s, machine, part.condition); shown != nil {
		return *shown
	}
	status, found := s.Workload.Value.Pods[podName(part, machine)]
	if !found {
		return conditions.False(part.condition, controlplanev1.DoesNotExistReason, fmt.Sprintf("Pod %s does not exist", podName(part, machine)))
	}
	return podCondition(part.condition, status)
}

// memberHealthy tells how a machine's member of etcd is doing, by what the members say.
func memberHealthy(s Snapshot, machine *clusterv1.Machine) metav1.Condition {
	const condition = controlplanev1.EtcdMemberHealthyCondition
	if shown := notSeen(s, machine, condition); shown != nil {
		return *shown
	}
	if !s.Etcd.OK() {
		return conditions.Unknown(condition, clusterv1.InspectionFailedReason, s.Etcd.Err)
	}
	member, found := memberOf(s, machine)
	if !found {
		return conditions.False(condition, controlplanev1.NotHealthyReason, fmt.Sprintf("etcd has no member on Node %s", machine.Status.NodeRef.Name))
	}
	if problem := s.Etcd.Value.Problem(member); problem != "" {
		return conditions.False(condition, controlplanev1.NotHealthyReason, problem)
	}
	return conditions.True(condition, controlplanev1.HealthyReason, "")
}

// controlPlaneRole is the label that kubeadm sets on the Nodes of a control plane, and the
// taint, unless the configuration lists taints of its own.
const controlPlaneRole = "node-role.kubernetes.io/control-plane"

// nodeMarks tells whether a Node is marked as kubeadm marks those of a control plane.
func nodeMarks(s Snapshot, machine *clusterv1.Machine) metav1.Condition {
	const condition = controlplanev1.NodeKubeadmLabelsAndTaintsSetCondition
	if shown := notSeen(s, machine, condition); shown != nil {
		return *shown
	}
	name := machine.Status.NodeRef.Name
	node, found := s.Workload.Value.Nodes[name]
	if !found {
		return conditions.Unknown(condition, clusterv1.InspectionFailedReason, fmt.Sprintf("Node %s does not exist", name))
	}
	_, labelled := node.Labels[controlPlaneRole]
	tainted := slices.ContainsFunc(node.Taints, func(taint corev1.Taint) bool {
		return taint.Key == controlPlaneRole && taint.Effect == corev1.TaintEffectNoSchedule
	})
	switch {
	case !labelled:
		return conditions.False(condition, controlplanev1.NotSetReason, fmt.Sprintf("Node %s has no label %s", name, controlPlaneRole))
	case !tainted && !taintsListed(s.Objects[machine.Name].Config):
		return conditions.False(condition, controlplanev1.NotSetReason, fmt.Sprintf("Node %s has no taint %s:%s", name, controlPlaneRole, corev1.TaintEffectNoSchedule))
	default:
		return conditions.True(condition, controlplanev1.SetReason, "")
	}
}

// taintsListed reports that a configuration says itself which taints the Node gets.
func taintsListed(config *bootstrapv1.KubeadmConfig) bool {
	return config != nil && (config.Spec.InitConfiguration.NodeRegistration.Taints != nil || config.Spec.JoinConfiguration.NodeRegistration.Taints != nil)
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

// partsOf are the conditions of a machine's pods, or of its member of etcd, for sums.
func partsOf(s Snapshot, machine *clusterv1.Machine, member bool) []conditions.Part {
	shown := machineConditions(s, machine)
	var parts []conditions.Part
	for _, part := range partConditions(s, machine) {
		if (part.Type == controlplanev1.EtcdMemberHealthyCondition) == member {
			parts = append(parts, conditions.Part{Type: "Machine " + machine.Name + ": " + part.Type, Condition: conditions.Find(shown, part.Type)})
		}
	}
	return parts
}

// podParts and memberParts are those of all machines.
func podParts(s Snapshot) []conditions.Part    { return parts(s, false) }
func memberParts(s Snapshot) []conditions.Part { return parts(s, true) }

func parts(s Snapshot, member bool) []conditions.Part {
	var all []conditions.Part
	for _, machine := range sorted(s.Machines) {
		all = append(all, partsOf(s, machine, member)...)
	}
	return all
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

// allHealthy reports that every part of every machine runs.
func allHealthy(s Snapshot) bool {
	all := append(podParts(s), memberParts(s)...)
	return len(all) > 0 && count(all, metav1.ConditionTrue) == len(all)
}
