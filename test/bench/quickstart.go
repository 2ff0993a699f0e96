// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	addonsv1 "github.com/slipway-project/slipway/api/addons/v1beta2"
	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	infrav1 "github.com/slipway-project/slipway/api/infrastructure/v1beta2"
	"github.com/slipway-project/slipway/providers/docker/containers"
	"github.com/slipway-project/slipway/standalone"
)

const clusterName = "bench"

// takeQuickstart makes clusters, and takes them away.
func (b *bench) takeQuickstart(ctx context.Context, manifest string) (string, error) {
	var ours, floor []timing
	for i := range b.runs {
		one, err := runFloor(ctx, func(string) error { return nil }, "test/bench/floor.sh", containers.NodeImage(b.version), fmt.Sprint(b.workers), manifest)
		if err != nil {
			return "", err
		}
		say("floor %d: %s", i+1, one)
		floor = append(floor, one)
		if one, err = b.ours(ctx); err != nil {
			return "", err
		}
		say("slipway %d: %s", i+1, one)
		ours = append(ours, one)
	}
	busy, err := standalone.Status(ctx, b.home)
	if err != nil {
		return "", err
	}
	images, err := b.images(ctx)
	if err != nil {
		return "", err
	}
	return b.quickstartTables(ours, floor, busy, images), nil
}

// ours makes a cluster with slipway, looks on, and removes it.
func (b *bench) ours(ctx context.Context) (timing, error) {
	looking, err := connectTo(b.kubeconfig())
	if err != nil {
		return nil, err
	}
	created := make(chan error, 1)
	began := time.Now()
	go func() {
		_, err := b.slipway(ctx, "create", "cluster", clusterName, "--kubernetes-version", b.version,
			"--worker-machine-count", fmt.Sprint(b.workers), "--wait=10m")
		created <- err
	}()
	// The command waits for more than the floor does: that the Cluster is available.
	taken := timing{}
	for over := false; !over || taken[phaseReady] == 0; {
		select {
		case err := <-created:
			if err != nil {
				return nil, err
			}
			over = true
		case <-time.After(100 * time.Millisecond):
		}
		if err := b.look(ctx, looking, taken, began); err != nil {
			return nil, err
		}
	}
	_, err = b.slipway(ctx, "delete", "cluster", clusterName, "--wait=2m")
	return taken, err
}

// look notes each phase when it is first seen to be over.
func (b *bench) look(ctx context.Context, c client.Client, taken timing, began time.Time) error {
	now := time.Since(began)
	note := func(phase string, over bool) {
		if over && taken[phase] == 0 {
			taken[phase] = now
		}
	}
	clusters, machines, bindings := &clusterv1.ClusterList{}, &infrav1.DockerMachineList{}, &addonsv1.ClusterResourceSetBindingList{}
	nodes := &clusterv1.MachineList{}
	for _, list := range []client.ObjectList{clusters, machines, bindings, nodes} {
		if err := c.List(ctx, list); err != nil {
			return fmt.Errorf("look at the cluster: %w", err)
		}
	}
	for _, cluster := range clusters.Items {
		provisioned := cluster.Status.Initialization.InfrastructureProvisioned
		note(phaseInfrastructure, provisioned != nil && *provisioned)
	}
	joined := 0
	for _, machine := range machines.Items {
		completed := slices.ContainsFunc(machine.Status.Conditions, func(c metav1.Condition) bool {
			return c.Type == infrav1.BootstrapCompletedCondition && c.Status == metav1.ConditionTrue
		})
		if _, leads := machine.Labels[clusterv1.MachineControlPlaneLabel]; leads {
			begun := machine.Status.Initialization.Provisioned
			note(phaseBooted, begun != nil && *begun)
			note(phaseInitialized, completed)
		} else if completed {
			joined++
		}
	}
	ready := 0
	for _, node := range nodes.Items {
		if slices.ContainsFunc(node.Status.Conditions, func(c metav1.Condition) bool {
			return c.Type == clusterv1.NodeReadyCondition && c.Status == metav1.ConditionTrue
		}) {
			ready++
		}
	}
	note(phaseReady, ready == b.workers+1)
	note(phaseJoined, b.workers > 0 && joined == b.workers)
	for _, binding := range bindings.Items {
		for _, set := range binding.Spec.Bindings {
			note(phaseNetwork, len(set.Resources) > 0 && !slices.ContainsFunc(set.Resources, func(r addonsv1.ResourceBinding) bool { return r.Applied == nil || !*r.Applied }))
		}
	}
	return nil
}

// image is one of the images that clusters are made of.
type image struct {
	name  string
	bytes int64
}

func (b *bench) images(ctx context.Context) ([]image, error) {
	return listImages(ctx, []string{containers.NodeImage(b.version), containers.DefaultLoadBalancerImage})
}
