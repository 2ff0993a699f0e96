// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	encoding "encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	"github.com/slipway-project/slipway/providers/docker/containers"
)

// workload is a cluster that was made, seen from outside.
type workload struct {
	m          *management
	key        client.ObjectKey
	kubeconfig string
	api        client.Client
}

func keyOf(name string) client.ObjectKey { return client.ObjectKey{Namespace: "default", Name: name} }

// workload connects as a user does who asked for the kubeconfig.
func (m *management) workload(key client.ObjectKey) *workload {
	m.t.Helper()
	text := m.must("get", "kubeconfig", key.Name, "-n", key.Namespace)
	path := filepath.Join(m.t.TempDir(), "kubeconfig")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		m.t.Fatal(err)
	}
	return &workload{m: m, key: key, kubeconfig: path, api: connectTo(m.t, path)}
}

// awaitCluster waits until a cluster has that many machines, each with its container and its Ready node, and nothing more
// than that.
func (m *management) awaitCluster(key client.ObjectKey, controlPlanes, workers int) *workload {
	m.t.Helper()
	var w *workload
	eventually(m.t, readyLimit, fmt.Sprintf("cluster %s has %d + %d whole machines", key, controlPlanes, workers), func() string {
		cluster := &clusterv1.Cluster{}
		if err := m.api.Get(m.t.Context(), key, cluster); err != nil {
			return err.Error()
		}
		if initialized := cluster.Status.Initialization.ControlPlaneInitialized; initialized == nil || !*initialized {
			return "the control plane is not initialized: " + conditionText(cluster.Status.Conditions)
		}
		if w == nil {
			w = m.workload(key)
		}
		return w.notWhole(m.t.Context(), controlPlanes, workers)
	})
	return w
}

// notWhole says what is missing, or too much, for the cluster to be as asked for; empty when nothing is.
func (w *workload) notWhole(ctx context.Context, controlPlanes, workers int) string {
	machines, problem := w.machines(ctx)
	if problem != "" {
		return problem
	}
	nodes := &corev1.NodeList{}
	if err := w.api.List(ctx, nodes); err != nil {
		return err.Error()
	}
	made, err := w.m.docker.Machines(ctx, w.key)
	if err != nil {
		return err.Error()
	}
	want := controlPlanes + workers
	if len(machines) != want || len(nodes.Items) != want || len(made) != want {
		return fmt.Sprintf("%d Machines, %d nodes, %d containers; want %d of each", len(machines), len(nodes.Items), len(made), want)
	}
	leaders := 0
	for _, machine := range machines {
		if _, leads := machine.Labels[clusterv1.MachineControlPlaneLabel]; leads {
			leaders++
		}
		if problem := w.notWholeMachine(machine, nodes.Items, made); problem != "" {
			return "Machine " + machine.Name + ": " + problem
		}
	}
	if leaders != controlPlanes {
		return fmt.Sprintf("%d control-plane Machines; want %d", leaders, controlPlanes)
	}
	return ""
}

func (w *workload) machines(ctx context.Context) ([]clusterv1.Machine, string) {
	list := &clusterv1.MachineList{}
	err := w.m.api.List(ctx, list, client.InNamespace(w.key.Namespace), client.MatchingLabels{clusterv1.ClusterNameLabel: w.key.Name})
	if err != nil {
		return nil, err.Error()
	}
	return list.Items, ""
}

// notWholeMachine holds one Machine against its node and its container.
func (w *workload) notWholeMachine(machine clusterv1.Machine, nodes []corev1.Node, made []containers.Machine) string {
	if machine.Status.Phase != "Running" || !machine.DeletionTimestamp.IsZero() {
		return "phase is " + machine.Status.Phase + ": " + conditionText(machine.Status.Conditions)
	}
	at := slices.IndexFunc(nodes, func(node corev1.Node) bool { return node.Name == machine.Status.NodeRef.Name })
	if at < 0 {
		return fmt.Sprintf("its node %q is not there", machine.Status.NodeRef.Name)
	}
	node := nodes[at]
	if !isReady(node) {
		return "node " + node.Name + " is not Ready"
	}
	at = slices.IndexFunc(made, func(c containers.Machine) bool { return c.Key.Name == machine.Spec.InfrastructureRef.Name })
	if at < 0 {
		return "it has no container"
	}
	container := made[at]
	if !container.Running() || container.Name != node.Name {
		return fmt.Sprintf("its container %s is %s", container.Name, container.State)
	}
	if want := containers.ProviderID(container.Name); machine.Spec.ProviderID != want || node.Spec.ProviderID != want {
		return fmt.Sprintf("provider id is %q, its node's %q; want %q", machine.Spec.ProviderID, node.Spec.ProviderID, want)
	}
	return ""
}

func isReady(node corev1.Node) bool {
	return slices.ContainsFunc(node.Status.Conditions, func(c corev1.NodeCondition) bool {
		return c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue
	})
}

// nodeOf returns the node of each Machine of the cluster, control plane first.
func (w *workload) nodes(t *testing.T) []corev1.Node {
	t.Helper()
	list := &corev1.NodeList{}
	if err := w.api.List(t.Context(), list); err != nil {
		t.Fatal(err)
	}
	slices.SortStableFunc(list.Items, func(a, b corev1.Node) int { return leads(b) - leads(a) })
	return list.Items
}

func leads(node corev1.Node) int {
	if _, leads := node.Labels["node-role.kubernetes.io/control-plane"]; leads {
		return 1
	}
	return 0
}

// machineKey is the DockerMachine whose container is a node.
func (w *workload) machineKey(t *testing.T, node string) containers.Key {
	t.Helper()
	made, err := w.m.docker.Machines(t.Context(), w.key)
	if err != nil {
		t.Fatal(err)
	}
	at := slices.IndexFunc(made, func(c containers.Machine) bool { return c.Name == node })
	if at < 0 {
		t.Fatalf("node %s has no container", node)
	}
	return made[at].Key
}

// exec runs a script in a node.
func (w *workload) exec(t *testing.T, node, script string) (string, error) {
	t.Helper()
	ran, err := w.m.docker.Exec(t.Context(), w.machineKey(t, node), []string{"bash", "-c", script}, nil)
	if err == nil && ran.ExitCode != 0 {
		err = fmt.Errorf("exit code %d: %s", ran.ExitCode, ran.Stderr)
	}
	return string(ran.Stdout), err
}

// image is the full name of an image in the nodes' store.
func (w *workload) image(t *testing.T, prefix string) string {
	t.Helper()
	list, err := w.exec(t, w.nodes(t)[0].Name, "ctr -n k8s.io images ls -q")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range strings.Fields(list) {
		if strings.HasPrefix(name, prefix) && !strings.Contains(name, "@") {
			return name
		}
	}
	t.Fatalf("no image %s among:\n%s", prefix, list)
	return ""
}

// fromPod sends a request over TCP from inside a pod's network, and returns what comes back until the other side closes
// or is silent for long. The pod's own program (pause) can do no such thing, so it is done in its network namespace.
func (w *workload) fromPod(t *testing.T, pod corev1.Pod, to netip.AddrPort, request []byte) (string, error) {
	t.Helper()
	id := strings.TrimPrefix(pod.Status.ContainerStatuses[0].ContainerID, "containerd://")
	var octal strings.Builder
	for _, b := range request {
		fmt.Fprintf(&octal, "\\%03o", b)
	}
	const script = `pid=$(ctr -n k8s.io tasks ls | awk '$1 == "%s" { print $2 }') && [ -n "$pid" ] || exit 9
timeout 10 nsenter -t "$pid" -n bash -c 'exec 3<>/dev/tcp/%s/%d || exit 1; printf "%s" >&3; timeout 3 cat <&3 || true'`
	return w.exec(t, pod.Spec.NodeName, fmt.Sprintf(script, id, to.Addr(), to.Port(), octal.String()))
}

// lookUp asks the cluster's DNS, from inside a pod's network.
func (w *workload) lookUp(t *testing.T, pod corev1.Pod, server netip.Addr, name string) (netip.Addr, error) {
	t.Helper()
	question := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: 7, RecursionDesired: true},
		Questions: []dnsmessage.Question{{Name: dnsmessage.MustNewName(name), Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET}},
	}
	packed, err := question.Pack()
	if err != nil {
		t.Fatal(err)
	}
	framed := encoding.BigEndian.AppendUint16(nil, uint16(len(packed)))
	answer, err := w.fromPod(t, pod, netip.AddrPortFrom(server, 53), append(framed, packed...))
	if err != nil {
		return netip.Addr{}, err
	}
	if len(answer) < 2 {
		return netip.Addr{}, fmt.Errorf("%d bytes of an answer", len(answer))
	}
	var message dnsmessage.Message
	if err := message.Unpack([]byte(answer[2:])); err != nil {
		return netip.Addr{}, err
	}
	for _, record := range message.Answers {
		if a, ok := record.Body.(*dnsmessage.AResource); ok {
			return netip.AddrFrom4(a.A), nil
		}
	}
	return netip.Addr{}, fmt.Errorf("no address in the answer (%s)", message.RCode)
}
