// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	"github.com/slipway-project/slipway/providers/docker/containers"
)

// talkManifests are files 1 to 5 of examples/talk, for one control-plane machine, at a version.
func talkManifests(t *testing.T, at string) []string {
	t.Helper()
	const written = "v1.36.3"
	dashes := func(v string) string { return strings.ReplaceAll(v, ".", "-") }
	var manifests []string
	for _, name := range []string{"1-cluster", "2-docker-cluster", "3-control-plane", "4-workers", "5-network"} {
		text, err := os.ReadFile(filepath.Join(checkout, "examples", "talk", name+".yaml"))
		if err != nil {
			t.Fatal(err)
		}
		manifest := strings.NewReplacer("replicas: 3", "replicas: 1", written, at, dashes(written), dashes(at)).Replace(string(text))
		manifests = append(manifests, manifest)
	}
	if !strings.Contains(manifests[2], "replicas: 1") {
		t.Fatal("3-control-plane.yaml does not have the replicas that this test edits")
	}
	return manifests
}

// remains are the kinds of the talk's objects that belong to no cluster and stay when it is deleted.
func remains(objects []string) []string {
	return slices.DeleteFunc(objects, func(name string) bool {
		kind, _, _ := strings.Cut(name, " ")
		return !slices.Contains([]string{"DockerMachineTemplate", "KubeadmConfigTemplate", "ClusterResourceSet"}, kind)
	})
}

// TestTalk is the demonstration of examples/talk from beginning to end, its files applied in any order.
func TestTalk(t *testing.T) {
	m := startManagement(t)
	before := m.mustObjects()
	manifests := talkManifests(t, setting("SLIPWAY_E2E_TALK_VERSION", version))
	rand.Shuffle(len(manifests), func(i, j int) { manifests[i], manifests[j] = manifests[j], manifests[i] })
	for _, manifest := range manifests {
		m.mustKubectl(manifest, "apply", "--server-side", "-f", "-")
		first, _, _ := strings.Cut(manifest[strings.Index(manifest, "kind: ")+len("kind: "):], "\n")
		t.Logf("applied %s", first)
	}
	w := m.awaitCluster(keyOf("demo"), 1, 1)

	m.step("nodes", w.testNodes)
	m.step("components", w.testComponents)
	m.mustKubectl("", "scale", "machinedeployment", "demo-workers", "--replicas=3")
	m.awaitCluster(w.key, 1, 3)
	m.step("pods", w.testPods)
	m.mustKubectl("", "scale", "machinedeployment", "demo-workers", "--replicas=1")
	m.awaitCluster(w.key, 1, 1)
	m.step("settled", w.testSettled)

	if orphans := m.must("status"); strings.Contains(strings.ToLower(orphans), "orphan") {
		t.Errorf("slipway status tells of orphans: %s", orphans)
	}
	m.sees()
	stay := remains(m.mustObjects())
	m.mustKubectl("", "delete", "cluster", "demo", "--timeout=2m")
	m.expectNothingLeft(append(before, stay...))
}

// testNodes looks for what the manifests ask of machines.
func (w *workload) testNodes(t *testing.T) {
	nodes := w.nodes(t)
	leader, worker := nodes[0], nodes[1]
	if leads(leader) != 1 || leads(worker) != 0 {
		t.Fatalf("nodes are %s and %s", leader.Name, worker.Name)
	}
	if got := leader.Labels["talk"]; got != "demo" {
		t.Errorf("label talk of node %s is %q", leader.Name, got)
	}
	if got := worker.Status.Capacity.Pods().Value(); got != 50 {
		t.Errorf("node %s takes %d pods; its kubelet was given max-pods=50", worker.Name, got)
	}
	if output, err := w.exec(t, leader.Name, "test -S /var/run/docker.sock"); err != nil {
		t.Errorf("the extra mount is not in node %s: %v %s", leader.Name, err, output)
	}
	made, err := w.m.docker.Machines(t.Context(), w.key)
	if err != nil {
		t.Fatal(err)
	}
	for _, container := range made {
		if container.Role == containers.RoleWorker && container.FailureDomain != "fd4" {
			t.Errorf("container %s is in failure domain %q, not in fd4", container.Name, container.FailureDomain)
		}
		if container.Role == containers.RoleControlPlane && !slices.Contains([]string{"fd1", "fd2", "fd3"}, container.FailureDomain) {
			t.Errorf("container %s is in failure domain %q, which is not for control planes", container.Name, container.FailureDomain)
		}
	}
	eventually(t, time.Minute, "the worker's token is removed", func() string { return w.unwantedToken(t) })
}

// unwantedToken names a bootstrap token that is there and should not be. The one that kubeadm init was given may live out
// its time, which is short; what a machine joined with must be removed.
func (w *workload) unwantedToken(t *testing.T) string {
	const most = 20 * time.Minute
	secrets := &corev1.SecretList{}
	if err := w.api.List(t.Context(), secrets, client.InNamespace("kube-system")); err != nil {
		return err.Error()
	}
	for _, secret := range secrets.Items {
		if secret.Type != "bootstrap.kubernetes.io/token" || string(secret.Data["usage-bootstrap-authentication"]) != "true" {
			continue
		}
		expires, err := time.Parse(time.RFC3339, string(secret.Data["expiration"]))
		if err != nil || time.Until(expires) > most {
			return fmt.Sprintf("Secret %s lives until %q", secret.Name, secret.Data["expiration"])
		}
		if description := string(secret.Data["description"]); strings.Contains(description, "demo-workers") {
			return fmt.Sprintf("Secret %s is there: %s", secret.Name, description)
		}
	}
	return ""
}

// testComponents looks for the flags of Kubernetes components where they take effect: in the pods that run.
func (w *workload) testComponents(t *testing.T) {
	for component, flags := range map[string][]string{
		"kube-apiserver":          {"--audit-log-path=-", "--event-ttl=2h0m0s"},
		"kube-controller-manager": {"--node-cidr-mask-size=24"},
		"kube-scheduler":          {"--profiling=false"},
	} {
		pods := &corev1.PodList{}
		if err := w.api.List(t.Context(), pods, client.InNamespace("kube-system"), client.MatchingLabels{"component": component}); err != nil {
			t.Fatal(err)
		}
		if len(pods.Items) != 1 || pods.Items[0].Status.Phase != corev1.PodRunning {
			t.Errorf("%d pods of %s", len(pods.Items), component)
			continue
		}
		for _, flag := range flags {
			if !slices.Contains(pods.Items[0].Spec.Containers[0].Command, flag) {
				t.Errorf("%s runs without %s: %v", component, flag, pods.Items[0].Spec.Containers[0].Command)
			}
		}
	}
}

// podManifests are pause pods, one on each worker, and a server: CoreDNS of the node image, whose health check is HTTP.
const podManifests = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: pause}
spec:
  replicas: 3
  selector: {matchLabels: {app: pause}}
  template:
    metadata: {labels: {app: pause}}
    spec:
      terminationGracePeriodSeconds: 1
      topologySpreadConstraints:
      - {maxSkew: 1, topologyKey: kubernetes.io/hostname, whenUnsatisfiable: DoNotSchedule, labelSelector: {matchLabels: {app: pause}}}
      containers:
      - {name: pause, image: "%s"}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: server}
data:
  Corefile: |
    .:5353 {
      health :8080
      whoami
    }
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: server}
spec:
  selector: {matchLabels: {app: server}}
  template:
    metadata: {labels: {app: server}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: coredns
        image: "%s"
        args: [-conf, /etc/coredns/Corefile]
        readinessProbe: {httpGet: {path: /health, port: 8080}, periodSeconds: 1}
        volumeMounts:
        - {name: config, mountPath: /etc/coredns}
      volumes:
      - {name: config, configMap: {name: server}}
---
apiVersion: v1
kind: Service
metadata: {name: server}
spec:
  selector: {app: server}
  ports: [{port: 80, targetPort: 8080}]
`

// testPods has each of the pause pods, spread over the workers, reach a pod on one of them through a Service, by its
// address and by its name.
func (w *workload) testPods(t *testing.T) {
	service := w.serve(t)
	dns := &corev1.Service{}
	if err := w.api.Get(t.Context(), client.ObjectKey{Namespace: "kube-system", Name: "kube-dns"}, dns); err != nil {
		t.Fatal(err)
	}
	address := netip.MustParseAddr(service.Spec.ClusterIP)
	server := w.pods(t, "server")[0]
	pods := w.pods(t, "pause")
	used := map[string]bool{}
	elsewhere := 0
	for _, pod := range pods {
		used[pod.Spec.NodeName] = true
		if pod.Spec.NodeName != server.Spec.NodeName {
			elsewhere++
		}
		eventually(t, 30*time.Second, "pod on "+pod.Spec.NodeName+" reaches the Service, served on "+server.Spec.NodeName, func() string {
			answer, err := w.fromPod(t, pod, netip.AddrPortFrom(address, 80), []byte("GET /health HTTP/1.0\r\n\r\n"))
			if err != nil || !strings.HasPrefix(answer, "HTTP/1.0 200 OK") || !strings.HasSuffix(answer, "OK") {
				return fmt.Sprintf("answer %q, %v", answer, err)
			}
			return ""
		})
		eventually(t, 30*time.Second, "pod on "+pod.Spec.NodeName+" finds the Service by its name", func() string {
			found, err := w.lookUp(t, pod, netip.MustParseAddr(dns.Spec.ClusterIP), "server.default.svc.cluster.local.")
			if err != nil || found != address {
				return fmt.Sprintf("found %s, %v; want %s", found, err, address)
			}
			return ""
		})
	}
	if len(used) != 3 || elsewhere == 0 {
		t.Errorf("pause pods are on %d nodes, %d of them not on the server's", len(used), elsewhere)
	}
	w.kubectl(t, "", "delete", "deployment/pause", "deployment/server", "service/server", "configmap/server", "--timeout=1m")
}

// kubectl runs kubectl against the workload cluster.
func (w *workload) kubectl(t *testing.T, stdin string, arguments ...string) {
	t.Helper()
	ran := w.m.run(nil, stdin, filepath.Join(binaries, "kubectl"), append([]string{"--kubeconfig", w.kubeconfig}, arguments...)...)
	if ran.code != 0 {
		t.Fatalf("kubectl %s: %s", strings.Join(arguments, " "), ran)
	}
}

// serve starts pods that ask and a server behind a Service.
func (w *workload) serve(t *testing.T) *corev1.Service {
	t.Helper()
	w.kubectl(t, fmt.Sprintf(podManifests, w.image(t, "registry.k8s.io/pause:"), w.image(t, "registry.k8s.io/coredns/coredns:")), "apply", "-f", "-")
	w.kubectl(t, "", "rollout", "status", "deployment/pause", "deployment/server", "--timeout=2m")
	service := &corev1.Service{}
	if err := w.api.Get(t.Context(), keyOf("server"), service); err != nil {
		t.Fatal(err)
	}
	return service
}

// askServer asks the server through its Service, from a pod, once a second.
func (w *workload) askServer(t *testing.T, service *corev1.Service) *steady {
	t.Helper()
	pod, address := w.pods(t, "pause")[0], netip.MustParseAddr(service.Spec.ClusterIP)
	return startSteady(t, "Deployment through its Service", time.Second, func(context.Context) error {
		answer, err := w.fromPod(t, pod, netip.AddrPortFrom(address, 80), []byte("GET /health HTTP/1.0\r\n\r\n"))
		if err == nil && !strings.HasPrefix(answer, "HTTP/1.0 200 OK") {
			err = fmt.Errorf("answer %q", answer)
		}
		return err
	})
}

func (w *workload) pods(t *testing.T, app string) []corev1.Pod {
	t.Helper()
	list := &corev1.PodList{}
	if err := w.api.List(t.Context(), list, client.InNamespace("default"), client.MatchingLabels{"app": app}); err != nil {
		t.Fatal(err)
	}
	running := slices.DeleteFunc(list.Items, func(pod corev1.Pod) bool {
		return pod.Status.Phase != corev1.PodRunning || pod.DeletionTimestamp != nil
	})
	if len(running) == 0 {
		t.Fatalf("no pod of %s runs", app)
	}
	return running
}

// testSettled sees that nobody writes to the objects of a cluster that is as it should be, and that no controller acts,
// with or without effect.
func (w *workload) testSettled(t *testing.T) {
	m := w.m
	versions := func() map[string]string {
		found := map[string]string{}
		for _, kind := range kinds {
			if kind.Group == "" {
				continue
			}
			text := m.kubectl("", "get", strings.ToLower(kind.Kind)+"."+kind.Group, "-A", "-o", `jsonpath={range .items[*]}{.kind} {.metadata.name}={.metadata.resourceVersion}{"\n"}{end}`)
			for _, line := range strings.Split(strings.TrimSpace(text.stdout), "\n") {
				if name, value, ok := strings.Cut(line, "="); ok {
					found[name] = value
				}
			}
		}
		return found
	}
	const still = 10 * time.Second
	eventually(t, 90*time.Second, fmt.Sprintf("no object changes for %s", still), func() string {
		first, acted := versions(), m.acted(t)
		time.Sleep(still)
		var changed []string
		for name, value := range versions() {
			if first[name] != value {
				changed = append(changed, name)
			}
		}
		if now := m.acted(t); len(now) > len(acted) {
			changed = append(changed, "acting: "+now[len(now)-1])
		}
		if len(first) < 10 {
			return fmt.Sprintf("only %d objects are there", len(first))
		}
		return strings.Join(changed, ", ")
	})
	cluster := &clusterv1.Cluster{}
	if err := m.api.Get(t.Context(), w.key, cluster); err != nil {
		t.Fatal(err)
	}
	text, _ := json.Marshal(cluster.Status.Conditions)
	for _, condition := range cluster.Status.Conditions {
		if condition.Type == clusterv1.AvailableCondition && condition.Status != "True" {
			t.Errorf("the Cluster is not Available: %s", text)
		}
	}
	if cluster.Status.Phase != "Provisioned" {
		t.Errorf("phase is %s", cluster.Status.Phase)
	}
}

// acted are the lines in the log of the management process that tell of actions.
func (m *management) acted(t *testing.T) []string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(m.home, "logs", "slipway.log"))
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(strings.Split(string(content), "\n"), func(line string) bool { return !strings.Contains(line, "msg=Acting") })
}
