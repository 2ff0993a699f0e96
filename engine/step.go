// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/recorder"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/slipway-project/slipway/plan"
)

// Bench is what controllers stand on where no manager runs them: whoever has the Steppers
// says when which of them looks at which object, and what time it is.
type Bench struct {
	Scheme *runtime.Scheme
	// Reader answers what a controller reads from its cache, Live what it reads from the
	// server.
	Reader, Live client.Reader
	// Writer carries plans out; nil where passes only look.
	Writer client.Client
	// Mapper knows the kinds that the API serves; may be nil.
	Mapper    meta.RESTMapper
	Workloads Workloads
	Operators map[string]Operator
	Now       func() time.Time
}

// Stepper runs one controller pass by pass, with the engine's own way to check a plan, to
// carry it out, and to remember what failed. It is not for use by several goroutines.
type Stepper struct {
	run *run
	// planned is what the pass that runs made of its object.
	planned *thought
	text    string
	done    []plan.Action
}

// Pass is what came of one pass over one object.
type Pass struct {
	// Subject is the object; nil when it is gone, and then all else is empty.
	Subject client.Object
	Outcome plan.Outcome
	// Planned are the actions of the plan, Done those that were carried out, among them
	// that of the status where it had to be written.
	Planned, Done []plan.Action
	// Failure is what the object's last plans failed at; nil when they did not.
	Failure *plan.Failure
	// Broken are the rules that the plan breaks, in words; it was refused then.
	Broken []string
	// Next is after how long to look again; 0: when something changes.
	Next time.Duration
	// Text is the plan as plan.Print shows it.
	Text string
}

// NewStepper puts a controller on a bench.
func NewStepper[Snapshot, Status any](bench Bench, c Controller[Snapshot, Status]) *Stepper {
	e := &Engine{
		manager: benchManager{bench: bench}, now: bench.Now,
		options: Options{Workloads: bench.Workloads, Operators: bench.Operators, Now: bench.Now},
		cache:   bench.Reader, live: bench.Live, writer: bench.Writer,
		contracts: &contracts{reader: bench.Reader, mapper: bench.Mapper, seen: map[played]bool{}},
	}
	r := newRun(e, c.Name, c.Kind, c.Inputs, c.Outputs)
	r.watch = func(source.Source) error { return nil }
	s := &Stepper{run: r}
	r.noted = func(action plan.Action) { s.done = append(s.done, action) }
	think := thinking(r, c)
	r.think = func(ctx context.Context, reader *reader, key Key) (*thought, error) {
		thought, err := think(ctx, reader, key)
		s.planned = thought
		if thought != nil {
			s.text = thought.printout()
		}
		return thought, err
	}
	return s
}

// Name is that of the controller.
func (s *Stepper) Name() string { return s.run.name }

// Kind is the kind whose objects the controller looks after.
func (s *Stepper) Kind() schema.GroupVersionKind { return s.run.kind }

// Look plans for an object and carries nothing out. The error is what Observe met.
func (s *Stepper) Look(ctx context.Context, key Key) (Pass, error) {
	s.begin()
	reader := &reader{Reader: s.run.engine.cache, run: s.run, key: key, now: s.run.engine.now()}
	if _, err := s.run.think(ctx, reader, key); err != nil {
		return Pass{}, fmt.Errorf("%s %s: %w", s.run.kind.Kind, key, err)
	}
	pass := s.pass(key)
	if s.planned != nil && !s.planned.recheck.IsZero() {
		pass.Next = s.planned.recheck.Sub(reader.now)
	}
	return pass, nil
}

// Step is one whole pass: observe, plan, apply. The error is for the unexpected, as in a
// process that runs controllers; what a plan could not carry out is in the Pass.
func (s *Stepper) Step(ctx context.Context, key Key) (Pass, error) {
	if s.run.engine.writer == nil {
		return Pass{}, errors.New("this bench has no writer: its controllers can look and not act")
	}
	s.begin()
	result, err := s.run.reconcile(ctx, reconcile.Request{NamespacedName: key})
	if err != nil {
		return Pass{}, err
	}
	pass := s.pass(key)
	pass.Next = result.RequeueAfter
	return pass, nil
}

func (s *Stepper) begin() { s.planned, s.text, s.done = nil, "", nil }

func (s *Stepper) pass(key Key) Pass {
	pass := Pass{Done: s.done, Text: s.text}
	if s.planned != nil {
		pass.Subject, pass.Outcome, pass.Planned, pass.Broken = s.planned.subject, s.planned.outcome, s.planned.actions, s.planned.broken
		pass.Failure = s.run.state(key).failure
	}
	return pass
}

// benchManager has of a manager what a run asks of it. Watches are never started, so no
// cache is behind them.
type benchManager struct {
	manager.Manager
	bench Bench
}

func (m benchManager) GetScheme() *runtime.Scheme                     { return m.bench.Scheme }
func (m benchManager) GetLogger() logr.Logger                         { return logr.Discard() }
func (m benchManager) GetEventRecorder(string) recorder.EventRecorder { return silent{} }
func (m benchManager) GetCache() cache.Cache                          { return nil }

// silent records no events: what they tell is in the passes.
type silent struct{}

func (silent) Eventf(runtime.Object, runtime.Object, string, string, string, string, ...any) {}

func (silent) AnnotatedEventf(runtime.Object, runtime.Object, map[string]string, string, string, string, string, ...any) {
}
