// SPDX-License-Identifier: Apache-2.0

// Command imagestore writes a containerd root directory in which given images
// are already present and unpacked, so that a node's containerd finds them when
// it starts. It uses containerd's own metadata, content and overlayfs snapshot
// packages, at the version that the node runs, and neither starts a daemon nor
// mounts anything.
//
// It reads a JSON specification (type specification) from standard input.
//
// Layers are directories. Their files are hard-linked, not copied, into the
// snapshots, and the snapshots are placed under another path than containerd's
// root: that root lies on a volume which the container engine fills by copying,
// file by file, for every node, whereas the snapshots can stay in the read-only
// node image. Layer archives are not kept, only manifests and configurations:
// containerd never reads an archive again once it is unpacked, and can be told
// to drop them (discard_unpacked_layers). Such an image runs, but a node cannot
// export it.
package main

import (
	"encoding/json"
	"fmt"
	"os"
)

// specification is what to write and where.
type specification struct {
	// Root is the containerd root directory to create, on this machine.
	Root string `json:"root"`
	// SnapshotsDir is where the snapshots' files go, on this machine, on the
	// same filesystem as the layers.
	SnapshotsDir string `json:"snapshotsDir"`
	// SnapshotsPath is SnapshotsDir as the node sees it.
	SnapshotsPath string `json:"snapshotsPath"`
	// Images are written in this order.
	Images []imageSpecification `json:"images"`
}

// imageSpecification is one image.
type imageSpecification struct {
	// Name is the full reference, for instance registry.k8s.io/pause:3.10.2.
	Name string `json:"name"`
	// Layers are directories, lowest first.
	Layers     []string `json:"layers"`
	Entrypoint []string `json:"entrypoint"`
	// User is "uid:gid" or empty for root.
	User string `json:"user,omitempty"`
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "imagestore:", err)
		os.Exit(1)
	}
}

func run() error {
	var spec specification
	decoder := json.NewDecoder(os.Stdin)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&spec); err != nil {
		return fmt.Errorf("read specification: %w", err)
	}
	if spec.Root == "" || spec.SnapshotsDir == "" || spec.SnapshotsPath == "" || len(spec.Images) == 0 {
		return fmt.Errorf("read specification: root, snapshotsDir, snapshotsPath and images are required")
	}
	store, err := openStore(spec.Root)
	if err != nil {
		return err
	}
	for _, image := range spec.Images {
		if err := store.add(image); err != nil {
			return fmt.Errorf("add image %s: %w", image.Name, err)
		}
	}
	if err := store.close(); err != nil {
		return err
	}
	return moveSnapshots(spec)
}
