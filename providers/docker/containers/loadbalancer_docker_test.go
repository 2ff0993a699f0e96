// SPDX-License-Identifier: Apache-2.0

package containers

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/client"
)

func TestLoadBalancerInDocker(t *testing.T) {
	c := newTestClient(t)
	cluster := Key{Namespace: "default", Name: "demo"}
	one, err := HAProxyConfig([]Backend{{Name: "a", Address: "10.0.0.1"}})
	if err != nil {
		t.Fatal(err)
	}
	spec := LoadBalancerSpec{Cluster: cluster, UID: "u", Image: testImage, Config: one}
	balancer, err := c.CreateLoadBalancer(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	if !balancer.Running() || balancer.ConfigDigest != ConfigDigest(one) || balancer.Role != RoleLoadBalancer || !balancer.Address.IsValid() || balancer.Port != 6443 {
		t.Errorf("load balancer is %+v", balancer)
	}
	reloads := func() int {
		content, err := c.readArchive(t.Context(), balancer.ID, "/reloads")
		if err != nil && !isNotFound(err) {
			t.Fatal(err)
		}
		return strings.Count(string(content), "reloaded")
	}
	if err := eventually(func() bool { return reloads() == 1 }); err != nil {
		t.Errorf("%d reloads after creation", reloads())
	}
	if again, err := c.CreateLoadBalancer(t.Context(), spec); err != nil || again.ID != balancer.ID {
		t.Errorf("again: %+v, %v", again, err)
	}
	var refused *LoadBalancerConfigError
	if err := c.UpdateLoadBalancer(t.Context(), cluster, "broken"); !errors.As(err, &refused) || !strings.Contains(err.Error(), "unknown keyword") {
		t.Errorf("a broken configuration: %v", err)
	}
	if seen, err := c.LoadBalancer(t.Context(), cluster); err != nil || seen.ConfigDigest != ConfigDigest(one) {
		t.Errorf("after a broken configuration: %+v, %v", seen, err)
	}
	for range 3 {
		if err := c.UpdateLoadBalancer(t.Context(), cluster, "two"); err != nil {
			t.Fatal(err)
		}
	}
	if err := eventually(func() bool { return reloads() == 2 }); err != nil {
		t.Errorf("%d reloads, want 2: the same configuration must not reload", reloads())
	}
	if err := c.DeleteLoadBalancer(t.Context(), cluster, "another"); err != nil {
		t.Fatal(err)
	}
	if left, err := c.LoadBalancerMadeFor(t.Context(), "u"); err != nil || left.ID != balancer.ID || left.Cluster != cluster {
		t.Errorf("after a deletion for an object with another UID the load balancer is %+v, %v", left, err)
	}
	if none, err := c.LoadBalancerMadeFor(t.Context(), "another"); err != nil || none.Exists {
		t.Errorf("the load balancer of another UID is %+v, %v", none, err)
	}
	for range 2 {
		if err := c.DeleteLoadBalancer(t.Context(), cluster, "u"); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.UpdateLoadBalancer(t.Context(), cluster, "two"); !errorIs[*NotRunningError](err) {
		t.Errorf("update of nothing: %v", err)
	}
	spec.Image = LoadBalancerRepository + ":no-such-tag"
	var missing *MissingImageError
	if _, err := c.CreateLoadBalancer(t.Context(), spec); !errors.As(err, &missing) || !strings.Contains(err.Error(), "slipway image build") {
		t.Errorf("without image: %v", err)
	}
}

// published is where the engine's host serves a load balancer.
func published(t *testing.T, c *Client, id string) string {
	t.Helper()
	seen, err := c.api.ContainerInspect(t.Context(), id, client.ContainerInspectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, bindings := range seen.Container.NetworkSettings.Ports {
		for _, binding := range bindings {
			return net.JoinHostPort(binding.HostIP.String(), binding.HostPort)
		}
	}
	t.Fatal("the load balancer's port is not published")
	return ""
}

// eventually asks until the answer is yes, for five seconds.
func eventually(answer func() bool) error {
	for range 100 {
		if answer() {
			return nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	return errors.New("not within five seconds")
}

// The real HAProxy, when its image is there: connections go through, and stay over a reload.
func TestRealLoadBalancerInDocker(t *testing.T) {
	c := newTestClient(t)
	if image, err := c.Image(t.Context(), DefaultLoadBalancerImage); err != nil || !image.Exists {
		t.Skipf("needs %s (%v)", DefaultLoadBalancerImage, err)
	}
	network, err := ensureNetwork(t, c)
	if err != nil {
		t.Fatal(err)
	}
	// A server that echoes, on this host, as the backend; unchecked, since it is no API server.
	listener, err := net.Listen("tcp", net.JoinHostPort(network.Gateway.String(), "0"))
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			go func() { _, _ = io.Copy(connection, connection); connection.Close() }()
		}
	}()
	backend := Backend{Name: "host", Address: network.Gateway.String(), Port: listener.Addr().(*net.TCPAddr).Port}
	unchecked := strings.Replace(defaultTemplate, "default-server check check-ssl verify none", "default-server no-check", 1)
	render := func(comment string) string {
		text, err := RenderHAProxyTemplate("# "+comment+"\n"+unchecked, []Backend{backend})
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	cluster := Key{Namespace: "default", Name: "real"}
	// The configuration that clusters get is one that HAProxy takes.
	usual, err := HAProxyConfig([]Backend{backend})
	if err != nil {
		t.Fatal(err)
	}
	balancer, err := c.CreateLoadBalancer(t.Context(), LoadBalancerSpec{Cluster: cluster, Config: usual})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.UpdateLoadBalancer(t.Context(), cluster, render("first")); err != nil {
		t.Fatal(err)
	}
	echo := func(connection net.Conn, text string) error {
		_ = connection.SetDeadline(time.Now().Add(2 * time.Second))
		if _, err := io.WriteString(connection, text); err != nil {
			return err
		}
		back := make([]byte, len(text))
		if _, err := io.ReadFull(connection, back); err != nil {
			return err
		}
		if string(back) != text {
			return fmt.Errorf("got %q", back)
		}
		return nil
	}
	for _, address := range []string{net.JoinHostPort(balancer.Address.String(), "6443"), published(t, c, balancer.ID)} {
		if err := eventually(func() bool {
			connection, err := net.Dial("tcp", address)
			if err != nil {
				return false
			}
			defer connection.Close()
			return echo(connection, "hello") == nil
		}); err != nil {
			t.Fatalf("%s does not serve: %v", address, err)
		}
	}
	address := net.JoinHostPort(balancer.Address.String(), "6443")
	long, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer long.Close()
	if err := echo(long, "before"); err != nil {
		t.Fatal(err)
	}
	// New connections during reloads: not one may be refused.
	stop, failures := make(chan struct{}), make(chan error, 1)
	go func() {
		defer close(failures)
		for {
			select {
			case <-stop:
				return
			default:
			}
			connection, err := net.Dial("tcp", address)
			if err == nil {
				err = echo(connection, "x")
				connection.Close()
			}
			if err != nil {
				failures <- err
				return
			}
		}
	}()
	for i := range 5 {
		if err := c.UpdateLoadBalancer(t.Context(), cluster, render(fmt.Sprint(i))); err != nil {
			t.Error(err)
		}
		time.Sleep(300 * time.Millisecond)
	}
	close(stop)
	if err := <-failures; err != nil {
		t.Errorf("a connection failed during a reload: %v", err)
	}
	if err := echo(long, "after"); err != nil {
		t.Errorf("a connection did not survive the reloads: %v", err)
	}
	if err := c.UpdateLoadBalancer(t.Context(), cluster, "nonsense\n"); !errorIs[*LoadBalancerConfigError](err) {
		t.Errorf("nonsense: %v", err)
	} else {
		t.Log(err)
	}
}
