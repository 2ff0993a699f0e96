// SPDX-License-Identifier: Apache-2.0

package nodeimage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// command is a program to run as part of a build.
type command struct {
	dir     string
	env     []string // added to the environment
	stdin   io.Reader
	program string
	args    []string
	// isolated gives it mount and process namespaces of its own, so that what it
	// mounts and starts is gone with it however it ends. Needs root.
	isolated bool
}

// run runs the program and returns its standard output. Its error holds the last
// lines that it printed, as errors if there are such. The program does not outlive this process; what it
// started itself may, unless isolated.
func (c command) run(ctx context.Context) (string, error) {
	var stdout bytes.Buffer
	// Two, because each is written by a goroutine of its own.
	var outputTail, errorTail tailWriter
	process := exec.CommandContext(ctx, c.program, c.args...)
	process.Dir = c.dir
	process.Env = append(os.Environ(), c.env...)
	process.Stdin = c.stdin
	process.Stdout = io.MultiWriter(&stdout, &outputTail)
	process.Stderr = &errorTail
	process.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if c.isolated {
		process.SysProcAttr.Cloneflags = syscall.CLONE_NEWPID
		process.SysProcAttr.Unshareflags = syscall.CLONE_NEWNS
	}
	process.Cancel = func() error { return syscall.Kill(-process.Process.Pid, syscall.SIGKILL) }
	process.WaitDelay = 5 * time.Second

	// The kernel sends the parent-death signal when the starting thread ends.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err := process.Run()
	if ctx.Err() != nil {
		return "", ctx.Err()
	}
	if err != nil {
		text := errorTail.String()
		if text == "" {
			text = outputTail.String()
		}
		if text != "" {
			return "", fmt.Errorf("%w:\n%s", err, text)
		}
		return "", err
	}
	return stdout.String(), nil
}

// tailWriter keeps the end of what is written.
type tailWriter struct{ data []byte }

const tailSize = 3000 // bytes

func (w *tailWriter) Write(p []byte) (int, error) {
	w.data = append(w.data, p...)
	if len(w.data) > 2*tailSize {
		w.data = append([]byte(nil), w.data[len(w.data)-tailSize:]...)
	}
	return len(p), nil
}

func (w *tailWriter) String() string {
	data := w.data
	if len(data) > tailSize {
		data = data[len(data)-tailSize:]
	}
	return strings.TrimSpace(string(data))
}

// findProgram looks a program up and says what to do when it is missing.
func findProgram(name, purpose, remedy string) (string, error) {
	path, err := exec.LookPath(name)
	if errors.Is(err, exec.ErrNotFound) && os.Getenv("PATH") != "" {
		// Administrators' programs are often not on an ordinary user's path.
		for _, dir := range []string{"/usr/sbin/", "/sbin/", "/usr/local/go/bin/"} {
			if _, statErr := os.Stat(dir + name); statErr == nil {
				return dir + name, nil
			}
		}
	}
	if err != nil {
		return "", fmt.Errorf("%s needs %s, which is not installed; %s", purpose, name, remedy)
	}
	return path, nil
}
