// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// written is one write that the cache has to show before its key is planned for
// again. Without this a plan made from a stale cache repeats what was just done.
type written struct {
	kind            schema.GroupVersionKind
	key             client.ObjectKey
	uid             types.UID
	resourceVersion string // empty for a delete
	deleted         bool
	// made is true when the object may have been made by this write. One that was
	// there before the write and that the cache shows no more is gone since.
	made bool
	at   time.Time
}

// barrierPatience is how long a write may stay unseen before the server itself is
// asked: an object that was made and removed again never shows in the cache.
const barrierPatience = 5 * time.Second

// seen reports whether the cache shows the write.
func (w written) seen(ctx context.Context, cache client.Reader, representation client.Object) (bool, error) {
	object := representation.DeepCopyObject().(client.Object)
	err := cache.Get(ctx, w.key, object)
	if apierrors.IsNotFound(err) {
		return w.deleted || !w.made, nil
	}
	if err != nil {
		return false, fmt.Errorf("read %s %s from the cache: %w", w.kind.Kind, w.key, err)
	}
	return w.shownBy(object), nil
}

func (w written) shownBy(object metav1.Object) bool {
	if w.uid != "" && object.GetUID() != w.uid {
		// Replaced by a newer object: the write lies behind that. An older one
		// cannot carry a higher resource version.
		return w.deleted || notOlder(object.GetResourceVersion(), w.resourceVersion)
	}
	if w.deleted {
		return object.GetDeletionTimestamp() != nil
	}
	return notOlder(object.GetResourceVersion(), w.resourceVersion)
}

func notOlder(have, want string) bool {
	order, err := resourceversion.CompareResourceVersion(have, want)
	return err == nil && order >= 0
}

// unseen gives the writes that the cache does not show yet.
func (r *run) unseen(ctx context.Context, writes []written) ([]written, error) {
	var left []written
	for _, write := range writes {
		representation, read := r.representation(write.kind)
		if !read {
			continue
		}
		shown, err := write.seen(ctx, r.engine.cache, representation)
		if err != nil {
			return nil, err
		}
		if !shown && r.engine.now().Sub(write.at) > barrierPatience {
			shown = r.goneOnServer(ctx, write, representation)
		}
		if !shown {
			left = append(left, write)
		}
	}
	return left, nil
}

func (r *run) goneOnServer(ctx context.Context, write written, representation client.Object) bool {
	object := representation.DeepCopyObject().(client.Object)
	err := r.engine.live.Get(ctx, write.key, object)
	return apierrors.IsNotFound(err) || (err == nil && write.uid != "" && object.GetUID() != write.uid)
}

// readFrom remembers in which representation this controller reads a kind, which is
// the informer that the barrier has to ask. Reading it in a second one is refused: a
// write that one informer shows may be missing in the other.
func (r *run) readFrom(object any) error {
	var kind schema.GroupVersionKind
	var representation client.Object
	switch object := object.(type) {
	case *unstructured.Unstructured:
		kind = object.GroupVersionKind()
		blank := &unstructured.Unstructured{}
		blank.SetGroupVersionKind(kind)
		representation = blank
	case *metav1.PartialObjectMetadata, *metav1.PartialObjectMetadataList, *unstructured.UnstructuredList:
		return nil
	case client.Object:
		kind = r.engine.kindOf(object)
		representation = r.engine.blank(kind)
	case client.ObjectList:
		kind = r.engine.kindOf(object)
		if meta.IsListType(object) && len(kind.Kind) > len("List") {
			kind.Kind = kind.Kind[:len(kind.Kind)-len("List")]
		}
		representation = r.engine.blank(kind)
	}
	if representation == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if before, read := r.reads[kind]; read && fmt.Sprintf("%T", before) != fmt.Sprintf("%T", representation) {
		return fmt.Errorf("controller %s reads %s both as %T and as %T", r.name, kind.Kind, before, representation)
	}
	r.reads[kind] = representation
	return nil
}

func (r *run) representation(kind schema.GroupVersionKind) (client.Object, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	representation, ok := r.reads[kind]
	return representation, ok
}
