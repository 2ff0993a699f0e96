// SPDX-License-Identifier: Apache-2.0

package standalone

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/go-logr/logr"
)

// names of the children; each is also the name of its binary and its log.
const (
	etcdName              = "etcd"
	apiServerName         = "kube-apiserver"
	controllerManagerName = "kube-controller-manager"
)

const (
	firstBackoff = 200 * time.Millisecond
	lastBackoff  = 30 * time.Second
	// steadyAfter is how long a child must have run for its end to count as the first again.
	steadyAfter = time.Minute
)

// child is one supervised process: started again when it ends while nobody
// asked it to, stopped with it when this process ends in whatever way.
type child struct {
	name        string
	path        string
	arguments   []string
	environment []string
	home        dataDir
	// grace is how long a SIGTERM has to work before SIGKILL follows.
	grace  time.Duration
	output *childLog
	log    logr.Logger
	// changed is told of each start and end.
	changed func(processRecord)

	stopping chan struct{}
	done     chan struct{}
	ended    chan string // the first end, for whoever waits for readiness

	mu       sync.Mutex
	process  *os.Process
	id       identity
	since    time.Time
	restarts int
	stopped  bool
	lastEnd  string
}

func newChild(name string, home dataDir, binaries string, arguments []string, log logr.Logger, changed func(processRecord)) (*child, error) {
	output, err := openChildLog(home.log(name), logLimit)
	if err != nil {
		return nil, err
	}
	return &child{
		name: name, path: binaries + "/" + name, arguments: arguments, home: home,
		environment: childEnvironment(os.Environ()),
		grace:       10 * time.Second, output: output, log: log.WithValues("process", name), changed: changed,
		stopping: make(chan struct{}), done: make(chan struct{}), ended: make(chan string, 1),
	}, nil
}

// childEnvironment passes on what a server on this machine needs and nothing
// else: etcd takes any ETCD_* variable as a flag, and a proxy has no place
// between these processes.
func childEnvironment(all []string) []string {
	kept := []string{
		// Collecting garbage at half the usual growth saves a sixth of
		// kube-apiserver's memory; the last entry of a name wins.
		"GOGC=50",
	}
	for _, entry := range all {
		name, _, _ := strings.Cut(entry, "=")
		switch name {
		case "PATH", "HOME", "USER", "TMPDIR", "TZ", "LANG", "SSL_CERT_FILE", "SSL_CERT_DIR", "GOMAXPROCS", "GOGC", "GOMEMLIMIT":
			kept = append(kept, entry)
		}
	}
	return kept
}

// run supervises until stop is called. The thread is locked and never let go:
// the kernel sends the parent-death signal when the thread that started the
// child ends, so that thread must live as long as the child may.
func (c *child) run() {
	runtime.LockOSThread()
	defer close(c.done)
	defer c.output.close()
	backoff := firstBackoff
	for {
		began := time.Now()
		end := c.once()
		select {
		case <-c.stopping:
			return
		default:
		}
		select {
		case c.ended <- end:
		default:
		}
		if time.Since(began) > steadyAfter {
			backoff = firstBackoff
		}
		c.log.Error(errors.New(end), "process ended by itself and is started again", "after", time.Since(began).Round(time.Millisecond).String(),
			"startedAgainIn", backoff.String(), "lastLines", tellingLines(c.output.tail(), 5))
		timer := time.NewTimer(backoff)
		select {
		case <-c.stopping:
			timer.Stop()
			return
		case <-timer.C:
		}
		backoff = min(2*backoff, lastBackoff)
	}
}

// once starts the process and waits for its end, which it describes.
func (c *child) once() string {
	command := exec.Command(c.path, c.arguments...)
	command.Args[0] = c.name // the binary of many components goes by this name
	command.Dir = string(c.home)
	command.Env = c.environment
	command.Stdout, command.Stderr = c.output, c.output
	command.SysProcAttr = &syscall.SysProcAttr{
		// A group of its own, so that Ctrl-C reaches this process only, which
		// stops the children in the right order.
		Setpgid: true,
		// kill -9 of this process must not leave any behind.
		Pdeathsig: syscall.SIGKILL,
	}
	command.WaitDelay = time.Second
	if end, ok := c.begin(command); !ok {
		return end
	}
	err := command.Wait()
	c.mu.Lock()
	c.process = nil
	end := describeEnd(command.ProcessState, err)
	c.lastEnd = end
	c.mu.Unlock()
	c.changed(c.record())
	return end
}

func (c *child) begin(command *exec.Cmd) (string, bool) {
	c.mu.Lock()
	if c.stopped {
		c.mu.Unlock()
		return "not started", false
	}
	c.output.forget()
	if err := command.Start(); err != nil {
		c.lastEnd = fmt.Sprintf("start %s: %v", c.path, err)
		end := c.lastEnd
		c.mu.Unlock()
		c.changed(c.record())
		return end, false
	}
	if !c.since.IsZero() {
		c.restarts++
	}
	c.process, c.since = command.Process, time.Now()
	// It cannot be collected before Wait, so this is surely its identity.
	c.id, _ = identify(command.Process.Pid)
	c.mu.Unlock()
	c.changed(c.record())
	return "", true
}

func describeEnd(state *os.ProcessState, err error) string {
	if state == nil {
		return err.Error()
	}
	if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		if status.Signal() == syscall.SIGKILL {
			return "killed (signal 9): by someone, or by the kernel for want of memory"
		}
		return "ended by signal " + status.Signal().String()
	}
	return fmt.Sprintf("exit status %d", state.ExitCode())
}

// stop ends the process: SIGTERM, and after the grace, or when the context
// ends, SIGKILL. It returns when the process is gone; it may be called twice.
func (c *child) stop(ctx context.Context) error {
	c.mu.Lock()
	if !c.stopped {
		c.stopped = true
		close(c.stopping)
		if c.process != nil {
			_ = c.process.Signal(syscall.SIGTERM)
		}
	}
	c.mu.Unlock()
	timer := time.NewTimer(c.grace)
	defer timer.Stop()
	select {
	case <-c.done:
		return nil
	case <-ctx.Done():
	case <-timer.C:
	}
	c.mu.Lock()
	if c.process != nil {
		c.log.Error(nil, "process does not end and is killed", "after", c.grace.String())
		_ = c.process.Kill()
	}
	c.mu.Unlock()
	select {
	case <-c.done:
		return nil
	case <-time.After(5 * time.Second):
		return fmt.Errorf("%s does not end, not even when killed: it may hang on a disk", c.name)
	}
}

// processRecord is what state.json says of a child.
type processRecord struct {
	Name string `json:"name"`
	identity
	Since    time.Time `json:"since"`
	Restarts int       `json:"restarts"`
	LastEnd  string    `json:"lastEnd,omitempty"`
}

func (c *child) record() processRecord {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := processRecord{Name: c.name, Since: c.since.UTC().Truncate(time.Second), Restarts: c.restarts, LastEnd: c.lastEnd}
	if c.process != nil {
		r.identity = c.id
	}
	return r
}

// awaitReady polls check until it returns nil. It gives up when the process
// ends, at the limit, or with the context; the error then says what the process
// said last, or what was not ready.
func (c *child) awaitReady(ctx context.Context, limit time.Duration, check func(context.Context) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, errNotReadyInTime)
	defer cancel()
	var last error
	for {
		once, done := context.WithTimeout(ctx, 5*time.Second)
		err := check(once)
		done()
		if err == nil {
			return nil
		}
		if ctx.Err() == nil {
			last = err
		}
		select {
		case end := <-c.ended:
			return c.failure(end)
		default:
		}
		if stopped := pause(ctx, 25*time.Millisecond); stopped != nil {
			if !errors.Is(stopped, errNotReadyInTime) {
				return fmt.Errorf("wait for %s: %w", c.name, stopped)
			}
			return c.failure(fmt.Sprintf("not ready within %s: %v", limit, last))
		}
	}
}

var errNotReadyInTime = errors.New("not ready in time")

// failure explains why the process is of no use, with its own words.
func (c *child) failure(reason string) error {
	// What a process prints last may still be in the pipe when it is seen to end; Wait
	// has read the pipe to its end before ended is told.
	lines := tellingLines(c.output.tail(), 4)
	text := strings.Join(lines, "\n")
	hint := fmt.Sprintf("see %s", c.home.log(c.name))
	switch {
	case strings.Contains(text, "no space left on device"):
		hint = fmt.Sprintf("the disk of %s is full: free some space and run `slipway up` again", string(c.home))
	case strings.Contains(text, "address already in use"):
		hint = fmt.Sprintf("a port was taken meanwhile: run `slipway up` again, or choose with --%s and --%s", FlagAPIServerPort, FlagEtcdPort)
	}
	if text == "" {
		return fmt.Errorf("%s: %s; it printed nothing; %s", c.name, reason, hint)
	}
	return fmt.Errorf("%s: %s; %s; its last lines:\n%s", c.name, reason, hint, text)
}
