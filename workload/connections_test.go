// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/slipway-project/slipway/credentials"
	"github.com/slipway-project/slipway/engine"
)

var demo = engine.Key{Namespace: "default", Name: "demo"}

// secrets is the management cluster as far as connections see it.
type secrets struct {
	client.Reader
	mu     sync.Mutex
	values map[client.ObjectKey][]byte
	pairs  map[string]credentials.Pair
}

// setPair sets a Secret with a key pair, by name.
func (s *secrets) setPair(name string, pair credentials.Pair) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pairs == nil {
		s.pairs = map[string]credentials.Pair{}
	}
	s.pairs[name] = pair
}

func (s *secrets) set(name string, value []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.values == nil {
		s.values = map[client.ObjectKey][]byte{}
	}
	s.values[client.ObjectKey{Namespace: "default", Name: name}] = value
}

func (s *secrets) Get(_ context.Context, key client.ObjectKey, object client.Object, _ ...client.GetOption) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	value, ok := s.values[key]
	pair, isPair := s.pairs[key.Name]
	if !ok && !isPair {
		return apierrors.NewNotFound(schema.GroupResource{Resource: "secrets"}, key.Name)
	}
	secret := object.(*corev1.Secret)
	secret.Namespace, secret.Name = key.Namespace, key.Name
	switch {
	case isPair:
		secret.Data = map[string][]byte{credentials.CertKey: pair.Cert, credentials.KeyKey: pair.Key}
	case value != nil:
		secret.Data = map[string][]byte{"value": value}
	}
	return nil
}

// quick are times for tests: what takes seconds takes milliseconds.
var quick = timing{
	retry: 5 * time.Millisecond, slowRetry: 20 * time.Millisecond, patience: time.Minute, probeAgain: 10 * time.Millisecond,
	probeEvery: 10 * time.Millisecond, probeTimeout: 200 * time.Millisecond,
	requestTimeout: 2 * time.Second, syncTimeout: 5 * time.Second,
	probeFailures: 5, failuresBeforeRefresh: 2, queriesPerSecond: 1000, burst: 1000,
	etcdDial: 2 * time.Second, etcdCall: time.Second, etcdLook: 3 * time.Second, etcdLate: time.Second,
}

func connections(t *testing.T, secrets *secrets, timing timing) (*Connections, <-chan engine.WorkloadEvent) {
	t.Helper()
	c := New(Options{Secrets: secrets, Log: logr.Discard()})
	c.timing = timing
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- c.Start(ctx) }()
	events := c.Subscribe(ctx)
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("Start: %v", err)
			}
		case <-time.After(10 * time.Second):
			t.Error("Start does not return after its context ended")
		}
	})
	return c, events
}

// eventually looks after each event whether the condition holds.
func eventually(t *testing.T, events <-chan engine.WorkloadEvent, what string, holds func() bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for !holds() {
		select {
		case <-events:
		case <-deadline:
			t.Fatalf("not within 20 s: %s", what)
		}
	}
}

func connected(c *Connections) func() bool {
	return func() bool { _, err := c.Reader(context.Background(), demo); return err == nil }
}

func causeHas(c *Connections, words string) func() bool {
	return func() bool {
		_, err := c.Reader(context.Background(), demo)
		return errors.Is(err, engine.ErrNotConnected) && strings.Contains(err.Error(), words)
	}
}

func TestConnectsWhenTheSecretComes(t *testing.T) {
	server, store := newAPIServer(t), &secrets{}
	server.put(node("a", "docker:////a"))
	c, events := connections(t, store, quick)
	eventually(t, events, "the missing Secret is named", causeHas(c, "Secret default/demo-kubeconfig does not exist yet"))
	if probe := c.Probe(demo); probe.Connected || probe.Since.IsZero() || !probe.LastSuccess.IsZero() {
		t.Errorf("probe before connecting: %+v", probe)
	}
	store.set("demo-kubeconfig", server.kubeconfig(t, nil))
	eventually(t, events, "connected", connected(c))
	if probe := c.Probe(demo); !probe.Connected || probe.LastSuccess.IsZero() || probe.Err != "" {
		t.Errorf("probe after connecting: %+v", probe)
	}
	reader, err := c.Reader(t.Context(), demo)
	if err != nil {
		t.Fatal(err)
	}
	var found corev1.NodeList
	if err := reader.List(t.Context(), &found, client.MatchingFields{ProviderIDField: "docker:////a"}); err != nil || len(found.Items) != 1 || found.Items[0].Name != "a" {
		t.Fatalf("list by provider ID: %v, %d Nodes", err, len(found.Items))
	}
	if len(found.Items[0].Status.Images) != 0 {
		t.Error("the cache keeps the images of Nodes")
	}
	if err := reader.List(t.Context(), &found, client.MatchingFields{ProviderIDField: "docker:////b"}); err != nil || len(found.Items) != 0 {
		t.Fatalf("list by a provider ID that no Node has: %v, %d Nodes", err, len(found.Items))
	}
}

func TestClearCauses(t *testing.T) {
	server := newAPIServer(t)
	foreign := authority(t).pem()
	closed := newAPIServer(t)
	refusing := closed.kubeconfig(t, nil)
	closed.Close()
	for name, test := range map[string]struct {
		kubeconfig []byte
		words      []string
	}{
		"empty":       {[]byte(""), []string{"Secret default/demo-kubeconfig", "key value is missing or empty"}},
		"unparsable":  {[]byte("::: not yaml"), []string{"Secret default/demo-kubeconfig, key value", "parse kubeconfig"}},
		"no context":  {[]byte("apiVersion: v1\nkind: Config\n"), []string{"key value", "current-context"}},
		"bad token":   {[]byte(strings.Replace(string(server.kubeconfig(t, nil)), "secret-token", "other", 1)), []string{"401", "does not accept the credentials"}},
		"refused":     {refusing, []string{"connection refused"}},
		"runs things": {[]byte(strings.Replace(string(server.kubeconfig(t, nil)), "token: secret-token", "exec: {apiVersion: client.authentication.k8s.io/v1, command: /bin/true, interactiveMode: Never}", 1)), []string{"key value", "running a program"}},
		"file":        {[]byte(strings.Replace(string(server.kubeconfig(t, nil)), "token: secret-token", "tokenFile: /etc/passwd", 1)), []string{"key value", "files"}},
		"foreign CA":  {server.kubeconfig(t, foreign), []string{"certificate signed by unknown authority"}},
	} {
		t.Run(name, func(t *testing.T) {
			store := &secrets{}
			store.set("demo-kubeconfig", test.kubeconfig)
			c, events := connections(t, store, quick)
			for _, words := range test.words {
				eventually(t, events, words, causeHas(c, words))
			}
			if err := c.Probe(demo).Err; strings.Contains(err, "secret-token") {
				t.Errorf("the cause tells the token: %s", err)
			}
		})
	}
}

func TestHangingServer(t *testing.T) {
	server, store := newAPIServer(t), &secrets{}
	hang := make(chan struct{})
	server.setHang(hang)
	store.set("demo-kubeconfig", server.kubeconfig(t, nil))
	c, events := connections(t, store, quick)
	eventually(t, events, "the hang is told", causeHas(c, "no answer within 200ms"))
	begun := time.Now()
	if _, err := c.Writer(t.Context(), demo); !errors.Is(err, engine.ErrNotConnected) {
		t.Errorf("Writer: %v", err)
	}
	if took := time.Since(begun); took > time.Second {
		t.Errorf("Writer waited %s for a server that hangs", took)
	}
	server.setHang(nil)
	close(hang)
	eventually(t, events, "connected once the server answers", connected(c))
}

func TestLostAndFoundAgain(t *testing.T) {
	server, store := newAPIServer(t), &secrets{}
	store.set("demo-kubeconfig", server.kubeconfig(t, nil))
	server.put(node("a", "docker:////a"))
	c, events := connections(t, store, quick)
	eventually(t, events, "connected", connected(c))
	server.setDown(http.StatusInternalServerError)
	eventually(t, events, "one failed probe shows", func() bool { p := c.Probe(demo); return !p.Connected && strings.Contains(p.Err, "500") })
	eventually(t, events, "lost after five", causeHas(c, "500"))
	server.remove("a")
	server.put(node("b", "docker:////b"))
	server.setDown(0)
	eventually(t, events, "connected again", connected(c))
	reader, err := c.Reader(t.Context(), demo)
	if err != nil {
		t.Fatal(err)
	}
	var list corev1.NodeList
	if err := reader.List(t.Context(), &list); err != nil || len(list.Items) != 1 || list.Items[0].Name != "b" {
		t.Fatalf("the cache of the new connection: %v, %d Nodes", err, len(list.Items))
	}
}

func TestKubeconfigChanges(t *testing.T) {
	before, after, store := newAPIServer(t), newAPIServer(t), &secrets{}
	before.put(node("old", "docker:////old"))
	after.put(node("new", "docker:////new"))
	store.set("demo-kubeconfig", before.kubeconfig(t, nil))
	c, events := connections(t, store, quick)
	eventually(t, events, "connected", connected(c))
	store.set("demo-kubeconfig", after.kubeconfig(t, nil))
	before.setDown(http.StatusInternalServerError)
	eventually(t, events, "connected to the new server", func() bool {
		reader, err := c.Reader(t.Context(), demo)
		return err == nil && reader.Get(t.Context(), client.ObjectKey{Name: "new"}, &corev1.Node{}) == nil
	})
}

// While the last probe failed nobody is given a connection that might make them wait;
// it is kept all the same, and given out again once a probe succeeds.
func TestNotGivenOutWhileProbesFail(t *testing.T) {
	server, store := newAPIServer(t), &secrets{}
	store.set("demo-kubeconfig", server.kubeconfig(t, nil))
	patient := quick
	patient.probeFailures, patient.failuresBeforeRefresh = 1<<30, 1<<30
	c, events := connections(t, store, patient)
	eventually(t, events, "connected", connected(c))
	link := func() *link {
		there := c.of(demo)
		there.mu.Lock()
		defer there.mu.Unlock()
		return there.link
	}
	before := link()
	server.setDown(http.StatusInternalServerError)
	eventually(t, events, "not given out, with the cause", causeHas(c, "500"))
	if _, err := c.Writer(t.Context(), demo); !errors.Is(err, engine.ErrNotConnected) {
		t.Errorf("Writer: %v", err)
	}
	server.setDown(0)
	eventually(t, events, "given out again", connected(c))
	if link() != before {
		t.Error("the connection was made anew")
	}
}

func TestNodeEvents(t *testing.T) {
	server, store := newAPIServer(t), &secrets{}
	store.set("demo-kubeconfig", server.kubeconfig(t, nil))
	c, events := connections(t, store, quick)
	eventually(t, events, "connected", connected(c))
	next := func() engine.WorkloadEvent {
		t.Helper()
		for {
			select {
			case event := <-events:
				if event.Node != nil {
					return event
				}
			case <-time.After(20 * time.Second):
				t.Fatal("no event")
			}
		}
	}
	server.put(node("a", "docker:////a"))
	if event := next(); event.Cluster != demo || event.Node.Name != "a" {
		t.Fatalf("event %+v", event)
	}
	// The heartbeat is not told, the change after it is.
	beat := node("a", "docker:////a")
	beat.Status.Images = nil
	server.put(beat)
	changed := node("a", "docker:////a")
	changed.Labels = map[string]string{"x": "y"}
	server.put(changed)
	if event := next(); event.Node.Labels["x"] != "y" {
		t.Fatalf("event for a heartbeat: %+v", event.Node)
	}
	server.remove("a")
	if event := next(); event.Node.Name != "a" {
		t.Fatalf("event %+v", event)
	}
	// An object that is read back after the event is what the event told.
	reader, err := c.Reader(t.Context(), demo)
	if err != nil {
		t.Fatal(err)
	}
	if err := reader.Get(t.Context(), client.ObjectKey{Name: "a"}, &corev1.Node{}); !apierrors.IsNotFound(err) {
		t.Errorf("the cache still has the Node: %v", err)
	}
}

func TestForget(t *testing.T) {
	server, store := newAPIServer(t), &secrets{}
	store.set("demo-kubeconfig", server.kubeconfig(t, nil))
	c, events := connections(t, store, quick)
	eventually(t, events, "connected", connected(c))
	c.Forget(demo)
	c.mu.Lock()
	left := len(c.byCluster)
	c.mu.Unlock()
	if left != 0 {
		t.Errorf("%d connections after Forget", left)
	}
	eventually(t, events, "asked again, connected again", connected(c))
}

func TestSubscribeLateBeginsWithWhatIsConnected(t *testing.T) {
	server, store := newAPIServer(t), &secrets{}
	store.set("demo-kubeconfig", server.kubeconfig(t, nil))
	c, events := connections(t, store, quick)
	eventually(t, events, "connected", connected(c))
	select {
	case event := <-c.Subscribe(t.Context()):
		if event.Cluster != demo || event.Node != nil {
			t.Errorf("event %+v", event)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("no event")
	}
}

func TestBackoff(t *testing.T) {
	var b backoff
	now := time.Unix(0, 0)
	for _, step := range []struct{ after, want time.Duration }{
		{0, 500 * time.Millisecond},
		{time.Minute, 500 * time.Millisecond},
		{3 * time.Minute, 500 * time.Millisecond},
		{181 * time.Second, time.Second},
		{182 * time.Second, 2 * time.Second},
		{184 * time.Second, 4 * time.Second},
		{188 * time.Second, 8 * time.Second},
		{196 * time.Second, 10 * time.Second},
		{time.Hour, 10 * time.Second},
	} {
		if got := b.next(now.Add(step.after), usual); got != step.want {
			t.Errorf("after %s: wait %s, want %s", step.after, got, step.want)
		}
	}
}

func TestFeedKeepsTheNewestOfEachForSlowReaders(t *testing.T) {
	f := newFeed()
	ctx, cancel := context.WithCancel(t.Context())
	out := f.subscribe(ctx, func() []engine.WorkloadEvent { return nil })
	const rounds = 1000
	for i := range rounds {
		a, b := node("a", "docker:////a"), node("b", "docker:////b")
		a.Generation, b.Generation = int64(i), int64(i)
		f.publish(engine.WorkloadEvent{Cluster: demo, Node: a})
		f.publish(engine.WorkloadEvent{Cluster: demo, Node: b})
	}
	replaced := node("b", "docker:////other")
	f.publish(engine.WorkloadEvent{Cluster: demo, Node: replaced})
	last, count := map[string]int64{}, 0
	for len(last) < 3 || last["docker:////a"] != rounds-1 || last["docker:////b"] != rounds-1 {
		select {
		case event := <-out:
			count++
			last[event.Node.Spec.ProviderID] = event.Node.Generation
		case <-time.After(20 * time.Second):
			t.Fatalf("the newest states do not come: %v", last)
		}
	}
	if count > 5 { // one of each, and what was on its way when newer states came
		t.Errorf("%d events for three nodes", count)
	}
	cancel()
	for range out {
	}
}

// ca is a certificate authority.
type ca struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

func authority(t *testing.T) ca {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "ca"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(raw)
	if err != nil {
		t.Fatal(err)
	}
	return ca{certificate, key}
}

func (c ca) pem() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.certificate.Raw})
}

func (c ca) serverCertificate(t *testing.T) *tls.Certificate {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "server"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, c.certificate, c.key.Public(), c.key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{raw}, PrivateKey: c.key}
}

// The server comes up with a certificate of another authority: the connection is
// lost, says why, and is there again as soon as the Secret has the new authority.
func TestAuthorityChanges(t *testing.T) {
	server, store := newAPIServer(t), &secrets{}
	before, after := authority(t), authority(t)
	server.setCertificate(before.serverCertificate(t))
	store.set("demo-kubeconfig", server.kubeconfig(t, before.pem()))
	c, events := connections(t, store, quick)
	eventually(t, events, "connected", connected(c))
	server.setCertificate(after.serverCertificate(t))
	server.CloseClientConnections()
	eventually(t, events, "lost, with the cause", causeHas(c, "certificate signed by unknown authority"))
	store.set("demo-kubeconfig", server.kubeconfig(t, after.pem()))
	eventually(t, events, "connected with the new authority", connected(c))
}
