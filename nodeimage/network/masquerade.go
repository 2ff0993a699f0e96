// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net/netip"
	"slices"
)

// addressRange is the addresses from First to Last, both included, of one family.
type addressRange struct {
	First, Last netip.Addr
}

// masquerade is what the packet filter must know for one family: the packets of Own that go outside Cluster
// get the node's address, so that answers find their way back.
type masquerade struct {
	IPv6    bool
	Own     []addressRange // addresses of pods on this node; never empty
	Cluster []addressRange // addresses of pods on any node, this one's included
}

// planMasquerade returns what to masquerade, IPv4 before IPv6; a family in which this node has no pod CIDR is
// left out.
func planMasquerade(self string, nodes []node) []masquerade {
	var own, all []netip.Prefix
	for _, n := range nodes {
		all = append(all, n.PodCIDRs...)
		if n.Name == self {
			own = append(own, n.PodCIDRs...)
		}
	}
	var out []masquerade
	for _, v6 := range []bool{false, true} {
		if mine := mergedRanges(own, v6); len(mine) > 0 {
			out = append(out, masquerade{IPv6: v6, Own: mine, Cluster: mergedRanges(all, v6)})
		}
	}
	return out
}

// mergedRanges returns the addresses of those prefixes that are of the family, as few ranges as possible, in
// order. The kernel refuses a set of intervals in which two overlap.
func mergedRanges(prefixes []netip.Prefix, v6 bool) []addressRange {
	var ranges []addressRange
	for _, p := range prefixes {
		if p.Addr().Is6() == v6 {
			ranges = append(ranges, addressRange{p.Masked().Addr(), lastAddress(p)})
		}
	}
	slices.SortFunc(ranges, func(a, b addressRange) int { return a.First.Compare(b.First) })
	var merged []addressRange
	for _, r := range ranges {
		if n := len(merged); n > 0 {
			last := &merged[n-1].Last
			if next := last.Next(); !next.IsValid() || r.First.Compare(next) <= 0 {
				if r.Last.Compare(*last) > 0 {
					*last = r.Last
				}
				continue
			}
		}
		merged = append(merged, r)
	}
	return merged
}

// lastAddress returns the highest address of a prefix.
func lastAddress(p netip.Prefix) netip.Addr {
	b := p.Masked().Addr().AsSlice()
	for i := p.Bits(); i < len(b)*8; i++ {
		b[i/8] |= 1 << (7 - i%8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}
