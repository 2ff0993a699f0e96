// SPDX-License-Identifier: Apache-2.0

package containers

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/distribution/reference"
	"github.com/moby/moby/client"
)

const (
	// NodeRepository and LoadBalancerRepository are the names under which "slipway image build" leaves its images.
	NodeRepository         = "slipway/node"
	LoadBalancerRepository = "slipway/haproxy"
	// DefaultLoadBalancerImage is what a load balancer runs when its object names no other.
	DefaultLoadBalancerImage = LoadBalancerRepository + ":latest"

	// Images under these names are built here. Those of the second are for the inside of nodes.
	ownRepositories, ownNodeRepositories = "slipway/", "slipway.dev/"

	// pullAnswer bounds how long a registry may take until it says the first thing; pullStall how long a pull may say
	// nothing; pullTotal how long it may take altogether.
	pullAnswer = 10 * time.Second
	pullStall  = 60 * time.Second
	pullTotal  = 10 * time.Minute
)

// Image is what the engine knows of an image.
type Image struct {
	Exists bool
	ID     string

	entrypoint, command []string
}

// NodeImage is the image that a machine of that Kubernetes version ("v1.37.1") runs when its object names no other.
func NodeImage(version string) string {
	return NodeRepository + ":" + strings.ReplaceAll(version, "+", "_")
}

// LoadBalancerImage is the load balancer's image for the repository and tag that a DockerCluster may set. The repository
// holds an image called "haproxy", as upstream's field has it: "kindest" and "v1" give "kindest/haproxy:v1".
func LoadBalancerImage(repository, tag string) string {
	name := LoadBalancerRepository
	if repository != "" {
		name = strings.TrimSuffix(repository, "/") + "/haproxy"
	}
	if tag == "" {
		tag = "latest"
	}
	return name + ":" + tag
}

// Image reads whether an image is on the engine's host. Exists false and a nil error: it is not there.
func (c *Client) Image(ctx context.Context, name string) (Image, error) {
	if _, err := reference.ParseNormalizedNamed(name); err != nil {
		return Image{}, fmt.Errorf("image %q is not a valid image name (%w): correct it", name, err)
	}
	var result client.ImageInspectResult
	err := c.ask(ctx, c.bounds.read, func(ctx context.Context) (err error) {
		result, err = c.api.ImageInspect(ctx, name)
		return err
	})
	if isNotFound(err) {
		return Image{}, nil
	}
	if err != nil {
		return Image{}, fmt.Errorf("read image %s: %w", name, err)
	}
	image := Image{Exists: true, ID: result.ID}
	if result.Config != nil {
		image.entrypoint, image.command = result.Config.Entrypoint, result.Config.Cmd
	}
	return image, nil
}

// EnsureImage pulls an image unless the engine's host has it. Images of our own repositories are never pulled: they are
// built on this machine, and under those names a public registry would give somebody else's. It gives *MissingImageError,
// within seconds where no registry answers.
func (c *Client) EnsureImage(ctx context.Context, name string) (Image, error) {
	image, err := c.Image(ctx, name)
	if err != nil || image.Exists {
		return image, err
	}
	if next, own := buildHint(name); own {
		return Image{}, &MissingImageError{Image: name, Next: next}
	}
	if err := c.pull(ctx, name); err != nil {
		if ctx.Err() != nil {
			return Image{}, fmt.Errorf("pull image %s: %w", name, ctx.Err())
		}
		return Image{}, &MissingImageError{Image: name, Cause: err, Next: "load it there (docker load), correct the image's name, or use an image made by slipway image build"}
	}
	return c.Image(ctx, name)
}

// buildHint tells whether the image is one that we build, and with which command.
func buildHint(name string) (next string, own bool) {
	if strings.HasPrefix(name, ownNodeRepositories) {
		return "build it with: slipway image build --network", true
	}
	short := strings.TrimPrefix(name, "docker.io/")
	if !strings.HasPrefix(short, ownRepositories) {
		return "", false
	}
	if version, isNode := strings.CutPrefix(short, NodeRepository+":"); isNode {
		return "build it with: slipway image build --kubernetes-version " + strings.ReplaceAll(version, "_", "+"), true
	}
	return "build it with: slipway image build", true
}

// pull fetches an image, giving up when the registry is silent.
func (c *Client) pull(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, pullTotal)
	defer cancel()
	silent := errors.New("the registry does not answer")
	ctx, giveUp := context.WithCancelCause(ctx)
	watchdog := time.AfterFunc(pullAnswer, func() { giveUp(silent) })
	defer watchdog.Stop()
	stream, err := c.api.ImagePull(ctx, name, client.ImagePullOptions{})
	if err != nil {
		return firstCause(ctx, err)
	}
	defer stream.Close()
	for message, err := range stream.JSONMessages(ctx) {
		if err != nil {
			return firstCause(ctx, err)
		}
		if message.Error != nil {
			return errors.New(firstLine(message.Error.Message))
		}
		watchdog.Reset(pullStall)
	}
	return firstCause(ctx, nil)
}

// firstCause prefers why the context ended over what that did to the call.
func firstCause(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	if err != nil {
		return errors.New(firstLine(err.Error()))
	}
	return nil
}
