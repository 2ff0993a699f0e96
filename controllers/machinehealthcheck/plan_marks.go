// SPDX-License-Identifier: Apache-2.0

package machinehealthcheck

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	"github.com/slipway-project/slipway/conditions"
	"github.com/slipway-project/slipway/machines"
	"github.com/slipway-project/slipway/plan"
)

// Each condition on a Machine is stated by a field manager of its own, so that one can go
// while another stays. All health checks share them: only one of them checks a Machine,
// and another may take over.
const (
	aspectHealth   = "health"
	aspectOwner    = "owner"
	aspectExternal = "external"
)

var aspects = map[string]string{
	clusterv1.HealthCheckSucceededCondition: aspectHealth,
	clusterv1.OwnerRemediatedCondition:      aspectOwner,
	clusterv1.ExternallyRemediatedCondition: aspectExternal,
}

// marks are what is to be said on the Machines that are checked, and the remediation
// objects to make and to remove.
func marks(s Snapshot, f findings) []plan.Action {
	if f.invalid != "" || s.Cluster.DeletionTimestamp != nil {
		return nil
	}
	var actions, creates []plan.Action
	for _, v := range f.verdicts {
		if machines.Deleting(v.machine) {
			continue
		}
		switch {
		case v.judged && v.health == healthy:
			// The request goes first: who follows it has to see both.
			actions = append(actions, recovered(s, v.machine)...)
			actions = append(actions, judgement(s, v.machine, conditions.True(clusterv1.HealthCheckSucceededCondition, clusterv1.HealthCheckSucceededReason, ""))...)
		case v.judged && v.health == unhealthy:
			actions = append(actions, judgement(s, v.machine, conditions.False(clusterv1.HealthCheckSucceededCondition, v.reason, v.message))...)
			if !f.trigger.allowed {
				continue
			}
			actions = append(actions, remedy(s, v.machine)...)
			if create, needed := newRequest(s, v.machine); needed {
				creates = append(creates, create)
			}
		case annotationGone(v.machine):
			actions = append(actions, release(s, v.machine, "the annotation "+clusterv1.RemediateMachineAnnotation+" has been taken away")...)
		}
	}
	// One that fails must not keep what is said on other Machines.
	return append(actions, creates...)
}

// judgement states HealthCheckSucceeded where it differs.
func judgement(s Snapshot, machine *clusterv1.Machine, wanted metav1.Condition) []plan.Action {
	said := conditions.Find(machine.Status.Conditions, wanted.Type)
	if said != nil && said.Status == wanted.Status && said.Reason == wanted.Reason && said.Message == wanted.Message {
		return nil
	}
	reason := "it is healthy"
	if wanted.Status == metav1.ConditionFalse {
		reason = wanted.Message
	}
	return []plan.Action{mark(s, machine, aspectHealth, wanted, reason)}
}

// annotationGone reports that a Machine was to be remedied because somebody asked for it,
// and that nobody does any more.
func annotationGone(machine *clusterv1.Machine) bool {
	said := conditions.Find(machine.Status.Conditions, clusterv1.HealthCheckSucceededCondition)
	_, asked := machine.Annotations[clusterv1.RemediateMachineAnnotation]
	return said != nil && said.Reason == clusterv1.HasRemediateAnnotationReason && !asked
}

// remedy asks for a Machine's remediation: its owner, or by a remediation object. What
// was asked for in the other way before is taken back.
func remedy(s Snapshot, machine *clusterv1.Machine) []plan.Action {
	if external(s) {
		return append(withdraw(s, machine, clusterv1.OwnerRemediatedCondition, "a remediation object is made instead", false), requested(s, machine)...)
	}
	actions := withdraw(s, machine, clusterv1.ExternallyRemediatedCondition, "its owner is asked instead", false)
	if !conditions.Is(machine.Status.Conditions, clusterv1.OwnerRemediatedCondition, metav1.ConditionFalse) {
		wanted := conditions.False(clusterv1.OwnerRemediatedCondition, clusterv1.WaitingForRemediationReason, "")
		return append(actions, mark(s, machine, aspectOwner, wanted, "it is unhealthy"))
	}
	if part := stated(machine, clusterv1.OwnerRemediatedCondition); part.ours && part.whole {
		// Otherwise the owner could not take its words back: a part of the condition would
		// be left, which is invalid.
		actions = append(actions, plan.Apply{
			Object: plan.Partial(machineKind, machine), Subresource: "status", Aspect: aspectOwner, Reason: "its owner has the word by now",
		})
	}
	return actions
}

// recovered takes back what was asked for, for a Machine that is healthy. Words that
// somebody else left there are overruled, and what overruled them goes when they have gone.
func recovered(s Snapshot, machine *clusterv1.Machine) []plan.Action {
	actions := unrequested(s, machine)
	for _, conditionType := range []string{clusterv1.ExternallyRemediatedCondition, clusterv1.OwnerRemediatedCondition} {
		if conditions.Find(machine.Status.Conditions, conditionType) != nil {
			actions = append(actions, withdraw(s, machine, conditionType, "it is healthy", true)...)
		}
	}
	return actions
}

// releases take back all that was said on Machines that are not checked any more: by this
// health check when it is being deleted, or by any.
func releases(s Snapshot) []plan.Action {
	var actions []plan.Action
	for _, machine := range s.Machines {
		holder := holderOf(s, machine)
		switch {
		case machines.Deleting(machine), resting(machine) && s.HealthCheck.DeletionTimestamp == nil:
		case holder == nil:
			actions = append(actions, release(s, machine, "no MachineHealthCheck checks it any more")...)
		case holder.Name == s.HealthCheck.Name && skipped(machine):
			actions = append(actions, release(s, machine, "it has the annotation "+clusterv1.MachineSkipRemediationAnnotation)...)
		}
	}
	return actions
}

// release takes all marks off a Machine, those first that ask for something.
func release(s Snapshot, machine *clusterv1.Machine, reason string) []plan.Action {
	actions := withdraw(s, machine, clusterv1.ExternallyRemediatedCondition, reason, false)
	if len(actions) > 0 {
		// The mark goes last: it tells that the object is one of ours.
		actions = append(unrequested(s, machine), actions...)
	}
	for _, conditionType := range []string{clusterv1.OwnerRemediatedCondition, clusterv1.HealthCheckSucceededCondition} {
		actions = append(actions, withdraw(s, machine, conditionType, reason, false)...)
	}
	return actions
}

// withdraw takes back a condition that is stated here. One in which others have a part
// cannot be taken away, because what they state of it would be left, and is no condition:
// it is stated as True, which asks for nothing. overrules says whether that goes for one
// that only others state, too.
func withdraw(s Snapshot, machine *clusterv1.Machine, conditionType, reason string, overrules bool) []plan.Action {
	said := conditions.Find(machine.Status.Conditions, conditionType)
	if said == nil {
		return nil
	}
	switch part := stated(machine, conditionType); {
	case part.ours && !part.others:
		return []plan.Action{plan.Apply{
			Object: plan.Partial(machineKind, machine), Subresource: "status", Aspect: aspects[conditionType],
			Reason: reason + "; " + conditionType + " is taken back",
		}}
	case said.Status == metav1.ConditionFalse && (part.ours || overrules):
		return []plan.Action{mark(s, machine, aspects[conditionType], conditions.True(conditionType, clusterv1.HealthCheckSucceededReason, reason), reason)}
	default:
		return nil
	}
}

// parts say who states a condition of a Machine.
type parts struct {
	// ours: it is stated here. others: somebody else states some of it, or whole: all of it.
	ours, others, whole bool
}

// stated finds, by the Machine's managedFields, who states a condition.
func stated(machine *clusterv1.Machine, conditionType string) parts {
	var found parts
	for _, entry := range machine.ManagedFields {
		var fields struct {
			Status struct {
				Conditions map[string]map[string]any `json:"f:conditions"`
			} `json:"f:status"`
		}
		if entry.FieldsV1 == nil || json.Unmarshal(entry.FieldsV1.GetRawBytes(), &fields) != nil {
			continue
		}
		condition, there := fields.Status.Conditions[fmt.Sprintf(`k:{"type":%q}`, conditionType)]
		switch {
		case !there:
		case entry.Manager == plan.Manager(name, aspects[conditionType]) && entry.Operation == metav1.ManagedFieldsOperationApply:
			found.ours = true
		default:
			found.others = true
			found.whole = found.whole || !slices.ContainsFunc([]string{"type", "status", "reason", "message", "lastTransitionTime"}, func(field string) bool {
				_, states := condition["f:"+field]
				return !states
			})
		}
	}
	return found
}

// mark states one condition on a Machine.
func mark(s Snapshot, machine *clusterv1.Machine, aspect string, wanted metav1.Condition, reason string) plan.Apply {
	next := conditions.Next(machine.Status.Conditions, machine.Generation, s.Now, wanted)[0]
	intent := plan.Partial(machineKind, machine)
	intent.Object["status"] = map[string]any{"conditions": []any{map[string]any{
		"type": next.Type, "status": string(next.Status), "reason": next.Reason, "message": next.Message,
		"lastTransitionTime": next.LastTransitionTime.UTC().Format(time.RFC3339), "observedGeneration": next.ObservedGeneration,
	}}}
	return plan.Apply{Object: intent, Subresource: "status", Aspect: aspect, Reason: reason}
}

// asksOwner reports that an apply asks a Machine's owner to remedy it.
func asksOwner(apply plan.Apply) bool {
	list, _, err := unstructured.NestedSlice(apply.Object.Object, "status", "conditions")
	return err == nil && slices.ContainsFunc(list, func(item any) bool {
		fields, ok := item.(map[string]any)
		return ok && fields["type"] == clusterv1.OwnerRemediatedCondition && fields["status"] == string(metav1.ConditionFalse)
	})
}
