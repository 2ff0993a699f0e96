// SPDX-License-Identifier: Apache-2.0

package standalone

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	// detachedVariable is set for the process that Detach starts.
	detachedVariable = "SLIPWAY_DETACHED"
	// ownLogName is the log of the detached process itself.
	ownLogName = "slipway"
	terminate  = syscall.SIGTERM
)

// Detach runs this binary again with the given arguments, without its first one
// (the program), in a session of its own, and returns when that process has
// called MarkReady. The process must call Start on the same data directory,
// which is also in its $SLIPWAY_HOME. It prints to logs/slipway.log there.
// Of the options, Home and Progress are used; progress is the other process's.
//
// Where the process ends before it is ready, the error has its reason and last
// lines. Where the context ends, the process is stopped.
func Detach(ctx context.Context, options Options, arguments []string) (State, error) {
	home, err := openDataDir(options.Home)
	if err != nil {
		return State{}, err
	}
	if home, err = home.create(); err != nil {
		return State{}, err
	}
	if by, running := stayingHolder(ctx, home); running {
		return State{}, lockedError(home, by, true)
	}
	command, from, err := detachedCommand(home, arguments)
	if err != nil {
		return State{}, err
	}
	if err := command.Start(); err != nil {
		return State{}, fmt.Errorf("start detached process: %w", err)
	}
	_ = command.Stdout.(*os.File).Close()
	id, err := identify(command.Process.Pid)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return State{}, err
	}
	ended := make(chan error, 1)
	go func() { ended <- command.Wait() }()
	shown := map[string]bool{}
	for {
		// Whether it has ended is asked before its state is read, so that what
		// it wrote last is seen.
		var exit error
		over := false
		select {
		case exit = <-ended:
			over = true
		default:
		}
		var record runRecord
		mine := readJSON(home.stateFile(), &record) == nil && record.identity == id
		if mine {
			showPhases(record.Phases, shown, options.Progress)
		}
		switch {
		case over:
			return State{}, detachedFailure(home, exit, record, mine, from)
		case mine && record.Ready:
			return Status(ctx, string(home))
		}
		if cause := pause(ctx, 50*time.Millisecond); cause != nil {
			// Not the ended context: that would kill at once.
			if _, err := end(context.WithoutCancel(ctx), id, downLimit); err != nil {
				return State{}, errors.Join(cause, err)
			}
			return State{}, fmt.Errorf("start detached process: %w; it was stopped", cause)
		}
	}
}

// detachedCommand also returns where in the log the new process will begin.
func detachedCommand(home dataDir, arguments []string) (*exec.Cmd, int64, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, 0, fmt.Errorf("find own binary: %w", err)
	}
	path := home.log(ownLogName)
	if err := boundFile(path, logLimit); err != nil {
		return nil, 0, err
	}
	output, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return nil, 0, explainWrite(fmt.Errorf("open log: %w", err))
	}
	info, err := output.Stat()
	if err != nil {
		_ = output.Close()
		return nil, 0, fmt.Errorf("open log: %w", err)
	}
	command := exec.Command(self, arguments...)
	command.Env = append(os.Environ(), detachedVariable+"=1", HomeVariable+"="+string(home))
	command.Stdout, command.Stderr = output, output
	// A session of its own: the terminal's signals and its end do not reach it.
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	keepInherited()
	return command, info.Size(), nil
}

// keepInherited keeps open files that this process was started with from the next
// one, which stays: a lock held by them, as with flock(1), or the end of a pipe that
// somebody reads to its end, would stay too. Files that Go opens are kept in any case.
func keepInherited() {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return // without it nothing worse happens than what is said above
	}
	for _, entry := range entries {
		if fd, err := strconv.Atoi(entry.Name()); err == nil && fd > 2 {
			syscall.CloseOnExec(fd)
		}
	}
}

// showPhases passes each beginning and each end on once.
func showPhases(phases []Phase, shown map[string]bool, progress func(string, bool, string)) {
	if progress == nil {
		return
	}
	for _, phase := range phases {
		if key := "began " + phase.Name; !shown[key] {
			shown[key] = true
			progress(phase.Name, false, "")
		}
		if key := "ended " + phase.Name; phase.Done && !shown[key] {
			shown[key] = true
			progress(phase.Name, true, phase.Detail)
		}
	}
}

func detachedFailure(home dataDir, exit error, record runRecord, mine bool, from int64) error {
	if mine && record.Error != "" {
		return errors.New(record.Error)
	}
	how := "exit status 0"
	if exit != nil {
		how = exit.Error()
	}
	lines, _ := tailOfFile(home.log(ownLogName), from, 10)
	if len(lines) == 0 {
		return fmt.Errorf("the detached process ended before it was ready (%s) and printed nothing; run `slipway up` without --detach to see more", how)
	}
	return fmt.Errorf("the detached process ended before it was ready (%s); its last lines, from %s:\n%s", how, home.log(ownLogName), strings.Join(lines, "\n"))
}
