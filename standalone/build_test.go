// SPDX-License-Identifier: Apache-2.0

package standalone

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

func TestSameBuild(t *testing.T) {
	if !(State{PID: os.Getpid()}).SameBuild() || !(State{}).SameBuild() {
		t.Error("this process is said to run another build than itself")
	}
	other := exec.Command("sleep", "60")
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = other.Process.Kill(); _ = other.Wait() }()
	if (State{PID: other.Process.Pid}).SameBuild() {
		t.Error("sleep is said to be the same build")
	}
}

func TestSameContent(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	one := write("one", "content")
	for other, want := range map[string]bool{one: true, write("copy", "content"): true, write("longer", "content and more"): false, write("other", "CONTENT"): false} {
		if got, err := sameContent(one, other); err != nil || got != want {
			t.Errorf("%s: %t %v", other, got, err)
		}
	}
	if _, err := sameContent(one, filepath.Join(dir, "none")); err == nil {
		t.Error("a file that is not there is compared")
	}
}
