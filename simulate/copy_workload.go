// SPDX-License-Identifier: Apache-2.0

package simulate

import (
	"context"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/version"
	"sigs.k8s.io/controller-runtime/pkg/client"

	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	"github.com/slipway-project/slipway/conditions"
	"github.com/slipway-project/slipway/engine"
	"github.com/slipway-project/slipway/etcd"
	"github.com/slipway-project/slipway/machines"
)

// copyWorkload takes a workload cluster over that has been initialized: as it is, where it
// can be read; else as its Machines show it.
func (w *World) copyWorkload(ctx context.Context, live engine.Workloads, owner *clusterv1.Cluster, copied *Copied) error {
	c, err := w.clusterOf(owner)
	if err != nil {
		return err
	}
	var mine []*clusterv1.Machine
	for _, machine := range w.machines() {
		if machine.Namespace == owner.Namespace && machine.Spec.ClusterName == owner.Name {
			mine = append(mine, machine)
		}
	}
	why := "no connection was asked for"
	if live != nil {
		reader, err := live.Reader(ctx, c.key)
		if err == nil {
			err = c.copyObjects(ctx, reader)
		}
		if err == nil {
			c.initialized = true
			c.seeHosts(mine)
			c.copyMembers(ctx, live, mine, copied)
			return nil
		}
		why = err.Error()
	}
	copied.say("Workload cluster %s was not looked at (%s): its Nodes and etcd members are taken to be as the Machines show them, "+
		"and neither pods nor PodDisruptionBudgets are known, so every drain is taken to succeed.", c.key, why)
	return c.reconstruct(mine)
}

// copyObjects reads what plans are made from.
func (c *workloadCluster) copyObjects(ctx context.Context, reader client.Reader) error {
	for _, list := range []client.ObjectList{
		&corev1.NodeList{}, &corev1.PodList{}, &policyv1.PodDisruptionBudgetList{}, &appsv1.DaemonSetList{}, &storagev1.VolumeAttachmentList{},
	} {
		if err := c.copyList(ctx, reader, list); err != nil {
			return err
		}
	}
	for _, namespace := range []string{metav1.NamespaceSystem, metav1.NamespacePublic} {
		for _, list := range []client.ObjectList{&corev1.ConfigMapList{}, &appsv1.DeploymentList{}} {
			if err := c.copyList(ctx, reader, list, client.InNamespace(namespace)); err != nil {
				return err
			}
		}
	}
	for _, budget := range c.store.All(budgetKind.GroupKind()) {
		c.budgets[client.ObjectKeyFromObject(budget)], _, _ = unstructured.NestedInt64(budget.Object, "status", "disruptionsAllowed")
	}
	return nil
}

func (c *workloadCluster) copyList(ctx context.Context, reader client.Reader, list client.ObjectList, options ...client.ListOption) error {
	if err := reader.List(ctx, list, options...); err != nil {
		return fmt.Errorf("list %T of cluster %s: %w", list, c.key, err)
	}
	return meta.EachListItem(list, func(item runtime.Object) error {
		content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(item)
		if err != nil {
			return fmt.Errorf("read %T: %w", item, err)
		}
		object := &unstructured.Unstructured{Object: content}
		object.SetGroupVersionKind(kindOf(c.store, item))
		c.store.Load(object)
		return nil
	})
}

// seeHosts takes it that the hosts of all Machines are on whose Node is Ready.
func (c *workloadCluster) seeHosts(mine []*clusterv1.Machine) {
	for _, machine := range mine {
		h := hostOf(machine)
		node := c.store.held(nodeKind.GroupKind(), types.NamespacedName{Name: h.node})
		if h.node == "" || node == nil {
			continue
		}
		c.learn(h)
		if !isReady(node) {
			h.silent = "its Node is not Ready"
		}
		c.hosts[h.providerID] = &h
	}
}

func hostOf(machine *clusterv1.Machine) host {
	h := host{
		name: machine.Name, providerID: machine.Spec.ProviderID, version: machine.Spec.Version, node: machine.Status.NodeRef.Name,
		controlPlane: machines.IsControlPlane(machine), address: address(machine.Namespace, machine.Name),
	}
	if info := machine.Status.NodeInfo; info != nil && info.KubeletVersion != "" {
		h.version = info.KubeletVersion
	}
	return h
}

// copyMembers asks the real members.
func (c *workloadCluster) copyMembers(ctx context.Context, live engine.Workloads, mine []*clusterv1.Machine, copied *Copied) {
	var nodes []string
	for _, machine := range mine {
		if machines.IsControlPlane(machine) && machine.Status.NodeRef.IsDefined() {
			nodes = append(nodes, machine.Status.NodeRef.Name)
		}
	}
	if len(nodes) == 0 {
		return
	}
	view, err := live.Etcd(ctx, c.key, nodes)
	if err != nil {
		copied.say("The etcd members of cluster %s could not be asked (%s): they are taken to be as the Machines show them, and which one leads is not known.", c.key, err)
		c.guessMembers(mine)
		return
	}
	c.members.list = view.Members
	if leader, ok := view.Leader(); ok {
		c.members.leader = leader.ID
	}
	c.members.silent = map[uint64]string{}
	for _, member := range view.Members {
		if answer, asked := view.Answers[member.Name]; asked && answer.Err != "" {
			c.members.silent[member.ID] = answer.Err
		} else if !member.Started() {
			c.members.silent[member.ID] = (etcd.View{}).Problem(member)
		}
	}
	c.members.elect()
}

func (c *workloadCluster) guessMembers(mine []*clusterv1.Machine) {
	for _, machine := range mine {
		if !machines.IsControlPlane(machine) || !machine.Status.NodeRef.IsDefined() {
			continue
		}
		c.members.add(machine.Status.NodeRef.Name, false, c.key)
		if conditions.Is(machine.Status.Conditions, clusterv1.NodeReadyCondition, metav1.ConditionUnknown) {
			c.members.hush(machine.Status.NodeRef.Name, "no answer: its Node is not known to be Ready")
		}
	}
}

// reconstruct makes a workload cluster out of what its Machines show of it.
func (c *workloadCluster) reconstruct(mine []*clusterv1.Machine) error {
	oldest := host{}
	for _, machine := range mine {
		if h := hostOf(machine); h.controlPlane && (oldest.version == "" || older(h.version, oldest.version)) {
			oldest = h
		}
	}
	if err := c.initialize(oldest); err != nil {
		return err
	}
	c.guessMembers(mine)
	for _, machine := range mine {
		h := hostOf(machine)
		if h.node == "" {
			continue
		}
		c.learn(h)
		if err := c.register(&h); err != nil {
			return err
		}
		c.hosts[h.providerID] = &h
		if !conditions.Is(machine.Status.Conditions, clusterv1.NodeReadyCondition, metav1.ConditionTrue) {
			h.silent = "its Node is not Ready"
			continue
		}
		if err := c.settle(&h); err != nil {
			return err
		}
	}
	return nil
}

func older(a, b string) bool {
	left, err := version.ParseSemantic(a)
	if err != nil {
		return false
	}
	right, err := version.ParseSemantic(b)
	return err == nil && left.LessThan(right)
}
