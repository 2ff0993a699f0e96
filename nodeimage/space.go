// SPDX-License-Identifier: Apache-2.0

package nodeimage

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

const gibibyte = 1 << 30

// need is disk space that a build will take in a directory.
type need struct {
	path  string
	bytes uint64
	what  string
}

// free is what a directory's file system has left.
type free struct {
	filesystem uint64
	bytes      uint64
}

// checkSpace compares needs with what is free, adding up those that share a
// file system, and says how much is missing and where.
func checkSpace(needs []need, measure func(path string) (free, error)) error {
	type total struct {
		need
		free uint64
	}
	var totals []*total
	byFilesystem := map[uint64]*total{}
	for _, n := range needs {
		left, err := measure(n.path)
		if err != nil {
			return fmt.Errorf("measure free disk space: %w", err)
		}
		if known := byFilesystem[left.filesystem]; known != nil {
			known.bytes += n.bytes
			known.what += ", " + n.what
			continue
		}
		entry := &total{need: n, free: left.bytes}
		byFilesystem[left.filesystem] = entry
		totals = append(totals, entry)
	}
	var problems []string
	for _, t := range totals {
		if t.free < t.bytes {
			problems = append(problems, fmt.Sprintf("the file system of %s has %s free, the build takes about %s there (%s)", t.path, gibibytes(t.free), gibibytes(t.bytes), t.what))
		}
	}
	if len(problems) == 0 {
		return nil
	}
	return fmt.Errorf("not enough disk space: %s; free some, or set SLIPWAY_CACHE and GOCACHE to directories on a larger disk", strings.Join(problems, "; "))
}

func gibibytes(bytes uint64) string {
	return fmt.Sprintf("%.1f GiB", float64(bytes)/gibibyte)
}

// measureFree measures the file system that path is or would be created on.
func measureFree(path string) (free, error) {
	for {
		var stat syscall.Statfs_t
		err := syscall.Statfs(path, &stat)
		if errors.Is(err, syscall.ENOENT) && path != filepath.Dir(path) {
			path = filepath.Dir(path)
			continue
		}
		if err != nil {
			return free{}, fmt.Errorf("stat file system of %s: %w", path, err)
		}
		info, err := os.Stat(path)
		if err != nil {
			return free{}, err
		}
		var device uint64
		if sys, ok := info.Sys().(*syscall.Stat_t); ok {
			device = uint64(sys.Dev)
		}
		return free{filesystem: device, bytes: stat.Bavail * uint64(stat.Bsize)}, nil
	}
}
