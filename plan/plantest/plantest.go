// SPDX-License-Identifier: Apache-2.0

// Package plantest holds every controller's Plan against recorded plans and against
// the laws that all plans keep.
//
// It owns the golden format and the laws; it knows no controller.
package plantest

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"
	"sigs.k8s.io/yaml"

	"github.com/slipway-project/slipway/plan"
)

var update = flag.Bool("update", false, "write the plans that are made into the golden files")

// Subject is what is tested of a controller.
type Subject[Snapshot, Status any] struct {
	Plan       func(Snapshot) plan.Plan[Status]
	Invariants func(Snapshot, plan.Plan[Status]) []string
	// Now is the time of a snapshot, relative to which rechecks are printed.
	Now func(Snapshot) time.Time
}

// Golden runs every testdata/*.txtar of the caller's package. Each file begins with
// a sentence that says what it shows, then holds "snapshot.yaml" and "plan.txt".
// With -update the plan is written instead of compared. For each file the laws are
// checked too.
func Golden[Snapshot, Status any](t *testing.T, subject Subject[Snapshot, Status]) {
	t.Helper()
	GoldenIn(t, "testdata", subject)
}

// GoldenIn is Golden for the files of another folder, for packages with two
// controllers.
func GoldenIn[Snapshot, Status any](t *testing.T, folder string, subject Subject[Snapshot, Status]) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*.txtar"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no golden plans in %s: %v", folder, err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if strings.TrimSpace(string(archive.Comment)) == "" {
				t.Errorf("%s: begin the file with a sentence that says what it shows", file)
			}
			raw := section(t, archive, "snapshot.yaml")
			decided := Laws(t, subject, raw)
			got := plan.Print(decided, subject.Now(decode[Snapshot](t, raw)))
			if *update {
				write(t, file, archive, got)
				return
			}
			if diff := cmp.Diff(string(section(t, archive, "plan.txt")), got); diff != "" {
				t.Errorf("the plan differs from %s (-recorded +made; run with -update if it is right):\n%s", file, diff)
			}
		})
	}
}

// Laws decides twice from the same snapshot and checks what holds for every plan:
// the same input gives the same plan, the input is not changed, no rule of plans and
// no invariant of the kind is broken.
func Laws[Snapshot, Status any](t *testing.T, subject Subject[Snapshot, Status], raw []byte) plan.Plan[Status] {
	t.Helper()
	snapshot := decode[Snapshot](t, raw)
	before := encode(t, snapshot)
	first := subject.Plan(snapshot)
	if diff := cmp.Diff(before, encode(t, snapshot)); diff != "" {
		t.Errorf("Plan changed its input (-before +after):\n%s", diff)
	}
	now := subject.Now(snapshot)
	if diff := cmp.Diff(plan.Print(first, now), plan.Print(subject.Plan(decode[Snapshot](t, raw)), now)); diff != "" {
		t.Errorf("Plan gave two plans for the same input:\n%s", diff)
	}
	for _, broken := range plan.Check(first) {
		t.Errorf("the plan breaks a rule: %s", broken)
	}
	if subject.Invariants != nil {
		for _, broken := range subject.Invariants(snapshot, first) {
			t.Errorf("the plan breaks an invariant: %s", broken)
		}
	}
	return first
}

func decode[Snapshot any](t *testing.T, raw []byte) Snapshot {
	t.Helper()
	var snapshot Snapshot
	if err := yaml.UnmarshalStrict(raw, &snapshot); err != nil {
		t.Fatalf("read snapshot: %v", err)
	}
	return snapshot
}

func encode(t *testing.T, v any) string {
	t.Helper()
	raw, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		t.Fatalf("write snapshot: %v", err)
	}
	return string(raw)
}

func section(t *testing.T, archive *txtar.Archive, name string) []byte {
	t.Helper()
	for _, file := range archive.Files {
		if file.Name == name {
			return file.Data
		}
	}
	if name == "plan.txt" && *update {
		return nil
	}
	t.Fatalf("the golden file has no section %s", name)
	return nil
}

func write(t *testing.T, path string, archive *txtar.Archive, got string) {
	t.Helper()
	kept := archive.Files[:0]
	for _, file := range archive.Files {
		if file.Name != "plan.txt" {
			kept = append(kept, file)
		}
	}
	archive.Files = append(kept, txtar.File{Name: "plan.txt", Data: []byte(got)})
	if err := os.WriteFile(path, txtar.Format(archive), 0o644); err != nil {
		t.Fatal(fmt.Errorf("write golden: %w", err))
	}
}
