// SPDX-License-Identifier: Apache-2.0

package dockercluster

import (
	"testing"
	"time"

	infrav1 "github.com/slipway-project/slipway/api/infrastructure/v1beta2"
	"github.com/slipway-project/slipway/plan/plantest"
)

func TestPlan(t *testing.T) {
	plantest.Golden(t, plantest.Subject[Snapshot, infrav1.DockerClusterStatus]{
		Plan: Plan,
		Now:  func(s Snapshot) time.Time { return s.Now },
	})
}
