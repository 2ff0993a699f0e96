// SPDX-License-Identifier: Apache-2.0

package standalone

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// programs writes the three programs as shell scripts of one line.
func programs(t *testing.T, lines map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{etcdName, apiServerName, controllerManagerName} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+lines[name]+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// A version whose API server never came to write must not shut out the one before.
func TestVersionIsRecordedOnlyWhenItMayWrite(t *testing.T) {
	home := newHome(t)
	if err := home.writeSettings(settings{KubernetesVersion: "v1.98.0"}); err != nil {
		t.Fatal(err)
	}
	newer := programs(t, map[string]string{etcdName: "echo no memory; exit 1", apiServerName: "echo Kubernetes v1.99.0"})
	if _, err := Start(t.Context(), Options{Home: string(home), BinariesDir: newer}); err == nil || !strings.Contains(err.Error(), "no memory") {
		t.Fatalf("start: %v", err)
	}
	got, err := home.readSettings()
	if err != nil {
		t.Fatal(err)
	}
	if got.KubernetesVersion != "v1.98.0" || got.APIServerPort == 0 {
		t.Errorf("after an upgrade that failed early: %+v", got)
	}
}
