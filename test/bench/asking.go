// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

const (
	// askEvery is the pace at which a client asks. It does not wait for an answer before it asks again, as many clients
	// together do not.
	askEvery = 100 * time.Millisecond
	// answerLimit is how long a question may take until it counts as failed.
	answerLimit = 2 * time.Second
)

// connections are the ways in which clients ask, in the order in which they are shown.
var connections = []struct {
	words string
	kept  bool
}{
	{"a new one each time", false},
	{"one that is kept", true},
}

// asked is what came of a client's questions.
type asked struct {
	questions int
	failures  []string
	// gap is the longest time from one answer to the next.
	gap time.Duration
}

// and is what came of two clients' questions together.
func (a asked) and(b asked) asked {
	return asked{questions: a.questions + b.questions, failures: append(append([]string(nil), a.failures...), b.failures...), gap: max(a.gap, b.gap)}
}

// asking is a client that asks again and again until end is called.
type asking struct {
	stop  context.CancelFunc
	ended chan struct{}

	mu   sync.Mutex
	got  asked
	last time.Time
}

// startAsking asks at a pace.
func startAsking(ctx context.Context, every time.Duration, ask func(context.Context) error) *asking {
	ctx, stop := context.WithCancel(ctx)
	began := time.Now()
	a := &asking{stop: stop, ended: make(chan struct{}), last: began}
	go func() {
		defer close(a.ended)
		ticker := time.NewTicker(every)
		defer ticker.Stop()
		var open sync.WaitGroup
		defer open.Wait()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			}
			at := time.Since(began)
			open.Go(func() {
				// Not in a context that end ends: a question that was asked is answered, or fails.
				limited, done := context.WithTimeout(context.WithoutCancel(ctx), answerLimit)
				defer done()
				a.note(at, ask(limited))
			})
		}
	}()
	return a
}

func (a *asking) note(at time.Duration, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.got.questions++
	if err != nil {
		a.got.failures = append(a.got.failures, fmt.Sprintf("after %.1f s: %v", at.Seconds(), err))
		return
	}
	now := time.Now()
	a.got.gap, a.last = max(a.got.gap, now.Sub(a.last)), now
}

// end stops asking, waits for the answers that are still to come, and gives what came of it.
func (a *asking) end() asked {
	a.stop()
	<-a.ended
	a.got.gap = max(a.got.gap, time.Since(a.last))
	return a.got
}

// clients ask the API of a cluster, in each of the ways of connections.
type clients []*asking

// askAPI has clients ask a cluster through its endpoint for something that is read from etcd.
func askAPI(ctx context.Context, kubeconfig string) (clients, error) {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("read kubeconfig: %w", err)
	}
	var asking clients
	for _, way := range connections {
		tls, err := rest.TLSConfigFor(config)
		if err != nil {
			return nil, fmt.Errorf("read kubeconfig: %w", err)
		}
		transport := &http.Transport{TLSClientConfig: tls, DisableKeepAlives: !way.kept, ForceAttemptHTTP2: way.kept}
		client := &http.Client{Transport: transport}
		asking = append(asking, startAsking(ctx, askEvery, func(ctx context.Context) error {
			return get(ctx, client, config.Host+"/api/v1/namespaces/kube-system")
		}))
	}
	return asking, nil
}

// end is what came of it, in the order of connections.
func (c clients) end() []asked {
	var got []asked
	for _, one := range c {
		got = append(got, one.end())
	}
	return got
}

func get(ctx context.Context, client *http.Client, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
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
}
