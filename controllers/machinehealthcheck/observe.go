// SPDX-License-Identifier: Apache-2.0

package machinehealthcheck

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	"github.com/slipway-project/slipway/contract"
	"github.com/slipway-project/slipway/engine"
	"github.com/slipway-project/slipway/plan"
)

// Snapshot is all that a plan for a MachineHealthCheck is made from.
type Snapshot struct {
	Now         time.Time
	HealthCheck *clusterv1.MachineHealthCheck
	// Cluster is nil when it does not exist.
	Cluster *clusterv1.Cluster
	// Machines are all of the cluster, by name, whether they are selected or not.
	Machines []*clusterv1.Machine
	// Others are the other health checks of the cluster, by name.
	Others []*clusterv1.MachineHealthCheck
	// Connection is how the one to the workload cluster stands.
	Connection Connection
	// Nodes are those of the Machines, by name. Not known while there is no connection.
	Nodes plan.Known[[]Node]
	// Template is the one for remediation objects; nil when there is none.
	Template plan.Known[*contract.Object]
	// Requests are the objects of the remediation's kind with names of Machines, by name.
	Requests    plan.Known[map[string]*contract.Object]
	LastFailure *plan.Failure
}

// Node is what counts of a Node.
type Node struct {
	Name, ProviderID string
	Conditions       []corev1.NodeCondition
}

// Connection is how the connection to a workload cluster stands.
type Connection struct {
	// Connected is true when the Nodes could be read and the last probe succeeded.
	Connected bool
	// LastSuccess is when the cluster last answered a probe; zero if it never did.
	LastSuccess time.Time
	// InSightSince is from when on it has answered without a break, InSightUntil until when
	// it did before that; zero where neither is known. See engine.Probe. Before the control
	// plane is initialized InSightSince is since when this process looks.
	InSightSince, InSightUntil time.Time
	// Err is why there is no connection.
	Err string
}

func observe(ctx context.Context, reader engine.Reader, key engine.Key) (Snapshot, error) {
	snapshot := Snapshot{Now: reader.Now(), LastFailure: reader.LastFailure()}
	healthCheck := &clusterv1.MachineHealthCheck{}
	if err := reader.Get(ctx, key, healthCheck); err != nil {
		return snapshot, client.IgnoreNotFound(err)
	}
	snapshot.HealthCheck = healthCheck
	cluster := &clusterv1.Cluster{}
	switch err := reader.Get(ctx, engine.Key{Namespace: key.Namespace, Name: healthCheck.Spec.ClusterName}, cluster); {
	case err == nil:
		snapshot.Cluster = cluster
	case !apierrors.IsNotFound(err):
		return snapshot, fmt.Errorf("read Cluster: %w", err)
	}
	if err := observeMachines(ctx, reader, &snapshot); err != nil {
		return snapshot, err
	}
	if err := observeOthers(ctx, reader, &snapshot); err != nil {
		return snapshot, err
	}
	switch workloads := reader.Workloads(); {
	case initialized(snapshot).ok:
		observeNodes(ctx, reader, &snapshot)
	case provisioned(snapshot).ok && workloads != nil:
		snapshot.Connection.InSightSince = workloads.Probe(client.ObjectKeyFromObject(cluster)).Since
	}
	return snapshot, observeRemediation(ctx, reader, &snapshot)
}

func observeMachines(ctx context.Context, reader engine.Reader, snapshot *Snapshot) error {
	list := &clusterv1.MachineList{}
	// A plan changes nothing in its snapshot, so the list need not be a copy of the cache.
	if err := reader.List(ctx, list, client.InNamespace(snapshot.HealthCheck.Namespace), client.UnsafeDisableDeepCopy); err != nil {
		return fmt.Errorf("list Machines: %w", err)
	}
	for i := range list.Items {
		if list.Items[i].Spec.ClusterName == snapshot.HealthCheck.Spec.ClusterName {
			snapshot.Machines = append(snapshot.Machines, &list.Items[i])
		}
	}
	slices.SortFunc(snapshot.Machines, func(a, b *clusterv1.Machine) int { return strings.Compare(a.Name, b.Name) })
	return nil
}

func observeOthers(ctx context.Context, reader engine.Reader, snapshot *Snapshot) error {
	list := &clusterv1.MachineHealthCheckList{}
	if err := reader.List(ctx, list, client.InNamespace(snapshot.HealthCheck.Namespace), client.UnsafeDisableDeepCopy); err != nil {
		return fmt.Errorf("list MachineHealthChecks: %w", err)
	}
	for i := range list.Items {
		other := &list.Items[i]
		if other.Spec.ClusterName == snapshot.HealthCheck.Spec.ClusterName && other.Name != snapshot.HealthCheck.Name {
			snapshot.Others = append(snapshot.Others, other)
		}
	}
	slices.SortFunc(snapshot.Others, func(a, b *clusterv1.MachineHealthCheck) int { return strings.Compare(a.Name, b.Name) })
	return nil
}

// observeNodes looks for the Machines' Nodes. A cluster that cannot be reached is a fact
// to plan with.
func observeNodes(ctx context.Context, reader engine.Reader, snapshot *Snapshot) {
	workloads := reader.Workloads()
	if workloads == nil {
		snapshot.Connection.Err = "this process connects to no workload clusters"
		snapshot.Nodes = plan.Known[[]Node]{Err: snapshot.Connection.Err, At: reader.Now()}
		return
	}
	cluster := client.ObjectKeyFromObject(snapshot.Cluster)
	nodes, err := workloads.Reader(ctx, cluster)
	list := &corev1.NodeList{}
	if err == nil {
		// Of each Node nothing is changed either.
		err = nodes.List(ctx, list, client.UnsafeDisableDeepCopy)
	}
	// The probe is asked last: what was read while it stood was read from a cluster in sight.
	probe := workloads.Probe(cluster)
	snapshot.Connection = Connection{
		Connected: err == nil && probe.Connected, LastSuccess: probe.LastSuccess,
		InSightSince: probe.InSightSince, InSightUntil: probe.InSightUntil, Err: probe.Err,
	}
	if err != nil {
		snapshot.Nodes = plan.Unknown[[]Node](err, reader.Now())
		return
	}
	snapshot.Nodes = plan.KnownValue(nodesOf(snapshot.Machines, list.Items), reader.Now())
}

func nodesOf(machines []*clusterv1.Machine, list []corev1.Node) []Node {
	names, ids := map[string]bool{}, map[string]bool{}
	for _, machine := range machines {
		names[machine.Status.NodeRef.Name] = true
		ids[machine.Spec.ProviderID] = true
	}
	delete(ids, "")
	var nodes []Node
	for i := range list {
		if node := &list[i]; names[node.Name] || ids[node.Spec.ProviderID] {
			nodes = append(nodes, Node{Name: node.Name, ProviderID: node.Spec.ProviderID, Conditions: node.Status.Conditions})
		}
	}
	slices.SortFunc(nodes, func(a, b Node) int { return strings.Compare(a.Name, b.Name) })
	return nodes
}

// observeRemediation reads the template, and what was made from it.
func observeRemediation(ctx context.Context, reader engine.Reader, snapshot *Snapshot) error {
	ref := templateRef(snapshot.HealthCheck)
	if ref.IsZero() {
		return nil
	}
	namespace := snapshot.HealthCheck.Namespace
	template, err := reader.Contract(ctx, roleTemplate, ref, namespace)
	switch {
	case err == nil:
		snapshot.Template = plan.KnownValue(template, reader.Now())
	case notServed(err):
		snapshot.Template = plan.Unknown[*contract.Object](err, reader.Now())
	case !apierrors.IsNotFound(err):
		return fmt.Errorf("read %s %s: %w", ref.Kind, ref.Name, err)
	}
	requests := map[string]*contract.Object{}
	for _, machine := range snapshot.Machines {
		ref := requestRef(snapshot.HealthCheck, machine.Name)
		if ref.IsZero() {
			return nil
		}
		request, err := reader.Contract(ctx, roleRequest, ref, namespace)
		switch {
		case err == nil:
			requests[machine.Name] = request
		case notServed(err):
			snapshot.Requests = plan.Unknown[map[string]*contract.Object](err, reader.Now())
			return nil
		case !apierrors.IsNotFound(err):
			return fmt.Errorf("read %s %s: %w", ref.Kind, ref.Name, err)
		}
	}
	snapshot.Requests = plan.KnownValue(requests, reader.Now())
	return nil
}

func notServed(err error) bool {
	return errors.Is(err, engine.ErrNoProvider) || errors.Is(err, engine.ErrNotListed)
}
