// SPDX-License-Identifier: Apache-2.0

package machine

import (
	"cmp"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
)

// drainRule is a MachineDrainRule that picks the Machine.
type drainRule struct {
	behavior clusterv1.MachineDrainRuleDrainBehavior
	order    int32
	// pods is empty when the rule is for all Pods.
	pods []podPicker
}

// podPicker picks Pods that both selectors pick.
type podPicker struct{ pod, namespace labels.Selector }

// rulesFor are the rules that pick the Machine, in the order in which they count. A rule
// that cannot be read is an error, because it may be one that keeps Pods.
func rulesFor(s Snapshot) ([]drainRule, error) {
	ordered := slices.SortedFunc(pointers(s.Drain.Value.Rules), func(a, b *clusterv1.MachineDrainRule) int { return cmp.Compare(a.Name, b.Name) })
	var rules []drainRule
	for _, rule := range ordered {
		picked, err := picksMachine(s, rule)
		if err != nil {
			return nil, err
		}
		if !picked {
			continue
		}
		read := drainRule{behavior: rule.Spec.Drain.Behavior}
		if rule.Spec.Drain.Order != nil {
			read.order = *rule.Spec.Drain.Order
		}
		for i, pods := range rule.Spec.Pods {
			picker := podPicker{}
			if picker.pod, err = selectorOf(rule, fmt.Sprintf("spec.pods[%d].selector", i), pods.Selector); err != nil {
				return nil, err
			}
			if picker.namespace, err = selectorOf(rule, fmt.Sprintf("spec.pods[%d].namespaceSelector", i), pods.NamespaceSelector); err != nil {
				return nil, err
			}
			read.pods = append(read.pods, picker)
		}
		rules = append(rules, read)
	}
	return rules, nil
}

func picksMachine(s Snapshot, rule *clusterv1.MachineDrainRule) (bool, error) {
	picked := len(rule.Spec.Machines) == 0
	for i, machines := range rule.Spec.Machines {
		machine, err := selectorOf(rule, fmt.Sprintf("spec.machines[%d].selector", i), machines.Selector)
		if err != nil {
			return false, err
		}
		cluster, err := selectorOf(rule, fmt.Sprintf("spec.machines[%d].clusterSelector", i), machines.ClusterSelector)
		if err != nil {
			return false, err
		}
		picked = picked || machine.Matches(labels.Set(s.Machine.Labels)) && cluster.Matches(labels.Set(s.Cluster.Labels))
	}
	return picked, nil
}

// selectorOf reads a selector of a rule; one that is absent picks everything.
func selectorOf(rule *clusterv1.MachineDrainRule, field string, selector *metav1.LabelSelector) (labels.Selector, error) {
	if selector == nil {
		return labels.Everything(), nil
	}
	read, err := metav1.LabelSelectorAsSelector(selector)
	if err != nil {
		return nil, fmt.Errorf("%s of MachineDrainRule %s/%s is not valid (%w); correct it, or delete the rule", field, rule.Namespace, rule.Name, err)
	}
	return read, nil
}

// treatment is what draining does with a Pod, and in which batch. What would come back at
// once, what is not run by the API server, and what has ended, stays. Then the Pod's own
// label has the word, and then the first rule that picks it.
func treatment(pod *corev1.Pod, rules []drainRule, namespaces map[string]map[string]string) (clusterv1.MachineDrainRuleDrainBehavior, int32) {
	if ended(pod) || ofDaemonSet(pod) || static(pod) {
		return clusterv1.MachineDrainRuleDrainBehaviorSkip, 0
	}
	switch pod.Labels[clusterv1.PodDrainLabel] {
	case clusterv1.PodDrainLabelSkip:
		return clusterv1.MachineDrainRuleDrainBehaviorSkip, 0
	case clusterv1.PodDrainLabelWaitCompleted:
		return clusterv1.MachineDrainRuleDrainBehaviorWaitCompleted, 0
	}
	for _, rule := range rules {
		if !rule.picks(pod, namespaces[pod.Namespace]) {
			continue
		}
		if rule.behavior != clusterv1.MachineDrainRuleDrainBehaviorDrain {
			return rule.behavior, 0
		}
		return rule.behavior, rule.order
	}
	return clusterv1.MachineDrainRuleDrainBehaviorDrain, 0
}

func (r drainRule) picks(pod *corev1.Pod, namespace map[string]string) bool {
	return len(r.pods) == 0 || slices.ContainsFunc(r.pods, func(p podPicker) bool {
		return p.pod.Matches(labels.Set(pod.Labels)) && p.namespace.Matches(labels.Set(namespace))
	})
}

func ended(pod *corev1.Pod) bool {
	return pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
}

// ofDaemonSet reports a Pod that would be made again on the same Node. One whose DaemonSet
// is gone is deleted by the cluster's garbage collector.
func ofDaemonSet(pod *corev1.Pod) bool {
	owner := metav1.GetControllerOf(pod)
	return owner != nil && owner.Kind == "DaemonSet"
}

// static reports the image, in the API, of a Pod that the kubelet runs from a file.
func static(pod *corev1.Pod) bool {
	_, mirrored := pod.Annotations[corev1.MirrorPodAnnotationKey]
	return mirrored
}

// asksForNamespaces reports whether a rule goes by the labels of namespaces.
func asksForNamespaces(rules []clusterv1.MachineDrainRule) bool {
	return slices.ContainsFunc(rules, func(rule clusterv1.MachineDrainRule) bool {
		return slices.ContainsFunc(rule.Spec.Pods, func(pods clusterv1.MachineDrainRulePodSelector) bool {
			return pods.NamespaceSelector != nil && len(pods.NamespaceSelector.MatchLabels)+len(pods.NamespaceSelector.MatchExpressions) > 0
		})
	})
}
