// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// steady asks for something again and again while other things happen, and remembers what went wrong and when.
type steady struct {
	t    *testing.T
	name string
	stop context.CancelFunc
	done chan struct{}

	mu       sync.Mutex
	asked    int
	failures []string
	// slow are the questions that had no answer in time, which shows in the gap: on a host that boots a node meanwhile
	// everything may stand still for a moment.
	slow int
	// last is the last success, gap the longest time between two of them.
	last time.Time
	gap  time.Duration
}

// startSteady asks at the pace given until end is called, or the test ends. Each question has two seconds.
func startSteady(t *testing.T, name string, every time.Duration, ask func(context.Context) error) *steady {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	s := &steady{t: t, name: name, stop: cancel, done: make(chan struct{}), last: time.Now()}
	began := time.Now()
	go func() {
		defer close(s.done)
		ticker := time.NewTicker(every)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			}
			limited, done := context.WithTimeout(ctx, 2*time.Second)
			err := ask(limited)
			late := limited.Err() != nil
			done()
			if ctx.Err() != nil {
				return
			}
			s.note(time.Since(began), err, late)
		}
	}()
	t.Cleanup(func() { cancel(); <-s.done })
	return s
}

func (s *steady) note(at time.Duration, err error, late bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	if err != nil && late {
		s.slow++
		return
	}
	if err != nil {
		s.failures = append(s.failures, fmt.Sprintf("%.1f s: %v", at.Seconds(), err))
		return
	}
	s.gap = max(s.gap, time.Since(s.last))
	s.last = time.Now()
}

// end stops asking, and logs what came of it.
func (s *steady) end() {
	s.t.Helper()
	s.stop()
	<-s.done
	s.gap = max(s.gap, time.Since(s.last))
	s.t.Logf("%s: %d questions, %d failed, %d not answered in time, longest gap %.2f s", s.name, s.asked, len(s.failures), s.slow, s.gap.Seconds())
	for i, failure := range s.failures {
		if i == 10 {
			s.t.Logf("  and %d more", len(s.failures)-i)
			break
		}
		s.t.Logf("  %s", failure)
	}
}

// expect ends it, and fails the test where more failed, or longer, than it may have.
func (s *steady) expect(failures int, gap time.Duration) {
	s.t.Helper()
	s.end()
	if s.asked == 0 {
		s.t.Errorf("%s: nothing was asked", s.name)
	}
	if len(s.failures) > failures {
		s.t.Errorf("%s: %d of %d questions failed; at most %d may", s.name, len(s.failures), s.asked, failures)
	}
	if s.gap > gap {
		s.t.Errorf("%s: the longest gap is %.2f s; at most %s may be", s.name, s.gap.Seconds(), gap)
	}
}

// askAPI asks the workload cluster's API through its endpoint ten times a second, for something that is read from etcd:
// each time over a connection of its own, or always over the same, as long as it holds.
func (w *workload) askAPI(t *testing.T, sameConnection bool) *steady {
	t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", w.kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	tls, err := rest.TLSConfigFor(config)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{TLSClientConfig: tls, DisableKeepAlives: !sameConnection, ForceAttemptHTTP2: sameConnection}
	t.Cleanup(transport.CloseIdleConnections)
	client := &http.Client{Transport: transport}
	name := "API, each time a new connection"
	if sameConnection {
		name = "API, one connection"
	}
	return startSteady(t, name, 100*time.Millisecond, func(ctx context.Context) error {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, config.Host+"/api/v1/namespaces/kube-system", nil)
		if err != nil {
			return err
		}
		response, err := client.Do(request)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		if err != nil {
			return err
		}
		if response.StatusCode != http.StatusOK {
			return fmt.Errorf("%s: %s", response.Status, strings.TrimSpace(string(body)))
		}
		return nil
	})
}
