// SPDX-License-Identifier: Apache-2.0

package credentials

import (
	"crypto/rand"
	"crypto/x509"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
)

// today is the fixed clock of these tests; whole seconds, as certificates have it.
var today = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// mustPair makes a pair with the cheap algorithm.
func mustPair(t *testing.T, purpose Purpose, validity time.Duration) Pair {
	t.Helper()
	pair, err := NewPair(purpose, ECDSAP256, validity, today, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

func TestNewPairIsReadBackFromItsSecret(t *testing.T) {
	for _, purpose := range Purposes() {
		for _, algorithm := range []Algorithm{"", RSA3072, ECDSAP256, ECDSAP384} {
			t.Run(string(purpose)+"/"+string(algorithm), func(t *testing.T) {
				made, err := NewPair(purpose, algorithm, 0, today, rand.Reader)
				if err != nil {
					t.Fatal(err)
				}
				secret := PairSecret("ns", "demo", purpose, made)
				if want := "demo-" + string(purpose); secret.Name != want || secret.Type != "cluster.x-k8s.io/secret" ||
					secret.Labels["cluster.x-k8s.io/cluster-name"] != "demo" || secret.Namespace != "ns" {
					t.Errorf("Secret has another shape than the contract's: %+v", secret.ObjectMeta)
				}
				read, err := PairFromSecret(secret, purpose, today)
				if err != nil {
					t.Fatal(err)
				}
				if string(read.Cert) != string(made.Cert) || string(read.Key) != string(made.Key) {
					t.Error("another pair came back than was put in")
				}
			})
		}
	}
}

func TestAuthorityShape(t *testing.T) {
	for validity, wantEnd := range map[time.Duration]time.Time{
		0:         today.Add(3650 * 24 * time.Hour),
		time.Hour: today.Add(time.Hour),
	} {
		certs, err := parseCertificates(mustPair(t, EtcdCA, validity).Cert)
		if err != nil {
			t.Fatal(err)
		}
		cert := certs[0]
		if !cert.NotAfter.Equal(wantEnd) || !cert.NotBefore.Equal(today.Add(-5*time.Minute)) {
			t.Errorf("validity %s: certificate runs from %s to %s", validity, cert.NotBefore, cert.NotAfter)
		}
		// The usages that kubeadm gives its own authorities.
		want := x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment | x509.KeyUsageCertSign
		if !cert.IsCA || cert.KeyUsage != want || cert.Subject.CommonName != "etcd-ca" {
			t.Errorf("IsCA %t, key usage %b, subject %s", cert.IsCA, cert.KeyUsage, cert.Subject)
		}
	}
}

func TestNewPairRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		make func() (Pair, error)
		want string
	}{
		"unknown algorithm": {func() (Pair, error) { return NewPair(ClusterCA, "DSA-1024", 0, today, rand.Reader) }, `"DSA-1024" is not one of RSA-2048`},
		"negative validity": {func() (Pair, error) { return NewPair(ClusterCA, ECDSAP256, -1, today, rand.Reader) }, "negative"},
		"user's own":        {func() (Pair, error) { return NewPair(APIServerEtcdClient, "", 0, today, rand.Reader) }, "only the user can supply it"},
		"dry randomness":    {func() (Pair, error) { return NewPair(ClusterCA, ECDSAP256, 0, today, strings.NewReader("")) }, "read randomness"},
		"zero randomness":   {func() (Pair, error) { return NewPair(ClusterCA, ECDSAP256, 0, today, zeros{}) }, "only zeros"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := c.make()
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one with %q", err, c.want)
			}
		})
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestPairFromSecretNamesTheFault(t *testing.T) {
	ca, other := mustPair(t, ClusterCA, 0), mustPair(t, ClusterCA, 0)
	short := mustPair(t, ClusterCA, time.Hour)
	sa := mustPair(t, ServiceAccount, 0)
	leaf, err := newClientCertificate(ca, pkixName("leaf"), ECDSAP256, time.Hour, today, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		purpose Purpose
		pair    Pair
		at      time.Time
		want    string // empty: accepted
	}{
		"external authority":          {ClusterCA, Pair{Cert: ca.Cert}, today, ""},
		"external etcd's authority":   {EtcdCA, Pair{Cert: ca.Cert}, today, ""},
		"bundle":                      {ClusterCA, Pair{Cert: append(append([]byte{}, ca.Cert...), other.Cert...), Key: ca.Key}, today, ""},
		"etcd client":                 {APIServerEtcdClient, leaf, today, ""},
		"empty":                       {ClusterCA, Pair{}, today, "key tls.crt: it is missing"},
		"only a key":                  {ClusterCA, Pair{Key: ca.Key}, today, "key tls.crt: it is missing"},
		"no PEM":                      {ClusterCA, Pair{Cert: []byte("hello"), Key: ca.Key}, today, "key tls.crt: it holds no PEM certificate"},
		"key where cert belongs":      {ClusterCA, Pair{Cert: ca.Key, Key: ca.Key}, today, `PEM block "EC PRIVATE KEY" where only CERTIFICATE belongs`},
		"cert and key in tls.crt":     {ClusterCA, Pair{Cert: append(append([]byte{}, ca.Cert...), ca.Key...), Key: ca.Key}, today, "where only CERTIFICATE belongs"},
		"key of another":              {ClusterCA, Pair{Cert: ca.Cert, Key: other.Key}, today, "key tls.key: this private key does not belong to tls.crt"},
		"garbage key":                 {ClusterCA, Pair{Cert: ca.Cert, Key: []byte("x")}, today, "key tls.key: it holds no PEM private key"},
		"broken key":                  {ClusterCA, Pair{Cert: ca.Cert, Key: []byte("-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\n")}, today, "key tls.key: the EC PRIVATE KEY does not parse"},
		"encrypted key":               {ClusterCA, Pair{Cert: ca.Cert, Key: []byte("-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n")}, today, "not encrypted"},
		"broken certificate":          {ClusterCA, Pair{Cert: []byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")}, today, "certificate 1 does not parse"},
		"expired":                     {ClusterCA, short, today.Add(2 * time.Hour), "expired at 2026-11-23T13:00:00Z; replace it"},
		"not yet valid":               {ClusterCA, short, today.Add(-time.Hour), "not valid before 2026-11-23T11:55:00Z"},
		"not an authority":            {ClusterCA, leaf, today, "is not an authority"},
		"service account without key": {ServiceAccount, Pair{Cert: sa.Cert}, today, "key tls.key: it is missing"},
		"service account, cert":       {ServiceAccount, ca, today, ""},
		"service account mismatch":    {ServiceAccount, Pair{Cert: sa.Cert, Key: ca.Key}, today, "does not belong"},
		"service account, no PEM":     {ServiceAccount, Pair{Cert: []byte("x"), Key: sa.Key}, today, "key tls.crt: it holds no PEM public key"},
		"etcd client without key":     {APIServerEtcdClient, Pair{Cert: leaf.Cert}, today, "key tls.key: it is missing"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := PairFromSecret(PairSecret("ns", "demo", c.purpose, c.pair), c.purpose, c.at)
			switch {
			case c.want == "" && err != nil:
				t.Errorf("refused: %v", err)
			case c.want != "" && err == nil:
				t.Errorf("accepted, want an error with %q", c.want)
			case c.want != "":
				if !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "Secret ns/demo-"+string(c.purpose)+", key ") {
					t.Errorf("error %q lacks %q or does not name the Secret first", err, c.want)
				}
			}
		})
	}
}

func TestCACertHashes(t *testing.T) {
	a, b := mustPair(t, ClusterCA, 0), mustPair(t, ClusterCA, 0)
	one, err := CACertHashes(a.Cert)
	if err != nil {
		t.Fatal(err)
	}
	two, err := CACertHashes(append(append([]byte{}, b.Cert...), a.Cert...))
	if err != nil {
		t.Fatal(err)
	}
	if len(one) != 1 || len(two) != 2 || one[0] != two[1] || two[0] == two[1] || len(one[0]) != len("sha256:")+64 {
		t.Errorf("hashes of one: %v, of a bundle that ends with it: %v", one, two)
	}
	if _, err := CACertHashes(nil); err == nil {
		t.Error("no certificate gave hashes")
	}
}

func TestPrintingHidesKeys(t *testing.T) {
	ca := mustPair(t, ClusterCA, 0)
	token := Token{ID: "abcdef", Secret: "0123456789abcdef"}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		if text := fmt.Sprintf(verb, ca) + fmt.Sprintf(verb, token); strings.Contains(text, "PRIVATE") || strings.Contains(text, token.Secret) ||
			strings.Contains(text, fmt.Sprintf("%d", ca.Key[0])+" ") {
			t.Errorf("%s prints a secret: %s", verb, text)
		}
	}
}

func TestSecretWithoutKeyHasNoKeyEntry(t *testing.T) {
	secret := PairSecret("ns", "demo", ClusterCA, Pair{Cert: []byte("c")})
	if diff := cmp.Diff(map[string][]byte{corev1.TLSCertKey: []byte("c")}, secret.Data); diff != "" {
		t.Error(diff)
	}
}
