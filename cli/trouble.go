// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	addonsv1 "github.com/slipway-project/slipway/api/addons/v1beta2"
	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	infrav1 "github.com/slipway-project/slipway/api/infrastructure/v1beta2"
)

// trouble is a condition that is not as it should be.
type trouble struct {
	Kind, Name string
	Condition  metav1.Condition
	// Mend is true when nothing goes on until somebody mends it.
	Mend bool
}

// mendable are the reasons of which the reporting controller knows that waiting does
// not help.
var mendable = map[string]bool{
	"ImageNotAvailable": true, "NameTaken": true, "KernelLimitReached": true, "NetworkNotAvailable": true,
	"ContainerEngineUnavailable": true, "InvalidLoadBalancerConfig": true, "InvalidBootstrapData": true,
	"BootstrapFailed": true, "ContainerDeleted": true, "NoProvider": true, "TopologyNotServed": true,
}

// summaries are conditions that only sum up others of the same object.
var summaries = map[string]bool{
	clusterv1.AvailableCondition: true, clusterv1.ReadyCondition: true,
	clusterv1.MachinesReadyCondition: true, clusterv1.MachinesUpToDateCondition: true, clusterv1.UpToDateCondition: true,
	clusterv1.InfrastructureReadyCondition: true, clusterv1.BootstrapConfigReadyCondition: true,
	clusterv1.ControlPlaneAvailableCondition: true, clusterv1.WorkersAvailableCondition: true,
	clusterv1.ControlPlaneMachinesReadyCondition: true, clusterv1.WorkerMachinesReadyCondition: true,
	clusterv1.ControlPlaneMachinesUpToDateCondition: true, clusterv1.WorkerMachinesUpToDateCondition: true,
}

// negative are conditions whose True is the abnormal state.
var negative = map[string]bool{
	clusterv1.RollingOutCondition: true, clusterv1.ScalingUpCondition: true, clusterv1.ScalingDownCondition: true,
	clusterv1.RemediatingCondition: true, clusterv1.UpdatingCondition: true, clusterv1.DeletingCondition: true, clusterv1.PausedCondition: true,
}

// troubles are all of a family, what is to be mended first, else the causes before
// what only follows from them.
func troubles(f family) []trouble {
	var list []trouble
	if f.Cluster != nil {
		list = append(list, clusterTroubles(f)...)
		if !isTrue(f.Cluster.Status.Initialization.InfrastructureProvisioned) {
			list = append(list, infrastructureTroubles(f)...)
		}
	}
	list = append(list, controlPlaneTroubles(f)...)
	list = append(list, workerTroubles(f)...)
	for _, set := range f.ResourceSets {
		list = append(list, f.of(clusterResourceSetKind.Kind, set.Name, set.UID, set.Status.Conditions)...)
	}
	return mendFirst(list)
}

// clusterTroubles are what stands only in the Cluster's own conditions: a pause, and
// a reference to what is not there.
func clusterTroubles(f family) []trouble {
	var list []trouble
	for _, found := range f.of(clusterKind.Kind, f.Cluster.Name, f.Cluster.UID, f.Cluster.Status.Conditions) {
		missing := found.Condition.Reason == clusterv1.ObjectDoesNotExistReason || found.Condition.Reason == clusterv1.ObjectDeletedReason
		if found.Mend || missing {
			list = append(list, found)
		}
	}
	return list
}

func infrastructureTroubles(f family) []trouble {
	if f.Infrastructure == nil {
		return nil
	}
	return mendFirst(f.of(f.Infrastructure.GetKind(), f.Infrastructure.GetName(), f.Infrastructure.GetUID(), conditionsOf(f.Infrastructure)))
}

func controlPlaneTroubles(f family) []trouble {
	list := f.machineTroubles(f.controlPlaneMachines())
	if f.ControlPlane != nil {
		list = append(list, f.of(f.ControlPlane.GetKind(), f.ControlPlane.GetName(), f.ControlPlane.GetUID(), conditionsOf(f.ControlPlane))...)
	}
	return mendFirst(list)
}

func workerTroubles(f family) []trouble {
	list := f.machineTroubles(f.workers())
	for _, set := range f.Sets {
		list = append(list, f.of(machineSetKind.Kind, set.Name, set.UID, set.Status.Conditions)...)
	}
	for _, deployment := range f.Deployments {
		list = append(list, f.of(machineDeploymentKind.Kind, deployment.Name, deployment.UID, deployment.Status.Conditions)...)
	}
	return mendFirst(list)
}

// machineTroubles are those of Machines and of what they consist of, the deepest
// first.
func (f *family) machineTroubles(list []clusterv1.Machine) []trouble {
	var found []trouble
	for _, machine := range list {
		if host := f.Hosts[machine.Name]; host != nil {
			found = append(found, f.of(host.GetKind(), host.GetName(), host.GetUID(), conditionsOf(host))...)
		}
		if bootstrap := f.Bootstraps[machine.Name]; bootstrap != nil {
			found = append(found, f.of(bootstrap.GetKind(), bootstrap.GetName(), bootstrap.GetUID(), conditionsOf(bootstrap))...)
		}
		found = append(found, f.of(machineKind.Kind, machine.Name, machine.UID, machine.Status.Conditions)...)
	}
	return found
}

// of are the troubles of one object: those with a message first, and of these what is
// said at first hand before what only sums it up.
func (f *family) of(kind, name string, uid types.UID, list []metav1.Condition) []trouble {
	var own, sums []trouble
	for _, condition := range list {
		mend := needsMending(condition) || f.saidBlocked(uid, condition)
		bad := condition.Status == metav1.ConditionFalse
		if negative[condition.Type] || condition.Status == metav1.ConditionUnknown {
			bad = mend
		}
		switch found := (trouble{Kind: kind, Name: name, Condition: condition, Mend: mend}); {
		case !bad:
		case summaries[condition.Type]:
			// What is to be mended is so in the condition that this one sums up.
			found.Mend = found.Mend && condition.Reason == "NoProvider"
			sums = append(sums, found)
		default:
			own = append(own, found)
		}
	}
	all := slices.Concat(own, sums)
	slices.SortStableFunc(all, func(a, b trouble) int {
		return rank(a.Condition.Message == "") - rank(b.Condition.Message == "")
	})
	return all
}

func needsMending(condition metav1.Condition) bool {
	switch {
	case condition.Type == clusterv1.PausedCondition:
		return condition.Status == metav1.ConditionTrue
	case condition.Type == infrav1.BootstrapCompletedCondition && condition.Reason == infrav1.FailedReason,
		condition.Type == addonsv1.ResourcesAppliedCondition && condition.Reason == addonsv1.WrongSecretTypeReason:
		return condition.Status == metav1.ConditionFalse
	}
	return condition.Status != metav1.ConditionTrue && mendable[condition.Reason]
}

// saidBlocked tells that the controller of the object has said, in an event, that it
// is blocked by what the condition still tells.
func (f *family) saidBlocked(uid types.UID, condition metav1.Condition) bool {
	if condition.Message == "" {
		return false
	}
	for _, event := range f.Blocked {
		if event.Regarding.UID == uid && event.Note != "" && strings.Contains(condition.Message, event.Note) {
			return true
		}
	}
	return false
}

func mendFirst(list []trouble) []trouble {
	slices.SortStableFunc(list, func(a, b trouble) int { return rank(!a.Mend) - rank(!b.Mend) })
	return list
}

// rank sorts what holds behind what does not.
func rank(holds bool) int {
	if holds {
		return 1
	}
	return 0
}

// short is one line about a trouble, for progress.
func (t trouble) short() string {
	text := strings.TrimPrefix(firstLine(t.Condition.Message), "* ")
	if text == "" {
		text = t.Condition.Reason
	}
	return fmt.Sprintf("%s %s: %s", t.Kind, t.Name, text)
}

// sentence says all of a trouble.
func (t trouble) sentence() string {
	message := strings.TrimSpace(t.Condition.Message)
	if message == "" {
		return fmt.Sprintf("%s %s: %s is %s (%s)", t.Kind, t.Name, t.Condition.Type, t.Condition.Status, t.Condition.Reason)
	}
	return fmt.Sprintf("%s %s: %s: %s", t.Kind, t.Name, t.Condition.Reason, message)
}

// key tells troubles apart.
func (t trouble) key() string {
	return strings.Join([]string{t.Kind, t.Name, t.Condition.Type, t.Condition.Reason}, "/")
}
