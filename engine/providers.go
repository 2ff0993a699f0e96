// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"fmt"
	"maps"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/slipway-project/slipway/contract"
)

// watchProviders looks at keys again that could not be observed because no provider
// served a kind, when its CRD comes or changes.
func (r *run) watchProviders() error {
	if !slices.ContainsFunc(r.inputs, func(i Input) bool { return i.Role != "" && i.keys != nil }) {
		return nil
	}
	crds := &metav1.PartialObjectMetadata{}
	crds.SetGroupVersionKind(crdKind)
	input := Input{keys: func(_ context.Context, _ Reader, crd client.Object) []Key { return r.awaiting(crd) }}
	if err := r.watch(source.Kind[client.Object](r.engine.manager.GetCache(), crds, r.handler(input))); err != nil {
		return fmt.Errorf("controller %s: watch CustomResourceDefinitions: %w", r.name, err)
	}
	return nil
}

// awaitProvider remembers that a key waits for a kind to be served.
func (r *run) awaitProvider(kind schema.GroupKind, key Key) {
	r.mu.Lock()
	defer r.mu.Unlock()
	name := contract.CRDName(kind)
	if r.awaited[name] == nil {
		r.awaited[name] = map[Key]bool{}
	}
	r.awaited[name][key] = true
}

// stopAwaiting forgets that a key waits for a kind.
func (r *run) stopAwaiting(kind schema.GroupKind, key Key) {
	r.mu.Lock()
	defer r.mu.Unlock()
	name := contract.CRDName(kind)
	delete(r.awaited[name], key)
	if len(r.awaited[name]) == 0 {
		delete(r.awaited, name)
	}
}

// awaiting takes the keys out that wait for the CRD.
func (r *run) awaiting(crd client.Object) []Key {
	if _, _, served := contract.Served(crd.GetLabels()); !served {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	keys := slices.Collect(maps.Keys(r.awaited[crd.GetName()]))
	delete(r.awaited, crd.GetName())
	return keys
}
