// SPDX-License-Identifier: Apache-2.0

package nodeimage

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// fakeEngine answers the requests that this package makes as the Docker engine
// does. It keeps images by reference, as loaded.
type fakeEngine struct {
	images    map[string]*fakeImage
	loadError string
	nameless  []string // identifiers of images without a name
	removed   []string
}

type fakeImage struct {
	id     string
	config imageConfig
}

func (f *fakeEngine) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Api-Version", "1.47")
	w.Header().Set("Content-Type", "application/json")
	path := r.URL.Path
	if strings.HasPrefix(path, "/v1.") {
		path = path[strings.Index(path[1:], "/")+1:]
	}
	switch {
	case path == "/_ping":
	case path == "/version":
		_, _ = io.WriteString(w, `{"ApiVersion":"1.47"}`)
	case path == "/info":
		_, _ = io.WriteString(w, `{"DockerRootDir":"/nonexistent"}`)
	case path == "/images/load":
		f.load(w, r.Body)
	case path == "/images/json":
		// Filtering is the engine's; here it is checked that it is asked for.
		var list []map[string]string
		if filters := r.URL.Query().Get("filters"); strings.Contains(filters, `"dangling"`) && strings.Contains(filters, contentLabel) {
			for _, id := range f.nameless {
				list = append(list, map[string]string{"Id": id})
			}
		}
		_ = json.NewEncoder(w).Encode(list)
	case r.Method == http.MethodDelete:
		f.removed = append(f.removed, strings.TrimPrefix(path, "/images/"))
		_, _ = io.WriteString(w, `[]`)
	case strings.HasSuffix(path, "/json"):
		image := f.images[strings.TrimSuffix(strings.TrimPrefix(path, "/images/"), "/json")]
		if image == nil {
			w.WriteHeader(http.StatusNotFound)
			_, _ = io.WriteString(w, `{"message":"No such image"}`)
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"Id": image.id, "Size": 1234, "Config": image.config})
	default:
		w.WriteHeader(http.StatusNotImplemented)
	}
}

// load reads an archive as the engine would and keeps its image.
func (f *fakeEngine) load(w io.Writer, body io.Reader) {
	entries := map[string][]byte{}
	for archive := tar.NewReader(body); ; {
		header, err := archive.Next()
		if err != nil {
			break
		}
		entries[header.Name], _ = io.ReadAll(archive)
	}
	if f.loadError != "" {
		_ = json.NewEncoder(w).Encode(map[string]any{"error": f.loadError, "errorDetail": map[string]string{"message": f.loadError}})
		return
	}
	var manifest []struct {
		Config           string
		RepoTags, Layers []string
	}
	var config struct {
		Config imageConfig `json:"config"`
	}
	if json.Unmarshal(entries["manifest.json"], &manifest) != nil || json.Unmarshal(entries[manifest[0].Config], &config) != nil {
		_ = json.NewEncoder(w).Encode(map[string]string{"error": "bad archive"})
		return
	}
	for _, tag := range manifest[0].RepoTags {
		if old := f.images[tag]; old != nil {
			f.nameless = append(f.nameless, old.id)
		}
		f.images[tag] = &fakeImage{id: "sha256:" + strings.TrimSuffix(manifest[0].Config, ".json"), config: config.Config}
	}
	_, _ = io.WriteString(w, `{"stream":"Loaded"}`+"\n")
}

// serveEngine starts an engine without images and returns its address.
func serveEngine(t *testing.T) (fake *fakeEngine, address string) {
	t.Helper()
	fake = &fakeEngine{images: map[string]*fakeImage{}}
	server := httptest.NewServer(fake)
	t.Cleanup(server.Close)
	t.Setenv("DOCKER_HOST", "")
	return fake, strings.Replace(server.URL, "http://", "tcp://", 1)
}

func startEngine(t *testing.T) (*fakeEngine, engine) {
	t.Helper()
	fake, address := serveEngine(t)
	e, err := connect(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.close)
	return fake, e
}

func testLayer(t *testing.T, content string) layer {
	t.Helper()
	l := layer{path: filepath.Join(t.TempDir(), "layer.tar"), origin: "test"}
	var err error
	if l.digest, err = writeLayer(writeTree(t, map[string]string{"file": content}), l.path, rootOwns); err != nil {
		t.Fatal(err)
	}
	return l
}

func TestConnectSaysWhatToDo(t *testing.T) {
	_, err := connect(t.Context(), "unix:///nonexistent/docker.sock")
	expectError(t, err, "unix:///nonexistent/docker.sock", "start the engine", "DOCKER_HOST")
	t.Setenv("DOCKER_HOST", "ssh://somewhere")
	_, err = connect(t.Context(), "")
	expectError(t, err, "ssh://somewhere", "ssh -L")
}

// TestCandidates holds the places that providers/docker/containers looks at too.
func TestCandidates(t *testing.T) {
	t.Setenv("DOCKER_HOST", "")
	t.Setenv("XDG_RUNTIME_DIR", "/run/user/7")
	usual := []string{
		"unix:///var/run/docker.sock", "unix:///run/user/7/docker.sock",
		"unix:///run/user/7/podman/podman.sock", "unix:///run/podman/podman.sock",
	}
	hosts, given := candidates("")
	if diff := cmp.Diff(usual, hosts); diff != "" || given {
		t.Errorf("given %v, %s", given, diff)
	}
	t.Setenv("DOCKER_HOST", "tcp://environment:1")
	for host, want := range map[string]string{"": "tcp://environment:1", "unix:///option": "unix:///option"} {
		if hosts, given := candidates(host); len(hosts) != 1 || hosts[0] != want || !given {
			t.Errorf("%q: %v, given %v", host, hosts, given)
		}
	}
}

func TestFirstAnsweringGoesOn(t *testing.T) {
	_, answers := serveEngine(t)
	const dead = "unix:///nonexistent/docker.sock"
	api, _ := firstAnswering(t.Context(), []string{dead, answers})
	if api == nil {
		t.Fatal("the engine that answers was not found")
	}
	defer api.Close()
	if api.DaemonHost() != answers {
		t.Errorf("connected to %s", api.DaemonHost())
	}
	if none, tried := firstAnswering(t.Context(), []string{dead, dead}); none != nil || len(tried) != 2 || !strings.HasPrefix(tried[0], dead) {
		t.Errorf("%v, %v", none, tried)
	}
}

func TestLoadAndReuse(t *testing.T) {
	fake, e := startEngine(t)
	r := record{dir: filepath.Join(t.TempDir(), "images"), name: "node"}
	const reference = "slipway/node:v1.37.1"
	layers := []layer{testLayer(t, "base"), testLayer(t, "top")}
	load := func(content string) Image {
		t.Helper()
		config := imageConfig{Labels: map[string]string{contentLabel: content}, Volumes: map[string]struct{}{"/var": {}}}
		if err := e.load(t.Context(), []string{reference}, config, time.Unix(0, 0), layers); err != nil {
			t.Fatal(err)
		}
		image, err := r.finish(t.Context(), e, reference, content, []byte("{}"))
		if err != nil {
			t.Fatal(err)
		}
		return image
	}
	expectReuse := func(content string, want bool) {
		t.Helper()
		image, ok, err := r.reusable(t.Context(), e, reference, content)
		if err != nil || ok != want || ok != image.Reused {
			t.Errorf("content %s: reusable %v, %v; want %v", content, ok, err, want)
		}
	}
	expectReuse("one", false) // nothing anywhere
	first := load("one")
	if first.ID == "" || first.Size != 1234 || first.SBOM != r.sbom() || first.Reused {
		t.Errorf("%+v", first)
	}
	if len(fake.removed) > 0 {
		t.Errorf("removed %v though nothing was replaced", fake.removed)
	}
	expectReuse("one", true)
	expectReuse("two", false) // an input changed

	second := load("two")
	if diff := cmp.Diff([]string{first.ID}, fake.removed); diff != "" {
		t.Error(diff)
	}
	expectReuse("two", true)

	// Someone put another image under the name, with the label copied.
	fake.images[reference].id = "sha256:other"
	expectReuse("two", false)
	fake.images[reference].id = second.ID
	expectReuse("two", true)
	// The bill of materials was removed.
	if err := os.Remove(r.sbom()); err != nil {
		t.Fatal(err)
	}
	expectReuse("two", false)
	load("two")
	// The image was removed.
	delete(fake.images, reference)
	expectReuse("two", false)
}

func TestLoadReportsTheEnginesError(t *testing.T) {
	fake, e := startEngine(t)
	fake.loadError = "no space left on device"
	err := e.load(t.Context(), []string{"slipway/node:v1"}, imageConfig{}, time.Unix(0, 0), []layer{testLayer(t, "x")})
	expectError(t, err, "slipway/node:v1", "no space left on device")

	fake.loadError = ""
	missing := layer{path: filepath.Join(t.TempDir(), "missing.tar"), digest: "sha256:0"}
	if err := e.load(t.Context(), []string{"slipway/node:v1"}, imageConfig{}, time.Unix(0, 0), []layer{missing}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing layer: %v", err)
	}
}

func TestImageConfigurationIsReproducible(t *testing.T) {
	layers := []layer{{digest: "sha256:aa", origin: "base"}, {digest: "sha256:bb", origin: "top"}}
	config := imageConfig{
		Entrypoint: []string{"/init"}, StopSignal: "SIGRTMIN+3", Volumes: map[string]struct{}{"/var": {}},
		Labels: map[string]string{"b": "2", "a": "1"},
	}
	created := time.Date(2026, 1, 2, 3, 4, 5, 0, time.FixedZone("", 3600))
	first, err := imageConfiguration(config, created, layers)
	if err != nil {
		t.Fatal(err)
	}
	second, err := imageConfiguration(config, created, layers)
	if err != nil || !bytes.Equal(first, second) {
		t.Errorf("%v: %s and %s", err, first, second)
	}
	var got struct {
		OS, Created string
		Config      imageConfig
		RootFS      struct {
			DiffIDs []string `json:"diff_ids"`
		}
		History []map[string]string
	}
	if err := json.Unmarshal(first, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(config, got.Config); diff != "" {
		t.Error(diff)
	}
	if got.OS != "linux" || got.Created != "2026-01-02T02:04:05Z" || len(got.History) != 2 || got.History[1]["created_by"] != "top" {
		t.Errorf("%s", first)
	}
	if diff := cmp.Diff([]string{"sha256:aa", "sha256:bb"}, got.RootFS.DiffIDs); diff != "" {
		t.Error(diff)
	}
}
