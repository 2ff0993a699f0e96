// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
)

var update = flag.Bool("update", false, "write golden files anew")

// golden compares with a file under testdata, or writes it.
func golden(t *testing.T, path, got string) {
	t.Helper()
	path = filepath.Join("testdata", path)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v; run go test ./cli -update, and read what it wrote", err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("differs from %s (-want +got), run with -update if it should:\n%s", path, diff)
	}
}

// recorded reads objects that were recorded from a real management cluster, and when.
func recorded(t *testing.T, path string) ([]*unstructured.Unstructured, time.Time) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	first, _, _ := strings.Cut(string(text), "\n")
	now, err := time.Parse(time.RFC3339, strings.TrimPrefix(first, "# Read at "))
	if err != nil {
		t.Fatalf("%s: the first line has to say when it was read: %v", path, err)
	}
	return decode(t, text), now
}

func decode(t *testing.T, text []byte) []*unstructured.Unstructured {
	t.Helper()
	var objects []*unstructured.Unstructured
	reader := utilyaml.NewYAMLOrJSONDecoder(bytes.NewReader(text), 4096)
	for {
		object := &unstructured.Unstructured{}
		err := reader.Decode(object)
		if errors.Is(err, io.EOF) {
			return objects
		}
		if err != nil {
			t.Fatal(err)
		}
		if len(object.Object) > 0 {
			objects = append(objects, object)
		}
	}
}

// eachRecorded runs a test for every recorded family.
func eachRecorded(t *testing.T, test func(t *testing.T, name string, f family, now time.Time)) {
	t.Helper()
	paths, err := filepath.Glob("testdata/objects/*.yaml")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no recorded objects (%v)", err)
	}
	for _, path := range paths {
		name := strings.TrimSuffix(filepath.Base(path), ".yaml")
		t.Run(name, func(t *testing.T) {
			objects, now := recorded(t, path)
			cluster := "demo"
			if name == "image-missing" {
				cluster = "bad"
			}
			f, err := familyOf(objects, cluster)
			if err != nil {
				t.Fatal(err)
			}
			test(t, name, f, now)
		})
	}
}

// set changes a field of an object in memory.
func set(t *testing.T, object *unstructured.Unstructured, value any, path ...string) {
	t.Helper()
	if err := unstructured.SetNestedField(object.Object, value, path...); err != nil {
		t.Fatal(err)
	}
}
