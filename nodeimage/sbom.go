// SPDX-License-Identifier: Apache-2.0

package nodeimage

import (
	"debug/buildinfo"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// The parts of SPDX 2.3 (https://spdx.github.io/spdx-spec/v2.3) that a bill of
// materials of ours uses.
type (
	spdxDocument struct {
		Version       string             `json:"spdxVersion"`
		License       string             `json:"dataLicense"`
		ID            string             `json:"SPDXID"`
		Name          string             `json:"name"`
		Namespace     string             `json:"documentNamespace"`
		Creation      spdxCreation       `json:"creationInfo"`
		Packages      []spdxPackage      `json:"packages"`
		Relationships []spdxRelationship `json:"relationships"`
	}
	spdxCreation struct {
		Created  string   `json:"created"`
		Creators []string `json:"creators"`
	}
	spdxPackage struct {
		ID               string          `json:"SPDXID"`
		Name             string          `json:"name"`
		Version          string          `json:"versionInfo,omitempty"`
		DownloadLocation string          `json:"downloadLocation"`
		FilesAnalyzed    bool            `json:"filesAnalyzed"`
		Purpose          string          `json:"primaryPackagePurpose,omitempty"`
		Checksums        []spdxChecksum  `json:"checksums,omitempty"`
		References       []spdxReference `json:"externalRefs,omitempty"`
	}
	spdxChecksum struct {
		Algorithm string `json:"algorithm"`
		Value     string `json:"checksumValue"`
	}
	spdxReference struct {
		Category string `json:"referenceCategory"`
		Type     string `json:"referenceType"`
		Locator  string `json:"referenceLocator"`
	}
	spdxRelationship struct {
		Element string `json:"spdxElementId"`
		Type    string `json:"relationshipType"`
		Related string `json:"relatedSpdxElement"`
	}
)

const noAssertion = "NOASSERTION"

// billOfMaterials lists what an image is made of: the compiled programs with the
// Go modules in them, as the programs themselves record it, and the Debian
// packages. Content is the hash that the image is labelled with; created is fixed
// by the caller, so that the same image gives the same bill.
func billOfMaterials(reference, content string, created time.Time, programs []string, debian []debianPackage) ([]byte, error) {
	const image = "SPDXRef-Image"
	document := spdxDocument{
		Version: "SPDX-2.3", License: "CC0-1.0", ID: "SPDXRef-DOCUMENT", Name: reference,
		Namespace: "https://slipway.dev/spdx/" + url.PathEscape(reference) + "/" + content,
		Creation:  spdxCreation{Created: created.UTC().Format(time.RFC3339), Creators: []string{"Tool: slipway"}},
		Packages: []spdxPackage{{
			ID: image, Name: reference, Version: content, DownloadLocation: noAssertion, Purpose: "CONTAINER",
		}},
		Relationships: []spdxRelationship{{"SPDXRef-DOCUMENT", "DESCRIBES", image}},
	}
	known := map[string]bool{}
	add := func(owner, relation string, p spdxPackage) {
		if !known[p.ID] {
			known[p.ID] = true
			document.Packages = append(document.Packages, p)
		}
		document.Relationships = append(document.Relationships, spdxRelationship{owner, relation, p.ID})
	}
	for _, p := range debian {
		add(image, "CONTAINS", debianEntry(p))
	}
	programs = slices.Clone(programs)
	slices.Sort(programs)
	for _, path := range programs {
		entry, modules, err := programEntries(path)
		if err != nil {
			return nil, err
		}
		add(image, "CONTAINS", entry)
		for _, module := range modules {
			add(entry.ID, "STATIC_LINK", module)
		}
	}
	return json.MarshalIndent(document, "", " ")
}

func debianEntry(p debianPackage) spdxPackage {
	return spdxPackage{
		ID: spdxID("deb", p.Name, p.Version), Name: p.Name, Version: p.Version, DownloadLocation: noAssertion,
		References: purl("pkg:deb/debian/" + url.PathEscape(p.Name) + "@" + url.PathEscape(p.Version) + "?arch=" + p.Architecture + "&distro=" + debianSuite),
	}
}

// programEntries describes a Go program and the modules in it.
func programEntries(path string) (spdxPackage, []spdxPackage, error) {
	info, err := buildinfo.ReadFile(path)
	if err != nil {
		return spdxPackage{}, nil, fmt.Errorf("read build information of %s: %w", path, err)
	}
	sum, err := fileSum(path)
	if err != nil {
		return spdxPackage{}, nil, fmt.Errorf("read program: %w", err)
	}
	name := filepath.Base(path)
	entry := spdxPackage{
		ID: spdxID("program", name), Name: name, Version: info.Main.Version, DownloadLocation: noAssertion,
		Purpose: "APPLICATION", Checksums: []spdxChecksum{{"SHA256", sum}},
	}
	modules := []spdxPackage{moduleEntry("stdlib", strings.TrimPrefix(info.GoVersion, "go"))}
	for _, module := range info.Deps {
		if module.Replace != nil {
			module = module.Replace
		}
		modules = append(modules, moduleEntry(module.Path, module.Version))
	}
	return entry, modules, nil
}

func moduleEntry(path, version string) spdxPackage {
	return spdxPackage{
		ID: spdxID("go", path, version), Name: path, Version: version, DownloadLocation: noAssertion,
		References: purl("pkg:golang/" + path + "@" + url.PathEscape(version)),
	}
}

func purl(locator string) []spdxReference {
	return []spdxReference{{"PACKAGE-MANAGER", "purl", locator}}
}

var notInSPDXID = regexp.MustCompile(`[^A-Za-z0-9.-]+`)

// spdxID makes an identifier of the letters that SPDX allows.
func spdxID(parts ...string) string {
	return "SPDXRef-" + notInSPDXID.ReplaceAllString(strings.Join(parts, "-"), "-")
}

func writeBillOfMaterials(path string, bill []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("write bill of materials: %w", err)
	}
	return writeWhole(path, bill)
}

// writeWhole writes a file such that it is there with all of its content or not at all.
func writeWhole(path string, data []byte) error {
	temporary := filepath.Join(filepath.Dir(path), unfinished+filepath.Base(path))
	if err := os.WriteFile(temporary, data, 0o644); err != nil {
		return fmt.Errorf("write file: %w", err)
	}
	if err := os.Rename(temporary, path); err != nil {
		return fmt.Errorf("write file: %w", err)
	}
	return nil
}
