// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/connrotation"
	"k8s.io/client-go/util/flowcontrol"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"

	"github.com/slipway-project/slipway/engine"
)

// link is one connection as long as it holds: the clients made from one text of the
// kubeconfig, and the Node cache. It is not reused once it is closed.
type link struct {
	kubeconfig []byte
	config     *rest.Config
	http       *http.Client
	readyz     string
	dialer     *connrotation.Dialer
	client     client.Client
	nodes      client.Reader
	dialPod    podDialer
	etcd       *etcdClients

	stop    context.CancelFunc
	stopped chan struct{} // closed when the cache has ended
}

// newLink prepares to talk to the server that a kubeconfig names; nothing is sent.
func newLink(cluster engine.Key, config *rest.Config, kubeconfig []byte, owner *Connections) (*link, error) {
	t := owner.timing
	// A dialer of our own can cut all connections: one that was left half open by a
	// server that vanished would otherwise be used again by the next attempt.
	dialer := connrotation.NewDialer((&net.Dialer{Timeout: t.probeTimeout, KeepAlive: 15 * time.Second}).DialContext)
	config = rest.CopyConfig(config)
	config.Dial = dialer.DialContext
	config.UserAgent = "slipway"
	config.RateLimiter = flowcontrol.NewTokenBucketRateLimiter(t.queriesPerSecond, t.burst)
	// No time limit on the transport itself: it would cut the watch as well.
	httpClient, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, fmt.Errorf("make client: %w", err)
	}
	base, _, err := rest.DefaultServerUrlFor(config)
	if err != nil {
		return nil, fmt.Errorf("find the server's address: %w", err)
	}
	dialPod, err := owner.dialPods(config)
	if err != nil {
		return nil, err
	}
	return &link{
		kubeconfig: kubeconfig, config: config, http: httpClient, dialer: dialer,
		dialPod: dialPod, etcd: newEtcdClients(cluster, owner.options.Secrets, dialPod, t),
		readyz: strings.TrimSuffix(base.String(), "/") + "/readyz",
	}, nil
}

// probe asks whether the server is ready. It goes past the rate limit, so that a busy
// connection is not taken for a lost one.
func (l *link) probe(ctx context.Context, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, l.readyz, nil)
	if err != nil {
		return fmt.Errorf("probe %s: %w", l.readyz, err)
	}
	response, err := l.http.Do(request)
	if err != nil {
		if errors.Is(err, context.DeadlineExceeded) {
			// The connection may be half open, and the next probe would go over it again.
			l.dialer.CloseAll()
			return fmt.Errorf("probe %s: no answer within %s", l.readyz, timeout)
		}
		return fmt.Errorf("probe %s: %w", l.readyz, cause(err))
	}
	defer func() { _ = response.Body.Close() }()
	// Reading on lets the connection be used again; the answer is small.
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, 1<<16))
	switch response.StatusCode {
	case http.StatusOK:
		return nil
	case http.StatusUnauthorized, http.StatusForbidden:
		return fmt.Errorf("probe %s: %s; the server does not accept the credentials in the kubeconfig", l.readyz, response.Status)
	default:
		return fmt.Errorf("probe %s: %s", l.readyz, response.Status)
	}
}

// open makes the clients and fills the Node cache; it returns when that is full.
// tell is called for every Node and every change of one from then on.
func (l *link) open(ctx context.Context, t timing, tell func(*corev1.Node)) error {
	limited := *l.http
	limited.Timeout = t.requestTimeout
	limited.Transport = steadyTransport{limited.Transport}
	mapper, err := apiutil.NewDynamicRESTMapper(l.config, &limited)
	if err != nil {
		return fmt.Errorf("make client: %w", err)
	}
	l.client, err = client.New(l.config, client.Options{HTTPClient: &limited, Scheme: clientgoscheme.Scheme, Mapper: mapper})
	if err != nil {
		return fmt.Errorf("make client: %w", err)
	}
	nodes, err := cache.New(l.config, cache.Options{
		HTTPClient: l.http, Scheme: clientgoscheme.Scheme, Mapper: nodesOnly(), ReaderFailOnMissingInformer: true,
		ByObject: map[client.Object]cache.ByObject{&corev1.Node{}: {Transform: slim}},
	})
	if err != nil {
		return fmt.Errorf("make cache: %w", err)
	}
	l.nodes = nodes
	if err := nodes.IndexField(ctx, &corev1.Node{}, ProviderIDField, providerIDOf); err != nil {
		return fmt.Errorf("index Nodes: %w", err)
	}
	informer, err := nodes.GetInformer(ctx, &corev1.Node{}, cache.BlockUntilSynced(false))
	if err != nil {
		return fmt.Errorf("watch Nodes: %w", err)
	}
	registration, err := informer.AddEventHandler(nodeEvents(tell))
	if err != nil {
		return fmt.Errorf("watch Nodes: %w", err)
	}
	running, stop := context.WithCancel(ctx)
	l.stop, l.stopped = stop, make(chan struct{})
	go func() {
		defer close(l.stopped)
		_ = nodes.Start(running)
	}()
	patience, cancel := context.WithTimeout(ctx, t.syncTimeout)
	defer cancel()
	if !nodes.WaitForCacheSync(patience) || !registration.HasSynced() && !waitFor(patience, registration.HasSynced) {
		return fmt.Errorf("list the Nodes of %s: not done within %s", l.config.Host, t.syncTimeout)
	}
	return nil
}

// waitFor waits until the condition holds or the context ends.
func waitFor(ctx context.Context, condition func() bool) bool {
	ticker := time.NewTicker(settleInterval)
	defer ticker.Stop()
	for !condition() {
		select {
		case <-ctx.Done():
			return false
		case <-ticker.C:
		}
	}
	return true
}

// close ends the cache and cuts every connection.
func (l *link) close() {
	l.etcd.close()
	if l.stop != nil {
		l.stop()
	}
	l.dialer.CloseAll()
	if l.stopped != nil {
		<-l.stopped
	}
	l.http.CloseIdleConnections()
	l.dialer.CloseAll()
}

func (l *link) isFor(kubeconfig []byte) bool { return bytes.Equal(l.kubeconfig, kubeconfig) }

// nodesOnly maps the one kind that is cached, which saves the discovery calls that a
// mapper of all kinds makes.
func nodesOnly() meta.RESTMapper {
	mapper := meta.NewDefaultRESTMapper([]schema.GroupVersion{corev1.SchemeGroupVersion})
	mapper.Add(corev1.SchemeGroupVersion.WithKind("Node"), meta.RESTScopeRoot)
	return mapper
}
