// SPDX-License-Identifier: Apache-2.0

package etcd

import (
	"fmt"

	"k8s.io/apimachinery/pkg/types"

	"github.com/slipway-project/slipway/plan"
)

// System names the operator that carries the operations of this package out.
const System = "etcd"

// MoveLeader has a member hand the leadership to another. It does nothing where the
// member From does not lead.
type MoveLeader struct {
	// On is the Machine on whose behalf it is done.
	On plan.Ref
	// Cluster is the workload cluster.
	Cluster types.NamespacedName
	// Nodes are those with members that can be asked.
	Nodes []string
	From  Member
	To    Member
}

// Subject is the Machine on whose behalf it is done.
func (o MoveLeader) Subject() plan.Ref { return o.On }

func (o MoveLeader) String() string {
	return fmt.Sprintf("move the leadership from %s to %s in cluster %s", o.From, o.To, o.Cluster)
}

// RemoveMember takes a member out of the list. It does nothing where the member is not
// listed any more. The operator asks once more, right before, whether a quorum holds
// without it, for the plan may be older than what happened since.
type RemoveMember struct {
	// On is the Machine on whose behalf it is done; the KubeadmControlPlane where the
	// member has no Machine any more.
	On plan.Ref
	// Cluster is the workload cluster.
	Cluster types.NamespacedName
	// Nodes are those with members that can be asked.
	Nodes  []string
	Member Member
}

// Subject is the object on whose behalf it is done.
func (o RemoveMember) Subject() plan.Ref { return o.On }

func (o RemoveMember) String() string {
	return fmt.Sprintf("remove member %s from cluster %s", o.Member, o.Cluster)
}
