// SPDX-License-Identifier: Apache-2.0

package bootstrap

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	bootstrapv1 "github.com/slipway-project/slipway/api/bootstrap/v1beta2"
	"golang.org/x/tools/txtar"
	"sigs.k8s.io/yaml"
)

var update = flag.Bool("update", false, "write the outputs of the golden files anew")

// goldenInput is Input in YAML: Secrets by "<name>/<key>", PEM files as plain text.
type goldenInput struct {
	Step                 Step                          `json:"step"`
	KubernetesVersion    string                        `json:"kubernetesVersion"`
	ControlPlaneVersion  string                        `json:"controlPlaneVersion"`
	ControlPlaneEndpoint string                        `json:"controlPlaneEndpoint"`
	Pods                 []string                      `json:"pods"`
	Services             []string                      `json:"services"`
	ServiceDomain        string                        `json:"serviceDomain"`
	Certificates         map[string][2]string          `json:"certificates"`
	Token                string                        `json:"token"`
	TokenTTL             string                        `json:"tokenTTL"`
	CACertHashes         []string                      `json:"caCertHashes"`
	CACert               string                        `json:"caCert"`
	Secrets              map[string]string             `json:"secrets"`
	TaintUninitialized   bool                          `json:"taintUninitialized"`
	Spec                 bootstrapv1.KubeadmConfigSpec `json:"spec"`
}

func parseInput(t *testing.T, text []byte) Input {
	t.Helper()
	var golden goldenInput
	if err := yaml.UnmarshalStrict(text, &golden); err != nil {
		t.Fatal(err)
	}
	pair := func(name string) KeyPair {
		p := golden.Certificates[name]
		return KeyPair{Cert: []byte(p[0]), Key: []byte(p[1])}
	}
	in := Input{
		Spec: golden.Spec, Step: golden.Step, ClusterName: "demo", KubernetesVersion: golden.KubernetesVersion,
		ControlPlaneVersion: golden.ControlPlaneVersion, ControlPlaneEndpoint: golden.ControlPlaneEndpoint,
		Network: Network{PodCIDRs: golden.Pods, ServiceCIDRs: golden.Services, ServiceDomain: golden.ServiceDomain},
		Certificates: Certificates{
			ClusterCA: pair("ca"), EtcdCA: pair("etcd"), FrontProxyCA: pair("proxy"), ServiceAccount: pair("sa"),
			APIServerEtcdClient: pair("apiserver-etcd-client"),
		},
		Discovery:          Discovery{Token: golden.Token, CACertHashes: golden.CACertHashes, CACert: []byte(golden.CACert)},
		Secrets:            map[SecretKey][]byte{},
		TaintUninitialized: golden.TaintUninitialized,
	}
	if golden.TokenTTL != "" {
		ttl, err := time.ParseDuration(golden.TokenTTL)
		if err != nil {
			t.Fatal(err)
		}
		in.Discovery.TokenTTL = ttl
	}
	for key, content := range golden.Secrets {
		name, entry, _ := strings.Cut(key, "/")
		in.Secrets[SecretKey{name, entry}] = []byte(content)
	}
	return in
}

// goldens calls f with each golden file's archive and input.
func goldens(t *testing.T, f func(t *testing.T, path string, archive *txtar.Archive, input []byte)) {
	t.Helper()
	paths, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no golden files: %v", err)
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			f(t, path, archive, section(archive, "input.yaml"))
		})
	}
}

func section(archive *txtar.Archive, name string) []byte {
	for _, f := range archive.Files {
		if f.Name == name {
			return f.Data
		}
	}
	return nil
}

func TestGoldens(t *testing.T) {
	goldens(t, func(t *testing.T, path string, archive *txtar.Archive, input []byte) {
		out, err := Render(parseInput(t, input))
		if err != nil {
			t.Fatal(err)
		}
		ignored := strings.Join(append(out.Ignored, ""), "\n")
		if *update {
			archive.Files = []txtar.File{{Name: "input.yaml", Data: input}, {Name: "output", Data: out.Data}}
			if ignored != "" {
				archive.Files = append(archive.Files, txtar.File{Name: "ignored", Data: []byte(ignored)})
			}
			if err := os.WriteFile(path, txtar.Format(archive), 0o644); err != nil {
				t.Fatal(err)
			}
			return
		}
		if diff := cmp.Diff(string(section(archive, "output")), string(out.Data)); diff != "" {
			t.Errorf("run with -update and look at what changed:\n%s", diff)
		}
		if diff := cmp.Diff(string(section(archive, "ignored")), ignored); diff != "" {
			t.Errorf("ignored fields:\n%s", diff)
		}
	})
}

// TestLaws: same Input, same bytes; Input not changed; what comes out is one YAML document.
func TestLaws(t *testing.T) {
	goldens(t, func(t *testing.T, _ string, _ *txtar.Archive, input []byte) {
		in, untouched := parseInput(t, input), parseInput(t, input)
		first, err := Render(in)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(untouched, in); diff != "" {
			t.Errorf("Render changed its input:\n%s", diff)
		}
		for range 5 {
			again, err := Render(in)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(first, again); diff != "" {
				t.Fatalf("the same input gave two outputs:\n%s", diff)
			}
		}
		read := readUserData(t, first.Data)
		if len(read.WriteFiles) == 0 || len(read.RunCmd) == 0 {
			t.Errorf("read back without files or commands: %+v", read)
		}
	})
}

func TestSecretKeysAndNeedsToken(t *testing.T) {
	var spec bootstrapv1.KubeadmConfigSpec
	if err := yaml.UnmarshalStrict([]byte(`
files:
- {path: /a, contentFrom: {secret: {name: one, key: a}}}
- {path: /b, content: plain}
- {path: /c, contentFrom: {secret: {name: one, key: b}}}
- {path: /d, contentFrom: {secret: {name: one, key: a}}}
users:
- {name: u, passwdFrom: {secret: {name: two, key: p}}}
`), &spec); err != nil {
		t.Fatal(err)
	}
	want := []SecretKey{{"one", "a"}, {"one", "b"}, {"two", "p"}}
	if diff := cmp.Diff(want, SecretKeys(spec)); diff != "" {
		t.Error(diff)
	}
	if !NeedsToken(spec) {
		t.Error("a plain join needs a token")
	}
	spec.JoinConfiguration.Discovery.File.KubeConfigPath = "/k"
	if NeedsToken(spec) {
		t.Error("a join by file needs no token")
	}
}

func TestEndpoint(t *testing.T) {
	for want, got := range map[string]string{"192.0.2.1:6443": Endpoint("192.0.2.1", 6443), "[2001:db8::1]:6443": Endpoint("2001:db8::1", 6443), "": Endpoint("", 0)} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
