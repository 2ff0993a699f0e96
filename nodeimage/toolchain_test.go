// SPDX-License-Identifier: Apache-2.0

package nodeimage

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestKubernetesVersionFlags(t *testing.T) {
	facts := moduleFacts{
		Path: kubernetesModule, Version: "v1.37.1", Time: time.Date(2026, 9, 23, 17, 6, 22, 0, time.UTC),
		Sum: "h1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
	}
	flags := func(date string) []string {
		var want []string
		for _, pkg := range []string{"k8s.io/component-base/version.", "k8s.io/client-go/pkg/version."} {
			want = append(want, pkg+"gitVersion=v1.37.1", pkg+"gitMajor=1", pkg+"gitMinor=37",
				pkg+"gitCommit=000102030405060708090a0b0c0d0e0f10111213", pkg+"gitTreeState=clean", pkg+"buildDate="+date)
		}
		return want
	}
	t.Setenv(sourceDateEpoch, "")
	got, err := kubernetesVersionFlags(facts)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(flags("2026-09-23T17:06:22Z"), got); diff != "" {
		t.Error(diff)
	}

	t.Setenv(sourceDateEpoch, "86400")
	if got, err = kubernetesVersionFlags(facts); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(flags("1970-01-02T00:00:00Z"), got); diff != "" {
		t.Error(diff)
	}

	t.Setenv(sourceDateEpoch, "yesterday")
	_, err = kubernetesVersionFlags(facts)
	expectError(t, err, sourceDateEpoch, "yesterday")

	t.Setenv(sourceDateEpoch, "")
	_, err = kubernetesVersionFlags(moduleFacts{Version: "v1", Sum: facts.Sum})
	expectError(t, err, `"v1"`)
	_, err = kubernetesVersionFlags(moduleFacts{Version: "v1.37.1", Sum: "h1:short"})
	expectError(t, err, "h1:short")
}

func TestModuleSum(t *testing.T) {
	file := filepath.Join(writeTree(t, map[string]string{"go.sum": "a.b/c v1.0.0 h1:content=\na.b/c v1.0.0/go.mod h1:mod=\na.b/c v1.0.1/go.mod h1:other=\n"}), "go.sum")
	if got, err := moduleSum(file, "a.b/c", "v1.0.0"); err != nil || got != "h1:content=" {
		t.Errorf("%q, %v", got, err)
	}
	_, err := moduleSum(file, "a.b/c", "v1.0.1") // known by its go.mod only: its content is not pinned
	expectError(t, err, "a.b/c v1.0.1", "go mod tidy")
}

// testToolchain finds Go with the settings that this package's module has.
func testToolchain(t *testing.T) toolchain {
	t.Helper()
	tools, err := findToolchain(t.Context(), ".")
	if err != nil {
		t.Skip(err)
	}
	return tools
}

// TestBuildsDependOnNoEnvironment gives a user every setting that changes what Go
// compiles, in the environment and in the file of go env -w: same inputs must give
// the same binaries, or else be told apart by the hash of the inputs.
func TestBuildsDependOnNoEnvironment(t *testing.T) {
	dir := writeTree(t, map[string]string{
		"m/go.mod":         "module example.com/m\n\ngo 1.26.0\n",
		"m/main.go":        "package main\n\nfunc main() { println(1) }\n",
		"set/env":          "GOFLAGS=-tags=other\nGOEXPERIMENT=nogreenteagc\nGOFIPS140=latest\nGOAMD64=v3\nGOARM64=v9.0\nGOPROXY=https://proxy.example\nGOTOOLCHAIN=local\n",
		"elsewhere/go.mod": "module example.com/elsewhere\n\ngo 1.999.0\n",
	})
	module := filepath.Join(dir, "m")
	build := func(name string) (sum, inputs string, tools toolchain) {
		t.Helper()
		tools, err := findToolchain(t.Context(), module)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, name)
		if err := tools.build(t.Context(), module, path, "", nil, []string{"."}); err != nil {
			t.Fatal(err)
		}
		if sum, err = fileSum(path); err != nil {
			t.Fatal(err)
		}
		inputs, err = binarySet{sources: []string{module}, programs: []program{{module: module}}}.inputs(t.Context(), tools)
		if err != nil {
			t.Fatal(err)
		}
		return sum, inputs, tools
	}
	testToolchain(t)
	sum, inputs, _ := build("plain")
	t.Chdir(filepath.Join(dir, "elsewhere")) // asks for a toolchain that there is none of
	t.Setenv("GOENV", filepath.Join(dir, "set/env"))
	for name, value := range map[string]string{
		"GOAMD64": "v3", "GOARM64": "v9.0", "GOEXPERIMENT": "nogreenteagc", "GOFIPS140": "latest", "GOFLAGS": "-tags=other -ldflags=-w",
		"GOOS": "plan9", "GOARCH": "386", "CGO_ENABLED": "1", "GO111MODULE": "off", "GO_EXTLINK_ENABLED": "1",
	} {
		t.Setenv(name, value)
	}
	otherSum, otherInputs, tools := build("other")
	if otherSum != sum || otherInputs != inputs {
		t.Errorf("binaries %s and %s, inputs %s and %s", sum, otherSum, inputs, otherInputs)
	}
	// Where modules come from stays the user's.
	if got := tools.user["GOPROXY"]; got != "https://proxy.example" {
		t.Errorf("GOPROXY is %q", got)
	}
	for _, name := range []string{"GOCACHE", "GOMODCACHE"} {
		if !filepath.IsAbs(tools.user[name]) {
			t.Errorf("%s is %q", name, tools.user[name])
		}
	}
	// With nothing left in the environment, the file alone must not count either.
	for _, name := range []string{"GOAMD64", "GOARM64", "GOFIPS140", "GOFLAGS", "GOEXPERIMENT"} {
		t.Setenv(name, "")
	}
	if otherSum, _, _ = build("file"); otherSum != sum {
		t.Error("what go env -w has written counts")
	}
}

func TestToolchainModule(t *testing.T) {
	tools := testToolchain(t)
	source, err := FindSource()
	if err != nil {
		t.Fatal(err)
	}
	for _, version := range []string{"v1.37.1", "v1.36.3"} {
		r, err := findRelease(source, version)
		if err != nil {
			t.Fatal(err)
		}
		facts, err := tools.module(t.Context(), r.dir, kubernetesModule)
		if err != nil {
			t.Skipf("needs the module cache: %v", err)
		}
		if facts.Version != version || facts.Time.IsZero() || facts.Sum == "" {
			t.Errorf("facts %+v", facts)
		}
	}
}

// TestModulesKeepUpstreamsVersions holds the promise of separate modules: what is
// built has the dependencies that its own project chose and tested.
func TestModulesKeepUpstreamsVersions(t *testing.T) {
	tools := testToolchain(t)
	source, err := FindSource()
	if err != nil {
		t.Fatal(err)
	}
	releases, err := readReleases(source)
	if err != nil {
		t.Fatal(err)
	}
	pinned := map[string]string{filepath.Join(source, "runtime"): containerdModule}
	for _, r := range releases {
		pinned[r.dir] = kubernetesModule
		pinned[filepath.Join(r.dir, "coredns")] = coreDNSModule
	}
	for dir, module := range pinned {
		list := command{dir: dir, env: tools.environment(), program: tools.path, args: []string{"list", "-m", "-f", "{{.GoMod}}", module}}
		output, err := list.run(t.Context())
		if err != nil {
			t.Skipf("needs the module cache: %v", err)
		}
		ours, upstreams := requirements(t, filepath.Join(dir, "go.mod")), requirements(t, strings.TrimSpace(output))
		common := 0
		for path, version := range upstreams {
			// Kubernetes requires its own parts at v0.0.0 and replaces them.
			if ours[path] == "" || version == "v0.0.0" {
				continue
			}
			common++
			if ours[path] != version {
				t.Errorf("%s: %s is %s, %s has it at %s", dir, path, ours[path], module, version)
			}
		}
		if common < 50 {
			t.Errorf("%s and %s have only %d modules in common; is the file read right?", dir, module, common)
		}
	}
}

// requirements reads the require lines of a go.mod file, module -> version.
func requirements(t *testing.T, file string) map[string]string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for line := range strings.Lines(string(data)) {
		fields := strings.Fields(strings.TrimPrefix(strings.TrimSpace(line), "require "))
		if len(fields) >= 2 && strings.HasPrefix(fields[1], "v") && strings.Contains(fields[0], ".") {
			found[fields[0]] = fields[1]
		}
	}
	return found
}
