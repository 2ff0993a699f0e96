// SPDX-License-Identifier: Apache-2.0

package workload

import "time"

// contact is when a cluster was in sight: since when without a break, and until when
// before that. Who judges by how long something has lasted needs it: what nobody saw
// does not count.
type contact struct {
	// last is when the cluster last answered; zero if it never did.
	last time.Time
	// since is from when on it has answered without a break, lost when it last did before.
	since, lost time.Time
}

const (
	// contactGap is the longest time between two answers that is no break, though no probe
	// failed in it: the process, or the whole computer, may have been asleep.
	contactGap = 50 * time.Second
	// contactSpell is how long a contact has to last for the silence before and the one
	// after it to be two and not one.
	contactSpell = 10 * time.Second
)

// answered notes that the cluster answered. broken says that it did not the time before.
// anew tells whether contact begins with this answer.
func (c *contact) answered(now time.Time, broken bool) (anew bool) {
	// The clock that counts only while the computer runs would not show that it slept.
	now = now.Round(0)
	anew = broken || c.since.IsZero() || now.Sub(c.last) > contactGap
	if anew {
		if c.last.Sub(c.since) >= contactSpell {
			c.lost = c.last
		}
		c.since = now
	}
	c.last = now
	return anew
}
