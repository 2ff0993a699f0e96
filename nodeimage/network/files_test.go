// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

func TestConflist(t *testing.T) {
	got, err := conflist(prefixes("10.244.1.0/24", "fd10:0:0:1::/64"), 1450)
	if err != nil {
		t.Fatal(err)
	}
	want := `{
  "cniVersion": "1.0.0",
  "name": "slipway",
  "plugins": [
    {
      "type": "ptp",
      "ipMasq": false,
      "mtu": 1450,
      "ipam": {
        "type": "host-local",
        "dataDir": "/run/cni-ipam-state",
        "routes": [
          {
            "dst": "0.0.0.0/0"
          },
          {
            "dst": "::/0"
          }
        ],
        "ranges": [
          [
            {
              "subnet": "10.244.1.0/24"
            }
          ],
          [
            {
              "subnet": "fd10:0:0:1::/64"
            }
          ]
        ]
      }
    },
    {
      "type": "portmap",
      "capabilities": {
        "portMappings": true
      }
    }
  ]
}
`
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestWriteConflist(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, conflistName)
	// A file that a killed agent left half-written is no obstacle.
	if err := os.WriteFile(filepath.Join(dir, "."+conflistName+".new"), []byte("half of a longer tex"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		content string
		written bool
	}{{"a", true}, {"a", false}, {"b", true}} {
		written, err := writeConflist(dir, []byte(step.content))
		if err != nil || written != step.written {
			t.Errorf("write %q: got %v, %v; want %v", step.content, written, err, step.written)
		}
		if b, _ := os.ReadFile(path); string(b) != step.content {
			t.Errorf("file holds %q; want %q", b, step.content)
		}
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 1 {
		t.Errorf("%d files are left; want the one", len(entries))
	}
	if _, err := writeConflist(filepath.Join(dir, "absent"), []byte("a")); err == nil || !strings.Contains(err.Error(), "write CNI configuration") {
		t.Errorf("missing folder: got %v", err)
	}
}

func TestAPIServers(t *testing.T) {
	dir := t.TempDir()
	file := func(content string) string {
		path := filepath.Join(dir, "kubelet.conf")
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good := "apiVersion: v1\nkind: Config\ncurrent-context: b\ncontexts:\n- {name: a, context: {cluster: x, user: u}}\n- {name: b, context: {cluster: y, user: u}}\n" +
		"clusters:\n- {name: x, cluster: {server: 'https://wrong:6443'}}\n- {name: y, cluster: {server: 'https://172.18.0.2:6443'}}\n"
	service := map[string]string{"KUBERNETES_SERVICE_HOST": "fd20::1", "KUBERNETES_SERVICE_PORT": "443"}
	for _, tt := range []struct {
		name, config string
		env          map[string]string
		want         []string
		wrong        string
	}{
		{name: "both", config: file(good), env: service, want: []string{"https://172.18.0.2:6443", "https://[fd20::1]:443"}},
		{name: "no service", config: file(good), want: []string{"https://172.18.0.2:6443"}},
		{name: "no file", config: filepath.Join(dir, "absent"), env: service, want: []string{"https://[fd20::1]:443"}},
		{name: "neither", config: filepath.Join(dir, "absent"), wrong: "--kubelet-kubeconfig"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			servers, err := apiServers(tt.config, func(k string) string { return tt.env[k] })
			if (err != nil) != (tt.wrong != "") || err != nil && !strings.Contains(err.Error(), tt.wrong) {
				t.Fatalf("got error %v; want one with %q", err, tt.wrong)
			}
			var got []string
			for _, u := range servers {
				got = append(got, u.String())
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	for content, want := range map[string]string{
		"}":                    "parse",
		"current-context: b\n": `context "b" leads to no cluster`,
		strings.Replace(good, "https://172.18.0.2:6443", "http://172.18.0.2", 1): "not an https address",
	} {
		if _, err := kubeconfigServer(file(content)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("config %q: got %v; want %q", content, err, want)
		}
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestFailover(t *testing.T) {
	var asked []string
	down := map[string]bool{"a": true}
	f := &failover{
		log:     slog.New(slog.NewTextHandler(io.Discard, nil)),
		servers: []*url.URL{{Scheme: "https", Host: "a"}, {Scheme: "https", Host: "b"}},
		next: roundTrip(func(r *http.Request) (*http.Response, error) {
			asked = append(asked, r.URL.Host)
			if down[r.URL.Host] {
				return nil, errors.New("connection refused")
			}
			return &http.Response{StatusCode: http.StatusInternalServerError, Body: http.NoBody}, nil
		}),
	}
	for range 3 {
		response, err := f.RoundTrip(httptest.NewRequest(http.MethodGet, "https://a/api/v1/nodes", nil))
		if err == nil {
			response.Body.Close()
		}
	}
	down = map[string]bool{"b": true}
	for range 2 {
		response, err := f.RoundTrip(httptest.NewRequest(http.MethodGet, "https://a/api/v1/nodes", nil))
		if err == nil {
			response.Body.Close()
		}
	}
	// An answer, even a bad one, is no reason to go elsewhere.
	if diff := cmp.Diff([]string{"a", "b", "b", "b", "a"}, asked); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestParseNode(t *testing.T) {
	n := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: "one", UID: "u"},
		Spec:       corev1.NodeSpec{PodCIDR: "10.244.1.0/24", PodCIDRs: []string{"10.244.1.0/24", "nonsense"}},
		Status: corev1.NodeStatus{Addresses: []corev1.NodeAddress{
			{Type: corev1.NodeHostName, Address: "one"},
			{Type: corev1.NodeInternalIP, Address: "172.18.0.2"},
			{Type: corev1.NodeExternalIP, Address: "8.8.8.8"},
			{Type: corev1.NodeInternalIP, Address: "fd00::2"},
			{Type: corev1.NodeInternalIP, Address: "172.18.0"},
		}},
	}
	got, problems := parseNode(n)
	if diff := cmp.Diff("[10.244.1.0/24] [172.18.0.2 fd00::2]", strings.Join([]string{sprint(got.PodCIDRs), sprint(got.Addresses)}, " ")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if len(problems) != 2 || !strings.Contains(problems[0], `"nonsense"`) || !strings.Contains(problems[1], `"172.18.0"`) {
		t.Errorf("problems: %q", problems)
	}
	heartbeat := n.DeepCopy()
	heartbeat.ResourceVersion = "7"
	heartbeat.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady}}
	if diff := cmp.Diff(relevant(n), relevant(heartbeat)); diff != "" {
		t.Errorf("a heartbeat matters:\n%s", diff)
	}
}

func TestParseOptions(t *testing.T) {
	dir := t.TempDir()
	none := func(string) string { return "" }
	for want, args := range map[string][]string{
		"the node's name is not known": {"--cni-config-dir", dir},
		"is not a folder":              {"--node-name", "one", "--cni-config-dir", filepath.Join(dir, "absent")},
		"unexpected argument":          {"--node-name", "one", "--cni-config-dir", dir, "more"},
	} {
		if _, err := parseOptions(args, none, io.Discard); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: got %v; want %q", args, err, want)
		}
	}
	o, err := parseOptions([]string{"--cni-config-dir", dir}, func(string) string { return "one" }, io.Discard)
	if err != nil || o.nodeName != "one" {
		t.Errorf("name from the environment: got %q, %v", o.nodeName, err)
	}
}

// TestWaiting holds what the log says of a node without a pod CIDR: little at once, the likely cause after a
// minute, and again each minute; and that such a node is not ready, and alive.
func TestWaiting(t *testing.T) {
	var log strings.Builder
	now := time.Unix(1000, 0)
	h := newHealth(func() time.Time { return now })
	a := &agent{
		self: "absent", log: slog.New(slog.NewTextHandler(&log, nil)), health: h,
		nodes: func() ([]node, []string) { return []node{testNode("one", 1, "", "")}, nil },
	}
	for range 13 {
		if err := a.bringInLine(now); err != nil {
			t.Fatal(err)
		}
		now = now.Add(resyncInterval)
	}
	if n := strings.Count(log.String(), "no Node object named absent"); n != 2 {
		t.Errorf("in two minutes it was said %d times; want 2:\n%s", n, log.String())
	}
	for path, want := range map[string]int{"/healthz": 200, "/readyz": 503, "/metrics": 200} {
		w := httptest.NewRecorder()
		h.handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		if w.Code != want {
			t.Errorf("%s: got %d %s; want %d", path, w.Code, w.Body, want)
		}
	}
	now = now.Add(2 * stuckAfter)
	w := httptest.NewRecorder()
	h.handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/healthz", nil))
	if w.Code != http.StatusServiceUnavailable {
		t.Errorf("/healthz of a hung loop: got %d", w.Code)
	}
}

const manifestPath = "../../deploy/network/network.yaml"

// TestManifest holds the manifest to this version and to the rights that the agent needs and no more.
func TestManifest(t *testing.T) {
	b, err := os.ReadFile(manifestPath)
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[string]string{}
	for _, doc := range strings.Split(string(b), "\n---\n") {
		var head struct{ Kind string }
		if err := yaml.Unmarshal([]byte(doc), &head); err != nil {
			t.Fatal(err)
		}
		kinds[head.Kind] = doc
	}
	var pod struct {
		Spec struct {
			Template struct{ Spec corev1.PodSpec }
		}
	}
	if err := yaml.UnmarshalStrict([]byte(kinds["ServiceAccount"]), &corev1.ServiceAccount{}); err != nil {
		t.Errorf("ServiceAccount: %v", err)
	}
	if err := yaml.Unmarshal([]byte(kinds["DaemonSet"]), &pod); err != nil {
		t.Fatal(err)
	}
	spec := pod.Spec.Template.Spec
	if len(spec.Containers) != 1 || !spec.HostNetwork {
		t.Fatalf("want one container on the host's network, got %+v", spec)
	}
	c := spec.Containers[0]
	// Node images hold the agent under its version and under its series. A cluster keeps the manifest that it was made
	// with, so only the series is a name that the node images of a later version have too.
	series := "slipway.dev/network:" + version[:strings.LastIndex(version, ".")]
	if c.Image != series || c.ImagePullPolicy != corev1.PullNever {
		t.Errorf("image %s, policy %s; want %s, Never", c.Image, c.ImagePullPolicy, series)
	}
	s := c.SecurityContext
	if s.Privileged != nil || sprint(s.Capabilities.Add) != "[NET_ADMIN]" || sprint(s.Capabilities.Drop) != "[ALL]" || !*s.ReadOnlyRootFilesystem {
		t.Errorf("security context: %+v", s)
	}
	if tol := spec.Tolerations; len(tol) != 1 || tol[0] != (corev1.Toleration{Operator: corev1.TolerationOpExists}) {
		t.Errorf("tolerations: %+v; want all", tol)
	}
	var role struct {
		Rules []struct{ APIGroups, Resources, Verbs []string }
	}
	if err := yaml.Unmarshal([]byte(kinds["ClusterRole"]), &role); err != nil {
		t.Fatal(err)
	}
	if got := sprint(role.Rules); got != "[{[] [nodes] [get list watch]}]" {
		t.Errorf("rights: %s", got)
	}
	if o, err := parseOptions(append(c.Args, "--cni-config-dir", t.TempDir()), func(string) string { return "one" }, io.Discard); err != nil || o.nodeName != "one" {
		t.Errorf("the agent does not take the manifest's arguments %q: %v", c.Args, err)
	}
}

func sprint(v any) string { return fmt.Sprint(v) }
