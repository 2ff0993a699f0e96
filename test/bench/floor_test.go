// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func script(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "floor.sh")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestRunFloor(t *testing.T) {
	var heard []string
	hear := func(phase string) error {
		heard = append(heard, phase)
		return nil
	}
	taken, err := runFloor(t.Context(), hear, script(t, `echo "grow 0.01"; echo "$1 2.5"`), "joined")
	if err != nil || taken["joined"] != 2500*time.Millisecond || !slices.Equal(heard, []string{"grow", "joined"}) {
		t.Errorf("taken %s, heard %v, %v", taken, heard, err)
	}
	if _, err := runFloor(t.Context(), hear, script(t, "echo too bad >&2; exit 3")); err == nil || !strings.Contains(err.Error(), "exit status 3\ntoo bad") {
		t.Errorf("a script that fails gives %v", err)
	}
	if _, err := runFloor(t.Context(), hear, script(t, "echo what")); err == nil || !strings.Contains(err.Error(), `read "what"`) {
		t.Errorf("a line that is no phase gives %v", err)
	}
}

// A script that is stopped cleans up, even while it waits for a command that would take long.
func TestStopFloor(t *testing.T) {
	long := `trap 'echo cleaned >"$1"' EXIT; trap 'exit 130' TERM; echo "grow 0"; sleep 1000; true`
	for name, stop := range map[string]func(context.CancelFunc) error{
		"interrupted": func(cancel context.CancelFunc) error { cancel(); return nil },
		"given up":    func(context.CancelFunc) error { return errors.New("no kubeconfig") },
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			file, began := filepath.Join(t.TempDir(), "cleaned"), time.Now()
			_, err := runFloor(ctx, func(string) error { return stop(cancel) }, script(t, long), file)
			if err == nil || time.Since(began) > 50*time.Second {
				t.Errorf("after %s: %v", time.Since(began), err)
			}
			if name == "given up" && !strings.Contains(err.Error(), "no kubeconfig") {
				t.Errorf("the reason is not told: %v", err)
			}
			if _, err := os.Stat(file); err != nil {
				t.Errorf("nothing was cleaned up: %v", err)
			}
		})
	}
}
