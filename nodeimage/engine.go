// SPDX-License-Identifier: Apache-2.0

package nodeimage

import (
	"archive/tar"
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/client"
)

// contentLabel, on an image, holds the hash of what it was made from.
const contentLabel = "slipway.dev/content"

// engine is the Docker engine, or another with its API, that images go into.
type engine struct {
	api  *client.Client
	root string // its data directory; empty when it is on another machine
}

func connect(ctx context.Context, host string) (engine, error) {
	api, err := Connect(ctx, host)
	if err != nil {
		return engine{}, err
	}
	info, err := api.Info(ctx, client.InfoOptions{})
	if err != nil {
		_ = api.Close()
		return engine{}, fmt.Errorf("ask the container engine at %s about itself: %w", api.DaemonHost(), err)
	}
	e := engine{api: api}
	if strings.HasPrefix(api.DaemonHost(), "unix://") {
		if _, err := os.Stat(info.Info.DockerRootDir); err == nil {
			e.root = info.Info.DockerRootDir
		}
	}
	return e, nil
}

// answerTimeout bounds how long an engine may take to answer the first question.
const answerTimeout = 5 * time.Second

// Connect connects to the container engine that images are built into: the one at
// host, else at DOCKER_HOST, else the first that answers at a usual socket. These
// are the places where the Docker provider looks too, in the same order: images
// and machines have to be in one engine. The caller closes the client.
func Connect(ctx context.Context, host string) (*client.Client, error) {
	hosts, given := candidates(host)
	api, tried := firstAnswering(ctx, hosts)
	if api != nil {
		return api, nil
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	next := "install Docker Engine (Debian and Ubuntu: apt-get install docker.io), start it (systemctl start docker, or run dockerd as root), make sure that this user may use its socket, or set DOCKER_HOST to a Docker or Podman socket"
	if given {
		next = "start the engine at that address, make sure that this user may use it, or correct or unset DOCKER_HOST"
	}
	return nil, fmt.Errorf("no container engine answers (tried %s); %s", strings.Join(tried, "; "), next)
}

// candidates lists the addresses to try, and whether the user named the address.
func candidates(host string) (hosts []string, given bool) {
	if host == "" {
		host = os.Getenv(client.EnvOverrideHost)
	}
	if host != "" {
		return []string{host}, true
	}
	hosts = []string{client.DefaultDockerHost}
	if runtime := os.Getenv("XDG_RUNTIME_DIR"); runtime != "" {
		hosts = append(hosts, "unix://"+runtime+"/docker.sock", "unix://"+runtime+"/podman/podman.sock")
	}
	return append(hosts, "unix:///run/podman/podman.sock"), false
}

// firstAnswering returns a client of the first engine that answers, or nil and
// what each of them said.
func firstAnswering(ctx context.Context, hosts []string) (api *client.Client, tried []string) {
	for _, host := range hosts {
		api, err := dial(ctx, host)
		if err == nil {
			return api, nil
		}
		reason, _, _ := strings.Cut(strings.TrimSpace(err.Error()), "\n")
		tried = append(tried, host+": "+reason)
	}
	return nil, tried
}

func dial(ctx context.Context, host string) (*client.Client, error) {
	if strings.HasPrefix(host, "ssh://") {
		return nil, errors.New("ssh addresses are not supported: forward the socket (ssh -L) and name it as unix://")
	}
	api, err := client.New(client.WithTLSClientConfigFromEnv(), client.WithHost(host), client.WithAPIVersionFromEnv())
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	if _, err := api.ServerVersion(ctx, client.ServerVersionOptions{}); err != nil {
		_ = api.Close()
		return nil, err
	}
	return api, nil
}

func (e engine) close() { _ = e.api.Close() }

// find returns the image with a name, or an empty one when there is none.
func (e engine) find(ctx context.Context, reference string) (image Image, content string, err error) {
	found, err := e.api.ImageInspect(ctx, reference)
	if errdefs.IsNotFound(err) {
		return Image{}, "", nil
	}
	if err != nil {
		return Image{}, "", fmt.Errorf("look up image %s: %w", reference, err)
	}
	if found.Config != nil {
		content = found.Config.Labels[contentLabel]
	}
	return Image{Reference: reference, ID: found.ID, Size: found.Size}, content, nil
}

// layer is one layer's archive, uncompressed.
type layer struct {
	path   string
	digest string // "sha256:<hex>"
	origin string // for the image's history
}

// imageConfig is the part of an image's configuration that ours use.
type imageConfig struct {
	Env        []string            `json:"Env,omitempty"`
	Entrypoint []string            `json:"Entrypoint,omitempty"`
	Volumes    map[string]struct{} `json:"Volumes,omitempty"`
	Labels     map[string]string   `json:"Labels,omitempty"`
	StopSignal string              `json:"StopSignal,omitempty"`
	WorkingDir string              `json:"WorkingDir,omitempty"`
}

// load puts an image made of layers, lowest first, into the engine under some
// names. A layer that the engine has already is not stored again.
func (e engine) load(ctx context.Context, references []string, config imageConfig, created time.Time, layers []layer) error {
	configuration, err := imageConfiguration(config, created, layers)
	if err != nil {
		return fmt.Errorf("encode configuration of %s: %w", references[0], err)
	}
	reader, writer := io.Pipe()
	go func() { writer.CloseWithError(writeImageArchive(writer, references, configuration, layers)) }()
	defer reader.Close()
	result, err := e.api.ImageLoad(ctx, reader, client.ImageLoadWithQuiet(true))
	if err != nil {
		return fmt.Errorf("load image %s: %w", references[0], err)
	}
	defer result.Close()
	if err := loadFailure(result); err != nil {
		return fmt.Errorf("load image %s: %w", references[0], err)
	}
	e.removeNameless(ctx)
	return nil
}

// removeNameless removes images of ours that newer ones took the name from. The
// engine refuses those that containers still use; a later build tries again.
func (e engine) removeNameless(ctx context.Context) {
	found, err := e.api.ImageList(ctx, client.ImageListOptions{
		Filters: client.Filters{}.Add("dangling", "true").Add("label", contentLabel),
	})
	if err != nil {
		return // they cost space, nothing else
	}
	for _, image := range found.Items {
		_, _ = e.api.ImageRemove(ctx, image.ID, client.ImageRemoveOptions{PruneChildren: true})
	}
}

// loadFailure reads the engine's messages to the end and returns the error among
// them: the engine has answered "200 OK" before it knows.
func loadFailure(messages io.Reader) error {
	lines := bufio.NewScanner(messages)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var message struct {
			Error string `json:"error"`
		}
		if err := json.Unmarshal(lines.Bytes(), &message); err == nil && message.Error != "" {
			return errors.New(message.Error)
		}
	}
	return lines.Err()
}

// imageConfiguration is the image's JSON configuration, whose hash is the image's ID.
func imageConfiguration(config imageConfig, created time.Time, layers []layer) ([]byte, error) {
	type history struct {
		Created   time.Time `json:"created"`
		CreatedBy string    `json:"created_by"`
	}
	var image struct {
		Architecture string      `json:"architecture"`
		OS           string      `json:"os"`
		Created      time.Time   `json:"created"`
		Config       imageConfig `json:"config"`
		RootFS       struct {
			Type    string   `json:"type"`
			DiffIDs []string `json:"diff_ids"`
		} `json:"rootfs"`
		History []history `json:"history"`
	}
	image.Architecture, image.OS, image.Created, image.Config = runtime.GOARCH, "linux", created.UTC(), config
	image.RootFS.Type = "layers"
	for _, l := range layers {
		image.RootFS.DiffIDs = append(image.RootFS.DiffIDs, l.digest)
		image.History = append(image.History, history{created.UTC(), l.origin})
	}
	return json.Marshal(image)
}

// writeImageArchive writes the format of "docker save": a manifest, the
// configuration, and each layer's archive.
func writeImageArchive(w io.Writer, references []string, configuration []byte, layers []layer) error {
	hash := sha256.Sum256(configuration)
	configName := hex.EncodeToString(hash[:]) + ".json"
	type entry struct {
		Config   string
		RepoTags []string
		Layers   []string
	}
	manifest := entry{Config: configName, RepoTags: references}
	for _, l := range layers {
		manifest.Layers = append(manifest.Layers, strings.TrimPrefix(l.digest, "sha256:")+"/layer.tar")
	}
	index, err := json.Marshal([]entry{manifest})
	if err != nil {
		return err
	}
	archive := tar.NewWriter(w)
	if err := addToImageArchive(archive, "manifest.json", int64(len(index)), bytes.NewReader(index)); err != nil {
		return err
	}
	if err := addToImageArchive(archive, configName, int64(len(configuration)), bytes.NewReader(configuration)); err != nil {
		return err
	}
	for i, l := range layers {
		file, err := os.Open(l.path)
		if err != nil {
			return err
		}
		info, err := file.Stat()
		if err == nil {
			err = addToImageArchive(archive, manifest.Layers[i], info.Size(), file)
		}
		_ = file.Close()
		if err != nil {
			return err
		}
	}
	return archive.Close()
}

func addToImageArchive(archive *tar.Writer, name string, size int64, data io.Reader) error {
	if err := archive.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Size: size, Mode: 0o644}); err != nil {
		return err
	}
	_, err := io.Copy(archive, data)
	return err
}
