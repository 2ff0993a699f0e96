// SPDX-License-Identifier: Apache-2.0

package plan

import "time"

// Decision is a plan without its status: what deciding yields, before the status is
// computed from the same snapshot and the decision's outcome.
type Decision struct {
	Outcome Outcome
	Actions []Action
	Recheck time.Time
}

// Act decides on actions.
func Act(reason, message string, actions ...Action) Decision {
	return Decision{Outcome: Outcome{Kind: Acting, Reason: reason, Message: message}, Actions: actions}
}

// Wait decides to wait for something that happens without anybody stepping in.
func Wait(reason, message string) Decision {
	return Decision{Outcome: Outcome{Kind: Waiting, Reason: reason, Message: message}}
}

// Block decides that nothing can be done until somebody changes something; the
// message says what.
func Block(reason, message string) Decision {
	return Decision{Outcome: Outcome{Kind: Blocked, Reason: reason, Message: message}}
}

// Settle decides that all is as it should be.
func Settle(reason string) Decision {
	return Decision{Outcome: Outcome{Kind: Converged, Reason: reason}}
}

// At is the decision with a time to look again without an event.
func (d Decision) At(recheck time.Time) Decision {
	d.Recheck = recheck
	return d
}

// Earliest is the first of some times at which to look again; zero times do not count, and
// it is zero when there are no others.
func Earliest(times ...time.Time) time.Time {
	var first time.Time
	for _, t := range times {
		if !t.IsZero() && (first.IsZero() || t.Before(first)) {
			first = t
		}
	}
	return first
}

// Of is the plan of a decision and a status.
func Of[Status any](d Decision, status Status) Plan[Status] {
	return Plan[Status]{Outcome: d.Outcome, Actions: d.Actions, Status: status, Recheck: d.Recheck}
}
