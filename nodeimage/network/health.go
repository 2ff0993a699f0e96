// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"net/http"
	"sync"
	"time"
)

// stuckAfter is how long a pass may be overdue before the agent counts as hung.
const stuckAfter = 12 * resyncInterval

// passResult is what one pass over kernel and disk did.
type passResult struct {
	Nodes          int // Node objects seen
	RouteChanges   int
	FilterChanges  int
	ConflistWrites int
	Problems       int // sentences for people that the nodes or foreign routes gave rise to
	Ready          bool
	Err            error
}

// health answers for the agent over HTTP: /healthz (the loop turns), /readyz (this node's network is complete) and
// /metrics (Prometheus text format). An unreachable API server makes neither fail: the network goes on without it,
// and a restart would mend nothing.
type health struct {
	now func() time.Time

	mu       sync.Mutex
	started  time.Time
	last     time.Time // end of the last pass
	lastGood time.Time
	sum      passResult // counters added up; Nodes, Problems, Ready of the last pass
	passes   int
	failures int
}

func newHealth(now func() time.Time) *health { return &health{now: now, started: now()} }

// passed notes the outcome of a pass.
func (h *health) passed(at time.Time, r passResult) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.last = at
	h.passes++
	if r.Err != nil {
		h.failures++
	} else {
		h.lastGood = at
	}
	r.RouteChanges += h.sum.RouteChanges
	r.FilterChanges += h.sum.FilterChanges
	r.ConflistWrites += h.sum.ConflistWrites
	h.sum = r
}

// handler serves the three paths.
func (h *health) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		h.mu.Lock()
		defer h.mu.Unlock()
		// Before the first pass the agent waits for the API server, and may for long.
		if !h.last.IsZero() && h.now().Sub(h.last) > stuckAfter {
			http.Error(w, fmt.Sprintf("no pass for %s", h.now().Sub(h.last).Round(time.Second)), http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		h.mu.Lock()
		defer h.mu.Unlock()
		switch {
		case h.sum.Ready:
			fmt.Fprintln(w, "ok")
		case h.sum.Err != nil:
			http.Error(w, h.sum.Err.Error(), http.StatusServiceUnavailable)
		case h.last.IsZero():
			http.Error(w, "the Node objects have not been read yet", http.StatusServiceUnavailable)
		default:
			http.Error(w, "this node has no pod CIDR yet", http.StatusServiceUnavailable)
		}
	})
	mux.HandleFunc("GET /metrics", h.metrics)
	return mux
}

func (h *health) metrics(w http.ResponseWriter, _ *http.Request) {
	h.mu.Lock()
	defer h.mu.Unlock()
	w.Header().Set("Content-Type", "text/plain; version=0.0.4")
	ready := 0
	if h.sum.Ready {
		ready = 1
	}
	lastGood := 0.0
	if !h.lastGood.IsZero() {
		lastGood = float64(h.lastGood.UnixMilli()) / 1000
	}
	for _, m := range []struct {
		name, kind, help string
		value            any
	}{
		{"slipway_network_ready", "gauge", "Whether this node's pod network is complete.", ready},
		{"slipway_network_nodes", "gauge", "Node objects seen in the last pass.", h.sum.Nodes},
		{"slipway_network_problems", "gauge", "Things that a person has to mend; the log names them.", h.sum.Problems},
		{"slipway_network_passes_total", "counter", "Passes over kernel and disk.", h.passes},
		{"slipway_network_pass_failures_total", "counter", "Passes in which something was refused.", h.failures},
		{"slipway_network_route_changes_total", "counter", "Routes added, replaced or deleted.", h.sum.RouteChanges},
		{"slipway_network_filter_writes_total", "counter", "Times the packet filter was written.", h.sum.FilterChanges},
		{"slipway_network_config_writes_total", "counter", "Times the CNI configuration was written.", h.sum.ConflistWrites},
		{"slipway_network_last_success_timestamp_seconds", "gauge", "End of the last pass without a failure.", lastGood},
	} {
		fmt.Fprintf(w, "# HELP %s %s\n# TYPE %s %s\n%s %v\n", m.name, m.help, m.name, m.kind, m.name, m.value)
	}
}
