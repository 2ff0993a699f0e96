// SPDX-License-Identifier: Apache-2.0

package standalone

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// identity tells one process from every other that ever had its pid: the
// kernel's start time is part of it, and the boot, as start times count from it.
type identity struct {
	PID        int    `json:"pid"`
	StartTicks uint64 `json:"startTicks"`
	BootID     string `json:"bootID"`
}

// identify reads the identity of a process from /proc. The error is
// fs.ErrNotExist where there is no such process or it has ended and is only
// waiting to be collected by its parent.
func identify(pid int) (identity, error) {
	stat, err := readStat(pid)
	if err != nil {
		return identity{}, err
	}
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return identity{}, fmt.Errorf("read boot id: %w", err)
	}
	return identity{PID: pid, StartTicks: stat.startTicks, BootID: strings.TrimSpace(string(boot))}, nil
}

// alive says whether the very process that was identified still runs.
func (i identity) alive() bool {
	if i.PID <= 0 {
		return false
	}
	now, err := identify(i.PID)
	return err == nil && now == i
}

// signal sends to the identified process and to no other: the handle is taken
// first and the identity compared after, so that a pid used anew is not hit.
// It returns os.ErrProcessDone where the process is gone.
func (i identity) signal(signal os.Signal) error {
	process, err := os.FindProcess(i.PID)
	if err != nil {
		return fmt.Errorf("find process %d: %w", i.PID, err)
	}
	defer func() { _ = process.Release() }()
	if !i.alive() {
		return os.ErrProcessDone
	}
	return process.Signal(signal)
}

// processStat is the part of /proc/<pid>/stat that is used here.
type processStat struct {
	state      byte
	startTicks uint64
}

func readStat(pid int) (processStat, error) {
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return processStat{}, procError(err)
	}
	stat, err := parseStat(content)
	if err != nil {
		return processStat{}, fmt.Errorf("parse /proc/%d/stat: %w", pid, err)
	}
	if stat.state == 'Z' || stat.state == 'X' {
		return processStat{}, fs.ErrNotExist
	}
	return stat, nil
}

// parseStat reads proc_pid_stat(5): the command in parentheses may hold spaces
// and parentheses, so fields are counted from the last closing one; the state is
// field 3 and the start time field 22.
func parseStat(content []byte) (processStat, error) {
	end := bytes.LastIndexByte(content, ')')
	if end < 0 {
		return processStat{}, errors.New("no command")
	}
	fields := strings.Fields(string(content[end+1:]))
	if len(fields) < 20 {
		return processStat{}, fmt.Errorf("%d fields after the command, want at least 20", len(fields))
	}
	ticks, err := strconv.ParseUint(fields[19], 10, 64)
	if err != nil {
		return processStat{}, fmt.Errorf("start time: %w", err)
	}
	return processStat{state: fields[0][0], startTicks: ticks}, nil
}

// procError maps what /proc says of a process that has just gone.
func procError(err error) error {
	if errors.Is(err, fs.ErrNotExist) || strings.Contains(err.Error(), "no such process") {
		return fs.ErrNotExist
	}
	return err
}

// residentBytes is the memory of a process that is in RAM (VmRSS), in bytes.
func residentBytes(pid int) (int64, error) {
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, procError(err)
	}
	for line := range strings.Lines(string(content)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kib, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 64)
			if err != nil {
				return 0, fmt.Errorf("parse VmRSS of %d: %w", pid, err)
			}
			return kib << 10, nil
		}
	}
	return 0, fmt.Errorf("no VmRSS of %d", pid)
}

// processIDs lists every process that /proc shows.
func processIDs() ([]int, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	var pids []int
	for _, entry := range entries {
		if pid, err := strconv.Atoi(entry.Name()); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

// commandLine returns a process's arguments, nil where they cannot be read.
func commandLine(pid int) []string {
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil || len(content) == 0 {
		return nil
	}
	return strings.Split(strings.TrimSuffix(string(content), "\x00"), "\x00")
}

// workingDirectory is empty where it cannot be read. A directory that has been
// removed since is given under its old name.
func workingDirectory(pid int) string {
	dir, err := os.Readlink(fmt.Sprintf("/proc/%d/cwd", pid))
	if err != nil {
		return ""
	}
	return strings.TrimSuffix(dir, " (deleted)")
}

// childMarks are the arguments by which a child is known, besides its name and
// its working directory, which is the data directory. They are relative paths
// on purpose: they mean something in that directory only.
var childMarks = map[string]string{
	etcdName:              "--data-dir=etcd",
	apiServerName:         "--encryption-provider-config=encryption.yaml",
	controllerManagerName: "--kubeconfig=pki/kube-controller-manager.kubeconfig",
}

// isChildOf says whether a command line and working directory are those of a
// child that was started for the data directory.
func isChildOf(home dataDir, arguments []string, workingDir string) bool {
	if len(arguments) == 0 || workingDir != string(home) {
		return false
	}
	mark, ok := childMarks[filepath.Base(arguments[0])]
	if !ok {
		return false
	}
	for _, argument := range arguments[1:] {
		if argument == mark {
			return true
		}
	}
	return false
}

// leftover is a child whose parent is gone.
type leftover struct {
	identity
	name string
}

// leftovers finds children of a data directory that still run. Only the holder
// of the lock, or one that has seen the holder end, may ask: for anyone else
// they are not leftovers but the running cluster.
//
// The processes themselves are looked at, not a file of recorded pids: a file
// is always older than the fork it should record.
func leftovers(home dataDir) ([]leftover, error) {
	pids, err := processIDs()
	if err != nil {
		return nil, err
	}
	var found []leftover
	for _, pid := range pids {
		// The identity is read first: if the pid changes hands between the
		// two reads, signal refuses.
		id, err := identify(pid)
		if err != nil {
			continue
		}
		arguments := commandLine(pid)
		if isChildOf(home, arguments, workingDirectory(pid)) {
			found = append(found, leftover{identity: id, name: filepath.Base(arguments[0])})
		}
	}
	return found, nil
}

// stopLeftovers kills and waits. SIGKILL is right here: the parent's own end
// would have sent it (see child.start), and etcd loses nothing by it.
func stopLeftovers(home dataDir, wait time.Duration) ([]leftover, error) {
	found, err := leftovers(home)
	if err != nil {
		return nil, err
	}
	for _, l := range found {
		if err := l.signal(os.Kill); err != nil && !errors.Is(err, os.ErrProcessDone) {
			return nil, fmt.Errorf("stop %s (process %d) left by an earlier `slipway up`: %w", l.name, l.PID, err)
		}
	}
	deadline := time.Now().Add(wait)
	for _, l := range found {
		for l.alive() {
			if time.Now().After(deadline) {
				return nil, fmt.Errorf("%s (process %d) left by an earlier `slipway up` does not end: it may hang on a disk; look at it with `ps -o pid,stat,wchan,args %d`", l.name, l.PID, l.PID)
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
	return found, nil
}
