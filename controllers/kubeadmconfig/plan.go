// SPDX-License-Identifier: Apache-2.0

package kubeadmconfig

import (
	"fmt"
	"reflect"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	bootstrapv1 "github.com/slipway-project/slipway/api/bootstrap/v1beta2"
	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	"github.com/slipway-project/slipway/bootstrap"
	"github.com/slipway-project/slipway/machines"
	"github.com/slipway-project/slipway/plan"
)

const (
	name = "kubeadmconfig"

	// recheckSecrets is how often Secrets and ConfigMaps are looked at that somebody
	// has to put right: they are not watched.
	recheckSecrets = 10 * time.Second
	// recheckSoon is for what another controller is about to make or to clear away: at
	// first, for it may as well take long (see growing).
	recheckSoon = time.Second
	// recheckSignature is how often it is asked at first whether a token is signed for,
	// then less and less often up to recheckSoon: all that is asked of a workload cluster
	// goes through one limit. kubeadm join asks at once and then every five seconds, so a
	// machine that begins too early joins seconds late.
	recheckSignature = 150 * time.Millisecond
	// initTokenTTL is how long the token lives that kubeadm init makes in any case.
	initTokenTTL = time.Minute
	// signaturePatience is how long that is waited for: some clusters sign elsewhere.
	signaturePatience = 20 * time.Second
)

var (
	kind          = bootstrapv1.GroupVersion.WithKind("KubeadmConfig")
	machineKind   = clusterv1.GroupVersion.WithKind("Machine")
	clusterKind   = clusterv1.GroupVersion.WithKind("Cluster")
	secretKind    = corev1.SchemeGroupVersion.WithKind("Secret")
	configMapKind = corev1.SchemeGroupVersion.WithKind("ConfigMap")
)

// controlPlaneKind is the kind of control-plane object that makes certificates.
const controlPlaneKind = "KubeadmControlPlane"

// Plan decides what to do for a KubeadmConfig.
func Plan(s Snapshot) plan.Plan[bootstrapv1.KubeadmConfigStatus] {
	decided := decide(s)
	return plan.Of(decided, status(s, decided.Outcome))
}

// growing is a pause that grows with how long things have stood as they do: what has
// just changed may change again soon, and what lasts is to cost little.
func growing(s Snapshot) time.Duration {
	var changed time.Time
	for _, condition := range s.Config.Status.Conditions {
		if condition.LastTransitionTime.After(changed) {
			changed = condition.LastTransitionTime.Time
		}
	}
	if changed.IsZero() {
		return recheckSoon
	}
	return min(max(s.Now.Sub(changed)/100, recheckSoon), recheckSecrets)
}

// decide goes through what can stand in the way, in order; the first that does has
// the word.
func decide(s Snapshot) plan.Decision {
	if paused, why := machines.Paused(s.Cluster, s.Config); paused {
		return plan.Wait(clusterv1.PausedReason, why)
	}
	if problem := ownerProblem(s); problem != nil {
		return *problem
	}
	if release := lockRelease(s); release != nil {
		return *release
	}
	switch {
	case leaving(s):
		return dropToken(s, plan.Wait(clusterv1.DeletingReason, "the KubeadmConfig goes when Machine "+s.Machine.Name+" has gone"))
	case joined(s):
		return dropToken(s, plan.Settle("NodeJoined"))
	case s.Cluster.DeletionTimestamp != nil && !dataCreated(s.Config):
		return plan.Wait("ClusterDeleting", fmt.Sprintf("Cluster %s is being deleted", s.Cluster.Name))
	case !provisioned(s.Cluster):
		return plan.Wait(clusterv1.WaitingForClusterInfrastructureReadyReason,
			fmt.Sprintf("the infrastructure of Cluster %s is not provisioned yet", s.Cluster.Name))
	case s.Data != nil:
		return delivered(s)
	case dataCreated(s.Config) && consumed(s.Machine):
		// The host has read its data by now. Making it again would serve nobody.
		return plan.Settle("DataSecretAvailable")
	case held(s):
		return plan.Wait("JoinHeld", fmt.Sprintf("it is not the turn of Machine %s to join yet: control-plane machines join one by one, "+
			"and the control plane removes the annotation %s when it is", s.Machine.Name, bootstrapv1.HoldJoinAnnotation))
	case initialized(s.Cluster):
		return join(s)
	case isControlPlane(s) && mayInitialize(s.Config.Spec):
		return initialize(s)
	default:
		return plan.Wait(clusterv1.WaitingForControlPlaneInitializedReason,
			fmt.Sprintf("the control plane of Cluster %s is not initialized yet", s.Cluster.Name))
	}
}

// ownerProblem says what of a KubeadmConfig's surroundings is not there.
func ownerProblem(s Snapshot) *plan.Decision {
	var problem plan.Decision
	switch {
	case s.Owner == nil:
		problem = plan.Wait("WaitingForOwner", "no Machine has claimed this KubeadmConfig yet; a Machine does when its spec.bootstrap.configRef names it")
	case s.Owner.Kind != machineKind.Kind:
		problem = plan.Block("OwnerNotServed", fmt.Sprintf("it belongs to %s %s; this version makes user data for Machines only", s.Owner.Kind, s.Owner.Name))
	case s.Machine == nil:
		problem = plan.Wait("MachineNotFound", fmt.Sprintf("Machine %s, which owns it, does not exist any more", s.Owner.Name))
	case s.Cluster == nil:
		problem = plan.Wait("ClusterNotFound", fmt.Sprintf("Cluster %s does not exist yet", s.Machine.Spec.ClusterName))
	default:
		return nil
	}
	return &problem
}

// ownerOf is the controller of a KubeadmConfig or, when it has none, a Machine among
// its owners.
func ownerOf(config *bootstrapv1.KubeadmConfig) *Owner {
	if controller := metav1.GetControllerOf(config); controller != nil {
		return &Owner{Kind: controller.Kind, Name: controller.Name, UID: controller.UID}
	}
	for _, reference := range config.OwnerReferences {
		if reference.Kind == machineKind.Kind {
			return &Owner{Kind: reference.Kind, Name: reference.Name, UID: reference.UID}
		}
	}
	return nil
}

func isOwner(object metav1.Object, uid types.UID) bool {
	return slices.ContainsFunc(object.GetOwnerReferences(), func(r metav1.OwnerReference) bool { return r.UID == uid })
}

func isTrue(flag *bool) bool { return flag != nil && *flag }

func provisioned(cluster *clusterv1.Cluster) bool {
	return isTrue(cluster.Status.Initialization.InfrastructureProvisioned)
}

func initialized(cluster *clusterv1.Cluster) bool {
	return isTrue(cluster.Status.Initialization.ControlPlaneInitialized)
}

// dataCreated is sticky: it stays true when the Secret is removed later.
func dataCreated(config *bootstrapv1.KubeadmConfig) bool {
	return isTrue(config.Status.Initialization.DataSecretCreated)
}

// consumed reports that the host exists, and with it that its user data was read.
func consumed(machine *clusterv1.Machine) bool {
	return isTrue(machine.Status.Initialization.InfrastructureProvisioned)
}

func isControlPlane(s Snapshot) bool { return machines.IsControlPlane(s.Machine) }

// held reports that no bootstrap data is to be made yet: the control plane lets machines
// boot before it is their turn to join. Data that was made already is not taken back.
func held(s Snapshot) bool {
	_, annotated := s.Config.Annotations[bootstrapv1.HoldJoinAnnotation]
	return annotated && !dataCreated(s.Config)
}

// leaving reports that no node is to come of the machine any more.
func leaving(s Snapshot) bool {
	return s.Config.DeletionTimestamp != nil || machines.Deleting(s.Machine)
}

// joined reports that the machine has become a node.
func joined(s Snapshot) bool { return s.Machine.Status.NodeRef.IsDefined() }

// mayInitialize tells a configuration that can initialize a control plane from one
// that is only for joining: that one says so with joinConfiguration.controlPlane, or
// by having a joinConfiguration and nothing else for kubeadm.
func mayInitialize(spec bootstrapv1.KubeadmConfigSpec) bool {
	if !isZero(spec.InitConfiguration) {
		return true
	}
	joins := !isZero(spec.JoinConfiguration)
	return spec.JoinConfiguration.ControlPlane == nil && (!joins || !isZero(spec.ClusterConfiguration))
}

func isZero(value any) bool { return reflect.ValueOf(value).IsZero() }

// reads says which facts a plan at this stage needs from the servers.
type reads struct {
	lock, token, data bool
}

func readsOf(s Snapshot) reads {
	if s.Machine == nil || s.Cluster == nil {
		return reads{}
	}
	if paused, _ := machines.Paused(s.Cluster, s.Config); paused {
		return reads{}
	}
	done := leaving(s) || joined(s)
	candidate := isControlPlane(s) && mayInitialize(s.Config.Spec)
	return reads{
		lock:  candidate && provisioned(s.Cluster),
		data:  !done && provisioned(s.Cluster) && (initialized(s.Cluster) || candidate),
		token: hasToken(s.Config) || (!done && !held(s) && initialized(s.Cluster) && !dataCreated(s.Config) && bootstrap.NeedsToken(s.Config.Spec)),
	}
}

// needsRendering reports that the user data has to be made, or made again.
func needsRendering(s Snapshot) bool {
	switch {
	case s.Data != nil:
		return outdated(s)
	case dataCreated(s.Config) && consumed(s.Machine), held(s):
		return false
	case initialized(s.Cluster):
		return true
	default:
		return holdsLock(s)
	}
}

// invariants are what no plan for a KubeadmConfig may break.
func invariants(s Snapshot, decided plan.Plan[bootstrapv1.KubeadmConfigStatus]) []string {
	var broken []string
	for _, action := range decided.Actions {
		target := action.Target()
		if target.Kind != secretKind.Kind || action.Verb() != "create" {
			continue
		}
		if target.Cluster.Name == "" && target.Name == s.Config.Name && !initialized(s.Cluster) && !holdsLock(s) {
			broken = append(broken, fmt.Sprintf("%s: user data that initializes a control plane is made without holding the lock", action))
		}
		if held(s) && s.Data == nil && target.Cluster.Name == "" {
			broken = append(broken, fmt.Sprintf("%s: bootstrap data is made for a machine whose join is held", action))
		}
		if leaving(s) {
			broken = append(broken, fmt.Sprintf("%s: nothing is made for a machine on its way out", action))
		}
	}
	if isTrue(s.Config.Status.Initialization.DataSecretCreated) && !isTrue(decided.Status.Initialization.DataSecretCreated) {
		broken = append(broken, "status.initialization.dataSecretCreated would go back to false")
	}
	return broken
}
