// SPDX-License-Identifier: Apache-2.0

package simulate

import (
	"context"
	"fmt"
	"hash/fnv"
	"slices"

	"k8s.io/apimachinery/pkg/types"

	"github.com/slipway-project/slipway/etcd"
	"github.com/slipway-project/slipway/plan"
)

// members are those of a played etcd.
type members struct {
	list   []etcd.Member
	leader uint64
	// silent are, by ID, those that do not answer, and why.
	silent map[uint64]string
}

// playedEtcdVersion is what members say they run.
const playedEtcdVersion = "3.6.0"

func (m *members) add(node string, learner bool, cluster types.NamespacedName) {
	sum := fnv.New64a()
	fmt.Fprintf(sum, "%s/%s", cluster, node)
	member := etcd.Member{ID: sum.Sum64(), Name: node, PeerURLs: []string{"https://" + node + ":2380"}, Learner: learner}
	m.list = append(m.list, member)
	m.elect()
}

func (m *members) promote(node string) {
	for i := range m.list {
		if m.list[i].Name == node {
			m.list[i].Learner = false
		}
	}
}

// down is a member whose host is gone. It stays a member until it is removed.
func (m *members) down(node string) { m.hush(node, "no answer: its host is gone") }

func (m *members) hush(node, why string) {
	for _, member := range m.list {
		if member.Name == node {
			if m.silent == nil {
				m.silent = map[uint64]string{}
			}
			m.silent[member.ID] = why
		}
	}
	m.elect()
}

// elect keeps the leader where it answers and votes; else the first that does leads, as
// long as a majority does.
func (m *members) elect() {
	var voting []uint64
	voters := 0
	for _, member := range m.list {
		if member.Learner {
			continue
		}
		voters++
		if m.silent[member.ID] == "" {
			voting = append(voting, member.ID)
		}
	}
	switch {
	case len(voting) < etcd.Quorum(voters):
		m.leader = 0
	case !slices.Contains(voting, m.leader):
		m.leader = voting[0]
	}
}

func (m *members) view(nodes []string) etcd.View {
	view := etcd.View{Members: slices.Clone(m.list), Answers: map[string]etcd.Answer{}}
	for _, node := range nodes {
		member, there := view.On(node)
		switch {
		case !there:
			view.Answers[node] = etcd.Answer{Err: "no member runs on Node " + node}
		case m.silent[member.ID] != "":
			view.Answers[node] = etcd.Answer{Err: m.silent[member.ID]}
		default:
			view.Answers[node] = etcd.Answer{ID: member.ID, Leader: m.leader, Learner: member.Learner, Version: playedEtcdVersion, Index: 1, Applied: 1}
		}
	}
	return view
}

// etcdOperator carries out the operations of package etcd in played clusters.
type etcdOperator struct{ world *World }

// Operate does one operation.
func (o etcdOperator) Operate(_ context.Context, operation plan.Operation) error {
	switch operation := operation.(type) {
	case etcd.MoveLeader:
		c := o.world.clusters[operation.Cluster]
		if c == nil || !slices.ContainsFunc(c.members.list, func(m etcd.Member) bool { return m.ID == operation.To.ID && !m.Learner }) {
			return fmt.Errorf("%s: there is no such voter", operation)
		}
		c.members.leader = operation.To.ID
	case etcd.RemoveMember:
		c := o.world.clusters[operation.Cluster]
		if c == nil {
			return fmt.Errorf("%s: there is no such cluster", operation)
		}
		c.members.list = slices.DeleteFunc(c.members.list, func(m etcd.Member) bool { return m.ID == operation.Member.ID })
		c.members.elect()
	default:
		return fmt.Errorf("%s: no way to play a %T", operation, operation)
	}
	o.world.beats++
	return nil
}
