// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"encoding/json"
	"fmt"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
)

// Object is any Kubernetes object with its metadata.
type Object interface {
	metav1.Object
	runtime.Object
}

// Ref names one object. Cluster is the workload cluster that holds it; zero means
// the management cluster.
type Ref struct {
	schema.GroupVersionKind
	Namespace, Name string
	UID             types.UID
	Cluster         types.NamespacedName
}

// RefTo names an object by the kind given, its name and its UID.
func RefTo(kind schema.GroupVersionKind, object metav1.Object) Ref {
	return Ref{GroupVersionKind: kind, Namespace: object.GetNamespace(), Name: object.GetName(), UID: object.GetUID()}
}

func (r Ref) String() string {
	name := r.Name
	if r.Namespace != "" {
		name = r.Namespace + "/" + r.Name
	}
	if r.Cluster.Name != "" {
		return fmt.Sprintf("%s %s in cluster %s", r.Kind, name, r.Cluster)
	}
	return fmt.Sprintf("%s %s", r.Kind, name)
}

// Action is one write, fully decided. The set is sealed: Create, Apply, Patch,
// Delete, Evict and Operate.
type Action interface {
	fmt.Stringer
	// Target is the object written.
	Target() Ref
	// Verb is the RBAC verb that the write needs ("operate" for other systems).
	Verb() string
	// Because says why, in the words of the plan.
	Because() string

	sealed()
}

// Create makes an object that must not exist yet. When it exists already and has
// the same controller owner, an earlier attempt made it and the action counts as
// done; when somebody else owns it, the action fails and says so.
type Create struct {
	Object *unstructured.Unstructured
	In     types.NamespacedName
	Reason string
}

// Apply states fields that this controller owns, by server-side apply. The object
// holds those fields and nothing else. With a UID in its metadata the write is
// refused when the object has been replaced meanwhile.
type Apply struct {
	Object *unstructured.Unstructured
	// Subresource is "" or "status".
	Subresource string
	// Aspect tells apart applies of one controller to one object that state
	// different fields at different times. Each aspect has its own field manager;
	// without it, one apply would take back what the other had stated.
	Aspect string
	// Creates is true when the object may not exist and is then to be made.
	Creates bool
	In      types.NamespacedName
	Reason  string
}

// Patch is a JSON patch (RFC 6902). Its "test" operations are its precondition:
// it must hold at least one.
type Patch struct {
	On         Ref
	Operations []PatchOperation
	Reason     string
}

// PatchOperation is one operation of a JSON patch.
type PatchOperation struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value any    `json:"value,omitempty"`
}

// Delete removes exactly the object with the UID in On.
type Delete struct {
	On     Ref
	Reason string
}

// Evict asks the API server of a workload cluster to remove exactly the Pod with the UID
// in On, if the disruption budgets that cover it allow that. A refusal for their sake is an
// answer and no failure: the next plan sees the budgets and says which one it is.
type Evict struct {
	On Ref
	// GracePeriodSeconds is how long the Pod may take to end, in seconds; nil leaves it to
	// the Pod.
	GracePeriodSeconds *int64
	Reason             string
}

// Operate is a write to a system that is not a Kubernetes API, such as a
// container engine. System names the operator that carries it out.
type Operate struct {
	System    string
	Operation Operation
	Reason    string
}

// Operation is data that an operator understands. It must be idempotent: done
// twice, the second time changes nothing.
type Operation interface {
	fmt.Stringer
	// Subject is the object on whose behalf it is done.
	Subject() Ref
}

func (Create) sealed()  {}
func (Apply) sealed()   {}
func (Patch) sealed()   {}
func (Delete) sealed()  {}
func (Evict) sealed()   {}
func (Operate) sealed() {}

// Verb is "create".
func (Create) Verb() string { return "create" }

// Verb is "patch".
func (Apply) Verb() string { return "patch" }

// Verb is "patch".
func (Patch) Verb() string { return "patch" }

// Verb is "delete".
func (Delete) Verb() string { return "delete" }

// Verb is "evict".
func (Evict) Verb() string { return "evict" }

// Verb is "operate".
func (Operate) Verb() string { return "operate" }

// Because gives the reason.
func (a Create) Because() string { return a.Reason }

// Because gives the reason.
func (a Apply) Because() string { return a.Reason }

// Because gives the reason.
func (a Patch) Because() string { return a.Reason }

// Because gives the reason.
func (a Delete) Because() string { return a.Reason }

// Because gives the reason.
func (a Evict) Because() string { return a.Reason }

// Because gives the reason.
func (a Operate) Because() string { return a.Reason }

// Target is the object that is made.
func (a Create) Target() Ref { return unstructuredRef(a.Object, a.In) }

// Target is the object whose fields are stated.
func (a Apply) Target() Ref { return unstructuredRef(a.Object, a.In) }

// Target is the object patched.
func (a Patch) Target() Ref { return a.On }

// Target is the object removed.
func (a Delete) Target() Ref { return a.On }

// Target is the Pod.
func (a Evict) Target() Ref { return a.On }

// Target is the object on whose behalf the system is changed.
func (a Operate) Target() Ref { return a.Operation.Subject() }

func (a Create) String() string { return "create " + a.Target().String() }

func (a Apply) String() string {
	if a.Subresource != "" {
		return fmt.Sprintf("apply %s of %s", a.Subresource, a.Target())
	}
	return "apply " + a.Target().String()
}

func (a Patch) String() string {
	var parts []string
	for _, operation := range a.Operations {
		if operation.Op == "test" {
			continue
		}
		value := ""
		switch {
		case operation.Value != nil && a.On.Kind == "Secret" && a.On.Group == "" && !strings.HasPrefix(operation.Path, "/metadata"):
			value = " " + notShown
		case operation.Value != nil:
			raw, err := json.Marshal(operation.Value)
			if err != nil {
				raw = []byte(fmt.Sprintf("%v", operation.Value))
			}
			value = " " + shortened(string(raw))
		}
		parts = append(parts, operation.Op+" "+operation.Path+value)
	}
	return fmt.Sprintf("patch %s: %s", a.On, strings.Join(parts, "; "))
}

// shortened keeps a line of a log or an event to a length that can be read.
func shortened(text string) string {
	const limit = 300
	if len(text) <= limit {
		return text
	}
	return strings.ToValidUTF8(text[:limit], "") + fmt.Sprintf(" ... (%d bytes)", len(text))
}

func (a Delete) String() string { return "delete " + a.On.String() }

func (a Evict) String() string { return "evict " + a.On.String() }

func (a Operate) String() string { return a.System + ": " + a.Operation.String() }

func unstructuredRef(object *unstructured.Unstructured, cluster types.NamespacedName) Ref {
	ref := RefTo(object.GroupVersionKind(), object)
	ref.Cluster = cluster
	return ref
}
