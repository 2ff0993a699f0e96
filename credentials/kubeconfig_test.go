// SPDX-License-Identifier: Apache-2.0

package credentials

import (
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/tools/clientcmd"
)

func pkixName(name string) pkix.Name { return pkix.Name{CommonName: name} }

const server = "https://192.0.2.1:6443"

func mustKubeconfig(t *testing.T, ca Pair, at time.Time) (Kubeconfig, []byte) {
	t.Helper()
	text, err := NewKubeconfig("demo", server, ca, ECDSAP256, at, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := ParseKubeconfig(text)
	if err != nil {
		t.Fatal(err)
	}
	return parsed, text
}

func TestKubeconfigIsAnAdminsAndVerifies(t *testing.T) {
	ca := mustPair(t, ClusterCA, 0)
	parsed, text := mustKubeconfig(t, ca, today)
	raw, err := clientcmd.Load(text)
	if err != nil {
		t.Fatal(err)
	}
	context := raw.Contexts["demo-admin@demo"]
	if raw.CurrentContext != "demo-admin@demo" || context == nil || context.Cluster != "demo" || context.AuthInfo != "demo-admin" {
		t.Errorf("contexts: %s, %+v", raw.CurrentContext, raw.Contexts)
	}
	cert := parsed.ClientCertificate
	if got := cert.Subject.String(); got != "CN=kubernetes-admin,O=system:masters" {
		t.Errorf("subject %s", got)
	}
	if !cert.NotAfter.Equal(today.Add(365 * 24 * time.Hour)) {
		t.Errorf("valid until %s", cert.NotAfter)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(parsed.CAData)
	if _, err := cert.Verify(x509.VerifyOptions{Roots: pool, CurrentTime: today, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}); err != nil {
		t.Errorf("a verifier with the file's own authority refuses the client: %v", err)
	}
	secret := KubeconfigSecret("ns", "demo", text)
	if secret.Name != "demo-kubeconfig" || string(secret.Data["value"]) != string(text) || secret.Type != SecretType {
		t.Errorf("Secret %s of type %s", secret.Name, secret.Type)
	}
}

func TestNeedsRenewal(t *testing.T) {
	ca, other := mustPair(t, ClusterCA, 0), mustPair(t, ClusterCA, 0)
	dying := mustPair(t, ClusterCA, 24*time.Hour)
	kubeconfig, _ := mustKubeconfig(t, ca, today)
	last, _ := mustKubeconfig(t, dying, today)
	forged := kubeconfig
	forged.CAData = other.Cert
	tokenOnly := Kubeconfig{Server: server, CAData: ca.Cert}
	half := 365 * 12 * time.Hour
	for name, c := range map[string]struct {
		kubeconfig Kubeconfig
		server     string
		ca         Pair
		at         time.Time
		want       string // empty: no renewal
	}{
		"fresh":                           {kubeconfig, server, ca, today, ""},
		"half its life left":              {kubeconfig, server, ca, today.Add(half), ""},
		"a second less than half":         {kubeconfig, server, ca, today.Add(half + time.Second), "ends at 2027-11-23T12:00:00Z"},
		"expired":                         {kubeconfig, server, ca, today.Add(3 * half), "ends at"},
		"another server":                  {kubeconfig, "https://192.0.2.2:6443", ca, today, "the server is https://192.0.2.2:6443"},
		"another authority":               {kubeconfig, server, other, today, "authority has changed"},
		"authority swapped under client":  {forged, server, other, today, "not signed by"},
		"as long as its authority":        {last, server, dying, today.Add(23 * time.Hour), ""},
		"token user, however old":         {tokenOnly, server, ca, today.Add(20 * half), ""},
		"token user on another authority": {tokenOnly, server, other, today, "authority has changed"},
	} {
		t.Run(name, func(t *testing.T) {
			renew, why, err := NeedsRenewal(c.kubeconfig, c.server, c.ca, c.at)
			if err != nil {
				t.Fatal(err)
			}
			if renew != (c.want != "") || !strings.Contains(why, c.want) {
				t.Errorf("renew %t because %q, want %q", renew, why, c.want)
			}
		})
	}
}

func TestKubeconfigRefuses(t *testing.T) {
	ca := mustPair(t, ClusterCA, 0)
	_, good := mustKubeconfig(t, ca, today)
	replaced := func(old, new string) []byte {
		if !strings.Contains(string(good), old) {
			t.Fatalf("kubeconfig lacks %q", old)
		}
		return []byte(strings.ReplaceAll(string(good), old, new))
	}
	for name, c := range map[string]struct {
		text []byte
		want string
	}{
		"not YAML":        {[]byte("{"), "parse kubeconfig"},
		"empty":           {nil, `current-context "" is not among`},
		"no such context": {replaced("current-context: demo", "current-context: nemo"), `current-context "nemo-admin@demo"`},
		"no such cluster": {replaced("cluster: demo", "cluster: nemo"), `cluster "nemo" of context`},
		"no such user":    {replaced("user: demo-admin", "user: nemo"), `user "nemo" of context`},
		"no host":         {replaced(server, "somewhere"), `server "somewhere" is not a URL`},
		"files":           {replaced("client-key-data: ", "client-key: /etc/key #"), "points to files"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ParseKubeconfig(c.text)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one with %q", err, c.want)
			}
		})
	}
	if _, err := NewKubeconfig("demo", server, Pair{Cert: ca.Cert}, "", today, rand.Reader); err == nil ||
		!strings.Contains(err.Error(), "Secret demo-ca has no tls.key") || !strings.Contains(err.Error(), "create the Secret demo-kubeconfig") {
		t.Errorf("external authority: %v", err)
	}
	if _, err := NewKubeconfig("demo", "192.0.2.1:6443", ca, "", today, rand.Reader); err == nil {
		t.Error("a server that is no URL was accepted")
	}
}

func TestServerURL(t *testing.T) {
	for want, host := range map[string]string{"https://192.0.2.1:6443": "192.0.2.1", "https://[2001:db8::1]:6443": "2001:db8::1", "https://api.example.org:6443": "api.example.org"} {
		if got := ServerURL(host, 6443); got != want {
			t.Errorf("%s: %s", host, got)
		}
	}
}
