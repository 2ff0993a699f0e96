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
		diagnosis, _ := client.Diagnose(t.Context(), key)
		t.Fatalf("the node did not boot: %s, %v; %+v", boot, err, diagnosis)
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

func readFile(t *testing.T, node cloudconfig.Node, file string) (content string, found bool) {
	t.Helper()
	stdout, _, code, err := node.Exec(t.Context(), []string{"cat", file}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return string(stdout), code == 0
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
	for range 20 {
		if err := cloudconfig.Wait(t.Context(), node); err != nil {
			t.Fatal(err)
		}
		if state := readState(t, node); state.Phase != cloudconfig.Running {
			return state
		}
		time.Sleep(200 * time.Millisecond) // the unit may end a moment after the run has left its exit code
	}
	t.Fatal("the bootstrap does not end")
	return cloudconfig.State{}
}

func TestBootstrapOutlivesItsStarterInDocker(t *testing.T) {
	client, machine := newNode(t, containers.RoleWorker)
	node := client.Node(machine.Key)
	if _, found := readFile(t, node, "/var/run/from-host"); !found {
		t.Error("the extra mount is not there")
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
	if count, _ := readFile(t, node, "/etc/count"); count != "x\n" {
		t.Errorf("the bootstrap ran %q times", count)
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

// alive tells whether the process goes on whose number is in the file.
func alive(t *testing.T, node cloudconfig.Node, file string) bool {
	t.Helper()
	_, stderr, code, err := node.Exec(t.Context(), []string{"/bin/sh", "-c", "kill -0 $(cat " + file + ")"}, nil)
	if err != nil || code > 1 {
		t.Fatalf("exit code %d, %v: %s", code, err, stderr)
	}
	return code == 0
}

func TestBootstrapTimeLimitInDocker(t *testing.T) {
	client, machine := newNode(t, containers.RoleWorker)
	node := client.Node(machine.Key)
	start(t, node, 2*time.Second, "sleep 600 & echo $! > /etc/left", "sh -c 'echo $PPID' > /etc/shell; trap '' TERM; sleep 600")
	state := waitEnd(t, node)
	if state.Phase != cloudconfig.Failed || state.Failure != cloudconfig.TimedOut || state.StepNumber != 2 {
		t.Errorf("state is %+v", state)
	}
	t.Log(state)
	for _, file := range []string{"/etc/left", "/etc/shell"} {
		for waited := 0; alive(t, node, file); waited++ {
			if waited > 50 {
				t.Fatalf("after the end of its time the process in %s goes on", file)
			}
			time.Sleep(100 * time.Millisecond)
		}
	}
}

// What commands leave in the background lives on, and files take the place of those that the engine has mounted.
func TestBackgroundAndFilesInDocker(t *testing.T) {
	client, machine := newNode(t, containers.RoleWorker)
	node := client.Node(machine.Key)
	const hosts = "127.0.0.1 localhost\n"
	steps := []cloudconfig.Step{
		cloudconfig.WriteFile{Path: "/etc/hosts", Mode: 0o644, Content: []byte(hosts)},
		cloudconfig.WriteFile{Path: "/run/deep/down/x y", Mode: 0o600, Content: []byte("x")},
		cloudconfig.Command{Origin: "runcmd[0]", Shell: "cd /etc && export FILE=left"},
		cloudconfig.Command{Origin: "runcmd[1]", Shell: `sleep 600 & echo $! > "$FILE"`},
	}
	if err := cloudconfig.Start(t.Context(), node, steps, time.Minute); err != nil {
		t.Fatal(err)
	}
	if state := waitEnd(t, node); state.Phase != cloudconfig.Succeeded {
		t.Fatalf("state is %+v", state)
	}
	for file, want := range map[string]string{"/etc/hosts": hosts, "/run/deep/down/x y": "x"} {
		if content, _ := readFile(t, node, file); content != want {
			t.Errorf("%s is %q", file, content)
		}
	}
	time.Sleep(time.Second)
	if !alive(t, node, "/etc/left") {
		t.Error("what was left in the background has been ended")
	}
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
	if diagnosis, err := client.Diagnose(t.Context(), machine.Key); err != nil || diagnosis.Cause != nil {
		t.Errorf("a healthy node is diagnosed with %+v, %v", diagnosis, err)
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
