// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"errors"
	"slices"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/slipway-project/slipway/contract"
)

// TestKeysAwaitTheirProvider: who was told that nobody serves a kind hears of it, once,
// when a CRD for it comes that follows the contract.
func TestKeysAwaitTheirProvider(t *testing.T) {
	w := newWorld(t, Options{}, nil, nil, subject())
	ref := contract.Ref{APIGroup: "infrastructure.cluster.x-k8s.io", Kind: "MemoryMachine", Name: "m"}
	waiting := &reader{Reader: w.cache, run: w.run, key: subjectKey}
	if _, err := waiting.Contract(t.Context(), "InfraMachine", ref, "default"); !errors.Is(err, ErrNoProvider) {
		t.Fatalf("a kind without a CRD gives %v", err)
	}
	// A function that maps events to keys reads too, and has no key that could wait.
	mapping := &reader{Reader: w.cache, run: w.run}
	if _, err := mapping.Contract(t.Context(), "InfraMachine", ref, "default"); !errors.Is(err, ErrNoProvider) {
		t.Fatalf("a kind without a CRD gives %v", err)
	}
	crd := func(name string, labels map[string]string) *metav1.PartialObjectMetadata {
		object := &metav1.PartialObjectMetadata{}
		object.Name, object.Labels = name, labels
		return object
	}
	name, labels := contract.CRDName(ref.GroupKind()), map[string]string{"cluster.x-k8s.io/v1beta2": "v1"}
	for _, step := range []struct {
		what string
		crd  *metav1.PartialObjectMetadata
		want []Key
	}{
		{"another CRD", crd("others.g.io", labels), nil},
		{"the CRD without the contract's label", crd(name, nil), nil},
		{"the CRD", crd(name, labels), []Key{subjectKey}},
		{"the CRD again", crd(name, labels), nil},
	} {
		if got := w.run.awaiting(step.crd); !slices.Equal(got, step.want) {
			t.Errorf("%s wakes %v, want %v", step.what, got, step.want)
		}
	}
}
