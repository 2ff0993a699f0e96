// SPDX-License-Identifier: Apache-2.0

package conditions

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

var (
	earlier = metav1.NewTime(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	now     = time.Date(2026, 1, 2, 3, 4, 5, 678, time.FixedZone("elsewhere", 3600))
)

func TestNext(t *testing.T) {
	observed := []metav1.Condition{
		{Type: "Same", Status: metav1.ConditionTrue, Reason: "Old", LastTransitionTime: earlier, ObservedGeneration: 1},
		{Type: "Turned", Status: metav1.ConditionTrue, LastTransitionTime: earlier},
		{Type: "Dropped", Status: metav1.ConditionTrue, LastTransitionTime: earlier},
	}
	at := metav1.NewTime(time.Date(2026, 1, 2, 2, 4, 5, 0, time.UTC))
	want := []metav1.Condition{
		{Type: "Turned", Status: metav1.ConditionFalse, Reason: "R", Message: "m", LastTransitionTime: at, ObservedGeneration: 7},
		{Type: "Same", Status: metav1.ConditionTrue, Reason: "New", LastTransitionTime: earlier, ObservedGeneration: 7},
		{Type: "New", Status: metav1.ConditionUnknown, Reason: "Unknown", LastTransitionTime: at, ObservedGeneration: 7},
	}
	wanted := []metav1.Condition{False("Turned", "R", "m"), True("Same", "New", ""), Unknown("New", "", "")}
	got := Next(observed, 7, now, wanted...)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("conditions (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(got, Next(got, 7, now.Add(time.Hour), wanted...)); diff != "" {
		t.Errorf("made again an hour later they differ (-first +second):\n%s", diff)
	}
	if wanted[0].ObservedGeneration != 0 || observed[0].ObservedGeneration != 1 {
		t.Error("the input was changed")
	}
}

func TestFind(t *testing.T) {
	list := []metav1.Condition{True("A", "R", ""), False("B", "R", "")}
	if got := Find(list, "B"); got != &list[1] {
		t.Errorf("found %v", got)
	}
	if Find(list, "C") != nil || Find(nil, "A") != nil {
		t.Error("found what is not there")
	}
	if !Is(list, "A", metav1.ConditionTrue) || Is(list, "B", metav1.ConditionTrue) || Is(list, "C", metav1.ConditionFalse) {
		t.Error("Is is wrong")
	}
}

func part(condition metav1.Condition) Part { return Part{Type: condition.Type, Condition: &condition} }

func TestSummary(t *testing.T) {
	reasons := Reasons{True: "Yes", False: "No", Unknown: "Maybe"}
	deleting := part(True("Deleting", "Deleting", "waiting for drain"))
	deleting.Negative = true
	notDeleting := part(False("Deleting", "NotDeleting", ""))
	notDeleting.Negative = true
	info := part(False("Nice", "NotNice", "could be nicer"))
	info.InfoOnly = true
	for _, test := range []struct {
		name   string
		parts  []Part
		status metav1.ConditionStatus
		reason string
		text   string
	}{
		{"all well", []Part{part(True("A", "R", "ignored")), notDeleting}, "True", "Yes", ""},
		{"nothing counts", nil, "True", "Yes", ""},
		{"an issue", []Part{part(True("A", "R", "")), part(False("B", "R", "broken"))}, "False", "No", "B: broken"},
		{"without a message the reason", []Part{part(False("B", "Broken", ""))}, "False", "No", "B: Broken"},
		{"negative polarity", []Part{deleting}, "False", "No", "Deleting: waiting for drain"},
		{"an unknown", []Part{part(Unknown("A", "R", "no answer"))}, "Unknown", "Maybe", "A: no answer"},
		{"a negative unknown", []Part{{Type: "D", Condition: &metav1.Condition{Status: "Unknown", Reason: "R"}, Negative: true}}, "Unknown", "Maybe", "D: R"},
		{"missing", []Part{{Type: "A"}}, "Unknown", "Maybe", "A: not reported yet"},
		{"missing and optional", []Part{{Type: "A", Optional: true}}, "True", "Yes", ""},
		{"issues first, whatever the order", []Part{info, {Type: "A"}, part(False("B", "R", "broken"))}, "False", "No", "* B: broken\n* A: not reported yet\n* Nice: could be nicer"},
		{"a note alone does not count", []Part{info}, "True", "Yes", "Nice: could be nicer"},
		{"a missing note does not count", []Part{{Type: "N", InfoOnly: true}}, "True", "Yes", "N: not reported yet"},
		{"a list goes below", []Part{part(False("B", "R", "* C: one\n* D: two"))}, "False", "No", "* B:\n  * C: one\n  * D: two"},
		{"lines are indented", []Part{part(False("B", "R", "one\ntwo"))}, "False", "No", "* B: one\n  two"},
	} {
		t.Run(test.name, func(t *testing.T) {
			want := metav1.Condition{Type: "Ready", Status: test.status, Reason: test.reason, Message: test.text}
			if diff := cmp.Diff(want, Summary("Ready", reasons, test.parts...)); diff != "" {
				t.Errorf("summary (-want +got):\n%s", diff)
			}
		})
	}
}

// TestMessagesFit: a message that is too long for the server would keep the whole
// status from being written.
func TestMessagesFit(t *testing.T) {
	parts := make([]Part, 100)
	for i := range parts {
		parts[i] = part(False("B", "R", strings.Repeat("x", 1000)))
	}
	many := Summary("Many", Reasons{False: "No"}, parts...)
	one := Summary("One", Reasons{False: "No"}, part(False("B", "R", strings.Repeat("ä", 20000))))
	for _, condition := range Next(nil, 1, now, many, one) {
		if message := condition.Message; len(message) > 32768 || len(message) < 32000 || !strings.HasSuffix(message, "...") || !utf8.ValidString(message) {
			t.Errorf("message of %s has %d bytes and ends in %q", condition.Type, len(message), message[len(message)-20:])
		}
	}
}

func TestAggregate(t *testing.T) {
	reasons := Reasons{True: "Yes", False: "No", Unknown: "Maybe"}
	member := func(name string, condition metav1.Condition) Member { return Member{Name: name, Condition: &condition} }
	broken, fine := False("Ready", "R", "broken"), True("Ready", "R", "")
	for _, test := range []struct {
		name    string
		members []Member
		status  metav1.ConditionStatus
		text    string
	}{
		{"none", nil, "True", ""},
		{"all well", []Member{member("a", fine), member("b", fine)}, "True", ""},
		{"one", []Member{member("a", fine), member("b", broken)}, "False", "Machine b: Ready: broken"},
		{"two alike, sorted", []Member{member("b", broken), member("a", broken)}, "False", "Machines a, b: Ready: broken"},
		{"more than three", []Member{member("e", broken), member("b", broken), member("c", broken), member("d", broken), member("a", broken)}, "False", "Machines a, b, c, ... (2 more): Ready: broken"},
		{"not reported", []Member{{Name: "a"}}, "Unknown", "Machine a: Ready: not reported yet"},
		{"issues first", []Member{{Name: "a"}, member("b", broken)}, "False", "* Machine b: Ready: broken\n* Machine a: Ready: not reported yet"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := Aggregate("MachinesReady", reasons, "Machine", "Ready", test.members)
			if got.Type != "MachinesReady" || got.Status != test.status || got.Message != test.text {
				t.Errorf("aggregate is %+v", got)
			}
		})
	}
}

// TestReporting: an object that reports counts at once, one that does not when it had
// ten seconds to.
func TestReporting(t *testing.T) {
	made := func(name string, ago time.Duration) *metav1.ObjectMeta {
		return &metav1.ObjectMeta{Name: name, CreationTimestamp: metav1.NewTime(now.Add(-ago))}
	}
	of := func(object *metav1.ObjectMeta) []metav1.Condition {
		if strings.HasPrefix(object.Name, "reports") {
			return []metav1.Condition{True("A", "R", "")}
		}
		return []metav1.Condition{True("B", "R", "")}
	}
	all := []*metav1.ObjectMeta{
		made("reports", 0), made("silent, new", 2*time.Second), made("silent, newer", time.Second), made("silent, old", 10*time.Second), {Name: "silent, of no age"},
	}
	counting, recheck := Reporting(all, of, "A", now)
	var names []string
	for _, object := range counting {
		names = append(names, object.Name)
	}
	if diff := cmp.Diff([]string{"reports", "silent, old", "silent, of no age"}, names); diff != "" {
		t.Errorf("those that count (-want +got):\n%s", diff)
	}
	if want := now.Add(8 * time.Second); !recheck.Equal(want) {
		t.Errorf("recheck at %s, want %s", recheck, want)
	}
	if counting, recheck := Reporting(all[:1], of, "A", now); len(counting) != 1 || !recheck.IsZero() {
		t.Errorf("where all report: %d count, recheck at %s", len(counting), recheck)
	}
}
