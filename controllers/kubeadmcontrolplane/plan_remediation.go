// SPDX-License-Identifier: Apache-2.0

package kubeadmcontrolplane

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	controlplanev1 "github.com/slipway-project/slipway/api/controlplane/v1beta2"
	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	"github.com/slipway-project/slipway/conditions"
	"github.com/slipway-project/slipway/machines"
	"github.com/slipway-project/slipway/plan"
)

// remediationRecord is what the annotations about a replacement hold, as JSON. Others that
// speak this contract read it.
type remediationRecord struct {
	// Machine that was replaced.
	Machine string `json:"machine"`
	// Timestamp is when that began.
	Timestamp metav1.Time `json:"timestamp"`
	// RetryCount is how many replacements in a row it was after the first.
	RetryCount int32 `json:"retryCount,omitempty"`
}

// recordIn reads a record; nil when there is none that can be read, which then counts for
// nothing.
func recordIn(annotation string) *remediationRecord {
	record := &remediationRecord{}
	if annotation == "" || json.Unmarshal([]byte(annotation), record) != nil || record.Machine == "" {
		return nil
	}
	return record
}

func (r remediationRecord) text() string {
	raw, err := json.Marshal(r)
	if err != nil {
		panic(fmt.Sprintf("write remediation record: %v", err)) // plain fields cannot fail
	}
	return string(raw)
}

// inProgress is the replacement that has begun and whose new machine is not made yet; nil
// when there is none.
func inProgress(s Snapshot) *remediationRecord {
	return recordIn(s.ControlPlane.Annotations[controlplanev1.RemediationInProgressAnnotation])
}

func replacementFor(machine *clusterv1.Machine) *remediationRecord {
	return recordIn(machine.Annotations[controlplanev1.RemediationForAnnotation])
}

// refusal says why a machine is not replaced, or not now.
type refusal struct{ reason, message string }

func deferred(format string, values ...any) *refusal {
	return &refusal{clusterv1.RemediationDeferredReason, fmt.Sprintf(format, values...)}
}

func never(format string, values ...any) *refusal {
	return &refusal{clusterv1.CannotBeRemediatedReason, fmt.Sprintf(format, values...)}
}

// stage is one question on the way to the replacement of a machine: nil goes on.
type stage func(Snapshot, *clusterv1.Machine) *refusal

// stages are gone through in order, and the first refusal has the word. What a control
// plane was never initialized has nothing to lose, and only the first three count.
var stages = []stage{
	noneBegun, retriesLeft, retryPeriodOver,
	hadItsTurn, notTheOnlyOne, noneProvisioning, noneDeleting, stateSeen, quorumLeft, healthyOneLeft,
}

const stagesBeforeInitialized = 3

func refused(s Snapshot, machine *clusterv1.Machine) *refusal {
	asked := stages
	if !isInitializedNow(s) {
		asked = stages[:stagesBeforeInitialized]
	}
	for _, ask := range asked {
		if no := ask(s, machine); no != nil {
			return no
		}
	}
	return nil
}

// noneBegun: replacements follow one another. One that has begun goes on with the machine
// that it began with.
func noneBegun(s Snapshot, machine *clusterv1.Machine) *refusal {
	if begun := inProgress(s); begun != nil && begun.Machine != machine.Name {
		return deferred("Machine %s is being replaced, and its successor is not made yet", begun.Machine)
	}
	return nil
}

// retry is the replacement that the machine itself came from, where its failing counts as
// another try of that; nil where it is a failure of its own.
func retry(s Snapshot, machine *clusterv1.Machine) *remediationRecord {
	record := replacementFor(machine)
	healthyFor := seconds(s.ControlPlane.Spec.Remediation.MinHealthyPeriodSeconds, controlplanev1.DefaultMinHealthyPeriodSeconds)
	if record == nil || s.Now.Sub(record.Timestamp.Time) > healthyFor {
		return nil
	}
	return record
}

func seconds(value *int32, otherwise int32) time.Duration {
	if value != nil {
		otherwise = *value
	}
	return time.Duration(otherwise) * time.Second
}

func retriesLeft(s Snapshot, machine *clusterv1.Machine) *refusal {
	limit, last := s.ControlPlane.Spec.Remediation.MaxRetry, retry(s, machine)
	if limit == nil || last == nil || last.RetryCount < *limit {
		return nil
	}
	return never("it was made in place of Machine %s, which was retry %d, and spec.remediation.maxRetry is %d: see why these Machines fail, then raise maxRetry or delete the Machine",
		last.Machine, last.RetryCount, *limit)
}

func retryPeriodOver(s Snapshot, machine *clusterv1.Machine) *refusal {
	if due := retryDue(s, machine); due.After(s.Now) {
		return deferred("it was made in place of Machine %s and is not replaced in its turn before %s, as spec.remediation.retryPeriodSeconds asks for",
			retry(s, machine).Machine, due.UTC().Format(time.RFC3339))
	}
	return nil
}

// retryDue is from when a machine may be replaced that is a replacement itself; zero for
// any other.
func retryDue(s Snapshot, machine *clusterv1.Machine) time.Time {
	last := retry(s, machine)
	if last == nil {
		return time.Time{}
	}
	return last.Timestamp.Add(seconds(s.ControlPlane.Spec.Remediation.RetryPeriodSeconds, 0))
}

// hadItsTurn: a machine whose join is held has no node because of us.
func hadItsTurn(s Snapshot, machine *clusterv1.Machine) *refusal {
	if held(s, machine) {
		return deferred("its join is held, because control-plane Machines join one by one: it has not had its turn")
	}
	return nil
}

func notTheOnlyOne(s Snapshot, _ *clusterv1.Machine) *refusal {
	if len(s.Machines) < 2 {
		return never("it is the only Machine of the control plane, and holds all data of the cluster: mend its host, or set spec.replicas to 3 while it works")
	}
	return nil
}

// noneProvisioning: a machine that is about to join changes the membership. Those whose
// join is held do not, and those that fail are no reason to keep others that fail. A
// machine that has no member may go at any time.
func noneProvisioning(s Snapshot, machine *clusterv1.Machine) *refusal {
	for _, other := range oldest(inFlight(s)) {
		if other != machine && !goesFreely(s, machine) {
			return deferred("Machine %s is being made, and is waited for", other.Name)
		}
	}
	return nil
}

func noneDeleting(s Snapshot, machine *clusterv1.Machine) *refusal {
	for _, other := range oldest(s.Machines) {
		if other != machine && machines.Deleting(other) && !goesFreely(s, machine) {
			return deferred("Machine %s is being deleted, and is waited for", other.Name)
		}
	}
	return nil
}

// goesFreely reports that a machine is no member of etcd on the machines of the control
// plane, so that its going changes no membership.
func goesFreely(s Snapshot, machine *clusterv1.Machine) bool {
	return stacked(s) && memberless(s, machine)
}

func stateSeen(s Snapshot, _ *clusterv1.Machine) *refusal {
	if why := unseen(s); why != "" {
		return deferred("%s", why)
	}
	return nil
}

// quorumLeft: members of machines that fail count as they are now. Taking a dead one out
// leaves as many healthy ones among fewer.
func quorumLeft(s Snapshot, machine *clusterv1.Machine) *refusal {
	if !stacked(s) {
		return nil
	}
	member, ok := memberOf(s, machine)
	if !ok {
		return nil
	}
	if left := s.Etcd.Value.Without(member.ID); !left.Holds() {
		return deferred("etcd would lose its quorum without it: there would be %s", left)
	}
	return nil
}

func healthyOneLeft(s Snapshot, machine *clusterv1.Machine) *refusal {
	if !slices.ContainsFunc(active(s), func(other *clusterv1.Machine) bool { return other != machine && serves(s, other) }) {
		return deferred("no other Machine of the control plane is whole")
	}
	return nil
}

// failing are the machines that are to be replaced because they fail, the most broken
// first.
func failing(s Snapshot) []*clusterv1.Machine {
	list := slices.DeleteFunc(active(s), func(machine *clusterv1.Machine) bool { return !machines.RemediationAsked(machine) })
	list = oldest(list)
	slices.SortStableFunc(list, func(a, b *clusterv1.Machine) int { return cmp.Compare(brokenness(s, a), brokenness(s, b)) })
	return list
}

// brokenness is less for what is to go sooner: what somebody asked for by hand, a machine
// without a node, one without a working etcd, one without another working part, one whose
// node is not marked as kubeadm does it.
func brokenness(s Snapshot, machine *clusterv1.Machine) int {
	if _, asked := machine.Annotations[clusterv1.RemediateMachineAnnotation]; asked {
		return 0
	}
	if !machine.Status.NodeRef.IsDefined() {
		return 1
	}
	missing := lacks(s, machine)
	switch {
	case slices.Contains(missing, controlplanev1.EtcdPodHealthyCondition), slices.Contains(missing, controlplanev1.EtcdMemberHealthyCondition):
		return 2
	case len(missing) > 0:
		return 3
	case nodeMarks(s, machine).Status != metav1.ConditionTrue:
		return 4
	default:
		return 5
	}
}

// verdict is what is decided about one machine that fails; nil refusal for the one that is
// replaced now.
type verdict struct {
	machine *clusterv1.Machine
	refusal *refusal
}

// verdicts decide about all machines that fail. One is replaced at a time: the first that
// no stage refuses.
func verdicts(s Snapshot) []verdict {
	var list []verdict
	var chosen *clusterv1.Machine
	for _, machine := range failing(s) {
		no := refused(s, machine)
		switch {
		case no == nil && chosen != nil:
			no = deferred("Machine %s is replaced first", chosen.Name)
		case no == nil:
			chosen = machine
		}
		list = append(list, verdict{machine, no})
	}
	return list
}

// remediation replaces a machine that fails: the record of the intent first, then the
// machine goes, and the next plans make another. It tells why one that fails is not
// replaced; nil when none fails.
func remediation(s Snapshot) *plan.Decision {
	if done := recordDone(s); done != nil {
		return done
	}
	decided := verdicts(s)
	for _, decided := range decided {
		if decided.refusal != nil {
			continue
		}
		machine, record := decided.machine, remediationRecord{Machine: decided.machine.Name, Timestamp: metav1.NewTime(s.Now.UTC().Truncate(time.Second))}
		if last := retry(s, machine); last != nil {
			record.RetryCount = last.RetryCount + 1
		}
		remove := plan.Delete{On: plan.RefTo(machineKind, machine), Reason: "its health check failed: " + failed(machine)}
		if inProgress(s) != nil {
			decision := plan.Act(clusterv1.RemediatingReason, "", remove)
			return &decision
		}
		intent := plan.Partial(kind, s.ControlPlane)
		intent.SetAnnotations(map[string]string{controlplanev1.RemediationInProgressAnnotation: record.text()})
		decision := plan.Act(clusterv1.RemediatingReason, "", plan.Apply{Object: intent, Aspect: "remediation", Reason: "so that the replacement is known for what it is"}, remove)
		return &decision
	}
	return refusals(s, decided)
}

// refusals tell of machines that fail and are not replaced; nil where there are none.
func refusals(s Snapshot, decided []verdict) *plan.Decision {
	var rests []step
	for _, no := range decided {
		message := fmt.Sprintf("Machine %s fails (%s) and is not replaced: %s", no.machine.Name, failed(no.machine), no.refusal.message)
		decision := plan.Wait(no.refusal.reason, message).At(retryDue(s, no.machine))
		if no.refusal.reason == clusterv1.CannotBeRemediatedReason {
			decision = plan.Block(no.refusal.reason, message)
		}
		rests = append(rests, func(Snapshot) *plan.Decision { return &decision })
	}
	return inOrder(s, rests...)
}

func failed(machine *clusterv1.Machine) string {
	condition := conditions.Find(machine.Status.Conditions, clusterv1.HealthCheckSucceededCondition)
	return cmp.Or(condition.Message, condition.Reason)
}

// recordDone takes the record of a replacement away once its machine is made, or is not
// needed any more; nil while it stands.
func recordDone(s Snapshot) *plan.Decision {
	record := inProgress(s)
	value, there := s.ControlPlane.Annotations[controlplanev1.RemediationInProgressAnnotation]
	if !there {
		return nil
	}
	var why string
	switch {
	case record == nil:
		why = "it cannot be read"
	case slices.ContainsFunc(s.Machines, func(machine *clusterv1.Machine) bool {
		made := replacementFor(machine)
		return made != nil && made.Machine == record.Machine
	}):
		why = "the replacement is made"
	case slices.ContainsFunc(active(s), func(machine *clusterv1.Machine) bool {
		return machine.Name == record.Machine && !machines.RemediationAsked(machine)
	}):
		why = "the Machine is healthy again"
	case len(active(s)) >= replicas(s.ControlPlane) && !slices.Contains(machines.Names(s.Machines), record.Machine):
		why = "no other Machine is needed"
	default:
		return nil
	}
	path := "/metadata/annotations/" + strings.ReplaceAll(controlplanev1.RemediationInProgressAnnotation, "/", "~1")
	decision := plan.Act(clusterv1.RemediatingReason, "", plan.Patch{On: plan.RefTo(kind, s.ControlPlane), Reason: why, Operations: []plan.PatchOperation{
		{Op: "test", Path: "/metadata/uid", Value: string(s.ControlPlane.UID)},
		{Op: "test", Path: path, Value: value},
		{Op: "remove", Path: path},
	}})
	return &decision
}

// remediating reports that a machine that fails is to be replaced or is being replaced, so
// that nothing else is begun and machines join all the same. One that cannot be replaced
// at all is left to a change of the spec.
func remediating(s Snapshot) bool {
	if inProgress(s) != nil {
		return true
	}
	return slices.ContainsFunc(verdicts(s), func(decided verdict) bool {
		return decided.refusal == nil || decided.refusal.reason == clusterv1.RemediationDeferredReason
	})
}

// verdictMark is the OwnerRemediated condition of a machine that fails; nil for any other.
func verdictMark(s Snapshot, machine *clusterv1.Machine) *metav1.Condition {
	const condition = clusterv1.OwnerRemediatedCondition
	if !machines.RemediationAsked(machine) {
		return nil
	}
	mark := conditions.False(condition, clusterv1.MachineDeletingReason, "the Machine is being deleted, and another takes its place")
	for _, decided := range verdicts(s) {
		if decided.machine == machine && decided.refusal != nil {
			mark = conditions.False(condition, decided.refusal.reason, decided.refusal.message)
		}
	}
	return &mark
}

// lastRemediation is the last replacement that the annotations tell of, or what was shown
// before where that is newer.
func lastRemediation(s Snapshot) controlplanev1.LastRemediationStatus {
	last := s.ControlPlane.Status.LastRemediation
	records := []*remediationRecord{inProgress(s)}
	for _, machine := range s.Machines {
		records = append(records, replacementFor(machine))
	}
	for _, record := range records {
		if record != nil && (last.Machine == "" || record.Timestamp.After(last.Time.Time)) {
			last = controlplanev1.LastRemediationStatus{Machine: record.Machine, Time: record.Timestamp, RetryCount: &record.RetryCount}
		}
	}
	return last
}
