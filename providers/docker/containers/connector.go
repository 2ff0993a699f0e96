// SPDX-License-Identifier: Apache-2.0

package containers

import (
	"context"
	"sync"
	"time"
)

// connectPause is how long an engine that did not answer is not asked again.
const connectPause = 3 * time.Second

// Connector connects to the engine when it is first needed, and again later when it
// did not answer: a management cluster outlives its container engine. It is safe for
// concurrent use.
type Connector struct {
	options Options

	mu       sync.Mutex
	client   *Client
	err      error
	failedAt time.Time
}

// NewConnector makes a connector; nothing is connected yet.
func NewConnector(options Options) *Connector { return &Connector{options: options} }

// ManagementID is the id in the options.
func (c *Connector) ManagementID() string { return c.options.ManagementID }

// Client is the connected client, or why there is none: *EngineUnavailableError when
// no engine answers, *OtherEngineError when it is not the one remembered.
func (c *Connector) Client(ctx context.Context) (*Client, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.client != nil {
		return c.client, nil
	}
	if c.err != nil && time.Since(c.failedAt) < connectPause {
		return nil, c.err
	}
	c.client, c.err = c.connect(ctx)
	if c.err != nil {
		c.failedAt = time.Now()
		return nil, c.err
	}
	return c.client, nil
}

// connect is New for a process that makes things: it keeps the record of the engine.
func (c *Connector) connect(ctx context.Context) (*Client, error) {
	client, err := New(ctx, c.options)
	if err != nil {
		return nil, err
	}
	if err := client.keepRecord(ctx); err != nil {
		_ = client.Close()
		return nil, err
	}
	return client, nil
}

// Events streams what happens to containers, from the first connection on until the
// context ends; see Client.Events.
func (c *Connector) Events(ctx context.Context) <-chan Event {
	events := make(chan Event)
	go func() {
		defer close(events)
		for {
			client, err := c.Client(ctx)
			if err == nil {
				for event := range client.Events(ctx) {
					select {
					case events <- event:
					case <-ctx.Done():
						return
					}
				}
			}
			select {
			case <-time.After(connectPause):
			case <-ctx.Done():
				return
			}
		}
	}()
	return events
}

// Close drops the connection, if there is one.
func (c *Connector) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.client == nil {
		return nil
	}
	return c.client.Close()
}
