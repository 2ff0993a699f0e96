// SPDX-License-Identifier: Apache-2.0

package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	rbacv1 "k8s.io/api/rbac/v1"
	"sigs.k8s.io/yaml"

	"github.com/slipway-project/slipway/engine"
)

var update = flag.Bool("update", false, "write what is generated")

// TestRBACIsGenerated holds deploy/rbac to what the controllers declare.
func TestRBACIsGenerated(t *testing.T) {
	objects, err := accessObjects()
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	text.WriteString("# SPDX-License-Identifier: Apache-2.0\n# Generated from what the controllers declare; go test ./cmd/slipway -update writes it.\n")
	for _, object := range objects {
		raw, err := yaml.Marshal(object)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&text, "---\n%s", raw)
	}
	holds(t, "../../deploy/rbac/slipway-controllers.yaml", text.String())
}

// TestGraphIsGenerated holds docs/dependencies.md to what the controllers declare.
func TestGraphIsGenerated(t *testing.T) {
	known, err := newScheme()
	if err != nil {
		t.Fatal(err)
	}
	holds(t, "../../docs/dependencies.md", "# Who reads and writes what\n\n"+
		"Controllers are round, kinds are boxes; a kind of a provider goes by its part in the contract.\n"+
		"Generated from what the controllers declare; `go test ./cmd/slipway -update` writes it.\n\n"+
		"```mermaid\n"+engine.Graph(known, declarations()...)+"```\n")
}

// TestRightsAreNarrow: no controller lists Secrets, and none may do everything.
func TestRightsAreNarrow(t *testing.T) {
	objects, err := accessObjects()
	if err != nil {
		t.Fatal(err)
	}
	rules := 0
	for _, object := range objects {
		role, ok := object.(*rbacv1.ClusterRole)
		if !ok {
			continue
		}
		for _, rule := range role.Rules {
			rules++
			text := fmt.Sprintf("%v %v", rule.Resources, rule.Verbs)
			if strings.Contains(text, "secrets") && (strings.Contains(text, "list") || strings.Contains(text, "watch")) {
				t.Errorf("Secrets are read in bulk: %s", text)
			}
			for _, wide := range [][]string{rule.APIGroups, rule.Verbs} {
				if strings.Contains(strings.Join(wide, " "), "*") {
					t.Errorf("a right without bounds: %v %s", rule.APIGroups, text)
				}
			}
		}
	}
	if rules == 0 {
		t.Error("there are no rules: the test shows nothing")
	}
}

func holds(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v; go test ./cmd/slipway -update writes it", err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s is stale (-there +generated; go test ./cmd/slipway -update writes it):\n%s", path, diff)
	}
}
