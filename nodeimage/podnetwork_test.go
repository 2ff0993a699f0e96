// SPDX-License-Identifier: Apache-2.0

package nodeimage

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestNetworkTags(t *testing.T) {
	dir := writeTree(t, map[string]string{"network/version.txt": "v0.12.3\n"})
	version, series, err := networkTags(dir)
	if err != nil || version != "v0.12.3" || series != "v0.12" {
		t.Errorf("%q, %q, %v", version, series, err)
	}
	for _, broken := range []string{"0.1.0", "v0.1", "v0.1.0-beta", ""} {
		_, _, err := networkTags(writeTree(t, map[string]string{"network/version.txt": broken}))
		expectError(t, err, "version.txt", "v0.1.0")
	}
	if _, _, err := networkTags("."); err != nil {
		t.Errorf("this checkout's: %v", err)
	}
}

func TestBuildNetwork(t *testing.T) {
	testToolchain(t)
	fake, address := serveEngine(t)
	source := writeTree(t, map[string]string{
		"network/version.txt": "v0.1.0\n",
		"network/go.mod":      "module example.com/network\n\ngo 1.26.0\n",
		"network/main.go":     "package main\n\nfunc main() {}\n",
	})
	options := Options{SourceDir: source, CacheDir: t.TempDir(), Docker: address}
	build := func(reused bool) Image {
		t.Helper()
		image, err := BuildNetwork(t.Context(), options)
		if err != nil {
			t.Fatal(err)
		}
		if image.Reused != reused {
			t.Errorf("reused: %v, want %v", image.Reused, reused)
		}
		return image
	}
	first := build(false)
	if _, err := os.Stat(first.SBOM); err != nil || first.Reference != "slipway.dev/network:v0.1.0" {
		t.Errorf("%+v, %v", first, err)
	}
	for _, reference := range []string{"slipway.dev/network:v0.1.0", "slipway.dev/network:v0.1"} {
		image := fake.images[reference]
		if image == nil || image.id != first.ID {
			t.Fatalf("%s is %+v", reference, image)
		}
		if diff := cmp.Diff([]string{"/usr/local/bin/slipway-network"}, image.config.Entrypoint); diff != "" {
			t.Error(diff)
		}
	}
	if build(true).ID != first.ID {
		t.Error("another image is found again")
	}
	// Manifests name the series: it must be there too.
	delete(fake.images, "slipway.dev/network:v0.1")
	build(false)
	build(true)

	// A newer version takes the series; the older keeps its name, for clusters that name it.
	if err := os.WriteFile(filepath.Join(source, "network", "version.txt"), []byte("v0.1.1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	second := build(false)
	if second.Reference != "slipway.dev/network:v0.1.1" || fake.images["slipway.dev/network:v0.1"].id != second.ID || fake.images["slipway.dev/network:v0.1.0"] == nil {
		t.Errorf("%+v", second)
	}
}

// TestBuildAllBuildsAgainOnce holds what NoCache means: each thing once, also if
// several images need it.
func TestBuildAllBuildsAgainOnce(t *testing.T) {
	tools, cache := testToolchain(t), t.TempDir()
	set := binarySet{name: "set", title: "nothing"}
	b := baseIn(cache)
	if err := os.MkdirAll(b.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(b.rootfs(), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", "") // the base is not to be installed here, whatever goes wrong
	var made []os.FileInfo
	build := func(ctx context.Context, o Options) (Image, error) {
		dir, err := set.ensure(ctx, o, tools, cache)
		if err != nil {
			return Image{}, err
		}
		info, err := os.Stat(dir)
		if err != nil {
			return Image{}, err
		}
		made = append(made, info)
		// As if this command had installed the base: it is not to be installed again.
		o.renewed(b.dir)
		found, err := ensureBase(ctx, o, cache)
		return Image{Reference: found.dir}, err
	}
	images := 0
	for range 2 {
		if err := BuildAll(t.Context(), Options{NoCache: true}, func(Image) { images++ }, build, build); err != nil {
			t.Fatal(err)
		}
	}
	if len(made) != 4 || images != 4 {
		t.Fatalf("%d builds, %d images", len(made), images)
	}
	for i, same := range []bool{true, false, true} {
		if os.SameFile(made[i], made[i+1]) != same {
			t.Errorf("build %d and %d used the same binaries: %v, want %v", i, i+1, !same, same)
		}
	}
}
