// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestVersionToKeep(t *testing.T) {
	for recorded, want := range map[string]string{
		"": defaultKubernetesVersion, defaultKubernetesVersion: defaultKubernetesVersion, "v1.36.3": "v1.36.3",
		"v1.99.0": "v1.99.0", "unknown": defaultKubernetesVersion,
	} {
		version, note := versionToKeep(recorded)
		if version != want {
			t.Errorf("of data by %q: %s, want %s", recorded, version, want)
		}
		if told := strings.Contains(note, recorded) && strings.Contains(note, "--kubernetes-version "+defaultKubernetesVersion); told != (want != defaultKubernetesVersion) {
			t.Errorf("of data by %q it is said: %q", recorded, note)
		}
	}
}

// Up without a version builds and starts that of the data, not the default.
func TestUpKeepsTheVersionOfTheData(t *testing.T) {
	home := t.TempDir()
	// A version that nobody can build ends the start before anything is made.
	if err := os.WriteFile(filepath.Join(home, "settings.json"), []byte(`{"kubernetesVersion":"v1.2.3"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SLIPWAY_CACHE", t.TempDir())
	for _, more := range [][]string{nil, {"--detach"}} {
		tool, _, failures := newTool()
		if code := tool.run(context.Background(), append([]string{"up", "--home", home}, more...)); code == 0 {
			t.Fatalf("up %v: started", more)
		}
		if said := failures.String(); !strings.Contains(said, "The data is of Kubernetes v1.2.3") || strings.Count(said, "v1.2.3") < 2 {
			t.Errorf("up %v said: %s", more, said)
		}
	}
	arguments := detachedArguments(upFlags{kubernetesVersion: "v1.36.3"})
	if at := slices.Index(arguments, "--kubernetes-version"); at < 0 || arguments[at+1] != "v1.36.3" {
		t.Errorf("arguments of the process in the background: %v", arguments)
	}
}

// A version that cannot go on with the data is refused before it is built.
func TestUpRefusesOlderKubernetesFirst(t *testing.T) {
	home, cache := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(home, "settings.json"), []byte(`{"kubernetesVersion":"v1.37.1"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SLIPWAY_CACHE", cache)
	for _, more := range [][]string{nil, {"--detach"}} {
		tool, _, failures := newTool()
		if code := tool.run(context.Background(), append([]string{"up", "--home", home, "--kubernetes-version", "v1.36.3"}, more...)); code == 0 {
			t.Fatalf("up %v: started", more)
		}
		if said := failures.String(); !strings.Contains(said, "written by Kubernetes v1.37.1") || strings.Contains(said, "...") {
			t.Errorf("up %v said: %s", more, said)
		}
	}
	if built, err := os.ReadDir(cache); err != nil || len(built) > 0 {
		t.Errorf("something was built first: %v %v", built, err)
	}
}

func TestUpLeavesDirectoriesOfOthersAlone(t *testing.T) {
	home := t.TempDir()
	if err := os.WriteFile(filepath.Join(home, "thesis.txt"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	tool, _, failures := newTool()
	if code := tool.run(context.Background(), []string{"up", "--home", home, "--kubernetes-version", "v1.2.3"}); code == 0 {
		t.Fatal("it started")
	}
	if !strings.Contains(failures.String(), "is no data directory of slipway") {
		t.Errorf("it said: %s", failures)
	}
}
