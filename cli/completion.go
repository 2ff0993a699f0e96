// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"github.com/spf13/cobra"
)

func (t *tool) completionCommand() *cobra.Command {
	shells := []string{"bash", "fish", "powershell", "zsh"}
	return &cobra.Command{
		Use:   "completion SHELL",
		Short: "Print a completion script for a shell",
		Long:  "Print a script that makes a shell (bash, fish, powershell or zsh) complete commands, flags and names of clusters.",
		Example: `  # bash, for this session
  source <(slipway completion bash)

  # zsh, for good
  slipway completion zsh > "${fpath[1]}/_slipway"`,
		ValidArgs: shells,
		Args: func(command *cobra.Command, arguments []string) error {
			if len(arguments) != 1 {
				return usage("%s needs one shell: %s", command.CommandPath(), listed(shells))
			}
			return nil
		},
		RunE: func(command *cobra.Command, arguments []string) error {
			root := command.Root()
			switch arguments[0] {
			case "bash":
				return root.GenBashCompletionV2(t.out, true)
			case "fish":
				return root.GenFishCompletion(t.out, true)
			case "powershell":
				return root.GenPowerShellCompletionWithDesc(t.out)
			case "zsh":
				return root.GenZshCompletion(t.out)
			default:
				return usage("no completion for shell %q; there is %s", arguments[0], listed(shells))
			}
		},
	}
}
