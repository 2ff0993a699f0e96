// SPDX-License-Identifier: Apache-2.0

package dockermachine

import (
	"context"
	"sync"
	"time"

	"github.com/slipway-project/slipway/engine"
	"github.com/slipway-project/slipway/providers/docker/containers"
)

// observer reads machines, and waits in the background for what is under way.
type observer struct {
	connector *containers.Connector
	waiter    *waiter
}

// waiter runs at most one wait for each machine and thing to wait for, and tells the
// machine's key when it ends, in whatever way.
type waiter struct {
	mu      sync.Mutex
	ctx     context.Context
	enqueue func(engine.Key)
	waiting map[waitKey]bool
}

type waitKey struct {
	machine engine.Key
	what    string
}

func newWaiter() *waiter { return &waiter{waiting: map[waitKey]bool{}} }

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
	ctx, enqueue := w.ctx, w.enqueue
	go func() {
		started := time.Now()
		err := wait(ctx)
		if err != nil && time.Since(started) < time.Second {
			// A wait that cannot even begin must not spin.
			select {
			case <-time.After(time.Second):
			case <-ctx.Done():
			}
		}
		w.mu.Lock()
		delete(w.waiting, key)
		w.mu.Unlock()
		if ctx.Err() == nil {
			enqueue(machine)
		}
	}()
}
