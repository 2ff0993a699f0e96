// SPDX-License-Identifier: Apache-2.0

package containers

import (
	"cmp"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"text/template"
)

// Backend is one control-plane machine behind a load balancer.
type Backend struct {
	Name    string // of the machine; letters, digits, ".", "_", ":" and "-"
	Address string // IP address
	Port    int    // 0: APIServerPort
	// Weight is the share of new connections, 0 (none) to 256, relative to the other backends; nil is 100.
	Weight *int
}

// defaultWeight is the weight of a backend that names none.
const defaultWeight = 100

// defaultTemplate is the configuration. Why each line is there:
//
//   - stats socket with expose-fd listeners: a reload hands the listening sockets on, so no connection attempt is lost;
//   - fd-hard-limit and no maxconn: HAProxy then takes as many connections as the host allows it files, but not the billion
//     that some hosts do, for which it would reserve memory; a fixed maxconn makes it stop where the host allows less;
//   - hard-stop-after: workers of before a reload go when their last connection does, but not later than this;
//   - timeouts of a day: watches are silent for long, and both ends keep TCP alive themselves;
//   - httpchk over TLS, unverified: only "is this API server ready" is asked, and clients verify for themselves. 401 and 403
//     come from an API server without anonymous access: it answers, so it is up;
//   - inter, downinter, rise: a control plane that comes up is used within half a second;
//   - redispatch: a connection that one control plane does not take is tried at another at once;
//   - shutdown-sessions: clients of a control plane that went away reconnect at once and do not wait for a time-out.
const defaultTemplate = `# Written by slipway; changes are overwritten.
global
  log stdout format raw local0 notice
  fd-hard-limit 16384
  hard-stop-after 30m
  stats socket /tmp/haproxy.sock mode 600 level admin expose-fd listeners

defaults
  log global
  mode tcp
  option dontlognull
  timeout connect 2s
  timeout client 24h
  timeout server 24h
  timeout check 3s
  retries 3
  option redispatch 1

frontend stats
  mode http
  bind *:{{ .StatisticsPort }}
  timeout client 10s
  stats enable
  stats uri /stats
  stats refresh 5s

frontend control-plane
  bind *:{{ .FrontendControlPlanePort }}
  default_backend kube-apiservers

backend kube-apiservers
  balance roundrobin
  option httpchk GET /readyz
  http-check expect rstatus ^(200|401|403)$
  default-server check check-ssl verify none inter 2s downinter 500ms fastinter 500ms rise 1 fall 3 on-marked-down shutdown-sessions
{{- range $name, $server := .BackendServers }}
  server {{ $name }} {{ JoinHostPort $server.Address $server.Port }} weight {{ $server.Weight }}
{{- end }}
`

// HAProxyData is what a template of a HAProxy configuration can use, beside the function JoinHostPort (address, port). The
// names are those that existing custom templates use.
type HAProxyData struct {
	FrontendControlPlanePort string // to listen on
	BackendControlPlanePort  string // of backends that name no other port
	StatisticsPort           string
	// BackendServers is by machine name; templates see it sorted.
	BackendServers map[string]HAProxyServer
	IPv6           bool // some backend has an IPv6 address
}

// HAProxyServer is one backend in HAProxyData.
type HAProxyServer struct {
	Address string
	Port    string
	Weight  int
}

// HAProxyConfig is the configuration of a load balancer with these backends, in any order: the same set gives the same
// text. No backends is right too: connections are then refused. It gives an error for a backend that cannot be written.
func HAProxyConfig(backends []Backend) (string, error) {
	return RenderHAProxyTemplate(defaultTemplate, backends)
}

// RenderHAProxyTemplate renders a user's own template (the value that the ConfigMap of customHAProxyConfigTemplateRef
// holds) with these backends; see HAProxyData for what it can use. Whether HAProxy accepts the result shows when it is
// loaded.
func RenderHAProxyTemplate(text string, backends []Backend) (string, error) {
	data := HAProxyData{
		FrontendControlPlanePort: strconv.Itoa(APIServerPort),
		BackendControlPlanePort:  strconv.Itoa(APIServerPort),
		StatisticsPort:           strconv.Itoa(StatisticsPort),
		BackendServers:           map[string]HAProxyServer{},
	}
	for _, backend := range slices.SortedFunc(slices.Values(backends), func(a, b Backend) int { return strings.Compare(a.Name, b.Name) }) {
		ip := net.ParseIP(backend.Address)
		if ip == nil {
			return "", fmt.Errorf("load balancer backend %q: %q is not an IP address", backend.Name, backend.Address)
		}
		if backend.Name == "" || strings.ContainsFunc(backend.Name, func(r rune) bool { return !strings.ContainsRune(nameCharacters, r) }) {
			return "", fmt.Errorf("load balancer backend %q: not a name that HAProxy accepts", backend.Name)
		}
		weight := defaultWeight
		if backend.Weight != nil {
			weight = *backend.Weight
		}
		if weight < 0 || weight > 256 {
			return "", fmt.Errorf("load balancer backend %q: weight %d is not between 0 and 256", backend.Name, weight)
		}
		if _, double := data.BackendServers[backend.Name]; double {
			return "", fmt.Errorf("load balancer backend %q is there twice", backend.Name)
		}
		data.IPv6 = data.IPv6 || ip.To4() == nil
		data.BackendServers[backend.Name] = HAProxyServer{Address: backend.Address, Port: strconv.Itoa(cmp.Or(backend.Port, APIServerPort)), Weight: weight}
	}
	parsed, err := template.New("haproxy.cfg").Option("missingkey=error").Funcs(template.FuncMap{"JoinHostPort": net.JoinHostPort}).Parse(text)
	if err != nil {
		return "", fmt.Errorf("parse HAProxy configuration template: %w", err)
	}
	var out strings.Builder
	if err := parsed.Execute(&out, data); err != nil {
		return "", fmt.Errorf("render HAProxy configuration template: %w", err)
	}
	return out.String(), nil
}

const nameCharacters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.:"
