// SPDX-License-Identifier: Apache-2.0

package clusterresourceset

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	addonsv1 "github.com/slipway-project/slipway/api/addons/v1beta2"
	"github.com/slipway-project/slipway/conditions"
	"github.com/slipway-project/slipway/machines"
)

// status is what a ClusterResourceSet shows.
func status(s SetSnapshot) addonsv1.ClusterResourceSetStatus {
	return addonsv1.ClusterResourceSetStatus{
		ObservedGeneration: s.Set.Generation,
		Conditions: conditions.Next(s.Set.Status.Conditions, s.Set.Generation, s.Now,
			resourcesApplied(s),
			machines.PausedCondition(machines.Paused(nil, s.Set)),
		),
	}
}

func resourcesApplied(s SetSnapshot) metav1.Condition {
	const conditionType = addonsv1.ResourcesAppliedCondition
	if reason, problem := firstProblem(s); problem != "" {
		return conditions.False(conditionType, reason, problem)
	}
	if waiting := notYet(s); waiting != "" {
		return conditions.False(conditionType, addonsv1.NotAppliedReason, waiting)
	}
	return conditions.True(conditionType, addonsv1.AppliedReason, "")
}
