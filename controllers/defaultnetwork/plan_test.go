// SPDX-License-Identifier: Apache-2.0

package defaultnetwork

import (
	"testing"
	"time"

	"github.com/slipway-project/slipway/plan/plantest"
)

func TestPlan(t *testing.T) {
	plantest.Golden(t, plantest.Subject[Snapshot, Status]{
		Plan: Plan,
		Now:  func(s Snapshot) time.Time { return s.Now },
	})
}
