// SPDX-License-Identifier: Apache-2.0

package dockermachine

import (
	"fmt"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	controlplanev1 "github.com/slipway-project/slipway/api/controlplane/v1beta2"
	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	"github.com/slipway-project/slipway/conditions"
	"github.com/slipway-project/slipway/machines"
	"github.com/slipway-project/slipway/plan"
	"github.com/slipway-project/slipway/providers/docker/operations"
)

// handoverHook is the pre-terminate hook of this provider. A control plane that goes takes
// its member of etcd along, after which its API server answers with errors; clients that
// are connected to it would get them. So the API server is ended before, in order: it tells
// its clients to connect anew, and the load balancer leads them to another machine, for one
// that is being deleted has been taken out of it. By the contract, a control plane removes
// its member only when the hooks of others are gone.
const handoverHook = clusterv1.PreTerminateDeleteHookAnnotationPrefix + "/slipway-docker"

// handoverAttempts is how often an API server is asked to end. A machine that is to go is
// not kept for the sake of its clients where it does not answer any more.
const handoverAttempts = 3

// outOfBalance is how long after a Machine's deletion began its API server goes on at least:
// until then the load balancer may still lead new connections to it.
const outOfBalance = 4 * time.Second

// handoverMark puts the hook on the Machine of a control plane that has been bootstrapped.
func handoverMark(s Snapshot) (plan.Action, bool) {
	if hookHeld(s) || !machines.IsControlPlane(s.Machine) || !bootstrapped(s.DockerMachine) {
		return nil, false
	}
	intent := plan.Partial(machineKind, s.Machine)
	intent.SetAnnotations(map[string]string{handoverHook: ""})
	return plan.Apply{Object: intent, Aspect: "handover", Reason: "so that its API server ends in order before its member of etcd is removed"}, true
}

// handover is what to do for a Machine that is being deleted, whose DockerMachine is not yet.
func handover(s Snapshot) plan.Decision {
	going := plan.Wait("MachineDeleting", fmt.Sprintf("Machine %s is being deleted", s.Machine.Name))
	if !hookHeld(s) {
		return going
	}
	if why := nothingToHandOver(s); why != "" {
		return plan.Act("HandingOver", "", releaseHook(s, why))
	}
	// The load balancer takes out a machine whose Machine is being deleted; that takes a moment.
	if due := s.Machine.DeletionTimestamp.Add(outOfBalance); s.Now.Before(due) {
		return going.At(due)
	}
	deleting := conditions.Find(s.Machine.Status.Conditions, clusterv1.DeletingCondition)
	if deleting == nil || deleting.Reason != clusterv1.WaitingForPreTerminateHookReason {
		return going
	}
	return plan.Act("HandingOver", "",
		operate(operations.StopAPIServer{On: plan.RefTo(kind, s.DockerMachine), Machine: key(s)}, "its clients are to go to another control plane"),
		releaseHook(s, "its API server has ended"))
}

// othersServing counts the control planes of a cluster that run beside a machine and are to
// stay. One whose API server is told not to be well takes no clients; where nobody tells of
// that, its node is enough.
func othersServing(list []clusterv1.Machine, machine *clusterv1.Machine) int {
	count := 0
	for i := range list {
		other := &list[i]
		told := conditions.Find(other.Status.Conditions, controlplanev1.APIServerPodHealthyCondition)
		if other.UID != machine.UID && !machines.Deleting(other) && machines.IsControlPlane(other) && other.Status.NodeRef.IsDefined() &&
			(told == nil || told.Status == metav1.ConditionTrue) {
			count++
		}
	}
	return count
}

// nothingToHandOver says why the deletion need not wait for the API server to end; empty
// when it does.
func nothingToHandOver(s Snapshot) string {
	switch {
	case s.Cluster == nil || s.Cluster.DeletionTimestamp != nil:
		return "its Cluster is being deleted"
	case s.OtherControlPlanes == 0:
		return "there is no other control plane that its clients could go to"
	case s.Container.OK() && !running(s):
		return "its container does not run"
	case s.LastFailure != nil && s.LastFailure.Count >= handoverAttempts:
		return "its API server cannot be ended: " + s.LastFailure.Message
	default:
		return ""
	}
}

// hookHeld reports that the hook is on the Machine.
func hookHeld(s Snapshot) bool {
	if s.Machine == nil {
		return false
	}
	_, held := s.Machine.Annotations[handoverHook]
	return held
}

func releaseHook(s Snapshot, reason string) plan.Action {
	path := "/metadata/annotations/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(handoverHook)
	return plan.Patch{On: plan.RefTo(machineKind, s.Machine), Reason: reason, Operations: []plan.PatchOperation{
		{Op: "test", Path: "/metadata/uid", Value: string(s.Machine.UID)},
		{Op: "test", Path: path, Value: s.Machine.Annotations[handoverHook]},
		{Op: "remove", Path: path},
	}}
}
