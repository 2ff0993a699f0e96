// SPDX-License-Identifier: Apache-2.0

package nodeimage

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// SourceEnvironment names the variable with a checkout's root (or its nodeimage
// folder), for binaries that were moved away from their checkout.
const SourceEnvironment = "SLIPWAY_SOURCE"

// Paths of modules that decide what is built.
const (
	kubernetesModule = "k8s.io/kubernetes"
	etcdModule       = "go.etcd.io/etcd/server/v3"
	coreDNSModule    = "github.com/coredns/coredns"
	containerdModule = "github.com/containerd/containerd/v2"
)

// release is one Kubernetes version that a checkout can build.
type release struct {
	version string // v1.37.1
	dir     string // absolute path of v1.37/
	etcd    string // v3.7.0
	coreDNS string // v1.14.6
}

// FindSource returns the nodeimage folder to build from: $SLIPWAY_SOURCE if set,
// else the checkout that the executable lies in (<checkout>/bin/slipway), else
// the one that the working directory lies in.
func FindSource() (string, error) {
	if dir := os.Getenv(SourceEnvironment); dir != "" {
		for _, candidate := range []string{filepath.Join(dir, "nodeimage"), dir} {
			if isSource(candidate) {
				return filepath.Abs(candidate)
			}
		}
		return "", fmt.Errorf("find sources: %s is %q, which is no checkout of slipway (no nodeimage folder with a version in it); point it to one", SourceEnvironment, dir)
	}
	var starts []string
	if executable, err := os.Executable(); err == nil {
		if resolved, err := filepath.EvalSymlinks(executable); err == nil {
			executable = resolved
		}
		starts = append(starts, filepath.Dir(filepath.Dir(executable)))
	}
	if working, err := os.Getwd(); err == nil {
		for dir := working; ; dir = filepath.Dir(dir) {
			starts = append(starts, dir)
			if dir == filepath.Dir(dir) {
				break
			}
		}
	}
	for _, start := range starts {
		if candidate := filepath.Join(start, "nodeimage"); isSource(candidate) {
			return candidate, nil
		}
	}
	return "", fmt.Errorf("find sources: images are built from a checkout of slipway, and neither the executable nor the working directory is in one; change into a checkout or set %s to it", SourceEnvironment)
}

// isSource says whether dir is the nodeimage folder of a checkout.
func isSource(dir string) bool {
	releases, err := readReleases(dir)
	return err == nil && len(releases) > 0
}

// Versions returns the Kubernetes versions that a checkout can build, newest
// first. An empty sourceDir is found by FindSource.
func Versions(sourceDir string) ([]string, error) {
	releases, err := releasesIn(sourceDir)
	if err != nil {
		return nil, err
	}
	versions := make([]string, len(releases))
	for i, r := range releases {
		versions[i] = r.version
	}
	return versions, nil
}

func releasesIn(sourceDir string) ([]release, error) {
	if sourceDir == "" {
		found, err := FindSource()
		if err != nil {
			return nil, err
		}
		sourceDir = found
	}
	releases, err := readReleases(sourceDir)
	if err != nil {
		return nil, err
	}
	if len(releases) == 0 {
		return nil, fmt.Errorf("find sources: %s holds no Kubernetes version (a folder such as v1.37 with a go.mod)", sourceDir)
	}
	return releases, nil
}

// findRelease returns the release of a version, or an error that names those there are.
func findRelease(sourceDir, version string) (release, error) {
	releases, err := releasesIn(sourceDir)
	if err != nil {
		return release{}, err
	}
	wanted := "v" + strings.TrimPrefix(version, "v")
	var have []string
	for _, r := range releases {
		if r.version == wanted {
			return r, nil
		}
		have = append(have, r.version)
	}
	return release{}, fmt.Errorf("build Kubernetes %q: this checkout has %s; to add a version see docs/checklists/add-a-kubernetes-version.md", version, strings.Join(have, ", "))
}

var minorFolder = regexp.MustCompile(`^v1\.[0-9]+$`)

// readReleases reads every v1.<minor> folder of sourceDir, newest version first.
func readReleases(sourceDir string) ([]release, error) {
	absolute, err := filepath.Abs(sourceDir)
	if err != nil {
		return nil, fmt.Errorf("find sources: %w", err)
	}
	entries, err := os.ReadDir(absolute)
	if err != nil {
		return nil, fmt.Errorf("find sources: %w", err)
	}
	var releases []release
	for _, entry := range entries {
		if !entry.IsDir() || !minorFolder.MatchString(entry.Name()) {
			continue
		}
		r, err := readRelease(filepath.Join(absolute, entry.Name()))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		releases = append(releases, r)
	}
	slices.SortFunc(releases, func(a, b release) int { return compareVersions(b.version, a.version) })
	return releases, nil
}

func readRelease(dir string) (release, error) {
	r := release{dir: dir}
	var err error
	if r.version, err = requiredVersion(filepath.Join(dir, "go.mod"), kubernetesModule); err != nil {
		return release{}, err
	}
	if r.etcd, err = requiredVersion(filepath.Join(dir, "go.mod"), etcdModule); err != nil {
		return release{}, err
	}
	if r.coreDNS, err = requiredVersion(filepath.Join(dir, "coredns", "go.mod"), coreDNSModule); err != nil {
		return release{}, err
	}
	if minor := filepath.Base(dir); !strings.HasPrefix(r.version, minor+".") {
		return release{}, fmt.Errorf("read %s: it requires %s %s, which does not belong into a folder named %s", filepath.Join(dir, "go.mod"), kubernetesModule, r.version, minor)
	}
	return r, nil
}

// requiredVersion returns the version at which a go.mod file requires a module.
// It reads lines of the form "[require] <module> <version> [// comment]" and
// nothing else, so that listing versions needs no Go toolchain.
func requiredVersion(file, module string) (string, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("read module file: %w", err)
	}
	for line := range strings.Lines(string(data)) {
		fields := strings.Fields(line)
		if len(fields) > 0 && fields[0] == "require" {
			fields = fields[1:]
		}
		if len(fields) >= 2 && fields[0] == module && strings.HasPrefix(fields[1], "v") {
			return fields[1], nil
		}
	}
	return "", fmt.Errorf("read module file %s: it does not require %s", file, module)
}

// compareVersions orders versions such as v1.37.1 by their numbers. A part that
// is no number counts as 0.
func compareVersions(a, b string) int {
	left, right := versionNumbers(a), versionNumbers(b)
	return slices.Compare(left[:], right[:])
}

func versionNumbers(version string) [3]int {
	var numbers [3]int
	for i, part := range strings.SplitN(strings.TrimPrefix(version, "v"), ".", 3) {
		numbers[i], _ = strconv.Atoi(part)
	}
	return numbers
}
