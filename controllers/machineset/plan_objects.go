// SPDX-License-Identifier: Apache-2.0

package machineset

import (
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	"github.com/slipway-project/slipway/conditions"
	"github.com/slipway-project/slipway/contract"
	"github.com/slipway-project/slipway/machines"
	"github.com/slipway-project/slipway/plan"
)

// completions make the objects that machines refer to and that are not there.
func completions(s Snapshot) ([]plan.Action, error) {
	var actions []plan.Action
	for _, machine := range sorted(staying(s)) {
		lacks := s.Missing[machine.Name]
		if lacks.Bootstrap && s.BootstrapTemplate.Value != nil {
			action, err := object(s, machine, s.BootstrapTemplate.Value, machine.Spec.Bootstrap.ConfigRef)
			if err != nil {
				return nil, err
			}
			actions = append(actions, action)
		}
		if lacks.Infrastructure && s.InfrastructureTemplate.Value != nil {
			action, err := object(s, machine, s.InfrastructureTemplate.Value, machine.Spec.InfrastructureRef)
			if err != nil {
				return nil, err
			}
			actions = append(actions, action)
		}
	}
	return actions, nil
}

func object(s Snapshot, machine *clusterv1.Machine, template *contract.Object, ref clusterv1.ContractVersionedObjectReference) (plan.Action, error) {
	made, err := fromTemplate(s, machine, template, ref.Name)
	if err != nil {
		return nil, err
	}
	return plan.Create{Object: made, Reason: "Machine " + machine.Name + " refers to it"}, nil
}

func fromTemplate(s Snapshot, machine metav1.Object, template *contract.Object, objectName string) (*unstructured.Unstructured, error) {
	return contract.FromTemplate(template, contract.Clone{
		Namespace: machine.GetNamespace(), Name: objectName,
		Labels: machineLabels(s), Annotations: s.MachineSet.Spec.Template.Annotations,
		Owner: *plan.OwnerReference(machineKind, machine, true),
	})
}

// inPlace brings what can be changed in machines that live on in line with the
// template. Those on their way out are included: time-outs matter to them most.
func inPlace(s Snapshot) []plan.Action {
	template := s.MachineSet.Spec.Template
	wanted := plan.Intent(machineKind, &clusterv1.Machine{
		ObjectMeta: metav1.ObjectMeta{Labels: machineLabels(s), Annotations: template.Annotations},
		Spec:       *template.Spec.DeepCopy(),
	})
	fields := append([]string{"/metadata/labels", "/metadata/annotations"}, machines.InPlace("/spec")...)
	var actions []plan.Action
	for _, machine := range sorted(owned(s)) {
		if patch, needed := plan.Follow(machineKind, machine, wanted, name, "the template of its MachineSet asks for it", fields...); needed {
			actions = append(actions, patch)
		}
	}
	return actions
}

// inPlaceObjects brings the labels and annotations of the objects that machines refer to in
// line with the template. Objects of another template are left alone, and so are all while
// theirs cannot be read: what it put there would be taken off.
func inPlaceObjects(s Snapshot) []plan.Action {
	bootstrap, infrastructure := objectMetadata(s, s.BootstrapTemplate), objectMetadata(s, s.InfrastructureTemplate)
	var actions []plan.Action
	for _, machine := range sorted(owned(s)) {
		there := s.Objects[machine.Name]
		for _, pair := range []struct {
			object *contract.Object
			wanted *unstructured.Unstructured
		}{{there.Bootstrap, bootstrap}, {there.Infrastructure, infrastructure}} {
			if pair.object == nil || pair.wanted == nil || pair.object.GetDeletionTimestamp() != nil || !metav1.IsControlledBy(pair.object, machine) ||
				pair.object.GetAnnotations()[clusterv1.TemplateClonedFromNameAnnotation] != pair.wanted.GetAnnotations()[clusterv1.TemplateClonedFromNameAnnotation] {
				continue
			}
			patch, needed := plan.Follow(pair.object.GroupVersionKind(), pair.object.Unstructured, pair.wanted, name,
				"the template of its MachineSet asks for it", "/metadata/labels", "/metadata/annotations")
			if needed {
				actions = append(actions, patch)
			}
		}
	}
	return actions
}

// objectMetadata holds the labels and annotations of all objects that are made from a
// template; nil when there is none, or when none can be made from it, which is told when
// one is to be.
func objectMetadata(s Snapshot, template plan.Known[*contract.Object]) *unstructured.Unstructured {
	if !template.OK() || template.Value == nil {
		return nil
	}
	made, err := fromTemplate(s, s.MachineSet, template.Value, s.MachineSet.Name)
	if err != nil {
		return nil
	}
	return made
}

// upToDateMarks say on each machine whether it is what the MachineDeployment asks
// for now, and what differs. Machines of a set that stands alone carry no such condition.
// The nodes of those that are not get the taint outdated-revision by it.
func upToDateMarks(s Snapshot) []plan.Action {
	if s.Deployment == nil {
		return nil
	}
	wanted := conditions.True(clusterv1.UpToDateCondition, clusterv1.UpToDateReason, "")
	if differs := machines.Outdated(s.MachineSet, s.Deployment, s.Now); len(differs) > 0 {
		wanted = conditions.False(clusterv1.UpToDateCondition, clusterv1.NotUpToDateReason, strings.Join(differs, "; "))
	}
	var actions []plan.Action
	for _, machine := range sorted(owned(s)) {
		next := conditions.Next(machine.Status.Conditions, machine.Generation, s.Now, wanted)
		intent, err := plan.StatusIntent(machineKind, machine, &clusterv1.MachineStatus{Conditions: next})
		if err != nil || !plan.NeedsApply(plan.Live(machineKind, machine), intent, plan.Manager(name), "status") {
			continue
		}
		actions = append(actions, plan.Apply{Object: intent, Subresource: "status", Reason: "to tell whether it is up to date"})
	}
	return actions
}
