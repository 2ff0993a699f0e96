// SPDX-License-Identifier: Apache-2.0

package network

import (
	"os"
	"strings"
	"testing"
)

// TestImage: the image is the agent's of this tree, by version or by series, and nothing makes a node pull it.
func TestImage(t *testing.T) {
	version, err := os.ReadFile("../../nodeimage/network/version.txt")
	if err != nil {
		t.Fatal(err)
	}
	repository, tag, _ := strings.Cut(Image(), ":")
	if own := strings.TrimSpace(string(version)); repository != "slipway.dev/network" || tag == "" || !strings.HasPrefix(own+".", tag+".") {
		t.Errorf("image is %s, want that of version %s", Image(), own)
	}
	if images := imageLine.FindAllString(Manifest(), -1); len(images) != 1 {
		t.Errorf("images are %q, want one", images)
	}
	if !strings.Contains(Manifest(), "\n        imagePullPolicy: Never\n") {
		t.Error("the image would be pulled")
	}
}
