// SPDX-License-Identifier: Apache-2.0

package containers

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/client"
)

func TestNetworkInDocker(t *testing.T) {
	c := newTestClient(t)
	// A probe that a crash has left is no obstacle.
	if _, err := c.api.NetworkCreate(t.Context(), c.NetworkName()+"-probe", client.NetworkCreateOptions{Labels: map[string]string{LabelManagementCluster: c.id, labelProbe: "true"}}); err != nil {
		t.Fatal(err)
	}
	// Two processes at once.
	second := &Client{api: c.api, id: c.id, isolated: c.isolated, engine: c.engine}
	results := make(chan error, 2)
	for _, one := range []*Client{c, second} {
		go func() { _, err := ensureNetwork(t, one); results <- err }()
	}
	for range 2 {
		if err := <-results; err != nil && !errorIs[*SubnetError](err) && !isNotFound(err) {
			t.Errorf("at once: %v", err)
		}
	}
	network, err := ensureNetwork(t, c)
	if err != nil || !network.Exists {
		t.Fatalf("network is %+v, %v", network, err)
	}
	all, err := c.api.NetworkList(t.Context(), client.NetworkListOptions{Filters: c.owned()})
	if err != nil || len(all.Items) != 1 {
		t.Errorf("networks are %+v, %v", all.Items, err)
	}
	one, two := mustCreate(t, c, testSpec("one")), mustCreate(t, c, testSpec("two"))
	if one.Address == two.Address {
		t.Errorf("both have %s", one.Address)
	}
	reach := func(address netip.Addr) int {
		result, err := c.Exec(t.Context(), one.Key, []string{"ping", "-c", "1", "-W", "5", address.String()}, nil)
		if err != nil {
			t.Fatal(err)
		}
		return result.ExitCode
	}
	if reach(two.Address) != 0 || reach(network.Gateway) != 0 {
		t.Error("machines do not reach each other or the host")
	}
	if c.engine.Name == enginePodman {
		return // the rest is about isolation
	}
	result, err := c.Exec(t.Context(), one.Key, []string{"ip", "route"}, nil)
	if err != nil || !strings.Contains(string(result.Stdout), "default via "+lastHost(network.Subnet).String()) {
		t.Errorf("routes are %q, %v", result.Stdout, err)
	}
	if reach(netip.MustParseAddr("192.0.2.1")) == 0 {
		t.Error("an isolated network leads outside")
	}
	open := &Client{api: c.api, id: c.id, engine: c.engine, bounds: usualBounds}
	var mode *NetworkModeError
	if _, err := ensureNetwork(t, open); !errors.As(err, &mode) || mode.Containers != 2 {
		t.Errorf("another isolation while in use: %v", err)
	}
	for _, machine := range []Machine{one, two} {
		if err := c.DeleteMachine(t.Context(), machine.Key, machine.UID); err != nil {
			t.Fatal(err)
		}
	}
	network, err = ensureNetwork(t, open)
	if err != nil || network.Isolated {
		t.Errorf("another isolation when unused: %+v, %v", network, err)
	}
}

func TestMissingImagesInDocker(t *testing.T) {
	c := newTestClient(t)
	spec := testSpec("image")
	spec.Image = NodeImage("v1.99.0")
	var missing *MissingImageError
	if _, err := c.CreateMachine(t.Context(), spec); !errors.As(err, &missing) || !strings.Contains(err.Error(), "slipway image build --kubernetes-version v1.99.0") {
		t.Errorf("error is %v", err)
	}
	// A registry on this host that does not exist: refused at once.
	spec.Image = "127.0.0.1:9/none/node:v1"
	began := time.Now()
	if _, err := c.CreateMachine(t.Context(), spec); !errors.As(err, &missing) || missing.Cause == nil {
		t.Errorf("error is %v", err)
	} else {
		t.Log(err)
	}
	if took := time.Since(began); took > pullAnswer+5*time.Second {
		t.Errorf("it took %s", took)
	}
	spec.Image = "No Such Image"
	if _, err := c.CreateMachine(t.Context(), spec); err == nil || !strings.Contains(err.Error(), "not a valid image name") {
		t.Errorf("error is %v", err)
	}
	if c.engine.Name == enginePodman {
		return // it makes what is missing of a mount's source
	}
	spec.Image = testImage
	spec.Mounts = []Mount{{HostPath: "/no/such/path", ContainerPath: "/x"}}
	if _, err := c.CreateMachine(t.Context(), spec); err == nil || !strings.Contains(err.Error(), "extraMounts") || !strings.Contains(err.Error(), "/no/such/path") {
		t.Errorf("error is %v", err)
	}
}

// A registry that takes connections and says nothing: the pull ends by itself.
func TestSilentRegistryInDocker(t *testing.T) {
	c := newTestClient(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	began := time.Now()
	_, err = c.EnsureImage(t.Context(), fmt.Sprintf("%s/some/image:v1", listener.Addr()))
	if !errorIs[*MissingImageError](err) || time.Since(began) > pullAnswer+5*time.Second {
		t.Errorf("after %s: %v", time.Since(began), err)
	}
	t.Log(err)
}
