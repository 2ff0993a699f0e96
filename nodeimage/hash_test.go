// SPDX-License-Identifier: Apache-2.0

package nodeimage

import (
	"os"
	"path/filepath"
	"testing"
)

func TestContentHashTellsInputsApart(t *testing.T) {
	seen := map[string]string{}
	for name, fill := range map[string]func(contentHash){
		"one value":    func(h contentHash) { h.add("a", "b c") },
		"two values":   func(h contentHash) { h.add("a", "b", "c") },
		"two adds":     func(h contentHash) { h.add("a", "b"); h.add("c") },
		"quotes":       func(h contentHash) { h.add("a", `b" "c`) },
		"new line":     func(h contentHash) { h.add("a", "b\nc") },
		"other name":   func(h contentHash) { h.add("b", "b c") },
		"nothing":      func(contentHash) {},
		"empty values": func(h contentHash) { h.add("a", "", "") },
	} {
		h := newContentHash("test")
		fill(h)
		if other, ok := seen[h.sum()]; ok {
			t.Errorf("%q and %q hash alike", name, other)
		}
		seen[h.sum()] = name
	}
	if newContentHash("a").sum() == newContentHash("b").sum() {
		t.Error("kinds hash alike")
	}
}

func TestAddSources(t *testing.T) {
	sum := func(dir string) string {
		h := newContentHash("test")
		if err := h.addSources(dir); err != nil {
			t.Fatal(err)
		}
		return h.sum()
	}
	// The same module in two checkouts.
	first := filepath.Join(writeTree(t, map[string]string{"m/go.mod": "x", "m/a/main.go": "y"}), "m")
	second := filepath.Join(writeTree(t, map[string]string{"m/go.mod": "x", "m/a/main.go": "y"}), "m")
	if sum(first) != sum(second) {
		t.Error("the place of a checkout counts")
	}
	before := sum(first)
	write := func(path, content string) {
		if err := os.WriteFile(filepath.Join(first, path), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("a/main_test.go", "test")
	if sum(first) != before {
		t.Error("tests count")
	}
	write("go.mod", "x2")
	if changed := sum(first); changed == before {
		t.Error("a change does not count")
	}
	write("go.mod", "x")
	write("b.go", "")
	if sum(first) == before {
		t.Error("a new file does not count")
	}
	if err := newContentHash("test").addSources(filepath.Join(first, "missing")); err == nil {
		t.Error("a missing directory is no error")
	}
}
