// SPDX-License-Identifier: Apache-2.0

package nodeimage

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func TestLockCacheExcludesAndClears(t *testing.T) {
	cache := writeTree(t, map[string]string{
		"binaries/" + unfinished + "v1.37.1-1/kubernetes": "half",
		"base/" + unfinished + "x/root/file":              "half",
		"images/" + unfinished + "node":                   "half",
		"binaries/v1.37.1/kubernetes":                     "whole",
	})
	unlock, err := lockCache(t.Context(), Options{}, cache)
	if err != nil {
		t.Fatal(err)
	}
	left, err := filepath.Glob(filepath.Join(cache, "*", unfinished+"*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left after a killed build: %v, %v", left, err)
	}
	if _, err := os.Stat(filepath.Join(cache, "binaries/v1.37.1/kubernetes")); err != nil {
		t.Errorf("a finished build is gone: %v", err)
	}

	waiting, cancel := context.WithCancel(t.Context())
	var phases []string
	_, err = lockCache(waiting, Options{Progress: func(phase string, _ bool, _ string) {
		phases = append(phases, phase)
		cancel() // having learnt that it waits
	}}, cache)
	if !errors.Is(err, context.Canceled) || len(phases) != 1 {
		t.Errorf("second lock: %v, phases %v", err, phases)
	}

	unlock()
	again, err := lockCache(t.Context(), Options{}, cache)
	if err != nil {
		t.Fatal(err)
	}
	again()
}

func TestReplaceDir(t *testing.T) {
	dir := writeTree(t, map[string]string{"new/file": "new", "old/file": "old", "old/gone": ""})
	target := filepath.Join(dir, "old")
	if err := replaceDir(filepath.Join(dir, "new"), target); err != nil {
		t.Fatal(err)
	}
	if data, err := os.ReadFile(filepath.Join(target, "file")); err != nil || string(data) != "new" {
		t.Errorf("%q, %v", data, err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("left: %v, %v", entries, err)
	}
	// What is replaced need not be there.
	made, err := makeUnfinished(filepath.Join(dir, "sub", "fresh"))
	if err != nil {
		t.Fatal(err)
	}
	if err := replaceDir(made, filepath.Join(dir, "sub", "fresh")); err != nil {
		t.Error(err)
	}
}
