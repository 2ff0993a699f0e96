// SPDX-License-Identifier: Apache-2.0

package kubeadmcontrolplane

import (
	"context"
	"errors"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	"github.com/slipway-project/slipway/engine"
	"github.com/slipway-project/slipway/etcd"
	"github.com/slipway-project/slipway/plan"
)

// Workload is what a workload cluster shows of its control plane.
type Workload struct {
	// Initialized is true when kubeadm has got so far that machines can join. It is
	// asked for only until it is true.
	Initialized bool
	// Pods are the static pods of the control plane by name; one that does not exist
	// has no entry.
	Pods map[string]*corev1.PodStatus
	// Nodes are those of the Machines and of the members of etcd, by name; one that does
	// not exist has no entry.
	Nodes map[string]Node
}

// Node is what counts of a Node.
type Node struct {
	Labels map[string]string
	Taints []corev1.Taint
}

// observeWorkload asks the workload cluster. The first request that fails ends it: a
// cluster that does not answer one would make every other wait in turn.
func observeWorkload(ctx context.Context, reader engine.Reader, s *Snapshot) {
	now := reader.Now()
	s.Etcd = plan.Known[etcd.View]{Err: "the members of etcd were not asked", At: now}
	if len(s.Machines) == 0 {
		s.Workload = plan.Known[Workload]{Err: "there is no Machine yet", At: now}
		return
	}
	if reader.Workloads() == nil {
		s.Workload, s.Connecting = plan.Unknown[Workload](engine.ErrNotConnected, now), true
		return
	}
	key := client.ObjectKeyFromObject(s.Cluster)
	workload, err := reader.Workloads().Reader(ctx, key)
	probe := reader.Workloads().Probe(key)
	if s.LastContact = probe.LastSuccess; s.LastContact.IsZero() {
		s.LastContact = probe.Since
	}
	if err != nil {
		s.Workload, s.Connecting = plan.Unknown[Workload](err, now), errors.Is(err, engine.ErrNotConnected)
		return
	}
	shown := Workload{Initialized: true, Pods: map[string]*corev1.PodStatus{}, Nodes: map[string]Node{}}
	if !wasInitialized(*s) {
		shown.Initialized, err = isInitialized(ctx, workload)
	}
	if err == nil && shown.Initialized {
		err = observePods(ctx, workload, *s, shown.Pods)
	}
	if err == nil && shown.Initialized {
		observeEtcd(ctx, reader, s)
		err = observeNodes(ctx, workload, *s, shown.Nodes)
	}
	s.Workload = plan.KnownValue(shown, now)
	if err == nil && shown.Initialized {
		// What is missing beside the machines shows in it; nobody joins before it is known.
		s.Addons, err = observeAddons(ctx, workload, s)
	}
	if err != nil {
		s.Workload = plan.Unknown[Workload](err, now)
		return
	}
	s.Addons.CertificateExpiry = observeCertificateExpiry(ctx, reader, *s)
}

// observeEtcd asks the members on the Nodes of all machines, for those on their way out
// are members until they are removed.
func observeEtcd(ctx context.Context, reader engine.Reader, s *Snapshot) {
	if nodes := nodeNames(*s); stacked(*s) && len(nodes) > 0 {
		view, err := reader.Workloads().Etcd(ctx, client.ObjectKeyFromObject(s.Cluster), nodes)
		if s.Etcd = plan.KnownValue(view, reader.Now()); err != nil {
			s.Etcd = plan.Unknown[etcd.View](err, reader.Now())
		}
	}
}

// observeNodes reads from the cache, so that it costs nothing to ask for each.
func observeNodes(ctx context.Context, workload client.Reader, s Snapshot, nodes map[string]Node) error {
	names := nodeNames(s)
	for _, member := range s.Etcd.Value.Members {
		if member.Started() && !slices.Contains(names, member.Name) {
			names = append(names, member.Name)
		}
	}
	for _, name := range names {
		node := &corev1.Node{}
		err := workload.Get(ctx, client.ObjectKey{Name: name}, node)
		switch {
		case err == nil:
			nodes[name] = Node{Labels: node.Labels, Taints: node.Spec.Taints}
		case !apierrors.IsNotFound(err):
			return fmt.Errorf("read Node %s: %w", name, err)
		}
	}
	return nil
}

// isInitialized reports that kubeadm has uploaded what joins start from: its
// configuration, and the public information that is trusted by the token.
func isInitialized(ctx context.Context, workload client.Reader) (bool, error) {
	for _, key := range []client.ObjectKey{
		{Namespace: metav1.NamespaceSystem, Name: "kubeadm-config"},
		{Namespace: metav1.NamespacePublic, Name: "cluster-info"},
	} {
		err := workload.Get(ctx, key, &corev1.ConfigMap{})
		if apierrors.IsNotFound(err) {
			return false, nil
		}
		if err != nil {
			return false, fmt.Errorf("read ConfigMap %s: %w", key, err)
		}
	}
	return true, nil
}

// observePods reads the static pods, all at once by the label that kubeadm gives them: four
// requests a machine would take a second of what is allowed for a workload cluster, each
// time. One that is not among them is asked for by its name.
func observePods(ctx context.Context, workload client.Reader, s Snapshot, pods map[string]*corev1.PodStatus) error {
	nodes := slices.DeleteFunc(slices.Clone(s.Machines), func(machine *clusterv1.Machine) bool { return !machine.Status.NodeRef.IsDefined() })
	if len(nodes) == 0 {
		return nil
	}
	labelled := &corev1.PodList{}
	if err := workload.List(ctx, labelled, client.InNamespace(metav1.NamespaceSystem), client.MatchingLabels{"tier": "control-plane"}); err != nil {
		return fmt.Errorf("list Pods of the control plane: %w", err)
	}
	listed := map[string]*corev1.PodStatus{}
	for i := range labelled.Items {
		listed[labelled.Items[i].Name] = &labelled.Items[i].Status
	}
	for _, machine := range nodes {
		for _, component := range components(s) {
			name := podName(component, machine)
			if status, ok := listed[name]; ok {
				pods[name] = status
				continue
			}
			pod := &corev1.Pod{}
			found, err := readSystem(ctx, workload, "Pod", name, pod)
			if err != nil {
				return err
			}
			if found {
				pods[name] = &pod.Status
			}
		}
	}
	return nil
}
