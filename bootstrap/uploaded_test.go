// SPDX-License-Identifier: Apache-2.0

package bootstrap

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	bootstrapv1 "github.com/slipway-project/slipway/api/bootstrap/v1beta2"
)

// uploaded136 is what kubeadm v1.36.3 uploads for a configuration with one name for the API server's certificate.
const uploaded136 = `apiServer:
  certSANs:
  - localhost
apiVersion: kubeadm.k8s.io/v1beta4
caCertificateValidityPeriod: 87600h0m0s
certificateValidityPeriod: 8760h0m0s
certificatesDir: /etc/kubernetes/pki
clusterName: demo
controlPlaneEndpoint: 10.0.0.1:6443
controllerManager: {}
dns: {}
encryptionAlgorithm: RSA-2048
etcd:
  local:
    dataDir: /var/lib/etcd
imageRepository: registry.k8s.io
kind: ClusterConfiguration
kubernetesVersion: v1.36.3
networking:
  dnsDomain: cluster.local
  podSubnet: 192.168.0.0/16
  serviceSubnet: 10.96.0.0/12
proxy: {}
scheduler: {}
`

func parsed(t *testing.T, text string) Uploaded {
	t.Helper()
	uploaded, err := ParseUploaded(text)
	if err != nil {
		t.Fatal(err)
	}
	return uploaded
}

func localhost() bootstrapv1.ClusterConfiguration {
	return bootstrapv1.ClusterConfiguration{APIServer: bootstrapv1.APIServer{CertSANs: []string{"localhost"}}}
}

// changes are the parts of the document that differ, as YAML; "-" where one is gone.
func changes(t *testing.T, before, after string) map[string]string {
	t.Helper()
	left, right := parsed(t, before).tree, parsed(t, after).tree
	changed := map[string]string{}
	for key := range left {
		if _, there := right[key]; !there {
			changed[key] = "-"
		}
	}
	for key, value := range right {
		if !cmp.Equal(left[key], value) {
			raw, err := yaml.Marshal(value)
			if err != nil {
				t.Fatal(err)
			}
			changed[key] = strings.TrimSpace(string(raw))
		}
	}
	return changed
}

func TestUploadedFollows(t *testing.T) {
	value := "10"
	tests := map[string]struct {
		version string
		spec    func(*bootstrapv1.ClusterConfiguration)
		want    map[string]string
	}{
		"nothing":     {version: "v1.36.3", want: map[string]string{}},
		"the version": {version: "v1.37.1", want: map[string]string{"kubernetesVersion": "v1.37.1"}},
		"arguments": {
			version: "v1.36.3",
			spec: func(c *bootstrapv1.ClusterConfiguration) {
				c.ControllerManager.ExtraArgs = []bootstrapv1.Arg{{Name: "v", Value: &value}}
			},
			want: map[string]string{"controllerManager": "extraArgs:\n- name: v\n  value: \"10\""},
		},
		"what is taken out": {
			version: "v1.36.3",
			spec:    func(c *bootstrapv1.ClusterConfiguration) { c.APIServer.CertSANs = nil },
			want:    map[string]string{"apiServer": "-"},
		},
		"images, gates, keys and lifetimes": {
			version: "v1.36.3",
			spec: func(c *bootstrapv1.ClusterConfiguration) {
				c.ImageRepository = "mirror.example"
				c.FeatureGates = map[string]bool{"NodeLocalCRISocket": false}
				c.EncryptionAlgorithm = bootstrapv1.EncryptionAlgorithmECDSAP256
				c.CertificateValidityPeriodDays = 100
				c.CACertificateValidityPeriodDays = 3650
			},
			want: map[string]string{
				"imageRepository": "mirror.example", "featureGates": "NodeLocalCRISocket: false", "encryptionAlgorithm": "ECDSA-P256",
				"certificateValidityPeriod": "2400h0m0s",
			},
		},
		"etcd, whose folder stays": {
			version: "v1.36.3",
			spec:    func(c *bootstrapv1.ClusterConfiguration) { c.Etcd.Local.ImageTag = "3.7.0-0" },
			want:    map[string]string{"etcd": "local:\n  dataDir: /var/lib/etcd\n  imageTag: 3.7.0-0"},
		},
		"the image of CoreDNS does not": {
			version: "v1.36.3",
			spec:    func(c *bootstrapv1.ClusterConfiguration) { c.DNS.ImageTag = "v1.14.6" },
			want:    map[string]string{},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			spec := localhost()
			if test.spec != nil {
				test.spec(&spec)
			}
			text, err := parsed(t, uploaded136).Following(test.version, spec)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, changes(t, uploaded136, text)); diff != "" {
				t.Errorf("changed parts (-want +got):\n%s", diff)
			}
			if len(test.want) == 0 && text != uploaded136 {
				t.Errorf("nothing differs, and yet the text is another one:\n%s", text)
			}
			again, err := parsed(t, text).Following(test.version, spec)
			if err != nil || again != text {
				t.Errorf("followed a second time it changes again (%v):\n%s", err, cmp.Diff(text, again))
			}
		})
	}
}

// From v1beta3 to v1beta4 arguments become a list, the one timeout goes, and what kubeadm now writes down is added.
func TestUploadedGetsTheNewFormat(t *testing.T) {
	value := "10"
	spec := bootstrapv1.ClusterConfiguration{}
	spec.APIServer.ExtraArgs = []bootstrapv1.Arg{{Name: "v", Value: &value}}
	before := "apiServer:\n  extraArgs: {v: \"10\"}\n  timeoutForControlPlane: 4m0s\napiVersion: kubeadm.k8s.io/v1beta3\nclusterName: demo\n" +
		"etcd: {local: {dataDir: /var/lib/etcd}}\nimageRepository: registry.k8s.io\nkind: ClusterConfiguration\nkubernetesVersion: v1.30.4\n"
	same, err := parsed(t, before).Following("v1.30.4", spec)
	if err != nil || same != before {
		t.Errorf("nothing differs, and yet: %v\n%s", err, cmp.Diff(before, same))
	}
	after, err := parsed(t, before).Following("v1.31.0", spec)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"apiVersion": "kubeadm.k8s.io/v1beta4", "kubernetesVersion": "v1.31.0", "apiServer": "extraArgs:\n- name: v\n  value: \"10\"",
		"featureGates": "ControlPlaneKubeletLocalMode: true", "encryptionAlgorithm": "RSA-2048",
		"certificateValidityPeriod": "8760h0m0s", "caCertificateValidityPeriod": "87600h0m0s",
	}
	if diff := cmp.Diff(want, changes(t, before, after)); diff != "" {
		t.Errorf("changed parts (-want +got):\n%s", diff)
	}
}

func TestUploadedFollowsDNS(t *testing.T) {
	before := strings.Replace(uploaded136, "dns: {}", "dns: {disabled: true, imageTag: v1.14.2}", 1)
	for name, test := range map[string]struct {
		dns  bootstrapv1.DNS
		want map[string]string
	}{
		"the same":  {bootstrapv1.DNS{ImageTag: "v1.14.2"}, map[string]string{}},
		"other":     {bootstrapv1.DNS{ImageTag: "v1.14.6", ImageRepository: "mirror.example"}, map[string]string{"dns": "disabled: true\nimageRepository: mirror.example\nimageTag: v1.14.6"}},
		"taken out": {bootstrapv1.DNS{}, map[string]string{"dns": "disabled: true"}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, changes(t, before, parsed(t, before).FollowingDNS(test.dns))); diff != "" {
				t.Errorf("changed parts (-want +got):\n%s", diff)
			}
		})
	}
}

func TestUploadedIsRefused(t *testing.T) {
	for name, test := range map[string][2]string{
		"no YAML":     {"a: [", "it is not YAML"},
		"empty":       {"", "not a ClusterConfiguration"},
		"other kind":  {"kind: InitConfiguration\napiVersion: kubeadm.k8s.io/v1beta4", "not a ClusterConfiguration"},
		"other group": {"kind: ClusterConfiguration\napiVersion: kubeadm.k8s.io/v1beta2", "version kubeadm.k8s.io/v1beta2"},
		"no version":  {"kind: ClusterConfiguration\napiVersion: kubeadm.k8s.io/v1beta4", "not a Kubernetes version"},
	} {
		if _, err := ParseUploaded(test[0]); err == nil || !strings.Contains(err.Error(), test[1]) {
			t.Errorf("%s: error is %v; it should say %q", name, err, test[1])
		}
	}
	if _, err := parsed(t, uploaded136).Following("latest", localhost()); err == nil {
		t.Error("a version that is none is taken")
	}
}

// TestKubeadmWritesNoDifference: what the real kubeadm makes of our own configuration, with all its defaults, says to
// us the same as that configuration; and kubeadm reads what we write.
func TestKubeadmWritesNoDifference(t *testing.T) {
	folder := os.Getenv("SLIPWAY_TEST_BINARIES")
	if folder == "" {
		t.Skip("SLIPWAY_TEST_BINARIES names no folder with kubeadm")
	}
	kubeadm := filepath.Join(folder, "kubeadm")
	printed, err := exec.Command(kubeadm, "version", "-o", "short").Output()
	if err != nil {
		t.Fatal(err)
	}
	own, value, off := strings.TrimSpace(string(printed)), "10", false
	full := localhost()
	full.APIServer.ExtraArgs = []bootstrapv1.Arg{{Name: "v", Value: &value}, {Name: "audit-log-path"}}
	full.APIServer.ExtraVolumes = []bootstrapv1.HostPathMount{{Name: "x", HostPath: "/x", MountPath: "/x", ReadOnly: &off}}
	full.Etcd.Local.ExtraArgs = []bootstrapv1.Arg{{Name: "quota-backend-bytes", Value: &value}}
	full.CertificateValidityPeriodDays = 30
	for name, spec := range map[string]bootstrapv1.ClusterConfiguration{"bare": {}, "full": full} {
		in := Input{
			Spec: bootstrapv1.KubeadmConfigSpec{ClusterConfiguration: spec}, Step: Init, ClusterName: "demo",
			KubernetesVersion: own, ControlPlaneEndpoint: "10.0.0.1:6443",
		}
		in.Spec.InitConfiguration.NodeRegistration.CRISocket = "unix:///run/containerd/containerd.sock"
		in.Spec.InitConfiguration.LocalAPIEndpoint.AdvertiseAddress = "10.0.0.2"
		d, err := newDialect(own)
		if err != nil {
			t.Fatal(err)
		}
		config, err := initConfiguration(in, d)
		if err != nil {
			t.Fatal(err)
		}
		_, written, _ := strings.Cut(migrated(t, kubeadm, config), "\n---\n")
		text, err := parsed(t, written).Following(own, spec)
		if err != nil {
			t.Fatal(err)
		}
		if text != written {
			t.Errorf("%s: kubeadm's own text says something else to us:\n%s", name, cmp.Diff(written, text))
		}
		// The other configuration's text, brought over, is what kubeadm would have written itself.
		other, err := parsed(t, strings.Replace(uploaded136, "v1.36.3", own, 1)).Following(own, spec)
		if err != nil {
			t.Fatal(err)
		}
		migrated(t, kubeadm, other)
	}
}

// migrated is a configuration as kubeadm reads and writes it again; a field that it does not know fails.
func migrated(t *testing.T, kubeadm, config string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "kubeadm.yaml")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	command := exec.Command(kubeadm, "config", "migrate", "--old-config", path)
	var problems strings.Builder
	command.Stderr = &problems
	out, err := command.Output()
	if err != nil || strings.Contains(problems.String(), "unknown field") {
		t.Fatalf("kubeadm does not read it: %v\n%s\n%s", err, problems.String(), config)
	}
	return string(out)
}
