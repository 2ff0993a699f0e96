// SPDX-License-Identifier: Apache-2.0

package machine

import (
	"maps"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	"github.com/slipway-project/slipway/plan"
)

// nodeActions bring the Machine's Node in line with the Machine: labels and
// annotations first, then the taints, and with them the taint goes that kept pods away
// until all that was there.
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
	// The cache keeps no managedFields, so labels and annotations that are to go do not
	// show there; they show in the annotations that list all that are stated here.
	if plan.NeedsApply(plan.Live(nodeKind, node), intent, plan.Manager(name), "") {
		actions = append(actions, plan.Apply{Object: intent, In: workloadOf(s), Reason: "it is the Node of Machine " + s.Machine.Name})
	}
	// The change of labels is a change of the resource version, which a patch of an empty
	// list of taints tests.
	if patch := taintPatch(s, node); patch != nil && (len(actions) == 0 || len(node.Spec.Taints) > 0) {
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
	return inDomain(domain, clusterv1.NodeRestrictionLabelDomain) || inDomain(domain, clusterv1.ManagedNodeLabelDomain)
}

func inDomain(domain, parent string) bool {
	return domain == parent || strings.HasSuffix(domain, "."+parent)
}

// annotationsForNode are those of the Machine that are meant for Nodes.
func annotationsForNode(s Snapshot) map[string]string {
	annotations := map[string]string{}
	for key, value := range s.Machine.Annotations {
		if domain, _, found := strings.Cut(key, "/"); found && inDomain(domain, clusterv1.ManagedNodeAnnotationDomain) {
			annotations[key] = value
		}
	}
	return annotations
}

// nodeAnnotations are the Machine's own that are meant for Nodes, and those that say whose
// the Node is and what on it comes from the Machine.
func nodeAnnotations(s Snapshot) map[string]string {
	annotations := annotationsForNode(s)
	passedOn := slices.Sorted(maps.Keys(annotations))
	annotations[clusterv1.ClusterNameAnnotation] = s.Machine.Spec.ClusterName
	annotations[clusterv1.ClusterNamespaceAnnotation] = s.Machine.Namespace
	annotations[clusterv1.MachineAnnotation] = s.Machine.Name
	annotations[clusterv1.LabelsFromMachineAnnotation] = strings.Join(slices.Sorted(maps.Keys(nodeLabels(s))), ",")
	if owner := metav1.GetControllerOf(s.Machine); owner != nil {
		annotations[clusterv1.OwnerKindAnnotation] = owner.Kind
		annotations[clusterv1.OwnerNameAnnotation] = owner.Name
	}
	for key, list := range map[string][]string{
		clusterv1.AnnotationsFromMachineAnnotation: passedOn,
		clusterv1.TaintsFromMachineAnnotation:      trackedTaints(s, s.Node.Value),
	} {
		// Where the Node has the list, it is stated though it is empty: by that it is seen
		// that what it listed has to go.
		if _, there := s.Node.Value.Annotations[key]; there || len(list) > 0 {
			annotations[key] = strings.Join(list, ",")
		}
	}
	return annotations
}
