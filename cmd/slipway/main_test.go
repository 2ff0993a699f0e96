// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"
)

// neverEnding makes the test binary a process that does not end when it is asked to.
const neverEnding = "SLIPWAY_TEST_NEVER_ENDING"

// One interruption, told twice, stops in order; a later Ctrl-C does not wait for that, a later SIGTERM does.
func TestSecondInterruptionEndsAtOnce(t *testing.T) {
	if os.Getenv(neverEnding) != "" {
		ctx, stop := interruptible(t.Context())
		defer stop()
		fmt.Println("runs")
		<-ctx.Done()
		fmt.Println("stops")
		time.Sleep(time.Minute)
		return
	}
	for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		command := exec.Command(os.Args[0], "-test.run=^TestSecondInterruptionEndsAtOnce$")
		command.Env = append(os.Environ(), neverEnding+"=1")
		output, err := command.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := command.Start(); err != nil {
			t.Fatal(err)
		}
		said := bufio.NewScanner(output)
		hear(t, said, "runs")
		send(t, command, signal)
		send(t, command, signal)
		hear(t, said, "stops")
		time.Sleep(2 * sameWish)
		send(t, command, syscall.SIGTERM)
		send(t, command, syscall.SIGINT)
		began := time.Now()
		_ = command.Wait()
		status, _ := command.ProcessState.Sys().(syscall.WaitStatus)
		if !status.Signaled() || status.Signal() != syscall.SIGINT || time.Since(began) > 10*time.Second {
			t.Errorf("Ctrl-C after %s: %s after %s", signal, command.ProcessState, time.Since(began))
		}
	}
}

func hear(t *testing.T, said *bufio.Scanner, want string) {
	t.Helper()
	for said.Scan() {
		if said.Text() == want {
			return
		}
	}
	t.Fatalf("the process ended before it said %q: %v", want, said.Err())
}

func send(t *testing.T, command *exec.Cmd, signal syscall.Signal) {
	t.Helper()
	if err := command.Process.Signal(signal); err != nil {
		t.Fatal(err)
	}
}
