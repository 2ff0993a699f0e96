// SPDX-License-Identifier: Apache-2.0

package containers

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"time"
	"unicode"

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

// Diagnosis is what can be told of a machine that does not come up.
type Diagnosis struct {
	// Cause says why and what to do, where that is known; otherwise nil.
	Cause error
	// LastLine is the last that the machine wrote on its console in this run, at most 200 characters; empty for nothing.
	LastLine string
}

// Diagnose looks for a cause with a known remedy in what a machine wrote in this run: its console, and when it runs its
// journal. It works on a stopped container too. It is for a machine that does not come up, not for every look. It gives
// *NotRunningError when there is no container.
func (c *Client) Diagnose(ctx context.Context, machine Key) (Diagnosis, error) {
	var found Machine
	var console string
	err := c.ask(ctx, c.bounds.read, func(ctx context.Context) (err error) {
		if found, err = c.machine(ctx, machine); err != nil || !found.Exists {
			return err
		}
		console, err = c.consoleTail(ctx, found.Container)
		return err
	})
	if err != nil {
		return Diagnosis{}, err
	}
	if !found.Exists {
		return Diagnosis{}, &NotRunningError{Name: c.MachineName(machine)}
	}
	diagnosis := Diagnosis{Cause: knownCause(console), LastLine: lastLine(console)}
	if diagnosis.Cause != nil || !found.Running() {
		return diagnosis, nil
	}
	journal, err := c.askNode(ctx, c.bounds.read, machine, []string{
		"journalctl", "--quiet", "--no-pager", fmt.Sprintf("--lines=%d", tailLines), fmt.Sprintf("--since=@%d", found.Started.Unix()),
	})
	if err != nil {
		return diagnosis, ctx.Err() // a node that does not boot may have no journal, and its console is told in any case
	}
	diagnosis.Cause = knownCause(string(journal.Stdout))
	return diagnosis, nil
}

const (
	// tailLines is how much of console and journal is looked at.
	tailLines = 200
	// startSlack is by how much the engine may note the start later than what was written first.
	startSlack = time.Second
)

// consoleTail is the end of what a machine's first process wrote since it was started last.
func (c *Client) consoleTail(ctx context.Context, of Container) (string, error) {
	options := client.ContainerLogsOptions{ShowStdout: true, ShowStderr: true, Tail: fmt.Sprint(tailLines)}
	if !of.Started.IsZero() {
		options.Since = of.Started.Add(-startSlack).Format(time.RFC3339Nano)
	}
	stream, err := c.api.ContainerLogs(ctx, of.ID, options)
	if err != nil {
		return "", fmt.Errorf("read log of container %s: %w", of.Name, err)
	}
	defer stream.Close()
	// A machine has a terminal, for which the engine gives plain text.
	text, err := io.ReadAll(io.LimitReader(stream, maxOutput))
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return "", fmt.Errorf("read log of container %s: %w", of.Name, err)
	}
	return string(text), nil
}

// escapes are what terminals take for colours and movements.
var escapes = regexp.MustCompile(`\x1b\[[0-9;?]*[A-Za-z]`)

// lastLine is the last line with something in it, as plain text.
func lastLine(console string) string {
	last := ""
	for line := range strings.Lines(escapes.ReplaceAllString(console, "")) {
		line = strings.TrimSpace(strings.Map(func(r rune) rune {
			if unicode.IsControl(r) {
				return ' '
			}
			return r
		}, line))
		if line != "" {
			last = line
		}
	}
	const longest = 200
	if runes := []rune(last); len(runes) > longest {
		last = string(runes[:longest]) + " ..."
	}
	return last
}
