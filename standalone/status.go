// SPDX-License-Identifier: Apache-2.0

package standalone

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"
)

// State describes the management cluster of a data directory.
type State struct {
	Home string `json:"home"`
	// Running says whether a process holds the data directory; Ready whether
	// it has started everything; Healthy whether its API answers now.
	Running bool `json:"running"`
	Ready   bool `json:"ready"`
	Healthy bool `json:"healthy"`
	// Message says what is wrong, or that nothing runs; empty when all is well.
	Message             string    `json:"message,omitempty"`
	PID                 int       `json:"pid,omitempty"`
	Since               time.Time `json:"since,omitzero"`
	Detached            bool      `json:"detached,omitempty"`
	URL                 string    `json:"url,omitempty"`
	Kubeconfig          string    `json:"kubeconfig,omitempty"`
	ManagementClusterID string    `json:"managementClusterID,omitempty"`
	KubernetesVersion   string    `json:"kubernetesVersion,omitempty"`
	EtcdVersion         string    `json:"etcdVersion,omitempty"`
	Phases              []Phase   `json:"phases,omitempty"`
	Processes           []Process `json:"processes,omitempty"`
	Database            *Database `json:"database,omitempty"`
}

// Process is one process of a management cluster.
type Process struct {
	Name  string    `json:"name"`
	PID   int       `json:"pid,omitempty"`
	Since time.Time `json:"since,omitzero"`
	// Running is false between an unexpected end and the next start.
	Running bool `json:"running"`
	// Restarts counts starts after the first.
	Restarts int `json:"restarts"`
	// LastEnd is how it last ended, where it ever did.
	LastEnd string `json:"lastEnd,omitempty"`
	// ResidentBytes is its memory in RAM; 0 where it cannot be read.
	ResidentBytes int64 `json:"residentBytes,omitempty"`
}

// statusLimit bounds each question that Status asks the running cluster.
const statusLimit = 3 * time.Second

// Status tells what runs on a data directory; home may be empty, see
// DefaultHome. That nothing runs, or not well, is in the State and no error.
func Status(ctx context.Context, home string) (State, error) {
	dir, err := openDataDir(home)
	if err != nil {
		return State{}, err
	}
	state := State{Home: string(dir)}
	// Known when nothing runs, too: what was made stays, and carries it.
	if recorded, err := dir.readSettings(); err == nil {
		state.ManagementClusterID = recorded.ManagementClusterID
	}
	by, running := runningHolder(dir)
	var record runRecord
	err = readJSON(dir.stateFile(), &record)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return state, err
	}
	if !running {
		state.Message = notRunningMessage(dir, by, record)
		return state, nil
	}
	state.Running, state.PID, state.Since = true, by.PID, by.Since
	if record.identity != by.identity { // it has the lock and has not written its state yet
		state.Message = "starting"
		return state, nil
	}
	state.Ready, state.Detached, state.Phases = record.Ready, record.Detached, record.Phases
	state.URL = record.URL
	if record.ID != "" {
		state.ManagementClusterID = record.ID
	}
	state.KubernetesVersion, state.EtcdVersion = record.Settings.KubernetesVersion, record.Settings.EtcdVersion
	state.Processes = describeProcesses(by, record.Processes)
	if record.URL == "" {
		state.Message = "starting"
		return state, nil
	}
	state.Kubeconfig = dir.kubeconfig()
	probe, err := newHealthProbe(dir, record.URL)
	if err != nil {
		return state, err
	}
	asking, done := context.WithTimeout(ctx, statusLimit)
	defer done()
	if err := probe.ready(asking); err != nil {
		state.Message = fmt.Sprintf("kube-apiserver is not ready: %v; see %s", err, dir.log(apiServerName))
	}
	state.Database, err = readDatabase(ctx, dir, record.Settings.EtcdPort)
	if err != nil {
		state.Message = fmt.Sprintf("etcd is not ready: %v; see %s", err, dir.log(etcdName))
	}
	for _, process := range state.Processes {
		if state.Message == "" && !process.Running {
			state.Message = fmt.Sprintf("%s does not run (%s) and is being started again; see %s", process.Name, process.LastEnd, dir.log(process.Name))
		}
	}
	state.Healthy = state.Message == ""
	return state, nil
}

func notRunningMessage(dir dataDir, by holder, record runRecord) string {
	switch {
	case record.Error != "":
		return "not running: the last start failed: " + record.Error
	case by.PID != 0 && record.PID != 0:
		return fmt.Sprintf("not running: process %d ended without stopping cleanly; nothing is lost, start again with `slipway up`; its log: %s", by.PID, dir.log(ownLogName))
	case dir.hasData():
		return "not running: start it with `slipway up`"
	}
	return fmt.Sprintf("not running: there is no management cluster in %s yet; make one with `slipway up`", string(dir))
}

func describeProcesses(by holder, records []processRecord) []Process {
	own := Process{Name: "slipway", PID: by.PID, Since: by.Since, Running: true}
	own.ResidentBytes, _ = residentBytes(by.PID)
	processes := []Process{own}
	for _, record := range records {
		p := Process{Name: record.Name, PID: record.PID, Since: record.Since, Restarts: record.Restarts, LastEnd: record.LastEnd, Running: record.alive()}
		if p.Running {
			p.ResidentBytes, _ = residentBytes(record.PID)
		}
		processes = append(processes, p)
	}
	return processes
}

func readDatabase(ctx context.Context, dir dataDir, port int) (*Database, error) {
	c, err := newEtcdClient(dir, port)
	if err != nil {
		return nil, err
	}
	defer func() { _ = c.Close() }()
	ctx, done := context.WithTimeout(ctx, statusLimit)
	defer done()
	_, db, err := c.database(ctx)
	if err != nil {
		return nil, err
	}
	return &db, nil
}

// Stopped says what Down did.
type Stopped struct {
	// Running is false where no process ran the cluster.
	Running bool
	PID     int
	// Killed is set where the process did not end by itself in time. No data
	// is lost by it.
	Killed bool
	// Leftovers are the names of children without a parent that were ended.
	Leftovers []string
}

// downLimit is how long Down waits for a clean end before it kills: longer than
// Stop may take.
const downLimit = 45 * time.Second

// Down stops the management cluster of a data directory, detached or not, and
// returns when its processes are gone. That none runs is no error: see Stopped.
// Only the process that signed the lock is signalled, known by its start time
// and not by its pid alone. Ending the context hastens the end: the process is
// killed then.
func Down(ctx context.Context, home string) (Stopped, error) {
	dir, err := openDataDir(home)
	if err != nil {
		return Stopped{}, err
	}
	var stopped Stopped
	by, running := runningHolder(dir)
	if running {
		stopped.Running, stopped.PID = true, by.PID
		if stopped.Killed, err = end(ctx, by.identity, downLimit); err != nil {
			return stopped, err
		}
	}
	// Whoever starts meanwhile has the lock, and then nothing is a leftover.
	held, err := existingLock(ctx, dir)
	if err != nil || held == nil {
		return stopped, err
	}
	defer held.release()
	left, err := stopLeftovers(dir, 10*time.Second)
	for _, l := range left {
		stopped.Leftovers = append(stopped.Leftovers, l.name)
	}
	if err == nil {
		_ = os.Remove(dir.stateFile())
	}
	return stopped, err
}

// existingLock takes the lock of a data directory that exists; nil where there
// is none, or where it was taken by a new start.
func existingLock(ctx context.Context, dir dataDir) (*lock, error) {
	if _, err := os.Stat(dir.lockFile()); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	held, err := acquire(ctx, dir, lockPatience)
	if errors.Is(err, ErrLocked) {
		return nil, nil
	}
	return held, err
}

// end asks a process to end and kills it where it does not; true if it had to.
func end(ctx context.Context, id identity, limit time.Duration) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if err := id.signal(terminate); err != nil {
		if errors.Is(err, os.ErrProcessDone) {
			return false, nil
		}
		return false, fmt.Errorf("stop process %d: %w", id.PID, err)
	}
	for id.alive() {
		if pause(ctx, 25*time.Millisecond) == nil {
			continue
		}
		if err := id.signal(os.Kill); err != nil && !errors.Is(err, os.ErrProcessDone) {
			return false, fmt.Errorf("kill process %d: %w", id.PID, err)
		}
		for deadline := time.Now().Add(10 * time.Second); id.alive(); time.Sleep(10 * time.Millisecond) {
			if time.Now().After(deadline) {
				return true, fmt.Errorf("process %d does not end, not even when killed: it may hang on a disk", id.PID)
			}
		}
		return true, nil
	}
	return false, nil
}
