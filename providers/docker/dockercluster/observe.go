// SPDX-License-Identifier: Apache-2.0

package dockercluster

import (
	"context"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	infrav1 "github.com/slipway-project/slipway/api/infrastructure/v1beta2"
	"github.com/slipway-project/slipway/engine"
	"github.com/slipway-project/slipway/plan"
	"github.com/slipway-project/slipway/providers/docker/containers"
)

// Snapshot is all that a plan for a DockerCluster is made from.
type Snapshot struct {
	Now           time.Time
	DockerCluster *infrav1.DockerCluster
	// Cluster is the owner; nil until there is one.
	Cluster *clusterv1.Cluster
	// LoadBalancer is the container; unknown when the engine does not answer.
	LoadBalancer plan.Known[containers.LoadBalancer]
	// Containers are those of the cluster's machines.
	Containers plan.Known[[]containers.Machine]
	// Machines are the cluster's DockerMachines.
	Machines []*infrav1.DockerMachine
	// Leaving are the names of those whose Machines are being deleted, sorted. They
	// themselves are deleted later, when the Machines' nodes are drained.
	Leaving []string
	// Template is the user's HAProxy template; "" without an error for none.
	Template    plan.Known[string]
	LastFailure *plan.Failure
}

func observe(connector *containers.Connector) func(context.Context, engine.Reader, engine.Key) (Snapshot, error) {
	return func(ctx context.Context, reader engine.Reader, key engine.Key) (Snapshot, error) {
		snapshot := Snapshot{Now: reader.Now(), LastFailure: reader.LastFailure()}
		object := &infrav1.DockerCluster{}
		if err := reader.Get(ctx, key, object); err != nil {
			return snapshot, client.IgnoreNotFound(err)
		}
		snapshot.DockerCluster = object
		cluster, owned := clusterOf(object)
		if !owned && object.DeletionTimestamp == nil {
			return snapshot, nil
		}
		if owned {
			owner := &clusterv1.Cluster{}
			switch err := reader.Get(ctx, cluster, owner); {
			case err == nil:
				snapshot.Cluster = owner
			case !apierrors.IsNotFound(err):
				return snapshot, fmt.Errorf("read Cluster: %w", err)
			}
		}
		cluster = observeContainers(ctx, connector, cluster, owned, &snapshot)
		var err error
		if snapshot.Machines, err = machinesOf(ctx, reader, cluster); err != nil {
			return snapshot, err
		}
		if snapshot.Leaving, err = leaving(ctx, reader, cluster); err != nil {
			return snapshot, err
		}
		snapshot.Template = observeTemplate(ctx, reader, object)
		return snapshot, nil
	}
}

// clusterOf is the Cluster that a DockerCluster belongs to: its owner, else the one
// that its label names, else none.
func clusterOf(object *infrav1.DockerCluster) (cluster engine.Key, owned bool) {
	if owners := engine.Owners(object, clusterKind.GroupKind()); len(owners) > 0 {
		return owners[0], true
	}
	if label := object.Labels[clusterv1.ClusterNameLabel]; label != "" {
		return engine.Key{Namespace: object.Namespace, Name: label}, false
	}
	return engine.Key{}, false
}

// observeContainers reads what the engine has of a cluster. A DockerCluster that is no
// longer owned may still have a load balancer, which carries its UID; the cluster that
// this one is for is then given back.
func observeContainers(ctx context.Context, connector *containers.Connector, cluster engine.Key, owned bool, snapshot *Snapshot) engine.Key {
	docker, err := connector.Client(ctx)
	if err != nil {
		snapshot.LoadBalancer = plan.Unknown[containers.LoadBalancer](err, snapshot.Now)
		snapshot.Containers = plan.Unknown[[]containers.Machine](err, snapshot.Now)
		return cluster
	}
	var balancer containers.LoadBalancer
	if !owned {
		if balancer, err = docker.LoadBalancerMadeFor(ctx, string(snapshot.DockerCluster.UID)); balancer.Exists {
			cluster = balancer.Cluster
		}
	}
	if err == nil && !balancer.Exists && cluster.Name != "" {
		balancer, err = docker.LoadBalancer(ctx, cluster)
	}
	snapshot.LoadBalancer = known(balancer, err, snapshot.Now)
	if cluster.Name == "" || err != nil {
		// An engine that does not answer is not waited for twice.
		snapshot.Containers = known[[]containers.Machine](nil, err, snapshot.Now)
		return cluster
	}
	nodes, err := docker.Machines(ctx, cluster)
	snapshot.Containers = known(nodes, err, snapshot.Now)
	return cluster
}

func known[T any](value T, err error, at time.Time) plan.Known[T] {
	if err != nil {
		return plan.Unknown[T](err, at)
	}
	return plan.KnownValue(value, at)
}

func machinesOf(ctx context.Context, reader engine.Reader, cluster engine.Key) ([]*infrav1.DockerMachine, error) {
	if cluster.Name == "" {
		return nil, nil
	}
	list := &infrav1.DockerMachineList{}
	if err := reader.List(ctx, list, client.InNamespace(cluster.Namespace), client.MatchingLabels{clusterv1.ClusterNameLabel: cluster.Name}); err != nil {
		return nil, fmt.Errorf("list DockerMachines: %w", err)
	}
	machines := make([]*infrav1.DockerMachine, len(list.Items))
	for i := range list.Items {
		machines[i] = &list.Items[i]
	}
	return machines, nil
}

// leaving are the DockerMachines of a cluster whose Machines are being deleted.
func leaving(ctx context.Context, reader engine.Reader, cluster engine.Key) ([]string, error) {
	if cluster.Name == "" {
		return nil, nil
	}
	list := &clusterv1.MachineList{}
	if err := reader.List(ctx, list, client.InNamespace(cluster.Namespace), client.MatchingLabels{clusterv1.ClusterNameLabel: cluster.Name}); err != nil {
		return nil, fmt.Errorf("list Machines: %w", err)
	}
	var names []string
	for i := range list.Items {
		if machine := &list.Items[i]; machine.DeletionTimestamp != nil {
			names = append(names, machine.Spec.InfrastructureRef.Name)
		}
	}
	slices.Sort(names)
	return names, nil
}

// observeTemplate reads the template under the key "value" of the ConfigMap that the
// DockerCluster names.
func observeTemplate(ctx context.Context, reader engine.Reader, object *infrav1.DockerCluster) plan.Known[string] {
	ref := object.Spec.LoadBalancer.CustomHAProxyConfigTemplateRef
	if ref == nil {
		return plan.KnownValue("", reader.Now())
	}
	configMap := &corev1.ConfigMap{}
	key := engine.Key{Namespace: object.Namespace, Name: ref.Name}
	if err := reader.Live().Get(ctx, key, configMap); err != nil {
		return plan.Unknown[string](fmt.Errorf("read the HAProxy template: %w", err), reader.Now())
	}
	text, ok := configMap.Data["value"]
	if !ok || text == "" {
		return plan.Unknown[string](fmt.Errorf("ConfigMap %s has no HAProxy template under the key \"value\"", key), reader.Now())
	}
	return plan.KnownValue(text, reader.Now())
}
