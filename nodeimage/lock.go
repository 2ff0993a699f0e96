// SPDX-License-Identifier: Apache-2.0

package nodeimage

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// unfinished prefixes the names of directories that are being built. Whoever
// holds the lock may remove any it did not make: their maker died.
const unfinished = ".unfinished-"

// lockCache takes the lock that lets one process build into a cache at a time
// and clears away what a killed one left. It waits while another builds. The
// kernel drops the lock when its holder dies, in whatever way.
func lockCache(ctx context.Context, o Options, cache string) (unlock func(), err error) {
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return nil, fmt.Errorf("create cache directory: %w; set SLIPWAY_CACHE to a directory that can be written", err)
	}
	path := filepath.Join(cache, "build.lock")
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|syscall.O_CLOEXEC, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open build lock: %w", err)
	}
	if err := waitForLock(ctx, o, file, path); err != nil {
		_ = file.Close()
		return nil, err
	}
	if err := removeUnfinished(cache); err != nil {
		_ = file.Close()
		return nil, err
	}
	// Modes in images must not depend on the user's umask. It belongs to the whole
	// process; this is the usual one.
	before := syscall.Umask(0o022)
	return func() {
		syscall.Umask(before)
		_ = file.Close()
	}, nil
}

func waitForLock(ctx context.Context, o Options, file *os.File, path string) error {
	var waited func(string)
	for {
		err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			if waited != nil {
				waited("")
			}
			return nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			return fmt.Errorf("lock %s: %w", path, err)
		}
		if waited == nil {
			waited = o.phase("Waiting for another build", path)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for another build that holds %s: %w", path, ctx.Err())
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// removeUnfinished removes unfinished directories in the cache and one level below.
func removeUnfinished(cache string) error {
	for _, dir := range []string{cache, filepath.Join(cache, "binaries"), filepath.Join(cache, "base"), filepath.Join(cache, "images")} {
		entries, err := os.ReadDir(dir)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("clear unfinished builds: %w", err)
		}
		for _, entry := range entries {
			if strings.HasPrefix(entry.Name(), unfinished) {
				if err := os.RemoveAll(filepath.Join(dir, entry.Name())); err != nil {
					return fmt.Errorf("clear unfinished builds: %w", err)
				}
			}
		}
	}
	return nil
}

// makeUnfinished makes a directory beside path to build its content in. Its name
// is new each time: a killed build's last child cannot write into it.
func makeUnfinished(path string) (string, error) {
	parent := filepath.Dir(path)
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return "", fmt.Errorf("create directory: %w", err)
	}
	dir, err := os.MkdirTemp(parent, unfinished+filepath.Base(path)+"-*")
	if err != nil {
		return "", fmt.Errorf("create directory: %w", err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		return "", fmt.Errorf("create directory: %w", err)
	}
	return dir, nil
}

// replaceDir puts the finished directory from in the place of to. Processes that
// run programs of the old one keep them; killed half-way, the next build finds
// to missing and makes it again.
func replaceDir(from, to string) error {
	old := filepath.Join(filepath.Dir(to), unfinished+"old-"+filepath.Base(to))
	if err := os.RemoveAll(old); err != nil {
		return fmt.Errorf("replace %s: %w", to, err)
	}
	if err := os.Rename(to, old); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("replace %s: %w", to, err)
	}
	if err := os.Rename(from, to); err != nil {
		return fmt.Errorf("replace %s: %w", to, err)
	}
	if err := os.RemoveAll(old); err != nil {
		return fmt.Errorf("remove replaced %s: %w", old, err)
	}
	return nil
}
