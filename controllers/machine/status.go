// SPDX-License-Identifier: Apache-2.0

package machine

import (
	"fmt"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	"github.com/slipway-project/slipway/conditions"
	"github.com/slipway-project/slipway/contract"
	"github.com/slipway-project/slipway/machines"
	"github.com/slipway-project/slipway/plan"
)

// status is what a Machine shows. What cannot be read at the moment stays as it was.
func status(s Snapshot, outcome plan.Outcome) clusterv1.MachineStatus {
	was := s.Machine.Status
	shown := clusterv1.MachineStatus{
		Initialization:     initialization(s),
		NodeRef:            was.NodeRef,
		NodeInfo:           was.NodeInfo,
		Addresses:          was.Addresses,
		FailureDomain:      was.FailureDomain,
		ObservedGeneration: s.Machine.Generation,
		Deletion:           deletionStarts(s, outcome.Reason),
	}
	if object := s.Infrastructure.Object; object != nil && foreignController(s.Machine, object) == nil {
		shown.Addresses = addresses(object)
		if placed := object.PlacedIn(); placed != "" {
			shown.FailureDomain = placed
		}
	}
	if node := s.Node.Value; s.Node.OK() && node != nil {
		shown.NodeRef = clusterv1.MachineNodeReference{Name: node.Name}
		info := node.Status.NodeInfo
		shown.NodeInfo = &info
	}
	if expiry, err := certificatesExpiry(s); err == nil {
		shown.CertificatesExpiryDate = expiry
	}
	shown.Conditions = allConditions(s, outcome)
	shown.Phase = string(phase(s, shown, outcome))
	shown.LastUpdated = was.LastUpdated
	if shown.Phase != was.Phase || was.LastUpdated.IsZero() {
		shown.LastUpdated = second(s.Now)
	}
	return shown
}

// second is a time as the API keeps it.
func second(t time.Time) metav1.Time { return metav1.NewTime(t.UTC().Truncate(time.Second)) }

// initialization sets its flags once the spec shows what they speak of, and never
// takes them back.
func initialization(s Snapshot) clusterv1.MachineInitializationStatus {
	flags := s.Machine.Status.Initialization
	yes := true
	bootstrap := s.Machine.Spec.Bootstrap
	named := bootstrap.DataSecretName != nil && *bootstrap.DataSecretName != ""
	reported := !bootstrap.ConfigRef.IsDefined() || (s.Bootstrap.Object != nil && s.Bootstrap.Object.DataSecretCreated())
	if named && reported {
		flags.BootstrapDataSecretCreated = &yes
	}
	if object := s.Infrastructure.Object; object != nil && foreignController(s.Machine, object) == nil &&
		object.Provisioned() && object.ProviderID() != "" && s.Machine.Spec.ProviderID == object.ProviderID() {
		flags.InfrastructureProvisioned = &yes
	}
	return flags
}

func addresses(object *contract.Object) clusterv1.MachineAddresses {
	var list clusterv1.MachineAddresses
	for _, address := range object.Addresses() {
		list = append(list, clusterv1.MachineAddress{Type: clusterv1.MachineAddressType(address.Type), Address: address.Address})
	}
	return list
}

// certificatesExpiry is what the annotation on the Machine says, or else that on its
// bootstrap object.
func certificatesExpiry(s Snapshot) (metav1.Time, error) {
	text := s.Machine.Annotations[clusterv1.MachineCertificatesExpiryDateAnnotation]
	if text == "" && s.Bootstrap.Object != nil {
		text = s.Bootstrap.Object.GetAnnotations()[clusterv1.MachineCertificatesExpiryDateAnnotation]
	}
	if text == "" {
		return s.Machine.Status.CertificatesExpiryDate, nil
	}
	expiry, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return metav1.Time{}, fmt.Errorf("annotation %s is %q, which is not a time such as 2027-01-02T03:04:05Z; correct it", clusterv1.MachineCertificatesExpiryDateAnnotation, text)
	}
	return second(expiry), nil
}

func expiryProblem(s Snapshot) string {
	if _, err := certificatesExpiry(s); err != nil {
		return err.Error()
	}
	return ""
}

func phase(s Snapshot, shown clusterv1.MachineStatus, outcome plan.Outcome) clusterv1.MachinePhase {
	gone := conditions.Find(shown.Conditions, clusterv1.InfrastructureReadyCondition)
	switch {
	case outcome.Reason == clusterv1.DeletionCompletedReason:
		return clusterv1.MachinePhaseDeleted
	case machines.Deleting(s.Machine):
		return clusterv1.MachinePhaseDeleting
	case gone.Reason == clusterv1.ObjectDeletedReason:
		return clusterv1.MachinePhaseFailed
	case isTrue(shown.Initialization.InfrastructureProvisioned) && shown.NodeRef.IsDefined():
		return clusterv1.MachinePhaseRunning
	case isTrue(shown.Initialization.InfrastructureProvisioned):
		return clusterv1.MachinePhaseProvisioned
	case isTrue(shown.Initialization.BootstrapDataSecretCreated):
		return clusterv1.MachinePhaseProvisioning
	default:
		return clusterv1.MachinePhasePending
	}
}

// allConditions are those of this controller. Available comes last because it counts
// from when Ready turned true.
func allConditions(s Snapshot, outcome plan.Outcome) []metav1.Condition {
	observed := s.Machine.Status.Conditions
	nodeReady, nodeHealthy := nodeConditions(s)
	parts := []metav1.Condition{
		bootstrapReady(s), infrastructureReady(s), nodeReady, nodeHealthy,
		conditions.False(clusterv1.UpdatingCondition, clusterv1.NotUpdatingReason, ""),
		deleting(s, outcome),
		machines.PausedCondition(machines.Paused(s.Cluster, s.Machine)),
	}
	parts = append(parts, ready(s, parts))
	next := conditions.Next(observed, s.Machine.Generation, s.Now, parts...)
	return append(next, conditions.Next(observed, s.Machine.Generation, s.Now, available(s, next))...)
}

func ready(s Snapshot, computed []metav1.Condition) metav1.Condition {
	find := func(conditionType string) *metav1.Condition {
		if ours := conditions.Find(computed, conditionType); ours != nil {
			return ours
		}
		return conditions.Find(s.Machine.Status.Conditions, conditionType)
	}
	parts := []conditions.Part{
		{Type: clusterv1.DeletingCondition, Condition: find(clusterv1.DeletingCondition), Negative: true},
		{Type: clusterv1.UpdatingCondition, Condition: find(clusterv1.UpdatingCondition), Negative: true},
		{Type: clusterv1.BootstrapConfigReadyCondition, Condition: find(clusterv1.BootstrapConfigReadyCondition)},
		{Type: clusterv1.InfrastructureReadyCondition, Condition: find(clusterv1.InfrastructureReadyCondition)},
		{Type: clusterv1.NodeHealthyCondition, Condition: find(clusterv1.NodeHealthyCondition)},
		{Type: clusterv1.HealthCheckSucceededCondition, Condition: find(clusterv1.HealthCheckSucceededCondition), Optional: true},
	}
	for _, gate := range s.Machine.Spec.ReadinessGates {
		parts = append(parts, conditions.Part{
			Type: gate.ConditionType, Condition: find(gate.ConditionType), Negative: gate.Polarity == clusterv1.NegativePolarityCondition,
		})
	}
	if s.LastFailure != nil && !machines.Deleting(s.Machine) {
		failed := conditions.False("LastAction", s.LastFailure.Reason, fmt.Sprintf("%s: %s", s.LastFailure.Action, s.LastFailure.Message))
		parts = append(parts, conditions.Part{Type: failed.Type, Condition: &failed, InfoOnly: true})
	}
	return conditions.Summary(clusterv1.ReadyCondition,
		conditions.Reasons{True: clusterv1.ReadyReason, False: clusterv1.NotReadyReason, Unknown: clusterv1.ReadyUnknownReason}, parts...)
}

func available(s Snapshot, next []metav1.Condition) metav1.Condition {
	isReady := conditions.Find(next, clusterv1.ReadyCondition)
	if isReady.Status != metav1.ConditionTrue {
		return conditions.False(clusterv1.AvailableCondition, clusterv1.NotReadyReason, "")
	}
	if until := isReady.LastTransitionTime.Add(minReady(s.Machine)); s.Now.Before(until) {
		return conditions.False(clusterv1.AvailableCondition, clusterv1.WaitingForMinReadySecondsReason,
			fmt.Sprintf("Available at %s if it stays Ready for %s", until.UTC().Format(time.RFC3339), minReady(s.Machine)))
	}
	return conditions.True(clusterv1.AvailableCondition, clusterv1.AvailableReason, "")
}

func minReady(machine *clusterv1.Machine) time.Duration {
	if machine.Spec.MinReadySeconds == nil {
		return 0
	}
	return time.Duration(*machine.Spec.MinReadySeconds) * time.Second
}

// availableAt is when a Machine that has been Ready for too short a time becomes
// Available; zero for all others.
func availableAt(s Snapshot, shown clusterv1.MachineStatus) time.Time {
	waiting := conditions.Find(shown.Conditions, clusterv1.AvailableCondition)
	if waiting.Reason != clusterv1.WaitingForMinReadySecondsReason {
		return time.Time{}
	}
	return conditions.Find(shown.Conditions, clusterv1.ReadyCondition).LastTransitionTime.Add(minReady(s.Machine))
}

func bootstrapReady(s Snapshot) metav1.Condition {
	bootstrap := s.Machine.Spec.Bootstrap
	if !bootstrap.ConfigRef.IsDefined() {
		if bootstrap.DataSecretName != nil && *bootstrap.DataSecretName != "" {
			return conditions.True(clusterv1.BootstrapConfigReadyCondition, clusterv1.DataSecretProvidedReason, "")
		}
		return conditions.False(clusterv1.BootstrapConfigReadyCondition, clusterv1.NotReadyReason,
			"set spec.bootstrap.configRef or spec.bootstrap.dataSecretName")
	}
	return mirrored(s, clusterv1.BootstrapConfigReadyCondition, s.Bootstrap, bootstrap.ConfigRef, isTrue(s.Machine.Status.Initialization.BootstrapDataSecretCreated),
		func(object *contract.Object) string {
			if !object.DataSecretCreated() {
				return "does not report its data secret as created"
			}
			if object.DataSecretName() == "" {
				return "reports its data secret as created but not under which name (status.dataSecretName)"
			}
			return ""
		})
}

func infrastructureReady(s Snapshot) metav1.Condition {
	return mirrored(s, clusterv1.InfrastructureReadyCondition, s.Infrastructure, s.Machine.Spec.InfrastructureRef, isTrue(s.Machine.Status.Initialization.InfrastructureProvisioned),
		func(object *contract.Object) string {
			if !object.Provisioned() {
				return "is not provisioned yet"
			}
			if object.ProviderID() == "" {
				return "is provisioned but does not say what spec.providerID it has"
			}
			return ""
		})
}

// mirrored is the Ready condition of an object as a condition of the Machine. lacks
// says what the object does not report yet; it speaks where the object has no such
// condition.
func mirrored(s Snapshot, conditionType string, seen Referenced, field clusterv1.ContractVersionedObjectReference, wasThere bool, lacks func(*contract.Object) string) metav1.Condition {
	object := objectName(s, field)
	switch {
	case seen.Err != "" && !(seen.NoKind && machines.Deleting(s.Machine)):
		return conditions.Unknown(conditionType, clusterv1.InternalErrorReason, seen.Err)
	case seen.Object == nil && wasThere:
		return conditions.False(conditionType, clusterv1.ObjectDeletedReason, object+" has been deleted")
	case seen.Object == nil:
		return conditions.False(conditionType, clusterv1.ObjectDoesNotExistReason, object+" does not exist")
	}
	if owner := foreignController(s.Machine, seen.Object); owner != nil {
		return conditions.False(conditionType, clusterv1.NotReadyReason, fmt.Sprintf("%s belongs to %s %s", object, owner.Kind, owner.Name))
	}
	if mirror, reported := seen.Object.Mirror(clusterv1.ReadyCondition, conditionType); reported {
		return mirror
	}
	if missing := lacks(seen.Object); missing != "" {
		return conditions.False(conditionType, clusterv1.NotReadyReason, object+" "+missing)
	}
	return conditions.True(conditionType, clusterv1.ReadyReason, "")
}

// deleting tells the step of the deletion, and what went wrong there last.
func deleting(s Snapshot, outcome plan.Outcome) metav1.Condition {
	if !machines.Deleting(s.Machine) {
		return conditions.False(clusterv1.DeletingCondition, clusterv1.NotDeletingReason, "")
	}
	reason, message := outcome.Reason, outcome.Message
	if reason == clusterv1.PausedReason || reason == "" {
		reason, message = clusterv1.DeletingReason, "the deletion rests: "+outcome.Message
	}
	said := []string{message}
	if s.LastFailure != nil {
		said = append(said, fmt.Sprintf("%s failed: %s", s.LastFailure.Action, s.LastFailure.Message))
	}
	said = slices.DeleteFunc(said, func(text string) bool { return text == "" })
	return conditions.True(clusterv1.DeletingCondition, reason, strings.Join(said, "; "))
}
