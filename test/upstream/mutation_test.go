// SPDX-License-Identifier: Apache-2.0

package upstream

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestComparisonSeesChanges changes our CRD of MachineDeployment, or that of Cluster, in one place at a time and wants the
// comparison to name that place.
func TestComparisonSeesChanges(t *testing.T) {
	at := func(crd object, path string) object {
		schema := schemaOf(crd)
		for step := range strings.SplitSeq(path, ".") {
			if step == "[]" {
				schema = asObject(schema["items"])
				continue
			}
			schema = asObject(asObject(schema["properties"])[step])
		}
		if schema == nil {
			t.Fatalf("our CRD has no %s", path)
		}
		return schema
	}
	names := func(crd object) object { return asObject(asObject(crd["spec"])["names"]) }
	column := func(crd object, i int) object { return asObject(asList(versionOf(crd)["additionalPrinterColumns"])[i]) }

	for _, test := range []struct {
		name   string
		change func(crd object)
		path   string
		kind   string
	}{
		{"field gone", func(c object) { delete(asObject(at(c, "spec")["properties"]), "machineNaming") }, "spec.machineNaming", "missing"},
		{"field added", func(c object) { asObject(at(c, "spec")["properties"])["colour"] = object{"type": "string"} }, "spec.colour", "field"},
		{"type changed", func(c object) { at(c, "spec.replicas")["type"] = "string" }, "spec.replicas", "changed"},
		{"format gone", func(c object) { delete(at(c, "spec.replicas"), "format") }, "spec.replicas", "missing"},
		{"required dropped", func(c object) { at(c, "spec")["required"] = []any{"clusterName"} }, "spec", "changed"},
		{"required added", func(c object) { at(c, "status")["required"] = []any{"phase"} }, "status", "changed"},
		{"enum value dropped", func(c object) { at(c, "status.phase")["enum"] = []any{"Running"} }, "status.phase", "changed"},
		{"bound changed", func(c object) { at(c, "spec.clusterName")["maxLength"] = 253.0 }, "spec.clusterName", "changed"},
		{"bound gone", func(c object) { delete(at(c, "spec.clusterName"), "minLength") }, "spec.clusterName", "missing"},
		{"bound added", func(c object) { at(c, "spec.replicas")["maximum"] = 3.0 }, "spec.replicas", "bound"},
		{"pattern changed", func(c object) { at(c, "spec.template.spec.infrastructureRef.name")["pattern"] = "x" }, "spec.template.spec.infrastructureRef.name", "changed"},
		{"default added", func(c object) { at(c, "spec.paused")["default"] = false }, "spec.paused", "default"},
		{"list keys changed", func(c object) { at(c, "status.versions")["x-kubernetes-list-map-keys"] = []any{"replicas"} }, "status.versions", "changed"},
		{"list type gone", func(c object) { delete(at(c, "status.versions"), "x-kubernetes-list-type") }, "status.versions", "missing"},
		{"map values changed", func(c object) {
			asObject(at(c, "spec.selector.matchLabels")["additionalProperties"])["type"] = "integer"
		}, "spec.selector.matchLabels{}", "changed"},
		{"below a list", func(c object) { at(c, "spec.template.spec.taints.[].effect")["type"] = "integer" }, "spec.template.spec.taints[].effect", "changed"},
		{"int-or-string gone", func(c object) {
			delete(at(c, "spec.remediation.maxInFlight"), "x-kubernetes-int-or-string")
		}, "spec.remediation.maxInFlight", "missing"},
		{"nullable added", func(c object) { at(c, "spec.paused")["nullable"] = true }, "spec.paused", "changed"},
		{"rule added", func(c object) {
			at(c, "spec.paused")["x-kubernetes-validations"] = []any{object{"rule": "true"}}
		}, "spec.paused", "rule"},
		{"short name changed", func(c object) { names(c)["shortNames"] = []any{"mdx"} }, "crd:names.shortNames", "changed"},
		{"category gone", func(c object) { delete(names(c), "categories") }, "crd:names.categories", "changed"},
		{"scope changed", func(c object) { asObject(c["spec"])["scope"] = "Cluster" }, "crd:scope", "changed"},
		{"subresource changed", func(c object) {
			asObject(asObject(versionOf(c)["subresources"])["scale"])["specReplicasPath"] = ".spec.x"
		}, "crd:subresources", "changed"},
		{"column path changed", func(c object) { column(c, 0)["jsonPath"] = ".spec.x" }, "crd:additionalPrinterColumns", "changed"},
		{"column priority changed", func(c object) { column(c, 7)["priority"] = 0.0 }, "crd:additionalPrinterColumns", "changed"},
		{"columns swapped", func(c object) {
			columns := asList(versionOf(c)["additionalPrinterColumns"])
			columns[0], columns[1] = columns[1], columns[0]
		}, "crd:additionalPrinterColumns", "changed"},
		{"version not served", func(c object) { versionOf(c)["served"] = false }, "crd:served", "changed"},
	} {
		t.Run(test.name, func(t *testing.T) {
			const file = "cluster.x-k8s.io_machinedeployments.yaml"
			theirs := readCRD(t, filepath.Join(moduleFolder(t, "sigs.k8s.io/cluster-api"), "core/config/crd/bases", file))
			ours := readCRD(t, filepath.Join(ourFolder, file))
			before := compareCRDs(theirs, ours)
			test.change(ours)
			for _, d := range compareCRDs(theirs, ours) {
				if !slices.Contains(before, d) && d.Path == test.path && d.Kind == test.kind {
					return
				}
			}
			t.Errorf("the comparison does not report %s at %s", test.kind, test.path)
		})
	}
}

// TestComparisonSeesMissingRule takes one of upstream's own CEL rules out of our KubeadmConfig.
func TestComparisonSeesMissingRule(t *testing.T) {
	const file = "bootstrap.cluster.x-k8s.io_kubeadmconfigs.yaml"
	theirs := readCRD(t, filepath.Join(moduleFolder(t, "sigs.k8s.io/cluster-api"), "bootstrap/kubeadm/config/crd/bases", file))
	ours := readCRD(t, filepath.Join(ourFolder, file))
	schema := schemaOf(ours)
	for _, step := range []string{"spec", "clusterConfiguration", "apiServer", "extraArgs"} {
		schema = asObject(asObject(schema["properties"])[step])
	}
	delete(schema, "x-kubernetes-validations")
	want := difference{
		Path: "spec.clusterConfiguration.apiServer.extraArgs", Kind: "missing",
		What: "rule: self.all(x, self.exists_one(y, x.name == y.name))",
	}
	if found := compareCRDs(theirs, ours); !slices.Contains(found, want) {
		t.Errorf("the comparison does not report %s", want)
	}
}

// TestAdditionsExcuseNothingMissing checks that a declaration cannot hide what upstream has and we lack.
func TestAdditionsExcuseNothingMissing(t *testing.T) {
	lacking := difference{Path: "spec.replicas", Kind: "missing", What: "field"}
	for _, kind := range []string{"field", "default", "rule", "bound"} {
		if (addition{Path: "**.replicas", Kind: kind}).fits("machines", lacking) {
			t.Errorf("an addition of kind %s excuses %s", kind, lacking)
		}
	}
}
