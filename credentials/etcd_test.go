// SPDX-License-Identifier: Apache-2.0

package credentials

import (
	"crypto/rand"
	"crypto/x509"
	"strings"
	"testing"
	"time"
)

func TestNewEtcdClient(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	ca, err := NewPair(EtcdCA, ECDSAP256, 12*time.Hour, now, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for validity, end := range map[time.Duration]time.Time{time.Hour: now.Add(time.Hour), 24 * time.Hour: now.Add(12 * time.Hour)} {
		pair, err := NewEtcdClient(ca, validity, now, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		certificates, err := parseCertificates(pair.Cert)
		if err != nil {
			t.Fatal(err)
		}
		if !certificates[0].NotAfter.Equal(end) {
			t.Errorf("made for %s it ends at %s; want %s", validity, certificates[0].NotAfter, end)
		}
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(ca.Cert)
		if _, err := certificates[0].Verify(x509.VerifyOptions{Roots: roots, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}); err != nil {
			t.Errorf("as a client's certificate: %v", err)
		}
		if _, err := certificates[0].Verify(x509.VerifyOptions{Roots: roots, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}); err == nil {
			t.Error("it passes for a server's")
		}
	}
	if _, err := NewEtcdClient(Pair{Cert: ca.Cert}, time.Hour, now, rand.Reader); err == nil || !strings.Contains(err.Error(), "kept outside the management cluster") {
		t.Errorf("without the authority's key: %v", err)
	}
}
