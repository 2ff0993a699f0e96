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

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
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

// manifest is one object and where in the resource it stands, for messages.
type manifest struct {
	object *unstructured.Unstructured
	where  string
}

// parse reads the manifests of all keys, in the order of the keys. An object that comes
// twice is taken once.
func parse(data map[string][]byte) Content {
	hash := sha256.New()
	var objects []*unstructured.Unstructured
	first := map[identity]manifest{}
	for _, key := range slices.Sorted(maps.Keys(data)) {
		fmt.Fprintf(hash, "%s\x00%d\x00", key, len(data[key]))
		hash.Write(data[key])
		read, err := manifests(key, data[key])
		if err != nil {
			return Content{Reason: "InvalidManifest", Problem: err.Error()}
		}
		for _, next := range read {
			who := identityOf(next.object)
			earlier, twice := first[who]
			switch {
			case !twice:
				first[who] = next
				objects = append(objects, next.object)
			case !equality.Semantic.DeepEqual(earlier.object.Object, next.object.Object):
				return Content{Reason: "InvalidManifest", Problem: fmt.Sprintf("%s and %s both hold %s, and differ; remove one", earlier.where, next.where, who)}
			}
		}
	}
	if len(objects) == 0 {
		return Content{Reason: "InvalidManifest", Problem: "it holds no manifests"}
	}
	slices.SortStableFunc(objects, func(a, b *unstructured.Unstructured) int { return cmp.Compare(rank(a), rank(b)) })
	return Content{Objects: objects, Hash: "sha256:" + hex.EncodeToString(hash.Sum(nil))}
}

// identity tells one object of a workload cluster from another, whatever version of the
// API it is written in.
type identity struct {
	kind            schema.GroupKind
	namespace, name string
}

// identityOf puts what names no namespace into "default": there it goes, unless the kind
// has no namespaces, and then none is named anywhere.
func identityOf(object *unstructured.Unstructured) identity {
	return identity{object.GroupVersionKind().GroupKind(), cmp.Or(object.GetNamespace(), metav1.NamespaceDefault), object.GetName()}
}

func (i identity) String() string { return i.kind.Kind + " " + i.name }

// manifests reads the documents of one key, and the items of those that are lists.
func manifests(key string, data []byte) ([]manifest, error) {
	decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(data), 4096)
	var found []manifest
	for number := 1; ; number++ {
		where := fmt.Sprintf("key %q, document %d", key, number)
		var fields map[string]any
		err := decoder.Decode(&fields)
		if errors.Is(err, io.EOF) {
			return found, nil
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", where, err)
		}
		if len(fields) == 0 {
			continue
		}
		object := &unstructured.Unstructured{Object: fields}
		if object.IsList() {
			items, err := listItems(object, where)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", where, err)
			}
			found = append(found, items...)
			continue
		}
		if err := complete(object); err != nil {
			return nil, fmt.Errorf("%s: %w", where, err)
		}
		found = append(found, manifest{object, where})
	}
}

func listItems(list *unstructured.Unstructured, where string) ([]manifest, error) {
	var found []manifest
	err := list.EachListItem(func(item runtime.Object) error {
		object := item.(*unstructured.Unstructured)
		if err := complete(object); err != nil {
			return fmt.Errorf("item %d: %w", len(found)+1, err)
		}
		found = append(found, manifest{object, fmt.Sprintf("%s, item %d", where, len(found)+1)})
		return nil
	})
	return found, err
}

// complete refuses what no request could be made for: the plan of a whole Cluster would
// be refused with it.
func complete(object *unstructured.Unstructured) error {
	if object.GroupVersionKind().Version == "" || object.GetKind() == "" || object.GetName() == "" {
		return errors.New("it has no apiVersion, kind or metadata.name")
	}
	return nil
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
