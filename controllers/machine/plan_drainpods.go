// SPDX-License-Identifier: Apache-2.0

package machine

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
)

// leaving are the Pods that have to leave a Node, by why they are still there.
type leaving struct {
	// evict are to be evicted now.
	evict []*corev1.Pod
	// going are being deleted.
	going []*corev1.Pod
	// held may not be evicted now.
	held []held
	// ending are waited for until they have ended by themselves.
	ending []*corev1.Pod
	// later have their turn when those before are gone.
	later []*corev1.Pod
	// staying are none of these: they are left on the Node.
	staying []*corev1.Pod
}

func (l leaving) count() int {
	return len(l.evict) + len(l.going) + len(l.held) + len(l.ending) + len(l.later)
}

// stuck reports that nothing happens any more unless somebody does something.
func (l leaving) stuck() bool {
	return len(l.evict)+len(l.going)+len(l.ending) == 0 &&
		!slices.ContainsFunc(l.held, func(h held) bool { return !h.by.forGood })
}

// sortOut says of each Pod on the Node what is done with it. An error is a rule that cannot
// be read.
func sortOut(s Snapshot) (leaving, error) {
	var all leaving
	rules, err := rulesFor(s)
	if err != nil {
		return all, err
	}
	pods := slices.SortedFunc(pointers(s.Drain.Value.Pods), func(a, b *corev1.Pod) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	type due struct {
		pod    *corev1.Pod
		order  int32
		evicts bool
	}
	var remaining []due
	for _, pod := range pods {
		behavior, order := treatment(pod, rules, s.Drain.Value.Namespaces)
		switch {
		case behavior == clusterv1.MachineDrainRuleDrainBehaviorSkip:
			all.staying = append(all.staying, pod)
		case !lost(s, pod):
			remaining = append(remaining, due{pod, order, behavior == clusterv1.MachineDrainRuleDrainBehaviorDrain})
		}
	}
	if len(remaining) == 0 {
		return all, nil
	}
	turn := slices.MinFunc(remaining, func(a, b due) int { return cmp.Compare(a.order, b.order) }).order
	allowed := allowances(s.Drain.Value.Budgets)
	for _, each := range remaining {
		switch {
		case each.pod.DeletionTimestamp != nil:
			all.going = append(all.going, each.pod)
		case each.order != turn:
			all.later = append(all.later, each.pod)
		case !each.evicts:
			all.ending = append(all.ending, each.pod)
		default:
			if by := allowed.take(each.pod); by != nil {
				all.held = append(all.held, held{each.pod, *by})
			} else {
				all.evict = append(all.evict, each.pod)
			}
		}
	}
	return all, nil
}

// lost reports a Pod that should have ended by now on a Node that cannot say so.
func lost(s Snapshot, pod *corev1.Pod) bool {
	return pod.DeletionTimestamp != nil && unreachable(s.Node.Value) &&
		s.Now.After(pod.DeletionTimestamp.Add(time.Duration(graceOfUnreachable)*time.Second))
}

func pointers[T any](list []T) func(func(*T) bool) {
	return func(yield func(*T) bool) {
		for i := range list {
			if !yield(&list[i]) {
				return
			}
		}
	}
}

const (
	// podsNamed is how many Pods of one kind a message names.
	podsNamed = 3
	// overdueAfter is how long after it should have ended a Pod that is still there is
	// something to look into.
	overdueAfter = time.Minute
)

// message tells how many Pods are still on the Node, and why.
func (l leaving) message(s Snapshot) string {
	var parts []string
	part := func(pods []*corev1.Pod, why string) {
		if len(pods) > 0 {
			parts = append(parts, fmt.Sprintf("%d (%s) %s", len(pods), podNames(pods), why))
		}
	}
	part(l.evict, "to be evicted now")
	overdue := func(pod *corev1.Pod) bool { return s.Now.After(pod.DeletionTimestamp.Add(overdueAfter)) }
	stale := slices.DeleteFunc(slices.Clone(l.going), func(pod *corev1.Pod) bool { return !overdue(pod) })
	part(slices.DeleteFunc(slices.Clone(l.going), overdue), "being deleted")
	part(stale, "being deleted and overdue: look at their finalizers and at the kubelet")
	for rest := l.held; len(rest) > 0; {
		by := rest[0].by
		var pods []*corev1.Pod
		var others []held
		for _, each := range rest {
			if each.by == by {
				pods = append(pods, each.pod)
			} else {
				others = append(others, each)
			}
		}
		part(pods, by.why)
		rest = others
	}
	part(l.ending, "waited for until completed, as a label or a MachineDrainRule asks")
	part(l.later, "to be evicted when those before are gone")
	if until := drainDeadline(s); !until.IsZero() || len(l.held)+len(stale) > 0 {
		parts = append(parts, givenUp(s, until, clusterv1.ExcludeNodeDrainingAnnotation))
	}
	return fmt.Sprintf("Pods that have to leave Node %s: %s", s.Node.Value.Name, strings.Join(parts, "; "))
}

func podNames(pods []*corev1.Pod) string {
	names := make([]string, 0, podsNamed)
	for _, pod := range pods[:min(len(pods), podsNamed)] {
		names = append(names, pod.Namespace+"/"+pod.Name)
	}
	if more := len(pods) - podsNamed; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(names, ", "), more)
	}
	return strings.Join(names, ", ")
}
