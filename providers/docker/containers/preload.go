// SPDX-License-Identifier: Apache-2.0

package containers

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/distribution/reference"
)

// ImageName is the full name under which a node's containerd knows an image that was loaded into it: "busybox" is
// "docker.io/library/busybox:latest". It gives an error for what is not an image's name, and for one that names the image by
// a digest: the engine hands such an image on without any name, so that nothing in the node would find it.
func ImageName(name string) (string, error) {
	named, err := reference.ParseNormalizedNamed(name)
	if err != nil {
		return "", fmt.Errorf("image %q is not a valid image name (%w): correct it", name, err)
	}
	if _, byDigest := named.(reference.Digested); byDigest {
		return "", fmt.Errorf("image %q is named by a digest, by which a node would not know it: give it a tag on the container engine's host (docker tag) and name it by that", name)
	}
	return reference.TagNameOnly(named).String(), nil
}

// NodeImages lists the full names of the images in a node's containerd, sorted.
func (c *Client) NodeImages(ctx context.Context, machine Key) ([]string, error) {
	result, err := c.askNode(ctx, c.bounds.read, machine, []string{"ctr", "--namespace=k8s.io", "images", "list", "--quiet"})
	if err != nil {
		return nil, fmt.Errorf("list images: %w", err)
	}
	if result.ExitCode != 0 {
		return nil, fmt.Errorf("list images in machine %s: %s", machine, lastLines(string(result.Stderr), 3))
	}
	names := strings.Fields(string(result.Stdout))
	slices.Sort(names)
	return names, nil
}

// LoadImages copies images from the engine's host into a node's containerd; those that the node has are left alone. An
// image that is not on the host is pulled there first. It gives *MissingImageError or *NotRunningError.
func (c *Client) LoadImages(ctx context.Context, machine Key, images []string) error {
	present, err := c.NodeImages(ctx, machine)
	if err != nil {
		return err
	}
	for _, image := range images {
		full, err := ImageName(image)
		if err != nil {
			return fmt.Errorf("load images into machine %s: %w", machine, err)
		}
		if slices.Contains(present, full) {
			continue
		}
		if _, err := c.EnsureImage(ctx, image); err != nil {
			return fmt.Errorf("load images into machine %s: %w", machine, err)
		}
		if err := c.ask(ctx, c.bounds.load, func(ctx context.Context) error { return c.loadImage(ctx, machine, image) }); err != nil {
			return fmt.Errorf("load image %s into machine %s: %w", image, machine, explain(err))
		}
	}
	return nil
}

// loadImage streams one image from the engine into containerd, without a copy on disk.
func (c *Client) loadImage(ctx context.Context, machine Key, image string) error {
	archive, err := c.api.ImageSave(ctx, []string{image})
	if err != nil {
		return fmt.Errorf("save: %w", err)
	}
	defer archive.Close()
	return c.importImages(ctx, machine, archive)
}

func (c *Client) importImages(ctx context.Context, machine Key, archive io.Reader) error {
	argv := []string{"ctr", "--namespace=k8s.io", "images", "import", "--digests", "--snapshotter=overlayfs", "-"}
	result, err := c.Exec(ctx, machine, argv, archive)
	if err != nil {
		return err
	}
	if result.ExitCode != 0 {
		return errors.New(lastLines(string(result.Stderr), 3))
	}
	return nil
}

// packScript writes an image of a node as an archive that can be loaded. The nodes' images
// come without the archives of their layers, which an export by containerd would need; so
// the image is made anew from its unpacked files, as one layer.
const packScript = `set -euo pipefail
ctr() { command ctr --namespace=k8s.io "$@"; }
folder=$(mktemp -d -p /var/tmp)
cleanup() { ctr images unmount --rm "$folder/files" >/dev/null 2>&1 || true; rm -rf "$folder"; }
trap cleanup EXIT
mkdir "$folder/files" "$folder/archive"
ctr images mount "$1" "$folder/files" >/dev/null
tar -C "$folder/files" -cf "$folder/archive/layer.tar" .
layer=$(sha256sum <"$folder/archive/layer.tar" | cut -d' ' -f1)
config=$(ctr images inspect --content "$1" | grep -o 'image\.config\.v1+json @sha256:[0-9a-f]*' | cut -d@ -f2)
ctr content get "$config" | jq -c --arg layer "sha256:$layer" '.rootfs.diff_ids = [$layer] | del(.history)' >"$folder/archive/config.json"
jq -n -c --arg name "$1" '[{Config: "config.json", RepoTags: [$name], Layers: ["layer.tar"]}]' >"$folder/archive/manifest.json"
tar -C "$folder/archive" -c manifest.json config.json layer.tar`

// CopyImages copies images, by their full names, from the containerd of one node into that of another. It gives
// *NotRunningError when one of the two does not run.
func (c *Client) CopyImages(ctx context.Context, from, to Key, images []string) error {
	for _, image := range images {
		if err := c.ask(ctx, c.bounds.load, func(ctx context.Context) error { return c.copyImage(ctx, from, to, image) }); err != nil {
			return fmt.Errorf("copy image %s from machine %s to machine %s: %w", image, from, to, explain(err))
		}
	}
	return nil
}

func (c *Client) copyImage(ctx context.Context, from, to Key, image string) error {
	id, err := c.running(ctx, from)
	if err != nil {
		return err
	}
	reader, writer := io.Pipe()
	packed := make(chan error, 1)
	go func() {
		result, err := c.execTo(ctx, id, []string{"/bin/bash", "-c", packScript, "pack", image}, nil, writer)
		if err == nil && result.ExitCode != 0 {
			err = errors.New(lastLines(string(result.Stderr), 3))
		}
		writer.CloseWithError(err)
		packed <- err
	}()
	err = c.importImages(ctx, to, reader)
	// What is not read any more would keep the other side waiting.
	_ = reader.Close()
	// An archive that ends early is the failure of what packs it, and shows as both.
	if failed := <-packed; failed != nil && !errors.Is(failed, io.ErrClosedPipe) {
		return fmt.Errorf("pack: %w", failed)
	}
	return err
}
