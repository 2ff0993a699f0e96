// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"syscall"
	"time"
)

// runFloor runs a script that does with plain kubeadm what we do. heard is told each phase as the script tells it; an error
// that it gives ends the script.
func runFloor(ctx context.Context, heard func(phase string) error, script string, arguments ...string) (timing, error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	command := exec.CommandContext(ctx, script, arguments...)
	// A shell that waits for a command ends after it only, so all of them are told. The group is its own, so that Ctrl-C does
	// not end what it cleans up with.
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	// They are told again until the script has ended: a command that the shell was about to start was not there to be told.
	ended := make(chan struct{})
	defer close(ended)
	command.Cancel = func() error {
		go tellAgain(command.Process.Pid, ended)
		return syscall.Kill(-command.Process.Pid, syscall.SIGTERM)
	}
	command.WaitDelay = time.Minute
	var stderr bytes.Buffer
	command.Stderr = &stderr
	output, err := command.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("run %s: %w", script, err)
	}
	if err := command.Start(); err != nil {
		return nil, fmt.Errorf("run %s: %w", script, err)
	}
	taken, problem := readPhases(output, heard)
	if problem != nil {
		stop()
	}
	if err := command.Wait(); err != nil || problem != nil {
		return nil, fmt.Errorf("run %s: %w\n%s", script, errors.Join(problem, err), stderr.String())
	}
	return taken, nil
}

// tellAgain asks a process group to end every second until the channel is closed.
func tellAgain(group int, ended <-chan struct{}) {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-ended:
			return
		case <-ticker.C:
			_ = syscall.Kill(-group, syscall.SIGTERM)
		}
	}
}

// readPhases reads what a script tells: lines of a phase and of the seconds when it was over.
func readPhases(output io.Reader, heard func(phase string) error) (timing, error) {
	taken := timing{}
	scanner := bufio.NewScanner(output)
	for scanner.Scan() {
		var phase string
		var seconds float64
		if _, err := fmt.Sscan(scanner.Text(), &phase, &seconds); err != nil {
			return nil, fmt.Errorf("read %q: %w", scanner.Text(), err)
		}
		taken[phase] = time.Duration(seconds * float64(time.Second))
		if err := heard(phase); err != nil {
			return nil, err
		}
	}
	return taken, scanner.Err()
}
