// SPDX-License-Identifier: Apache-2.0

package machine

import (
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	"github.com/slipway-project/slipway/conditions"
)

// remoteConditionsGrace is for how long conditions read from a workload cluster stand
// after its last answer.
const remoteConditionsGrace = 5 * time.Minute

// reachedAt is when the workload cluster last answered or, if it has not since this
// process began, when it was first asked: a restart of ours says nothing about nodes.
func reachedAt(s Snapshot) time.Time {
	if at := latest(s.Connection.LastSuccess, s.Connection.Since); !at.IsZero() {
		return at
	}
	return s.Now
}

// keepsNodeConditions reports whether what was last seen of the Node still stands
// though the cluster cannot be reached.
func keepsNodeConditions(s Snapshot) bool {
	return s.Cluster != nil && providerID(s) != "" && !s.Node.OK() && !s.Connection.Connected &&
		s.Machine.Status.NodeRef.IsDefined() &&
		conditions.Find(s.Machine.Status.Conditions, clusterv1.NodeHealthyCondition) != nil &&
		conditions.Find(s.Machine.Status.Conditions, clusterv1.NodeReadyCondition) != nil &&
		s.Now.Before(reachedAt(s).Add(remoteConditionsGrace))
}

// connectionDownAt is when what was last seen of the Node stops to stand; zero when
// the cluster is connected or it does not stand already.
func connectionDownAt(s Snapshot) time.Time {
	if !keepsNodeConditions(s) {
		return time.Time{}
	}
	return reachedAt(s).Add(remoteConditionsGrace)
}

// nodeConditions are NodeReady and NodeHealthy.
func nodeConditions(s Snapshot) (ready, healthy metav1.Condition) {
	if node := s.Node.Value; s.Node.OK() && node != nil {
		return nodeReady(node), nodeHealthy(node)
	}
	if keepsNodeConditions(s) {
		return *conditions.Find(s.Machine.Status.Conditions, clusterv1.NodeReadyCondition), *conditions.Find(s.Machine.Status.Conditions, clusterv1.NodeHealthyCondition)
	}
	status, reason, message := noNode(s)
	return metav1.Condition{Type: clusterv1.NodeReadyCondition, Status: status, Reason: reason, Message: message},
		metav1.Condition{Type: clusterv1.NodeHealthyCondition, Status: status, Reason: reason, Message: message}
}

// noNode says why there is nothing to be said of the Node.
func noNode(s Snapshot) (status metav1.ConditionStatus, reason, message string) {
	unknown := metav1.ConditionUnknown
	ref := s.Machine.Status.NodeRef
	switch {
	case s.Cluster == nil:
		return unknown, clusterv1.InspectionFailedReason, fmt.Sprintf("Cluster %s does not exist", s.Machine.Spec.ClusterName)
	case providerID(s) == "":
		return unknown, clusterv1.InspectionFailedReason, fmt.Sprintf("waiting for %s to report spec.providerID", objectName(s, s.Machine.Spec.InfrastructureRef))
	case !s.Node.OK() && !s.Connection.Connected && !isTrue(s.Cluster.Status.Initialization.ControlPlaneInitialized):
		return unknown, clusterv1.InspectionFailedReason, fmt.Sprintf("waiting for the control plane of Cluster %s to be initialized", s.Cluster.Name)
	case !s.Node.OK() && !s.Connection.Connected:
		last := "there has been none since Slipway started"
		if !s.Connection.LastSuccess.IsZero() {
			last = "the last answer came at " + s.Connection.LastSuccess.UTC().Format(time.RFC3339)
		}
		return unknown, clusterv1.ConnectionDownReason, fmt.Sprintf("no connection to Cluster %s (%s): %s", s.Cluster.Name, last, s.Connection.Err)
	case !s.Node.OK():
		return unknown, clusterv1.InspectionFailedReason, s.Node.Err
	case ref.IsDefined():
		return metav1.ConditionFalse, clusterv1.NodeDeletedReason, fmt.Sprintf("Node %s has been deleted", ref.Name)
	default:
		return unknown, clusterv1.NodeDoesNotExistReason, fmt.Sprintf("waiting for a Node with spec.providerID %s", providerID(s))
	}
}

func nodeReady(node *corev1.Node) metav1.Condition {
	reported := nodeCondition(node, corev1.NodeReady)
	switch reported.Status {
	case corev1.ConditionTrue:
		return conditions.True(clusterv1.NodeReadyCondition, clusterv1.NodeReadyReason, "")
	case corev1.ConditionFalse:
		return conditions.False(clusterv1.NodeReadyCondition, clusterv1.NodeNotReadyReason, told(reported))
	default:
		return conditions.Unknown(clusterv1.NodeReadyCondition, clusterv1.NodeReadyUnknownReason, told(reported))
	}
}

// nodeHealthy sums up those conditions of a Node that say whether pods do well there.
func nodeHealthy(node *corev1.Node) metav1.Condition {
	var issues, unknowns []string
	for _, watched := range []struct {
		kind corev1.NodeConditionType
		good corev1.ConditionStatus
	}{
		{corev1.NodeReady, corev1.ConditionTrue},
		{corev1.NodeMemoryPressure, corev1.ConditionFalse},
		{corev1.NodeDiskPressure, corev1.ConditionFalse},
		{corev1.NodePIDPressure, corev1.ConditionFalse},
	} {
		reported := nodeCondition(node, watched.kind)
		switch reported.Status {
		case watched.good:
		case corev1.ConditionTrue, corev1.ConditionFalse:
			issues = append(issues, told(reported))
		default:
			unknowns = append(unknowns, told(reported))
		}
	}
	message := strings.Join(append(issues, unknowns...), "\n")
	switch {
	case len(issues) > 0:
		return conditions.False(clusterv1.NodeHealthyCondition, clusterv1.NodeNotHealthyReason, message)
	case len(unknowns) > 0:
		return conditions.Unknown(clusterv1.NodeHealthyCondition, clusterv1.NodeHealthyUnknownReason, message)
	default:
		return conditions.True(clusterv1.NodeHealthyCondition, clusterv1.NodeHealthyReason, "")
	}
}

func nodeCondition(node *corev1.Node, kind corev1.NodeConditionType) corev1.NodeCondition {
	for _, condition := range node.Status.Conditions {
		if condition.Type == kind {
			return condition
		}
	}
	return corev1.NodeCondition{Type: kind, Status: corev1.ConditionUnknown, Message: "not reported yet"}
}

func told(condition corev1.NodeCondition) string {
	text := fmt.Sprintf("Node.%s is %s", condition.Type, condition.Status)
	switch {
	case condition.Message != "":
		return text + ": " + condition.Message
	case condition.Reason != "":
		return text + ": " + condition.Reason
	default:
		return text
	}
}
