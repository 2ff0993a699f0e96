// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	"k8s.io/klog/v2"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"
)

// Exit codes of the command.
const (
	exitFailed = 1
	exitUsage  = 2
)

// Main runs the command line of this process and returns its exit code: 0, 1 when
// something failed, 2 when the command was not understood.
func Main(ctx context.Context, wiring Wiring) int {
	t := &tool{wiring: wiring, out: os.Stdout, err: os.Stderr, now: time.Now}
	return t.run(ctx, os.Args[1:])
}

// tool is what all verbs share.
type tool struct {
	wiring   Wiring
	out, err io.Writer
	now      func() time.Time
}

func (t *tool) run(ctx context.Context, arguments []string) int {
	// The libraries' own logs are for controllers, which set loggers of their own.
	klog.SetLogger(logr.Discard())
	ctrllog.SetLogger(logr.Discard())
	root := t.root()
	root.SetArgs(arguments)
	root.SetOut(t.out)
	root.SetErr(t.err)
	command, err := root.ExecuteContextC(ctx)
	if err == nil {
		return 0
	}
	return t.report(command, err)
}

// report prints an error and returns the exit code it stands for.
func (t *tool) report(command *cobra.Command, err error) int {
	fmt.Fprintln(t.err, "slipway: "+explain(err))
	if usage := (*usageError)(nil); errors.As(err, &usage) {
		fmt.Fprintf(t.err, "See '%s --help'.\n", command.CommandPath())
		return exitUsage
	}
	return exitFailed
}

func (t *tool) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "slipway",
		Short: "Operate Kubernetes clusters with Kubernetes",
		Long: `Slipway makes Kubernetes clusters out of declarative objects. A management cluster holds
the objects, controllers make real clusters out of them.`,
		Example: `  slipway up --detach
  slipway create cluster demo --worker-machine-count 2 --wait
  slipway describe cluster demo`,
		Args:              noArguments,
		RunE:              func(command *cobra.Command, _ []string) error { return command.Help() },
		SilenceErrors:     true,
		SilenceUsage:      true,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usage("%s", err) })
	root.AddCommand(
		t.upCommand(), t.downCommand(), t.statusCommand(), t.controllersCommand(), t.imageCommand(),
		t.createCommand(), t.getCommand(), t.describeCommand(), t.whyCommand(), t.planCommand(), t.upgradeCommand(), t.rolloutCommand(), t.deleteCommand(),
		t.versionCommand(), t.completionCommand(),
	)
	return root
}

// group is a command that only holds others.
func group(name, short, example string, children ...*cobra.Command) *cobra.Command {
	command := &cobra.Command{
		Use: name, Short: short, Example: example,
		Args: func(command *cobra.Command, arguments []string) error {
			if len(arguments) == 0 {
				return nil
			}
			return usage("unknown command %q for %q: it has %s", arguments[0], command.CommandPath(), strings.Join(names(command), ", "))
		},
		RunE: func(command *cobra.Command, _ []string) error {
			return usage("%s needs to be told what: %s", command.CommandPath(), strings.Join(names(command), ", "))
		},
	}
	command.AddCommand(children...)
	return command
}

func names(command *cobra.Command) []string {
	var list []string
	for _, child := range command.Commands() {
		if child.IsAvailableCommand() {
			list = append(list, child.Name())
		}
	}
	return list
}

func noArguments(command *cobra.Command, arguments []string) error {
	if len(arguments) == 0 {
		return nil
	}
	if command.HasSubCommands() {
		return usage("unknown command %q: there are %s", arguments[0], strings.Join(names(command), ", "))
	}
	return usage("%s takes no arguments, and got %q", command.CommandPath(), arguments[0])
}

// oneName is for commands that take the name of one object.
func oneName(what string) cobra.PositionalArgs {
	return func(command *cobra.Command, arguments []string) error {
		switch {
		case len(arguments) == 0:
			return usage("%s needs the name of a %s", command.CommandPath(), what)
		case len(arguments) > 1:
			return usage("%s takes one name of a %s, and got %d: %s", command.CommandPath(), what, len(arguments), strings.Join(arguments, " "))
		}
		return nil
	}
}
