// SPDX-License-Identifier: Apache-2.0

package standalone

import (
	"context"
	"os"
	"time"
)

const (
	maintainEvery = 10 * time.Minute
	renewEvery    = 12 * time.Hour
	boundLogEvery = time.Minute
)

// startHousekeeping does in the background what a cluster needs that runs for
// months: certificates renewed (etcd, kube-apiserver and client-go read changed
// files by themselves), etcd's space given back, the own log bounded.
func (m *ManagementCluster) startHousekeeping() {
	ctx, cancel := context.WithCancel(context.Background())
	m.endHousekeeping = cancel
	every := func(interval time.Duration, what string, do func(context.Context) error) {
		m.housekeeping.Go(func() {
			for pause(ctx, interval) == nil {
				once, done := context.WithTimeout(ctx, 5*time.Minute)
				if err := do(once); err != nil && ctx.Err() == nil {
					m.options.Log.Error(err, "housekeeping failed and is tried again", "task", what, "in", interval.String())
				}
				done()
			}
		})
	}
	every(maintainEvery, "maintain etcd", func(ctx context.Context) error {
		did, err := m.etcd.maintain(ctx)
		if did != "" {
			m.options.Log.Info("maintained etcd", "did", did)
		}
		return err
	})
	every(renewEvery, "renew certificates", func(context.Context) error { return m.renewCertificates(time.Now()) })
	if os.Getenv(detachedVariable) != "" {
		every(boundLogEvery, "bound own log", func(context.Context) error {
			return boundFile(m.home.log(ownLogName), logLimit)
		})
	}
}

func (m *ManagementCluster) renewCertificates(now time.Time) error {
	written, err := ensurePKI(m.home, certificateSpecs(apiServerHosts(m.listen)), now, false)
	if err != nil {
		return err
	}
	if len(written) == 0 {
		return nil
	}
	m.options.Log.Info("renewed certificates", "files", written)
	return writeKubeconfig(m.home, m.url)
}
