// SPDX-License-Identifier: Apache-2.0

package nodeimage

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// kubeadm137 is what kubeadm v1.37.1 lists.
var kubeadm137 = []string{
	"registry.k8s.io/kube-apiserver:v1.37.1", "registry.k8s.io/kube-controller-manager:v1.37.1",
	"registry.k8s.io/kube-scheduler:v1.37.1", "registry.k8s.io/kube-proxy:v1.37.1",
	"registry.k8s.io/coredns/coredns:v1.14.6", "registry.k8s.io/pause:3.10.2", "registry.k8s.io/etcd:3.7.0-0",
}

func testNodeBuild(t *testing.T) *nodeBuild {
	t.Helper()
	dir := writeTree(t, map[string]string{
		"n/slipway-network": "n", "k/kubernetes": "k", "k/etcd": "e", "k/coredns": "c",
		"r/pause": "p", "r/containerd": "c", "r/containerd-shim-runc-v2": "s", "r/ctr": "c",
		"r/bridge": "", "r/host-local": "", "r/loopback": "", "r/portmap": "", "r/ptp": "", "r/imagestore": "i",
		"base/netfilter/usr/sbin/nft": "nft", "source/network/version.txt": "v0.1.0\n",
	})
	return &nodeBuild{
		source: filepath.Join(dir, "source"), kubernetes: filepath.Join(dir, "k"), runtime: filepath.Join(dir, "r"), network: filepath.Join(dir, "n"), base: base{dir: filepath.Join(dir, "base")},
		release: release{version: "v1.37.1", dir: "/x/nodeimage/v1.37", etcd: "v3.7.0", coreDNS: "v1.14.6"},
	}
}

func TestPlanImages(t *testing.T) {
	b, work := testNodeBuild(t), t.TempDir()
	images, err := b.planImages(kubeadm137, work)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, image := range images {
		var layers []string
		for _, dir := range image.Layers {
			layers = append(layers, filepath.Base(dir))
		}
		got = append(got, image.Name+" = "+strings.Join(layers, "+")+" "+strings.Join(image.Entrypoint, " ")+" "+image.User)
	}
	want := []string{
		"registry.k8s.io/kube-apiserver:v1.37.1 = users+kubernetes kube-apiserver ",
		"registry.k8s.io/kube-controller-manager:v1.37.1 = users+kubernetes kube-controller-manager ",
		"registry.k8s.io/kube-scheduler:v1.37.1 = users+kubernetes kube-scheduler ",
		"registry.k8s.io/kube-proxy:v1.37.1 = users+kubernetes+netfilter kube-proxy ",
		"registry.k8s.io/coredns/coredns:v1.14.6 = users+coredns /coredns 65532:65532",
		"registry.k8s.io/pause:3.10.2 = pause /pause 65535:65535",
		"registry.k8s.io/etcd:3.7.0-0 = users+etcd etcd ",
		"slipway.dev/network:v0.1.0 = users+network /usr/local/bin/slipway-network ",
		"slipway.dev/network:v0.1 = users+network /usr/local/bin/slipway-network ",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	// What an entry point names is in the layers, under /usr/local/bin or as said.
	for _, path := range []string{"kubernetes/usr/local/bin/kube-proxy", "coredns/coredns", "pause/pause", "etcd/usr/local/bin/etcd", "network/usr/local/bin/slipway-network", "users/etc/passwd"} {
		if _, err := os.Stat(filepath.Join(work, path)); err != nil {
			t.Error(err)
		}
	}
	if info, err := os.Stat(filepath.Join(work, "users/tmp")); err != nil || info.Mode()&os.ModeSticky == 0 || info.Mode().Perm() != 0o777 {
		t.Errorf("/tmp is %v, %v", info.Mode(), err)
	}
	if imageNamed(kubeadm137, "pause") != "registry.k8s.io/pause:3.10.2" || imageNamed(kubeadm137, "proxy") != "" {
		t.Error("imageNamed")
	}
}

func TestPlanImagesRefusesOtherVersionsThanPinned(t *testing.T) {
	for asked, want := range map[string][]string{
		"registry.k8s.io/coredns/coredns:v1.14.7": {"coredns:v1.14.7", "nodeimage/v1.37/coredns/go.mod pins v1.14.6"},
		"registry.k8s.io/etcd:3.7.1-0":            {"etcd:3.7.1-0", "nodeimage/v1.37/go.mod pins v3.7.0"},
		"registry.k8s.io/kube-proxy:v1.37.2":      {"kube-proxy:v1.37.2", "pins v1.37.1"},
		"registry.k8s.io/konnectivity:v1":         {"konnectivity:v1", "docs/checklists/add-a-kubernetes-version.md"},
	} {
		_, err := testNodeBuild(t).planImages([]string{asked}, t.TempDir())
		expectError(t, err, want...)
	}
}

func TestRuntimeTree(t *testing.T) {
	tree := t.TempDir()
	if err := testNodeBuild(t).writeRuntimeTree(tree); err != nil {
		t.Fatal(err)
	}
	for path, executable := range map[string]bool{
		"usr/local/bin/entrypoint": true, "usr/local/bin/containerd": false, "opt/cni/bin/ptp": false,
		"etc/systemd/system/kubelet.service.d/10-kubeadm.conf": false, "etc/kubernetes/kubelet.conf.d/10-node-container.conf": false,
	} {
		info, err := os.Stat(filepath.Join(tree, path))
		if err != nil {
			t.Error(err)
		} else if executable && info.Mode().Perm() != 0o755 {
			t.Errorf("%s is %v", path, info.Mode())
		}
	}
	// Every link of ours leads to a file of ours, or into the base.
	wants, err := filepath.Glob(filepath.Join(tree, "etc/systemd/system/multi-user.target.wants/*"))
	if err != nil || len(wants) != 2 {
		t.Errorf("enabled units %v, %v", wants, err)
	}
	for _, link := range wants {
		target, err := os.Readlink(link)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(filepath.Join(tree, target)); err != nil {
			t.Error(err)
		}
	}
}

func TestNodeImageNamesItsNetworkAgent(t *testing.T) {
	config, err := testNodeBuild(t).config("abc")
	if err != nil || config.Labels["slipway.dev/network"] != "v0.1.0" || config.Labels[contentLabel] != "abc" {
		t.Errorf("%v, %v", config.Labels, err)
	}
}
