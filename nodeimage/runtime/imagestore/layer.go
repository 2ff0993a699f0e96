// SPDX-License-Identifier: Apache-2.0

package main

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/opencontainers/go-digest"
)

// layerInfo identifies a layer: digest and size in bytes of its archive.
type layerInfo struct {
	digest digest.Digest
	size   int64
}

// describeLayer computes the archive that dir would make, without keeping it.
// The same files give the same digest: names are walked in order, and owner and
// time are fixed.
func (s *imageStore) describeLayer(dir string) (layerInfo, error) {
	if known, ok := s.layers[dir]; ok {
		return known, nil
	}
	digester := digest.Canonical.Digester()
	counter := &countingWriter{next: digester.Hash()}
	archive := tar.NewWriter(counter)
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		return addToArchive(archive, dir, path, entry)
	})
	if err != nil {
		return layerInfo{}, fmt.Errorf("archive layer %s: %w", dir, err)
	}
	if err := archive.Close(); err != nil {
		return layerInfo{}, fmt.Errorf("archive layer %s: %w", dir, err)
	}
	info := layerInfo{digest: digester.Digest(), size: counter.written}
	s.layers[dir] = info
	return info, nil
}

func addToArchive(archive *tar.Writer, dir, path string, entry fs.DirEntry) error {
	info, err := entry.Info()
	if err != nil {
		return err
	}
	var target string
	if info.Mode()&fs.ModeSymlink != 0 {
		if target, err = os.Readlink(path); err != nil {
			return err
		}
	}
	header, err := tar.FileInfoHeader(info, target)
	if err != nil {
		return err
	}
	if header.Name, err = filepath.Rel(dir, path); err != nil {
		return err
	}
	header.Uid, header.Gid, header.Uname, header.Gname = 0, 0, "", ""
	header.ModTime, header.AccessTime, header.ChangeTime = time.Unix(0, 0), time.Time{}, time.Time{}
	if err := archive.WriteHeader(header); err != nil || !info.Mode().IsRegular() {
		return err
	}
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	_, err = io.Copy(archive, file)
	return err
}

type countingWriter struct {
	next    io.Writer
	written int64
}

func (w *countingWriter) Write(p []byte) (int, error) {
	n, err := w.next.Write(p)
	w.written += int64(n)
	return n, err
}

// linkTree repeats the tree under from in the existing directory to, with hard
// links for files where that may be.
func linkTree(from, to string) error {
	return filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || path == from {
			return err
		}
		relative, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		target := filepath.Join(to, relative)
		switch {
		case entry.IsDir():
			info, err := entry.Info()
			if err != nil {
				return err
			}
			if err := os.Mkdir(target, 0o755); err != nil {
				return err
			}
			// Apart from Mkdir, which the umask narrows and which drops the sticky bit of /tmp.
			return os.Chmod(target, info.Mode())
		case entry.Type()&fs.ModeSymlink != 0:
			destination, err := os.Readlink(path)
			if err != nil {
				return err
			}
			return os.Symlink(destination, target)
		default:
			// The kernel may let users link to their own files only, and the Debian ones are root's.
			if err := os.Link(path, target); !errors.Is(err, fs.ErrPermission) {
				return err
			}
			return copyFile(path, target)
		}
	})
}

// copyFile copies a file with its mode.
func copyFile(from, to string) error {
	info, err := os.Stat(from)
	if err != nil {
		return err
	}
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	if err := os.WriteFile(to, data, 0o600); err != nil {
		return err
	}
	return os.Chmod(to, info.Mode())
}
