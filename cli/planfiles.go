// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

// located is an object and where it was read.
type located struct {
	object *unstructured.Unstructured
	// place is the file, with the number of the document where it has several.
	place string
}

// readFiles reads objects out of files and folders, and of in where "-" is named. No object
// may be named twice: each is tried on what the management cluster has.
func readFiles(in io.Reader, names []string) ([]located, error) {
	var all []located
	for _, name := range names {
		paths, err := pathsOf(name)
		if err != nil {
			return nil, err
		}
		for _, path := range paths {
			text, err := readFile(in, path)
			if err != nil {
				return nil, err
			}
			found, err := parseObjects(path, text)
			if err != nil {
				return nil, err
			}
			all = append(all, found...)
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%s: there is no object in it", strings.Join(names, ", "))
	}
	seen := map[string]string{}
	for _, one := range all {
		id := fmt.Sprintf("%s %s/%s", one.object.GroupVersionKind().GroupKind(), one.object.GetNamespace(), one.object.GetName())
		if before, twice := seen[id]; twice {
			return nil, fmt.Errorf("%s: %s %s is in %s already; keep one of the two", one.place, one.object.GetKind(), one.object.GetName(), before)
		}
		seen[id] = one.place
	}
	return all, nil
}

// pathsOf are the files of a folder, by name and as kubectl takes them; else the name.
func pathsOf(name string) ([]string, error) {
	if name == "-" {
		return []string{name}, nil
	}
	info, err := os.Stat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%s: there is no such file or folder", name)
	case err != nil:
		return nil, fmt.Errorf("%s: it cannot be read: %s", name, innermost(err))
	case !info.IsDir():
		return []string{name}, nil
	}
	entries, err := os.ReadDir(name)
	if err != nil {
		return nil, fmt.Errorf("%s: it cannot be read: %s", name, innermost(err))
	}
	var paths []string
	for _, entry := range entries {
		if !entry.IsDir() && slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(entry.Name())) {
			paths = append(paths, filepath.Join(name, entry.Name()))
		}
	}
	return paths, nil
}

func readFile(in io.Reader, path string) ([]byte, error) {
	var text []byte
	var err error
	if path == "-" {
		text, err = io.ReadAll(in)
	} else {
		text, err = os.ReadFile(path)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: it cannot be read: %s", path, innermost(err))
	}
	return text, nil
}

// parseObjects reads the documents of a file. A List stands for its items.
func parseObjects(path string, text []byte) ([]located, error) {
	var all []located
	reader := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(text)))
	for number := 1; ; number++ {
		document, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		place := path
		if number > 1 {
			place = fmt.Sprintf("%s, document %d", path, number)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %s", place, oneLine(err.Error()))
		}
		content := map[string]any{}
		raw, err := yaml.YAMLToJSON(document)
		if err == nil {
			err = yaml.Unmarshal(raw, &content)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: it is not YAML or JSON of an object: %s", place, oneLine(strings.TrimPrefix(innermost(err), "error converting YAML to JSON: ")))
		}
		if len(content) == 0 {
			continue
		}
		found, err := objectsOf(place, raw)
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
}

func objectsOf(place string, raw []byte) ([]located, error) {
	object := &unstructured.Unstructured{}
	if err := object.UnmarshalJSON(raw); err != nil {
		return nil, fmt.Errorf("%s: it is not an object of Kubernetes: %s", place, oneLine(innermost(err)))
	}
	if object.GetAPIVersion() == "" {
		return nil, fmt.Errorf("%s: it has no apiVersion", place)
	}
	if !object.IsList() {
		if object.GetName() == "" {
			return nil, fmt.Errorf("%s: %s has no metadata.name", place, object.GetKind())
		}
		return []located{{object, place}}, nil
	}
	list, err := object.ToList()
	if err != nil {
		return nil, fmt.Errorf("%s: read the items of %s: %s", place, object.GetKind(), oneLine(err.Error()))
	}
	var all []located
	for i := range list.Items {
		item, err := list.Items[i].MarshalJSON()
		if err != nil {
			return nil, fmt.Errorf("%s: item %d: %s", place, i+1, oneLine(innermost(err)))
		}
		found, err := objectsOf(fmt.Sprintf("%s, item %d", place, i+1), item)
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	return all, nil
}
