// SPDX-License-Identifier: Apache-2.0

package simulate

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
)

// Change is what an apply makes of one object.
type Change struct {
	// Object is "Kind namespace/name".
	Object string `json:"object"`
	// New is true when the object does not exist yet. Then no fields are listed.
	New    bool          `json:"new,omitempty"`
	Fields []FieldChange `json:"fields,omitempty"`
}

// FieldChange is one field that gets another value. From or To is nil where the field is
// not there before or after. What may be a secret is not shown.
type FieldChange struct {
	Path string `json:"path"`
	From any    `json:"from,omitempty"`
	To   any    `json:"to,omitempty"`
}

func (f FieldChange) String() string {
	switch {
	case f.From == nil:
		return fmt.Sprintf("%s: set to %s", f.Path, short(f.To))
	case f.To == nil:
		return fmt.Sprintf("%s: removed (was %s)", f.Path, short(f.From))
	default:
		return fmt.Sprintf("%s: %s -> %s", f.Path, short(f.From), short(f.To))
	}
}

// short is a value on a line.
func short(value any) string {
	if text, ok := value.(string); ok && len(text) <= shownLength && !strings.ContainsAny(text, "\n\"") && text != "" {
		return text
	}
	raw, err := json.Marshal(value)
	if err != nil {
		raw = fmt.Append(nil, value)
	}
	if len(raw) > shownLength {
		return strings.ToValidUTF8(string(raw[:shownLength]), "") + fmt.Sprintf("... (%d bytes)", len(raw))
	}
	return string(raw)
}

// shownLength is how much of a value is printed, in bytes.
const shownLength = 200

// notShown stands for what may be a secret.
const notShown = "(not shown)"

// ChangeOf compares two states of an object. before is nil for one that does not exist.
// What the server keeps for itself, and the status, does not count.
func ChangeOf(before, after *unstructured.Unstructured) Change {
	change := Change{Object: named(after.GetKind(), types.NamespacedName{Namespace: after.GetNamespace(), Name: after.GetName()})}
	if before == nil {
		change.New = true
		return change
	}
	compare(specified(before), specified(after), "", after.GetKind() == "Secret", &change.Fields)
	return change
}

// specified is the part of an object that users state.
func specified(object *unstructured.Unstructured) map[string]any {
	rest := map[string]any{}
	for field, value := range object.Object {
		if field != "metadata" && field != "status" && field != "apiVersion" && field != "kind" {
			rest[field] = value
		}
	}
	metadata := map[string]any{}
	for _, field := range []string{"labels", "annotations", "finalizers", "ownerReferences"} {
		if value, found, _ := unstructured.NestedFieldNoCopy(object.Object, "metadata", field); found {
			metadata[field] = value
		}
	}
	rest["metadata"] = metadata
	return rest
}

func compare(before, after any, path string, secret bool, into *[]FieldChange) {
	if equality.Semantic.DeepEqual(before, after) {
		return
	}
	left, isMap := before.(map[string]any)
	right, areMaps := after.(map[string]any)
	if (isMap || before == nil) && (areMaps || after == nil) && (isMap || areMaps) {
		names := map[string]bool{}
		for name := range left {
			names[name] = true
		}
		for name := range right {
			names[name] = true
		}
		for _, name := range slices.Sorted(maps.Keys(names)) {
			compare(entry(left, name), entry(right, name), path+step(name), secret, into)
		}
		return
	}
	if hidden(path, secret) {
		before, after = hide(before), hide(after)
	}
	*into = append(*into, FieldChange{Path: strings.TrimPrefix(path, "."), From: before, To: after})
}

func entry(fields map[string]any, name string) any { return fields[name] }

// step is an element of a path: names that are no words are quoted.
func step(name string) string {
	if strings.ContainsAny(name, "./ ") {
		return fmt.Sprintf("[%q]", name)
	}
	return "." + name
}

// hidden reports a field that may hold a secret: the values of Secrets, and what a
// bootstrap configuration writes onto machines.
func hidden(path string, secret bool) bool {
	if secret && !strings.HasPrefix(path, ".metadata") {
		return true
	}
	for _, part := range []string{".files", ".users", ".bootstrapTokens", ".discovery", ".certificateKey", ".preKubeadmCommands", ".postKubeadmCommands"} {
		if strings.HasSuffix(path, part) || strings.Contains(path, part+".") {
			return true
		}
	}
	return false
}

func hide(value any) any {
	if value == nil {
		return nil
	}
	return notShown
}
