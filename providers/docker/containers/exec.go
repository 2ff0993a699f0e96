// SPDX-License-Identifier: Apache-2.0

package containers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/client"
)

// maxOutput bounds, in bytes, how much of a command's output or of a file is kept.
const maxOutput = 4 << 20

// ExecResult is what a command in a container gave.
type ExecResult struct {
	Stdout, Stderr []byte // the first 4 MiB of each
	ExitCode       int
}

// Node gives access to the inside of one machine. Its methods fail with *NotRunningError when the container does not run.
type Node struct {
	client *Client
	key    Key
}

// Node is the inside of a machine. Nothing is asked of the engine until a method is called.
func (c *Client) Node(key Key) Node { return Node{client: c, key: key} }

// Name is the machine's container, host and Node name.
func (n Node) Name() string { return n.client.MachineName(n.key) }

// Exec runs a command and waits for it. A command that fails is not an error: see the exit code. When the context ends
// the call returns; the command itself goes on in the node until it ends by itself. stdin may be nil.
func (n Node) Exec(ctx context.Context, argv []string, stdin io.Reader) (stdout, stderr []byte, exitCode int, err error) {
	result, err := n.client.Exec(ctx, n.key, argv, stdin)
	return result.Stdout, result.Stderr, result.ExitCode, err
}

// Exec runs a command in a machine; see Node.Exec.
func (c *Client) Exec(ctx context.Context, machine Key, argv []string, stdin io.Reader) (ExecResult, error) {
	id, err := c.running(ctx, machine)
	if err != nil {
		return ExecResult{}, err
	}
	result, err := c.execIn(ctx, id, argv, stdin)
	if err != nil {
		return result, fmt.Errorf("run %s in machine %s: %w", argv[0], machine, err)
	}
	return result, nil
}

// running is the id of the machine's container, provided that it is ours and runs.
func (c *Client) running(ctx context.Context, machine Key) (id string, err error) {
	name := c.MachineName(machine)
	found, _, err := c.find(ctx, name, client.Filters{}.Add("label", LabelMachine+"="+machine.String()))
	if err != nil {
		return "", fmt.Errorf("read container of machine %s: %w", machine, err)
	}
	if !found.Running() {
		return "", &NotRunningError{Name: name, State: found.State}
	}
	return found.ID, nil
}

// execIn runs a command in a container by id.
func (c *Client) execIn(ctx context.Context, id string, argv []string, stdin io.Reader) (ExecResult, error) {
	var stdout bytes.Buffer
	result, err := c.execTo(ctx, id, argv, stdin, &limited{to: &stdout})
	result.Stdout = stdout.Bytes()
	return result, err
}

// execTo is execIn with what the command prints going elsewhere; Stdout of the result stays empty.
func (c *Client) execTo(ctx context.Context, id string, argv []string, stdin io.Reader, stdout io.Writer) (ExecResult, error) {
	created, err := c.api.ExecCreate(ctx, id, client.ExecCreateOptions{
		Cmd: argv, AttachStdin: stdin != nil, AttachStdout: true, AttachStderr: true,
	})
	if err != nil {
		return ExecResult{}, err
	}
	attached, err := c.api.ExecAttach(ctx, created.ID, client.ExecAttachOptions{})
	if err != nil {
		return ExecResult{}, err
	}
	defer attached.Close()
	// The connection is the engine's raw socket: closing it is the only way to end a read that waits.
	stop := context.AfterFunc(ctx, attached.Close)
	defer stop()

	sent := make(chan error, 1)
	go func() {
		if stdin == nil {
			sent <- nil
			return
		}
		_, err := io.Copy(attached.Conn, stdin)
		sent <- errors.Join(err, attached.CloseWrite())
	}()
	var stderr bytes.Buffer
	_, err = stdcopy.StdCopy(stdout, &limited{to: &stderr}, attached.Reader)
	if ctx.Err() != nil {
		return ExecResult{}, ctx.Err()
	}
	if err != nil {
		return ExecResult{}, fmt.Errorf("read output: %w", err)
	}
	result := ExecResult{Stderr: stderr.Bytes()}
	result.ExitCode, err = c.exitCode(ctx, created.ID)
	if err != nil {
		return result, err
	}
	// A command may end well without reading all its input; only what it did then counts.
	select {
	case failure := <-sent:
		if failure != nil && result.ExitCode != 0 {
			return result, fmt.Errorf("send input: %w", failure)
		}
	default:
	}
	return result, nil
}

// exitCode waits for the engine to have noticed that a command ended; the end of its output comes a moment earlier.
func (c *Client) exitCode(ctx context.Context, exec string) (int, error) {
	for wait := time.Millisecond; ; wait = min(2*wait, 100*time.Millisecond) {
		seen, err := c.api.ExecInspect(ctx, exec, client.ExecInspectOptions{})
		if err != nil {
			return 0, fmt.Errorf("read exit code: %w", err)
		}
		if !seen.Running {
			return seen.ExitCode, nil
		}
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-time.After(wait):
		}
	}
}

// limited keeps the first maxOutput bytes and drops the rest, so that the command is never held up.
type limited struct{ to *bytes.Buffer }

func (l *limited) Write(chunk []byte) (int, error) {
	if room := maxOutput - l.to.Len(); room > 0 {
		l.to.Write(chunk[:min(room, len(chunk))])
	}
	return len(chunk), nil
}

// lastLines is the end of a text, on one line.
func lastLines(text string, count int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	if len(lines) > count {
		lines = lines[len(lines)-count:]
	}
	for i := range lines {
		lines[i] = strings.TrimSpace(lines[i])
	}
	return strings.Join(lines, "; ")
}

func containsFold(text, part string) bool {
	return strings.Contains(strings.ToLower(text), strings.ToLower(part))
}
