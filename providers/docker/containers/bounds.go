// SPDX-License-Identifier: Apache-2.0

package containers

import (
	"context"
	"fmt"
	"time"
)

// bounds are how long the engine may take. One that accepts connections and does not
// answer would else hold whoever asks without limit.
type bounds struct {
	// read is for a look: one container, one list, one short command in a node.
	read time.Duration
	// write is for making, starting or removing one container. The pull of an image
	// has bounds of its own.
	write time.Duration
	// wait is for commands in a node that wait for about a minute by themselves.
	wait time.Duration
	// load is for copying one image into a node.
	load time.Duration
}

var usualBounds = bounds{read: 10 * time.Second, write: 2 * time.Minute, wait: 90 * time.Second, load: 10 * time.Minute}

// NoAnswerError says that the engine took the question and did not answer in time.
type NoAnswerError struct {
	// Who was asked: the engine with its address, or a machine in it.
	Who   string
	After time.Duration
	Cause error
}

func (e *NoAnswerError) Error() string {
	return fmt.Sprintf("%s did not answer within %s: look at the container engine's log (journalctl -u docker) and restart it if it hangs (systemctl restart docker)", e.Who, e.After)
}

func (e *NoAnswerError) Unwrap() error { return e.Cause }

// ask runs a part of a call that concerns the engine, with a bound of its own. It gives
// *NoAnswerError when that bound, and not the caller's context, ended it.
func (c *Client) ask(ctx context.Context, limit time.Duration, do func(context.Context) error) error {
	return within(ctx, limit, "the container engine at "+c.engine.Host, do)
}

// askNode is ask for a command in a machine, where it may also be the node that hangs.
func (c *Client) askNode(ctx context.Context, limit time.Duration, machine Key, argv []string) (result ExecResult, err error) {
	err = within(ctx, limit, "machine "+machine.String(), func(ctx context.Context) error {
		result, err = c.Exec(ctx, machine, argv, nil)
		return err
	})
	return result, err
}

func within(ctx context.Context, limit time.Duration, who string, do func(context.Context) error) error {
	bounded, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	err := do(bounded)
	if err != nil && ctx.Err() == nil && bounded.Err() != nil {
		return &NoAnswerError{Who: who, After: limit, Cause: err}
	}
	return err
}
