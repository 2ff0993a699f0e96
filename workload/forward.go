// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	protocol "k8s.io/apimachinery/pkg/util/portforward"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/transport/websocket"
	"k8s.io/streaming/pkg/httpstream"
	"k8s.io/streaming/pkg/httpstream/spdy"
)

// podDialer opens a connection to a port of a Pod in kube-system. The context bounds the
// opening and not what comes after.
type podDialer func(ctx context.Context, pod string, port int) (net.Conn, error)

const (
	// pingPeriod keeps what is idle alive in load balancers between us and the server.
	pingPeriod = 10 * time.Second
	// reasonPatience is how long the reason of an end may come after the end itself.
	reasonPatience = time.Second
)

// forwarder reaches ports of Pods through a server's port-forward.
type forwarder struct {
	config *rest.Config
	base   *url.URL
	// noWebSocket is set once the server has shown that it takes none.
	noWebSocket atomic.Bool
}

// portForward reaches ports of Pods through the port-forward of the server that the
// configuration names: each connection is a session of its own.
func portForward(config *rest.Config) (podDialer, error) {
	base, _, err := rest.DefaultServerUrlFor(config)
	if err != nil {
		return nil, fmt.Errorf("find the server's address: %w", err)
	}
	return (&forwarder{config: config, base: base}).dial, nil
}

// session is an upgraded connection and the one below it, which ends it whatever state it
// is in: ending the upper one writes, and may hang.
type session struct {
	httpstream.Connection
	below io.Closer
}

func (s session) end() {
	_ = s.below.Close()
	_ = s.Connection.Close()
}

func (f *forwarder) dial(ctx context.Context, pod string, port int) (net.Conn, error) {
	target := f.base.JoinPath("api/v1/namespaces", metav1.NamespaceSystem, "pods", pod, "portforward")
	s, err := f.connect(ctx, target)
	if err != nil {
		return nil, err
	}
	type outcome struct {
		conn net.Conn
		err  error
	}
	opened := make(chan outcome, 1)
	go func() {
		conn, err := openStreams(s, pod, port)
		opened <- outcome{conn, err}
	}()
	select {
	case o := <-opened:
		if o.err != nil {
			s.end()
			return nil, o.err
		}
		return o.conn, nil
	case <-ctx.Done():
		// The streams that are never opened give up by themselves, half a minute later.
		s.end()
		return nil, ctx.Err()
	}
}

func (f *forwarder) connect(ctx context.Context, target *url.URL) (session, error) {
	if f.noWebSocket.Load() {
		return f.overSPDY(ctx, target)
	}
	s, err := f.overWebSocket(ctx, target)
	if err == nil || !speaksNoWebSocket(err) {
		return s, err
	}
	if s, err = f.overSPDY(ctx, target); err == nil {
		f.noWebSocket.Store(true)
	}
	return s, err
}

// refused is the answer of a server that did not upgrade the connection.
type refused struct{ error }

func (r refused) Unwrap() error { return r.error }

// speaksNoWebSocket reports that a server, or a proxy before it, may refuse the web socket
// for what it is. That there is no such Pod, that we are nobody, or that the node does not
// answer would be no different over SPDY.
func speaksNoWebSocket(err error) bool {
	var status *apierrors.StatusError
	if errors.As(err, &status) {
		code := status.ErrStatus.Code
		if code == http.StatusUnauthorized || code == http.StatusNotFound || code >= http.StatusInternalServerError {
			return false
		}
	}
	return errors.As(err, &refused{}) || httpstream.IsHTTPSProxyError(err)
}

// overWebSocket is what servers have by default since Kubernetes 1.31: SPDY within a web
// socket. The library's own dialer takes no context, so its parts are put together here.
func (f *forwarder) overWebSocket(ctx context.Context, target *url.URL) (session, error) {
	transport, holder, err := websocket.RoundTripperFor(f.config)
	if err != nil {
		return session{}, fmt.Errorf("make client: %w", err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), nil)
	if err != nil {
		return session{}, err
	}
	socket, err := websocket.Negotiate(transport, holder, request, protocol.WebsocketsSPDYTunnelingPortForwardV1)
	var failure *httpstream.UpgradeFailureError
	if errors.As(err, &failure) {
		return session{}, refused{failure.Cause}
	}
	if err != nil {
		return session{}, err
	}
	tunnel := portforward.NewTunnelingConnectionWithLogger(logr.Discard(), socket)
	connection, err := spdy.NewClientConnectionWithPings(tunnel, pingPeriod)
	if err != nil {
		return session{}, err
	}
	return session{connection, tunnel}, nil
}

// overSPDY is what older servers have, and what passes proxies that know no web sockets.
// The library's own round trip waits for the answer without regard to the context.
func (f *forwarder) overSPDY(ctx context.Context, target *url.URL) (session, error) {
	tlsConfig, err := rest.TLSConfigFor(f.config)
	if err != nil {
		return session{}, fmt.Errorf("make client: %w", err)
	}
	upgrade, err := spdy.NewRoundTripperWithConfig(spdy.RoundTripperConfig{TLS: tlsConfig, Proxier: f.config.Proxy})
	if err != nil {
		return session{}, fmt.Errorf("make client: %w", err)
	}
	var below net.Conn
	transport, err := rest.HTTPWrappersForConfig(f.config, roundTrip(func(request *http.Request) (*http.Response, error) {
		request = request.Clone(request.Context())
		request.Header.Set(httpstream.HeaderConnection, httpstream.HeaderUpgrade)
		request.Header.Set(httpstream.HeaderUpgrade, "SPDY/3.1")
		request.Header.Set(httpstream.HeaderProtocolVersion, protocol.PortForwardV1Name)
		var err error
		if below, err = upgrade.Dial(request); err != nil {
			return nil, err
		}
		if deadline, ok := request.Context().Deadline(); ok {
			_ = below.SetDeadline(deadline)
		}
		return http.ReadResponse(bufio.NewReader(below), request)
	}))
	if err != nil {
		return session{}, fmt.Errorf("make client: %w", err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, target.String(), nil)
	if err != nil {
		return session{}, err
	}
	response, err := transport.RoundTrip(request)
	if err == nil && response.StatusCode != http.StatusSwitchingProtocols {
		err = refusal(response)
	}
	if err == nil {
		err = below.SetDeadline(time.Time{})
	}
	if err != nil {
		if below != nil {
			_ = below.Close()
		}
		return session{}, err
	}
	connection, err := spdy.NewClientConnectionWithPings(below, pingPeriod)
	if err != nil {
		return session{}, err
	}
	return session{connection, below}, nil
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(request *http.Request) (*http.Response, error) { return f(request) }

// refusal is the error in an answer other than the upgrade.
func refusal(response *http.Response) error {
	text, err := io.ReadAll(io.LimitReader(response.Body, 1<<16))
	if err != nil {
		return err
	}
	status := &apierrors.StatusError{}
	if json.Unmarshal(text, &status.ErrStatus) == nil && status.ErrStatus.Status == metav1.StatusFailure {
		return refused{status}
	}
	return refused{fmt.Errorf("%s: %s", response.Status, strings.TrimSpace(string(text)))}
}

// openStreams opens the pair of streams that is one connection to the port: one for the
// data and one on which the node says why there is none.
func openStreams(s session, pod string, port int) (net.Conn, error) {
	open := func(kind string) (httpstream.Stream, error) {
		headers := http.Header{}
		headers.Set(corev1.PortHeader, strconv.Itoa(port))
		headers.Set(corev1.PortForwardRequestIDHeader, "0")
		headers.Set(corev1.StreamType, kind)
		return s.CreateStream(headers)
	}
	// One after the other: a reason that came before the answer to the opening of its
	// stream would be lost.
	reasons, err := open(corev1.StreamTypeError)
	if err != nil {
		return nil, err
	}
	_ = reasons.Close() // nothing is ever written to it
	data, err := open(corev1.StreamTypeData)
	if err != nil {
		return nil, err
	}
	conn := &forwarded{Stream: data, session: s, address: podAddress{pod, port}, told: make(chan struct{})}
	go func() {
		defer close(conn.told)
		text, err := io.ReadAll(io.LimitReader(reasons, 1<<12))
		if err == nil && len(text) > 0 {
			conn.reason = forwardError(strings.TrimSpace(string(text)))
		}
	}()
	return conn, nil
}

// forwardError is what the node said that kept it from reaching the port.
type forwardError string

func (e forwardError) Error() string { return string(e) }

// forwarded is a connection over a port-forward. It has no deadlines: who uses it closes
// it when time is up.
type forwarded struct {
	httpstream.Stream
	session session
	address podAddress
	reason  error
	told    chan struct{} // closed when reason is what it will be
}

func (c *forwarded) Read(into []byte) (int, error) {
	n, err := c.Stream.Read(into)
	if err == nil || n > 0 {
		return n, nil
	}
	timer := time.NewTimer(reasonPatience)
	defer timer.Stop()
	select {
	case <-c.told:
		if c.reason != nil {
			err = c.reason
		}
	case <-timer.C:
	}
	return 0, err
}

func (c *forwarded) Close() error {
	c.session.end()
	return nil
}

func (c *forwarded) LocalAddr() net.Addr              { return c.address }
func (c *forwarded) RemoteAddr() net.Addr             { return c.address }
func (c *forwarded) SetDeadline(time.Time) error      { return os.ErrNoDeadline }
func (c *forwarded) SetReadDeadline(time.Time) error  { return os.ErrNoDeadline }
func (c *forwarded) SetWriteDeadline(time.Time) error { return os.ErrNoDeadline }

// podAddress is the port of a Pod.
type podAddress struct {
	pod  string
	port int
}

func (podAddress) Network() string  { return "portforward" }
func (a podAddress) String() string { return net.JoinHostPort(a.pod, strconv.Itoa(a.port)) }

// handshake makes TLS of a connection to the port of a Pod, which it closes when it fails.
func handshake(ctx context.Context, conn net.Conn, config *tls.Config) (*tls.Conn, error) {
	secured := tls.Client(conn, config)
	if err := secured.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return secured, nil
}

// portTrouble says for a person why a port of a Pod could not be reached. The text is the
// same each time the same trouble comes.
func portTrouble(err error, node, pod string, port int) string {
	var reason forwardError
	var invalid *tls.CertificateVerificationError
	text := cause(err).Error()
	switch {
	case apierrors.IsNotFound(statusOf(err)):
		return fmt.Sprintf("Pod %s/%s does not exist", metav1.NamespaceSystem, pod)
	case apierrors.IsForbidden(statusOf(err)), apierrors.IsUnauthorized(statusOf(err)):
		return fmt.Sprintf("the credentials in the kubeconfig may not forward ports of Pod %s/%s", metav1.NamespaceSystem, pod)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Sprintf("port %d of Pod %s/%s does not answer in time", port, metav1.NamespaceSystem, pod)
	case errors.As(err, &invalid):
		return fmt.Sprintf("Pod %s/%s shows a certificate that does not hold: %v", metav1.NamespaceSystem, pod, invalid.Err)
	case strings.Contains(text, "error dialing backend"):
		return fmt.Sprintf("the API server does not reach the kubelet of Node %s", node)
	case strings.Contains(text, "pod not found"), strings.Contains(text, "pod does not exist"):
		return fmt.Sprintf("the kubelet of Node %s does not run Pod %s/%s", node, metav1.NamespaceSystem, pod)
	case errors.As(err, &reason) && strings.Contains(text, "connection refused"):
		return fmt.Sprintf("nothing listens at port %d of Pod %s/%s", port, metav1.NamespaceSystem, pod)
	case slices.ContainsFunc([]error{io.EOF, io.ErrUnexpectedEOF, net.ErrClosed}, func(end error) bool { return errors.Is(err, end) }):
		return fmt.Sprintf("the connection to port %d of Pod %s/%s was cut", port, metav1.NamespaceSystem, pod)
	}
	return fmt.Sprintf("port %d of Pod %s/%s cannot be reached: %s", port, metav1.NamespaceSystem, pod, text)
}

// statusOf is the server's own answer in an error; the error itself where there is none.
func statusOf(err error) error {
	var status *apierrors.StatusError
	if errors.As(err, &status) {
		return status
	}
	return err
}
