// SPDX-License-Identifier: Apache-2.0

package machine

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	"github.com/slipway-project/slipway/plan"
)

// nodeActions bring the Machine's Node in line with the Machine: labels and
// annotations first, and only then the taint goes that kept pods away until they are
// there.
func nodeActions(s Snapshot) []plan.Action {
	node := s.Node.Value
	if !s.Node.OK() || node == nil || node.DeletionTimestamp != nil {
		return nil
	}
	var actions []plan.Action
	intent := plan.Partial(nodeKind, node)
	if labels := nodeLabels(s); len(labels) > 0 {
		// An empty map would never be covered by a Node without labels.
		intent.SetLabels(labels)
	}
	intent.SetAnnotations(nodeAnnotations(s))
	// The cache keeps no managedFields, so labels that are to go do not show there;
	// they show in the annotation that lists all that are stated here.
	if plan.NeedsApply(plan.Live(nodeKind, node), intent, plan.Manager(name), "") {
		actions = append(actions, plan.Apply{Object: intent, In: workloadOf(s), Reason: "it is the Node of Machine " + s.Machine.Name})
	}
	if patch := removeTaint(s, node); patch != nil {
		actions = append(actions, *patch)
	}
	return actions
}

func workloadOf(s Snapshot) types.NamespacedName {
	return types.NamespacedName{Namespace: s.Machine.Namespace, Name: s.Machine.Spec.ClusterName}
}

// nodeLabels are those of the Machine that are meant for Nodes, and whether the host
// may be taken away at any time.
func nodeLabels(s Snapshot) map[string]string {
	labels := map[string]string{}
	for key, value := range s.Machine.Labels {
		if goesToNode(key) {
			labels[key] = value
		}
	}
	if s.Infrastructure.Object != nil && s.Infrastructure.Object.Interruptible() {
		labels[clusterv1.InterruptibleLabel] = ""
	}
	return labels
}

// goesToNode reports whether a Machine's label is synced to its Node: the roles of
// nodes, and the two domains (with their subdomains) that nodes may not set themselves.
func goesToNode(key string) bool {
	domain, _, found := strings.Cut(key, "/")
	if !found {
		return false
	}
	if domain == clusterv1.NodeRoleLabelPrefix {
		return true
	}
	for _, synced := range []string{clusterv1.NodeRestrictionLabelDomain, clusterv1.ManagedNodeLabelDomain} {
		if domain == synced || strings.HasSuffix(domain, "."+synced) {
			return true
		}
	}
	return false
}

func nodeAnnotations(s Snapshot) map[string]string {
	synced := slices.Sorted(maps.Keys(nodeLabels(s)))
	annotations := map[string]string{
		clusterv1.ClusterNameAnnotation:       s.Machine.Spec.ClusterName,
		clusterv1.ClusterNamespaceAnnotation:  s.Machine.Namespace,
		clusterv1.MachineAnnotation:           s.Machine.Name,
		clusterv1.LabelsFromMachineAnnotation: strings.Join(synced, ","),
	}
	if owner := metav1.GetControllerOf(s.Machine); owner != nil {
		annotations[clusterv1.OwnerKindAnnotation] = owner.Kind
		annotations[clusterv1.OwnerNameAnnotation] = owner.Name
	}
	return annotations
}

// removeTaint takes off the taint of a Node that has its labels now. The position in
// the list is tested, so that no other taint can be hit.
func removeTaint(s Snapshot, node *corev1.Node) *plan.Patch {
	at := slices.IndexFunc(node.Spec.Taints, func(taint corev1.Taint) bool { return taint.MatchTaint(&clusterv1.NodeUninitializedTaint) })
	if at < 0 {
		return nil
	}
	path := fmt.Sprintf("/spec/taints/%d", at)
	ref := plan.RefTo(nodeKind, node)
	ref.Cluster = workloadOf(s)
	return &plan.Patch{On: ref, Reason: "its labels are those of the Machine", Operations: []plan.PatchOperation{
		{Op: "test", Path: "/metadata/uid", Value: string(node.UID)},
		{Op: "test", Path: path + "/key", Value: clusterv1.NodeUninitializedTaint.Key},
		{Op: "test", Path: path + "/effect", Value: string(clusterv1.NodeUninitializedTaint.Effect)},
		{Op: "remove", Path: path},
	}}
}
