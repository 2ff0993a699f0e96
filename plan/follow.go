// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"bytes"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
)

// Follow is the patch that brings fields of an object in line with what it was made
// from, where that may change while the object lives on: labels of a template, say.
// The intent says what the fields should hold; the fields are JSON pointers to maps,
// lists or values in it, such as "/metadata/labels". needed is false when there is
// nothing to change.
//
// What the intent states is set. What it does not state is removed if the controller
// wrote it and nobody changed it since, by the object's managedFields; what others
// added stays. A map or list that nothing is left of is removed as a whole.
//
// A field that the server fills in has to be stated, with its default: what it filled
// in when the object was made counts as ours, and would be removed and filled in again
// without end.
//
// This is for objects that a Create made, where an Apply would not do. What was
// created belongs to the entry of the same manager for updates, and taking a field
// out of an Apply removes it only if no other entry has it: it would stay for ever,
// and NeedsApply would not notice. Making the object by Apply instead would silently
// take over one that somebody else has under that name. A Patch is an update by the
// same manager as the Create, so that there is one entry that says what is ours.
func Follow(kind schema.GroupVersionKind, object Object, intent *unstructured.Unstructured, controller, reason string, fields ...string) (patch Patch, needed bool) {
	live := Live(kind, object)
	var written *fieldpath.Set // read when it is first asked for: most objects are as stated
	tests := []PatchOperation{{Op: "test", Path: "/metadata/uid", Value: string(object.GetUID())}}
	var changes []PatchOperation
	appears := false
	for _, field := range fields {
		names := strings.Split(strings.TrimPrefix(field, "/"), "/")
		before, there := at(live.Object, names)
		wanted, _ := at(intent.Object, names)
		if equality.Semantic.DeepEqual(normal(before), normal(wanted)) {
			continue
		}
		if written == nil {
			written = writtenBy(live, Manager(controller))
		}
		parent, last := written, fieldpath.PathElement{FieldName: &names[len(names)-1]}
		for i := range names[:len(names)-1] {
			parent = below(parent, fieldpath.PathElement{FieldName: &names[i]})
		}
		after := followed(before, wanted, below(parent, last), parent.Members.Has(last), names[len(names)-1])
		if equality.Semantic.DeepEqual(normal(before), normal(after)) {
			continue
		}
		switch {
		case !there:
			appears = true
			changes = append(changes, PatchOperation{Op: "add", Path: field, Value: after})
			continue
		case after == nil:
			changes = append(changes, PatchOperation{Op: "remove", Path: field})
		default:
			changes = append(changes, PatchOperation{Op: "replace", Path: field, Value: after})
		}
		tests = append(tests, PatchOperation{Op: "test", Path: field, Value: before})
	}
	if appears {
		// That something is not there cannot be tested, so nothing at all may have changed.
		tests = append(tests, PatchOperation{Op: "test", Path: "/metadata/resourceVersion", Value: object.GetResourceVersion()})
	}
	return Patch{On: RefTo(kind, object), Operations: append(tests, changes...), Reason: reason}, len(changes) > 0
}

// at is what an object holds under the names.
func at(object map[string]any, names []string) (any, bool) {
	value, there, err := unstructured.NestedFieldNoCopy(object, names...)
	return value, there && err == nil && value != nil
}

// writtenBy are the fields that a manager wrote by creating or patching.
func writtenBy(live *unstructured.Unstructured, manager string) *fieldpath.Set {
	written := fieldpath.NewSet()
	for _, entry := range live.GetManagedFields() {
		if entry.Manager != manager || entry.Subresource != "" || entry.Operation != metav1.ManagedFieldsOperationUpdate || entry.FieldsV1 == nil {
			continue
		}
		var fields fieldpath.Set
		if err := fields.FromJSON(bytes.NewReader(entry.FieldsV1.GetRawBytes())); err == nil {
			written = written.Union(&fields)
		}
	}
	return written
}

func below(set *fieldpath.Set, element fieldpath.PathElement) *fieldpath.Set {
	if children, ok := set.Children.Get(element); ok {
		return children
	}
	return fieldpath.NewSet()
}

// followed is what a value becomes: written are the fields below it that are ours,
// mine says whether it is ours itself.
func followed(before, wanted any, written *fieldpath.Set, mine bool, field string) any {
	beforeFields, isMap := before.(map[string]any)
	wantedFields, wantsMap := wanted.(map[string]any)
	if isMap && (wantsMap || wanted == nil) {
		return followedMap(beforeFields, wantedFields, written)
	}
	beforeItems, isList := before.([]any)
	wantedItems, wantsList := wanted.([]any)
	if keys, keyed := listKeys[field]; keyed && isList && (wantsList || wanted == nil) {
		return followedList(beforeItems, wantedItems, written, keys)
	}
	if wanted == nil && !mine {
		return before
	}
	return wanted
}

func followedMap(before, wanted map[string]any, written *fieldpath.Set) any {
	after := make(map[string]any, len(wanted))
	for name, value := range before {
		element := fieldpath.PathElement{FieldName: &name}
		if next := followed(value, wanted[name], below(written, element), written.Members.Has(element), name); next != nil {
			after[name] = next
		}
	}
	for name, value := range wanted {
		if _, there := before[name]; !there {
			after[name] = value
		}
	}
	if len(after) == 0 && len(before) > 0 {
		return nil
	}
	return after
}

// followedList keeps the order of the entries that are there; new ones come last.
func followedList(before, wanted []any, written *fieldpath.Set, keys []string) any {
	after := make([]any, 0, len(wanted))
	for _, item := range before {
		var element fieldpath.PathElement
		written.Members.Iterate(func(candidate fieldpath.PathElement) {
			if candidate.Key != nil && hasKey(item, *candidate.Key) {
				element = candidate
			}
		})
		match := slices.IndexFunc(wanted, func(candidate any) bool { return sameKeys(candidate, item, keys) })
		switch {
		case match < 0 && element.Key == nil:
			after = append(after, item)
		case match >= 0 && element.Key == nil:
			after = append(after, followed(item, wanted[match], fieldpath.NewSet(), false, ""))
		case match >= 0:
			after = append(after, followed(item, wanted[match], below(written, element), true, ""))
		}
	}
	for _, item := range wanted {
		if !slices.ContainsFunc(before, func(candidate any) bool { return sameKeys(candidate, item, keys) }) {
			after = append(after, item)
		}
	}
	if len(after) == 0 && len(before) > 0 {
		return nil
	}
	return after
}
