// SPDX-License-Identifier: Apache-2.0

package operations

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-project/slipway/providers/docker/cloudconfig"
)

func TestForContainers(t *testing.T) {
	const ignore = " --ignore-preflight-errors=Swap,SystemVerification,FileContent--proc-sys-net-bridge-bridge-nf-call-iptables"
	config := "apiVersion: kubeadm.k8s.io/v1beta4\nkind: ClusterConfiguration\n"
	own := config + "---\nkind: KubeProxyConfiguration\nmode: nftables\n"
	given := []cloudconfig.Step{
		cloudconfig.WriteFile{Path: "/run/kubeadm/kubeadm.yaml", Content: []byte(config)},
		cloudconfig.WriteFile{Path: "/run/kubeadm/own.yaml", Content: []byte(own)},
		cloudconfig.WriteFile{Path: "/etc/other", Content: []byte("nothing to do with it")},
		cloudconfig.Command{Shell: "kubeadm init --config /run/kubeadm/kubeadm.yaml && echo success"},
		cloudconfig.Command{Argv: []string{"kubeadm", "join", "--config", "x"}},
		cloudconfig.Command{Shell: "echo kubeadm"},
	}
	want := []cloudconfig.Step{
		cloudconfig.WriteFile{Path: "/run/kubeadm/kubeadm.yaml", Content: []byte(config + proxyConfiguration)},
		cloudconfig.WriteFile{Path: "/run/kubeadm/own.yaml", Content: []byte(own)},
		cloudconfig.WriteFile{Path: "/etc/other", Content: []byte("nothing to do with it")},
		cloudconfig.Command{Shell: "kubeadm init" + ignore + " --config /run/kubeadm/kubeadm.yaml && echo success"},
		cloudconfig.Command{Argv: []string{"kubeadm", "join", "--config", "x", ignore[1:]}},
		cloudconfig.Command{Shell: "echo kubeadm"},
	}
	if diff := cmp.Diff(want, ForContainers(given)); diff != "" {
		t.Errorf("steps (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]byte(config), given[0].(cloudconfig.WriteFile).Content); diff != "" {
		t.Errorf("the input was changed (-want +got):\n%s", diff)
	}
}
