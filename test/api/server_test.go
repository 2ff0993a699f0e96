// SPDX-License-Identifier: Apache-2.0

// Package api_test checks the CustomResourceDefinitions where they have to work: in a real kube-apiserver, which
// compiles their CEL rules, weighs what they cost, and rejects what they reject.
//
// It needs the programs, so it runs only if SLIPWAY_TEST_BINARIES names a folder that holds etcd and kube-apiserver (or
// kubernetes, the one program that is all of Kubernetes). Everything listens on loopback and is kept in a temporary
// folder.
package api_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apiextensions "k8s.io/apiextensions-apiserver/pkg/client/clientset/clientset"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"github.com/slipway-project/slipway/deploy"
)

// token is what the test's client shows; the server runs for the test alone.
const token = "for-this-test-only"

// server is a kube-apiserver with our CRDs.
type server struct {
	client    dynamic.Interface
	resources map[string]schema.GroupVersionResource // by kind
}

// startServer starts etcd and kube-apiserver, installs the CRDs and waits until they are served. It skips the test if
// there are no programs to start.
func startServer(t *testing.T) *server {
	t.Helper()
	folder := os.Getenv("SLIPWAY_TEST_BINARIES")
	if folder == "" {
		t.Skip("SLIPWAY_TEST_BINARIES is not set: set it to a folder with etcd and kube-apiserver to check the CRDs in a real API server")
	}
	work := t.TempDir()
	etcdURL := "http://" + freeAddress(t)
	peerURL := "http://" + freeAddress(t)
	start(t, filepath.Join(folder, "etcd"), filepath.Join(work, "etcd.log"),
		"--data-dir="+filepath.Join(work, "etcd"), "--unsafe-no-fsync",
		"--listen-client-urls="+etcdURL, "--advertise-client-urls="+etcdURL,
		"--listen-peer-urls="+peerURL, "--initial-advertise-peer-urls="+peerURL, "--initial-cluster=default="+peerURL)

	address := freeAddress(t)
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	keyFile, tokenFile := filepath.Join(work, "sa.key"), filepath.Join(work, "tokens.csv")
	writeKey(t, keyFile)
	if err := os.WriteFile(tokenFile, []byte(token+",tester,tester,system:masters\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	start(t, apiserverProgram(t, folder, work), filepath.Join(work, "apiserver.log"),
		"--etcd-servers="+etcdURL, "--cert-dir="+work, "--bind-address=127.0.0.1", "--secure-port="+port,
		"--service-account-issuer=https://test", "--service-account-key-file="+keyFile, "--service-account-signing-key-file="+keyFile,
		"--service-cluster-ip-range=10.0.0.0/24", "--token-auth-file="+tokenFile, "--authorization-mode=AlwaysAllow",
		"--disable-admission-plugins=ServiceAccount")

	config := &rest.Config{
		Host: "https://" + address, BearerToken: token, QPS: -1,
		TLSClientConfig: rest.TLSClientConfig{CAFile: filepath.Join(work, "apiserver.crt")},
	}
	waitReady(t, config, work)
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return &server{client: client, resources: installCRDs(t, config)}
}

// apiserverProgram returns what to run as kube-apiserver. The one program of Kubernetes goes by the name it is called by.
func apiserverProgram(t *testing.T, folder, work string) string {
	t.Helper()
	program := filepath.Join(folder, "kube-apiserver")
	if _, err := os.Stat(program); err == nil {
		return program
	}
	all, err := filepath.Abs(filepath.Join(folder, "kubernetes"))
	if err != nil {
		t.Fatal(err)
	}
	program = filepath.Join(work, "kube-apiserver")
	if err := os.Symlink(all, program); err != nil {
		t.Fatal(err)
	}
	return program
}

// start runs a program until the test ends.
func start(t *testing.T, program, log string, args ...string) {
	t.Helper()
	output, err := os.Create(log)
	if err != nil {
		t.Fatal(err)
	}
	command := exec.Command(program, args...)
	command.Stdout, command.Stderr = output, output
	if err := command.Start(); err != nil {
		t.Fatalf("start %s: %v", program, err)
	}
	t.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait()
		_ = output.Close()
	})
}

func waitReady(t *testing.T, config *rest.Config, work string) {
	t.Helper()
	var last error
	err := wait.PollUntilContextTimeout(t.Context(), 200*time.Millisecond, 2*time.Minute, true, func(ctx context.Context) (bool, error) {
		// The certificate is written when the server starts, so the client cannot be made before.
		client, err := apiextensions.NewForConfig(config)
		if err != nil {
			last = err
			return false, nil
		}
		_, last = client.Discovery().RESTClient().Get().AbsPath("/readyz").DoRaw(ctx)
		return last == nil, nil
	})
	if err != nil {
		log, _ := os.ReadFile(filepath.Join(work, "apiserver.log"))
		lines := strings.Split(string(log), "\n")
		t.Fatalf("kube-apiserver did not get ready: %v\n%s", last, strings.Join(lines[max(0, len(lines)-20):], "\n"))
	}
}

func installCRDs(t *testing.T, config *rest.Config) map[string]schema.GroupVersionResource {
	t.Helper()
	client, err := apiextensions.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	definitions, err := deploy.CRDs()
	if err != nil {
		t.Fatal(err)
	}
	resources := map[string]schema.GroupVersionResource{}
	refused := false
	for _, definition := range definitions {
		if _, err := client.ApiextensionsV1().CustomResourceDefinitions().Create(t.Context(), definition, metav1.CreateOptions{}); err != nil {
			t.Errorf("install %s: %v", definition.Name, err)
			refused = true
		}
		resources[definition.Spec.Names.Kind] = schema.GroupVersionResource{Group: definition.Spec.Group, Version: "v1beta2", Resource: definition.Spec.Names.Plural}
	}
	if refused {
		t.FailNow()
	}
	for _, definition := range definitions {
		err := wait.PollUntilContextTimeout(t.Context(), 100*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
			current, err := client.ApiextensionsV1().CustomResourceDefinitions().Get(ctx, definition.Name, metav1.GetOptions{})
			if err != nil {
				return false, err
			}
			return isTrue(current, apiextensionsv1.Established) && !isTrue(current, apiextensionsv1.NonStructuralSchema), nil
		})
		if err != nil {
			t.Fatalf("wait until %s is served: %v", definition.Name, err)
		}
	}
	return resources
}

func isTrue(definition *apiextensionsv1.CustomResourceDefinition, condition apiextensionsv1.CustomResourceDefinitionConditionType) bool {
	for _, c := range definition.Status.Conditions {
		if c.Type == condition {
			return c.Status == apiextensionsv1.ConditionTrue
		}
	}
	return false
}

// freeAddress returns an address on loopback that nothing listened on a moment ago.
func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	return listener.Addr().String()
}

func writeKey(t *testing.T, file string) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(fmt.Errorf("write key: %w", err))
	}
}
