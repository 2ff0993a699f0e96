// SPDX-License-Identifier: Apache-2.0

package containers

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/client"
)

// hangingClient is connected to an engine that accepts every connection, answers what answers has a text for, by the end
// of the path, and never answers anything else.
func hangingClient(t *testing.T, answers map[string]string) *Client {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "engine.sock")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	over := make(chan struct{})
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		for path, text := range answers {
			if strings.HasSuffix(request.URL.Path, path) {
				w.Header().Set("Content-Type", "application/json")
				_, _ = io.WriteString(w, text)
				return
			}
		}
		select {
		case <-over:
		case <-request.Context().Done():
		}
	})}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { close(over); _ = server.Close() })
	api, err := client.New(client.WithHost("unix://"+socket), client.WithAPIVersion("1.44"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = api.Close() })
	short := 50 * time.Millisecond
	return &Client{api: api, id: "x", engine: Engine{Host: "unix://" + socket}, bounds: bounds{read: short, write: short, wait: short, load: short}}
}

func TestEngineThatNeverAnswers(t *testing.T) {
	c := hangingClient(t, nil)
	key := Key{Namespace: "default", Name: "demo"}
	asking(t, c.engine.Host, map[string]func(context.Context) error{
		"Machine":             func(ctx context.Context) error { _, err := c.Machine(ctx, key); return err },
		"Machines":            func(ctx context.Context) error { _, err := c.Machines(ctx, key); return err },
		"LoadBalancer":        func(ctx context.Context) error { _, err := c.LoadBalancer(ctx, key); return err },
		"LoadBalancerMadeFor": func(ctx context.Context) error { _, err := c.LoadBalancerMadeFor(ctx, "u"); return err },
		"Image":               func(ctx context.Context) error { _, err := c.Image(ctx, "busybox"); return err },
		"Orphans":             func(ctx context.Context) error { _, err := c.Orphans(ctx, nil); return err },
		"CreateMachine":       func(ctx context.Context) error { _, err := c.CreateMachine(ctx, testSpec("m")); return err },
		"RestartMachine":      func(ctx context.Context) error { return c.RestartMachine(ctx, key) },
		"DeleteMachine":       func(ctx context.Context) error { return c.DeleteMachine(ctx, key, "u") },
		"DeleteLoadBalancer":  func(ctx context.Context) error { return c.DeleteLoadBalancer(ctx, key, "u") },
		"DeleteNetwork":       func(ctx context.Context) error { _, err := c.DeleteNetwork(ctx); return err },
		"Remove":              func(ctx context.Context) error { return c.remove(ctx, "c0ffee") },
	})
}

// The engine tells of a machine that runs, and hangs at the commands in it.
func TestMachineThatNeverAnswers(t *testing.T) {
	c := hangingClient(t, map[string]string{
		"/containers/json":        `[{"Id": "c0ffee"}]`,
		"/containers/c0ffee/json": `{"Id": "c0ffee", "State": {"Status": "running"}}`,
		"/containers/c0ffee/exec": `{"Id": "e"}`,
	})
	key := Key{Namespace: "default", Name: "demo"}
	reads := map[string]func(context.Context) error{
		"Booted":     func(ctx context.Context) error { _, err := c.Booted(ctx, key); return err },
		"NodeImages": func(ctx context.Context) error { _, err := c.NodeImages(ctx, key); return err },
		"WaitBooted": func(ctx context.Context) error { return c.WaitBooted(ctx, key) },
	}
	asking(t, "machine default/demo", reads)
}

// asking has each call end with a NoAnswerError that names who was asked, and, when it is the caller who gives up, with
// the caller's reason.
func asking(t *testing.T, who string, calls map[string]func(context.Context) error) {
	t.Helper()
	for name, call := range calls {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var silent *NoAnswerError
			if err := call(t.Context()); !errors.As(err, &silent) || !strings.Contains(silent.Who, who) || !strings.Contains(err.Error(), "did not answer within 50ms") {
				t.Errorf("error is %v", err)
			}
			over, cancel := context.WithCancel(t.Context())
			cancel()
			if err := call(over); !errors.Is(err, context.Canceled) || errors.As(err, &silent) {
				t.Errorf("after the caller gave up the error is %v", err)
			}
		})
	}
}

func TestStartsAgain(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	ago := func(seconds int) time.Time { return now.Add(-time.Duration(seconds) * time.Second) }
	for name, test := range map[string]struct {
		container Container
		after     time.Duration
	}{
		"never started":             {Container{State: StateExited}, 0},
		"ran long":                  {Container{State: StateExited, Started: ago(60), Finished: ago(1)}, 0},
		"ended at once":             {Container{State: StateExited, Started: ago(3), Finished: ago(2)}, 8 * time.Second},
		"ended at once, long ago":   {Container{State: StateExited, Started: ago(63), Finished: ago(62)}, -52 * time.Second},
		"the engine's clock is off": {Container{State: StateExited, Started: ago(-3600), Finished: ago(-3601)}, 0},
		"restarting":                {Container{State: StateRestarting, Started: ago(63), Finished: ago(1)}, StartPause},
	} {
		if got := test.container.StartsAgain(now).Sub(now); got != test.after {
			t.Errorf("%s: it starts again after %s, want %s", name, got, test.after)
		}
	}
}

func TestMadeFor(t *testing.T) {
	for _, test := range []struct {
		label, uid string
		named      bool
		want       bool
	}{
		{"a", "a", false, true}, {"", "a", false, true}, {"b", "a", false, false}, {"b", "a", true, true},
	} {
		container, volume := Container{UID: test.label}, Machine{VolumeUID: test.label}
		if container.MadeFor(test.uid, test.named) != test.want || volume.VolumeMadeFor(test.uid, test.named) != test.want {
			t.Errorf("made for %q, object %q, named %t: want %t", test.label, test.uid, test.named, test.want)
		}
	}
}
