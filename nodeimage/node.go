// SPDX-License-Identifier: Apache-2.0

package nodeimage

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// NodeRepository is the name of node images; their tag is the Kubernetes version.
const NodeRepository = "slipway/node"

// BuildNode builds the node image of a Kubernetes version, or finds it already
// built: slipway/node:<version>. The image follows the conventions of kind's node
// images, so that either works in the other's place.
func BuildNode(ctx context.Context, o Options) (Image, error) {
	b, err := newNodeBuild(ctx, o)
	if err != nil {
		return Image{}, err
	}
	defer b.engine.close()
	content, err := b.content(ctx)
	if err != nil {
		return Image{}, err
	}
	if image, ok, err := b.reuse(ctx, content); ok || err != nil {
		return image, err
	}
	unlock, err := lockCache(ctx, o, b.cache)
	if err != nil {
		return Image{}, err
	}
	defer unlock()
	if err := b.checkSpace(ctx); err != nil {
		return Image{}, err
	}
	if b.base, err = ensureBase(ctx, o, b.cache); err != nil {
		return Image{}, err
	}
	// Only now are the base's packages known; and another build may have made
	// the image while this one waited.
	if content, err = b.content(ctx); err != nil {
		return Image{}, err
	}
	if image, ok, err := b.reuse(ctx, content); ok || err != nil {
		return image, err
	}
	if b.runtime, err = b.runtimeSet.ensure(ctx, o, b.toolchain, b.cache); err != nil {
		return Image{}, err
	}
	if b.network, err = b.networkSet.ensure(ctx, o, b.toolchain, b.cache); err != nil {
		return Image{}, err
	}
	if b.kubernetes, err = b.kubernetesSet.ensure(ctx, o, b.toolchain, b.cache); err != nil {
		return Image{}, err
	}
	return b.build(ctx, content)
}

// nodeBuild is what building one node image knows.
type nodeBuild struct {
	options       Options
	cache, source string
	release       release
	engine        engine
	toolchain     toolchain
	record        record
	reference     string

	runtimeSet, networkSet, kubernetesSet binarySet

	// Known once built.
	base                         base
	runtime, network, kubernetes string // directories of binaries
}

func newNodeBuild(ctx context.Context, o Options) (*nodeBuild, error) {
	cache, err := o.cacheDir()
	if err != nil {
		return nil, err
	}
	found, err := findRelease(o.SourceDir, o.Version)
	if err != nil {
		return nil, err
	}
	t, err := findToolchain(ctx, found.dir)
	if err != nil {
		return nil, err
	}
	e, err := connect(ctx, o.Docker)
	if err != nil {
		return nil, err
	}
	source := filepath.Dir(found.dir)
	return &nodeBuild{
		options: o, cache: cache, source: source, release: found, engine: e, toolchain: t,
		runtimeSet: runtimeSet(source), networkSet: networkSet(source), kubernetesSet: kubernetesSet(found),
		record:    record{dir: filepath.Join(cache, "images"), name: "node-" + found.version},
		reference: NodeRepository + ":" + found.version,
	}, nil
}

// content hashes all that the image is made from.
func (b *nodeBuild) content(ctx context.Context) (string, error) {
	hash := newContentHash("node/1")
	for _, set := range []binarySet{b.runtimeSet, b.networkSet, b.kubernetesSet} {
		inputs, err := set.inputs(ctx, b.toolchain)
		if err != nil {
			return "", err
		}
		hash.add("binaries", set.name, inputs)
	}
	if err := errors.Join(hashBuilder(hash, b.source), hashBase(hash, b.cache)); err != nil {
		return "", err
	}
	return hash.sum(), nil
}

func (b *nodeBuild) reuse(ctx context.Context, content string) (Image, bool, error) {
	if b.options.NoCache {
		return Image{}, false, nil
	}
	return b.record.reusable(ctx, b.engine, b.reference, content)
}

// checkSpace looks for all the space at the start, rather than have a build end
// after ten minutes for want of it.
func (b *nodeBuild) checkSpace(ctx context.Context) error {
	needs := []need{{path: b.cache, bytes: 3 * gibibyte / 2, what: "packages and layers"}}
	if b.engine.root != "" {
		needs = append(needs, need{path: b.engine.root, bytes: 3 * gibibyte / 2, what: "image in the engine"})
	}
	_, fresh, err := b.kubernetesSet.lookup(ctx, b.options, b.toolchain, b.cache)
	if err != nil {
		return err
	}
	if !fresh {
		needs = append(needs,
			need{path: b.toolchain.user["GOCACHE"], bytes: 2 * gibibyte, what: "Go's build cache"},
			need{path: b.toolchain.user["GOMODCACHE"], bytes: 1 * gibibyte, what: "Go's module cache"})
	}
	if err := checkSpace(needs, measureFree); err != nil {
		return fmt.Errorf("build %s: %w", b.reference, err)
	}
	return nil
}

// build assembles the layers and loads the image. All binaries are there.
func (b *nodeBuild) build(ctx context.Context, content string) (Image, error) {
	done := b.options.phase("Assembling image", b.reference)
	stage, err := makeUnfinished(filepath.Join(b.record.dir, b.record.name))
	if err != nil {
		return Image{}, err
	}
	defer os.RemoveAll(stage)

	runtimeTree, versionTree := filepath.Join(stage, "runtime"), filepath.Join(stage, "version")
	if err := b.writeRuntimeTree(runtimeTree); err != nil {
		return Image{}, fmt.Errorf("assemble runtime layer: %w", err)
	}
	if err := b.writeVersionTree(ctx, versionTree, filepath.Join(stage, "images")); err != nil {
		return Image{}, fmt.Errorf("assemble Kubernetes layer: %w", err)
	}
	layers := []layer{
		{path: b.base.rootfs(), origin: "debootstrap " + debianSuite},
		{path: filepath.Join(stage, "runtime.tar"), origin: "containerd, network plugins, node configuration"},
		{path: filepath.Join(stage, "version.tar"), origin: "Kubernetes " + b.release.version + " and its images"},
	}
	for i, tree := range []string{"", runtimeTree, versionTree} {
		var err error
		if tree == "" {
			layers[i].digest, err = layerDigest(layers[i].path)
		} else {
			layers[i].digest, err = writeLayer(tree, layers[i].path, rootOwns)
		}
		if err != nil {
			return Image{}, fmt.Errorf("assemble %s: %w", b.reference, err)
		}
	}
	config, err := b.config(content)
	if err != nil {
		return Image{}, err
	}
	facts, err := b.toolchain.module(ctx, b.release.dir, kubernetesModule)
	if err != nil {
		return Image{}, err
	}
	bill, err := b.bill(content, facts.Time)
	if err != nil {
		return Image{}, err
	}
	done("")

	done = b.options.phase("Loading image", b.reference)
	err = b.engine.load(ctx, []string{b.reference}, config, facts.Time, layers)
	if err != nil {
		return Image{}, err
	}
	image, err := b.record.finish(ctx, b.engine, b.reference, content, bill)
	if err != nil {
		return Image{}, err
	}
	done(fmt.Sprintf("%d MB", image.Size/1_000_000))
	return image, nil
}

// config is the image's configuration.
func (b *nodeBuild) config(content string) (imageConfig, error) {
	agent, _, err := networkTags(b.source)
	if err != nil {
		return imageConfig{}, err
	}
	return imageConfig{
		Env:        []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "container=docker"},
		Entrypoint: []string{"/usr/local/bin/entrypoint", "/sbin/init"},
		// The nodes' own overlay file systems cannot lie on the engine's.
		Volumes: map[string]struct{}{"/var": {}},
		// systemd's signal for an orderly halt.
		StopSignal: "SIGRTMIN+3",
		WorkingDir: "/",
		Labels: map[string]string{
			contentLabel:                       content,
			NetworkLabel:                       agent,
			"slipway.dev/kubernetes-version":   b.release.version,
			"org.opencontainers.image.title":   b.reference,
			"org.opencontainers.image.version": b.release.version,
		},
	}, nil
}

// bill is the image's bill of materials.
func (b *nodeBuild) bill(content string, created time.Time) ([]byte, error) {
	packages, _, err := b.base.packages()
	if err != nil {
		return nil, err
	}
	programs, err := b.programs()
	if err != nil {
		return nil, err
	}
	return billOfMaterials(b.reference, content, created, programs, packages)
}

// programs are the paths of all compiled programs in the image.
func (b *nodeBuild) programs() ([]string, error) {
	var programs []string
	for _, dir := range []string{b.runtime, b.network, b.kubernetes} {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return nil, fmt.Errorf("list binaries: %w", err)
		}
		for _, entry := range entries {
			if entry.Type().IsRegular() && entry.Name() != inputsFile && entry.Name() != imageStoreProgram {
				programs = append(programs, filepath.Join(dir, entry.Name()))
			}
		}
	}
	slices.Sort(programs)
	return programs, nil
}
