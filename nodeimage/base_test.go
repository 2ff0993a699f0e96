// SPDX-License-Identifier: Apache-2.0

package nodeimage

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

func TestStripTakesTheMirrorAway(t *testing.T) {
	root := writeTree(t, map[string]string{
		"etc/apt/sources.list":              "deb http://mirror.example bookworm main\n",
		"etc/apt/sources.list.d/x.list":     "deb http://mirror.example bookworm main\n",
		"etc/apt/apt.conf.d/01autoremove":   "kept",
		"etc/systemd/system/x.wants/a":      "",
		"usr/share/doc/a/copyright":         "kept",
		"usr/share/doc/a/changelog":         "",
		"var/lib/dpkg/status":               "kept",
		"var/lib/apt/lists/mirror.example_": "",
		"var/log/bootstrap.log":             "http://mirror.example",
	})
	if err := strip(root); err != nil {
		t.Fatal(err)
	}
	for _, gone := range []string{"etc/apt/sources.list", "etc/apt/sources.list.d", "usr/share/doc/a/changelog", "var/lib/apt/lists/mirror.example_", "var/log/bootstrap.log"} {
		if _, err := os.Lstat(filepath.Join(root, gone)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is still there: %v", gone, err)
		}
	}
	for _, kept := range []string{"etc/apt/apt.conf.d/01autoremove", "usr/share/doc/a/copyright", "var/lib/dpkg/status"} {
		if text, err := os.ReadFile(filepath.Join(root, kept)); err != nil || string(text) != "kept" {
			t.Errorf("%s: %q %v", kept, text, err)
		}
	}
}
