// SPDX-License-Identifier: Apache-2.0

package simulate

import (
	"encoding/json"
	"fmt"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	bootstrapv1 "github.com/slipway-project/slipway/api/bootstrap/v1beta2"
	"github.com/slipway-project/slipway/engine"
	"github.com/slipway-project/slipway/etcd"
	"github.com/slipway-project/slipway/plan"
)

// Action is something that a controller did in the world.
type Action struct {
	// By is the object on whose behalf it was done, as "Kind namespace/name".
	By string `json:"by"`
	// Do says what, in stable words: "create", "delete", "scale", "evict", "cordon",
	// "uncordon", "move leadership", "remove member", "let join", "update"; "write" for
	// all else, such as owner references and finalizers.
	Do string `json:"do"`
	// Target is the object that it was done to, as "Kind namespace/name"; of operations on
	// etcd, the name of the member.
	Target string `json:"target"`
	// Version and FailureDomain are of Machines that are made, Replicas of a set that is
	// scaled; To is the member that leads from then on.
	Version       string `json:"version,omitempty"`
	FailureDomain string `json:"failureDomain,omitempty"`
	Replicas      *int64 `json:"replicas,omitempty"`
	To            string `json:"to,omitempty"`
	// Reason is why, in the words of the plan.
	Reason string `json:"reason"`
	// Invented is true when the target is named after the UID of an object that does not
	// exist yet: in reality it has another name.
	Invented bool `json:"invented,omitempty"`
	// Detail is true for what comes along with an action on a machine.
	Detail bool `json:"detail,omitempty"`
}

// String is the action as a sentence of a transcript, without its reason.
func (a Action) String() string {
	var out strings.Builder
	fmt.Fprintf(&out, "%s %s", a.Do, a.Target)
	if a.Invented {
		out.WriteString("*")
	}
	if a.Version != "" {
		fmt.Fprintf(&out, " at %s", a.Version)
	}
	if a.FailureDomain != "" {
		fmt.Fprintf(&out, " in failure domain %s", a.FailureDomain)
	}
	switch {
	case a.Replicas != nil && a.Do == "create" && *a.Replicas == 1:
		out.WriteString(" with 1 replica")
	case a.Replicas != nil && a.Do == "create":
		fmt.Fprintf(&out, " with %d replicas", *a.Replicas)
	case a.Replicas != nil:
		fmt.Fprintf(&out, " to %d", *a.Replicas)
	}
	if a.To != "" {
		fmt.Fprintf(&out, " to %s", a.To)
	}
	return out.String()
}

// Trail is what the controllers did so far, in order. Statuses are not part of it.
func (w *World) Trail() []Action { return w.trail }

func named(kind string, key types.NamespacedName) string {
	if key.Namespace == "" {
		return kind + " " + key.Name
	}
	return kind + " " + key.String()
}

// note adds an action to the trail.
func (w *World) note(stepper *engine.Stepper, key types.NamespacedName, done plan.Action) {
	if apply, ok := done.(plan.Apply); ok && apply.Subresource != "" {
		return
	}
	target := done.Target()
	action := Action{
		By: named(stepper.Kind().Kind, key), Target: named(target.Kind, types.NamespacedName{Namespace: target.Namespace, Name: target.Name}),
		Do: "write", Reason: done.Because(), Detail: true,
	}
	switch done := done.(type) {
	case plan.Create:
		w.noteCreate(&action, done)
	case plan.Delete:
		action.Do = "delete"
		action.Detail = !steers(target.Kind) && target.Kind != nodeKind.Kind
	case plan.Evict:
		action.Do, action.Detail = "evict", false
	case plan.Operate:
		noteOperation(&action, done.Operation)
	case plan.Apply:
		noteFields(&action, target, done.Object.Object)
	case plan.Patch:
		notePatch(&action, target, done)
	}
	// Nodes and members are named after Machines.
	of := types.NamespacedName{Namespace: target.Namespace, Name: target.Name}
	if target.Cluster.Name != "" {
		of.Namespace = target.Cluster.Namespace
	}
	action.Invented = w.strangers[action.Target] || (target.Kind == nodeKind.Kind && w.strangers[named("Machine", of)])
	if w.known(done, action) {
		return
	}
	w.trail = append(w.trail, action)
}

// known reports what is no news: an eviction that is asked for again, how often depends on
// how long its budget refuses it, and a number of machines that is stated as it is.
func (w *World) known(done plan.Action, action Action) bool {
	switch done := done.(type) {
	case plan.Evict:
		asked := w.evicted[done.On]
		w.evicted[done.On] = true
		return asked
	case plan.Apply, plan.Patch:
		if action.Replicas == nil {
			return false
		}
		before, counted := w.counts[action.Target]
		w.counts[action.Target] = *action.Replicas
		return counted && before == *action.Replicas
	}
	return false
}

// count notes how many machines are asked for before anybody has a turn.
func (w *World) count() {
	for _, kind := range w.Store.Kinds() {
		if !steers(kind.Kind) {
			continue
		}
		for _, object := range w.Store.All(kind) {
			if replicas, found, _ := unstructured.NestedInt64(object.Object, "spec", "replicas"); found {
				w.counts[named(kind.Kind, keyOf(object))] = replicas
			}
		}
	}
}

// steers reports a kind that stands for machines, or for a number of them.
func steers(kind string) bool {
	switch kind {
	case "Machine", "MachineSet", "MachineDeployment", "KubeadmControlPlane", "Cluster":
		return true
	}
	return strings.HasSuffix(kind, "ControlPlane")
}

func (w *World) noteCreate(action *Action, done plan.Create) {
	action.Do = "create"
	action.Detail = !steers(done.Object.GetKind())
	if owner := metav1.GetControllerOf(done.Object); owner != nil && done.In.Name == "" {
		kind := done.Object.GetKind()
		hashed := (kind == "Machine" || kind == "MachineSet") && w.Store.Invented(owner.UID)
		if hashed || w.strangers[named(owner.Kind, types.NamespacedName{Namespace: done.Object.GetNamespace(), Name: owner.Name})] {
			w.strangers[action.Target] = true
		}
	}
	if done.Object.GetKind() == "Machine" {
		action.Version, _, _ = unstructured.NestedString(done.Object.Object, "spec", "version")
		action.FailureDomain, _, _ = unstructured.NestedString(done.Object.Object, "spec", "failureDomain")
	}
	if done.Object.GetKind() == "MachineSet" {
		noteFields(action, done.Target(), done.Object.Object)
		action.Do = "create"
	}
}

func noteOperation(action *Action, operation plan.Operation) {
	switch operation := operation.(type) {
	case etcd.MoveLeader:
		action.Do, action.Target, action.To, action.Detail = "move leadership", "from etcd member "+operation.From.Name, "etcd member "+operation.To.Name, false
	case etcd.RemoveMember:
		name := operation.Member.Name
		if name == "" {
			name = operation.Member.String()
		}
		action.Do, action.Target, action.Detail = "remove member", name, false
	}
}

// noteFields looks for what steers machines among fields that are stated.
func noteFields(action *Action, target plan.Ref, content map[string]any) {
	if target.Cluster.Name != "" {
		if target.Kind == nodeKind.Kind {
			if unschedulable, found, _ := unstructured.NestedBool(content, "spec", "unschedulable"); found && unschedulable {
				action.Do, action.Detail = "cordon", false
			}
			return
		}
		if target.Kind != secretKind.Kind && strings.HasPrefix(action.By, "KubeadmControlPlane ") {
			action.Do, action.Detail = "update", false
		}
		return
	}
	replicas, found, _ := unstructured.NestedInt64(content, "spec", "replicas")
	if found && steers(target.Kind) {
		action.Do, action.Replicas, action.Detail = "scale", &replicas, false
	}
}

// notePatch looks for what steers machines among the operations of a patch.
func notePatch(action *Action, target plan.Ref, done plan.Patch) {
	holds := "/metadata/annotations/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(bootstrapv1.HoldJoinAnnotation)
	for _, operation := range done.Operations {
		switch {
		case operation.Op == "test":
		case operation.Path == "/spec/replicas" && steers(target.Kind):
			if number := whole(operation.Value); number != nil {
				action.Do, action.Replicas, action.Detail = "scale", number, false
			}
		case operation.Path == "/spec/unschedulable" && target.Kind == nodeKind.Kind:
			action.Do, action.Detail = "cordon", false
			if operation.Op == "remove" || operation.Value == false {
				action.Do = "uncordon"
			}
		case operation.Path == holds && operation.Op == "remove":
			action.Do, action.Detail = "let join", false
		}
	}
	if target.Cluster.Name != "" && target.Kind != nodeKind.Kind && target.Kind != secretKind.Kind && strings.HasPrefix(action.By, "KubeadmControlPlane ") {
		action.Do, action.Detail = "update", false
	}
}

// whole is the number that a value of a patch is; nil when it is none.
func whole(value any) *int64 {
	raw, err := json.Marshal(value)
	if err != nil {
		return nil
	}
	var number int64
	if err := json.Unmarshal(raw, &number); err != nil {
		return nil
	}
	return &number
}
