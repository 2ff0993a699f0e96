// SPDX-License-Identifier: Apache-2.0

package nodeimage

import (
	"errors"
	"strings"
	"testing"
)

func TestCheckSpace(t *testing.T) {
	disks := map[string]free{
		"/cache":   {filesystem: 1, bytes: 5 * gibibyte},
		"/gocache": {filesystem: 1, bytes: 5 * gibibyte},
		"/docker":  {filesystem: 2, bytes: gibibyte / 2},
	}
	measure := func(path string) (free, error) { return disks[path], nil }

	if err := checkSpace([]need{{"/cache", 3 * gibibyte, "layers"}, {"/docker", gibibyte / 4, "image"}}, measure); err != nil {
		t.Errorf("enough, but: %v", err)
	}
	// Each fits alone, not both: they share a file system.
	err := checkSpace([]need{{"/cache", 3 * gibibyte, "layers"}, {"/gocache", 3 * gibibyte, "Go's build cache"}}, measure)
	expectError(t, err, "/cache has 5.0 GiB free", "about 6.0 GiB", "layers, Go's build cache", "SLIPWAY_CACHE")

	err = checkSpace([]need{{"/docker", gibibyte, "image"}, {"/cache", 9 * gibibyte, "layers"}}, measure)
	expectError(t, err, "/docker has 0.5 GiB free", "/cache has 5.0 GiB free")

	err = checkSpace([]need{{"/cache", 1, ""}}, func(string) (free, error) { return free{}, errors.New("no such disk") })
	expectError(t, err, "no such disk")
}

func TestMeasureFreeOfWhatIsNotThereYet(t *testing.T) {
	dir := t.TempDir()
	here, err := measureFree(dir)
	if err != nil {
		t.Fatal(err)
	}
	below, err := measureFree(dir + "/a/b/c")
	if err != nil {
		t.Fatal(err)
	}
	if below.filesystem != here.filesystem || below.bytes == 0 {
		t.Errorf("%+v below %+v", below, here)
	}
	if text := gibibytes(gibibyte * 3 / 2); !strings.HasPrefix(text, "1.5") {
		t.Error(text)
	}
}
