// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

func TestCause(t *testing.T) {
	here, there := &net.TCPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 40112}, &net.TCPAddr{IP: net.IPv4(10, 0, 0, 2), Port: 6443}
	reset := &net.OpError{Op: "read", Net: "tcp", Source: here, Addr: there, Err: syscall.ECONNRESET}
	six := &net.OpError{Op: "write", Net: "tcp", Source: &net.TCPAddr{IP: net.IPv6loopback, Port: 40112}, Addr: &net.TCPAddr{IP: net.IPv6loopback, Port: 6443}, Err: syscall.EPIPE}
	asked := func(err error) error { return &url.Error{Op: "Get", URL: "https://10.0.0.2:6443/readyz", Err: err} }
	expired := x509.CertificateInvalidError{Reason: x509.Expired, Detail: "current time 2026-01-02T03:04:05Z is after 2025-01-01T00:00:00Z"}
	for name, test := range map[string]struct {
		err  error
		want string
	}{
		"reset":         {asked(reset), "read tcp 10.0.0.2:6443: connection reset by peer"},
		"reset, deeper": {fmt.Errorf("list APIs: %w", reset), "list APIs: read tcp 10.0.0.2:6443: connection reset by peer"},
		"IPv6":          {asked(six), "write tcp [::1]:6443: broken pipe"},
		"refused":       {asked(&net.OpError{Op: "dial", Net: "tcp", Addr: there, Err: syscall.ECONNREFUSED}), "dial tcp 10.0.0.2:6443: connection refused"},
		"as text only":  {errors.New("read tcp 10.0.0.1:40112->10.0.0.2:6443: i/o timeout"), "read tcp 10.0.0.2:6443: i/o timeout"},
		"name server": {
			asked(&net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Err: "read udp 127.0.0.1:4242->127.0.0.53:53: i/o timeout", Name: "api.example.com"}}),
			"dial tcp: lookup api.example.com: read udp 127.0.0.53:53: i/o timeout",
		},
		"too late": {asked(context.DeadlineExceeded), "no answer in time"},
		"stream":   {errors.New("stream error: stream ID 7; INTERNAL_ERROR; received from peer"), "stream error: INTERNAL_ERROR; received from peer"},
		"GOAWAY": {
			errors.New(`http2: server sent GOAWAY and closed the connection; LastStreamID=53, ErrCode=NO_ERROR, debug=""`),
			`http2: server sent GOAWAY and closed the connection; ErrCode=NO_ERROR, debug=""`,
		},
		"expired": {
			asked(&tls.CertificateVerificationError{Err: expired}),
			"tls: failed to verify certificate: x509: certificate has expired or is not yet valid: the time is after 2025-01-01T00:00:00Z",
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := cause(test.err)
			if got.Error() != test.want {
				t.Errorf("the text is %q, want %q", got, test.want)
			}
			if !errors.Is(got, test.err) {
				t.Error("it is no longer the error that it was")
			}
		})
	}
	if cause(nil) != nil {
		t.Error("no error has become one")
	}
	if missing := apierrors.NewNotFound(schema.GroupResource{Resource: "pods"}, "x"); cause(missing) != error(missing) { //nolint:errorlint // it must be the very same
		t.Error("an answer of the server was changed")
	}
}

// What readers and writers tell of a connection that is cut does not name the port that
// it had on our side: every attempt has another.
func TestErrorsOfReadersAreSteady(t *testing.T) {
	server, store := newAPIServer(t), &secrets{}
	store.set("demo-kubeconfig", server.kubeconfig(t, nil))
	// The client tries again on its own until its time is up.
	short := quick
	short.requestTimeout = 100 * time.Millisecond
	c, events := connections(t, store, short)
	eventually(t, events, "connected", connected(c))
	reads, err := c.Reader(t.Context(), demo)
	if err != nil {
		t.Fatal(err)
	}
	writes, err := c.Writer(t.Context(), demo)
	if err != nil {
		t.Fatal(err)
	}
	key := client.ObjectKey{Namespace: "kube-system", Name: "kubeadm-config"}
	for _, cut := range []string{"before", "within"} {
		server.setCut(cut)
		for _, reader := range []client.Reader{reads, writes} {
			err := reader.Get(t.Context(), key, &corev1.ConfigMap{})
			if err == nil {
				t.Fatal("read through a connection that is cut")
			}
			if !strings.Contains(err.Error(), "reset by peer") || strings.Contains(err.Error(), "->") {
				t.Errorf("cut %s the answer, the error is: %v", cut, err)
			}
		}
	}
}

// cutConnection ends a request's connection in the hardest way there is.
func cutConnection(w http.ResponseWriter, begun bool) {
	connection, buffered, err := w.(http.Hijacker).Hijack()
	if err != nil {
		panic(err)
	}
	if begun {
		_, _ = buffered.WriteString("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{")
		_ = buffered.Flush()
	}
	raw := connection.(*tls.Conn).NetConn().(*net.TCPConn)
	_ = raw.SetLinger(0)
	_ = raw.Close()
}
