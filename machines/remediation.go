// SPDX-License-Identifier: Apache-2.0

package machines

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	"github.com/slipway-project/slipway/conditions"
)

// RemediationAsked reports that a health check failed and that the machine's owner is to
// replace it. A check that failed alone asks for nothing: too many may have failed at a
// time.
func RemediationAsked(machine *clusterv1.Machine) bool {
	return conditions.Is(machine.Status.Conditions, clusterv1.HealthCheckSucceededCondition, metav1.ConditionFalse) &&
		conditions.Is(machine.Status.Conditions, clusterv1.OwnerRemediatedCondition, metav1.ConditionFalse)
}
