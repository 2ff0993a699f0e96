// SPDX-License-Identifier: Apache-2.0

package standalone

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"sync"
)

const (
	// logLimit bounds one log file, in bytes; one older file is kept beside it.
	logLimit = 8 << 20
	// tailLines and tailWidth bound what is kept of a log for error messages.
	tailLines = 40
	tailWidth = 600
)

// childLog takes what a child prints: to a file that is rotated at a limit, and
// its last lines to memory, from where error messages take them.
type childLog struct {
	mu      sync.Mutex
	path    string
	limit   int64
	file    *os.File
	size    int64
	partial []byte
	lines   []string
}

// openChildLog appends to the file at path.
func openChildLog(path string, limit int64) (*childLog, error) {
	l := &childLog{path: path, limit: limit}
	if err := l.open(); err != nil {
		return nil, explainWrite(fmt.Errorf("open log: %w", err))
	}
	return l, nil
}

func (l *childLog) open() error {
	file, err := os.OpenFile(l.path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	info, err := file.Stat()
	if err != nil {
		_ = file.Close()
		return err
	}
	l.file, l.size = file, info.Size()
	return nil
}

// Write never fails: a full disk must not stop the reading of the child's
// pipe, which would stop the child. The lines in memory are kept in any case.
func (l *childLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.keep(p)
	if l.file != nil && l.size > 0 && l.size+int64(len(p)) > l.limit {
		_ = l.file.Close()
		l.file = nil
		_ = os.Rename(l.path, l.path+".1")
	}
	if l.file == nil && l.open() != nil {
		return len(p), nil
	}
	n, _ := l.file.Write(p)
	l.size += int64(n)
	return len(p), nil
}

func (l *childLog) keep(p []byte) {
	l.partial = append(l.partial, p...)
	for {
		line, rest, found := bytes.Cut(l.partial, []byte("\n"))
		if !found {
			break
		}
		l.lines = append(l.lines, clip(string(line)))
		l.partial = rest
	}
	if len(l.partial) > tailWidth {
		l.partial = append([]byte(nil), l.partial[:tailWidth]...)
	}
	if extra := len(l.lines) - tailLines; extra > 0 {
		l.lines = append([]string(nil), l.lines[extra:]...)
	}
}

func clip(line string) string {
	if len(line) > tailWidth {
		return line[:tailWidth] + "..."
	}
	return line
}

// tail returns the last lines, oldest first, at most tailLines.
func (l *childLog) tail() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	lines := append([]string(nil), l.lines...)
	if len(l.partial) > 0 {
		lines = append(lines, clip(string(l.partial)))
	}
	return lines
}

// forget drops the lines in memory, so that a new start is not explained by an old one.
func (l *childLog) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines, l.partial = nil, nil
}

func (l *childLog) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file != nil {
		_ = l.file.Close()
		l.file = nil
	}
}

// tellingLines picks at most n lines that say why a process ended: those that
// look like errors, and where none does, the last ones.
func tellingLines(lines []string, n int) []string {
	var errorLines, plain []string
	for _, line := range lines {
		if strings.TrimSpace(line) == "" {
			continue
		}
		plain = append(plain, line)
		if looksLikeError(line) {
			errorLines = append(errorLines, line)
		}
	}
	chosen := errorLines
	if len(chosen) == 0 {
		chosen = plain
	}
	return chosen[max(0, len(chosen)-n):]
}

// looksLikeError knows klog's severity letters (E1123 ..., F1123 ...), zap's
// JSON levels, and what Go and cobra print when they give up.
func looksLikeError(line string) bool {
	if len(line) > 4 && (line[0] == 'E' || line[0] == 'F') && isDigits(line[1:5]) {
		return true
	}
	for _, sign := range []string{`"level":"error"`, `"level":"fatal"`, `"level":"panic"`} {
		if strings.Contains(line, sign) {
			return true
		}
	}
	lower := strings.ToLower(line)
	for _, prefix := range []string{"error:", "panic:", "fatal error:", "err:"} {
		if strings.HasPrefix(lower, prefix) {
			return true
		}
	}
	return false
}

func isDigits(s string) bool {
	for _, r := range s {
		if r < '0' || r > '9' {
			return false
		}
	}
	return s != ""
}

// tailOfFile returns the last lines of a file that start at or after offset
// from; none where the file does not exist.
func tailOfFile(path string, from int64, lines int) ([]string, error) {
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read log: %w", err)
	}
	defer func() { _ = file.Close() }()
	info, err := file.Stat()
	if err != nil {
		return nil, fmt.Errorf("read log: %w", err)
	}
	const window = 64 << 10
	start := max(info.Size()-window, 0)
	if from <= info.Size() { // else the file was cut meanwhile
		start = max(start, from)
	}
	content, err := io.ReadAll(io.NewSectionReader(file, start, info.Size()-start))
	if err != nil {
		return nil, fmt.Errorf("read log: %w", err)
	}
	all := strings.Split(strings.TrimRight(string(content), "\n"), "\n")
	if len(all) == 1 && all[0] == "" {
		return nil, nil
	}
	all = all[max(0, len(all)-lines):]
	for i := range all {
		all[i] = clip(all[i])
	}
	return all, nil
}

// boundFile keeps a log file that another process or this one has open for
// appending below a limit: its content moves to path.1 and it starts anew.
// Lines written between the copy and the cut are lost, which a log can bear.
func boundFile(path string, limit int64) error {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) || (err == nil && info.Size() <= limit) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("bound log: %w", err)
	}
	from, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("bound log: %w", err)
	}
	defer func() { _ = from.Close() }()
	to, err := os.OpenFile(path+".1", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("bound log: %w", err)
	}
	// Only the newest part is worth keeping where the file grew far over the limit.
	_, err = io.Copy(to, io.NewSectionReader(from, max(0, info.Size()-limit), limit))
	if closeErr := to.Close(); err == nil {
		err = closeErr
	}
	if err != nil && !errors.Is(err, io.EOF) {
		// Not being able to keep the old part (no space) is a reason to cut, not to keep on growing.
		_ = os.Remove(path + ".1")
	}
	if err := os.Truncate(path, 0); err != nil {
		return fmt.Errorf("bound log: %w", err)
	}
	return nil
}
