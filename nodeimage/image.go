// SPDX-License-Identifier: Apache-2.0

package nodeimage

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// files are what goes into images as it stands, or nearly.
//
//go:embed files
var files embed.FS

// Build is BuildNode, BuildLoadBalancer or BuildNetwork.
type Build func(context.Context, Options) (Image, error)

// BuildAll builds images one after the other and tells of each. What several of
// them need is built once, with NoCache too.
func BuildAll(ctx context.Context, o Options, built func(Image), builds ...Build) error {
	o.renewals = map[string]bool{}
	for _, build := range builds {
		image, err := build(ctx, o)
		if err != nil {
			return err
		}
		built(image)
	}
	return nil
}

// stamp records, beside an image's bill of materials, what the image in the
// engine was made from.
type stamp struct {
	Content string `json:"content"`
	ID      string `json:"id"`
}

// record is the place of an image's stamp and bill of materials in the cache.
type record struct{ dir, name string }

func (r record) sbom() string  { return filepath.Join(r.dir, r.name+".spdx.json") }
func (r record) stamp() string { return filepath.Join(r.dir, r.name+".json") }

// reusable returns the image in the engine if it is the one recorded and was made
// from content. Both sides are asked: the engine's image may have been removed or
// replaced, the cache cleared.
func (r record) reusable(ctx context.Context, e engine, reference, content string) (Image, bool, error) {
	data, err := os.ReadFile(r.stamp())
	if errors.Is(err, fs.ErrNotExist) {
		return Image{}, false, nil
	}
	if err != nil {
		return Image{}, false, fmt.Errorf("read image record: %w", err)
	}
	var s stamp
	if err := json.Unmarshal(data, &s); err != nil || s.Content != content {
		return Image{}, false, nil
	}
	if _, err := os.Stat(r.sbom()); err != nil {
		return Image{}, false, nil
	}
	image, label, err := e.find(ctx, reference)
	if err != nil || label != content || image.ID != s.ID {
		return Image{}, false, err
	}
	image.SBOM, image.Reused = r.sbom(), true
	return image, true, nil
}

// finish records a freshly loaded image and returns it.
func (r record) finish(ctx context.Context, e engine, reference, content string, bill []byte) (Image, error) {
	image, label, err := e.find(ctx, reference)
	if err != nil {
		return Image{}, err
	}
	if label != content {
		return Image{}, fmt.Errorf("load image %s: the engine reported success but has another image under that name; is something else writing it?", reference)
	}
	if err := writeBillOfMaterials(r.sbom(), bill); err != nil {
		return Image{}, err
	}
	data, err := json.Marshal(stamp{Content: content, ID: image.ID})
	if err != nil {
		return Image{}, fmt.Errorf("encode image record: %w", err)
	}
	if err := writeWhole(r.stamp(), data); err != nil {
		return Image{}, err
	}
	image.SBOM = r.sbom()
	return image, nil
}

// hashBuilder adds what all images depend on besides their own inputs: this
// package and its files.
func hashBuilder(hash contentHash, sourceDir string) error {
	err := fs.WalkDir(files, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := files.ReadFile(path)
		hash.add("embedded", path, string(data))
		return err
	})
	if err != nil {
		return fmt.Errorf("hash embedded files: %w", err)
	}
	sources, err := filepath.Glob(filepath.Join(sourceDir, "*.go"))
	if err != nil {
		return fmt.Errorf("hash builder: %w", err)
	}
	for _, path := range sources {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		sum, err := fileSum(path)
		if err != nil {
			return fmt.Errorf("hash builder: %w", err)
		}
		hash.add("builder", filepath.Base(path), sum)
	}
	return nil
}

// hashBase adds the Debian packages, if they are installed already.
func hashBase(hash contentHash, cache string) error {
	b := baseIn(cache)
	packages, err := os.ReadFile(filepath.Join(b.dir, "packages.json"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("hash Debian base: %w", err)
	}
	hash.add("base", b.key, string(packages))
	return nil
}

// writeFile writes a file of an image's tree, from this package's files when
// content is nil.
func writeFile(tree, path, embedded string, content []byte, mode fs.FileMode) error {
	if content == nil {
		data, err := files.ReadFile("files/" + embedded)
		if err != nil {
			return err
		}
		content = data
	}
	target := filepath.Join(tree, path)
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return err
	}
	return os.WriteFile(target, content, mode)
}

// writeUsers writes the user database of an image without a distribution.
func writeUsers(tree string) error {
	passwd := "root:x:0:0:root:/root:/sbin/nologin\nnobody:x:65534:65534:nobody:/nonexistent:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin\n"
	group := "root:x:0:\nnobody:x:65534:\nnonroot:x:65532:\n"
	if err := writeFile(tree, "etc/passwd", "", []byte(passwd), 0o644); err != nil {
		return err
	}
	if err := writeFile(tree, "etc/group", "", []byte(group), 0o644); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(tree, "tmp"), 0o777); err != nil {
		return err
	}
	return os.Chmod(filepath.Join(tree, "tmp"), 0o777|fs.ModeSticky)
}
