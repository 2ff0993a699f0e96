// SPDX-License-Identifier: Apache-2.0

package dockercluster

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	infrav1 "github.com/slipway-project/slipway/api/infrastructure/v1beta2"
	"github.com/slipway-project/slipway/conditions"
	"github.com/slipway-project/slipway/machines"
	"github.com/slipway-project/slipway/plan"
)

// status is what a DockerCluster shows.
func status(s Snapshot, outcome plan.Outcome) infrav1.DockerClusterStatus {
	shown := infrav1.DockerClusterStatus{FailureDomains: s.DockerCluster.Spec.FailureDomains}
	provisioned := s.DockerCluster.Status.Initialization.Provisioned
	if s.LoadBalancer.Value.Running() && !former(s) && s.DockerCluster.Spec.ControlPlaneEndpoint != (infrav1.APIEndpoint{}) {
		yes := true
		provisioned = &yes
	}
	shown.Initialization.Provisioned = provisioned
	available := loadBalancerAvailable(s, outcome)
	deleting := deleting(s, outcome)
	ready := conditions.Summary(clusterv1.ReadyCondition,
		conditions.Reasons{True: clusterv1.ReadyReason, False: clusterv1.NotReadyReason, Unknown: clusterv1.ReadyUnknownReason},
		conditions.Part{Type: infrav1.LoadBalancerAvailableCondition, Condition: &available},
		conditions.Part{Type: clusterv1.DeletingCondition, Condition: &deleting, Negative: true},
	)
	shown.Conditions = conditions.Next(s.DockerCluster.Status.Conditions, s.DockerCluster.Generation, s.Now,
		ready, available, deleting, machines.PausedCondition(machines.Paused(s.Cluster, s.DockerCluster)))
	return shown
}

func deleting(s Snapshot, outcome plan.Outcome) metav1.Condition {
	switch {
	case s.DockerCluster.DeletionTimestamp == nil:
		return conditions.False(clusterv1.DeletingCondition, clusterv1.NotDeletingReason, "")
	case s.LastFailure != nil:
		return conditions.True(clusterv1.DeletingCondition, clusterv1.DeletingReason, s.LastFailure.Message)
	default:
		return conditions.True(clusterv1.DeletingCondition, clusterv1.DeletingReason, outcome.Message)
	}
}

func loadBalancerAvailable(s Snapshot, outcome plan.Outcome) metav1.Condition {
	const conditionType = infrav1.LoadBalancerAvailableCondition
	switch {
	case s.LastFailure != nil && s.DockerCluster.DeletionTimestamp == nil:
		return conditions.False(conditionType, s.LastFailure.Reason, s.LastFailure.Message)
	case outcome.Kind == plan.Blocked:
		return conditions.False(conditionType, outcome.Reason, outcome.Message)
	case s.LoadBalancer.Value.Running() && !former(s):
		return conditions.True(conditionType, clusterv1.AvailableReason, "")
	default:
		return conditions.False(conditionType, clusterv1.NotAvailableReason, outcome.Message)
	}
}
