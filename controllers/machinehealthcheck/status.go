// SPDX-License-Identifier: Apache-2.0

package machinehealthcheck

import (
	"fmt"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	"github.com/slipway-project/slipway/conditions"
	"github.com/slipway-project/slipway/machines"
)

// status is what a health check shows.
func status(s Snapshot, f findings) clusterv1.MachineHealthCheckStatus {
	allowed := remediationAllowed(s, f)
	remaining := 0
	if allowed.Status == metav1.ConditionTrue {
		remaining = f.trigger.remaining
	}
	shown := clusterv1.MachineHealthCheckStatus{
		ExpectedMachines:    count(len(f.verdicts)),
		CurrentHealthy:      count(f.count(healthy)),
		RemediationsAllowed: count(remaining),
		ObservedGeneration:  s.HealthCheck.Generation,
		Conditions: conditions.Next(s.HealthCheck.Status.Conditions, s.HealthCheck.Generation, s.Now,
			allowed, machines.PausedCondition(false, "")),
	}
	for _, v := range f.verdicts {
		shown.Targets = append(shown.Targets, v.machine.Name)
	}
	return shown
}

// pausedStatus is what was found before, and that it rests.
func pausedStatus(s Snapshot, why string) clusterv1.MachineHealthCheckStatus {
	was := s.HealthCheck.Status
	shown := clusterv1.MachineHealthCheckStatus{
		ExpectedMachines: was.ExpectedMachines, CurrentHealthy: was.CurrentHealthy, RemediationsAllowed: was.RemediationsAllowed,
		Targets: was.Targets, ObservedGeneration: s.HealthCheck.Generation,
	}
	if allowed := conditions.Find(was.Conditions, clusterv1.RemediationAllowedCondition); allowed != nil {
		shown.Conditions = append(shown.Conditions, *allowed)
	}
	shown.Conditions = append(shown.Conditions,
		conditions.Next(was.Conditions, s.HealthCheck.Generation, s.Now, machines.PausedCondition(true, why))...)
	return shown
}

func count(n int) *int32 {
	number := int32(n)
	return &number
}

// remediationAllowed says whether a Machine that becomes unhealthy would be remedied, and
// what went wrong last.
func remediationAllowed(s Snapshot, f findings) metav1.Condition {
	condition := allowedOf(s, f)
	said := []string{condition.Message}
	if len(f.elsewhere) > 0 {
		said = append(said, strings.Join(f.elsewhere, "; "))
	}
	if s.LastFailure != nil {
		said = append(said, fmt.Sprintf("%s failed: %s", s.LastFailure.Action, s.LastFailure.Message))
	}
	if said[0] == "" {
		said = said[1:]
	}
	condition.Message = strings.Join(said, "; ")
	return condition
}

func allowedOf(s Snapshot, f findings) metav1.Condition {
	const kind = clusterv1.RemediationAllowedCondition
	switch {
	case s.HealthCheck.DeletionTimestamp != nil:
		return conditions.False(kind, clusterv1.DeletingReason, "the MachineHealthCheck is being deleted")
	case s.Cluster != nil && s.Cluster.DeletionTimestamp != nil:
		return conditions.False(kind, clusterv1.DeletingReason, fmt.Sprintf("Cluster %s is being deleted", s.Cluster.Name))
	case f.invalid != "":
		return conditions.False(kind, invalidSpecReason, f.invalid)
	case !f.evidence.ok:
		return conditions.Unknown(kind, f.evidence.reason, f.evidence.why)
	case !f.trigger.allowed:
		return conditions.False(kind, f.trigger.reason, f.trigger.message)
	case f.template != "":
		return conditions.False(kind, clusterv1.RemediationTemplateNotFoundReason, f.template)
	default:
		return conditions.True(kind, clusterv1.RemediationAllowedReason, "")
	}
}
