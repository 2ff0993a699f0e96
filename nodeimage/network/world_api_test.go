// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/vishvananda/netns"
	"sigs.k8s.io/yaml"
)

// startAPI runs etcd and a kube-apiserver in the API namespace and applies the rights of the manifest, so that the
// agent has these and no others.
func (w *world) startAPI() {
	w.t.Helper()
	w.certificates()
	w.write("tokens.csv", adminToken+",admin,1,system:masters\n"+
		agentToken+",system:serviceaccount:kube-system:slipway-network,2,system:serviceaccounts\n")
	w.start(apiNamespace, "etcd.log", nil, filepath.Join(w.bin, "etcd"), "--data-dir", filepath.Join(w.dir, "etcd"),
		"--listen-client-urls", "http://127.0.0.1:2379", "--advertise-client-urls", "http://127.0.0.1:2379",
		"--listen-peer-urls", "http://127.0.0.1:2380", "--unsafe-no-fsync")
	w.apiArgs = []string{
		filepath.Join(w.bin, "kube-apiserver"), "--etcd-servers", "http://127.0.0.1:2379",
		"--bind-address", apiAddress, "--secure-port", "6443", "--service-cluster-ip-range", "10.96.0.0/16",
		"--tls-cert-file", w.path("server.crt"), "--tls-private-key-file", w.path("server.key"),
		"--service-account-issuer", "https://kubernetes.default.svc", "--service-account-key-file", w.path("sa.key"),
		"--service-account-signing-key-file", w.path("sa.key"),
		"--token-auth-file", w.path("tokens.csv"), "--authorization-mode", "RBAC", "--endpoint-reconciler-type", "none",
	}
	w.api = w.start(apiNamespace, "apiserver.log", nil, w.apiArgs...)
	w.client = w.clientIn(apiNamespace)
	end := time.Now().Add(90 * time.Second)
	for {
		code, body := w.request(http.MethodGet, "/readyz", nil)
		if code == http.StatusOK {
			break
		}
		if time.Now().After(end) {
			w.t.Fatalf("kube-apiserver is not ready: %d %s", code, body)
		}
		time.Sleep(200 * time.Millisecond)
	}
	b, err := os.ReadFile(manifestPath)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, doc := range strings.Split(string(b), "\n---\n") {
		object, err := yaml.YAMLToJSON([]byte(doc))
		if err != nil {
			w.t.Fatal(err)
		}
		for kind, path := range map[string]string{
			`"kind":"ServiceAccount"`:     "/api/v1/namespaces/kube-system/serviceaccounts",
			`"kind":"ClusterRole"`:        "/apis/rbac.authorization.k8s.io/v1/clusterroles",
			`"kind":"ClusterRoleBinding"`: "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
			`"kind":"DaemonSet"`:          "/apis/apps/v1/namespaces/kube-system/daemonsets",
		} {
			if bytes.Contains(object, []byte(kind+`,"metadata":{"name"`)) || bytes.Contains(object, []byte(kind+`,"metadata":{"labels"`)) {
				// The real server is also the judge of the manifest's every field.
				w.eventually("apply "+kind, func() error {
					if code, body := w.request(http.MethodPost, path+"?fieldValidation=Strict", object); code != http.StatusCreated {
						return fmt.Errorf("%d %s", code, body)
					}
					return nil
				})
			}
		}
	}
}

// certificates makes a server certificate that is its own authority.
func (w *world) certificates() {
	w.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		w.t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, IPAddresses: []net.IP{net.ParseIP(apiAddress)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		w.t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		w.t.Fatal(err)
	}
	sa, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		w.t.Fatal(err)
	}
	w.write("server.crt", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	w.write("server.key", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})))
	w.write("sa.key", string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(sa)})))
	w.write("credentials/ca.crt", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	w.write("credentials/token", agentToken)
}

// request speaks to the API server as an administrator.
func (w *world) request(method, path string, body []byte) (int, string) {
	request, err := http.NewRequest(method, "https://"+apiAddress+":6443"+path, bytes.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+adminToken)
	request.Header.Set("Content-Type", "application/json")
	if method == http.MethodPatch {
		request.Header.Set("Content-Type", "application/merge-patch+json")
	}
	response, err := w.client.Do(request)
	if err != nil {
		return 0, err.Error()
	}
	defer response.Body.Close()
	b, _ := io.ReadAll(response.Body)
	return response.StatusCode, string(b)
}

// addNode registers a node the way a kubelet and the controller manager do.
func (w *world) addNode(name string, ips []string, podCIDRs ...string) {
	w.t.Helper()
	var addrs []map[string]string
	for _, ip := range ips {
		addrs = append(addrs, map[string]string{"type": "InternalIP", "address": ip})
	}
	spec := map[string]any{}
	if len(podCIDRs) > 0 {
		spec["podCIDR"], spec["podCIDRs"] = podCIDRs[0], podCIDRs
	}
	node := map[string]any{"apiVersion": "v1", "kind": "Node", "metadata": map[string]string{"name": name}, "spec": spec}
	b, _ := json.Marshal(node)
	if code, body := w.request(http.MethodPost, "/api/v1/nodes", b); code != http.StatusCreated {
		w.t.Fatalf("create node %s: %d %s", name, code, body)
	}
	w.patchNode(name, "/status", map[string]any{"status": map[string]any{"addresses": addrs}})
}

func (w *world) patchNode(name, subresource string, patch map[string]any) {
	w.t.Helper()
	b, _ := json.Marshal(patch)
	if code, body := w.request(http.MethodPatch, "/api/v1/nodes/"+name+subresource, b); code != http.StatusOK {
		w.t.Fatalf("patch node %s: %d %s", name, code, body)
	}
}

func (w *world) deleteNode(name string) {
	w.t.Helper()
	if code, body := w.request(http.MethodDelete, "/api/v1/nodes/"+name, nil); code != http.StatusOK {
		w.t.Fatalf("delete node %s: %d %s", name, code, body)
	}
}

// clientIn returns an HTTP client whose connections begin in a network namespace.
func (w *world) clientIn(namespace string) *http.Client {
	w.t.Helper()
	roots := x509.NewCertPool()
	if b, err := os.ReadFile(w.path("server.crt")); err != nil || !roots.AppendCertsFromPEM(b) {
		w.t.Fatalf("read server certificate: %v", err)
	}
	return &http.Client{
		Timeout: 10 * time.Second,
		Transport: &http.Transport{
			DisableKeepAlives: true,
			TLSClientConfig:   &tls.Config{RootCAs: roots},
			DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
				// A socket belongs to the namespace of the thread that opens it.
				runtime.LockOSThread()
				defer runtime.UnlockOSThread()
				home, err := netns.Get()
				if err != nil {
					return nil, err
				}
				defer home.Close()
				there, err := netns.GetFromName(namespace)
				if err != nil {
					return nil, err
				}
				defer there.Close()
				if err := netns.Set(there); err != nil {
					return nil, err
				}
				conn, err := (&net.Dialer{Timeout: 3 * time.Second}).DialContext(ctx, network, address)
				if back := netns.Set(home); back != nil {
					panic(back) // the thread must not go on in a foreign namespace
				}
				return conn, err
			},
		},
	}
}
