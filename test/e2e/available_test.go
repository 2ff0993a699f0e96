// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	dockerclient "github.com/moby/moby/client"
	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	controlplanev1 "github.com/slipway-project/slipway/api/controlplane/v1beta2"
	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	connecting "github.com/slipway-project/slipway/workload"
)

const (
	// rolloutLimit bounds the replacement of three control-plane machines.
	rolloutLimit = 8 * time.Minute
	// gapLimit is how long the API may give no answer. The aim is a second, which make bench-upgrade measures; a test has to
	// bear a host that boots nodes and does other things at the same time.
	gapLimit = 6 * time.Second
)

// checks are health checks of a cluster made by slipway create cluster, with times that a test can wait for.
const checks = `apiVersion: cluster.x-k8s.io/v1beta2
kind: MachineHealthCheck
metadata: {name: %[1]s-control-plane, namespace: default}
spec:
  clusterName: %[1]s
  selector: {matchLabels: {cluster.x-k8s.io/control-plane: ""}}
  checks:
    nodeStartupTimeoutSeconds: 300
    unhealthyNodeConditions:
    - {type: Ready, status: Unknown, timeoutSeconds: 15}
    - {type: Ready, status: "False", timeoutSeconds: 60}
---
apiVersion: cluster.x-k8s.io/v1beta2
kind: MachineHealthCheck
metadata: {name: %[1]s-workers, namespace: default}
spec:
  clusterName: %[1]s
  selector: {matchLabels: {cluster.x-k8s.io/deployment-name: %[1]s-workers}}
  checks:
    nodeStartupTimeoutSeconds: 300
    unhealthyNodeConditions:
    - {type: Ready, status: Unknown, timeoutSeconds: 15}
    - {type: Ready, status: "False", timeoutSeconds: 60}
`

// TestAvailable has a cluster grow to three control planes, kills one of them and the worker, and shrinks it, while its API
// is asked all the time. One node image is enough for it, and a few minutes; see TestReplace and TestUpgrade for more.
func TestAvailable(t *testing.T) {
	m := startManagement(t)
	before := m.mustObjects()
	key := keyOf("steady")
	m.must("create", "cluster", key.Name, "--kubernetes-version", version, "--control-plane-machine-count", "1", "--worker-machine-count", "1", "--wait")
	w := m.awaitCluster(key, 1, 1)
	controlPlane := w.controlPlane(t)

	m.step("grow", func(t *testing.T) {
		fresh, same := w.askAPI(t, false), w.askAPI(t, true)
		m.mustKubectl("", "scale", "kubeadmcontrolplane", controlPlane.Name, "--replicas=3")
		m.awaitCluster(key, 3, 1)
		w.expectVoters(t, 3)
		fresh.expect(0, gapLimit)
		same.expect(0, gapLimit)
	})
	m.mustKubectl(fmt.Sprintf(checks, key.Name), "apply", "-f", "-")
	m.step("a control plane and the worker killed", func(t *testing.T) {
		leader, worker := w.leader(t), w.names(t, false)[0]
		w.killMachine(t, leader)
		w.killMachine(t, worker)
		w.awaitReplaced(t, 3, 1, leader, worker)
		w.expectVoters(t, 3)
	})
	m.step("shrink", func(t *testing.T) {
		fresh := w.askAPI(t, false)
		m.mustKubectl("", "scale", "kubeadmcontrolplane", controlPlane.Name, "--replicas=1")
		m.awaitCluster(key, 1, 1)
		w.expectVoters(t, 1)
		fresh.expect(0, gapLimit)
	})
	m.step("settled", w.testSettled)
	m.sees()
	m.must("delete", "cluster", key.Name, "--wait")
	m.expectNothingLeft(append(before, "ClusterResourceSet default/default-network")) // it serves all clusters of its namespace
}

// TestReplace has all control planes of a cluster replaced by new ones of the same version.
func TestReplace(t *testing.T) {
	needUpgrade(t)
	m := startManagement(t)
	key := keyOf("replaced")
	m.must("create", "cluster", key.Name, "--kubernetes-version", version, "--control-plane-machine-count", "3", "--worker-machine-count", "1", "--wait")
	w := m.awaitCluster(key, 3, 1)
	old := w.controlPlaneMachines(t)
	fresh, same := w.askAPI(t, false), w.askAPI(t, true)
	m.must("rollout", "restart", "kubeadmcontrolplane/"+w.controlPlane(t).Name)
	w.awaitRollout(t, version, func(machines []string) string {
		if left := slices.DeleteFunc(slices.Clone(machines), func(name string) bool { return !slices.Contains(old, name) }); len(left) > 0 {
			return "machines of before are there: " + strings.Join(left, ", ")
		}
		return ""
	})
	m.awaitCluster(key, 3, 1)
	w.expectVoters(t, 3)
	fresh.expect(0, gapLimit)
	same.expect(0, gapLimit)
	m.sees()
	m.must("delete", "cluster", key.Name, "--wait")
}

// controlPlane is the cluster's KubeadmControlPlane.
func (w *workload) controlPlane(t *testing.T) *controlplanev1.KubeadmControlPlane {
	t.Helper()
	cluster := &clusterv1.Cluster{}
	if err := w.m.api.Get(t.Context(), w.key, cluster); err != nil {
		t.Fatal(err)
	}
	controlPlane := &controlplanev1.KubeadmControlPlane{}
	if err := w.m.api.Get(t.Context(), client.ObjectKey{Namespace: w.key.Namespace, Name: cluster.Spec.ControlPlaneRef.Name}, controlPlane); err != nil {
		t.Fatal(err)
	}
	return controlPlane
}

// names are those of the cluster's Machines that are to stay, of the control plane or of the others, sorted.
func (w *workload) names(t *testing.T, leads bool) []string {
	t.Helper()
	machines, problem := w.machines(t.Context())
	if problem != "" {
		t.Fatal(problem)
	}
	var names []string
	for _, machine := range machines {
		if _, is := machine.Labels[clusterv1.MachineControlPlaneLabel]; is == leads && machine.DeletionTimestamp.IsZero() {
			names = append(names, machine.Name)
		}
	}
	slices.Sort(names)
	return names
}

func (w *workload) controlPlaneMachines(t *testing.T) []string { return w.names(t, true) }

// awaitRollout waits until every control-plane machine is at the version and up to date, and nothing more is missing.
func (w *workload) awaitRollout(t *testing.T, to string, missing func(machines []string) string) {
	t.Helper()
	eventually(t, rolloutLimit, "the control plane is at "+to, func() string {
		controlPlane := w.controlPlane(t)
		want, status := *controlPlane.Spec.Replicas, controlPlane.Status
		text := conditionText(status.Conditions)
		switch {
		case status.ObservedGeneration != controlPlane.Generation:
			return "its change was not seen yet"
		case status.UpToDateReplicas == nil || *status.UpToDateReplicas != want || *status.Replicas != want || *status.ReadyReplicas != want:
			return text
		case len(status.Versions) != 1 || status.Versions[0].Version != to:
			return fmt.Sprintf("versions are %v: %s", status.Versions, text)
		}
		return missing(w.controlPlaneMachines(t))
	})
}

// view asks the members of etcd, on all Nodes of control planes.
func (w *workload) view(t *testing.T) (healthy []string, leader string, problems []string) {
	t.Helper()
	connections := connecting.New(connecting.Options{Secrets: w.m.api, Log: logr.Discard()})
	defer connections.Forget(w.key)
	var nodes []string
	for _, node := range w.nodes(t) {
		if leads(node) == 1 {
			nodes = append(nodes, node.Name)
		}
	}
	eventually(t, time.Minute, "etcd answers", func() string {
		view, err := connections.Etcd(t.Context(), w.key, nodes)
		if err != nil {
			return err.Error()
		}
		healthy, leader, problems = nil, "", nil
		for _, member := range view.Members {
			if problem := view.Problem(member); problem != "" {
				problems = append(problems, member.String()+": "+problem)
			} else {
				healthy = append(healthy, member.Name)
			}
		}
		if member, ok := view.Leader(); ok {
			leader = member.Name
		}
		return ""
	})
	return healthy, leader, problems
}

// expectVoters fails unless etcd has that many members, all of them healthy voters.
func (w *workload) expectVoters(t *testing.T, want int) {
	t.Helper()
	eventually(t, time.Minute, fmt.Sprintf("etcd has %d healthy voters and nothing else", want), func() string {
		healthy, _, problems := w.view(t)
		if len(healthy) != want || len(problems) > 0 {
			return fmt.Sprintf("healthy are %v, not healthy %v", healthy, problems)
		}
		return ""
	})
}

// leader is the Machine of the member that leads etcd.
func (w *workload) leader(t *testing.T) string {
	t.Helper()
	_, node, _ := w.view(t)
	machines, problem := w.machines(t.Context())
	if problem != "" {
		t.Fatal(problem)
	}
	for _, machine := range machines {
		if machine.Status.NodeRef.Name == node {
			return machine.Name
		}
	}
	t.Fatalf("no Machine has node %q, whose member of etcd leads", node)
	return ""
}

// container is the name of a Machine's container.
func (w *workload) container(t *testing.T, machine string) string {
	t.Helper()
	made, err := w.m.docker.Machines(t.Context(), w.key)
	if err != nil {
		t.Fatal(err)
	}
	for _, container := range made {
		if container.Key.Name == machine {
			return container.Name
		}
	}
	t.Fatalf("Machine %s has no container", machine)
	return ""
}

// killMachine removes a machine's container behind everybody's back: a container that was only killed would be started
// again, which mends it without a new machine.
func (w *workload) killMachine(t *testing.T, machine string) {
	t.Helper()
	name := w.container(t, machine)
	if _, err := w.m.engine.ContainerRemove(t.Context(), name, dockerclient.ContainerRemoveOptions{Force: true, RemoveVolumes: true}); err != nil {
		t.Fatal(err)
	}
	t.Logf("killed Machine %s (container %s)", machine, name)
}

// awaitReplaced waits until a machine that was killed is gone and the cluster whole again.
func (w *workload) awaitReplaced(t *testing.T, controlPlanes, workers int, killed ...string) {
	t.Helper()
	eventually(t, rolloutLimit, "what was killed is replaced", func() string {
		for _, name := range killed {
			if slices.Contains(append(w.names(t, true), w.names(t, false)...), name) {
				return "Machine " + name + " is there"
			}
		}
		return w.notWhole(t.Context(), controlPlanes, workers)
	})
}

// expectAddons fails unless kube-proxy runs at the version on all nodes, and CoreDNS from the image that the newest
// control plane has.
func (w *workload) expectAddons(t *testing.T, at string) {
	t.Helper()
	eventually(t, 2*time.Minute, "the add-ons are at "+at, func() string {
		proxy := &appsv1.DaemonSet{}
		if err := w.api.Get(t.Context(), client.ObjectKey{Namespace: metav1.NamespaceSystem, Name: "kube-proxy"}, proxy); err != nil {
			return err.Error()
		}
		dns := &appsv1.Deployment{}
		if err := w.api.Get(t.Context(), client.ObjectKey{Namespace: metav1.NamespaceSystem, Name: "coredns"}, dns); err != nil {
			return err.Error()
		}
		image := proxy.Spec.Template.Spec.Containers[0].Image
		status := proxy.Status
		switch {
		case !strings.HasSuffix(image, ":"+at):
			return "kube-proxy runs from " + image
		case status.ObservedGeneration != proxy.Generation || status.UpdatedNumberScheduled != status.DesiredNumberScheduled || status.NumberReady != status.DesiredNumberScheduled:
			return fmt.Sprintf("kube-proxy: %d of %d pods updated, %d ready", status.UpdatedNumberScheduled, status.DesiredNumberScheduled, status.NumberReady)
		case dns.Status.ObservedGeneration != dns.Generation || dns.Status.UpdatedReplicas != *dns.Spec.Replicas || dns.Status.ReadyReplicas != *dns.Spec.Replicas || dns.Status.Replicas != *dns.Spec.Replicas:
			return fmt.Sprintf("CoreDNS: %d of %d pods updated, %d ready", dns.Status.UpdatedReplicas, *dns.Spec.Replicas, dns.Status.ReadyReplicas)
		}
		want := w.newestImage(t, "registry.k8s.io/coredns/coredns:")
		if got := dns.Spec.Template.Spec.Containers[0].Image; got != want {
			return fmt.Sprintf("CoreDNS runs from %s; want %s", got, want)
		}
		return ""
	})
}

// newestImage is the image of a name that the control planes' nodes came with.
func (w *workload) newestImage(t *testing.T, prefix string) string {
	t.Helper()
	machine := w.controlPlaneMachines(t)[0]
	node := w.container(t, machine)
	output, err := w.exec(t, node, "ctr -n k8s.io images ls -q | grep '^"+prefix+"' | sort -V | tail -n 1")
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(output)
}

// nodeVersions are the kubelets' versions, of control planes or of workers.
func (w *workload) nodeVersions(t *testing.T, leader int) []string {
	t.Helper()
	var versions []string
	for _, node := range w.nodes(t) {
		if leads(node) == leader {
			versions = append(versions, node.Status.NodeInfo.KubeletVersion)
		}
	}
	slices.Sort(versions)
	return versions
}

// pauseMachine freezes a machine's container for a while.
func (w *workload) pauseMachine(t *testing.T, machine string, pause time.Duration) {
	t.Helper()
	name := w.container(t, machine)
	if _, err := w.m.engine.ContainerPause(t.Context(), name, dockerclient.ContainerPauseOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Logf("paused Machine %s for %s", machine, pause)
	time.Sleep(pause)
	if _, err := w.m.engine.ContainerUnpause(t.Context(), name, dockerclient.ContainerUnpauseOptions{}); err != nil {
		t.Fatal(err)
	}
}
