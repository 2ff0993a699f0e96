// SPDX-License-Identifier: Apache-2.0

package cloudconfig

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files anew")

// localNode runs commands on this machine, with the node's paths moved under a directory and stand-ins for systemd's two
// commands in front: systemd-run runs the script at once and to its end, systemctl says what the file "unit" holds.
type localNode struct {
	t    *testing.T
	root string
	cut  int // how many bytes at the end of what is sent are lost
}

func newLocalNode(t *testing.T) *localNode {
	t.Helper()
	node := &localNode{t: t, root: t.TempDir()}
	node.write("bin/systemctl", `#!/bin/sh
case "$1" in
is-system-running) cat "$ROOT/system" 2>/dev/null || echo running ;;
is-active) cat "$ROOT/unit" 2>/dev/null || echo inactive ;;
show) cat "$ROOT/result" 2>/dev/null ;;
# As systemd with all processes of the unit, which are one group here.
kill) trap '' TERM; kill -s "${2#--signal=}" 0 ;;
esac`)
	node.write("bin/systemd-run", `#!/bin/sh
echo run >> "$ROOT/runs"
echo "$@" > "$ROOT/options"
[ -e "$ROOT/refuse" ] && { echo "Failed to start transient service unit: no" >&2; exit 1; }
while [ "$1" != /bin/sh ]; do shift; done
"$@" >> "$ROOT/var/lib/slipway/bootstrap/output" 2>&1
exit 0`)
	return node
}

func (n *localNode) write(name, content string) {
	n.t.Helper()
	file := filepath.Join(n.root, name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(content), 0o755)); err != nil {
		n.t.Fatal(err)
	}
}

func (n *localNode) read(name string) string {
	n.t.Helper()
	content, err := os.ReadFile(filepath.Join(n.root, name))
	if err != nil && !os.IsNotExist(err) {
		n.t.Fatal(err)
	}
	return string(content)
}

// move puts the node's paths under the root.
func (n *localNode) move(text string) string {
	for _, dir := range []string{"/var/lib/slipway", "/run/slipway", "/run/cluster-api", "/etc/default", "/data"} {
		text = strings.ReplaceAll(text, dir, n.root+dir)
	}
	return text
}

// command runs as in the node.
func (n *localNode) command(ctx context.Context, argv ...string) *exec.Cmd {
	moved := make([]string, len(argv))
	for i, word := range argv {
		moved[i] = n.move(word)
	}
	command := exec.CommandContext(ctx, moved[0], moved[1:]...)
	command.Env = append(os.Environ(), "ROOT="+n.root, "PATH="+n.root+"/bin:"+os.Getenv("PATH"))
	return command
}

func (n *localNode) Exec(ctx context.Context, argv []string, stdin io.Reader) ([]byte, []byte, int, error) {
	var input string
	if stdin != nil {
		content, err := io.ReadAll(stdin)
		if err != nil {
			return nil, nil, 0, err
		}
		input = n.move(string(content))
		argv = slices.Clone(argv)
		for i, word := range argv { // the script's digest is that of what is sent here
			argv[i] = strings.ReplaceAll(word, digest(string(content)), digest(input))
		}
		input = input[:len(input)-n.cut]
	}
	command := n.command(ctx, argv...)
	if stdin != nil {
		command.Stdin = strings.NewReader(input)
	}
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	err := command.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return nil, nil, 0, err
	}
	return stdout.Bytes(), stderr.Bytes(), command.ProcessState.ExitCode(), nil
}

func digest(text string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(text))) }

func (n *localNode) state() State {
	n.t.Helper()
	state, err := ReadState(n.t.Context(), n)
	if err != nil {
		n.t.Fatal(err)
	}
	return state
}

func (n *localNode) start(steps ...Step) {
	n.t.Helper()
	if err := Start(n.t.Context(), n, steps, 0); err != nil {
		n.t.Fatal(err)
	}
}

func TestBootstrapSucceeds(t *testing.T) {
	node := newLocalNode(t)
	if state := node.state(); state.Phase != NotStarted {
		t.Fatalf("before: %+v", state)
	}
	binary := make([]byte, 300)
	for i := range binary {
		binary[i] = byte(i)
	}
	steps := []Step{
		Skipped{What: "ntp", Why: "a container uses the host's clock"},
		WriteFile{Path: "/data/it's a file", Mode: 0o640, Content: binary},
		WriteFile{Path: "/data/log", Mode: 0o600, Content: []byte("one\n")},
		WriteFile{Path: "/data/log", Mode: 0o644, Content: []byte("two\\n"), Append: true},
		WriteFile{Path: "/data/empty", Mode: 0o644},
		Command{Origin: "runcmd[0]", Shell: `printf '%s\n' "a  b" '$HOME' > /data/out; cat`},
		Command{Origin: "runcmd[1]", Argv: []string{"sh", "-c", `echo "$1" >> /data/out`, "sh", "it's $HOME"}},
		Command{Origin: "runcmd[2]", Shell: "echo 'back\\nslash'; mkdir -p /run/cluster-api && echo success > /run/cluster-api/bootstrap-success.complete"},
	}
	node.start(steps...)
	state := node.state()
	if state.Phase != Succeeded || !state.Sentinel || state.StepNumber != 8 || state.Steps != 8 || state.Started.IsZero() || state.Finished.IsZero() {
		t.Errorf("state is %+v", state)
	}
	if want := []string{"ntp: a container uses the host's clock"}; !cmp.Equal(want, state.Skipped) {
		t.Errorf("skipped is %q, want %q", state.Skipped, want)
	}
	for name, want := range map[string]string{
		"data/it's a file": string(binary), "data/log": "one\ntwo\\n", "data/empty": "",
		"data/out": "a  b\n$HOME\nit's $HOME\n",
	} {
		if diff := cmp.Diff(want, node.read(name)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	info, err := os.Stat(filepath.Join(node.root, "data/it's a file"))
	if err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("mode is %v (%v), want 0640", info.Mode(), err)
	}
	if _, err := os.Stat(filepath.Join(node.root, scriptPath)); !os.IsNotExist(err) {
		t.Errorf("the script, which holds secrets, is still there (%v)", err)
	}
	node.start(steps...)
	if runs := node.read("runs"); runs != "run\n" {
		t.Errorf("runs are %q, want one", runs)
	}
}

func TestBootstrapFailsAtItsStep(t *testing.T) {
	node := newLocalNode(t)
	node.start(
		Command{Origin: "runcmd[0]", Shell: "echo fine"},
		Command{Origin: "runcmd[1]", Shell: "echo joining with abcdef.0123456789abcdef; exit 7"},
		Command{Origin: "runcmd[2]", Shell: "touch /data-never"},
	)
	state := node.state()
	want := State{
		Phase: Failed, Failure: StepFailed, ExitCode: 7, StepNumber: 2, Steps: 3, Started: state.Started, Finished: state.Finished,
		Step: "runcmd[1]: echo joining with [redacted]; exit 7",
		Output: "slipway: step 1 of 3: runcmd[0]: echo fine\nfine\nslipway: step 2 of 3: runcmd[1]: echo joining with [redacted]; exit 7\n" +
			"joining with [redacted]\nslipway: the step failed with exit code 7",
	}
	if diff := cmp.Diff(want, state); diff != "" {
		t.Errorf("state (-want +got):\n%s", diff)
	}
	node.start(Command{Origin: "runcmd[0]", Shell: "true"})
	if runs := node.read("runs"); runs != "run\n" {
		t.Errorf("a failed bootstrap ran again: %q", runs)
	}
}

func TestStartDoesNothingTwice(t *testing.T) {
	for name, prepare := range map[string]func(*localNode){
		"bootstrapped before we came": func(n *localNode) { n.write(Sentinel, "success") },
		"unit is running":             func(n *localNode) { n.write("unit", "active") },
		"run was cut short":           func(n *localNode) { n.write(stateDirectory+"/started", "1") },
	} {
		t.Run(name, func(t *testing.T) {
			node := newLocalNode(t)
			prepare(node)
			node.start(Command{Origin: "runcmd[0]", Shell: "true"})
			if runs := node.read("runs"); runs != "" {
				t.Errorf("it was run: %q", runs)
			}
		})
	}
}

func TestStartErrors(t *testing.T) {
	for want, prepare := range map[string]func(*localNode){
		"systemd does not answer yet":             func(n *localNode) { n.write("system", "offline\n") },
		"Failed to start transient service unit:": func(n *localNode) { n.write("refuse", "") },
	} {
		node := newLocalNode(t)
		prepare(node)
		err := Start(t.Context(), node, nil, 0)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error is %v, want %q", err, want)
		}
		if state := node.state(); state.Phase != NotStarted {
			t.Errorf("after the error the state is %+v, want a start to be possible again", state)
		}
	}
}

func TestParseState(t *testing.T) {
	tests := []struct {
		name, text string
		want       Phase
		failure    Failure
	}{
		{"nothing yet", "unit=inactive\nresult=success\noutput:\n", NotStarted, ""},
		{"systemd does not answer", "unit=\nresult=\noutput:\n", NotStarted, ""},
		{"running", "unit=active\nstarted=1\nstep=1/2 a\noutput:\n", Running, ""},
		{"starting", "unit=activating\noutput:\n", Running, ""},
		{"ended, unit not yet gone", "unit=active\nstarted=1\nexit=0\noutput:\n", Running, ""},
		{"done", "unit=inactive\nstarted=1\nexit=0\noutput:\n", Succeeded, ""},
		{"done, node restarted", "unit=inactive\nresult=\nstarted=1\nexit=0\noutput:\n", Succeeded, ""},
		{"done by others", "unit=inactive\nsentinel=yes\noutput:\n", Succeeded, ""},
		{"failed", "unit=failed\nresult=exit-code\nstarted=1\nexit=1\noutput:\n", Failed, StepFailed},
		{"too long", "unit=failed\nresult=timeout\nstarted=1\nexit=143\noutput:\nslipway: the bootstrap was stopped\n", Failed, TimedOut},
		{"too long, killed hard", "unit=failed\nresult=timeout\nstarted=1\noutput:\n", Failed, TimedOut},
		{"node restarted in the middle", "unit=inactive\nresult=success\nstarted=1\nstep=1/2 a\noutput:\nx\n", Failed, Interrupted},
		{"stopped by hand", "unit=inactive\nresult=success\nstarted=1\nexit=143\noutput:\nslipway: the bootstrap was stopped\n", Failed, Interrupted},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := parseState(test.text)
			if err != nil {
				t.Fatal(err)
			}
			if got.Phase != test.want || got.Failure != test.failure {
				t.Errorf("it is %s %s, want %s %s", got.Phase, got.Failure, test.want, test.failure)
			}
			if got.String() == "" {
				t.Error("it has no words")
			}
		})
	}
	for _, unclear := range []string{"unit=act", "unit=\nresult=\nstarted=1\noutput:\n", "unit=inactive\nexit=x\noutput:\n"} {
		if state, err := parseState(unclear); err == nil {
			t.Errorf("%q is taken for %+v", unclear, state)
		}
	}
}

func TestNotDone(t *testing.T) {
	for want, skipped := range map[string][]string{
		"": nil,
		"parts of the bootstrap data were not carried out: mounts, users[0]":                     {"mounts: a container cannot", "users[0]: a node image has: no default user"},
		"parts of the bootstrap data were not carried out: x, x, x, x, x, x, x, x, x, x, 2 more": strings.Split("x,x,x,x,x,x,x,x,x,x,x,x", ","),
	} {
		if got := (State{Skipped: skipped}).NotDone(); got != want {
			t.Errorf("it is %q, want %q", got, want)
		}
	}
}

func TestWaitReturns(t *testing.T) {
	node := newLocalNode(t)
	node.write(stateDirectory+"/exit", "0\n")
	if err := Wait(t.Context(), node); err != nil {
		t.Error(err)
	}
}

func TestKubeletArgument(t *testing.T) {
	tests := []struct{ name, before, want string }{
		{"no file", "", "KUBELET_EXTRA_ARGS=\"--provider-id=docker:////x\"\n"},
		{"kind's", "KUBELET_EXTRA_ARGS=--runtime-cgroups=/system.slice/containerd.service\n", "KUBELET_EXTRA_ARGS=--runtime-cgroups=/system.slice/containerd.service\nKUBELET_EXTRA_ARGS=\"--runtime-cgroups=/system.slice/containerd.service --provider-id=docker:////x\"\n"},
		{"quoted, no line break, other lines", "# a\nOTHER=1\nKUBELET_EXTRA_ARGS='--a --b'", "# a\nOTHER=1\nKUBELET_EXTRA_ARGS='--a --b'\nKUBELET_EXTRA_ARGS=\"--a --b --provider-id=docker:////x\"\n"},
		{"empty value", "KUBELET_EXTRA_ARGS=\n", "KUBELET_EXTRA_ARGS=\nKUBELET_EXTRA_ARGS=\"--provider-id=docker:////x\"\n"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			node := newLocalNode(t)
			if test.before != "" {
				node.write("etc/default/kubelet", test.before)
			}
			for range 2 {
				script := body(KubeletArgument{Name: "provider-id", Value: "docker:////x"})
				if _, stderr, code, err := node.Exec(t.Context(), []string{"/bin/sh", "-ec", script}, nil); err != nil || code != 0 {
					t.Fatalf("exit code %d, %v: %s", code, err, stderr)
				}
				if diff := cmp.Diff(test.want, node.read("etc/default/kubelet")); diff != "" {
					t.Fatalf("(-want +got):\n%s", diff)
				}
			}
		})
	}
}

func TestScriptGolden(t *testing.T) {
	got := Script([]Step{
		Skipped{What: "disk_setup", Why: "a container has no disks of its own"},
		WriteFile{Path: "/run/kubeadm/kubeadm.yaml", Owner: "root:root", Mode: 0o640, Content: []byte(strings.Repeat("0123456789", 10))},
		CreateUser{Name: "ann", Gecos: "Ann A", Groups: []string{"adm"}, PasswordHash: "$6$x", LockPassword: true, Sudo: []string{"ALL=(ALL) ALL"}, AuthorizedKeys: []string{"ssh-ed25519 AAA"}},
		KubeletArgument{Name: "provider-id", Value: "docker:////x"},
		Command{Origin: "runcmd[0]", Argv: []string{"cd", "/it's here"}},
		Command{Origin: "runcmd[1]", Shell: "kubeadm init --config /run/kubeadm/kubeadm.yaml && echo 'success' > /run/cluster-api/bootstrap-success.complete"},
	})
	golden := filepath.Join("testdata", "script.golden.sh")
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("script (-want +got):\n%s", diff)
	}
	check := exec.CommandContext(t.Context(), "/bin/sh", "-n")
	check.Stdin = strings.NewReader(got)
	if output, err := check.CombinedOutput(); err != nil {
		t.Errorf("sh does not take it: %v: %s", err, output)
	}
}

// silentNode never answers.
type silentNode struct{}

func (silentNode) Exec(ctx context.Context, _ []string, _ io.Reader) ([]byte, []byte, int, error) {
	<-ctx.Done()
	return nil, nil, 0, ctx.Err()
}

func TestNodeThatNeverAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		if _, err := ReadState(t.Context(), silentNode{}); err == nil || !strings.Contains(err.Error(), "did not answer within 10s") {
			t.Errorf("error is %v", err)
		}
		if took := time.Since(began); took != readTimeout {
			t.Errorf("it took %s", took)
		}
		if err := Start(t.Context(), silentNode{}, nil, 0); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("start: %v", err)
		}
		if err := Wait(t.Context(), silentNode{}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("wait: %v", err)
		}
	})
}
