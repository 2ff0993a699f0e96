// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"bytes"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/slipway-project/slipway/engine"
	"github.com/slipway-project/slipway/workload/workloadtest"
)

// oneWay is the delay of the bad network in each direction.
const oneWay = 300 * time.Millisecond

// near is a client of the server that does not cross the bad network, once it answers.
func near(t *testing.T, server *workloadtest.Server) client.Client {
	t.Helper()
	config, err := RESTConfig(server.Kubeconfig())
	if err != nil {
		t.Fatal(err)
	}
	writes, err := client.New(config, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if !waitFor(lasting(t, 2*time.Minute), func() bool {
		err = writes.Get(t.Context(), client.ObjectKey{Name: metav1.NamespaceDefault}, &corev1.Namespace{})
		return err == nil
	}) {
		t.Fatal(err)
	}
	return writes
}

// round changes the Node and waits until the connection shows it.
func round(t *testing.T, c *Connections, events <-chan engine.WorkloadEvent, nodes client.Client, number string, limit time.Duration) time.Duration {
	t.Helper()
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"labels": map[string]string{"round": number}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := nodes.Patch(t.Context(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "a"}}, client.RawPatch(types.MergePatchType, patch)); err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	within(t, limit, events, "the Node's change number "+number, func() bool {
		reads, err := c.Reader(t.Context(), demo)
		node := &corev1.Node{}
		return err == nil && reads.Get(t.Context(), client.ObjectKey{Name: "a"}, node) == nil && node.Labels["round"] == number
	})
	return time.Since(begun)
}

// read reads from the server until it answers.
func read(t *testing.T, c *Connections, limit time.Duration) time.Duration {
	t.Helper()
	begun := time.Now()
	var err error
	if !waitFor(lasting(t, limit), func() bool {
		var reads client.Reader
		if reads, err = c.Reader(t.Context(), demo); err == nil {
			err = reads.Get(t.Context(), client.ObjectKey{Name: metav1.NamespaceSystem}, &corev1.Namespace{})
		}
		return err == nil
	}) {
		t.Fatalf("no read within %s: %v", limit, err)
	}
	return time.Since(begun)
}

// Over a network that takes 300 ms each way all works, and over one that cuts connections
// every few seconds all still works; one that leaves them half open is noticed.
func TestBadNetwork(t *testing.T) {
	server, store := workloadtest.Start(t), &secrets{}
	nodes := near(t, server)
	if err := nodes.Create(t.Context(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "a"}}); err != nil {
		t.Fatal(err)
	}
	bad := badNetwork(t, server.Address(), oneWay)
	store.set("demo-kubeconfig", server.KubeconfigFor(bad.address()))
	c, events := connections(t, store, usual)
	begun := time.Now()
	within(t, 20*time.Second, events, "connected", connected(c))
	t.Logf("connected after %s", time.Since(begun))
	t.Logf("delayed: a change shows after %s, a read takes %s", round(t, c, events, nodes, "delayed", 5*time.Second), read(t, c, 10*time.Second))

	const seed = 3
	bad.lose(seed, time.Second, 6*time.Second)
	bad.each((*crossing).cut)
	var slowestChange, slowestRead time.Duration
	before := bad.crossings()
	for i := range 12 {
		slowestChange = max(slowestChange, round(t, c, events, nodes, fmt.Sprint(i), 20*time.Second))
		slowestRead = max(slowestRead, read(t, c, 20*time.Second))
	}
	bad.lose(0, 0, 1)
	t.Logf("cut by seed %d, %d connections: the slowest change shows after %s, the slowest read takes %s", seed, bad.crossings()-before, slowestChange, slowestRead)

	bad.each((*crossing).cut)
	read(t, c, 20*time.Second)
	round(t, c, events, nodes, "mended", 40*time.Second)
	bad.freeze()
	begun = time.Now()
	within(t, 20*time.Second, events, "the half-open connection is noticed", func() bool { return !c.Probe(demo).Connected })
	t.Logf("half open: noticed after %s", time.Since(begun))
	within(t, 20*time.Second, events, "connected again", connected(c))
	t.Logf("half open: connected again after %s", time.Since(begun))
	t.Logf("half open: a change shows after %s more", round(t, c, events, nodes, "thawed", 40*time.Second))
}

// A probe that gets no answer cuts the connection it went over, so that the next goes over
// another; the link stays what it is.
func TestHalfOpenConnectionIsCut(t *testing.T) {
	server, store := startAPIServer(t, true), &secrets{}
	bad := badNetwork(t, server.Listener.Addr().String(), 0)
	store.set("demo-kubeconfig", bytes.ReplaceAll(server.kubeconfig(t, nil), []byte(server.URL), []byte("https://"+bad.address())))
	server.put(node("a", "docker:////a"))
	patient := quick
	patient.probeFailures, patient.failuresBeforeRefresh = 1<<30, 1<<30
	c, events := connections(t, store, patient)
	eventually(t, events, "connected", connected(c))
	before := c.of(demo).link
	for range 3 {
		crossings := bad.crossings()
		bad.freeze()
		if !waitFor(lasting(t, 20*time.Second), func() bool { return bad.crossings() > crossings && connected(c)() }) {
			t.Fatalf("not connected again over another connection: %+v", c.Probe(demo))
		}
	}
	if c.of(demo).link != before {
		t.Error("the connection was made anew")
	}
}

// What one cluster's server does costs the others nothing.
func TestUnreachableClusterCostsOthersNothing(t *testing.T) {
	server, hanging, store := newAPIServer(t), newAPIServer(t), &secrets{}
	hang := make(chan struct{})
	defer close(hang)
	hanging.setHang(hang)
	store.set("demo-kubeconfig", server.kubeconfig(t, nil))
	store.set("hanging-kubeconfig", hanging.kubeconfig(t, nil))
	c, events := connections(t, store, usual)
	other := engine.Key{Namespace: "default", Name: "hanging"}
	begun := time.Now()
	for range 100 {
		_, err := c.Reader(t.Context(), other)
		_, etcdErr := c.Etcd(t.Context(), other, []string{"a"})
		_, expiryErr := c.CertificateExpiry(t.Context(), other, "a")
		if err == nil || etcdErr == nil || expiryErr == nil {
			t.Fatalf("a cluster that hangs is connected: %v, %v, %v", err, etcdErr, expiryErr)
		}
	}
	if took := time.Since(begun); took > time.Second {
		t.Errorf("asking 300 times took %s", took)
	}
	eventually(t, events, "the other is connected", connected(c))
	if took := time.Since(begun); took > 10*time.Second {
		t.Errorf("connecting to the other took %s", took)
	}
}

// The members are asked within their time over a network of 300 ms each way, and a session
// that was cut, or is left half open, is replaced within one look.
func TestEtcdOverABadNetwork(t *testing.T) {
	server, store := workloadtest.Start(t), &secrets{}
	m := startMembers(t, "a")
	k := startKubelet(t, map[string]string{"etcd-a:2379": fmt.Sprintf("127.0.0.1:%d", m.byName["a"].client)})
	makePods(t, near(t, server), k, map[string][]string{"etcd-a": nil})
	bad := badNetwork(t, server.Address(), oneWay)
	store.setPair("demo-etcd", m.authority)
	store.set("demo-kubeconfig", server.KubeconfigFor(bad.address()))
	c, events := connections(t, store, usual)
	within(t, 20*time.Second, events, "connected", connected(c))
	look := func(what string) {
		t.Helper()
		begun := time.Now()
		view, err := c.Etcd(t.Context(), demo, []string{"a"})
		if err != nil || len(view.Healthy()) != 1 || time.Since(begun) > 8*time.Second {
			t.Errorf("%s, after %s: %+v, %v", what, time.Since(begun), view, err)
		}
		t.Logf("%s: %s", what, time.Since(begun))
	}
	look("the first look")
	look("the second")
	bad.each((*crossing).cut)
	look("with all connections cut")
	bad.freeze()
	look("with all connections half open")
}
