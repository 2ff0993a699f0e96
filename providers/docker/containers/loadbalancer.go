// SPDX-License-Identifier: Apache-2.0

package containers

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"path"
	"strings"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"
)

const (
	// APIServerPort is where a load balancer serves the Kubernetes API, and where control planes serve it by default.
	APIServerPort = 6443
	// StatisticsPort is where a load balancer shows HAProxy's statistics page, at /stats.
	StatisticsPort = 8404

	// Where HAProxy images keep the configuration; ours and kind's agree.
	configDirectory = "/usr/local/etc/haproxy"
	configPath      = configDirectory + "/haproxy.cfg"
	nextConfigPath  = configDirectory + "/haproxy.cfg.next"
	// digestPath holds the digest of the configuration that HAProxy was last told to load. It is emptied before the
	// configuration is replaced and written last, so that a crash between any two steps of an update shows as "not loaded"
	// and the update is repeated.
	digestPath = configDirectory + "/slipway.loaded"
)

// LoadBalancerSpec is what a cluster's load balancer is made from.
type LoadBalancerSpec struct {
	Cluster Key
	UID     string // of the DockerCluster; see MachineSpec.UID
	Image   string // empty: DefaultLoadBalancerImage
	Config  string // as HAProxyConfig or RenderHAProxyTemplate gives it
	// Address is the cluster's endpoint, where that is an IP address: a load balancer is made there if it lies on our
	// network. The zero value, or an address elsewhere, leaves the choice to this package.
	Address netip.Addr
}

// ConfigDigest is the digest under which a configuration shows in LoadBalancer.ConfigDigest.
func ConfigDigest(config string) string {
	sum := sha256.Sum256([]byte(config))
	return hex.EncodeToString(sum[:])
}

// CreateLoadBalancer makes and starts a cluster's load balancer with its fixed address and loads the configuration.
// Repeated, it returns the container that is there, with the configuration loaded.
//
// It gives *NameTakenError, *MissingImageError, *LoadBalancerConfigError, *EndpointTakenError,
// *NetworkModeError or *SubnetError.
func (c *Client) CreateLoadBalancer(ctx context.Context, spec LoadBalancerSpec) (LoadBalancer, error) {
	if spec.Image == "" {
		spec.Image = DefaultLoadBalancerImage
	}
	object := "DockerCluster " + spec.Cluster.String()
	found, err := c.LoadBalancer(ctx, spec.Cluster)
	if err != nil {
		return found, err
	}
	if found.TakenBy != "" {
		return found, &NameTakenError{Kind: "container", Name: c.LoadBalancerName(spec.Cluster), For: object, Owner: found.TakenBy}
	}
	if found.Exists && spec.UID != "" && found.UID != spec.UID {
		return found, &NameTakenError{Kind: "container", Name: found.Name, For: object, Owner: fmt.Sprintf("a former DockerCluster of the same name (UID %s)", found.UID)}
	}
	if !found.Exists || found.HalfMade() {
		if _, err := c.EnsureImage(ctx, spec.Image); err != nil {
			return found, fmt.Errorf("create load balancer of %s: %w", object, err)
		}
		id := found.ID
		if !found.Exists {
			err = c.ask(ctx, c.bounds.write, func(ctx context.Context) error {
				id, err = c.makeLoadBalancer(ctx, spec)
				return err
			})
			if err != nil {
				return found, fmt.Errorf("create load balancer of %s: %w", object, explain(err))
			}
		}
		err = c.ask(ctx, c.bounds.write, func(ctx context.Context) error { return c.startLoadBalancer(ctx, id, spec) })
		if err != nil {
			return found, fmt.Errorf("start load balancer of %s: %w", object, explain(err))
		}
	}
	if err := c.UpdateLoadBalancer(ctx, spec.Cluster, spec.Config); err != nil {
		return found, err
	}
	return c.LoadBalancer(ctx, spec.Cluster)
}

// startLoadBalancer starts a load balancer for the first time, with a configuration that has no servers and is sure to
// load: the wanted one is checked by HAProxy itself, for which it must run.
func (c *Client) startLoadBalancer(ctx context.Context, id string, spec LoadBalancerSpec) error {
	plain, err := HAProxyConfig(nil)
	if err != nil {
		return err
	}
	prepare := func(id string) error { return c.writeArchive(ctx, id, configPath, 0o644, []byte(plain)) }
	if err := prepare(id); err != nil {
		return err
	}
	return c.startNew(ctx, id, func() (string, error) {
		id, err := c.makeLoadBalancer(ctx, spec)
		if err != nil {
			return "", err
		}
		return id, prepare(id)
	})
}

func (c *Client) makeLoadBalancer(ctx context.Context, spec LoadBalancerSpec) (id string, err error) {
	c.making.Lock()
	defer c.making.Unlock()
	on, err := c.ensureNetwork(ctx)
	if err != nil {
		return "", err
	}
	name := c.LoadBalancerName(spec.Cluster)
	address, err := c.endpointAddress(ctx, on, spec)
	if err != nil {
		return "", err
	}
	labels := c.labels(spec.Cluster, RoleLoadBalancer, spec.UID)
	labels[LabelAddress] = address.String()
	port := network.MustParsePort(fmt.Sprintf("%d/tcp", APIServerPort))
	never := false
	created, err := c.api.ContainerCreate(ctx, client.ContainerCreateOptions{
		Name: name,
		Config: &container.Config{
			Image: spec.Image, Hostname: name, Labels: labels, ExposedPorts: network.PortSet{port: {}},
		},
		HostConfig: &container.HostConfig{
			NetworkMode:   container.NetworkMode(on.Name),
			PortBindings:  network.PortMap{port: {{HostIP: netip.AddrFrom4([4]byte{127, 0, 0, 1})}}},
			RestartPolicy: container.RestartPolicy{Name: container.RestartPolicyUnlessStopped},
			Tmpfs:         map[string]string{"/tmp": "mode=1777"}, // for the socket over which a reload hands on its listeners
			Init:          &never,
		},
		NetworkingConfig: endpoint(on.Name, address),
	})
	return created.ID, err
}

// UpdateLoadBalancer makes HAProxy load a configuration; when that is the one it has loaded, nothing happens. HAProxy
// checks it first, and one that it refuses is never loaded. Connections that are open stay: HAProxy's master process hands
// the listening sockets to new workers, and the old ones serve what they have.
//
// It gives *NotRunningError or *LoadBalancerConfigError.
func (c *Client) UpdateLoadBalancer(ctx context.Context, cluster Key, config string) error {
	found, err := c.LoadBalancer(ctx, cluster)
	if err != nil {
		return err
	}
	if !found.Running() {
		return fmt.Errorf("update load balancer of cluster %s: %w", cluster, &NotRunningError{Name: c.LoadBalancerName(cluster), State: found.State})
	}
	digest := ConfigDigest(config)
	if found.ConfigDigest == digest {
		return nil
	}
	err = c.ask(ctx, c.bounds.write, func(ctx context.Context) error {
		return c.loadConfig(ctx, found.ID, cluster, config, digest)
	})
	var refused *LoadBalancerConfigError
	if errors.As(err, &refused) {
		return refused
	}
	if err != nil {
		return fmt.Errorf("update load balancer of cluster %s: %w", cluster, explain(err))
	}
	return nil
}

func (c *Client) loadConfig(ctx context.Context, id string, cluster Key, config, digest string) error {
	if err := c.writeArchive(ctx, id, nextConfigPath, 0o644, []byte(config)); err != nil {
		return err
	}
	check, err := c.execIn(ctx, id, []string{"haproxy", "-c", "-f", nextConfigPath}, nil)
	if err != nil {
		return fmt.Errorf("check configuration: %w", err)
	}
	if check.ExitCode != 0 {
		return &LoadBalancerConfigError{Cluster: cluster, Output: alerts(string(check.Stderr) + string(check.Stdout))}
	}
	c.loaded.Delete(id)
	if err := c.writeArchive(ctx, id, digestPath, 0o644, nil); err != nil {
		return err
	}
	if err := c.writeArchive(ctx, id, configPath, 0o644, []byte(config)); err != nil {
		return err
	}
	if _, err := c.api.ContainerKill(ctx, id, client.ContainerKillOptions{Signal: "SIGHUP"}); err != nil {
		return fmt.Errorf("reload: %w", err)
	}
	if err := c.writeArchive(ctx, id, digestPath, 0o644, []byte(digest+"\n")); err != nil {
		return err
	}
	c.loaded.Store(id, digest)
	return nil
}

// alerts is what HAProxy objects to, out of what it says.
func alerts(output string) string {
	var kept []string
	for line := range strings.Lines(output) {
		if _, alert, found := strings.Cut(line, "[ALERT]"); found && !strings.Contains(alert, "rrors found") && !strings.Contains(alert, "rror(s) found") {
			if _, text, numbered := strings.Cut(alert, ") : "); numbered {
				alert = text
			}
			kept = append(kept, strings.TrimSpace(strings.ReplaceAll(alert, nextConfigPath+":", "line ")))
		}
	}
	if len(kept) == 0 {
		return lastLines(output, 5)
	}
	return strings.Join(kept[:min(3, len(kept))], "; ")
}

// RestartLoadBalancer starts a load balancer that has stopped, at the address that it had. One that runs is left alone.
func (c *Client) RestartLoadBalancer(ctx context.Context, cluster Key) error {
	found, err := c.LoadBalancer(ctx, cluster)
	if err != nil {
		return err
	}
	return c.restart(ctx, found.Container, c.LoadBalancerName(cluster))
}

// DeleteLoadBalancer removes a cluster's load balancer, provided that its LabelUID is uid. What is already gone is not an
// error; what has its name but is not ours, or was made for an object with another UID, is left alone.
func (c *Client) DeleteLoadBalancer(ctx context.Context, cluster Key, uid string) error {
	found, err := c.LoadBalancer(ctx, cluster)
	if err != nil {
		return err
	}
	if !found.Exists || found.UID != uid {
		return nil
	}
	if err := c.remove(ctx, found.ID); err != nil {
		return fmt.Errorf("delete load balancer of DockerCluster %s: %w", cluster, err)
	}
	return nil
}

// writeArchive writes one file into a container, running or not. It cannot reach file systems that are mounted in the
// container, such as /run.
func (c *Client) writeArchive(ctx context.Context, id, file string, mode int64, content []byte) error {
	var archive bytes.Buffer
	writer := tar.NewWriter(&archive)
	header := &tar.Header{Name: strings.TrimPrefix(file, "/"), Mode: mode, Size: int64(len(content)), ModTime: time.Unix(0, 0), Typeflag: tar.TypeReg}
	if err := errors.Join(writer.WriteHeader(header), write(writer, content), writer.Close()); err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	_, err := c.api.CopyToContainer(ctx, id, client.CopyToContainerOptions{DestinationPath: "/", Content: &archive})
	if err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	return nil
}

func write(to io.Writer, content []byte) error {
	_, err := to.Write(content)
	return err
}

// readArchive reads one small file of a container, running or not.
func (c *Client) readArchive(ctx context.Context, id, file string) ([]byte, error) {
	result, err := c.api.CopyFromContainer(ctx, id, client.CopyFromContainerOptions{SourcePath: file})
	if err != nil {
		return nil, err
	}
	defer result.Content.Close()
	reader := tar.NewReader(result.Content)
	for {
		header, err := reader.Next()
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", file, err)
		}
		if header.Typeflag == tar.TypeReg && path.Base(header.Name) == path.Base(file) {
			return io.ReadAll(io.LimitReader(reader, maxOutput))
		}
	}
}
