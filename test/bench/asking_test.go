// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/pem"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// What fails is counted, and one question that hangs does not keep others from being asked.
func TestAsking(t *testing.T) {
	var number atomic.Int32
	enough, hanging := make(chan struct{}), make(chan struct{})
	a := startAsking(t.Context(), time.Millisecond, func(context.Context) error {
		switch number.Add(1) {
		case 2:
			<-hanging
		case 3, 4:
			return errors.New("refused")
		case 20:
			close(enough)
		}
		return nil
	})
	<-enough
	close(hanging)
	got := a.end()
	if got.questions < 20 || len(got.failures) != 2 || got.gap <= 0 || !strings.HasSuffix(got.failures[0], "refused") {
		t.Errorf("got %+v", got)
	}
}

// A gap is the time between two answers; what fails in between does not end it, nor does the end of all questions.
func TestGap(t *testing.T) {
	a := &asking{stop: func() {}, ended: make(chan struct{}), last: time.Now().Add(-time.Hour)}
	close(a.ended)
	a.note(0, errors.New("refused"))
	a.note(0, nil)
	if a.got.gap < time.Hour || time.Since(a.last) > time.Minute {
		t.Errorf("after an answer: gap %s, last answer at %s", a.got.gap, a.last)
	}
	a.last = time.Now().Add(-2 * time.Hour)
	if got := a.end(); got.gap < 2*time.Hour {
		t.Errorf("at the end: gap %s", got.gap)
	}
	if sum := (asked{questions: 1, gap: 3}).and(asked{questions: 2, failures: []string{"x"}, gap: 2}); sum.questions != 3 || len(sum.failures) != 1 || sum.gap != 3 {
		t.Errorf("the sum is %+v", sum)
	}
}

// One client keeps its connection, the other makes one for each question.
func TestAskAPI(t *testing.T) {
	var mu sync.Mutex
	var once sync.Once
	byConnection := map[string]int{}
	enough := make(chan struct{})
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if r.URL.Path != "/api/v1/namespaces/kube-system" {
			t.Errorf("asked for %s", r.URL.Path)
		}
		byConnection[r.RemoteAddr]++
		if len(byConnection) >= 4 && most(byConnection) >= 4 {
			once.Do(func() { close(enough) })
		}
	}))
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	config := clientcmdapi.NewConfig()
	config.Clusters["c"] = &clientcmdapi.Cluster{Server: server.URL, CertificateAuthorityData: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})}
	config.Contexts["c"] = &clientcmdapi.Context{Cluster: "c"}
	config.CurrentContext = "c"
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(*config, path); err != nil {
		t.Fatal(err)
	}
	asking, err := askAPI(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	select {
	case <-enough:
	case <-time.After(20 * time.Second):
		t.Error("there were not four connections, one of them asked over four times")
	}
	for i, got := range asking.end() {
		if got.questions == 0 || len(got.failures) > 0 {
			t.Errorf("connection: %s: %+v", connections[i].words, got)
		}
	}
	if _, err := askAPI(t.Context(), filepath.Join(t.TempDir(), "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a kubeconfig that is not there gives %v", err)
	}
}

// most is the number of questions over the connection that was asked over most.
func most(byConnection map[string]int) int {
	return slices.Max(slices.Collect(maps.Values(byConnection)))
}

// What is no answer is a failure.
func TestGet(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "etcd has no leader", http.StatusServiceUnavailable)
	}))
	defer server.Close()
	if err := get(t.Context(), server.Client(), server.URL); err == nil || err.Error() != "503 Service Unavailable: etcd has no leader" {
		t.Errorf("got %v", err)
	}
}
