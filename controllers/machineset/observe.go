// SPDX-License-Identifier: Apache-2.0

package machineset

import (
	"context"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	"github.com/slipway-project/slipway/contract"
	"github.com/slipway-project/slipway/engine"
	"github.com/slipway-project/slipway/plan"
)

// Snapshot is all that a plan for a MachineSet is made from.
type Snapshot struct {
	Now        time.Time
	MachineSet *clusterv1.MachineSet
	// Cluster is nil when it does not exist.
	Cluster *clusterv1.Cluster
	// Deployment is the MachineDeployment that owns the MachineSet; nil for one that
	// stands alone.
	Deployment *clusterv1.MachineDeployment
	// Machines are those that the MachineSet controls and those that nobody controls
	// and its selector matches.
	Machines []*clusterv1.Machine
	// Missing are, by name of a Machine, the objects that it refers to and that are
	// not there, or of which that is not known.
	Missing map[string]Missing
	// Objects are, by name of a Machine, the objects that it refers to and that are there.
	Objects map[string]Objects
	// ControlPlane is the Cluster's control plane; nil where none is referred to, or while
	// it does not exist.
	ControlPlane plan.Known[*contract.Object]
	// The templates; a zero value with no error where none is referred to.
	BootstrapTemplate, InfrastructureTemplate plan.Known[*contract.Object]
	LastFailure                               *plan.Failure
}

// Missing says which of a Machine's objects are not there.
type Missing struct {
	Bootstrap, Infrastructure bool
	// Err says why it is not known of one of them; empty when it is.
	Err string
}

// Objects are what a Machine refers to.
type Objects struct {
	Bootstrap, Infrastructure *contract.Object
}

func observe(ctx context.Context, reader engine.Reader, key engine.Key) (Snapshot, error) {
	snapshot := Snapshot{Now: reader.Now(), LastFailure: reader.LastFailure()}
	machineSet := &clusterv1.MachineSet{}
	if err := reader.Get(ctx, key, machineSet); err != nil {
		return snapshot, client.IgnoreNotFound(err)
	}
	snapshot.MachineSet = machineSet
	cluster := &clusterv1.Cluster{}
	err := reader.Get(ctx, engine.Key{Namespace: key.Namespace, Name: machineSet.Spec.ClusterName}, cluster)
	switch {
	case err == nil:
		snapshot.Cluster = cluster
	case !apierrors.IsNotFound(err):
		return snapshot, fmt.Errorf("read Cluster: %w", err)
	}
	if owner := metav1.GetControllerOf(machineSet); owner != nil && owner.Kind == "MachineDeployment" {
		deployment := &clusterv1.MachineDeployment{}
		err := reader.Get(ctx, engine.Key{Namespace: key.Namespace, Name: owner.Name}, deployment)
		switch {
		case err == nil && deployment.UID == owner.UID:
			snapshot.Deployment = deployment
		case err != nil && !apierrors.IsNotFound(err):
			return snapshot, fmt.Errorf("read MachineDeployment: %w", err)
		}
	}
	if snapshot.Machines, err = observeMachines(ctx, reader, machineSet); err != nil {
		return snapshot, err
	}
	if snapshot.Missing, snapshot.Objects, err = observeObjects(ctx, reader, machineSet, snapshot.Machines); err != nil {
		return snapshot, err
	}
	if snapshot.ControlPlane, err = observeControlPlane(ctx, reader, snapshot.Cluster); err != nil {
		return snapshot, err
	}
	spec := machineSet.Spec.Template.Spec
	snapshot.BootstrapTemplate = observeTemplate(ctx, reader, "BootstrapConfigTemplate", spec.Bootstrap.ConfigRef, key.Namespace)
	snapshot.InfrastructureTemplate = observeTemplate(ctx, reader, "InfraMachineTemplate", spec.InfrastructureRef, key.Namespace)
	return snapshot, nil
}

func observeMachines(ctx context.Context, reader engine.Reader, machineSet *clusterv1.MachineSet) ([]*clusterv1.Machine, error) {
	selector := adopting(machineSet)
	list := &clusterv1.MachineList{}
	// A plan changes nothing that it is given, so the list need not be a copy of the cache.
	if err := reader.List(ctx, list, client.InNamespace(machineSet.Namespace), client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("list Machines: %w", err)
	}
	var found []*clusterv1.Machine
	for i := range list.Items {
		machine := &list.Items[i]
		owner := metav1.GetControllerOf(machine)
		ours := owner != nil && owner.UID == machineSet.UID
		orphan := owner == nil && machine.Spec.ClusterName == machineSet.Spec.ClusterName && selector.Matches(labels.Set(machine.Labels))
		if ours || orphan {
			found = append(found, machine)
		}
	}
	return found, nil
}

// observeObjects looks for the objects of Machines. One that is not there is missing only
// while the Machine is being made.
func observeObjects(ctx context.Context, reader engine.Reader, machineSet *clusterv1.MachineSet, machines []*clusterv1.Machine) (map[string]Missing, map[string]Objects, error) {
	missing, found := map[string]Missing{}, map[string]Objects{}
	// To find out that a kind cannot be listed takes its time: once is enough.
	unread := map[schema.GroupKind]string{}
	for _, machine := range machines {
		if !metav1.IsControlledBy(machine, machineSet) || machine.DeletionTimestamp != nil {
			continue
		}
		lacks, objects := Missing{}, Objects{}
		for _, part := range []struct {
			role    string
			field   clusterv1.ContractVersionedObjectReference
			made    *bool
			missing *bool
			object  **contract.Object
		}{
			{"BootstrapConfig", machine.Spec.Bootstrap.ConfigRef, machine.Status.Initialization.BootstrapDataSecretCreated, &lacks.Bootstrap, &objects.Bootstrap},
			{"InfraMachine", machine.Spec.InfrastructureRef, machine.Status.Initialization.InfrastructureProvisioned, &lacks.Infrastructure, &objects.Infrastructure},
		} {
			ref := contract.RefFrom(part.field)
			if ref.IsZero() {
				continue
			}
			made := part.made != nil && *part.made
			if why, known := unread[ref.GroupKind()]; known {
				if !made {
					lacks.Err = why
				}
				continue
			}
			switch object, err := reader.Contract(ctx, part.role, ref, machine.Namespace); {
			case err == nil:
				*part.object = object
			case errors.Is(err, engine.ErrNoProvider):
			case apierrors.IsNotFound(err):
				*part.missing = !made
			case errors.Is(err, engine.ErrNotListed):
				unread[ref.GroupKind()] = err.Error()
				if !made {
					lacks.Err = err.Error()
				}
			default:
				return nil, nil, fmt.Errorf("read %s %s: %w", ref.Kind, ref.Name, err)
			}
		}
		if lacks != (Missing{}) {
			missing[machine.Name] = lacks
		}
		if objects != (Objects{}) {
			found[machine.Name] = objects
		}
	}
	return missing, found, nil
}

func observeControlPlane(ctx context.Context, reader engine.Reader, cluster *clusterv1.Cluster) (plan.Known[*contract.Object], error) {
	if cluster == nil || !cluster.Spec.ControlPlaneRef.IsDefined() {
		return plan.Known[*contract.Object]{At: reader.Now()}, nil
	}
	ref := contract.RefFrom(cluster.Spec.ControlPlaneRef)
	object, err := reader.Contract(ctx, "ControlPlane", ref, cluster.Namespace)
	switch {
	case err == nil:
		return plan.KnownValue(object, reader.Now()), nil
	case apierrors.IsNotFound(err):
		return plan.Known[*contract.Object]{At: reader.Now()}, nil
	case errors.Is(err, engine.ErrNoProvider), errors.Is(err, engine.ErrNotListed):
		return plan.Unknown[*contract.Object](err, reader.Now()), nil
	default:
		return plan.Known[*contract.Object]{}, fmt.Errorf("read %s: %w", ref, err)
	}
}

func observeTemplate(ctx context.Context, reader engine.Reader, role string, field clusterv1.ContractVersionedObjectReference, namespace string) plan.Known[*contract.Object] {
	if !field.IsDefined() {
		return plan.Known[*contract.Object]{At: reader.Now()}
	}
	object, err := reader.Contract(ctx, role, contract.RefFrom(field), namespace)
	if err != nil {
		if apierrors.IsNotFound(err) {
			err = fmt.Errorf("%s %s/%s does not exist", field.Kind, namespace, field.Name)
		}
		return plan.Unknown[*contract.Object](err, reader.Now())
	}
	return plan.KnownValue(object, reader.Now())
}
