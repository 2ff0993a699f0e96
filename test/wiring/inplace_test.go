// SPDX-License-Identifier: Apache-2.0

package wiring

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
)

// patch merges JSON into the MachineDeployment, as a user does.
func (w *world) patch(merge string) {
	w.Helper()
	deployment := &clusterv1.MachineDeployment{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "workers"}}
	if err := w.client.Patch(w.Context(), deployment, client.RawPatch("application/merge-patch+json", []byte(merge))); err != nil {
		w.Fatal(err)
	}
}

func (w *world) machines() []clusterv1.Machine {
	w.Helper()
	machines := &clusterv1.MachineList{}
	if err := w.client.List(w.Context(), machines, client.InNamespace(w.namespace)); err != nil {
		w.Fatal(err)
	}
	return machines.Items
}

func (w *world) set() *clusterv1.MachineSet {
	w.Helper()
	sets := &clusterv1.MachineSetList{}
	if err := w.client.List(w.Context(), sets, client.InNamespace(w.namespace)); err != nil {
		w.Fatal(err)
	}
	if len(sets.Items) != 1 {
		return &clusterv1.MachineSet{}
	}
	return &sets.Items[0]
}

// inPlace is what of a Machine changes in place, without what its set adds.
func inPlace(meta clusterv1.ObjectMeta, spec clusterv1.MachineSpec) string {
	labels := map[string]string{}
	for key, value := range meta.Labels {
		if !strings.HasPrefix(key, "cluster.x-k8s.io/") && key != clusterv1.MachineDeploymentUniqueLabel {
			labels[key] = value
		}
	}
	seconds := func(value *int32) string {
		if value == nil {
			return "none"
		}
		return fmt.Sprint(*value)
	}
	return fmt.Sprintf("labels %v annotations %v ready %s gates %v drain %s detach %s taints %v", labels, meta.Annotations, seconds(spec.MinReadySeconds),
		spec.ReadinessGates, seconds(spec.Deletion.NodeDrainTimeoutSeconds), seconds(spec.Deletion.NodeVolumeDetachTimeoutSeconds), spec.Taints)
}

// reach waits until the template and every Machine have what is wanted, but for what
// one Machine has of its own.
func (w *world) reach(want string, own map[string]string) {
	w.Helper()
	eventually(w.T, 20*time.Second, func() string {
		set := w.set()
		if diff := cmp.Diff(want, inPlace(set.Spec.Template.ObjectMeta, set.Spec.Template.Spec)); diff != "" {
			return "the MachineSet's template (-want +got):\n" + diff
		}
		machines := w.machines()
		if len(machines) == 0 {
			return "there are no Machines"
		}
		for _, machine := range machines {
			wanted := want
			if special, ok := own[machine.Name]; ok {
				wanted = special
			}
			if diff := cmp.Diff(wanted, inPlace(clusterv1.ObjectMeta{Labels: machine.Labels, Annotations: machine.Annotations}, machine.Spec)); diff != "" {
				return "Machine " + machine.Name + " (-want +got):\n" + diff
			}
			hash := set.Spec.Selector.MatchLabels[clusterv1.MachineDeploymentUniqueLabel]
			if hash == "" || machine.Labels[clusterv1.MachineDeploymentUniqueLabel] != hash || machine.Labels[clusterv1.MachineSetNameLabel] != set.Name {
				return fmt.Sprintf("Machine %s lost labels that find it: %v", machine.Name, machine.Labels)
			}
		}
		return ""
	})
}

// TestInPlace changes and takes back what needs no new Machines. All of it must reach
// the Machines that are there and those made later, keep what others wrote there, and
// come to rest each time.
func TestInPlace(t *testing.T) {
	w := newWorld(t, 2)
	line := &wire{resync: time.Second}
	startControllers(t, line, w.namespace)
	w.finishDeletions()
	created, _ := w.countMachines()
	w.settlesAt(2)
	w.clusterIsClaimed()
	rest := func() {
		t.Helper()
		before := w.quiet()
		line.written(w.namespace)
		w.staysSo(before, line, 2*time.Second)
	}

	w.patch(`{"spec":{"template":{"metadata":{"labels":{"extra":"one"},"annotations":{"note":"one"}},"spec":{"minReadySeconds":1,
		"readinessGates":[{"conditionType":"Checked"}],"deletion":{"nodeDrainTimeoutSeconds":60},
		"taints":[{"key":"dedicated","value":"batch","effect":"NoSchedule","propagation":"Always"}]}}}}`)
	const full = "labels map[extra:one pool:workers] annotations map[note:one] ready 1 gates [{Checked }] drain 60 detach none taints [{dedicated batch NoSchedule Always}]"
	w.reach(full, nil)
	rest()

	// A Machine made now comes with all of it, and another is changed by hand.
	w.scale(3)
	w.settlesAt(3)
	w.reach(full, nil)
	one := w.machines()[0]
	byHand := `{"metadata":{"labels":{"theirs":"x"},"annotations":{"theirs":"x"}},"spec":{"deletion":{"nodeVolumeDetachTimeoutSeconds":5}}}`
	if err := w.client.Patch(t.Context(), &one, client.RawPatch("application/merge-patch+json", []byte(byHand))); err != nil {
		t.Fatal(err)
	}
	rest()

	w.patch(`{"spec":{"deletion":{"order":"Newest"},"template":{"metadata":{"labels":{"extra":null},"annotations":null},"spec":{"minReadySeconds":null,
		"readinessGates":null,"deletion":{"nodeDrainTimeoutSeconds":null},"taints":null}}}}`)
	const bare = "labels map[pool:workers] annotations map[] ready none gates [] drain none detach none taints []"
	w.reach(bare, map[string]string{
		one.Name: "labels map[pool:workers theirs:x] annotations map[theirs:x] ready none gates [] drain none detach 5 taints []",
	})
	rest()
	if order := w.set().Spec.Deletion.Order; order != clusterv1.NewestMachineSetDeletionOrder {
		t.Errorf("the MachineSet deletes in the order %q", order)
	}
	if labels := w.set().Labels; labels["extra"] != "" || labels["pool"] != "workers" {
		t.Errorf("the MachineSet has the labels %v", labels)
	}
	if created() != 3 {
		t.Errorf("%d Machines were made where changes in place need none but the 3", created())
	}
}

// TestCreatedInPlace takes away what the Machines were created with: their creation and
// a change in place count as one writer.
func TestCreatedInPlace(t *testing.T) {
	w := newWorld(t, 2)
	w.patch(`{"spec":{"template":{"metadata":{"labels":{"extra":"one"},"annotations":{"note":"one"}},"spec":{"minReadySeconds":1,
		"readinessGates":[{"conditionType":"Checked"}],"deletion":{"nodeDrainTimeoutSeconds":60,"nodeVolumeDetachTimeoutSeconds":5},
		"taints":[{"key":"dedicated","effect":"NoSchedule","propagation":"Always"}]}}}}`)
	line := &wire{resync: time.Second}
	startControllers(t, line, w.namespace)
	w.finishDeletions()
	w.settlesAt(2)
	w.clusterIsClaimed()
	w.reach("labels map[extra:one pool:workers] annotations map[note:one] ready 1 gates [{Checked }] drain 60 detach 5 taints [{dedicated  NoSchedule Always}]", nil)
	before := w.quiet()
	line.written(w.namespace)
	w.staysSo(before, line, 2*time.Second)

	w.patch(`{"spec":{"template":{"metadata":{"labels":{"extra":null},"annotations":null},"spec":{"minReadySeconds":null,
		"readinessGates":null,"deletion":null,"taints":null}}}}`)
	w.reach("labels map[pool:workers] annotations map[] ready none gates [] drain none detach none taints []", nil)
	before = w.quiet()
	line.written(w.namespace)
	w.staysSo(before, line, 2*time.Second)
}

// TestRefusedLabel asks for a label that the server refuses. That must be told, must not
// keep the number of Machines from being followed, and end with one that it takes.
func TestRefusedLabel(t *testing.T) {
	w := newWorld(t, 2)
	startControllers(t, &wire{}, w.namespace)
	w.finishDeletions()
	w.settlesAt(2)
	w.refuse("extra", "secret")
	w.patch(`{"spec":{"replicas":1,"template":{"metadata":{"labels":{"extra":"secret"}}}}}`)
	eventually(t, 20*time.Second, func() string {
		deployment := &clusterv1.MachineDeployment{}
		if err := w.client.Get(t.Context(), client.ObjectKey{Namespace: w.namespace, Name: "workers"}, deployment); err != nil {
			return err.Error()
		}
		at := slices.IndexFunc(deployment.Status.Conditions, func(c metav1.Condition) bool { return c.Type == clusterv1.MachinesUpToDateCondition })
		if at < 0 || deployment.Status.Conditions[at].Status != metav1.ConditionFalse || !strings.Contains(deployment.Status.Conditions[at].Message, refusal) {
			return fmt.Sprintf("the MachineDeployment says %+v", deployment.Status.Conditions)
		}
		return ""
	})
	w.settlesAt(1)
	w.patch(`{"spec":{"template":{"metadata":{"labels":{"extra":"open"}}}}}`)
	w.reach("labels map[extra:open pool:workers] annotations map[] ready none gates [] drain none detach none taints []", nil)
}

const refusal = "a policy of the test refuses this label"

// refuse makes the server refuse MachineSets of the namespace that get a label, as a
// policy of the user may, until the test ends.
func (w *world) refuse(key, value string) {
	w.Helper()
	policy := &admissionv1.ValidatingAdmissionPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: w.namespace},
		Spec: admissionv1.ValidatingAdmissionPolicySpec{
			MatchConstraints: &admissionv1.MatchResources{
				NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"kubernetes.io/metadata.name": w.namespace}},
				ResourceRules: []admissionv1.NamedRuleWithOperations{{RuleWithOperations: admissionv1.RuleWithOperations{
					Operations: []admissionv1.OperationType{admissionv1.Update},
					Rule:       admissionv1.Rule{APIGroups: []string{clusterv1.GroupVersion.Group}, APIVersions: []string{clusterv1.GroupVersion.Version}, Resources: []string{"machinesets"}},
				}}},
			},
			Validations: []admissionv1.Validation{{
				Expression: fmt.Sprintf("!has(object.metadata.labels) || !(%[1]q in object.metadata.labels) || object.metadata.labels[%[1]q] != %[2]q", key, value), Message: refusal,
			}},
		},
	}
	binding := &admissionv1.ValidatingAdmissionPolicyBinding{
		ObjectMeta: metav1.ObjectMeta{Name: w.namespace},
		Spec:       admissionv1.ValidatingAdmissionPolicyBindingSpec{PolicyName: policy.Name, ValidationActions: []admissionv1.ValidationAction{admissionv1.Deny}},
	}
	for _, object := range []client.Object{policy, binding} {
		w.create(object)
		w.Cleanup(func() {
			if err := w.client.Delete(context.Background(), object); err != nil {
				w.Error(err)
			}
		})
	}
	attempt := client.RawPatch("application/merge-patch+json", fmt.Appendf(nil, `{"metadata":{"labels":{%q:%q}}}`, key, value))
	eventually(w.T, 30*time.Second, func() string {
		if err := w.client.Patch(w.Context(), w.set(), attempt, client.DryRunAll); err == nil || !strings.Contains(err.Error(), refusal) {
			return fmt.Sprintf("the policy does not act yet: %v", err)
		}
		return ""
	})
}

// TestMachineSetDeleted deletes the MachineSet of a MachineDeployment by hand. While it
// goes it is left alone, and then there is another of that name with new Machines.
func TestMachineSetDeleted(t *testing.T) {
	w := newWorld(t, 2)
	startControllers(t, &wire{}, w.namespace)
	w.settlesAt(2)
	before := w.set()
	if err := w.client.Delete(t.Context(), before); err != nil {
		t.Fatal(err)
	}
	message := func() string {
		deployment := &clusterv1.MachineDeployment{}
		if err := w.client.Get(t.Context(), client.ObjectKey{Namespace: w.namespace, Name: "workers"}, deployment); err != nil {
			return err.Error()
		}
		var all []string
		for _, condition := range deployment.Status.Conditions {
			all = append(all, condition.Message)
		}
		return strings.Join(all, ", ")
	}
	eventually(t, 10*time.Second, func() string {
		if machines := w.machines(); machines[0].DeletionTimestamp == nil || machines[1].DeletionTimestamp == nil {
			return "the Machines are not being deleted"
		}
		return ""
	})
	w.scale(3)
	eventually(t, 10*time.Second, func() string {
		if said := message(); !strings.Contains(said, "waiting for MachineSet "+before.Name+" to be gone") {
			return "the MachineDeployment says " + said
		}
		return ""
	})
	if going := w.set(); going.UID != before.UID || *going.Spec.Replicas != 2 {
		t.Errorf("the set that goes asks for %d Machines; the MachineDeployment says %s", *going.Spec.Replicas, message())
	}
	w.finishDeletions()
	for _, machine := range w.machines() { // those that went before anybody watched
		if err := w.client.Patch(t.Context(), &machine, client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"finalizers":null}}`))); client.IgnoreNotFound(err) != nil {
			t.Fatal(err)
		}
	}
	w.settlesAt(3)
	if after := w.set(); after.Name != before.Name || after.UID == before.UID {
		t.Errorf("there is MachineSet %s with UID %s, after %s with %s", after.Name, after.UID, before.Name, before.UID)
	}
}
