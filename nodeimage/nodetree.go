// SPDX-License-Identifier: Apache-2.0

package nodeimage

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

const (
	// imageStoreProgram writes containerd's store; it runs here, not on nodes.
	imageStoreProgram = "imagestore"
	// networkProgram is the pod network's agent.
	networkProgram = "slipway-network"
	// snapshotsPath is where a node has the files of its ready-made images. Not
	// under /var, which is a volume and would be copied for every node.
	snapshotsPath = "/usr/lib/slipway/snapshots"
)

// networkEntrypoint is what the agent's image runs.
var networkEntrypoint = []string{"/usr/local/bin/" + networkProgram}

// networkPlugins are the programs of /opt/cni/bin.
var networkPlugins = []string{"bridge", "host-local", "loopback", "portmap", "ptp"}

// writeRuntimeTree writes the layer that does not depend on the Kubernetes version.
func (b *nodeBuild) writeRuntimeTree(tree string) error {
	for _, name := range []string{"containerd", "containerd-shim-runc-v2", "ctr"} {
		if err := linkFile(filepath.Join(b.runtime, name), filepath.Join(tree, "usr/local/bin", name)); err != nil {
			return err
		}
	}
	for _, name := range networkPlugins {
		if err := linkFile(filepath.Join(b.runtime, name), filepath.Join(tree, "opt/cni/bin", name)); err != nil {
			return err
		}
	}
	for _, file := range []struct {
		path, embedded string
		mode           os.FileMode
	}{
		{"usr/local/bin/entrypoint", "entrypoint", 0o755},
		{"etc/systemd/system/containerd.service", "containerd.service", 0o644},
		{"etc/systemd/system/kubelet.service", "kubelet.service", 0o644},
		{"etc/systemd/system/kubelet.service.d/10-kubeadm.conf", "10-kubeadm.conf", 0o644},
		{"etc/kubernetes/kubelet.conf.d/10-node-container.conf", "kubelet.conf", 0o644},
		{"etc/systemd/journald.conf.d/10-node-container.conf", "journald.conf", 0o644},
	} {
		if err := writeFile(tree, file.path, file.embedded, nil, file.mode); err != nil {
			return err
		}
	}
	for _, dir := range []string{"kind", "etc/cni/net.d", "etc/kubernetes/manifests"} {
		if err := os.MkdirAll(filepath.Join(tree, dir), 0o755); err != nil {
			return err
		}
	}
	return linkAll(tree, map[string]string{
		"etc/systemd/system/multi-user.target.wants/containerd.service": "/etc/systemd/system/containerd.service",
		"etc/systemd/system/multi-user.target.wants/kubelet.service":    "/etc/systemd/system/kubelet.service",
		"etc/systemd/system/default.target":                             "/lib/systemd/system/multi-user.target",
	})
}

// writeVersionTree writes the layer of one Kubernetes version: its programs, and
// the images that kubeadm will ask for, in containerd's store. Work is a
// directory for the images' layers, on the same file system.
func (b *nodeBuild) writeVersionTree(ctx context.Context, tree, work string) error {
	kubernetes := filepath.Join(b.kubernetes, "kubernetes")
	if err := linkFile(kubernetes, filepath.Join(tree, "usr/bin/kubernetes")); err != nil {
		return err
	}
	if err := linkAll(tree, map[string]string{
		"usr/bin/kubelet": "kubernetes", "usr/bin/kubeadm": "kubernetes", "usr/bin/kubectl": "kubernetes",
	}); err != nil {
		return err
	}
	if err := writeFile(tree, "kind/version", "", []byte(b.release.version), 0o644); err != nil {
		return err
	}
	wanted, err := b.kubeadmImages(ctx)
	if err != nil {
		return err
	}
	images, err := b.planImages(wanted, work)
	if err != nil {
		return err
	}
	config, err := files.ReadFile("files/containerd.toml")
	if err != nil {
		return err
	}
	config = bytes.ReplaceAll(config, []byte("@PAUSE@"), []byte(imageNamed(wanted, "pause")))
	if err := writeFile(tree, "etc/containerd/config.toml", "", config, 0o644); err != nil {
		return err
	}
	return b.writeImageStore(ctx, tree, images)
}

// kubeadmImages asks the built kubeadm which images it will use.
func (b *nodeBuild) kubeadmImages(ctx context.Context) ([]string, error) {
	output, err := command{
		program: filepath.Join(b.kubernetes, "kubeadm"),
		args:    []string{"config", "images", "list", "--kubernetes-version", b.release.version},
	}.run(ctx)
	if err != nil {
		return nil, fmt.Errorf("ask kubeadm for its images: %w", err)
	}
	return strings.Fields(output), nil
}

// imageNamed returns the reference whose repository ends in name, or "".
func imageNamed(references []string, name string) string {
	for _, reference := range references {
		repository, _, _ := strings.Cut(path.Base(reference), ":")
		if repository == name {
			return reference
		}
	}
	return ""
}

// storedImage is one image as the image store program reads it.
type storedImage struct {
	Name       string   `json:"name"`
	Layers     []string `json:"layers"`
	Entrypoint []string `json:"entrypoint"`
	User       string   `json:"user,omitempty"`
}

// planImages writes the images' layers under work and says which image is made
// of which. The four Kubernetes components are one program, so one layer.
func (b *nodeBuild) planImages(wanted []string, work string) ([]storedImage, error) {
	layers := map[string]string{"netfilter": b.base.netfilter()}
	for layer, programs := range map[string][]string{
		"kubernetes": {filepath.Join(b.kubernetes, "kubernetes")}, "etcd": {filepath.Join(b.kubernetes, "etcd")},
		"coredns": {filepath.Join(b.kubernetes, "coredns")}, "pause": {filepath.Join(b.runtime, "pause")},
		"network": {filepath.Join(b.network, networkProgram)}, "users": nil,
	} {
		layers[layer] = filepath.Join(work, layer)
		if err := os.MkdirAll(layers[layer], 0o755); err != nil {
			return nil, err
		}
		for _, program := range programs {
			if err := linkFile(program, filepath.Join(layers[layer], "usr/local/bin", filepath.Base(program))); err != nil {
				return nil, err
			}
		}
	}
	if err := writeUsers(layers["users"]); err != nil {
		return nil, err
	}
	for name, links := range map[string]map[string]string{
		"kubernetes": {"usr/local/bin/kube-apiserver": "kubernetes", "usr/local/bin/kube-controller-manager": "kubernetes",
			"usr/local/bin/kube-scheduler": "kubernetes", "usr/local/bin/kube-proxy": "kubernetes"},
		// The paths that the usual images of these have.
		"coredns": {"coredns": "usr/local/bin/coredns"},
		"pause":   {"pause": "usr/local/bin/pause"},
	} {
		if err := linkAll(layers[name], links); err != nil {
			return nil, err
		}
	}
	version, series, err := networkTags(b.source)
	if err != nil {
		return nil, err
	}
	var images []storedImage
	for _, reference := range append(slices.Clone(wanted), NetworkRepository+":"+version, NetworkRepository+":"+series) {
		image, err := b.planImage(reference)
		if err != nil {
			return nil, err
		}
		for i, name := range image.Layers {
			image.Layers[i] = layers[name]
		}
		images = append(images, image)
	}
	return images, nil
}

// planImage says what an image that kubeadm asks for is made of; layers by name.
func (b *nodeBuild) planImage(reference string) (storedImage, error) {
	name, tag, _ := strings.Cut(path.Base(reference), ":")
	image := storedImage{Name: reference, Entrypoint: []string{name}}
	switch name {
	case "kube-apiserver", "kube-controller-manager", "kube-scheduler":
		image.Layers = []string{"users", "kubernetes"}
		return image, b.checkPin(reference, tag, b.release.version, "go.mod")
	case "kube-proxy":
		image.Layers = []string{"users", "kubernetes", "netfilter"}
		return image, b.checkPin(reference, tag, b.release.version, "go.mod")
	case "etcd":
		// kubeadm's tag has the image's own revision after the version: 3.7.0-0.
		version, _, _ := strings.Cut(tag, "-")
		image.Layers = []string{"users", "etcd"}
		return image, b.checkPin(reference, "v"+version, b.release.etcd, "go.mod")
	case "coredns":
		image.Layers, image.Entrypoint, image.User = []string{"users", "coredns"}, []string{"/coredns"}, "65532:65532"
		return image, b.checkPin(reference, tag, b.release.coreDNS, "coredns/go.mod")
	case "pause":
		image.Layers, image.Entrypoint, image.User = []string{"pause"}, []string{"/pause"}, "65535:65535"
		return image, nil
	case path.Base(NetworkRepository):
		image.Layers, image.Entrypoint = []string{"users", "network"}, networkEntrypoint
		return image, nil
	}
	return storedImage{}, fmt.Errorf("kubeadm %s asks for image %s, which the builder does not know how to make; see docs/checklists/add-a-kubernetes-version.md", b.release.version, reference)
}

// checkPin holds the version that kubeadm asks for against the one that is built.
func (b *nodeBuild) checkPin(reference, asked, pinned, file string) error {
	if asked == pinned {
		return nil
	}
	return fmt.Errorf("kubeadm %s asks for %s, but nodeimage/%s/%s pins %s; pin the version asked for and run go mod tidy there", b.release.version, reference, filepath.Base(b.release.dir), file, pinned)
}

// writeImageStore has the image store program write containerd's root directory.
func (b *nodeBuild) writeImageStore(ctx context.Context, tree string, images []storedImage) error {
	spec, err := json.Marshal(struct {
		Root          string        `json:"root"`
		SnapshotsDir  string        `json:"snapshotsDir"`
		SnapshotsPath string        `json:"snapshotsPath"`
		Images        []storedImage `json:"images"`
	}{filepath.Join(tree, "var/lib/containerd"), filepath.Join(tree, snapshotsPath), snapshotsPath, images})
	if err != nil {
		return fmt.Errorf("encode image store: %w", err)
	}
	if _, err := (command{program: filepath.Join(b.runtime, imageStoreProgram), stdin: bytes.NewReader(spec)}).run(ctx); err != nil {
		return fmt.Errorf("write image store: %w", err)
	}
	return nil
}

// linkAll makes symbolic links, path -> target.
func linkAll(tree string, links map[string]string) error {
	for name, target := range links {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(tree, name)), 0o755); err != nil {
			return err
		}
		if err := os.Symlink(target, filepath.Join(tree, name)); err != nil {
			return err
		}
	}
	return nil
}
