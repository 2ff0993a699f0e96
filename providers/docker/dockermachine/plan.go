// SPDX-License-Identifier: Apache-2.0

package dockermachine

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/types"

	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	infrav1 "github.com/slipway-project/slipway/api/infrastructure/v1beta2"
	"github.com/slipway-project/slipway/machines"
	"github.com/slipway-project/slipway/plan"
	"github.com/slipway-project/slipway/providers/docker/cloudconfig"
	"github.com/slipway-project/slipway/providers/docker/containers"
	"github.com/slipway-project/slipway/providers/docker/operations"
)

const (
	name        = "dockermachine"
	provisioned = clusterv1.ProvisionedReason

	// engineRecheck is how often a container engine that does not answer is asked again.
	engineRecheck = 5 * time.Second
	// progressRecheck is how often a container is looked into while something goes on
	// there whose end is also told; it only matters should that be missed.
	progressRecheck = 10 * time.Second
	// bootRecheck is how often a node is looked at that takes too long to boot.
	bootRecheck = 30 * time.Second
	// doesNotBootReason is that of a node of which is known why it does not boot, where
	// the cause has no reason of its own.
	doesNotBootReason = "NodeDoesNotBoot"
	// defaultBootstrapTimeout holds when spec.bootstrapTimeout is not set.
	defaultBootstrapTimeout = 5 * time.Minute
)

var (
	kind        = infrav1.GroupVersion.WithKind("DockerMachine")
	machineKind = clusterv1.GroupVersion.WithKind("Machine")
)

// Plan decides what to do for a DockerMachine.
func Plan(s Snapshot) plan.Plan[infrav1.DockerMachineStatus] {
	decided := decide(s)
	return plan.Of(decided, status(s, decided.Outcome))
}

func decide(s Snapshot) plan.Decision {
	if paused, why := machines.Paused(s.Cluster, s.DockerMachine); paused {
		return plan.Wait(clusterv1.PausedReason, why)
	}
	if s.DockerMachine.DeletionTimestamp != nil {
		return deletion(s)
	}
	if s.Machine == nil {
		return plan.Wait("WaitingForMachine", "no Machine owns this DockerMachine yet")
	}
	if s.Machine.DeletionTimestamp != nil {
		return handover(s)
	}
	if s.Cluster == nil {
		return plan.Wait("WaitingForCluster", fmt.Sprintf("Cluster %s does not exist yet", s.Machine.Spec.ClusterName))
	}
	if wrong := badImages(s.DockerMachine); wrong != "" && !bootstrapped(s.DockerMachine) {
		return plan.Block("InvalidPreLoadImages", "spec.preLoadImages: "+wrong)
	}
	if !slices.Contains(s.DockerMachine.Finalizers, infrav1.MachineFinalizer) {
		return plan.Act("Claiming", "", plan.AddFinalizer(kind, s.DockerMachine, infrav1.MachineFinalizer))
	}
	if done := s.Cluster.Status.Initialization.InfrastructureProvisioned; done == nil || !*done {
		return plan.Wait(clusterv1.WaitingForClusterInfrastructureReadyReason, fmt.Sprintf("the infrastructure of Cluster %s is not provisioned yet", s.Cluster.Name))
	}
	return container(s)
}

// container brings the machine's container to run.
func container(s Snapshot) plan.Decision {
	if !s.Container.OK() {
		return plan.Block("ContainerEngineUnavailable", s.Container.Err).At(s.Now.Add(engineRecheck))
	}
	there := s.Container.Value
	switch {
	case s.DockerMachine.Spec.ProviderID != "" && !there.Exists && there.TakenBy == "":
		return plan.Block("ContainerDeleted", fmt.Sprintf(
			"the container of machine %s was there and is gone; delete Machine %s to have it replaced", s.DockerMachine.Name, s.Machine.Name))
	case !there.Exists || there.HalfMade() || there.TakenBy != "" || former(s):
		// Making it again refuses what is not ours, and says whose it is.
		return plan.Act("CreatingContainer", "", operate(operations.CreateMachine{On: plan.RefTo(kind, s.DockerMachine), Spec: spec(s)},
			"the machine has none"))
	case there.State == containers.StateRestarting:
		return stops(s, ", and the container engine is about to start it again")
	case !there.Running() && there.StartsAgain(s.Now).After(s.Now):
		return stops(s, " right after it was started, and is started again after a pause")
	case !there.Running():
		return plan.Act("StartingContainer", fmt.Sprintf("it stopped with exit code %d", there.ExitCode),
			operate(operations.StartMachine{On: plan.RefTo(kind, s.DockerMachine), Machine: key(s)}, "it has stopped"))
	case s.DockerMachine.Spec.ProviderID != s.ProviderID:
		intent := plan.Partial(kind, s.DockerMachine)
		intent.Object["spec"] = map[string]any{"providerID": s.ProviderID}
		return plan.Act("SettingProviderID", "", plan.Apply{Object: intent, Reason: "the container runs"})
	}
	return inside(s)
}

// stops lets a container that does not run for long be started again after a pause; where
// it is known why, that will not help until somebody does something.
func stops(s Snapshot, how string) plan.Decision {
	there := s.Container.Value
	stopped := fmt.Sprintf("it stopped with exit code %d%s", there.ExitCode, how)
	decided := plan.Wait("ContainerStops", fmt.Sprintf("%s; \"docker logs %s\" tells what it said", stopped, there.Name))
	if trouble := s.Diagnosis.Value; trouble.Cause != "" {
		decided = plan.Block(cmp.Or(trouble.Reason, doesNotBootReason), fmt.Sprintf("%s: %s", stopped, trouble.Cause))
	}
	return decided.At(there.StartsAgain(s.Now))
}

// boots waits for a node to boot. After a while its diagnosis is known.
func boots(s Snapshot) plan.Decision {
	state, recheck := s.Boot.Value.String(), progressRecheck
	if !s.Boot.OK() {
		state, recheck = s.Boot.Err, engineRecheck
	}
	switch trouble := s.Diagnosis.Value; {
	case trouble.Cause != "":
		return plan.Block(cmp.Or(trouble.Reason, doesNotBootReason), fmt.Sprintf("the node does not boot: %s; if it does not boot then either, delete Machine %s to have it replaced",
			trouble.Cause, s.Machine.Name)).At(s.Now.Add(bootRecheck))
	case trouble.LastLine != "":
		state = fmt.Sprintf("%s; its console ends with %q; \"docker logs %s\" shows more", state, trouble.LastLine, s.Container.Value.Name)
		recheck = bootRecheck
	}
	return plan.Wait("WaitingForBoot", state).At(s.Now.Add(recheck))
}

// former reports a container that was made for an earlier DockerMachine of the same
// name.
func former(s Snapshot) bool {
	return s.Container.Value.Exists && !s.Container.Value.MadeFor(string(s.DockerMachine.UID), named(s))
}

// named reports that the DockerMachine names the container as its own, by its
// providerID: it may have got another UID since, by being restored from a backup.
func named(s Snapshot) bool {
	return s.ProviderID != "" && s.DockerMachine.Spec.ProviderID == s.ProviderID
}

// running reports that the machine's own container runs.
func running(s Snapshot) bool { return s.Container.Value.Running() && !former(s) }

// inside brings the node in the container to its cluster.
func inside(s Snapshot) plan.Decision {
	if bootstrapped(s.DockerMachine) {
		if mark, needed := handoverMark(s); needed {
			return plan.Act("Marking", "", mark)
		}
		if decided, needed := passOn(s); needed {
			return decided
		}
		return plan.Settle(provisioned)
	}
	switch {
	case !s.Boot.OK() || !s.Boot.Value.Ready:
		return boots(s)
	case !s.Bootstrap.OK():
		return plan.Wait("WaitingForBootstrapState", s.Bootstrap.Err).At(s.Now.Add(engineRecheck))
	}
	switch s.Bootstrap.Value.Phase {
	case cloudconfig.Running:
		// The node goes on by itself meanwhile.
		if decided, needed := passOn(s); needed {
			return decided
		}
		return plan.Wait("Bootstrapping", s.Bootstrap.Value.String()).At(s.Now.Add(progressRecheck))
	case cloudconfig.Succeeded:
		return plan.Settle(provisioned)
	case cloudconfig.Failed:
		return plan.Block("BootstrapFailed", fmt.Sprintf("%s; delete Machine %s to have it replaced", s.Bootstrap.Value, s.Machine.Name))
	}
	if !s.NetworkImage.OK() {
		return plan.Wait(infrav1.WaitingForPreloadedImagesReason, s.NetworkImage.Err).At(s.Now.Add(engineRecheck))
	}
	if missing := missingImages(s); len(missing) > 0 {
		return load(s, missing)
	}
	secret := s.Machine.Spec.Bootstrap.DataSecretName
	if secret == nil || *secret == "" {
		return plan.Wait(clusterv1.WaitingForBootstrapDataReason, fmt.Sprintf("the bootstrap data of Machine %s is not there yet", s.Machine.Name))
	}
	return plan.Act("Bootstrapping", "", operate(operations.StartBootstrap{
		On: plan.RefTo(kind, s.DockerMachine), Machine: key(s), Secret: *secret,
		ProviderID: s.ProviderID, InstanceID: string(s.DockerMachine.UID), Timeout: bootstrapTimeout(s.DockerMachine),
	}, "the node has booted and its bootstrap data is there"))
}

// load puts images into the node that it is to have before its bootstrap.
func load(s Snapshot, missing []string) plan.Decision {
	if !s.LoadedImages.OK() {
		return plan.Wait(infrav1.WaitingForPreloadedImagesReason, s.LoadedImages.Err).At(s.Now.Add(engineRecheck))
	}
	reason := "spec.preLoadImages names them"
	if network := s.NetworkImage.Value; slices.Contains(missing, network) && !slices.Contains(s.DockerMachine.Spec.PreLoadImages, network) {
		reason = "the node's image does not hold the default pod network"
		if len(missing) > 1 {
			reason = "spec.preLoadImages names them, and " + reason
		}
	}
	return plan.Act("LoadingImages", "", operate(operations.LoadImages{On: plan.RefTo(kind, s.DockerMachine), Machine: key(s), Images: missing}, reason))
}

func operate(operation plan.Operation, reason string) plan.Operate {
	return plan.Operate{System: operations.System, Operation: operation, Reason: reason}
}

func key(s Snapshot) types.NamespacedName {
	return types.NamespacedName{Namespace: s.DockerMachine.Namespace, Name: s.DockerMachine.Name}
}

func bootstrapTimeout(machine *infrav1.DockerMachine) time.Duration {
	if machine.Spec.BootstrapTimeout == nil || machine.Spec.BootstrapTimeout.Duration <= 0 {
		return defaultBootstrapTimeout
	}
	return machine.Spec.BootstrapTimeout.Duration
}

// spec is what the machine's container is made from.
func spec(s Snapshot) containers.MachineSpec {
	role := containers.RoleWorker
	if machines.IsControlPlane(s.Machine) {
		role = containers.RoleControlPlane
	}
	image := s.DockerMachine.Spec.CustomImage
	if image == "" {
		image = containers.NodeImage(s.Machine.Spec.Version)
	}
	made := containers.MachineSpec{
		Key: key(s), Cluster: types.NamespacedName{Namespace: s.Cluster.Namespace, Name: s.Cluster.Name}, UID: string(s.DockerMachine.UID),
		Role: role, Image: image, FailureDomain: s.Machine.Spec.FailureDomain,
	}
	for _, mount := range s.DockerMachine.Spec.ExtraMounts {
		made.Mounts = append(made.Mounts, containers.Mount{HostPath: mount.HostPath, ContainerPath: mount.ContainerPath, ReadOnly: mount.Readonly})
	}
	return made
}

// wantedImages are those that a node is to have before its bootstrap.
func wantedImages(s Snapshot) []string {
	wanted := slices.Clone(s.DockerMachine.Spec.PreLoadImages)
	if network := s.NetworkImage.Value; network != "" && !slices.Contains(wanted, network) {
		wanted = append(wanted, network)
	}
	return wanted
}

// missingImages are those of them that the node does not have.
func missingImages(s Snapshot) []string {
	var missing []string
	for _, image := range wantedImages(s) {
		full, err := containers.ImageName(image)
		if err != nil || !slices.Contains(s.LoadedImages.Value, full) {
			missing = append(missing, image)
		}
	}
	return missing
}

// badImages says what is wrong with spec.preLoadImages; empty when nothing is.
func badImages(machine *infrav1.DockerMachine) string {
	var wrong []string
	for _, image := range machine.Spec.PreLoadImages {
		if _, err := containers.ImageName(image); err != nil {
			wrong = append(wrong, err.Error())
		}
	}
	return strings.Join(wrong, "; ")
}

func deletion(s Snapshot) plan.Decision {
	if !slices.Contains(s.DockerMachine.Finalizers, infrav1.MachineFinalizer) {
		return plan.Wait(clusterv1.DeletingReason, "the other finalizers of the DockerMachine are not removed yet")
	}
	if !s.Container.OK() {
		return plan.Block("ContainerEngineUnavailable", s.Container.Err).At(s.Now.Add(engineRecheck))
	}
	if hookHeld(s) {
		// Whoever deletes a DockerMachine before its Machine: nobody would take the hook off later.
		return plan.Act(clusterv1.DeletingReason, "", releaseHook(s, "its DockerMachine is being deleted, and nobody could hand over any more"))
	}
	if madeFor, left := remains(s); left {
		return plan.Act(clusterv1.DeletingReason, "", operate(operations.DeleteMachine{On: plan.RefTo(kind, s.DockerMachine), Machine: key(s), MadeFor: madeFor},
			"its DockerMachine is being deleted"))
	}
	return plan.Act(clusterv1.DeletionCompletedReason, "",
		plan.RemoveFinalizer(kind, s.DockerMachine, infrav1.MachineFinalizer, "nothing of it is left in the container engine"))
}

// remains reports that there is something of the machine to delete, and for which UID
// it was made. What was made for another object of this name is left alone: a container
// with its volume, or a volume that is there alone, whoever has the container's name.
func remains(s Snapshot) (madeFor string, left bool) {
	there, uid := s.Container.Value, string(s.DockerMachine.UID)
	switch {
	case there.Exists:
		return there.UID, there.MadeFor(uid, named(s))
	case there.VolumeExists:
		return there.VolumeUID, there.VolumeMadeFor(uid, named(s))
	default:
		return "", false
	}
}

// invariants are what no plan for a DockerMachine may break.
func invariants(s Snapshot, decided plan.Plan[infrav1.DockerMachineStatus]) []string {
	var broken []string
	for _, action := range decided.Actions {
		operate, ok := action.(plan.Operate)
		if !ok {
			continue
		}
		_, deletes := operate.Operation.(operations.DeleteMachine)
		if deletes != (s.DockerMachine.DeletionTimestamp != nil) {
			broken = append(broken, fmt.Sprintf("%s: a container is deleted when its DockerMachine is, and nothing else is done to it then", operate))
		}
	}
	return broken
}
