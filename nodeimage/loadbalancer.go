// SPDX-License-Identifier: Apache-2.0

package nodeimage

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// LoadBalancerRepository is the name of the load balancer's image; its tags are
// Debian's HAProxy version (with + written as -, which tags may not have) and latest.
const LoadBalancerRepository = "slipway/haproxy"

// LoadBalancerConfig is the file that HAProxy reads in the image. SIGUSR2 makes
// it read the file again.
const LoadBalancerConfig = "/usr/local/etc/haproxy/haproxy.cfg"

// BuildLoadBalancer builds the load balancer's image, or finds it already built.
// It holds HAProxy from Debian and the libraries that HAProxy needs, no shell.
func BuildLoadBalancer(ctx context.Context, o Options) (Image, error) {
	cache, err := o.cacheDir()
	if err != nil {
		return Image{}, err
	}
	source, err := o.source()
	if err != nil {
		return Image{}, err
	}
	e, err := connect(ctx, o.Docker)
	if err != nil {
		return Image{}, err
	}
	defer e.close()
	r := record{dir: filepath.Join(cache, "images"), name: "haproxy"}
	latest := LoadBalancerRepository + ":latest"
	reuse := func() (content string, image Image, ok bool, err error) {
		hash := newContentHash("loadbalancer/1")
		err = errors.Join(hashBuilder(hash, source), hashBase(hash, cache))
		if err != nil || o.NoCache {
			return hash.sum(), Image{}, false, err
		}
		image, ok, err = r.reusable(ctx, e, latest, hash.sum())
		return hash.sum(), image, ok, err
	}
	if _, image, ok, err := reuse(); ok || err != nil {
		return image, err
	}
	unlock, err := lockCache(ctx, o, cache)
	if err != nil {
		return Image{}, err
	}
	defer unlock()
	b, err := ensureBase(ctx, o, cache)
	if err != nil {
		return Image{}, err
	}
	content, image, ok, err := reuse()
	if ok || err != nil {
		return image, err
	}
	return buildLoadBalancer(ctx, o, e, b, r, content)
}

func buildLoadBalancer(ctx context.Context, o Options, e engine, b base, r record, content string) (Image, error) {
	done := o.phase("Assembling image", LoadBalancerRepository)
	_, packages, err := b.packages()
	if err != nil {
		return Image{}, err
	}
	version := ""
	for _, p := range packages {
		if p.Name == loadBalancerPackage {
			version = p.Version
		}
	}
	if version == "" {
		return Image{}, fmt.Errorf("build %s: the base in %s has no package %s; remove that directory and run this again", LoadBalancerRepository, b.dir, loadBalancerPackage)
	}
	stage, err := makeUnfinished(filepath.Join(r.dir, r.name))
	if err != nil {
		return Image{}, err
	}
	defer os.RemoveAll(stage)
	tree := filepath.Join(stage, "tree")
	if err := os.CopyFS(tree, os.DirFS(b.loadBalancer())); err != nil {
		return Image{}, fmt.Errorf("assemble %s: %w", LoadBalancerRepository, err)
	}
	if err := writeFile(tree, LoadBalancerConfig, "haproxy.cfg", nil, 0o644); err != nil {
		return Image{}, fmt.Errorf("assemble %s: %w", LoadBalancerRepository, err)
	}
	if err := writeUsers(tree); err != nil {
		return Image{}, fmt.Errorf("assemble %s: %w", LoadBalancerRepository, err)
	}
	archive := layer{path: filepath.Join(stage, "tree.tar"), origin: "haproxy " + version + " from Debian " + debianSuite}
	if archive.digest, err = writeLayer(tree, archive.path, rootOwns); err != nil {
		return Image{}, fmt.Errorf("assemble %s: %w", LoadBalancerRepository, err)
	}
	created := time.Unix(0, 0)
	bill, err := billOfMaterials(LoadBalancerRepository+":"+version, content, created, nil, packages)
	if err != nil {
		return Image{}, err
	}
	latest := LoadBalancerRepository + ":latest"
	references := []string{latest, LoadBalancerRepository + ":" + strings.ReplaceAll(version, "+", "-")}
	err = e.load(ctx, references, imageConfig{
		Env: []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin"},
		// -W: a master that starts workers anew on SIGUSR2; -db: in the foreground.
		Entrypoint: []string{"haproxy", "-W", "-db", "-f", LoadBalancerConfig},
		StopSignal: "SIGUSR1", // finish connections, then end
		WorkingDir: "/",
		Labels:     map[string]string{contentLabel: content, "org.opencontainers.image.version": version},
	}, created, []layer{archive})
	if err != nil {
		return Image{}, err
	}
	image, err := r.finish(ctx, e, latest, content, bill)
	if err != nil {
		return Image{}, err
	}
	done(fmt.Sprintf("%d MB", image.Size/1_000_000))
	return image, nil
}
