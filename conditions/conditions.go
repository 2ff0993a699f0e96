// SPDX-License-Identifier: Apache-2.0

// Package conditions computes lists of conditions: it carries transition times over
// from what was observed, sums conditions of one object up into one, and draws
// those of many objects together.
//
// It is pure, and knows no kind: which conditions count for what is for callers.
package conditions

import (
	"fmt"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Next is the list of conditions to show: the wanted ones in their order, each with
// the transition time of the observed one when the status has not changed, else now.
// Messages are cut to what a server takes.
func Next(observed []metav1.Condition, generation int64, now time.Time, wanted ...metav1.Condition) []metav1.Condition {
	next := make([]metav1.Condition, 0, len(wanted))
	for _, condition := range wanted {
		condition.ObservedGeneration = generation
		condition.Message = fitting(condition.Message)
		condition.LastTransitionTime = metav1.NewTime(now.UTC().Truncate(time.Second))
		if was := Find(observed, condition.Type); was != nil && was.Status == condition.Status {
			condition.LastTransitionTime = was.LastTransitionTime
		}
		if condition.Reason == "" {
			condition.Reason = string(condition.Status)
		}
		next = append(next, condition)
	}
	return next
}

// Find is the condition of the type given; nil when there is none.
func Find(list []metav1.Condition, conditionType string) *metav1.Condition {
	for i := range list {
		if list[i].Type == conditionType {
			return &list[i]
		}
	}
	return nil
}

// Is reports whether the list has the condition of the type given with that status.
func Is(list []metav1.Condition, conditionType string, status metav1.ConditionStatus) bool {
	condition := Find(list, conditionType)
	return condition != nil && condition.Status == status
}

// True makes a condition that holds.
func True(conditionType, reason, message string) metav1.Condition {
	return metav1.Condition{Type: conditionType, Status: metav1.ConditionTrue, Reason: reason, Message: message}
}

// False makes a condition that does not hold.
func False(conditionType, reason, message string) metav1.Condition {
	return metav1.Condition{Type: conditionType, Status: metav1.ConditionFalse, Reason: reason, Message: message}
}

// Unknown makes a condition of which it cannot be said whether it holds.
func Unknown(conditionType, reason, message string) metav1.Condition {
	return metav1.Condition{Type: conditionType, Status: metav1.ConditionUnknown, Reason: reason, Message: message}
}

// Part is one condition that counts towards a summary.
type Part struct {
	// Type names the condition; Condition is nil when it is not reported.
	Type      string
	Condition *metav1.Condition
	// Negative is true when the condition's True is the abnormal state.
	Negative bool
	// Optional parts that are missing do not count.
	Optional bool
	// InfoOnly parts are told when they are not as they should be, but never make
	// the summary false.
	InfoOnly bool
}

// Reasons are the words of a summary for its three states.
type Reasons struct {
	True, False, Unknown string
}

// severity orders what parts say: an issue outweighs an unknown, that a note.
type severity int

const (
	fine severity = iota
	note
	unknown
	issue
)

func (p Part) severity() severity {
	level := unknown
	switch {
	case p.Condition == nil && p.Optional:
		return fine
	case p.Condition == nil:
	case p.Condition.Status == metav1.ConditionUnknown:
	case (p.Condition.Status == metav1.ConditionTrue) != p.Negative:
		return fine
	default:
		level = issue
	}
	if p.InfoOnly {
		return note
	}
	return level
}

func (p Part) text() string {
	if p.Condition == nil {
		return p.Type + ": not reported yet"
	}
	if message := p.Condition.Message; strings.HasPrefix(message, "* ") {
		// A list of its own: it goes below, and is set in by whoever lists this.
		return p.Type + ":\n" + message
	} else if message != "" {
		return p.Type + ": " + message
	}
	return p.Type + ": " + p.Condition.Reason
}

// Summary is one condition out of several of the same object: false when one has an
// issue, else unknown when one is unknown, else true. The message lists all that is
// not as it should be, issues first.
func Summary(conditionType string, reasons Reasons, parts ...Part) metav1.Condition {
	worst := fine
	lines := map[severity][]string{}
	for _, part := range parts {
		level := part.severity()
		worst = max(worst, level)
		if level > fine {
			lines[level] = append(lines[level], part.text())
		}
	}
	message := bullets(slices.Concat(lines[issue], lines[unknown], lines[note]))
	switch worst {
	case issue:
		return False(conditionType, reasons.False, message)
	case unknown:
		return Unknown(conditionType, reasons.Unknown, message)
	default:
		return True(conditionType, reasons.True, message)
	}
}

// Member is one object's condition that counts towards an aggregate.
type Member struct {
	Name      string
	Condition *metav1.Condition
}

// Aggregate draws one condition of many objects of a kind ("Machine") together. It
// names at most three objects for each thing said. missingType is the condition's
// type, for objects that do not report it.
func Aggregate(conditionType string, reasons Reasons, kind, missingType string, members []Member) metav1.Condition {
	worst := fine
	texts := map[severity][]string{}
	names := map[string][]string{}
	for _, member := range members {
		part := Part{Type: missingType, Condition: member.Condition}
		level := part.severity()
		worst = max(worst, level)
		if level == fine {
			continue
		}
		text := part.text()
		if len(names[text]) == 0 {
			texts[level] = append(texts[level], text)
		}
		names[text] = append(names[text], member.Name)
	}
	var lines []string
	for _, level := range []severity{issue, unknown} {
		for _, text := range texts[level] {
			lines = append(lines, fmt.Sprintf("%s: %s", nameList(kind, names[text]), strings.ReplaceAll(text, "\n", "\n  ")))
		}
	}
	message := bullets(lines)
	switch worst {
	case issue:
		return False(conditionType, reasons.False, message)
	case unknown:
		return Unknown(conditionType, reasons.Unknown, message)
	default:
		return True(conditionType, reasons.True, message)
	}
}

// reportingGrace is how long a new object may take to report a condition before its
// silence is told.
const reportingGrace = 10 * time.Second

// Reporting are the objects whose condition counts: those that report it, and those
// that had the time to. Without that an aggregate would turn unknown with each new
// object. recheck is when the next of the others counts; zero for none.
func Reporting[T metav1.Object](objects []T, of func(T) []metav1.Condition, conditionType string, now time.Time) (counting []T, recheck time.Time) {
	for _, object := range objects {
		due := object.GetCreationTimestamp().Add(reportingGrace)
		if Find(of(object), conditionType) != nil || !now.Before(due) {
			counting = append(counting, object)
		} else if recheck.IsZero() || due.Before(recheck) {
			recheck = due
		}
	}
	return counting, recheck
}

func nameList(kind string, names []string) string {
	slices.Sort(names)
	const shown = 3
	if len(names) == 1 {
		return kind + " " + names[0]
	}
	if len(names) <= shown {
		return kind + "s " + strings.Join(names, ", ")
	}
	return fmt.Sprintf("%ss %s, ... (%d more)", kind, strings.Join(names[:shown], ", "), len(names)-shown)
}

// messageLimit is the most bytes that the message of a metav1.Condition may have.
const messageLimit = 32768

func bullets(lines []string) string {
	if len(lines) == 1 && !strings.Contains(lines[0], "\n") {
		return lines[0]
	}
	for i, line := range lines {
		lines[i] = "* " + strings.ReplaceAll(line, "\n", "\n  ")
	}
	return strings.Join(lines, "\n")
}

// fitting is a message cut so that the server takes it.
func fitting(message string) string {
	const more = "..."
	if len(message) <= messageLimit {
		return message
	}
	return strings.ToValidUTF8(message[:messageLimit-len(more)], "") + more
}
