// SPDX-License-Identifier: Apache-2.0

package machine

import (
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"

	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	"github.com/slipway-project/slipway/plan"
)

// taintPatch brings the Node's taints in line with the Machine; nil when they are. The
// list has no field owners below it, so that it is replaced as a whole, provided it is
// still the one that was read.
func taintPatch(s Snapshot, node *corev1.Node) *plan.Patch {
	before := node.Spec.Taints
	after := taintsWanted(s, node)
	if equality.Semantic.DeepEqual(before, after) || len(before)+len(after) == 0 {
		return nil
	}
	ref := plan.RefTo(nodeKind, node)
	ref.Cluster = workloadOf(s)
	const path = "/spec/taints"
	operations := []plan.PatchOperation{{Op: "test", Path: "/metadata/uid", Value: string(node.UID)}}
	if len(before) == 0 {
		// That something is not there cannot be tested, so nothing at all may have changed.
		operations = append(operations, plan.PatchOperation{Op: "test", Path: "/metadata/resourceVersion", Value: node.ResourceVersion},
			plan.PatchOperation{Op: "add", Path: path, Value: after})
	} else {
		operations = append(operations, plan.PatchOperation{Op: "test", Path: path, Value: before})
		if len(after) == 0 {
			operations = append(operations, plan.PatchOperation{Op: "remove", Path: path})
		} else {
			operations = append(operations, plan.PatchOperation{Op: "replace", Path: path, Value: after})
		}
	}
	return &plan.Patch{On: ref, Operations: operations, Reason: "so that its taints are those that Machine " + s.Machine.Name + " asks for"}
}

// taintsWanted are the taints that are on the Node, without those that the Machine has no
// more and with those that it has. Taints for the initialization are set only together with
// the removal of the taint that a Node registers with: later they are the users' to take off.
func taintsWanted(s Snapshot, node *corev1.Node) []corev1.Taint {
	fresh := slices.ContainsFunc(node.Spec.Taints, func(t corev1.Taint) bool { return t.MatchTaint(&clusterv1.NodeUninitializedTaint) })
	drop := []string{taintName(clusterv1.NodeUninitializedTaint)}
	if !outdated(s.Revisions) {
		drop = append(drop, taintName(clusterv1.NodeOutdatedRevisionTaint))
	}
	asked := map[string]bool{}
	for _, taint := range s.Machine.Spec.Taints {
		asked[taintName(corev1.Taint{Key: taint.Key, Effect: taint.Effect})] = true
	}
	for _, name := range noted(node) {
		if !asked[name] {
			drop = append(drop, name)
		}
	}
	var wanted []corev1.Taint
	for _, taint := range node.Spec.Taints {
		if !slices.Contains(drop, taintName(taint)) {
			wanted = append(wanted, taint)
		}
	}
	for _, taint := range s.Machine.Spec.Taints {
		if taint.Propagation == clusterv1.MachineTaintPropagationAlways || fresh {
			wanted = withTaint(wanted, corev1.Taint{Key: taint.Key, Value: taint.Value, Effect: taint.Effect})
		}
	}
	if outdated(s.Revisions) {
		wanted = withTaint(wanted, clusterv1.NodeOutdatedRevisionTaint)
	}
	return wanted
}

// withTaint is the list with a taint in it, which replaces one of its key and effect.
func withTaint(list []corev1.Taint, taint corev1.Taint) []corev1.Taint {
	at := slices.IndexFunc(list, func(other corev1.Taint) bool { return other.MatchTaint(&taint) })
	switch {
	case at < 0:
		return append(list, taint)
	case list[at].Value != taint.Value:
		list[at] = taint
	}
	return list
}

// trackedTaints are the names of the taints that are kept on the Node, or still have to be
// taken off it, because of the Machine. They are noted before a taint is set and until it
// is off, so that none is forgotten whatever happens in between.
func trackedTaints(s Snapshot, node *corev1.Node) []string {
	var names []string
	once := map[string]bool{}
	for _, taint := range s.Machine.Spec.Taints {
		name := taintName(corev1.Taint{Key: taint.Key, Effect: taint.Effect})
		if taint.Propagation == clusterv1.MachineTaintPropagationAlways {
			names = append(names, name)
		} else {
			once[name] = true
		}
	}
	for _, name := range noted(node) {
		there := slices.ContainsFunc(node.Spec.Taints, func(t corev1.Taint) bool { return taintName(t) == name })
		if there && !once[name] {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// noted are the names of the taints that were tracked last.
func noted(node *corev1.Node) []string {
	list := node.Annotations[clusterv1.TaintsFromMachineAnnotation]
	if list == "" {
		return nil
	}
	return strings.Split(list, ",")
}

func taintName(taint corev1.Taint) string { return taint.Key + ":" + string(taint.Effect) }

// outdated reports whether a Machine is of an older revision than its MachineDeployment is
// at. Numbers that are missing, or are none, say nothing.
func outdated(revisions Revisions) bool {
	of, err := strconv.ParseInt(revisions.MachineSet, 10, 64)
	if err != nil {
		return false
	}
	newest, err := strconv.ParseInt(revisions.MachineDeployment, 10, 64)
	return err == nil && of < newest
}
