// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"
)

// Print writes a plan as text for a person: what a dry run shows and what golden
// tests compare. Values of Secrets are left out. Recheck is told relative to now.
func Print[Status any](p Plan[Status], now time.Time) string {
	var out strings.Builder
	fmt.Fprintf(&out, "outcome: %s\n", p.Outcome)
	if len(p.Actions) > 0 {
		out.WriteString("actions:\n")
	}
	for _, action := range p.Actions {
		fmt.Fprintf(&out, "- %s (%s)\n", action, action.Because())
		switch action := action.(type) {
		case Create:
			out.WriteString(indent(objectText(action.Object)))
		case Apply:
			out.WriteString(indent(objectText(action.Object)))
		}
	}
	status, err := yaml.Marshal(p.Status)
	if err != nil {
		status = []byte(fmt.Sprintf("cannot be printed: %v\n", err))
	}
	if text := string(status); text != "{}\n" && text != "null\n" {
		fmt.Fprintf(&out, "status:\n%s", indent(text))
	}
	if !p.Recheck.IsZero() {
		fmt.Fprintf(&out, "recheck: in %s\n", p.Recheck.Sub(now))
	}
	return out.String()
}

func objectText(object *unstructured.Unstructured) string {
	shown := object.DeepCopy()
	if shown.GroupVersionKind().GroupKind() == (schema.GroupKind{Kind: "Secret"}) {
		for _, field := range []string{"data", "stringData"} {
			values, _, _ := unstructured.NestedMap(shown.Object, field)
			for key := range values {
				values[key] = "(not shown)"
			}
			if len(values) > 0 {
				shown.Object[field] = values
			}
		}
	}
	text, err := yaml.Marshal(shown.Object)
	if err != nil {
		return fmt.Sprintf("cannot be printed: %v\n", err)
	}
	return string(text)
}

func indent(text string) string {
	var out strings.Builder
	for line := range strings.Lines(text) {
		out.WriteString("    " + line)
	}
	return out.String()
}
