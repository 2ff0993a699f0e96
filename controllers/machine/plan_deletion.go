// SPDX-License-Identifier: Apache-2.0

package machine

import (
	"fmt"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	"github.com/slipway-project/slipway/machines"
	"github.com/slipway-project/slipway/plan"
)

// deletion takes a Machine apart, one step after the other.
func deletion(s Snapshot) plan.Decision {
	if !slices.Contains(s.Machine.Finalizers, clusterv1.MachineFinalizer) {
		return plan.Wait(clusterv1.DeletingReason, fmt.Sprintf("the other finalizers of the Machine are not removed yet: %s", strings.Join(s.Machine.Finalizers, ", ")))
	}
	steps := []func(Snapshot) *plan.Decision{
		preDrainHooks, drainNode, volumeDetach, preTerminateHooks, infrastructureDeletion, bootstrapDeletion, nodeDeletion,
	}
	for _, step := range steps {
		if unfinished := step(s); unfinished != nil {
			return *unfinished
		}
	}
	return plan.Act(clusterv1.DeletionCompletedReason, "",
		plan.RemoveFinalizer(kind, s.Machine, clusterv1.MachineFinalizer, "all that belongs to it is gone"))
}

// preDrainHooks hold the deletion up while somebody has something to do before pods
// are moved. They do not count when the Node is left as it is.
func preDrainHooks(s Snapshot) *plan.Decision {
	if !nodeDeletable(s) {
		return nil
	}
	return hooks(s, clusterv1.PreDrainDeleteHookAnnotationPrefix, clusterv1.WaitingForPreDrainHookReason)
}

// preTerminateHooks hold the deletion up while somebody still needs the host.
func preTerminateHooks(s Snapshot) *plan.Decision {
	return hooks(s, clusterv1.PreTerminateDeleteHookAnnotationPrefix, clusterv1.WaitingForPreTerminateHookReason)
}

func hooks(s Snapshot, prefix, reason string) *plan.Decision {
	var set []string
	for key := range s.Machine.Annotations {
		if key == prefix || strings.HasPrefix(key, prefix+"/") {
			set = append(set, key)
		}
	}
	if len(set) == 0 {
		return nil
	}
	slices.Sort(set)
	waits := plan.Wait(reason, "waiting until these annotations are removed by who set them: "+strings.Join(set, ", "))
	return &waits
}

func infrastructureDeletion(s Snapshot) *plan.Decision {
	return objectDeletion(s, s.Infrastructure, s.Machine.Spec.InfrastructureRef, clusterv1.WaitingForInfrastructureDeletionReason)
}

func bootstrapDeletion(s Snapshot) *plan.Decision {
	return objectDeletion(s, s.Bootstrap, s.Machine.Spec.Bootstrap.ConfigRef, clusterv1.WaitingForBootstrapDeletionReason)
}

// objectDeletion deletes an object of the Machine and waits until it is gone; nil when
// it is.
func objectDeletion(s Snapshot, seen Referenced, field clusterv1.ContractVersionedObjectReference, reason string) *plan.Decision {
	var step plan.Decision
	message := fmt.Sprintf("waiting for %s to be gone", objectName(s, field))
	switch {
	case seen.Err != "" && !seen.NoKind:
		step = plan.Block(reason, fmt.Sprintf("it cannot be told whether %s is there: %s; make the kind readable, or delete what it stands for by hand and remove the finalizer %s from Machine %s",
			objectName(s, field), seen.Err, clusterv1.MachineFinalizer, s.Machine.Name)).
			At(s.Now.Add(recheckStuck))
	case seen.Object == nil || foreignController(s.Machine, seen.Object) != nil:
		return nil
	case seen.Object.GetDeletionTimestamp() != nil:
		step = plan.Wait(reason, message)
	default:
		step = plan.Act(reason, message, plan.Delete{On: plan.RefTo(seen.Object.GroupVersionKind(), seen.Object), Reason: "its Machine is being deleted"})
	}
	return &step
}

// nodeDeletable reports whether the Node is to be drained and deleted. It is not when
// the whole cluster goes, or when nothing would be left to serve its API.
func nodeDeletable(s Snapshot) bool {
	switch {
	case s.Node.Value == nil && !s.Machine.Status.NodeRef.IsDefined():
		return false
	case s.Cluster == nil || s.Cluster.DeletionTimestamp != nil || s.ControlPlane.Going:
		return false
	default:
		return s.ControlPlane.Others > 0 || s.ControlPlane.External
	}
}

// attemptsToDeleteNode is how often deleting the Node is tried at least, however long
// the deletion of the host has taken.
const attemptsToDeleteNode = 3

// nodeDeletion deletes the Node; nil when it is gone, or when it has been tried for
// long enough.
func nodeDeletion(s Snapshot) *plan.Decision {
	if !nodeDeletable(s) || (s.Node.OK() && s.Node.Value == nil) {
		return nil
	}
	timeout := nodeDeletionTimeout(s.Machine)
	var step plan.Decision
	if !s.Node.OK() {
		until := s.Machine.DeletionTimestamp.Add(timeout)
		if !s.Connection.Connected {
			until = latest(s.Machine.DeletionTimestamp.Time, reachedAt(s)).Add(timeout)
		}
		if timeout > 0 && !s.Now.Before(until) {
			return nil
		}
		step = plan.Wait(clusterv1.DeletingNodeReason, fmt.Sprintf("the Node of the Machine cannot be read: %s", s.Node.Err)).
			At(s.Now.Add(recheckStuck))
		if timeout > 0 {
			step = step.At(plan.Earliest(step.Recheck, until))
		}
		return &step
	}
	node := s.Node.Value
	ref := plan.RefTo(nodeKind, node)
	ref.Cluster = workloadOf(s)
	action := plan.Delete{On: ref, Reason: "its host is gone"}
	if node.DeletionTimestamp != nil {
		until := node.DeletionTimestamp.Add(timeout)
		if timeout > 0 && !s.Now.Before(until) {
			return nil
		}
		step = plan.Wait(clusterv1.DeletingNodeReason, fmt.Sprintf("waiting for Node %s to be gone", node.Name))
		if timeout > 0 {
			step = step.At(until)
		}
		return &step
	}
	tried := s.LastFailure != nil && s.LastFailure.Action == action.String() && s.LastFailure.Count >= attemptsToDeleteNode
	if tried && timeout > 0 && !s.Now.Before(s.Machine.DeletionTimestamp.Add(timeout)) {
		return nil
	}
	step = plan.Act(clusterv1.DeletingNodeReason, fmt.Sprintf("waiting for Node %s to be gone", node.Name), action)
	return &step
}

// nodeDeletionTimeout is for how long to try to delete the Node; 0 is for ever.
func nodeDeletionTimeout(machine *clusterv1.Machine) time.Duration {
	seconds := clusterv1.DefaultNodeDeletionTimeoutSeconds
	if given := machine.Spec.Deletion.NodeDeletionTimeoutSeconds; given != nil {
		seconds = *given
	}
	return time.Duration(seconds) * time.Second
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// deletionStarts are when the steps of the deletion began that have begun.
func deletionStarts(s Snapshot, reason string) *clusterv1.MachineDeletionStatus {
	if !machines.Deleting(s.Machine) {
		return nil
	}
	starts := clusterv1.MachineDeletionStatus{}
	if s.Machine.Status.Deletion != nil {
		starts = *s.Machine.Status.Deletion
	}
	start := map[string]*metav1.Time{
		clusterv1.WaitingForPreDrainHookReason:     &starts.WaitForPreDrainHookStartTime,
		clusterv1.DrainingNodeReason:               &starts.NodeDrainStartTime,
		clusterv1.WaitingForVolumeDetachReason:     &starts.WaitForNodeVolumeDetachStartTime,
		clusterv1.WaitingForPreTerminateHookReason: &starts.WaitForPreTerminateHookStartTime,
	}[reason]
	if start != nil && start.IsZero() {
		*start = second(s.Now)
	}
	if starts == (clusterv1.MachineDeletionStatus{}) {
		return nil
	}
	return &starts
}
