// SPDX-License-Identifier: Apache-2.0

package containers

import (
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestNames(t *testing.T) {
	long := strings.Repeat("a-very-long-name-", 5)
	tests := []struct {
		id          string
		key         Key
		name        string
		lb          string
		readableTil string // what the name begins with
	}{
		{id: "m1", key: Key{Namespace: "default", Name: "demo"}, readableTil: "demo-"},
		{id: "m2", key: Key{Namespace: "default", Name: "demo"}, readableTil: "demo-"},
		{id: "m1", key: Key{Namespace: "other", Name: "demo"}, readableTil: "demo-"},
		{id: "m1", key: Key{Namespace: "default", Name: "demo-lb"}, readableTil: "demo-lb-"},
		{id: "m1", key: Key{Namespace: "default", Name: "a.b"}, readableTil: "a-b-"},
		{id: "m1", key: Key{Namespace: "default", Name: "a-b"}, readableTil: "a-b-"},
		{id: "m1", key: Key{Namespace: "default", Name: long + "1"}, readableTil: "a-very-long-name-a-very"},
		{id: "m1", key: Key{Namespace: "default", Name: long + "2"}, readableTil: "a-very-long-name-a-very"},
		{id: "m1", key: Key{Namespace: "default", Name: strings.Repeat("x", 56)}, readableTil: strings.Repeat("x", 56) + "-"},
		{id: "m1", key: Key{Namespace: "default", Name: "9"}, readableTil: "9-"},
	}
	valid := regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
	seen := map[string]string{}
	for _, test := range tests {
		for kind, name := range map[string]string{"machine": MachineName(test.id, test.key), "load balancer": LoadBalancerName(test.id, test.key)} {
			of := fmt.Sprintf("%s %s of %s", kind, test.key, test.id)
			if !valid.MatchString(name) {
				t.Errorf("%s: %q is not a host name", of, name)
			}
			if kind == "machine" && !strings.HasPrefix(name, test.readableTil) {
				t.Errorf("%s: %q does not begin with %q", of, name, test.readableTil)
			}
			if other, double := seen[name]; double {
				t.Errorf("%s and %s are both called %q", of, other, name)
			}
			seen[name] = of
		}
	}
	// Nodes that exist are found by these names, so they must not change.
	for got, want := range map[string]string{
		MachineName("m1", Key{Namespace: "default", Name: "demo"}):      "demo-" + Realm("m1", "default"),
		LoadBalancerName("m1", Key{Namespace: "default", Name: "demo"}): "demo-" + Realm("m1", "default") + "-lb",
		Realm("m1", "default"): goldenRealm,
		NetworkName("m1"):      goldenNetwork,
		MachineName("m1", Key{Namespace: "default", Name: "a.b"}):              goldenDotted,
		ProviderID(MachineName("m1", Key{Namespace: "default", Name: "demo"})): "docker:////demo-" + goldenRealm,
	} {
		if got != want {
			t.Errorf("name is %q, want %q", got, want)
		}
	}
}

func TestChooseAddress(t *testing.T) {
	subnet := netip.MustParsePrefix("172.18.0.0/24")
	used := map[netip.Addr]string{}
	first, ok := chooseAddress(subnet, "a", used)
	if again, _ := chooseAddress(subnet, "a", used); !ok || again != first {
		t.Errorf("the choice is not repeatable: %s, then %s", first, again)
	}
	for i := 0; ; i++ {
		address, ok := chooseAddress(subnet, "a", used)
		if !ok {
			if i != 126 {
				t.Errorf("%d addresses could be had, want 126", i)
			}
			break
		}
		if used[address] != "" || !subnet.Contains(address) || lowerHalf(subnet).Contains(address) || address == lastHost(subnet) || address == netip.MustParseAddr("172.18.0.255") {
			t.Fatalf("address %s must not be given out", address)
		}
		used[address] = "somebody"
	}
	for _, bad := range []string{"10.0.0.0/30", "fd00::/64"} {
		if _, ok := chooseAddress(netip.MustParsePrefix(bad), "a", nil); ok {
			t.Errorf("%s gives an address", bad)
		}
	}
	if got := lastHost(netip.MustParsePrefix("172.18.0.0/16")).String(); got != "172.18.255.254" {
		t.Errorf("last host is %s", got)
	}
	if got := lowerHalf(netip.MustParsePrefix("172.18.0.0/16")).String(); got != "172.18.0.0/17" {
		t.Errorf("lower half is %s", got)
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}

func TestHAProxyConfig(t *testing.T) {
	none, half := 0, 50
	empty, err := HAProxyConfig(nil)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "haproxy-empty.golden.cfg", empty)
	backends := []Backend{
		{Name: "demo-b", Address: "172.18.128.3", Weight: &half},
		{Name: "demo-a", Address: "172.18.128.2"},
		{Name: "demo-c", Address: "fd00::4", Port: 7443, Weight: &none},
	}
	got, err := HAProxyConfig(backends)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "haproxy-three.golden.cfg", got)
	backends[0], backends[2] = backends[2], backends[0]
	if other, _ := HAProxyConfig(backends); other != got {
		t.Error("another order of the backends gives another text")
	}
	if ConfigDigest(got) == ConfigDigest(empty) {
		t.Error("two configurations have one digest")
	}
}

func TestHAProxyConfigErrors(t *testing.T) {
	heavy := 257
	for want, backends := range map[string][]Backend{
		`"x" is not an IP address`:   {{Name: "a", Address: "x"}},
		"not a name":                 {{Name: "a b", Address: "10.0.0.1"}},
		`"": not a name`:             {{Address: "10.0.0.1"}},
		"weight 257 is not between":  {{Name: "a", Address: "10.0.0.1", Weight: &heavy}},
		`backend "a" is there twice`: {{Name: "a", Address: "10.0.0.1"}, {Name: "a", Address: "10.0.0.2"}},
	} {
		if _, err := HAProxyConfig(backends); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error is %v, want %q", err, want)
		}
	}
}

func TestRenderHAProxyTemplate(t *testing.T) {
	// The shape of templates that people have: upstream's names.
	const custom = `frontend control-plane
  bind {{if .IPv6}}:::{{ .FrontendControlPlanePort }} v4v6{{else}}*:{{ .FrontendControlPlanePort }}{{end}}
backend b
{{- range $server, $backend := .BackendServers }}
  server {{ $server }} {{ JoinHostPort $backend.Address $.BackendControlPlanePort }} weight {{ $backend.Weight }}
{{- end }}
`
	got, err := RenderHAProxyTemplate(custom, []Backend{{Name: "b", Address: "fd00::1"}, {Name: "a", Address: "10.0.0.1"}})
	if err != nil {
		t.Fatal(err)
	}
	want := "frontend control-plane\n  bind :::6443 v4v6\nbackend b\n  server a 10.0.0.1:6443 weight 100\n  server b [fd00::1]:6443 weight 100\n"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for want, text := range map[string]string{"parse HAProxy": "{{ if }}", "render HAProxy": "{{ .Nope }}"} {
		if _, err := RenderHAProxyTemplate(text, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error is %v, want %q", text, err, want)
		}
	}
}

func TestEngineErrorsAreRecognised(t *testing.T) {
	for text, want := range map[string]bool{
		"OCI runtime create failed: container_linux.go:380: unable to apply caps: operation not permitted: unknown":                      true,
		"runc create failed: unable to start container process: unable to apply caps: can't apply capabilities: operation not permitted": true,
		"crun: set capabilities: Operation not permitted: OCI permission denied":                                                         true,
		"crun: capset: Operation not permitted":  true,
		"open /dev/x: operation not permitted":   false,
		"unable to apply caps: invalid argument": false,
	} {
		if got := isPrivilegeRefused(errors.New(text)); got != want {
			t.Errorf("%q: privilege refused is %t", text, got)
		}
	}
	for text, want := range map[string]bool{
		"Address already in use": true,
		"driver failed programming external connectivity: listen tcp 127.0.0.1:6443: bind: address already in use": false,
	} {
		if got := isAddressTaken(errors.New(text)); got != want {
			t.Errorf("%q: address taken is %t", text, got)
		}
	}
	for _, text := range []string{
		"could not find an available, non-overlapping IPv4 address pool among the defaults to assign to the network",
		"all predefined address pools have been fully subnetted",
		"Pool overlaps with other one on this address space",
	} {
		if !isSubnetError(errors.New(text)) {
			t.Errorf("%q is not taken for a want of subnets", text)
		}
	}
}

// The kernel has the same words for a process that has too many files and a user that has too many inotify instances.
func TestTooManyOpenFiles(t *testing.T) {
	for text, inotify := range map[string]bool{
		"accept4: too many open files": false, "open /var/lib/docker/x: too many open files": false,
		"runc: inotify_init1: too many open files": true, "failed to create fsnotify watcher: too many open files": true,
	} {
		err := explain(errors.New(text))
		if errorIs[*KernelLimitError](err) != inotify || !strings.Contains(err.Error(), inotifyInstances) || strings.Contains(err.Error(), "LimitNOFILE") == inotify || !strings.Contains(err.Error(), text) {
			t.Errorf("%q is explained as %v", text, err)
		}
	}
}

func TestKnownCause(t *testing.T) {
	for output, want := range map[string]string{
		"systemd[1]: Failed to create control group inotify object: Too many open files\nFailed to allocate manager object: Too many open files": "fs.inotify.max_user_instances",
		"kubelet: inotify_add_watch /sys/fs/cgroup: no space left on device":                                                                     "fs.inotify.max_user_watches",
		"write /var/lib/etcd/x: no space left on device":                                                                                         "disk is full",
		"all is well": "",
	} {
		cause := knownCause(output)
		if (cause == nil) != (want == "") || (cause != nil && !strings.Contains(cause.Error(), want)) {
			t.Errorf("%q: cause is %v, want %q", output, cause, want)
		}
	}
}

func TestLastLine(t *testing.T) {
	for console, want := range map[string]string{
		"": "", "\r\n \r\n": "",
		"one\r\n[\x1b[0;1;31mFAILED\x1b[0m] Failed to start \x1b[0;1;39mcontainerd.service\x1b[0m.\r\n\r\n": "[FAILED] Failed to start containerd.service.",
		"no end": "no end", "a\x07b\n": "a b", strings.Repeat("x", 300): strings.Repeat("x", 200) + " ...",
	} {
		if got := lastLine(console); got != want {
			t.Errorf("%q: last line is %q, want %q", console, got, want)
		}
	}
}

func TestInotifyVerdict(t *testing.T) {
	var limit *KernelLimitError
	if err := inotifyVerdict(unix.EMFILE, 128); !errors.As(err, &limit) || !strings.Contains(err.Error(), "fs.inotify.max_user_instances (128)") || !strings.Contains(err.Error(), "sysctl -w") {
		t.Errorf("error is %v", err)
	}
	for _, other := range []error{nil, unix.ENFILE, unix.ENOMEM, unix.ENOSYS} {
		if err := inotifyVerdict(other, 128); err != nil {
			t.Errorf("%v is taken for %v", other, err)
		}
	}
}

func TestAlerts(t *testing.T) {
	const said = `[NOTICE]   (88) : haproxy version is 2.6.12
[ALERT]    (88) : config : parsing [/usr/local/etc/haproxy/haproxy.cfg.next:3]: unknown keyword 'x' in 'global' section
[ALERT]    (88) : config : Error(s) found in configuration file : /usr/local/etc/haproxy/haproxy.cfg.next
[ALERT]    (88) : config : Fatal errors found in configuration.
`
	if got, want := alerts(said), "config : parsing [line 3]: unknown keyword 'x' in 'global' section"; got != want {
		t.Errorf("alerts are %q, want %q", got, want)
	}
	if got := alerts("something else\n"); got != "something else" {
		t.Errorf("without alerts it is %q", got)
	}
}

func TestImages(t *testing.T) {
	for _, test := range []struct{ got, want string }{
		{NodeImage("v1.37.1"), "slipway/node:v1.37.1"},
		{NodeImage("v1.37.1+build.2"), "slipway/node:v1.37.1_build.2"},
		{LoadBalancerImage("", ""), DefaultLoadBalancerImage},
		{LoadBalancerImage("kindest", "v20230606-42a2262b"), "kindest/haproxy:v20230606-42a2262b"},
		{LoadBalancerImage("", "2.6"), "slipway/haproxy:2.6"},
	} {
		if test.got != test.want {
			t.Errorf("image is %q, want %q", test.got, test.want)
		}
	}
	for name, want := range map[string]string{"busybox": "docker.io/library/busybox:latest", "slipway/node:v1": "docker.io/slipway/node:v1", "ghcr.io/a/b": "ghcr.io/a/b:latest"} {
		if got, err := ImageName(name); err != nil || got != want {
			t.Errorf("%s is %q (%v), want %q", name, got, err, want)
		}
	}
	digest := "@sha256:" + strings.Repeat("0f", 32)
	for name, want := range map[string]string{"Not An Image": "not a valid image name", "busybox" + digest: "by a digest", "busybox:1.36" + digest: "by a digest"} {
		if _, err := ImageName(name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error is %v, want %q", name, err, want)
		}
	}
	for name, want := range map[string]string{
		"slipway/node:v1.37.1": "slipway image build --kubernetes-version v1.37.1", "docker.io/slipway/node:v1.37.1": "--kubernetes-version v1.37.1",
		"slipway/haproxy:latest": "slipway image build", "slipway.dev/network:v0.1": "slipway image build --network", "kindest/node:v1.37.1": "",
	} {
		next, own := buildHint(name)
		if own != (want != "") || !strings.Contains(next, want) {
			t.Errorf("%s: hint is %q, %t", name, next, own)
		}
	}
}

func TestParseBoot(t *testing.T) {
	for output, want := range map[string]Boot{
		"":                       {},
		"starting\nactivating\n": {System: "starting", Containerd: "activating"},
		"starting\nactive\n":     {System: "starting", Containerd: "active", Ready: true},
		"degraded\nactive\n":     {System: "degraded", Containerd: "active", Ready: true},
		"running\nfailed\n":      {System: "running", Containerd: "failed"},
		"stopping\nactive\n":     {System: "stopping", Containerd: "active"},
	} {
		if got := parseBoot(output); got != want {
			t.Errorf("%q is %+v, want %+v", output, got, want)
		}
	}
}

func TestNewSaysWhatWasTried(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("DOCKER_HOST", "unix://"+dir+"/none.sock")
	_, err := New(t.Context(), Options{ManagementID: "x"})
	var unavailable *EngineUnavailableError
	if !errors.As(err, &unavailable) || !unavailable.FromEnvironment || !strings.Contains(err.Error(), dir+"/none.sock") || !strings.Contains(err.Error(), "DOCKER_HOST") {
		t.Errorf("error is %v", err)
	}
	t.Setenv("DOCKER_HOST", "")
	t.Setenv("XDG_RUNTIME_DIR", dir)
	hosts, given := candidates("")
	if given || len(hosts) != 4 || hosts[0] != "unix:///var/run/docker.sock" || hosts[2] != "unix://"+dir+"/podman/podman.sock" {
		t.Errorf("candidates are %q", hosts)
	}
	if _, err := New(t.Context(), Options{}); err == nil || !strings.Contains(err.Error(), "management cluster id") {
		t.Errorf("without an id the error is %v", err)
	}
	t.Setenv(IsolatedVariable, "perhaps")
	if _, err := IsolatedFromEnvironment(); err == nil || !strings.Contains(err.Error(), IsolatedVariable) {
		t.Errorf("error is %v", err)
	}
}

// What the rule of names gives for management cluster "m1", written down so that a change of the rule shows.
const (
	goldenRealm   = "koquog"
	goldenNetwork = "slipway-sadp7z"
	goldenDotted  = "a-b-3tmbqp-koquog"
)
