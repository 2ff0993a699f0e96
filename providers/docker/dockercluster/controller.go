// SPDX-License-Identifier: Apache-2.0

package dockercluster

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

// Controller is the DockerCluster controller on a container engine.
func Controller(docker *containers.Connector) engine.Controller[Snapshot, infrav1.DockerClusterStatus] {
	return engine.Controller[Snapshot, infrav1.DockerClusterStatus]{
		Name: name, Kind: kind,
		Inputs: []engine.Input{
			engine.Subject(&infrav1.DockerCluster{}),
			engine.Mapped(&clusterv1.Cluster{}, func(ctx context.Context, reader engine.Reader, cluster client.Object) []engine.Key {
				return ofCluster(ctx, reader, client.ObjectKeyFromObject(cluster))
			}),
			engine.Mapped(&infrav1.DockerMachine{}, func(ctx context.Context, reader engine.Reader, machine client.Object) []engine.Key {
				return ofCluster(ctx, reader, engine.Key{Namespace: machine.GetNamespace(), Name: machine.GetLabels()[clusterv1.ClusterNameLabel]})
			}),
			engine.Mapped(&clusterv1.Machine{}, func(ctx context.Context, reader engine.Reader, object client.Object) []engine.Key {
				machine := object.(*clusterv1.Machine)
				if !machines.IsControlPlane(machine) || machine.DeletionTimestamp == nil {
					return nil // only those that leave are read
				}
				return ofCluster(ctx, reader, engine.Key{Namespace: machine.Namespace, Name: machine.Spec.ClusterName})
			}),
			engine.Live(&corev1.ConfigMap{}),
			engine.Events(operations.System, func(ctx context.Context, reader engine.Reader, enqueue func(engine.Key)) error {
				for event := range docker.Events(ctx) {
					for _, key := range ofCluster(ctx, reader, event.Cluster) {
						enqueue(key)
					}
				}
				return nil
			}),
		},
		Outputs: []engine.Output{
			engine.Writes(kind, "patch", "patch status"),
			engine.Operates(operations.System),
		},
		Observe: observe(docker),
		Subject: func(s Snapshot) client.Object {
			if s.DockerCluster == nil {
				return nil
			}
			return s.DockerCluster
		},
		Plan: Plan,
	}
}

// ofCluster are the DockerClusters that a Cluster owns; all there are when the key is
// empty, which says that events may have been missed.
func ofCluster(ctx context.Context, reader engine.Reader, cluster engine.Key) []engine.Key {
	list := &infrav1.DockerClusterList{}
	var options []client.ListOption
	if cluster.Namespace != "" {
		options = append(options, client.InNamespace(cluster.Namespace))
	}
	if err := reader.List(ctx, list, options...); err != nil {
		return nil
	}
	var keys []engine.Key
	for i := range list.Items {
		for _, owner := range engine.Owners(&list.Items[i], clusterKind.GroupKind()) {
			if owner == cluster || cluster.Name == "" {
				keys = append(keys, client.ObjectKeyFromObject(&list.Items[i]))
			}
		}
	}
	return keys
}
