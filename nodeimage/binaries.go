// SPDX-License-Identifier: Apache-2.0

package nodeimage

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// kubernetesNames are the names that the binary kubernetes is called by.
var kubernetesNames = []string{
	"kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy", "kubelet", "kubeadm", "kubectl",
}

// inputsFile, in a directory of the cache, holds the hash of what it was made from.
const inputsFile = ".inputs"

// Binaries builds, or finds already built, the Kubernetes binaries of a version
// and returns their directory, <cache>/binaries/<version>. It holds kubernetes,
// the names in its place (kube-apiserver, kube-controller-manager,
// kube-scheduler, kube-proxy, kubelet, kubeadm, kubectl: symbolic links), etcd
// and coredns, all static. The first build of a minor takes about ten minutes on
// two cores; later ones seconds.
func Binaries(ctx context.Context, o Options) (string, error) {
	cache, err := o.cacheDir()
	if err != nil {
		return "", err
	}
	found, err := findRelease(o.SourceDir, o.Version)
	if err != nil {
		return "", err
	}
	go1, err := findToolchain(ctx, found.dir)
	if err != nil {
		return "", err
	}
	set := kubernetesSet(found)
	dir, fresh, err := set.lookup(ctx, o, go1, cache)
	if err != nil || fresh {
		return dir, err
	}
	unlock, err := lockCache(ctx, o, cache)
	if err != nil {
		return "", err
	}
	defer unlock()
	return set.ensure(ctx, o, go1, cache)
}

// BuiltBinaries finds the directory of binaries that were built before, without a
// checkout or a toolchain to say whether they are still those of the sources. ok is
// false when there are none of the version.
func BuiltBinaries(o Options) (dir string, ok bool, err error) {
	cache, err := o.cacheDir()
	if err != nil {
		return "", false, err
	}
	dir = filepath.Join(cache, "binaries", o.Version)
	_, err = os.Stat(filepath.Join(dir, inputsFile))
	if errors.Is(err, fs.ErrNotExist) {
		return "", false, nil
	}
	return dir, err == nil, err
}

// binarySet is a directory of binaries that are built together.
type binarySet struct {
	name     string // its directory under <cache>/binaries
	title    string // for progress
	sources  []string
	programs []program
	links    map[string][]string // program -> further names
}

// program is one compilation.
type program struct {
	output  string   // file name; for several packages the directory's files are named by them
	module  string   // directory with go.mod
	pkgs    []string // packages, or "tool" for all tools of the module
	tags    string
	version func(context.Context, toolchain) ([]string, error) // -X settings
}

// kubernetesSet is what Binaries builds.
func kubernetesSet(r release) binarySet {
	return binarySet{
		name: r.version, title: "Kubernetes " + r.version,
		sources: []string{r.dir},
		programs: []program{
			{output: "etcd", module: r.dir, pkgs: []string{"./etcd"}},
			{output: "kubernetes", module: r.dir, pkgs: []string{"./kubernetes"}, version: func(ctx context.Context, t toolchain) ([]string, error) {
				facts, err := t.module(ctx, r.dir, kubernetesModule)
				if err != nil {
					return nil, err
				}
				return kubernetesVersionFlags(facts)
			}},
			{output: "coredns", module: filepath.Join(r.dir, "coredns"), pkgs: []string{coreDNSModule}},
		},
		links: map[string][]string{"kubernetes": kubernetesNames},
	}
}

// networkSet is the pod network's agent, in a set of its own because its image is
// built without a node image too.
func networkSet(sourceDir string) binarySet {
	module := filepath.Join(sourceDir, "network")
	return binarySet{
		name: "network", title: "the pod network's agent",
		sources:  []string{module},
		programs: []program{{output: networkProgram, module: module, pkgs: []string{"."}}},
	}
}

// runtimeSet is what runs below Kubernetes on every node, whatever its version.
func runtimeSet(sourceDir string) binarySet {
	module := filepath.Join(sourceDir, "runtime")
	return binarySet{
		name: "runtime", title: "containerd and network plugins",
		sources: []string{module},
		programs: []program{
			{output: "", module: module, pkgs: []string{"tool"}, tags: "no_btrfs no_devmapper no_zfs no_aufs", version: func(ctx context.Context, t toolchain) ([]string, error) {
				facts, err := t.module(ctx, module, containerdModule)
				if err != nil {
					return nil, err
				}
				return []string{containerdModule + "/version.Version=" + facts.Version, containerdModule + "/version.Package=" + containerdModule}, nil
			}},
			{output: "pause", module: module, pkgs: []string{"./pause"}},
			{output: "imagestore", module: module, pkgs: []string{"./imagestore"}},
		},
	}
}

// lookup says where the set is and whether it was built from today's sources by
// today's toolchain.
func (s binarySet) lookup(ctx context.Context, o Options, t toolchain, cache string) (dir string, fresh bool, err error) {
	dir = filepath.Join(cache, "binaries", s.name)
	inputs, err := s.inputs(ctx, t)
	if err != nil {
		return "", false, err
	}
	recorded, err := os.ReadFile(filepath.Join(dir, inputsFile))
	return dir, err == nil && string(recorded) == inputs && !o.again(dir), nil
}

// inputs hashes everything that the binaries depend on.
func (s binarySet) inputs(ctx context.Context, t toolchain) (string, error) {
	hash := newContentHash("binaries/1")
	hash.add("settings", append([]string{os.Getenv(sourceDateEpoch)}, buildSettings...)...)
	asked := map[string]bool{}
	for _, p := range s.programs {
		if asked[p.module] {
			continue
		}
		asked[p.module] = true
		version, err := t.version(ctx, p.module)
		if err != nil {
			return "", err
		}
		hash.add("toolchain", version)
	}
	for _, dir := range s.sources {
		if err := hash.addSources(dir); err != nil {
			return "", err
		}
	}
	return hash.sum(), nil
}

// ensure builds the set unless it is there. The caller holds the cache's lock.
func (s binarySet) ensure(ctx context.Context, o Options, t toolchain, cache string) (string, error) {
	dir, fresh, err := s.lookup(ctx, o, t, cache)
	if err != nil || fresh {
		return dir, err
	}
	err = checkSpace([]need{
		{path: t.user["GOCACHE"], bytes: 3 * gibibyte, what: "Go's build cache"},
		{path: t.user["GOMODCACHE"], bytes: 1 * gibibyte, what: "Go's module cache"},
		{path: cache, bytes: gibibyte / 2, what: "binaries"},
	}, measureFree)
	if err != nil {
		return "", fmt.Errorf("build %s: %w", s.title, err)
	}
	inputs, err := s.inputs(ctx, t)
	if err != nil {
		return "", err
	}
	building, err := makeUnfinished(dir)
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(building)
	for _, p := range s.programs {
		if err := p.build(ctx, o, t, building); err != nil {
			return "", fmt.Errorf("build %s: %w", s.title, err)
		}
	}
	for target, names := range s.links {
		for _, name := range names {
			if err := os.Symlink(target, filepath.Join(building, name)); err != nil {
				return "", fmt.Errorf("link %s: %w", name, err)
			}
		}
	}
	if err := os.WriteFile(filepath.Join(building, inputsFile), []byte(inputs), 0o644); err != nil {
		return "", fmt.Errorf("record inputs: %w", err)
	}
	if err := replaceDir(building, dir); err != nil {
		return "", err
	}
	o.renewed(dir)
	return dir, nil
}

func (p program) build(ctx context.Context, o Options, t toolchain, dir string) error {
	name := p.output
	if name == "" {
		name = "containerd, network plugins"
	}
	done := o.phase("Compiling "+name, "from "+filepath.Base(p.module))
	var flags []string
	if p.version != nil {
		var err error
		if flags, err = p.version(ctx, t); err != nil {
			return err
		}
	}
	// The trailing separator makes go build write one file a package into it.
	if err := t.build(ctx, p.module, dir+string(filepath.Separator)+p.output, p.tags, flags, p.pkgs); err != nil {
		return err
	}
	done("")
	return nil
}
