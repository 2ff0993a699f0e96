// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/google/nftables/userdata"
)

const (
	filterTable = "slipway-network" // one of this name in the families ip and ip6, ours alone
	filterChain = "postrouting"
	ownSet      = "own-pods"
	clusterSet  = "cluster-pods"

	// ruleComment is read back to tell whether the rule in the kernel is the one that this version makes:
	// change it together with the rule.
	ruleComment = "slipway: pods of this node to outside the cluster's pods, 1"

	// elementsPerMessage keeps a message of set elements below the 64 KiB of a netlink attribute.
	elementsPerMessage = 512
)

// ensureMasquerade makes the kernel's nat tables hold exactly what wanted says and removes the table of a
// family that is not in it. All of a change is one transaction: no packet meets half of it. It reports whether
// something had to be changed, and changes nothing when nothing had to be. Tables of others are not touched.
func ensureMasquerade(wanted []masquerade) (bool, error) {
	conn, err := nftables.New()
	if err != nil {
		return false, fmt.Errorf("open nftables: %w", err)
	}
	changed := false
	for _, v6 := range []bool{false, true} {
		i := slices.IndexFunc(wanted, func(m masquerade) bool { return m.IPv6 == v6 })
		table := &nftables.Table{Name: filterTable, Family: family(v6)}
		exists, err := tableExists(conn, table)
		if err != nil {
			return false, err
		}
		switch {
		case i < 0 && exists:
			conn.DelTable(table)
			changed = true
		case i >= 0:
			if exists && tableHolds(conn, table, wanted[i]) {
				continue
			}
			if exists {
				conn.DelTable(table)
			}
			if err := addMasquerade(conn, table, wanted[i]); err != nil {
				return false, err
			}
			changed = true
		}
	}
	if !changed {
		return false, nil
	}
	if err := conn.Flush(); err != nil {
		return false, fmt.Errorf("write nftables table %s: %w", filterTable, err)
	}
	return true, nil
}

func family(v6 bool) nftables.TableFamily {
	if v6 {
		return nftables.TableFamilyIPv6
	}
	return nftables.TableFamilyIPv4
}

func tableExists(conn *nftables.Conn, table *nftables.Table) (bool, error) {
	tables, err := conn.ListTablesOfFamily(table.Family)
	if err != nil {
		return false, fmt.Errorf("list nftables tables: %w", err)
	}
	return slices.ContainsFunc(tables, func(t *nftables.Table) bool { return t.Name == table.Name }), nil
}

// addMasquerade queues the table on conn.
func addMasquerade(conn *nftables.Conn, table *nftables.Table, m masquerade) error {
	conn.AddTable(table)
	own, err := addRangeSet(conn, table, ownSet, m.IPv6, m.Own)
	if err != nil {
		return err
	}
	cluster, err := addRangeSet(conn, table, clusterSet, m.IPv6, m.Cluster)
	if err != nil {
		return err
	}
	chain := conn.AddChain(&nftables.Chain{
		Name: filterChain, Table: table, Type: nftables.ChainTypeNAT,
		Hooknum: nftables.ChainHookPostrouting, Priority: nftables.ChainPriorityNATSource,
	})
	// Offsets and lengths of the addresses in the two headers: RFC 791 section 3.1, RFC 8200 section 3.
	source, destination, length := uint32(12), uint32(16), uint32(4)
	if m.IPv6 {
		source, destination, length = 8, 24, 16
	}
	conn.AddRule(&nftables.Rule{
		Table: table, Chain: chain,
		Exprs: []expr.Any{
			&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: source, Len: length},
			&expr.Lookup{SourceRegister: 1, SetName: own.Name, SetID: own.ID},
			&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: destination, Len: length},
			&expr.Lookup{SourceRegister: 1, SetName: cluster.Name, SetID: cluster.ID, Invert: true},
			&expr.Counter{},
			// A random source port: two pods that ask one DNS server at once must not be given the same.
			&expr.Masq{FullyRandom: true},
		},
		UserData: comment(),
	})
	return nil
}

func comment() []byte { return userdata.AppendString(nil, userdata.TypeComment, ruleComment) }

func rangeSet(table *nftables.Table, name string, v6 bool) *nftables.Set {
	s := &nftables.Set{Table: table, Name: name, Interval: true, KeyType: nftables.TypeIPAddr}
	if v6 {
		s.KeyType = nftables.TypeIP6Addr
	}
	return s
}

func addRangeSet(conn *nftables.Conn, table *nftables.Table, name string, v6 bool, ranges []addressRange) (*nftables.Set, error) {
	s := rangeSet(table, name, v6)
	if err := conn.AddSet(s, nil); err != nil {
		return nil, fmt.Errorf("make nftables set %s: %w", name, err)
	}
	for chunk := range slices.Chunk(setElements(ranges), elementsPerMessage) {
		if err := conn.SetAddElements(s, chunk); err != nil {
			return nil, fmt.Errorf("fill nftables set %s: %w", name, err)
		}
	}
	return s, nil
}

// setElements is the kernel's form of ranges: the first address, then the one after the last, marked as an end.
func setElements(ranges []addressRange) []nftables.SetElement {
	var out []nftables.SetElement
	for _, r := range ranges {
		out = append(out, nftables.SetElement{Key: r.First.AsSlice()})
		if end := r.Last.Next(); end.IsValid() {
			out = append(out, nftables.SetElement{Key: end.AsSlice(), IntervalEnd: true})
		}
	}
	return out
}

// tableHolds tells whether the kernel's table is what addMasquerade would make. What cannot be read counts as
// different: the table is then made anew.
func tableHolds(conn *nftables.Conn, table *nftables.Table, m masquerade) bool {
	chains, err := conn.ListChainsOfTableFamily(table.Family)
	if err != nil {
		return false
	}
	i := slices.IndexFunc(chains, func(c *nftables.Chain) bool {
		return c.Table.Name == table.Name && c.Name == filterChain
	})
	if i < 0 || chains[i].Type != nftables.ChainTypeNAT || chains[i].Hooknum == nil ||
		*chains[i].Hooknum != *nftables.ChainHookPostrouting {
		return false
	}
	rules, err := conn.GetRules(table, chains[i])
	if err != nil || len(rules) != 1 || !bytes.Equal(rules[0].UserData, comment()) {
		return false
	}
	return setHolds(conn, rangeSet(table, ownSet, m.IPv6), m.Own) &&
		setHolds(conn, rangeSet(table, clusterSet, m.IPv6), m.Cluster)
}

func setHolds(conn *nftables.Conn, set *nftables.Set, ranges []addressRange) bool {
	have, err := conn.GetSetElements(set)
	if err != nil {
		return false
	}
	type element struct {
		key netip.Addr
		end bool
	}
	list := func(elements []nftables.SetElement) []element {
		var out []element
		for _, e := range elements {
			a, _ := netip.AddrFromSlice(e.Key)
			if e.IntervalEnd && a.IsUnspecified() {
				continue // the kernel's or nft's own mark of "nothing below the first range"
			}
			out = append(out, element{a, e.IntervalEnd})
		}
		slices.SortFunc(out, func(a, b element) int {
			if c := a.key.Compare(b.key); c != 0 {
				return c
			}
			if a.end == b.end {
				return 0
			}
			if a.end {
				return -1
			}
			return 1
		})
		return out
	}
	return slices.Equal(list(have), list(setElements(ranges)))
}

// needsRight tells whether err is the kernel refusing for want of CAP_NET_ADMIN.
func needsRight(err error) bool { return errors.Is(err, os.ErrPermission) }
