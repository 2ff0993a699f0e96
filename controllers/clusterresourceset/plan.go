// SPDX-License-Identifier: Apache-2.0

package clusterresourceset

import (
	"fmt"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	addonsv1 "github.com/slipway-project/slipway/api/addons/v1beta2"
	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	"github.com/slipway-project/slipway/machines"
	"github.com/slipway-project/slipway/plan"
)

const (
	bindingName = "clusterresourceset-binding"

	// kindRecheck is how often a kind that the workload cluster does not serve yet, but
	// whose definition was written, is looked for.
	kindRecheck = time.Second
	// secretRecheck is how often Secrets that are to be kept up to date are read: they
	// are not watched, so a change brings no event.
	secretRecheck = 30 * time.Second
	// contentRecheck is how often Secrets that are missing or wrong are read again:
	// they are not watched.
	contentRecheck = 10 * time.Second
)

var (
	clusterKind = clusterv1.GroupVersion.WithKind("Cluster")
	setKind     = addonsv1.GroupVersion.WithKind("ClusterResourceSet")
	bindingKind = addonsv1.GroupVersion.WithKind("ClusterResourceSetBinding")
)

// BindingStatus is empty: the binding controller shows nothing on the Cluster.
type BindingStatus struct{}

// resource is one resource of one set that is still to be written.
type resource struct {
	set     *addonsv1.ClusterResourceSet
	ref     addonsv1.ResourceRef
	content Content
}

// PlanBinding decides what to write into a workload cluster.
func PlanBinding(s BindingSnapshot) plan.Plan[BindingStatus] {
	return plan.Of(decideBinding(s), BindingStatus{})
}

func decideBinding(s BindingSnapshot) plan.Decision {
	if paused, why := machines.Paused(s.Cluster, s.Cluster); paused {
		return plan.Wait(clusterv1.PausedReason, why)
	}
	if s.Cluster.DeletionTimestamp != nil {
		// The sets own the record too, so garbage collection alone would leave it.
		if s.Binding != nil && s.Binding.DeletionTimestamp == nil {
			return plan.Act(clusterv1.DeletingReason, "", plan.Delete{On: plan.RefTo(bindingKind, s.Binding), Reason: "its Cluster is being deleted"})
		}
		return plan.Settle(clusterv1.DeletingReason)
	}
	if len(s.Sets) == 0 && !hasStaleEntries(s) {
		return plan.Settle("NoClusterResourceSet")
	}
	if !initialized(s.Cluster) {
		return plan.Wait(clusterv1.WaitingForControlPlaneInitializedReason, "the API server of the workload cluster has not answered yet")
	}
	pending := pendingResources(s)
	if len(pending) > 0 && s.Connection != "" {
		return plan.Wait(clusterv1.ConnectionDownReason, s.Connection).At(s.Now.Add(contentRecheck))
	}
	if failed := newFailures(s, pending); len(failed) > 0 {
		return plan.Act("RecordingFailure", "", recordWrite(s, nil, failed))
	}
	actions, done, unknown := writes(s, pending)
	if len(done) > 0 || hasStaleEntries(s) {
		actions = append(actions, recordWrite(s, done, nil))
	}
	problems := problems(s)
	switch {
	case len(actions) > 0:
		return plan.Act("ApplyingResources", strings.Join(problems, "; "), actions...)
	case len(unknown) > 0:
		return plan.Wait("WaitingForKinds", "the workload cluster does not serve "+strings.Join(unknown, ", ")+" yet").At(s.Now.Add(kindRecheck))
	case len(problems) > 0:
		return plan.Block(addonsv1.NotAppliedReason, strings.Join(problems, "; ")).At(s.Now.Add(contentRecheck))
	}
	settled := plan.Settle(addonsv1.AppliedReason)
	if slices.ContainsFunc(s.Sets, followsSecret) {
		settled = settled.At(s.Now.Add(secretRecheck))
	}
	return settled
}

// followsSecret reports that a set keeps what a Secret holds up to date. While it is
// paused it does not.
func followsSecret(set *addonsv1.ClusterResourceSet) bool {
	paused, _ := machines.Paused(nil, set)
	return !paused && reconciles(set) && slices.ContainsFunc(set.Spec.Resources, func(ref addonsv1.ResourceRef) bool {
		return ref.Kind == string(addonsv1.SecretClusterResourceSetResourceKind)
	})
}

func initialized(cluster *clusterv1.Cluster) bool {
	value := cluster.Status.Initialization.ControlPlaneInitialized
	return value != nil && *value
}

func id(ref addonsv1.ResourceRef) string { return ref.Kind + "/" + ref.Name }

// settledOnce reports a resource that is written once and has been.
func settledOnce(set *addonsv1.ClusterResourceSet, recorded *addonsv1.ResourceBinding) bool {
	return !reconciles(set) && recorded != nil && recorded.Applied != nil && *recorded.Applied
}

func reconciles(set *addonsv1.ClusterResourceSet) bool {
	return set.Spec.Strategy == string(addonsv1.ClusterResourceSetStrategyReconcile)
}

// pendingResources are those that can be written and are not recorded as such.
func pendingResources(s BindingSnapshot) []resource {
	var pending []resource
	for _, set := range s.Sets {
		if paused, _ := machines.Paused(nil, set); paused {
			continue
		}
		for _, ref := range set.Spec.Resources {
			content, read := s.Contents[id(ref)]
			recorded := record(s.Binding, set.Name, ref)
			if !read || content.Problem != "" || settledOnce(set, recorded) {
				continue
			}
			if recorded != nil && recorded.Applied != nil && *recorded.Applied && recorded.Hash == content.Hash {
				continue
			}
			pending = append(pending, resource{set: set, ref: ref, content: content})
		}
	}
	return pending
}

// newFailures are the pending resources that the last try did not bring in, as far as
// the record does not say so yet.
func newFailures(s BindingSnapshot, pending []resource) []resource {
	if s.LastFailure == nil {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(pending), func(r resource) bool { return failed(record(s.Binding, r.set.Name, r.ref)) })
}

// failed reports that the record tells of a try that failed.
func failed(recorded *addonsv1.ResourceBinding) bool {
	return recorded != nil && recorded.Applied != nil && !*recorded.Applied
}

func problems(s BindingSnapshot) []string {
	var found []string
	for _, set := range s.Sets {
		for _, ref := range set.Spec.Resources {
			if content, ok := s.Contents[id(ref)]; ok && content.Problem != "" {
				found = append(found, fmt.Sprintf("ClusterResourceSet %s: %s", set.Name, content.Problem))
			}
		}
	}
	return found
}

// writes are the writes into the workload cluster. done are the resources that are
// whole once these have been carried out; unknown are kinds not served there.
func writes(s BindingSnapshot, pending []resource) (actions []plan.Action, done []resource, unknown []string) {
	cluster := types.NamespacedName{Namespace: s.Cluster.Namespace, Name: s.Cluster.Name}
	for _, resource := range pending {
		lookups := s.Lookups[id(resource.ref)]
		whole := len(lookups) == len(resource.content.Objects)
		for i, lookup := range lookups {
			object := resource.content.Objects[i]
			reason := "ClusterResourceSet " + resource.set.Name + " names " + id(resource.ref)
			switch {
			case lookup.UnknownKind:
				whole = false
				if !slices.Contains(unknown, object.GetKind()) {
					unknown = append(unknown, object.GetKind())
				}
			case reconciles(resource.set):
				actions = append(actions, plan.Apply{Object: placed(object, lookup), Creates: true, In: cluster, Reason: reason})
			case !lookup.Exists:
				actions = append(actions, plan.Create{Object: placed(object, lookup), In: cluster, Reason: reason})
			}
		}
		if whole {
			done = append(done, resource)
		}
	}
	return actions, done, unknown
}

// placed is the object in the namespace that it goes to.
func placed(object *unstructured.Unstructured, lookup Lookup) *unstructured.Unstructured {
	if !lookup.Namespaced || object.GetNamespace() != "" {
		return object
	}
	object = object.DeepCopy()
	object.SetNamespace(metav1.NamespaceDefault)
	return object
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

// hasStaleEntries reports that the binding lists sets that no longer select the
// Cluster or are going.
func hasStaleEntries(s BindingSnapshot) bool {
	return s.Binding != nil && slices.ContainsFunc(s.Binding.Spec.Bindings, func(entry addonsv1.ResourceSetBinding) bool {
		return !slices.ContainsFunc(s.Sets, func(set *addonsv1.ClusterResourceSet) bool { return set.Name == entry.ClusterResourceSetName })
	})
}

// recordWrite writes the binding anew: what was recorded and still counts, what has
// just been done, and what failed. It refuses to overwrite a newer record.
func recordWrite(s BindingSnapshot, done, failures []resource) plan.Action {
	binding := &addonsv1.ClusterResourceSetBinding{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: s.Cluster.Namespace, Name: s.Cluster.Name,
			Labels:          map[string]string{clusterv1.ClusterNameLabel: s.Cluster.Name},
			OwnerReferences: []metav1.OwnerReference{*plan.OwnerReference(clusterKind, s.Cluster, false)},
		},
		Spec: addonsv1.ClusterResourceSetBindingSpec{ClusterName: s.Cluster.Name},
	}
	for _, set := range s.Sets {
		entry := addonsv1.ResourceSetBinding{ClusterResourceSetName: set.Name}
		for _, ref := range set.Spec.Resources {
			is := func(r resource) bool { return r.set == set && r.ref == ref }
			recorded := record(s.Binding, set.Name, ref)
			switch {
			case slices.ContainsFunc(done, is):
				entry.Resources = append(entry.Resources, addonsv1.ResourceBinding{
					ResourceRef: ref, Hash: s.Contents[id(ref)].Hash, Applied: new(true), LastAppliedTime: metav1.NewTime(s.Now.UTC().Truncate(time.Second)),
				})
			case slices.ContainsFunc(failures, is):
				failure := addonsv1.ResourceBinding{ResourceRef: ref, Applied: new(false)}
				if recorded != nil { // hash and time are of what was last brought in
					failure.Hash, failure.LastAppliedTime = recorded.Hash, recorded.LastAppliedTime
				}
				entry.Resources = append(entry.Resources, failure)
			case recorded != nil:
				entry.Resources = append(entry.Resources, *recorded)
			}
		}
		if len(entry.Resources) > 0 {
			binding.Spec.Bindings = append(binding.Spec.Bindings, entry)
			binding.OwnerReferences = append(binding.OwnerReferences, *plan.OwnerReference(setKind, set, false))
		}
	}
	reason := "to record what has been written"
	if len(failures) > 0 {
		reason = "to record that the last try failed"
	}
	if s.Binding == nil {
		return plan.Create{Object: plan.Intent(bindingKind, binding), Reason: reason}
	}
	intent := plan.Intent(bindingKind, binding)
	intent.SetUID(s.Binding.UID)
	intent.SetResourceVersion(s.Binding.ResourceVersion)
	return plan.Apply{Object: intent, Reason: reason}
}
