// SPDX-License-Identifier: Apache-2.0

package clusterresourceset

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
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

	// soonest and latest bound how often a resource is tried again that was refused, or
	// that waits for a kind: at first soon, for a definition that was just written is
	// served a moment later, then the less often the longer it lasts.
	soonest = time.Second
	latest  = time.Minute
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

// decideBinding gives one resource a turn at a time, with a record of its own: what one
// of them cannot do keeps none of the others waiting.
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
	tidied := recordWrite(s, ledgerOf(s), "to record only what still counts")
	if len(s.Sets) == 0 && len(tidied) == 0 {
		return plan.Settle("NoClusterResourceSet")
	}
	if !initialized(s.Cluster) {
		return plan.Wait(clusterv1.WaitingForControlPlaneInitializedReason, "the API server of the workload cluster has not answered yet")
	}
	if pending := pendingResources(s); len(pending) > 0 && s.Connection != "" {
		return notConnected(s, pending)
	}
	turns := inTurn(s)
	if recorded := failureRecord(s, turns); len(recorded) > 0 {
		return plan.Act("RecordingFailure", "", recorded...)
	}
	for _, r := range turns {
		if actions := step(s, r); len(actions) > 0 {
			return plan.Act("ApplyingResources", "", actions...)
		}
	}
	if len(tidied) > 0 {
		return plan.Act("TidyingRecord", "", tidied...)
	}
	return standing(s)
}

// notConnected notes on what is to be written that it cannot be. Whatever ends a missing
// connection brings an event; a request that failed on one that is there does not.
func notConnected(s BindingSnapshot, pending []resource) plan.Decision {
	known := ledgerOf(s)
	for _, r := range pending {
		known.lacking(r, note{Cause: s.Connection, Since: s.Now})
	}
	decision := plan.Wait(clusterv1.ConnectionDownReason, s.Connection)
	decision.Actions = recordWrite(s, known, "to tell why it is not applied")
	if !s.Connecting {
		decision = decision.At(s.Now.Add(contentRecheck))
	}
	return decision
}

// standing is what to say where nothing is to be done now.
func standing(s BindingSnapshot) plan.Decision {
	blocked := problems(s)
	var waiting []string
	var recheck time.Time
	if len(blocked) > 0 {
		recheck = s.Now.Add(contentRecheck)
	}
	for _, r := range pendingResources(s) {
		text := fmt.Sprintf("ClusterResourceSet %s, %s: %s", r.set.Name, id(r.ref), noteOn(s, r).Cause)
		if conflict(s, r) != "" {
			blocked = append(blocked, text)
		} else {
			waiting = append(waiting, text)
		}
		if next := nextTry(s, r); recheck.IsZero() || next.Before(recheck) {
			recheck = next
		}
	}
	message := strings.Join(append(blocked, waiting...), "; ")
	switch {
	case len(blocked) > 0:
		return plan.Block(addonsv1.NotAppliedReason, message).At(recheck)
	case len(waiting) > 0:
		return plan.Wait(addonsv1.NotAppliedReason, message).At(recheck)
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
	return !reconciles(set) && isApplied(recorded)
}

func reconciles(set *addonsv1.ClusterResourceSet) bool {
	return set.Spec.Strategy == string(addonsv1.ClusterResourceSetStrategyReconcile)
}

// resources are those whose content can be written, in the order of the sets.
func resources(s BindingSnapshot) []resource {
	var all []resource
	for _, set := range s.Sets {
		if paused, _ := machines.Paused(nil, set); paused {
			continue
		}
		for _, ref := range set.Spec.Resources {
			if content, read := s.Contents[id(ref)]; read && content.Problem == "" {
				all = append(all, resource{set: set, ref: ref, content: content})
			}
		}
	}
	return all
}

func isPending(s BindingSnapshot, r resource) bool {
	recorded := record(s.Binding, r.set.Name, r.ref)
	return !settledOnce(r.set, recorded) && (!isApplied(recorded) || recorded.Hash != r.content.Hash)
}

// pendingResources are those that can be written and are not recorded as such.
func pendingResources(s BindingSnapshot) []resource {
	return slices.DeleteFunc(resources(s), func(r resource) bool { return !isPending(s, r) })
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

// inTurn are the pending resources in the order in which they get their turn: first what
// has not failed, then what has and is due again, the one that failed longest ago first.
func inTurn(s BindingSnapshot) []resource {
	turns := slices.DeleteFunc(pendingResources(s), func(r resource) bool { return !lastTry(s, r).IsZero() && nextTry(s, r).After(s.Now) })
	slices.SortStableFunc(turns, func(a, b resource) int { return lastTry(s, a).Compare(lastTry(s, b)) })
	return turns
}

// lastTry is when the content as it is now failed last; zero when it has not.
func lastTry(s BindingSnapshot, r resource) time.Time {
	if noted := noteOn(s, r); noted.failed(r.content.Hash) {
		return noted.Tried
	}
	return time.Time{}
}

// nextTry is when to look at a resource again that cannot be written now.
func nextTry(s BindingSnapshot, r resource) time.Time {
	from := s.Now
	if tried := lastTry(s, r); !tried.IsZero() {
		from = tried
	}
	return from.Add(min(max(from.Sub(noteOn(s, r).Since), soonest), latest))
}

// failureRecord notes on the resource that the last try was about that it failed; none
// where the failure is noted already, or was about something else.
func failureRecord(s BindingSnapshot, turns []resource) []plan.Action {
	if s.LastFailure == nil {
		return nil
	}
	for _, r := range turns {
		actions, _ := writes(s, r)
		if !slices.ContainsFunc(actions, func(action plan.Action) bool { return action.String() == s.LastFailure.Action }) {
			continue
		}
		known := ledgerOf(s)
		known.lacking(r, note{
			Cause: s.LastFailure.Action + ": " + s.LastFailure.Message, Since: s.LastFailure.At, Tried: s.LastFailure.At, Hash: r.content.Hash,
		})
		return recordWrite(s, known, "to record that the last try failed")
	}
	return nil
}

// step is what is to be done for one resource: the writes into the workload cluster, and
// last the record of them.
func step(s BindingSnapshot, r resource) []plan.Action {
	known := ledgerOf(s)
	if cause := conflict(s, r); cause != "" {
		known.lacking(r, note{Cause: cause, Since: s.Now})
		return recordWrite(s, known, "to tell why it is not applied")
	}
	if cause := s.Unread[id(r.ref)]; cause != "" {
		known.lacking(r, note{Cause: cause, Since: s.Now, Tried: s.Now, Hash: r.content.Hash})
		return recordWrite(s, known, "to record that the last try failed")
	}
	if len(s.Lookups[id(r.ref)]) != len(r.content.Objects) {
		return nil // not looked up: another one comes first
	}
	actions, unknown := writes(s, r)
	if len(unknown) == 0 {
		known.applied(r, s.Now)
		return append(actions, recordWrite(s, known, "to record what has been written")...)
	}
	if before := noteOn(s, r); reconciles(r.set) && before.Hash == r.content.Hash && slices.Equal(before.Kinds, unknown) {
		actions = nil // all that can be written has been
	}
	known.lacking(r, note{
		Cause: "the workload cluster does not serve " + strings.Join(unknown, ", ") + " yet", Since: s.Now, Hash: r.content.Hash, Kinds: unknown,
	})
	return append(actions, recordWrite(s, known, "to tell why it is not applied")...)
}

// conflict tells of an object that two resources hold which are both kept up to date, and
// would overwrite one another. The one that was there first goes on. What is written once
// leaves alone what it finds, whoever made it.
func conflict(s BindingSnapshot, r resource) string {
	if !reconciles(r.set) {
		return ""
	}
	held := map[identity]*unstructured.Unstructured{}
	for _, object := range r.content.Objects {
		held[identityOf(object)] = object
	}
	before := true
	for _, other := range resources(s) {
		if other.set == r.set && other.ref == r.ref {
			before = false
			continue
		}
		if !reconciles(other.set) || other.ref == r.ref || (isPending(s, other) && !before) {
			continue
		}
		for _, object := range other.content.Objects {
			who := identityOf(object)
			if ours := held[who]; ours != nil && !equality.Semantic.DeepEqual(ours.Object, object.Object) {
				return fmt.Sprintf("it holds %s, and so does %s of ClusterResourceSet %s, and they differ; remove one", who, id(other.ref), other.set.Name)
			}
		}
	}
	return ""
}

// writes are the writes of a resource into the workload cluster. unknown are kinds not
// served there.
func writes(s BindingSnapshot, r resource) (actions []plan.Action, unknown []string) {
	cluster := types.NamespacedName{Namespace: s.Cluster.Namespace, Name: s.Cluster.Name}
	reason := "ClusterResourceSet " + r.set.Name + " names " + id(r.ref)
	for i, lookup := range s.Lookups[id(r.ref)] {
		object := r.content.Objects[i]
		switch {
		case lookup.UnknownKind:
			if kind := object.GroupVersionKind().GroupKind().String(); !slices.Contains(unknown, kind) {
				unknown = append(unknown, kind)
			}
		case reconciles(r.set):
			actions = append(actions, plan.Apply{Object: placed(object, lookup), Creates: true, In: cluster, Reason: reason})
		case !lookup.Exists:
			actions = append(actions, plan.Create{Object: placed(object, lookup), In: cluster, Reason: reason})
		}
	}
	return actions, unknown
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
