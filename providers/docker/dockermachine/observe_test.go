// SPDX-License-Identifier: Apache-2.0

package dockermachine

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	infrav1 "github.com/slipway-project/slipway/api/infrastructure/v1beta2"
	"github.com/slipway-project/slipway/contract"
	"github.com/slipway-project/slipway/engine"
	"github.com/slipway-project/slipway/plan"
	"github.com/slipway-project/slipway/providers/docker/cloudconfig"
	"github.com/slipway-project/slipway/providers/docker/containers"
)

// server reads from a fake API server.
type server struct{ client.Client }

func (s server) Live() client.Reader        { return s }
func (s server) Now() time.Time             { return now }
func (s server) LastFailure() *plan.Failure { return nil }
func (s server) Contract(context.Context, string, contract.Ref, string) (*contract.Object, error) {
	return nil, engine.ErrNoProvider
}
func (s server) Workloads() engine.Workloads { return nil }

// snapshotOf is what is observed of DockerMachine default/m.
func snapshotOf(t *testing.T, docker *fakeEngine) Snapshot {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := infrav1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	object := &infrav1.DockerMachine{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "m", UID: "dm-uid"}}
	observer := &observer{connector: docker.connector, waiter: newWaiter(), networkImage: "slipway.dev/network:v0.1"}
	reader := server{fake.NewClientBuilder().WithScheme(scheme).WithObjects(object).Build()}
	snapshot, err := observer.observe(t.Context(), reader, engine.Key{Namespace: "default", Name: "m"})
	if err != nil || !snapshot.Container.OK() || !snapshot.Container.Value.Exists {
		t.Fatalf("snapshot is %+v, %v", snapshot, err)
	}
	return snapshot
}

const manyOpenFiles = "systemd[1]: Failed to create control group inotify object: Too many open files\r\nExiting PID 1...\r\n"

// A node that takes too long is asked why; one that has only begun is not.
func TestDiagnosisOfNodeThatDoesNotBoot(t *testing.T) {
	docker := newFakeEngine(t)
	docker.console = "[\x1b[0;32m  OK  \x1b[0m] Reached target basic.target.\r\n"
	docker.running(now.Add(-20 * time.Second))
	if snapshot := snapshotOf(t, docker); snapshot.Diagnosis != (plan.Known[Diagnosis]{}) || docker.called("/logs") > 0 {
		t.Errorf("after 20 s the diagnosis is %+v, of %d looks", snapshot.Diagnosis, docker.called("/logs"))
	}
	docker.running(now.Add(-40 * time.Second))
	if snapshot := snapshotOf(t, docker); snapshot.Diagnosis != plan.KnownValue(Diagnosis{LastLine: "[  OK  ] Reached target basic.target."}, now) {
		t.Errorf("the diagnosis is %+v", snapshot.Diagnosis)
	}
	docker.commands["journalctl"] = "kubelet: inotify_add_watch /sys/fs/cgroup: no space left on device\n"
	if found := snapshotOf(t, docker).Diagnosis.Value; found.Reason != "KernelLimitReached" || !strings.Contains(found.Cause, "max_user_watches") {
		t.Errorf("by the journal the diagnosis is %+v", found)
	}
	docker.console = manyOpenFiles
	if found := snapshotOf(t, docker).Diagnosis.Value; found.Reason != "KernelLimitReached" || !strings.Contains(found.Cause, "max_user_instances") || found.LastLine != "Exiting PID 1..." {
		t.Errorf("by the console the diagnosis is %+v", found)
	}
	docker.commands["is-system-running"] = "running\nactive\n"
	looks := docker.called("/logs")
	if snapshot := snapshotOf(t, docker); snapshot.Diagnosis.Value.Cause != "" || docker.called("/logs") > looks {
		t.Errorf("a node that has booted is diagnosed with %+v", snapshot.Diagnosis)
	}
}

// So is a container that stops again and again.
func TestDiagnosisOfContainerThatStops(t *testing.T) {
	docker := newFakeEngine(t)
	docker.console = manyOpenFiles
	stopped := func(ran time.Duration) {
		docker.state = map[string]any{"Status": "exited", "ExitCode": 255,
			"StartedAt": now.Add(-time.Minute - ran).Format(time.RFC3339Nano), "FinishedAt": now.Add(-time.Minute).Format(time.RFC3339Nano)}
	}
	stopped(time.Second)
	if found := snapshotOf(t, docker).Diagnosis.Value; found.Reason != "KernelLimitReached" || !strings.Contains(found.Cause, "max_user_instances") {
		t.Errorf("the diagnosis is %+v", found)
	}
	stopped(time.Hour)
	if found := snapshotOf(t, docker).Diagnosis.Value; found != (Diagnosis{}) {
		t.Errorf("one that has run for an hour is diagnosed with %+v", found)
	}
}

// The pod network's image is looked for only where the node's own image does not hold it.
func TestImageOfPodNetwork(t *testing.T) {
	const image = "slipway.dev/network:v0.1"
	for name, test := range map[string]struct {
		label  string // of the node's image
		engine bool   // has the image
		want   string
		looks  int
	}{
		"image of ours":                    {label: "v0.1.0", engine: true},
		"image of ours, by series":         {label: "v0.1", engine: true},
		"older image of ours":              {label: "v0.0.9", engine: true, want: image, looks: 1},
		"newer image of ours":              {label: "v0.10.0", engine: true, want: image, looks: 1},
		"another's image":                  {engine: true, want: image, looks: 1},
		"another's image, another network": {looks: 1},
	} {
		t.Run(name, func(t *testing.T) {
			docker := newFakeEngine(t)
			docker.running(now.Add(-time.Second))
			docker.commands["is-system-running"] = "running\nactive\n"
			docker.commands["images list"] = "docker.io/library/busybox:latest\n"
			docker.commands["started finished"] = "unit=inactive\noutput:\n"
			if test.label != "" {
				docker.labels["slipway.dev/network"] = test.label
			}
			if test.engine {
				docker.images = []string{image}
			}
			snapshot := snapshotOf(t, docker)
			if snapshot.NetworkImage != plan.KnownValue(test.want, now) || docker.called("/images/") != test.looks {
				t.Errorf("the image is %+v after %d looks", snapshot.NetworkImage, docker.called("/images/"))
			}
			if !snapshot.LoadedImages.OK() || len(snapshot.LoadedImages.Value) != map[bool]int{true: 1}[test.want != ""] {
				t.Errorf("images in the node are %+v", snapshot.LoadedImages)
			}
			if !snapshot.Bootstrap.OK() || snapshot.Bootstrap.Value.Phase != cloudconfig.NotStarted {
				t.Errorf("bootstrap is %+v", snapshot.Bootstrap)
			}
		})
	}
}

// A wait that ends at once, well or not, is begun again with a pause; the first is told at once.
func TestWaitingDoesNotSpin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		began, key := time.Now(), engine.Key{Namespace: "default", Name: "m"}
		var first time.Duration
		var waits atomic.Int32
		waiter := newWaiter()
		waiter.run(ctx, func(key engine.Key) {
			if waits.Load() == 1 {
				first = time.Since(began)
			}
			waiter.begin(key, "boot", func(context.Context) error { waits.Add(1); return nil })
		})
		waiter.begin(key, "boot", func(context.Context) error { waits.Add(1); return nil })
		time.Sleep(10*time.Second + time.Millisecond)
		if first != 0 || waits.Load() != 11 {
			t.Errorf("the first end was told after %s, and within 10 s there were %d waits", first, waits.Load())
		}
		cancel()
		synctest.Wait()
	})
}

// What was seen of a run of the container is not asked for again; of another run it is.
func TestLooksAreRemembered(t *testing.T) {
	key := engine.Key{Namespace: "default", Name: "m"}
	run := func(id string, started time.Time) containers.Machine {
		return containers.Machine{Container: containers.Container{ID: id, Started: started}}
	}
	var remembered looks
	first := remembered.last(key, run("a", now))
	if first.booted.Ready {
		t.Error("a node that was never looked at has booted")
	}
	first.booted = containers.Boot{Ready: true}
	remembered.keep(key, first)
	for name, test := range map[string]struct {
		machine containers.Machine
		want    bool
	}{
		"the same run":        {run("a", now), true},
		"started again":       {run("a", now.Add(time.Second)), false},
		"another container":   {run("b", now), false},
		"the same run, again": {run("a", now), true},
	} {
		if got := remembered.last(key, test.machine).booted.Ready; got != test.want {
			t.Errorf("%s: booted is %t, want %t", name, got, test.want)
		}
	}
	remembered.forget(key)
	if remembered.last(key, run("a", now)).booted.Ready {
		t.Error("what was forgotten is remembered")
	}
}
