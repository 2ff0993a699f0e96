// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"time"
)

// Plan is what a controller decided from one snapshot. The zero Plan says that
// nothing is to be done and nothing to be shown; the invariant check refuses it,
// because an outcome without a kind explains nothing.
type Plan[Status any] struct {
	// Outcome says how the object stands and why, once. Conditions, events, logs
	// and the command line all take their words from here.
	Outcome Outcome
	// Actions are carried out in order. A crash between any two of them must be
	// safe: the next plan is made from what is then there.
	Actions []Action
	// Status is what the object should show, computed from the same snapshot as
	// the actions. It is written only when it differs from what is there.
	Status Status
	// Recheck is when to look again without an event. Zero: only on events.
	Recheck time.Time
}

// OutcomeKind is one of Converged, Acting, Waiting and Blocked.
type OutcomeKind string

const (
	// Converged: the object is as it should be; the plan has no actions.
	Converged OutcomeKind = "Converged"
	// Acting: the plan has at least one action.
	Acting OutcomeKind = "Acting"
	// Waiting: something else has to happen first, and nobody needs to step in.
	Waiting OutcomeKind = "Waiting"
	// Blocked: nothing will happen until somebody changes something; the message
	// says who and what.
	Blocked OutcomeKind = "Blocked"
)

// Outcome is how an object stands. Waiting and Blocked are not errors.
type Outcome struct {
	Kind OutcomeKind
	// Reason is a stable CamelCase word.
	Reason string
	// Message is one sentence for a person. It never holds a secret.
	Message string
}

func (o Outcome) String() string {
	if o.Message == "" {
		return fmt.Sprintf("%s %s", o.Kind, o.Reason)
	}
	return fmt.Sprintf("%s %s: %s", o.Kind, o.Reason, o.Message)
}

// Known is a fact that could perhaps not be had. Unknown is not empty: a list
// that failed to load must never be taken for a list with nothing in it.
type Known[T any] struct {
	Value T
	// Err says why the value is not known; empty when it is.
	Err string
	// At is when the value was read.
	At time.Time
}

// OK reports whether the value may be used.
func (k Known[T]) OK() bool { return k.Err == "" }

// KnownValue is a value that was read at the time given.
func KnownValue[T any](value T, at time.Time) Known[T] { return Known[T]{Value: value, At: at} }

// Unknown is a value that could not be read, and why.
func Unknown[T any](err error, at time.Time) Known[T] { return Known[T]{Err: err.Error(), At: at} }

// Failure is an action that did not succeed the last time it was tried. The
// engine remembers it for a key until a whole plan has been applied, so that the
// next plan can show it in a condition.
type Failure struct {
	// Action is the action as it prints.
	Action string
	// Reason is the CamelCase word the failing side gave, or "ActionFailed".
	Reason string
	// Message is the error for a person: what failed, why, and what to do.
	Message string
	// At is when it failed last, Count how often in a row.
	At    time.Time
	Count int
}
