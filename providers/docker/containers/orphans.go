// SPDX-License-Identifier: Apache-2.0

package containers

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
)

// Orphan is something of ours whose object is gone.
type Orphan struct {
	Kind string // "container", "volume" or "network"
	Name string
	// ObjectKind and Object name the object it was made for; empty for a network.
	ObjectKind string // "DockerMachine" or "DockerCluster"
	Object     Key
	State      State // of a container
}

// String is one line for a person.
func (o Orphan) String() string {
	if o.ObjectKind == "" {
		return fmt.Sprintf("%s %s: no cluster uses it", o.Kind, o.Name)
	}
	return fmt.Sprintf("%s %s: its %s %s does not exist", o.Kind, o.Name, o.ObjectKind, o.Object)
}

// Orphans lists containers and volumes of this management cluster whose object is not known, and the network when there is
// no container; sorted by kind and name. known is asked with the kinds DockerMachine and
// DockerCluster; it must answer from a complete list of objects, read after it was sure to be complete.
func (c *Client) Orphans(ctx context.Context, known func(kind, namespace, name string) bool) (found []Orphan, err error) {
	err = c.ask(ctx, c.bounds.wait, func(ctx context.Context) error {
		found, err = c.orphans(ctx, known)
		return err
	})
	return found, err
}

func (c *Client) orphans(ctx context.Context, known func(kind, namespace, name string) bool) ([]Orphan, error) {
	list, err := c.api.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: c.owned()})
	if err != nil {
		return nil, fmt.Errorf("list containers: %w", explain(err))
	}
	volumes, err := c.api.VolumeList(ctx, client.VolumeListOptions{Filters: c.owned()})
	if err != nil {
		return nil, fmt.Errorf("list volumes: %w", err)
	}
	var orphans []Orphan
	inspect := func(kind, name string, labels map[string]string, state State) {
		object, objectKind := parseKey(labels[LabelMachine]), "DockerMachine"
		if labels[LabelMachine] == "" {
			object, objectKind = parseKey(labels[LabelCluster]), "DockerCluster"
		}
		if !known(objectKind, object.Namespace, object.Name) {
			orphans = append(orphans, Orphan{Kind: kind, Name: name, ObjectKind: objectKind, Object: object, State: state})
		}
	}
	for _, item := range list.Items {
		inspect("container", containerName(item), item.Labels, State(item.State))
	}
	for _, item := range volumes.Items {
		inspect("volume", item.Name, item.Labels, StateAbsent)
	}
	networks, err := c.api.NetworkList(ctx, client.NetworkListOptions{Filters: c.owned()})
	if err != nil {
		return nil, fmt.Errorf("list networks: %w", err)
	}
	for _, item := range networks.Items {
		// Our network goes with the last cluster; a network of a failed probe is a rest in any case.
		if item.Labels[labelProbe] == "true" || len(list.Items) == 0 {
			orphans = append(orphans, Orphan{Kind: "network", Name: item.Name})
		}
	}
	slices.SortFunc(orphans, func(a, b Orphan) int { return strings.Compare(a.Kind+" "+a.Name, b.Kind+" "+b.Name) })
	return orphans, nil
}

// containerName is the name of a container in a list.
func containerName(item container.Summary) string {
	if len(item.Names) == 0 {
		return item.ID
	}
	return strings.TrimPrefix(item.Names[0], "/")
}
