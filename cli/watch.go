// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// familyWatch keeps a family current by watching its kinds.
type familyWatch struct {
	cache   cache.Cache
	kinds   []schema.GroupVersionKind
	key     client.ObjectKey
	changed chan struct{}
	stop    context.CancelFunc
	ended   chan struct{}
}

// watchFamily watches the kinds of a family in its namespace, and returns when all
// have been read once. close must be called.
func (m *management) watchFamily(ctx context.Context, key client.ObjectKey, kinds []schema.GroupKind) (*familyWatch, error) {
	served, err := m.served(append(kinds, eventKind.GroupKind()))
	if err != nil {
		return nil, err
	}
	watched, err := cache.New(m.config, cache.Options{
		Scheme: m.client.Scheme(), Mapper: m.client.RESTMapper(),
		DefaultNamespaces: map[string]cache.Config{key.Namespace: {}},
		DefaultTransform:  cache.TransformStripManagedFields(),
	})
	if err != nil {
		return nil, fmt.Errorf("watch Cluster %s: %w", key, err)
	}
	running, stop := context.WithCancel(ctx)
	w := &familyWatch{cache: watched, kinds: served, key: key, changed: make(chan struct{}, 1), stop: stop, ended: make(chan struct{})}
	go func() {
		defer close(w.ended)
		_ = watched.Start(running)
	}()
	for _, kind := range served {
		object := &unstructured.Unstructured{}
		object.SetGroupVersionKind(kind)
		informer, err := watched.GetInformer(running, object)
		if err == nil {
			_, err = informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
				AddFunc:    func(any) { w.tell() },
				UpdateFunc: func(any, any) { w.tell() },
				DeleteFunc: func(any) { w.tell() },
			})
		}
		if err != nil {
			w.close()
			return nil, fmt.Errorf("watch %s: %w", kind.Kind, err)
		}
	}
	if !watched.WaitForCacheSync(running) {
		w.close()
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, errors.New("the management cluster does not answer any more")
	}
	w.tell()
	return w, nil
}

// tell notes that something changed; many changes are one.
func (w *familyWatch) tell() {
	select {
	case w.changed <- struct{}{}:
	default:
	}
}

func (w *familyWatch) read(ctx context.Context) (family, error) {
	objects, err := listAll(ctx, w.cache, w.kinds, w.key.Namespace)
	if err != nil {
		return family{}, err
	}
	return familyOf(objects, w.key.Name)
}

func (w *familyWatch) close() {
	w.stop()
	<-w.ended
}
