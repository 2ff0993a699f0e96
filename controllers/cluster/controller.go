// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	"github.com/slipway-project/slipway/engine"
)

// Controller is the Cluster controller.
func Controller() engine.Controller[Snapshot, clusterv1.ClusterStatus] {
	return engine.Controller[Snapshot, clusterv1.ClusterStatus]{
		Name: name, Kind: kind,
		Inputs: []engine.Input{
			engine.Subject(&clusterv1.Cluster{}),
			engine.Mapped(&clusterv1.MachineDeployment{}, func(_ context.Context, _ engine.Reader, o client.Object) []engine.Key {
				return named(o.GetNamespace(), o.(*clusterv1.MachineDeployment).Spec.ClusterName)
			}),
			engine.Mapped(&clusterv1.MachineSet{}, func(_ context.Context, _ engine.Reader, o client.Object) []engine.Key {
				return named(o.GetNamespace(), o.(*clusterv1.MachineSet).Spec.ClusterName)
			}),
			engine.Mapped(&clusterv1.Machine{}, func(_ context.Context, _ engine.Reader, o client.Object) []engine.Key {
				return named(o.GetNamespace(), o.(*clusterv1.Machine).Spec.ClusterName)
			}),
			engine.Contract("InfraCluster", referring),
			engine.Contract("ControlPlane", referring),
			engine.Live(&corev1.Secret{}),
			engine.WorkloadNodes(func(_ context.Context, _ engine.Reader, event engine.WorkloadEvent) []engine.Key {
				if event.Node != nil {
					return nil
				}
				return []engine.Key{event.Cluster}
			}),
		},
		Outputs: []engine.Output{
			engine.Writes(kind, "patch", "patch status"),
			engine.Writes(deploymentKind, "delete"),
			engine.Writes(setKind, "delete"),
			engine.Writes(machineKind, "delete"),
			engine.WritesContract("InfraCluster", "patch", "delete"),
			engine.WritesContract("ControlPlane", "patch", "delete"),
			engine.Writes(secretKind, "create"),
		},
		Observe: observe,
		Subject: func(s Snapshot) client.Object {
			if s.Cluster == nil {
				return nil
			}
			return s.Cluster
		},
		Plan:        Plan,
		Invariants:  invariants,
		Concurrency: 50,
	}
}

func named(namespace, cluster string) []engine.Key {
	return []engine.Key{{Namespace: namespace, Name: cluster}}
}

// referring are the Clusters that refer to an object, whether they have claimed it
// already or not.
func referring(ctx context.Context, reader engine.Reader, object client.Object) []engine.Key {
	list := &clusterv1.ClusterList{}
	// Nothing is changed in the list, so it need not be a copy of the cache.
	if err := reader.List(ctx, list, client.InNamespace(object.GetNamespace()), client.UnsafeDisableDeepCopy); err != nil {
		return nil
	}
	objectKind := object.GetObjectKind().GroupVersionKind()
	var keys []engine.Key
	for i := range list.Items {
		spec := list.Items[i].Spec
		for _, ref := range []clusterv1.ContractVersionedObjectReference{spec.InfrastructureRef, spec.ControlPlaneRef} {
			if ref.Name == object.GetName() && ref.Kind == objectKind.Kind && ref.APIGroup == objectKind.Group {
				keys = append(keys, client.ObjectKeyFromObject(&list.Items[i]))
			}
		}
	}
	return keys
}
