// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/slipway-project/slipway/nodeimage"
)

func (t *tool) imageBinariesCommand() *cobra.Command {
	var given, source string
	command := &cobra.Command{
		Use:   "binaries",
		Short: "Build the Kubernetes binaries of a version, and print their folder",
		Long: `Build kube-apiserver, kubelet, kubectl and the others, and etcd, as slipway up and the node image
use them, and print the folder that they are in. Neither root nor a container engine is needed.`,
		Example: `  $(slipway image binaries)/kubectl version --client`,
		Args:    noArguments,
		RunE: func(command *cobra.Command, _ []string) error {
			version, err := kubernetesVersion(given)
			if err != nil {
				return err
			}
			p := newProgress(t.err, t.now)
			folder, err := nodeimage.Binaries(command.Context(), nodeimage.Options{Version: version, SourceDir: source, Progress: p.follow(nil)})
			if err != nil {
				p.failed()
				return err
			}
			_, err = fmt.Fprintln(t.out, folder)
			return err
		},
	}
	command.Flags().StringVar(&source, "source", "", sourceHelp)
	placeVersion(command, &given)
	return command
}
