// SPDX-License-Identifier: Apache-2.0

package nodeimage

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// contentHash hashes what a result is made from, to tell whether it would come
// out the same if it were made again.
type contentHash struct{ hash hash.Hash }

// newContentHash begins a hash. Kind names the way of making and its format:
// change it when the same inputs are to give something else.
func newContentHash(kind string) contentHash {
	h := contentHash{sha256.New()}
	h.add("kind", kind)
	return h
}

// add hashes values under a name, such that no two different calls run together.
func (h contentHash) add(name string, values ...string) {
	fmt.Fprintf(h.hash, "%q", name)
	for _, value := range values {
		fmt.Fprintf(h.hash, " %q", value)
	}
	fmt.Fprintln(h.hash)
}

// addSources hashes the files under dir that go into a build: all but tests,
// with their paths relative to dir.
func (h contentHash) addSources(dir string) error {
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() || strings.HasSuffix(path, "_test.go") {
			return err
		}
		relative, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		sum, err := fileSum(path)
		if err != nil {
			return err
		}
		h.add("file", filepath.Base(dir), relative, sum)
		return nil
	})
	if err != nil {
		return fmt.Errorf("hash sources in %s: %w", dir, err)
	}
	return nil
}

// sum is the hash so far, in hexadecimal.
func (h contentHash) sum() string { return hex.EncodeToString(h.hash.Sum(nil)) }

// fileSum is the SHA-256 of a file, in hexadecimal.
func fileSum(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	digest := sha256.New()
	if _, err := io.Copy(digest, file); err != nil {
		return "", err
	}
	return hex.EncodeToString(digest.Sum(nil)), nil
}
