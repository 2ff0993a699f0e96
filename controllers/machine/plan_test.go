// SPDX-License-Identifier: Apache-2.0

package machine

import (
	"testing"
	"time"

	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	"github.com/slipway-project/slipway/plan/plantest"
)

func TestPlan(t *testing.T) {
	plantest.Golden(t, plantest.Subject[Snapshot, clusterv1.MachineStatus]{
		Plan: Plan, Invariants: invariants,
		Now: func(s Snapshot) time.Time { return s.Now },
	})
}

func TestGoesToNode(t *testing.T) {
	for key, want := range map[string]bool{
		"node-role.kubernetes.io/worker":                  true,
		"sub.node-role.kubernetes.io/worker":              false,
		"node-restriction.kubernetes.io/x":                true,
		"team.node-restriction.kubernetes.io/x":           true,
		"evilnode-restriction.kubernetes.io/x":            false,
		"node.cluster.x-k8s.io/x":                         true,
		"a.node.cluster.x-k8s.io/x":                       true,
		"cluster.x-k8s.io/cluster-name":                   false,
		"node-role.kubernetes.io":                         false,
		"pool":                                            false,
		"node-restriction.kubernetes.io.example.com/pool": false,
	} {
		if got := goesToNode(key); got != want {
			t.Errorf("goesToNode(%q) = %t, want %t", key, got, want)
		}
	}
}
