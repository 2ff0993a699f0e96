// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/core/snapshots"
	"github.com/containerd/platforms"
	"github.com/opencontainers/image-spec/identity"
)

// layerTree makes a layer's directory with one program and an alias of it.
func layerTree(t *testing.T, name string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), name)
	for _, step := range []error{
		os.MkdirAll(filepath.Join(dir, "usr/local/bin"), 0o755),
		os.WriteFile(filepath.Join(dir, "usr/local/bin", name), []byte(name), 0o755),
		os.Symlink(name, filepath.Join(dir, "usr/local/bin/alias-"+name)),
		os.Mkdir(filepath.Join(dir, "tmp"), 0o777),
		os.Chmod(filepath.Join(dir, "tmp"), 0o777|os.ModeSticky),
	} {
		if step != nil {
			t.Fatal(step)
		}
	}
	return dir
}

// write runs the program on a specification, in this process's image.
func write(t *testing.T, spec any) error {
	t.Helper()
	input, err := json.Marshal(spec)
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(t.Context(), program)
	command.Env = append(os.Environ(), "IMAGESTORE_MAIN=1")
	command.Stdin = bytes.NewReader(input)
	if output, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, output)
	}
	return nil
}

func TestMain(m *testing.M) {
	if os.Getenv("IMAGESTORE_MAIN") != "" {
		main()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func TestStoreAsContainerdReadsIt(t *testing.T) {
	work := t.TempDir()
	shared, extra := layerTree(t, "shared"), layerTree(t, "extra")
	spec := specification{
		Root: filepath.Join(work, "var/lib/containerd"), SnapshotsDir: filepath.Join(work, "usr/snapshots"),
		// In a node this is another place; here it must resolve.
		SnapshotsPath: filepath.Join(work, "usr/snapshots"),
		Images: []imageSpecification{
			{Name: "registry.example/one:v1", Layers: []string{shared}, Entrypoint: []string{"shared"}},
			{Name: "registry.example/two:v1", Layers: []string{shared, extra}, Entrypoint: []string{"extra"}, User: "65532:65532"},
			// A second name of the first.
			{Name: "registry.example/one:latest", Layers: []string{shared}, Entrypoint: []string{"shared"}},
		},
	}
	if err := write(t, spec); err != nil {
		t.Fatal(err)
	}
	store, err := openStore(spec.Root)
	if err != nil {
		t.Fatal(err)
	}
	defer store.close()
	for _, image := range spec.Images {
		checkImage(t, store, image)
	}

	// One layer, one snapshot: the shared one is there once.
	var count int
	if err := store.snapshotter.Walk(store.ctx, func(_ context.Context, info snapshots.Info) error {
		if info.Kind != snapshots.KindCommitted {
			t.Errorf("%s is %v", info.Name, info.Kind)
		}
		count++
		return nil
	}); err != nil || count != 2 {
		t.Errorf("%d snapshots, %v", count, err)
	}
	checkPlaces(t, spec, filepath.Join(shared, "usr/local/bin/shared"))

	// A container's own layer goes on top, below containerd's root and not beside the ready-made ones.
	top := topSnapshot(t, store, "registry.example/two:v1")
	mounts, err := store.snapshotter.Prepare(store.ctx, "container", top)
	if err != nil {
		t.Fatal(err)
	}
	upper, err := writableDir(mounts)
	if err != nil || !strings.HasPrefix(upper, spec.Root) {
		t.Errorf("%s, %v", upper, err)
	}
}

// checkImage looks at an image in the way that containerd's image service does
// when it starts.
func checkImage(t *testing.T, store *imageStore, spec imageSpecification) {
	t.Helper()
	image, err := store.images.Get(store.ctx, spec.Name)
	if err != nil {
		t.Fatal(err)
	}
	if image.Labels["io.cri-containerd.image"] != "managed" || image.Labels["io.cri-containerd.pinned"] != "pinned" {
		t.Errorf("%s: labels %v", spec.Name, image.Labels)
	}
	blobs := store.metadata.ContentStore()
	available, _, _, _, err := images.Check(store.ctx, blobs, image.Target, platforms.Default())
	if err != nil || !available {
		t.Errorf("%s: available %v, %v", spec.Name, available, err)
	}
	if _, err := store.snapshotter.Stat(store.ctx, topSnapshot(t, store, spec.Name)); err != nil {
		t.Errorf("%s is not unpacked: %v", spec.Name, err)
	}
	config, err := image.Config(store.ctx, blobs, platforms.Default())
	if err != nil {
		t.Fatal(err)
	}
	data, err := content.ReadBlob(store.ctx, blobs, config)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(data), `"Entrypoint":["`+spec.Entrypoint[0]+`"]`) || !strings.Contains(string(data), spec.User) {
		t.Errorf("%s: configuration %s", spec.Name, data)
	}
}

func topSnapshot(t *testing.T, store *imageStore, name string) string {
	t.Helper()
	image, err := store.images.Get(store.ctx, name)
	if err != nil {
		t.Fatal(err)
	}
	diffIDs, err := image.RootFS(store.ctx, store.metadata.ContentStore(), platforms.Default())
	if err != nil {
		t.Fatal(err)
	}
	return identity.ChainID(diffIDs).String()
}

// checkPlaces checks that snapshots are links out of containerd's root, and that
// their files are the layers' own, not copies.
func checkPlaces(t *testing.T, spec specification, program string) {
	t.Helper()
	links, err := filepath.Glob(filepath.Join(spec.Root, snapshotterDir, "snapshots/*"))
	if err != nil || len(links) != 2 {
		t.Fatalf("%v, %v", links, err)
	}
	original, err := os.Stat(program)
	if err != nil {
		t.Fatal(err)
	}
	var same int
	for _, link := range links {
		target, err := os.Readlink(link)
		if err != nil || filepath.Dir(target) != spec.SnapshotsPath {
			t.Errorf("%s leads to %q, %v", link, target, err)
		}
		if info, err := os.Stat(filepath.Join(link, "fs/tmp")); err != nil || info.Mode()&os.ModeSticky == 0 {
			t.Errorf("/tmp of %s: %v", link, err)
		}
		if info, err := os.Stat(filepath.Join(link, "fs/usr/local/bin/shared")); err == nil && os.SameFile(info, original) {
			same++
		}
	}
	if same != 1 {
		t.Errorf("the shared program is linked %d times", same)
	}
}

func TestBadSpecifications(t *testing.T) {
	for name, spec := range map[string]any{
		"unknown field": map[string]any{"root": "/x", "rot": 1},
		"nothing":       map[string]any{},
		"missing layer": specification{Root: t.TempDir(), SnapshotsDir: t.TempDir(), SnapshotsPath: "/x", Images: []imageSpecification{{Name: "a:b", Layers: []string{"/no/such/layer"}}}},
	} {
		if err := write(t, spec); err == nil || !strings.Contains(err.Error(), "imagestore: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestLinkTreeOfAnotherUser repeats a tree of root's as a user for whom the kernel
// refuses hard links to it.
func TestLinkTreeOfAnotherUser(t *testing.T) {
	if setting, err := os.ReadFile("/proc/sys/fs/protected_hardlinks"); os.Geteuid() != 0 || err != nil || setting[0] != '1' {
		t.Skip("needs root, and a kernel that protects hard links")
	}
	const nobody = 65534
	from, to := layerTree(t, "program"), t.TempDir()
	for _, step := range []error{
		os.Chmod(filepath.Dir(filepath.Dir(from)), 0o755), os.Chmod(filepath.Dir(to), 0o755), os.Chown(to, nobody, nobody),
	} {
		if step != nil {
			t.Fatal(step)
		}
	}
	runtime.LockOSThread() // of this thread alone
	if err := syscall.Setfsuid(nobody); err != nil {
		t.Fatal(err)
	}
	err := linkTree(from, to)
	if restore := syscall.Setfsuid(0); restore != nil {
		t.Fatal(restore)
	}
	runtime.UnlockOSThread()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(to, "usr/local/bin/program")
	text, err := os.ReadFile(path)
	if info, statErr := os.Stat(path); err != nil || statErr != nil || string(text) != "program" || info.Mode().Perm() != 0o755 {
		t.Errorf("%q %v, %v %v", text, info, err, statErr)
	}
}
