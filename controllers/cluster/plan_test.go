// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"testing"
	"time"

	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	"github.com/slipway-project/slipway/plan/plantest"
)

func TestPlan(t *testing.T) {
	plantest.Golden(t, plantest.Subject[Snapshot, clusterv1.ClusterStatus]{
		Plan: Plan, Invariants: invariants,
		Now: func(s Snapshot) time.Time { return s.Now },
	})
}
