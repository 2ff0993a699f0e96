// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/term"
)

// progress tells what goes on, phase by phase: on a terminal a line that changes
// until its phase ends, elsewhere a line for each change. Only one phase is open at
// a time. It is safe for concurrent use.
type progress struct {
	out io.Writer
	now func() time.Time
	// columns is the width of the terminal; 0 means that it is none.
	columns int

	mu     sync.Mutex
	name   string
	detail string
	began  time.Time
	ticker *time.Ticker
	stop   chan struct{}
	// ended are the phases that have been told to the end.
	ended map[string]bool
}

// newProgress tells on out.
func newProgress(out io.Writer, now func() time.Time) *progress {
	return &progress{out: out, now: now, columns: columns(out), ended: map[string]bool{}}
}

// columns is the width of the terminal that w is, 0 when it is none.
func columns(w io.Writer) int {
	width, _ := screen(w)
	return width
}

// screen is the size of the terminal that w is, in characters and lines; 0 when it is
// none.
func screen(w io.Writer) (width, height int) {
	file, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) || os.Getenv("TERM") == "dumb" {
		return 0, 0
	}
	width, height, err := term.GetSize(int(file.Fd()))
	if err != nil || width <= 0 || height <= 0 {
		return 80, 24
	}
	return width, height
}

// begin opens a phase, and ends the one before as done if it is open still.
func (p *progress) begin(name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.name == name {
		return
	}
	p.close("✓", "")
	p.name, p.detail, p.began = name, "", p.now()
	if p.columns == 0 {
		fmt.Fprintf(p.out, "%s ...\n", name)
		return
	}
	p.draw()
	ticker, stop := time.NewTicker(100*time.Millisecond), make(chan struct{})
	p.ticker, p.stop = ticker, stop
	go func() {
		for {
			select {
			case <-stop:
				return
			case <-ticker.C:
				p.mu.Lock()
				if p.stop == stop {
					p.draw()
				}
				p.mu.Unlock()
			}
		}
	}()
}

// note says what the open phase is doing.
func (p *progress) note(detail string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.name == "" || detail == p.detail {
		return
	}
	p.detail = detail
	if p.columns > 0 {
		p.draw()
	} else if detail != "" {
		fmt.Fprintf(p.out, "  %s: %s (%s)\n", p.name, detail, elapsed(p.now().Sub(p.began)))
	}
}

// done ends the open phase well.
func (p *progress) done(detail string) { p.end("✓", detail) }

// failed ends the open phase badly; it does nothing when none is open.
func (p *progress) failed() { p.end("✗", "") }

func (p *progress) end(mark, detail string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.close(mark, detail)
}

// say prints a line between phases.
func (p *progress) say(format string, values ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.columns > 0 && p.name != "" {
		fmt.Fprint(p.out, "\r\x1b[K")
	}
	fmt.Fprintf(p.out, format+"\n", values...)
	if p.columns > 0 && p.name != "" {
		p.draw()
	}
}

// close prints the last line of the open phase. The lock is held.
func (p *progress) close(mark, detail string) {
	if p.name == "" {
		return
	}
	if p.stop != nil {
		p.ticker.Stop()
		close(p.stop)
		p.stop = nil
	}
	line := p.name
	if detail != "" {
		line += " (" + detail + ")"
	}
	took := elapsed(p.now().Sub(p.began))
	switch {
	case p.columns > 0:
		fmt.Fprintf(p.out, "\r\x1b[K %s %s  %s\n", mark, line, took)
	case mark == "✓":
		fmt.Fprintf(p.out, "%s: done in %s\n", line, took)
	default:
		fmt.Fprintf(p.out, "%s: failed after %s\n", line, took)
	}
	p.ended[p.name] = true
	p.name = ""
}

// draw prints the line of the open phase over itself. The lock is held.
func (p *progress) draw() {
	frames := []rune("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏")
	since := p.now().Sub(p.began)
	line := fmt.Sprintf(" %c %s  %s", frames[int(since/(100*time.Millisecond))%len(frames)], p.name, elapsed(since))
	if p.detail != "" {
		line += "  " + p.detail
	}
	fmt.Fprint(p.out, "\r\x1b[K"+cut(firstLine(line), p.columns-1))
}

func firstLine(line string) string {
	for i, r := range line {
		if r == '\n' {
			return line[:i] + " ..."
		}
	}
	return line
}

// cut shortens a line to a number of characters.
func cut(line string, limit int) string {
	runes := []rune(line)
	if limit <= 0 || len(runes) <= limit {
		return line
	}
	if limit <= 3 {
		return string(runes[:limit])
	}
	return string(runes[:limit-3]) + "..."
}

// follow gives builders and starters, which report phases by name, a way to tell.
func (p *progress) follow(titles map[string]string) func(phase string, done bool, detail string) {
	return func(phase string, done bool, detail string) {
		title := phase
		if t, ok := titles[phase]; ok {
			title = t
		}
		if !done {
			p.begin(title)
			p.note(detail)
			return
		}
		p.begin(title)
		p.done(detail)
	}
}

// Write prints lines of a log between those of phases.
func (p *progress) Write(text []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	drawn := p.columns > 0 && p.name != ""
	if drawn {
		fmt.Fprint(p.out, "\r\x1b[K")
	}
	n, err := p.out.Write(text)
	if drawn {
		p.draw()
	}
	return n, err
}

// finish ends a phase as done, with a line of its own where it was never open. A
// phase that has been ended is not told again.
func (p *progress) finish(name string) {
	p.mu.Lock()
	ended := p.ended[name]
	p.mu.Unlock()
	if ended {
		return
	}
	p.begin(name)
	p.done("")
}
