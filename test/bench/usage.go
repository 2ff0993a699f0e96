// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/slipway-project/slipway/standalone"
)

// usage is what a process took while something happened.
type usage struct {
	cpu time.Duration
	// peak is the most memory that it had in RAM, in bytes.
	peak int64
}

// measuring looks at processes until end is called.
type measuring struct {
	processes []standalone.Process
	// before is what each had used when it began.
	before map[string]time.Duration
	used   map[string]usage
	stop   context.CancelFunc
	result chan error
}

// measure begins to look at the processes of a management cluster.
func measure(ctx context.Context, processes []standalone.Process) *measuring {
	ctx, stop := context.WithCancel(ctx)
	m := &measuring{processes: processes, before: map[string]time.Duration{}, used: map[string]usage{}, stop: stop, result: make(chan error, 1)}
	if err := m.look(); err != nil {
		m.result <- err
		return m
	}
	go func() { m.result <- m.watch(ctx) }()
	return m
}

func (m *measuring) watch(ctx context.Context) error {
	ticker := time.NewTicker(500 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return m.look()
		case <-ticker.C:
		}
		if err := m.look(); err != nil {
			return err
		}
	}
}

func (m *measuring) look() error {
	for _, process := range m.processes {
		cpu, resident, err := readProcess(process.PID)
		if err != nil {
			return fmt.Errorf("look at %s, which has ended or was started again: %w", process.Name, err)
		}
		if _, known := m.before[process.Name]; !known {
			m.before[process.Name] = cpu
		}
		m.used[process.Name] = usage{cpu: cpu - m.before[process.Name], peak: max(m.used[process.Name].peak, resident)}
	}
	return nil
}

// end gives what the processes took since measure. That one of them has ended meanwhile is an error.
func (m *measuring) end() (map[string]usage, error) {
	m.stop()
	if err := <-m.result; err != nil {
		return nil, err
	}
	return m.used, nil
}

// readProcess reads the time that a process has had on all processors since it began, and its memory in RAM.
func readProcess(pid int) (cpu time.Duration, resident int64, err error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, 0, err
	}
	// The second field is the program's name in parentheses, which may hold anything; the 14th and the 15th are the time in
	// the process itself and in the kernel, in ticks of which Linux shows a hundred a second. The 24th is in pages.
	_, rest, _ := strings.Cut(string(stat[strings.LastIndexByte(string(stat), ')')+1:]), " ")
	fields := strings.Fields(rest)
	if len(fields) < 22 {
		return 0, 0, fmt.Errorf("read /proc/%d/stat: %q has too few fields", pid, stat)
	}
	var numbers [3]int64
	for i, field := range []string{fields[11], fields[12], fields[21]} {
		if numbers[i], err = strconv.ParseInt(field, 10, 64); err != nil {
			return 0, 0, fmt.Errorf("read /proc/%d/stat: %w", pid, err)
		}
	}
	return time.Duration(numbers[0]+numbers[1]) * time.Second / 100, numbers[2] * int64(os.Getpagesize()), nil
}
