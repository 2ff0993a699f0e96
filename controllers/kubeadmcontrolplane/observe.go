// SPDX-License-Identifier: Apache-2.0

package kubeadmcontrolplane

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	bootstrapv1 "github.com/slipway-project/slipway/api/bootstrap/v1beta2"
	controlplanev1 "github.com/slipway-project/slipway/api/controlplane/v1beta2"
	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	"github.com/slipway-project/slipway/contract"
	"github.com/slipway-project/slipway/credentials"
	"github.com/slipway-project/slipway/engine"
	"github.com/slipway-project/slipway/etcd"
	"github.com/slipway-project/slipway/machines"
	"github.com/slipway-project/slipway/plan"
)

// Snapshot is all that a plan for a KubeadmControlPlane is made from. Of keys it holds
// only candidates for new ones.
type Snapshot struct {
	Now          time.Time
	ControlPlane *controlplanev1.KubeadmControlPlane
	// Cluster is the one that the control plane serves: of those that refer to it, the
	// one that owns it, or the only one while none does. nil when there is none such.
	Cluster *clusterv1.Cluster
	// Claims are the names of the Clusters that refer to it, sorted.
	Claims []string
	// Machines are those that the control plane controls.
	Machines []*clusterv1.Machine
	// Orphans are the control-plane Machines of the Cluster that nobody controls.
	Orphans []*clusterv1.Machine
	// Workers are the names of the cluster's other Machines.
	Workers []string
	// Objects are, by name of a Machine, the objects that it refers to.
	Objects map[string]Objects
	// Template is the infrastructure template.
	Template plan.Known[*contract.Object]
	// Certificates are the cluster's key pairs as their Secrets hold them.
	Certificates map[credentials.Purpose]Certificate
	// FreshPairs are candidates for missing certificates.
	FreshPairs map[credentials.Purpose]credentials.Pair
	Kubeconfig Kubeconfig
	// FreshKubeconfig is a candidate for a kubeconfig that is missing or to be renewed.
	FreshKubeconfig []byte
	// Workload is what the workload cluster shows.
	Workload plan.Known[Workload]
	// Etcd is what the members of etcd say; not asked for where etcd is external.
	Etcd plan.Known[etcd.View]
	// Addons are what kubeadm has put into the workload cluster beside its machines.
	Addons Addons
	// Connecting is true while there is no connection to the workload cluster: an event
	// tells when there is.
	Connecting bool
	// LastContact is when the workload cluster last answered this process. Until it does,
	// it is when this process began to ask: what was seen before counts meanwhile.
	LastContact time.Time
	LastFailure *plan.Failure
}

// Objects are what a Machine refers to.
type Objects struct {
	// Config is nil when it is missing.
	Config *bootstrapv1.KubeadmConfig
	// Infrastructure is nil when it is missing.
	Infrastructure *Infrastructure
}

// Infrastructure is what counts of an infrastructure machine.
type Infrastructure struct {
	// What it was made from; empty when that is not known.
	ClonedFromName, ClonedFromGroupKind string
	// Metadata is the object without all else.
	Metadata *metav1.PartialObjectMetadata
	// Unread says why it cannot be said whether it is there.
	Unread string
}

// Certificate is how a Secret with a key pair stands.
type Certificate struct {
	Missing bool
	// Leftover names the owner of a Secret of an earlier cluster of the same name, which
	// is being garbage collected with that owner; empty for all others.
	Leftover string
	// KeyMissing is true for an authority whose key is kept elsewhere.
	KeyMissing bool
	// Ownerless is the UID of a Secret that the control plane made and that has no owner
	// any more; empty for all others.
	Ownerless types.UID
	// Problem says why the pair cannot be used; empty when it can.
	Problem string
}

// Kubeconfig is how the Secret with the admin kubeconfig stands.
type Kubeconfig struct {
	Missing bool
	// Leftover is as for a Certificate.
	Leftover string
	// Ours is true when the control plane made it; else the user supplied it.
	Ours bool
	UID  types.UID
	// Problem says why it cannot be used.
	Problem string
	// Renewal says why it must be made anew; empty when it need not be.
	Renewal string
}

func observe(ctx context.Context, reader engine.Reader, key engine.Key) (Snapshot, error) {
	s := Snapshot{Now: reader.Now(), LastFailure: reader.LastFailure()}
	controlPlane := &controlplanev1.KubeadmControlPlane{}
	if err := reader.Get(ctx, key, controlPlane); err != nil {
		return s, client.IgnoreNotFound(err)
	}
	s.ControlPlane = controlPlane
	if err := observeCluster(ctx, reader, &s); err != nil {
		return s, err
	}
	if err := observeMachines(ctx, reader, &s); err != nil {
		return s, err
	}
	if !working(s) {
		return s, nil
	}
	if err := observeObjects(ctx, reader, &s); err != nil {
		return s, err
	}
	ref := controlPlane.Spec.MachineTemplate.Spec.InfrastructureRef
	s.Template = observeTemplate(ctx, reader, ref, key.Namespace)
	if s.Template.OK() && len(s.Machines) == 0 {
		startWatching(ctx, reader, s)
	}
	if err := observeCredentials(ctx, reader, &s); err != nil {
		return s, err
	}
	observeWorkload(ctx, reader, &s)
	return s, nil
}

// observeCluster finds the Cluster whose controlPlaneRef names this object. The owner
// reference comes later, and may be missing. Once there, it decides: else one that is
// applied later with the same reference would be taken for it at one time, and not at
// another, and its name and its keys be given to machines that are there.
func observeCluster(ctx context.Context, reader engine.Reader, s *Snapshot) error {
	list := &clusterv1.ClusterList{}
	if err := reader.List(ctx, list, client.InNamespace(s.ControlPlane.Namespace)); err != nil {
		return fmt.Errorf("list Clusters: %w", err)
	}
	owner := owningCluster(s.ControlPlane)
	var candidates []*clusterv1.Cluster
	for i := range list.Items {
		cluster := &list.Items[i]
		if !refersTo(cluster, s.ControlPlane.Name) {
			continue
		}
		s.Claims = append(s.Claims, cluster.Name)
		if owner == nil || owner.UID == cluster.UID {
			candidates = append(candidates, cluster)
		}
	}
	slices.Sort(s.Claims)
	if len(candidates) == 1 {
		s.Cluster = candidates[0]
	}
	return nil
}

func observeMachines(ctx context.Context, reader engine.Reader, s *Snapshot) error {
	list := &clusterv1.MachineList{}
	if err := reader.List(ctx, list, client.InNamespace(s.ControlPlane.Namespace)); err != nil {
		return fmt.Errorf("list Machines: %w", err)
	}
	cluster := clusterName(*s)
	for i := range list.Items {
		machine := &list.Items[i]
		switch {
		case metav1.IsControlledBy(machine, s.ControlPlane):
			s.Machines = append(s.Machines, machine)
		case cluster != "" && isOrphan(machine, cluster):
			s.Orphans = append(s.Orphans, machine)
		case machine.Spec.ClusterName == cluster && !machines.IsControlPlane(machine):
			s.Workers = append(s.Workers, machine.Name)
		}
	}
	return nil
}

// isOrphan reports that a Machine belongs to the control plane of a Cluster, and to no
// object that looks after it: it was made elsewhere, or its control plane was deleted
// without it.
func isOrphan(machine *clusterv1.Machine, cluster string) bool {
	return machine.Spec.ClusterName == cluster && machines.IsControlPlane(machine) && !machines.Deleting(machine) && metav1.GetControllerOf(machine) == nil
}

func observeObjects(ctx context.Context, reader engine.Reader, s *Snapshot) error {
	s.Objects = map[string]Objects{}
	for _, machine := range s.Machines {
		var objects Objects
		config := &bootstrapv1.KubeadmConfig{}
		err := reader.Get(ctx, engine.Key{Namespace: machine.Namespace, Name: machine.Spec.Bootstrap.ConfigRef.Name}, config)
		switch {
		case err == nil:
			objects.Config = config
		case !apierrors.IsNotFound(err):
			return fmt.Errorf("read KubeadmConfig: %w", err)
		}
		if machines.Deleting(machine) {
			s.Objects[machine.Name] = objects
			continue
		}
		infrastructure, err := reader.Contract(ctx, "InfraMachine", contract.RefFrom(machine.Spec.InfrastructureRef), machine.Namespace)
		switch {
		case err == nil:
			objects.Infrastructure = infrastructureOf(infrastructure)
		case errors.Is(err, engine.ErrNoProvider), errors.Is(err, engine.ErrNotListed):
			// Whether it is there cannot be said, so it is not taken for missing.
			objects.Infrastructure = &Infrastructure{Unread: err.Error()}
		case !apierrors.IsNotFound(err):
			return fmt.Errorf("read %s: %w", contract.RefFrom(machine.Spec.InfrastructureRef), err)
		}
		s.Objects[machine.Name] = objects
	}
	return nil
}

func infrastructureOf(object *contract.Object) *Infrastructure {
	annotations := object.GetAnnotations()
	metadata := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{
		Namespace: object.GetNamespace(), Name: object.GetName(), UID: object.GetUID(), ResourceVersion: object.GetResourceVersion(),
		Labels: object.GetLabels(), Annotations: annotations, ManagedFields: object.GetManagedFields(),
	}}
	metadata.SetGroupVersionKind(object.GroupVersionKind())
	return &Infrastructure{
		ClonedFromName:      annotations[clusterv1.TemplateClonedFromNameAnnotation],
		ClonedFromGroupKind: annotations[clusterv1.TemplateClonedFromGroupKindAnnotation],
		Metadata:            metadata,
	}
}

// startWatching has the watch on infrastructure machines begin before the first one is
// made: it takes a second, and the first control plane would wait for it. What the read
// gives does not matter.
func startWatching(ctx context.Context, reader engine.Reader, s Snapshot) {
	template := s.Template.Value
	made := contract.ClonedKind(template.GroupVersionKind())
	_, _ = reader.Contract(ctx, "InfraMachine", contract.Ref{APIGroup: made.Group, Kind: made.Kind, Name: template.GetName()}, s.ControlPlane.Namespace)
}

func observeTemplate(ctx context.Context, reader engine.Reader, field clusterv1.ContractVersionedObjectReference, namespace string) plan.Known[*contract.Object] {
	object, err := reader.Contract(ctx, "InfraMachineTemplate", contract.RefFrom(field), namespace)
	if err != nil {
		if apierrors.IsNotFound(err) {
			err = fmt.Errorf("%s %s/%s does not exist", field.Kind, namespace, field.Name)
		}
		return plan.Unknown[*contract.Object](err, reader.Now())
	}
	return plan.KnownValue(object, reader.Now())
}
