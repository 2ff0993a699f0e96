// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"crypto/tls"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// apiServer answers for as much of a Kubernetes API server as a connection needs:
// /readyz, and list and watch of Nodes.
type apiServer struct {
	*httptest.Server

	mu       sync.Mutex
	version  int
	nodes    map[string]*corev1.Node
	watchers map[chan metav1.WatchEvent]bool
	down     int           // status of /readyz when not 0
	cut      string        // "before" or "within" an answer, the connection is cut; of all but Nodes and /readyz
	hang     chan struct{} // when set, every request waits for it to be closed

	certificate *tls.Certificate // when set, shown in place of httptest's own
}

func newAPIServer(t *testing.T) *apiServer {
	t.Helper()
	return startAPIServer(t, false)
}

// startAPIServer starts one that speaks HTTP/2, as real servers do, or HTTP/1.1.
func startAPIServer(t *testing.T, http2 bool) *apiServer {
	t.Helper()
	s := &apiServer{nodes: map[string]*corev1.Node{}, watchers: map[chan metav1.WatchEvent]bool{}, version: 1}
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(s.answer))
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // handshakes that fail on purpose
	s.TLS = &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.certificate == nil {
			return nil, nil
		}
		return &tls.Config{Certificates: []tls.Certificate{*s.certificate}}, nil
	}}
	s.EnableHTTP2 = http2
	s.StartTLS()
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	return s
}

// kubeconfig names this server; the authority may be another's.
func (s *apiServer) kubeconfig(t *testing.T, authority []byte) []byte {
	t.Helper()
	if authority == nil {
		authority = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	}
	config := clientcmdapi.NewConfig()
	config.Clusters["c"] = &clientcmdapi.Cluster{Server: s.URL, CertificateAuthorityData: authority}
	config.AuthInfos["u"] = &clientcmdapi.AuthInfo{Token: "secret-token"}
	config.Contexts["x"] = &clientcmdapi.Context{Cluster: "c", AuthInfo: "u"}
	config.CurrentContext = "x"
	text, err := clientcmd.Write(*config)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func (s *apiServer) setDown(status int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down = status
}

func (s *apiServer) setCut(cut string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cut = cut
}

func (s *apiServer) setHang(hang chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hang = hang
}

func (s *apiServer) setCertificate(certificate *tls.Certificate) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.certificate = certificate
}

func (s *apiServer) put(node *corev1.Node) {
	s.mu.Lock()
	defer s.mu.Unlock()
	kind := "ADDED"
	if _, there := s.nodes[node.Name]; there {
		kind = "MODIFIED"
	}
	s.change(kind, node)
	s.nodes[node.Name] = node
}

func (s *apiServer) remove(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	node := s.nodes[name]
	delete(s.nodes, name)
	s.change("DELETED", node)
}

func (s *apiServer) change(kind string, node *corev1.Node) {
	s.version++
	node.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "Node"}
	node.ResourceVersion = strconv.Itoa(s.version)
	raw, err := json.Marshal(node)
	if err != nil {
		panic(err)
	}
	for watcher := range s.watchers {
		event := metav1.WatchEvent{Type: kind}
		event.Object.Raw = raw
		watcher <- event
	}
}

func (s *apiServer) answer(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	hang, down, cut := s.hang, s.down, s.cut
	s.mu.Unlock()
	if hang != nil {
		select {
		case <-hang:
		case <-r.Context().Done():
			return
		}
	}
	if r.Header.Get("Authorization") != "Bearer secret-token" {
		http.Error(w, "who are you", http.StatusUnauthorized)
		return
	}
	switch {
	case r.URL.Path == "/readyz" && down != 0:
		http.Error(w, "not ready", down)
	case r.URL.Path == "/readyz":
		fmt.Fprint(w, "ok")
	case r.URL.Path == "/api/v1/nodes" && r.URL.Query().Get("watch") != "":
		s.watch(w, r)
	case r.URL.Path == "/api/v1/nodes":
		s.list(w)
	case cut != "":
		cutConnection(w, cut == "within")
	default:
		http.NotFound(w, r)
	}
}

func (s *apiServer) list(w http.ResponseWriter) {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := corev1.NodeList{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "NodeList"}}
	list.ResourceVersion = strconv.Itoa(s.version)
	for _, node := range s.nodes {
		list.Items = append(list.Items, *node)
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(list)
}

func (s *apiServer) watch(w http.ResponseWriter, r *http.Request) {
	if r.URL.Query().Get("sendInitialEvents") != "" {
		// As servers do that cannot stream lists; the client then lists.
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusUnprocessableEntity)
		_ = json.NewEncoder(w).Encode(metav1.Status{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}, Status: "Failure", Reason: metav1.StatusReasonInvalid, Code: 422})
		return
	}
	events := make(chan metav1.WatchEvent, 100)
	s.mu.Lock()
	s.watchers[events] = true
	// What changed between the list and this watch.
	since, _ := strconv.Atoi(r.URL.Query().Get("resourceVersion"))
	for _, node := range s.nodes {
		if version, _ := strconv.Atoi(node.ResourceVersion); version > since {
			event := metav1.WatchEvent{Type: "MODIFIED"}
			event.Object.Raw, _ = json.Marshal(node)
			events <- event
		}
	}
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.watchers, events)
		s.mu.Unlock()
	}()
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusOK)
	w.(http.Flusher).Flush()
	for {
		select {
		case event := <-events:
			if err := json.NewEncoder(w).Encode(event); err != nil {
				return
			}
			w.(http.Flusher).Flush()
		case <-r.Context().Done():
			return
		}
	}
}

func node(name, providerID string) *corev1.Node {
	return &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID("uid-" + name)},
		Spec:       corev1.NodeSpec{ProviderID: providerID},
		Status:     corev1.NodeStatus{Images: []corev1.ContainerImage{{Names: []string{"big"}}}},
	}
}
