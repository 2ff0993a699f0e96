// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	"github.com/slipway-project/slipway/providers/docker/containers"
	"github.com/slipway-project/slipway/standalone"
)

func TestWrap(t *testing.T) {
	got := wrap("* one two three four\n  * five six seven\nunbreakableword and", 11)
	want := []string{"* one two", "  three", "  four", "  * five", "    six", "    seven", "unbreakableword", "and"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestStatusReport(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	running := statusReport{
		ManagementCluster: standalone.State{
			Home: "/home/me/.slipway", Running: true, Ready: true, Healthy: true, PID: 10, Since: now.Add(-time.Hour),
			URL: "https://127.0.0.1:21000", Kubeconfig: "/home/me/.slipway/kubeconfig", ManagementClusterID: "0d7fba11",
			KubernetesVersion: "v1.37.1", EtcdVersion: "3.7.0",
			Processes: []standalone.Process{
				{Name: "slipway", PID: 10, Since: now.Add(-time.Hour), Running: true, ResidentBytes: 64 << 20},
				{Name: "etcd", PID: 11, Since: now.Add(-time.Hour), Restarts: 1, LastEnd: "exit status 2"},
			},
			Database: &standalone.Database{SizeBytes: 3 << 20, InUseBytes: 2 << 20, QuotaBytes: 2 << 30},
		},
		ContainerEngine: engineSummary{Name: "Docker", Version: "20.10", Host: "unix:///var/run/docker.sock"},
		Clusters: []clusterSummary{
			{Namespace: "default", Name: "demo", Phase: "Provisioned", Available: "True", Since: now.Add(-time.Minute)},
			{Namespace: "team", Name: "other", Available: "Unknown", Since: now, Message: "first line\nsecond line"},
		},
	}
	for _, orphan := range []containers.Orphan{
		{Kind: "container", Name: "ghost-abc", ObjectKind: "DockerMachine", Object: containers.Key{Namespace: "default", Name: "ghost"}},
		{Kind: "network", Name: "slipway-abc"},
	} {
		running.Orphans = append(running.Orphans, orphanOf(orphan))
	}
	noDocker := statusReport{
		ManagementCluster: standalone.State{Home: "/h", Running: true, Message: "etcd is not ready", Ready: true},
		ContainerEngine:   engineSummary{Problem: "no container engine answers: start it"},
		Problem:           "list Clusters: the server is busy",
	}
	stopped := statusReport{ManagementCluster: standalone.State{Home: "/h", Message: "not running: start it with `slipway up`"}}
	var out strings.Builder
	for _, report := range []statusReport{running, noDocker, stopped} {
		if err := writeStatus(&out, report, now); err != nil {
			t.Fatal(err)
		}
		out.WriteString("-----\n")
	}
	golden(t, "status.txt", out.String())
}

func TestClusterRows(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	one, three := int32(1), int32(3)
	ready := clusterv1.Cluster{ObjectMeta: metav1.ObjectMeta{Namespace: "b", Name: "demo", CreationTimestamp: metav1.NewTime(now.Add(-time.Hour))}}
	ready.Status = clusterv1.ClusterStatus{
		Phase: "Provisioned", Conditions: []metav1.Condition{{Type: clusterv1.AvailableCondition, Status: metav1.ConditionTrue}},
		ControlPlane: &clusterv1.ClusterControlPlaneStatus{DesiredReplicas: &three, ReadyReplicas: &one, Versions: []clusterv1.StatusVersion{{Version: "v1.37.1"}}},
		Workers:      &clusterv1.WorkersStatus{DesiredReplicas: &one},
	}
	fresh := clusterv1.Cluster{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "new", CreationTimestamp: metav1.NewTime(now)}}
	got := clusterRows([]clusterv1.Cluster{ready, fresh}, true, now)
	want := [][]string{
		{"NAMESPACE", "NAME", "PHASE", "AVAILABLE", "CONTROL PLANE", "WORKERS", "VERSION", "AGE"},
		{"a", "new", "-", "Unknown", "-", "-", "-", "0s"},
		{"b", "demo", "Provisioned", "True", "1/3", "0/1", "v1.37.1", "60m"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestNoClusterSaysWhatThereIs(t *testing.T) {
	cluster := func(namespace, name string) clusterv1.Cluster {
		return clusterv1.Cluster{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	}
	for want, there := range map[string][]clusterv1.Cluster{
		"make one with: slipway create cluster demo":  nil,
		"in namespace default there is: other":        {cluster("default", "other"), cluster("team", "third")},
		"there is one of that name in namespace team": {cluster("team", "demo"), cluster("default", "other")},
	} {
		if err := noCluster("default", "demo", there); !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not say %q", err, want)
		}
	}
}

func TestDownDetail(t *testing.T) {
	for want, done := range map[string]standalone.Stopped{
		"none was running": {},
		"":                 {Running: true},
		"it did not end by itself and was killed; no data is lost by that": {Running: true, Killed: true},
		"it had ended before; ended etcd, which were left over":            {Leftovers: []string{"etcd"}},
	} {
		if got := downDetail(done); got != want {
			t.Errorf("%+v: %q, want %q", done, got, want)
		}
	}
}

func TestDetachedArgumentsAreKnown(t *testing.T) {
	tool, _, _ := newTool()
	arguments := detachedArguments(upFlags{home: "/h", source: "/s", kubernetesVersion: "v1.37.1", listenAddress: "127.0.0.1", metricsAddress: "0"})
	if err := tool.upCommand().ParseFlags(arguments[1:]); err != nil {
		t.Error(err)
	}
}

func TestWritePrivate(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "demo.kubeconfig")
	if err := os.WriteFile(path, []byte("old and longer than the new"), 0o644); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{path: "new", filepath.Join(dir, "other"): "first", link: "through the link"} {
		if err := writePrivate(name, []byte(text)); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(name)
		info, statErr := os.Stat(name)
		if err != nil || statErr != nil || string(got) != text || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %q, %v, %v %v", name, got, info.Mode(), err, statErr)
		}
	}
	if info, err := os.Lstat(link); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link became %v %v", info.Mode(), err)
	}
	for _, bad := range []string{dir, "/dev/null", filepath.Join(dir, "none", "file")} {
		if err := writePrivate(bad, []byte("x")); err == nil || !strings.Contains(err.Error(), bad) && !strings.Contains(err.Error(), "none") || !strings.Contains(err.Error(), "--output-file") {
			t.Errorf("%s: %v", bad, err)
		}
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 3 {
		t.Errorf("left behind: %v %v", entries, err)
	}
}
