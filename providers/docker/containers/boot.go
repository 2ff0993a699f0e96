// SPDX-License-Identifier: Apache-2.0

package containers

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/client"
)

// Boot is how far a node has come in starting.
type Boot struct {
	// Ready: systemd takes orders and containerd serves, so the bootstrap can begin.
	Ready bool
	// System is what systemd says of itself ("starting", "running", "degraded", ...); empty while it does not answer.
	System string
	// Containerd is what systemd says of containerd ("active", "activating", "failed", ...).
	Containerd string
}

// String says in a few words what is still missing.
func (b Boot) String() string {
	switch {
	case b.Ready:
		return "booted"
	case b.System == "":
		return "systemd does not answer yet"
	}
	return fmt.Sprintf("systemd is %s, containerd is %s", b.System, b.Containerd)
}

const bootScript = `state=$(systemctl is-system-running 2>/dev/null)
case "$state" in ""|offline|unknown) exit 0;; esac
echo "$state"
systemctl is-active containerd 2>/dev/null
exit 0`

// Booted reads how far a node has come in starting. It gives *NotRunningError when the container does not run.
func (c *Client) Booted(ctx context.Context, machine Key) (Boot, error) {
	result, err := c.askNode(ctx, c.bounds.read, machine, []string{"/bin/sh", "-c", bootScript})
	if err != nil {
		return Boot{}, fmt.Errorf("read boot state: %w", err)
	}
	return parseBoot(string(result.Stdout)), nil
}

func parseBoot(output string) Boot {
	words := strings.Fields(output)
	var boot Boot
	if len(words) > 0 {
		boot.System = words[0]
	}
	if len(words) > 1 {
		boot.Containerd = words[1]
	}
	// "degraded" is a system with some failed unit, which is usual in a container, where a few have nothing to act on.
	boot.Ready = boot.Containerd == "active" && (boot.System == "running" || boot.System == "degraded" || boot.System == "starting")
	return boot
}

// WaitBooted blocks until the node has booted, or for about a minute; then Booted tells which. It is for an event source
// that wants to know at once; an observer uses Booted.
func (c *Client) WaitBooted(ctx context.Context, machine Key) error {
	const script = `i=0
while [ $i -lt 600 ]; do
  systemctl is-active --quiet containerd 2>/dev/null && exit 0
  i=$((i+1)); sleep 0.1
done`
	_, err := c.askNode(ctx, c.bounds.wait, machine, []string{"/bin/sh", "-c", script})
	return err
}

// ConsoleTail is the end of what a machine's first process wrote to its console, which says why a node does not boot. It
// works on a stopped container too.
func (c *Client) ConsoleTail(ctx context.Context, machine Key, lines int) (string, error) {
	found, err := c.Machine(ctx, machine)
	if err != nil {
		return "", err
	}
	if !found.Exists {
		return "", &NotRunningError{Name: c.MachineName(machine)}
	}
	return c.logTail(ctx, found.Container, lines, found.Role != RoleLoadBalancer)
}

// Diagnose looks for a cause with a known remedy in what a machine wrote lately: its console, and when it runs its journal.
// It gives nil for cause when it finds none. It is for a machine that does not come up, not for every look.
func (c *Client) Diagnose(ctx context.Context, machine Key) (cause, err error) {
	const lines = 200
	console, err := c.ConsoleTail(ctx, machine, lines)
	if err != nil {
		return nil, err
	}
	if cause := KnownCause(console); cause != nil {
		return cause, nil
	}
	journal, err := c.Exec(ctx, machine, []string{"journalctl", "--quiet", "--no-pager", "--lines", fmt.Sprint(lines)}, nil)
	if errors.As(err, new(*NotRunningError)) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return KnownCause(string(journal.Stdout)), nil
}

// LoadBalancerLogTail is the end of what a cluster's load balancer wrote.
func (c *Client) LoadBalancerLogTail(ctx context.Context, cluster Key, lines int) (string, error) {
	found, err := c.LoadBalancer(ctx, cluster)
	if err != nil {
		return "", err
	}
	if !found.Exists {
		return "", &NotRunningError{Name: c.LoadBalancerName(cluster)}
	}
	return c.logTail(ctx, found.Container, lines, false)
}

// logTail reads the end of a container's log. With a terminal the engine gives plain text, without it interleaves two streams.
func (c *Client) logTail(ctx context.Context, of Container, lines int, terminal bool) (string, error) {
	stream, err := c.api.ContainerLogs(ctx, of.ID, client.ContainerLogsOptions{ShowStdout: true, ShowStderr: true, Tail: fmt.Sprint(lines)})
	if err != nil {
		return "", fmt.Errorf("read log of container %s: %w", of.Name, err)
	}
	defer stream.Close()
	var text strings.Builder
	if terminal {
		_, err = io.Copy(&text, io.LimitReader(stream, maxOutput))
	} else {
		_, err = stdcopy.StdCopy(&text, &text, io.LimitReader(stream, maxOutput))
	}
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return "", fmt.Errorf("read log of container %s: %w", of.Name, err)
	}
	return strings.ReplaceAll(text.String(), "\r\n", "\n"), nil
}
