// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func prefixes(s ...string) []netip.Prefix {
	var out []netip.Prefix
	for _, p := range s {
		out = append(out, netip.MustParsePrefix(p))
	}
	return out
}

func addresses(s ...string) []netip.Addr {
	var out []netip.Addr
	for _, a := range s {
		out = append(out, netip.MustParseAddr(a))
	}
	return out
}

func testNode(name string, created int, addrs, cidrs string) node {
	return node{
		Name: name, UID: "uid-" + name, Created: time.Unix(int64(created), 0),
		Addresses: addresses(strings.Fields(addrs)...), PodCIDRs: prefixes(strings.Fields(cidrs)...),
	}
}

func ownVia(dst, via string) route {
	return route{Dst: netip.MustParsePrefix(dst), Kind: kindVia, Via: netip.MustParseAddr(via), Metric: routeMetric, Protocol: routeProtocol}
}

func ownRefusal(dst string) route {
	return route{Dst: netip.MustParsePrefix(dst), Kind: kindUnreachable, Metric: routeMetric, Protocol: routeProtocol}
}

func foreign(r route, metric int) route {
	r.Protocol, r.Metric = 4, metric
	return r
}

func TestPlanRoutes(t *testing.T) {
	one := testNode("one", 1, "172.18.0.2 fd00::2", "10.244.0.0/24 fd10::/64")
	two := testNode("two", 2, "172.18.0.3 fd00::3", "10.244.1.0/24 fd10:0:0:1::/64")
	inLine := []route{
		ownRefusal("10.244.0.0/24"), ownVia("10.244.1.0/24", "172.18.0.3"),
		ownRefusal("fd10::/64"), ownVia("fd10:0:0:1::/64", "fd00::3"),
	}
	tests := []struct {
		name     string
		nodes    []node
		current  []route
		changes  []string
		problems []string // a part of each
	}{
		{
			name: "from nothing, both families", nodes: []node{one, two},
			changes: []string{
				"add unreachable 10.244.0.0/24", "add 10.244.1.0/24 via 172.18.0.3",
				"add unreachable fd10::/64", "add fd10:0:0:1::/64 via fd00::3",
			},
		},
		{name: "nothing to do", nodes: []node{two, one}, current: inLine},
		{
			name: "node left", nodes: []node{one}, current: inLine,
			changes: []string{"delete 10.244.1.0/24 via 172.18.0.3", "delete fd10:0:0:1::/64 via fd00::3"},
		},
		{
			name: "node came back with another address", current: inLine,
			nodes:   []node{one, testNode("two", 2, "172.18.0.9 fd00::3", "10.244.1.0/24 fd10:0:0:1::/64")},
			changes: []string{"replace 10.244.1.0/24 via 172.18.0.9"},
		},
		{
			name: "pod CIDR reused by a node of another name", current: inLine,
			nodes:   []node{one, testNode("three", 3, "172.18.0.4 fd00::4", "10.244.1.0/24 fd10:0:0:1::/64")},
			changes: []string{"replace 10.244.1.0/24 via 172.18.0.4", "replace fd10:0:0:1::/64 via fd00::4"},
		},
		{
			name: "pod CIDR reused while the old object is still there: the newer has it", current: inLine,
			nodes:    []node{one, two, testNode("three", 3, "172.18.0.4 fd00::4", "10.244.1.0/24")},
			changes:  []string{"replace 10.244.1.0/24 via 172.18.0.4"},
			problems: []string{"nodes three and two both have pod range 10.244.1.0/24"},
		},
		{
			name: "another node claims ours: ours stays ours", current: inLine,
			nodes:    []node{one, two, testNode("three", 3, "172.18.0.4", "10.244.0.0/24")},
			problems: []string{"nodes one and three both have pod range 10.244.0.0/24"},
		},
		{
			name:    "our own pod CIDR changed to what was another's",
			nodes:   []node{testNode("one", 1, "172.18.0.2", "10.244.1.0/24")},
			current: []route{ownRefusal("10.244.0.0/24"), ownVia("10.244.1.0/24", "172.18.0.3")},
			changes: []string{
				"delete unreachable 10.244.0.0/24",
				"delete 10.244.1.0/24 via 172.18.0.3", "add unreachable 10.244.1.0/24",
			},
		},
		{
			name: "no address of the family", current: inLine,
			nodes:    []node{one, testNode("two", 2, "172.18.0.3", "10.244.1.0/24 fd10:0:0:1::/64")},
			changes:  []string{"delete fd10:0:0:1::/64 via fd00::3"},
			problems: []string{"node two has pod range fd10:0:0:1::/64 and no InternalIP"},
		},
		{
			name:  "this node has no pod CIDR yet: others are routed all the same",
			nodes: []node{testNode("one", 1, "172.18.0.2", ""), testNode("two", 2, "172.18.0.3", "10.244.1.0/24")}, changes: []string{
				"add 10.244.1.0/24 via 172.18.0.3",
			},
		},
		{
			name: "somebody else's routes lie beside ours", nodes: []node{one, two},
			current: append(slices.Clone(inLine),
				foreign(ownVia("0.0.0.0/0", "172.18.0.1"), 0),
				foreign(ownVia("10.244.7.0/24", "172.18.0.77"), 0),
				foreign(ownVia("10.244.1.0/24", "172.18.0.77"), 9999)),
		},
		{
			name: "somebody else's goes before ours", nodes: []node{one, two},
			current:  append(slices.Clone(inLine), foreign(ownVia("10.244.1.0/24", "172.18.0.77"), 0)),
			problems: []string{"route 10.244.1.0/24 via 172.18.0.77 (protocol 4, metric 0) was made by another program"},
		},
		{
			name: "somebody else's has our place", nodes: []node{one, two},
			current: []route{
				inLine[0], inLine[2], inLine[3], foreign(ownVia("10.244.1.0/24", "172.18.0.77"), routeMetric),
			},
			problems: []string{"route 10.244.1.0/24 via 172.18.0.77 (protocol 4, metric 2083) was made by another program"},
		},
		{
			name: "ours with another metric, of another version", nodes: []node{one, two},
			current: append(slices.Clone(inLine), route{
				Dst: netip.MustParsePrefix("10.244.1.0/24"), Kind: kindVia, Via: netip.MustParseAddr("172.18.0.3"),
				Metric: 1, Protocol: routeProtocol,
			}),
			changes: []string{"delete 10.244.1.0/24 via 172.18.0.3"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := planRoutes("one", tt.nodes, tt.current)
			var got []string
			for _, c := range p.Changes {
				got = append(got, c.String())
			}
			if diff := cmp.Diff(tt.changes, got); diff != "" {
				t.Errorf("changes (-want +got):\n%s", diff)
			}
			if len(p.Problems) != len(tt.problems) {
				t.Fatalf("problems: want %q, got %q", tt.problems, p.Problems)
			}
			for i, part := range tt.problems {
				if !strings.Contains(p.Problems[i], part) {
					t.Errorf("problem %q does not say %q", p.Problems[i], part)
				}
			}
		})
	}
}

// routeKey is what tells two routes of one table apart in the kernel.
type routeKey struct {
	dst    netip.Prefix
	metric int
}

// applied is the model of a kernel: what changes make of current. It fails where a real one would refuse.
func applied(current []route, changes []change) ([]route, error) {
	table := map[routeKey]route{}
	for _, r := range current {
		table[routeKey{r.Dst, r.Metric}] = r
	}
	for _, c := range changes {
		k := routeKey{c.Route.Dst, c.Route.Metric}
		have, taken := table[k]
		switch {
		case taken && !have.owned():
			return nil, fmt.Errorf("%s touches the foreign %s", c, have)
		case c.Op == opAdd && taken:
			return nil, fmt.Errorf("%s: file exists", c)
		case c.Op != opAdd && !taken:
			return nil, fmt.Errorf("%s: no such process", c)
		case c.Op == opReplace && have.Kind != c.Route.Kind:
			return nil, fmt.Errorf("%s: IPv6 would add it beside %s", c, have)
		case c.Op == opDelete:
			delete(table, k)
		default:
			table[k] = c.Route
		}
	}
	return slices.Collect(maps.Values(table)), nil
}

// TestPlanRoutesLaws draws worlds from few values, so that they collide often, and holds every plan to: it can be
// carried out in its order; foreign routes stay as they are; applied once there is nothing left to do, but for
// places that a foreign route has; every route of ours that is left leads to a node that has that pod CIDR now.
func TestPlanRoutesLaws(t *testing.T) {
	for seed := range uint64(5000) {
		random := rand.New(rand.NewPCG(seed, 83))
		nodes, current := randomWorld(random)
		before := slices.Clone(current)
		p := planRoutes("n0", nodes, current)
		if diff := cmp.Diff(before, current, cmp.Comparer(func(a, b route) bool { return a == b })); diff != "" {
			t.Fatalf("seed %d: the plan changed its input:\n%s", seed, diff)
		}
		after, err := applied(current, p.Changes)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		for _, r := range before {
			if !r.owned() && !slices.Contains(after, r) {
				t.Fatalf("seed %d: foreign %s is gone", seed, r)
			}
		}
		if again := planRoutes("n0", nodes, after); len(again.Changes) != 0 {
			t.Fatalf("seed %d: applied, and yet: %v", seed, again.Changes)
		}
		for _, r := range after {
			if r.owned() && !rightful(r, nodes) {
				t.Fatalf("seed %d: stale route %s", seed, r)
			}
		}
	}
}

// rightful tells whether a node stands behind the route, without regard to which of several.
func rightful(r route, nodes []node) bool {
	return slices.ContainsFunc(nodes, func(n node) bool {
		if !slices.Contains(n.PodCIDRs, r.Dst) {
			return false
		}
		return (n.Name == "n0") == (r.Kind == kindUnreachable) && (r.Kind == kindUnreachable || slices.Contains(n.Addresses, r.Via))
	})
}

func randomWorld(random *rand.Rand) ([]node, []route) {
	cidrs := prefixes("10.244.0.0/24", "10.244.1.0/24", "10.244.2.0/24", "fd10::/64", "fd10:0:0:1::/64", "fd10:0:0:2::/64")
	v4, v6 := addresses("172.18.0.2", "172.18.0.3", "172.18.0.4"), addresses("fd00::2", "fd00::3", "fd00::4")
	var nodes []node
	for i := range random.IntN(5) {
		n := testNode(fmt.Sprintf("n%d", i), random.IntN(3), "", "")
		if random.IntN(8) > 0 {
			n.Addresses = append(n.Addresses, v4[random.IntN(3)])
		}
		if random.IntN(3) > 0 {
			n.Addresses = append(n.Addresses, v6[random.IntN(3)])
		}
		if random.IntN(8) > 0 {
			n.PodCIDRs = append(n.PodCIDRs, cidrs[random.IntN(3)])
		}
		if random.IntN(2) > 0 {
			n.PodCIDRs = append(n.PodCIDRs, cidrs[3+random.IntN(3)])
		}
		nodes = append(nodes, n)
	}
	taken := map[routeKey]bool{}
	var current []route
	for range random.IntN(8) {
		r := route{Dst: cidrs[random.IntN(6)], Kind: kindUnreachable, Metric: routeMetric, Protocol: routeProtocol}
		if random.IntN(4) == 0 {
			r.Metric = random.IntN(2)
		}
		if random.IntN(3) > 0 {
			r.Kind, r.Via = kindVia, v4[random.IntN(3)]
			if r.Dst.Addr().Is6() {
				r.Via = v6[random.IntN(3)]
			}
		}
		if random.IntN(4) == 0 {
			r.Protocol = 4
		}
		if k := (routeKey{r.Dst, r.Metric}); !taken[k] {
			taken[k] = true
			current = append(current, r)
		}
	}
	return nodes, current
}

func TestMergedRanges(t *testing.T) {
	format := func(ranges []addressRange) []string {
		var out []string
		for _, r := range ranges {
			out = append(out, r.First.String()+"-"+r.Last.String())
		}
		return out
	}
	all := prefixes("10.244.3.0/24", "10.244.0.0/24", "10.244.1.0/24", "10.244.1.128/25", "10.244.1.0/24", "255.255.255.0/24",
		"255.255.255.128/25", "fd10::/64", "fd10:0:0:1::/64")
	if diff := cmp.Diff([]string{"10.244.0.0-10.244.1.255", "10.244.3.0-10.244.3.255", "255.255.255.0-255.255.255.255"},
		format(mergedRanges(all, false))); diff != "" {
		t.Errorf("IPv4 (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"fd10::-fd10::1:ffff:ffff:ffff:ffff"}, format(mergedRanges(all, true))); diff != "" {
		t.Errorf("IPv6 (-want +got):\n%s", diff)
	}
}

func TestPlanMasquerade(t *testing.T) {
	nodes := []node{
		testNode("one", 1, "172.18.0.2", "10.244.0.0/24"),
		testNode("two", 2, "172.18.0.3", "10.244.1.0/24 fd10:0:0:1::/64"),
	}
	got := planMasquerade("one", nodes)
	if len(got) != 1 || got[0].IPv6 || got[0].Own[0].Last.String() != "10.244.0.255" || got[0].Cluster[0].Last.String() != "10.244.1.255" {
		t.Errorf("node one: got %+v; want IPv4 alone, own /24 and both as the cluster's", got)
	}
	if got := planMasquerade("two", nodes); len(got) != 2 || !got[1].IPv6 {
		t.Errorf("node two: got %+v; want both families", got)
	}
	if got := planMasquerade("three", nodes); got != nil {
		t.Errorf("a node without pod CIDR: got %+v; want nothing", got)
	}
}
