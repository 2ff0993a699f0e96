// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"testing"
	"time"
)

func TestContact(t *testing.T) {
	begin := time.Date(2026, 1, 2, 3, 0, 0, 0, time.UTC)
	at := func(seconds int) time.Time { return begin.Add(time.Duration(seconds) * time.Second) }
	type answer struct {
		at     int
		broken bool
		anew   bool
	}
	for _, test := range []struct {
		name        string
		answers     []answer
		since, lost time.Time
	}{
		{name: "the first answer", answers: []answer{{0, false, true}}, since: at(0)},
		{name: "answers in a row", answers: []answer{{0, true, true}, {10, false, false}, {25, false, false}}, since: at(0)},
		{name: "a failed probe between", answers: []answer{{0, true, true}, {10, false, false}, {22, true, true}}, since: at(22), lost: at(10)},
		{name: "connected again after the probes succeeded again", answers: []answer{{0, true, true}, {20, false, false}, {90, true, true}, {91, true, true}}, since: at(91), lost: at(20)},
		{name: "contact for a moment within a long silence", answers: []answer{{0, true, true}, {20, false, false}, {90, true, true}, {95, false, false}, {300, true, true}}, since: at(300), lost: at(20)},
		{name: "two silences", answers: []answer{{0, true, true}, {20, false, false}, {90, true, true}, {100, false, false}, {300, true, true}}, since: at(300), lost: at(100)},
		{name: "asleep", answers: []answer{{0, true, true}, {10, false, false}, {3600, false, true}}, since: at(3600), lost: at(10)},
		{name: "slow but awake", answers: []answer{{0, true, true}, {50, false, false}}, since: at(0)},
		{name: "lost as soon as it was there first", answers: []answer{{0, true, true}, {5, true, true}}, since: at(5)},
	} {
		t.Run(test.name, func(t *testing.T) {
			var c contact
			for _, a := range test.answers {
				if anew := c.answered(at(a.at), a.broken); anew != a.anew {
					t.Errorf("answer at %d s: anew is %t", a.at, anew)
				}
			}
			last := at(test.answers[len(test.answers)-1].at)
			if !c.since.Equal(test.since) || !c.lost.Equal(test.lost) || !c.last.Equal(last) {
				t.Errorf("since %s, lost %s, last %s; want %s, %s, %s", c.since, c.lost, c.last, test.since, test.lost, last)
			}
		})
	}
}
