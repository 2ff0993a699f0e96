// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// WhenChanged is a mapping for Mapped that gives the keys of an object only when what
// counts of it, in a short text, is another than it was when it was last seen, and when the
// object is gone. It is for objects whose status tells of all that they concern: to look at
// each of many for a change in one of them would make the work grow with the square of
// their number.
func WhenChanged(what func(client.Object) string, keys func(context.Context, Reader, client.Object) []Key) func(context.Context, Reader, client.Object) []Key {
	var mu sync.Mutex
	seen := map[types.UID]string{}
	return func(ctx context.Context, reader Reader, object client.Object) []Key {
		uid := object.GetUID()
		there, ok := object.DeepCopyObject().(client.Object)
		// An error other than that it is gone says nothing about it.
		err := reader.Get(ctx, client.ObjectKeyFromObject(object), there)
		gone := ok && (apierrors.IsNotFound(err) || err == nil && there.GetUID() != uid)
		mu.Lock()
		was, known := seen[uid]
		now := what(object)
		if gone {
			delete(seen, uid)
		} else {
			seen[uid] = now
		}
		mu.Unlock()
		if known && was == now && !gone {
			return nil
		}
		return keys(ctx, reader, object)
	}
}
