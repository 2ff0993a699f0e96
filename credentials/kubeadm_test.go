// SPDX-License-Identifier: Apache-2.0

package credentials

import (
	"crypto/rand"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestKubeadmBuildsOnOurAuthorities gives the real kubeadm our files and has it make all its certificates from them.
// kubeadm keeps authorities it accepts, and fails on those it cannot use.
func TestKubeadmBuildsOnOurAuthorities(t *testing.T) {
	folder := os.Getenv("SLIPWAY_TEST_BINARIES")
	if folder == "" {
		t.Skip("SLIPWAY_TEST_BINARIES names no folder with kubeadm")
	}
	printed, err := exec.Command(filepath.Join(folder, "kubeadm"), "version", "-o", "short").Output()
	if err != nil {
		t.Fatal(err)
	}
	own := strings.TrimSpace(string(printed))
	for _, algorithm := range []Algorithm{RSA2048, ECDSAP256} {
		t.Run(string(algorithm), func(t *testing.T) {
			pki := t.TempDir()
			files := map[Purpose][2]string{
				ClusterCA: {"ca.crt", "ca.key"}, EtcdCA: {"etcd/ca.crt", "etcd/ca.key"},
				FrontProxyCA: {"front-proxy-ca.crt", "front-proxy-ca.key"}, ServiceAccount: {"sa.pub", "sa.key"},
			}
			if err := os.MkdirAll(filepath.Join(pki, "etcd"), 0o755); err != nil {
				t.Fatal(err)
			}
			written := map[string]string{}
			for purpose, names := range files {
				// kubeadm has a clock of its own.
				pair, err := NewPair(purpose, algorithm, 0, time.Now(), rand.Reader)
				if err != nil {
					t.Fatal(err)
				}
				for i, content := range [][]byte{pair.Cert, pair.Key} {
					if err := os.WriteFile(filepath.Join(pki, names[i]), content, 0o600); err != nil {
						t.Fatal(err)
					}
					written[names[i]] = string(content)
				}
			}
			config := filepath.Join(pki, "kubeadm.yaml")
			text := "apiVersion: kubeadm.k8s.io/v1beta4\nkind: InitConfiguration\nlocalAPIEndpoint: {advertiseAddress: 192.0.2.1}\nnodeRegistration: {name: node, criSocket: unix:///run/none.sock}\n" +
				"---\napiVersion: kubeadm.k8s.io/v1beta4\nkind: ClusterConfiguration\nkubernetesVersion: " + own + "\ncertificatesDir: " + pki + "\nencryptionAlgorithm: " + string(algorithm) + "\n"
			if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			for _, arguments := range [][]string{{"init", "phase", "certs", "all"}, {"certs", "check-expiration"}} {
				command := exec.Command(filepath.Join(folder, "kubeadm"), append(arguments, "--config", config)...)
				if out, err := command.CombinedOutput(); err != nil {
					t.Fatalf("kubeadm %s: %v\n%s", strings.Join(arguments, " "), err, out)
				}
			}
			for name, content := range written {
				now, err := os.ReadFile(filepath.Join(pki, name))
				if err != nil || string(now) != content {
					t.Errorf("kubeadm replaced %s: %v", name, err)
				}
			}
			for _, made := range []string{"apiserver.crt", "etcd/server.crt", "front-proxy-client.crt", "apiserver-kubelet-client.crt"} {
				if _, err := os.Stat(filepath.Join(pki, made)); err != nil {
					t.Errorf("kubeadm did not make %s: %v", made, err)
				}
			}
		})
	}
}
