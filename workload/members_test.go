// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/rest"

	"github.com/slipway-project/slipway/credentials"
	"github.com/slipway-project/slipway/etcd"
	"github.com/slipway-project/slipway/workload/workloadtest"
)

// members are real etcd members with certificates that kubeadm made, and the way to them as
// if they were in Pods.
type members struct {
	t         *testing.T
	authority credentials.Pair
	byName    map[string]*member
	initial   string

	mu    sync.Mutex
	dials map[string]int
}

type member struct {
	name         string
	folder       string
	client, peer int
	process      *exec.Cmd
}

// startMembers starts members that are one cluster.
func startMembers(t *testing.T, names ...string) *members {
	t.Helper()
	if os.Getenv(workloadtest.Binaries) == "" {
		t.Skipf("set %s to a folder with etcd and kubeadm", workloadtest.Binaries)
	}
	m := &members{t: t, authority: etcdAuthority(t), byName: map[string]*member{}, dials: map[string]int{}}
	var initial []string
	for _, name := range names {
		one := &member{name: name, folder: t.TempDir(), client: workloadtest.FreePort(t), peer: workloadtest.FreePort(t)}
		m.byName[name] = one
		m.certify(one)
		initial = append(initial, fmt.Sprintf("%s=http://127.0.0.1:%d", name, one.peer))
	}
	m.initial = strings.Join(initial, ",")
	for _, name := range names {
		m.start(name)
	}
	return m
}

func etcdAuthority(t *testing.T) credentials.Pair {
	t.Helper()
	pair, err := credentials.NewPair(credentials.EtcdCA, credentials.ECDSAP256, 0, time.Now(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

// certify has kubeadm make a member's serving certificate, so that its names are those of
// real members.
func (m *members) certify(one *member) {
	m.t.Helper()
	kubeadm := filepath.Join(os.Getenv(workloadtest.Binaries), "kubeadm")
	version, err := exec.Command(kubeadm, "version", "-o", "short").Output()
	if err != nil {
		m.t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(one.folder, "etcd"), 0o700); err != nil {
		m.t.Fatal(err)
	}
	config := "apiVersion: kubeadm.k8s.io/v1beta4\nkind: InitConfiguration\nlocalAPIEndpoint: {advertiseAddress: 192.0.2.1}\nnodeRegistration: {name: " + one.name + ", criSocket: unix:///run/none.sock}\n" +
		"---\napiVersion: kubeadm.k8s.io/v1beta4\nkind: ClusterConfiguration\nkubernetesVersion: " + strings.TrimSpace(string(version)) +
		"\ncertificatesDir: " + one.folder + "\nencryptionAlgorithm: ECDSA-P256\n"
	for name, content := range map[string][]byte{"etcd/ca.crt": m.authority.Cert, "etcd/ca.key": m.authority.Key, "kubeadm.yaml": []byte(config)} {
		if err := os.WriteFile(filepath.Join(one.folder, name), content, 0o600); err != nil {
			m.t.Fatal(err)
		}
	}
	if out, err := exec.Command(kubeadm, "init", "phase", "certs", "etcd-server", "--config", filepath.Join(one.folder, "kubeadm.yaml")).CombinedOutput(); err != nil {
		m.t.Fatalf("kubeadm: %v\n%s", err, out)
	}
}

func (m *members) start(name string) {
	m.t.Helper()
	one := m.byName[name]
	clients, peers := fmt.Sprintf("https://127.0.0.1:%d", one.client), fmt.Sprintf("http://127.0.0.1:%d", one.peer)
	one.process = exec.Command(filepath.Join(os.Getenv(workloadtest.Binaries), "etcd"), "--name", name, "--data-dir", filepath.Join(one.folder, "data"), "--unsafe-no-fsync",
		"--listen-client-urls", clients, "--advertise-client-urls", clients, "--listen-peer-urls", peers, "--initial-advertise-peer-urls", peers,
		"--initial-cluster", m.initial, "--client-cert-auth", "--trusted-ca-file", filepath.Join(one.folder, "etcd/ca.crt"),
		"--cert-file", filepath.Join(one.folder, "etcd/server.crt"), "--key-file", filepath.Join(one.folder, "etcd/server.key"))
	if err := one.process.Start(); err != nil {
		m.t.Fatal(err)
	}
	process := one.process
	m.t.Cleanup(func() {
		_ = process.Process.Kill()
		_ = process.Wait()
	})
}

func (m *members) kill(name string) {
	m.t.Helper()
	if err := m.byName[name].process.Process.Kill(); err != nil {
		m.t.Fatal(err)
	}
	_ = m.byName[name].process.Wait()
}

// dial stands for the port-forward.
func (m *members) dial(ctx context.Context, pod string, port int) (net.Conn, error) {
	name, ok := strings.CutPrefix(pod, "etcd-")
	m.mu.Lock()
	m.dials[name]++
	m.mu.Unlock()
	one := m.byName[name]
	if !ok || one == nil || port != 2379 {
		return nil, apierrors.NewNotFound(corev1.Resource("pods"), pod)
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", fmt.Sprintf("127.0.0.1:%d", one.client))
	if err != nil {
		return nil, forwardError(err.Error())
	}
	return conn, nil
}

func (m *members) dialed(name string) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.dials[name]
}

// connectedTo are connections to a cluster whose Pods are reached as given.
func connectedTo(t *testing.T, store *secrets, times timing, dial podDialer) *Connections {
	t.Helper()
	server := newAPIServer(t)
	store.set("demo-kubeconfig", server.kubeconfig(t, nil))
	c, events := connections(t, store, times)
	c.dialPods = func(*rest.Config) (podDialer, error) { return dial, nil }
	eventually(t, events, "connected", connected(c))
	return c
}

// connect has connections to the cluster that these members are of.
func (m *members) connect() *Connections {
	m.t.Helper()
	store := &secrets{}
	store.setPair("demo-etcd", m.authority)
	patient := quick
	patient.etcdDial, patient.etcdCall, patient.etcdLook = usual.etcdDial, usual.etcdCall, usual.etcdLook
	return connectedTo(m.t, store, patient, m.dial)
}

// seen looks until what is seen is as wanted.
func (m *members) seen(c *Connections, what string, holds func(etcd.View, error) bool, nodes ...string) etcd.View {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(m.t.Context(), time.Minute)
	defer cancel()
	var view etcd.View
	var err error
	if !waitFor(ctx, func() bool {
		begun := time.Now()
		view, err = c.Etcd(ctx, demo, nodes)
		if took := time.Since(begun); took > 8*time.Second {
			m.t.Errorf("a look took %s", took)
		}
		return holds(view, err)
	}) {
		m.t.Fatalf("not within a minute: %s; last seen: %+v, %v", what, view, err)
	}
	return view
}

func healthy(n int) func(etcd.View, error) bool {
	return func(view etcd.View, err error) bool {
		_, led := view.Leader()
		return err == nil && led && len(view.Healthy()) == n
	}
}

// silent is a listener that takes connections and never says a word.
func silent(t *testing.T) podDialer {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	return func(ctx context.Context, _ string, _ int) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "tcp", listener.Addr().String())
	}
}
