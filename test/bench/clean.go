// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/moby/moby/client"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	crclient "sigs.k8s.io/controller-runtime/pkg/client"

	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	"github.com/slipway-project/slipway/providers/docker/containers"
	"github.com/slipway-project/slipway/standalone"
)

// clean takes everything away, whatever the run came to: the cluster, as a user does; the management cluster; and, by its
// id, what is still in the container engine then.
func (b *bench) clean(ctx context.Context) error {
	problems := []error{b.deleteCluster(ctx)}
	stopping, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	_, err := standalone.Down(stopping, b.home)
	problems = append(problems, err)
	if b.id != "" {
		removing, cancel := context.WithTimeout(ctx, 2*time.Minute)
		defer cancel()
		problems = append(problems, removeByLabel(removing, b.id))
	}
	return errors.Join(append(problems, os.RemoveAll(b.home))...)
}

// deleteCluster deletes the cluster of a run that ended before it did so itself.
func (b *bench) deleteCluster(ctx context.Context) error {
	if b.id == "" {
		return nil // the management cluster never came up
	}
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	looking, err := connectTo(b.kubeconfig())
	if err != nil {
		return err
	}
	err = looking.Get(ctx, crclient.ObjectKey{Namespace: "default", Name: clusterName}, &clusterv1.Cluster{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err == nil {
		_, err = b.slipway(ctx, "delete", "cluster", clusterName, "--wait=2m")
	}
	if err != nil {
		return fmt.Errorf("delete the cluster that the run has left: %w", err)
	}
	return nil
}

// removeByLabel removes what one management cluster has in the container engine.
func removeByLabel(ctx context.Context, id string) error {
	api, err := client.New(client.FromEnv)
	if err != nil {
		return fmt.Errorf("connect to the container engine: %w", err)
	}
	defer api.Close()
	ours := client.Filters{}.Add("label", containers.LabelManagementCluster+"="+id)
	var problems []error
	note := func(name string, err error) {
		say("left behind by the run, and removed: %s", name)
		problems = append(problems, err)
	}
	nodes, err := api.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: ours})
	problems = append(problems, err)
	for _, item := range nodes.Items {
		_, err := api.ContainerRemove(ctx, item.ID, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true})
		note("container "+item.ID, err)
	}
	volumes, err := api.VolumeList(ctx, client.VolumeListOptions{Filters: ours})
	problems = append(problems, err)
	for _, item := range volumes.Items {
		_, err := api.VolumeRemove(ctx, item.Name, client.VolumeRemoveOptions{Force: true})
		note("volume "+item.Name, err)
	}
	networks, err := api.NetworkList(ctx, client.NetworkListOptions{Filters: ours})
	problems = append(problems, err)
	for _, item := range networks.Items {
		_, err := api.NetworkRemove(ctx, item.ID, client.NetworkRemoveOptions{})
		note("network "+item.Name, err)
	}
	return errors.Join(problems...)
}
