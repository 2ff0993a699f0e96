// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/rest"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	"github.com/slipway-project/slipway/engine"
)

// Options are what Connections stand on.
type Options struct {
	// Secrets reads the Secrets with kubeconfigs and with the authorities of etcd by name
	// from the management cluster's server; it needs no list and no watch.
	Secrets client.Reader
	// Clusters is the management cluster's cache, by which connections of Clusters
	// that are gone are dropped. nil: only Forget drops them.
	Clusters cache.Cache
	// Log tells of connections made and lost.
	Log logr.Logger
}

// timing are the times by which connections are kept. Those of requests, of probes while
// all is well and the rates are the reference implementation's. Those of etcd are such that
// a member is reached over a way of 300 ms, which has to be gone eight times back and forth,
// and that a look takes less than eight seconds.
type timing struct {
	retry, slowRetry, patience           time.Duration
	probeAgain                           time.Duration
	probeEvery, probeTimeout             time.Duration
	requestTimeout, syncTimeout          time.Duration
	probeFailures, failuresBeforeRefresh int
	etcdDial, etcdCall, etcdLook         time.Duration
	// etcdLate is for how long members are waited for at least once the list is there; it is
	// as long again as the list took where that is longer.
	etcdLate         time.Duration
	queriesPerSecond float32
	burst            int
}

var usual = timing{
	retry: 500 * time.Millisecond, slowRetry: 10 * time.Second, patience: 3 * time.Minute, probeAgain: 2 * time.Second,
	probeEvery: 10 * time.Second, probeTimeout: 5 * time.Second,
	requestTimeout: 10 * time.Second, syncTimeout: 30 * time.Second,
	probeFailures: 5, failuresBeforeRefresh: 3,
	etcdDial: 6 * time.Second, etcdCall: 3 * time.Second, etcdLook: 7500 * time.Millisecond, etcdLate: 2 * time.Second,
	queriesPerSecond: 20, burst: 30,
}

// Connections are the connections to workload clusters. They are engine.Workloads.
// All methods may be called at the same time, and before Start.
type Connections struct {
	options Options
	timing  timing
	feed    *feed
	// dialPods makes the way to ports of Pods for a server; portForward outside of tests.
	dialPods func(*rest.Config) (podDialer, error)

	live   context.Context
	end    context.CancelFunc
	ending sync.WaitGroup

	mu        sync.Mutex
	byCluster map[engine.Key]*connection
}

var (
	_ engine.Workloads = (*Connections)(nil)
	_ manager.Runnable = (*Connections)(nil)
)

// New makes the connections; there are none yet. Add them to the manager, or call
// Start, so that they end with the process.
func New(options Options) *Connections {
	live, end := context.WithCancel(context.Background())
	return &Connections{
		options: options, timing: usual, feed: newFeed(), dialPods: portForward, live: live, end: end,
		byCluster: map[engine.Key]*connection{},
	}
}

// Start drops the connections of Clusters as they go, until the context ends; then
// it closes all and returns once they are closed.
func (c *Connections) Start(ctx context.Context) error {
	defer c.close()
	if c.options.Clusters != nil {
		informer, err := c.options.Clusters.GetInformer(ctx, &clusterv1.Cluster{})
		if err != nil {
			return fmt.Errorf("watch Clusters: %w", err)
		}
		registration, err := informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{DeleteFunc: func(object any) {
			if missed, ok := object.(toolscache.DeletedFinalStateUnknown); ok {
				object = missed.Obj
			}
			if cluster, ok := object.(*clusterv1.Cluster); ok {
				c.Forget(client.ObjectKeyFromObject(cluster))
			}
		}})
		if err != nil {
			return fmt.Errorf("watch Clusters: %w", err)
		}
		defer func() {
			if err := informer.RemoveEventHandler(registration); err != nil {
				c.options.Log.Error(err, "cannot stop watching Clusters")
			}
		}()
	}
	<-ctx.Done()
	return nil
}

func (c *Connections) close() {
	c.mu.Lock()
	c.end()
	c.mu.Unlock()
	c.ending.Wait()
}

// Reader reads the cluster: Nodes (typed) from the cache, everything else from the
// server. Without a connection, and while the last probe of it failed, the error is
// engine.ErrNotConnected with its cause.
func (c *Connections) Reader(_ context.Context, cluster engine.Key) (client.Reader, error) {
	link, err := c.of(cluster).current()
	if err != nil {
		return nil, err
	}
	return reader{Reader: link.client, nodes: link.nodes}, nil
}

// Writer writes to the cluster, and reads from its server. It returns from a write
// to a Node when the Node cache shows it, two seconds later at most. Errors as for
// Reader.
func (c *Connections) Writer(_ context.Context, cluster engine.Key) (client.Client, error) {
	link, err := c.of(cluster).current()
	if err != nil {
		return nil, err
	}
	return writer{Client: link.client, nodes: link.nodes}, nil
}

// Probe tells how the connection to the cluster stands.
func (c *Connections) Probe(cluster engine.Key) engine.Probe { return c.of(cluster).probed() }

// Subscribe streams what changes, until the context ends; then the channel is
// closed. It begins with an event for each cluster that is connected already. Slow
// readers lose nothing but states in between. The Nodes belong to the cache: do not
// change them.
func (c *Connections) Subscribe(ctx context.Context) <-chan engine.WorkloadEvent {
	return c.feed.subscribe(ctx, func() []engine.WorkloadEvent {
		c.mu.Lock()
		defer c.mu.Unlock()
		var events []engine.WorkloadEvent
		for cluster, connection := range c.byCluster {
			if _, err := connection.current(); err == nil {
				events = append(events, engine.WorkloadEvent{Cluster: cluster})
			}
		}
		return events
	})
}

// Forget closes the connection to the cluster and all that it holds. The next call
// for the cluster makes a new one.
func (c *Connections) Forget(cluster engine.Key) {
	c.mu.Lock()
	connection, ok := c.byCluster[cluster]
	c.mu.Unlock()
	if ok {
		c.drop(connection)
	}
}

// drop forgets this connection, and tells.
func (c *Connections) drop(connection *connection) {
	if c.remove(connection) {
		c.feed.publish(engine.WorkloadEvent{Cluster: connection.cluster})
	}
}

// remove forgets this connection, and not one that has taken its place meanwhile.
func (c *Connections) remove(connection *connection) (was bool) {
	c.mu.Lock()
	was = c.byCluster[connection.cluster] == connection
	if was {
		delete(c.byCluster, connection.cluster)
	}
	c.mu.Unlock()
	connection.cancel()
	return was
}

// of is the cluster's connection, begun now if there is none.
func (c *Connections) of(cluster engine.Key) *connection {
	c.mu.Lock()
	defer c.mu.Unlock()
	if there, ok := c.byCluster[cluster]; ok {
		return there
	}
	ctx, cancel := context.WithCancel(c.live)
	begun := &connection{
		cluster: cluster, owner: c, cancel: cancel,
		since: time.Now(), cause: errors.New("connecting"),
	}
	c.byCluster[cluster] = begun
	if c.live.Err() != nil {
		cancel()
		begun.cause = errors.New("the process is stopping")
		return begun
	}
	c.ending.Add(1)
	go func() {
		defer c.ending.Done()
		begun.run(ctx)
	}()
	return begun
}

// clusterGone reports whether the Cluster object is known not to exist.
func (c *Connections) clusterGone(ctx context.Context, cluster engine.Key) bool {
	if c.options.Clusters == nil {
		return false
	}
	return apierrors.IsNotFound(c.options.Clusters.Get(ctx, cluster, &clusterv1.Cluster{}))
}
