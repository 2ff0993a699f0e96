// SPDX-License-Identifier: Apache-2.0

package upstream

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"sigs.k8s.io/yaml"
)

// kinds lists every kind that we serve: the file of its CRD, which has the same name on both sides, and where upstream
// keeps it.
var kinds = []struct{ file, module, folder string }{
	{"cluster.x-k8s.io_clusters.yaml", "sigs.k8s.io/cluster-api", "core/config/crd/bases"},
	{"cluster.x-k8s.io_machines.yaml", "sigs.k8s.io/cluster-api", "core/config/crd/bases"},
	{"cluster.x-k8s.io_machinesets.yaml", "sigs.k8s.io/cluster-api", "core/config/crd/bases"},
	{"cluster.x-k8s.io_machinedeployments.yaml", "sigs.k8s.io/cluster-api", "core/config/crd/bases"},
	{"cluster.x-k8s.io_machinedrainrules.yaml", "sigs.k8s.io/cluster-api", "core/config/crd/bases"},
	{"cluster.x-k8s.io_machinehealthchecks.yaml", "sigs.k8s.io/cluster-api", "core/config/crd/bases"},
	{"addons.cluster.x-k8s.io_clusterresourcesets.yaml", "sigs.k8s.io/cluster-api", "core/config/crd/bases"},
	{"addons.cluster.x-k8s.io_clusterresourcesetbindings.yaml", "sigs.k8s.io/cluster-api", "core/config/crd/bases"},
	{"bootstrap.cluster.x-k8s.io_kubeadmconfigs.yaml", "sigs.k8s.io/cluster-api", "bootstrap/kubeadm/config/crd/bases"},
	{"bootstrap.cluster.x-k8s.io_kubeadmconfigtemplates.yaml", "sigs.k8s.io/cluster-api", "bootstrap/kubeadm/config/crd/bases"},
	{"controlplane.cluster.x-k8s.io_kubeadmcontrolplanes.yaml", "sigs.k8s.io/cluster-api", "controlplane/kubeadm/config/crd/bases"},
	{"controlplane.cluster.x-k8s.io_kubeadmcontrolplanetemplates.yaml", "sigs.k8s.io/cluster-api", "controlplane/kubeadm/config/crd/bases"},
	{"infrastructure.cluster.x-k8s.io_dockerclusters.yaml", "sigs.k8s.io/cluster-api/test", "infrastructure/docker/config/crd/bases"},
	{"infrastructure.cluster.x-k8s.io_dockerclustertemplates.yaml", "sigs.k8s.io/cluster-api/test", "infrastructure/docker/config/crd/bases"},
	{"infrastructure.cluster.x-k8s.io_dockermachines.yaml", "sigs.k8s.io/cluster-api/test", "infrastructure/docker/config/crd/bases"},
	{"infrastructure.cluster.x-k8s.io_dockermachinetemplates.yaml", "sigs.k8s.io/cluster-api/test", "infrastructure/docker/config/crd/bases"},
}

// ourFolder lies outside of this module, where go test does not look when it decides whether a result that it remembers
// still counts: run these tests with -count=1, as make test does.
const ourFolder = "../../deploy/crds"

func TestCRDsAgainstUpstream(t *testing.T) {
	additions, err := readAdditions("additions.yaml")
	if err != nil {
		t.Fatal(err)
	}
	used := make([]bool, len(additions))
	for _, kind := range kinds {
		t.Run(kind.file, func(t *testing.T) {
			theirs := readCRD(t, filepath.Join(moduleFolder(t, kind.module), kind.folder, kind.file))
			ours := readCRD(t, filepath.Join(ourFolder, kind.file))
			plural := fmt.Sprint(asObject(asObject(ours["spec"])["names"])["plural"])
			for _, d := range compareCRDs(theirs, ours) {
				declared := false
				for i, a := range additions {
					if a.fits(plural, d) {
						declared, used[i] = true, true
					}
				}
				if !declared {
					t.Errorf("%s", d)
				}
			}
		})
	}
	for i, a := range additions {
		if !used[i] && !t.Failed() {
			t.Errorf("additions.yaml declares %s at %s (%s), which our CRDs do not have: remove the entry", a.Kind, a.Path, a.What)
		}
	}
}

// TestEveryCRDIsCompared keeps a kind from being added without being compared.
func TestEveryCRDIsCompared(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(ourFolder, "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("find CRDs in %s: %v, %v", ourFolder, files, err)
	}
	for _, file := range files {
		if !slices.ContainsFunc(kinds, func(k struct{ file, module, folder string }) bool { return k.file == filepath.Base(file) }) {
			t.Errorf("%s is not compared with upstream: add it to kinds", file)
		}
	}
}

// TestHeads checks what upstream's files do not hold because its installation adds it: labels, one version, no conversion.
func TestHeads(t *testing.T) {
	for _, kind := range kinds {
		crd := readCRD(t, filepath.Join(ourFolder, kind.file))
		labels := asObject(asObject(crd["metadata"])["labels"])
		if labels["cluster.x-k8s.io/v1beta2"] != "v1beta2" || labels["cluster.x-k8s.io/provider"] == nil || labels["clusterctl.cluster.x-k8s.io"] != "" {
			t.Errorf("%s: labels are %v: contract, provider and clusterctl labels are needed", kind.file, labels)
		}
		versions := asList(asObject(crd["spec"])["versions"])
		if len(versions) != 1 || versionOf(crd)["served"] != true || versionOf(crd)["storage"] != true {
			t.Errorf("%s: v1beta2 has to be the only version, served and stored", kind.file)
		}
		if conversion := asObject(crd["spec"])["conversion"]; conversion != nil {
			t.Errorf("%s: conversion is %v, want none", kind.file, conversion)
		}
	}
}

// moduleFolders remembers where modules are.
var moduleFolders = map[string]string{}

// moduleFolder returns where the files of a module of go.mod are, and fetches it if it is not there yet.
func moduleFolder(t *testing.T, module string) string {
	t.Helper()
	if folder, ok := moduleFolders[module]; ok {
		return folder
	}
	command := exec.Command("go", "mod", "download", "-json", module)
	var complaint bytes.Buffer
	command.Stderr = &complaint
	output, err := command.Output()
	if err != nil {
		t.Fatalf("go mod download %s: %v\n%s%s", module, err, output, complaint.String())
	}
	var info struct{ Dir string }
	if err := json.Unmarshal(output, &info); err != nil || info.Dir == "" {
		t.Fatalf("find the files of %s: %v in %s", module, err, output)
	}
	moduleFolders[module] = info.Dir
	return info.Dir
}

func readCRD(t *testing.T, file string) object {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var crd object
	if err := yaml.Unmarshal(text, &crd); err != nil {
		t.Fatalf("parse %s: %v", file, err)
	}
	if crd["kind"] != "CustomResourceDefinition" || len(schemaOf(crd)) == 0 {
		t.Fatalf("%s holds no CustomResourceDefinition with a schema for v1beta2", file)
	}
	return crd
}
