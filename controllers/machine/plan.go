// SPDX-License-Identifier: Apache-2.0

package machine

import (
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	"github.com/slipway-project/slipway/conditions"
	"github.com/slipway-project/slipway/contract"
	"github.com/slipway-project/slipway/machines"
	"github.com/slipway-project/slipway/plan"
)

const (
	name = "machine"

	// recheckStuck is how often to look again at what somebody has to put right, or
	// what has to come back, where no event may tell of it: a provider that is
	// installed or labelled later, a workload cluster that does not answer.
	recheckStuck = 10 * time.Second
)

var (
	kind        = clusterv1.GroupVersion.WithKind("Machine")
	clusterKind = clusterv1.GroupVersion.WithKind("Cluster")
	nodeKind    = corev1.SchemeGroupVersion.WithKind("Node")
	crdKind     = schema.GroupVersionKind{Group: "apiextensions.k8s.io", Version: "v1", Kind: "CustomResourceDefinition"}
)

// Plan decides what to do for a Machine.
func Plan(s Snapshot) plan.Plan[clusterv1.MachineStatus] {
	decided := decide(s)
	shown := status(s, decided.Outcome)
	decided.Recheck = plan.Earliest(decided.Recheck, availableAt(s, shown), connectionDownAt(s))
	return plan.Of(decided, shown)
}

// decide goes through what can stand in the way, in order; the first that does has
// the word.
func decide(s Snapshot) plan.Decision {
	if paused, why := machines.Paused(s.Cluster, s.Machine); paused {
		return plan.Wait(clusterv1.PausedReason, why)
	}
	if machines.Deleting(s.Machine) {
		return deletion(s)
	}
	if s.Cluster == nil {
		return plan.Wait("ClusterNotFound", fmt.Sprintf("Cluster %s/%s does not exist yet", s.Machine.Namespace, s.Machine.Spec.ClusterName))
	}
	if owned := slices.Concat(claim(s), claimObject(s, s.Bootstrap.Object), claimObject(s, s.Infrastructure.Object)); len(owned) > 0 {
		// The Node goes along in the same wave: it depends on none of these.
		return plan.Act("Adopting", "", slices.Concat(owned, nodeActions(s))...)
	}
	if actions := nodeActions(s); len(actions) > 0 {
		return plan.Act("SyncingNode", "", actions...)
	}
	if problem := referenceProblem(s); problem != nil {
		return *problem
	}
	return progress(s)
}

// claim states all that this controller owns on the Machine itself.
func claim(s Snapshot) []plan.Action {
	apply := plan.AddFinalizer(kind, s.Machine, clusterv1.MachineFinalizer)
	apply.Reason = "to take charge of it, and to pass on what its objects report"
	apply.Object.SetLabels(map[string]string{clusterv1.ClusterNameLabel: s.Cluster.Name})
	if metav1.GetControllerOf(s.Machine) == nil {
		apply.Object.SetOwnerReferences([]metav1.OwnerReference{*plan.OwnerReference(clusterKind, s.Cluster, false)})
	}
	spec := map[string]any{}
	if secret := dataSecretName(s); secret != "" {
		spec["bootstrap"] = map[string]any{"dataSecretName": secret}
	}
	if id := providerID(s); id != "" {
		spec["providerID"] = id
	}
	if len(spec) > 0 {
		apply.Object.Object["spec"] = spec
	}
	if !plan.NeedsApply(plan.Live(kind, s.Machine), apply.Object, plan.Manager(name, apply.Aspect), "") {
		return nil
	}
	return []plan.Action{apply}
}

// dataSecretName is what spec.bootstrap.dataSecretName is to be by our doing; empty
// while nothing is known, and when the user gives the Secret. Once taken, the name
// stays: the host may have booted with it.
func dataSecretName(s Snapshot) string {
	bootstrap := s.Machine.Spec.Bootstrap
	switch {
	case !bootstrap.ConfigRef.IsDefined():
		return ""
	case bootstrap.DataSecretName != nil && *bootstrap.DataSecretName != "":
		return *bootstrap.DataSecretName
	case s.Bootstrap.Object != nil && s.Bootstrap.Object.DataSecretCreated() && foreignController(s.Machine, s.Bootstrap.Object) == nil:
		return s.Bootstrap.Object.DataSecretName()
	default:
		return ""
	}
}

// providerID is the identity of the host: what the provider reports, else what the
// Machine says already.
func providerID(s Snapshot) string {
	if object := s.Infrastructure.Object; object != nil && foreignController(s.Machine, object) == nil {
		if id := object.ProviderID(); id != "" {
			return id
		}
	}
	return s.Machine.Spec.ProviderID
}

// claimObject makes the Machine the owner of an object that it refers to, where it is
// not yet, and passes the labels on by which objects of a cluster are found.
func claimObject(s Snapshot, object *contract.Object) []plan.Action {
	if object == nil || object.GetDeletionTimestamp() != nil || foreignController(s.Machine, object) != nil {
		return nil
	}
	labels := map[string]string{clusterv1.ClusterNameLabel: s.Cluster.Name}
	for _, key := range []string{
		clusterv1.MachineControlPlaneLabel, clusterv1.MachineControlPlaneNameLabel,
		clusterv1.MachineDeploymentNameLabel, clusterv1.MachineSetNameLabel,
	} {
		if value, ok := s.Machine.Labels[key]; ok {
			labels[key] = value
		}
	}
	lacking := !metav1.IsControlledBy(object, s.Machine)
	there := object.GetLabels()
	for key, value := range labels {
		if got, ok := there[key]; !ok || got != value {
			lacking = true
		}
	}
	if !lacking {
		return nil
	}
	intent := plan.Partial(object.GroupVersionKind(), object)
	intent.SetLabels(labels)
	intent.SetOwnerReferences([]metav1.OwnerReference{*plan.OwnerReference(kind, s.Machine, true)})
	return []plan.Action{plan.Apply{Object: intent, Reason: "Machine " + s.Machine.Name + " refers to it"}}
}

// foreignController is the controller owner of an object when that is not this Machine.
func foreignController(machine *clusterv1.Machine, object *contract.Object) *metav1.OwnerReference {
	if owner := metav1.GetControllerOf(object); owner != nil && owner.UID != machine.UID {
		return owner
	}
	return nil
}

// referenceProblem says what is wrong with the objects that the Machine refers to.
func referenceProblem(s Snapshot) *plan.Decision {
	bootstrap := s.Machine.Spec.Bootstrap
	if !bootstrap.ConfigRef.IsDefined() && (bootstrap.DataSecretName == nil || *bootstrap.DataSecretName == "") {
		problem := plan.Block("NoBootstrap", fmt.Sprintf("Machine %s/%s has neither spec.bootstrap.configRef nor spec.bootstrap.dataSecretName; set one of them", s.Machine.Namespace, s.Machine.Name))
		return &problem
	}
	for _, part := range []struct {
		seen  Referenced
		field clusterv1.ContractVersionedObjectReference
		done  *bool
	}{
		{s.Bootstrap, bootstrap.ConfigRef, s.Machine.Status.Initialization.BootstrapDataSecretCreated},
		{s.Infrastructure, s.Machine.Spec.InfrastructureRef, s.Machine.Status.Initialization.InfrastructureProvisioned},
	} {
		if !part.field.IsDefined() {
			continue
		}
		if problem := objectProblem(s, part.seen, part.field, part.done != nil && *part.done); problem != nil {
			return problem
		}
	}
	return nil
}

func objectProblem(s Snapshot, seen Referenced, field clusterv1.ContractVersionedObjectReference, wasThere bool) *plan.Decision {
	object := objectName(s, field)
	var problem plan.Decision
	switch {
	case seen.Err != "":
		problem = plan.Block("ProviderMissing", fmt.Sprintf("%s, to which Machine %s refers, cannot be read: %s", object, s.Machine.Name, seen.Err)).
			At(s.Now.Add(recheckStuck))
	case seen.Object == nil && wasThere:
		problem = plan.Block(clusterv1.ObjectDeletedReason, fmt.Sprintf("%s has been deleted; delete Machine %s, so that its owner makes another", object, s.Machine.Name))
	case seen.Object == nil:
		problem = plan.Wait(clusterv1.ObjectDoesNotExistReason, fmt.Sprintf("%s does not exist yet; the Machine's owner makes it, or, for a Machine that stands alone, you do", object))
	default:
		owner := foreignController(s.Machine, seen.Object)
		if owner == nil {
			return nil
		}
		problem = plan.Block("NameTaken", fmt.Sprintf("%s belongs to %s %s; give Machine %s a reference to an object of its own", object, owner.Kind, owner.Name, s.Machine.Name))
	}
	return &problem
}

func objectName(s Snapshot, field clusterv1.ContractVersionedObjectReference) string {
	return fmt.Sprintf("%s %s/%s", field.Kind, s.Machine.Namespace, field.Name)
}

// progress says what a Machine whose objects are all in order still waits for, in the
// words of its conditions.
func progress(s Snapshot) plan.Decision {
	shown := status(s, plan.Outcome{})
	about := func(conditionType string) string {
		condition := conditions.Find(shown.Conditions, conditionType)
		if condition.Message != "" {
			return condition.Message
		}
		return fmt.Sprintf("condition %s is %s: %s", conditionType, condition.Status, condition.Reason)
	}
	is := func(conditionType string) bool {
		return conditions.Is(shown.Conditions, conditionType, metav1.ConditionTrue)
	}
	switch {
	case !s.Node.OK() && s.Connection.Connected:
		// The cluster answers, but what it says cannot be used.
		return plan.Block(clusterv1.InspectionFailedReason, s.Node.Err)
	case !isTrue(shown.Initialization.BootstrapDataSecretCreated):
		return plan.Wait(clusterv1.WaitingForBootstrapDataReason, about(clusterv1.BootstrapConfigReadyCondition))
	case !isTrue(shown.Initialization.InfrastructureProvisioned):
		return plan.Wait("WaitingForInfrastructure", about(clusterv1.InfrastructureReadyCondition))
	case !shown.NodeRef.IsDefined():
		return plan.Wait("WaitingForNode", about(clusterv1.NodeHealthyCondition))
	case !is(clusterv1.NodeHealthyCondition):
		return plan.Wait(conditions.Find(shown.Conditions, clusterv1.NodeHealthyCondition).Reason, about(clusterv1.NodeHealthyCondition))
	case !is(clusterv1.ReadyCondition):
		return plan.Wait(clusterv1.NotReadyReason, about(clusterv1.ReadyCondition))
	case !is(clusterv1.AvailableCondition):
		return plan.Wait(clusterv1.WaitingForMinReadySecondsReason, about(clusterv1.AvailableCondition))
	}
	settled := plan.Settle("NodeHealthy")
	settled.Outcome.Message = expiryProblem(s)
	return settled
}

func isTrue(flag *bool) bool { return flag != nil && *flag }

// invariants are what no plan for a Machine may break.
func invariants(s Snapshot, decided plan.Plan[clusterv1.MachineStatus]) []string {
	var broken []string
	for _, action := range decided.Actions {
		switch action := action.(type) {
		case plan.Delete:
			if !machines.Deleting(s.Machine) {
				broken = append(broken, fmt.Sprintf("%s: nothing is deleted for a Machine that stays", action))
			}
			for _, object := range []*contract.Object{s.Bootstrap.Object, s.Infrastructure.Object} {
				if object != nil && object.GetUID() == action.On.UID && foreignController(s.Machine, object) != nil {
					broken = append(broken, fmt.Sprintf("%s: it belongs to another Machine", action))
				}
			}
			if action.On.Kind == nodeKind.Kind && (hostLeft(s) || !nodeDeletable(s)) {
				broken = append(broken, fmt.Sprintf("%s: a Node is deleted only once its host is gone, and not with its cluster", action))
			}
		case plan.Evict:
			if !machines.Deleting(s.Machine) || !nodeDeletable(s) || pastDrain(s) || preDrainHooks(s) != nil || !s.Node.Value.Spec.Unschedulable {
				broken = append(broken, fmt.Sprintf("%s: Pods are evicted only from a cordoned Node whose Machine is being deleted, after the hooks and before the host goes", action))
			}
			if action.On.UID == "" {
				broken = append(broken, fmt.Sprintf("%s: an eviction must carry the UID", action))
			}
		case plan.Patch:
			if action.On.Kind == kind.Kind && hostLeft(s) {
				broken = append(broken, fmt.Sprintf("%s: the Machine must not go while its host is there", action))
			}
		}
	}
	return broken
}

// hostLeft reports that the Machine's infrastructure object is there, or may be.
func hostLeft(s Snapshot) bool {
	if s.Infrastructure.Object != nil {
		return foreignController(s.Machine, s.Infrastructure.Object) == nil
	}
	return s.Infrastructure.Err != "" && !s.Infrastructure.NoKind
}
