// SPDX-License-Identifier: Apache-2.0

package kubeadmcontrolplane

import (
	"testing"
	"time"

	controlplanev1 "github.com/slipway-project/slipway/api/controlplane/v1beta2"
	"github.com/slipway-project/slipway/plan/plantest"
)

func TestPlan(t *testing.T) {
	plantest.Golden(t, plantest.Subject[Snapshot, controlplanev1.KubeadmControlPlaneStatus]{
		Plan: Plan, Invariants: invariants,
		Now: func(s Snapshot) time.Time { return s.Now },
	})
}
