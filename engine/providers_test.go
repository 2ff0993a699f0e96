// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/slipway-project/slipway/contract"
)

// TestCoreKindsAreNoProviders: a reference to a kind that the controller reads by its Go
// type is a mistake, and must not make it read that kind in a second way.
func TestCoreKindsAreNoProviders(t *testing.T) {
	w := newWorld(t, Options{}, nil, nil, subject())
	reading := &reader{Reader: w.cache, run: w.run, key: subjectKey}
	ref := contract.Ref{APIGroup: machineKind.Group, Kind: machineKind.Kind, Name: "m"}
	_, err := reading.Contract(t.Context(), "InfraMachine", ref, "default")
	if !errors.Is(err, ErrNoProvider) || !errors.Is(err, ErrNoKind) || !strings.Contains(err.Error(), "correct the reference") {
		t.Errorf("a reference to a Machine gives %v", err)
	}
	if err := reading.Get(t.Context(), subjectKey, subject()); err != nil {
		t.Errorf("it cannot be read by its type: %v", err)
	}
	if err := reading.Get(t.Context(), subjectKey, unstructuredOf(machineKind)); err == nil {
		t.Error("one kind was read in two ways, of which the barrier asks one")
	}
}

// TestProviderThatComesMeanwhile: the CRD's event may come while its kind is looked for.
func TestProviderThatComesMeanwhile(t *testing.T) {
	w := newWorld(t, Options{}, nil, nil, subject())
	ref := contract.Ref{APIGroup: "infrastructure.cluster.x-k8s.io", Kind: "MemoryMachine", Name: "m"}
	crd := &metav1.PartialObjectMetadata{}
	crd.Name, crd.Labels = contract.CRDName(ref.GroupKind()), map[string]string{"cluster.x-k8s.io/v1beta2": "v1"}
	var woken []Key
	w.run.engine.contracts.reader = readerFunc(func() { woken = w.run.awaiting(crd) })
	looking := &reader{Reader: w.cache, run: w.run, key: subjectKey}
	if _, err := looking.Contract(t.Context(), "InfraMachine", ref, "default"); !errors.Is(err, ErrNoProvider) {
		t.Fatalf("a kind without a CRD gives %v", err)
	}
	if !slices.Equal(woken, []Key{subjectKey}) || !looking.awaits {
		t.Errorf("the CRD's event woke %v, want the key that was looking; awaits %t", woken, looking.awaits)
	}
}

// readerFunc finds nothing, and does something while it is asked.
type readerFunc func()

func (f readerFunc) Get(_ context.Context, key client.ObjectKey, _ client.Object, _ ...client.GetOption) error {
	f()
	return apierrors.NewNotFound(schema.GroupResource{}, key.Name)
}

func (f readerFunc) List(context.Context, client.ObjectList, ...client.ListOption) error { return nil }

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
