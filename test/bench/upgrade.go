// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/go-logr/logr"
	dockerclient "github.com/moby/moby/client"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	infrav1 "github.com/slipway-project/slipway/api/infrastructure/v1beta2"
	"github.com/slipway-project/slipway/providers/docker/containers"
	"github.com/slipway-project/slipway/standalone"
	connecting "github.com/slipway-project/slipway/workload"
)

// What happens to a cluster, in this order.
const (
	stageGrow     = "grow"
	stageUpgrade  = "upgrade"
	stageFollower = "follower killed"
	stageLeader   = "leader killed"
)

const (
	// stageLimit bounds each stage, lookLimit each request that looks on.
	stageLimit = 15 * time.Minute
	lookLimit  = 15 * time.Second
	// lookEvery is how often is looked; each look takes some requests from the management cluster.
	lookEvery = 200 * time.Millisecond
)

// healthCheck has control planes replaced. Its times are short: what is timed is the replacement.
const healthCheck = `apiVersion: cluster.x-k8s.io/v1beta2
kind: MachineHealthCheck
metadata: {name: ` + clusterName + `-control-plane, namespace: default}
spec:
  clusterName: ` + clusterName + `
  selector: {matchLabels: {cluster.x-k8s.io/control-plane: ""}}
  checks:
    nodeStartupTimeoutSeconds: 300
    unhealthyNodeConditions:
    - {type: Ready, status: Unknown, timeoutSeconds: 15}
    - {type: Ready, status: "False", timeoutSeconds: 60}
`

// changes is what one cluster gave that changed, ours or the floor's; by stage but for the times, whose phases are of one
// stage each. The floor has only the first two stages, and uses no process of ours.
type changes struct {
	taken map[string]timing
	asked map[string][]asked
	used  map[string]map[string]usage
}

func newChanges() changes {
	return changes{taken: map[string]timing{}, asked: map[string][]asked{}, used: map[string]map[string]usage{}}
}

// note tells what came of one stage.
func (c changes) note(who, stage string) {
	say("%s, %s: %s", who, stage, c.taken[stage])
	for i, got := range c.asked[stage] {
		say("  connection: %s: %d questions, %d failed, longest gap %.2f s", connections[i].words, got.questions, len(got.failures), got.gap.Seconds())
		for _, failure := range got.failures[:min(5, len(got.failures))] {
			say("    %s", failure)
		}
	}
}

// takeUpgrade has clusters grow, be upgraded and be repaired.
func (b *bench) takeUpgrade(ctx context.Context, manifest string) (string, error) {
	var ours, floor []changes
	for range b.runs {
		one, err := b.floorChanges(ctx, manifest)
		if err != nil {
			return "", err
		}
		floor = append(floor, one)
		if one, err = b.ourChanges(ctx); err != nil {
			return "", err
		}
		ours = append(ours, one)
	}
	return b.upgradeTables(ours, floor), nil
}

// floorChanges makes a cluster without us, and changes it.
func (b *bench) floorChanges(ctx context.Context, manifest string) (changes, error) {
	got := newChanges()
	kubeconfig := filepath.Join(b.home, "floor.kubeconfig")
	var asking clients
	defer func() { asking.end() }()
	end := func(stage string) {
		got.asked[stage] = asking.end()
		asking = nil
	}
	heard := func(phase string) (err error) {
		switch phase {
		case phaseGrow, phaseUpgrade:
			asking, err = askAPI(ctx, kubeconfig)
		case phaseGrown:
			end(stageGrow)
		case phaseUpgraded:
			end(stageUpgrade)
		}
		return err
	}
	taken, err := runFloor(ctx, heard, "test/bench/floor-upgrade.sh", containers.NodeImage(b.from), containers.NodeImage(b.version),
		containers.DefaultLoadBalancerImage, manifest, kubeconfig)
	if err != nil {
		return got, err
	}
	for stage, phases := range map[string][]phase{stageGrow: growPhases, stageUpgrade: upgradePhases} {
		got.taken[stage] = timing{}
		for _, phase := range phases {
			if _, told := taken[phase.name]; !told {
				return got, fmt.Errorf("floor-upgrade.sh did not tell of phase %s", phase.name)
			}
			got.taken[stage][phase.name] = taken[phase.name]
		}
		got.note("floor", stage)
	}
	return got, nil
}

// changing is a cluster of ours that changes.
type changing struct {
	*bench
	changes
	management, workload client.Client
	// way is the kubeconfig of the workload cluster.
	way       string
	processes []standalone.Process
}

// ourChanges makes a cluster, changes it, and removes it.
func (b *bench) ourChanges(ctx context.Context) (changes, error) {
	c := changing{bench: b, changes: newChanges(), way: filepath.Join(b.home, "workload.kubeconfig")}
	if err := c.make(ctx); err != nil {
		return c.changes, err
	}
	scale := func(ctx context.Context) error {
		controlPlane := controlPlaneOf()
		return c.management.Patch(ctx, controlPlane, client.RawPatch(client.Merge.Type(), fmt.Appendf(nil, `{"spec":{"replicas":%d}}`, controlPlanes)))
	}
	if err := c.stage(ctx, stageGrow, phaseGrown, scale, seen.grown); err != nil {
		return c.changes, err
	}
	upgrade := func(ctx context.Context) error {
		_, err := b.slipway(ctx, "upgrade", "cluster", clusterName, "--to", b.version, "--wait="+stageLimit.String())
		return err
	}
	if err := c.stage(ctx, stageUpgrade, phaseUpgraded, upgrade, func(s seen) []string { return s.upgraded(b.version) }); err != nil {
		return c.changes, err
	}
	check := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(healthCheck), check); err != nil {
		return c.changes, fmt.Errorf("read MachineHealthCheck: %w", err)
	}
	if err := c.management.Create(ctx, check); err != nil {
		return c.changes, fmt.Errorf("create MachineHealthCheck: %w", err)
	}
	for _, stage := range []string{stageFollower, stageLeader} {
		victim, err := c.victim(ctx, stage == stageLeader)
		if err != nil {
			return c.changes, err
		}
		kill := func(ctx context.Context) error { return removeContainer(ctx, victim.Status.NodeRef.Name) }
		if err := c.stage(ctx, stage, phaseRepaired, kill, func(s seen) []string { return s.repaired(victim.Name) }); err != nil {
			return c.changes, err
		}
	}
	_, err := b.slipway(ctx, "delete", "cluster", clusterName, "--wait=2m")
	return c.changes, err
}

// make makes a cluster of one control plane and one worker.
func (c *changing) make(ctx context.Context) error {
	_, err := c.slipway(ctx, "create", "cluster", clusterName, "--kubernetes-version", c.from,
		"--control-plane-machine-count", "1", "--worker-machine-count", fmt.Sprint(someWorkers), "--wait=10m")
	if err != nil {
		return err
	}
	text, err := c.slipway(ctx, "get", "kubeconfig", clusterName)
	if err != nil {
		return err
	}
	if err := os.WriteFile(c.way, []byte(text), 0o600); err != nil {
		return fmt.Errorf("write kubeconfig: %w", err)
	}
	state, err := standalone.Status(ctx, c.home)
	if err != nil {
		return err
	}
	c.processes = state.Processes
	if c.management, err = connectTo(c.kubeconfig()); err != nil {
		return err
	}
	c.workload, err = connectTo(c.way)
	return err
}

// stage has something begin, and looks on until the last phase is over and what began it has ended: what clients of the
// cluster notice, when each phase is over, and what our processes take.
func (c *changing) stage(ctx context.Context, name, last string, begin func(context.Context) error, phases func(seen) []string) (failure error) {
	ctx, cancel := context.WithTimeout(ctx, stageLimit)
	defer cancel()
	asking, err := askAPI(ctx, c.way)
	if err != nil {
		return err
	}
	measuring := measure(ctx, c.processes)
	defer func() {
		c.asked[name] = asking.end()
		used, err := measuring.end()
		c.used[name], failure = used, errors.Join(failure, err)
		c.note("slipway", name)
	}()
	c.taken[name] = timing{}
	begun, began := make(chan error, 1), time.Now()
	go func() { begun <- begin(ctx) }()
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	for ended := false; !ended || c.taken[name][last] == 0; {
		select {
		case err := <-begun:
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			ended = true
		case <-ctx.Done():
			return fmt.Errorf("%s: not over when it was given up (%w); what was: %s", name, ctx.Err(), c.taken[name])
		case <-ticker.C:
		}
		found, err := c.look(ctx)
		if err == nil && name == stageUpgrade {
			c.lookInside(ctx, &found)
		}
		if err != nil {
			return fmt.Errorf("%s: look at the cluster: %w", name, err)
		}
		for _, phase := range phases(found) {
			if c.taken[name][phase] == 0 {
				c.taken[name][phase] = time.Since(began)
			}
		}
	}
	return nil
}

// look reads the management cluster's objects.
func (c *changing) look(ctx context.Context) (seen, error) {
	var s seen
	machines, infrastructure := &clusterv1.MachineList{}, &infrav1.DockerMachineList{}
	controlPlane := controlPlaneOf()
	err := errors.Join(
		c.management.Get(ctx, client.ObjectKeyFromObject(controlPlane), controlPlane),
		c.management.Get(ctx, client.ObjectKey{Namespace: controlPlane.Namespace, Name: clusterName + "-workers"}, &s.workers),
		c.management.List(ctx, machines),
		c.management.List(ctx, infrastructure))
	s.controlPlane, s.machines, s.containers = *controlPlane, machines.Items, infrastructure.Items
	return s, err
}

// lookInside reads the add-ons, which tell nothing before the last control plane is replaced. That the workload cluster does
// not answer ends nothing: it shows in the answers to its clients.
func (c *changing) lookInside(ctx context.Context, s *seen) {
	if slices.ContainsFunc(s.machines, func(machine clusterv1.Machine) bool { return leads(machine) && machine.Spec.Version != c.version }) {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, answerLimit)
	defer cancel()
	nodes, proxy, dns := &corev1.NodeList{}, &appsv1.DaemonSet{}, &appsv1.Deployment{}
	err := errors.Join(
		c.workload.List(ctx, nodes),
		c.workload.Get(ctx, client.ObjectKey{Namespace: metav1.NamespaceSystem, Name: "kube-proxy"}, proxy),
		c.workload.Get(ctx, client.ObjectKey{Namespace: metav1.NamespaceSystem, Name: "coredns"}, dns))
	if err == nil {
		s.nodes, s.proxy, s.dns = nodes.Items, *proxy, *dns
	}
}

// victim is the Machine of a control plane whose member leads etcd, or does not.
func (c *changing) victim(ctx context.Context, leading bool) (clusterv1.Machine, error) {
	cluster := client.ObjectKey{Namespace: metav1.NamespaceDefault, Name: clusterName}
	connections := connecting.New(connecting.Options{Secrets: c.management, Log: logr.Discard()})
	defer connections.Forget(cluster)
	found, err := c.look(ctx)
	if err != nil {
		return clusterv1.Machine{}, fmt.Errorf("choose a control plane: %w", err)
	}
	var nodes []string
	for _, machine := range found.machines {
		if leads(machine) {
			nodes = append(nodes, machine.Status.NodeRef.Name)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		view, err := connections.Etcd(ctx, cluster, nodes)
		if err == nil {
			leader, _ := view.Leader()
			for _, machine := range found.machines {
				if leads(machine) && leader.Name != "" && (machine.Status.NodeRef.Name == leader.Name) == leading {
					return machine, nil
				}
			}
			err = fmt.Errorf("none of %s leads etcd", strings.Join(nodes, ", "))
		}
		select {
		case <-ctx.Done():
			return clusterv1.Machine{}, fmt.Errorf("choose a control plane by its member of etcd: %w", err)
		case <-time.After(lookEvery): // the connection is being made
		}
	}
}

// removeContainer kills a node for good: one that only stopped would be started again.
func removeContainer(ctx context.Context, name string) error {
	api, err := dockerclient.New(dockerclient.FromEnv)
	if err != nil {
		return fmt.Errorf("connect to the container engine: %w", err)
	}
	defer api.Close()
	if _, err := api.ContainerRemove(ctx, name, dockerclient.ContainerRemoveOptions{Force: true, RemoveVolumes: true}); err != nil {
		return fmt.Errorf("kill container %s: %w", name, err)
	}
	return nil
}
