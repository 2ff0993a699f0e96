// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// dumpAttempts is how often a listing is tried again when the kernel says that it changed while it was read.
const dumpAttempts = 5

// currentRoutes returns the kernel's main table, both families, without what has no single destination.
func currentRoutes() ([]route, error) {
	var out []route
	for _, fam := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		list, err := listRoutes(fam)
		if err != nil {
			return nil, err
		}
		for _, r := range list {
			if dst, ok := prefixOf(r.Dst); ok {
				out = append(out, route{
					Dst: dst, Kind: kindOf(r), Via: viaOf(r), Metric: r.Priority, Protocol: int(r.Protocol),
				})
			}
		}
	}
	return out, nil
}

func listRoutes(fam int) ([]netlink.Route, error) {
	var list []netlink.Route
	var err error
	for range dumpAttempts {
		list, err = netlink.RouteListFiltered(fam, &netlink.Route{Table: unix.RT_TABLE_MAIN}, netlink.RT_FILTER_TABLE)
		if !errors.Is(err, netlink.ErrDumpInterrupted) {
			break
		}
	}
	switch {
	case err == nil:
		return list, nil
	case fam == netlink.FAMILY_V6 && (errors.Is(err, unix.EAFNOSUPPORT) || errors.Is(err, unix.EOPNOTSUPP)):
		return nil, nil // a kernel without IPv6
	default:
		return nil, fmt.Errorf("list routes: %w", err)
	}
}

func kindOf(r netlink.Route) routeKind {
	switch {
	case r.Type == unix.RTN_UNREACHABLE:
		return kindUnreachable
	case r.Type == unix.RTN_UNICAST && r.Gw != nil && len(r.MultiPath) == 0:
		return kindVia
	}
	return kindOther
}

func viaOf(r netlink.Route) netip.Addr {
	if kindOf(r) != kindVia {
		return netip.Addr{}
	}
	a, _ := netip.AddrFromSlice(r.Gw)
	return a.Unmap()
}

func prefixOf(n *net.IPNet) (netip.Prefix, bool) {
	if n == nil {
		return netip.Prefix{}, false
	}
	a, ok := netip.AddrFromSlice(n.IP)
	ones, bits := n.Mask.Size()
	if !ok || bits == 0 {
		return netip.Prefix{}, false
	}
	if a.Unmap().Is4() && bits == 32 {
		a = a.Unmap()
	}
	return netip.PrefixFrom(a, ones).Masked(), true
}

// applyChange makes one change in the kernel. A route to delete that is gone already is no error.
func applyChange(c change) error {
	r := &netlink.Route{
		Dst:      &net.IPNet{IP: c.Route.Dst.Addr().AsSlice(), Mask: net.CIDRMask(c.Route.Dst.Bits(), c.Route.Dst.Addr().BitLen())},
		Priority: c.Route.Metric,
		Protocol: netlink.RouteProtocol(c.Route.Protocol),
		Table:    unix.RT_TABLE_MAIN,
	}
	switch c.Route.Kind {
	case kindVia:
		r.Gw, r.Type = c.Route.Via.AsSlice(), unix.RTN_UNICAST
	case kindUnreachable:
		r.Type = unix.RTN_UNREACHABLE
	}
	var err error
	switch c.Op {
	case opAdd:
		err = netlink.RouteAdd(r)
	case opReplace:
		err = netlink.RouteReplace(r)
	case opDelete:
		if err = netlink.RouteDel(r); errors.Is(err, unix.ESRCH) {
			err = nil
		}
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.ENETUNREACH), errors.Is(err, unix.EHOSTUNREACH), errors.Is(err, unix.EINVAL) && c.Route.Kind == kindVia:
		return fmt.Errorf("%s: the node address %s is not on a network that this node is on; put the nodes on one network or bring another pod network: %w",
			c, c.Route.Via, err)
	default:
		return fmt.Errorf("%s: %w", c, err)
	}
}

// uplinkMTU returns the MTU in bytes of the interface that carries one of the addresses, the smallest where
// there are several, and 0 where there is none.
func uplinkMTU(addresses []netip.Addr) (int, error) {
	links, err := net.Interfaces()
	if err != nil {
		return 0, fmt.Errorf("list interfaces: %w", err)
	}
	mtu := 0
	for _, link := range links {
		addrs, err := link.Addrs()
		if err != nil {
			continue // the interface went away
		}
		for _, a := range addrs {
			n, ok := a.(*net.IPNet)
			if !ok {
				continue
			}
			ip, _ := netip.AddrFromSlice(n.IP)
			for _, want := range addresses {
				if ip.Unmap() == want && (mtu == 0 || link.MTU < mtu) {
					mtu = link.MTU
				}
			}
		}
	}
	return mtu, nil
}
