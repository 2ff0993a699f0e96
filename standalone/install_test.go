// SPDX-License-Identifier: Apache-2.0

package standalone

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// An aggregated role's rules are not ours to state, not even that there are none.
func TestAggregatedRulesAreNotStated(t *testing.T) {
	scheme, err := installScheme()
	if err != nil {
		t.Fatal(err)
	}
	all := aggregated()
	u, err := applyForm(scheme, all)
	if err != nil {
		t.Fatal(err)
	}
	if _, stated := u.Object["rules"]; stated {
		t.Errorf("applied: %v", u.Object)
	}
	all.AggregationRule, all.Rules = nil, []rbacv1.PolicyRule{{Verbs: []string{"get"}}}
	if u, err = applyForm(scheme, all); err != nil || u.Object["rules"] == nil {
		t.Errorf("rules of its own: %v, %v", u, err)
	}
}

func aggregated() *rbacv1.ClusterRole {
	return &rbacv1.ClusterRole{
		ObjectMeta: metav1.ObjectMeta{Name: "test:all"},
		AggregationRule: &rbacv1.AggregationRule{ClusterRoleSelectors: []metav1.LabelSelector{
			{MatchLabels: map[string]string{"test.slipway.dev/aggregate": "true"}},
		}},
	}
}

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
