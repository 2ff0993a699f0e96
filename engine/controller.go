// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/slipway-project/slipway/plan"
)

// Key names the object that a pass is about.
type Key = types.NamespacedName

// Controller is one kind's observe -> plan -> apply.
type Controller[Snapshot, Status any] struct {
	// Name is the word in logs, metrics and the field manager "slipway-<name>".
	Name string
	// Kind is the kind whose objects this controller looks after.
	Kind schema.GroupVersionKind
	// Inputs are what is read, and which objects an event there concerns.
	Inputs []Input
	// Outputs are what may be written. A plan with any other write is refused.
	Outputs []Output
	// Observe gathers the snapshot. It only reads. When the object is gone, it
	// returns a snapshot for which Subject gives nil. An error is for the
	// unexpected, and is retried with growing pauses; a fact that cannot be had
	// is a plan.Known in the snapshot instead.
	Observe func(context.Context, Reader, Key) (Snapshot, error)
	// Subject is the object of the snapshot, nil when it is gone.
	Subject func(Snapshot) client.Object
	// Plan decides. It takes one value and returns one.
	Plan func(Snapshot) plan.Plan[Status]
	// Invariants gives the rules of this kind that a plan breaks (limits on
	// machines, quorum), in words. May be nil.
	Invariants func(Snapshot, plan.Plan[Status]) []string
	// Concurrency is how many objects are worked on at once; 0 means 10.
	Concurrency int
}

// Input is something that a controller reads. Make one with Subject, Owned, Mapped,
// Contract, Live or Events.
type Input struct {
	// Kind is what is read; for Contract inputs only the role is known beforehand.
	Kind schema.GroupVersionKind
	// Role is the part that a provider's kind plays, such as "InfraMachine".
	Role string
	// Live inputs are read by name from the server and not watched.
	Live bool
	// Workload inputs are read from workload clusters.
	Workload bool

	object client.Object
	keys   func(context.Context, Reader, client.Object) []Key
	source func(ctx context.Context, reader Reader, enqueue func(Key)) error
}

// Subject is the kind that a controller looks after.
func Subject(object client.Object) Input {
	return Input{object: object, keys: func(_ context.Context, _ Reader, o client.Object) []Key {
		return []Key{client.ObjectKeyFromObject(o)}
	}}
}

// Owned is a kind whose objects concern their owner of the kind given: every owner,
// whether it is the controller or not.
func Owned(object client.Object, owner schema.GroupKind) Input {
	return Input{object: object, keys: func(_ context.Context, _ Reader, o client.Object) []Key {
		return Owners(o, owner)
	}}
}

// Owners are the keys of an object's owners of one kind.
func Owners(object client.Object, owner schema.GroupKind) []Key {
	var keys []Key
	for _, reference := range object.GetOwnerReferences() {
		group, err := schema.ParseGroupVersion(reference.APIVersion)
		if err == nil && group.Group == owner.Group && reference.Kind == owner.Kind {
			keys = append(keys, Key{Namespace: object.GetNamespace(), Name: reference.Name})
		}
	}
	return keys
}

// Mapped is a kind whose objects concern the keys that the function gives.
func Mapped(object client.Object, keys func(context.Context, Reader, client.Object) []Key) Input {
	return Input{object: object, keys: keys}
}

// Contract is a provider's kind, known by its part in the contract. Watching begins
// at the first read of each such kind through Reader.Contract with this role.
func Contract(role string, keys func(context.Context, Reader, client.Object) []Key) Input {
	return Input{Role: role, keys: keys}
}

// Live is a kind that is read by name from the server, never listed and never
// watched: Secrets above all.
func Live(object client.Object) Input { return Input{object: object, Live: true} }

// WorkloadNodes is the Nodes of workload clusters and the state of the connection
// to them; see WorkloadEvent.
func WorkloadNodes(keys func(context.Context, Reader, WorkloadEvent) []Key) Input {
	return Input{
		Kind: corev1.SchemeGroupVersion.WithKind("Node"), Workload: true,
		source: func(ctx context.Context, reader Reader, enqueue func(Key)) error {
			workloads := reader.Workloads()
			if workloads == nil {
				return fmt.Errorf("watch nodes: no workload clusters are connected in this process")
			}
			events := workloads.Subscribe(ctx)
			for event := range events {
				for _, key := range keys(ctx, reader, event) {
					enqueue(key)
				}
			}
			return nil
		},
	}
}

// Events is a stream of keys from another system, such as a container engine. The
// function runs until the context ends.
func Events(system string, source func(ctx context.Context, reader Reader, enqueue func(Key)) error) Input {
	return Input{Role: system, source: source}
}

// Output is something that a controller writes.
type Output struct {
	// Kind that is written; Role instead for a provider's kind.
	Kind schema.GroupKind
	Role string
	// Verbs are of create, patch, delete; patch of the status is "patch status".
	Verbs []string
	// Workload outputs go to workload clusters.
	Workload bool
	// System is the operator of an Operate action.
	System string
}

// Writes is an output to a kind of the management cluster.
func Writes(kind schema.GroupVersionKind, verbs ...string) Output {
	return Output{Kind: kind.GroupKind(), Verbs: verbs}
}

// WritesContract is an output to provider kinds that play the role given.
func WritesContract(role string, verbs ...string) Output { return Output{Role: role, Verbs: verbs} }

// WritesWorkload is an output to a kind of workload clusters.
func WritesWorkload(kind schema.GroupVersionKind, verbs ...string) Output {
	return Output{Kind: kind.GroupKind(), Verbs: verbs, Workload: true}
}

// WritesWorkloadAnything is an output to whatever kinds the user's manifests hold.
func WritesWorkloadAnything(verbs ...string) Output {
	return Output{Role: "any", Verbs: verbs, Workload: true}
}

// Operates is an output through the operator of a system.
func Operates(system string) Output { return Output{System: system, Verbs: []string{"operate"}} }

// allowed reports whether the outputs permit the action. plays tells whether a kind was
// found to be a provider's that plays a role.
func allowed(outputs []Output, action plan.Action, plays func(role string, kind schema.GroupKind) bool) bool {
	if operate, ok := action.(plan.Operate); ok {
		return slices.ContainsFunc(outputs, func(o Output) bool { return o.System == operate.System })
	}
	target := action.Target()
	kind, verb, workload := target.GroupKind(), action.Verb(), target.Cluster.Name != ""
	if apply, ok := action.(plan.Apply); ok && apply.Subresource != "" {
		verb = "patch " + apply.Subresource
	}
	return slices.ContainsFunc(outputs, func(o Output) bool {
		if o.System != "" || o.Workload != workload || !slices.Contains(o.Verbs, verb) {
			return false
		}
		if o.Role == "any" {
			return true
		}
		if o.Role != "" {
			return plays(o.Role, kind)
		}
		return o.Kind == kind
	})
}
