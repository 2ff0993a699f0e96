// SPDX-License-Identifier: Apache-2.0

package machinedeployment

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	"github.com/slipway-project/slipway/engine"
)

// Controller is the MachineDeployment controller.
func Controller() engine.Controller[Snapshot, clusterv1.MachineDeploymentStatus] {
	return engine.Controller[Snapshot, clusterv1.MachineDeploymentStatus]{
		Name: name, Kind: kind,
		Inputs: []engine.Input{
			engine.Subject(&clusterv1.MachineDeployment{}),
			engine.Owned(&clusterv1.MachineSet{}, kind.GroupKind()),
			engine.Mapped(&clusterv1.Machine{}, deploymentOfMachine),
			engine.Mapped(&clusterv1.Cluster{}, deploymentsOfCluster),
		},
		Outputs: []engine.Output{
			engine.Writes(kind, "patch", "patch status"),
			engine.Writes(setKind, "create", "patch", "delete"),
		},
		Observe: observe,
		Subject: func(s Snapshot) client.Object {
			if s.Deployment == nil {
				return nil
			}
			return s.Deployment
		},
		Plan:        Plan,
		Invariants:  invariants,
		Concurrency: 50,
	}
}

// deploymentOfMachine is the MachineDeployment above the MachineSet of a machine.
func deploymentOfMachine(ctx context.Context, reader engine.Reader, machine client.Object) []engine.Key {
	owner := metav1.GetControllerOf(machine)
	if owner == nil || owner.Kind != setKind.Kind {
		return nil
	}
	set := &clusterv1.MachineSet{}
	if err := reader.Get(ctx, engine.Key{Namespace: machine.GetNamespace(), Name: owner.Name}, set); err != nil {
		return nil
	}
	return engine.Owners(set, kind.GroupKind())
}

func deploymentsOfCluster(ctx context.Context, reader engine.Reader, cluster client.Object) []engine.Key {
	list := &clusterv1.MachineDeploymentList{}
	// Nothing is changed in the list, so it need not be a copy of the cache.
	if err := reader.List(ctx, list, client.InNamespace(cluster.GetNamespace()), client.UnsafeDisableDeepCopy); err != nil {
		return nil
	}
	var keys []engine.Key
	for i := range list.Items {
		if list.Items[i].Spec.ClusterName == cluster.GetName() {
			keys = append(keys, client.ObjectKeyFromObject(&list.Items[i]))
		}
	}
	return keys
}
