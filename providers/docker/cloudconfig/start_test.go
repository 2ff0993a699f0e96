// SPDX-License-Identifier: Apache-2.0

package cloudconfig

import (
	"context"
	"errors"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A script that arrives by half is not run, and sent again it is.
func TestScriptThatIsCutOff(t *testing.T) {
	for _, cut := range []int{1, 20, 300} {
		node := newLocalNode(t)
		node.cut = cut
		step := Command{Origin: "runcmd[0]", Shell: "true"}
		if err := Start(t.Context(), node, []Step{step}, 0); err == nil || !strings.Contains(err.Error(), "cut off") {
			t.Errorf("without its last %d bytes: %v", cut, err)
		}
		if left, _ := filepath.Glob(filepath.Join(node.root, "run/slipway/*")); len(left) > 0 || node.read("runs") != "" || node.state().Phase != NotStarted {
			t.Errorf("it has left %q, and the state is %+v", left, node.state())
		}
		node.cut = 0
		node.start(step)
		if state := node.state(); state.Phase != Succeeded {
			t.Errorf("sent again: %+v", state)
		}
	}
}

// A start that saw no run and is slow to send its script finds that there has been one.
func TestStartThatIsSlow(t *testing.T) {
	node := newLocalNode(t)
	script := node.move(Script([]Step{Command{Origin: "runcmd[0]", Shell: "echo slow >> /data"}}))
	recorder := &recordingNode{}
	if err := Start(t.Context(), recorder, nil, 0); err != nil {
		t.Fatal(err)
	}
	slow := node.command(t.Context(), append(recorder.argv[:len(recorder.argv)-1], digest(script))...)
	input, err := slow.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := slow.Start(); err != nil {
		t.Fatal(err)
	}
	for waited := 0; ; waited++ {
		if begun, _ := filepath.Glob(filepath.Join(node.root, scriptPath+".*")); len(begun) > 0 {
			break
		}
		if waited > 500 {
			t.Fatal("the slow one does not begin to write")
		}
		time.Sleep(10 * time.Millisecond)
	}
	node.start(Command{Origin: "runcmd[0]", Shell: "echo fast >> /data"})
	if _, err := io.WriteString(input, script); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(input.Close(), slow.Wait()); err != nil {
		t.Errorf("the slow one: %v", err)
	}
	if runs, data := node.read("runs"), node.read("data"); runs != "run\n" || data != "fast\n" {
		t.Errorf("runs are %q, done was %q", runs, data)
	}
	if left, _ := filepath.Glob(filepath.Join(node.root, scriptPath+"*")); len(left) != 1 { // the lock
		t.Errorf("left are %q", left)
	}
}

// recordingNode does nothing and keeps what it was to run.
type recordingNode struct{ argv []string }

func (n *recordingNode) Exec(_ context.Context, argv []string, _ io.Reader) ([]byte, []byte, int, error) {
	n.argv = argv
	return nil, nil, 0, nil
}

func TestManyStartsAtOnce(t *testing.T) {
	node := newLocalNode(t)
	results := make(chan error)
	for range 8 {
		go func() {
			results <- Start(t.Context(), node, []Step{Command{Origin: "runcmd[0]", Shell: "sleep 0.1"}}, 0)
		}()
	}
	for range 8 {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
	if runs := node.read("runs"); runs != "run\n" {
		t.Errorf("runs are %q, want one", runs)
	}
}
