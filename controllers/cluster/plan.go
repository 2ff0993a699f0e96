// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	"github.com/slipway-project/slipway/machines"
	"github.com/slipway-project/slipway/plan"
)

const (
	name = "cluster"

	// providerRecheck is how often a missing provider is looked for: its CRD brings
	// no event here.
	providerRecheck = 10 * time.Second
	// secretRecheck is how often Secrets that are needed are looked for: they are not
	// watched.
	secretRecheck = 10 * time.Second
)

var (
	kind           = clusterv1.GroupVersion.WithKind("Cluster")
	deploymentKind = clusterv1.GroupVersion.WithKind("MachineDeployment")
	setKind        = clusterv1.GroupVersion.WithKind("MachineSet")
	machineKind    = clusterv1.GroupVersion.WithKind("Machine")
	secretKind     = corev1.SchemeGroupVersion.WithKind("Secret")
)

// Plan decides what to do for a Cluster.
func Plan(s Snapshot) plan.Plan[clusterv1.ClusterStatus] {
	decided := decide(s)
	if len(decided.Actions) == 0 {
		_, controlPlaneDue := reporting(s, true)
		_, workersDue := reporting(s, false)
		decided.Recheck = plan.Earliest(decided.Recheck, connectionGraceEnd(s), controlPlaneDue, workersDue)
	}
	return plan.Of(decided, status(s, decided.Outcome))
}

func decide(s Snapshot) plan.Decision {
	if paused, why := machines.Paused(s.Cluster, s.Cluster); paused {
		return plan.Wait(clusterv1.PausedReason, why)
	}
	if s.Cluster.DeletionTimestamp != nil {
		return deletion(s)
	}
	if first := preparation(s); first != nil {
		return *first
	}
	if kubeconfig := createKubeconfig(s); kubeconfig != nil {
		return plan.Act("CreatingKubeconfig", "", kubeconfig)
	}
	return standing(s)
}

// preparation brings the Cluster and what it refers to together; nil when they are.
func preparation(s Snapshot) *plan.Decision {
	act := func(reason string, actions ...plan.Action) *plan.Decision {
		decided := plan.Act(reason, "", actions...)
		return &decided
	}
	if !slices.Contains(s.Cluster.Finalizers, clusterv1.ClusterFinalizer) {
		return act("Claiming", plan.AddFinalizer(kind, s.Cluster, clusterv1.ClusterFinalizer))
	}
	if taken := taken(s); taken != nil {
		return taken
	}
	if claims := claims(s); len(claims) > 0 {
		return act("ClaimingReferences", claims...)
	}
	if endpoint := endpoint(s); endpoint != nil {
		return act("SettingEndpoint", endpoint)
	}
	return nil
}

// standing says what the Cluster waits for when there is nothing for it to do.
func standing(s Snapshot) plan.Decision {
	infrastructure, controlPlane := s.Cluster.Spec.InfrastructureRef, s.Cluster.Spec.ControlPlaneRef
	provisioned := s.Cluster.Status.Initialization.InfrastructureProvisioned
	for _, referenced := range []Referenced{s.Infrastructure, s.ControlPlane} {
		if referenced.Err != "" {
			return plan.Block("NoProvider", referenced.Err).At(s.Now.Add(providerRecheck))
		}
	}
	switch {
	case infrastructure.IsDefined() && s.Infrastructure.Object == nil && isTrue(provisioned):
		return plan.Block(clusterv1.ObjectDeletedReason, fmt.Sprintf(
			"%s %s was there and is gone; restore it, or delete the Cluster", infrastructure.Kind, infrastructure.Name))
	case infrastructure.IsDefined() && s.Infrastructure.Object == nil:
		return plan.Wait(clusterv1.ObjectDoesNotExistReason, fmt.Sprintf("%s %s does not exist yet", infrastructure.Kind, infrastructure.Name))
	case infrastructure.IsDefined() && !s.Infrastructure.Object.Provisioned():
		return plan.Wait(clusterv1.WaitingForClusterInfrastructureReadyReason, fmt.Sprintf("waiting for %s %s", infrastructure.Kind, infrastructure.Name))
	case controlPlane.IsDefined() && s.ControlPlane.Object == nil && isTrue(s.Cluster.Status.Initialization.ControlPlaneInitialized):
		return plan.Block(clusterv1.ObjectDeletedReason, fmt.Sprintf(
			"%s %s was there and is gone; restore it, or delete the Cluster", controlPlane.Kind, controlPlane.Name))
	case controlPlane.IsDefined() && s.ControlPlane.Object == nil:
		return plan.Wait(clusterv1.ObjectDoesNotExistReason, fmt.Sprintf("%s %s does not exist yet", controlPlane.Kind, controlPlane.Name))
	case s.Cluster.Spec.Topology.IsDefined() && !infrastructure.IsDefined():
		return plan.Block("TopologyNotServed", "this version of Slipway does not act on spec.topology; give infrastructureRef and controlPlaneRef")
	case !s.Cluster.Spec.ControlPlaneEndpoint.IsValid():
		return plan.Wait("WaitingForEndpoint", "neither the infrastructure nor the control plane has given an endpoint yet; one may also be set in spec.controlPlaneEndpoint")
	case kubeconfigProblem(s) != nil:
		return *kubeconfigProblem(s)
	case !controlPlaneInitialized(s):
		return plan.Wait(clusterv1.WaitingForControlPlaneInitializedReason, "the API server of the workload cluster has not answered yet")
	}
	return plan.Settle("Provisioned")
}

func isTrue(value *bool) bool { return value != nil && *value }

// taken blocks a Cluster that refers to what belongs to another one: claiming it would
// take it away from there, and deleting this Cluster would delete it.
func taken(s Snapshot) *plan.Decision {
	for _, referenced := range []Referenced{s.Infrastructure, s.ControlPlane} {
		if other := referenced.OwnedBy; other != "" {
			blocked := plan.Block("NameTaken", fmt.Sprintf("%s %s belongs to Cluster %s; correct the reference in Cluster %s, or delete Cluster %s first",
				referenced.Object.GetKind(), referenced.Object.GetName(), other, s.Cluster.Name, other))
			return &blocked
		}
	}
	return nil
}

// claims make the Cluster an owner of what it refers to, and label it.
func claims(s Snapshot) []plan.Action {
	var actions []plan.Action
	for _, referenced := range []Referenced{s.Infrastructure, s.ControlPlane} {
		object := referenced.Object
		if object == nil || object.GetDeletionTimestamp() != nil {
			continue
		}
		intent := plan.Partial(object.GroupVersionKind(), object)
		intent.SetLabels(map[string]string{clusterv1.ClusterNameLabel: s.Cluster.Name})
		intent.SetOwnerReferences([]metav1.OwnerReference{*plan.OwnerReference(kind, s.Cluster, controls(s))})
		if plan.NeedsApply(object.Unstructured, intent, plan.Manager(name), "") {
			actions = append(actions, plan.Apply{Object: intent, Reason: "the Cluster refers to it"})
		}
	}
	return actions
}

// controls: with a managed topology the Cluster is the controller of its objects.
func controls(s Snapshot) bool { return s.Cluster.Spec.Topology.IsDefined() }

// endpoint carries the control-plane endpoint over to the Cluster, from the
// infrastructure or else from the control plane, once and for all.
func endpoint(s Snapshot) plan.Action {
	if s.Cluster.Spec.ControlPlaneEndpoint.IsValid() {
		return nil
	}
	host, port := "", int32(0)
	if infrastructure := s.Infrastructure.ours(); infrastructure != nil && infrastructure.Provisioned() {
		host, port = infrastructure.Endpoint()
	}
	if controlPlane := s.ControlPlane.ours(); (host == "" || port == 0) && controlPlane != nil {
		host, port = controlPlane.Endpoint()
	}
	if host == "" || port == 0 {
		return nil
	}
	intent := plan.Partial(kind, s.Cluster)
	intent.Object["spec"] = map[string]any{"controlPlaneEndpoint": map[string]any{"host": host, "port": int64(port)}}
	return plan.Apply{Object: intent, Aspect: "endpoint", Reason: "the provider has given it"}
}

// deletion takes the cluster down: workers, then the control plane, then the
// infrastructure, each begun when the one before is gone.
func deletion(s Snapshot) plan.Decision {
	if deletes, left := workersLeft(s); len(deletes) > 0 {
		return plan.Act(clusterv1.WaitingForWorkersDeletionReason, left, deletes...)
	} else if left != "" {
		return plan.Wait(clusterv1.WaitingForWorkersDeletionReason, left)
	}
	if step := deleteReferenced(s, s.ControlPlane, clusterv1.WaitingForControlPlaneDeletionReason, "its workers are gone"); step != nil {
		return *step
	}
	if deletes, left := controlPlaneMachinesLeft(s); len(deletes) > 0 {
		return plan.Act(clusterv1.WaitingForControlPlaneDeletionReason, left, deletes...)
	} else if left != "" {
		return plan.Wait(clusterv1.WaitingForControlPlaneDeletionReason, left)
	}
	if step := deleteReferenced(s, s.Infrastructure, clusterv1.WaitingForInfrastructureDeletionReason, "its control plane is gone"); step != nil {
		return *step
	}
	if !slices.Contains(s.Cluster.Finalizers, clusterv1.ClusterFinalizer) {
		return plan.Wait(clusterv1.DeletionCompletedReason, "the other finalizers of the Cluster are not removed yet")
	}
	return plan.Act(clusterv1.DeletionCompletedReason, "",
		plan.RemoveFinalizer(kind, s.Cluster, clusterv1.ClusterFinalizer, "everything that belonged to it is gone"))
}

// workersLeft are the deletes still to ask for among the workers, and what is left.
func workersLeft(s Snapshot) (deletes []plan.Action, left string) {
	const why = "its Cluster is being deleted"
	for _, deployment := range s.Deployments {
		if deployment.DeletionTimestamp == nil {
			deletes = append(deletes, plan.Delete{On: plan.RefTo(deploymentKind, deployment), Reason: why})
		}
	}
	for _, set := range s.Sets {
		if set.DeletionTimestamp == nil && metav1.GetControllerOf(set) == nil {
			deletes = append(deletes, plan.Delete{On: plan.RefTo(setKind, set), Reason: why})
		}
	}
	workers := 0
	for _, machine := range s.Machines {
		if machines.IsControlPlane(machine) {
			continue
		}
		workers++
		if !machines.Deleting(machine) && metav1.GetControllerOf(machine) == nil {
			deletes = append(deletes, plan.Delete{On: plan.RefTo(machineKind, machine), Reason: why})
		}
	}
	if len(s.Deployments)+len(s.Sets)+workers == 0 {
		return nil, ""
	}
	return deletes, fmt.Sprintf("%d MachineDeployments, %d MachineSets and %d worker Machines are left", len(s.Deployments), len(s.Sets), workers)
}

func controlPlaneMachinesLeft(s Snapshot) (deletes []plan.Action, left string) {
	count := 0
	for _, machine := range s.Machines {
		count++
		if !machines.Deleting(machine) && metav1.GetControllerOf(machine) == nil {
			deletes = append(deletes, plan.Delete{On: plan.RefTo(machineKind, machine), Reason: "its Cluster is being deleted"})
		}
	}
	if count == 0 {
		return nil, ""
	}
	return deletes, fmt.Sprintf("%d control-plane Machines are left", count)
}

// deleteReferenced deletes an object that the Cluster refers to, if the Cluster had
// claimed it; nil when it is gone or was never the Cluster's.
func deleteReferenced(s Snapshot, referenced Referenced, reason, why string) *plan.Decision {
	if referenced.Err != "" && !referenced.NoKind {
		// It may well be there: the contract label can be missing for a moment.
		unknown := plan.Block(reason, referenced.Err).At(s.Now.Add(providerRecheck))
		return &unknown
	}
	object := referenced.ours()
	if object == nil || !claimed(object.Unstructured, s.Cluster) {
		return nil
	}
	what := fmt.Sprintf("%s %s", object.GetKind(), object.GetName())
	var step plan.Decision
	if object.GetDeletionTimestamp() == nil {
		step = plan.Act(reason, "deleting "+what, plan.Delete{On: plan.RefTo(object.GroupVersionKind(), object), Reason: "the Cluster is being deleted and " + why})
	} else {
		step = plan.Wait(reason, "waiting for "+what+" to be gone")
	}
	return &step
}

func claimed(object *unstructured.Unstructured, cluster *clusterv1.Cluster) bool {
	return slices.ContainsFunc(object.GetOwnerReferences(), func(r metav1.OwnerReference) bool { return r.UID == cluster.UID })
}

// invariants are what no plan for a Cluster may break.
func invariants(s Snapshot, decided plan.Plan[clusterv1.ClusterStatus]) []string {
	var broken []string
	for _, action := range decided.Actions {
		if _, ok := action.(plan.Delete); !ok {
			continue
		}
		if s.Cluster.DeletionTimestamp == nil {
			broken = append(broken, fmt.Sprintf("%s: nothing of a Cluster is deleted unless the Cluster is", action))
		}
		if target := action.Target(); s.Infrastructure.Object != nil && target.UID == s.Infrastructure.Object.GetUID() && len(s.Machines) > 0 {
			broken = append(broken, fmt.Sprintf("%s: Machines are left", action))
		}
	}
	return broken
}
