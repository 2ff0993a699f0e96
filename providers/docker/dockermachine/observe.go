// SPDX-License-Identifier: Apache-2.0

package dockermachine

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/version"
	"sigs.k8s.io/controller-runtime/pkg/client"

	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	infrav1 "github.com/slipway-project/slipway/api/infrastructure/v1beta2"
	"github.com/slipway-project/slipway/engine"
	"github.com/slipway-project/slipway/machines"
	"github.com/slipway-project/slipway/plan"
	"github.com/slipway-project/slipway/providers/docker/cloudconfig"
	"github.com/slipway-project/slipway/providers/docker/containers"
	"github.com/slipway-project/slipway/providers/docker/operations"
)

// Snapshot is all that a plan for a DockerMachine is made from.
type Snapshot struct {
	Now           time.Time
	DockerMachine *infrav1.DockerMachine
	// Machine is the owner, Cluster its cluster; nil until there is one.
	Machine *clusterv1.Machine
	Cluster *clusterv1.Cluster
	// OtherControlPlanes are how many other control-plane Machines of the cluster run and
	// are to stay. They are counted only for one that is being deleted.
	OtherControlPlanes int
	// Container is unknown when the engine does not answer.
	Container plan.Known[containers.Machine]
	// ProviderID is that of the container, whether it is there or not.
	ProviderID string
	// Diagnosis is of a container that stopped soon or that has run for a while and not
	// booted; the zero value for every other, and while it cannot be had.
	Diagnosis plan.Known[Diagnosis]
	// NetworkImage is the image of the default pod network's agent where the node's own
	// image does not hold it and the engine has it; else empty: the user may bring
	// another network.
	NetworkImage plan.Known[string]
	// Boot, LoadedImages and Bootstrap are of the inside of a container that runs.
	Boot         plan.Known[containers.Boot]
	LoadedImages plan.Known[[]string]
	Bootstrap    plan.Known[cloudconfig.State]
	// Peer is a control plane of the cluster at another version, whose images of add-ons the
	// node has not been given yet; nil when there is none, or the node has not booted.
	Peer        *Peer
	LastFailure *plan.Failure
}

// Peer is another machine of the cluster.
type Peer struct {
	Machine types.NamespacedName
	// Version is its Kubernetes version.
	Version string
	// Images are those of add-ons that its node has and this one lacks.
	Images plan.Known[[]string]
}

// Diagnosis is what can be told of a node that does not come up.
type Diagnosis struct {
	// Cause says why and what to do, Reason is the reason for conditions, where these are
	// known.
	Cause, Reason string
	// LastLine is the last on the node's console.
	LastLine string
}

// bootPatience is how long a container may run before it is asked why it has not booted.
const bootPatience = 30 * time.Second

func (o *observer) observe(ctx context.Context, reader engine.Reader, key engine.Key) (Snapshot, error) {
	snapshot := Snapshot{Now: reader.Now(), LastFailure: reader.LastFailure()}
	object := &infrav1.DockerMachine{}
	if err := reader.Get(ctx, key, object); err != nil {
		o.looks.forget(key)
		return snapshot, client.IgnoreNotFound(err)
	}
	if object.DeletionTimestamp != nil || bootstrapped(object) {
		o.looks.forget(key)
	}
	snapshot.DockerMachine = object
	if err := observeOwners(ctx, reader, &snapshot); err != nil {
		return snapshot, err
	}
	snapshot.ProviderID = containers.ProviderID(containers.MachineName(o.connector.ManagementID(), key))
	docker, err := o.connector.Client(ctx)
	if err != nil {
		snapshot.Container = plan.Unknown[containers.Machine](err, reader.Now())
		return snapshot, nil
	}
	container, err := docker.Machine(ctx, key)
	snapshot.Container = known(container, err, reader.Now())
	if err != nil || !container.Exists || container.HalfMade() || object.DeletionTimestamp != nil {
		return snapshot, nil
	}
	switch {
	case !container.Running() && container.Finished.Sub(container.Started) < bootPatience:
		diagnose(ctx, docker, key, &snapshot)
	case container.Running() && !bootstrapped(object):
		o.observeInside(ctx, reader, docker, key, &snapshot)
		if snapshot.Bootstrap.OK() && snapshot.Boot.Value.Ready && snapshot.Bootstrap.Value.Phase == cloudconfig.Running && snapshot.Machine != nil {
			return snapshot, observePeer(ctx, reader, docker, &snapshot)
		}
	case container.Running() && snapshot.Machine != nil && snapshot.Machine.DeletionTimestamp == nil:
		return snapshot, observePeer(ctx, reader, docker, &snapshot)
	}
	return snapshot, nil
}

// observePeer finds a control plane of the cluster at another version than the machine, and
// compares the images of the two. It does so until the machine's annotation says that it
// was done. A control plane that is there and of an older version is about to be replaced,
// and needs none.
func observePeer(ctx context.Context, reader engine.Reader, docker *containers.Client, snapshot *Snapshot) error {
	if machines.IsControlPlane(snapshot.Machine) && bootstrapped(snapshot.DockerMachine) {
		return nil
	}
	list, err := family(ctx, reader, snapshot.Machine)
	if err != nil {
		return err
	}
	peer := peerOf(list, snapshot.Machine)
	if peer == nil || snapshot.DockerMachine.Annotations[addonImagesAnnotation] == peer.Spec.Version {
		return nil
	}
	snapshot.Peer = &Peer{Machine: types.NamespacedName{Namespace: peer.Namespace, Name: peer.Spec.InfrastructureRef.Name}, Version: peer.Spec.Version}
	there, err := docker.NodeImages(ctx, snapshot.Peer.Machine)
	var here []string
	if err == nil {
		here, err = docker.NodeImages(ctx, client.ObjectKeyFromObject(snapshot.DockerMachine))
	}
	missing := slices.DeleteFunc(there, func(image string) bool { return !addonImages(image) || slices.Contains(here, image) })
	snapshot.Peer.Images = known(missing, err, reader.Now())
	return nil
}

// family are the Machines of a Machine's cluster.
func family(ctx context.Context, reader engine.Reader, machine *clusterv1.Machine) ([]clusterv1.Machine, error) {
	list := &clusterv1.MachineList{}
	if err := reader.List(ctx, list, client.InNamespace(machine.Namespace), client.MatchingLabels{clusterv1.ClusterNameLabel: machine.Spec.ClusterName}); err != nil {
		return nil, fmt.Errorf("list Machines: %w", err)
	}
	return list.Items, nil
}

// peerOf is the control plane whose add-ons the machine's node may have to run: of those at
// another version, whose nodes are there, the newest, and among equals the first by name.
func peerOf(list []clusterv1.Machine, machine *clusterv1.Machine) *clusterv1.Machine {
	var best *clusterv1.Machine
	var newest *version.Version
	for i := range list {
		other := &list[i]
		at, err := version.ParseSemantic(other.Spec.Version)
		ref := other.Spec.InfrastructureRef
		if err != nil || other.Spec.Version == machine.Spec.Version || !machines.IsControlPlane(other) || other.DeletionTimestamp != nil ||
			!other.Status.NodeRef.IsDefined() || ref.Kind != kind.Kind || ref.APIGroup != kind.Group {
			continue
		}
		if best == nil || newest.LessThan(at) || (!at.LessThan(newest) && other.Name < best.Name) {
			best, newest = other, at
		}
	}
	return best
}

func observeOwners(ctx context.Context, reader engine.Reader, snapshot *Snapshot) error {
	owner := metav1.GetControllerOf(snapshot.DockerMachine)
	if owner == nil || owner.Kind != machineKind.Kind {
		return nil
	}
	namespace := snapshot.DockerMachine.Namespace
	machine := &clusterv1.Machine{}
	switch err := reader.Get(ctx, engine.Key{Namespace: namespace, Name: owner.Name}, machine); {
	case apierrors.IsNotFound(err):
		return nil
	case err != nil:
		return fmt.Errorf("read Machine: %w", err)
	case machine.UID != owner.UID:
		return nil
	}
	snapshot.Machine = machine
	cluster := &clusterv1.Cluster{}
	switch err := reader.Get(ctx, engine.Key{Namespace: namespace, Name: machine.Spec.ClusterName}, cluster); {
	case err == nil:
		snapshot.Cluster = cluster
	case !apierrors.IsNotFound(err):
		return fmt.Errorf("read Cluster: %w", err)
	}
	return observeOthers(ctx, reader, snapshot)
}

// observeOthers counts the control planes that clients of one that goes can go to.
func observeOthers(ctx context.Context, reader engine.Reader, snapshot *Snapshot) error {
	if snapshot.Machine.DeletionTimestamp == nil || !machines.IsControlPlane(snapshot.Machine) {
		return nil
	}
	list, err := family(ctx, reader, snapshot.Machine)
	if err != nil {
		return err
	}
	snapshot.OtherControlPlanes = othersServing(list, snapshot.Machine)
	return nil
}

// observeInside looks into a container that runs and whose bootstrap is not known to be
// done. What is still under way is waited for in the background, so that its end is known
// at once.
func (o *observer) observeInside(ctx context.Context, reader engine.Reader, docker *containers.Client, key engine.Key, snapshot *Snapshot) {
	seen := o.looks.last(key, snapshot.Container.Value)
	defer func() { o.looks.keep(key, seen) }()
	boot, err := seen.booted, error(nil)
	if !boot.Ready && (!o.waiter.isWaiting(key, "boot") || reader.Now().Sub(seen.at) >= lookEvery) {
		if boot, err = docker.Booted(ctx, key); err == nil {
			seen.booted, seen.at = boot, reader.Now()
		}
	}
	snapshot.Boot = known(boot, err, reader.Now())
	if err != nil || !boot.Ready {
		if reader.Now().Sub(snapshot.Container.Value.Started) > bootPatience {
			diagnose(ctx, docker, key, snapshot)
		}
		o.waiter.begin(key, "boot", func(ctx context.Context) error { return docker.WaitBooted(ctx, key) })
		return
	}
	network, err := o.missingNetwork(ctx, docker, snapshot.Container.Value)
	snapshot.NetworkImage = known(network, err, reader.Now())
	if len(wantedImages(*snapshot)) > 0 {
		images, err := docker.NodeImages(ctx, key)
		snapshot.LoadedImages = known(images, err, reader.Now())
	}
	node := docker.Node(key)
	state, err := seen.bootstrap, error(nil)
	if state.Phase != cloudconfig.Running || !o.waiter.isWaiting(key, "bootstrap") || reader.Now().Sub(seen.at) >= lookEvery {
		if state, err = cloudconfig.ReadState(ctx, node); err == nil {
			seen.bootstrap, seen.at = state, reader.Now()
		}
	}
	snapshot.Bootstrap = known(state, err, reader.Now())
	if err == nil && state.Phase == cloudconfig.Running {
		o.waiter.begin(key, "bootstrap", func(ctx context.Context) error { return cloudconfig.Wait(ctx, node) })
	}
}

// missingNetwork is the image of the pod network's agent if a node lacks it and the
// engine has it, else empty. Node images that are built here say by a label which version
// they hold, and containers inherit that.
func (o *observer) missingNetwork(ctx context.Context, docker *containers.Client, node containers.Machine) (string, error) {
	_, tag, _ := strings.Cut(o.networkImage, ":")
	if strings.HasPrefix(node.Labels[containers.LabelNetwork]+".", tag+".") {
		return "", nil
	}
	image, err := docker.Image(ctx, o.networkImage)
	if err != nil || !image.Exists {
		return "", err
	}
	return o.networkImage, nil
}

// diagnose asks why a node does not come up. That it cannot be told changes nothing, and
// is not told: what is waited for is.
func diagnose(ctx context.Context, docker *containers.Client, key engine.Key, snapshot *Snapshot) {
	found, err := docker.Diagnose(ctx, key)
	if err != nil {
		return
	}
	diagnosis := Diagnosis{LastLine: cloudconfig.Redact(found.LastLine)}
	if found.Cause != nil {
		diagnosis.Cause, diagnosis.Reason = found.Cause.Error(), operations.Reason(found.Cause)
	}
	snapshot.Diagnosis = plan.KnownValue(diagnosis, snapshot.Now)
}

func known[T any](value T, err error, at time.Time) plan.Known[T] {
	if err != nil {
		return plan.Unknown[T](err, at)
	}
	return plan.KnownValue(value, at)
}
