// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// run is a run in which everything took so many seconds.
func run(seconds float64, failures ...string) changes {
	c := newChanges()
	for i, phases := range [][]phase{growPhases, upgradePhases, repairPhases, repairPhases} {
		stage := stages[i].name
		c.taken[stage] = timing{}
		for _, phase := range phases {
			c.taken[stage][phase.name] = time.Duration(seconds * float64(time.Second))
		}
		c.asked[stage] = []asked{{questions: 100, gap: 200 * time.Millisecond}, {questions: 100, failures: failures, gap: time.Duration(seconds * float64(time.Second))}}
		c.used[stage] = map[string]usage{"slipway": {cpu: time.Duration(seconds * float64(time.Second)), peak: int64(seconds) << 20}, "etcd": {}}
	}
	return c
}

func TestUpgradeTables(t *testing.T) {
	b := &bench{from: before, version: after, runs: 3, load: "0.10"}
	text := b.upgradeTables([]changes{run(12), run(15, "refused"), run(90)}, []changes{run(10), run(10), run(11)})
	for _, want := range []string{
		"Taken with `make bench-upgrade` on ", "Kubernetes v1.36.3 to v1.37.1, 3 control planes and 1 worker, medians of 3 runs each",
		"| a second and a third control plane are made | one that is kept | 300 | 1 | 90.00 s | 0 of 300 | 11.00 s |\n",
		"| a control plane is killed that leads etcd, and replaced | a new one each time | 300 | 0 | 0.20 s | - | - |\n",
		"| **all is settled** | 15.0 | 10.0 |\n",
		"Slipway takes 1.50 times the floor (aim: at most 1.5). All runs, in seconds until all was settled: Slipway 12.0, 15.0, 90.0; floor 10.0, 10.0, 11.0.\n",
		"| **it is replaced and all is settled** | 15.0 | 15.0 |\n",
		"| etcd | 0.0 s, 0 MiB | 0.0 s, 0 MiB | 0.0 s, 0 MiB | 0.0 s, 0 MiB |\n| slipway | 15.0 s, 90 MiB |",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the tables lack %q:\n%s", want, text)
		}
	}
}

// The tables of one target stay when those of another are written.
func TestReplace(t *testing.T) {
	file := filepath.Join(t.TempDir(), "performance.md")
	const text = "# Figures\n<!-- begin: make bench-quickstart -->\nold\n<!-- end: make bench-quickstart -->\nand\n<!-- begin: make bench-upgrade -->\n<!-- end: make bench-upgrade -->\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := replace(file, "bench-upgrade", "new\n"); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(file)
	if want := strings.Replace(text, "upgrade -->\n", "upgrade -->\nnew\n", 1); err != nil || string(got) != want {
		t.Errorf("%v, got:\n%s", err, got)
	}
	if err := replace(file, "bench-other", "new\n"); err == nil || !strings.Contains(err.Error(), "begin: make bench-other") {
		t.Errorf("a file without the marks gives %v", err)
	}
}

// The file of the tree has the marks of all modes.
func TestMarks(t *testing.T) {
	tree, err := os.ReadFile("../../docs/performance.md")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "performance.md")
	if err := os.WriteFile(file, tree, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, mode := range modes {
		if err := replace(file, mode.target, "new\n"); err != nil {
			t.Error(err)
		}
	}
}
