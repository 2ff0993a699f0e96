// SPDX-License-Identifier: Apache-2.0

package wiring

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"

	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	"github.com/slipway-project/slipway/controllers/cluster"
	"github.com/slipway-project/slipway/controllers/defaultnetwork"
	"github.com/slipway-project/slipway/controllers/machinedeployment"
	"github.com/slipway-project/slipway/controllers/machineset"
	"github.com/slipway-project/slipway/deploy"
	"github.com/slipway-project/slipway/engine"
	"github.com/slipway-project/slipway/standalone"
)

// binariesVariable names a folder with etcd and the Kubernetes programs.
const binariesVariable = "SLIPWAY_TEST_BINARIES"

// running is the management cluster of all tests here; nil without programs.
var running *standalone.ManagementCluster

func TestMain(m *testing.M) {
	log.SetLogger(logr.Discard())
	os.Exit(withServer(m))
}

func withServer(m *testing.M) int {
	folder := os.Getenv(binariesVariable)
	if folder == "" {
		return m.Run()
	}
	home, err := os.MkdirTemp("", "slipway-wiring-")
	if err != nil {
		return fail(err)
	}
	defer os.RemoveAll(home)
	objects, err := installed()
	if err != nil {
		return fail(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	running, err = standalone.Start(ctx, standalone.Options{Home: filepath.Join(home, "home"), BinariesDir: folder, Objects: objects, Log: logr.Discard()})
	if err != nil {
		return fail(err)
	}
	code := m.Run()
	if err := running.Stop(context.Background()); err != nil {
		return fail(err)
	}
	return code
}

func fail(err error) int {
	fmt.Fprintln(os.Stderr, "start the management cluster of the tests:", err)
	return 1
}

func newScheme() *runtime.Scheme {
	known := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{scheme.AddToScheme, clusterv1.AddToScheme, apiextensionsv1.AddToScheme} {
		if err := add(known); err != nil {
			panic(err)
		}
	}
	return known
}

// installed are our CRDs, those of the providers made up here, and exactly the rights
// that the controllers declare.
func installed() ([]client.Object, error) {
	crds, err := deploy.CRDs()
	if err != nil {
		return nil, err
	}
	var objects []client.Object
	for _, crd := range crds {
		objects = append(objects, crd)
	}
	for _, kind := range []string{"MemoryCluster", "MemoryMachine", "MemoryMachineTemplate"} {
		objects = append(objects, providerCRD(kind))
	}
	rules, err := engine.Rules(newScheme(),
		engine.Declare(cluster.Controller()), engine.Declare(machinedeployment.Controller()), engine.Declare(machineset.Controller()),
		engine.Declare(defaultnetwork.Controller()))
	if err != nil {
		return nil, err
	}
	typeMeta := metav1.TypeMeta{APIVersion: rbacv1.SchemeGroupVersion.String(), Kind: "ClusterRole"}
	bindingMeta := metav1.TypeMeta{APIVersion: rbacv1.SchemeGroupVersion.String(), Kind: "ClusterRoleBinding"}
	return append(objects,
		&rbacv1.ClusterRole{TypeMeta: typeMeta, ObjectMeta: metav1.ObjectMeta{Name: "wiring"}, Rules: rules},
		&rbacv1.ClusterRoleBinding{
			TypeMeta: bindingMeta, ObjectMeta: metav1.ObjectMeta{Name: "wiring"},
			RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "wiring"},
			Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "User", Name: standalone.ControllersUser}},
		}), nil
}

const providerGroup = "infrastructure.cluster.x-k8s.io"

func providerCRD(kind string) *apiextensionsv1.CustomResourceDefinition {
	preserve := true
	plural := strings.ToLower(kind) + "s"
	return &apiextensionsv1.CustomResourceDefinition{
		TypeMeta: metav1.TypeMeta{APIVersion: apiextensionsv1.SchemeGroupVersion.String(), Kind: "CustomResourceDefinition"},
		ObjectMeta: metav1.ObjectMeta{
			Name: plural + "." + providerGroup, Labels: map[string]string{"cluster.x-k8s.io/v1beta2": "v1"},
		},
		Spec: apiextensionsv1.CustomResourceDefinitionSpec{
			Group: providerGroup, Scope: apiextensionsv1.NamespaceScoped,
			Names: apiextensionsv1.CustomResourceDefinitionNames{Plural: plural, Singular: strings.ToLower(kind), Kind: kind, ListKind: kind + "List"},
			Versions: []apiextensionsv1.CustomResourceDefinitionVersion{{
				Name: "v1", Served: true, Storage: true,
				Subresources: &apiextensionsv1.CustomResourceSubresources{Status: &apiextensionsv1.CustomResourceSubresourceStatus{}},
				Schema:       &apiextensionsv1.CustomResourceValidation{OpenAPIV3Schema: &apiextensionsv1.JSONSchemaProps{Type: "object", XPreserveUnknownFields: &preserve}},
			}},
		},
	}
}

// wire is what lies between the controllers and the server: it remembers their writes
// and can hold up what watches bring.
type wire struct {
	// lag delays everything that watches of the resources named bring.
	lag     time.Duration
	lagging []string
	// resync is how often every object is looked at again without an event; 0 for
	// what is usual.
	resync time.Duration

	mu     sync.Mutex
	writes []string
}

// over gives a configuration whose requests go through the wire.
func (w *wire) over(config *rest.Config) *rest.Config {
	wrapped := rest.CopyConfig(config)
	wrapped.QPS = -1
	wrapped.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(request *http.Request) (*http.Response, error) {
			w.note(request)
			response, err := next.RoundTrip(request)
			if err == nil && w.lag > 0 && request.URL.Query().Get("watch") != "" && w.concerns(request.URL.Path) {
				response.Body = &laggingBody{ReadCloser: response.Body, lag: w.lag}
			}
			return response, err
		})
	})
	return wrapped
}

func (w *wire) concerns(path string) bool {
	for _, resource := range w.lagging {
		if strings.HasSuffix(path, "/"+resource) {
			return true
		}
	}
	return false
}

func (w *wire) note(request *http.Request) {
	if request.Method == http.MethodGet || strings.Contains(request.URL.Path, "/events") || strings.Contains(request.URL.Path, "/leases") {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.writes = append(w.writes, request.Method+" "+request.URL.Path)
}

// written takes the writes out that were made in a namespace so far.
func (w *wire) written(namespace string) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var here []string
	for _, write := range w.writes {
		if strings.Contains(write, "/namespaces/"+namespace+"/") {
			here = append(here, write)
		}
	}
	w.writes = nil
	return here
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(request *http.Request) (*http.Response, error) { return f(request) }

type laggingBody struct {
	io.ReadCloser
	lag time.Duration
}

func (b *laggingBody) Read(into []byte) (int, error) {
	n, err := b.ReadCloser.Read(into)
	time.Sleep(b.lag)
	return n, err
}

// startControllers runs the three controllers, and those added, over a wire, for the
// objects of one namespace, until stop is called or the test ends.
func startControllers(t *testing.T, w *wire, namespace string, added ...func(*engine.Engine) error) (stop func()) {
	t.Helper()
	yes := true
	options := cache.Options{DefaultNamespaces: map[string]cache.Config{namespace: {}}}
	if w.resync > 0 {
		options.SyncPeriod = &w.resync
	}
	mgr, err := manager.New(w.over(running.ControllersConfig()), manager.Options{
		Scheme: newScheme(), Logger: logr.Discard(),
		Cache:      options,
		Metrics:    server.Options{BindAddress: "0"},
		Controller: config.Controller{SkipNameValidation: &yes},
	})
	if err != nil {
		t.Fatal(err)
	}
	e := engine.New(mgr, engine.Options{})
	for _, err := range []error{engine.Add(e, cluster.Controller()), engine.Add(e, machinedeployment.Controller()), engine.Add(e, machineset.Controller())} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, add := range added {
		if err := add(e); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- mgr.Start(ctx) }()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			if err := <-ended; err != nil {
				t.Errorf("controllers ended: %v", err)
			}
		})
	}
	t.Cleanup(stop)
	return stop
}

// admin is a client that may do everything.
func admin(t *testing.T) client.WithWatch {
	t.Helper()
	if running == nil {
		t.Skipf("set %s to a folder with etcd and the Kubernetes programs", binariesVariable)
	}
	config := rest.CopyConfig(running.AdminConfig())
	config.QPS = -1
	c, err := client.NewWithWatch(config, client.Options{Scheme: newScheme()})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func newNamespace(t *testing.T, c client.Client) string {
	t.Helper()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "wiring-"}}
	if err := c.Create(t.Context(), namespace); err != nil {
		t.Fatal(err)
	}
	return namespace.Name
}

// eventually polls until the check gives "", and fails with what it last gave.
func eventually(t *testing.T, limit time.Duration, check func() string) {
	t.Helper()
	for deadline := time.Now().Add(limit); ; time.Sleep(50 * time.Millisecond) {
		problem := check()
		if problem == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("not within %s: %s", limit, problem)
		}
	}
}
