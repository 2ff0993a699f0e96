// SPDX-License-Identifier: Apache-2.0

package machinehealthcheck

import (
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	"github.com/slipway-project/slipway/conditions"
	"github.com/slipway-project/slipway/contract"
	"github.com/slipway-project/slipway/plan"
)

// external reports that remediation objects are made, and owners are not asked.
func external(s Snapshot) bool { return s.HealthCheck.Spec.Remediation.TemplateRef.Name != "" }

// templateRef is the template for remediation objects; zero when there is none. The
// version that the reference names does not count: it is found by the contract.
func templateRef(healthCheck *clusterv1.MachineHealthCheck) contract.Ref {
	field := healthCheck.Spec.Remediation.TemplateRef
	if field.Name == "" {
		return contract.Ref{}
	}
	return contract.Ref{APIGroup: schema.FromAPIVersionAndKind(field.APIVersion, field.Kind).Group, Kind: field.Kind, Name: field.Name}
}

// requestRef is the remediation object of the Machine with the name given; zero when
// none can be made.
func requestRef(healthCheck *clusterv1.MachineHealthCheck, machine string) contract.Ref {
	template := templateRef(healthCheck)
	kind := contract.ClonedKind(schema.GroupVersionKind{Kind: template.Kind}).Kind
	if template.IsZero() || kind == template.Kind {
		return contract.Ref{}
	}
	return contract.Ref{APIGroup: template.APIGroup, Kind: kind, Name: machine}
}

// templateProblem says why no remediation object can be made; empty when one can, or
// none is asked for.
func templateProblem(s Snapshot) string {
	field := s.HealthCheck.Spec.Remediation.TemplateRef
	template := fmt.Sprintf("%s %s/%s, to which spec.remediation.templateRef refers,", field.Kind, s.HealthCheck.Namespace, field.Name)
	switch {
	case !external(s):
		return ""
	case requestRef(s.HealthCheck, "").IsZero():
		return template + " is not a template: its kind has to end in Template; correct the reference"
	case !s.Template.OK():
		return template + " cannot be read: " + s.Template.Err
	case s.Template.Value == nil:
		return template + " does not exist; create it, or correct the reference"
	case !s.Requests.OK():
		return fmt.Sprintf("%s objects, which are made from the template %s, cannot be read: %s", requestRef(s.HealthCheck, "").Kind, field.Name, s.Requests.Err)
	}
	if _, err := contract.FromTemplate(s.Template.Value, contract.Clone{}); err != nil {
		return err.Error() + "; correct the template"
	}
	return ""
}

// requested says on a Machine that its remediation is asked for by an object. What the
// remediation's controller says there from then on is its own.
func requested(s Snapshot, machine *clusterv1.Machine) []plan.Action {
	wanted := conditions.False(clusterv1.ExternallyRemediatedCondition, clusterv1.WaitingForRemediationReason, "")
	if problem := templateProblem(s); problem != "" {
		wanted.Reason, wanted.Message = clusterv1.RemediationTemplateNotFoundReason, problem
	} else if problem := requestProblem(s, machine); problem != "" {
		wanted.Reason, wanted.Message = clusterv1.RemediationRequestCreationFailedReason, problem
	}
	said := conditions.Find(machine.Status.Conditions, clusterv1.ExternallyRemediatedCondition)
	_, creates := newRequest(s, machine)
	switch {
	case said == nil:
	case said.Status == metav1.ConditionTrue && creates:
		// That was for an earlier object.
	case said.Status == metav1.ConditionFalse && slices.Contains(ourReasons, said.Reason) && (said.Reason != wanted.Reason || said.Message != wanted.Message):
	default:
		return nil
	}
	return []plan.Action{mark(s, machine, aspectExternal, wanted, "it is unhealthy")}
}

// ourReasons are the words of ours in ExternallyRemediated; others are of who remedies.
var ourReasons = []string{
	clusterv1.WaitingForRemediationReason, clusterv1.RemediationTemplateNotFoundReason, clusterv1.RemediationRequestCreationFailedReason,
}

// newRequest is the create of a Machine's remediation object, if that is not there.
func newRequest(s Snapshot, machine *clusterv1.Machine) (create plan.Create, needed bool) {
	if !external(s) || templateProblem(s) != "" || s.Requests.Value[machine.Name] != nil {
		return plan.Create{}, false
	}
	made, err := contract.FromTemplate(s.Template.Value, contract.Clone{
		Namespace: machine.Namespace, Name: machine.Name,
		Labels: map[string]string{clusterv1.ClusterNameLabel: machine.Spec.ClusterName},
		Owner:  *plan.OwnerReference(machineKind, machine, true),
	})
	if err != nil {
		// templateProblem has told it.
		return plan.Create{}, false
	}
	return plan.Create{Object: made, Reason: "Machine " + machine.Name + " is unhealthy"}, true
}

// requestProblem says why a Machine has no remediation object of its own.
func requestProblem(s Snapshot, machine *clusterv1.Machine) string {
	if !external(s) || templateProblem(s) != "" {
		return ""
	}
	if there := s.Requests.Value[machine.Name]; there != nil {
		if ownedBy(there, machine) {
			return ""
		}
		return fmt.Sprintf("%s %s/%s is there already and is not of Machine %s; delete or rename it", there.GetKind(), there.GetNamespace(), there.GetName(), machine.Name)
	}
	create, needed := newRequest(s, machine)
	if failed := s.LastFailure; needed && failed != nil && failed.Action == create.String() {
		return fmt.Sprintf("%s failed: %s", failed.Action, failed.Message)
	}
	return ""
}

// unrequested removes a Machine's remediation object.
func unrequested(s Snapshot, machine *clusterv1.Machine) []plan.Action {
	there := s.Requests.Value[machine.Name]
	if there == nil || there.GetDeletionTimestamp() != nil || !ownedBy(there, machine) {
		return nil
	}
	return []plan.Action{plan.Delete{On: plan.RefTo(there.GroupVersionKind(), there), Reason: "Machine " + machine.Name + " needs no remediation any more"}}
}

func ownedBy(object *contract.Object, machine *clusterv1.Machine) bool {
	return slices.ContainsFunc(object.GetOwnerReferences(), func(owner metav1.OwnerReference) bool { return owner.UID == machine.UID })
}
