// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/slipway-project/slipway/standalone"
)

func (t *tool) downCommand() *cobra.Command {
	var home string
	command := &cobra.Command{
		Use:   "down",
		Short: "Stop the management cluster on this machine",
		Long: `Stop the management cluster that slipway up started. Its data stays, and so do the clusters
it made: they go on running, and slipway up takes them up again.`,
		Example: `  slipway down`,
		Args:    noArguments,
		RunE:    func(command *cobra.Command, _ []string) error { return t.down(command.Context(), home) },
	}
	command.Flags().StringVar(&home, "home", "", "data directory (default: $SLIPWAY_HOME, else ~/.slipway)")
	_ = command.MarkFlagDirname("home")
	return command
}

func (t *tool) down(ctx context.Context, home string) error {
	p := newProgress(t.err, t.now)
	p.begin("Stopping the management cluster")
	done, err := standalone.Down(ctx, home)
	if err != nil {
		p.failed()
		return err
	}
	p.done(downDetail(done))
	return nil
}

// downDetail says what was found to stop.
func downDetail(done standalone.Stopped) string {
	var said []string
	switch {
	case !done.Running && len(done.Leftovers) == 0:
		said = append(said, "none was running")
	case !done.Running:
		said = append(said, "it had ended before")
	case done.Killed:
		said = append(said, "it did not end by itself and was killed; no data is lost by that")
	}
	if len(done.Leftovers) > 0 {
		said = append(said, "ended "+strings.Join(done.Leftovers, ", ")+", which were left over")
	}
	return strings.Join(said, "; ")
}
