// SPDX-License-Identifier: Apache-2.0

package containers

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
)

// State is what the engine says a container is doing.
type State string

// The states of a container.
const (
	StateAbsent     State = ""           // there is no such container
	StateCreated    State = "created"    // made and never started: half made
	StateRunning    State = "running"    //
	StatePaused     State = "paused"     //
	StateRestarting State = "restarting" // it exited and the engine is about to start it again
	StateRemoving   State = "removing"   //
	StateExited     State = "exited"     //
	StateDead       State = "dead"       // its removal failed half-way
)

// Container is what the engine knows of one container of ours. The zero value means that there is none.
type Container struct {
	Exists bool
	ID     string
	Name   string // also the host name, and for a machine the Node's name
	Image  string // as it was asked for
	State  State
	// ExitCode is of the last run; meaningful unless State is created or running.
	ExitCode int
	// OutOfMemory is true when the kernel killed it for want of memory.
	OutOfMemory bool
	// EngineError is what the engine said when it last failed to start the container.
	EngineError string
	// Address is the fixed address on our network; it is known of a stopped container too. Subnet is the network's, known
	// while the container runs.
	Address netip.Addr
	Subnet  netip.Prefix
	Labels  map[string]string
	// Created, Started and Finished are zero when they have not happened.
	Created, Started, Finished time.Time

	// Cluster, Role and UID are read from the labels.
	Cluster Key
	Role    Role
	UID     string
}

// Running tells whether the container's first process runs.
func (c Container) Running() bool { return c.State == StateRunning }

// HalfMade tells whether the container was made and never started, as a crash in the middle of making it leaves it.
func (c Container) HalfMade() bool { return c.State == StateCreated }

// MadeFor tells whether the container belongs to the object with that UID. named says that the object names this very
// container as its own, by its provider id or its endpoint: an object that was restored from a backup has another UID than
// the one for which the container was made.
func (c Container) MadeFor(uid string, named bool) bool { return madeFor(c.UID, uid, named) }

func madeFor(label, uid string, named bool) bool { return label == "" || label == uid || named }

// StartPause lies between a container that stopped right after it was started and the next start, so that one that cannot
// run is not started in a tight loop.
const StartPause = 10 * time.Second

// StartsAgain is when a container that stopped may be started: at once, unless it had run for less than StartPause. One
// that the engine is about to start itself is looked at again after the pause.
func (c Container) StartsAgain(now time.Time) time.Time {
	if c.State == StateRestarting {
		return now.Add(StartPause)
	}
	if c.Started.IsZero() || c.Finished.Sub(c.Started) >= StartPause {
		return now
	}
	again := c.Finished.Add(StartPause)
	if again.After(now.Add(StartPause)) {
		return now // the engine's clock is not ours
	}
	return again
}

// Machine is what the engine knows of a DockerMachine's container and volume.
type Machine struct {
	Container
	Key           Key
	FailureDomain string
	// VolumeExists tells whether the machine's volume is there; it can outlive the container when a deletion was cut short.
	VolumeExists bool
	// VolumeUID is the UID of the object that the volume was made for; empty when it does not say.
	VolumeUID string
	// TakenBy is not empty when the machine's name belongs to a container that is not ours; it says whose it is.
	TakenBy string
}

// LoadBalancer is what the engine knows of a cluster's load balancer.
type LoadBalancer struct {
	Container
	// Port is where the Kubernetes API is served on Address.
	Port int
	// ConfigDigest is ConfigDigest of the configuration that HAProxy has loaded; empty when none was loaded by us, and of
	// one that does not run.
	ConfigDigest string
	// TakenBy is not empty when the load balancer's name belongs to a container that is not ours.
	TakenBy string
}

// Machine reads one machine. Exists false and a nil error: it is not there.
func (c *Client) Machine(ctx context.Context, key Key) (machine Machine, err error) {
	err = c.ask(ctx, c.bounds.read, func(ctx context.Context) error {
		machine, err = c.machine(ctx, key)
		return err
	})
	return machine, err
}

func (c *Client) machine(ctx context.Context, key Key) (Machine, error) {
	machine := Machine{Key: key}
	found, takenBy, err := c.find(ctx, c.MachineName(key), client.Filters{}.Add("label", LabelMachine+"="+key.String()))
	if err != nil {
		return machine, fmt.Errorf("read container of machine %s: %w", key, explain(err))
	}
	machine.Container, machine.TakenBy = found, takenBy
	machine.FailureDomain = found.Labels[LabelFailureDomain]
	machine.VolumeExists, machine.VolumeUID, _, err = c.volume(ctx, VolumeName(c.id, key))
	if err != nil {
		return machine, fmt.Errorf("read volume of machine %s: %w", key, err)
	}
	return machine, nil
}

// Machines reads all machines of a cluster, sorted by name, with the rest of machines whose container is gone while the
// volume is still there.
func (c *Client) Machines(ctx context.Context, cluster Key) ([]Machine, error) {
	var keys map[Key]bool
	err := c.ask(ctx, c.bounds.read, func(ctx context.Context) (err error) {
		keys, err = c.machineKeys(ctx, cluster)
		return err
	})
	if err != nil {
		return nil, err
	}
	var machines []Machine
	for key := range keys {
		machine, err := c.Machine(ctx, key)
		if err != nil {
			return nil, err
		}
		if machine.Exists || machine.VolumeExists {
			machines = append(machines, machine)
		}
	}
	slices.SortFunc(machines, func(a, b Machine) int { return strings.Compare(a.Key.String(), b.Key.String()) })
	return machines, nil
}

// machineKeys are the machines of a cluster of which there is a container or a volume.
func (c *Client) machineKeys(ctx context.Context, cluster Key) (map[Key]bool, error) {
	filter := c.owned().Add("label", LabelCluster+"="+cluster.String(), LabelMachine)
	keys := map[Key]bool{}
	list, err := c.api.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: filter})
	if err != nil {
		return nil, fmt.Errorf("list machines of cluster %s: %w", cluster, explain(err))
	}
	for _, item := range list.Items {
		keys[parseKey(item.Labels[LabelMachine])] = true
	}
	volumes, err := c.api.VolumeList(ctx, client.VolumeListOptions{Filters: filter})
	if err != nil {
		return nil, fmt.Errorf("list volumes of cluster %s: %w", cluster, err)
	}
	for _, item := range volumes.Items {
		keys[parseKey(item.Labels[LabelMachine])] = true
	}
	return keys, nil
}

// LoadBalancer reads a cluster's load balancer. Exists false and a nil error: it is not there.
func (c *Client) LoadBalancer(ctx context.Context, cluster Key) (balancer LoadBalancer, err error) {
	err = c.ask(ctx, c.bounds.read, func(ctx context.Context) error {
		balancer, err = c.loadBalancer(ctx, cluster)
		return err
	})
	return balancer, err
}

// LoadBalancerMadeFor reads the load balancer that was made for the DockerCluster of that UID, whatever the name of its
// cluster. Exists false and a nil error: there is none.
func (c *Client) LoadBalancerMadeFor(ctx context.Context, uid string) (LoadBalancer, error) {
	filter := c.owned().Add("label", LabelUID+"="+uid, LabelRole+"="+string(RoleLoadBalancer))
	var list client.ContainerListResult
	err := c.ask(ctx, c.bounds.read, func(ctx context.Context) (err error) {
		list, err = c.api.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: filter})
		return err
	})
	if err != nil {
		return LoadBalancer{}, fmt.Errorf("find load balancer of DockerCluster with UID %s: %w", uid, explain(err))
	}
	if len(list.Items) == 0 {
		return LoadBalancer{Port: APIServerPort}, nil
	}
	return c.LoadBalancer(ctx, parseKey(list.Items[0].Labels[LabelCluster]))
}

func (c *Client) loadBalancer(ctx context.Context, cluster Key) (LoadBalancer, error) {
	balancer := LoadBalancer{Port: APIServerPort}
	filter := client.Filters{}.Add("label", LabelCluster+"="+cluster.String(), LabelRole+"="+string(RoleLoadBalancer))
	found, takenBy, err := c.find(ctx, c.LoadBalancerName(cluster), filter)
	if err != nil {
		return balancer, fmt.Errorf("read load balancer of cluster %s: %w", cluster, explain(err))
	}
	balancer.Container, balancer.TakenBy = found, takenBy
	if found.Running() {
		balancer.ConfigDigest = c.loadedDigest(ctx, found.ID)
	}
	return balancer, nil
}

// loadedDigest is the digest that the last update left in a load balancer. One that cannot be read counts as none: the
// configuration is then loaded again, and a load balancer whose file system is broken can still be deleted.
func (c *Client) loadedDigest(ctx context.Context, id string) string {
	if known, ok := c.loaded.Load(id); ok {
		return known.(string)
	}
	content, err := c.readArchive(ctx, id, digestPath)
	if err != nil {
		return ""
	}
	digest := strings.TrimSpace(string(content))
	c.loaded.Store(id, digest)
	return digest
}

// owned selects what this management cluster made.
func (c *Client) owned() client.Filters {
	return client.Filters{}.Add("label", LabelManagementCluster+"="+c.id)
}

// find reads the container of ours with these labels. When there is none it looks who has the name that it would have.
// Labels come first, because a container that was renamed by hand is still ours; but of several the one with the very name
// counts, because a copy of a container (docker commit, docker run) has its labels too. It gives *SeveralContainersError
// when it cannot tell which one is meant: none is then touched.
func (c *Client) find(ctx context.Context, name string, labels client.Filters) (found Container, takenBy string, err error) {
	list, err := c.api.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: labels.Add("label", LabelManagementCluster+"="+c.id)})
	if err != nil {
		return Container{}, "", err
	}
	var renamed []Container
	for _, item := range list.Items {
		result, err := c.api.ContainerInspect(ctx, item.ID, client.ContainerInspectOptions{})
		if isNotFound(err) {
			continue // the engine may list a container that is gone a moment later
		}
		if err != nil {
			return Container{}, "", err
		}
		one := c.facts(result.Container)
		if one.Name == name {
			return one, "", nil
		}
		renamed = append(renamed, one)
	}
	switch len(renamed) {
	case 0:
		takenBy, err = c.holder(ctx, name)
		return Container{}, takenBy, err
	case 1:
		return renamed[0], "", nil
	}
	several := &SeveralContainersError{Name: name}
	for _, one := range renamed {
		several.Found = append(several.Found, one.Name)
	}
	return Container{}, "", several
}

// holder says who has a name; "" when nobody has it.
func (c *Client) holder(ctx context.Context, name string) (string, error) {
	result, err := c.api.ContainerInspect(ctx, name, client.ContainerInspectOptions{})
	switch {
	case isNotFound(err):
		return "", nil
	case err != nil:
		return "", err
	}
	return owner(result.Container.Config, result.Container.ID), nil
}

// facts turns the engine's answer into ours.
func (c *Client) facts(from container.InspectResponse) Container {
	to := Container{
		Exists: true, ID: from.ID, Name: strings.TrimPrefix(from.Name, "/"),
		Created: parseTime(from.Created),
	}
	if from.Config != nil {
		to.Image, to.Labels = from.Config.Image, from.Config.Labels
	}
	if from.State != nil {
		to.State, to.ExitCode = State(from.State.Status), from.State.ExitCode
		to.OutOfMemory, to.EngineError = from.State.OOMKilled, from.State.Error
		to.Started, to.Finished = parseTime(from.State.StartedAt), parseTime(from.State.FinishedAt)
	}
	to.Cluster, to.Role, to.UID = parseKey(to.Labels[LabelCluster]), Role(to.Labels[LabelRole]), to.Labels[LabelUID]
	to.Address, _ = netip.ParseAddr(to.Labels[LabelAddress])
	if from.NetworkSettings == nil {
		return to
	}
	if endpoint := from.NetworkSettings.Networks[c.NetworkName()]; endpoint != nil && endpoint.IPAddress.IsValid() {
		to.Address, to.Subnet = endpoint.IPAddress, netip.PrefixFrom(endpoint.IPAddress, endpoint.IPPrefixLen).Masked()
	}
	return to
}

// owner says whose container it is, in words for an error.
func owner(config *container.Config, id string) string {
	if len(id) > 12 {
		id = id[:12]
	}
	if config == nil {
		return "container " + id
	}
	return describeOwner(config.Labels, fmt.Sprintf("container %s of image %s, which slipway did not make", id, config.Image))
}

// describeOwner says in words who made what carries these labels.
func describeOwner(labels map[string]string, foreign string) string {
	id := labels[LabelManagementCluster]
	if id == "" {
		return foreign
	}
	what := "cluster " + labels[LabelCluster]
	if machine := labels[LabelMachine]; machine != "" {
		what = "machine " + machine
	}
	return fmt.Sprintf("%s of management cluster %s", what, id)
}

// VolumeMadeFor is MadeFor for the machine's volume.
func (m Machine) VolumeMadeFor(uid string, named bool) bool { return madeFor(m.VolumeUID, uid, named) }

// volume tells whether a volume of that name exists and is ours, and for which object it was made.
func (c *Client) volume(ctx context.Context, name string) (ours bool, uid, takenBy string, err error) {
	result, err := c.api.VolumeInspect(ctx, name, client.VolumeInspectOptions{})
	switch {
	case isNotFound(err):
		return false, "", "", nil
	case err != nil:
		return false, "", "", err
	case result.Volume.Labels[LabelManagementCluster] == c.id:
		return true, result.Volume.Labels[LabelUID], "", nil
	}
	return false, "", describeOwner(result.Volume.Labels, "a volume that slipway did not make"), nil
}

// parseTime reads the engine's time; the engine writes year 1 for "never".
func parseTime(text string) time.Time {
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil || at.Year() <= 1 {
		return time.Time{}
	}
	return at.UTC()
}
