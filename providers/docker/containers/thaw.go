// SPDX-License-Identifier: Apache-2.0

package containers

import (
	"context"
	"errors"
	"fmt"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"
	"github.com/moby/moby/client"
)

// Under cgroup v1 a process in a frozen cgroup cannot be killed, and the first process of a container does not end before
// all others have. The runc within a node freezes the cgroup of a pod's container for a moment when it sets its devices: a
// node that is killed in that moment stays for ever, and the engine says that it got no exit event. Only somebody outside
// of the node can thaw what is left in it.

const (
	// roleThaw is the Role of a container that thaws what is left of another, and is gone a moment later.
	roleThaw Role = "thaw"

	// thawed is the exit code when something was frozen.
	thawed = 10
)

// thawScript thaws all that is frozen below the cgroup of the container whose id is the argument, whatever the engine calls
// that cgroup.
const thawScript = `code=0
for state in $(find /host-cgroup/freezer -path "*$1*" -name freezer.state 2>/dev/null); do
	[ "$(cat "$state")" = THAWED ] || { echo THAWED >"$state" && code=10; }
done
exit $code`

// isStuck tells whether the engine killed a container and it did not end.
func isStuck(err error) bool {
	return err != nil && (containsFold(err.Error(), "did not receive an exit event") || containsFold(err.Error(), "did not die within timeout"))
}

// thaw thaws what is frozen in a container, by a container of the same image that sees the cgroups of the engine's host. It
// tells whether there was anything.
func (c *Client) thaw(ctx context.Context, id string) (done bool, err error) {
	of, err := c.api.ContainerInspect(ctx, id, client.ContainerInspectOptions{})
	if err != nil {
		return false, err
	}
	config := &container.Config{
		Image: of.Container.Image, Entrypoint: []string{"/bin/sh", "-c", thawScript, "thaw", id}, Cmd: []string{},
		Labels: map[string]string{LabelManagementCluster: c.id, LabelRole: string(roleThaw)},
	}
	if of.Container.Config != nil {
		config.Labels[LabelCluster] = of.Container.Config.Labels[LabelCluster]
	}
	host := &container.HostConfig{
		AutoRemove: true, NetworkMode: "none", CgroupnsMode: container.CgroupnsModeHost, SecurityOpt: []string{"apparmor=unconfined"},
		Mounts: []mount.Mount{{Type: mount.TypeBind, Source: "/sys/fs/cgroup", Target: "/host-cgroup"}},
	}
	if err := c.removeThawers(ctx); err != nil {
		return false, err
	}
	created, err := c.api.ContainerCreate(ctx, client.ContainerCreateOptions{Config: config, HostConfig: host})
	if err != nil {
		return false, err
	}
	wait := c.api.ContainerWait(ctx, created.ID, client.ContainerWaitOptions{Condition: container.WaitConditionNextExit})
	if err := c.start(ctx, created.ID); err != nil {
		return false, errors.Join(err, c.removeThawers(context.WithoutCancel(ctx)))
	}
	select {
	case result := <-wait.Result:
		return result.StatusCode == thawed, nil
	case err := <-wait.Error:
		return false, err
	}
}

// removeThawers removes containers for thawing that were made and not started, as by a crash in between: of those that
// were, the engine takes care.
func (c *Client) removeThawers(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, c.bounds.read)
	defer cancel()
	left, err := c.api.ContainerList(ctx, client.ContainerListOptions{
		All: true, Filters: c.owned().Add("label", LabelRole+"="+string(roleThaw)).Add("status", string(StateCreated)),
	})
	if err != nil {
		return fmt.Errorf("list containers for thawing: %w", err)
	}
	for _, item := range left.Items {
		if _, err := c.api.ContainerRemove(ctx, item.ID, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true}); err != nil && !isNotFound(err) {
			return fmt.Errorf("remove container %s: %w", containerName(item), err)
		}
	}
	return nil
}

// removeStuck removes a container that did not end when it was killed; stuck is what the engine said.
func (c *Client) removeStuck(ctx context.Context, id string, stuck error) error {
	done, err := c.thaw(ctx, id)
	switch {
	case err != nil:
		return errors.Join(stuck, fmt.Errorf("look for frozen processes in it: %w", err))
	case !done:
		return fmt.Errorf("%w (a process in it does not end; look at it with \"docker top\", or restart the container engine)", stuck)
	}
	c.log.Info("A container did not end because processes in it were frozen; they are thawed", "container", id)
	return c.removeAnyhow(ctx, id)
}
