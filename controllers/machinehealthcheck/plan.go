// SPDX-License-Identifier: Apache-2.0

package machinehealthcheck

import (
	"fmt"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	"github.com/slipway-project/slipway/machines"
	"github.com/slipway-project/slipway/plan"
)

const (
	name = "machinehealthcheck"

	// contactGrace is for how long after its last answer a workload cluster counts as in
	// sight. Probes come every ten seconds.
	contactGrace = 50 * time.Second

	// contactSettle is for how long contact has to last before a cluster counts as in
	// sight: a list of Nodes that was just read may be one of a while ago, because an API
	// server may answer from a cache of its own that has yet to follow.
	contactSettle = 10 * time.Second

	// recheckContact is how often to look whether a cluster is in sight again where no
	// event may tell: one that answers again may be no news to anybody.
	recheckContact = 5 * time.Second
)

var (
	kind        = clusterv1.GroupVersion.WithKind(clusterv1.MachineHealthCheckKind)
	clusterKind = clusterv1.GroupVersion.WithKind(clusterv1.ClusterKind)
	machineKind = clusterv1.GroupVersion.WithKind(clusterv1.MachineKind)
)

// Plan decides what to do for a MachineHealthCheck.
func Plan(s Snapshot) plan.Plan[clusterv1.MachineHealthCheckStatus] {
	if paused, why := machines.Paused(s.Cluster, s.HealthCheck); paused {
		return plan.Of(plan.Wait(clusterv1.PausedReason, why), pausedStatus(s, why))
	}
	f := examine(s)
	return plan.Of(decide(s, f), status(s, f))
}

// decide says how the health check stands, and does in one wave all that is to be done:
// what is marked on one Machine does not depend on the marks of another.
func decide(s Snapshot, f findings) plan.Decision {
	if s.HealthCheck.DeletionTimestamp != nil {
		return deletion(s)
	}
	if s.Cluster == nil {
		return plan.Wait("ClusterNotFound", fmt.Sprintf("Cluster %s/%s does not exist yet", s.HealthCheck.Namespace, s.HealthCheck.Spec.ClusterName))
	}
	decided := outcome(s, f)
	decided.Actions = slices.Concat(claim(s), releases(s), marks(s, f))
	if decided.Outcome.Kind == plan.Converged && len(decided.Actions) > 0 {
		decided.Outcome = plan.Outcome{Kind: plan.Acting, Reason: "Marking"}
	}
	return decided.At(plan.Earliest(f.due, f.evidence.recheck))
}

// outcome goes through what can stand in the way, in order; the first that does has the
// word.
func outcome(s Snapshot, f findings) plan.Decision {
	switch {
	case s.Cluster.DeletionTimestamp != nil:
		return plan.Wait("ClusterDeleting", fmt.Sprintf("Cluster %s is being deleted; its Machines are not remedied any more", s.Cluster.Name))
	case f.invalid != "":
		return plan.Block(invalidSpecReason, f.invalid)
	case f.template != "":
		return plan.Block(clusterv1.RemediationTemplateNotFoundReason, f.template)
	case len(f.elsewhere) > 0:
		return plan.Block("CheckedByAnother", strings.Join(f.elsewhere, "; ")+"; narrow the selector of one of them, so that each Machine is checked by one")
	case !f.evidence.ok:
		return plan.Wait(f.evidence.reason, f.evidence.why)
	case !f.trigger.allowed:
		return plan.Block("RemediationRestricted", f.trigger.message)
	}
	if problem := unhealthyOutcome(s, f); problem != nil {
		return *problem
	}
	if lines := told(f); len(lines) > 0 {
		return plan.Wait("WaitingForMachines", shorten(lines))
	}
	if len(f.verdicts) == 0 {
		return plan.Settle("NoMachines")
	}
	return plan.Settle("MachinesHealthy")
}

// unhealthyOutcome says who is to remedy the Machines that are unhealthy.
func unhealthyOutcome(s Snapshot, f findings) *plan.Decision {
	var failed, ownerless, waiting []string
	for _, v := range f.verdicts {
		if v.health != unhealthy || machines.Deleting(v.machine) {
			continue
		}
		line := fmt.Sprintf("Machine %s is unhealthy: %s", v.machine.Name, v.message)
		switch {
		case requestProblem(s, v.machine) != "":
			failed = append(failed, requestProblem(s, v.machine))
		case !external(s) && metav1.GetControllerOf(v.machine) == nil:
			ownerless = append(ownerless, line)
		default:
			waiting = append(waiting, line)
		}
	}
	var decided plan.Decision
	switch {
	case len(failed) > 0:
		decided = plan.Block(clusterv1.RemediationRequestCreationFailedReason, shorten(failed))
	case len(waiting) > 0 && external(s):
		decided = plan.Wait(clusterv1.WaitingForRemediationReason, shorten(waiting)+"; what looks after "+requestRef(s.HealthCheck, "").Kind+" objects is to remedy it")
	case len(waiting) > 0:
		decided = plan.Wait(clusterv1.WaitingForRemediationReason, shorten(waiting)+"; its owner is to replace it")
	case len(ownerless) > 0:
		decided = plan.Block("NoOwner", shorten(ownerless)+"; nobody owns it who would replace it: delete it and make another")
	default:
		return nil
	}
	return &decided
}

// claim states all that this controller owns on the health check itself: the finalizer,
// and that it belongs to the Cluster, with which it goes and moves.
func claim(s Snapshot) []plan.Action {
	if s.Cluster.DeletionTimestamp != nil {
		return nil
	}
	apply := plan.AddFinalizer(kind, s.HealthCheck, clusterv1.MachineHealthCheckFinalizer)
	apply.Reason = "to take charge of it, and to take back its marks when it is deleted"
	apply.Object.SetLabels(map[string]string{clusterv1.ClusterNameLabel: s.Cluster.Name})
	apply.Object.SetOwnerReferences([]metav1.OwnerReference{*plan.OwnerReference(clusterKind, s.Cluster, false)})
	if !plan.NeedsApply(plan.Live(kind, s.HealthCheck), apply.Object, plan.Manager(name, apply.Aspect), "") {
		return nil
	}
	return []plan.Action{apply}
}

// deletion takes back what was asked for, and then lets the health check go.
func deletion(s Snapshot) plan.Decision {
	if actions := releases(s); len(actions) > 0 {
		return plan.Act("TakingBack", "", actions...)
	}
	if !slices.Contains(s.HealthCheck.Finalizers, clusterv1.MachineHealthCheckFinalizer) {
		return plan.Wait(clusterv1.DeletingReason, fmt.Sprintf("the finalizers %s, which are not Slipway's, are to be removed by who set them", strings.Join(s.HealthCheck.Finalizers, ", ")))
	}
	return plan.Act(clusterv1.DeletionCompletedReason, "", plan.RemoveFinalizer(kind, s.HealthCheck, clusterv1.MachineHealthCheckFinalizer, "no Machine has marks of it"))
}

// invariants are what no plan for a health check may break.
func invariants(s Snapshot, decided plan.Plan[clusterv1.MachineHealthCheckStatus]) []string {
	var broken []string
	f := examine(s)
	for _, action := range decided.Actions {
		target := action.Target()
		switch action := action.(type) {
		case plan.Delete:
			if target.GroupKind() == machineKind.GroupKind() {
				broken = append(broken, fmt.Sprintf("%s: a health check never deletes a Machine", action))
			}
		case plan.Create:
			broken = append(broken, whyNotRemedied(s, f, target.Name, action.String())...)
		case plan.Apply:
			if asksOwner(action) {
				broken = append(broken, whyNotRemedied(s, f, target.Name, action.String())...)
			}
		}
	}
	return broken
}

// whyNotRemedied gives what forbids to ask for the remediation of a Machine.
func whyNotRemedied(s Snapshot, f findings, machine, action string) []string {
	at := slices.IndexFunc(s.Machines, func(m *clusterv1.Machine) bool { return m.Name == machine })
	if at < 0 {
		return []string{action + ": there is no such Machine"}
	}
	var broken []string
	m := s.Machines[at]
	_, paused := m.Annotations[clusterv1.PausedAnnotation]
	_, skipped := m.Annotations[clusterv1.MachineSkipRemediationAnnotation]
	_, wanted := m.Annotations[clusterv1.RemediateMachineAnnotation]
	if paused || skipped || machines.Deleting(m) {
		broken = append(broken, action+": a Machine that is paused, skipped or being deleted is not to be remedied")
	}
	if s.Cluster == nil || s.Cluster.DeletionTimestamp != nil || s.HealthCheck.DeletionTimestamp != nil {
		broken = append(broken, action+": nothing is remedied any more")
	} else if !wanted && !judgeable(s, m) {
		broken = append(broken, action+": there is no evidence to judge it by")
	}
	low, high, err := bounds(s.HealthCheck, len(f.verdicts))
	if sick := len(f.verdicts) - f.count(healthy); err != "" || sick < low || sick > high {
		broken = append(broken, fmt.Sprintf("%s: %d Machines are not healthy, and between %d and %d may be", action, sick, low, high))
	}
	return broken
}
