// SPDX-License-Identifier: Apache-2.0

package cloudconfig_test

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/slipway-project/slipway/providers/docker/cloudconfig"
	"github.com/slipway-project/slipway/providers/docker/containers"
)

// These tests run bootstraps in real nodes. They need a container engine and a node image: SLIPWAY_TEST_DOCKER is set, and
// SLIPWAY_TEST_NODE_IMAGE names the image, or slipway/node:v1.37.1 is there.
func newNode(t *testing.T, role containers.Role) (*containers.Client, containers.Machine) {
	t.Helper()
	if os.Getenv("SLIPWAY_TEST_DOCKER") == "" {
		t.Skip("needs a container engine: set SLIPWAY_TEST_DOCKER=1")
	}
	options := containers.Options{ManagementID: fmt.Sprintf("test-%d", time.Now().UnixNano())}
	client, err := containers.New(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	if client.Engine().Name != "Podman" { // which has no isolated networks
		options.Isolated = true
		_ = client.Close()
		if client, err = containers.New(t.Context(), options); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { _ = client.Close() })
	image := os.Getenv("SLIPWAY_TEST_NODE_IMAGE")
	if image == "" {
		image = containers.NodeImage("v1.37.1")
	}
	if found, err := client.Image(t.Context(), image); err != nil || !found.Exists {
		t.Skipf("needs the node image %s (%v): slipway image build", image, err)
	}
	key := containers.Key{Namespace: "default", Name: "node"}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := client.DeleteMachine(ctx, key, ""); err != nil {
			t.Error(err)
		}
		if gone, err := client.DeleteNetwork(ctx); err != nil || !gone {
			t.Errorf("network is gone: %t, %v", gone, err)
		}
	})
	began := time.Now()
	machine, err := client.CreateMachine(t.Context(), containers.MachineSpec{
		Key: key, Cluster: containers.Key{Namespace: "default", Name: "demo"}, Role: role, Image: image,
		Mounts: []containers.Mount{{HostPath: "/etc/hostname", ContainerPath: "/var/run/from-host", ReadOnly: true}},
	})
	if err != nil {
		t.Fatal(err)
	}
	created := time.Since(began)
	if err := client.WaitBooted(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	boot, err := client.Booted(t.Context(), key)
	if err != nil || !boot.Ready {
		console, _ := client.ConsoleTail(t.Context(), key, 30)
		t.Fatalf("the node did not boot: %s, %v\n%s", boot, err, console)
	}
	t.Logf("created in %s, booted after %s (%s)", created, time.Since(began), boot.System)
	return client, machine
}

func readState(t *testing.T, node cloudconfig.Node) cloudconfig.State {
	t.Helper()
	state, err := cloudconfig.ReadState(t.Context(), node)
	if err != nil {
		t.Fatal(err)
	}
	return state
}

func start(t *testing.T, node cloudconfig.Node, timeout time.Duration, commands ...string) {
	t.Helper()
	steps, err := cloudconfig.Parse([]byte("#cloud-config\nruncmd:\n- "+strings.Join(commands, "\n- ")+"\n"), cloudconfig.Metadata{})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // a second start does nothing
		if err := cloudconfig.Start(t.Context(), node, steps, timeout); err != nil {
			t.Fatal(err)
		}
	}
}

func waitEnd(t *testing.T, node cloudconfig.Node) cloudconfig.State {
	t.Helper()
	for range 3 {
		if err := cloudconfig.Wait(t.Context(), node); err != nil {
			t.Fatal(err)
		}
		if state := readState(t, node); state.Phase != cloudconfig.Running {
			return state
		}
	}
	t.Fatal("the bootstrap does not end")
	return cloudconfig.State{}
}

func TestBootstrapOutlivesItsStarterInDocker(t *testing.T) {
	client, machine := newNode(t, containers.RoleWorker)
	node := client.Node(machine.Key)
	if _, exists, err := client.ReadFile(t.Context(), machine.Key, "/var/run/from-host"); err != nil || !exists {
		t.Errorf("the extra mount is there: %t, %v", exists, err)
	}
	start(t, node, time.Minute, "sleep 2", "echo done > /etc/done; echo x >> /etc/count")
	if state := readState(t, node); state.Phase != cloudconfig.Running {
		t.Errorf("state is %+v", state)
	}
	state := waitEnd(t, node)
	if state.Phase != cloudconfig.Succeeded || state.Sentinel {
		t.Errorf("state is %+v", state)
	}
	if late := time.Since(state.Finished); late > 5*time.Second {
		t.Errorf("the end was noticed after %s", late)
	}
	start(t, node, 0, "echo x >> /etc/count")
	// The node restarts: /run is empty, what was done is still known.
	if _, _, _, err := node.Exec(t.Context(), []string{"systemctl", "reboot"}, nil); err != nil {
		t.Fatal(err)
	}
	restart(t, client, machine)
	start(t, node, 0, "echo x >> /etc/count")
	if state := readState(t, node); state.Phase != cloudconfig.Succeeded {
		t.Errorf("after a restart the state is %+v", state)
	}
	count, _, err := client.ReadFile(t.Context(), machine.Key, "/etc/count")
	if err != nil || string(count) != "x\n" {
		t.Errorf("the bootstrap ran %q times, %v", count, err)
	}
}

// restart waits for the container to stop, starts it, and waits for it to boot.
func restart(t *testing.T, client *containers.Client, machine containers.Machine) {
	t.Helper()
	for range 100 {
		seen, err := client.Machine(t.Context(), machine.Key)
		if err != nil {
			t.Fatal(err)
		}
		if !seen.Running() || seen.Started.After(machine.Started) {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	if err := client.RestartMachine(t.Context(), machine.Key); err != nil {
		t.Fatal(err)
	}
	for range 20 {
		if err := client.WaitBooted(t.Context(), machine.Key); err == nil {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	seen, err := client.Machine(t.Context(), machine.Key)
	if err != nil || !seen.Running() || seen.Address != machine.Address || !seen.Started.After(machine.Started) {
		t.Fatalf("after the restart the machine is %+v, %v", seen, err)
	}
}

func TestInterruptedBootstrapInDocker(t *testing.T) {
	client, machine := newNode(t, containers.RoleWorker)
	node := client.Node(machine.Key)
	start(t, node, 0, "echo begun", "sleep 600")
	for range 50 {
		if readState(t, node).StepNumber == 2 {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	if _, _, _, err := node.Exec(t.Context(), []string{"systemctl", "reboot", "--force", "--force"}, nil); err != nil {
		t.Fatal(err)
	}
	restart(t, client, machine)
	state := readState(t, node)
	if state.Phase != cloudconfig.Failed || state.Failure != cloudconfig.Interrupted || state.StepNumber != 2 {
		t.Errorf("state is %+v", state)
	}
	t.Log(state)
}

func TestBootstrapTimeLimitInDocker(t *testing.T) {
	client, machine := newNode(t, containers.RoleWorker)
	node := client.Node(machine.Key)
	start(t, node, 2*time.Second, "sleep 600")
	state := waitEnd(t, node)
	if state.Phase != cloudconfig.Failed || state.Failure != cloudconfig.TimedOut {
		t.Errorf("state is %+v", state)
	}
	t.Log(state)
}

// What a first control plane's bootstrap data does, down to a Node with its provider id.
func TestKubeadmInitInDocker(t *testing.T) {
	client, machine := newNode(t, containers.RoleControlPlane)
	node := client.Node(machine.Key)
	text := `## template: jinja
#cloud-config
write_files:
- path: /run/kubeadm/kubeadm.yaml
  owner: root:root
  permissions: '0640'
  content: |
    apiVersion: kubeadm.k8s.io/v1beta4
    kind: InitConfiguration
    nodeRegistration:
      name: "{{ ds.meta_data.local_hostname }}"
    ---
    apiVersion: kubeadm.k8s.io/v1beta4
    kind: ClusterConfiguration
    kubernetesVersion: v1.37.1
    networking: {podSubnet: 10.244.0.0/16}
    ---
    apiVersion: kubeproxy.config.k8s.io/v1alpha1
    kind: KubeProxyConfiguration
    conntrack: {maxPerCore: 0}
- path: /run/cluster-api/placeholder
  content: placeholder
ntp: {enabled: true}
runcmd:
- kubeadm init --config /run/kubeadm/kubeadm.yaml --ignore-preflight-errors=Swap,SystemVerification,FileContent--proc-sys-net-bridge-bridge-nf-call-iptables && echo success > /run/cluster-api/bootstrap-success.complete
`
	// An image from the engine's host, as spec.preLoadImages asks for; again, it is there already.
	image := os.Getenv("SLIPWAY_TEST_LOAD_IMAGE")
	if image == "" {
		image = containers.DefaultLoadBalancerImage
	}
	for range 2 {
		if err := client.LoadImages(t.Context(), machine.Key, []string{image}); err != nil {
			t.Fatal(err)
		}
	}
	full, err := containers.ImageName(image)
	if err != nil {
		t.Fatal(err)
	}
	if images, err := client.NodeImages(t.Context(), machine.Key); err != nil || !slices.Contains(images, full) {
		t.Errorf("images are %q, want %s among them; %v", images, full, err)
	}
	if cause, err := client.Diagnose(t.Context(), machine.Key); err != nil || cause != nil {
		t.Errorf("a healthy node is diagnosed with %v, %v", cause, err)
	}
	steps, err := cloudconfig.Parse([]byte(text), cloudconfig.Metadata{LocalHostname: machine.Name, InstanceID: machine.UID})
	if err != nil {
		t.Fatal(err)
	}
	providerID := containers.ProviderID(machine.Name)
	if err := cloudconfig.Start(t.Context(), node, cloudconfig.WithProviderID(steps, providerID), 5*time.Minute); err != nil {
		t.Fatal(err)
	}
	state := waitEnd(t, node)
	if state.Phase != cloudconfig.Succeeded || !state.Sentinel || len(state.Skipped) != 1 {
		t.Fatalf("%s\n%s", state, state.Output)
	}
	t.Logf("kubeadm init took %s by the node's clock", state.Finished.Sub(state.Started))
	if strings.Contains(state.Output, "--token ") && !strings.Contains(state.Output, "[redacted]") {
		t.Errorf("the output shows a token:\n%s", state.Output)
	}
	stdout, stderr, _, err := node.Exec(t.Context(), []string{"kubectl", "--kubeconfig=/etc/kubernetes/admin.conf", "get", "nodes", "-o", "jsonpath={.items[*].metadata.name} {.items[*].spec.providerID}"}, nil)
	if err != nil || string(stdout) != machine.Name+" "+providerID {
		t.Errorf("node and provider id are %q, want %s %s; %s %v", stdout, machine.Name, providerID, stderr, err)
	}
}
