// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"regexp"
	"strings"

	"github.com/spf13/cobra"

	"github.com/slipway-project/slipway/nodeimage"
)

const sourceHelp = "checkout of slipway to build from (default: $SLIPWAY_SOURCE, else where this program or the working directory lies)"

var versionForm = regexp.MustCompile(`^v(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)([-+][-0-9A-Za-z_.+]*)?$`)

// kubernetesVersion checks the version of --kubernetes-version, and writes it with its v.
func kubernetesVersion(given string) (string, error) {
	return versionOf("--kubernetes-version", given)
}

// versionOf checks the version that a flag gives, and writes it with its v.
func versionOf(flag, given string) (string, error) {
	version := given
	if !strings.HasPrefix(version, "v") {
		version = "v" + version
	}
	if !versionForm.MatchString(version) {
		return "", usage("%s: %q is not a version of Kubernetes; write all three numbers, such as %s", flag, given, defaultKubernetesVersion)
	}
	return version, nil
}

// placeVersion adds --kubernetes-version, which completes to what can be built.
func placeVersion(command *cobra.Command, version *string) {
	command.Flags().StringVar(version, "kubernetes-version", defaultKubernetesVersion, "version of Kubernetes")
	_ = command.RegisterFlagCompletionFunc("kubernetes-version", func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
		versions, _ := nodeimage.Versions("")
		return versions, cobra.ShellCompDirectiveNoFileComp
	})
}
