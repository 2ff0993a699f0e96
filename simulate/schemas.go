// SPDX-License-Identifier: Apache-2.0

package simulate

import (
	"encoding/json"
	"fmt"
	"slices"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/managedfields"
	applyconfigurations "k8s.io/client-go/applyconfigurations"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/kube-openapi/pkg/validation/spec"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
	"sigs.k8s.io/structured-merge-diff/v6/typed"
)

// schemas know how objects of each kind are merged, and what their defaults are.
type schemas struct {
	kinds     map[schema.GroupKind]served
	converter managedfields.TypeConverter
	managers  map[managerOf]*managedfields.FieldManager
}

// served is a kind that a CRD defines.
type served struct {
	namespaced, hasStatus bool
	// schemas are those of the versions, as they stand in the CRD.
	schemas map[string]map[string]any
}

type managerOf struct {
	kind        schema.GroupVersionKind
	subresource string
}

// metadataName is the name of the schema of metadata, which CRDs do not state.
const metadataName = "metadata"

// metadataSchema says how the API server merges metadata: finalizers as a set, owners by
// UID, labels and annotations by key.
const metadataSchema = `{"type":"object","properties":{
"name":{"type":"string"},"generateName":{"type":"string"},"namespace":{"type":"string"},"selfLink":{"type":"string"},"uid":{"type":"string"},
"resourceVersion":{"type":"string"},"generation":{"type":"integer","format":"int64"},"creationTimestamp":{"type":"string"},
"deletionTimestamp":{"type":"string"},"deletionGracePeriodSeconds":{"type":"integer","format":"int64"},
"labels":{"type":"object","additionalProperties":{"type":"string"}},"annotations":{"type":"object","additionalProperties":{"type":"string"}},
"finalizers":{"type":"array","items":{"type":"string"},"x-kubernetes-list-type":"set"},
"ownerReferences":{"type":"array","x-kubernetes-list-type":"map","x-kubernetes-list-map-keys":["uid"],"items":{"type":"object","x-kubernetes-map-type":"atomic",
"properties":{"apiVersion":{"type":"string"},"kind":{"type":"string"},"name":{"type":"string"},"uid":{"type":"string"},
"controller":{"type":"boolean"},"blockOwnerDeletion":{"type":"boolean"}}}},
"managedFields":{"type":"array","items":{"type":"object","x-kubernetes-preserve-unknown-fields":true},"x-kubernetes-list-type":"atomic"}}}`

func newSchemas(scheme *runtime.Scheme, crds []*apiextensionsv1.CustomResourceDefinition) (*schemas, error) {
	s := &schemas{kinds: map[schema.GroupKind]served{}, managers: map[managerOf]*managedfields.FieldManager{}}
	metadata := &spec.Schema{}
	if err := json.Unmarshal([]byte(metadataSchema), metadata); err != nil {
		return nil, fmt.Errorf("read the schema of metadata: %w", err)
	}
	models := map[string]*spec.Schema{metadataName: metadata}
	for _, crd := range crds {
		if err := s.add(crd, models); err != nil {
			return nil, fmt.Errorf("read CRD %s: %w", crd.Name, err)
		}
	}
	ofCRDs, err := managedfields.NewTypeConverter(models, false)
	if err != nil {
		return nil, fmt.Errorf("read the schemas of CRDs: %w", err)
	}
	// Kinds of Kubernetes itself have their schemas in client-go. Those of others, as in a
	// manifest with kinds that have no CRD here, are merged as if each list were one value.
	s.converter = converters{ofCRDs, applyconfigurations.NewTypeConverter(clientgoscheme.Scheme), managedfields.NewDeducedTypeConverter()}
	return s, nil
}

func (s *schemas) add(crd *apiextensionsv1.CustomResourceDefinition, models map[string]*spec.Schema) error {
	kind := served{namespaced: crd.Spec.Scope == apiextensionsv1.NamespaceScoped, schemas: map[string]map[string]any{}}
	for _, version := range crd.Spec.Versions {
		if version.Schema == nil || version.Schema.OpenAPIV3Schema == nil {
			continue
		}
		kind.hasStatus = kind.hasStatus || (version.Subresources != nil && version.Subresources.Status != nil)
		raw, err := json.Marshal(version.Schema.OpenAPIV3Schema)
		if err != nil {
			return err
		}
		plain := map[string]any{}
		if err := json.Unmarshal(raw, &plain); err != nil {
			return err
		}
		kind.schemas[version.Name] = plain
		model := &spec.Schema{}
		if err := json.Unmarshal(raw, model); err != nil {
			return err
		}
		if model.Properties == nil {
			model.Properties = map[string]spec.Schema{}
		}
		model.Properties["metadata"] = *spec.RefSchema("#/definitions/" + metadataName)
		for _, field := range []string{"apiVersion", "kind"} {
			model.Properties[field] = *spec.StringProperty()
		}
		model.AddExtension("x-kubernetes-group-version-kind", []any{map[string]any{
			"group": crd.Spec.Group, "version": version.Name, "kind": crd.Spec.Names.Kind,
		}})
		models[fmt.Sprintf("%s.%s.%s", crd.Spec.Group, version.Name, crd.Spec.Names.Kind)] = model
	}
	s.kinds[schema.GroupKind{Group: crd.Spec.Group, Kind: crd.Spec.Names.Kind}] = kind
	return nil
}

// hasStatus reports that the status of a kind is written apart from all else.
func (s *schemas) hasStatus(kind schema.GroupKind) bool {
	if known, ok := s.kinds[kind]; ok {
		return known.hasStatus
	}
	return slices.Contains([]string{"Node", "Pod", "Namespace"}, kind.Kind) || kind.Group == "apps" || kind.Group == "policy"
}

// setDefaults fills in what the schema of the object's kind gives defaults for.
func (s *schemas) setDefaults(object *unstructured.Unstructured) {
	kind := object.GroupVersionKind()
	known, ok := s.kinds[kind.GroupKind()]
	if !ok || known.schemas[kind.Version] == nil {
		return
	}
	setDefaults(object.Object, known.schemas[kind.Version])
}

func setDefaults(value any, of map[string]any) {
	switch value := value.(type) {
	case map[string]any:
		properties, _ := of["properties"].(map[string]any)
		for name, property := range properties {
			property, ok := property.(map[string]any)
			if !ok {
				continue
			}
			if fallback, has := property["default"]; has && value[name] == nil {
				value[name] = runtime.DeepCopyJSONValue(wholeNumbers(fallback))
			}
			if value[name] != nil {
				setDefaults(value[name], property)
			}
		}
		if rest, ok := of["additionalProperties"].(map[string]any); ok {
			for name := range value {
				if properties[name] == nil {
					setDefaults(value[name], rest)
				}
			}
		}
	case []any:
		if items, ok := of["items"].(map[string]any); ok {
			for _, item := range value {
				setDefaults(item, items)
			}
		}
	}
}

// wholeNumbers turns numbers that have no fraction into integers, as objects hold them.
func wholeNumbers(value any) any {
	switch value := value.(type) {
	case float64:
		if value == float64(int64(value)) {
			return int64(value)
		}
	case map[string]any:
		for name := range value {
			value[name] = wholeNumbers(value[name])
		}
	case []any:
		for i := range value {
			value[i] = wholeNumbers(value[i])
		}
	}
	return value
}

func (s *schemas) manager(kind schema.GroupVersionKind, subresource string) (*managedfields.FieldManager, error) {
	key := managerOf{kind, subresource}
	if there := s.managers[key]; there != nil {
		return there, nil
	}
	// What a write through this door cannot change is not owned by who tries.
	var resets map[fieldpath.APIVersion]fieldpath.Filter
	version := fieldpath.APIVersion(kind.GroupVersion().String())
	switch {
	case subresource == statusSubresource:
		resets = map[fieldpath.APIVersion]fieldpath.Filter{version: fieldpath.NewExcludeSetFilter(fieldpath.NewSet(fieldpath.MakePathOrDie("spec"), fieldpath.MakePathOrDie("metadata")))}
	case s.hasStatus(kind.GroupKind()):
		resets = map[fieldpath.APIVersion]fieldpath.Filter{version: fieldpath.NewExcludeSetFilter(fieldpath.NewSet(fieldpath.MakePathOrDie("status")))}
	}
	made, err := managedfields.NewDefaultCRDFieldManager(s.converter, oneVersion{}, oneVersion{}, oneVersion{}, kind, kind.GroupVersion(), subresource, resets)
	if err != nil {
		return nil, fmt.Errorf("manage the fields of %s: %w", kind.Kind, err)
	}
	s.managers[key] = made
	return made, nil
}

// update notes who changed what between two states of an object.
func (s *schemas) update(before, after *unstructured.Unstructured, manager, subresource string) (*unstructured.Unstructured, error) {
	fields, err := s.manager(after.GroupVersionKind(), subresource)
	if err != nil {
		return nil, err
	}
	after.SetManagedFields(before.GetManagedFields())
	managed, err := fields.Update(before, after, manager)
	if err != nil {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("%s %s does not have the form of its kind: %v", after.GetKind(), after.GetName(), err))
	}
	return asUnstructured(managed)
}

// apply merges what a manager states into an object.
func (s *schemas) apply(live, stated *unstructured.Unstructured, manager string, force bool, subresource string) (*unstructured.Unstructured, error) {
	kind := stated.GroupVersionKind()
	live.SetGroupVersionKind(kind)
	fields, err := s.manager(kind, subresource)
	if err != nil {
		return nil, err
	}
	merged, err := fields.Apply(live, stated, manager, force)
	if apierrors.IsConflict(err) {
		return nil, err
	}
	if err != nil {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("%s %s cannot be applied: %v", kind.Kind, stated.GetName(), err))
	}
	return asUnstructured(merged)
}

func asUnstructured(object runtime.Object) (*unstructured.Unstructured, error) {
	if object, ok := object.(*unstructured.Unstructured); ok {
		return object, nil
	}
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(object)
	if err != nil {
		return nil, fmt.Errorf("convert %T: %w", object, err)
	}
	return &unstructured.Unstructured{Object: content}, nil
}

// converters asks several in turn; the first that knows a kind answers.
type converters []managedfields.TypeConverter

func (c converters) ObjectToTyped(object runtime.Object, options ...typed.ValidationOptions) (*typed.TypedValue, error) {
	var last error
	for _, converter := range c {
		value, err := converter.ObjectToTyped(object, options...)
		if err == nil {
			return value, nil
		}
		last = err
	}
	return nil, last
}

func (c converters) TypedToObject(value *typed.TypedValue) (runtime.Object, error) {
	return c[0].TypedToObject(value)
}

// oneVersion stands for conversion and defaulting where each kind has one version.
type oneVersion struct{}

func (oneVersion) Convert(_, _, _ any) error { return errNotServed }

func (oneVersion) ConvertToVersion(object runtime.Object, _ runtime.GroupVersioner) (runtime.Object, error) {
	return object, nil
}

func (oneVersion) ConvertFieldLabel(_ schema.GroupVersionKind, label, value string) (string, string, error) {
	return label, value, nil
}

func (oneVersion) Default(runtime.Object) {}

func (oneVersion) New(kind schema.GroupVersionKind) (runtime.Object, error) {
	object := &unstructured.Unstructured{Object: map[string]any{}}
	object.SetGroupVersionKind(kind)
	return object, nil
}
