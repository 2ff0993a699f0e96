// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"context"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/slipway-project/slipway/engine"
)

// clusters is a cache that has one Cluster until it goes. Its watch tells nothing.
type clusters struct {
	cache.Cache
	mu   sync.Mutex
	gone bool
}

func (c *clusters) goes() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.gone = true
}

func (c *clusters) Get(_ context.Context, key client.ObjectKey, _ client.Object, _ ...client.GetOption) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gone || key != demo {
		return apierrors.NewNotFound(schema.GroupResource{Resource: "clusters"}, key.Name)
	}
	return nil
}

// watching are connections that look for their Clusters in a cache, and are not told
// when one goes.
func watching(t *testing.T, secrets *secrets, clusters *clusters) (*Connections, <-chan engine.WorkloadEvent) {
	t.Helper()
	c := New(Options{Secrets: secrets, Clusters: clusters, Log: logr.Discard()})
	c.timing = quick
	t.Cleanup(c.close)
	return c, c.Subscribe(t.Context())
}

func held(c *Connections) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.byCluster)
}

// A kubeconfig that the user supplied outlives the Cluster, and its server may answer
// for ever: the connection ends all the same.
func TestConnectionEndsWithItsCluster(t *testing.T) {
	for name, down := range map[string]int{"the server answers": 0, "the server fails": http.StatusInternalServerError} {
		t.Run(name, func(t *testing.T) {
			server, store, known := newAPIServer(t), &secrets{}, &clusters{}
			store.set("demo-kubeconfig", server.kubeconfig(t, nil))
			c, events := watching(t, store, known)
			eventually(t, events, "connected", connected(c))
			server.setDown(down)
			known.goes()
			eventually(t, events, "the connection is given up", func() bool { return held(c) == 0 })
		})
	}
}

// A pass that read the Cluster before it went may ask for the connection after that.
func TestNoConnectionToAGoneCluster(t *testing.T) {
	server, store, known := newAPIServer(t), &secrets{}, &clusters{}
	store.set("demo-kubeconfig", server.kubeconfig(t, nil))
	known.goes()
	c, events := watching(t, store, known)
	if connected(c)() {
		t.Error("connected to the cluster of a Cluster that is gone")
	}
	patience, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if !waitFor(patience, func() bool { return held(c) == 0 }) {
		t.Error("a connection to it is kept")
	}
	select {
	case event := <-events:
		t.Errorf("whoever asked is made to ask again by event %+v", event)
	default:
	}
}

// While the cluster was never reached, the loop that tries ends too.
func TestAttemptsEndWithTheCluster(t *testing.T) {
	server, store, known := newAPIServer(t), &secrets{}, &clusters{}
	store.set("demo-kubeconfig", server.kubeconfig(t, nil))
	server.setDown(http.StatusInternalServerError)
	c, events := watching(t, store, known)
	eventually(t, events, "the trouble is told", causeHas(c, "500"))
	known.goes()
	patience, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if !waitFor(patience, func() bool { return held(c) == 0 }) {
		t.Error("it is tried for ever")
	}
}
