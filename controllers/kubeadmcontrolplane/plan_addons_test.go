// SPDX-License-Identifier: Apache-2.0

package kubeadmcontrolplane

import (
	"testing"
	"time"

	"github.com/slipway-project/slipway/plan"
	"github.com/slipway-project/slipway/plan/plantest"
)

// withoutStatus takes the place of a status: what is decided here shows none.
type withoutStatus struct{}

// addonsPlan goes through the decisions about what kubeadm leaves in the workload cluster,
// in the order in which a control plane comes to them.
func addonsPlan(s Snapshot) plan.Plan[withoutStatus] {
	for _, decided := range []func(Snapshot) *plan.Decision{clusterConfiguration, addons} {
		if decision := decided(s); decision != nil {
			return plan.Of(*decision, withoutStatus{})
		}
	}
	if marks := certificateMarks(s); len(marks) > 0 {
		return plan.Of(plan.Act("MarkingCertificates", "", marks...), withoutStatus{})
	}
	return plan.Of(plan.Settle("NothingToDo"), withoutStatus{})
}

func TestAddonsPlan(t *testing.T) {
	plantest.GoldenIn(t, "testdata/addons", plantest.Subject[Snapshot, withoutStatus]{
		Plan: addonsPlan, Now: func(s Snapshot) time.Time { return s.Now },
	})
}
