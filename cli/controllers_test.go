// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"k8s.io/client-go/rest"
)

// runningHome is a data directory that this process has signed as running a
// management cluster at an address.
func runningHome(t *testing.T, url, id string) string {
	t.Helper()
	home := t.TempDir()
	stat, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		t.Fatal(err)
	}
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		t.Fatal(err)
	}
	// The name of the program, in parentheses, may hold spaces; the start is field 22.
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	who := fmt.Sprintf(`{"pid":%d,"startTicks":%s,"bootID":%q`, os.Getpid(), fields[22-3], strings.TrimSpace(string(boot)))
	for name, text := range map[string]string{
		"lock":       who + "}",
		"state.json": who + fmt.Sprintf(`,"ready":true,"url":%q,"managementClusterID":%q}`, url, id),
	} {
		if err := os.WriteFile(filepath.Join(home, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return home
}

func TestNoControllersBesideSlipwayUp(t *testing.T) {
	home := runningHome(t, "https://127.0.0.1:1234", "uid-1")
	ended := t.TempDir()
	foreign := t.TempDir()
	if err := os.WriteFile(filepath.Join(foreign, "state.json"), []byte("not ours"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name, host, id string
		homes          []string
		refused        bool
	}{
		{"the same address", "https://127.0.0.1:1234", "", []string{home}, true},
		{"the same cluster at another address", "https://localhost:1234", "uid-1", []string{ended, foreign, home}, true},
		{"another cluster", "https://127.0.0.1:4321", "uid-2", []string{home}, false},
		{"nothing runs", "https://127.0.0.1:1234", "uid-1", []string{ended, foreign}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := &management{config: &rest.Config{Host: test.host}, id: test.id}
			err := refuseSecondSet(t.Context(), m, test.homes)
			if (err != nil) != test.refused {
				t.Fatalf("got %v", err)
			}
			if err != nil && (!strings.Contains(err.Error(), "stop it first with: slipway down") || !strings.Contains(err.Error(), home)) {
				t.Errorf("the message lacks cause or next step: %v", err)
			}
		})
	}
	t.Setenv("SLIPWAY_HOME", "/default")
	t.Setenv("KUBECONFIG", "/other/kubeconfig")
	if got, want := kubeconfigHomes("/given/kubeconfig"), []string{"/default", "/given"}; !slices.Equal(got, want) {
		t.Errorf("homes with --kubeconfig: %v, want %v", got, want)
	}
	if got, want := kubeconfigHomes(""), []string{"/default", "/other"}; !slices.Equal(got, want) {
		t.Errorf("homes with $KUBECONFIG: %v, want %v", got, want)
	}
}
