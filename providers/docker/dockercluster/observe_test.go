// SPDX-License-Identifier: Apache-2.0

package dockercluster

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"path"
	"path/filepath"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	infrav1 "github.com/slipway-project/slipway/api/infrastructure/v1beta2"
	"github.com/slipway-project/slipway/contract"
	"github.com/slipway-project/slipway/engine"
	"github.com/slipway-project/slipway/plan"
	"github.com/slipway-project/slipway/providers/docker/containers"
)

// fakeEngine is an engine that has one container with these labels, and nothing else.
func fakeEngine(t *testing.T, labels map[string]string) *containers.Connector {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "engine.sock")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		w.Header().Set("Api-Version", "1.44")
		w.Header().Set("Content-Type", "application/json")
		var answer any
		switch name := path.Base(request.URL.Path); {
		case name == "_ping":
			answer = "OK"
		case name == "version":
			answer = map[string]string{"Version": "29.0.0", "ApiVersion": "1.44"}
		case name == "volumes":
			answer = map[string]any{}
		case strings.HasSuffix(request.URL.Path, "/containers/json"):
			found := []any{}
			if selected(t, request.URL.Query().Get("filters"), labels) {
				found = append(found, map[string]any{"Id": "c0ffee", "Labels": labels})
			}
			answer = found
		case strings.HasSuffix(request.URL.Path, "/containers/c0ffee/json"):
			answer = map[string]any{"Id": "c0ffee", "State": map[string]any{"Status": "running"}, "Config": map[string]any{"Labels": labels}}
		default:
			w.WriteHeader(http.StatusNotFound)
			answer = map[string]string{"message": "no such thing"}
		}
		if err := json.NewEncoder(w).Encode(answer); err != nil {
			t.Error(err)
		}
	})}
	go func() { _ = server.Serve(listener) }()
	connector := containers.NewConnector(containers.Options{Host: "unix://" + socket, ManagementID: "m1"})
	t.Cleanup(func() { _ = connector.Close(); _ = server.Close() })
	return connector
}

// selected tells whether a list's filters choose what has these labels.
func selected(t *testing.T, filters string, labels map[string]string) bool {
	wanted := map[string]map[string]bool{}
	if err := json.Unmarshal([]byte(filters), &wanted); err != nil {
		t.Errorf("filters %q: %v", filters, err)
		return false
	}
	for label := range wanted["label"] {
		key, value, exact := strings.Cut(label, "=")
		if has, ok := labels[key]; !ok || (exact && has != value) {
			return false
		}
	}
	return true
}

// server reads from a fake API server.
type server struct{ client.Client }

func (s server) Live() client.Reader        { return s }
func (s server) Now() time.Time             { return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC) }
func (s server) LastFailure() *plan.Failure { return nil }
func (s server) Contract(context.Context, string, contract.Ref, string) (*contract.Object, error) {
	return nil, engine.ErrNoProvider
}
func (s server) Workloads() engine.Workloads { return nil }

func TestObserveWithoutOwner(t *testing.T) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clusterv1.AddToScheme, infrav1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	deleted := metav1.NewTime(time.Date(2026, 1, 2, 3, 4, 0, 0, time.UTC))
	for name, test := range map[string]struct {
		madeFor string            // the UID on the load balancer
		labels  map[string]string // of the DockerCluster
		found   bool
	}{
		"by UID":                  {madeFor: "dc-uid", found: true},
		"by the label, restored":  {madeFor: "before-restore", labels: map[string]string{clusterv1.ClusterNameLabel: "demo"}, found: true},
		"another's is left alone": {madeFor: "another"},
	} {
		t.Run(name, func(t *testing.T) {
			object := &infrav1.DockerCluster{
				ObjectMeta: metav1.ObjectMeta{
					Namespace: "default", Name: "demo-infra", UID: "dc-uid", Labels: test.labels,
					Finalizers: []string{infrav1.ClusterFinalizer}, DeletionTimestamp: &deleted,
				},
				Spec: infrav1.DockerClusterSpec{ControlPlaneEndpoint: infrav1.APIEndpoint{Host: "172.18.0.2", Port: 6443}},
			}
			machine := &infrav1.DockerMachine{ObjectMeta: metav1.ObjectMeta{
				Namespace: "default", Name: "cp-1", Labels: map[string]string{clusterv1.ClusterNameLabel: "demo"},
			}}
			docker := fakeEngine(t, map[string]string{
				containers.LabelManagementCluster: "m1", containers.LabelCluster: "default/demo", containers.LabelRole: string(containers.RoleLoadBalancer),
				containers.LabelUID: test.madeFor, containers.LabelAddress: "172.18.0.2",
			})
			reader := server{fake.NewClientBuilder().WithScheme(scheme).WithObjects(object, machine).Build()}
			snapshot, err := observe(docker)(t.Context(), reader, engine.Key{Namespace: "default", Name: "demo-infra"})
			if err != nil || !snapshot.LoadBalancer.OK() || !snapshot.Containers.OK() {
				t.Fatalf("snapshot is %+v, %v", snapshot, err)
			}
			balancer := snapshot.LoadBalancer.Value
			if balancer.Exists != test.found || (test.found && balancer.Cluster != types.NamespacedName{Namespace: "default", Name: "demo"}) {
				t.Errorf("load balancer is %+v", balancer)
			}
			if (len(snapshot.Machines) == 1) != test.found {
				t.Errorf("machines are %+v", snapshot.Machines)
			}
		})
	}
}
