// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	dockerclient "github.com/moby/moby/client"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	"github.com/slipway-project/slipway/conditions"
	"github.com/slipway-project/slipway/providers/docker/containers"
)

// TestKill kills the management process, as kill -9 does, at random moments while a cluster is made, grows, shrinks and
// goes, and starts it again. Each step must end as it would have without.
func TestKill(t *testing.T) {
	kills := number(t, "SLIPWAY_E2E_KILLS", 20)
	seed := number(t, "SLIPWAY_E2E_SEED", int(time.Now().UnixNano()%1_000_000))
	t.Logf("%d kills; to repeat: SLIPWAY_E2E_SEED=%d", kills, seed)
	k := &killer{management: newManagement(t), random: rand.New(rand.NewPCG(uint64(seed), 0)), left: kills}
	k.launch()
	k.awaitUp()
	before := k.mustObjects()
	stop := k.watchDoubles()
	defer stop()
	for story := 1; k.left > 0; story++ {
		t.Logf("story %d: %d kills are left", story, k.left)
		k.story(before)
	}
}

func number(t *testing.T, name string, otherwise int) int {
	t.Helper()
	value := setting(name, strconv.Itoa(otherwise))
	n, err := strconv.Atoi(value)
	if err != nil || n < 0 {
		t.Fatalf("%s=%s is not a number", name, value)
	}
	return n
}

// killer is a management cluster that is killed a number of times.
type killer struct {
	*management
	random *rand.Rand
	left   int
}

// story is the life of one cluster. Seconds are about what each step takes when left alone, so that kills fall everywhere
// in it; two in the longest, since what was begun twice must not be there twice.
func (k *killer) story(before []string) {
	k.t.Helper()
	key := keyOf("story")
	k.must("create", "cluster", key.Name, "--kubernetes-version", version, "--worker-machine-count", "1")
	k.disturb("create", 25*time.Second)
	k.disturb("create", 15*time.Second)
	w := k.awaitCluster(key, 1, 1)

	k.mustKubectl("", "scale", "machinedeployment", key.Name+"-workers", "--replicas=2")
	k.disturb("scale up", 12*time.Second)
	k.awaitCluster(key, 1, 2)

	k.mustKubectl("", "scale", "machinedeployment", key.Name+"-workers", "--replicas=1")
	k.disturb("scale down", 4*time.Second)
	k.awaitCluster(key, 1, 1)
	k.expectSameEnd(w)

	k.sees()
	k.mustKubectl("", "delete", "cluster", key.Name, "--wait=false")
	k.disturb("delete", 6*time.Second)
	k.expectNothingLeft(slices.Concat(before, k.setsOf()))
}

// setsOf are the ClusterResourceSets, which belong to no cluster.
func (k *killer) setsOf() []string {
	return slices.DeleteFunc(k.mustObjects(), func(name string) bool { return !strings.HasPrefix(name, "ClusterResourceSet ") })
}

// disturb kills at a random moment within the time given, one time in four again while the process is starting, and
// starts it. It does nothing once all kills are used up.
func (k *killer) disturb(step string, within time.Duration) {
	k.t.Helper()
	if k.left == 0 {
		return
	}
	k.killAfter(step, k.moment(within))
	k.launch()
	if k.left > 0 && k.random.IntN(4) == 0 {
		k.killAfter(step+", starting", k.moment(5*time.Second))
		k.launch()
	}
	k.awaitUp()
}

func (k *killer) moment(within time.Duration) time.Duration {
	return time.Duration(k.random.Int64N(int64(within)))
}

func (k *killer) killAfter(step string, moment time.Duration) {
	k.t.Helper()
	time.Sleep(moment)
	k.kill()
	k.left--
	k.t.Logf("killed %.2f s into %s", moment.Seconds(), step)
}

// expectSameEnd sees that a cluster, whatever happened, is made of what it would be made of otherwise: the counts are held
// by awaitCluster; here, that each object is owned and each container known.
func (k *killer) expectSameEnd(w *workload) {
	k.t.Helper()
	got := counts(k.mustObjects())
	want := map[string]int{
		"Cluster": 1, "DockerCluster": 1, "KubeadmControlPlane": 1, "MachineDeployment": 1, "MachineSet": 1,
		"Machine": 2, "DockerMachine": 2, "KubeadmConfig": 2,
		"DockerMachineTemplate": 2, "KubeadmConfigTemplate": 1, "ClusterResourceSet": 1, "ClusterResourceSetBinding": 1,
	}
	for kind, n := range want {
		if got[kind] != n {
			k.t.Errorf("%d objects of kind %s; want %d", got[kind], kind, n)
		}
	}
	orphans, err := k.docker.Orphans(k.t.Context(), func(kind, namespace, name string) bool {
		return k.get(kind, namespace, name) == nil
	})
	if err != nil || len(orphans) > 0 {
		k.t.Errorf("orphans in the container engine: %+v, %v", orphans, err)
	}
	// Kubernetes itself takes its not-ready taint off a little after a node is Ready.
	eventually(k.t, 30*time.Second, "workers have no taints", func() string {
		for _, node := range w.nodes(k.t) {
			if taints := node.Spec.Taints; leads(node) == 0 && len(taints) > 0 {
				return fmt.Sprintf("node %s has taints %v", node.Name, taints)
			}
		}
		return ""
	})
}

func counts(objects []string) map[string]int {
	found := map[string]int{}
	for _, name := range objects {
		kind, _, _ := strings.Cut(name, " ")
		found[kind]++
	}
	return found
}

// watchDoubles looks, all the time, for two containers of one machine.
func (m *management) watchDoubles() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	filter := dockerclient.Filters{}.Add("label", containers.LabelManagementCluster+"="+m.id)
	var wait sync.WaitGroup
	wait.Go(func() {
		for ; ctx.Err() == nil; time.Sleep(100 * time.Millisecond) {
			list, err := m.engine.ContainerList(ctx, dockerclient.ContainerListOptions{All: true, Filters: filter})
			if err != nil {
				continue
			}
			of := map[string]string{}
			for _, item := range list.Items {
				machine := item.Labels[containers.LabelMachine]
				if machine == "" {
					machine = "load balancer of " + item.Labels[containers.LabelCluster]
				}
				if other := of[machine]; other != "" && other != item.ID {
					m.t.Errorf("two containers of %s: %s and %s", machine, other, item.ID)
				}
				of[machine] = item.ID
			}
		}
	})
	return func() { cancel(); wait.Wait() }
}

// TestDeleteWhileMade deletes a cluster at several moments of its making.
func TestDeleteWhileMade(t *testing.T) {
	m := startManagement(t)
	before := m.mustObjects()
	moments := []struct {
		name    string
		times   int
		reached func(key client.ObjectKey) string
	}{
		// Several times: which controller has seen the cluster by then is a matter of luck.
		{"at once", 5, func(client.ObjectKey) string { return "" }},
		{"with a load balancer", 1, func(key client.ObjectKey) string {
			if balancer, err := m.docker.LoadBalancer(t.Context(), key); err != nil || !balancer.Exists {
				return fmt.Sprintf("it is not there (%v)", err)
			}
			return ""
		}},
		{"with a container that boots", 1, func(key client.ObjectKey) string {
			if made, err := m.docker.Machines(t.Context(), key); err != nil || len(made) == 0 {
				return fmt.Sprintf("there is none (%v)", err)
			}
			return ""
		}},
		{"while kubeadm runs", 1, func(key client.ObjectKey) string { return m.kubeadmRuns(key, containers.RoleControlPlane) }},
		{"while a worker joins", 1, func(key client.ObjectKey) string { return m.kubeadmRuns(key, containers.RoleWorker) }},
	}
	for i, moment := range moments {
		for n := range moment.times {
			key := keyOf(fmt.Sprintf("early-%d-%d", i, n))
			t.Logf("delete %s", moment.name)
			m.must("create", "cluster", key.Name, "--kubernetes-version", version, "--worker-machine-count", "1")
			eventually(t, readyLimit, moment.name, func() string { return moment.reached(key) })
			m.sees()
			m.must("delete", "cluster", key.Name, "--wait=2m")
			m.expectNothingLeft(append(before, "ClusterResourceSet default/default-network"))
		}
	}
}

// kubeadmRuns tells what is missing for a machine of a role to be in the middle of its bootstrap.
func (m *management) kubeadmRuns(key client.ObjectKey, role containers.Role) string {
	made, err := m.docker.Machines(m.t.Context(), key)
	if err != nil {
		return err.Error()
	}
	for _, machine := range made {
		if machine.Role != role || !machine.Running() {
			continue
		}
		ran, err := m.docker.Exec(m.t.Context(), machine.Key, []string{"pgrep", "-x", "kubeadm"}, nil)
		if err == nil && ran.ExitCode == 0 {
			return ""
		}
	}
	return "no machine with role " + string(role) + " runs kubeadm"
}

// TestOutage stops the management cluster, by force, and sees that the cluster it made lives on, and is taken up again.
func TestOutage(t *testing.T) {
	m := newManagement(t)
	m.launch()
	m.awaitUp()
	key := keyOf("outage")
	m.must("create", "cluster", key.Name, "--kubernetes-version", version, "--worker-machine-count", "1")
	w := m.awaitCluster(key, 1, 1)
	before, err := m.docker.Machines(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}

	m.kill()
	// A pod that is made now runs: the API, the scheduler and the nodes work without us.
	manifest := fmt.Sprintf(`{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "outage"}, "spec": {"terminationGracePeriodSeconds": 1, "containers": [{"name": "pause", "image": %q}]}}`, w.image(t, "registry.k8s.io/pause:"))
	for _, arguments := range [][]string{{"apply", "-f", "-"}, {"wait", "--for=condition=Ready", "pod/outage", "--timeout=1m"}, {"delete", "pod/outage", "--timeout=1m"}} {
		ran := m.run(nil, manifest, binaries+"/kubectl", append([]string{"--kubeconfig", w.kubeconfig}, arguments...)...)
		if ran.code != 0 {
			t.Errorf("while the management cluster is down, kubectl %s: %s", strings.Join(arguments, " "), ran)
		}
	}
	machine := before[slices.IndexFunc(before, func(c containers.Machine) bool { return c.Role == containers.RoleWorker })]

	m.launch()
	m.awaitUp()
	m.awaitCluster(key, 1, 1)
	after, err := m.docker.Machines(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	for i := range after {
		if after[i].ID != before[i].ID || !after[i].Started.Equal(before[i].Started) {
			t.Errorf("container %s was made or started again: %s at %s, was %s at %s", after[i].Name, after[i].ID, after[i].Started, before[i].ID, before[i].Started)
		}
	}
	// It is really taken up again: a Machine that is deleted goes, and another comes.
	m.mustKubectl("", "delete", "machine", machine.Key.Name, "--timeout=1m")
	m.awaitCluster(key, 1, 1)
	machines := &clusterv1.MachineList{}
	if err := m.api.List(t.Context(), machines); err != nil {
		t.Fatal(err)
	}
	for _, now := range machines.Items {
		if now.Name == machine.Key.Name {
			t.Errorf("Machine %s was deleted and is there", now.Name)
		}
	}
	m.step("orphan", func(t *testing.T) { m.testOrphan(t, key) })
	m.sees()
	m.must("delete", "cluster", key.Name, "--wait=2m")
}

// testOrphan takes a DockerMachine away from under its container, as somebody does who strips finalizers, and sees that
// slipway status tells of the container, with a command that removes it.
func (m *management) testOrphan(t *testing.T, key client.ObjectKey) {
	made, err := m.docker.Machines(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	worker := made[slices.IndexFunc(made, func(c containers.Machine) bool { return c.Role == containers.RoleWorker })]
	// Paused, or else the controllers would do their part, which is to leave no orphan.
	m.pause(key, true)
	m.expectPaused("DockerMachine", worker.Key.Name)
	m.mustKubectl("", "delete", "dockermachine", worker.Key.Name, "--wait=false")
	m.mustKubectl("", "patch", "dockermachine", worker.Key.Name, "--type=merge", "-p", `{"metadata":{"finalizers":null}}`)

	orphans := m.orphans()
	if at := slices.IndexFunc(orphans, func(o orphan) bool { return o.Kind == "container" && o.Name == worker.Name }); at < 0 {
		t.Errorf("slipway status does not tell of container %s, whose object is gone: %+v", worker.Name, orphans)
	}
	for _, orphan := range orphans {
		t.Logf("%s %s: %s; %s", orphan.Kind, orphan.Name, orphan.Why, orphan.Remove)
		if !strings.Contains(orphan.Why, worker.Key.Name) {
			t.Errorf("%s %s is no orphan: %s", orphan.Kind, orphan.Name, orphan.Why)
			continue
		}
		if ran := m.run(nil, "", "bash", "-c", orphan.Remove); ran.code != 0 {
			t.Errorf("%s: %s", orphan.Remove, ran)
		}
	}
	if left := m.orphans(); len(left) > 0 {
		t.Errorf("after they were removed slipway status tells of %+v", left)
	}
	m.pause(key, false)
}

// orphan is what slipway status tells of one.
type orphan struct{ Kind, Name, Why, Remove string }

func (m *management) orphans() []orphan {
	m.t.Helper()
	var report struct{ Orphans []orphan }
	if err := json.Unmarshal([]byte(m.must("status", "-o", "json")), &report); err != nil {
		m.t.Fatal(err)
	}
	return report.Orphans
}

func (m *management) pause(key client.ObjectKey, paused bool) {
	m.t.Helper()
	m.mustKubectl("", "patch", "cluster", key.Name, "-n", key.Namespace, "--type=merge", "-p", fmt.Sprintf(`{"spec":{"paused":%t}}`, paused))
}

// expectPaused waits until the controllers of the objects that would act have seen the pause.
func (m *management) expectPaused(kind, name string) {
	m.t.Helper()
	eventually(m.t, troubleLimit, kind+" "+name+" is paused", func() string {
		all, err := m.conditionsOf(kind, keyOf(name))
		if err != nil {
			return err.Error()
		}
		if found := conditions.Find(all, clusterv1.PausedCondition); found == nil || found.Status != metav1.ConditionTrue {
			return conditionText(all)
		}
		return ""
	})
}
