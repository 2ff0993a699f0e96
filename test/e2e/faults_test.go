// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"
	dockerclient "github.com/moby/moby/client"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Every fault is told in seconds, by one message that names object, cause and next step.

// manifests are those of a cluster, as slipway create cluster --dry-run prints them.
func (m *management) manifests(name string, arguments ...string) string {
	m.t.Helper()
	return m.must(append([]string{"create", "cluster", name, "--dry-run", "-o", "yaml", "--kubernetes-version", version}, arguments...)...)
}

// expectRefusal runs a verb that must fail at once.
func (m *management) expectRefusal(environment []string, words []string, arguments ...string) {
	m.t.Helper()
	began := time.Now()
	ran := m.run(environment, "", binary, arguments...)
	if ran.code == 0 || !says(ran.stderr, words) || time.Since(began) > troubleLimit {
		m.t.Errorf("slipway %s: after %s, want a refusal that says %q, got %s", strings.Join(arguments, " "), time.Since(began).Round(time.Second), words, ran)
		return
	}
	if lines := strings.Count(strings.TrimSpace(ran.stderr), "\n"); lines > 3 {
		m.t.Errorf("slipway %s says more than one message: %s", strings.Join(arguments, " "), ran.stderr)
	}
	m.t.Logf("slipway %s: %s", strings.Join(arguments, " "), strings.TrimSpace(ran.stderr))
}

// expectRejected applies a manifest that the API server must refuse.
func (m *management) expectRejected(manifest string, words ...string) {
	m.t.Helper()
	ran := m.kubectl(manifest, "apply", "-f", "-")
	if ran.code == 0 || !says(ran.stderr, words) {
		m.t.Errorf("want a refusal that says %q, got %s", words, ran)
		return
	}
	m.t.Log(strings.TrimSpace(ran.stderr))
}

// TestCommandFaults are those that the command line tells of.
func TestCommandFaults(t *testing.T) {
	m := newManagement(t)
	m.expectRefusal(nil, []string{"slipway up"}, "get", "clusters")
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	port := fmt.Sprint(taken.Addr().(*net.TCPAddr).Port)
	m.expectRefusal(nil, []string{port, "--api-server-port"}, "up", "--detach", "--kubernetes-version", version, "--api-server-port", port)

	m.must("up", "--detach", "--kubernetes-version", version)
	m.connect()
	m.expectRefusal(nil, []string{"runs", "slipway down"}, "up", "--kubernetes-version", version)
	broken := filepath.Join(t.TempDir(), "broken")
	if err := os.WriteFile(broken, []byte("clusters: [\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	m.expectRefusal(nil, []string{broken}, "get", "clusters", "--kubeconfig", broken)
	m.expectRefusal(nil, []string{"slipway/node:v1.2.3", "--kubernetes-version", "v1.37.1"}, "create", "cluster", "bad", "--kubernetes-version", "v1.2.3")
	m.expectRefusal(nil, []string{"--pod-cidr", "10.244.0.0/99"}, "create", "cluster", "bad", "--pod-cidr", "10.244.0.0/99")
	m.expectRefusal(nil, []string{"even"}, "create", "cluster", "bad", "--control-plane-machine-count", "2")
	m.expectRefusal([]string{"DOCKER_HOST=unix:///nowhere/docker.sock"}, []string{"/nowhere/docker.sock", "DOCKER_HOST"}, "create", "cluster", "bad", "--kubernetes-version", version)
	m.expectRefusal(nil, []string{"nosuch"}, "describe", "cluster", "nosuch")
	if left := m.sees(); left.String() != "" {
		t.Errorf("refusals have left %s", left)
	}
}

// TestObjectFaults are those that show in conditions of objects that somebody applied.
func TestObjectFaults(t *testing.T) {
	m := startManagement(t)
	before := m.mustObjects()

	m.step("rejected", func(*testing.T) {
		wrong := m.manifests("wrong")
		m.expectRejected(strings.ReplaceAll(wrong, "10.244.0.0/16", "10.244.0.0/99"), "Cluster", "cidrBlocks", "CIDR")
		m.expectRejected(strings.ReplaceAll(wrong, "replicas: 1", "replicas: 2"), "KubeadmControlPlane", "replicas", "odd")
		m.mustKubectl(wrong, "delete", "--ignore-not-found", "--timeout=1m", "-f", "-")
	})
	m.step("no image", func(*testing.T) {
		key := keyOf("no-image")
		m.mustKubectl(strings.ReplaceAll(m.manifests(key.Name, "--worker-machine-count=1"), version, "v1.35.9"), "apply", "-f", "-")
		m.expectTroubleBelow("DockerMachine", key, "slipway/node:v1.35.9", "slipway image build --kubernetes-version v1.35.9")
		m.expectTrouble("Cluster", key, "slipway/node:v1.35.9")
		m.remove(key)
	})
	m.step("unknown kind", func(*testing.T) {
		key := keyOf("unknown-kind")
		m.mustKubectl(strings.Replace(m.manifests(key.Name), "kind: DockerCluster\n    name", "kind: BalloonCluster\n    name", 1), "apply", "-f", "-")
		m.expectTrouble("Cluster", key, "BalloonCluster", "infrastructure.cluster.x-k8s.io")
		m.remove(key)
	})
	m.step("name taken", m.testNameTaken)
	m.step("template deleted", m.testTemplateDeleted)
	m.step("same name twice", m.testSameName)
	m.expectNothingLeft(append(before, "ClusterResourceSet default/default-network"))
}

// expectTroubleBelow is expectTrouble for some object of a cluster.
func (m *management) expectTroubleBelow(kind string, cluster client.ObjectKey, words ...string) {
	m.t.Helper()
	var name string
	eventually(m.t, troubleLimit, "a "+kind+" of cluster "+cluster.Name+" is there", func() string {
		name, _, _ = strings.Cut(m.kubectl("", "get", kind, "-n", cluster.Namespace, "-l", "cluster.x-k8s.io/cluster-name="+cluster.Name, "-o", "name").stdout, "\n")
		_, name, _ = strings.Cut(name, "/")
		if name == "" {
			return "none"
		}
		return ""
	})
	m.expectTrouble(kind, client.ObjectKey{Namespace: cluster.Namespace, Name: name}, words...)
}

func (m *management) remove(key client.ObjectKey) {
	m.t.Helper()
	m.sees()
	m.must("delete", "cluster", key.Name, "-n", key.Namespace, "--wait=1m")
	m.kubectl("", "delete", "dockerclusters,kubeadmcontrolplanes,machinedeployments,dockermachinetemplates,kubeadmconfigtemplates", "--all", "-n", key.Namespace, "--timeout=1m")
}

// testNameTaken gives a load balancer's name to a container of somebody else, and takes it back.
func (m *management) testNameTaken(t *testing.T) {
	key := keyOf("taken")
	name := m.docker.LoadBalancerName(key)
	created, err := m.engine.ContainerCreate(t.Context(), dockerclient.ContainerCreateOptions{Name: name, Config: &container.Config{Image: "slipway/haproxy:latest"}})
	if err != nil {
		t.Fatal(err)
	}
	remove := func() {
		if _, err := m.engine.ContainerRemove(t.Context(), created.ID, dockerclient.ContainerRemoveOptions{Force: true}); err != nil {
			t.Error(err)
		}
	}
	m.mustKubectl(m.manifests(key.Name), "apply", "-f", "-")
	m.expectTrouble("DockerCluster", key, name, "docker rm -f "+name)
	m.expectTrouble("Cluster", key, name)
	if _, err := m.engine.ContainerInspect(t.Context(), created.ID, dockerclient.ContainerInspectOptions{}); err != nil {
		t.Errorf("the foreign container was touched: %v", err)
	}
	remove()
	eventually(t, time.Minute, "the load balancer is made once its name is free", func() string {
		balancer, err := m.docker.LoadBalancer(t.Context(), key)
		if err != nil || !balancer.Running() {
			return fmt.Sprintf("it is %q, %v", balancer.State, err)
		}
		return ""
	})
	m.remove(key)
}

// testTemplateDeleted deletes a template that a MachineDeployment uses, asks for a machine more, and gives it back.
func (m *management) testTemplateDeleted(t *testing.T) {
	key := keyOf("template")
	manifests := m.manifests(key.Name)
	m.mustKubectl(manifests, "apply", "-f", "-")
	var set string
	eventually(t, troubleLimit, "the MachineSet is there", func() string {
		set = strings.TrimSpace(m.kubectl("", "get", "machinesets", "-l", "cluster.x-k8s.io/cluster-name="+key.Name, "-o", "jsonpath={.items[*].metadata.name}").stdout)
		if set == "" {
			return "none"
		}
		return ""
	})
	m.mustKubectl("", "delete", "kubeadmconfigtemplate", key.Name+"-workers", "--timeout=30s")
	m.mustKubectl("", "scale", "machinedeployment", key.Name+"-workers", "--replicas=1")
	m.expectTrouble("MachineSet", client.ObjectKey{Namespace: key.Namespace, Name: set}, "KubeadmConfigTemplate", key.Name+"-workers", "create it")
	m.expectTrouble("MachineDeployment", client.ObjectKey{Namespace: key.Namespace, Name: key.Name + "-workers"}, "KubeadmConfigTemplate", key.Name+"-workers")
	m.mustKubectl(manifests, "apply", "-f", "-")
	m.mustKubectl("", "scale", "machinedeployment", key.Name+"-workers", "--replicas=1")
	eventually(t, time.Minute, "the machine is made once the template is back", func() string {
		made, err := m.docker.Machines(t.Context(), key)
		if err != nil || len(made) < 2 {
			return fmt.Sprintf("%d containers, %v", len(made), err)
		}
		return ""
	})
	m.remove(key)
}

// testSameName makes two clusters of one name in two namespaces at the same time; both work, and deleting one leaves the
// other alone.
func (m *management) testSameName(t *testing.T) {
	one, two := keyOf("same"), client.ObjectKey{Namespace: "other", Name: "same"}
	m.mustKubectl("", "create", "namespace", two.Namespace)
	for _, key := range []client.ObjectKey{one, two} {
		m.must("create", "cluster", key.Name, "-n", key.Namespace, "--kubernetes-version", version)
	}
	m.awaitCluster(one, 1, 0)
	w := m.awaitCluster(two, 1, 0)
	m.remove(one)
	if problem := w.notWhole(t.Context(), 1, 0); problem != "" {
		t.Errorf("deleting cluster %s has hurt cluster %s: %s", one, two, problem)
	}
	m.remove(two)
	m.mustKubectl("", "delete", "namespace", two.Namespace, "--timeout=1m")
}
