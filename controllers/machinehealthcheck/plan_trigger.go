// SPDX-License-Identifier: Apache-2.0

package machinehealthcheck

import (
	"fmt"
	"math"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
)

const invalidSpecReason = "InvalidSpec"

// trigger says whether so many Machines are not healthy that none is remedied.
type trigger struct {
	allowed         bool
	reason, message string
	// remaining is how many more may become unhealthy.
	remaining int
}

// triggered counts against spec.remediation.triggerIf. All that are not known to be
// healthy count.
func triggered(s Snapshot, f findings) trigger {
	total := len(f.verdicts)
	sick := total - f.count(healthy)
	low, high, problem := bounds(s.HealthCheck, total)
	if problem != "" {
		return trigger{reason: invalidSpecReason, message: problem}
	}
	asked := s.HealthCheck.Spec.Remediation.TriggerIf
	text := "unhealthyInRange is " + asked.UnhealthyInRange
	if asked.UnhealthyInRange == "" {
		text = fmt.Sprintf("unhealthyLessThanOrEqualTo allows %d", high)
	}
	counted := fmt.Sprintf("%d of %d Machines are not healthy (%s), and spec.remediation.triggerIf.%s", sick, total, some(notHealthy(f)), text)
	switch {
	case sick > high:
		return trigger{reason: clusterv1.TooManyUnhealthyReason, message: counted + ": none is remedied any more; look for what ails them all, or raise the limit"}
	case sick < low && f.count(unhealthy) > 0:
		return trigger{reason: clusterv1.TooFewUnhealthyReason, message: counted + ": none is remedied yet; delete one by hand if it is to be replaced, or lower the limit", remaining: high - sick}
	case sick < low:
		// Too few, but none that would be remedied.
		return trigger{allowed: true, reason: clusterv1.RemediationAllowedReason, remaining: high - sick}
	default:
		return trigger{allowed: true, reason: clusterv1.RemediationAllowedReason, remaining: high - sick}
	}
}

// bounds are between which numbers that of the Machines that are not healthy has to lie
// for any of them to be remedied. problem says why they cannot be told.
func bounds(healthCheck *clusterv1.MachineHealthCheck, total int) (low, high int, problem string) {
	asked := healthCheck.Spec.Remediation.TriggerIf
	if asked.UnhealthyInRange != "" {
		if _, err := fmt.Sscanf(asked.UnhealthyInRange, "[%d-%d]", &low, &high); err != nil || low < 0 || high < low {
			return 0, 0, fmt.Sprintf("spec.remediation.triggerIf.unhealthyInRange is %q; write it such as [3-5], the smaller number first", asked.UnhealthyInRange)
		}
		return low, high, ""
	}
	limit := asked.UnhealthyLessThanOrEqualTo
	if limit == nil {
		return 0, total, ""
	}
	high, err := intstr.GetScaledValueFromIntOrPercent(limit, total, false)
	if err != nil || high < 0 {
		return 0, 0, fmt.Sprintf("spec.remediation.triggerIf.unhealthyLessThanOrEqualTo is %q; write a number that is not negative, or a percentage such as 40%%", limit.String())
	}
	return 0, min(high, math.MaxInt32), ""
}

func selectorProblem(healthCheck *clusterv1.MachineHealthCheck) string {
	selector, err := metav1.LabelSelectorAsSelector(&healthCheck.Spec.Selector)
	switch {
	case err != nil:
		return fmt.Sprintf("spec.selector cannot be used: %v", err)
	case selector.Empty():
		return "spec.selector is empty, which would select every Machine; name a label of those to check"
	default:
		return ""
	}
}

// specProblem says what nobody can act upon in a spec. The API refuses it; this is for one
// that came another way.
func specProblem(healthCheck *clusterv1.MachineHealthCheck) string {
	if problem := selectorProblem(healthCheck); problem != "" {
		return problem
	}
	_, _, problem := bounds(healthCheck, 1)
	return problem
}

func notHealthy(f findings) []string {
	var names []string
	for _, v := range f.verdicts {
		if v.health != healthy {
			names = append(names, v.machine.Name)
		}
	}
	return names
}

// told says of each Machine that is not healthy why it is not.
func told(f findings) []string {
	var lines []string
	for _, v := range f.verdicts {
		if v.health != healthy {
			lines = append(lines, fmt.Sprintf("Machine %s: %s", v.machine.Name, v.message))
		}
	}
	return lines
}

// most is how many Machines a sentence names.
const most = 3

// shorten keeps a sentence about many Machines to a few of them.
func shorten(lines []string) string {
	if len(lines) <= most {
		return strings.Join(lines, "; ")
	}
	return fmt.Sprintf("%s; and %d more", strings.Join(lines[:most], "; "), len(lines)-most)
}

// some names a few of the Machines given.
func some(names []string) string {
	names = slices.Clone(names)
	slices.Sort(names)
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}
