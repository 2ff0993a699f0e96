// SPDX-License-Identifier: Apache-2.0

package machine

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	"github.com/slipway-project/slipway/contract"
	"github.com/slipway-project/slipway/engine"
	"github.com/slipway-project/slipway/machines"
	"github.com/slipway-project/slipway/plan"
)

// Snapshot is all that a plan for a Machine is made from.
type Snapshot struct {
	Now     time.Time
	Machine *clusterv1.Machine
	// Cluster is nil when it does not exist.
	Cluster *clusterv1.Cluster
	// Bootstrap and Infrastructure are the objects that the Machine refers to.
	Bootstrap, Infrastructure Referenced
	// Node is the one with the Machine's provider ID, or of the name that the Machine
	// noted where a deletion has lost the ID; nil with no error when there is none, or
	// when no provider ID is known yet.
	Node plan.Known[*corev1.Node]
	// Connection is how the one to the workload cluster stands.
	Connection Connection
	// ControlPlane is looked at only while the Machine is being deleted and its Cluster
	// is not.
	ControlPlane ControlPlane
	// Drain is looked at only while Pods are taken off the Node, or its volumes waited for;
	// nil with no error when it is not.
	Drain plan.Known[*Drain]
	// Volumes are looked at only while they are waited for; as Drain.
	Volumes plan.Known[*Volumes]
	// Revisions are looked at only while the Machine stays.
	Revisions   Revisions
	LastFailure *plan.Failure
}

// Revisions are the numbers, as annotations hold them, of the Machine's MachineSet and of
// the newest in its MachineDeployment; empty where there is no such object.
type Revisions struct{ MachineSet, MachineDeployment string }

// Referenced is an object that a Machine refers to.
type Referenced struct {
	// Object is nil when it does not exist, and when Err is set.
	Object *contract.Object
	// Err says why it is not known whether the object exists.
	Err string
	// NoKind is true when the API has no such kind, so that no object can exist.
	NoKind bool
}

// Connection is how the connection to a workload cluster stands.
type Connection struct {
	// Connected is true when the Nodes could be read.
	Connected bool
	// LastSuccess is when the cluster last answered a probe; zero if it never did.
	LastSuccess time.Time
	// Since is when this process began to look after the connection.
	Since time.Time
	// Err is why there is none.
	Err string
}

// ControlPlane is what a deletion has to know about the cluster's control plane.
type ControlPlane struct {
	// Going is true when the object that the Cluster refers to is being deleted or gone.
	Going bool
	// External is true for a control plane that has no Machines here.
	External bool
	// Others counts the cluster's other control-plane Machines that are to stay.
	Others int
}

func observe(ctx context.Context, reader engine.Reader, key engine.Key) (Snapshot, error) {
	snapshot := Snapshot{Now: reader.Now(), LastFailure: reader.LastFailure()}
	machine := &clusterv1.Machine{}
	if err := reader.Get(ctx, key, machine); err != nil {
		return snapshot, client.IgnoreNotFound(err)
	}
	snapshot.Machine = machine
	cluster := &clusterv1.Cluster{}
	err := reader.Get(ctx, engine.Key{Namespace: key.Namespace, Name: machine.Spec.ClusterName}, cluster)
	switch {
	case err == nil:
		snapshot.Cluster = cluster
	case !apierrors.IsNotFound(err):
		return snapshot, fmt.Errorf("read Cluster: %w", err)
	}
	if snapshot.Bootstrap, err = observeObject(ctx, reader, roleBootstrap, machine, machine.Spec.Bootstrap.ConfigRef); err != nil {
		return snapshot, err
	}
	if snapshot.Infrastructure, err = observeObject(ctx, reader, roleInfrastructure, machine, machine.Spec.InfrastructureRef); err != nil {
		return snapshot, err
	}
	if snapshot.Cluster == nil {
		return snapshot, nil
	}
	observeNode(ctx, reader, &snapshot)
	if machines.Deleting(machine) && snapshot.Cluster.DeletionTimestamp == nil {
		if snapshot.ControlPlane, err = observeControlPlane(ctx, reader, machine, snapshot.Cluster); err != nil {
			return snapshot, err
		}
		observeDrain(ctx, reader, &snapshot)
	}
	if !machines.Deleting(machine) && snapshot.Node.Value != nil {
		if snapshot.Revisions, err = observeRevisions(ctx, reader, machine); err != nil {
			return snapshot, err
		}
	}
	return snapshot, nil
}

// observeRevisions follows the owners of a Machine up to its MachineDeployment.
func observeRevisions(ctx context.Context, reader engine.Reader, machine *clusterv1.Machine) (Revisions, error) {
	var seen Revisions
	owner := metav1.GetControllerOf(machine)
	if owner == nil || owner.Kind != clusterv1.MachineSetKind {
		return seen, nil
	}
	set := &clusterv1.MachineSet{}
	if err := reader.Get(ctx, client.ObjectKey{Namespace: machine.Namespace, Name: owner.Name}, set); err != nil {
		return seen, client.IgnoreNotFound(err)
	}
	seen.MachineSet = set.Annotations[clusterv1.RevisionAnnotation]
	owner = metav1.GetControllerOf(set)
	if owner == nil || owner.Kind != clusterv1.MachineDeploymentKind {
		return seen, nil
	}
	deployment := &clusterv1.MachineDeployment{}
	if err := reader.Get(ctx, client.ObjectKey{Namespace: machine.Namespace, Name: owner.Name}, deployment); err != nil {
		return seen, client.IgnoreNotFound(err)
	}
	seen.MachineDeployment = deployment.Annotations[clusterv1.RevisionAnnotation]
	return seen, nil
}

func observeObject(ctx context.Context, reader engine.Reader, role string, machine *clusterv1.Machine, field clusterv1.ContractVersionedObjectReference) (Referenced, error) {
	if !field.IsDefined() {
		return Referenced{}, nil
	}
	ref := contract.RefFrom(field)
	object, err := reader.Contract(ctx, role, ref, machine.Namespace)
	switch {
	case err == nil:
		return Referenced{Object: object}, nil
	case errors.Is(err, engine.ErrNoProvider), errors.Is(err, engine.ErrNotListed):
		return Referenced{Err: err.Error(), NoKind: errors.Is(err, engine.ErrNoKind)}, nil
	case apierrors.IsNotFound(err) && machines.Deleting(machine):
		return observeLive(ctx, reader, ref, machine.Namespace)
	case apierrors.IsNotFound(err):
		return Referenced{}, nil
	default:
		return Referenced{}, fmt.Errorf("read %s %s: %w", field.Kind, field.Name, err)
	}
}

// observeLive asks the server for an object that the cache does not have: the last
// thing a Machine may do wrong is to go while its host is there.
func observeLive(ctx context.Context, reader engine.Reader, ref contract.Ref, namespace string) (Referenced, error) {
	crd, installed, err := readCRD(ctx, reader, ref)
	if err != nil || !installed {
		return Referenced{NoKind: !installed}, err
	}
	contractVersion, apiVersion, ok := contract.Served(crd.Labels)
	if !ok {
		return Referenced{Err: fmt.Sprintf("CRD %s follows no contract that is known here", crd.Name)}, nil
	}
	object := &unstructured.Unstructured{}
	object.SetGroupVersionKind(ref.GroupKind().WithVersion(apiVersion))
	err = reader.Live().Get(ctx, client.ObjectKey{Namespace: namespace, Name: ref.Name}, object)
	switch {
	case err == nil:
		return Referenced{Object: &contract.Object{Unstructured: object, Contract: contractVersion}}, nil
	case apierrors.IsNotFound(err):
		return Referenced{}, nil
	default:
		return Referenced{}, fmt.Errorf("read %s %s from the server: %w", ref.Kind, ref.Name, err)
	}
}

func readCRD(ctx context.Context, reader engine.Reader, ref contract.Ref) (*metav1.PartialObjectMetadata, bool, error) {
	crd := &metav1.PartialObjectMetadata{}
	crd.SetGroupVersionKind(crdKind)
	err := reader.Get(ctx, client.ObjectKey{Name: contract.CRDName(ref.GroupKind())}, crd)
	switch {
	case err == nil:
		return crd, true, nil
	case apierrors.IsNotFound(err):
		return nil, false, nil
	default:
		return nil, false, fmt.Errorf("read CRD of %s: %w", ref.Kind, err)
	}
}

// observeNode looks for the Machine's Node. A cluster that cannot be reached is a
// fact to plan with.
func observeNode(ctx context.Context, reader engine.Reader, snapshot *Snapshot) {
	id := providerID(*snapshot)
	// The ID can be lost with the infrastructure object, if that went before the Machine
	// could take it over. The name that the Node had must do then.
	byName := id == "" && machines.Deleting(snapshot.Machine) && snapshot.Machine.Status.NodeRef.IsDefined()
	if id == "" && !byName {
		return
	}
	workloads := reader.Workloads()
	if workloads == nil {
		snapshot.Connection.Err = "this process connects to no workload clusters"
		snapshot.Node = plan.Known[*corev1.Node]{Err: snapshot.Connection.Err, At: reader.Now()}
		return
	}
	cluster := client.ObjectKeyFromObject(snapshot.Cluster)
	nodes, err := workloads.Reader(ctx, cluster)
	probe := workloads.Probe(cluster)
	snapshot.Connection = Connection{Connected: err == nil, LastSuccess: probe.LastSuccess, Since: probe.Since, Err: probe.Err}
	if err != nil {
		snapshot.Node = plan.Unknown[*corev1.Node](err, reader.Now())
		return
	}
	if byName {
		snapshot.Node = nodeNamed(ctx, reader, nodes, snapshot.Machine)
	} else {
		snapshot.Node = nodeWithID(ctx, reader, nodes, id)
	}
}

func nodeWithID(ctx context.Context, reader engine.Reader, nodes client.Reader, id string) plan.Known[*corev1.Node] {
	list := &corev1.NodeList{}
	if err := nodes.List(ctx, list, client.MatchingFields{"spec.providerID": id}); err != nil {
		return plan.Unknown[*corev1.Node](fmt.Errorf("list Nodes: %w", err), reader.Now())
	}
	switch len(list.Items) {
	case 0:
		return plan.KnownValue[*corev1.Node](nil, reader.Now())
	case 1:
		return plan.KnownValue(&list.Items[0], reader.Now())
	default:
		return plan.Unknown[*corev1.Node](fmt.Errorf("Nodes %s and %s both have spec.providerID %s; delete the one that is not of this Machine",
			list.Items[0].Name, list.Items[1].Name, id), reader.Now())
	}
}

// nodeNamed is the Node that the Machine had by its name, unless a Node of that name is
// another Machine's by now.
func nodeNamed(ctx context.Context, reader engine.Reader, nodes client.Reader, machine *clusterv1.Machine) plan.Known[*corev1.Node] {
	node := &corev1.Node{}
	switch err := nodes.Get(ctx, client.ObjectKey{Name: machine.Status.NodeRef.Name}, node); {
	case apierrors.IsNotFound(err):
		return plan.KnownValue[*corev1.Node](nil, reader.Now())
	case err != nil:
		return plan.Unknown[*corev1.Node](fmt.Errorf("read Node %s: %w", machine.Status.NodeRef.Name, err), reader.Now())
	}
	if noted, ok := node.Annotations[clusterv1.MachineAnnotation]; ok && noted != machine.Name {
		return plan.KnownValue[*corev1.Node](nil, reader.Now())
	}
	return plan.KnownValue(node, reader.Now())
}

func observeControlPlane(ctx context.Context, reader engine.Reader, machine *clusterv1.Machine, cluster *clusterv1.Cluster) (ControlPlane, error) {
	var seen ControlPlane
	if ref := cluster.Spec.ControlPlaneRef; ref.IsDefined() {
		object, err := reader.Contract(ctx, roleControlPlane, contract.RefFrom(ref), cluster.Namespace)
		switch {
		case err == nil:
			seen.Going = object.GetDeletionTimestamp() != nil
			seen.External = object.ExternallyManagedControlPlane()
		case apierrors.IsNotFound(err), errors.Is(err, engine.ErrNoProvider):
			seen.Going = true
		case errors.Is(err, engine.ErrNotListed):
			// It may well be there and stay. Whether it has other Machines is known.
		default:
			return seen, fmt.Errorf("read %s %s: %w", ref.Kind, ref.Name, err)
		}
	}
	list := &clusterv1.MachineList{}
	if err := reader.List(ctx, list, client.InNamespace(cluster.Namespace), client.UnsafeDisableDeepCopy); err != nil {
		return seen, fmt.Errorf("list Machines: %w", err)
	}
	for i := range list.Items {
		other := &list.Items[i]
		if other.UID != machine.UID && other.Spec.ClusterName == cluster.Name && machines.IsControlPlane(other) && !machines.Deleting(other) {
			seen.Others++
		}
	}
	return seen, nil
}
