// SPDX-License-Identifier: Apache-2.0

package simulate

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"

	jsonpatch "github.com/evanphx/json-patch/v5"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const statusSubresource = "status"

// defaultManager is the field manager of who names none.
const defaultManager = "unknown"

// Create makes an object that must not be there.
func (s *Store) Create(_ context.Context, given client.Object, options ...client.CreateOption) error {
	asked := client.CreateOptions{}
	asked.ApplyOptions(options)
	object, kind, err := s.content(given)
	if err != nil {
		return err
	}
	if s.held(kind.GroupKind(), client.ObjectKeyFromObject(object)) != nil {
		return apierrors.NewAlreadyExists(resource(kind), object.GetName())
	}
	if s.schemas.hasStatus(kind.GroupKind()) {
		delete(object.Object, "status")
	}
	s.schemas.setDefaults(object)
	empty := identity(kind, object)
	managed, err := s.schemas.update(empty, object, owner(asked.FieldManager), "")
	if err != nil {
		return err
	}
	made := s.begin(managed)
	return fill(made, kind, given)
}

// begin gives a new object what the server gives it, and keeps it.
func (s *Store) begin(object *unstructured.Unstructured) *unstructured.Unstructured {
	s.stamp(identity(object.GroupVersionKind(), object), object)
	object.SetUID(s.invent(object))
	object.SetCreationTimestamp(s.second())
	object.SetGeneration(1)
	object.SetDeletionTimestamp(nil)
	s.store(object)
	return object
}

// store keeps a state of an object under a new resource version.
func (s *Store) store(object *unstructured.Unstructured) {
	s.version++
	object.SetResourceVersion(strconv.FormatUint(s.version, 10))
	s.put(object)
}

// Apply states fields by server-side apply.
func (s *Store) Apply(_ context.Context, configuration runtime.ApplyConfiguration, options ...client.ApplyOption) error {
	asked := client.ApplyOptions{}
	asked.ApplyOptions(options)
	return s.apply(configuration, owner(asked.FieldManager), asked.Force != nil && *asked.Force, "")
}

func (s *Store) apply(configuration runtime.ApplyConfiguration, manager string, force bool, subresource string) error {
	raw, err := json.Marshal(configuration)
	if err != nil {
		return fmt.Errorf("encode apply configuration: %w", err)
	}
	object := &unstructured.Unstructured{Object: map[string]any{}}
	if err := utiljson.Unmarshal(raw, &object.Object); err != nil {
		return fmt.Errorf("decode apply configuration: %w", err)
	}
	result, err := s.Merge(object, manager, force, subresource)
	if err != nil {
		return err
	}
	if raw, err = json.Marshal(result); err != nil {
		return fmt.Errorf("encode what was applied: %w", err)
	}
	return json.Unmarshal(raw, configuration)
}

// Merge is Apply of an object, and gives what is there then. Fields that another manager
// has set otherwise are taken over with force, and a conflict without.
func (s *Store) Merge(object *unstructured.Unstructured, manager string, force bool, subresource string) (*unstructured.Unstructured, error) {
	object, kind, err := s.content(object)
	if err != nil {
		return nil, err
	}
	there := s.held(kind.GroupKind(), client.ObjectKeyFromObject(object))
	switch {
	case there == nil && (subresource != "" || object.GetUID() != ""):
		return nil, apierrors.NewNotFound(resource(kind), object.GetName())
	case there != nil && object.GetUID() != "" && object.GetUID() != there.GetUID():
		return nil, apierrors.NewInvalid(kind.GroupKind(), object.GetName(), field.ErrorList{
			field.Invalid(field.NewPath("metadata", "uid"), object.GetUID(), "field is immutable"),
		})
	case there != nil && object.GetResourceVersion() != "" && object.GetResourceVersion() != there.GetResourceVersion():
		return nil, apierrors.NewConflict(resource(kind), object.GetName(), errors.New("it has been changed"))
	}
	live := there
	if live == nil {
		live = identity(kind, object)
	}
	merged, err := s.schemas.apply(live.DeepCopy(), object, manager, force, subresource)
	if err != nil {
		return nil, err
	}
	if there == nil {
		if s.schemas.hasStatus(kind.GroupKind()) {
			delete(merged.Object, "status")
		}
		s.schemas.setDefaults(merged)
		return s.begin(merged).DeepCopy(), nil
	}
	return s.replace(there, merged, subresource).DeepCopy(), nil
}

// Patch changes an object by a JSON patch or a merge patch.
func (s *Store) Patch(_ context.Context, given client.Object, patch client.Patch, options ...client.PatchOption) error {
	asked := client.PatchOptions{}
	asked.ApplyOptions(options)
	return s.patch(given, patch, owner(asked.FieldManager), "")
}

func (s *Store) patch(given client.Object, patch client.Patch, manager, subresource string) error {
	kind, err := s.GroupVersionKindFor(given)
	if err != nil {
		return err
	}
	there := s.held(kind.GroupKind(), client.ObjectKeyFromObject(given))
	if there == nil {
		return apierrors.NewNotFound(resource(kind), given.GetName())
	}
	raw, err := patch.Data(given)
	if err != nil {
		return fmt.Errorf("encode patch: %w", err)
	}
	before, err := json.Marshal(there)
	if err != nil {
		return fmt.Errorf("encode %s: %w", kind.Kind, err)
	}
	after, err := patched(before, raw, patch.Type())
	if err != nil {
		// The server answers so to a test that fails, and names no field.
		return apierrors.NewInvalid(kind.GroupKind(), given.GetName(), nil)
	}
	changed := &unstructured.Unstructured{Object: map[string]any{}}
	if err := utiljson.Unmarshal(after, &changed.Object); err != nil {
		return fmt.Errorf("decode patched %s: %w", kind.Kind, err)
	}
	if version := changed.GetResourceVersion(); version != "" && version != there.GetResourceVersion() {
		return apierrors.NewConflict(resource(kind), given.GetName(), errors.New("it has been changed"))
	}
	managed, err := s.schemas.update(there.DeepCopy(), changed, manager, subresource)
	if err != nil {
		return err
	}
	return fill(s.replace(there, managed, subresource), kind, given)
}

func patched(document, patch []byte, patchType types.PatchType) ([]byte, error) {
	switch patchType {
	case types.JSONPatchType:
		decoded, err := jsonpatch.DecodePatch(patch)
		if err != nil {
			return nil, err
		}
		return decoded.Apply(document)
	case types.MergePatchType:
		return jsonpatch.MergePatch(document, patch)
	default:
		return nil, fmt.Errorf("%w: a patch of type %s", errNotServed, patchType)
	}
}

// replace keeps a new state of an object: what no write may change stays, a write of the
// status changes nothing else and the other way about. An object whose last finalizer went
// while it is being deleted goes, and one that has not changed is not written.
func (s *Store) replace(before, after *unstructured.Unstructured, subresource string) *unstructured.Unstructured {
	kind := before.GroupVersionKind().GroupKind()
	if subresource == statusSubresource {
		whole := before.DeepCopy()
		setOrDelete(whole.Object, "status", after.Object["status"])
		whole.SetManagedFields(after.GetManagedFields())
		after = whole
	} else if s.schemas.hasStatus(kind) {
		setOrDelete(after.Object, "status", before.DeepCopy().Object["status"])
	}
	s.schemas.setDefaults(after)
	after.SetUID(before.GetUID())
	after.SetCreationTimestamp(before.GetCreationTimestamp())
	after.SetDeletionTimestamp(before.GetDeletionTimestamp())
	after.SetGeneration(before.GetGeneration())
	after.SetResourceVersion(before.GetResourceVersion())
	s.stamp(before, after)
	if equality.Semantic.DeepEqual(before.Object, after.Object) {
		return before
	}
	if specOf(before, after) {
		after.SetGeneration(before.GetGeneration() + 1)
	}
	if after.GetDeletionTimestamp() != nil && len(after.GetFinalizers()) == 0 {
		s.remove(after)
		return after
	}
	s.store(after)
	return after
}

// specOf reports that something other than metadata and status differs.
func specOf(before, after *unstructured.Unstructured) bool {
	strip := func(object *unstructured.Unstructured) map[string]any {
		rest := map[string]any{}
		for field, value := range object.Object {
			if field != "metadata" && field != "status" {
				rest[field] = value
			}
		}
		return rest
	}
	return !equality.Semantic.DeepEqual(strip(before), strip(after))
}

func setOrDelete(content map[string]any, field string, value any) {
	if value == nil {
		delete(content, field)
		return
	}
	content[field] = value
}

// stamp gives the entries of the managed fields the clock's time, where they changed.
func (s *Store) stamp(before, after *unstructured.Unstructured) {
	now := s.second()
	entries := after.GetManagedFields()
	earlier := before.GetManagedFields()
	for i := range entries {
		entries[i].Time = &now
		for j := range earlier {
			old := earlier[j]
			same := old.Manager == entries[i].Manager && old.Operation == entries[i].Operation && old.Subresource == entries[i].Subresource
			if same && old.FieldsV1 != nil && entries[i].FieldsV1 != nil && string(old.FieldsV1.GetRawBytes()) == string(entries[i].FieldsV1.GetRawBytes()) {
				entries[i].Time = old.Time
			}
		}
	}
	// Their order tells nothing, and must not depend on the time of day.
	slices.SortFunc(entries, func(a, b metav1.ManagedFieldsEntry) int {
		return cmp.Or(cmp.Compare(a.Operation, b.Operation), cmp.Compare(a.Manager, b.Manager), cmp.Compare(a.Subresource, b.Subresource), cmp.Compare(a.APIVersion, b.APIVersion))
	})
	after.SetManagedFields(entries)
}

// Delete removes an object, or marks it where finalizers keep it. How what it owns goes is
// the garbage collector's business.
func (s *Store) Delete(_ context.Context, given client.Object, options ...client.DeleteOption) error {
	asked := client.DeleteOptions{}
	asked.ApplyOptions(options)
	kind, err := s.GroupVersionKindFor(given)
	if err != nil {
		return err
	}
	there := s.held(kind.GroupKind(), client.ObjectKeyFromObject(given))
	if there == nil {
		return apierrors.NewNotFound(resource(kind), given.GetName())
	}
	if wanted := asked.Preconditions; wanted != nil && wanted.UID != nil && *wanted.UID != there.GetUID() {
		return apierrors.NewConflict(resource(kind), given.GetName(), fmt.Errorf("the UID is %s and not %s", there.GetUID(), *wanted.UID))
	}
	s.delete(there)
	return nil
}

func (s *Store) delete(there *unstructured.Unstructured) {
	switch {
	case len(there.GetFinalizers()) == 0:
		s.remove(there)
	case there.GetDeletionTimestamp() == nil:
		going := there.DeepCopy()
		now := s.second()
		going.SetDeletionTimestamp(&now)
		going.SetGeneration(there.GetGeneration() + 1)
		s.store(going)
	}
}

func (s *Store) remove(object *unstructured.Unstructured) {
	s.version++
	delete(s.objects[object.GroupVersionKind().GroupKind()], client.ObjectKeyFromObject(object))
}

// second is the clock's time as the API keeps it.
func (s *Store) second() metav1.Time { return metav1.NewTime(s.now().UTC().Truncate(1e9)) }

// content is a given object as the store keeps objects: plain JSON values, no nulls in the
// metadata, the kind filled in.
func (s *Store) content(given client.Object) (*unstructured.Unstructured, schema.GroupVersionKind, error) {
	kind, err := s.GroupVersionKindFor(given)
	if err != nil {
		return nil, kind, err
	}
	raw, err := json.Marshal(given)
	if err != nil {
		return nil, kind, fmt.Errorf("encode %s: %w", kind.Kind, err)
	}
	object := &unstructured.Unstructured{Object: map[string]any{}}
	if err := utiljson.Unmarshal(raw, &object.Object); err != nil {
		return nil, kind, fmt.Errorf("decode %s: %w", kind.Kind, err)
	}
	object.SetGroupVersionKind(kind)
	unstructured.RemoveNestedField(object.Object, "metadata", "creationTimestamp")
	return object, kind, nil
}

// identity is an object without anything but its kind and its name.
func identity(kind schema.GroupVersionKind, of metav1.Object) *unstructured.Unstructured {
	object := &unstructured.Unstructured{Object: map[string]any{}}
	object.SetGroupVersionKind(kind)
	object.SetNamespace(of.GetNamespace())
	object.SetName(of.GetName())
	return object
}

func owner(manager string) string {
	if manager == "" {
		return defaultManager
	}
	return manager
}

// Status writes statuses.
func (s *Store) Status() client.SubResourceWriter { return s.SubResource(statusSubresource) }

// SubResource is the status of objects, or the eviction of Pods.
func (s *Store) SubResource(name string) client.SubResourceClient {
	return subresource{store: s, name: name}
}

type subresource struct {
	store *Store
	name  string
}

func (r subresource) Get(context.Context, client.Object, client.Object, ...client.SubResourceGetOption) error {
	return errNotServed
}

func (r subresource) Update(context.Context, client.Object, ...client.SubResourceUpdateOption) error {
	return errNotServed
}

func (r subresource) Patch(_ context.Context, object client.Object, patch client.Patch, options ...client.SubResourcePatchOption) error {
	asked := client.SubResourcePatchOptions{}
	asked.ApplyOptions(options)
	return r.store.patch(object, patch, owner(asked.FieldManager), r.name)
}

func (r subresource) Apply(_ context.Context, configuration runtime.ApplyConfiguration, options ...client.SubResourceApplyOption) error {
	asked := client.SubResourceApplyOptions{}
	asked.ApplyOpts(options)
	return r.store.apply(configuration, owner(asked.FieldManager), asked.Force != nil && *asked.Force, r.name)
}

// Create of an eviction removes a Pod if the budgets that cover it allow it.
func (r subresource) Create(ctx context.Context, pod client.Object, given client.Object, _ ...client.SubResourceCreateOption) error {
	eviction, ok := given.(*policyv1.Eviction)
	if !ok || r.name != "eviction" {
		return errNotServed
	}
	there := r.store.held(schema.GroupKind{Kind: "Pod"}, client.ObjectKeyFromObject(pod))
	if there == nil {
		return apierrors.NewNotFound(corev1.Resource("pods"), pod.GetName())
	}
	if err := r.store.spend(there); err != nil {
		return err
	}
	options := []client.DeleteOption{}
	if eviction.DeleteOptions != nil && eviction.DeleteOptions.Preconditions != nil {
		options = append(options, client.Preconditions(*eviction.DeleteOptions.Preconditions))
	}
	return r.store.Delete(ctx, pod, options...)
}

// spend takes the eviction of a Pod out of what the budget allows that covers it. The error
// is what an API server answers where it allows none.
func (s *Store) spend(object *unstructured.Unstructured) error {
	pod := &corev1.Pod{}
	if err := fill(object, podKind, pod); err != nil {
		return err
	}
	var covering []*policyv1.PodDisruptionBudget
	for _, budget := range decoded[policyv1.PodDisruptionBudget](s, budgetKind) {
		selector, err := metav1.LabelSelectorAsSelector(budget.Spec.Selector)
		if err == nil && budget.Namespace == pod.Namespace && selector.Matches(labels.Set(pod.Labels)) {
			covering = append(covering, budget)
		}
	}
	switch {
	case pod.Status.Phase == corev1.PodPending || len(covering) == 0:
		return nil
	case len(covering) > 1:
		return apierrors.NewInternalError(errors.New("this pod has more than one PodDisruptionBudget, which the eviction subresource does not support"))
	}
	budget := covering[0]
	always := budget.Spec.UnhealthyPodEvictionPolicy != nil && *budget.Spec.UnhealthyPodEvictionPolicy == policyv1.AlwaysAllow
	enough := budget.Status.DesiredHealthy > 0 && budget.Status.CurrentHealthy >= budget.Status.DesiredHealthy
	switch {
	case !ready(pod) && (always || enough):
		return nil
	case budget.Status.DisruptionsAllowed <= 0:
		return apierrors.NewTooManyRequests(fmt.Sprintf("PodDisruptionBudget %s allows no disruption", budget.Name), 10)
	}
	there := s.held(budgetKind.GroupKind(), client.ObjectKeyFromObject(budget))
	_, err := s.edit(there, "eviction", statusSubresource, func(content map[string]any) {
		_ = unstructured.SetNestedField(content, int64(budget.Status.DisruptionsAllowed-1), "status", "disruptionsAllowed")
	})
	return err
}

func ready(pod *corev1.Pod) bool {
	return slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}
