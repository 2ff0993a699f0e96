// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"

	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	"github.com/slipway-project/slipway/deploy"
	"github.com/slipway-project/slipway/standalone"
)

// A management cluster that is gone is told of after the second question, and given up
// after a while; one that comes back, or that only has a word to say, is not.
func TestPulse(t *testing.T) {
	code := http.StatusNotFound
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		fmt.Fprintf(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","message":"the word","code":%d}`, code)
	}))
	defer server.Close()
	known, err := newScheme()
	if err != nil {
		t.Fatal(err)
	}
	mapper := meta.NewDefaultRESTMapper(nil)
	mapper.Add(clusterKind, meta.RESTScopeNamespace)
	config := &rest.Config{Host: server.URL, QPS: -1}
	c, err := client.New(config, client.Options{Scheme: known, Mapper: mapper})
	if err != nil {
		t.Fatal(err)
	}
	clock := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	now := func() time.Time { return clock }
	var said bytes.Buffer
	p := newProgress(&said, now)
	m := &management{client: c, config: config, source: "slipway up"}
	alive := m.pulse("making", client.ObjectKey{Namespace: "team", Name: "demo"}, now)
	defer alive.due.Stop()
	ask := func(after time.Duration, answer int) error {
		clock, code = clock.Add(after), answer
		return alive.ask(t.Context(), p)
	}
	for _, answer := range []int{404, 403, 503, 200, 500, 500, 404, 500} {
		before := said.Len()
		if err := ask(time.Minute/4, answer); err != nil {
			t.Fatalf("%d: %v", answer, err)
		}
		t.Logf("%d: %s", answer, said.String()[before:])
	}
	if err := alive.lost(); err != nil {
		t.Errorf("one failure is one too many: %v", err)
	}
	if text := said.String(); strings.Count(text, "does not answer") != 1 || strings.Count(text, "answers again") != 1 {
		t.Errorf("said:\n%s", text)
	}
	server.Close()
	if err := ask(lostAfter-time.Second, 0); err != nil {
		t.Fatalf("too early: %v", err)
	}
	err = ask(time.Second, 0)
	for _, want := range []string{server.URL, "connection refused", "slipway up --detach", "The making of Cluster team/demo goes on then", "slipway describe cluster demo -n team"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in: %v", want, err)
		}
	}
	ended, end := context.WithCancel(t.Context())
	end()
	if err := alive.ask(ended, p); err != nil {
		t.Errorf("after the end of the wait: %v", err)
	}
}

// startManagement starts a management cluster without controllers.
func startManagement(t *testing.T) (*standalone.ManagementCluster, *management) {
	t.Helper()
	const binaries = "SLIPWAY_TEST_BINARIES"
	if os.Getenv(binaries) == "" {
		t.Skipf("set %s to a directory with etcd, kube-apiserver and kube-controller-manager", binaries)
	}
	klog.SetLogger(logr.Discard())
	ctrllog.SetLogger(logr.Discard())
	definitions, err := deploy.CRDs()
	if err != nil {
		t.Fatal(err)
	}
	var objects []client.Object
	for _, definition := range definitions {
		objects = append(objects, definition)
	}
	running, err := standalone.Start(t.Context(), standalone.Options{Home: t.TempDir(), BinariesDir: os.Getenv(binaries), Objects: objects})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := running.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	m, err := dial(t.Context(), running.AdminConfig(), "slipway up")
	if err != nil {
		t.Fatal(err)
	}
	return running, m
}

func planOf(t *testing.T, change func(*clusterRequest)) clusterPlan {
	t.Helper()
	request := goodRequest()
	change(&request)
	wanted, err := request.check()
	if err != nil {
		t.Fatal(err)
	}
	return wanted
}

// heard is what a verb prints, while it prints.
type heard struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (h *heard) Write(text []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.text.Write(text)
}

func (h *heard) await(t *testing.T, want string) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		h.mu.Lock()
		text := h.text.String()
		h.mu.Unlock()
		if strings.Contains(text, want) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("it never said %q, but:\n%s", want, text)
		}
	}
}

// Who waits for a cluster hears it when the management cluster goes.
func TestWaitsEndWithoutManagementCluster(t *testing.T) {
	running, m := startManagement(t)
	began := time.Now()
	quick := func() time.Time { return began.Add(10 * time.Since(began)) }
	held := planOf(t, func(r *clusterRequest) { r.name = "held" })
	if _, err := m.apply(t.Context(), manifests(held)); err != nil {
		t.Fatal(err)
	}
	cluster := &clusterv1.Cluster{}
	if err := m.client.Get(t.Context(), client.ObjectKey{Namespace: "default", Name: "held"}, cluster); err != nil {
		t.Fatal(err)
	}
	cluster.Finalizers = []string{"test.slipway.dev/held"}
	if err := m.client.Update(t.Context(), cluster); err != nil {
		t.Fatal(err)
	}
	var creating, deleting heard
	ended := map[string]chan error{"making": make(chan error, 1), "deletion": make(chan error, 1)}
	go func() {
		tool := &tool{out: &creating, err: &creating, now: quick}
		ended["making"] <- tool.writeCluster(t.Context(), m, planOf(t, func(*clusterRequest) {}), createFlags{wait: time.Hour})
	}()
	go func() {
		tool := &tool{out: &deleting, err: &deleting, now: quick}
		ended["deletion"] <- tool.deleteCluster(t.Context(), target{kubeconfig: running.KubeconfigPath(), namespace: "default"}, "held", time.Hour)
	}()
	creating.await(t, "...")
	deleting.await(t, "Deleting Cluster default/held ...")
	if err := running.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	for what, over := range ended {
		select {
		case err := <-over:
			if err == nil || !strings.Contains(err.Error(), "does not answer any more") || !strings.Contains(err.Error(), "The "+what+" of Cluster") {
				t.Errorf("%s: %v", what, err)
			}
		case <-time.After(30 * time.Second):
			t.Errorf("the %s is still waited for", what)
		}
	}
}

// Create may be run again after somebody scaled the cluster, and takes nothing back.
func TestCreateAgainKeepsWhatWasScaled(t *testing.T) {
	_, m := startManagement(t)
	wanted := planOf(t, func(*clusterRequest) {})
	create := func(flags createFlags) (string, error) {
		tool, _, said := newTool()
		err := tool.writeCluster(t.Context(), m, wanted, flags)
		return said.String(), err
	}
	if said, err := create(createFlags{counted: true}); err != nil || !strings.Contains(said, "created: 1 control-plane machine, 2 workers") {
		t.Fatal(said, err)
	}
	deployment := &unstructured.Unstructured{}
	deployment.SetGroupVersionKind(machineDeploymentKind)
	key := client.ObjectKey{Namespace: "default", Name: "demo-workers"}
	read := func() (int64, int64) {
		t.Helper()
		if err := m.client.Get(t.Context(), key, deployment); err != nil {
			t.Fatal(err)
		}
		replicas, _, _ := unstructured.NestedInt64(deployment.Object, "spec", "replicas")
		return replicas, deployment.GetGeneration()
	}
	for _, count := range []int64{3, 0, 2} {
		read()
		scale := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "autoscaling/v1", "kind": "Scale", "spec": map[string]any{"replicas": count}}}
		if err := m.client.SubResource("scale").Update(t.Context(), deployment, client.WithSubResourceBody(scale), client.FieldOwner("kubectl")); err != nil {
			t.Fatal(err)
		}
		_, scaled := read()
		said, err := create(createFlags{counted: true})
		if err != nil || !strings.Contains(said, "exists already, as asked for: 1 control-plane machine, "+plural(int(count), "worker")) {
			t.Errorf("after it was scaled to %d: %s %v", count, said, err)
		}
		if told := strings.Contains(said, "kubectl scale machinedeployment demo-workers --replicas=2"); told != (count != 2) {
			t.Errorf("after it was scaled to %d it is said: %s", count, said)
		}
		if replicas, generation := read(); replicas != count || generation != scaled {
			t.Errorf("scaled to %d, and after create %d; generation %d, was %d", count, replicas, generation, scaled)
		}
		if said, err = create(createFlags{}); err != nil || strings.Contains(said, "kubectl scale") {
			t.Errorf("with no numbers asked for: %s %v", said, err)
		}
	}
	// Anything else that is not as asked for is refused, as before.
	wanted.PodCIDR = "10.200.0.0/16"
	if said, err := create(createFlags{}); err == nil || !strings.Contains(err.Error(), "exists already and is not what is asked for") {
		t.Errorf("other pod network: %s %v", said, err)
	}
}
