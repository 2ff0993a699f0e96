// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	protocol "k8s.io/apimachinery/pkg/util/portforward"
	"k8s.io/client-go/rest"
	"k8s.io/streaming/pkg/httpstream"
	"k8s.io/streaming/pkg/httpstream/spdy"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/slipway-project/slipway/workload/workloadtest"
)

// kubelet speaks the port-forward protocol over SPDY, as the node's end of it does, and as
// API servers do that know no web sockets.
type kubelet struct {
	*httptest.Server
	// ports are the addresses behind the ports of Pods, as in "etcd-a:2379".
	ports map[string]string
	mu    sync.Mutex
	seen  []string // the requests, by method
	open  []net.Conn
}

func startKubelet(t *testing.T, ports map[string]string) *kubelet {
	t.Helper()
	k := &kubelet{ports: ports}
	k.Server = httptest.NewUnstartedServer(http.HandlerFunc(k.answer))
	k.Config.ConnState = func(conn net.Conn, state http.ConnState) {
		if state == http.StateHijacked {
			k.mu.Lock()
			defer k.mu.Unlock()
			k.open = append(k.open, conn)
		}
	}
	k.StartTLS()
	t.Cleanup(func() {
		k.cut()
		k.Close()
	})
	return k
}

// cut ends all sessions without a word.
func (k *kubelet) cut() {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, conn := range k.open {
		_ = conn.Close()
	}
}

func (k *kubelet) answer(w http.ResponseWriter, r *http.Request) {
	k.mu.Lock()
	k.seen = append(k.seen, r.Method)
	k.mu.Unlock()
	// "/portForward/kube-system/etcd-a" of a kubelet, ".../pods/etcd-a/portforward" of a server.
	pod := strings.TrimPrefix(strings.TrimSuffix(r.URL.Path, "/portforward"), "/portForward/kube-system/")
	pod = pod[strings.LastIndex(pod, "/")+1:]
	known := false
	for port := range k.ports {
		known = known || strings.HasPrefix(port, pod+":")
	}
	switch {
	case r.Header.Get("Upgrade") == "websocket":
		http.Error(w, "unable to upgrade: no such protocol", http.StatusBadRequest)
		return
	case !known:
		http.Error(w, "pod does not exist", http.StatusNotFound)
		return
	}
	if _, err := httpstream.Handshake(r, w, []string{protocol.PortForwardV1Name}); err != nil {
		return
	}
	streams := make(chan httpstream.Stream, 2)
	connection := spdy.NewResponseUpgrader().UpgradeResponse(w, r, func(stream httpstream.Stream, _ <-chan struct{}) error {
		streams <- stream
		return nil
	})
	if connection == nil {
		return
	}
	defer func() { _ = connection.Close() }()
	go k.serve(pod, streams)
	<-connection.CloseChan()
}

// serve joins one pair of streams with what is behind the port.
func (k *kubelet) serve(pod string, streams <-chan httpstream.Stream) {
	byType := map[string]httpstream.Stream{}
	for range 2 {
		stream := <-streams
		byType[stream.Headers().Get(corev1.StreamType)] = stream
	}
	reasons, data := byType[corev1.StreamTypeError], byType[corev1.StreamTypeData]
	defer func() { _ = data.Close() }()
	defer func() { _ = reasons.Close() }()
	port := data.Headers().Get(corev1.PortHeader)
	behind, err := net.Dial("tcp", k.ports[pod+":"+port])
	if err != nil {
		fmt.Fprintf(reasons, "an error occurred forwarding %s -> %s: %v", port, port, err)
		return
	}
	defer func() { _ = behind.Close() }()
	go func() {
		_, _ = io.Copy(behind, data)
		_ = behind.Close()
	}()
	_, _ = io.Copy(data, behind)
}

func (k *kubelet) config() *rest.Config {
	authority := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: k.Certificate().Raw})
	return &rest.Config{Host: k.URL, BearerToken: "secret-token", TLSClientConfig: rest.TLSClientConfig{CAData: authority}}
}

// echo answers with what it is sent, on any number of connections.
func echo(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				_, _ = io.Copy(conn, conn)
			}()
		}
	}()
	return listener.Addr().String()
}

// says sends words over the connection and wants them back, more of them than fit into one
// frame.
func says(t *testing.T, conn net.Conn) {
	t.Helper()
	sent := strings.Repeat("slipway ", 20000)
	go func() { _, _ = io.WriteString(conn, sent) }()
	back := make([]byte, len(sent))
	if _, err := io.ReadFull(conn, back); err != nil || string(back) != sent {
		t.Errorf("what came back is not what was sent: %v", err)
	}
}

func lasting(t *testing.T, limit time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	t.Cleanup(cancel)
	return ctx
}

// A server that knows no web sockets is asked over SPDY.
func TestPortForwardOverSPDY(t *testing.T) {
	k := startKubelet(t, map[string]string{"etcd-a:2379": echo(t), "etcd-b:2379": "127.0.0.1:1"})
	dial, err := portForward(k.config())
	if err != nil {
		t.Fatal(err)
	}
	conn, err := dial(lasting(t, 20*time.Second), "etcd-a", 2379)
	if err != nil {
		t.Fatal(err)
	}
	says(t, conn)
	if err := conn.Close(); err != nil {
		t.Error(err)
	}
	if _, err := conn.Read(make([]byte, 1)); err == nil {
		t.Error("a connection that is closed is read from")
	}
	if got := strings.Join(k.seen, " "); got != "GET POST" {
		t.Errorf("asked by %s; want the web socket first and SPDY then", got)
	}
	// What the server does not take is not tried again.
	conn, err = dial(lasting(t, 20*time.Second), "etcd-b", 2379)
	if err != nil {
		t.Fatal(err)
	}
	_, err = conn.Read(make([]byte, 1))
	if got := portTrouble(err, "b", "etcd-b", 2379); got != "nothing listens at port 2379 of Pod kube-system/etcd-b" {
		t.Errorf("told: %s", got)
	}
	if got := strings.Join(k.seen, " "); got != "GET POST POST" {
		t.Errorf("asked by %s; want SPDY at once", got)
	}
	// The other side goes.
	conn, err = dial(lasting(t, 20*time.Second), "etcd-a", 2379)
	if err != nil {
		t.Fatal(err)
	}
	k.cut()
	if _, err := conn.Read(make([]byte, 1)); err == nil {
		t.Error("a connection whose other side is gone is read from")
	}
}

func TestPortForwardGivesUpInTime(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	f := &forwarder{config: &rest.Config{Host: "https://" + listener.Addr().String(), TLSClientConfig: rest.TLSClientConfig{Insecure: true}}}
	dial, err := portForward(f.config)
	if err != nil {
		t.Fatal(err)
	}
	_, dialErr := dial(lasting(t, 50*time.Millisecond), "etcd-a", 2379)
	base, _, err := rest.DefaultServerUrlFor(f.config)
	if err != nil {
		t.Fatal(err)
	}
	_, spdyErr := f.overSPDY(lasting(t, 50*time.Millisecond), base)
	for _, err := range []error{dialErr, spdyErr} {
		if got := portTrouble(err, "a", "etcd-a", 2379); err == nil || got != "port 2379 of Pod kube-system/etcd-a does not answer in time" {
			t.Errorf("told: %s", got)
		}
	}
}

func TestPortTroubleInWords(t *testing.T) {
	for want, err := range map[string]error{
		"the API server does not reach the kubelet of Node a":                                errors.New("error dialing backend: dial tcp 10.0.0.2:10250: connect: no route to host"),
		"the kubelet of Node a does not run Pod kube-system/etcd-a":                          refused{errors.New(`pod not found ("etcd-a_kube-system")`)},
		"the connection to port 2379 of Pod kube-system/etcd-a was cut":                      fmt.Errorf("read: %w", io.EOF),
		"port 2379 of Pod kube-system/etcd-a cannot be reached: connect: network is down":    errors.New("connect: network is down"),
		"port 2379 of Pod kube-system/etcd-a does not answer in time":                        context.DeadlineExceeded,
		"port 2379 of Pod kube-system/etcd-a cannot be reached: x509: certificate is broken": errors.New("x509: certificate is broken"),
	} {
		if got := portTrouble(err, "a", "etcd-a", 2379); got != want {
			t.Errorf("told: %s; want: %s", got, want)
		}
	}
}

// The real server's port-forward over the web socket, with the other end on a node that is
// none; members and the server itself are what is behind the ports.
func TestPortForwardThroughARealServer(t *testing.T) {
	server, store := workloadtest.Start(t), &secrets{}
	m := startMembers(t, "a")
	store.setPair("demo-etcd", m.authority)
	store.set("demo-kubeconfig", server.Kubeconfig())
	c, events := connections(t, store, usual)
	within(t, 2*time.Minute, events, "connected", connected(c))
	k := startKubelet(t, map[string]string{
		"etcd-a:2379":           fmt.Sprintf("127.0.0.1:%d", m.byName["a"].client),
		"kube-apiserver-a:7443": server.Address(),
		"kube-apiserver-b:6443": "127.0.0.1:1",
	})
	makePods(t, near(t, server), k, map[string][]string{"etcd-a": nil, "etcd-gone": nil, "kube-apiserver-a": {"kube-apiserver", "--secure-port=7443"}, "kube-apiserver-b": nil})

	ctx := lasting(t, time.Minute)
	view, err := c.Etcd(ctx, demo, []string{"a", "b", "gone"})
	if err != nil || len(view.Healthy()) != 1 {
		t.Errorf("seen: %+v, %v", view, err)
	}
	if got := view.Answers["b"].Err; got != "Pod kube-system/etcd-b does not exist" {
		t.Errorf("of a Pod that is not there: %s", got)
	}
	if got := view.Answers["gone"].Err; got != "the kubelet of Node gone does not run Pod kube-system/etcd-gone" {
		t.Errorf("of a Pod that its kubelet does not have: %s", got)
	}
	for _, method := range k.seen {
		if method != http.MethodPost {
			t.Errorf("the kubelet was asked by %s", method)
		}
	}
	begun := time.Now()
	if _, err := c.Etcd(ctx, demo, []string{"a"}); err != nil {
		t.Error(err)
	}
	t.Logf("a look over connections that are there: %s", time.Since(begun))

	expiry, err := c.CertificateExpiry(ctx, demo, "a")
	if err != nil || time.Until(expiry) < 24*time.Hour {
		t.Errorf("certificate of the API server: %s, %v", expiry, err)
	}
	for node, words := range map[string]string{
		"b": "certificate of the API server on Node b of Cluster default/demo: nothing listens at port 6443 of Pod kube-system/kube-apiserver-b",
		"x": "certificate of the API server on Node x of Cluster default/demo: Pod kube-system/kube-apiserver-x does not exist",
	} {
		if _, err := c.CertificateExpiry(ctx, demo, node); err == nil || err.Error() != words {
			t.Errorf("certificate on %s: %v", node, err)
		}
	}
}

// makePods makes Pods, by name with their commands, on a Node whose kubelet is the one given.
func makePods(t *testing.T, writes client.Client, k *kubelet, commands map[string][]string) {
	t.Helper()
	host, port, err := net.SplitHostPort(k.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	on := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "node"}, Status: corev1.NodeStatus{
		Addresses:       []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: host}},
		DaemonEndpoints: corev1.NodeDaemonEndpoints{KubeletEndpoint: corev1.DaemonEndpoint{Port: int32(number)}},
	}}
	objects := []client.Object{on, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: metav1.NamespaceSystem, Name: "default"}}}
	for name, command := range commands {
		objects = append(objects, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: metav1.NamespaceSystem, Name: name}, Spec: corev1.PodSpec{
			NodeName: on.Name, Containers: []corev1.Container{{Name: "c", Image: "none", Command: command}},
		}})
	}
	for _, object := range objects {
		if !waitFor(lasting(t, time.Minute), func() bool { err = writes.Create(t.Context(), object); return err == nil }) {
			t.Fatal(err)
		}
	}
}
