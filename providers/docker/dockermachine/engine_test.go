// SPDX-License-Identifier: Apache-2.0

package dockermachine

import (
	"encoding/binary"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/slipway-project/slipway/providers/docker/containers"
)

// now is the time by the API server's and the engine's clock.
var now = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// fakeEngine is an engine that has one container of machine default/m.
type fakeEngine struct {
	t         *testing.T
	connector *containers.Connector

	mu      sync.Mutex
	labels  map[string]string
	state   map[string]any
	console string
	images  []string
	// commands gives what a command prints, by a part of it.
	commands map[string]string
	asked    string // the command that was made last
	calls    []string
}

func newFakeEngine(t *testing.T) *fakeEngine {
	t.Helper()
	e := &fakeEngine{t: t, commands: map[string]string{}, labels: map[string]string{
		containers.LabelManagementCluster: "m1", containers.LabelMachine: "default/m", containers.LabelUID: "dm-uid",
	}}
	socket := filepath.Join(t.TempDir(), "engine.sock")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: e}
	go func() { _ = server.Serve(listener) }()
	e.connector = containers.NewConnector(containers.Options{Host: "unix://" + socket, ManagementID: "m1"})
	t.Cleanup(func() { _ = e.connector.Close(); _ = server.Close() })
	return e
}

// running has the container run since then.
func (e *fakeEngine) running(since time.Time) {
	e.state = map[string]any{"Status": "running", "StartedAt": since.Format(time.RFC3339Nano)}
}

// called counts the calls whose path contains the text.
func (e *fakeEngine) called(part string) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	count := 0
	for _, call := range e.calls {
		if strings.Contains(call, part) {
			count++
		}
	}
	return count
}

func (e *fakeEngine) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	e.mu.Lock()
	defer e.mu.Unlock()
	where := request.URL.Path
	e.calls = append(e.calls, where)
	w.Header().Set("Api-Version", "1.44")
	w.Header().Set("Content-Type", "application/json")
	var answer any
	switch {
	case strings.HasSuffix(where, "/_ping"):
		answer = "OK"
	case strings.HasSuffix(where, "/version"):
		answer = map[string]string{"Version": "29.0.0", "ApiVersion": "1.44"}
	case strings.HasSuffix(where, "/containers/json"):
		answer = []any{map[string]any{"Id": "c0ffee", "Labels": e.labels}}
	case strings.HasSuffix(where, "/containers/c0ffee/json"):
		answer = map[string]any{"Id": "c0ffee", "Name": "/" + containers.MachineName("m1", containers.Key{Namespace: "default", Name: "m"}),
			"State": e.state, "Config": map[string]any{"Labels": e.labels}}
	case strings.HasSuffix(where, "/containers/c0ffee/logs"):
		_, _ = io.WriteString(w, e.console)
		return
	case strings.HasSuffix(where, "/containers/c0ffee/exec"):
		var command struct{ Cmd []string }
		if err := json.NewDecoder(request.Body).Decode(&command); err != nil {
			e.t.Error(err)
		}
		e.asked = strings.Join(command.Cmd, " ")
		answer = map[string]string{"Id": "e"}
	case strings.HasSuffix(where, "/exec/e/start"):
		e.exec(w, request)
		return
	case strings.HasSuffix(where, "/exec/e/json"):
		answer = map[string]any{"Running": false, "ExitCode": 0}
	default:
		for _, image := range e.images {
			if strings.HasSuffix(where, "/images/"+image+"/json") {
				answer = map[string]string{"Id": "sha256:1"}
			}
		}
		if answer == nil {
			w.WriteHeader(http.StatusNotFound)
			answer = map[string]string{"message": "no such thing"}
		}
	}
	if err := json.NewEncoder(w).Encode(answer); err != nil {
		e.t.Error(err)
	}
}

// exec prints what the command made last prints, and ends it.
func (e *fakeEngine) exec(w http.ResponseWriter, request *http.Request) {
	_, _ = io.Copy(io.Discard, request.Body) // what is unread when it ends would take the answer with it
	connection, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		e.t.Error(err)
		return
	}
	defer connection.Close()
	_, _ = io.WriteString(connection, "HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.raw-stream\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n")
	for part, output := range e.commands {
		if strings.Contains(e.asked, part) {
			header := [8]byte{1}
			binary.BigEndian.PutUint32(header[4:], uint32(len(output)))
			_, _ = connection.Write(append(header[:], output...))
		}
	}
}
