// SPDX-License-Identifier: Apache-2.0

package containers

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// recorded is what the file says; "" without one.
func recorded(t *testing.T, file string) string {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return string(content)
}

// connect is as a process that makes things connects.
func connect(t *testing.T, options Options) (*Client, error) {
	t.Helper()
	options.ManagementID = "m1"
	connector := NewConnector(options)
	t.Cleanup(func() { _ = connector.Close() })
	return connector.Client(t.Context())
}

// ensureNetwork makes the network, as the making of a container begins.
func ensureNetwork(t *testing.T, c *Client) (Network, error) {
	c.making.Lock()
	defer c.making.Unlock()
	return c.ensureNetwork(t.Context())
}

func mustMakeNetwork(t *testing.T, c *Client) {
	t.Helper()
	if _, err := ensureNetwork(t, c); err != nil {
		t.Fatal(err)
	}
}

func TestEngineIsRemembered(t *testing.T) {
	one, two := newMemoryEngine(t), newMemoryEngine(t)
	two.ID = "engine-2"
	file := filepath.Join(t.TempDir(), "container-engine.json")

	// While nothing is made, any engine will do.
	for _, engine := range []*memoryEngine{two, one} {
		if _, err := connect(t, Options{Host: engine.Host, Record: file}); err != nil || recorded(t, file) != "" {
			t.Fatalf("before anything was made: %v, recorded %s", err, recorded(t, file))
		}
	}
	t.Setenv("DOCKER_HOST", one.Host)
	c, err := connect(t, Options{Record: file})
	if err != nil {
		t.Fatal(err)
	}
	mustMakeNetwork(t, c)
	want := "{\n  \"managementCluster\": \"m1\",\n  \"host\": \"" + one.Host + "\",\n  \"engine\": \"Docker\",\n  \"id\": \"engine-1\"\n}\n"
	if diff := cmp.Diff(want, recorded(t, file)); diff != "" {
		t.Fatalf("record (-want +got):\n%s", diff)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("its mode is %v, %v", info.Mode(), err)
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(file), ".*")); len(left) > 0 {
		t.Errorf("beside it there is %q", left)
	}

	// Another one is refused, and says what to do.
	t.Setenv("DOCKER_HOST", two.Host)
	_, err = connect(t, Options{Record: file})
	var other *OtherEngineError
	if !errors.As(err, &other) {
		t.Fatalf("another engine: %v", err)
	}
	for _, part := range []string{one.Host, two.Host, "engine-1", "engine-2", file, "DOCKER_HOST"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("the error does not name %s: %v", part, err)
		}
	}
	// Another kind of engine at the same address too.
	one.Podman = true
	t.Setenv("DOCKER_HOST", "")
	if _, err := connect(t, Options{Record: file}); !errors.As(err, &other) {
		t.Errorf("Podman in Docker's place: %v", err)
	}
	one.Podman = false

	// Without DOCKER_HOST only the one remembered is asked.
	if c, err := connect(t, Options{Record: file}); err != nil || c.Engine().Host != one.Host {
		t.Errorf("the engine remembered: %v", err)
	}
	// It may move.
	moved := filepath.Join(t.TempDir(), "moved.sock")
	one.listen(moved)
	if _, err := connect(t, Options{Host: "unix://" + moved, Record: file}); err != nil || !strings.Contains(recorded(t, file), "unix://"+moved) {
		t.Errorf("the same engine at another address: %v, recorded %s", err, recorded(t, file))
	}
	// What another management cluster has left says nothing.
	if _, err := New(t.Context(), Options{Host: two.Host, ManagementID: "m2", Record: file}); err != nil {
		t.Errorf("another management cluster: %v", err)
	}
}

func TestRecordedEngineIsAway(t *testing.T) {
	t.Setenv("DOCKER_HOST", "")
	file := filepath.Join(t.TempDir(), "container-engine.json")
	away := "unix://" + t.TempDir() + "/nobody.sock"
	if err := writeRecord(file, record{ManagementCluster: "m1", Host: away, Engine: "Docker", ID: "x"}); err != nil {
		t.Fatal(err)
	}
	_, err := connect(t, Options{Record: file})
	var unavailable *EngineUnavailableError
	if !errors.As(err, &unavailable) || len(unavailable.Tried) != 1 || !strings.Contains(err.Error(), away) || !strings.Contains(err.Error(), file) {
		t.Errorf("error is %v", err)
	}
	for name, content := range map[string]string{"half": `{"host": "un`, "empty": "", "other": "{}"} {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := connect(t, Options{Record: file}); err == nil || !strings.Contains(err.Error(), file) {
			t.Errorf("%s: error is %v", name, err)
		}
	}
}

// Podman has no id that lasts, so its address stands for it.
func TestPodmanIsKnownByItsAddress(t *testing.T) {
	one, two := newMemoryEngine(t), newMemoryEngine(t)
	one.Podman, two.Podman = true, true
	file := filepath.Join(t.TempDir(), "container-engine.json")
	c, err := connect(t, Options{Host: one.Host, Record: file})
	if err != nil {
		t.Fatal(err)
	}
	mustMakeNetwork(t, c)
	one.ID = "made up anew"
	if _, err := connect(t, Options{Host: one.Host, Record: file}); err != nil {
		t.Errorf("the same Podman: %v", err)
	}
	if _, err := connect(t, Options{Host: two.Host, Record: file}); !errorIs[*OtherEngineError](err) {
		t.Errorf("another Podman: %v", err)
	}
}

// What was made before there was a record is found; a command that only looks writes none.
func TestRecordOfAnOlderNetwork(t *testing.T) {
	engine := newMemoryEngine(t)
	mustMakeNetwork(t, engine.client(Options{}))
	file := filepath.Join(t.TempDir(), "container-engine.json")
	engine.client(Options{Record: file})
	if text := recorded(t, file); text != "" {
		t.Errorf("looking wrote %s", text)
	}
	if _, err := connect(t, Options{Host: engine.Host, Record: file}); err != nil || !strings.Contains(recorded(t, file), "engine-1") {
		t.Errorf("recorded is %q, %v", recorded(t, file), err)
	}
}

// A directory that cannot be written to: nothing is made that would not be found again.
func TestRecordThatCannotBeWritten(t *testing.T) {
	engine := newMemoryEngine(t)
	c := engine.client(Options{Record: filepath.Join(t.TempDir(), "missing", "container-engine.json")})
	if _, err := c.CreateMachine(t.Context(), testSpec("m")); err == nil || !strings.Contains(err.Error(), "remember the container engine") {
		t.Errorf("error is %v", err)
	}
	if len(engine.containers) > 0 {
		t.Errorf("made were %v", engine.containers)
	}
}

func TestUnusedNetworkIsDeleted(t *testing.T) {
	engine := newMemoryEngine(t)
	file := filepath.Join(t.TempDir(), "container-engine.json")
	c := engine.client(Options{Record: file})
	machine, err := c.CreateMachine(t.Context(), testSpec("one"))
	if err != nil {
		t.Fatal(err)
	}
	// As after a crash in freeSubnet, and a network of somebody else with a name alike.
	engine.networks["probe"] = &memoryNetwork{ID: "probe", Name: c.probeName(), Labels: map[string]string{LabelManagementCluster: "m1", labelProbe: "true"}}
	engine.networks["foreign"] = &memoryNetwork{ID: "foreign", Name: c.NetworkName() + "-mine"}
	if gone, err := c.DeleteNetwork(t.Context()); gone || err != nil || len(engine.networks) != 2 || recorded(t, file) == "" {
		t.Errorf("while it is used: gone %t, %v; networks %v, record %q", gone, err, engine.networks, recorded(t, file))
	}
	if err := c.DeleteMachine(t.Context(), machine.Key, machine.UID); err != nil {
		t.Fatal(err)
	}
	// An engine before API 1.44 can have two of one name.
	engine.networks["double"] = &memoryNetwork{ID: "double", Name: c.NetworkName(), Labels: map[string]string{LabelManagementCluster: "m1"}}
	for range 2 {
		if gone, err := c.DeleteNetwork(t.Context()); !gone || err != nil || len(engine.networks) != 1 {
			t.Errorf("when it is unused: gone %t, %v; networks %v", gone, err, engine.networks)
		}
	}
	if text := recorded(t, file); text != "" {
		t.Errorf("nothing is left and the engine is still remembered: %s", text)
	}
}

func TestNetworkDeletionThatFails(t *testing.T) {
	for text, used := range map[string]bool{
		"error while removing network: network x id y has active endpoints": true,
		"network is being used": true,
		"driver is on fire":     false,
	} {
		engine := newMemoryEngine(t)
		c := engine.client(Options{})
		mustMakeNetwork(t, c)
		engine.broken = func(call string) (int, string) {
			if strings.HasPrefix(call, "DELETE /networks/") {
				return 403, text
			}
			return 0, ""
		}
		if gone, err := c.DeleteNetwork(t.Context()); gone || (err == nil) != used {
			t.Errorf("%q: gone %t, %v", text, gone, err)
		}
	}
}

// The network goes between the making of a container and its first start, as another process may remove it: the container
// is made again.
func TestNetworkThatVanishes(t *testing.T) {
	engine := newMemoryEngine(t)
	c := engine.client(Options{})
	engine.broken = func(call string) (int, string) {
		if !strings.HasSuffix(call, "/start") || len(engine.networks) == 0 || engine.made > 3 {
			return 0, ""
		}
		clear(engine.networks)
		return 404, "failed to set up container networking: network " + c.NetworkName() + " not found"
	}
	machine, err := c.CreateMachine(t.Context(), testSpec("one"))
	if err != nil || !machine.Running() || len(engine.networks) != 1 || len(engine.containers) != 1 {
		t.Errorf("machine is %+v, %v; networks %v, containers %v", machine, err, engine.networks, engine.containers)
	}
}

// A caller that gives up is told so.
func TestRecordOfSilentEngine(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	c := hangingClient(t, nil)
	c.recordFile = filepath.Join(t.TempDir(), "container-engine.json")
	if err := c.keepRecord(t.Context()); !errorIs[*NoAnswerError](err) {
		t.Errorf("error is %v", err)
	}
	if err := c.keepRecord(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v", err)
	}
}
