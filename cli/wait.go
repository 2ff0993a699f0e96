// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// mendGrace is how long a trouble that waiting does not help must stand before the
// wait ends: a cache that is behind, or an engine that restarts, mends itself.
const mendGrace = 3 * time.Second

// wait is what is waited for of a Cluster.
type wait struct {
	key   client.ObjectKey
	limit time.Duration
	// what names it ("making"), and done what the Cluster is at its end ("ready").
	what, done string
	kinds      []schema.GroupKind
	// steps tell how far it is, and troubles what stands in its way.
	steps    func(family) []step
	troubles func(family) []trouble
}

// awaitCluster tells how a cluster is made, until all its nodes are Ready. It ends
// early when something has to be mended.
func (t *tool) awaitCluster(ctx context.Context, m *management, key client.ObjectKey, limit time.Duration, p *progress) error {
	began := t.now()
	err := t.await(ctx, m, wait{
		key: key, limit: limit, what: "making", done: "ready",
		kinds: familyKinds(), steps: steps, troubles: troubles,
	}, p)
	if err == nil {
		p.say("Cluster %s is ready after %s.", key, elapsed(t.now().Sub(began)))
	}
	return err
}

// await tells the steps until all are done. It ends early when something has to be
// mended, when the Cluster goes, and when the management cluster does not answer.
func (t *tool) await(ctx context.Context, m *management, a wait, p *progress) error {
	waiting, cancel := context.WithTimeout(ctx, a.limit)
	defer cancel()
	w, err := m.watchFamily(waiting, a.what, a.key, a.kinds)
	if err != nil {
		return a.failure(ctx, waiting, nil, err)
	}
	defer w.close()
	alive := m.pulse(a.what, a.key, t.now)
	defer alive.due.Stop()
	watcher := &creation{grace: mendGrace, since: map[string]time.Time{}}
	var current family
	// The timer only brings the end of a grace; all else is told by events.
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		select {
		case <-waiting.Done():
			p.failed()
			if lost := alive.lost(); lost != nil && ctx.Err() == nil {
				return lost
			}
			return a.failure(ctx, waiting, &current, waiting.Err())
		case <-alive.due.C:
			if err := alive.ask(waiting, p); err != nil {
				p.failed()
				return err
			}
			continue
		case <-timer.C:
		case <-w.changed:
		}
		read, err := w.read(waiting)
		if err != nil {
			p.failed()
			return a.failure(ctx, waiting, &current, err)
		}
		current = read
		if current.Cluster == nil || current.Cluster.DeletionTimestamp != nil {
			p.failed()
			return fmt.Errorf("Cluster %s was deleted meanwhile; make it again with: slipway create cluster %s%s", a.key, a.key.Name, inNamespace(a.key.Namespace))
		}
		list := a.steps(current)
		show(p, list)
		if finished(list) {
			p.done("")
			return nil
		}
		stuck, next := watcher.stuck(a.troubles(current), t.now())
		if stuck != nil {
			p.failed()
			return fmt.Errorf("Cluster %s does not get %s until this is mended: %s\nThe controllers go on by themselves then. More is shown by: slipway why %s/%s%s",
				a.key, a.done, stuck.sentence(), strings.ToLower(stuck.Kind), stuck.Name, inNamespace(a.key.Namespace))
		}
		if next > 0 {
			timer.Reset(next)
		}
	}
}

// creation remembers since when troubles stand.
type creation struct {
	grace time.Duration
	since map[string]time.Time
}

// stuck is the first trouble that has to be mended and has stood for the grace; next
// is when to look again, 0 for only on events.
func (c *creation) stuck(list []trouble, now time.Time) (found *trouble, next time.Duration) {
	standing := map[string]time.Time{}
	for _, trouble := range list {
		if !trouble.Mend {
			continue
		}
		key := trouble.key()
		began, known := c.since[key]
		if !known {
			began = now
		}
		standing[key] = began
		left := c.grace - now.Sub(began)
		if left <= 0 && found == nil {
			found = &trouble
		}
		if left > 0 && (next == 0 || left < next) {
			next = left
		}
	}
	c.since = standing
	return found, next
}

// show tells the steps: those done in a row from the first, then the one that goes on.
func show(p *progress, list []step) {
	for _, step := range list {
		if step.Done {
			p.finish(step.Title)
			continue
		}
		p.begin(step.Title)
		p.note(step.Detail)
		return
	}
}

// failure says why a wait ended before its end.
func (a wait) failure(ctx, waiting context.Context, last *family, err error) error {
	hint := fmt.Sprintf("slipway why cluster/%s%s", a.key.Name, inNamespace(a.key.Namespace))
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("interrupted; the controllers go on with Cluster %s, see: %s", a.key, hint)
	case waiting.Err() == nil:
		return err
	case last == nil || last.Cluster == nil:
		return fmt.Errorf("Cluster %s is not %s after %s; see: %s", a.key, a.done, a.limit, hint)
	}
	if list := a.troubles(*last); len(list) > 0 {
		return fmt.Errorf("Cluster %s is not %s after %s: %s\nThe controllers go on; more is shown by: %s", a.key, a.done, a.limit, list[0].sentence(), hint)
	}
	return fmt.Errorf("Cluster %s is not %s after %s; the controllers go on, see: %s", a.key, a.done, a.limit, hint)
}
