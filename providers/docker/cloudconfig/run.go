// SPDX-License-Identifier: Apache-2.0

package cloudconfig

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// Node runs commands in a node. A command that fails is not an error: see the exit code.
type Node interface {
	Exec(ctx context.Context, argv []string, stdin io.Reader) (stdout, stderr []byte, exitCode int, err error)
}

// Phase is how far the bootstrap of a node has come.
type Phase string

// The phases. Succeeded and Failed are final: a bootstrap is never run twice in one node.
const (
	NotStarted Phase = "NotStarted"
	Running    Phase = "Running"
	Succeeded  Phase = "Succeeded"
	Failed     Phase = "Failed"
)

// Failure is why a bootstrap failed.
type Failure string

// The failures.
const (
	// StepFailed: a step ended with another exit code than 0.
	StepFailed Failure = "StepFailed"
	// TimedOut: it took longer than it was given.
	TimedOut Failure = "TimedOut"
	// Interrupted: the node stopped or restarted in the middle, or somebody ended the run.
	Interrupted Failure = "Interrupted"
)

// State is what is known of a node's bootstrap.
type State struct {
	Phase   Phase
	Failure Failure // when Phase is Failed
	// Step is the step under way or the last one; StepNumber counts from 1 to Steps. Empty and 0 before the first.
	Step              string
	StepNumber, Steps int
	// ExitCode is the failed step's, 0 otherwise.
	ExitCode int
	// Output is the end of what the bootstrap wrote, at most 20 lines, without secrets.
	Output string
	// Skipped has a line for each thing the cloud-config asked for that was not done.
	Skipped []string
	// Sentinel tells whether the bootstrap data itself has said that it succeeded. The file goes when the node restarts.
	Sentinel bool
	// Started and Finished are by the node's clock, in whole seconds; zero when they have not happened.
	Started, Finished time.Time
}

// String is one line for a person.
func (s State) String() string {
	where := s.Step
	if s.Steps > 0 {
		where = fmt.Sprintf("step %d of %d (%s)", s.StepNumber, s.Steps, s.Step)
	}
	switch {
	case s.Phase == Running && where != "":
		return "bootstrap is at " + where
	case s.Phase == Failed && s.Failure == StepFailed:
		return fmt.Sprintf("bootstrap failed at %s with exit code %d", where, s.ExitCode)
	case s.Phase == Failed && s.Failure == TimedOut:
		return "bootstrap took too long and was stopped at " + where
	case s.Phase == Failed:
		return "bootstrap was interrupted at " + where + ", because the node or its bootstrap was stopped; the machine has to be replaced"
	case s.Phase == Succeeded:
		return "bootstrap succeeded"
	case s.Phase == Running:
		return "bootstrap is starting"
	}
	return "bootstrap has not started"
}

// NotDone says in a few words what of the cloud-config was not done; empty when all was.
func (s State) NotDone() string {
	if len(s.Skipped) == 0 {
		return ""
	}
	const most = 10
	var names []string
	for _, line := range s.Skipped[:min(most, len(s.Skipped))] {
		name, _, _ := strings.Cut(line, ": ")
		names = append(names, name)
	}
	if more := len(s.Skipped) - most; more > 0 {
		names = append(names, fmt.Sprintf("%d more", more))
	}
	return "parts of the bootstrap data were not carried out: " + strings.Join(names, ", ")
}

const (
	// readTimeout bounds a look into a node: a container engine that accepts connections and does not answer, or a node
	// that hangs, would else hold whoever looks without limit.
	readTimeout = 10 * time.Second
	// startTimeout bounds the start of a bootstrap, which is to send some ten kilobytes and to start a unit.
	startTimeout = 2 * time.Minute
	// waitTimeout is above the minute that waiting takes by itself.
	waitTimeout = 90 * time.Second
)

// tailLines is how much of the output State keeps.
const tailLines = 20

// Exit codes of our own scripts in the node.
const (
	exitNoSystemd = 61
	exitWrite     = 62
	exitCut       = 63
	exitLocked    = 64
)

// startScript starts the script that comes on standard input, unless there was a start before or the node is bootstrapped.
// Its argument is the script's SHA-256: one that was cut off on its way would run as far as it goes. What was seen before
// the transfer may be long past after it, so it is looked at again under a lock, which goes with the shell that holds it.
// Of a run, the unit is asked first and its file looked for then: it leaves the file before its unit ends.
//
// systemd tells only the run's own process to stop, so that what a command has left in the background lives on after the
// run, as it does after cloud-init's; the run itself ends all of it when it is stopped.
const startScript = `state=%[1]s
# Input is always read: some engines break the connection otherwise.
leave() { cat > /dev/null; exit "$1"; }
begun() {
  case "$(systemctl is-active %[3]s 2>/dev/null)" in active|activating|deactivating) return 0 ;; esac
  [ -e %[2]s ] || [ -e "$state/started" ]
}
begun && leave 0
case "$(systemctl is-system-running 2>/dev/null)" in ""|offline|unknown) echo "systemd does not answer yet" >&2; leave %[6]d ;; esac
umask 077
mkdir -p "$state" "$(dirname %[4]s)" || leave %[7]d
next="%[4]s.$$"
trap 'rm -f "$next"' EXIT
cat > "$next" || exit %[7]d
if [ "$(sha256sum < "$next" | cut -c 1-64)" != "$1" ]; then
  echo "the script was cut off on its way to the node" >&2
  exit %[8]d
fi
exec 9> %[4]s.lock || exit %[7]d
flock -w 30 9 || { echo "another start does not end" >&2; exit %[9]d; }
begun && exit 0
mv -f "$next" %[4]s || exit %[7]d
output=$(systemd-run --quiet --unit=%[3]s --service-type=exec \
  --description="Bootstrap of this node, started by slipway" \
  --property=After=containerd.service --property=KillMode=process --property=TimeoutStopSec=5s %[5]s \
  --property=StandardOutput=append:"$state/output" --property=StandardError=append:"$state/output" \
  --setenv=HOME=/root \
  /bin/sh %[4]s 2>&1 9>&-)
code=$?
[ $code -eq 0 ] || begun && exit 0
rm -f %[4]s
printf '%%s\n' "$output" >&2
exit $code`

// Start begins a node's bootstrap and returns at once. When it has begun before, whatever became of it, or the node is
// bootstrapped already, nothing happens. It fails while systemd in the node does not answer yet, and when what was sent did
// not arrive as a whole; nothing has begun then. After timeout the run is stopped and has failed; 0 is no limit.
func Start(ctx context.Context, node Node, steps []Step, timeout time.Duration) error {
	limit := ""
	if timeout > 0 {
		limit = fmt.Sprintf("--property=RuntimeMaxSec=%d", int(timeout.Round(time.Second)/time.Second))
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	script, sent := fmt.Sprintf(startScript, stateDirectory, Sentinel, unit, scriptPath, limit, exitNoSystemd, exitWrite, exitCut, exitLocked), Script(steps)
	argv := []string{"/bin/sh", "-c", script, "sh", fmt.Sprintf("%x", sha256.Sum256([]byte(sent)))}
	_, stderr, code, err := node.Exec(ctx, argv, strings.NewReader(sent))
	if err != nil {
		return fmt.Errorf("start bootstrap: %w", err)
	}
	if code != 0 {
		return fmt.Errorf("start bootstrap: %s", errorText(stderr, code))
	}
	return nil
}

// stateScript prints what is known, a "key=value" a line, then a line "output:" and the end of the output. The unit is
// asked before the files are read: a run that ends in between has then left its exit code.
const stateScript = `state=%[1]s
echo "unit=$(systemctl is-active %[3]s 2>/dev/null)"
echo "result=$(systemctl show --property=Result --value %[3]s 2>/dev/null)"
for key in started finished exit step; do
  [ -e "$state/$key" ] && printf "%%s\n" "$key=$(cat "$state/$key")"
done
[ -e %[2]s ] && echo sentinel=yes
[ -e "$state/skipped" ] && sed 's/^/skipped=/' "$state/skipped"
echo output:
tail -n %[4]d "$state/output" 2>/dev/null | cut -c 1-500
exit 0`

// ReadState reads how far a node's bootstrap has come. A node that does not answer within 10 s is an error.
func ReadState(ctx context.Context, node Node) (State, error) {
	script := fmt.Sprintf(stateScript, stateDirectory, Sentinel, unit, tailLines)
	bounded, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	stdout, stderr, code, err := node.Exec(bounded, []string{"/bin/sh", "-c", script}, nil)
	if err != nil && ctx.Err() == nil && bounded.Err() != nil {
		return State{}, fmt.Errorf("read bootstrap state: the node did not answer within %s: %w", readTimeout, err)
	}
	if err != nil {
		return State{}, fmt.Errorf("read bootstrap state: %w", err)
	}
	if code != 0 {
		return State{}, fmt.Errorf("read bootstrap state: %s", errorText(stderr, code))
	}
	return parseState(string(stdout))
}

// parseState reads what stateScript prints.
func parseState(text string) (State, error) {
	facts, output, complete := strings.Cut(text, "output:\n")
	if !complete {
		return State{}, errors.New("read bootstrap state: the answer is cut short")
	}
	state := State{Output: strings.TrimSpace(Redact(output))}
	values := map[string]string{}
	for line := range strings.Lines(facts) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		if key == "skipped" {
			state.Skipped = append(state.Skipped, Redact(value))
			continue
		}
		values[key] = value
	}
	state.Sentinel = values["sentinel"] == "yes"
	state.Started, state.Finished = seconds(values["started"]), seconds(values["finished"])
	if count, title, found := strings.Cut(values["step"], " "); found {
		state.Step = title
		_, _ = fmt.Sscanf(count, "%d/%d", &state.StepNumber, &state.Steps)
	}
	exit, hasExit := values["exit"]
	switch unitState := values["unit"]; {
	case unitState == "active" || unitState == "activating" || unitState == "deactivating":
		state.Phase = Running
	case hasExit:
		code, err := strconv.Atoi(exit)
		if err != nil {
			return State{}, fmt.Errorf("read bootstrap state: exit code %q is not a number", exit)
		}
		state.Phase, state.ExitCode = Succeeded, code
		if code != 0 {
			state.Phase, state.Failure = Failed, failure(values["result"], state.Output)
		}
	case values["started"] != "" && unitState != "inactive" && unitState != "failed":
		// Under load systemd may not answer in time. Failed is final, so it is never a guess.
		return State{}, errors.New("read bootstrap state: systemd in the node does not say whether the bootstrap runs")
	case values["started"] != "":
		state.Phase, state.Failure = Failed, failure(values["result"], state.Output)
		if state.Failure == StepFailed {
			state.Failure = Interrupted // it left no exit code
		}
	case state.Sentinel:
		state.Phase = Succeeded
	default:
		state.Phase = NotStarted
	}
	return state, nil
}

// failure tells why a run ended badly, from what systemd remembers of it and what it wrote itself.
func failure(result, output string) Failure {
	switch {
	case result == "timeout":
		return TimedOut
	case strings.HasSuffix(output, "slipway: the bootstrap was stopped"):
		return Interrupted
	}
	return StepFailed
}

// waitScript ends when the run does, or after about a minute. It looks for the file that a run leaves last, which costs
// nothing, and now and then for a run that ended without.
const waitScript = `i=0
while [ $i -lt 600 ]; do
  [ -e %[1]s/exit ] && exit 0
  if [ $((i %% 20)) -eq 19 ]; then
    case "$(systemctl is-active %[2]s 2>/dev/null)" in inactive|failed) exit 0 ;; esac
  fi
  i=$((i+1)); sleep 0.1
done`

// Wait blocks until a started bootstrap has ended, or for about a minute; then ReadState tells which. It is for an event
// source that wants to know at once; an observer uses ReadState.
func Wait(ctx context.Context, node Node) error {
	ctx, cancel := context.WithTimeout(ctx, waitTimeout)
	defer cancel()
	if _, _, _, err := node.Exec(ctx, []string{"/bin/sh", "-c", fmt.Sprintf(waitScript, stateDirectory, unit)}, nil); err != nil {
		return fmt.Errorf("wait for bootstrap: %w", err)
	}
	return nil
}

func seconds(text string) time.Time {
	value, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
	if err != nil {
		return time.Time{}
	}
	return time.Unix(value, 0).UTC()
}

func errorText(stderr []byte, code int) string {
	text := strings.TrimSpace(Redact(string(stderr)))
	if text == "" {
		return fmt.Sprintf("exit code %d", code)
	}
	return oneLine(text)
}
