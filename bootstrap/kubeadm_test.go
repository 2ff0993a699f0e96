// SPDX-License-Identifier: Apache-2.0

package bootstrap

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"
	"k8s.io/apimachinery/pkg/util/version"
)

var kubernetesVersionLine = regexp.MustCompile(`(?m)^kubernetesVersion: .*$`)

// TestKubeadmAccepts has the real kubeadm read every golden's configuration strictly: unknown fields and wrong types
// fail. It has one version, and refuses to set up others, so that version is put in; the format is not touched.
func TestKubeadmAccepts(t *testing.T) {
	folder := os.Getenv("SLIPWAY_TEST_BINARIES")
	if folder == "" {
		t.Skip("SLIPWAY_TEST_BINARIES names no folder with kubeadm")
	}
	kubeadm := filepath.Join(folder, "kubeadm")
	printed, err := exec.Command(kubeadm, "version", "-o", "short").Output()
	if err != nil {
		t.Fatal(err)
	}
	own := strings.TrimSpace(string(printed))
	parsed, err := version.ParseSemantic(own)
	if err != nil {
		t.Fatalf("%s does not know its version: %v", kubeadm, err)
	}
	readsV1beta3 := parsed.LessThan(version.MustParseSemantic("v1.37.0-0"))
	validate := func(t *testing.T, config string) (string, error) {
		t.Helper()
		path := filepath.Join(t.TempDir(), "kubeadm.yaml")
		if err := os.WriteFile(path, []byte(kubernetesVersionLine.ReplaceAllString(config, "kubernetesVersion: "+own)), 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command(kubeadm, "config", "validate", "--config", path).CombinedOutput()
		return string(out), err
	}
	seen := ""
	goldens(t, func(t *testing.T, _ string, _ *txtar.Archive, input []byte) {
		in := parseInput(t, input)
		out, err := Render(in)
		if err != nil {
			t.Fatal(err)
		}
		path := joinConfigPath
		if in.Step == Init {
			path = initConfigPath
		}
		config := readUserData(t, out.Data).fileAt(t, path)
		if !readsV1beta3 && strings.Contains(config, "v1beta3") {
			t.Skipf("kubeadm %s does not read v1beta3", own)
		}
		// A gate that only older versions have is right there, and wrong for this kubeadm.
		config = strings.ReplaceAll(config, "  ControlPlaneKubeletLocalMode: true\n", "")
		seen = config
		// kubeadm wants to see the discovery file, which is on the machine and not here.
		if file := in.Spec.JoinConfiguration.Discovery.File.KubeConfigPath; file != "" {
			here := filepath.Join(t.TempDir(), "discovery.conf")
			if err := os.WriteFile(here, []byte(readUserData(t, out.Data).fileAt(t, file)), 0o600); err != nil {
				t.Fatal(err)
			}
			config = strings.ReplaceAll(config, file, here)
		}
		if printed, err := validate(t, config); err != nil {
			t.Errorf("kubeadm %s refuses: %s\n%s", own, printed, config)
		}
	})
	// The oracle itself is tried: it must see a field that does not exist.
	if printed, err := validate(t, seen+"nonsense: true\n"); err == nil {
		t.Errorf("kubeadm %s accepts anything: %s", own, printed)
	}
}
