// SPDX-License-Identifier: Apache-2.0

package containers

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"maps"
	"net/netip"

	"github.com/moby/moby/client"
)

// freeAddress chooses the fixed address of a container that is about to be made. The caller holds c.making until the
// container exists.
func (c *Client) freeAddress(ctx context.Context, on Network, name string) (netip.Addr, error) {
	holders, err := c.addressHolders(ctx, on)
	if err != nil {
		return netip.Addr{}, err
	}
	address, ok := chooseAddress(on.Subnet, name, holders)
	if !ok {
		return netip.Addr{}, fmt.Errorf("choose address of container %s: all addresses of network %s (%s) are in use: delete machines that are not needed", name, on.Name, on.Subnet)
	}
	return address, nil
}

// endpointAddress is the fixed address of a load balancer that is about to be made: its cluster's endpoint, where that is an
// address of our network, else a free one. It gives *EndpointTakenError. The caller holds c.making.
func (c *Client) endpointAddress(ctx context.Context, on Network, spec LoadBalancerSpec) (netip.Addr, error) {
	wanted := spec.Address
	if !wanted.IsValid() || !on.Subnet.Contains(wanted) {
		return c.freeAddress(ctx, on, c.LoadBalancerName(spec.Cluster))
	}
	holders, err := c.addressHolders(ctx, on)
	if err != nil {
		return netip.Addr{}, err
	}
	by, taken := holders[wanted]
	if !taken && on.keeps(wanted) {
		by, taken = "the network itself", true
	}
	if taken {
		return netip.Addr{}, &EndpointTakenError{Cluster: spec.Cluster, Address: wanted, Network: on.Name, By: by}
	}
	return wanted, nil
}

// addressHolders tells who has which address of our network, or will have it again when started.
func (c *Client) addressHolders(ctx context.Context, on Network) (map[netip.Addr]string, error) {
	holders := map[netip.Addr]string{}
	maps.Copy(holders, on.inUse)
	list, err := c.api.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: c.owned()})
	if err != nil {
		return nil, fmt.Errorf("list addresses in use: %w", err)
	}
	for _, item := range list.Items {
		if address, err := netip.ParseAddr(item.Labels[LabelAddress]); err == nil {
			holders[address] = "container " + containerName(item)
		}
	}
	return holders, nil
}

// keeps tells whether an address of the network is none that a container can have.
func (n Network) keeps(address netip.Addr) bool {
	last := lastHost(n.Subnet)
	return address == n.Subnet.Masked().Addr() || address == n.Gateway || address == last || address == last.Next()
}

// chooseAddress picks an address of the subnet's upper half that is not used, beginning at a place that depends on the
// name: an address is then seldom used again soon by another node, which peers with an old connection or an old entry in
// their tables would take for the former one.
func chooseAddress(subnet netip.Prefix, name string, holders map[netip.Addr]string) (netip.Addr, bool) {
	if !subnet.IsValid() || !subnet.Addr().Is4() || subnet.Bits() > 29 {
		return netip.Addr{}, false
	}
	half := uint32(1) << (31 - subnet.Bits())
	base := number(subnet.Masked().Addr()) + half
	usable := half - 2 // the last two are the broadcast address and the gateway that an isolated network pretends to have
	sum := sha256.Sum256([]byte(name))
	start := binary.BigEndian.Uint32(sum[:4]) % usable
	for i := range usable {
		candidate := fromNumber(base + (start+i)%usable)
		if _, used := holders[candidate]; !used {
			return candidate, true
		}
	}
	return netip.Addr{}, false
}

// lowerHalf is the half of the subnet that the engine gives addresses from by itself.
func lowerHalf(subnet netip.Prefix) netip.Prefix {
	return netip.PrefixFrom(subnet.Masked().Addr(), subnet.Bits()+1)
}

// lastHost is the subnet's last address before the broadcast address.
func lastHost(subnet netip.Prefix) netip.Addr {
	size := uint32(1) << (32 - subnet.Bits())
	return fromNumber(number(subnet.Masked().Addr()) + size - 2)
}

func number(address netip.Addr) uint32 {
	bytes := address.As4()
	return binary.BigEndian.Uint32(bytes[:])
}

func fromNumber(value uint32) netip.Addr {
	var bytes [4]byte
	binary.BigEndian.PutUint32(bytes[:], value)
	return netip.AddrFrom4(bytes)
}
