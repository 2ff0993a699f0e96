// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	grpccredentials "google.golang.org/grpc/credentials"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/slipway-project/slipway/credentials"
	"github.com/slipway-project/slipway/engine"
)

const (
	// etcdPort is where kubeadm has etcd listen for clients, on the loopback address too,
	// which is the one that a port-forward to a Pod of the host's network reaches.
	etcdPort = 2379
	// etcdCertificateValidity is how long a client certificate is good for. It is made
	// anew once half of that is over; connections that are open then stay.
	etcdCertificateValidity = 24 * time.Hour
	// etcdIdle is after how long a connection to a member that nobody asked is closed: its
	// node is gone most likely.
	etcdIdle = 10 * time.Minute
)

func etcdPod(node string) string { return "etcd-" + node }

// etcdClients are the connections to the etcd members of one workload cluster: one a node,
// made when it is first asked, kept as long as it answers, and closed with the link.
type etcdClients struct {
	cluster engine.Key
	secrets client.Reader
	dialPod podDialer
	timing  timing

	live context.Context
	end  context.CancelFunc

	mu     sync.Mutex
	byNode map[string]*etcdNode
	// identity is what we show to members; nil until it is first needed.
	identity *etcdIdentity
}

// etcdNode is the connection to one member: there (client), being made (dialing), or
// neither.
type etcdNode struct {
	client  *etcdClient
	dialing *etcdDial
	used    time.Time
	// trouble is why the last connection could not be made; empty when it could.
	trouble string
}

// etcdDial is the making of a connection, on which all wait who want it.
type etcdDial struct {
	done   chan struct{}
	client *etcdClient
	err    error
}

// etcdClient talks to one member, over one stream that is never replaced.
type etcdClient struct {
	node string
	*clientv3.Client
	// Maintenance hides the client's own, which dials for each Status.
	clientv3.Maintenance
}

func newEtcdClients(cluster engine.Key, secrets client.Reader, dialPod podDialer, t timing) *etcdClients {
	live, end := context.WithCancel(context.Background())
	return &etcdClients{cluster: cluster, secrets: secrets, dialPod: dialPod, timing: t, live: live, end: end, byNode: map[string]*etcdNode{}}
}

// close ends all connections, and those that are being made.
func (e *etcdClients) close() {
	e.mu.Lock()
	e.end()
	nodes := e.byNode
	e.byNode = map[string]*etcdNode{}
	e.mu.Unlock()
	for _, node := range nodes {
		if node.client != nil {
			_ = node.client.Close()
		}
	}
}

// do has a function talk to the member on a node, which gets as long as a call may take. A
// connection that has been there already and fails is made anew once, at once: what broke
// it, such as an API server that was restarted, is often over. It is given the time in
// patience, so that one that is half open leaves enough for another.
func (e *etcdClients) do(ctx context.Context, node string, patience time.Duration, call func(context.Context, *etcdClient) error) error {
	for again := true; ; again = false {
		member, reused, err := e.client(ctx, node)
		if errors.As(err, &authorityError{}) {
			return err
		}
		if err != nil {
			return errors.New(portTrouble(err, node, etcdPod(node), etcdPort))
		}
		limit := e.timing.etcdCall
		if reused && again {
			limit = patience
		}
		err = bounded(ctx, limit, member, call)
		if err == nil || !broken(err) {
			return err
		}
		e.drop(member)
		if !reused {
			// A member that does not take our certificate says so after the handshake, or
			// just hangs up.
			e.forgetIdentity()
		}
		if !reused || !again || ctx.Err() != nil {
			return e.callTrouble(err, node)
		}
	}
}

func bounded(ctx context.Context, limit time.Duration, member *etcdClient, call func(context.Context, *etcdClient) error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return call(ctx, member)
}

// client is the connection to the member on a node, made if there is none; reused tells
// that it was there already.
func (e *etcdClients) client(ctx context.Context, node string) (member *etcdClient, reused bool, err error) {
	e.mu.Lock()
	if e.live.Err() != nil {
		e.mu.Unlock()
		return nil, false, net.ErrClosed
	}
	there := e.byNode[node]
	if there == nil {
		there = &etcdNode{}
		e.byNode[node] = there
	}
	there.used = time.Now()
	if there.client != nil {
		defer e.mu.Unlock()
		return there.client, true, nil
	}
	dial := there.dialing
	if dial == nil {
		dial = &etcdDial{done: make(chan struct{})}
		there.dialing = dial
		// Not bound to who asked first: others wait for the same connection.
		go e.make(node, there, dial)
	}
	e.mu.Unlock()
	select {
	case <-dial.done:
		return dial.client, false, dial.err
	case <-ctx.Done():
		return nil, false, ctx.Err()
	}
}

// make carries a dial out.
func (e *etcdClients) make(node string, there *etcdNode, dial *etcdDial) {
	ctx, cancel := context.WithTimeout(e.live, e.timing.etcdDial)
	defer cancel()
	dial.client, dial.err = e.open(ctx, node)
	e.mu.Lock()
	there.dialing, there.trouble = nil, ""
	if dial.err != nil {
		there.trouble = portTrouble(dial.err, node, etcdPod(node), etcdPort)
	}
	kept := dial.err == nil && e.live.Err() == nil && e.byNode[node] == there
	if kept {
		there.client = dial.client
	}
	e.mu.Unlock()
	if !kept && dial.err == nil {
		_ = dial.client.Close()
		dial.err = net.ErrClosed
	}
	close(dial.done)
}

// open makes the stream, secures it, and gives it to etcd's client. The TLS is made here so
// that what fails is known for what it is.
func (e *etcdClients) open(ctx context.Context, node string) (*etcdClient, error) {
	config, err := e.tlsConfig(ctx)
	if err != nil {
		return nil, err
	}
	stream, err := e.dialPod(ctx, etcdPod(node), etcdPort)
	if err != nil {
		return nil, err
	}
	config = config.Clone()
	// kubeadm puts the Node's name into the certificate beside localhost and the addresses:
	// the one name that no other member's certificate has.
	config.ServerName = node
	secured, err := handshake(ctx, stream, config)
	if err != nil {
		// The authority may have been replaced: look at it anew next time.
		e.forgetIdentity()
		return nil, err
	}
	only := make(chan net.Conn, 1)
	only <- secured
	made, err := clientv3.New(clientv3.Config{
		Endpoints: []string{net.JoinHostPort(etcdPod(node), strconv.Itoa(etcdPort))},
		// Trying again is for do, which makes a new stream.
		MaxUnaryRetries: 1,
		Logger:          zap.NewNop(),
		DialOptions: []grpc.DialOption{
			grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) {
				select {
				case conn := <-only:
					return conn, nil
				default:
					return nil, net.ErrClosed
				}
			}),
			grpc.WithTransportCredentials(alreadySecured{secured}),
			grpc.WithChainUnaryInterceptor(failFast),
			grpc.WithIdleTimeout(0),
		},
	})
	if err != nil {
		_ = secured.Close()
		return nil, err
	}
	return &etcdClient{node, made, clientv3.NewMaintenanceFromMaintenanceClient(clientv3.RetryMaintenanceClient(made, made.ActiveConnection()), made)}, nil
}

// failFast has a call fail at once when the connection is broken. etcd's client would have
// it wait for another one, and there never is.
func failFast(ctx context.Context, method string, request, answer any, connection *grpc.ClientConn, invoke grpc.UnaryInvoker, options ...grpc.CallOption) error {
	return invoke(ctx, method, request, answer, connection, append(options, grpc.WaitForReady(false))...)
}

// alreadySecured are the credentials of a connection that is TLS when it is handed over.
type alreadySecured struct{ conn *tls.Conn }

func (a alreadySecured) ClientHandshake(_ context.Context, _ string, conn net.Conn) (net.Conn, grpccredentials.AuthInfo, error) {
	return conn, grpccredentials.TLSInfo{
		State:          a.conn.ConnectionState(),
		CommonAuthInfo: grpccredentials.CommonAuthInfo{SecurityLevel: grpccredentials.PrivacyAndIntegrity},
	}, nil
}

func (a alreadySecured) ServerHandshake(net.Conn) (net.Conn, grpccredentials.AuthInfo, error) {
	return nil, nil, errors.New("these credentials are a client's")
}
func (a alreadySecured) Info() grpccredentials.ProtocolInfo {
	return grpccredentials.ProtocolInfo{SecurityProtocol: "tls"}
}
func (a alreadySecured) Clone() grpccredentials.TransportCredentials { return a }
func (a alreadySecured) OverrideServerName(string) error             { return nil }

// trouble says why there is no answer from a node yet: what was wrong the last time, so that
// the same trouble has the same words in every look.
func (e *etcdClients) trouble(node string) string {
	e.mu.Lock()
	defer e.mu.Unlock()
	if there := e.byNode[node]; there != nil && there.trouble != "" {
		return there.trouble
	}
	return e.callTrouble(context.DeadlineExceeded, node).Error()
}

// drop closes a connection, and makes the next call make a new one.
func (e *etcdClients) drop(member *etcdClient) {
	e.mu.Lock()
	if there := e.byNode[member.node]; there != nil && there.client == member {
		there.client = nil
	}
	e.mu.Unlock()
	_ = member.Close()
}

// closeIdle closes what nobody has asked for long.
func (e *etcdClients) closeIdle(now time.Time) {
	var idle []*etcdClient
	e.mu.Lock()
	for name, node := range e.byNode {
		if node.dialing == nil && now.Sub(node.used) > etcdIdle {
			delete(e.byNode, name)
			if node.client != nil {
				idle = append(idle, node.client)
			}
		}
	}
	e.mu.Unlock()
	for _, member := range idle {
		_ = member.Close()
	}
}

// etcdIdentity is what we show to members, and what they have to show.
type etcdIdentity struct {
	config  *tls.Config
	renewAt time.Time
}

// tlsConfig is for all members of the cluster. It reads the authority when there is no
// certificate that is good for long enough.
func (e *etcdClients) tlsConfig(ctx context.Context) (*tls.Config, error) {
	e.mu.Lock()
	there := e.identity
	e.mu.Unlock()
	now := time.Now()
	if there != nil && now.Before(there.renewAt) {
		return there.config, nil
	}
	made, err := e.newIdentity(ctx, now)
	if err != nil {
		return nil, authorityError{err}
	}
	e.mu.Lock()
	e.identity = made
	e.mu.Unlock()
	return made.config, nil
}

// authorityError is that no member can be asked, for want of the authority.
type authorityError struct{ error }

func (a authorityError) Unwrap() error { return a.error }

func (e *etcdClients) forgetIdentity() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.identity = nil
}

func (e *etcdClients) newIdentity(ctx context.Context, now time.Time) (*etcdIdentity, error) {
	name := client.ObjectKey{Namespace: e.cluster.Namespace, Name: credentials.SecretName(e.cluster.Name, credentials.EtcdCA)}
	secret := &corev1.Secret{}
	if err := e.secrets.Get(ctx, name, secret); err != nil {
		if apierrors.IsNotFound(err) {
			return nil, fmt.Errorf("Secret %s does not exist; it must hold the authority of etcd, without which its members cannot be asked", name)
		}
		return nil, fmt.Errorf("read Secret %s: %w", name, cause(err))
	}
	authority, err := credentials.PairFromSecret(secret, credentials.EtcdCA, now)
	if err != nil {
		return nil, err
	}
	if !authority.HasKey() {
		return nil, fmt.Errorf("Secret %s has no %s, so no client certificate can be made and the members of etcd cannot be asked; put the authority's private key there", name, credentials.KeyKey)
	}
	pair, err := credentials.NewEtcdClient(authority, etcdCertificateValidity, now, rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("Secret %s: %w", name, err)
	}
	certificate, err := tls.X509KeyPair(pair.Cert, pair.Key)
	if err != nil {
		return nil, fmt.Errorf("Secret %s: %w", name, err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authority.Cert)
	return &etcdIdentity{
		config:  &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{certificate}, RootCAs: roots, NextProtos: []string{"h2"}},
		renewAt: now.Add(certificate.Leaf.NotAfter.Sub(now) / 2),
	}, nil
}
