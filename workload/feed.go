// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"context"
	"sync"

	"k8s.io/apimachinery/pkg/types"

	"github.com/slipway-project/slipway/engine"
)

// feed hands every event to every subscriber. A subscriber that reads slowly loses
// nothing and holds nobody up: what waits for it is kept once for each thing that
// changed, with the newest state, so that the queue is never longer than there are
// clusters and nodes.
type feed struct {
	mu            sync.Mutex
	subscriptions map[*subscription]bool
}

// subject is what an event is about. The UID and the provider ID are part of it
// because subscribers find the machine by them: two nodes that had one name after
// the other must not be merged.
type subject struct {
	cluster          engine.Key
	node, providerID string
	uid              types.UID
}

func subjectOf(event engine.WorkloadEvent) subject {
	if event.Node == nil {
		return subject{cluster: event.Cluster}
	}
	return subject{cluster: event.Cluster, node: event.Node.Name, providerID: event.Node.Spec.ProviderID, uid: event.Node.UID}
}

func newFeed() *feed { return &feed{subscriptions: map[*subscription]bool{}} }

func (f *feed) publish(event engine.WorkloadEvent) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for s := range f.subscriptions {
		s.put(event)
	}
}

// subscribe starts a subscription that ends, with its channel, when the context does.
// first are events that it begins with.
func (f *feed) subscribe(ctx context.Context, first func() []engine.WorkloadEvent) <-chan engine.WorkloadEvent {
	s := &subscription{waiting: map[subject]engine.WorkloadEvent{}, wake: make(chan struct{}, 1), out: make(chan engine.WorkloadEvent)}
	f.mu.Lock()
	f.subscriptions[s] = true
	f.mu.Unlock()
	// Only now: what changes between the two is then told twice rather than never.
	for _, event := range first() {
		s.put(event)
	}
	go func() {
		defer close(s.out)
		s.deliver(ctx)
		f.mu.Lock()
		delete(f.subscriptions, s)
		f.mu.Unlock()
	}()
	return s.out
}

type subscription struct {
	mu      sync.Mutex
	waiting map[subject]engine.WorkloadEvent
	order   []subject
	wake    chan struct{}
	out     chan engine.WorkloadEvent
}

func (s *subscription) put(event engine.WorkloadEvent) {
	s.mu.Lock()
	about := subjectOf(event)
	if _, there := s.waiting[about]; !there {
		s.order = append(s.order, about)
	}
	s.waiting[about] = event
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func (s *subscription) take() (engine.WorkloadEvent, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.order) == 0 {
		return engine.WorkloadEvent{}, false
	}
	about := s.order[0]
	s.order = s.order[1:]
	event := s.waiting[about]
	delete(s.waiting, about)
	return event, true
}

func (s *subscription) deliver(ctx context.Context) {
	for {
		event, ok := s.take()
		if !ok {
			select {
			case <-s.wake:
				continue
			case <-ctx.Done():
				return
			}
		}
		select {
		case s.out <- event:
		case <-ctx.Done():
			return
		}
	}
}
