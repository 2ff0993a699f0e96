// SPDX-License-Identifier: Apache-2.0

package nodeimage

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

// sourceDateEpoch names the variable that fixes build dates (seconds since 1970),
// by the convention of reproducible-builds.org.
const sourceDateEpoch = "SOURCE_DATE_EPOCH"

// toolchain is the Go toolchain that compiles.
type toolchain struct {
	path string
	user map[string]string // the user's own of userSettings
}

// userSettings are the settings of the user's that builds go on with: where
// modules and toolchains come from and where caches are. Of them, only
// GOTOOLCHAIN shows in what is built, by the toolchain's version.
var userSettings = []string{
	"GOPROXY", "GONOPROXY", "GOSUMDB", "GONOSUMDB", "GOPRIVATE", "GOINSECURE", "GOAUTH", "GOVCS", "GOTOOLCHAIN",
	"GOCACHE", "GOCACHEPROG", "GOPATH", "GOMODCACHE", "GOTMPDIR",
}

// buildSettings decide what comes out of a build. None is left to the user's
// environment, nor to the file that go env -w writes: Go takes an empty variable
// from there, so what can have a value has one here.
var buildSettings = []string{
	"GOENV=off", "GOWORK=off", "GO111MODULE=on", "GOFLAGS=-trimpath", "CGO_ENABLED=0", "GOOS=linux", "GOARCH=" + runtime.GOARCH,
	"GOAMD64=v1", "GOARM64=v8.0", "GOFIPS140=off", "GOEXPERIMENT=", "GO_EXTLINK_ENABLED=", "GO_LDSO=",
}

// findToolchain finds Go, with the user's settings as they are in a module that
// will be built. (The working directory's module may ask for another toolchain,
// or for one that cannot be had.)
func findToolchain(ctx context.Context, module string) (toolchain, error) {
	path, err := findProgram("go", "compiling Kubernetes", "install Go 1.26.6 or newer (https://go.dev/dl) and run this again")
	if err != nil {
		return toolchain{}, err
	}
	ask := command{dir: module, env: []string{"GOWORK=off", "GOFLAGS="}, program: path, args: append([]string{"env", "-json"}, userSettings...)}
	output, err := ask.run(ctx)
	if err != nil {
		return toolchain{}, fmt.Errorf("ask Go for its settings: %w", err)
	}
	t := toolchain{path: path}
	if err := json.Unmarshal([]byte(output), &t.user); err != nil {
		return toolchain{}, fmt.Errorf("ask Go for its settings: %w", err)
	}
	return t, nil
}

// environment makes builds depend on the module and the toolchain alone.
func (t toolchain) environment() []string {
	environment := slices.Clone(buildSettings)
	for _, name := range userSettings {
		if value, known := t.user[name]; known {
			environment = append(environment, name+"="+value)
		}
	}
	return environment
}

// version is the version of the toolchain that compiles a module, "go1.26.8": its
// go.mod may ask for a newer one than the one that was found. Experiments that
// the toolchain itself was set up with come after it.
func (t toolchain) version(ctx context.Context, module string) (string, error) {
	output, err := command{dir: module, env: t.environment(), program: t.path, args: []string{"env", "GOVERSION", "GOEXPERIMENT"}}.run(ctx)
	if err != nil {
		return "", fmt.Errorf("ask Go for its version: %w", err)
	}
	return strings.Join(strings.Fields(output), " "), nil
}

// build compiles packages of the module in dir into output.
func (t toolchain) build(ctx context.Context, dir, output, tags string, settings, packages []string) error {
	linker := "-s -w -buildid="
	for _, setting := range settings {
		linker += " -X " + setting
	}
	args := []string{"build", "-trimpath", "-buildvcs=false", "-mod=readonly", "-ldflags", linker, "-o", output}
	if tags != "" {
		args = append(args, "-tags", tags)
	}
	args = append(args, packages...)
	_, err := command{dir: dir, env: t.environment(), program: t.path, args: args}.run(ctx)
	if err != nil {
		return fmt.Errorf("compile %s in %s: %w", strings.Join(packages, " "), dir, err)
	}
	return nil
}

// moduleFacts is what is known of a module that a build takes its version from.
type moduleFacts struct {
	Path    string
	Version string
	Time    time.Time // when the version was tagged
	Sum     string    // h1:<base64>, from go.sum
}

// module returns the facts of one module that the module in dir requires.
func (t toolchain) module(ctx context.Context, dir, path string) (moduleFacts, error) {
	output, err := command{dir: dir, env: t.environment(), program: t.path, args: []string{"list", "-mod=readonly", "-m", "-json", path}}.run(ctx)
	if err != nil {
		return moduleFacts{}, fmt.Errorf("look up module %s: %w", path, err)
	}
	var facts moduleFacts
	if err := json.Unmarshal([]byte(output), &facts); err != nil {
		return moduleFacts{}, fmt.Errorf("look up module %s: %w", path, err)
	}
	if facts.Sum, err = moduleSum(filepath.Join(dir, "go.sum"), path, facts.Version); err != nil {
		return moduleFacts{}, err
	}
	return facts, nil
}

// moduleSum finds the hash of a module's contents in a go.sum file.
func moduleSum(file, path, version string) (string, error) {
	data, err := os.Open(file)
	if err != nil {
		return "", fmt.Errorf("read go.sum: %w", err)
	}
	defer data.Close()
	lines := bufio.NewScanner(data)
	for lines.Scan() {
		if fields := strings.Fields(lines.Text()); len(fields) == 3 && fields[0] == path && fields[1] == version {
			return fields[2], nil
		}
	}
	if err := lines.Err(); err != nil {
		return "", fmt.Errorf("read go.sum: %w", err)
	}
	return "", fmt.Errorf("read %s: no entry for %s %s; run go mod tidy there", file, path, version)
}

// kubernetesVersionFlags are the linker settings that tell Kubernetes its
// version; without them kubeadm refuses to work with its own components. The
// build date is the version's own, or $SOURCE_DATE_EPOCH, so that it does not
// change from build to build. A module carries no git commit: in its place goes
// the beginning of the hash that go.sum pins the source by.
func kubernetesVersionFlags(facts moduleFacts) ([]string, error) {
	numbers := strings.SplitN(strings.TrimPrefix(facts.Version, "v"), ".", 3)
	if len(numbers) != 3 {
		return nil, fmt.Errorf("version of %s is %q, not of the form v1.37.1", facts.Path, facts.Version)
	}
	digest, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(facts.Sum, "h1:"))
	if err != nil || len(digest) < 20 {
		return nil, fmt.Errorf("hash of %s in go.sum is %q, not of the form h1:<base64>", facts.Path, facts.Sum)
	}
	date := facts.Time
	if epoch := os.Getenv(sourceDateEpoch); epoch != "" {
		seconds, err := strconv.ParseInt(epoch, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("%s is %q, not a number of seconds", sourceDateEpoch, epoch)
		}
		date = time.Unix(seconds, 0)
	}
	var flags []string
	// component-base tells servers and kubeadm, client-go fills the user agent.
	for _, pkg := range []string{"k8s.io/component-base/version", "k8s.io/client-go/pkg/version"} {
		flags = append(flags,
			pkg+".gitVersion="+facts.Version,
			pkg+".gitMajor="+numbers[0],
			pkg+".gitMinor="+numbers[1],
			pkg+".gitCommit="+hex.EncodeToString(digest[:20]),
			pkg+".gitTreeState=clean",
			pkg+".buildDate="+date.UTC().Format(time.RFC3339),
		)
	}
	return flags, nil
}
