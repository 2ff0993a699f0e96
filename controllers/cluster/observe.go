// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	"github.com/slipway-project/slipway/contract"
	"github.com/slipway-project/slipway/engine"
	"github.com/slipway-project/slipway/plan"
)

// Snapshot is all that a plan for a Cluster is made from.
type Snapshot struct {
	Now     time.Time
	Cluster *clusterv1.Cluster
	// Infrastructure and ControlPlane are the objects that the Cluster refers to.
	Infrastructure, ControlPlane Referenced
	// Deployments, Sets and Machines are all those of the Cluster.
	Deployments []*clusterv1.MachineDeployment
	Sets        []*clusterv1.MachineSet
	Machines    []*clusterv1.Machine
	// Connection is how the workload cluster can be reached.
	Connection engine.Probe
	// Kubeconfig is looked at only where this controller has to make it.
	Kubeconfig  Kubeconfig
	LastFailure *plan.Failure
}

// Referenced is an object that the Cluster refers to.
type Referenced struct {
	// Object is nil when it is not there.
	Object *contract.Object
	// OwnedBy is another Cluster that exists and owns the object; empty for none.
	OwnedBy string
	// Err says why it is not known whether the object exists; empty when it is.
	Err string
	// NoKind is true when the API has no such kind, so that no object can exist.
	NoKind bool
}

// ours is the object, unless it belongs to another Cluster: what that one has reached
// says nothing about this.
func (r Referenced) ours() *contract.Object {
	if r.OwnedBy != "" {
		return nil
	}
	return r.Object
}

func observe(ctx context.Context, reader engine.Reader, key engine.Key) (Snapshot, error) {
	snapshot := Snapshot{Now: reader.Now(), LastFailure: reader.LastFailure()}
	cluster := &clusterv1.Cluster{}
	if err := reader.Get(ctx, key, cluster); err != nil {
		return snapshot, client.IgnoreNotFound(err)
	}
	snapshot.Cluster = cluster
	var err error
	if snapshot.Infrastructure, err = observeReferenced(ctx, reader, "InfraCluster", cluster.Spec.InfrastructureRef, cluster); err != nil {
		return snapshot, err
	}
	if snapshot.ControlPlane, err = observeReferenced(ctx, reader, "ControlPlane", cluster.Spec.ControlPlaneRef, cluster); err != nil {
		return snapshot, err
	}
	if err := observeDescendants(ctx, reader, &snapshot); err != nil {
		return snapshot, err
	}
	if workloads := reader.Workloads(); workloads != nil && cluster.Spec.ControlPlaneEndpoint.IsValid() && cluster.DeletionTimestamp == nil {
		snapshot.Connection = workloads.Probe(key)
	}
	if makesKubeconfig(snapshot) {
		if snapshot.Kubeconfig, err = observeKubeconfig(ctx, reader, snapshot); err != nil {
			return snapshot, err
		}
	}
	return snapshot, nil
}

func observeReferenced(ctx context.Context, reader engine.Reader, role string, field clusterv1.ContractVersionedObjectReference, cluster *clusterv1.Cluster) (Referenced, error) {
	if !field.IsDefined() {
		return Referenced{}, nil
	}
	object, err := reader.Contract(ctx, role, contract.RefFrom(field), cluster.Namespace)
	switch {
	case err == nil:
		other, err := otherOwner(ctx, reader, object, cluster)
		return Referenced{Object: object, OwnedBy: other}, err
	case errors.Is(err, engine.ErrNoProvider), errors.Is(err, engine.ErrNotListed):
		return Referenced{Err: err.Error(), NoKind: errors.Is(err, engine.ErrNoKind)}, nil
	case apierrors.IsNotFound(err):
		return Referenced{}, nil
	default:
		return Referenced{}, fmt.Errorf("read %s %s: %w", field.Kind, field.Name, err)
	}
}

// otherOwner finds another Cluster that exists and owns an object. An owner that is gone,
// as after a restore, does not count.
func otherOwner(ctx context.Context, reader engine.Reader, object *contract.Object, cluster *clusterv1.Cluster) (string, error) {
	for _, reference := range object.GetOwnerReferences() {
		if reference.Kind != kind.Kind || !strings.HasPrefix(reference.APIVersion, kind.Group+"/") || reference.UID == cluster.UID {
			continue
		}
		other := &clusterv1.Cluster{}
		err := reader.Get(ctx, engine.Key{Namespace: cluster.Namespace, Name: reference.Name}, other)
		if err == nil && other.UID == reference.UID {
			return other.Name, nil
		}
		if err != nil && !apierrors.IsNotFound(err) {
			return "", fmt.Errorf("read Cluster %s: %w", reference.Name, err)
		}
	}
	return "", nil
}

func observeDescendants(ctx context.Context, reader engine.Reader, snapshot *Snapshot) error {
	namespace, name := client.InNamespace(snapshot.Cluster.Namespace), snapshot.Cluster.Name
	// A plan changes nothing that it is given, so the lists need not be copies of the cache.
	deployments := &clusterv1.MachineDeploymentList{}
	if err := reader.List(ctx, deployments, namespace, client.UnsafeDisableDeepCopy); err != nil {
		return fmt.Errorf("list MachineDeployments: %w", err)
	}
	for i := range deployments.Items {
		if deployments.Items[i].Spec.ClusterName == name {
			snapshot.Deployments = append(snapshot.Deployments, &deployments.Items[i])
		}
	}
	sets := &clusterv1.MachineSetList{}
	if err := reader.List(ctx, sets, namespace, client.UnsafeDisableDeepCopy); err != nil {
		return fmt.Errorf("list MachineSets: %w", err)
	}
	for i := range sets.Items {
		if sets.Items[i].Spec.ClusterName == name {
			snapshot.Sets = append(snapshot.Sets, &sets.Items[i])
		}
	}
	machines := &clusterv1.MachineList{}
	if err := reader.List(ctx, machines, namespace, client.UnsafeDisableDeepCopy); err != nil {
		return fmt.Errorf("list Machines: %w", err)
	}
	for i := range machines.Items {
		if machines.Items[i].Spec.ClusterName == name {
			snapshot.Machines = append(snapshot.Machines, &machines.Items[i])
		}
	}
	return nil
}
