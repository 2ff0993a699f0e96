// SPDX-License-Identifier: Apache-2.0

package kubeadmcontrolplane

import (
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/version"

	bootstrapv1 "github.com/slipway-project/slipway/api/bootstrap/v1beta2"
	controlplanev1 "github.com/slipway-project/slipway/api/controlplane/v1beta2"
	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	"github.com/slipway-project/slipway/machines"
	"github.com/slipway-project/slipway/plan"
)

const (
	name = "kubeadmcontrolplane"

	// recheckHealthy is how often the pods of a healthy control plane are looked at, and
	// with them the Secrets: nothing tells when one fails. Where all has been well for
	// long it is done more rarely, up to recheckSettled.
	recheckHealthy = 10 * time.Second
	recheckSettled = time.Minute
	// recheckComing is for pods that are coming up, and for Secrets that another cluster
	// of the same name leaves behind: at first, and up to recheckHealthy.
	recheckComing = time.Second
	// recheckInitializing is how often a workload cluster that answers is asked whether
	// machines can join, again at first and up to recheckHealthy. Every machine of a new
	// cluster waits for just this.
	recheckInitializing = 300 * time.Millisecond
	// contactGrace is for how long a workload cluster may be silent before what was
	// last seen of it stops counting.
	contactGrace = 50 * time.Second
)

var (
	kind        = controlplanev1.GroupVersion.WithKind("KubeadmControlPlane")
	clusterKind = clusterv1.GroupVersion.WithKind("Cluster")
	machineKind = clusterv1.GroupVersion.WithKind("Machine")
	configKind  = bootstrapv1.GroupVersion.WithKind("KubeadmConfig")
	secretKind  = corev1.SchemeGroupVersion.WithKind("Secret")
)

// Plan decides what to do for a KubeadmControlPlane.
func Plan(s Snapshot) plan.Plan[controlplanev1.KubeadmControlPlaneStatus] {
	decided := decide(s)
	return plan.Of(decided, status(s, decided.Outcome))
}

// decide goes through what can stand in the way, in order; the first that does has
// the word. Machines come before the kubeconfig, whose key takes time to make and is
// not needed before an API server answers.
func decide(s Snapshot) plan.Decision {
	if paused, why := machines.Paused(s.Cluster, s.ControlPlane); paused {
		return plan.Wait(clusterv1.PausedReason, why)
	}
	if s.ControlPlane.DeletionTimestamp != nil {
		return deletion(s)
	}
	if s.Cluster == nil {
		return clusterMissing(s)
	}
	if s.Cluster.DeletionTimestamp != nil {
		if free := dropHooks(s, "its Cluster is being deleted, and etcd with it"); len(free) > 0 {
			return plan.Act("ClusterDeleting", "", free...)
		}
		return plan.Wait("ClusterDeleting", fmt.Sprintf("Cluster %s is being deleted", s.Cluster.Name))
	}
	if problem := inputProblem(s); problem != "" {
		return plan.Block("InvalidSpec", problem)
	}
	if !hasFinalizer(s) {
		return plan.Act("Claiming", "", plan.AddFinalizer(kind, s.ControlPlane, controlplanev1.KubeadmControlPlaneFinalizer))
	}
	if noted := noteOrdinal(s); len(noted) > 0 {
		return plan.Act("NotingOrdinal", "", noted...)
	}
	decision, certificates := changes(s), certificateProblem(s)
	if certificates != nil && len(decision.Actions) == 0 {
		decision = certificates.At(plan.Earliest(certificates.Recheck, decision.Recheck))
	}
	again := repeatsFailure(s, decision)
	if len(decision.Actions) > 0 && !again {
		return withMarks(s, decision)
	}
	kubeconfig := kubeconfigDecision(s)
	if kubeconfig != nil && len(kubeconfig.Actions) > 0 {
		return *kubeconfig
	}
	// A kubeconfig that cannot be had is no reason to leave the machines there are alone;
	// nor is a label that the API refuses one not to tell how they are.
	if changes := slices.Concat(marks(s), inPlaceChanges(s)); len(changes) > 0 {
		return plan.Act("UpdatingMachines", "", changes...)
	}
	if again {
		return decision
	}
	if kubeconfig != nil && certificates == nil {
		decision = kubeconfig.At(plan.Earliest(kubeconfig.Recheck, decision.Recheck))
	}
	return decision.At(plan.Earliest(decision.Recheck, recheck(s)))
}

// changes are what is to be done about machines and members. Those that are there are
// looked after whatever else is wrong; nothing is made while the certificates are not
// there.
func changes(s Snapshot) plan.Decision {
	steps := []step{care, membership}
	if certificateProblem(s) != nil {
		steps = []step{care}
	}
	if decided := inOrder(s, steps...); decided != nil {
		return *decided
	}
	return plan.Settle("AllMachinesThere")
}

// marks show on each machine how it is doing.
func marks(s Snapshot) []plan.Action {
	return slices.Concat(conditionMarks(s), certificateMarks(s))
}

// withMarks has what is shown of the machines written before what may take long or fails
// again and again, so that it is told meanwhile: operations on etcd, and whatever comes after
// a failure. Where it is a mark itself that fails, the rest goes on without.
func withMarks(s Snapshot, decision plan.Decision) plan.Decision {
	marks := conditionMarks(s)
	if s.LastFailure == nil && !operates(decision) || slices.ContainsFunc(marks, func(mark plan.Action) bool { return failedLast(s, mark) }) {
		return decision
	}
	decision.Actions = slices.Concat(marks, decision.Actions)
	return decision
}

func operates(decision plan.Decision) bool {
	return slices.ContainsFunc(decision.Actions, func(action plan.Action) bool { _, operates := action.(plan.Operate); return operates })
}

// repeatsFailure reports that a decision would try the operation on etcd again that failed
// last. Members may be out of reach for long; all else that can be done then goes first.
func repeatsFailure(s Snapshot, decision plan.Decision) bool {
	return operates(decision) && slices.ContainsFunc(decision.Actions, func(action plan.Action) bool { return failedLast(s, action) })
}

func failedLast(s Snapshot, action plan.Action) bool {
	return s.LastFailure != nil && s.LastFailure.Action == action.String()
}

// clusterMissing is what to say where there is no Cluster to serve.
func clusterMissing(s Snapshot) plan.Decision {
	switch owner := owningCluster(s.ControlPlane); {
	case len(s.Claims) == 0:
		return plan.Wait("ClusterNotFound", fmt.Sprintf("no Cluster in namespace %s names KubeadmControlPlane %s in its spec.controlPlaneRef yet",
			s.ControlPlane.Namespace, s.ControlPlane.Name))
	case owner == nil:
		return plan.Block("NameTaken", fmt.Sprintf("Clusters %s each name KubeadmControlPlane %s in their spec.controlPlaneRef; make another KubeadmControlPlane for all but one of them",
			strings.Join(s.Claims, " and "), s.ControlPlane.Name))
	case slices.Contains(s.Claims, owner.Name):
		return plan.Wait("WaitingForOldCluster", fmt.Sprintf("KubeadmControlPlane %s belongs to an earlier Cluster %s (UID %s) and is removed with it; create it again then",
			s.ControlPlane.Name, owner.Name, owner.UID))
	default:
		return plan.Block("NameTaken", fmt.Sprintf("KubeadmControlPlane %s belongs to Cluster %s with UID %s, and Cluster %s names it in its spec.controlPlaneRef; make another KubeadmControlPlane for that one",
			s.ControlPlane.Name, owner.Name, owner.UID, strings.Join(s.Claims, " and ")))
	}
}

// recheck is when to look again at what no event tells of: the pods, and the Secrets.
// While there is no connection only the Secrets are left, and the moment from which what
// was seen before does not count any more; the connection brings an event.
func recheck(s Snapshot) time.Time {
	switch {
	case len(active(s)) == 0:
		return time.Time{}
	case s.Connecting:
		next := s.Now.Add(growing(s, recheckHealthy, recheckSettled))
		if end := s.LastContact.Add(contactGrace); end.After(s.Now) && end.Before(next) {
			return end
		}
		return next
	case !isInitializedNow(s) && s.Workload.OK():
		return s.Now.Add(growing(s, recheckInitializing, recheckHealthy))
	case allHealthy(s):
		return s.Now.Add(growing(s, recheckHealthy, recheckSettled))
	default:
		return s.Now.Add(growing(s, recheckComing, recheckHealthy))
	}
}

// growing is a pause that grows with how long things have stood as they do: what has
// just changed may change again soon, and what lasts is to cost little.
func growing(s Snapshot, least, most time.Duration) time.Duration {
	var changed time.Time
	latest := func(times ...metav1.Time) {
		for _, at := range times {
			if at.After(changed) {
				changed = at.Time
			}
		}
	}
	for _, condition := range s.ControlPlane.Status.Conditions {
		latest(condition.LastTransitionTime)
	}
	for _, machine := range s.Machines {
		latest(machine.CreationTimestamp)
		if machine.DeletionTimestamp != nil {
			latest(*machine.DeletionTimestamp)
		}
		for _, condition := range machine.Status.Conditions {
			latest(condition.LastTransitionTime)
		}
	}
	if changed.IsZero() {
		return least
	}
	return min(max(s.Now.Sub(changed)/100, least), most)
}

// working reports that the facts for making and keeping machines are needed. Until
// then they are not read, and no key is made.
func working(s Snapshot) bool {
	paused, _ := machines.Paused(s.Cluster, s.ControlPlane)
	return !paused && s.Cluster != nil && s.Cluster.DeletionTimestamp == nil && s.ControlPlane.DeletionTimestamp == nil &&
		inputProblem(s) == "" && hasFinalizer(s)
}

func hasFinalizer(s Snapshot) bool {
	return slices.Contains(s.ControlPlane.Finalizers, controlplanev1.KubeadmControlPlaneFinalizer)
}

// refersTo reports that a Cluster's controlPlaneRef names the KubeadmControlPlane.
func refersTo(cluster *clusterv1.Cluster, controlPlane string) bool {
	ref := cluster.Spec.ControlPlaneRef
	return ref.APIGroup == kind.Group && ref.Kind == kind.Kind && ref.Name == controlPlane
}

// owningCluster is the reference to the Cluster that owns the KubeadmControlPlane; nil
// when none does.
func owningCluster(controlPlane *controlplanev1.KubeadmControlPlane) *metav1.OwnerReference {
	for _, owner := range controlPlane.OwnerReferences {
		group, err := schema.ParseGroupVersion(owner.APIVersion)
		if err == nil && group.Group == clusterKind.Group && owner.Kind == clusterKind.Kind {
			return &owner
		}
	}
	return nil
}

// clusterName is known from the label where the Cluster itself is gone.
func clusterName(s Snapshot) string {
	if s.Cluster != nil {
		return s.Cluster.Name
	}
	return s.ControlPlane.Labels[clusterv1.ClusterNameLabel]
}

// inputProblem says what of the spec cannot be served. The API refuses most of it
// before; what was stored by an older API gets here.
func inputProblem(s Snapshot) string {
	spec := s.ControlPlane.Spec
	want := replicas(s.ControlPlane)
	switch {
	case want < 1:
		return fmt.Sprintf("spec.replicas is %d; a control plane has at least 1 machine: set it to 1, 3 or 5", want)
	case want%2 == 0 && !externalEtcd(spec.KubeadmConfigSpec):
		return fmt.Sprintf("spec.replicas is %d; with etcd on the machines an even number stands no more failures than one fewer: set it to %d or %d", want, want-1, want+1)
	}
	if _, err := version.ParseSemantic(spec.Version); err != nil || !strings.HasPrefix(spec.Version, "v") {
		return fmt.Sprintf("spec.version is %q, which is not a Kubernetes version such as v1.37.1", spec.Version)
	}
	return ""
}

func replicas(controlPlane *controlplanev1.KubeadmControlPlane) int {
	if controlPlane.Spec.Replicas == nil {
		return 1
	}
	return int(*controlPlane.Spec.Replicas)
}

func isTrue(flag *bool) bool { return flag != nil && *flag }

// provisioned reports that the cluster's infrastructure is there, and with it its
// failure domains, among which a new machine is placed.
func provisioned(s Snapshot) bool {
	return isTrue(s.Cluster.Status.Initialization.InfrastructureProvisioned)
}

// wasInitialized is what was recorded; it never goes back.
func wasInitialized(s Snapshot) bool {
	return isTrue(s.ControlPlane.Status.Initialization.ControlPlaneInitialized) ||
		(s.Cluster != nil && isTrue(s.Cluster.Status.Initialization.ControlPlaneInitialized))
}

// isInitializedNow counts what was just seen too.
func isInitializedNow(s Snapshot) bool {
	return wasInitialized(s) || (s.Workload.OK() && s.Workload.Value.Initialized)
}

// active are the machines that are not on their way out.
func active(s Snapshot) []*clusterv1.Machine {
	return slices.DeleteFunc(slices.Clone(s.Machines), machines.Deleting)
}

// deletion lets the workers go first, for they need the control plane to leave in
// order, then removes the machines all at once: no member of etcd is to be kept whole.
func deletion(s Snapshot) plan.Decision {
	if len(s.Machines) == 0 && !hasFinalizer(s) {
		return plan.Wait(clusterv1.DeletingReason, "the other finalizers of the KubeadmControlPlane are not removed yet")
	}
	if len(s.Workers) > 0 && len(s.Machines) > 0 {
		return plan.Wait(clusterv1.WaitingForWorkersDeletionReason,
			fmt.Sprintf("the control plane goes after %d worker Machines of Cluster %s: %s", len(s.Workers), clusterName(s), list(s.Workers)))
	}
	if len(s.Machines) == 0 {
		return plan.Act(clusterv1.DeletionCompletedReason, "",
			plan.RemoveFinalizer(kind, s.ControlPlane, controlplanev1.KubeadmControlPlaneFinalizer, "all its Machines are gone"))
	}
	const reason = "its KubeadmControlPlane is being deleted"
	actions := dropHooks(s, reason)
	for _, machine := range sorted(active(s)) {
		actions = append(actions, plan.Delete{On: plan.RefTo(machineKind, machine), Reason: reason})
	}
	if len(actions) > 0 {
		return plan.Act(clusterv1.DeletingReason, "", actions...)
	}
	return plan.Wait(controlplanev1.WaitingForMachineDeletionReason,
		fmt.Sprintf("waiting for %d Machines to be gone: %s", len(s.Machines), list(machines.Names(s.Machines))))
}

func sorted(machines []*clusterv1.Machine) []*clusterv1.Machine {
	return slices.SortedFunc(slices.Values(machines), func(a, b *clusterv1.Machine) int { return strings.Compare(a.Name, b.Name) })
}

func list(names []string) string {
	const shown = 3
	names = slices.Sorted(slices.Values(names))
	if len(names) > shown {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:shown], ", "), len(names)-shown)
	}
	return strings.Join(names, ", ")
}
