// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/moby/moby/client"
	"github.com/spf13/cobra"

	"github.com/slipway-project/slipway/nodeimage"
	"github.com/slipway-project/slipway/providers/docker/containers"
)

func (t *tool) imageCommand() *cobra.Command {
	return group("image", "Build and list images of machines",
		`  slipway image build --kubernetes-version v1.37.1
  slipway image list`,
		t.imageBuildCommand(), t.imageBinariesCommand(), t.imageListCommand())
}

// imageFlags are those of slipway image build.
type imageFlags struct {
	version      string
	loadBalancer bool
	network      bool
	source       string
	noCache      bool
}

func (t *tool) imageBuildCommand() *cobra.Command {
	var flags imageFlags
	command := &cobra.Command{
		Use:   "build",
		Short: "Build the node image of a Kubernetes version, and the images beside it",
		Long: `Build slipway/node:<version> from pinned Go modules and Debian packages, with no image registry,
and where they are missing the load balancer's image slipway/haproxy and the pod network's
slipway.dev/network, which machines made of other node images are given. A build with nothing
changed takes seconds, the first one of a minor version about ten minutes.

Security fixes of Debian are taken in when its packages are installed, from where this host has
its own packages from. For later ones build again with --no-cache.`,
		Example: `  slipway image build --kubernetes-version v1.37.1

  # what machines of another node image need beside it
  slipway image build --load-balancer --network`,
		Args: noArguments,
		RunE: func(command *cobra.Command, _ []string) error {
			node := !flags.loadBalancer && !flags.network || command.Flags().Changed("kubernetes-version")
			return t.imageBuild(command.Context(), flags, node)
		},
	}
	f := command.Flags()
	f.BoolVar(&flags.loadBalancer, "load-balancer", false, "build the load balancer's image only, unless a version is given too")
	f.BoolVar(&flags.network, "network", false, "build the pod network's image only, unless a version is given too")
	f.StringVar(&flags.source, "source", "", sourceHelp)
	f.BoolVar(&flags.noCache, "no-cache", false, "build again what could be used again")
	placeVersion(command, &flags.version)
	return command
}

func (t *tool) imageBuild(ctx context.Context, flags imageFlags, node bool) error {
	version, err := kubernetesVersion(flags.version)
	if err != nil {
		return err
	}
	p := newProgress(t.err, t.now)
	options := nodeimage.Options{Version: version, SourceDir: flags.source, NoCache: flags.noCache, Docker: imageEngine(), Progress: p.follow(nil)}
	options.Notice = func(text string) { p.say("%s", text) }
	tell := func(image nodeimage.Image) { p.say("%s", builtLine(image)) }
	if err := nodeimage.BuildAll(ctx, options, tell, imageBuilds(flags, node)...); err != nil {
		p.failed()
		return err
	}
	return nil
}

// imageEngine is the address of the engine that images belong into where the user names
// none: the one that the management cluster's machines are in. It is empty for none.
func imageEngine() string {
	if os.Getenv(client.EnvOverrideHost) != "" {
		return ""
	}
	return containers.RecordedHost(engineRecord(kubeconfigHomes("")))
}

// imageBuilds are the images that are asked for: with a node image those that
// clusters need beside it.
func imageBuilds(flags imageFlags, node bool) []nodeimage.Build {
	var builds []nodeimage.Build
	if node || flags.loadBalancer {
		builds = append(builds, nodeimage.BuildLoadBalancer)
	}
	if node || flags.network {
		builds = append(builds, nodeimage.BuildNetwork)
	}
	if node {
		builds = append(builds, nodeimage.BuildNode)
	}
	return builds
}

func builtLine(image nodeimage.Image) string {
	how := "built"
	if image.Reused {
		how = "is up to date"
	}
	return fmt.Sprintf("%s %s: %d MB, bill of materials %s", image.Reference, how, image.Size/1_000_000, image.SBOM)
}

// listedImage is a row of slipway image list.
type listedImage struct {
	Name    string    `json:"name"`
	Present bool      `json:"present"`
	Size    int64     `json:"size,omitempty"` // in bytes
	Created time.Time `json:"created,omitzero"`
}

func (t *tool) imageListCommand() *cobra.Command {
	var output format
	command := &cobra.Command{
		Use:     "list",
		Short:   "List images that are on the container engine's host, and those that can be built",
		Example: `  slipway image list`,
		Args:    noArguments,
		RunE: func(command *cobra.Command, _ []string) error {
			images, err := listImages(command.Context())
			if err != nil {
				return err
			}
			if output != formatTable {
				return output.print(t.out, images)
			}
			return table(t.out, imageRows(images))
		},
	}
	output.place(command)
	return command
}

// builtHere are the names of the images that slipway image build makes.
var builtHere = []string{nodeimage.NodeRepository, nodeimage.LoadBalancerRepository, nodeimage.NetworkRepository}

func listImages(ctx context.Context) ([]listedImage, error) {
	api, err := nodeimage.Connect(ctx, imageEngine())
	if err != nil {
		return nil, err
	}
	defer api.Close()
	asking, done := context.WithTimeout(ctx, answerLimit)
	defer done()
	found, err := api.ImageList(asking, client.ImageListOptions{Filters: client.Filters{}.Add("reference", builtHere...)})
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, fmt.Errorf("list images of the container engine at %s: %s", api.DaemonHost(), oneLine(innermost(err)))
	}
	var images []listedImage
	for _, item := range found.Items {
		for _, name := range item.RepoTags {
			name = strings.TrimPrefix(name, "localhost/") // Podman's, for names without a registry
			repository, _, _ := strings.Cut(name, ":")
			if slices.Contains(builtHere, repository) {
				images = append(images, listedImage{Name: name, Present: true, Size: item.Size, Created: time.Unix(item.Created, 0).UTC()})
			}
		}
	}
	// Outside of a checkout nothing can be built, and the list is of what there is.
	versions, err := nodeimage.Versions("")
	if err != nil && len(images) == 0 {
		return nil, errors.Join(errors.New("no image has been built"), err)
	}
	return withBuildable(images, versions), nil
}

// withBuildable adds the images that a checkout can build, and sorts.
func withBuildable(images []listedImage, versions []string) []listedImage {
	for _, version := range versions {
		name := nodeimage.NodeRepository + ":" + version
		if !slices.ContainsFunc(images, func(i listedImage) bool { return i.Name == name }) {
			images = append(images, listedImage{Name: name})
		}
	}
	slices.SortFunc(images, func(a, b listedImage) int { return strings.Compare(a.Name, b.Name) })
	return images
}

func imageRows(images []listedImage) [][]string {
	rows := [][]string{{"IMAGE", "SIZE", "STATE"}}
	for _, image := range images {
		state, size := "built", fmt.Sprintf("%d MB", image.Size/1_000_000)
		if !image.Present {
			size, state = "", "not built; build it with: slipway image build --kubernetes-version "+image.Name[strings.LastIndex(image.Name, ":")+1:]
		}
		rows = append(rows, []string{image.Name, size, state})
	}
	return rows
}
