// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"
)

const (
	dialTimeout  = 5 * time.Second // a service address that nothing serves yet answers with silence
	dialInterval = 30 * time.Second
)

// apiServers returns where the API server may be reached, the best first. The kubelet's own server works from
// the node's first moment; the service address (from the environment) needs a kube-proxy that runs, and so does
// only for want of the other. Either one may be missing, but not both.
func apiServers(kubeletConfig string, getenv func(string) string) ([]*url.URL, error) {
	var found []*url.URL
	var problems []error
	if kubeletConfig != "" {
		u, err := kubeconfigServer(kubeletConfig)
		if err != nil {
			problems = append(problems, err)
		} else {
			found = append(found, u)
		}
	}
	if host, port := getenv("KUBERNETES_SERVICE_HOST"), getenv("KUBERNETES_SERVICE_PORT"); host != "" && port != "" {
		found = append(found, &url.URL{Scheme: "https", Host: net.JoinHostPort(host, port)})
	} else {
		problems = append(problems, errors.New("KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set"))
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("find the API server: %w; mount the kubelet's kubeconfig and name it with --kubelet-kubeconfig", errors.Join(problems...))
	}
	return found, nil
}

// kubeconfigServer returns the server of the current context of a kubeconfig. It looks at nothing else in it:
// the credentials there are the kubelet's and not the agent's.
func kubeconfigServer(path string) (*url.URL, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read kubelet's kubeconfig: %w", err)
	}
	var config struct {
		CurrentContext string `json:"current-context"`
		Contexts       []struct {
			Name    string `json:"name"`
			Context struct {
				Cluster string `json:"cluster"`
			} `json:"context"`
		} `json:"contexts"`
		Clusters []struct {
			Name    string `json:"name"`
			Cluster struct {
				Server string `json:"server"`
			} `json:"cluster"`
		} `json:"clusters"`
	}
	if err := yaml.Unmarshal(b, &config); err != nil {
		return nil, fmt.Errorf("parse %s: %w", path, err)
	}
	cluster := ""
	for _, c := range config.Contexts {
		if c.Name == config.CurrentContext {
			cluster = c.Context.Cluster
		}
	}
	for _, c := range config.Clusters {
		if c.Name != cluster {
			continue
		}
		u, err := url.Parse(c.Cluster.Server)
		if err != nil || u.Scheme != "https" || u.Host == "" {
			return nil, fmt.Errorf("parse %s: server %q of cluster %q is not an https address", path, c.Cluster.Server, cluster)
		}
		return &url.URL{Scheme: u.Scheme, Host: u.Host}, nil
	}
	return nil, fmt.Errorf("parse %s: current context %q leads to no cluster", path, config.CurrentContext)
}

// nodeClient returns a REST client that knows the types of the core group only; the whole clientset would
// double the program. credentials is a directory with the files ca.crt and token.
func nodeClient(servers []*url.URL, credentials string, log *slog.Logger) (*rest.RESTClient, error) {
	token, ca := filepath.Join(credentials, "token"), filepath.Join(credentials, "ca.crt")
	for _, f := range []string{token, ca} {
		if _, err := os.ReadFile(f); err != nil {
			return nil, fmt.Errorf("read service account credentials: %w; run as a pod with automountServiceAccountToken", err)
		}
	}
	scheme := runtime.NewScheme()
	if err := corev1.AddToScheme(scheme); err != nil {
		return nil, fmt.Errorf("register core types: %w", err)
	}
	metav1.AddToGroupVersion(scheme, corev1.SchemeGroupVersion)
	dialer := &net.Dialer{Timeout: dialTimeout, KeepAlive: dialInterval}
	config := &rest.Config{
		Host:            servers[0].String(),
		APIPath:         "/api",
		BearerTokenFile: token,
		TLSClientConfig: rest.TLSClientConfig{CAFile: ca},
		UserAgent:       "slipway-network/" + version,
		Dial:            dialer.DialContext,
		ContentConfig: rest.ContentConfig{
			GroupVersion:         &corev1.SchemeGroupVersion,
			NegotiatedSerializer: serializer.NewCodecFactory(scheme).WithoutConversion(),
			AcceptContentTypes:   "application/vnd.kubernetes.protobuf,application/json",
			ContentType:          "application/vnd.kubernetes.protobuf",
		},
	}
	config.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return &failover{next: next, servers: servers, log: log}
	})
	client, err := rest.RESTClientFor(config)
	if err != nil {
		return nil, fmt.Errorf("make API client: %w", err)
	}
	return client, nil
}

// failover sends each request to one of several addresses of the same API server and, when that one cannot be
// reached, the next request to the next. It never sends a request twice: whoever sent it tries again.
type failover struct {
	next    http.RoundTripper
	servers []*url.URL
	log     *slog.Logger

	mu      sync.Mutex
	current int // index into servers
}

// RoundTrip implements http.RoundTripper.
func (f *failover) RoundTrip(request *http.Request) (*http.Response, error) {
	f.mu.Lock()
	used := f.current
	f.mu.Unlock()
	sent := request.Clone(request.Context())
	sent.URL.Scheme, sent.URL.Host = f.servers[used].Scheme, f.servers[used].Host
	sent.Host = ""
	response, err := f.next.RoundTrip(sent)
	if err == nil || request.Context().Err() != nil || len(f.servers) == 1 {
		return response, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.current == used { // and not moved on already by a request beside this one
		f.current = (used + 1) % len(f.servers)
		f.log.Warn("API server cannot be reached; trying its other address",
			"address", f.servers[used].Host, "next", f.servers[f.current].Host, "error", err)
	}
	return response, err
}
