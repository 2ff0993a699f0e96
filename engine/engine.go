// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/slipway-project/slipway/plan"
)

// Options are what an Engine stands on besides its manager.
type Options struct {
	// Workloads connects to workload clusters; may be nil.
	Workloads Workloads
	// Operators carry out Operate actions, by system.
	Operators map[string]Operator
	// DryRun logs plans and writes nothing.
	DryRun bool
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// Operator carries out operations in a system that is not a Kubernetes API.
type Operator interface {
	// Operate does one operation, which must be idempotent. An error that has a
	// method FailureReason() string gives the reason that conditions show.
	Operate(ctx context.Context, operation plan.Operation) error
}

// Engine runs controllers on a controller-runtime manager.
type Engine struct {
	manager   manager.Manager
	options   Options
	cache     client.Reader
	live      client.Reader
	writer    client.Client
	contracts *contracts
	now       func() time.Time
}

// New makes an engine on a manager whose scheme knows every typed kind in use.
func New(mgr manager.Manager, options Options) *Engine {
	now := options.Now
	if now == nil {
		now = time.Now
	}
	return &Engine{
		manager: mgr, options: options, now: now,
		cache: mgr.GetCache(), live: mgr.GetAPIReader(), writer: mgr.GetClient(),
		contracts: &contracts{reader: mgr.GetCache(), mapper: mgr.GetRESTMapper(), seen: map[played]bool{}},
	}
}

func (e *Engine) kindOf(object any) schema.GroupVersionKind {
	runtimeObject, ok := object.(interface {
		client.Object
	})
	if ok {
		kind, err := apiutil.GVKForObject(runtimeObject, e.manager.GetScheme())
		if err == nil {
			return kind
		}
		return schema.GroupVersionKind{}
	}
	if list, ok := object.(client.ObjectList); ok {
		kind, err := apiutil.GVKForObject(list, e.manager.GetScheme())
		if err == nil {
			return kind
		}
	}
	return schema.GroupVersionKind{}
}

// blank is an empty object of a typed kind; nil when the scheme does not know it.
func (e *Engine) blank(kind schema.GroupVersionKind) client.Object {
	object, err := e.manager.GetScheme().New(kind)
	if err != nil {
		return nil
	}
	blank, ok := object.(client.Object)
	if !ok {
		return nil
	}
	return blank
}

// Add registers a controller with the engine's manager.
func Add[Snapshot, Status any](e *Engine, c Controller[Snapshot, Status]) error {
	r := newRun(e, c.Name, c.Kind, c.Inputs, c.Outputs)
	r.concurrency = c.Concurrency
	r.think = thinking(r, c)
	return r.start()
}

// start makes the controller-runtime controller and its watches.
func (r *run) start() error {
	concurrency := r.concurrency
	if concurrency == 0 {
		concurrency = 10
	}
	usePriorityQueue := true
	running, err := controller.New(r.name, r.engine.manager, controller.Options{
		Reconciler:              reconcile.Func(r.reconcile),
		MaxConcurrentReconciles: concurrency,
		// A net below the bounds that reads and operations have of their own.
		ReconciliationTimeout: 10 * time.Minute,
		UsePriorityQueue:      &usePriorityQueue,
		RateLimiter:           workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](100*time.Millisecond, 30*time.Second),
	})
	if err != nil {
		return fmt.Errorf("make controller %s: %w", r.name, err)
	}
	r.watch = running.Watch
	for _, input := range r.inputs {
		if input.Live || (input.object == nil && input.source == nil) {
			continue
		}
		if input.source != nil {
			if err := running.Watch(r.stream(input)); err != nil {
				return fmt.Errorf("controller %s: watch %s: %w", r.name, input.name(r.engine), err)
			}
			continue
		}
		if err := running.Watch(source.Kind(r.engine.manager.GetCache(), input.object, r.handler(input))); err != nil {
			return fmt.Errorf("controller %s: watch %s: %w", r.name, input.name(r.engine), err)
		}
	}
	return r.watchProviders()
}

func (i Input) name(e *Engine) string {
	switch {
	case i.object != nil:
		return e.kindOf(i.object).Kind
	case i.Role != "":
		return i.Role
	default:
		return i.Kind.Kind
	}
}

// watchContract starts watching a provider's kind the first time it is read in a
// role that the controller declared.
func (r *run) watchContract(role string, kind schema.GroupVersionKind) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	watched := role + "/" + kind.String()
	if r.watched[watched] {
		return nil
	}
	for _, input := range r.inputs {
		if input.Role != role || input.keys == nil {
			continue
		}
		blank := unstructuredOf(kind)
		if err := r.watch(source.Kind[client.Object](r.engine.manager.GetCache(), blank, r.handler(input))); err != nil {
			return err
		}
		r.watched[watched] = true
		return nil
	}
	return fmt.Errorf("controller %s read a provider's kind as %s, which is not among its inputs", r.name, role)
}

// handler turns events of an input into keys, and notes when the first came, so
// that the time from event to applied can be told.
func (r *run) handler(input Input) handler.EventHandler {
	enqueue := func(ctx context.Context, object client.Object, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) {
		if object == nil {
			return
		}
		reader := &reader{Reader: r.engine.cache, run: r, now: r.engine.now()}
		for _, key := range input.keys(ctx, reader, object) {
			r.noteEvent(key)
			queue.Add(reconcile.Request{NamespacedName: key})
		}
	}
	type queue = workqueue.TypedRateLimitingInterface[reconcile.Request]
	return handler.Funcs{
		CreateFunc: func(ctx context.Context, e event.CreateEvent, q queue) { enqueue(ctx, e.Object, q) },
		UpdateFunc: func(ctx context.Context, e event.UpdateEvent, q queue) {
			enqueue(ctx, e.ObjectOld, q)
			enqueue(ctx, e.ObjectNew, q)
		},
		DeleteFunc:  func(ctx context.Context, e event.DeleteEvent, q queue) { enqueue(ctx, e.Object, q) },
		GenericFunc: func(ctx context.Context, e event.GenericEvent, q queue) { enqueue(ctx, e.Object, q) },
	}
}

// stream is a source of keys that come from a function.
func (r *run) stream(input Input) source.Source {
	return source.Func(func(ctx context.Context, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
		go func() {
			reader := &reader{Reader: r.engine.cache, run: r, now: r.engine.now()}
			err := input.source(ctx, reader, func(key Key) {
				r.noteEvent(key)
				queue.Add(reconcile.Request{NamespacedName: key})
			})
			if err != nil && ctx.Err() == nil {
				r.log.Error(err, "event source ended", "source", input.name(r.engine))
			}
		}()
		return nil
	})
}
