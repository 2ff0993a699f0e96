// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const upgradeVariable = "SLIPWAY_E2E_UPGRADE"

// The versions of examples/talk.
const talkFrom, talkTo = "v1.36.3", "v1.37.1"

// needUpgrade skips a test that needs the images of both versions, unless it is asked for.
func needUpgrade(t *testing.T) {
	t.Helper()
	needEngine(t)
	if os.Getenv(upgradeVariable) == "" {
		t.Skipf("needs the node images of %s and %s, and minutes: set %s=1", talkFrom, talkTo, upgradeVariable)
	}
}

// talkFile is a file of examples/talk as it stands.
func talkFile(name string) string { return filepath.Join(checkout, "examples", "talk", name) }

// TestUpgrade is what examples/talk shows, with its files as they stand: three control planes and a worker at one version,
// the control planes upgraded, the worker after them.
func TestUpgrade(t *testing.T) {
	needUpgrade(t)
	m := startManagement(t)
	before := m.mustObjects()
	m.mustKubectl("", "apply", "--server-side", "-f", talkFile("1-cluster.yaml"), "-f", talkFile("2-docker-cluster.yaml"), "-f", talkFile("3-control-plane.yaml"),
		"-f", talkFile("4-workers.yaml"), "-f", talkFile("5-network.yaml"))
	w := m.awaitCluster(keyOf("demo"), 3, 1)
	w.expectVoters(t, 3)
	m.mustKubectl("", "scale", "machinedeployment", "demo-workers", "--replicas=3")
	m.awaitCluster(w.key, 3, 3)
	service := w.serve(t)

	m.step("control plane", func(t *testing.T) {
		planned := m.plannedMachines(talkFile("6-upgrade.yaml"))
		recorded := m.recordMachines()
		served, fresh, same := w.askServer(t, service), w.askAPI(t, false), w.askAPI(t, true)
		m.mustKubectl("", "apply", "--server-side", "--field-manager=upgrade", "--force-conflicts", "-f", talkFile("6-upgrade.yaml"))
		w.awaitRollout(t, talkTo, func([]string) string { return "" })
		m.awaitCluster(w.key, 3, 3)
		w.expectVoters(t, 3)
		w.expectAddons(t, talkTo)
		served.expect(0, gapLimit)
		fresh.expect(0, gapLimit)
		same.expect(0, gapLimit)
		if got, want := w.nodeVersions(t, 1), []string{talkTo, talkTo, talkTo}; !slices.Equal(got, want) {
			t.Errorf("control planes are at %v; want %v", got, want)
		}
		if got, want := w.nodeVersions(t, 0), []string{talkFrom, talkFrom, talkFrom}; !slices.Equal(got, want) {
			t.Errorf("workers are at %v; want %v", got, want)
		}
		if happened := recorded(); !slices.Equal(planned, happened) {
			t.Errorf("slipway plan printed\n  %s\nand what happened is\n  %s", strings.Join(planned, "\n  "), strings.Join(happened, "\n  "))
		}
	})
	m.step("workers", func(t *testing.T) {
		m.must("upgrade", "cluster", "demo", "--to", talkTo, "--wait")
		m.awaitCluster(w.key, 3, 3)
		if got, want := w.nodeVersions(t, 0), []string{talkTo, talkTo, talkTo}; !slices.Equal(got, want) {
			t.Errorf("workers are at %v; want %v", got, want)
		}
		w.expectAddons(t, talkTo)
	})
	m.step("settled", w.testSettled)
	m.sees()
	stay := append(remains(m.mustObjects()), before...)
	m.mustKubectl("", "delete", "cluster", "demo", "--timeout=4m")
	m.expectNothingLeft(stay)
}

// TestUpgradeCommand upgrades a cluster that create cluster has made, with one command.
func TestUpgradeCommand(t *testing.T) {
	needUpgrade(t)
	m := startManagement(t)
	m.must("create", "cluster", "one", "--kubernetes-version", talkFrom, "--control-plane-machine-count", "3", "--worker-machine-count", "1", "--wait")
	w := m.awaitCluster(keyOf("one"), 3, 1)
	fresh := w.askAPI(t, false)
	m.must("upgrade", "cluster", "one", "--to", talkTo, "--wait")
	m.awaitCluster(w.key, 3, 1)
	fresh.expect(0, gapLimit)
	w.expectVoters(t, 3)
	w.expectAddons(t, talkTo)
	if got := append(w.nodeVersions(t, 1), w.nodeVersions(t, 0)...); slices.ContainsFunc(got, func(version string) bool { return version != talkTo }) {
		t.Errorf("nodes are at %v; want %s", got, talkTo)
	}
	m.sees()
	m.must("delete", "cluster", "one", "--wait")
}

// plannedMachines are what slipway plan says would be done to Machines, in order. Applying the file names the same manager.
func (m *management) plannedMachines(file string) []string {
	m.t.Helper()
	var printed struct {
		Actions []struct {
			Do, Target string
			Invented   bool
		}
		Reached []struct {
			Text    string
			Settled bool
		}
		Notes []string
	}
	answer := m.must("plan", "-f", file, "--field-manager", "upgrade", "--force-conflicts", "-o", "json")
	if err := json.Unmarshal([]byte(answer), &printed); err != nil {
		m.t.Fatal(err)
	}
	var planned []string
	for _, action := range printed.Actions {
		name, isMachine := strings.CutPrefix(action.Target, "Machine default/")
		if !isMachine || (action.Do != "create" && action.Do != "delete") {
			continue
		}
		planned = append(planned, action.Do+" "+name)
		if action.Invented {
			m.t.Errorf("slipway plan does not know the name of %s, whose owner is there", name)
		}
	}
	for _, reached := range printed.Reached {
		if !reached.Settled {
			m.t.Errorf("slipway plan does not see the end: %s", reached.Text)
		}
	}
	for _, note := range printed.Notes {
		if strings.Contains(note, "not looked at") || strings.Contains(note, "could not be asked") {
			m.t.Errorf("slipway plan has not seen all: %s", note)
		}
	}
	// Three machines come and three go; with none found, nothing would be compared.
	if len(planned) != 6 {
		m.t.Errorf("slipway plan tells of %d Machines that are made or deleted; want 6:\n%s", len(planned), answer)
	}
	return planned
}

// wroteMachine is a Machine that is made or deleted, in a log line of the controllers.
var wroteMachine = regexp.MustCompile(`(create|delete) Machine [a-z0-9.-]+/([a-z0-9.-]+)`)

// recordMachines begins to look at what controllers do to Machines; the function that it returns gives it, in order.
func (m *management) recordMachines() func() []string {
	m.t.Helper()
	already := len(m.acted(m.t))
	return func() []string {
		m.t.Helper()
		var done []string
		for _, line := range m.acted(m.t)[already:] {
			for _, found := range wroteMachine.FindAllStringSubmatch(line, -1) {
				// What failed and is tried again is told again.
				if wrote := found[1] + " " + found[2]; !slices.Contains(done, wrote) {
					done = append(done, wrote)
				}
			}
		}
		return done
	}
}
