// SPDX-License-Identifier: Apache-2.0

package nodeimage

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// dockerVariable turns on tests that build images and run containers.
const dockerVariable = "SLIPWAY_TEST_DOCKER"

// ignoredChecks are the preflight checks of kubeadm that a node in a container
// cannot pass: they ask about the host.
const ignoredChecks = "Swap,SystemVerification,FileContent--proc-sys-net-bridge-bridge-nf-call-iptables"

// bootConfiguration is the least that kubeadm needs to be told. conntrack's limit
// belongs to the host; kube-proxy may not set it.
const bootConfiguration = `apiVersion: kubeadm.k8s.io/v1beta4
kind: ClusterConfiguration
kubernetesVersion: %s
networking: {podSubnet: 10.244.0.0/16}
---
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
conntrack: {maxPerCore: 0}
`

// bootNetwork is a pod network for a single node.
const bootNetwork = `{"cniVersion":"1.0.0","name":"test","plugins":[
{"type":"ptp","ipMasq":true,"ipam":{"type":"host-local","ranges":[[{"subnet":"10.244.0.0/24"}]],"routes":[{"dst":"0.0.0.0/0"}]}},
{"type":"portmap","capabilities":{"portMappings":true}}]}
`

// testNode is a running node container.
type testNode struct {
	t    *testing.T
	name string
}

func (n testNode) docker(stdin string, args ...string) (string, error) {
	return command{program: "docker", args: args, stdin: strings.NewReader(stdin)}.run(n.t.Context())
}

func (n testNode) run(args ...string) string {
	n.t.Helper()
	output, err := n.docker("", append([]string{"exec", n.name}, args...)...)
	if err != nil {
		n.t.Fatalf("%v: %v", args, err)
	}
	return output
}

func (n testNode) write(path, content string) {
	n.t.Helper()
	if _, err := n.docker(content, "exec", "-i", n.name, "tee", path); err != nil {
		n.t.Fatal(err)
	}
}

// eventually repeats a command in the node until it succeeds.
func (n testNode) eventually(limit time.Duration, args ...string) {
	n.t.Helper()
	var err error
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
		if _, err = n.docker("", append([]string{"exec", n.name}, args...)...); err == nil {
			return
		}
	}
	n.t.Fatalf("%v did not succeed within %s: %v", args, limit, err)
}

func (n testNode) kubectl(args ...string) []string {
	return append([]string{"kubectl", "--kubeconfig=/etc/kubernetes/admin.conf"}, args...)
}

// expectReady waits for the node and for DNS, which needs pods, kube-proxy and the API.
func (n testNode) expectReady() {
	n.t.Helper()
	n.eventually(2*time.Minute, n.kubectl("wait", "--for=condition=Ready", "node/"+n.name, "--timeout=1s")...)
	n.eventually(2*time.Minute, n.kubectl("-n", "kube-system", "wait", "--for=condition=Available", "deployment/coredns", "--timeout=1s")...)
}

// startNode starts a container the way that a host without privileged containers needs.
func startNode(t *testing.T, image string) testNode {
	t.Helper()
	n := testNode{t: t, name: fmt.Sprintf("slipway-nodeimage-test-%d", os.Getpid())}
	t.Cleanup(func() {
		remove := command{program: "docker", args: []string{"rm", "-fv", n.name}}
		if _, err := remove.run(context.WithoutCancel(t.Context())); err != nil {
			t.Errorf("remove container: %v", err)
		}
	})
	_, err := n.docker("", "run", "-d", "-t", "--name", n.name, "--hostname", n.name,
		"--cap-add=ALL", "--cap-drop=SYS_RESOURCE", "--security-opt=systempaths=unconfined", "--security-opt=seccomp=unconfined",
		"--security-opt=apparmor=unconfined", "--device-cgroup-rule=a *:* rwm", "--device=/dev/kmsg", "--cgroupns=private",
		"--tmpfs=/run", "--tmpfs=/tmp", "-v=/lib/modules:/lib/modules:ro", image)
	if err != nil {
		t.Fatal(err)
	}
	n.eventually(30*time.Second, "ctr", "version")
	return n
}

// TestNodeBoots builds the newest node image and makes a cluster of one node of it.
func TestNodeBoots(t *testing.T) {
	if os.Getenv(dockerVariable) == "" {
		t.Skipf("needs a container engine, root and debootstrap: set %s=1", dockerVariable)
	}
	versions, err := Versions("")
	if err != nil {
		t.Fatal(err)
	}
	options := Options{Version: versions[0]}
	image, err := BuildNode(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	again, err := BuildNode(t.Context(), options)
	if err != nil || !again.Reused || again.ID != image.ID {
		t.Errorf("a second build: %+v, %v", again, err)
	}

	n := startNode(t, image.Reference)
	stored := n.run("ctr", "-n", "k8s.io", "images", "ls", "-q")
	wanted := strings.Fields(n.run("kubeadm", "config", "images", "list", "--kubernetes-version", options.Version))
	agent, series, err := networkTags(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, reference := range append(wanted, NetworkRepository+":"+agent, NetworkRepository+":"+series) {
		if !strings.Contains(stored, reference+"\n") {
			t.Errorf("%s will be asked for, and the node does not have it", reference)
		}
	}
	if foreign := n.run("find", "/usr", "/opt", "/etc", "/kind", "-xdev", "-uid", "+999"); foreign != "" {
		t.Errorf("files of whoever built the image:\n%s", foreign)
	}
	n.write("/kind/kubeadm.yaml", fmt.Sprintf(bootConfiguration, options.Version))
	n.write("/etc/cni/net.d/10-test.conflist", bootNetwork)
	n.run("kubeadm", "init", "--config=/kind/kubeadm.yaml", "--ignore-preflight-errors="+ignoredChecks)
	n.expectReady()

	identity := n.run("cat", "/etc/machine-id")
	if _, err := n.docker("", "restart", n.name); err != nil {
		t.Fatal(err)
	}
	n.eventually(30*time.Second, "ctr", "version")
	if after := n.run("cat", "/etc/machine-id"); len(identity) != 33 || after != identity {
		t.Errorf("machine-id was %q, is %q after a restart", identity, after)
	}
	n.expectReady()
}
