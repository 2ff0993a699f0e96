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
// tests compare. Secrets are left out. Recheck is told relative to now.
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
			out.WriteString(indent(objectText(action.Object, action.In.Name != "")))
		case Apply:
			out.WriteString(indent(objectText(action.Object, action.In.Name != "")))
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

// notShown stands for what may be a secret. Plans are printed into logs.
const notShown = "(not shown)"

// secretFields are the fields of our kinds that may hold a secret in plain text: files and
// passwords of a bootstrap configuration, tokens, keys, and credentials of discovery.
var secretFields = map[string]bool{
	"content": true, "passwd": true, "token": true, "tlsBootstrapToken": true, "certificateKey": true, "authProvider": true, "exec": true,
}

// objectText shows an object of the management cluster without its secrets. What goes to
// a workload cluster comes from manifests of users, of which all may be secret: only its
// names and labels are shown.
func objectText(object *unstructured.Unstructured, workload bool) string {
	shown := object.DeepCopy().Object
	switch {
	case workload:
		for field := range shown {
			if field != "apiVersion" && field != "kind" && field != "metadata" {
				shown[field] = notShown
			}
		}
	case object.GroupVersionKind().GroupKind() == schema.GroupKind{Kind: "Secret"}:
		for _, field := range []string{"data", "stringData"} {
			if values, ok := shown[field].(map[string]any); ok {
				for key := range values {
					values[key] = notShown
				}
			}
		}
	default:
		hideSecrets(shown)
	}
	text, err := yaml.Marshal(shown)
	if err != nil {
		return fmt.Sprintf("cannot be printed: %v\n", err)
	}
	return string(text)
}

func hideSecrets(value any) {
	switch value := value.(type) {
	case map[string]any:
		for field, inner := range value {
			if _, flag := inner.(bool); secretFields[field] && !flag {
				value[field] = notShown
				continue
			}
			hideSecrets(inner)
		}
	case []any:
		for _, inner := range value {
			hideSecrets(inner)
		}
	}
}

func indent(text string) string {
	var out strings.Builder
	for line := range strings.Lines(text) {
		out.WriteString("    " + line)
	}
	return out.String()
}
