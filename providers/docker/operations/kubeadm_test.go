// SPDX-License-Identifier: Apache-2.0

package operations

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-project/slipway/providers/docker/cloudconfig"
)

const kubeletConfiguration = "---\napiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\nfailCgroupV1: false\nfailSwapOn: false\n"

func TestForContainers(t *testing.T) {
	config := "apiVersion: kubeadm.k8s.io/v1beta4\nkind: ClusterConfiguration\n"
	own := config + "---\nkind: KubeProxyConfiguration\nmode: nftables\n"
	given := []cloudconfig.Step{
		cloudconfig.WriteFile{Path: "/run/kubeadm/kubeadm.yaml", Content: []byte(config)},
		cloudconfig.WriteFile{Path: "/run/kubeadm/own.yaml", Content: []byte(own)},
		cloudconfig.WriteFile{Path: "/etc/other", Content: []byte("nothing to do with it")},
	}
	want := []cloudconfig.Step{
		cloudconfig.WriteFile{Path: "/run/kubeadm/kubeadm.yaml", Content: []byte(config + proxyConfiguration + kubeletConfiguration)},
		cloudconfig.WriteFile{Path: "/run/kubeadm/own.yaml", Content: []byte(own + kubeletConfiguration)},
		cloudconfig.WriteFile{Path: "/etc/other", Content: []byte("nothing to do with it")},
	}
	if diff := cmp.Diff(want, ForContainers(given)); diff != "" {
		t.Errorf("steps (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]byte(config), given[0].(cloudconfig.WriteFile).Content); diff != "" {
		t.Errorf("the input was changed (-want +got):\n%s", diff)
	}
}

// The user's own settings of the kubelet stay, whatever stands around them.
func TestKubeletSettings(t *testing.T) {
	const cluster, proxy = "kind: ClusterConfiguration\n---\nkind: KubeProxyConfiguration\n", "---\nkind: KubeProxyConfiguration\nfailSwapOn: x\n"
	for _, test := range []struct{ name, given, want string }{
		{"none", cluster, cluster + kubeletConfiguration},
		{"others", cluster + "---\nkind: KubeletConfiguration\nmaxPods: 7\n", cluster + "---\nkind: KubeletConfiguration\nfailCgroupV1: false\nfailSwapOn: false\nmaxPods: 7\n"},
		{"one", cluster + "---\nfailSwapOn: true\nkind: \"KubeletConfiguration\" # mine\n", cluster + "---\nfailSwapOn: true\nkind: \"KubeletConfiguration\" # mine\nfailCgroupV1: false\n"},
		{"both, last", "kind: ClusterConfiguration\n" + proxy + "---\nkind: KubeletConfiguration\nfailCgroupV1: true\nfailSwapOn: true\n", "kind: ClusterConfiguration\n" + proxy + "---\nkind: KubeletConfiguration\nfailCgroupV1: true\nfailSwapOn: true\n"},
		{"first", "kind: KubeletConfiguration\n" + proxy + "---\nkind: ClusterConfiguration\n", "kind: KubeletConfiguration\nfailCgroupV1: false\nfailSwapOn: false\n" + proxy + "---\nkind: ClusterConfiguration\n"},
		{"no line break at the end", strings.TrimSpace(cluster), cluster + kubeletConfiguration},
	} {
		fitted := ForContainers([]cloudconfig.Step{cloudconfig.WriteFile{Content: []byte(test.given)}})
		if diff := cmp.Diff(test.want, string(fitted[0].(cloudconfig.WriteFile).Content)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
	}
}

func TestKubeadmCommands(t *testing.T) {
	const flag = "--ignore-preflight-errors=Swap,SystemVerification,FileContent--proc-sys-net-bridge-bridge-nf-call-iptables"
	for given, want := range map[string]string{
		"kubeadm init --config x && echo success":         "kubeadm init " + flag + " --config x && echo success",
		"kubeadm  join x":                                 "kubeadm  join " + flag + " x",
		"a; kubeadm init phase certs all; kubeadm join x": "a; kubeadm init phase certs all; kubeadm join " + flag + " x",
		"kubeadm join phase preflight":                    "kubeadm join phase preflight",
		"kubeadm init\tphase kubeconfig":                  "kubeadm init\tphase kubeconfig",
		"echo kubeadm; kubeadm reset; kubeadm config":     "echo kubeadm; kubeadm reset; kubeadm config",
	} {
		if got := ForContainers([]cloudconfig.Step{cloudconfig.Command{Shell: given}})[0].(cloudconfig.Command).Shell; got != want {
			t.Errorf("%q becomes %q, want %q", given, got, want)
		}
	}
	for given, changed := range map[string]bool{
		"kubeadm join --config x": true, "/usr/bin/kubeadm init": true, "kubeadm init phase certs all": false, "kubeadm join phase preflight": false,
		"kubeadm version": false, "kubeadm": false, "echo kubeadm init": false,
	} {
		argv := strings.Fields(given)
		want := argv
		if changed {
			want = append(slices.Clone(argv), flag)
		}
		if diff := cmp.Diff(want, ForContainers([]cloudconfig.Step{cloudconfig.Command{Argv: argv}})[0].(cloudconfig.Command).Argv); diff != "" {
			t.Errorf("%q (-want +got):\n%s", given, diff)
		}
	}
}
