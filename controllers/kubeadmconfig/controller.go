// SPDX-License-Identifier: Apache-2.0

package kubeadmconfig

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	bootstrapv1 "github.com/slipway-project/slipway/api/bootstrap/v1beta2"
	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	"github.com/slipway-project/slipway/engine"
	"github.com/slipway-project/slipway/machines"
)

// Controller is the KubeadmConfig controller.
func Controller() engine.Controller[Snapshot, bootstrapv1.KubeadmConfigStatus] {
	return engine.Controller[Snapshot, bootstrapv1.KubeadmConfigStatus]{
		Name: name, Kind: kind,
		Inputs: []engine.Input{
			engine.Subject(&bootstrapv1.KubeadmConfig{}),
			engine.Mapped(&clusterv1.Machine{}, configsOfMachine),
			engine.Mapped(&clusterv1.Cluster{}, configsOfCluster),
			engine.Contract("ControlPlane", configsWithoutData),
			engine.Live(&corev1.Secret{}),
			engine.Live(&corev1.ConfigMap{}),
			engine.WorkloadNodes(configsOfWorkload),
		},
		Outputs: []engine.Output{
			engine.Writes(kind, "patch", "patch status"),
			engine.Writes(secretKind, "create", "patch"),
			engine.Writes(configMapKind, "create", "delete"),
			engine.WritesWorkload(secretKind, "create", "patch", "delete"),
		},
		Observe: observe,
		Subject: func(s Snapshot) client.Object {
			if s.Config == nil {
				return nil
			}
			return s.Config
		},
		Plan:        Plan,
		Invariants:  invariants,
		Concurrency: 50,
	}
}

// configsOfMachine are the KubeadmConfig of a machine and, for a control-plane
// machine, those that may wait for it to be through with initializing or to be gone.
func configsOfMachine(ctx context.Context, reader engine.Reader, object client.Object) []engine.Key {
	machine, ok := object.(*clusterv1.Machine)
	if !ok {
		return nil
	}
	var keys []engine.Key
	if ref := machine.Spec.Bootstrap.ConfigRef; ref.APIGroup == kind.Group && ref.Kind == kind.Kind {
		keys = append(keys, engine.Key{Namespace: machine.Namespace, Name: ref.Name})
	}
	if !machines.IsControlPlane(machine) {
		return keys
	}
	return append(keys, configs(ctx, reader, machine.Namespace, func(config *bootstrapv1.KubeadmConfig) bool {
		return config.Labels[clusterv1.ClusterNameLabel] == machine.Spec.ClusterName && !dataCreated(config) && mayInitialize(config.Spec)
	})...)
}

func configsOfCluster(ctx context.Context, reader engine.Reader, cluster client.Object) []engine.Key {
	return configs(ctx, reader, cluster.GetNamespace(), func(config *bootstrapv1.KubeadmConfig) bool {
		return config.Labels[clusterv1.ClusterNameLabel] == cluster.GetName()
	})
}

// configsWithoutData are those whose files may ask for the control plane's version.
func configsWithoutData(ctx context.Context, reader engine.Reader, controlPlane client.Object) []engine.Key {
	return configs(ctx, reader, controlPlane.GetNamespace(), func(config *bootstrapv1.KubeadmConfig) bool {
		return !dataCreated(config) && usesTemplates(config.Spec)
	})
}

// configsOfWorkload are those that have something to do in a workload cluster whose
// connection changed: a token to make or to remove.
func configsOfWorkload(ctx context.Context, reader engine.Reader, event engine.WorkloadEvent) []engine.Key {
	if event.Node != nil {
		return nil
	}
	return configs(ctx, reader, event.Cluster.Namespace, func(config *bootstrapv1.KubeadmConfig) bool {
		return config.Labels[clusterv1.ClusterNameLabel] == event.Cluster.Name && (!dataCreated(config) || hasToken(config))
	})
}

func configs(ctx context.Context, reader engine.Reader, namespace string, which func(*bootstrapv1.KubeadmConfig) bool) []engine.Key {
	list := &bootstrapv1.KubeadmConfigList{}
	if err := reader.List(ctx, list, client.InNamespace(namespace)); err != nil {
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
