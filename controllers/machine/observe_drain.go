// SPDX-License-Identifier: Apache-2.0

package machine

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	"github.com/slipway-project/slipway/engine"
	"github.com/slipway-project/slipway/machines"
	"github.com/slipway-project/slipway/plan"
)

// Drain is what has to be known to take the Pods off a Node.
type Drain struct {
	// Pods are all that are on the Node.
	Pods []corev1.Pod
	// Rules are the MachineDrainRules of the Machine's namespace.
	Rules []clusterv1.MachineDrainRule
	// Namespaces are the labels of the workload cluster's namespaces by their names. They
	// are read only when a rule asks for them.
	Namespaces map[string]map[string]string
	// Budgets are the workload cluster's. They are read only when a Pod is to be evicted.
	Budgets []policyv1.PodDisruptionBudget
}

// Volumes are those of a Node.
type Volumes struct {
	// Attached are names of the PersistentVolumes that VolumeAttachments tie to the Node.
	Attached []string
	// Kept are those of Pods that stay on the Node.
	Kept []KeptVolume
}

// KeptVolume is the PersistentVolume of a Pod that stays.
type KeptVolume struct {
	Name string
	// OnNode is what the Node's status calls it; empty where that cannot be told.
	OnNode string
}

// observeDrain reads what draining, and after it the wait for volumes, go by; nothing
// while neither has its turn.
func observeDrain(ctx context.Context, reader engine.Reader, s *Snapshot) {
	node := s.Node.Value
	if paused, _ := machines.Paused(s.Cluster, s.Machine); paused || !s.Node.OK() || node == nil || preDrainHooks(*s) != nil {
		return
	}
	draining, detaching := drains(*s), detaches(*s) && !unreachable(node)
	if draining && !node.Spec.Unschedulable || !draining && !detaching {
		return
	}
	workload, err := reader.Workloads().Reader(ctx, client.ObjectKeyFromObject(s.Cluster))
	if err != nil {
		s.Drain = plan.Unknown[*Drain](err, reader.Now())
		return
	}
	if err := readDrain(ctx, reader, workload, s, draining); err != nil {
		s.Drain = plan.Unknown[*Drain](err, reader.Now())
		return
	}
	if !detaching || drainNode(*s) != nil {
		return
	}
	volumes, err := readVolumes(ctx, workload, *s)
	if err != nil {
		s.Volumes = plan.Unknown[*Volumes](err, reader.Now())
		return
	}
	s.Volumes = plan.KnownValue(volumes, reader.Now())
}

func readDrain(ctx context.Context, reader engine.Reader, workload client.Reader, s *Snapshot, draining bool) error {
	seen := &Drain{}
	pods := &corev1.PodList{}
	if err := workload.List(ctx, pods, client.MatchingFields{"spec.nodeName": s.Node.Value.Name}); err != nil {
		return fmt.Errorf("list the Pods on Node %s: %w", s.Node.Value.Name, err)
	}
	for i := range pods.Items {
		pods.Items[i].ManagedFields = nil
	}
	seen.Pods = pods.Items
	rules := &clusterv1.MachineDrainRuleList{}
	if err := reader.List(ctx, rules, client.InNamespace(s.Machine.Namespace)); err != nil {
		return fmt.Errorf("list MachineDrainRules: %w", err)
	}
	seen.Rules = rules.Items
	if len(seen.Pods) > 0 && asksForNamespaces(seen.Rules) {
		namespaces := &metav1.PartialObjectMetadataList{}
		namespaces.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("NamespaceList"))
		if err := workload.List(ctx, namespaces); err != nil {
			return fmt.Errorf("list the namespaces of Cluster %s: %w", s.Cluster.Name, err)
		}
		seen.Namespaces = make(map[string]map[string]string, len(namespaces.Items))
		for _, namespace := range namespaces.Items {
			seen.Namespaces[namespace.Name] = namespace.Labels
		}
	}
	s.Drain = plan.KnownValue(seen, reader.Now())
	if left, err := sortOut(*s); err == nil && draining && len(left.evict) > 0 {
		budgets := &policyv1.PodDisruptionBudgetList{}
		if err := workload.List(ctx, budgets); err != nil {
			return fmt.Errorf("list the PodDisruptionBudgets of Cluster %s: %w", s.Cluster.Name, err)
		}
		seen.Budgets = budgets.Items
	}
	return nil
}

// readVolumes looks for what Pods that stay use only where something is attached.
func readVolumes(ctx context.Context, workload client.Reader, s Snapshot) (*Volumes, error) {
	seen := &Volumes{}
	list := &storagev1.VolumeAttachmentList{}
	if err := workload.List(ctx, list); err != nil {
		return nil, fmt.Errorf("list the VolumeAttachments of Cluster %s: %w", s.Cluster.Name, err)
	}
	for _, attachment := range list.Items {
		if name := attachment.Spec.Source.PersistentVolumeName; attachment.Spec.NodeName == s.Node.Value.Name && name != nil {
			seen.Attached = append(seen.Attached, *name)
		}
	}
	left, err := sortOut(s)
	if err != nil || len(attachedVolumes(with(s, seen))) == 0 {
		return seen, err
	}
	for _, pod := range left.staying {
		if ended(pod) {
			continue
		}
		for _, claim := range claimsOf(pod) {
			kept, err := keptVolume(ctx, workload, client.ObjectKey{Namespace: pod.Namespace, Name: claim})
			if err != nil {
				return nil, err
			}
			if kept != nil {
				seen.Kept = append(seen.Kept, *kept)
			}
		}
	}
	return seen, nil
}

func with(s Snapshot, volumes *Volumes) Snapshot {
	s.Volumes = plan.Known[*Volumes]{Value: volumes}
	return s
}

// claimsOf are the names of the PersistentVolumeClaims that a Pod uses.
func claimsOf(pod *corev1.Pod) []string {
	var names []string
	for _, volume := range pod.Spec.Volumes {
		switch {
		case volume.PersistentVolumeClaim != nil:
			names = append(names, volume.PersistentVolumeClaim.ClaimName)
		case volume.Ephemeral != nil:
			names = append(names, pod.Name+"-"+volume.Name)
		}
	}
	return names
}

// keptVolume is the volume of a claim; nil when there is none.
func keptVolume(ctx context.Context, workload client.Reader, claim client.ObjectKey) (*KeptVolume, error) {
	read := &corev1.PersistentVolumeClaim{}
	if err := workload.Get(ctx, claim, read); err != nil {
		if apierrors.IsNotFound(err) {
			return nil, nil
		}
		return nil, fmt.Errorf("read PersistentVolumeClaim %s: %w", claim, err)
	}
	if read.Spec.VolumeName == "" {
		return nil, nil
	}
	kept := &KeptVolume{Name: read.Spec.VolumeName}
	volume := &corev1.PersistentVolume{}
	err := workload.Get(ctx, client.ObjectKey{Name: kept.Name}, volume)
	switch {
	case err == nil && volume.Spec.CSI != nil:
		kept.OnNode = "kubernetes.io/csi/" + volume.Spec.CSI.Driver + "^" + volume.Spec.CSI.VolumeHandle
	case err != nil && !apierrors.IsNotFound(err):
		return nil, fmt.Errorf("read PersistentVolume %s: %w", kept.Name, err)
	}
	return kept, nil
}
