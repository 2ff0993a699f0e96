// SPDX-License-Identifier: Apache-2.0

package standalone

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

func TestInstallNeedsARecentServer(t *testing.T) {
	for told, refused := range map[string]bool{
		"v1.33.4": true, "v1.30.5-gke.100": true, "v1.33.9+k3s1": true,
		"v1.34.0": false, "v1.34.0-rc.1": false, "v1.37.1": false, "v2.0.0": false, "unknown": false,
	} {
		var others []string
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/version" {
				others = append(others, r.Method+" "+r.URL.Path)
				http.Error(w, "not here", http.StatusForbidden)
				return
			}
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprintf(w, `{"gitVersion":%q}`, told)
		}))
		err := Install(t.Context(), &rest.Config{Host: server.URL}, []client.Object{widgets("v1")})
		server.Close()
		if err == nil {
			t.Errorf("%s: a server that refuses everything took the objects", told)
			continue
		}
		said := strings.Contains(err.Error(), "needs Kubernetes 1.34 or newer") && strings.Contains(err.Error(), told) && strings.Contains(err.Error(), server.URL)
		if said != refused {
			t.Errorf("%s: %v", told, err)
		}
		if refused && len(others) > 0 {
			t.Errorf("%s: besides its version it was asked for %v", told, others)
		}
	}
}
