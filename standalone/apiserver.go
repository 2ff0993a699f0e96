// SPDX-License-Identifier: Apache-2.0

package standalone

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
)

// serviceRange must be given and is used by nothing: no pod runs in a
// management cluster that has no nodes. serviceRangeFirst is the address that
// the API server gives to the Service "kubernetes".
const (
	serviceRange      = "10.96.0.0/24"
	serviceRangeFirst = "10.96.0.1"
)

// authenticationFile lets health be asked without a certificate, and nothing else.
const authenticationFile = "authentication.yaml"

const authenticationConfiguration = `apiVersion: apiserver.config.k8s.io/v1
kind: AuthenticationConfiguration
anonymous:
  enabled: true
  conditions:
  - path: /livez
  - path: /readyz
  - path: /healthz
`

// disabledAdmission are plugins that are on by default and only get in the way
// where there are no nodes, no pods and few controllers. ServiceAccount and
// the storage protection wait for, or add finalizers for, controllers that do
// not run; the others only concern pods and cost an informer each.
var disabledAdmission = []string{
	"ServiceAccount", "StorageObjectInUseProtection", "PersistentVolumeClaimResize", "DefaultStorageClass",
	"DefaultIngressClass", "DefaultTolerationSeconds", "TaintNodesByCondition", "Priority", "RuntimeClass",
	"PodSecurity", "LimitRanger",
}

// apiServerURL is the address that clients on this machine use.
func apiServerURL(listen net.IP, port int) string {
	host := listen
	if host.IsUnspecified() {
		host = net.IPv4(127, 0, 0, 1)
	}
	return "https://" + net.JoinHostPort(host.String(), strconv.Itoa(port))
}

// apiServerArguments are kube-apiserver's flags; paths are relative to the data
// directory, which is its working directory.
func apiServerArguments(listen net.IP, port, etcdPort int, url string) []string {
	file := func(name string) string { return "pki/" + name }
	return []string{
		"--bind-address=" + listen.String(),
		"--secure-port=" + strconv.Itoa(port),
		"--tls-cert-file=" + file(apiServerFile+".crt"),
		"--tls-private-key-file=" + file(apiServerFile+".key"),
		"--client-ca-file=" + file(authorityFile+".crt"),
		// No pod needs the endpoints of the Service "kubernetes", and without
		// this a machine with no default route cannot start.
		"--advertise-address=127.0.0.1",
		"--endpoint-reconciler-type=none",
		"--etcd-servers=" + etcdURL(etcdPort),
		"--etcd-cafile=" + file(etcdAuthorityFile+".crt"),
		"--etcd-certfile=" + file(apiServerEtcdClientFile+".crt"),
		"--etcd-keyfile=" + file(apiServerEtcdClientFile+".key"),
		"--etcd-compaction-interval=5m",
		childMarks[apiServerName],
		"--authentication-config=" + authenticationFile,
		"--authorization-mode=RBAC",
		"--service-account-issuer=" + url,
		"--service-account-key-file=" + file(serviceAccountFile+".key"),
		"--service-account-signing-key-file=" + file(serviceAccountFile+".key"),
		"--service-cluster-ip-range=" + serviceRange,
		"--disable-admission-plugins=" + strings.Join(disabledAdmission, ","),
		// One user and one set of controllers need no queues between them;
		// the limit on requests in flight still holds.
		"--enable-priority-and-fairness=false",
		"--enable-logs-handler=false",
		"--profiling=false",
		"--v=1",
	}
}

// healthProbe asks the API server's /readyz, with no credentials.
type healthProbe struct {
	client *http.Client
	url    string
}

func newHealthProbe(home dataDir, url string) (*healthProbe, error) {
	bundle, err := os.ReadFile(home.certificateFile(authorityFile))
	if err != nil {
		return nil, fmt.Errorf("load certificate authority: %w", err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(bundle)
	return &healthProbe{url: url, client: &http.Client{Transport: &http.Transport{
		TLSClientConfig:   &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		DisableKeepAlives: true,
	}}}, nil
}

// ready returns nil when every check of /readyz passes, else those that do not.
func (p *healthProbe) ready(ctx context.Context) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url+"/readyz?verbose", nil)
	if err != nil {
		return fmt.Errorf("ask /readyz: %w", err)
	}
	response, err := p.client.Do(request)
	if err != nil {
		return fmt.Errorf("ask /readyz: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(response.Body, 64<<10))
	if err != nil {
		return fmt.Errorf("ask /readyz: %w", err)
	}
	if response.StatusCode == http.StatusOK {
		return nil
	}
	return fmt.Errorf("/readyz answers %d: %s", response.StatusCode, strings.Join(failedChecks(string(body)), ", "))
}

// failedChecks picks the names of failed checks from a verbose health answer,
// in which they are lines like "[-]poststarthook/x failed: reason withheld".
func failedChecks(body string) []string {
	var failed []string
	for line := range strings.Lines(body) {
		if rest, ok := strings.CutPrefix(line, "[-]"); ok {
			name, _, _ := strings.Cut(rest, " ")
			failed = append(failed, strings.TrimSpace(name))
		}
	}
	if len(failed) == 0 {
		return []string{clip(strings.TrimSpace(body))}
	}
	return failed
}
