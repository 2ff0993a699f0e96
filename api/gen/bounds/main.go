// SPDX-License-Identifier: Apache-2.0

// Command bounds adds to generated CustomResourceDefinitions what no marker can say: bounds inside fields whose Go type is
// another project's. Without them an API server weighs a rule over such a field as if the field filled the largest
// request, and refuses the rule.
//
//	bounds <folder of CRDs>
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"sigs.k8s.io/yaml"
)

type object = map[string]any

// A bound is set on one place of the schema of every version of one CRD.
type bound struct {
	file  string
	path  string // names of properties with points between; {} for the values of a map
	name  string
	value int
}

// bounds are the additions. 63 is the longest value that a label can have; 100 labels are more than anybody selects by.
var bounds = []bound{
	{"cluster.x-k8s.io_machinesets.yaml", "spec.selector.matchLabels", "maxProperties", 100},
	{"cluster.x-k8s.io_machinesets.yaml", "spec.selector.matchLabels.{}", "maxLength", 63},
	{"cluster.x-k8s.io_machinedeployments.yaml", "spec.selector.matchLabels", "maxProperties", 100},
	{"cluster.x-k8s.io_machinedeployments.yaml", "spec.selector.matchLabels.{}", "maxLength", 63},
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: bounds <folder of CRDs>")
		os.Exit(2)
	}
	for _, b := range bounds {
		if err := b.set(os.Args[1]); err != nil {
			fmt.Fprintln(os.Stderr, "bounds:", err)
			os.Exit(1)
		}
	}
}

func (b bound) set(folder string) error {
	file := filepath.Join(folder, b.file)
	text, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("read CRD: %w", err)
	}
	var crd object
	if err := yaml.Unmarshal(text, &crd); err != nil {
		return fmt.Errorf("parse %s: %w", file, err)
	}
	spec, _ := crd["spec"].(object)
	versions, _ := spec["versions"].([]any)
	for _, version := range versions {
		version, _ := version.(object)
		place, _ := version["schema"].(object)
		place, _ = place["openAPIV3Schema"].(object)
		for step := range strings.SplitSeq(b.path, ".") {
			if step == "{}" {
				place, _ = place["additionalProperties"].(object)
				continue
			}
			properties, _ := place["properties"].(object)
			place, _ = properties[step].(object)
		}
		if place == nil {
			return fmt.Errorf("find %s in %s: no such field", b.path, file)
		}
		place[b.name] = b.value
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
