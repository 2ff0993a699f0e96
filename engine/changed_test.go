// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
)

// holding reads what is in memory; it is a Reader for mappings.
type holding struct {
	Reader
	stored client.Client
}

func (h holding) Get(ctx context.Context, key client.ObjectKey, into client.Object, options ...client.GetOption) error {
	return h.stored.Get(ctx, key, into, options...)
}

func TestWhenChanged(t *testing.T) {
	object := func(uid types.UID, counts, other string) *corev1.ConfigMap {
		return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "it", UID: uid}, Data: map[string]string{"counts": counts, "other": other}}
	}
	mapping := WhenChanged(
		func(object client.Object) string { return object.(*corev1.ConfigMap).Data["counts"] },
		func(context.Context, Reader, client.Object) []Key { return []Key{{Name: "concerned"}} },
	)
	for _, step := range []struct {
		name string
		// stored is what the cache holds when the event comes; nil for nothing.
		stored, event *corev1.ConfigMap
		want          bool
	}{
		{"first seen", object("1", "a", "x"), object("1", "a", "x"), true},
		{"again", object("1", "a", "x"), object("1", "a", "x"), false},
		{"what does not count has changed", object("1", "a", "y"), object("1", "a", "y"), false},
		{"what counts has changed, the object before", object("1", "b", "y"), object("1", "a", "y"), false},
		{"what counts has changed, the object after", object("1", "b", "y"), object("1", "b", "y"), true},
		{"gone", nil, object("1", "b", "y"), true},
		{"made again", object("2", "b", "y"), object("2", "b", "y"), true},
		{"gone, and made again before that was told", object("3", "b", "y"), object("2", "b", "y"), true},
		{"the one made again", object("3", "b", "y"), object("3", "b", "y"), true},
		{"the one made again, once more", object("3", "b", "y"), object("3", "b", "y"), false},
	} {
		stored := fake.NewClientBuilder()
		if step.stored != nil {
			stored = stored.WithObjects(step.stored)
		}
		keys := mapping(t.Context(), holding{stored: stored.Build()}, step.event)
		if got := len(keys) == 1; got != step.want {
			t.Errorf("%s: concerned %t, want %t", step.name, got, step.want)
		}
	}
}
