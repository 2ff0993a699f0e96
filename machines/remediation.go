// SPDX-License-Identifier: Apache-2.0

package machines

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	"github.com/slipway-project/slipway/conditions"
)

// OwnerIsAsked reports that the owner of a machine is asked to replace it: a health check
// found it unhealthy, and it is not on its way out yet.
func OwnerIsAsked(machine *clusterv1.Machine) bool {
	return !Deleting(machine) && RemediationAsked(machine)
}

// BeingRemediated reports that a machine was found unhealthy, and is on its way out since
// its owner was asked to replace it.
func BeingRemediated(machine *clusterv1.Machine) bool {
	return Deleting(machine) && RemediationAsked(machine)
}

// RemediationAsked reports that a health check failed and that the machine's owner is to
// replace it, or does so already. A check that failed alone asks for nothing: too many may
// have failed at a time.
func RemediationAsked(machine *clusterv1.Machine) bool {
	return conditions.Is(machine.Status.Conditions, clusterv1.HealthCheckSucceededCondition, metav1.ConditionFalse) &&
		conditions.Is(machine.Status.Conditions, clusterv1.OwnerRemediatedCondition, metav1.ConditionFalse)
}

// RemediationOrder sorts machines by which is replaced first: the newest, which holds the
// least.
func RemediationOrder(list []*clusterv1.Machine) []*clusterv1.Machine {
	return slices.SortedFunc(slices.Values(list), func(a, b *clusterv1.Machine) int {
		return cmp.Or(b.CreationTimestamp.Compare(a.CreationTimestamp.Time), cmp.Compare(a.Name, b.Name))
	})
}

// RemediatingCondition tells which machines are to be replaced or are being replaced, as
// their own conditions say.
func RemediatingCondition(list []*clusterv1.Machine) metav1.Condition {
	var lines []string
	asking := slices.DeleteFunc(slices.Clone(list), func(m *clusterv1.Machine) bool { return !RemediationAsked(m) })
	for _, member := range Members(asking, clusterv1.OwnerRemediatedCondition) {
		lines = append(lines, fmt.Sprintf("* Machine %s: %s", member.Name, cmp.Or(member.Condition.Message, member.Condition.Reason)))
	}
	if len(lines) == 0 {
		return conditions.False(clusterv1.RemediatingCondition, clusterv1.NotRemediatingReason, "")
	}
	const shown = 5
	if more := len(lines) - shown; more > 0 {
		lines = append(lines[:shown], fmt.Sprintf("* and %d Machines more", more))
	}
	return conditions.True(clusterv1.RemediatingCondition, clusterv1.RemediatingReason, strings.Join(lines, "\n"))
}
