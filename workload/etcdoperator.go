// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/slipway-project/slipway/engine"
	"github.com/slipway-project/slipway/etcd"
	"github.com/slipway-project/slipway/plan"
)

// The reasons that failed operations on etcd give to conditions.
const (
	// quorumWouldBeLost: the members that would be left, as they were seen right before,
	// are no quorum.
	quorumWouldBeLost = "QuorumWouldBeLost"
	// etcdUnreachable: what the members are could not be read, or the one that has to do
	// it does not answer.
	etcdUnreachable = "EtcdUnreachable"
	// etcdMemberUnhealthy: the member that is to lead is not fit to.
	etcdMemberUnhealthy = "EtcdMemberUnhealthy"
	// etcdRefused: etcd's own check says no.
	etcdRefused = "EtcdRefused"
)

// EtcdOperator carries out the operations of package etcd.
type EtcdOperator struct{ connections *Connections }

var _ engine.Operator = EtcdOperator{}

// NewEtcdOperator makes an operator that reaches etcd's members by the connections given.
func NewEtcdOperator(connections *Connections) EtcdOperator { return EtcdOperator{connections} }

// Operate carries out one operation, after a look of its own at the members: the plan may be
// older than what happened since. It takes twelve seconds at most. Errors give their reason
// by FailureReason; engine.ErrNotConnected comes as it is.
func (o EtcdOperator) Operate(ctx context.Context, operation plan.Operation) error {
	switch operation := operation.(type) {
	case etcd.MoveLeader:
		return o.moveLeader(ctx, operation)
	case etcd.RemoveMember:
		return o.removeMember(ctx, operation)
	default:
		return fmt.Errorf("carry out %T: etcd knows no such operation", operation)
	}
}

func (o EtcdOperator) moveLeader(ctx context.Context, move etcd.MoveLeader) error {
	view, err := o.look(ctx, move.Cluster, move.Nodes)
	if err != nil {
		return err
	}
	leader, ok := view.Leader()
	if !ok {
		return reasoned{etcdUnreachable, fmt.Errorf("no member of etcd in cluster %s leads at the moment", move.Cluster)}
	}
	if leader.ID != move.From.ID {
		return nil
	}
	to, listed := view.ByID(move.To.ID)
	if !listed {
		return reasoned{etcdMemberUnhealthy, fmt.Errorf("member %s of cluster %s cannot lead: it is not listed any more", move.To, move.Cluster)}
	}
	if problem := view.Problem(to); problem != "" {
		return reasoned{etcdMemberUnhealthy, fmt.Errorf("member %s of cluster %s cannot lead: %s", to, move.Cluster, problem)}
	}
	if answer := view.Answers[leader.Name]; answer.Err != "" {
		return reasoned{etcdUnreachable, fmt.Errorf("the leader %s of cluster %s cannot be asked to hand over: %s", leader, move.Cluster, answer.Err)}
	}
	err = o.call(ctx, move.Cluster, leader.Name, func(ctx context.Context, member *etcdClient) error {
		_, err := member.MoveLeader(ctx, to.ID)
		return err
	})
	if errors.Is(err, rpctypes.ErrNotLeader) {
		return nil
	}
	return refusedBy(err, "hand the leadership over", leader, move.Cluster)
}

func (o EtcdOperator) removeMember(ctx context.Context, remove etcd.RemoveMember) error {
	view, err := o.look(ctx, remove.Cluster, remove.Nodes)
	if err != nil {
		return err
	}
	member, listed := view.ByID(remove.Member.ID)
	if !listed {
		return nil
	}
	if left := view.Without(member.ID); !left.Holds() {
		return reasoned{quorumWouldBeLost, fmt.Errorf("member %s of cluster %s stays: without it etcd would have %s", member, remove.Cluster, left)}
	}
	healthy := view.Healthy()
	by := slices.IndexFunc(healthy, func(m etcd.Member) bool { return m.ID != member.ID })
	if by < 0 {
		return reasoned{quorumWouldBeLost, fmt.Errorf("member %s of cluster %s stays: no other member is healthy", member, remove.Cluster)}
	}
	err = o.call(ctx, remove.Cluster, healthy[by].Name, func(ctx context.Context, other *etcdClient) error {
		_, err := other.MemberRemove(ctx, member.ID)
		return err
	})
	if errors.Is(err, rpctypes.ErrMemberNotFound) {
		return nil
	}
	return refusedBy(err, fmt.Sprintf("remove member %s", member), healthy[by], remove.Cluster)
}

func (o EtcdOperator) look(ctx context.Context, cluster engine.Key, nodes []string) (etcd.View, error) {
	view, err := o.connections.Etcd(ctx, cluster, nodes)
	if err != nil && !errors.Is(err, engine.ErrNotConnected) {
		return view, reasoned{etcdUnreachable, err}
	}
	return view, err
}

func (o EtcdOperator) call(ctx context.Context, cluster engine.Key, node string, call func(context.Context, *etcdClient) error) error {
	link, err := o.connections.of(cluster).current()
	if err != nil {
		return err
	}
	return link.etcd.do(ctx, node, link.etcd.timing.etcdCall, call)
}

// refusedBy names who did not do what, and why.
func refusedBy(err error, what string, by etcd.Member, cluster engine.Key) error {
	if err == nil || errors.Is(err, engine.ErrNotConnected) {
		return err
	}
	reason := etcdUnreachable
	if !broken(err) {
		reason = etcdRefused
	}
	return reasoned{reason, fmt.Errorf("member %s of cluster %s did not %s: %w", by, cluster, what, err)}
}

// reasoned is an error with the reason that conditions show.
type reasoned struct {
	reason string
	error
}

func (r reasoned) FailureReason() string { return r.reason }
func (r reasoned) Unwrap() error         { return r.error }
