// SPDX-License-Identifier: Apache-2.0

package wiring

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
)

// world is one namespace with a Cluster and a MachineDeployment, and somebody who
// finishes what nobody else here would: deletions of Machines.
type world struct {
	*testing.T
	client    client.WithWatch
	namespace string
}

func newWorld(t *testing.T, replicas int32) *world {
	c := admin(t)
	w := &world{T: t, client: c, namespace: newNamespace(t, c)}
	infra := w.provider("MemoryCluster", "demo", map[string]any{"controlPlaneEndpoint": map[string]any{"host": "192.0.2.1", "port": int64(6443)}})
	w.create(infra)
	infra.Object["status"] = map[string]any{"initialization": map[string]any{"provisioned": true}}
	if err := c.Status().Update(t.Context(), infra); err != nil {
		t.Fatal(err)
	}
	w.create(w.provider("MemoryMachineTemplate", "workers", map[string]any{"template": map[string]any{"spec": map[string]any{"size": "small"}}}))
	secret := "none"
	w.create(&clusterv1.Cluster{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "demo"},
		Spec:       clusterv1.ClusterSpec{InfrastructureRef: clusterv1.ContractVersionedObjectReference{APIGroup: providerGroup, Kind: "MemoryCluster", Name: "demo"}},
	})
	w.create(&clusterv1.MachineDeployment{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "workers"},
		Spec: clusterv1.MachineDeploymentSpec{
			ClusterName: "demo", Replicas: &replicas, Selector: metav1.LabelSelector{MatchLabels: map[string]string{"pool": "workers"}},
			Template: clusterv1.MachineTemplateSpec{
				ObjectMeta: clusterv1.ObjectMeta{Labels: map[string]string{"pool": "workers"}},
				Spec: clusterv1.MachineSpec{
					ClusterName: "demo", Version: "v1.37.1", Bootstrap: clusterv1.Bootstrap{DataSecretName: &secret},
					InfrastructureRef: clusterv1.ContractVersionedObjectReference{APIGroup: providerGroup, Kind: "MemoryMachineTemplate", Name: "workers"},
				},
			},
		},
	})
	return w
}

func (w *world) provider(kind, name string, spec map[string]any) *unstructured.Unstructured {
	object := &unstructured.Unstructured{Object: map[string]any{"spec": spec}}
	object.SetAPIVersion(providerGroup + "/v1")
	object.SetKind(kind)
	object.SetNamespace(w.namespace)
	object.SetName(name)
	return object
}

func (w *world) create(object client.Object) {
	w.Helper()
	if err := w.client.Create(w.Context(), object); err != nil {
		w.Fatal(err)
	}
}

// finishDeletions takes the finalizer off Machines that are being deleted, as the
// Machine controller does, until the test ends.
func (w *world) finishDeletions() {
	w.Helper()
	events, err := w.client.Watch(context.Background(), &clusterv1.MachineList{}, client.InNamespace(w.namespace))
	if err != nil {
		w.Fatal(err)
	}
	var done sync.WaitGroup
	done.Go(func() {
		for event := range events.ResultChan() {
			machine, ok := event.Object.(*clusterv1.Machine)
			if !ok || event.Type == watch.Deleted || machine.DeletionTimestamp == nil || len(machine.Finalizers) == 0 {
				continue
			}
			patch := client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"finalizers":null}}`))
			if err := w.client.Patch(context.Background(), machine, patch); err != nil && !apierrors.IsNotFound(err) {
				w.Errorf("finish deletion of Machine %s: %v", machine.Name, err)
			}
		}
	})
	w.Cleanup(func() { events.Stop(); done.Wait() })
}

func (w *world) scale(replicas int32) {
	w.Helper()
	patch := client.RawPatch("application/merge-patch+json", fmt.Appendf(nil, `{"spec":{"replicas":%d}}`, replicas))
	deployment := &clusterv1.MachineDeployment{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "workers"}}
	if err := w.client.Patch(w.Context(), deployment, patch); err != nil {
		w.Fatal(err)
	}
}

// settlesAt waits until there are so many Machines, each with its own infrastructure
// object and nothing besides, and every status says so.
func (w *world) settlesAt(replicas int) {
	w.Helper()
	eventually(w.T, time.Minute, func() string { return w.differsFrom(replicas) })
}

func (w *world) differsFrom(replicas int) string {
	var machineNames, infraNames []string
	machines := &clusterv1.MachineList{}
	infra := &unstructured.UnstructuredList{}
	infra.SetAPIVersion(providerGroup + "/v1")
	infra.SetKind("MemoryMachineList")
	sets := &clusterv1.MachineSetList{}
	deployment := &clusterv1.MachineDeployment{}
	for _, err := range []error{
		w.client.List(w.Context(), machines, client.InNamespace(w.namespace)),
		w.client.List(w.Context(), infra, client.InNamespace(w.namespace)),
		w.client.List(w.Context(), sets, client.InNamespace(w.namespace)),
		w.client.Get(w.Context(), client.ObjectKey{Namespace: w.namespace, Name: "workers"}, deployment),
	} {
		if err != nil {
			return err.Error()
		}
	}
	for _, machine := range machines.Items {
		machineNames = append(machineNames, machine.Name)
	}
	for _, object := range infra.Items {
		infraNames = append(infraNames, object.GetName())
	}
	slices.Sort(machineNames)
	slices.Sort(infraNames)
	count := deployment.Status.Replicas
	switch {
	case len(machineNames) != replicas:
		return fmt.Sprintf("there are %d Machines: %v", len(machineNames), machineNames)
	case !slices.Equal(machineNames, infraNames):
		return "Machines and infrastructure differ: " + cmp.Diff(machineNames, infraNames)
	case len(sets.Items) != 1:
		return fmt.Sprintf("there are %d MachineSets", len(sets.Items))
	case sets.Items[0].Status.Replicas == nil || *sets.Items[0].Status.Replicas != int32(replicas):
		return fmt.Sprintf("the MachineSet shows %+v", sets.Items[0].Status)
	case count == nil || *count != int32(replicas):
		return fmt.Sprintf("the MachineDeployment shows %+v", deployment.Status)
	case deployment.Status.ObservedGeneration != deployment.Generation:
		return "the MachineDeployment was not looked at since it changed"
	}
	return ""
}

// countMachines watches the Machines and remembers how many were made and how many were
// there at once. Those that are being deleted are there until they are gone: a host stands
// behind each.
func (w *world) countMachines() (created func() int, most func() int) {
	w.Helper()
	events, err := w.client.Watch(context.Background(), &clusterv1.MachineList{}, client.InNamespace(w.namespace))
	if err != nil {
		w.Fatal(err)
	}
	var mu sync.Mutex
	there, ever, highest := map[string]bool{}, 0, 0
	var done sync.WaitGroup
	done.Go(func() {
		for event := range events.ResultChan() {
			machine, ok := event.Object.(*clusterv1.Machine)
			if !ok {
				continue
			}
			mu.Lock()
			if event.Type == watch.Added {
				ever++
			}
			if event.Type == watch.Deleted {
				delete(there, string(machine.UID))
			} else {
				there[string(machine.UID)] = true
			}
			highest = max(highest, len(there))
			mu.Unlock()
		}
	})
	w.Cleanup(func() { events.Stop(); done.Wait() })
	read := func(value *int) func() int {
		return func() int { mu.Lock(); defer mu.Unlock(); return *value }
	}
	return read(&ever), read(&highest)
}

func TestScaling(t *testing.T) {
	w := newWorld(t, 3)
	startControllers(t, &wire{}, w.namespace)
	w.finishDeletions()
	created, most := w.countMachines()
	for _, replicas := range []int32{3, 6, 1, 0, 2} {
		w.scale(replicas)
		w.settlesAt(int(replicas))
	}
	if created() != 8 || most() != 6 {
		t.Errorf("%d Machines were made and %d were there at once; 3+3+2 and 6 were asked for", created(), most())
	}
	w.clusterIsClaimed()
}

func (w *world) clusterIsClaimed() {
	w.Helper()
	eventually(w.T, 10*time.Second, func() string {
		cluster := &clusterv1.Cluster{}
		if err := w.client.Get(w.Context(), client.ObjectKey{Namespace: w.namespace, Name: "demo"}, cluster); err != nil {
			return err.Error()
		}
		provisioned := cluster.Status.Initialization.InfrastructureProvisioned
		if cluster.Spec.ControlPlaneEndpoint.Host != "192.0.2.1" || provisioned == nil || !*provisioned {
			return fmt.Sprintf("the Cluster has the endpoint %v and status %+v", cluster.Spec.ControlPlaneEndpoint, cluster.Status)
		}
		return ""
	})
}

// TestRapidScaling changes the number 20 times, faster than it can be followed, with
// caches that are up to date and with caches that lag behind the controllers' own
// writes. There must never be more Machines than the most that were asked for, and
// what was made must be what is there.
func TestRapidScaling(t *testing.T) {
	for name, w := range map[string]*wire{
		"live":    {},
		"lagging": {lag: 400 * time.Millisecond, lagging: []string{"machines", "machinesets", "memorymachines"}},
	} {
		t.Run(name, func(t *testing.T) {
			const most = 8
			world := newWorld(t, 1)
			startControllers(t, w, world.namespace)
			world.finishDeletions()
			_, highest := world.countMachines()
			waits := barrierWaits(t)
			random := rand.New(rand.NewPCG(1, 2))
			replicas := int32(0)
			for range 20 {
				replicas = random.Int32N(most + 1)
				world.scale(replicas)
				time.Sleep(time.Duration(random.IntN(100)) * time.Millisecond)
			}
			world.settlesAt(int(replicas))
			world.scale(most)
			world.settlesAt(most)
			if highest() > most {
				t.Errorf("%d Machines were there at once; at most %d were asked for", highest(), most)
			}
			if w.lag > 0 && barrierWaits(t) == waits {
				t.Error("no pass was put off although the caches lagged: the test shows nothing")
			}
		})
	}
}

// TestHangingDeletions deletes Machines whose deletion does not get on. None is replaced
// before it is gone, however many are deleted, and every status counts them.
func TestHangingDeletions(t *testing.T) {
	w := newWorld(t, 3)
	line := &wire{}
	startControllers(t, line, w.namespace)
	created, most := w.countMachines()
	w.settlesAt(3)
	w.clusterIsClaimed()
	remove := func(machine clusterv1.Machine) {
		t.Helper()
		if err := w.client.Delete(t.Context(), &machine); err != nil {
			t.Fatal(err)
		}
	}
	for _, machine := range w.machines()[:2] {
		remove(machine)
	}
	w.settlesAt(3)
	w.workersAre(3)
	w.scale(2)
	w.settlesAt(3) // one of the two that are on their way out is the one too many
	if staying := w.staying(); len(staying) != 1 {
		t.Fatalf("%d Machines stay; the third was not to be deleted", len(staying))
	} else {
		remove(staying[0])
	}
	w.settlesAt(3)
	before := w.quiet()
	line.written(w.namespace)
	w.staysSo(before, line, time.Second)
	if created() != 3 || most() != 3 {
		t.Errorf("%d Machines were made and %d were there at once; no more than 3 were asked for", created(), most())
	}
	w.finishDeletions()
	w.settlesAt(2)
	w.workersAre(2)
	if created() != 5 || most() != 3 {
		t.Errorf("%d Machines were made and %d were there at once; 3+2 and 3 were asked for", created(), most())
	}
}

func (w *world) staying() []clusterv1.Machine {
	w.Helper()
	return slices.DeleteFunc(w.machines(), func(m clusterv1.Machine) bool { return m.DeletionTimestamp != nil })
}

// workersAre waits until the Cluster counts so many workers.
func (w *world) workersAre(count int32) {
	w.Helper()
	eventually(w.T, 10*time.Second, func() string {
		cluster := &clusterv1.Cluster{}
		if err := w.client.Get(w.Context(), client.ObjectKey{Namespace: w.namespace, Name: "demo"}, cluster); err != nil {
			return err.Error()
		}
		if workers := cluster.Status.Workers; workers == nil || workers.Replicas == nil || *workers.Replicas != count {
			return fmt.Sprintf("the Cluster shows %+v", workers)
		}
		return ""
	})
}

func barrierWaits(t *testing.T) (total float64) {
	t.Helper()
	families, err := metrics.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() == "slipway_barrier_waits_total" {
			for _, metric := range family.GetMetric() {
				total += metric.GetCounter().GetValue()
			}
		}
	}
	return total
}

// TestSettledMakesNoWrites looks at a settled namespace through several resyncs (one a
// second) and through a restart of the controllers.
func TestSettledMakesNoWrites(t *testing.T) {
	w := newWorld(t, 3)
	line := &wire{resync: time.Second}
	stop := startControllers(t, line, w.namespace)
	w.finishDeletions()
	w.settlesAt(3)
	w.clusterIsClaimed()
	before := w.quiet()
	line.written(w.namespace)
	w.staysSo(before, line, 4*time.Second)
	stop()

	startControllers(t, line, w.namespace)
	w.staysSo(before, line, 4*time.Second)
	w.scale(4)
	w.settlesAt(4)
	if len(line.written(w.namespace)) == 0 {
		t.Error("no write was noted although a Machine was made: the test shows nothing")
	}
}

// quiet waits until nothing changes for a second, and gives the resource versions.
func (w *world) quiet() map[string]string {
	w.Helper()
	last, since := w.versions(), time.Now()
	eventually(w.T, 30*time.Second, func() string {
		now := w.versions()
		if diff := cmp.Diff(last, now); diff != "" {
			last, since = now, time.Now()
			return "still changing:\n" + diff
		}
		if time.Since(since) < time.Second {
			return "not quiet for long enough"
		}
		return ""
	})
	return last
}

func (w *world) staysSo(before map[string]string, line *wire, duration time.Duration) {
	w.Helper()
	time.Sleep(duration) // that nothing happens can only be waited for
	if diff := cmp.Diff(before, w.versions()); diff != "" {
		w.Errorf("objects changed while settled (-before +after):\n%s", diff)
	}
	if writes := line.written(w.namespace); len(writes) > 0 {
		w.Errorf("writes were made while settled: %v", writes)
	}
}

func (w *world) versions() map[string]string {
	w.Helper()
	versions := map[string]string{}
	for kind, version := range map[string]string{
		"Cluster": clusterv1.GroupVersion.String(), "MachineDeployment": clusterv1.GroupVersion.String(), "MachineSet": clusterv1.GroupVersion.String(),
		"Machine": clusterv1.GroupVersion.String(), "MemoryCluster": providerGroup + "/v1", "MemoryMachine": providerGroup + "/v1", "MemoryMachineTemplate": providerGroup + "/v1",
	} {
		list := &unstructured.UnstructuredList{}
		list.SetAPIVersion(version)
		list.SetKind(kind + "List")
		if err := w.client.List(w.Context(), list, client.InNamespace(w.namespace)); err != nil {
			w.Fatal(err)
		}
		for _, item := range list.Items {
			versions[kind+"/"+item.GetName()] = item.GetResourceVersion()
		}
	}
	return versions
}

// TestClusterDeletion takes everything away, workers first.
func TestClusterDeletion(t *testing.T) {
	w := newWorld(t, 2)
	startControllers(t, &wire{}, w.namespace)
	w.finishDeletions()
	w.settlesAt(2)
	w.clusterIsClaimed()
	cluster := &clusterv1.Cluster{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "demo"}}
	if err := w.client.Delete(t.Context(), cluster); err != nil {
		t.Fatal(err)
	}
	eventually(t, time.Minute, func() string {
		left := w.versions()
		delete(left, "MemoryMachineTemplate/workers")
		if len(left) > 0 {
			return fmt.Sprintf("left are %v", slices.Sorted(maps.Keys(left)))
		}
		return ""
	})
}

// TestProviderComesLater applies a MachineDeployment whose infrastructure kind nobody
// serves yet: that must be told, and end by itself once the provider is installed.
func TestProviderComesLater(t *testing.T) {
	w := newWorld(t, 0)
	const kind = "LateMachineTemplate"
	replicas := int32(1)
	secret := "none"
	w.create(&clusterv1.MachineSet{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "late"},
		Spec: clusterv1.MachineSetSpec{
			ClusterName: "demo", Replicas: &replicas, Selector: metav1.LabelSelector{MatchLabels: map[string]string{"pool": "late"}},
			Template: clusterv1.MachineTemplateSpec{
				ObjectMeta: clusterv1.ObjectMeta{Labels: map[string]string{"pool": "late"}},
				Spec: clusterv1.MachineSpec{
					ClusterName: "demo", Version: "v1.37.1", Bootstrap: clusterv1.Bootstrap{DataSecretName: &secret},
					InfrastructureRef: clusterv1.ContractVersionedObjectReference{APIGroup: providerGroup, Kind: kind, Name: "late"},
				},
			},
		},
	})
	line := &wire{}
	startControllers(t, line, w.namespace)
	late := func() (string, string) {
		set := &clusterv1.MachineSet{}
		if err := w.client.Get(t.Context(), client.ObjectKey{Namespace: w.namespace, Name: "late"}, set); err != nil {
			return err.Error(), ""
		}
		made := "none"
		if set.Status.Replicas != nil {
			made = fmt.Sprint(*set.Status.Replicas)
		}
		for _, condition := range set.Status.Conditions {
			if condition.Type == clusterv1.ScalingUpCondition {
				return made, condition.Message
			}
		}
		return made, ""
	}
	eventually(t, 10*time.Second, func() string {
		if _, message := late(); !strings.Contains(message, kind) || !strings.Contains(message, "install the provider") {
			return "the MachineSet says: " + message
		}
		return ""
	})
	before := w.quiet()
	line.written(w.namespace)
	w.staysSo(before, line, time.Second)
	for _, late := range []string{"LateMachine", kind} {
		w.create(providerCRD(late))
	}
	eventually(t, 20*time.Second, func() string {
		err := w.client.Create(t.Context(), w.provider(kind, "late", map[string]any{"template": map[string]any{"spec": map[string]any{}}}))
		if err != nil && !apierrors.IsAlreadyExists(err) {
			return err.Error()
		}
		return ""
	})
	eventually(t, 30*time.Second, func() string {
		if made, message := late(); made != "1" {
			return fmt.Sprintf("%s Machines are there: %s", made, message)
		}
		return ""
	})
}

// TestMisspelledKind: the plural of a kind leads to the same CRD. That is no kind, and
// must neither pass in silence nor keep anything from being deleted.
func TestMisspelledKind(t *testing.T) {
	w := newWorld(t, 0)
	w.create(&clusterv1.Cluster{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "typo"},
		Spec: clusterv1.ClusterSpec{
			InfrastructureRef: clusterv1.ContractVersionedObjectReference{APIGroup: providerGroup, Kind: "MemoryClusters", Name: "typo"},
		},
	})
	startControllers(t, &wire{}, w.namespace)
	key := client.ObjectKey{Namespace: w.namespace, Name: "typo"}
	eventually(t, 10*time.Second, func() string {
		cluster := &clusterv1.Cluster{}
		if err := w.client.Get(t.Context(), key, cluster); err != nil {
			return err.Error()
		}
		for _, condition := range cluster.Status.Conditions {
			if condition.Type == clusterv1.InfrastructureReadyCondition && strings.Contains(condition.Message, "correct the reference") {
				return ""
			}
		}
		return fmt.Sprintf("no condition tells of the kind: %v", cluster.Status.Conditions)
	})
	if err := w.client.Delete(t.Context(), &clusterv1.Cluster{ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name}}); err != nil {
		t.Fatal(err)
	}
	eventually(t, 10*time.Second, func() string {
		if err := w.client.Get(t.Context(), key, &clusterv1.Cluster{}); !apierrors.IsNotFound(err) {
			return fmt.Sprintf("the Cluster is still there: %v", err)
		}
		return ""
	})
}
