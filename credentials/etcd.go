// SPDX-License-Identifier: Apache-2.0

package credentials

import (
	"crypto/x509/pkix"
	"fmt"
	"io"
	"time"
)

// NewEtcdClient makes a client certificate for the members of a cluster's stacked etcd, with
// a fresh ECDSA key, valid as long as given and never beyond the authority. The name in it
// grants nothing: etcd as kubeadm runs it takes every client that its authority signed. It is
// an error where the authority has no key.
func NewEtcdClient(ca Pair, validity time.Duration, now time.Time, random io.Reader) (Pair, error) {
	pair, err := newClientCertificate(ca, pkix.Name{CommonName: "slipway-etcd-client"}, ECDSAP256, validity, now, random)
	if err != nil {
		return Pair{}, fmt.Errorf("make client certificate for etcd: %w", err)
	}
	return pair, nil
}
