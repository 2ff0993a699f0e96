// SPDX-License-Identifier: Apache-2.0

package nodeimage

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"
)

// buildProgram compiles a program with a module in it.
func buildProgram(t *testing.T) string {
	t.Helper()
	tools := testToolchain(t)
	sums, err := os.ReadFile("../go.sum")
	if err != nil {
		t.Fatal(err)
	}
	dir := writeTree(t, map[string]string{
		"go.mod":  "module example.com/m\n\ngo 1.26.0\n\nrequire github.com/google/go-cmp v0.7.0\n",
		"go.sum":  string(sums),
		"main.go": "package main\n\nimport \"github.com/google/go-cmp/cmp\"\n\nfunc main() { println(cmp.Equal(1, 2)) }\n",
	})
	program := filepath.Join(dir, "program")
	if err := tools.build(t.Context(), dir, program, "", nil, []string{"."}); err != nil {
		t.Fatal(err)
	}
	// Linked again, it is the same to the byte.
	first, err := fileSum(program)
	if err != nil {
		t.Fatal(err)
	}
	if err := tools.build(t.Context(), dir, program, "", nil, []string{"."}); err != nil {
		t.Fatal(err)
	}
	if second, err := fileSum(program); err != nil || second != first {
		t.Errorf("two builds differ: %s, %s, %v", first, second, err)
	}
	return program
}

func TestBillOfMaterials(t *testing.T) {
	program := buildProgram(t)
	debian := []debianPackage{{"runc", "1.1.5+ds1-1+deb12u1", "amd64"}, {"libc6", "2.36-9", "amd64"}}
	build := func() []byte {
		bill, err := billOfMaterials("slipway/node:v1.37.1", "abc", time.Unix(0, 0), []string{program}, debian)
		if err != nil {
			t.Fatal(err)
		}
		return bill
	}
	bill := build()
	if !bytes.Equal(bill, build()) {
		t.Error("the same image gave two bills")
	}
	var document spdxDocument
	if err := json.Unmarshal(bill, &document); err != nil {
		t.Fatal(err)
	}
	if document.Version != "SPDX-2.3" || document.Creation.Created != "1970-01-01T00:00:00Z" || document.Namespace == "" {
		t.Errorf("%+v", document.Creation)
	}
	legal := regexp.MustCompile(`^SPDXRef-[A-Za-z0-9.-]+$`)
	packages := map[string]spdxPackage{}
	for _, p := range document.Packages {
		if !legal.MatchString(p.ID) {
			t.Errorf("illegal identifier %q", p.ID)
		}
		if _, twice := packages[p.ID]; twice {
			t.Errorf("%s twice", p.ID)
		}
		packages[p.ID] = p
	}
	related := map[string]bool{}
	for _, r := range document.Relationships {
		if _, ok := packages[r.Related]; !ok {
			t.Errorf("%s %s %s, which is not in the bill", r.Element, r.Type, r.Related)
		}
		related[r.Related] = true
	}
	for id := range packages {
		if !related[id] {
			t.Errorf("nothing says what %s belongs to", id)
		}
	}
	locators := map[string]bool{}
	for _, p := range document.Packages {
		for _, reference := range p.References {
			locators[reference.Locator] = true
		}
	}
	for _, locator := range []string{
		"pkg:deb/debian/runc@1.1.5+ds1-1+deb12u1?arch=amd64&distro=bookworm",
		"pkg:golang/github.com/google/go-cmp@v0.7.0",
	} {
		if !locators[locator] {
			t.Errorf("no %s in %v", locator, locators)
		}
	}
}

func TestBillOfMaterialsRefusesWhatIsNoGoProgram(t *testing.T) {
	dir := writeTree(t, map[string]string{"script": "#!/bin/sh\n"})
	_, err := billOfMaterials("x", "y", time.Unix(0, 0), []string{dir + "/script"}, nil)
	expectError(t, err, "build information", "script")
}
