// SPDX-License-Identifier: Apache-2.0

package dockermachine

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	infrav1 "github.com/slipway-project/slipway/api/infrastructure/v1beta2"
	"github.com/slipway-project/slipway/engine"
	"github.com/slipway-project/slipway/machines"
	"github.com/slipway-project/slipway/providers/docker/containers"
	"github.com/slipway-project/slipway/providers/docker/operations"
)

// Controller is the DockerMachine controller on a container engine. networkImage is the
// image of the default pod network's agent, which nodes are given that do not hold it.
func Controller(docker *containers.Connector, networkImage string) engine.Controller[Snapshot, infrav1.DockerMachineStatus] {
	observer := &observer{connector: docker, waiter: newWaiter(), networkImage: networkImage}
	return engine.Controller[Snapshot, infrav1.DockerMachineStatus]{
		Name: name, Kind: kind,
		Inputs: []engine.Input{
			engine.Subject(&infrav1.DockerMachine{}),
			engine.Mapped(&clusterv1.Machine{}, ofMachine),
			engine.Mapped(&clusterv1.Cluster{}, func(ctx context.Context, reader engine.Reader, cluster client.Object) []engine.Key {
				return listed(ctx, reader, client.InNamespace(cluster.GetNamespace()), client.MatchingLabels{clusterv1.ClusterNameLabel: cluster.GetName()})
			}),
			// The Secret with the bootstrap data, read when it is used.
			engine.Live(&corev1.Secret{}),
			engine.Events(operations.System, func(ctx context.Context, reader engine.Reader, enqueue func(engine.Key)) error {
				observer.waiter.run(ctx, enqueue)
				for event := range docker.Events(ctx) {
					switch {
					case event.Action == containers.ActionResync:
						for _, key := range listed(ctx, reader) {
							enqueue(key)
						}
					case event.Machine.Name != "":
						enqueue(event.Machine)
					}
				}
				return nil
			}),
		},
		Outputs: []engine.Output{
			engine.Writes(kind, "patch", "patch status"),
			engine.Writes(machineKind, "patch"),
			engine.Operates(operations.System),
		},
		Observe: observer.observe,
		Subject: func(s Snapshot) client.Object {
			if s.DockerMachine == nil {
				return nil
			}
			return s.DockerMachine
		},
		Plan:       Plan,
		Invariants: invariants,
	}
}

// ofMachine are the DockerMachine that a Machine refers to and, for a control plane with a
// node, those of the workers of its cluster at another version: see addonImages.
func ofMachine(ctx context.Context, reader engine.Reader, object client.Object) []engine.Key {
	machine := object.(*clusterv1.Machine)
	keys := referred(machine)
	if !machines.IsControlPlane(machine) || !machine.Status.NodeRef.IsDefined() || machine.DeletionTimestamp != nil {
		return keys
	}
	list, err := family(ctx, reader, machine)
	if err != nil {
		return keys
	}
	for i := range list {
		if !machines.IsControlPlane(&list[i]) && peerOf([]clusterv1.Machine{*machine}, &list[i]) != nil {
			keys = append(keys, referred(&list[i])...)
		}
	}
	return keys
}

func referred(machine *clusterv1.Machine) []engine.Key {
	ref := machine.Spec.InfrastructureRef
	if ref.Kind != kind.Kind || ref.APIGroup != kind.Group {
		return nil
	}
	return []engine.Key{{Namespace: machine.Namespace, Name: ref.Name}}
}

func listed(ctx context.Context, reader engine.Reader, options ...client.ListOption) []engine.Key {
	list := &infrav1.DockerMachineList{}
	if err := reader.List(ctx, list, options...); err != nil {
		return nil
	}
	keys := make([]engine.Key, len(list.Items))
	for i := range list.Items {
		keys[i] = client.ObjectKeyFromObject(&list.Items[i])
	}
	return keys
}
