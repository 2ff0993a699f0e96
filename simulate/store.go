// SPDX-License-Identifier: Apache-2.0

package simulate

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/selection"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
)

// Store is a Kubernetes API in memory: resource versions, UIDs, generations, managed
// fields and server-side apply by the schemas of CRDs, defaults, finalizers, status
// subresources, preconditions, and evictions that disruption budgets may refuse. It is a
// client.Client, and may not be used by several goroutines at the same time.
//
// What it does not have: validation (CEL and the like), admission, conversion between
// versions, watches, and garbage collection, which World does.
type Store struct {
	scheme  *runtime.Scheme
	now     func() time.Time
	schemas *schemas
	objects map[schema.GroupKind]map[types.NamespacedName]*unstructured.Unstructured
	// version is the latest resource version.
	version uint64
	// made counts the objects that were made under a name: each gets a UID of its own.
	made map[string]int
	// invented are the UIDs that the store gave.
	invented map[types.UID]bool
	name     string
}

var _ client.Client = (*Store)(nil)

// NewStore makes an empty store with the kinds of the CRDs, which it also holds as objects.
// The scheme says which kinds have Go types; name keeps apart the UIDs of several stores.
func NewStore(name string, scheme *runtime.Scheme, now func() time.Time, crds []*apiextensionsv1.CustomResourceDefinition) (*Store, error) {
	known, err := newSchemas(scheme, crds)
	if err != nil {
		return nil, err
	}
	s := &Store{
		scheme: scheme, now: now, schemas: known, name: name,
		objects: map[schema.GroupKind]map[types.NamespacedName]*unstructured.Unstructured{},
		made:    map[string]int{}, invented: map[types.UID]bool{},
	}
	for _, crd := range crds {
		object := &unstructured.Unstructured{Object: map[string]any{}}
		object.SetGroupVersionKind(apiextensionsv1.SchemeGroupVersion.WithKind("CustomResourceDefinition"))
		object.SetName(crd.Name)
		object.SetLabels(crd.Labels)
		object.SetUID(s.invent(object))
		s.Load(object)
	}
	return s, nil
}

// Load puts an object in as it is, with its UID and resource version, in place of one that
// is there under its name.
func (s *Store) Load(object *unstructured.Unstructured) {
	object = object.DeepCopy()
	if version, err := strconv.ParseUint(object.GetResourceVersion(), 10, 64); err == nil {
		s.version = max(s.version, version)
	}
	s.put(object)
}

// All are the objects of a kind, sorted by namespace and name. They are the store's own.
func (s *Store) All(kind schema.GroupKind) []*unstructured.Unstructured {
	held := s.objects[kind]
	keys := slices.SortedFunc(maps.Keys(held), func(a, b types.NamespacedName) int {
		return cmp.Or(strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Name, b.Name))
	})
	all := make([]*unstructured.Unstructured, len(keys))
	for i, key := range keys {
		all[i] = held[key]
	}
	return all
}

// Kinds are those of which the store holds objects, sorted.
func (s *Store) Kinds() []schema.GroupKind {
	return slices.SortedFunc(maps.Keys(s.objects), func(a, b schema.GroupKind) int { return strings.Compare(a.String(), b.String()) })
}

// Invented reports that a UID was given by the store, and is another one in reality.
func (s *Store) Invented(uid types.UID) bool { return s.invented[uid] }

func (s *Store) put(object *unstructured.Unstructured) {
	kind := object.GroupVersionKind().GroupKind()
	if s.objects[kind] == nil {
		s.objects[kind] = map[types.NamespacedName]*unstructured.Unstructured{}
	}
	s.objects[kind][client.ObjectKeyFromObject(object)] = object
}

func (s *Store) held(kind schema.GroupKind, key client.ObjectKey) *unstructured.Unstructured {
	return s.objects[kind][key]
}

// invent makes up the UID of a new object: the same for the same history of its name.
func (s *Store) invent(object *unstructured.Unstructured) types.UID {
	name := fmt.Sprintf("%s/%s/%s/%s", s.name, object.GroupVersionKind().GroupKind(), object.GetNamespace(), object.GetName())
	s.made[name]++
	sum := sha256.Sum256(fmt.Appendf(nil, "%s/%d", name, s.made[name]))
	uid := types.UID(fmt.Sprintf("%x-%x-%x-%x-%x", sum[:4], sum[4:6], sum[6:8], sum[8:10], sum[10:16]))
	s.invented[uid] = true
	return uid
}

// Get reads an object into one of a Go type, an unstructured one or its metadata alone.
func (s *Store) Get(_ context.Context, key client.ObjectKey, into client.Object, _ ...client.GetOption) error {
	kind, err := s.GroupVersionKindFor(into)
	if err != nil {
		return err
	}
	there := s.held(kind.GroupKind(), key)
	if there == nil {
		return apierrors.NewNotFound(resource(kind), key.Name)
	}
	return fill(there, kind, into)
}

// fill writes a held object into one that a caller gave.
func fill(there *unstructured.Unstructured, kind schema.GroupVersionKind, into runtime.Object) error {
	content := there.Object
	switch into := into.(type) {
	case *unstructured.Unstructured:
		into.Object = there.DeepCopy().Object
		into.SetGroupVersionKind(kind)
		return nil
	case *metav1.PartialObjectMetadata:
		*into = metav1.PartialObjectMetadata{}
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(map[string]any{"metadata": content["metadata"]}, into); err != nil {
			return fmt.Errorf("read the metadata of %s %s: %w", kind.Kind, there.GetName(), err)
		}
		into.SetGroupVersionKind(kind)
		return nil
	default:
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(content, into); err != nil {
			return fmt.Errorf("read %s %s: %w", kind.Kind, there.GetName(), err)
		}
		return nil
	}
}

// List reads all objects of a kind that the options select, sorted. Field selectors may
// name any field by its path.
func (s *Store) List(_ context.Context, into client.ObjectList, options ...client.ListOption) error {
	listKind, err := s.GroupVersionKindFor(into)
	if err != nil {
		return err
	}
	kind := listKind
	kind.Kind = strings.TrimSuffix(kind.Kind, "List")
	asked := client.ListOptions{}
	asked.ApplyOptions(options)
	var items []runtime.Object
	for _, object := range s.All(kind.GroupKind()) {
		if !selected(object, asked) {
			continue
		}
		item, err := s.blank(into, kind)
		if err != nil {
			return err
		}
		if err := fill(object, kind, item); err != nil {
			return err
		}
		items = append(items, item)
	}
	if list, ok := into.(*unstructured.UnstructuredList); ok {
		list.Items = nil
	}
	if err := meta.SetList(into, items); err != nil {
		return fmt.Errorf("fill list of %s: %w", kind.Kind, err)
	}
	into.SetResourceVersion(strconv.FormatUint(s.version, 10))
	return nil
}

func (s *Store) blank(list client.ObjectList, kind schema.GroupVersionKind) (runtime.Object, error) {
	switch list.(type) {
	case *unstructured.UnstructuredList:
		return &unstructured.Unstructured{}, nil
	case *metav1.PartialObjectMetadataList:
		return &metav1.PartialObjectMetadata{}, nil
	default:
		return s.scheme.New(kind)
	}
}

func selected(object *unstructured.Unstructured, asked client.ListOptions) bool {
	if asked.Namespace != "" && object.GetNamespace() != asked.Namespace {
		return false
	}
	if asked.LabelSelector != nil && !asked.LabelSelector.Matches(labels.Set(object.GetLabels())) {
		return false
	}
	return asked.FieldSelector == nil || hasFields(object, asked.FieldSelector.Requirements())
}

func hasFields(object *unstructured.Unstructured, requirements fields.Requirements) bool {
	for _, requirement := range requirements {
		value, _, err := unstructured.NestedFieldNoCopy(object.Object, strings.Split(requirement.Field, ".")...)
		text := ""
		if err == nil && value != nil {
			text = fmt.Sprint(value)
		}
		if same := text == requirement.Value; same == (requirement.Operator == selection.NotEquals) {
			return false
		}
	}
	return true
}

// Scheme has the Go types.
func (s *Store) Scheme() *runtime.Scheme { return s.scheme }

// RESTMapper is nil: kinds are known by their CRDs and by the scheme.
func (s *Store) RESTMapper() meta.RESTMapper { return nil }

// GroupVersionKindFor is the kind of an object.
func (s *Store) GroupVersionKindFor(object runtime.Object) (schema.GroupVersionKind, error) {
	return apiutil.GVKForObject(object, s.scheme)
}

// IsObjectNamespaced tells whether objects of the kind are in namespaces. Of kinds that
// are neither in the scheme nor have a CRD the error is a meta.NoKindMatchError.
func (s *Store) IsObjectNamespaced(object runtime.Object) (bool, error) {
	kind, err := s.GroupVersionKindFor(object)
	if err != nil {
		return false, err
	}
	if known, ok := s.schemas.kinds[kind.GroupKind()]; ok {
		return known.namespaced, nil
	}
	if !s.scheme.Recognizes(kind) {
		return false, &meta.NoKindMatchError{GroupKind: kind.GroupKind(), SearchedVersions: []string{kind.Version}}
	}
	return !clusterScoped[kind.GroupKind()], nil
}

// clusterScoped are the kinds of Kubernetes itself that are in no namespace.
var clusterScoped = map[schema.GroupKind]bool{
	{Kind: "Node"}: true, {Kind: "Namespace"}: true, {Kind: "PersistentVolume"}: true,
	{Group: "rbac.authorization.k8s.io", Kind: "ClusterRole"}: true, {Group: "rbac.authorization.k8s.io", Kind: "ClusterRoleBinding"}: true,
	{Group: "storage.k8s.io", Kind: "StorageClass"}: true, {Group: "storage.k8s.io", Kind: "VolumeAttachment"}: true,
	{Group: "storage.k8s.io", Kind: "CSIDriver"}: true, {Group: "storage.k8s.io", Kind: "CSINode"}: true,
	{Group: "scheduling.k8s.io", Kind: "PriorityClass"}: true, {Group: "node.k8s.io", Kind: "RuntimeClass"}: true,
	{Group: "networking.k8s.io", Kind: "IngressClass"}: true, {Group: "certificates.k8s.io", Kind: "CertificateSigningRequest"}: true,
	{Group: "apiextensions.k8s.io", Kind: "CustomResourceDefinition"}: true, {Group: "apiregistration.k8s.io", Kind: "APIService"}: true,
	{Group: "admissionregistration.k8s.io", Kind: "ValidatingWebhookConfiguration"}: true,
	{Group: "admissionregistration.k8s.io", Kind: "MutatingWebhookConfiguration"}:   true,
	{Group: "admissionregistration.k8s.io", Kind: "ValidatingAdmissionPolicy"}:      true,
}

// errNotServed says that the engine writes in another way.
var errNotServed = errors.New("the store in memory takes creates, applies, patches, deletes and evictions only")

// Update is not served: the engine states, patches or creates.
func (s *Store) Update(context.Context, client.Object, ...client.UpdateOption) error {
	return errNotServed
}

// DeleteAllOf is not served: the engine deletes what it has seen, one by one.
func (s *Store) DeleteAllOf(context.Context, client.Object, ...client.DeleteAllOfOption) error {
	return errNotServed
}

func resource(kind schema.GroupVersionKind) schema.GroupResource {
	return schema.GroupResource{Group: kind.Group, Resource: strings.ToLower(kind.Kind)}
}
