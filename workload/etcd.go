// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"context"
	"time"

	"github.com/slipway-project/slipway/engine"
	"github.com/slipway-project/slipway/etcd"
)

// Etcd asks the etcd members on the Nodes named.
func (c *Connections) Etcd(_ context.Context, cluster engine.Key, _ []string) (etcd.View, error) {
	_, err := c.of(cluster).current()
	return etcd.View{}, err
}

// CertificateExpiry is when the certificate of the API server on a Node ends.
func (c *Connections) CertificateExpiry(_ context.Context, cluster engine.Key, _ string) (time.Time, error) {
	_, err := c.of(cluster).current()
	return time.Time{}, err
}
