// SPDX-License-Identifier: Apache-2.0

package standalone

import (
	"os"
	"slices"
	"sync"
	"time"
)

// Phase is a step of a start.
type Phase struct {
	Name   string    `json:"name"`
	Done   bool      `json:"done"`
	Detail string    `json:"detail,omitempty"`
	Began  time.Time `json:"began"`
	Ended  time.Time `json:"ended,omitzero"`
}

// runRecord is state.json: what the running process tells the others.
type runRecord struct {
	identity
	Since     time.Time       `json:"since"`
	Detached  bool            `json:"detached"`
	Ready     bool            `json:"ready"`
	Error     string          `json:"error,omitempty"`
	ID        string          `json:"managementClusterID,omitempty"`
	URL       string          `json:"url,omitempty"`
	Settings  settings        `json:"settings"`
	Phases    []Phase         `json:"phases"`
	Processes []processRecord `json:"processes"`
}

// reporter keeps state.json and passes progress on. The lock must be held.
type reporter struct {
	mu       sync.Mutex
	home     dataDir
	record   runRecord
	progress func(string, bool, string)
	removed  bool
}

func newReporter(home dataDir, progress func(string, bool, string)) (*reporter, error) {
	self, err := identify(os.Getpid())
	if err != nil {
		return nil, err
	}
	r := &reporter{home: home, progress: progress, record: runRecord{
		identity: self, Since: time.Now().UTC().Truncate(time.Second), Detached: os.Getenv(detachedVariable) != "",
		Phases: []Phase{}, Processes: []processRecord{},
	}}
	return r, r.update(func(*runRecord) {})
}

func (r *reporter) update(change func(*runRecord)) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	change(&r.record)
	if r.removed {
		return nil
	}
	return writeJSON(r.home.stateFile(), r.record)
}

func (r *reporter) phase(name string, done bool, detail string) error {
	err := r.update(func(record *runRecord) {
		now := time.Now().UTC()
		at := slices.IndexFunc(record.Phases, func(p Phase) bool { return p.Name == name })
		if at < 0 {
			record.Phases = append(record.Phases, Phase{Name: name, Began: now})
			at = len(record.Phases) - 1
		}
		p := &record.Phases[at]
		p.Done, p.Detail = done, detail
		if done {
			p.Ended = now
		}
	})
	if r.progress != nil {
		r.progress(name, done, detail)
	}
	return err
}

func (r *reporter) ready() error {
	return r.update(func(record *runRecord) { record.Ready = true })
}

// The following may fail only where the disk is full, which must not stop a
// running cluster: the next change writes all of it again.

func (r *reporter) fail(err error) {
	_ = r.update(func(record *runRecord) { record.Error = err.Error() })
}

func (r *reporter) identity(id, url string, s settings) {
	_ = r.update(func(record *runRecord) { record.ID, record.URL, record.Settings = id, url, s })
}

func (r *reporter) process(changed processRecord) {
	_ = r.update(func(record *runRecord) {
		at := slices.IndexFunc(record.Processes, func(p processRecord) bool { return p.Name == changed.Name })
		if at < 0 {
			record.Processes = append(record.Processes, changed)
			return
		}
		record.Processes[at] = changed
	})
}

// remove is the end of a clean stop.
func (r *reporter) remove() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.removed = true
	_ = os.Remove(r.home.stateFile())
}
