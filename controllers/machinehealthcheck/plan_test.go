// SPDX-License-Identifier: Apache-2.0

package machinehealthcheck

import (
	"testing"
	"time"

	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	"github.com/slipway-project/slipway/plan/plantest"
)

var subject = plantest.Subject[Snapshot, clusterv1.MachineHealthCheckStatus]{
	Plan: Plan, Invariants: invariants,
	Now: func(s Snapshot) time.Time { return s.Now },
}

func TestPlan(t *testing.T) { plantest.Golden(t, subject) }
