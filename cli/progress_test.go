// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

// clock goes on by a second at each look.
type clock struct{ at time.Time }

func (c *clock) now() time.Time {
	c.at = c.at.Add(time.Second)
	return c.at
}

func TestPlainProgress(t *testing.T) {
	var out bytes.Buffer
	p := newProgress(&out, (&clock{}).now)
	if p.columns != 0 {
		t.Fatal("a buffer is taken for a terminal")
	}
	show(p, []step{{Title: "Infrastructure", Detail: "DockerCluster demo: NotAvailable"}, {Title: "Control plane"}})
	show(p, []step{{Title: "Infrastructure", Detail: "DockerCluster demo: NotAvailable"}, {Title: "Control plane"}})
	// The load balancer came up while the control plane did: both are told, in order, once.
	show(p, []step{{Title: "Infrastructure", Done: true}, {Title: "Control plane", Done: true}, {Title: "Nodes", Detail: "0 of 1 Ready"}})
	p.say("a line in between")
	show(p, []step{{Title: "Infrastructure", Done: true}, {Title: "Control plane", Done: true}, {Title: "Nodes", Detail: "1 of 2 Ready"}})
	p.failed()
	p.failed()
	golden(t, "progress-plain.txt", out.String())
}

func TestTerminalProgress(t *testing.T) {
	var out bytes.Buffer
	p := newProgress(&out, (&clock{}).now)
	p.columns = 40
	p.begin("Building")
	p.note("something with a name that is too long for this terminal")
	p.done("42 MB")
	p.begin("Loading")
	p.failed()
	lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	if len(lines) != 2 {
		t.Fatalf("%d lines, want one a phase:\n%q", len(lines), out.String())
	}
	for i, want := range []string{"✓ Building (42 MB)", "✗ Loading"} {
		drawn := strings.Split(lines[i], "\r\x1b[K")
		if last := drawn[len(drawn)-1]; !strings.Contains(last, want) {
			t.Errorf("line %d ends as %q, want %q", i, last, want)
		}
		for _, each := range drawn {
			if width := len([]rune(each)); width >= 40 {
				t.Errorf("%q has %d characters and the terminal 40", each, width)
			}
		}
	}
}

func TestFollow(t *testing.T) {
	var out bytes.Buffer
	tell := newProgress(&out, (&clock{}).now).follow(map[string]string{"etcd": "Starting etcd"})
	tell("etcd", false, "")
	tell("etcd", true, "v3.7.0")
	if got, want := out.String(), "Starting etcd ...\nStarting etcd (v3.7.0): done in 1.0s\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestElapsed(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second: "0.0s", 1234 * time.Millisecond: "1.2s", 59 * time.Second: "59.0s", 61 * time.Second: "1m01s", 3725 * time.Second: "62m05s",
	} {
		if got := elapsed(d); got != want {
			t.Errorf("%s is %q, want %q", d, got, want)
		}
	}
}
