// SPDX-License-Identifier: Apache-2.0

package simulate

import (
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/slipway-project/slipway/contract"
	"github.com/slipway-project/slipway/engine"
)

// Source is a management cluster that a world is copied from.
type Source struct {
	// Reader reads from its server.
	Reader client.Reader
	// Workloads connects to its workload clusters, as far as they are reachable. nil: what
	// runs there is taken from what the Machines show.
	Workloads engine.Workloads
	// Namespaces are those whose objects are copied.
	Namespaces []string
	// Kinds are copied besides those of the Cluster API.
	Kinds []schema.GroupKind
}

// Copied is what a copy could not take over.
type Copied struct {
	// Notes say in sentences what was not looked at, and what was taken for it.
	Notes []string
}

func (c *Copied) say(format string, values ...any) {
	if note := fmt.Sprintf(format, values...); !slices.Contains(c.Notes, note) {
		c.Notes = append(c.Notes, note)
	}
}

// Definitions reads the CRDs that a world needs: those of the Cluster API and its
// providers, and those of the kinds given.
func Definitions(ctx context.Context, reader client.Reader, kinds []schema.GroupKind) ([]*apiextensionsv1.CustomResourceDefinition, error) {
	list := &unstructured.UnstructuredList{}
	list.SetGroupVersionKind(apiextensionsv1.SchemeGroupVersion.WithKind("CustomResourceDefinitionList"))
	if err := reader.List(ctx, list); err != nil {
		return nil, fmt.Errorf("list CustomResourceDefinitions: %w", err)
	}
	var found []*apiextensionsv1.CustomResourceDefinition
	for i := range list.Items {
		crd := &apiextensionsv1.CustomResourceDefinition{}
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(list.Items[i].Object, crd); err != nil {
			return nil, fmt.Errorf("read CRD %s: %w", list.Items[i].GetName(), err)
		}
		_, _, provides := contract.Served(crd.Labels)
		kind := schema.GroupKind{Group: crd.Spec.Group, Kind: crd.Spec.Names.Kind}
		if provides || crd.Spec.Group == clusterGroup || strings.HasSuffix(crd.Spec.Group, "."+clusterGroup) || slices.Contains(kinds, kind) {
			found = append(found, crd)
		}
	}
	slices.SortFunc(found, func(a, b *apiextensionsv1.CustomResourceDefinition) int { return strings.Compare(a.Name, b.Name) })
	return found, nil
}

const clusterGroup = "cluster.x-k8s.io"

// Copy fills an empty world from a management cluster. Nothing is written there, and no
// value of a Secret is read: of Secrets there are names, labels and owners, and stand-ins
// for what they hold. (A connection to a workload cluster is made with its kubeconfig, by
// the Workloads of the source.)
func (w *World) Copy(ctx context.Context, source Source) (Copied, error) {
	var copied Copied
	for _, crd := range w.options.CRDs {
		if crd.Spec.Scope != apiextensionsv1.NamespaceScoped {
			continue
		}
		if err := w.copyKind(ctx, source, versionOf(crd)); err != nil {
			return copied, err
		}
	}
	if err := w.copyKind(ctx, source, configMapKind); err != nil {
		return copied, err
	}
	if err := w.copySecrets(ctx, source); err != nil {
		return copied, err
	}
	for _, owner := range w.allClusters() {
		initialized := owner.Status.Initialization.ControlPlaneInitialized
		if initialized == nil || !*initialized {
			continue
		}
		if err := w.copyWorkload(ctx, source.Workloads, owner, &copied); err != nil {
			return copied, err
		}
	}
	return copied, nil
}

// versionOf is the version of a kind to read: that of its contract, else the stored one.
func versionOf(crd *apiextensionsv1.CustomResourceDefinition) schema.GroupVersionKind {
	kind := schema.GroupVersionKind{Group: crd.Spec.Group, Kind: crd.Spec.Names.Kind}
	if _, version, ok := contract.Served(crd.Labels); ok && slices.ContainsFunc(crd.Spec.Versions, func(v apiextensionsv1.CustomResourceDefinitionVersion) bool {
		return v.Name == version && v.Served
	}) {
		kind.Version = version
		return kind
	}
	for _, version := range crd.Spec.Versions {
		if version.Served && (kind.Version == "" || version.Storage) {
			kind.Version = version.Name
		}
	}
	return kind
}

func (w *World) copyKind(ctx context.Context, source Source, kind schema.GroupVersionKind) error {
	for _, namespace := range source.Namespaces {
		list := &unstructured.UnstructuredList{}
		list.SetGroupVersionKind(kind.GroupVersion().WithKind(kind.Kind + "List"))
		err := source.Reader.List(ctx, list, client.InNamespace(namespace))
		if meta.IsNoMatchError(err) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("list objects of kind %s in namespace %s: %w", kind.Kind, namespace, err)
		}
		for i := range list.Items {
			list.Items[i].SetGroupVersionKind(kind)
			w.Store.Load(&list.Items[i])
		}
	}
	return nil
}

// copySecrets takes over what Secrets there are, without their values.
func (w *World) copySecrets(ctx context.Context, source Source) error {
	for _, namespace := range source.Namespaces {
		list := &metav1.PartialObjectMetadataList{}
		list.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("SecretList"))
		if err := source.Reader.List(ctx, list, client.InNamespace(namespace)); err != nil {
			return fmt.Errorf("list the names of Secrets in namespace %s: %w", namespace, err)
		}
		stands, err := w.standIns(namespace)
		if err != nil {
			return err
		}
		for i := range list.Items {
			item := &list.Items[i]
			metadata, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&item.ObjectMeta)
			if err != nil {
				return fmt.Errorf("read the metadata of Secret %s: %w", item.Name, err)
			}
			data, standing := stands[item.Name]
			if !standing {
				data = map[string][]byte{"value": []byte("stands for what was not read")}
			}
			object := &unstructured.Unstructured{Object: map[string]any{"metadata": metadata, "data": plain(data)}}
			object.SetGroupVersionKind(secretKind)
			w.Store.Load(object)
		}
	}
	return nil
}
