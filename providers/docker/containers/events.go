// SPDX-License-Identifier: Apache-2.0

package containers

import (
	"context"
	"time"

	"github.com/moby/moby/api/types/events"
	"github.com/moby/moby/client"
)

// EventAction is what happened to a container.
type EventAction string

// The actions that are told.
const (
	ActionCreate  EventAction = "create"
	ActionStart   EventAction = "start"
	ActionDie     EventAction = "die"
	ActionOOM     EventAction = "oom"
	ActionDestroy EventAction = "destroy"
	// ActionResync says that events may have been missed, so everything has to be looked at. It comes first on every
	// connection and has no keys.
	ActionResync EventAction = "resync"
)

// Event tells that a container of ours may not be as it was last seen. It is a hint to look again, not a fact to act on.
type Event struct {
	Action  EventAction
	Cluster Key
	Machine Key // zero for a load balancer
	Role    Role
}

const (
	shortestRetry = 200 * time.Millisecond
	longestRetry  = 10 * time.Second
	// slowAnswer is how long an engine may take to begin its answer before events are told without it.
	slowAnswer = time.Second
)

// Events streams what happens to the containers of this management cluster, until the context ends; then the channel is
// closed. When the connection to the engine breaks it is made again, with growing pauses.
func (c *Client) Events(ctx context.Context) <-chan Event {
	out := make(chan Event)
	go func() {
		defer close(out)
		pause := shortestRetry
		for ctx.Err() == nil {
			began := time.Now()
			err := c.streamEvents(ctx, out)
			if ctx.Err() != nil {
				return
			}
			if time.Since(began) > longestRetry {
				pause = shortestRetry
			}
			c.log.V(1).Info("Event stream of the container engine broke; connecting again", "cause", err, "pause", pause)
			select {
			case <-ctx.Done():
				return
			case <-time.After(pause):
			}
			pause = min(2*pause, longestRetry)
		}
	}()
	return out
}

// streamEvents passes on events of one connection until it breaks.
func (c *Client) streamEvents(ctx context.Context, out chan<- Event) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	filter := c.owned().Add("type", string(events.ContainerEventType))
	// Connect before the resync is told: whoever then looks has the stream behind them, and nothing falls between. Podman
	// answers only with the first event; then the resync is told early, and again once connected.
	connected := make(chan client.EventsResult, 1)
	go func() { connected <- c.api.Events(ctx, client.EventsListOptions{Filters: filter}) }()
	var stream client.EventsResult
	select {
	case stream = <-connected:
	case <-time.After(slowAnswer):
		if err := send(ctx, out, Event{Action: ActionResync}); err != nil {
			return err
		}
		select {
		case stream = <-connected:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	select {
	case err := <-stream.Err:
		return err
	default:
	}
	if err := send(ctx, out, Event{Action: ActionResync}); err != nil {
		return err
	}
	for {
		select {
		case message := <-stream.Messages:
			event, told := eventOf(message)
			if !told {
				continue
			}
			if err := send(ctx, out, event); err != nil {
				return err
			}
		case err := <-stream.Err:
			return err
		}
	}
}

func send(ctx context.Context, out chan<- Event, event Event) error {
	select {
	case out <- event:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// eventOf reads our labels, which the engine gives as attributes. Events are chosen here and not by the engine, because
// Podman filters by names of its own ("died", "remove") though it tells some by Docker's.
func eventOf(message events.Message) (event Event, told bool) {
	labels := message.Actor.Attributes
	event = Event{Cluster: parseKey(labels[LabelCluster]), Machine: parseKey(labels[LabelMachine]), Role: Role(labels[LabelRole])}
	switch message.Action {
	case events.ActionCreate, events.ActionStart, events.ActionDie, events.ActionOOM, events.ActionDestroy:
		event.Action = EventAction(message.Action)
	case "died":
		event.Action = ActionDie
	case events.ActionRemove:
		event.Action = ActionDestroy
	default:
		return Event{}, false
	}
	return event, true
}
