// SPDX-License-Identifier: Apache-2.0

package upstream

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"
)

// An addition is something that our CRDs have and upstream's do not, on purpose.
type addition struct {
	// CRDs are plural names of kinds, such as machines. Empty: all.
	CRDs []string `json:"crds,omitempty"`

	// Path is the place in the schema, or, with "**." at the front, the end of it.
	Path string `json:"path"`

	// Kind is field, default, rule or bound.
	Kind string `json:"kind"`

	// What, if given, has to occur in what the difference says; it tells several additions at one place apart.
	What string `json:"what,omitempty"`

	// Reason says why we have it.
	Reason string `json:"reason"`
}

// readAdditions reads the declarations. It is an error if one is incomplete.
func readAdditions(file string) ([]addition, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read additions: %w", err)
	}
	var additions []addition
	if err := yaml.UnmarshalStrict(text, &additions); err != nil {
		return nil, fmt.Errorf("parse %s: %w", file, err)
	}
	for i, a := range additions {
		if !slices.Contains([]string{"field", "default", "rule", "bound"}, a.Kind) {
			return nil, fmt.Errorf("check %s: entry %d (%s): kind %q is none of field, default, rule, bound", file, i, a.Path, a.Kind)
		}
		if strings.TrimSpace(a.Reason) == "" {
			return nil, fmt.Errorf("check %s: entry %d (%s) gives no reason", file, i, a.Path)
		}
	}
	return additions, nil
}

// fits tells whether the declaration covers the difference.
func (a addition) fits(crd string, d difference) bool {
	if len(a.CRDs) > 0 && !slices.Contains(a.CRDs, crd) {
		return false
	}
	if a.Kind != d.Kind || !strings.Contains(d.What, a.What) {
		return false
	}
	if end, ok := strings.CutPrefix(a.Path, "**."); ok {
		return d.Path == end || strings.HasSuffix(d.Path, "."+end)
	}
	return a.Path == d.Path
}
