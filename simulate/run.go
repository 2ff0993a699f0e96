// SPDX-License-Identifier: Apache-2.0

package simulate

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/slipway-project/slipway/engine"
	"github.com/slipway-project/slipway/plan"
)

const (
	// beat is how far the clock moves on between two rounds in which something happened.
	beat = time.Second
	// patience is for how long, on the world's clock, nothing may change before the world
	// counts as settled. What is due later than that is not waited for.
	patience = time.Hour
	// mostRounds ends a world that does not come to rest.
	mostRounds = 20000
)

// turnOf names one controller's work on one object.
type turnOf struct {
	stepper int
	key     types.NamespacedName
}

// turn is what came of a controller's last pass over an object.
type turn struct {
	// seen is the version of the world that the pass began with.
	seen uint64
	// due is when to look again though nothing has changed; zero: never.
	due  time.Time
	pass engine.Pass
	err  string
}

// Run lets the controllers and all that is played have their turns, round by round and
// always in the same order, until nothing changes any more. The error is for the context,
// and for a world that does not come to rest.
func (w *World) Run(ctx context.Context) error {
	idle := time.Duration(0)
	for range mostRounds {
		if err := ctx.Err(); err != nil {
			return err
		}
		before := w.version()
		if err := w.round(ctx); err != nil {
			return err
		}
		if w.version() != before {
			idle = 0
			w.now = w.now.Add(beat)
			continue
		}
		next := w.nextDue()
		if next.IsZero() || next.Sub(w.now) > patience || idle >= patience {
			return nil
		}
		// Who looks again and again finds the same: the longer, the less often.
		leap := max(next.Sub(w.now), idle/4, time.Millisecond)
		idle += leap
		w.now = w.now.Add(leap)
	}
	return fmt.Errorf("the world does not come to rest after %d rounds; still at work are: %s", mostRounds, strings.Join(w.restless(), ", "))
}

// round gives everybody one turn: first what is played, then each controller with each of
// its objects where something has changed since it looked, or its time has come.
func (w *World) round(ctx context.Context) error {
	if err := w.play(); err != nil {
		return err
	}
	w.count()
	for i, stepper := range w.steppers {
		for _, object := range w.Store.All(stepper.Kind().GroupKind()) {
			at := turnOf{i, types.NamespacedName{Namespace: object.GetNamespace(), Name: object.GetName()}}
			last := w.turns[at]
			now := w.version()
			if last != nil && last.seen == now && (last.due.IsZero() || last.due.After(w.now)) {
				continue
			}
			w.turns[at] = w.pass(ctx, stepper, at.key, now)
		}
	}
	w.forget()
	return nil
}

func (w *World) pass(ctx context.Context, stepper *engine.Stepper, key types.NamespacedName, seen uint64) *turn {
	pass, err := stepper.Step(ctx, key)
	if err != nil {
		// A process that runs controllers tries again with growing pauses.
		return &turn{seen: seen, due: w.now.Add(time.Minute), err: err.Error()}
	}
	for _, action := range pass.Done {
		w.note(stepper, key, action)
	}
	made := &turn{seen: seen, pass: pass}
	if pass.Next > 0 {
		made.due = w.now.Add(pass.Next)
	}
	return made
}

// forget drops the turns of objects that are gone.
func (w *World) forget() {
	maps.DeleteFunc(w.turns, func(at turnOf, _ *turn) bool {
		return w.Store.held(w.steppers[at.stepper].Kind().GroupKind(), at.key) == nil
	})
}

func (w *World) nextDue() time.Time {
	var next time.Time
	for _, last := range w.turns {
		next = plan.Earliest(next, last.due)
	}
	return next
}

// restless names what the last round was about.
func (w *World) restless() []string {
	var names []string
	for at, last := range w.turns {
		if len(last.pass.Done) > 0 {
			names = append(names, fmt.Sprintf("%s %s (%s)", w.steppers[at.stepper].Kind().Kind, at.key, last.pass.Outcome))
		}
	}
	slices.Sort(names)
	return names
}
