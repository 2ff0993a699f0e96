// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"time"
)

const (
	// routeProtocol marks every route that belongs to the agent (rtm_protocol of rtnetlink(7)). It is how
	// an agent that was restarted tells the routes of its earlier run from everybody else's. The numbers
	// 0 to 4 belong to the kernel and the others that iproute2 and FRR give names to were avoided.
	routeProtocol = 83

	// routeMetric is set on every route of the agent. No program chooses it by default, so that our routes
	// and somebody else's for the same destination lie side by side and neither replaces the other.
	routeMetric = 2083
)

// node is what the agent needs to know about one Node object.
type node struct {
	Name      string
	UID       string
	Created   time.Time
	PodCIDRs  []netip.Prefix // masked; at most one of each family by the rules of Kubernetes
	Addresses []netip.Addr   // those of type InternalIP, in the order of the object
}

// address returns the first InternalIP of the same family as prefix.
func (n node) address(prefix netip.Prefix) (netip.Addr, bool) {
	for _, a := range n.Addresses {
		if a.Is4() == prefix.Addr().Is4() {
			return a, true
		}
	}
	return netip.Addr{}, false
}

// routeKind says what a route does with a packet.
type routeKind string

const (
	kindVia         routeKind = "via"         // sends it to the gateway in Via
	kindUnreachable routeKind = "unreachable" // refuses it with an ICMP error
	kindOther       routeKind = "other"       // a kind that the agent never makes
)

// route is one route of the kernel's main table.
type route struct {
	Dst      netip.Prefix // masked
	Kind     routeKind
	Via      netip.Addr // valid only with kindVia
	Metric   int
	Protocol int
}

func (r route) owned() bool { return r.Protocol == routeProtocol }

func (r route) String() string {
	if r.Kind == kindVia {
		return fmt.Sprintf("%s via %s", r.Dst, r.Via)
	}
	return fmt.Sprintf("%s %s", r.Kind, r.Dst)
}

// operation is what a change does to the kernel's table.
type operation string

const (
	opAdd     operation = "add"     // refuses where the same destination and metric is taken
	opReplace operation = "replace" // swaps the gateway with no moment in between without a route
	opDelete  operation = "delete"
)

// change is one step from the routes that are to the routes that should be.
type change struct {
	Op    operation
	Route route
}

func (c change) String() string { return string(c.Op) + " " + c.Route.String() }

// routePlan is the outcome of planRoutes. Problems are sentences for people, each naming the object, the
// cause and the next step; they do not keep the changes from being made.
type routePlan struct {
	Changes  []change
	Problems []string
}

// planRoutes decides how the routes in current (the whole main table, both families) must change so that
// each pod CIDR of another node leads to that node's InternalIP, this node's own pod CIDRs are refused where
// no pod has the address, and no other route of ours is left. It never names a route of somebody else.
// The changes come in an order in which they can be made one by one.
func planRoutes(self string, nodes []node, current []route) routePlan {
	wanted, problems := wantedRoutes(self, nodes)
	p := routePlan{Problems: problems}

	type key struct {
		dst    netip.Prefix
		metric int
	}
	ours := map[key]route{}
	taken := map[key]bool{}
	for _, r := range current {
		k := key{r.Dst, r.Metric}
		if r.owned() {
			ours[k] = r
			continue
		}
		taken[k] = true
		if _, ok := wanted[r.Dst]; ok && r.Metric <= routeMetric {
			p.Problems = append(p.Problems, fmt.Sprintf(
				"route %s (protocol %d, metric %d) was made by another program and goes before the one to the pods of that range: remove it with \"ip route del\"",
				r, r.Protocol, r.Metric))
		}
	}

	for dst, r := range wanted {
		k := key{dst, routeMetric}
		have, ok := ours[k]
		delete(ours, k)
		switch {
		case taken[k]:
			// Reported above. The kernel finds a route by these two, so touching ours could hit theirs.
		case !ok:
			p.Changes = append(p.Changes, change{opAdd, r})
		case have == r:
		case have.Kind == kindVia && r.Kind == kindVia:
			p.Changes = append(p.Changes, change{opReplace, r})
		default:
			// The kernel does not replace a gateway by a refusal in IPv6; it adds beside it.
			p.Changes = append(p.Changes, change{opDelete, have}, change{opAdd, r})
		}
	}
	for k, r := range ours {
		if !taken[k] {
			p.Changes = append(p.Changes, change{opDelete, r})
		}
	}
	slices.SortStableFunc(p.Changes, func(a, b change) int { return a.Route.Dst.Compare(b.Route.Dst) })
	slices.Sort(p.Problems)
	return p
}

// wantedRoutes returns the routes that should be, by destination, and what is wrong with the nodes.
func wantedRoutes(self string, nodes []node) (map[netip.Prefix]route, []string) {
	wanted := map[netip.Prefix]route{}
	var problems []string
	for prefix, n := range prefixOwners(self, nodes, &problems) {
		r := route{Dst: prefix, Metric: routeMetric, Protocol: routeProtocol}
		if n.Name == self {
			// Each live pod has a route of its own that is narrower. Without this one a packet to a pod
			// that is gone would leave by the default route, and the sender would wait for a time-out.
			r.Kind = kindUnreachable
			wanted[prefix] = r
			continue
		}
		via, ok := n.address(prefix)
		if !ok {
			problems = append(problems, fmt.Sprintf(
				"node %s has pod range %s and no InternalIP of that family: its pods cannot be reached until its kubelet reports one (--node-ip)",
				n.Name, prefix))
			continue
		}
		r.Kind, r.Via = kindVia, via
		wanted[prefix] = r
	}
	return wanted, problems
}

// prefixOwners maps each pod CIDR to the node it belongs to. Where two Node objects claim one CIDR, this node
// keeps its own, and otherwise the newer object has it: the older one is a machine that is on its way out.
func prefixOwners(self string, nodes []node, problems *[]string) map[netip.Prefix]node {
	sorted := slices.Clone(nodes)
	slices.SortFunc(sorted, func(a, b node) int {
		switch {
		case a.Name == b.Name:
			return 0
		case a.Name == self:
			return -1
		case b.Name == self:
			return 1
		}
		return cmp.Or(b.Created.Compare(a.Created), cmp.Compare(b.UID, a.UID), cmp.Compare(a.Name, b.Name))
	})
	owners := map[netip.Prefix]node{}
	for _, n := range sorted {
		for _, prefix := range n.PodCIDRs {
			if first, ok := owners[prefix]; ok {
				if first.Name != n.Name {
					*problems = append(*problems, fmt.Sprintf(
						"nodes %s and %s both have pod range %s: it leads to %s; delete the Node object that has no machine behind it",
						first.Name, n.Name, prefix, first.Name))
				}
				continue
			}
			owners[prefix] = n
		}
	}
	return owners
}
