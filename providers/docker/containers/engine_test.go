// SPDX-License-Identifier: Apache-2.0

package containers

import (
	"archive/tar"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/go-logr/logr"
)

// memoryEngine speaks as much of the Docker API as the tests of crashes need, over a socket, with everything in memory. Its
// commands in containers do nothing and succeed.
type memoryEngine struct {
	t    *testing.T
	Host string

	mu         sync.Mutex
	ID         string // as /info tells it
	Podman     bool
	networks   map[string]*memoryNetwork
	containers map[string]*memoryContainer
	volumes    map[string]map[string]string // labels by name
	images     map[string]bool
	made       int
	// keptVolumes counts removals of containers that leave their anonymous volumes.
	keptVolumes int
	calls       []string // "METHOD path", without the API's version
	lacks       []string // folders that its host does not have
	// broken fails a call when it gives a status that is not 0.
	broken func(call string) (status int, message string)
}

type memoryNetwork struct {
	ID, Name string
	Labels   map[string]string
	Subnet   string
}

type memoryContainer struct {
	ID, Name, Image, State, Address string
	Binds                           []string // folders of the host
	Labels                          map[string]string
	Files                           map[string]string
	Log                             string
}

func newMemoryEngine(t *testing.T) *memoryEngine {
	t.Helper()
	e := &memoryEngine{
		t: t, ID: "engine-1", Host: "unix://" + filepath.Join(t.TempDir(), "engine.sock"),
		networks: map[string]*memoryNetwork{}, containers: map[string]*memoryContainer{}, volumes: map[string]map[string]string{},
		images: map[string]bool{testImage: true},
	}
	e.listen(strings.TrimPrefix(e.Host, "unix://"))
	return e
}

// listen serves at another address too.
func (e *memoryEngine) listen(socket string) {
	e.t.Helper()
	listener, err := net.Listen("unix", socket)
	if err != nil {
		e.t.Fatal(err)
	}
	server := &http.Server{Handler: e}
	go func() { _ = server.Serve(listener) }()
	e.t.Cleanup(func() { _ = server.Close() })
}

// client is connected as management cluster "m1".
func (e *memoryEngine) client(options Options) *Client {
	e.t.Helper()
	options.Host, options.ManagementID, options.Logger = e.Host, "m1", logr.Discard()
	c, err := New(e.t.Context(), options)
	if err != nil {
		e.t.Fatal(err)
	}
	e.t.Cleanup(func() { _ = c.Close() })
	return c
}

// count is how many calls there were that contain the text.
func (e *memoryEngine) count(part string) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	found := 0
	for _, call := range e.calls {
		if strings.Contains(call, part) {
			found++
		}
	}
	return found
}

var versionPrefix = regexp.MustCompile(`^/v[0-9.]+`)

func (e *memoryEngine) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	e.mu.Lock()
	defer e.mu.Unlock()
	where := versionPrefix.ReplaceAllString(request.URL.Path, "")
	call := request.Method + " " + where
	e.calls = append(e.calls, call)
	w.Header().Set("Api-Version", "1.44")
	w.Header().Set("Content-Type", "application/json")
	if e.broken != nil {
		if status, message := e.broken(call); status != 0 {
			refuse(w, status, message)
			return
		}
	}
	parts := strings.Split(strings.Trim(where, "/"), "/")
	switch parts[0] {
	case "_ping":
		e.answer(w, "OK")
	case "version":
		components := []any{map[string]string{"Name": "Engine"}}
		if e.Podman {
			components = []any{map[string]string{"Name": "Podman Engine"}}
		}
		e.answer(w, map[string]any{"Version": "29.0.0", "ApiVersion": "1.44", "Components": components})
	case "info":
		e.answer(w, map[string]string{"ID": e.ID})
	case "networks":
		e.network(w, request, parts[1:])
	case "containers":
		e.container(w, request, parts[1:])
	case "volumes":
		e.volume(w, request, parts[1:])
	case "exec":
		e.exec(w, request, parts[len(parts)-1])
	case "images":
		if name := strings.Join(parts[1:len(parts)-1], "/"); !e.images[name] {
			refuse(w, http.StatusNotFound, "No such image: "+name)
			return
		}
		e.answer(w, map[string]string{"Id": "sha256:1"})
	default:
		e.t.Errorf("nobody answers %s", call)
		refuse(w, http.StatusNotImplemented, call)
	}
}

func (e *memoryEngine) answer(w http.ResponseWriter, answer any) {
	if err := json.NewEncoder(w).Encode(answer); err != nil {
		e.t.Error(err)
	}
}

func refuse(w http.ResponseWriter, status int, message string) {
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"message": message})
}

func (e *memoryEngine) next(kind string) string {
	e.made++
	return fmt.Sprintf("%s%d", kind, e.made)
}

func (e *memoryEngine) decode(request *http.Request, into any) {
	if err := json.NewDecoder(request.Body).Decode(into); err != nil {
		e.t.Error(err)
	}
}

// filters are those of a list, by name.
func (e *memoryEngine) filters(request *http.Request, name string) []string {
	var given map[string]map[string]bool
	if text := request.URL.Query().Get("filters"); text != "" {
		if err := json.Unmarshal([]byte(text), &given); err != nil {
			e.t.Error(err)
		}
	}
	var found []string
	for value := range given[name] {
		found = append(found, value)
	}
	return found
}

func chosen(labels map[string]string, wanted []string) bool {
	return !slices.ContainsFunc(wanted, func(one string) bool {
		key, value, exact := strings.Cut(one, "=")
		has, there := labels[key]
		return !there || exact && has != value
	})
}

func (e *memoryEngine) network(w http.ResponseWriter, request *http.Request, parts []string) {
	describe := func(n *memoryNetwork) map[string]any {
		return map[string]any{"Id": n.ID, "Name": n.Name, "Labels": n.Labels, "IPAM": map[string]any{"Config": []any{map[string]string{"Subnet": n.Subnet}}}}
	}
	switch {
	case len(parts) == 0:
		list := []any{}
		for _, n := range e.networks {
			names := e.filters(request, "name")
			if chosen(n.Labels, e.filters(request, "label")) && (len(names) == 0 || strings.Contains(n.Name, names[0])) {
				list = append(list, describe(n))
			}
		}
		e.answer(w, list)
	case parts[0] == "create":
		var asked struct {
			Name   string
			Labels map[string]string
			IPAM   struct{ Config []struct{ Subnet string } }
		}
		e.decode(request, &asked)
		made := &memoryNetwork{ID: e.next("n"), Name: asked.Name, Labels: asked.Labels, Subnet: "172.18.0.0/16"}
		if len(asked.IPAM.Config) > 0 {
			made.Subnet = asked.IPAM.Config[0].Subnet
		}
		e.networks[made.ID] = made
		w.WriteHeader(http.StatusCreated)
		e.answer(w, map[string]string{"Id": made.ID})
	case e.networks[parts[0]] == nil:
		refuse(w, http.StatusNotFound, "network "+parts[0]+" not found")
	case request.Method == http.MethodDelete:
		delete(e.networks, parts[0])
		w.WriteHeader(http.StatusNoContent)
	default:
		e.answer(w, describe(e.networks[parts[0]]))
	}
}

// found is the container with that id or name.
func (e *memoryEngine) found(name string) *memoryContainer {
	for _, one := range e.containers {
		if one.ID == name || one.Name == name {
			return one
		}
	}
	return nil
}

func (e *memoryEngine) container(w http.ResponseWriter, request *http.Request, parts []string) {
	switch parts[0] {
	case "json":
		list := []any{}
		for _, id := range slices.Sorted(maps.Keys(e.containers)) {
			states := e.filters(request, "status")
			if one := e.containers[id]; chosen(one.Labels, e.filters(request, "label")) && (len(states) == 0 || slices.Contains(states, one.State)) {
				list = append(list, map[string]any{"Id": one.ID, "Names": []string{"/" + one.Name}, "Labels": one.Labels, "State": one.State})
			}
		}
		e.answer(w, list)
		return
	case "create":
		e.create(w, request)
		return
	}
	one := e.found(parts[0])
	if one == nil {
		refuse(w, http.StatusNotFound, "No such container: "+parts[0])
		return
	}
	what := ""
	if len(parts) > 1 {
		what = parts[1]
	}
	switch what {
	case "json":
		networks := map[string]any{}
		if one.State == "running" {
			networks[NetworkName("m1")] = map[string]any{"IPAddress": one.Address, "IPPrefixLen": 16}
		}
		e.answer(w, map[string]any{
			"Id": one.ID, "Name": "/" + one.Name, "State": map[string]any{"Status": one.State},
			"Config": map[string]any{"Image": one.Image, "Labels": one.Labels}, "HostConfig": map[string]any{"Privileged": true},
			"NetworkSettings": map[string]any{"Networks": networks},
		})
	case "start":
		one.State = "running"
		w.WriteHeader(http.StatusNoContent)
	case "kill":
		w.WriteHeader(http.StatusNoContent)
	case "exec":
		w.WriteHeader(http.StatusCreated)
		e.answer(w, map[string]string{"Id": "e1"})
	case "archive":
		e.archive(w, request, one)
	case "logs":
		_, _ = io.WriteString(w, one.Log)
	case "":
		delete(e.containers, one.ID)
		if request.URL.Query().Get("v") != "1" {
			e.keptVolumes++
		}
		w.WriteHeader(http.StatusNoContent)
	default:
		e.t.Errorf("nobody answers %s of a container", what)
	}
}

func (e *memoryEngine) create(w http.ResponseWriter, request *http.Request) {
	var asked struct {
		Image      string
		Labels     map[string]string
		HostConfig struct {
			Mounts []struct{ Type, Source string }
		}
		NetworkingConfig struct {
			EndpointsConfig map[string]struct{ IPAMConfig struct{ IPv4Address string } }
		}
	}
	e.decode(request, &asked)
	made := &memoryContainer{ID: e.next("c"), Name: request.URL.Query().Get("name"), Image: asked.Image, State: "created", Labels: asked.Labels, Files: map[string]string{}}
	for _, one := range asked.HostConfig.Mounts {
		if one.Type == "bind" {
			made.Binds = append(made.Binds, one.Source)
		}
		if slices.Contains(e.lacks, one.Source) {
			refuse(w, http.StatusBadRequest, `invalid mount config for type "bind": bind source path does not exist: `+one.Source)
			return
		}
	}
	for _, one := range asked.NetworkingConfig.EndpointsConfig {
		made.Address = one.IPAMConfig.IPv4Address
	}
	e.containers[made.ID] = made
	w.WriteHeader(http.StatusCreated)
	e.answer(w, map[string]string{"Id": made.ID})
}

func (e *memoryEngine) archive(w http.ResponseWriter, request *http.Request, of *memoryContainer) {
	if request.Method == http.MethodPut {
		reader := tar.NewReader(request.Body)
		for {
			header, err := reader.Next()
			if errors.Is(err, io.EOF) {
				return
			}
			content, readErr := io.ReadAll(reader)
			if err := errors.Join(err, readErr); err != nil {
				e.t.Error(err)
				return
			}
			of.Files["/"+header.Name] = string(content)
		}
	}
	file := request.URL.Query().Get("path")
	content, there := of.Files[file]
	if !there {
		refuse(w, http.StatusNotFound, "Could not find the file "+file)
		return
	}
	stat, err := json.Marshal(map[string]any{"name": path.Base(file), "size": len(content)})
	if err != nil {
		e.t.Error(err)
	}
	w.Header().Set("X-Docker-Container-Path-Stat", base64.StdEncoding.EncodeToString(stat))
	var out bytes.Buffer
	writer := tar.NewWriter(&out)
	header := &tar.Header{Name: path.Base(file), Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(content))}
	if err := errors.Join(writer.WriteHeader(header), write(writer, []byte(content)), writer.Close()); err != nil {
		e.t.Error(err)
	}
	_, _ = w.Write(out.Bytes())
}

func (e *memoryEngine) volume(w http.ResponseWriter, request *http.Request, parts []string) {
	switch {
	case len(parts) == 0:
		e.answer(w, map[string]any{"Volumes": []any{}})
	case parts[0] == "create":
		var asked struct {
			Name   string
			Labels map[string]string
		}
		e.decode(request, &asked)
		e.volumes[asked.Name] = asked.Labels
		w.WriteHeader(http.StatusCreated)
		e.answer(w, map[string]any{"Name": asked.Name})
	case e.volumes[parts[0]] == nil:
		refuse(w, http.StatusNotFound, "no such volume")
	case request.Method == http.MethodDelete:
		delete(e.volumes, parts[0])
		w.WriteHeader(http.StatusNoContent)
	default:
		e.answer(w, map[string]any{"Name": parts[0], "Labels": e.volumes[parts[0]]})
	}
}

// exec ends a command at once, with nothing said.
func (e *memoryEngine) exec(w http.ResponseWriter, request *http.Request, what string) {
	_, _ = io.Copy(io.Discard, request.Body) // what is unread when it ends would take the answer with it
	if what == "json" {
		e.answer(w, map[string]any{"Running": false, "ExitCode": 0})
		return
	}
	connection, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		e.t.Error(err)
		return
	}
	_, _ = io.WriteString(connection, "HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.raw-stream\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n")
	_ = connection.Close()
}
