// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
	"sigs.k8s.io/structured-merge-diff/v6/value"
)

// Intent turns a typed object into the fields that it states: no status, no
// nulls, no empty maps, nothing the server fills in. It panics when the object
// cannot be written as JSON, which no API type can cause.
func Intent(kind schema.GroupVersionKind, object Object) *unstructured.Unstructured {
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(object)
	if err != nil {
		panic(fmt.Sprintf("convert %s: %v", kind.Kind, err))
	}
	delete(content, "status")
	intent := &unstructured.Unstructured{Object: content}
	intent.SetGroupVersionKind(kind)
	if metadata, ok := content["metadata"].(map[string]any); ok {
		for _, filled := range []string{"creationTimestamp", "managedFields", "resourceVersion", "generation"} {
			delete(metadata, filled)
		}
	}
	prune(content)
	return intent
}

// Live is a typed object as it was read, in the form that NeedsApply compares.
func Live(kind schema.GroupVersionKind, object Object) *unstructured.Unstructured {
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(object)
	if err != nil {
		panic(fmt.Sprintf("convert %s: %v", kind.Kind, err))
	}
	live := &unstructured.Unstructured{Object: content}
	live.SetGroupVersionKind(kind)
	return live
}

// Partial begins an intent for an object that exists: its identity with the UID, to
// which the caller adds the fields that it states.
func Partial(kind schema.GroupVersionKind, object metav1.Object) *unstructured.Unstructured {
	intent := &unstructured.Unstructured{Object: map[string]any{}}
	intent.SetGroupVersionKind(kind)
	intent.SetNamespace(object.GetNamespace())
	intent.SetName(object.GetName())
	intent.SetUID(object.GetUID())
	return intent
}

// Manager is the field manager of a controller, and of one aspect of what it states;
// see Apply.Aspect.
func Manager(controller string, aspect ...string) string {
	return strings.Join(append([]string{"slipway", controller}, slices.DeleteFunc(slices.Clone(aspect), func(a string) bool { return a == "" })...), "-")
}

// prune removes nulls and maps that became empty, which for server-side apply
// would claim fields that nobody meant.
func prune(fields map[string]any) {
	for name, field := range fields {
		switch typed := field.(type) {
		case nil:
			delete(fields, name)
		case map[string]any:
			prune(typed)
			if len(typed) == 0 {
				delete(fields, name)
			}
		}
	}
}

// StatusIntent is the apply of a whole status under the identity of an object.
func StatusIntent(kind schema.GroupVersionKind, object metav1.Object, status any) (*unstructured.Unstructured, error) {
	fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(status)
	if err != nil {
		return nil, fmt.Errorf("convert status of %s: %w", kind.Kind, err)
	}
	prune(fields)
	intent := Partial(kind, object)
	intent.Object["status"] = fields
	return intent, nil
}

// NeedsApply reports whether applying the intent as the field manager given would
// change the live object: because a field differs, or because the manager owns a
// field that the intent no longer states. It lets a settled object cost no write,
// even after a restart.
func NeedsApply(live *unstructured.Unstructured, intent *unstructured.Unstructured, manager, subresource string) bool {
	for field, wanted := range intent.Object {
		switch field {
		case "apiVersion", "kind":
			continue
		case "metadata":
			if !covers(nested(live.Object, "metadata"), withoutIdentity(wanted), "metadata") {
				return true
			}
		default:
			if !covers(live.Object[field], wanted, field) {
				return true
			}
		}
	}
	return ownsMore(live, intent, manager, subresource)
}

func nested(object map[string]any, field string) any { return object[field] }

func withoutIdentity(metadata any) any {
	fields, ok := metadata.(map[string]any)
	if !ok {
		return metadata
	}
	rest := make(map[string]any, len(fields))
	for name, field := range fields {
		switch name {
		case "name", "namespace", "uid", "resourceVersion":
		default:
			rest[name] = field
		}
	}
	return rest
}

// listKeys are the fields by which the entries of the list maps in the API are
// told apart. Lists that are not here are compared whole.
var listKeys = map[string][]string{
	"conditions": {"type"}, "ownerReferences": {"uid"}, "failureDomains": {"name"}, "versions": {"version"},
	"extraArgs": {"name", "value"}, "kubeletExtraArgs": {"name", "value"}, "readinessGates": {"conditionType"},
	"availabilityGates": {"conditionType"}, "taints": {"key", "effect"},
}

func covers(live, wanted any, field string) bool {
	switch wanted := wanted.(type) {
	case map[string]any:
		if len(wanted) == 0 {
			// Nothing is stated, as by a controller that shows no status.
			return true
		}
		liveFields, ok := live.(map[string]any)
		if !ok {
			return false
		}
		for name, value := range wanted {
			if liveValue, ok := liveFields[name]; !ok || !covers(liveValue, value, name) {
				return false
			}
		}
		return true
	case []any:
		liveItems, ok := live.([]any)
		return ok && coversList(liveItems, wanted, field)
	default:
		return sameScalar(live, wanted)
	}
}

func coversList(live, wanted []any, field string) bool {
	if field == "finalizers" {
		return !slices.ContainsFunc(wanted, func(item any) bool { return !slices.Contains(live, item) })
	}
	keys, keyed := listKeys[field]
	if !keyed {
		return len(live) == len(wanted) && equality.Semantic.DeepEqual(normal(live), normal(wanted))
	}
	for _, item := range wanted {
		match := slices.IndexFunc(live, func(candidate any) bool { return sameKeys(candidate, item, keys) })
		if match < 0 || !covers(live[match], item, "") {
			return false
		}
	}
	return true
}

func sameKeys(a, b any, keys []string) bool {
	left, ok := a.(map[string]any)
	if !ok {
		return false
	}
	right, ok := b.(map[string]any)
	if !ok {
		return false
	}
	return !slices.ContainsFunc(keys, func(key string) bool { return !sameScalar(left[key], right[key]) })
}

func sameScalar(a, b any) bool { return equality.Semantic.DeepEqual(normal(a), normal(b)) }

// normal makes numbers comparable: JSON gives float64, converters give int64.
func normal(v any) any {
	switch v := v.(type) {
	case int:
		return int64(v)
	case int32:
		return int64(v)
	case float64:
		if v == float64(int64(v)) {
			return int64(v)
		}
		return v
	case map[string]any:
		out := make(map[string]any, len(v))
		for key, item := range v {
			out[key] = normal(item)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, item := range v {
			out[i] = normal(item)
		}
		return out
	default:
		return v
	}
}

// ownsMore reports whether the manager owns a field, by the live object's
// managedFields, that the intent does not state.
func ownsMore(live, intent *unstructured.Unstructured, manager, subresource string) bool {
	for _, entry := range live.GetManagedFields() {
		if entry.Manager != manager || entry.Subresource != subresource || entry.Operation != metav1.ManagedFieldsOperationApply || entry.FieldsV1 == nil {
			continue
		}
		var owned fieldpath.Set
		if err := owned.FromJSON(bytes.NewReader(entry.FieldsV1.GetRawBytes())); err != nil {
			return true
		}
		more := false
		owned.Leaves().Iterate(func(path fieldpath.Path) {
			more = more || !states(intent.Object, path)
		})
		return more
	}
	return false
}

// states reports whether the object has something at the path.
func states(object any, path fieldpath.Path) bool {
	current := object
	for _, element := range path {
		switch {
		case element.FieldName != nil:
			fields, ok := current.(map[string]any)
			if !ok {
				return false
			}
			if current, ok = fields[*element.FieldName]; !ok {
				return false
			}
		case element.Key != nil:
			items, _ := current.([]any)
			match := slices.IndexFunc(items, func(item any) bool { return hasKey(item, *element.Key) })
			if match < 0 {
				return false
			}
			current = items[match]
		case element.Value != nil:
			items, _ := current.([]any)
			return slices.ContainsFunc(items, func(item any) bool {
				return value.Equals(value.NewValueInterface(normal(item)), *element.Value)
			})
		}
	}
	return true
}

func hasKey(item any, key value.FieldList) bool {
	fields, ok := item.(map[string]any)
	if !ok {
		return false
	}
	for _, field := range key {
		if !value.Equals(value.NewValueInterface(normal(fields[field.Name])), field.Value) {
			return false
		}
	}
	return true
}

// AddFinalizer states a finalizer, leaving those of others alone.
func AddFinalizer(kind schema.GroupVersionKind, object metav1.Object, finalizer string) Apply {
	intent := Partial(kind, object)
	intent.SetFinalizers([]string{finalizer})
	return Apply{Object: intent, Aspect: "finalizer", Reason: "so that nothing is left behind when it is deleted"}
}

// RemoveFinalizer takes a finalizer away, whoever put it there, provided the list
// of finalizers is still the one that was read.
func RemoveFinalizer(kind schema.GroupVersionKind, object metav1.Object, finalizer, reason string) Patch {
	before := object.GetFinalizers()
	after := slices.DeleteFunc(slices.Clone(before), func(name string) bool { return name == finalizer })
	return Patch{On: RefTo(kind, object), Reason: reason, Operations: []PatchOperation{
		{Op: "test", Path: "/metadata/uid", Value: string(object.GetUID())},
		{Op: "test", Path: "/metadata/finalizers", Value: before},
		{Op: "replace", Path: "/metadata/finalizers", Value: after},
	}}
}

// OwnerReference is a reference to an owner. A controller owner also keeps the owner
// from being gone, in a foreground deletion, before the object is.
func OwnerReference(kind schema.GroupVersionKind, owner metav1.Object, controller bool) *metav1.OwnerReference {
	reference := &metav1.OwnerReference{APIVersion: kind.GroupVersion().String(), Kind: kind.Kind, Name: owner.GetName(), UID: owner.GetUID()}
	if controller {
		yes := true
		reference.Controller, reference.BlockOwnerDeletion = &yes, &yes
	}
	return reference
}
