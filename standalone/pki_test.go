// SPDX-License-Identifier: Apache-2.0

package standalone

import (
	"crypto/tls"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"
)

func newHome(t *testing.T) dataDir {
	t.Helper()
	home, err := openDataDir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if home, err = home.create(); err != nil {
		t.Fatal(err)
	}
	return home
}

var allFiles = []string{"ca", "etcd-ca", "kube-apiserver", "etcd", "kube-apiserver-etcd-client", "slipway-etcd-client",
	"admin", "slipway-controllers", "kube-controller-manager", "service-account"}

func TestPKIIsMadeOnceAndRenewedInTime(t *testing.T) {
	home := newHome(t)
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	specs := certificateSpecs(apiServerHosts(net.IPv4(127, 0, 0, 1)))
	leaves := allFiles[2:9]
	steps := []struct {
		name  string
		at    time.Duration
		start bool
		want  []string
	}{
		{"first", 0, true, allFiles},
		{"again", time.Hour, true, nil},
		{"a day before renewal", certificateLife - renewBefore - 24*time.Hour, false, nil},
		{"renewal", certificateLife - renewBefore + time.Hour, false, leaves},
		{"after expiry", 3 * certificateLife, true, leaves},
		{"authority near its end, running", authorityLife - renewBefore + time.Hour, false, leaves},
		{"authority near its end, still running", authorityLife - renewBefore + 2*time.Hour, false, nil},
		{"authority near its end, at a start", authorityLife - renewBefore + time.Hour, true, allFiles[:9]},
	}
	for _, step := range steps {
		got, err := ensurePKI(home, specs, now.Add(step.at), step.start)
		if err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		if diff := cmp.Diff(step.want, got); diff != "" {
			t.Errorf("%s: %s", step.name, diff)
		}
	}
}

func TestCertificateIsReplacedWhenUnfit(t *testing.T) {
	now := time.Now()
	specs := certificateSpecs(apiServerHosts(net.IPv4(127, 0, 0, 1)))
	other := certificateSpecs(apiServerHosts(net.ParseIP("192.0.2.7")))
	cases := map[string]struct {
		spoil func(t *testing.T, home dataDir)
		specs []certificateSpec
		want  []string
	}{
		"another address": {func(*testing.T, dataDir) {}, other, []string{"kube-apiserver"}},
		"key of another": {func(t *testing.T, home dataDir) {
			copyFile(t, home.keyFile(etcdFile), home.keyFile(adminFile))
		}, specs, []string{"admin"}},
		"certificate missing": {func(t *testing.T, home dataDir) {
			remove(t, home.certificateFile(controllersFile))
		}, specs, []string{"slipway-controllers"}},
		"half written": {func(t *testing.T, home dataDir) {
			if err := os.Truncate(home.certificateFile(etcdFile), 10); err != nil {
				t.Fatal(err)
			}
		}, specs, []string{"etcd"}},
		"of another authority": {func(t *testing.T, home dataDir) {
			copyFile(t, home.certificateFile(etcdFile), home.certificateFile(apiServerFile))
			copyFile(t, home.keyFile(etcdFile), home.keyFile(apiServerFile))
		}, specs, []string{"kube-apiserver"}},
		"authority whose certificate was not written any more": {func(t *testing.T, home dataDir) {
			remove(t, home.certificateFile(etcdAuthorityFile))
		}, specs, []string{"etcd-ca", "etcd", "kube-apiserver-etcd-client", "slipway-etcd-client"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			home := newHome(t)
			if _, err := ensurePKI(home, specs, now, true); err != nil {
				t.Fatal(err)
			}
			c.spoil(t, home)
			got, err := ensurePKI(home, c.specs, now, true)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
			pair, err := tls.LoadX509KeyPair(home.certificateFile(apiServerFile), home.keyFile(apiServerFile))
			if err != nil {
				t.Fatal(err)
			}
			for _, spec := range c.specs {
				for _, host := range spec.hosts {
					if spec.file == apiServerFile && pair.Leaf.VerifyHostname(host) != nil {
						t.Errorf("certificate is not for %s", host)
					}
				}
			}
		})
	}
}

func TestLostAuthorityKeyIsRefused(t *testing.T) {
	home := newHome(t)
	if _, err := ensurePKI(home, nil, time.Now(), true); err != nil {
		t.Fatal(err)
	}
	remove(t, home.keyFile(authorityFile))
	_, err := ensurePKI(home, nil, time.Now(), true)
	if err == nil || !strings.Contains(err.Error(), home.keyFile(authorityFile)) {
		t.Errorf("lost key: %v", err)
	}
}

func TestNothingOthersCanRead(t *testing.T) {
	home := newHome(t)
	if _, err := ensurePKI(home, certificateSpecs(nil), time.Now(), true); err != nil {
		t.Fatal(err)
	}
	if made, err := ensureEncryption(home); err != nil || !made {
		t.Fatal(made, err)
	}
	if made, err := ensureEncryption(home); err != nil || made {
		t.Fatal(made, err)
	}
	if err := writeKubeconfig(home, "https://127.0.0.1:1"); err != nil {
		t.Fatal(err)
	}
	files := []string{home.kubeconfig(), home.encryption(), string(home), home.pki()}
	for _, name := range allFiles {
		files = append(files, home.keyFile(name))
	}
	for _, file := range files {
		info, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", file, info.Mode())
		}
	}
}

func TestEncryptionKeyIsNotReplacedUnderData(t *testing.T) {
	home := newHome(t)
	if err := os.MkdirAll(home.path("etcd", "member"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := ensureEncryption(home); err == nil || !strings.Contains(err.Error(), "backup") {
		t.Errorf("lost key: %v", err)
	}
}

// A configuration of an older slipway keeps its keys, and encrypts what it did not.
func TestEncryptionIsExtended(t *testing.T) {
	const older = `apiVersion: apiserver.config.k8s.io/v1
kind: EncryptionConfiguration
resources:
- resources:
  - events
  providers:
  - identity: {}
- resources:
  - secrets
  providers:
  - secretbox:
      keys:
      - name: key-2
        secret: bmV3
      - name: key-1
        secret: b2xk
  - aescbc:
      keys: []
`
	home := newHome(t)
	if err := os.WriteFile(home.encryption(), []byte(older), 0o600); err != nil {
		t.Fatal(err)
	}
	if made, err := ensureEncryption(home); err != nil || made {
		t.Fatal(made, err)
	}
	var got, want map[string]any
	want = map[string]any{}
	if err := yaml.Unmarshal([]byte(older), &want); err != nil {
		t.Fatal(err)
	}
	box := want["resources"].([]any)[1].(map[string]any)
	box["resources"] = []any{"secrets", "kubeadmconfigs.bootstrap.cluster.x-k8s.io"}
	box["providers"] = append(box["providers"].([]any), map[string]any{"identity": map[string]any{}})
	written, err := os.ReadFile(home.encryption())
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(written, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if _, err := ensureEncryption(home); err != nil {
		t.Fatal(err)
	}
	if again, err := os.ReadFile(home.encryption()); err != nil || string(again) != string(written) {
		t.Errorf("written again: %s %v", again, err)
	}
	for _, broken := range []string{"kind: EncryptionConfiguration # secretbox:\n", "resources: [\n"} {
		if err := os.WriteFile(home.encryption(), []byte(broken), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := ensureEncryption(home); err == nil || !strings.Contains(err.Error(), "backup") {
			t.Errorf("%q: %v", broken, err)
		}
	}
}

// A client that connects again after a renewal shows the new certificate.
func TestEtcdClientShowsTheRenewedCertificate(t *testing.T) {
	home := newHome(t)
	if _, err := etcdTLS(home); err == nil {
		t.Error("no certificate is no error")
	}
	specs := certificateSpecs(nil)
	now := time.Now()
	if _, err := ensurePKI(home, specs, now, true); err != nil {
		t.Fatal(err)
	}
	config, err := etcdTLS(home)
	if err != nil {
		t.Fatal(err)
	}
	shown := func() time.Time {
		t.Helper()
		pair, err := config.GetClientCertificate(&tls.CertificateRequestInfo{})
		if err != nil {
			t.Fatal(err)
		}
		return pair.Leaf.NotAfter
	}
	first := shown()
	if _, err := ensurePKI(home, specs, now.Add(certificateLife), false); err != nil {
		t.Fatal(err)
	}
	if second := shown(); !second.After(first.Add(certificateLife / 2)) {
		t.Errorf("the certificate shown ends %s, before the renewal %s", second, first)
	}
}

func TestAPIServerHosts(t *testing.T) {
	if hosts := apiServerHosts(net.ParseIP("192.0.2.7")); !slices.Contains(hosts, "192.0.2.7") || !slices.Contains(hosts, "127.0.0.1") {
		t.Errorf("hosts %v", hosts)
	}
	name, _ := os.Hostname()
	if hosts := apiServerHosts(net.IPv4zero); !slices.Contains(hosts, name) || slices.Contains(hosts, "0.0.0.0") {
		t.Errorf("hosts %v", hosts)
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	content, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}
