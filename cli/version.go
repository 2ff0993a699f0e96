// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// versionInfo is what slipway version prints.
type versionInfo struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

func (t *tool) versionCommand() *cobra.Command {
	var output format
	command := &cobra.Command{
		Use: "version", Short: "Print the version of this program",
		Example: `  slipway version
  slipway version -o json`,
		Args: noArguments,
		RunE: func(*cobra.Command, []string) error {
			info := versionInfo{Version: t.wiring.Version, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
			if build, ok := debug.ReadBuildInfo(); ok {
				for _, setting := range build.Settings {
					if setting.Key == "vcs.revision" {
						info.Revision = setting.Value
					}
				}
			}
			if output != formatTable {
				return output.print(t.out, info)
			}
			_, err := fmt.Fprintf(t.out, "slipway %s (%s, %s)\n", info.Version, info.Go, info.Platform)
			return err
		},
	}
	output.place(command)
	return command
}
