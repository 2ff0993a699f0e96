// SPDX-License-Identifier: Apache-2.0

package machine

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// held is a Pod that may not be evicted now.
type held struct {
	pod *corev1.Pod
	by  hold
}

// hold is what keeps a Pod from being evicted. Pods with the same are told of together.
type hold struct {
	// why says it for a person, with what can be done.
	why string
	// forGood is true when waiting alone changes nothing.
	forGood bool
}

// allowance is a budget while a plan is made: each eviction takes from what it allows.
type allowance struct {
	budget   *policyv1.PodDisruptionBudget
	selector labels.Selector
	left     int32
}

type allowed []*allowance

func allowances(budgets []policyv1.PodDisruptionBudget) allowed {
	var list allowed
	for i := range budgets {
		// A budget without selector covers no Pod, one with an empty selector all; the API
		// server takes none that is not valid.
		selector, err := metav1.LabelSelectorAsSelector(budgets[i].Spec.Selector)
		if err == nil {
			list = append(list, &allowance{budget: &budgets[i], selector: selector, left: budgets[i].Status.DisruptionsAllowed})
		}
	}
	return list
}

// take says what keeps the Pod from being evicted, as the API server would; nil, and one
// less to spend, when nothing does. It asks beforehand because the server's refusal names
// no budget, and because a refused request is load for nothing.
func (list allowed) take(pod *corev1.Pod) *hold {
	if pod.Status.Phase == corev1.PodPending {
		return nil
	}
	var covering allowed
	for _, each := range list {
		if each.budget.Namespace == pod.Namespace && each.selector.Matches(labels.Set(pod.Labels)) {
			covering = append(covering, each)
		}
	}
	switch len(covering) {
	case 0:
		return nil
	case 1:
		return covering[0].take(pod)
	default:
		var names []string
		for _, each := range covering {
			names = append(names, each.budget.Name)
		}
		slices.Sort(names)
		return &hold{forGood: true, why: fmt.Sprintf("covered by more than one PodDisruptionBudget of namespace %s (%s), with which Kubernetes evicts no Pod: change their selectors so that one is left",
			pod.Namespace, strings.Join(names, ", "))}
	}
}

func (a *allowance) take(pod *corev1.Pod) *hold {
	budget := a.budget
	name := budget.Namespace + "/" + budget.Name
	status := budget.Status
	if !podReady(pod) {
		policy := budget.Spec.UnhealthyPodEvictionPolicy
		if policy != nil && *policy == policyv1.AlwaysAllow || status.DesiredHealthy > 0 && status.CurrentHealthy >= status.DesiredHealthy {
			return nil
		}
	}
	switch {
	case status.ObservedGeneration < budget.Generation:
		return &hold{why: fmt.Sprintf("held by PodDisruptionBudget %s, whose state is not computed yet (by the kube-controller-manager)", name)}
	case a.left > 0:
		a.left--
		return nil
	case status.DisruptionsAllowed > 0:
		return &hold{why: fmt.Sprintf("held by PodDisruptionBudget %s until others that it covers have moved", name)}
	}
	for _, condition := range status.Conditions {
		if condition.Type == policyv1.DisruptionAllowedCondition && condition.Reason == policyv1.SyncFailedReason {
			return &hold{forGood: true, why: fmt.Sprintf("held by PodDisruptionBudget %s, whose state cannot be computed (%s): correct or delete it", name, condition.Message)}
		}
	}
	if status.ExpectedPods > 0 && status.DesiredHealthy >= status.ExpectedPods {
		return &hold{forGood: true, why: fmt.Sprintf("held by PodDisruptionBudget %s, which never allows a disruption (of %[3]d Pods it wants %[2]d healthy): scale up what it covers, or relax or delete it",
			name, status.DesiredHealthy, status.ExpectedPods)}
	}
	return &hold{why: fmt.Sprintf("held by PodDisruptionBudget %s, which allows no disruption now (healthy Pods: %d, wanted: %d): make more of them healthy, or relax it",
		name, status.CurrentHealthy, status.DesiredHealthy)}
}

func podReady(pod *corev1.Pod) bool {
	return slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}
