// SPDX-License-Identifier: Apache-2.0

// Package workloadtest runs a real kube-apiserver on an etcd of its own for tests:
// as the workload cluster, as the management cluster, or as both.
//
// It owns the two processes and their files, which end with the test. It installs
// nothing in the cluster.
package workloadtest

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// Binaries is the environment variable that names the folder with kube-apiserver and
// etcd; without it the tests that need them are skipped.
const Binaries = "SLIPWAY_TEST_BINARIES"

// Server is a real kube-apiserver on an etcd of its own.
type Server struct {
	t          *testing.T
	folder     string
	etcd, port int
	apiserver  *exec.Cmd
}

// Start starts etcd and the server, which answers some seconds later, and ends both
// with the test. It skips the test where there are no binaries.
func Start(t *testing.T) *Server {
	t.Helper()
	if os.Getenv(Binaries) == "" {
		t.Skipf("set %s to a folder with kube-apiserver and etcd", Binaries)
	}
	s := &Server{t: t, folder: t.TempDir(), etcd: FreePort(t), port: FreePort(t)}
	s.write("tokens.csv", []byte("secret-token,admin,admin,system:masters\n"))
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	s.write("sa.key", pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}))
	s.run("etcd", "--data-dir", filepath.Join(s.folder, "etcd"), "--unsafe-no-fsync",
		"--listen-client-urls", fmt.Sprintf("http://127.0.0.1:%d", s.etcd), "--advertise-client-urls", fmt.Sprintf("http://127.0.0.1:%d", s.etcd),
		"--listen-peer-urls", fmt.Sprintf("http://127.0.0.1:%d", FreePort(t)))
	s.Restart()
	return s
}

func (s *Server) write(name string, content []byte) {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.folder, name), content, 0o600); err != nil {
		s.t.Fatal(err)
	}
}

func (s *Server) run(name string, arguments ...string) *exec.Cmd {
	s.t.Helper()
	command := exec.Command(filepath.Join(os.Getenv(Binaries), name), arguments...)
	log, err := os.Create(filepath.Join(s.folder, name+".log"))
	if err != nil {
		s.t.Fatal(err)
	}
	command.Stdout, command.Stderr = log, log
	if err := command.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait()
		_ = log.Close()
	})
	return command
}

// Restart starts the server again after Stop, on the same port and data.
func (s *Server) Restart() {
	s.t.Helper()
	s.apiserver = s.run("kube-apiserver",
		"--etcd-servers", fmt.Sprintf("http://127.0.0.1:%d", s.etcd), "--bind-address", "127.0.0.1", "--secure-port", fmt.Sprint(s.port),
		"--cert-dir", filepath.Join(s.folder, "certificates"), "--token-auth-file", filepath.Join(s.folder, "tokens.csv"), "--authorization-mode", "RBAC",
		"--service-cluster-ip-range", "10.0.0.0/24", "--service-account-issuer", "https://test",
		"--service-account-key-file", filepath.Join(s.folder, "sa.key"), "--service-account-signing-key-file", filepath.Join(s.folder, "sa.key"))
}

// Stop kills the server; etcd goes on.
func (s *Server) Stop() {
	s.t.Helper()
	if err := s.apiserver.Process.Kill(); err != nil {
		s.t.Fatal(err)
	}
	_ = s.apiserver.Wait()
}

// Address is where the server listens.
func (s *Server) Address() string { return fmt.Sprintf("127.0.0.1:%d", s.port) }

// Kubeconfig is that of an administrator.
func (s *Server) Kubeconfig() []byte { return s.KubeconfigFor(s.Address()) }

// KubeconfigFor is that of an administrator who reaches the server at another address.
func (s *Server) KubeconfigFor(address string) []byte {
	s.t.Helper()
	config := clientcmdapi.NewConfig()
	config.Clusters["c"] = &clientcmdapi.Cluster{Server: "https://" + address, InsecureSkipTLSVerify: true}
	config.AuthInfos["u"] = &clientcmdapi.AuthInfo{Token: "secret-token"}
	config.Contexts["x"] = &clientcmdapi.Context{Cluster: "c", AuthInfo: "u"}
	config.CurrentContext = "x"
	text, err := clientcmd.Write(*config)
	if err != nil {
		s.t.Fatal(err)
	}
	return text
}

// FreePort is a TCP port that nothing listens at right now.
func FreePort(t *testing.T) int {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	return listener.Addr().(*net.TCPAddr).Port
}
