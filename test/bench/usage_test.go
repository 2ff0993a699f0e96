// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/slipway-project/slipway/standalone"
)

func TestMeasure(t *testing.T) {
	before, resident, err := readProcess(os.Getpid())
	if err != nil || resident < 1<<20 {
		t.Fatalf("this process has %d bytes in RAM: %v", resident, err)
	}
	me := []standalone.Process{{Name: "me", PID: os.Getpid()}}
	m := measure(t.Context(), me)
	for now := before; now < before+200*time.Millisecond; { // busy for as long as that
		if now, _, err = readProcess(os.Getpid()); err != nil {
			t.Fatal(err)
		}
	}
	used, err := m.end()
	if err != nil || used["me"].peak < 1<<20 || used["me"].cpu < 100*time.Millisecond || used["me"].cpu > time.Minute {
		t.Errorf("used %+v, %v", used, err)
	}
	// What it had used before does not count.
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if used, err = measure(ended, me).end(); err != nil || used["me"].cpu >= before+200*time.Millisecond {
		t.Errorf("used %+v, %v", used, err)
	}
}

// Figures of a process that was started again meanwhile would be wrong.
func TestMeasureEnded(t *testing.T) {
	gone := exec.Command("true")
	if err := gone.Run(); err != nil {
		t.Fatal(err)
	}
	if _, err := measure(t.Context(), []standalone.Process{{Name: "etcd", PID: gone.Process.Pid}}).end(); err == nil || !strings.Contains(err.Error(), "look at etcd") {
		t.Errorf("got %v", err)
	}
}
