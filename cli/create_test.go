// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/slipway-project/slipway/providers/docker/containers"
)

// A data directory remembers the container engine, and no other is asked for images.
func TestCreateAsksTheEngineRemembered(t *testing.T) {
	none, other, own := t.TempDir(), t.TempDir(), t.TempDir()
	for home, id := range map[string]string{other: "m2", own: "m1"} {
		content := `{"managementCluster": "` + id + `", "host": "unix://` + home + `/engine.sock", "engine": "Docker", "id": "x"}`
		if err := os.WriteFile(filepath.Join(home, "container-engine.json"), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if record := engineRecord([]string{none}); record != "" {
		t.Errorf("without a record it is %q", record)
	}
	record := engineRecord([]string{other, own, none})
	if record != filepath.Join(own, "container-engine.json") {
		t.Fatalf("the record is %q", record)
	}
	t.Setenv("DOCKER_HOST", "")
	err := checkImages(t.Context(), containers.Options{ManagementID: "m1", Record: record}, "--kubernetes-version", "v1.37.1", "slipway/node:v1.37.1")
	if err == nil || !strings.Contains(err.Error(), own+"/engine.sock") || !strings.Contains(err.Error(), record) || strings.Contains(err.Error(), "docker.sock") {
		t.Errorf("error is %v", err)
	}
}
