// SPDX-License-Identifier: Apache-2.0

package clusterresourceset

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	addonsv1 "github.com/slipway-project/slipway/api/addons/v1beta2"
	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	"github.com/slipway-project/slipway/plan"
)

// notesAnnotation on a ClusterResourceSetBinding holds, as JSON, the notes on what is not
// applied. The record has no place for why that is, and the ClusterResourceSet shows it.
const notesAnnotation = "slipway.dev/not-applied"

// causeLimit bounds the text of a note, in bytes: the answer of a server can be long.
const causeLimit = 1000

// note says why a resource is not whole in the workload cluster.
type note struct {
	Cause string `json:"cause"`
	// Since is when that cause came up or, of a content that fails, when it first did:
	// what a server answers may read differently each time.
	Since time.Time `json:"since"`
	// Tried is when a try failed last; zero where none did.
	Tried time.Time `json:"tried,omitzero"`
	// Hash is of the content that was tried.
	Hash string `json:"hash,omitempty"`
	// Kinds are those that the workload cluster did not serve when all else of the content
	// was written.
	Kinds []string `json:"kinds,omitempty"`
}

// failed reports that a try with the content failed.
func (n note) failed(hash string) bool { return !n.Tried.IsZero() && n.Hash == hash }

// ledger is what is known of the resources of a Cluster, by noteKey: what the binding
// records and, of those that are not applied, a note.
type ledger struct {
	recorded map[string]addonsv1.ResourceBinding
	notes    map[string]note
}

// noteKey is the set's name and the resource's, which hold no slashes.
func noteKey(set string, ref addonsv1.ResourceRef) string { return set + "/" + id(ref) }

// notesOf are the notes on a binding; none where they cannot be read.
func notesOf(binding *addonsv1.ClusterResourceSetBinding) map[string]note {
	notes := map[string]note{}
	if binding == nil {
		return notes
	}
	if err := json.Unmarshal([]byte(binding.Annotations[notesAnnotation]), &notes); err != nil {
		return map[string]note{}
	}
	return notes
}

func noteOn(s BindingSnapshot, r resource) note {
	return notesOf(s.Binding)[noteKey(r.set.Name, r.ref)]
}

// ledgerOf is what the binding says of the resources that still count: sets that no
// longer select the Cluster or are going, and resources that a set no longer names, are
// left out.
func ledgerOf(s BindingSnapshot) ledger {
	known := ledger{recorded: map[string]addonsv1.ResourceBinding{}, notes: map[string]note{}}
	notes := notesOf(s.Binding)
	for _, set := range s.Sets {
		for _, ref := range set.Spec.Resources {
			key := noteKey(set.Name, ref)
			recorded := record(s.Binding, set.Name, ref)
			if recorded == nil {
				continue
			}
			known.recorded[key] = *recorded
			if noted, ok := notes[key]; ok && !isApplied(recorded) {
				known.notes[key] = noted
			}
		}
	}
	return known
}

// record is what the binding says of a resource of a set; nil when nothing.
func record(binding *addonsv1.ClusterResourceSetBinding, set string, ref addonsv1.ResourceRef) *addonsv1.ResourceBinding {
	if binding == nil {
		return nil
	}
	for _, entry := range binding.Spec.Bindings {
		if entry.ClusterResourceSetName != set {
			continue
		}
		for i := range entry.Resources {
			if entry.Resources[i].ResourceRef == ref {
				return &entry.Resources[i]
			}
		}
	}
	return nil
}

func isApplied(recorded *addonsv1.ResourceBinding) bool {
	return recorded != nil && recorded.Applied != nil && *recorded.Applied
}

// applied notes that a resource is whole in the workload cluster.
func (l ledger) applied(r resource, now time.Time) {
	key := noteKey(r.set.Name, r.ref)
	delete(l.notes, key)
	l.recorded[key] = addonsv1.ResourceBinding{
		ResourceRef: r.ref, Hash: r.content.Hash, Applied: new(true), LastAppliedTime: metav1.NewTime(now.UTC().Truncate(time.Second)),
	}
}

// lacking notes that a resource is not whole, and why. Its hash and time stay those of
// what was last brought in.
func (l ledger) lacking(r resource, noted note) {
	key := noteKey(r.set.Name, r.ref)
	if len(noted.Cause) > causeLimit {
		noted.Cause = strings.ToValidUTF8(noted.Cause[:causeLimit], "") + " ..."
	}
	noted.Since, noted.Tried = noted.Since.UTC().Truncate(time.Second), noted.Tried.UTC().Truncate(time.Second)
	if was, ok := l.notes[key]; ok && (was.Cause == noted.Cause || (was.failed(noted.Hash) && noted.failed(was.Hash))) {
		noted.Since = was.Since
	}
	l.notes[key] = noted
	recorded := l.recorded[key]
	recorded.ResourceRef, recorded.Applied = r.ref, new(false)
	l.recorded[key] = recorded
}

// entries are what the binding's spec is to hold, in the order of the sets.
func (l ledger) entries(sets []*addonsv1.ClusterResourceSet) []addonsv1.ResourceSetBinding {
	var entries []addonsv1.ResourceSetBinding
	for _, set := range sets {
		entry := addonsv1.ResourceSetBinding{ClusterResourceSetName: set.Name}
		for _, ref := range set.Spec.Resources {
			if recorded, ok := l.recorded[noteKey(set.Name, ref)]; ok {
				entry.Resources = append(entry.Resources, recorded)
			}
		}
		if len(entry.Resources) > 0 {
			entries = append(entries, entry)
		}
	}
	return entries
}

// text is the annotation; empty where there are no notes.
func (l ledger) text() string {
	if len(l.notes) == 0 {
		return ""
	}
	raw, err := json.Marshal(l.notes)
	if err != nil {
		panic(fmt.Sprintf("write notes: %v", err)) // texts and times cannot fail
	}
	return string(raw)
}

// recordWrite brings the binding in line with the ledger; none where it is. A binding
// that records nothing any more is removed.
//
// What is there is patched and not applied: what was once created belongs to the entry of
// updates among the managed fields, and no apply ever takes it out again (see
// plan.Follow). The test on the version keeps a newer record from being overwritten.
func recordWrite(s BindingSnapshot, l ledger, reason string) []plan.Action {
	entries, notes := l.entries(s.Sets), l.text()
	if s.Binding == nil {
		if len(entries) == 0 {
			return nil
		}
		binding := &addonsv1.ClusterResourceSetBinding{
			ObjectMeta: metav1.ObjectMeta{
				Namespace: s.Cluster.Namespace, Name: s.Cluster.Name,
				Labels:          map[string]string{clusterv1.ClusterNameLabel: s.Cluster.Name},
				OwnerReferences: owners(s, entries),
			},
			Spec: addonsv1.ClusterResourceSetBindingSpec{ClusterName: s.Cluster.Name, Bindings: entries},
		}
		if notes != "" {
			binding.Annotations = map[string]string{notesAnnotation: notes}
		}
		return []plan.Action{plan.Create{Object: plan.Intent(bindingKind, binding), Reason: reason}}
	}
	if len(entries) == 0 {
		return []plan.Action{plan.Delete{On: plan.RefTo(bindingKind, s.Binding), Reason: "it records nothing any more"}}
	}
	var changes []plan.PatchOperation
	if wanted := owners(s, entries); !equality.Semantic.DeepEqual(wanted, s.Binding.OwnerReferences) {
		changes = append(changes, plan.PatchOperation{Op: "add", Path: "/metadata/ownerReferences", Value: wanted})
	}
	if !equality.Semantic.DeepEqual(entries, s.Binding.Spec.Bindings) {
		changes = append(changes, plan.PatchOperation{Op: "add", Path: "/spec/bindings", Value: entries})
	}
	changes = append(changes, noteChanges(s.Binding.Annotations, notes)...)
	if len(changes) == 0 {
		return nil
	}
	return []plan.Action{plan.Patch{On: plan.RefTo(bindingKind, s.Binding), Reason: reason, Operations: append([]plan.PatchOperation{
		{Op: "test", Path: "/metadata/uid", Value: string(s.Binding.UID)},
		{Op: "test", Path: "/metadata/resourceVersion", Value: s.Binding.ResourceVersion},
	}, changes...)}}
}

func noteChanges(annotations map[string]string, notes string) []plan.PatchOperation {
	path := "/metadata/annotations/" + strings.ReplaceAll(notesAnnotation, "/", "~1")
	switch {
	case annotations[notesAnnotation] == notes:
		return nil
	case notes == "":
		return []plan.PatchOperation{{Op: "remove", Path: path}}
	case len(annotations) == 0:
		return []plan.PatchOperation{{Op: "add", Path: "/metadata/annotations", Value: map[string]string{notesAnnotation: notes}}}
	default:
		return []plan.PatchOperation{{Op: "add", Path: path, Value: notes}}
	}
}

// owners are the Cluster and the sets that have entries. References to other kinds are
// somebody else's and stay; so do ours as they were written.
func owners(s BindingSnapshot, entries []addonsv1.ResourceSetBinding) []metav1.OwnerReference {
	wanted := []metav1.OwnerReference{*plan.OwnerReference(clusterKind, s.Cluster, false)}
	for _, set := range s.Sets {
		if slices.ContainsFunc(entries, func(entry addonsv1.ResourceSetBinding) bool { return entry.ClusterResourceSetName == set.Name }) {
			wanted = append(wanted, *plan.OwnerReference(setKind, set, false))
		}
	}
	if s.Binding == nil {
		return wanted
	}
	var references []metav1.OwnerReference
	for _, reference := range s.Binding.OwnerReferences {
		same := func(other metav1.OwnerReference) bool { return other.UID == reference.UID }
		group, err := schema.ParseGroupVersion(reference.APIVersion)
		isSet := err == nil && group.Group == setKind.Group && reference.Kind == setKind.Kind
		if isSet && !slices.ContainsFunc(wanted, same) {
			continue
		}
		wanted = slices.DeleteFunc(wanted, same)
		references = append(references, reference)
	}
	return append(references, wanted...)
}
