// SPDX-License-Identifier: Apache-2.0

package machine

import (
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	"github.com/slipway-project/slipway/machines"
	"github.com/slipway-project/slipway/plan"
)

const (
	// evictionsAtOnce bounds the evictions of one plan: each is a request, and what the
	// budgets allow is read anew before the next ones.
	evictionsAtOnce = 50

	// Nothing tells when a Pod is gone, so it is looked for, less often the longer it takes.
	shortestPause = time.Second
	longestPause  = 20 * time.Second

	// graceOfUnreachable is how long, in seconds, a Pod gets to end on a Node whose kubelet
	// does not answer: nobody there would use more.
	graceOfUnreachable int64 = 1
)

var podKind = corev1.SchemeGroupVersion.WithKind("Pod")

// drains reports whether the Machine's Node is to be drained at all. Once the host is
// going, or somebody was asked to give it free, nothing is drained any more.
func drains(s Snapshot) bool {
	_, excluded := s.Machine.Annotations[clusterv1.ExcludeNodeDrainingAnnotation]
	return machines.Deleting(s.Machine) && nodeDeletable(s) && !pastDrain(s) && !excluded && !over(s, drainDeadline(s))
}

// pastDrain reports that the deletion has gone beyond what is done for Pods and volumes.
func pastDrain(s Snapshot) bool {
	began := s.Machine.Status.Deletion != nil && !s.Machine.Status.Deletion.WaitForPreTerminateHookStartTime.IsZero()
	going := s.Infrastructure.Object != nil && s.Infrastructure.Object.GetDeletionTimestamp() != nil
	return began || going || !hostLeft(s)
}

// drainDeadline is when draining is given up; zero for never.
func drainDeadline(s Snapshot) time.Time {
	if s.Machine.Status.Deletion == nil {
		return time.Time{}
	}
	return deadline(s.Machine.Status.Deletion.NodeDrainStartTime, s.Machine.Spec.Deletion.NodeDrainTimeoutSeconds)
}

// deadline is when a step that began at the time given is given up; zero for never, which
// is what 0 seconds stand for too.
func deadline(began metav1.Time, seconds *int32) time.Time {
	if began.IsZero() || seconds == nil || *seconds == 0 {
		return time.Time{}
	}
	return began.Add(time.Duration(*seconds) * time.Second)
}

func over(s Snapshot, deadline time.Time) bool { return !deadline.IsZero() && !s.Now.Before(deadline) }

// again is when to look again at a step that began at the time given.
func again(s Snapshot, began metav1.Time, deadline time.Time) time.Time {
	pause := shortestPause
	if !began.IsZero() {
		pause = min(max(s.Now.Sub(began.Time)/10, shortestPause), longestPause)
	}
	return plan.Earliest(s.Now.Add(pause), deadline)
}

// drainNode keeps new Pods off the Node and takes off it those that are there; nil when
// that is done, is not to be done, or is given up.
func drainNode(s Snapshot) *plan.Decision {
	if !drains(s) || (s.Node.OK() && s.Node.Value == nil) {
		return nil
	}
	var step plan.Decision
	switch node := s.Node.Value; {
	case !s.Node.OK():
		step = unreadable(s, clusterv1.DrainingNodeReason, "the Node of the Machine cannot be read: "+s.Node.Err, drainDeadline(s), clusterv1.ExcludeNodeDrainingAnnotation)
	case !node.Spec.Unschedulable:
		step = plan.Act(clusterv1.DrainingNodeReason, fmt.Sprintf("new Pods are kept off Node %s before it is drained", node.Name), cordon(s, node))
	case !s.Drain.OK():
		step = unreadable(s, clusterv1.DrainingNodeReason, s.Drain.Err, drainDeadline(s), clusterv1.ExcludeNodeDrainingAnnotation)
	case s.Drain.Value == nil:
		step = unreadable(s, clusterv1.DrainingNodeReason, fmt.Sprintf("the Pods on Node %s have not been read yet", node.Name), drainDeadline(s), clusterv1.ExcludeNodeDrainingAnnotation)
	default:
		return drainPods(s)
	}
	return &step
}

// unreadable waits for a workload cluster that does not tell what has to be known, and
// says how to go on without.
func unreadable(s Snapshot, reason, problem string, deadline time.Time, annotation string) plan.Decision {
	return plan.Wait(reason, problem+"; "+givenUp(s, deadline, annotation)).At(plan.Earliest(s.Now.Add(recheckStuck), deadline))
}

// givenUp says until when a step is waited for, or how to do without it.
func givenUp(s Snapshot, deadline time.Time, annotation string) string {
	if !deadline.IsZero() {
		return "this is given up at " + deadline.UTC().Format(time.RFC3339)
	}
	return fmt.Sprintf("to go on without, give Machine %s the annotation %s", s.Machine.Name, annotation)
}

// cordon keeps new Pods off a Node.
func cordon(s Snapshot, node *corev1.Node) plan.Patch {
	ref := plan.RefTo(nodeKind, node)
	ref.Cluster = workloadOf(s)
	return plan.Patch{On: ref, Reason: "its Machine is being deleted", Operations: []plan.PatchOperation{
		{Op: "test", Path: "/metadata/uid", Value: string(node.UID)},
		{Op: "add", Path: "/spec/unschedulable", Value: true},
	}}
}

// drainPods takes the Pods off a Node that gets no new ones.
func drainPods(s Snapshot) *plan.Decision {
	left, err := sortOut(s)
	if err != nil {
		step := plan.Block(clusterv1.DrainingNodeReason, err.Error()).At(drainDeadline(s))
		return &step
	}
	if left.count() == 0 {
		return nil
	}
	began := metav1.Time{}
	if s.Machine.Status.Deletion != nil {
		began = s.Machine.Status.Deletion.NodeDrainStartTime
	}
	message := left.message(s)
	var step plan.Decision
	switch {
	case len(left.evict) > 0:
		step = plan.Act(clusterv1.DrainingNodeReason, message, evictions(s, left.evict)...)
	case left.stuck():
		step = plan.Block(clusterv1.DrainingNodeReason, message)
	default:
		step = plan.Wait(clusterv1.DrainingNodeReason, message)
	}
	step = step.At(again(s, began, drainDeadline(s)))
	return &step
}

// evictions are the actions that evict Pods. They begin after the Pod whose eviction
// failed last, because the first that fails ends the list: else one Pod that cannot be
// evicted would keep all those behind it.
func evictions(s Snapshot, pods []*corev1.Pod) []plan.Action {
	var grace *int64
	if unreachable(s.Node.Value) {
		seconds := graceOfUnreachable
		grace = &seconds
	}
	actions := make([]plan.Action, 0, len(pods))
	first := 0
	for i, pod := range pods {
		ref := plan.RefTo(podKind, pod)
		ref.Cluster = workloadOf(s)
		evict := plan.Evict{On: ref, GracePeriodSeconds: grace, Reason: fmt.Sprintf("Node %s is being drained", s.Node.Value.Name)}
		if s.LastFailure != nil && s.LastFailure.Action == evict.String() {
			first = i + 1
		}
		actions = append(actions, evict)
	}
	actions = slices.Concat(actions[first:], actions[:first])
	return actions[:min(len(actions), evictionsAtOnce)]
}

// unreachable reports that the Node's kubelet has not been heard of for some time.
func unreachable(node *corev1.Node) bool {
	return slices.ContainsFunc(node.Status.Conditions, func(c corev1.NodeCondition) bool {
		return c.Type == corev1.NodeReady && c.Status == corev1.ConditionUnknown
	}) || slices.ContainsFunc(node.Spec.Taints, func(t corev1.Taint) bool { return t.Key == corev1.TaintNodeUnreachable })
}
