// SPDX-License-Identifier: Apache-2.0

package standalone

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"
)

// ErrLocked says that another process runs the management cluster of a data
// directory. Errors that wrap it name the process and the next step.
var ErrLocked = errors.New("the management cluster already runs")

// holder is what the lock file says of the process that holds it.
type holder struct {
	identity
	Since time.Time `json:"since"`
}

// lock is a held lock on a data directory. The kernel lets go of it when the
// process ends in whatever way, as the descriptor is not inherited by children.
type lock struct{ file *os.File }

// lockPatience bounds the wait for a lock that is held by a process which is
// just ending, so that `slipway up` right after `kill -9` works.
const lockPatience = 2 * time.Second

// endingPatience is how long a holder that seems alive may still be one that
// was just killed: until the kernel has taken it down it looks alive.
const endingPatience = 500 * time.Millisecond

// takeLock takes the lock to run the cluster, or returns an error that wraps ErrLocked.
func takeLock(ctx context.Context, home dataDir, patience time.Duration) (*lock, error) {
	held, err := acquire(ctx, home, patience)
	if err != nil {
		return nil, err
	}
	if err := held.sign(); err != nil {
		held.release()
		return nil, err
	}
	return held, nil
}

// acquire takes the lock and does not sign it: whoever signs is taken for the process
// that runs the cluster, and may be asked to end.
func acquire(ctx context.Context, home dataDir, patience time.Duration) (*lock, error) {
	file, err := os.OpenFile(home.lockFile(), os.O_RDWR|os.O_CREATE|syscall.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, explainWrite(fmt.Errorf("open lock: %w", err))
	}
	began := time.Now()
	for {
		err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			break
		}
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			_ = file.Close()
			return nil, fmt.Errorf("lock %s: %w", home.lockFile(), err)
		}
		by, readable := readHolder(home)
		// A holder that stays alive will not let go; one that is not named or
		// not alive is starting or ending.
		limit := patience
		if readable && by.alive() {
			limit = min(patience, endingPatience)
		}
		if time.Since(began) >= limit {
			_ = file.Close()
			return nil, lockedError(home, by, readable)
		}
		if err := pause(ctx, 20*time.Millisecond); err != nil {
			_ = file.Close()
			return nil, err
		}
	}
	return &lock{file: file}, nil
}

func lockedError(home dataDir, by holder, readable bool) error {
	const next = "see `slipway status`, stop it with `slipway down`"
	if !readable || by.PID == 0 {
		return fmt.Errorf("%w in %s, by a process that has not named itself: %s", ErrLocked, string(home), next)
	}
	return fmt.Errorf("%w in %s, by process %d since %s: %s",
		ErrLocked, string(home), by.PID, by.Since.Local().Format(time.DateTime), next)
}

// sign writes who holds the lock. The file is written in place: replacing it
// would replace what is locked.
func (l *lock) sign() error {
	self, err := identify(os.Getpid())
	if err != nil {
		return fmt.Errorf("identify own process: %w", err)
	}
	content, err := json.Marshal(holder{identity: self, Since: time.Now().UTC().Truncate(time.Second)})
	if err != nil {
		return fmt.Errorf("encode lock: %w", err)
	}
	if err := l.file.Truncate(0); err != nil {
		return explainWrite(fmt.Errorf("write lock: %w", err))
	}
	if _, err := l.file.WriteAt(append(content, '\n'), 0); err != nil {
		return explainWrite(fmt.Errorf("write lock: %w", err))
	}
	return nil
}

// release lets go. The file stays: removing it could leave two processes with
// locks on two files of one name.
func (l *lock) release() {
	_ = l.file.Truncate(0)
	_ = l.file.Close()
}

// readHolder returns who last signed the lock; false where nobody did, the
// holder let go, or it is signing right now.
func readHolder(home dataDir) (holder, bool) {
	file, err := os.Open(home.lockFile())
	if err != nil {
		return holder{}, false
	}
	defer func() { _ = file.Close() }()
	content, err := io.ReadAll(io.LimitReader(file, 4096))
	if err != nil {
		return holder{}, false
	}
	var by holder
	if json.Unmarshal(content, &by) != nil || by.PID == 0 {
		return holder{}, false
	}
	return by, true
}

// runningHolder returns the process that runs the cluster; false where none does.
func runningHolder(home dataDir) (holder, bool) {
	by, ok := readHolder(home)
	return by, ok && by.alive()
}

// stayingHolder returns the process that runs the cluster and goes on running;
// false where none does or it was just killed.
func stayingHolder(ctx context.Context, home dataDir) (holder, bool) {
	for began := time.Now(); ; {
		by, running := runningHolder(home)
		if !running || time.Since(began) >= endingPatience || pause(ctx, 20*time.Millisecond) != nil {
			return by, running
		}
	}
}

// pause waits, or returns why the context ended: an error that is both
// context.Canceled or context.DeadlineExceeded and the cause, like a signal.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		cause := context.Cause(ctx)
		if errors.Is(cause, ctx.Err()) {
			return cause
		}
		return fmt.Errorf("%w: %w", ctx.Err(), cause)
	case <-timer.C:
		return nil
	}
}
