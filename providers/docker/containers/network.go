// SPDX-License-Identifier: Apache-2.0

package containers

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"
)

// Network is what the engine knows of the management cluster's network. The zero value means that there is none.
type Network struct {
	Exists   bool
	ID       string
	Name     string
	Subnet   netip.Prefix
	Gateway  netip.Addr // the host's address on the network
	Isolated bool
	// TakenBy is not empty when the name belongs to a network that is not ours.
	TakenBy string

	inUse map[netip.Addr]string // by whom
}

// Network reads the management cluster's network. Exists false and a nil error: it is not there.
func (c *Client) Network(ctx context.Context) (Network, error) {
	all, err := c.networks(ctx, c.NetworkName())
	if err != nil {
		return Network{}, fmt.Errorf("read network %s: %w", c.NetworkName(), explain(err))
	}
	if len(all) == 0 {
		return Network{Name: c.NetworkName()}, nil
	}
	return c.networkFacts(all[0]), nil
}

// ensureNetwork makes the network, or returns the one that is there. It has a subnet of its own, recorded with the network,
// because the engine gives fixed addresses only on such a network, and nodes and load balancers need fixed ones: a control
// plane does not survive that its address changes when the host restarts. The caller holds c.making until there is a
// container on it: without one it may be removed.
//
// It gives *NameTakenError, *NetworkModeError (the one in use was made with another isolation) or *SubnetError.
func (c *Client) ensureNetwork(ctx context.Context) (Network, error) {
	found, err := c.makeNetwork(ctx)
	if err != nil {
		return found, err
	}
	return found, c.remember()
}

func (c *Client) makeNetwork(ctx context.Context) (Network, error) {
	found, err := c.Network(ctx)
	if err != nil {
		return found, err
	}
	if found.TakenBy != "" {
		return found, &NameTakenError{Kind: "network", Name: found.Name, For: "management cluster " + c.id, Owner: found.TakenBy}
	}
	if found.Exists && found.Isolated == c.isolated {
		return found, nil
	}
	if found.Exists {
		users, err := c.api.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: c.owned()})
		if err != nil {
			return found, fmt.Errorf("list users of network %s: %w", found.Name, err)
		}
		if len(users.Items) > 0 {
			return found, &NetworkModeError{Name: found.Name, Isolated: found.Isolated, Containers: len(users.Items)}
		}
		if err := c.removeNetwork(ctx, found.ID); err != nil {
			return found, fmt.Errorf("replace network %s: %w", found.Name, err)
		}
	}
	return c.createNetwork(ctx)
}

// createNetwork makes the network, in a subnet that the engine says is free.
func (c *Client) createNetwork(ctx context.Context) (Network, error) {
	name := c.NetworkName()
	const attempts = 3 // another program may take the subnet, or another of ours the name, between the two steps
	var last error
	for range attempts {
		subnet, err := c.freeSubnet(ctx)
		if err == nil {
			_, err = c.api.NetworkCreate(ctx, name, c.networkOptions(subnet))
			if err == nil || isNetworkThere(err) {
				return c.settleNetwork(ctx)
			}
		}
		last = err
		again := isNetworkThere(err) || isNotFound(err) || isSubnetError(err) && !errors.As(err, new(*SubnetError))
		if !again {
			break
		}
	}
	if errors.As(last, new(*SubnetError)) {
		return Network{}, last
	}
	if isSubnetError(last) {
		return Network{}, &SubnetError{Network: name, Cause: last}
	}
	return Network{}, fmt.Errorf("create network %s: %w", name, explain(last))
}

// settleNetwork makes two creators at the same moment agree: an engine before API 1.44 lets a name exist twice, so all but
// the oldest are removed.
func (c *Client) settleNetwork(ctx context.Context) (Network, error) {
	all, err := c.networks(ctx, c.NetworkName())
	if err != nil {
		return Network{}, fmt.Errorf("read network %s: %w", c.NetworkName(), err)
	}
	if len(all) == 0 {
		return Network{}, fmt.Errorf("create network %s: it was removed at once by something else", c.NetworkName())
	}
	for _, double := range all[1:] {
		if double.Labels[LabelManagementCluster] != c.id {
			continue
		}
		if err := c.removeNetwork(ctx, double.ID); err != nil {
			return Network{}, fmt.Errorf("remove second network %s: %w", c.NetworkName(), err)
		}
	}
	return c.networkFacts(all[0]), nil
}

// networkOptions describes our network. Addresses of the lower half are for whoever attaches a container by hand; those
// of the upper half are given out by us.
//
// An isolated network sends what is meant for elsewhere to a gateway that does not exist, so senders get "no route to host"
// after a moment. The engine's own "internal" networks are not used for that: they leave containers without a default
// route, which kubeadm needs in order to find the node's address, and on hosts with br_netfilter they drop what pods of
// different nodes send each other.
func (c *Client) networkOptions(subnet netip.Prefix) client.NetworkCreateOptions {
	ipam := network.IPAMConfig{Subnet: subnet, IPRange: lowerHalf(subnet), Gateway: subnet.Addr().Next()}
	options := map[string]string{"com.docker.network.bridge.enable_icc": "true"}
	if c.isolated {
		ipam.AuxAddress = map[string]netip.Addr{"DefaultGatewayIPv4": lastHost(subnet)}
		options["com.docker.network.bridge.enable_ip_masquerade"] = "false"
	}
	return client.NetworkCreateOptions{
		Driver: "bridge", IPAM: &network.IPAM{Driver: "default", Config: []network.IPAMConfig{ipam}}, Options: options,
		Labels: map[string]string{LabelManagementCluster: c.id, LabelIsolated: strconv.FormatBool(c.isolated)},
	}
}

// freeSubnet asks the engine for a subnet by letting it make a network and removing that: only the engine knows its pools
// and its host's routes.
func (c *Client) freeSubnet(ctx context.Context) (netip.Prefix, error) {
	name := c.probeName()
	if err := c.removeProbes(ctx); err != nil {
		return netip.Prefix{}, err
	}
	created, err := c.api.NetworkCreate(ctx, name, client.NetworkCreateOptions{
		Driver: "bridge", Labels: map[string]string{LabelManagementCluster: c.id, labelProbe: "true"},
	})
	if err != nil {
		if isSubnetError(err) {
			return netip.Prefix{}, &SubnetError{Network: c.NetworkName(), Cause: err}
		}
		return netip.Prefix{}, fmt.Errorf("create network %s: %w", name, explain(err))
	}
	seen, err := c.api.NetworkInspect(ctx, created.ID, client.NetworkInspectOptions{})
	if removal := c.removeNetwork(ctx, created.ID); err == nil && removal != nil {
		err = removal
	}
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("learn a free subnet: %w", err)
	}
	for _, config := range seen.Network.IPAM.Config {
		if config.Subnet.Addr().Is4() {
			return config.Subnet, nil
		}
	}
	return netip.Prefix{}, &SubnetError{Network: c.NetworkName(), Cause: errors.New("it offers no IPv4 subnet")}
}

func (c *Client) probeName() string { return c.NetworkName() + "-probe" }

// removeProbes removes the network of freeSubnet that a crash has left.
func (c *Client) removeProbes(ctx context.Context) error {
	left, err := c.networks(ctx, c.probeName())
	if err != nil {
		return fmt.Errorf("read network %s: %w", c.probeName(), err)
	}
	for _, probe := range left {
		if probe.Labels[labelProbe] != "true" || probe.Labels[LabelManagementCluster] != c.id {
			continue
		}
		if err := c.removeNetwork(ctx, probe.ID); err != nil {
			return fmt.Errorf("remove network %s: %w", c.probeName(), err)
		}
	}
	return nil
}

// DeleteNetwork removes the network when no container of this management cluster exists, running or not, and what a crash
// has left of the making of one in any case. It tells whether the network is gone; false with a nil error means that it is
// still used. Repeated, or without a network, it changes nothing.
func (c *Client) DeleteNetwork(ctx context.Context) (gone bool, err error) {
	err = c.ask(ctx, c.bounds.write, func(ctx context.Context) error {
		gone, err = c.deleteNetwork(ctx)
		return err
	})
	return gone, err
}

func (c *Client) deleteNetwork(ctx context.Context) (gone bool, err error) {
	c.making.Lock()
	defer c.making.Unlock()
	if err := c.removeProbes(ctx); err != nil {
		return false, err
	}
	found, err := c.networks(ctx, c.NetworkName())
	if err != nil {
		return false, fmt.Errorf("read network %s: %w", c.NetworkName(), explain(err))
	}
	found = slices.DeleteFunc(found, func(n network.Inspect) bool { return n.Labels[LabelManagementCluster] != c.id })
	if err := c.removeThawers(ctx); err != nil {
		return false, err
	}
	users, err := c.api.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: c.owned()})
	if err != nil {
		return false, fmt.Errorf("list users of network %s: %w", c.NetworkName(), err)
	}
	if len(users.Items) > 0 {
		return len(found) == 0, nil
	}
	for _, one := range found {
		err := c.removeNetwork(ctx, one.ID)
		if isNetworkUsed(err) {
			return false, nil // by a container that somebody attached by hand
		}
		if err != nil {
			return false, fmt.Errorf("delete network %s: %w", one.Name, err)
		}
	}
	return true, c.forget()
}

// isNetworkUsed tells whether a network could not be removed because a container is attached to it: Docker says "has
// active endpoints", Podman "network is being used".
func isNetworkUsed(err error) bool {
	return err != nil && (containsFold(err.Error(), "active endpoints") || containsFold(err.Error(), "being used"))
}

func (c *Client) removeNetwork(ctx context.Context, id string) error {
	if _, err := c.api.NetworkRemove(ctx, id, client.NetworkRemoveOptions{}); err != nil && !isNotFound(err) {
		return err
	}
	return nil
}

// networks lists the networks of exactly that name, ours first, then the oldest first. (The engine's filter also matches
// parts of names.)
func (c *Client) networks(ctx context.Context, name string) ([]network.Inspect, error) {
	list, err := c.api.NetworkList(ctx, client.NetworkListOptions{Filters: client.Filters{}.Add("name", name)})
	if err != nil {
		return nil, err
	}
	var all []network.Inspect
	for _, item := range list.Items {
		if item.Name != name {
			continue
		}
		seen, err := c.api.NetworkInspect(ctx, item.ID, client.NetworkInspectOptions{})
		if isNotFound(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		all = append(all, seen.Network)
	}
	foreign := func(n network.Inspect) int {
		if n.Labels[LabelManagementCluster] == c.id {
			return 0
		}
		return 1
	}
	slices.SortFunc(all, func(a, b network.Inspect) int {
		return cmp.Or(foreign(a)-foreign(b), a.Created.Compare(b.Created), strings.Compare(a.ID, b.ID))
	})
	return all, nil
}

func (c *Client) networkFacts(from network.Inspect) Network {
	to := Network{Name: from.Name}
	if from.Labels[LabelManagementCluster] != c.id {
		to.TakenBy = describeOwner(from.Labels, "a network that slipway did not make")
		return to
	}
	to.Exists, to.ID, to.Isolated = true, from.ID, from.Labels[LabelIsolated] == "true"
	to.inUse = map[netip.Addr]string{}
	for _, config := range from.IPAM.Config {
		if config.Subnet.Addr().Is4() {
			to.Subnet, to.Gateway = config.Subnet, config.Gateway
		}
	}
	for endpoint := range maps.Values(from.Containers) {
		to.inUse[endpoint.IPv4Address.Addr()] = "container " + endpoint.Name
	}
	return to
}

// isSubnetError tells whether the engine found no subnet, or ours overlaps with another network's.
func isSubnetError(err error) bool {
	if err == nil {
		return false
	}
	text := err.Error()
	for _, known := range []string{"non-overlapping IPv4", "predefined address pools", "Pool overlaps", "could not find free subnet", "already used on the host", "subnet is already used"} {
		if strings.Contains(text, known) {
			return true
		}
	}
	return false
}
