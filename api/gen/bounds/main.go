// SPDX-License-Identifier: Apache-2.0

// Command bounds adds to generated CustomResourceDefinitions what no marker can say: bounds on the values of maps, and
// bounds inside fields whose Go type is another project's. Without them an API server weighs a rule over such a field as
// if the field filled the largest request, and refuses the rule.
//
//	bounds <folder of CRDs>
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"
)

type object = map[string]any

// A bound is set wherever a path ends like this, in every CRD.
type bound struct {
	path  string // names of properties with points between; {} for the values of a map, [] for the items of a list
	name  string
	value int
}

// bounds are the additions. 63 is the longest value of a label, 317 the longest key: a prefix of 253, a slash and a name
// of 63. The numbers of entries are far beyond what people write.
var bounds = slices.Concat(
	[]bound{{"metadata.labels.{}", "maxLength", 63}},
	selector("spec.selector"), selector("spec.clusterSelector"),
	selector("spec.machines.[].selector"), selector("spec.machines.[].clusterSelector"),
	selector("spec.pods.[].selector"), selector("spec.pods.[].namespaceSelector"),
)

func selector(path string) []bound {
	return []bound{
		{path + ".matchLabels", "maxProperties", 100},
		{path + ".matchLabels.{}", "maxLength", 63},
		{path + ".matchExpressions", "maxItems", 20},
		{path + ".matchExpressions.[].key", "maxLength", 317},
		{path + ".matchExpressions.[].values", "maxItems", 400},
		{path + ".matchExpressions.[].values.[]", "maxLength", 63},
	}
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: bounds <folder of CRDs>")
		os.Exit(2)
	}
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "bounds:", err)
		os.Exit(1)
	}
}

func run(folder string) error {
	files, err := filepath.Glob(filepath.Join(folder, "*.yaml"))
	if err != nil {
		return fmt.Errorf("find CRDs: %w", err)
	}
	used := map[string]bool{}
	for _, file := range files {
		if err := setAll(file, used); err != nil {
			return err
		}
	}
	for _, b := range bounds {
		if !used[b.path] {
			return fmt.Errorf("find %s: no CRD in %s has such a field", b.path, folder)
		}
	}
	return nil
}

// setAll sets the bounds in one file and notes the paths that it has. A file with none of them stays as it is.
func setAll(file string, used map[string]bool) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("read CRD: %w", err)
	}
	var crd object
	if err := yaml.Unmarshal(text, &crd); err != nil {
		return fmt.Errorf("parse %s: %w", file, err)
	}
	changed := false
	spec, _ := crd["spec"].(object)
	versions, _ := spec["versions"].([]any)
	for _, version := range versions {
		version, _ := version.(object)
		schema, _ := version["schema"].(object)
		walk("", schema["openAPIV3Schema"], func(path string, place object) {
			for _, b := range bounds {
				if strings.HasSuffix(path, "."+b.path) {
					place[b.name] = b.value
					used[b.path], changed = true, true
				}
			}
		})
	}
	if !changed {
		return nil
	}
	text, err = yaml.Marshal(crd)
	if err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	if err := os.WriteFile(file, append([]byte("---\n"), text...), 0o644); err != nil {
		return fmt.Errorf("write CRD: %w", err)
	}
	return nil
}

// walk visits a schema and all schemas below it.
func walk(path string, schema any, visit func(path string, place object)) {
	place, ok := schema.(object)
	if !ok {
		return
	}
	visit(path, place)
	properties, _ := place["properties"].(object)
	for name, property := range properties {
		walk(path+"."+name, property, visit)
	}
	walk(path+".{}", place["additionalProperties"], visit)
	walk(path+".[]", place["items"], visit)
}
