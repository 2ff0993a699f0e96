// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// What carries the id is removed, and nothing is asked for that does not.
func TestRemoveByLabel(t *testing.T) {
	version := regexp.MustCompile(`^/v1\.[0-9]+`)
	var removed []string
	engine := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path := version.ReplaceAllString(r.URL.Path, "")
		w.Header().Set("Api-Version", "1.47")
		w.Header().Set("Content-Type", "application/json")
		lists := map[string]string{
			"/containers/json": `[{"Id":"node"}]`,
			"/volumes":         `{"Volumes":[{"Name":"var"}]}`,
			"/networks":        `[{"Id":"net","Name":"net"}]`,
		}
		switch {
		case r.Method == http.MethodDelete:
			removed = append(removed, path)
			w.WriteHeader(http.StatusNoContent)
		case lists[path] != "":
			if !strings.Contains(r.URL.Query().Get("filters"), "slipway.dev/management-cluster=mine") {
				t.Errorf("%s was asked for with %q", path, r.URL.RawQuery)
			}
			fmt.Fprint(w, lists[path])
		}
	}))
	defer engine.Close()
	t.Setenv("DOCKER_HOST", "tcp://"+strings.TrimPrefix(engine.URL, "http://"))
	if err := removeByLabel(t.Context(), "mine"); err != nil {
		t.Fatal(err)
	}
	if want := []string{"/containers/node", "/volumes/var", "/networks/net"}; !slices.Equal(removed, want) {
		t.Errorf("removed %v, want %v", removed, want)
	}
}
