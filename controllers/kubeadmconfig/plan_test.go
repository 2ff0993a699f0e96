// SPDX-License-Identifier: Apache-2.0

package kubeadmconfig

import (
	"testing"
	"time"

	bootstrapv1 "github.com/slipway-project/slipway/api/bootstrap/v1beta2"
	"github.com/slipway-project/slipway/plan/plantest"
)

func TestPlan(t *testing.T) {
	plantest.Golden(t, plantest.Subject[Snapshot, bootstrapv1.KubeadmConfigStatus]{
		Plan: Plan, Invariants: invariants,
		Now: func(s Snapshot) time.Time { return s.Now },
	})
}
