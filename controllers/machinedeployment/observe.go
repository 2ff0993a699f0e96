// SPDX-License-Identifier: Apache-2.0

package machinedeployment

import (
	"context"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	"github.com/slipway-project/slipway/engine"
	"github.com/slipway-project/slipway/plan"
)

// Snapshot is all that a plan for a MachineDeployment is made from.
type Snapshot struct {
	Now        time.Time
	Deployment *clusterv1.MachineDeployment
	// Cluster is nil when it does not exist.
	Cluster *clusterv1.Cluster
	// Sets are the MachineSets that the MachineDeployment controls.
	Sets []*clusterv1.MachineSet
	// Machines are those that these sets control.
	Machines    []*clusterv1.Machine
	LastFailure *plan.Failure
}

func observe(ctx context.Context, reader engine.Reader, key engine.Key) (Snapshot, error) {
	snapshot := Snapshot{Now: reader.Now(), LastFailure: reader.LastFailure()}
	deployment := &clusterv1.MachineDeployment{}
	if err := reader.Get(ctx, key, deployment); err != nil {
		return snapshot, client.IgnoreNotFound(err)
	}
	snapshot.Deployment = deployment
	cluster := &clusterv1.Cluster{}
	err := reader.Get(ctx, engine.Key{Namespace: key.Namespace, Name: deployment.Spec.ClusterName}, cluster)
	switch {
	case err == nil:
		snapshot.Cluster = cluster
	case !apierrors.IsNotFound(err):
		return snapshot, fmt.Errorf("read Cluster: %w", err)
	}
	sets := &clusterv1.MachineSetList{}
	if err := reader.List(ctx, sets, client.InNamespace(key.Namespace)); err != nil {
		return snapshot, fmt.Errorf("list MachineSets: %w", err)
	}
	for i := range sets.Items {
		if metav1.IsControlledBy(&sets.Items[i], deployment) {
			snapshot.Sets = append(snapshot.Sets, &sets.Items[i])
		}
	}
	machines := &clusterv1.MachineList{}
	// A plan changes nothing that it is given, so the list need not be a copy of the cache.
	if err := reader.List(ctx, machines, client.InNamespace(key.Namespace), client.UnsafeDisableDeepCopy); err != nil {
		return snapshot, fmt.Errorf("list Machines: %w", err)
	}
	for i := range machines.Items {
		for _, set := range snapshot.Sets {
			if metav1.IsControlledBy(&machines.Items[i], set) {
				snapshot.Machines = append(snapshot.Machines, &machines.Items[i])
			}
		}
	}
	return snapshot, nil
}
