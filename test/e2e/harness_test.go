// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/go-logr/logr"
	dockerclient "github.com/moby/moby/client"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"

	addonsv1 "github.com/slipway-project/slipway/api/addons/v1beta2"
	bootstrapv1 "github.com/slipway-project/slipway/api/bootstrap/v1beta2"
	controlplanev1 "github.com/slipway-project/slipway/api/controlplane/v1beta2"
	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	infrav1 "github.com/slipway-project/slipway/api/infrastructure/v1beta2"
	"github.com/slipway-project/slipway/providers/docker/containers"
	"github.com/slipway-project/slipway/standalone"
)

const (
	gateVariable = "SLIPWAY_TEST_E2E"

	// readyLimit bounds the making of a cluster, goneLimit its removal, troubleLimit how long it may take until trouble
	// shows in a condition.
	readyLimit   = 5 * time.Minute
	goneLimit    = 2 * time.Minute
	troubleLimit = 20 * time.Second
)

var (
	// binary is bin/slipway as these sources make it; binaries is the folder with kubectl and the like; checkout is the root.
	binary, binaries, checkout string
	version                    = setting("SLIPWAY_E2E_VERSION", "v1.37.1")
)

func setting(name, otherwise string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return otherwise
}

func TestMain(m *testing.M) {
	if os.Getenv(gateVariable) == "" {
		fmt.Fprintf(os.Stderr, "end-to-end tests make containers: set %s=1 to run them\n", gateVariable)
		os.Exit(m.Run())
	}
	ctrllog.SetLogger(logr.Discard())
	os.Exit(runAll(m))
}

func runAll(m *testing.M) int {
	folder, err := os.MkdirTemp("", "slipway-e2e-")
	if err == nil {
		defer os.RemoveAll(folder)
		err = prepare(folder)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	stopOnSignal()
	return m.Run()
}

// running are the management clusters of tests that have not ended.
var running sync.Map

// stopOnSignal leaves nothing running where the tests are cut short.
func stopOnSignal() {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		got := <-signals
		fmt.Fprintf(os.Stderr, "%s: stopping\n", got)
		running.Range(func(m, _ any) bool {
			if err := m.(*management).sweep(); err != nil {
				fmt.Fprintln(os.Stderr, err)
			}
			return true
		})
		os.Exit(1)
	}()
}

// prepare builds the program, and has it build or find the binaries.
func prepare(folder string) (err error) {
	if checkout, err = filepath.Abs("../.."); err != nil {
		return err
	}
	binary = filepath.Join(folder, "slipway")
	// No revision is recorded: git does not answer in a checkout that is somebody else's.
	build := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-o", binary, "./cmd/slipway")
	build.Dir, build.Env = checkout, append(os.Environ(), "CGO_ENABLED=0")
	if output, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build slipway: %w\n%s", err, output)
	}
	find := exec.Command(binary, "image", "binaries", "--kubernetes-version", version)
	find.Env, find.Stderr = environment(""), os.Stderr
	output, err := find.Output()
	if err != nil {
		return fmt.Errorf("find binaries: %w", err)
	}
	binaries = strings.TrimSpace(string(output))
	return nil
}

// environment is that of every slipway that is run here.
func environment(home string) []string {
	kept := slices.DeleteFunc(os.Environ(), func(entry string) bool { return strings.HasPrefix(entry, "KUBECONFIG=") })
	return append(kept, "SLIPWAY_HOME="+home, "SLIPWAY_SOURCE="+checkout, containers.IsolatedVariable+"=true")
}

// needEngine skips a test unless end-to-end tests are asked for.
func needEngine(t *testing.T) {
	t.Helper()
	if os.Getenv(gateVariable) == "" {
		t.Skipf("makes containers: set %s=1", gateVariable)
	}
}

// management is a management cluster of one test.
type management struct {
	t    *testing.T
	home string
	// api reaches the management cluster; docker and engine what it made.
	api    client.Client
	docker *containers.Client
	engine *dockerclient.Client
	id     string
	// process is set while a slipway up runs that is this test's own child.
	process *exec.Cmd
	ended   chan error
	// volumes are the names of all volumes that a container of ours was seen to use.
	volumes names
}

// names is a set that grows. A test adds to it, and so does what cleans up after Ctrl-C, which does not wait for the test.
type names struct {
	mu   sync.Mutex
	have map[string]bool
}

func (n *names) add(name string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.have == nil {
		n.have = map[string]bool{}
	}
	n.have[name] = true
}

func (n *names) has(name string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.have[name]
}

// newManagement prepares a data directory; nothing runs yet. At the end of the test everything is removed, and what had
// to be removed by force fails the test.
func newManagement(t *testing.T) *management {
	t.Helper()
	needEngine(t)
	m := &management{t: t, home: t.TempDir()}
	engine, err := dockerclient.New(dockerclient.FromEnv)
	if err != nil {
		t.Fatal(err)
	}
	m.engine = engine
	running.Store(m, nil)
	t.Cleanup(m.removeAll)
	return m
}

// startManagement is newManagement with slipway up --detach.
func startManagement(t *testing.T) *management {
	t.Helper()
	m := newManagement(t)
	m.must("up", "--detach", "--kubernetes-version", version)
	m.connect()
	return m
}

// connect makes clients for the management cluster that runs.
func (m *management) connect() {
	m.t.Helper()
	if m.api != nil {
		return
	}
	state := m.state()
	if !state.Ready || state.ManagementClusterID == "" {
		m.t.Fatalf("the management cluster is not ready: %+v", state)
	}
	m.id = state.ManagementClusterID
	m.note()
	m.api = connectTo(m.t, state.Kubeconfig)
	docker, err := containers.New(m.t.Context(), containers.Options{ManagementID: m.id, Isolated: true, Logger: logr.Discard()})
	if err != nil {
		m.t.Fatal(err)
	}
	m.docker = docker
}

// note leaves the id and the data directory for whoever runs these tests and wants to see that nothing is left of them,
// even if they are killed.
func (m *management) note() {
	m.t.Helper()
	path := os.Getenv("SLIPWAY_E2E_IDS")
	if path == "" {
		return
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		m.t.Fatal(err)
	}
	_, err = fmt.Fprintln(file, m.id, m.home)
	if err := errors.Join(err, file.Close()); err != nil {
		m.t.Fatal(err)
	}
}

func connectTo(t *testing.T, kubeconfig string) client.Client {
	t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	config.QPS, config.Timeout = -1, 15*time.Second
	known := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		scheme.AddToScheme, clusterv1.AddToScheme, bootstrapv1.AddToScheme, controlplanev1.AddToScheme, addonsv1.AddToScheme, infrav1.AddToScheme,
	} {
		if err := add(known); err != nil {
			t.Fatal(err)
		}
	}
	c, err := client.New(config, client.Options{Scheme: known})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// step is a subtest, which fails for itself.
func (m *management) step(name string, run func(*testing.T)) {
	whole := m.t
	defer func() { m.t = whole }()
	whole.Run(name, func(t *testing.T) {
		m.t = t
		run(t)
		if t.Failed() {
			m.explain()
		}
	})
}

// result is what a command gave.
type result struct {
	stdout, stderr string
	code           int
}

func (r result) String() string {
	return fmt.Sprintf("exit code %d\n%s%s", r.code, r.stdout, r.stderr)
}

// slipway runs a verb.
func (m *management) slipway(arguments ...string) result {
	m.t.Helper()
	return m.run(nil, "", binary, arguments...)
}

// must is slipway that has to succeed; it returns what was printed.
func (m *management) must(arguments ...string) string {
	m.t.Helper()
	ran := m.slipway(arguments...)
	if ran.code != 0 {
		m.t.Fatalf("slipway %s: %s", strings.Join(arguments, " "), ran)
	}
	return ran.stdout
}

// kubectl runs the kubectl of the version against the management cluster.
func (m *management) kubectl(stdin string, arguments ...string) result {
	m.t.Helper()
	arguments = append([]string{"--kubeconfig", filepath.Join(m.home, "kubeconfig")}, arguments...)
	return m.run(nil, stdin, filepath.Join(binaries, "kubectl"), arguments...)
}

func (m *management) mustKubectl(stdin string, arguments ...string) {
	m.t.Helper()
	if ran := m.kubectl(stdin, arguments...); ran.code != 0 {
		m.t.Fatalf("kubectl %s: %s", strings.Join(arguments, " "), ran)
	}
}

func (m *management) run(more []string, stdin, program string, arguments ...string) result {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, program, arguments...)
	var stdout, stderr bytes.Buffer
	command.Env, command.Stdin = append(environment(m.home), more...), strings.NewReader(stdin)
	command.Stdout, command.Stderr = &stdout, &stderr
	err := command.Run()
	if err != nil && command.ProcessState == nil {
		m.t.Fatalf("run %s: %v", program, err)
	}
	return result{stdout: stdout.String(), stderr: stderr.String(), code: command.ProcessState.ExitCode()}
}

func (m *management) state() standalone.State {
	m.t.Helper()
	state, err := standalone.Status(context.Background(), m.home)
	if err != nil {
		m.t.Fatal(err)
	}
	return state
}

// launch starts slipway up as a child of this test, and returns at once.
func (m *management) launch() {
	m.t.Helper()
	log, err := os.OpenFile(m.home+"-e2e.log", os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		m.t.Fatal(err)
	}
	defer log.Close()
	command := exec.Command(binary, "up", "--verbose", "--kubernetes-version", version)
	command.Env, command.Stdout, command.Stderr = environment(m.home), log, log
	if err := command.Start(); err != nil {
		m.t.Fatal(err)
	}
	m.process, m.ended = command, make(chan error, 1)
	go func(ended chan<- error) { ended <- command.Wait() }(m.ended)
}

// awaitUp waits until what was launched is ready.
func (m *management) awaitUp() {
	m.t.Helper()
	eventually(m.t, time.Minute, "the management cluster is ready", func() string {
		select {
		case err := <-m.ended:
			m.t.Fatalf("slipway up ended: %v\n%s", err, tail(m.home+"-e2e.log", 15))
		default:
		}
		state := m.state()
		if state.Ready && state.Healthy && state.PID == m.process.Process.Pid {
			return ""
		}
		return fmt.Sprintf("ready %t, healthy %t, %s", state.Ready, state.Healthy, state.Message)
	})
	m.connect()
}

// kill kills what was launched, as kill -9 does.
func (m *management) kill() {
	m.t.Helper()
	if err := m.process.Process.Signal(syscall.SIGKILL); err != nil && !errors.Is(err, os.ErrProcessDone) {
		m.t.Fatal(err)
	}
	<-m.ended
	m.process = nil
}

// eventually polls until nothing is missing, and fails with what was missing last.
func eventually(t *testing.T, limit time.Duration, what string, missing func() string) {
	t.Helper()
	began := time.Now()
	var last string
	for deadline := began.Add(limit); ; time.Sleep(250 * time.Millisecond) {
		if last = missing(); last == "" {
			t.Logf("%s: after %.1f s", what, time.Since(began).Seconds())
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %s: %s", what, limit, last)
		}
	}
}

// removeAll stops the management cluster and removes what is left of it.
func (m *management) removeAll() {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	if m.t.Failed() {
		m.explain()
	}
	if m.process != nil {
		_ = m.process.Process.Signal(syscall.SIGTERM)
		select {
		case <-m.ended:
		case <-time.After(time.Minute):
			m.t.Error("slipway up did not end a minute after SIGTERM")
		}
	}
	if m.id != "" && !m.t.Failed() {
		found, err := m.listEngine(ctx)
		if text := found.String(); text != "" || err != nil {
			m.t.Errorf("left in the container engine: %s %v", text, err)
		}
	}
	if err := m.sweep(); err != nil {
		m.t.Errorf("clean up: %v", err)
	}
	running.Delete(m)
}

// sweep stops the management cluster, whoever started it, and removes what it has in the container engine.
func (m *management) sweep() error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	_, err := standalone.Down(ctx, m.home)
	problems := []error{err}
	if m.id == "" {
		return err
	}
	found, err := m.listEngine(ctx)
	problems = append(problems, err)
	for _, name := range found.containers {
		_, err := m.engine.ContainerRemove(ctx, name, dockerclient.ContainerRemoveOptions{Force: true, RemoveVolumes: true})
		problems = append(problems, err)
	}
	if found, err = m.listEngine(ctx); err != nil {
		problems = append(problems, err)
	}
	for _, name := range found.volumes {
		_, err := m.engine.VolumeRemove(ctx, name, dockerclient.VolumeRemoveOptions{Force: true})
		problems = append(problems, err)
	}
	for _, name := range found.networks {
		_, err := m.engine.NetworkRemove(ctx, name, dockerclient.NetworkRemoveOptions{})
		problems = append(problems, err)
	}
	return errors.Join(problems...)
}

// explain logs what helps to understand a failure.
func (m *management) explain() {
	if state := m.state(); state.Running {
		m.t.Logf("clusters: %s", m.slipway("get", "clusters", "-A"))
		if m.api != nil {
			list := &clusterv1.ClusterList{}
			_ = m.api.List(context.Background(), list)
			for _, cluster := range list.Items {
				m.t.Logf("describe %s: %s", cluster.Name, m.slipway("describe", "cluster", cluster.Name, "-n", cluster.Namespace))
			}
		}
	} else {
		text, _ := json.Marshal(state)
		m.t.Logf("state: %s", text)
	}
	for _, log := range []string{filepath.Join(m.home, "logs", "slipway.log"), m.home + "-e2e.log"} {
		if text := tail(log, 60); text != "" {
			m.t.Logf("end of %s:\n%s", log, text)
		}
	}
}

func tail(path string, lines int) string {
	content, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	all := strings.Split(strings.TrimRight(string(content), "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
