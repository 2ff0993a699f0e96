// SPDX-License-Identifier: Apache-2.0

package containers

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"
)

// Mount is a directory or file of the engine's host that a node sees.
type Mount struct {
	HostPath      string
	ContainerPath string
	ReadOnly      bool
}

// MachineSpec is what a machine's container is made from.
type MachineSpec struct {
	Key     Key // of the DockerMachine
	Cluster Key
	// UID of the DockerMachine. When set, a container that was made for a former object of the same name is refused.
	UID           string
	Role          Role // RoleControlPlane or RoleWorker
	Image         string
	Mounts        []Mount
	FailureDomain string
}

// CreateMachine makes and starts a machine's container, with its volume at /var and its fixed address. Repeated, it
// returns the container that is there: one that was made but not started is started, one that has stopped is left so
// (RestartMachine starts it). A volume without a container is a rest of a former machine and is replaced, so that a new
// node never finds old state.
//
// It gives *NameTakenError, *MissingImageError, *KernelLimitError, *NetworkModeError or *SubnetError.
func (c *Client) CreateMachine(ctx context.Context, spec MachineSpec) (Machine, error) {
	object := "DockerMachine " + spec.Key.String()
	if spec.Role != RoleControlPlane && spec.Role != RoleWorker {
		return Machine{}, fmt.Errorf("create container of %s: role %q is neither %s nor %s", object, spec.Role, RoleControlPlane, RoleWorker)
	}
	found, err := c.Machine(ctx, spec.Key)
	if err != nil {
		return found, err
	}
	if err := c.refuseForeign(found, spec, object); err != nil {
		return found, err
	}
	if found.Exists && !found.HalfMade() {
		return found, nil
	}
	if err := c.inotifyExhausted(); err != nil {
		return found, fmt.Errorf("create container of %s: %w", object, err)
	}
	image, err := c.EnsureImage(ctx, spec.Image)
	if err != nil {
		return found, fmt.Errorf("create container of %s: %w", object, err)
	}
	id := found.ID
	if !found.Exists {
		err = c.ask(ctx, c.bounds.write, func(ctx context.Context) error {
			id, err = c.makeMachine(ctx, spec, image)
			return err
		})
		if err != nil {
			return found, fmt.Errorf("create container of %s: %w", object, explain(err))
		}
	}
	err = c.ask(ctx, c.bounds.write, func(ctx context.Context) error {
		return c.startNew(ctx, id, func() (string, error) { return c.makeMachine(ctx, spec, image) })
	})
	if err != nil {
		return found, fmt.Errorf("start container of %s: %w", object, explain(err))
	}
	return c.Machine(ctx, spec.Key)
}

// refuseForeign gives an error when the names are taken by what was not made for this very object.
func (c *Client) refuseForeign(found Machine, spec MachineSpec, object string) error {
	name := c.MachineName(spec.Key)
	if found.TakenBy != "" {
		return &NameTakenError{Kind: "container", Name: name, For: object, Owner: found.TakenBy}
	}
	if found.Exists && spec.UID != "" && found.UID != spec.UID {
		return &NameTakenError{Kind: "container", Name: found.Name, For: object, Owner: fmt.Sprintf("a former DockerMachine of the same name (UID %s)", found.UID)}
	}
	return nil
}

// startNew starts a container that was just made or found half made. When the host refuses to start a privileged one it is
// made again, confined; that is remembered, so that it costs one attempt in a process. It is made again too when its address
// was taken meanwhile or its network removed.
func (c *Client) startNew(ctx context.Context, id string, again func() (string, error)) error {
	err := c.start(ctx, id)
	if err == nil || (!isPrivilegeRefused(err) && !isAddressTaken(err) && !isNetworkGone(err)) {
		return err
	}
	if isPrivilegeRefused(err) {
		was, inspectErr := c.api.ContainerInspect(ctx, id, client.ContainerInspectOptions{})
		if inspectErr != nil {
			return errors.Join(err, inspectErr)
		}
		if was.Container.HostConfig == nil || !was.Container.HostConfig.Privileged {
			return err // confined already: the host allows neither
		}
		if c.confined.CompareAndSwap(false, true) {
			c.log.Info("The host forbids privileged containers; nodes run with added capabilities in their place", "cause", firstLine(err.Error()))
		}
	}
	if removal := c.removeAnyhow(ctx, id); removal != nil {
		return errors.Join(err, removal)
	}
	if id, err = again(); err != nil {
		return err
	}
	return c.start(ctx, id)
}

func (c *Client) start(ctx context.Context, id string) error {
	_, err := c.api.ContainerStart(ctx, id, client.ContainerStartOptions{})
	return err
}

// makeMachine makes volume and container. The caller has seen that there is no container.
func (c *Client) makeMachine(ctx context.Context, spec MachineSpec, image Image) (id string, err error) {
	c.making.Lock()
	defer c.making.Unlock()
	on, err := c.ensureNetwork(ctx)
	if err != nil {
		return "", err
	}
	name := c.MachineName(spec.Key)
	address, err := c.freeAddress(ctx, on, name)
	if err != nil {
		return "", err
	}
	labels := c.labels(spec.Cluster, spec.Role, spec.UID)
	labels[LabelMachine] = spec.Key.String()
	if err := c.freshVolume(ctx, spec, labels); err != nil {
		return "", err
	}
	labels[LabelAddress] = address.String()
	if spec.FailureDomain != "" {
		labels[LabelFailureDomain] = spec.FailureDomain
	}
	config := &container.Config{
		Image: spec.Image, Hostname: name, Labels: labels,
		Tty: true, // systemd then writes its progress to the console, which is where to look when a node does not boot
		Env: []string{"container=docker"},
	}
	never := false
	host := &container.HostConfig{
		NetworkMode: container.NetworkMode(on.Name),
		Tmpfs:       map[string]string{"/tmp": "", "/run": ""},
		Mounts:      mounts(VolumeName(c.id, spec.Key), spec.Mounts),
		Init:        &never, // systemd is the first process
		// Started again with the engine after a restart of the host, not for ever after a crash of the node.
		RestartPolicy: container.RestartPolicy{Name: container.RestartPolicyOnFailure, MaximumRetryCount: 1},
	}
	c.privilege(config, host, image, c.confined.Load())
	create := func() (client.ContainerCreateResult, error) {
		return c.api.ContainerCreate(ctx, client.ContainerCreateOptions{
			Name: name, Config: config, HostConfig: host, NetworkingConfig: endpoint(on.Name, address),
		})
	}
	created, err := create()
	if lacksModules(err) {
		host.Mounts = slices.DeleteFunc(host.Mounts, func(m mount.Mount) bool { return m.Source == modulesFolder })
		created, err = create()
	}
	if isNotFound(err) && !isNetworkError(err) {
		return "", &MissingImageError{Image: spec.Image, Next: "it was removed a moment ago: build or load it again"}
	}
	return created.ID, err
}

// endpoint attaches a container to our network under its fixed address.
func endpoint(networkName string, address netip.Addr) *network.NetworkingConfig {
	return &network.NetworkingConfig{EndpointsConfig: map[string]*network.EndpointSettings{
		networkName: {IPAMConfig: &network.EndpointIPAMConfig{IPv4Address: address}},
	}}
}

// modulesFolder holds the modules of the host's kernel, which a node may have to load. A host whose kernel has everything
// built in may have no such folder.
const modulesFolder = "/lib/modules"

// lacksModules tells whether the engine could not make a container because its host has no modulesFolder: Docker says "bind
// source path does not exist", Podman "statfs ...: no such file or directory".
func lacksModules(err error) bool {
	if err == nil || !strings.Contains(err.Error(), modulesFolder) {
		return false
	}
	return containsFold(err.Error(), "does not exist") || containsFold(err.Error(), "no such file or directory")
}

// mounts lists what a node sees beside its image: its volume, the host's kernel modules and what the user adds.
func mounts(volume string, extra []Mount) []mount.Mount {
	list := []mount.Mount{
		{Type: mount.TypeVolume, Source: volume, Target: "/var"},
		{Type: mount.TypeBind, Source: modulesFolder, Target: modulesFolder, ReadOnly: true},
	}
	for _, item := range extra {
		list = append(list, mount.Mount{Type: mount.TypeBind, Source: item.HostPath, Target: item.ContainerPath, ReadOnly: item.ReadOnly})
	}
	return list
}

// freshVolume makes the volume, in place of one that a former machine of that name has left.
func (c *Client) freshVolume(ctx context.Context, spec MachineSpec, labels map[string]string) error {
	name := VolumeName(c.id, spec.Key)
	ours, _, takenBy, err := c.volume(ctx, name)
	if err != nil {
		return err
	}
	if takenBy != "" {
		return &NameTakenError{Kind: "volume", Name: name, For: "DockerMachine " + spec.Key.String(), Owner: takenBy}
	}
	if ours {
		if err := c.removeVolume(ctx, name); err != nil {
			return err
		}
	}
	own := map[string]string{}
	for key, value := range labels {
		own[key] = value
	}
	if _, err := c.api.VolumeCreate(ctx, client.VolumeCreateOptions{Name: name, Labels: own}); err != nil {
		return fmt.Errorf("create volume %s: %w", name, err)
	}
	return nil
}

func (c *Client) removeVolume(ctx context.Context, name string) error {
	if _, err := c.api.VolumeRemove(ctx, name, client.VolumeRemoveOptions{}); err != nil && !isNotFound(err) {
		return fmt.Errorf("remove volume %s: %w", name, err)
	}
	return nil
}

// RestartMachine starts a machine's container that has stopped. Its address, its volume and its file system are what they
// were. One that runs is left alone. It gives *NotRunningError when there is no container.
func (c *Client) RestartMachine(ctx context.Context, key Key) error {
	found, err := c.Machine(ctx, key)
	if err != nil {
		return err
	}
	return c.restart(ctx, found.Container, c.MachineName(key))
}

func (c *Client) restart(ctx context.Context, found Container, name string) error {
	if !found.Exists {
		return &NotRunningError{Name: name}
	}
	if found.State == StatePaused {
		err := c.ask(ctx, c.bounds.write, func(ctx context.Context) error {
			_, err := c.api.ContainerUnpause(ctx, found.ID, client.ContainerUnpauseOptions{})
			return err
		})
		if err != nil {
			return fmt.Errorf("resume container %s: %w", found.Name, err)
		}
		return nil
	}
	if err := c.ask(ctx, c.bounds.write, func(ctx context.Context) error { return c.start(ctx, found.ID) }); err != nil {
		return fmt.Errorf("start container %s: %w", found.Name, explain(err))
	}
	return nil
}

// DeleteMachine removes a machine's container, running or not, and its volume, provided that their LabelUID is uid. What is
// already gone is not an error; what has the machine's name but is not ours, or was made for an object with another UID, is
// left alone.
func (c *Client) DeleteMachine(ctx context.Context, key Key, uid string) error {
	found, err := c.Machine(ctx, key)
	if err != nil {
		return err
	}
	if found.Exists && found.UID != uid {
		return nil // and so is its volume
	}
	if found.Exists {
		if err := c.remove(ctx, found.ID); err != nil {
			return fmt.Errorf("delete container of DockerMachine %s: %w", key, err)
		}
	}
	if !found.VolumeExists || found.VolumeUID != uid {
		return nil
	}
	if err := c.ask(ctx, c.bounds.write, func(ctx context.Context) error { return c.removeVolume(ctx, VolumeName(c.id, key)) }); err != nil {
		return fmt.Errorf("delete volume of DockerMachine %s: %w", key, err)
	}
	return nil
}

// removalTimeout bounds how long to wait for a removal that somebody else has begun.
const removalTimeout = 15 * time.Second

// remove removes a container by force, with its anonymous volumes, and returns when it is gone.
func (c *Client) remove(ctx context.Context, id string) error {
	return c.ask(ctx, c.bounds.write, func(ctx context.Context) error {
		err := c.removeAnyhow(ctx, id)
		if isStuck(err) {
			return c.removeStuck(ctx, id, err)
		}
		return err
	})
}

func (c *Client) removeAnyhow(ctx context.Context, id string) error {
	_, err := c.api.ContainerRemove(ctx, id, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true})
	if err == nil || isNotFound(err) {
		return nil
	}
	if !isConflict(err) {
		return err
	}
	// A removal is under way, begun before a crash of ours or by somebody's hand.
	bounded, cancel := context.WithTimeout(ctx, removalTimeout)
	defer cancel()
	wait := c.api.ContainerWait(bounded, id, client.ContainerWaitOptions{Condition: container.WaitConditionRemoved})
	select {
	case <-wait.Result:
		return nil
	case failure := <-wait.Error:
		if isNotFound(failure) {
			return nil
		}
		return errors.Join(err, failure)
	}
}

// isNetworkGone tells whether a container could not be started because its network has been removed since it was made.
func isNetworkGone(err error) bool { return isNotFound(err) && isNetworkError(err) }

// isNetworkError tells whether "not found" was said of a network and not of an image.
func isNetworkError(err error) bool {
	return err != nil && (containsFold(err.Error(), "network") && !containsFold(err.Error(), "image"))
}
