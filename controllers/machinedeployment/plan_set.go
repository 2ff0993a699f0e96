// SPDX-License-Identifier: Apache-2.0

package machinedeployment

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	"github.com/slipway-project/slipway/machines"
	"github.com/slipway-project/slipway/plan"
)

// setHash tells the sets of one MachineDeployment apart. It follows from the template and
// from the time by which a rollout was asked for, so that a plan made twice, or made again
// from a cache that is behind, arrives at one set. Nothing else is decided by it: whether
// machines are up to date is decided field by field.
func setHash(s Snapshot) string {
	parts := []string{string(s.Deployment.UID), machines.TemplateKey(s.Deployment.Spec.Template)}
	if after, due := machines.RolloutDue(s.Deployment, s.Now); due {
		parts = append(parts, after.UTC().Format(time.RFC3339))
	}
	staying, _ := stayingSets(s)
	// A set of that name may make other machines, if somebody changed its template.
	for ordinal := 0; ; ordinal++ {
		hash := machines.Suffix(parts...)
		if ordinal > 0 {
			hash = machines.Suffix(append(parts, strconv.Itoa(ordinal))...)
		}
		name := setName(s.Deployment.Name, hash)
		if !slices.ContainsFunc(staying, func(set *clusterv1.MachineSet) bool { return set.Name == name }) {
			return hash
		}
	}
}

// newSet is the set of the template. It has as many replicas as there is room for.
func newSet(s Snapshot) *unstructured.Unstructured {
	hash := setHash(s)
	selector := s.Deployment.Spec.Selector.DeepCopy()
	selector.MatchLabels = merged(selector.MatchLabels, map[string]string{clusterv1.MachineDeploymentUniqueLabel: hash})
	template := templateFor(s, *selector)
	fleet, _ := fleetOf(s)
	fleet.Shares = append(fleet.Shares, machines.Share{})
	fleet.Current = len(fleet.Shares) - 1
	count := int32(machines.Roll(fleet).Replicas[fleet.Current])
	stated := annotations(s, highestRevision(s.Sets)+1)
	if after, due := machines.RolloutDue(s.Deployment, s.Now); due {
		stated[machines.RolloutAfterAnnotation] = after.UTC().Format(time.RFC3339)
	}
	set := &clusterv1.MachineSet{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: s.Deployment.Namespace, Name: setName(s.Deployment.Name, hash),
			Labels:          template.Labels,
			Annotations:     stated,
			OwnerReferences: []metav1.OwnerReference{*plan.OwnerReference(kind, s.Deployment, true)},
			Finalizers:      []string{clusterv1.MachineSetFinalizer},
		},
		Spec: clusterv1.MachineSetSpec{
			ClusterName: s.Deployment.Spec.ClusterName, Replicas: &count, Selector: *selector, Template: *template,
			MachineNaming: s.Deployment.Spec.MachineNaming,
			Deletion:      deletionOrder(s),
		},
	}
	return plan.Intent(setKind, set)
}

// templateFor is the template of a set with the selector given. Its labels always hold
// what the selector matches, machine-template-hash with it: a set whose selector does
// not match its own Machines is refused by the server.
func templateFor(s Snapshot, selector metav1.LabelSelector) *clusterv1.MachineTemplateSpec {
	template := s.Deployment.Spec.Template.DeepCopy()
	template.Labels = merged(merged(template.Labels, map[string]string{
		clusterv1.ClusterNameLabel: s.Cluster.Name, clusterv1.MachineDeploymentNameLabel: machines.LabelValue(s.Deployment.Name),
	}), selector.MatchLabels)
	return template
}

// setName leaves room for the suffix of the machines.
func setName(deployment, hash string) string {
	if longest := machines.MaxNameLength - 2*(len(hash)+1); len(deployment) > longest {
		deployment = strings.TrimRight(deployment[:longest], "-.")
	}
	return deployment + "-" + hash
}

// deletionOrder states the default too, as the server fills it in for a MachineSet; see
// plan.Follow.
func deletionOrder(s Snapshot) clusterv1.MachineSetDeletionSpec {
	return clusterv1.MachineSetDeletionSpec{Order: cmp.Or(s.Deployment.Spec.Deletion.Order, clusterv1.RandomMachineSetDeletionOrder)}
}

// inPlace passes on to a set what can be changed while its machines live on.
func inPlace(s Snapshot, set *clusterv1.MachineSet) (plan.Patch, bool) {
	template := templateFor(s, set.Spec.Selector)
	wanted := plan.Intent(setKind, &clusterv1.MachineSet{
		ObjectMeta: metav1.ObjectMeta{Labels: template.Labels},
		Spec: clusterv1.MachineSetSpec{
			Template: *template, MachineNaming: s.Deployment.Spec.MachineNaming,
			Deletion: deletionOrder(s),
		},
	})
	fields := append([]string{"/metadata/labels", "/spec/deletion", "/spec/machineNaming", "/spec/template/metadata"}, machines.InPlace("/spec/template/spec")...)
	return plan.Follow(setKind, set, wanted, name, "the MachineDeployment asks for it", fields...)
}
