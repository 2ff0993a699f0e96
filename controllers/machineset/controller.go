// SPDX-License-Identifier: Apache-2.0

package machineset

import (
	"context"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/controller-runtime/pkg/client"

	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	"github.com/slipway-project/slipway/engine"
)

// Controller is the MachineSet controller.
func Controller() engine.Controller[Snapshot, clusterv1.MachineSetStatus] {
	return engine.Controller[Snapshot, clusterv1.MachineSetStatus]{
		Name: name, Kind: kind,
		Inputs: []engine.Input{
			engine.Subject(&clusterv1.MachineSet{}),
			engine.Mapped(&clusterv1.Machine{}, setsOfMachine),
			engine.Mapped(&clusterv1.Cluster{}, setsOfCluster),
			engine.Mapped(&clusterv1.MachineDeployment{}, setsOfDeployment),
			engine.Contract("BootstrapConfigTemplate", setsInNamespace),
			engine.Contract("InfraMachineTemplate", setsInNamespace),
			engine.Contract("ControlPlane", setsOfControlPlane),
			engine.Contract("BootstrapConfig", setOfMachineObject),
			engine.Contract("InfraMachine", setOfMachineObject),
		},
		Outputs: []engine.Output{
			engine.Writes(kind, "patch", "patch status"),
			engine.Writes(machineKind, "create", "delete", "patch", "patch status"),
			engine.WritesContract("BootstrapConfig", "create", "patch"),
			engine.WritesContract("InfraMachine", "create", "patch"),
		},
		Observe: observe,
		Subject: func(s Snapshot) client.Object {
			if s.MachineSet == nil {
				return nil
			}
			return s.MachineSet
		},
		Plan:        Plan,
		Invariants:  invariants,
		Concurrency: 50,
	}
}

// setsOfMachine are the set that controls a machine or, when none does, those whose
// selector matches it.
func setsOfMachine(ctx context.Context, reader engine.Reader, object client.Object) []engine.Key {
	if owner := metav1.GetControllerOf(object); owner != nil {
		if owner.Kind != kind.Kind {
			return nil
		}
		return []engine.Key{{Namespace: object.GetNamespace(), Name: owner.Name}}
	}
	return sets(ctx, reader, object.GetNamespace(), func(set *clusterv1.MachineSet) bool {
		return adopting(set).Matches(labels.Set(object.GetLabels()))
	})
}

func setsOfCluster(ctx context.Context, reader engine.Reader, cluster client.Object) []engine.Key {
	return sets(ctx, reader, cluster.GetNamespace(), func(set *clusterv1.MachineSet) bool {
		return set.Spec.ClusterName == cluster.GetName()
	})
}

// setsOfControlPlane are the sets of the Cluster that owns a control plane.
func setsOfControlPlane(ctx context.Context, reader engine.Reader, controlPlane client.Object) []engine.Key {
	clusters := engine.Owners(controlPlane, clusterv1.GroupVersion.WithKind("Cluster").GroupKind())
	return sets(ctx, reader, controlPlane.GetNamespace(), func(set *clusterv1.MachineSet) bool {
		return slices.Contains(clusters, engine.Key{Namespace: set.Namespace, Name: set.Spec.ClusterName})
	})
}

func setsOfDeployment(ctx context.Context, reader engine.Reader, deployment client.Object) []engine.Key {
	return sets(ctx, reader, deployment.GetNamespace(), func(set *clusterv1.MachineSet) bool {
		return metav1.IsControlledBy(set, deployment)
	})
}

// setsInNamespace are the sets that refer to a template of the kind and name.
func setsInNamespace(ctx context.Context, reader engine.Reader, template client.Object) []engine.Key {
	templateKind := template.GetObjectKind().GroupVersionKind()
	refers := func(ref clusterv1.ContractVersionedObjectReference) bool {
		return ref.APIGroup == templateKind.Group && ref.Kind == templateKind.Kind && ref.Name == template.GetName()
	}
	return sets(ctx, reader, template.GetNamespace(), func(set *clusterv1.MachineSet) bool {
		return refers(set.Spec.Template.Spec.InfrastructureRef) || refers(set.Spec.Template.Spec.Bootstrap.ConfigRef)
	})
}

// setOfMachineObject is the set of the machine that owns a bootstrap or
// infrastructure object.
func setOfMachineObject(ctx context.Context, reader engine.Reader, object client.Object) []engine.Key {
	var keys []engine.Key
	for _, key := range engine.Owners(object, machineKind.GroupKind()) {
		machine := &clusterv1.Machine{}
		if err := reader.Get(ctx, key, machine); err == nil {
			keys = append(keys, setsOfMachine(ctx, reader, machine)...)
		}
	}
	return keys
}

func sets(ctx context.Context, reader engine.Reader, namespace string, which func(*clusterv1.MachineSet) bool) []engine.Key {
	list := &clusterv1.MachineSetList{}
	// Nothing is changed in the list, so it need not be a copy of the cache.
	if err := reader.List(ctx, list, client.InNamespace(namespace), client.UnsafeDisableDeepCopy); err != nil {
		return nil
	}
	var keys []engine.Key
	for i := range list.Items {
		if which(&list.Items[i]) {
			keys = append(keys, client.ObjectKeyFromObject(&list.Items[i]))
		}
	}
	return keys
}
