// SPDX-License-Identifier: Apache-2.0

package defaultnetwork

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	"github.com/slipway-project/slipway/deploy/network"
	"github.com/slipway-project/slipway/engine"
)

// Controller keeps the ConfigMap.
func Controller() engine.Controller[Snapshot, Status] {
	return engine.Controller[Snapshot, Status]{
		Name: name, Kind: kind,
		Inputs: []engine.Input{
			engine.Subject(&clusterv1.Cluster{}),
			engine.Live(&corev1.ConfigMap{}),
		},
		Outputs: []engine.Output{engine.Writes(configMapKind, "create", "patch")},
		Observe: observe,
		Subject: func(s Snapshot) client.Object {
			if s.Cluster == nil {
				return nil
			}
			return s.Cluster
		},
		Plan:        Plan,
		Concurrency: 1,
	}
}

func observe(ctx context.Context, reader engine.Reader, key engine.Key) (Snapshot, error) {
	snapshot := Snapshot{Now: reader.Now(), Name: network.ConfigMapName, Manifest: network.Manifest()}
	cluster := &clusterv1.Cluster{}
	if err := reader.Get(ctx, key, cluster); err != nil {
		return snapshot, client.IgnoreNotFound(err)
	}
	snapshot.Cluster = cluster
	clusters := &clusterv1.ClusterList{}
	// A plan changes nothing that it is given, so the list need not be a copy of the cache.
	if err := reader.List(ctx, clusters, client.InNamespace(key.Namespace), client.UnsafeDisableDeepCopy); err != nil {
		return snapshot, fmt.Errorf("list Clusters: %w", err)
	}
	for i := range clusters.Items {
		if clusters.Items[i].DeletionTimestamp == nil {
			snapshot.Clusters = append(snapshot.Clusters, &clusters.Items[i])
		}
	}
	configMap := &corev1.ConfigMap{}
	switch err := reader.Live().Get(ctx, engine.Key{Namespace: key.Namespace, Name: network.ConfigMapName}, configMap); {
	case err == nil:
		snapshot.ConfigMap = configMap
	case !apierrors.IsNotFound(err):
		return snapshot, fmt.Errorf("read ConfigMap %s: %w", network.ConfigMapName, err)
	}
	return snapshot, nil
}
