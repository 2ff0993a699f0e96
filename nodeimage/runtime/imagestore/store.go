// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/core/metadata"
	"github.com/containerd/containerd/v2/core/mount"
	"github.com/containerd/containerd/v2/core/snapshots"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	"github.com/containerd/containerd/v2/plugins/content/local"
	"github.com/containerd/containerd/v2/plugins/snapshots/overlay"
	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/identity"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	bolt "go.etcd.io/bbolt"
)

const (
	// snapshotter is the name that containerd's configuration gives it.
	snapshotter = "overlayfs"
	// namespace is the one that the kubelet's images live in.
	namespace = "k8s.io"
	// Directory names under containerd's root: plugin type and identifier.
	contentDir     = "io.containerd.content.v1.content"
	metadataDir    = "io.containerd.metadata.v1.bolt"
	snapshotterDir = "io.containerd.snapshotter.v1.overlayfs"
)

// imageLabels mark an image as known to the kubelet's image service and keep
// the kubelet's garbage collection from removing it: a node that can reach no
// registry could never get it back.
var imageLabels = map[string]string{
	"io.cri-containerd.image":  "managed",
	"io.cri-containerd.pinned": "pinned",
}

// imageStore is an opened containerd root.
type imageStore struct {
	ctx         context.Context
	bolt        *bolt.DB
	metadata    *metadata.DB
	images      images.Store
	snapshotter snapshots.Snapshotter
	layers      map[string]layerInfo
}

func openStore(root string) (*imageStore, error) {
	if err := os.MkdirAll(filepath.Join(root, metadataDir), 0o711); err != nil {
		return nil, fmt.Errorf("create containerd root: %w", err)
	}
	blobs, err := local.NewStore(filepath.Join(root, contentDir))
	if err != nil {
		return nil, fmt.Errorf("open content store: %w", err)
	}
	overlayfs, err := overlay.NewSnapshotter(filepath.Join(root, snapshotterDir))
	if err != nil {
		return nil, fmt.Errorf("open snapshotter: %w", err)
	}
	database, err := bolt.Open(filepath.Join(root, metadataDir, "meta.db"), 0o644, nil)
	if err != nil {
		return nil, fmt.Errorf("open metadata: %w", err)
	}
	db := metadata.NewDB(database, blobs, map[string]snapshots.Snapshotter{snapshotter: overlayfs})
	ctx := namespaces.WithNamespace(context.Background(), namespace)
	if err := db.Init(ctx); err != nil {
		return nil, fmt.Errorf("initialise metadata: %w", err)
	}
	return &imageStore{
		ctx: ctx, bolt: database, metadata: db, images: metadata.NewImageStore(db),
		snapshotter: db.Snapshotter(snapshotter), layers: map[string]layerInfo{},
	}, nil
}

func (s *imageStore) close() error {
	return errors.Join(s.snapshotter.Close(), s.bolt.Close())
}

// add unpacks an image's layers and records its configuration, manifest and name.
func (s *imageStore) add(spec imageSpecification) error {
	var diffIDs []digest.Digest
	var descriptors []ocispec.Descriptor
	for _, dir := range spec.Layers {
		layer, err := s.describeLayer(dir)
		if err != nil {
			return err
		}
		parent := identity.ChainID(diffIDs).String()
		diffIDs = append(diffIDs, layer.digest)
		descriptors = append(descriptors, ocispec.Descriptor{
			MediaType: ocispec.MediaTypeImageLayer, Digest: layer.digest, Size: layer.size,
		})
		if err := s.unpack(dir, identity.ChainID(diffIDs).String(), parent); err != nil {
			return fmt.Errorf("unpack layer %s: %w", dir, err)
		}
	}
	config, err := s.writeJSON(ocispec.MediaTypeImageConfig, ocispec.Image{
		Platform: ocispec.Platform{Architecture: runtime.GOARCH, OS: "linux"},
		Config: ocispec.ImageConfig{
			User: spec.User, Entrypoint: spec.Entrypoint, WorkingDir: "/",
			Env: []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
		},
		RootFS: ocispec.RootFS{Type: "layers", DiffIDs: diffIDs},
	}, map[string]string{
		"containerd.io/gc.ref.snapshot." + snapshotter: identity.ChainID(diffIDs).String(),
	})
	if err != nil {
		return fmt.Errorf("write configuration: %w", err)
	}
	manifest, err := s.writeJSON(ocispec.MediaTypeImageManifest, ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		Config: config, Layers: descriptors,
	}, map[string]string{"containerd.io/gc.ref.content.config": config.Digest.String()})
	if err != nil {
		return fmt.Errorf("write manifest: %w", err)
	}
	_, err = s.images.Create(s.ctx, images.Image{Name: spec.Name, Target: manifest, Labels: imageLabels})
	return err
}

// unpack makes the committed snapshot named chain out of dir, unless it exists.
func (s *imageStore) unpack(dir, chain, parent string) error {
	if _, err := s.snapshotter.Stat(s.ctx, chain); err == nil {
		return nil
	} else if !errdefs.IsNotFound(err) {
		return err
	}
	active := "building-" + chain
	mounts, err := s.snapshotter.Prepare(s.ctx, active, parent)
	if err != nil {
		return err
	}
	target, err := writableDir(mounts)
	if err != nil {
		return err
	}
	if err := linkTree(dir, target); err != nil {
		return err
	}
	// An empty parent's owner and mode are containerd's; a root directory is the image's.
	if err := os.Chmod(target, 0o755); err != nil {
		return err
	}
	return s.snapshotter.Commit(s.ctx, chain, active)
}

// writableDir is where files go that are written through the mounts: the bind
// mount's source for a first layer, the upper directory for a later one.
func writableDir(mounts []mount.Mount) (string, error) {
	for _, m := range mounts {
		if m.Type == "bind" {
			return m.Source, nil
		}
		for _, option := range m.Options {
			if dir, ok := strings.CutPrefix(option, "upperdir="); ok {
				return dir, nil
			}
		}
	}
	return "", fmt.Errorf("no writable directory in mounts %v", mounts)
}

func (s *imageStore) writeJSON(mediaType string, value any, labels map[string]string) (ocispec.Descriptor, error) {
	data, err := json.Marshal(value)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	descriptor := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(data), Size: int64(len(data))}
	err = content.WriteBlob(s.ctx, s.metadata.ContentStore(), descriptor.Digest.String(), bytes.NewReader(data), descriptor, content.WithLabels(labels))
	return descriptor, err
}

// moveSnapshots moves each snapshot's files out of containerd's root and leaves
// a symbolic link to where the node will have them. The overlayfs driver only
// passes these paths to mount, which follows links; when it removes a snapshot
// it removes the link.
func moveSnapshots(spec specification) error {
	dir := filepath.Join(spec.Root, snapshotterDir, "snapshots")
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("list snapshots: %w", err)
	}
	if err := os.MkdirAll(spec.SnapshotsDir, 0o755); err != nil {
		return fmt.Errorf("create snapshots directory: %w", err)
	}
	for _, entry := range entries {
		from := filepath.Join(dir, entry.Name())
		if err := os.Rename(from, filepath.Join(spec.SnapshotsDir, entry.Name())); err != nil {
			return fmt.Errorf("move snapshot: %w", err)
		}
		if err := os.Symlink(filepath.Join(spec.SnapshotsPath, entry.Name()), from); err != nil {
			return fmt.Errorf("link snapshot: %w", err)
		}
	}
	return nil
}
