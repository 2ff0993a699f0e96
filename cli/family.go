// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"

	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	addonsv1 "github.com/slipway-project/slipway/api/addons/v1beta2"
	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	"github.com/slipway-project/slipway/contract"
	"github.com/slipway-project/slipway/machines"
)

var eventKind = eventsv1.SchemeGroupVersion.WithKind("Event")

// family is a Cluster with all that belongs to it, as it was read. The objects of
// providers are read by the contract, so that any provider's can be shown.
type family struct {
	// Cluster is nil when there is none of that name.
	Cluster *clusterv1.Cluster
	// Infrastructure and ControlPlane are what the Cluster refers to; nil when it is
	// not there.
	Infrastructure, ControlPlane *contract.Object
	Deployments                  []clusterv1.MachineDeployment
	Sets                         []clusterv1.MachineSet
	Machines                     []clusterv1.Machine
	// Hosts and Bootstraps are the infrastructure and bootstrap objects of Machines,
	// by the Machine's name.
	Hosts, Bootstraps map[string]*contract.Object
	// ResourceSets are those that select the Cluster; Binding records what of them
	// has been applied.
	ResourceSets []addonsv1.ClusterResourceSet
	Binding      *addonsv1.ClusterResourceSetBinding
	// Blocked are the events by which controllers said that an object is blocked.
	Blocked []eventsv1.Event
	// HealthChecks are the MachineHealthChecks of the Cluster, read by their fields.
	HealthChecks []*contract.Object
	// Others are objects of providers with the Cluster's label that no Machine
	// refers to, as they are while a cluster is deleted.
	Others []*contract.Object
}

// familyOf picks a Cluster's family out of objects of one namespace.
func familyOf(objects []*unstructured.Unstructured, name string) (family, error) {
	f := family{Hosts: map[string]*contract.Object{}, Bootstraps: map[string]*contract.Object{}}
	var sets []addonsv1.ClusterResourceSet
	byRef := map[contract.Ref]*contract.Object{}
	var provided []*contract.Object
	for _, object := range objects {
		kind := object.GroupVersionKind().GroupKind()
		ours := object.GetLabels()[clusterv1.ClusterNameLabel] == name
		var err error
		switch {
		case kind == clusterKind.GroupKind():
			if object.GetName() == name {
				f.Cluster, err = typed[clusterv1.Cluster](object)
			}
		case kind == machineDeploymentKind.GroupKind():
			f.Deployments, err = adding(f.Deployments, object, func(d *clusterv1.MachineDeployment) bool { return d.Spec.ClusterName == name })
		case kind == machineSetKind.GroupKind():
			f.Sets, err = adding(f.Sets, object, func(s *clusterv1.MachineSet) bool { return s.Spec.ClusterName == name })
		case kind == machineKind.GroupKind():
			f.Machines, err = adding(f.Machines, object, func(m *clusterv1.Machine) bool { return m.Spec.ClusterName == name })
		case kind == machineHealthCheckKind.GroupKind():
			if of, _, _ := unstructured.NestedString(object.Object, "spec", "clusterName"); of == name {
				f.HealthChecks = append(f.HealthChecks, &contract.Object{Unstructured: object, Contract: contract.V1Beta2})
			}
		case kind == clusterResourceSetKind.GroupKind():
			sets, err = adding(sets, object, func(*addonsv1.ClusterResourceSet) bool { return true })
		case kind == clusterResourceBindingKind.GroupKind():
			if object.GetName() == name {
				f.Binding, err = typed[addonsv1.ClusterResourceSetBinding](object)
			}
		case kind == eventKind.GroupKind():
			f.Blocked, err = adding(f.Blocked, object, func(e *eventsv1.Event) bool { return e.Type == "Warning" && e.Action == "Plan" })
		default:
			read := &contract.Object{Unstructured: object, Contract: contract.V1Beta2}
			byRef[contract.Ref{APIGroup: kind.Group, Kind: kind.Kind, Name: object.GetName()}] = read
			if ours {
				provided = append(provided, read)
			}
		}
		if err != nil {
			return f, err
		}
	}
	f.refer(byRef, provided)
	if f.Cluster != nil {
		f.ResourceSets = selecting(sets, f.Cluster)
	}
	f.sort()
	return f, nil
}

// refer finds what Cluster and Machines refer to.
func (f *family) refer(byRef map[contract.Ref]*contract.Object, provided []*contract.Object) {
	used := map[*contract.Object]bool{}
	find := func(field clusterv1.ContractVersionedObjectReference) *contract.Object {
		object := byRef[contract.RefFrom(field)]
		if object != nil {
			used[object] = true
		}
		return object
	}
	if f.Cluster != nil {
		f.Infrastructure, f.ControlPlane = find(f.Cluster.Spec.InfrastructureRef), find(f.Cluster.Spec.ControlPlaneRef)
	}
	for _, machine := range f.Machines {
		if host := find(machine.Spec.InfrastructureRef); host != nil {
			f.Hosts[machine.Name] = host
		}
		if bootstrap := find(machine.Spec.Bootstrap.ConfigRef); bootstrap != nil {
			f.Bootstraps[machine.Name] = bootstrap
		}
	}
	for _, object := range provided {
		if !used[object] && !strings.HasSuffix(object.GetKind(), clusterv1.TemplateSuffix) {
			f.Others = append(f.Others, object)
		}
	}
}

func (f *family) sort() {
	slices.SortFunc(f.Deployments, func(a, b clusterv1.MachineDeployment) int { return strings.Compare(a.Name, b.Name) })
	slices.SortFunc(f.Sets, func(a, b clusterv1.MachineSet) int { return strings.Compare(a.Name, b.Name) })
	slices.SortFunc(f.Machines, func(a, b clusterv1.Machine) int { return strings.Compare(a.Name, b.Name) })
	slices.SortFunc(f.ResourceSets, func(a, b addonsv1.ClusterResourceSet) int { return strings.Compare(a.Name, b.Name) })
	for _, list := range [][]*contract.Object{f.HealthChecks, f.Others} {
		slices.SortFunc(list, func(a, b *contract.Object) int {
			return strings.Compare(a.GetKind()+"/"+a.GetName(), b.GetKind()+"/"+b.GetName())
		})
	}
}

// controlPlaneMachines and workers are the two parts of the Machines.
func (f *family) controlPlaneMachines() []clusterv1.Machine {
	return slices.DeleteFunc(slices.Clone(f.Machines), func(m clusterv1.Machine) bool { return !machines.IsControlPlane(&m) })
}

func (f *family) workers() []clusterv1.Machine {
	return slices.DeleteFunc(slices.Clone(f.Machines), func(m clusterv1.Machine) bool { return machines.IsControlPlane(&m) })
}

func typed[T any](object *unstructured.Unstructured) (*T, error) {
	value := new(T)
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, value); err != nil {
		return nil, fmt.Errorf("read %s %s: %w", object.GetKind(), object.GetName(), err)
	}
	return value, nil
}

func adding[T any](list []T, object *unstructured.Unstructured, belongs func(*T) bool) ([]T, error) {
	value, err := typed[T](object)
	if err == nil && belongs(value) {
		list = append(list, *value)
	}
	return list, err
}

// familyKinds are the kinds that a family can have: those of the core, and those of
// the providers that its objects refer to.
func familyKinds(references ...clusterv1.ContractVersionedObjectReference) []schema.GroupKind {
	kinds := []schema.GroupKind{
		clusterKind.GroupKind(), machineDeploymentKind.GroupKind(), machineSetKind.GroupKind(), machineKind.GroupKind(),
		machineHealthCheckKind.GroupKind(), clusterResourceSetKind.GroupKind(), clusterResourceBindingKind.GroupKind(),
		dockerClusterKind.GroupKind(), dockerMachineKind.GroupKind(), kubeadmControlPlaneKind.GroupKind(), kubeadmConfigKind.GroupKind(),
	}
	for _, reference := range references {
		kind := contract.RefFrom(reference).GroupKind()
		kind.Kind = strings.TrimSuffix(kind.Kind, clusterv1.TemplateSuffix)
		if kind.Kind != "" && !slices.Contains(kinds, kind) {
			kinds = append(kinds, kind)
		}
	}
	return kinds
}

// served turns kinds into those that the server has, with the version to use.
func (m *management) served(kinds []schema.GroupKind) ([]schema.GroupVersionKind, error) {
	var found []schema.GroupVersionKind
	for _, kind := range kinds {
		mapping, err := m.client.RESTMapper().RESTMapping(kind)
		if meta.IsNoMatchError(err) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("find kind %s: %w", kind, err)
		}
		found = append(found, mapping.GroupVersionKind)
	}
	return found, nil
}

// references are those of a Cluster's family to objects of providers, read afresh.
func (m *management) references(ctx context.Context, cluster *clusterv1.Cluster) ([]clusterv1.ContractVersionedObjectReference, error) {
	found := []clusterv1.ContractVersionedObjectReference{cluster.Spec.InfrastructureRef, cluster.Spec.ControlPlaneRef}
	inCluster := []client.ListOption{client.InNamespace(cluster.Namespace), client.MatchingLabels{clusterv1.ClusterNameLabel: cluster.Name}}
	list := &clusterv1.MachineList{}
	if err := m.client.List(ctx, list, inCluster...); err != nil {
		return nil, fmt.Errorf("list Machines: %w", err)
	}
	for _, machine := range list.Items {
		found = append(found, machine.Spec.InfrastructureRef, machine.Spec.Bootstrap.ConfigRef)
	}
	deployments := &clusterv1.MachineDeploymentList{}
	if err := m.client.List(ctx, deployments, inCluster...); err != nil {
		return nil, fmt.Errorf("list MachineDeployments: %w", err)
	}
	for _, deployment := range deployments.Items {
		found = append(found, deployment.Spec.Template.Spec.InfrastructureRef, deployment.Spec.Template.Spec.Bootstrap.ConfigRef)
	}
	return found, nil
}

// readFamily reads a family once.
func (m *management) readFamily(ctx context.Context, cluster *clusterv1.Cluster) (family, error) {
	references, err := m.references(ctx, cluster)
	if err != nil {
		return family{}, err
	}
	kinds, err := m.served(familyKinds(references...))
	if err != nil {
		return family{}, err
	}
	objects, err := listAll(ctx, m.client, kinds, cluster.Namespace)
	if err != nil {
		return family{}, err
	}
	return familyOf(objects, cluster.Name)
}

func listAll(ctx context.Context, reader client.Reader, kinds []schema.GroupVersionKind, namespace string) ([]*unstructured.Unstructured, error) {
	var objects []*unstructured.Unstructured
	for _, kind := range kinds {
		list := &unstructured.UnstructuredList{}
		list.SetGroupVersionKind(kind.GroupVersion().WithKind(kind.Kind + "List"))
		if err := reader.List(ctx, list, client.InNamespace(namespace)); err != nil {
			return nil, fmt.Errorf("list %s: %w", kind.Kind, err)
		}
		for i := range list.Items {
			objects = append(objects, &list.Items[i])
		}
	}
	return objects, nil
}

// getCluster reads a Cluster by name; the error says what there is instead.
func (m *management) getCluster(ctx context.Context, namespace, name string) (*clusterv1.Cluster, error) {
	if err := m.checkInstalled(); err != nil {
		return nil, err
	}
	cluster := &clusterv1.Cluster{}
	err := m.client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, cluster)
	if err == nil {
		return cluster, nil
	}
	if client.IgnoreNotFound(err) != nil {
		return nil, fmt.Errorf("read Cluster %s/%s: %w", namespace, name, err)
	}
	list := &clusterv1.ClusterList{}
	if err := m.client.List(ctx, list); err != nil {
		return nil, fmt.Errorf("list Clusters: %w", err)
	}
	return nil, noCluster(namespace, name, list.Items)
}

// noCluster says that a Cluster does not exist, and which do.
func noCluster(namespace, name string, there []clusterv1.Cluster) error {
	var here, elsewhere []string
	for _, cluster := range there {
		if cluster.Namespace == namespace {
			here = append(here, cluster.Name)
		}
		if cluster.Name == name {
			elsewhere = append(elsewhere, cluster.Namespace)
		}
	}
	switch {
	case len(elsewhere) > 0:
		return fmt.Errorf("Cluster %s/%s does not exist, but there is one of that name in namespace %s; name the namespace with -n", namespace, name, listed(elsewhere))
	case len(here) > 0:
		return fmt.Errorf("Cluster %s/%s does not exist; in namespace %s there is: %s", namespace, name, namespace, listed(here))
	default:
		return fmt.Errorf("Cluster %s/%s does not exist, and no other in namespace %s; make one with: slipway create cluster %s", namespace, name, namespace, name)
	}
}

// conditionsOf are the conditions of an object of a provider.
func conditionsOf(object *contract.Object) []metav1.Condition {
	if object == nil {
		return nil
	}
	items, _, err := unstructured.NestedSlice(object.Object, "status", "conditions")
	if err != nil {
		return nil
	}
	var list []metav1.Condition
	for _, item := range items {
		fields, ok := item.(map[string]any)
		if !ok {
			continue
		}
		name, _ := fields["type"].(string)
		if condition, malformed := object.Condition(name); condition != nil && malformed == "" {
			list = append(list, *condition)
		}
	}
	return list
}
