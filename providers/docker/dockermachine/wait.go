// SPDX-License-Identifier: Apache-2.0

package dockermachine

import (
	"context"
	"maps"
	"sync"
	"time"

	"github.com/slipway-project/slipway/engine"
	"github.com/slipway-project/slipway/providers/docker/cloudconfig"
	"github.com/slipway-project/slipway/providers/docker/containers"
)

// observer reads machines, and waits in the background for what is under way.
type observer struct {
	connector *containers.Connector
	waiter    *waiter
	looks     looks
	// networkImage is the image of the default pod network's agent.
	networkImage string
}

// waiter runs at most one wait for each machine and thing to wait for, and tells the
// machine's key when it ends, in whatever way.
type waiter struct {
	mu      sync.Mutex
	ctx     context.Context
	enqueue func(engine.Key)
	waiting map[waitKey]bool
	// ended is when waits ended, of the last second.
	ended map[waitKey]time.Time
}

type waitKey struct {
	machine engine.Key
	what    string
}

// pauseBetween lies between the end of a wait and the next one of the same kind: where
// one ends at once, because it cannot even begin or because it is over and the machine
// does not show that yet, waiting must not spin.
const pauseBetween = time.Second

func newWaiter() *waiter {
	return &waiter{waiting: map[waitKey]bool{}, ended: map[waitKey]time.Time{}}
}

// run gives the waiter its context and where to tell, until the context ends.
func (w *waiter) run(ctx context.Context, enqueue func(engine.Key)) {
	w.mu.Lock()
	w.ctx, w.enqueue = ctx, enqueue
	w.mu.Unlock()
}

// begin waits in the background unless that wait is under way. Before run it does
// nothing: plans look again by themselves too.
func (w *waiter) begin(machine engine.Key, what string, wait func(context.Context) error) {
	key := waitKey{machine, what}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ctx == nil || w.waiting[key] {
		return
	}
	w.waiting[key] = true
	maps.DeleteFunc(w.ended, func(_ waitKey, at time.Time) bool { return time.Since(at) >= pauseBetween })
	_, again := w.ended[key]
	ctx, enqueue := w.ctx, w.enqueue
	go func() {
		if again {
			pause(ctx)
		}
		// Why a wait failed shows when the machine is looked at.
		_ = wait(ctx)
		w.mu.Lock()
		delete(w.waiting, key)
		w.ended[key] = time.Now()
		w.mu.Unlock()
		if ctx.Err() == nil {
			enqueue(machine)
		}
	}()
}

// isWaiting reports that a wait is under way.
func (w *waiter) isWaiting(machine engine.Key, what string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.waiting[waitKey{machine, what}]
}

// lookEvery is how often a boot or a bootstrap under way is looked at for how far it is; its
// end is told by a wait.
const lookEvery = time.Second

// looks remember what was last seen inside of machines that come up: each look is a
// command in the node, and those of all machines together would take a good part of the
// time of a small host.
type looks struct {
	mu sync.Mutex
	of map[engine.Key]look
}

type look struct {
	// container and started are of which run this was seen.
	container string
	started   time.Time
	// booted is how far the node has booted; once it has, it stays so for the run.
	booted containers.Boot
	// bootstrap is seen once it has booted.
	bootstrap cloudconfig.State
	// at is when the one of the two that was looked at last was seen.
	at time.Time
}

// last is what was seen in this run of the machine's container; the zero value otherwise.
func (l *looks) last(key engine.Key, container containers.Machine) look {
	l.mu.Lock()
	defer l.mu.Unlock()
	if seen, ok := l.of[key]; ok && seen.container == container.ID && seen.started.Equal(container.Started) {
		return seen
	}
	return look{container: container.ID, started: container.Started}
}

func (l *looks) keep(key engine.Key, seen look) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.of == nil {
		l.of = map[engine.Key]look{}
	}
	l.of[key] = seen
}

// forget drops what is of a machine that is not looked into any more.
func (l *looks) forget(key engine.Key) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.of, key)
}

func pause(ctx context.Context) {
	select {
	case <-time.After(pauseBetween):
	case <-ctx.Done():
	}
}
