// SPDX-License-Identifier: Apache-2.0

package containers

import (
	"errors"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	inotifyInstances       = "fs.inotify.max_user_instances"
	wantedInotifyInstances = 1024
)

// inotifyExhausted tells whether the user that nodes run as (root) has no inotify instance left on this host. systemd,
// containerd and the kubelet each take several; without, systemd in a new node stops before it starts anything, and says so
// on a console that nobody reads. It can tell only when the engine is on this host and this process is root too: the limit
// is per user.
func (c *Client) inotifyExhausted() error {
	if !strings.HasPrefix(c.engine.Host, "unix://") || os.Geteuid() != 0 {
		return nil
	}
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC)
	if err == nil {
		_ = unix.Close(fd)
	}
	return inotifyVerdict(err, sysctl("/proc/sys/fs/inotify/max_user_instances"))
}

// inotifyVerdict tells what the attempt to make an inotify instance means: only "no more for this user" says that nodes
// will fail, every other failure is this process's own.
func inotifyVerdict(attempt error, limit int) error {
	if !errors.Is(attempt, unix.EMFILE) {
		return nil
	}
	return &KernelLimitError{Sysctl: inotifyInstances, Value: limit, Wanted: wantedInotifyInstances}
}

// sysctl reads a number from /proc/sys; 0 when it cannot.
func sysctl(path string) int {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	value, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return 0
	}
	return value
}

// knownCause looks in what a node wrote (its console, its journal) for a cause with a known
// remedy, and returns it, or nil.
func knownCause(output string) error {
	text := strings.ToLower(output)
	switch {
	case strings.Contains(text, "inotify") && strings.Contains(text, "too many open files"),
		strings.Contains(text, "failed to allocate manager object: too many open files"),
		strings.Contains(text, "inotify_init: too many open files"):
		return &KernelLimitError{Sysctl: inotifyInstances, Wanted: wantedInotifyInstances}
	case strings.Contains(text, "inotify") && strings.Contains(text, "no space left on device"):
		return &KernelLimitError{Sysctl: "fs.inotify.max_user_watches", Wanted: 524288}
	case strings.Contains(text, "no space left on device"):
		return explain(errors.New("no space left on device"))
	}
	return nil
}
