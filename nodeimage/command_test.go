// SPDX-License-Identifier: Apache-2.0

package nodeimage

import (
	"context"
	"errors"
	"strings"
	"testing"
)

func TestCommandErrorsHoldTheEndOfTheOutput(t *testing.T) {
	for script, reason := range map[string]string{
		"seq 1 5000; seq 1 5000 >&2; echo the reason >&2; exit 3": "the reason",
		"seq 1 5000; echo last words; exit 3":                     "last words", // nothing on standard error
	} {
		_, err := command{program: "sh", args: []string{"-c", script}}.run(t.Context())
		expectError(t, err, "exit status 3", reason)
		if len(err.Error()) > tailSize+200 {
			t.Errorf("%d bytes of error", len(err.Error()))
		}
	}
	output, err := command{program: "cat", stdin: strings.NewReader("in")}.run(t.Context())
	if err != nil || output != "in" {
		t.Errorf("%q, %v", output, err)
	}
}

func TestCommandEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := (command{program: "sleep", args: []string{"60"}}).run(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

func TestFindProgramSaysWhatToDo(t *testing.T) {
	_, err := findProgram("no-such-program", "building", "install it")
	expectError(t, err, "building needs no-such-program", "not installed", "install it")
}
