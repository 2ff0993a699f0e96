// SPDX-License-Identifier: Apache-2.0

package clusterresourceset

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/yaml"
)

// Content is what a ConfigMap or Secret of a ClusterResourceSet holds.
type Content struct {
	// Objects in the order in which they are to be made.
	Objects []*unstructured.Unstructured
	// Hash tells one content from another.
	Hash string
	// Problem says why there is none: the resource is missing, of the wrong type or
	// not to be read. Reason is a word for it. Both empty when all is well.
	Reason, Problem string
}

// parse reads the manifests of all keys, in the order of the keys.
func parse(data map[string][]byte) Content {
	hash := sha256.New()
	var objects []*unstructured.Unstructured
	for _, key := range slices.Sorted(maps.Keys(data)) {
		fmt.Fprintf(hash, "%s\x00%d\x00", key, len(data[key]))
		hash.Write(data[key])
		read, err := manifests(data[key])
		if err != nil {
			return Content{Reason: "InvalidManifest", Problem: fmt.Sprintf("key %q: %v", key, err)}
		}
		objects = append(objects, read...)
	}
	if len(objects) == 0 {
		return Content{Reason: "InvalidManifest", Problem: "it holds no manifests"}
	}
	slices.SortStableFunc(objects, func(a, b *unstructured.Unstructured) int { return cmp.Compare(rank(a), rank(b)) })
	return Content{Objects: objects, Hash: "sha256:" + hex.EncodeToString(hash.Sum(nil))}
}

func manifests(data []byte) ([]*unstructured.Unstructured, error) {
	decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(data), 4096)
	var objects []*unstructured.Unstructured
	for number := 1; ; number++ {
		var fields map[string]any
		err := decoder.Decode(&fields)
		if errors.Is(err, io.EOF) {
			return objects, nil
		}
		if err != nil {
			return nil, fmt.Errorf("document %d: %w", number, err)
		}
		if len(fields) == 0 {
			continue
		}
		object := &unstructured.Unstructured{Object: fields}
		if object.IsList() {
			if err := object.EachListItem(func(item runtime.Object) error {
				objects = append(objects, item.(*unstructured.Unstructured))
				return nil
			}); err != nil {
				return nil, fmt.Errorf("document %d: %w", number, err)
			}
			continue
		}
		objects = append(objects, object)
		if object.GetAPIVersion() == "" || object.GetKind() == "" || object.GetName() == "" {
			return nil, fmt.Errorf("document %d has no apiVersion, kind or metadata.name", number)
		}
	}
}

// rank puts what others need first: namespaces, definitions, accounts and rights,
// configuration, then the rest; webhooks last, since they may refuse what comes after.
func rank(object *unstructured.Unstructured) int {
	switch object.GetKind() {
	case "Namespace":
		return 0
	case "CustomResourceDefinition":
		return 1
	case "ServiceAccount", "PriorityClass", "StorageClass":
		return 2
	case "ClusterRole", "Role":
		return 3
	case "ClusterRoleBinding", "RoleBinding":
		return 4
	case "ConfigMap", "Secret":
		return 5
	case "Service":
		return 6
	case "ValidatingWebhookConfiguration", "MutatingWebhookConfiguration", "APIService":
		return 9
	default:
		return 7
	}
}
