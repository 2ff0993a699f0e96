// SPDX-License-Identifier: Apache-2.0

package nodeimage

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// owners says whose the files of a layer are.
type owners bool

const (
	// rootOwns: who compiled and assembled the files shows neither on nodes nor in
	// the digest.
	rootOwns owners = false
	// ownersKept: packages of Debian bring files of other users.
	ownersKept owners = true
)

// writeLayer writes the tree under dir as an uncompressed tar archive, the form
// that an image engine keeps layers by, and returns its digest ("sha256:<hex>").
// The same tree gives the same bytes: names in order, times fixed. Files with
// several names are stored once, as links.
func writeLayer(dir, path string, whose owners) (digest string, err error) {
	file, err := os.Create(path)
	if err != nil {
		return "", fmt.Errorf("create layer: %w", err)
	}
	defer func() {
		if closeErr := file.Close(); err == nil && closeErr != nil {
			err = fmt.Errorf("write layer: %w", closeErr)
		}
	}()
	hash := sha256.New()
	w := layerWriter{archive: tar.NewWriter(io.MultiWriter(file, hash)), dir: dir, whose: whose, names: map[inode]string{}}
	if err := filepath.WalkDir(dir, w.add); err != nil {
		return "", fmt.Errorf("write layer: %w", err)
	}
	if err := w.archive.Close(); err != nil {
		return "", fmt.Errorf("write layer: %w", err)
	}
	return "sha256:" + hex.EncodeToString(hash.Sum(nil)), nil
}

type inode struct{ device, number uint64 }

type layerWriter struct {
	archive *tar.Writer
	dir     string
	whose   owners
	names   map[inode]string // first name of each file with several
}

func (w *layerWriter) add(path string, entry fs.DirEntry, err error) error {
	if err != nil || path == w.dir {
		return err
	}
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
	if header.Name, err = filepath.Rel(w.dir, path); err != nil {
		return err
	}
	if info.IsDir() {
		header.Name += "/"
	}
	header.Uname, header.Gname = "", ""
	if w.whose == rootOwns {
		header.Uid, header.Gid = 0, 0
	}
	header.ModTime, header.AccessTime, header.ChangeTime = time.Unix(0, 0), time.Time{}, time.Time{}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok && info.Mode().IsRegular() && stat.Nlink > 1 {
		key := inode{uint64(stat.Dev), stat.Ino}
		if first, ok := w.names[key]; ok {
			header.Typeflag, header.Linkname, header.Size = tar.TypeLink, first, 0
		} else {
			w.names[key] = header.Name
		}
	}
	if err := w.archive.WriteHeader(header); err != nil || header.Typeflag != tar.TypeReg {
		return err
	}
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	_, err = io.Copy(w.archive, file)
	return err
}

// layerDigest is the digest of a layer that is written already.
func layerDigest(path string) (string, error) {
	sum, err := fileSum(path)
	if err != nil {
		return "", fmt.Errorf("read layer: %w", err)
	}
	return "sha256:" + sum, nil
}
