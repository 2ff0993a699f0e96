// SPDX-License-Identifier: Apache-2.0

package dockermachine

import (
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	infrav1 "github.com/slipway-project/slipway/api/infrastructure/v1beta2"
	"github.com/slipway-project/slipway/conditions"
	"github.com/slipway-project/slipway/machines"
	"github.com/slipway-project/slipway/plan"
	"github.com/slipway-project/slipway/providers/docker/cloudconfig"
)

// status is what a DockerMachine shows.
func status(s Snapshot, outcome plan.Outcome) infrav1.DockerMachineStatus {
	before := s.DockerMachine.Status
	shown := infrav1.DockerMachineStatus{
		Initialization: before.Initialization, Addresses: before.Addresses, FailureDomain: before.FailureDomain,
		// kubeadm ends well only when the API answers at the endpoint, which is the
		// load balancer's.
		LoadBalancerConfigured: before.LoadBalancerConfigured || (s.Machine != nil && machines.IsControlPlane(s.Machine) && bootstrapSucceeded(s)),
	}
	if s.Machine != nil && s.Machine.Spec.FailureDomain != "" {
		shown.FailureDomain = s.Machine.Spec.FailureDomain
	}
	if container := s.Container.Value; running(s) && container.Address.IsValid() {
		address := container.Address.String()
		shown.Addresses = []clusterv1.MachineAddress{
			{Type: clusterv1.MachineHostName, Address: container.Name},
			{Type: clusterv1.MachineInternalIP, Address: address},
			{Type: clusterv1.MachineExternalIP, Address: address},
			{Type: clusterv1.MachineInternalDNS, Address: container.Name},
			{Type: clusterv1.MachineExternalDNS, Address: container.Name},
		}
	}
	if s.DockerMachine.Spec.ProviderID != "" && bootstrapBegun(s) {
		yes := true
		shown.Initialization.Provisioned = &yes
	}
	container, images, bootstrap := containerProvisioned(s, outcome), imagesReady(s, outcome), bootstrapCompleted(s, outcome)
	deleting := deleting(s, outcome)
	parts := []conditions.Part{
		{Type: infrav1.ContainerProvisionedCondition, Condition: &container},
		{Type: infrav1.BootstrapCompletedCondition, Condition: &bootstrap},
		{Type: clusterv1.DeletingCondition, Condition: &deleting, Negative: true},
	}
	all := []metav1.Condition{container, bootstrap, deleting, machines.PausedCondition(machines.Paused(s.Cluster, s.DockerMachine))}
	if images != nil {
		parts, all = append(parts, conditions.Part{Type: images.Type, Condition: images}), append(all, *images)
	}
	ready := conditions.Summary(clusterv1.ReadyCondition,
		conditions.Reasons{True: clusterv1.ReadyReason, False: clusterv1.NotReadyReason, Unknown: clusterv1.ReadyUnknownReason}, parts...)
	shown.Conditions = conditions.Next(before.Conditions, s.DockerMachine.Generation, s.Now, append([]metav1.Condition{ready}, all...)...)
	return shown
}

func deleting(s Snapshot, outcome plan.Outcome) metav1.Condition {
	switch {
	case s.DockerMachine.DeletionTimestamp == nil:
		return conditions.False(clusterv1.DeletingCondition, clusterv1.NotDeletingReason, "")
	case s.LastFailure != nil:
		return conditions.True(clusterv1.DeletingCondition, clusterv1.DeletingReason, s.LastFailure.Message)
	default:
		return conditions.True(clusterv1.DeletingCondition, clusterv1.DeletingReason, outcome.Message)
	}
}

// bootstrapped reports that the bootstrap is known to have succeeded; it never goes
// back.
func bootstrapped(machine *infrav1.DockerMachine) bool {
	return conditions.Is(machine.Status.Conditions, infrav1.BootstrapCompletedCondition, metav1.ConditionTrue)
}

func bootstrapSucceeded(s Snapshot) bool {
	return bootstrapped(s.DockerMachine) || (s.Bootstrap.OK() && !former(s) && s.Bootstrap.Value.Phase == cloudconfig.Succeeded)
}

func bootstrapBegun(s Snapshot) bool {
	phase := s.Bootstrap.Value.Phase
	return bootstrapped(s.DockerMachine) || (s.Bootstrap.OK() && !former(s) && phase != "" && phase != cloudconfig.NotStarted)
}

func containerProvisioned(s Snapshot, outcome plan.Outcome) metav1.Condition {
	const conditionType = infrav1.ContainerProvisionedCondition
	switch {
	case s.LastFailure != nil && !running(s):
		return conditions.False(conditionType, s.LastFailure.Reason, s.LastFailure.Message)
	case !s.Container.OK():
		return conditions.Unknown(conditionType, "ContainerEngineUnavailable", s.Container.Err)
	case running(s):
		return conditions.True(conditionType, clusterv1.ProvisionedReason, "")
	default:
		return conditions.False(conditionType, outcome.Reason, outcome.Message)
	}
}

// imagesReady is nil for a machine that names no images.
func imagesReady(s Snapshot, outcome plan.Outcome) *metav1.Condition {
	if len(s.DockerMachine.Spec.PreLoadImages) == 0 {
		return nil
	}
	condition := conditions.False(infrav1.PreLoadedImagesReadyCondition, infrav1.WaitingForPreloadedImagesReason, "")
	switch {
	case bootstrapBegun(s) || (s.LoadedImages.OK() && s.Boot.Value.Ready && len(missingImages(s)) == 0):
		condition = conditions.True(infrav1.PreLoadedImagesReadyCondition, clusterv1.ReadyReason, "")
	case s.LastFailure != nil && s.Boot.Value.Ready:
		condition.Reason, condition.Message = s.LastFailure.Reason, s.LastFailure.Message
	default:
		condition.Message = outcome.Message
	}
	return &condition
}

func bootstrapCompleted(s Snapshot, outcome plan.Outcome) metav1.Condition {
	const conditionType = infrav1.BootstrapCompletedCondition
	switch {
	case bootstrapSucceeded(s):
		return conditions.True(conditionType, infrav1.CompletedReason, notDone(s))
	case running(s) && s.Bootstrap.OK() && s.Bootstrap.Value.Phase == cloudconfig.Failed:
		return conditions.False(conditionType, infrav1.FailedReason, strings.TrimSpace(outcome.Message+"\n"+s.Bootstrap.Value.Output))
	case s.LastFailure != nil && running(s) && s.DockerMachine.DeletionTimestamp == nil:
		return conditions.False(conditionType, s.LastFailure.Reason, s.LastFailure.Message)
	case !running(s):
		return conditions.False(conditionType, infrav1.WaitingForContainerReason, "")
	default:
		return conditions.False(conditionType, outcome.Reason, outcome.Message)
	}
}

// notDone says what of the bootstrap data was not carried out. That is read once: what
// the condition has said stays.
func notDone(s Snapshot) string {
	if shown := conditions.Find(s.DockerMachine.Status.Conditions, infrav1.BootstrapCompletedCondition); shown != nil && shown.Status == metav1.ConditionTrue {
		return shown.Message
	}
	return s.Bootstrap.Value.NotDone()
}
