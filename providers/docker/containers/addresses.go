// SPDX-License-Identifier: Apache-2.0

package containers

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"net/netip"

	"github.com/moby/moby/client"
)

// freeAddress chooses the fixed address of a container that is about to be made. The caller holds c.making until the
// container exists.
func (c *Client) freeAddress(ctx context.Context, on Network, name string) (netip.Addr, error) {
	used := map[netip.Addr]bool{}
	for address := range on.inUse {
		used[address] = true
	}
	list, err := c.api.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: c.owned()})
	if err != nil {
		return netip.Addr{}, fmt.Errorf("list addresses in use: %w", err)
	}
	for _, item := range list.Items {
		if address, err := netip.ParseAddr(item.Labels[LabelAddress]); err == nil {
			used[address] = true
		}
	}
	address, ok := chooseAddress(on.Subnet, name, used)
	if !ok {
		return netip.Addr{}, fmt.Errorf("choose address of container %s: all addresses of network %s (%s) are in use: delete machines that are not needed", name, on.Name, on.Subnet)
	}
	return address, nil
}

// chooseAddress picks an address of the subnet's upper half that is not used, beginning at a place that depends on the
// name: an address is then seldom used again soon by another node, which peers with an old connection or an old entry in
// their tables would take for the former one.
func chooseAddress(subnet netip.Prefix, name string, used map[netip.Addr]bool) (netip.Addr, bool) {
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
		if !used[candidate] {
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
