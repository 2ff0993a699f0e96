// SPDX-License-Identifier: Apache-2.0

package nodeimage

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

const (
	// NetworkRepository is the name of the image of the pod network's agent. Node
	// images hold it in their store; in the engine it is for machines that are made
	// of other node images. Its tags are its version (v0.1.0) and its series (v0.1):
	// manifests name the series, which later node images have too.
	NetworkRepository = "slipway.dev/network"
	// NetworkLabel, on a node image, holds the version of the agent in its store.
	NetworkLabel = "slipway.dev/network"
)

var agentVersion = regexp.MustCompile(`^(v[0-9]+\.[0-9]+)\.[0-9]+$`)

// networkTags returns the tags of the pod network's agent of a checkout: its
// version and its series.
func networkTags(source string) (version, series string, err error) {
	file := filepath.Join(source, "network", "version.txt")
	data, err := os.ReadFile(file)
	if err != nil {
		return "", "", fmt.Errorf("read version of the pod network's agent: %w", err)
	}
	parts := agentVersion.FindStringSubmatch(strings.TrimSpace(string(data)))
	if parts == nil {
		return "", "", fmt.Errorf("read version of the pod network's agent: %s holds %q, which is not of the form v0.1.0", file, data)
	}
	return parts[0], parts[1], nil
}

// BuildNetwork builds the image of the pod network's agent, or finds it already
// built. It holds one static program and needs neither root nor Debian packages.
func BuildNetwork(ctx context.Context, o Options) (Image, error) {
	b, err := newNetworkBuild(ctx, o)
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
	// Another build may have made the image while this one waited.
	if image, ok, err := b.reuse(ctx, content); ok || err != nil {
		return image, err
	}
	binaries, err := b.set.ensure(ctx, o, b.toolchain, b.cache)
	if err != nil {
		return Image{}, err
	}
	return b.build(ctx, content, filepath.Join(binaries, networkProgram))
}

// networkBuild is what building the agent's image knows.
type networkBuild struct {
	options       Options
	cache, source string
	version       string
	references    []string // by version and by series
	engine        engine
	toolchain     toolchain
	set           binarySet
	record        record
}

func newNetworkBuild(ctx context.Context, o Options) (*networkBuild, error) {
	b := &networkBuild{options: o}
	var err error
	if b.cache, err = o.cacheDir(); err != nil {
		return nil, err
	}
	if b.source, err = o.source(); err != nil {
		return nil, err
	}
	version, series, err := networkTags(b.source)
	if err != nil {
		return nil, err
	}
	b.version, b.references = version, []string{NetworkRepository + ":" + version, NetworkRepository + ":" + series}
	b.set, b.record = networkSet(b.source), record{dir: filepath.Join(b.cache, "images"), name: "network"}
	if b.toolchain, err = findToolchain(ctx, filepath.Join(b.source, "network")); err != nil {
		return nil, err
	}
	b.engine, err = connect(ctx, o.Docker)
	return b, err
}

// content hashes all that the image is made from.
func (b *networkBuild) content(ctx context.Context) (string, error) {
	hash := newContentHash("network/1")
	inputs, err := b.set.inputs(ctx, b.toolchain)
	if err != nil {
		return "", err
	}
	hash.add("binaries", inputs)
	if err := hashBuilder(hash, b.source); err != nil {
		return "", err
	}
	return hash.sum(), nil
}

// reuse finds the image if it is there under both of its names.
func (b *networkBuild) reuse(ctx context.Context, content string) (image Image, ok bool, err error) {
	if b.options.NoCache {
		return Image{}, false, nil
	}
	for i := len(b.references) - 1; i >= 0; i-- {
		if image, ok, err = b.record.reusable(ctx, b.engine, b.references[i], content); !ok || err != nil {
			return Image{}, false, err
		}
	}
	return image, true, nil
}

func (b *networkBuild) build(ctx context.Context, content, program string) (Image, error) {
	reference := b.references[0]
	done := b.options.phase("Assembling image", reference)
	stage, err := makeUnfinished(filepath.Join(b.record.dir, b.record.name))
	if err != nil {
		return Image{}, err
	}
	defer os.RemoveAll(stage)
	tree := filepath.Join(stage, "tree")
	if err := linkFile(program, filepath.Join(tree, "usr/local/bin", networkProgram)); err != nil {
		return Image{}, fmt.Errorf("assemble %s: %w", reference, err)
	}
	if err := writeUsers(tree); err != nil {
		return Image{}, fmt.Errorf("assemble %s: %w", reference, err)
	}
	archive := layer{path: filepath.Join(stage, "tree.tar"), origin: "pod network agent " + b.version}
	if archive.digest, err = writeLayer(tree, archive.path, rootOwns); err != nil {
		return Image{}, fmt.Errorf("assemble %s: %w", reference, err)
	}
	created := time.Unix(0, 0)
	bill, err := billOfMaterials(reference, content, created, []string{program}, nil)
	if err != nil {
		return Image{}, err
	}
	err = b.engine.load(ctx, b.references, imageConfig{
		Env:        []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
		Entrypoint: networkEntrypoint,
		WorkingDir: "/",
		Labels:     map[string]string{contentLabel: content, "org.opencontainers.image.version": b.version},
	}, created, []layer{archive})
	if err != nil {
		return Image{}, err
	}
	image, err := b.record.finish(ctx, b.engine, reference, content, bill)
	if err != nil {
		return Image{}, err
	}
	done(fmt.Sprintf("%d MB", image.Size/1_000_000))
	return image, nil
}
