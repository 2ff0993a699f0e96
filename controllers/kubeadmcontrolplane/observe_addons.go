// SPDX-License-Identifier: Apache-2.0

package kubeadmcontrolplane

import (
	"context"

	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Addons are what kubeadm has put into the workload cluster beside its machines.
type Addons struct{}

// observeAddons reads them from the workload cluster, which is initialized.
func observeAddons(_ context.Context, _ client.Reader, _ *Snapshot) (Addons, error) {
	return Addons{}, nil
}
