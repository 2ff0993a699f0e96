// SPDX-License-Identifier: Apache-2.0

package clusterresourceset

import (
	"context"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	addonsv1 "github.com/slipway-project/slipway/api/addons/v1beta2"
	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	"github.com/slipway-project/slipway/engine"
)

// Controller shows on each ClusterResourceSet how far it has come.
func Controller() engine.Controller[SetSnapshot, addonsv1.ClusterResourceSetStatus] {
	return engine.Controller[SetSnapshot, addonsv1.ClusterResourceSetStatus]{
		Name: setName, Kind: setKind,
		Inputs: []engine.Input{
			engine.Subject(&addonsv1.ClusterResourceSet{}),
			engine.Mapped(&addonsv1.ClusterResourceSetBinding{}, setsInNamespace),
			engine.Mapped(&clusterv1.Cluster{}, setsInNamespace),
			engine.Mapped(configMapMetadata(), setsNaming),
			engine.Live(&corev1.ConfigMap{}),
			engine.Live(&corev1.Secret{}),
		},
		Outputs: []engine.Output{
			engine.Writes(setKind, "patch", "patch status"),
			engine.Writes(bindingKind, "delete"),
		},
		Observe: observeSet,
		Subject: func(s SetSnapshot) client.Object {
			if s.Set == nil {
				return nil
			}
			return s.Set
		},
		Plan: PlanSet,
	}
}

// BindingController writes into workload clusters what ClusterResourceSets name.
func BindingController() engine.Controller[BindingSnapshot, BindingStatus] {
	return engine.Controller[BindingSnapshot, BindingStatus]{
		Name: bindingName, Kind: clusterKind,
		Inputs: []engine.Input{
			engine.Subject(&clusterv1.Cluster{}),
			engine.Owned(&addonsv1.ClusterResourceSetBinding{}, clusterKind.GroupKind()),
			engine.Mapped(&addonsv1.ClusterResourceSet{}, clustersInNamespace),
			engine.Mapped(configMapMetadata(), clustersOfConfigMap),
			engine.Live(&corev1.ConfigMap{}),
			engine.Live(&corev1.Secret{}),
			engine.WorkloadNodes(func(_ context.Context, _ engine.Reader, event engine.WorkloadEvent) []engine.Key {
				if event.Node != nil {
					return nil
				}
				return []engine.Key{event.Cluster}
			}),
		},
		Outputs: []engine.Output{
			engine.Writes(bindingKind, "create", "patch", "delete"),
			engine.WritesWorkloadAnything("create", "patch"),
		},
		Observe: observeBinding,
		Subject: func(s BindingSnapshot) client.Object {
			if s.Cluster == nil {
				return nil
			}
			return s.Cluster
		},
		Plan: PlanBinding,
	}
}

// configMapMetadata asks for a watch on the metadata of ConfigMaps: what they hold is
// read when it is needed.
func configMapMetadata() client.Object {
	object := &metav1.PartialObjectMetadata{}
	object.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("ConfigMap"))
	return object
}

func setsInNamespace(ctx context.Context, reader engine.Reader, object client.Object) []engine.Key {
	return sets(ctx, reader, object.GetNamespace(), func(*addonsv1.ClusterResourceSet) bool { return true })
}

func setsNaming(ctx context.Context, reader engine.Reader, configMap client.Object) []engine.Key {
	return sets(ctx, reader, configMap.GetNamespace(), func(set *addonsv1.ClusterResourceSet) bool {
		return slices.Contains(set.Spec.Resources, addonsv1.ResourceRef{Kind: "ConfigMap", Name: configMap.GetName()})
	})
}

func sets(ctx context.Context, reader engine.Reader, namespace string, which func(*addonsv1.ClusterResourceSet) bool) []engine.Key {
	list := &addonsv1.ClusterResourceSetList{}
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

func clustersOfConfigMap(ctx context.Context, reader engine.Reader, configMap client.Object) []engine.Key {
	if len(setsNaming(ctx, reader, configMap)) == 0 {
		return nil
	}
	return clustersInNamespace(ctx, reader, configMap)
}

func clustersInNamespace(ctx context.Context, reader engine.Reader, object client.Object) []engine.Key {
	list := &clusterv1.ClusterList{}
	if err := reader.List(ctx, list, client.InNamespace(object.GetNamespace())); err != nil {
		return nil
	}
	keys := make([]engine.Key, len(list.Items))
	for i := range list.Items {
		keys[i] = client.ObjectKeyFromObject(&list.Items[i])
	}
	return keys
}
