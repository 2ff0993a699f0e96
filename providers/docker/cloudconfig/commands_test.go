// SPDX-License-Identifier: Apache-2.0

package cloudconfig

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// What one command sets is there for the next of its section, and for no other.
func TestCommandsShareTheirShell(t *testing.T) {
	node := newLocalNode(t)
	node.start(
		Command{Origin: "bootcmd[0]", Shell: "ofboot=1; mkdir /data; cd /data"},
		Command{Origin: "bootcmd[1]", Shell: `echo "$ofboot $PWD" > out`},
		KubeletArgument{Name: "a", Value: "b"},
		Command{Origin: "runcmd[0]", Shell: "cd /data\nplain='one  1'; export OUT=out"},
		Command{Origin: "runcmd[1]", Shell: `say() { echo "$plain.$ofboot." >> "$OUT"; }`},
		Command{Origin: "runcmd[2]", Argv: []string{"export", "LISTED=it's $HOME"}},
		Command{Origin: "runcmd[3]", Argv: []string{"sh", "-c", `echo "$LISTED" >> "$OUT"`}},
		Command{Origin: "runcmd[4]", Shell: "say; set -u -f; IFS=1; PATH=/nowhere; mv() { :; }; state=x; umask 077"},
		Command{Origin: "runcmd[5]", Shell: "# nothing"},
		Command{Origin: "runcmd[6]", Shell: "echo end >> out"},
	)
	if state := node.state(); state.Phase != Succeeded || state.StepNumber != 10 || state.Step != "runcmd[6]: echo end >> out" {
		t.Errorf("state is %+v", state)
	}
	if diff := cmp.Diff("1 "+node.root+"/data\nit's $HOME\none  1..\nend\n", node.read("data/out")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// However a command ends the shell that it shares, nothing after it is left out silently.
func TestCommandsThatEndTheirShell(t *testing.T) {
	for _, test := range []struct {
		name, shell string
		code        int
	}{
		{"fails", "false", 1}, {"fails with set -e", "set -e; false; true", 1}, {"exit", "exit 7", 7}, {"is no shell code", "if", 2},
		{"has no such file", ". /no/such/file", 2}, {"exit without a failure", "exit 0", 1}, {"another program", "exec true", 1},
		{"fails late", "true; true; kubeadm-that-is-not-there && echo success", 127},
	} {
		t.Run(test.name, func(t *testing.T) {
			node := newLocalNode(t)
			node.start(
				Command{Origin: "runcmd[0]", Shell: "true"},
				Command{Origin: "runcmd[1]", Shell: test.shell},
				Command{Origin: "runcmd[2]", Shell: "touch /data"},
				WriteFile{Path: "/data", Mode: 0o644},
			)
			state := node.state()
			if state.Phase != Failed || state.Failure != StepFailed || state.ExitCode != test.code || state.StepNumber != 2 || !strings.HasPrefix(state.Step, "runcmd[1]") {
				t.Errorf("state is %+v", state)
			}
			if _, err := os.Stat(filepath.Join(node.root, "data")); err == nil {
				t.Error("what comes after was carried out")
			}
		})
	}
	node := newLocalNode(t)
	node.start(Command{Origin: "runcmd[0]", Shell: "true"}, Command{Origin: "runcmd[1]", Shell: "exit 0"})
	if state := node.state(); state.Phase != Succeeded {
		t.Errorf("the last one may end its shell, but the state is %+v", state)
	}
}

// What a command leaves in the background outlives the run, and ends with it when the run is stopped.
func TestBackground(t *testing.T) {
	node := newLocalNode(t)
	alive := func() bool {
		pid, err := strconv.Atoi(strings.TrimSpace(node.read("data")))
		if err != nil {
			t.Fatal(err)
		}
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		return err == nil && !strings.Contains(string(stat), ") Z ")
	}
	const leave = "sleep 60 & echo $! > /data"
	node.start(Command{Origin: "runcmd[0]", Shell: leave})
	if state := node.state(); state.Phase != Succeeded || !alive() {
		t.Errorf("after the run the process is alive: %t; %+v", alive(), state)
	}
	if options := node.read("options"); !strings.Contains(options, " --property=KillMode=process ") {
		t.Errorf("systemd would end it: %s", options)
	}
	if err := node.command(t.Context(), "/bin/sh", "-c", "kill $(cat /data); rm /data").Run(); err != nil {
		t.Error(err)
	}

	// systemd's way to stop: a signal for the first process alone.
	node = newLocalNode(t)
	node.write(scriptPath, node.move(Script([]Step{Command{Origin: "runcmd[0]", Shell: leave + "; sleep 60; echo late > /data"}})))
	node.write(stateDirectory+"/output", "")
	output, err := os.OpenFile(filepath.Join(node.root, stateDirectory, "output"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer output.Close()
	run := node.command(t.Context(), "/bin/sh", scriptPath)
	run.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	run.Stdout, run.Stderr = output, output
	if err := run.Start(); err != nil {
		t.Fatal(err)
	}
	for waited := 0; node.read("data") == ""; waited++ {
		if waited > 500 {
			t.Fatal("the run does not get to its command")
		}
		time.Sleep(10 * time.Millisecond)
	}
	if err := run.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	_ = run.Wait() // killed at last, as all of it
	state := node.state()
	if state.Phase != Failed || state.Failure != Interrupted || state.ExitCode != 143 || state.StepNumber != 1 || state.Finished.IsZero() {
		t.Errorf("state is %+v", state)
	}
	if alive() {
		t.Error("what was in the background goes on")
	}
}

// A file cannot take a directory's place, and must not end up in it.
func TestWriteFileOverDirectory(t *testing.T) {
	for _, appends := range []bool{false, true} {
		node := newLocalNode(t)
		node.start(Command{Origin: "bootcmd[0]", Shell: "mkdir -p /data/there; ln -s there /data/link"}, WriteFile{Path: "/data/link", Mode: 0o644, Content: []byte("x"), Append: appends})
		state := node.state()
		if state.Phase != Failed || state.StepNumber != 2 || !strings.Contains(state.Output, "/data/there is a directory") {
			t.Errorf("state is %+v", state)
		}
		if left, _ := filepath.Glob(filepath.Join(node.root, "data/*/*")); len(left) > 0 {
			t.Errorf("it has left %q", left)
		}
	}
}
