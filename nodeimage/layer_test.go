// SPDX-License-Identifier: Apache-2.0

package nodeimage

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// listTar returns one line an entry: type, name, mode, link, content.
func listTar(t *testing.T, path string) []string {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var lines []string
	for archive := tar.NewReader(file); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return lines
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(archive)
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, fmt.Sprintf("%c %s %o %q %q", header.Typeflag, header.Name, header.Mode, header.Linkname, content))
	}
}

func TestWriteLayer(t *testing.T) {
	build := func() string {
		dir := writeTree(t, map[string]string{"tree/usr/bin/program": "code", "tree/etc/file": "text"})
		tree := filepath.Join(dir, "tree")
		for _, step := range []error{
			os.Chmod(filepath.Join(tree, "usr/bin/program"), 0o755),
			// The later name in order is the link, whichever was made first.
			os.MkdirAll(filepath.Join(tree, "snapshots"), 0o755),
			os.Link(filepath.Join(tree, "usr/bin/program"), filepath.Join(tree, "snapshots/program")),
			os.Symlink("program", filepath.Join(tree, "usr/bin/alias")),
			os.Mkdir(filepath.Join(tree, "tmp"), 0o777),
			os.Chmod(filepath.Join(tree, "tmp"), 0o777|os.ModeSticky),
			os.Chtimes(filepath.Join(tree, "etc/file"), time.Now(), time.Now()),
		} {
			if step != nil {
				t.Fatal(step)
			}
		}
		return dir
	}
	first, second := build(), build()
	digest, err := writeLayer(filepath.Join(first, "tree"), filepath.Join(first, "layer.tar"), rootOwns)
	if err != nil {
		t.Fatal(err)
	}
	again, err := writeLayer(filepath.Join(second, "tree"), filepath.Join(second, "layer.tar"), rootOwns)
	if err != nil {
		t.Fatal(err)
	}
	if digest != again {
		t.Errorf("the same tree gave %s and %s", digest, again)
	}
	data, err := os.ReadFile(filepath.Join(first, "layer.tar"))
	if err != nil {
		t.Fatal(err)
	}
	if sum := sha256.Sum256(data); digest != "sha256:"+hex.EncodeToString(sum[:]) {
		t.Errorf("digest %s is not the archive's", digest)
	}
	if known, err := layerDigest(filepath.Join(first, "layer.tar")); err != nil || known != digest {
		t.Errorf("%s, %v", known, err)
	}
	want := []string{
		`5 etc/ 755 "" ""`,
		`0 etc/file 644 "" "text"`,
		`5 snapshots/ 755 "" ""`,
		`0 snapshots/program 755 "" "code"`,
		`5 tmp/ 1777 "" ""`,
		`5 usr/ 755 "" ""`,
		`5 usr/bin/ 755 "" ""`,
		`2 usr/bin/alias 777 "program" ""`,
		`1 usr/bin/program 755 "snapshots/program" ""`,
	}
	if diff := cmp.Diff(want, listTar(t, filepath.Join(first, "layer.tar"))); diff != "" {
		t.Error(diff)
	}
}

// TestLayerOwners builds one tree as two users would: only what Debian installed
// may tell them apart.
func TestLayerOwners(t *testing.T) {
	dir := writeTree(t, map[string]string{"tree/usr/bin/program": "code"})
	tree := filepath.Join(dir, "tree")
	if err := os.Link(filepath.Join(tree, "usr/bin/program"), filepath.Join(tree, "usr/bin/second")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("program", filepath.Join(tree, "usr/bin/alias")); err != nil {
		t.Fatal(err)
	}
	user := os.Geteuid()
	digests := map[string]bool{}
	for _, uid := range []int{user, 1000} {
		if uid != user && user != 0 {
			continue // only root gives files away
		}
		if err := filepath.WalkDir(tree, func(path string, _ fs.DirEntry, err error) error {
			return errors.Join(err, os.Lchown(path, uid, -1))
		}); err != nil {
			t.Fatal(err)
		}
		for whose, want := range map[owners]int{rootOwns: 0, ownersKept: uid} {
			path := filepath.Join(dir, "layer.tar")
			digest, err := writeLayer(tree, path, whose)
			if err != nil {
				t.Fatal(err)
			}
			if whose == rootOwns {
				digests[digest] = true
			}
			for _, header := range headersIn(t, path) {
				if header.Uid != want || whose == rootOwns && header.Gid != 0 {
					t.Errorf("%s of user %d belongs to %d:%d, want %d", header.Name, uid, header.Uid, header.Gid, want)
				}
			}
		}
	}
	if len(digests) != 1 {
		t.Errorf("the digest depends on the builder: %v", digests)
	}
}

func headersIn(t *testing.T, path string) []*tar.Header {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var headers []*tar.Header
	for archive := tar.NewReader(file); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return headers
		}
		if err != nil {
			t.Fatal(err)
		}
		headers = append(headers, header)
	}
}

func TestCopyProgramsTakesWhatTheyNeed(t *testing.T) {
	if _, err := os.Stat("/usr/lib/x86_64-linux-gnu/libc.so.6"); err != nil {
		t.Skip("needs a Debian-like file system: ", err)
	}
	dir := t.TempDir()
	if err := copyPrograms("/", dir, []string{"usr/bin/env"}, nil); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"usr/bin/env", "usr/lib/x86_64-linux-gnu/libc.so.6", "lib64/ld-linux-x86-64.so.2"} {
		if info, err := os.Stat(filepath.Join(dir, path)); err != nil || !info.Mode().IsRegular() {
			t.Errorf("%s: %v", path, err)
		}
	}
	if os.Geteuid() == 0 {
		if _, err := (command{program: "chroot", args: []string{dir, "/usr/bin/env"}}).run(t.Context()); err != nil {
			t.Errorf("the copy does not run: %v", err)
		}
	}
	if err := copyPrograms("/", t.TempDir(), []string{"usr/bin/no-such-program"}, nil); err == nil {
		t.Error("a missing program is no error")
	}
}
