// SPDX-License-Identifier: Apache-2.0

package kubeadmcontrolplane

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	bootstrapv1 "github.com/slipway-project/slipway/api/bootstrap/v1beta2"
	controlplanev1 "github.com/slipway-project/slipway/api/controlplane/v1beta2"
	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	"github.com/slipway-project/slipway/contract"
	"github.com/slipway-project/slipway/credentials"
	"github.com/slipway-project/slipway/engine"
	"github.com/slipway-project/slipway/etcd"
	"github.com/slipway-project/slipway/plan"
)

var testTime = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// memory reads a management cluster, and through workloads a workload cluster, that
// are in memory.
type memory struct {
	client.Reader
	workload client.Client
	// unlisted is a provider's kind that cannot be listed.
	unlisted string
	// probe is how the connection stands.
	probe engine.Probe
}

func (m memory) Live() client.Reader         { return m.Reader }
func (m memory) Now() time.Time              { return testTime }
func (m memory) LastFailure() *plan.Failure  { return nil }
func (m memory) Workloads() engine.Workloads { return workloads{workload: m.workload, probe: m.probe} }

func (m memory) Contract(ctx context.Context, _ string, ref contract.Ref, namespace string) (*contract.Object, error) {
	if ref.Kind == m.unlisted {
		return nil, fmt.Errorf("%w: objects of kind %s", engine.ErrNotListed, ref.Kind)
	}
	object := &unstructured.Unstructured{}
	object.SetGroupVersionKind(ref.GroupKind().WithVersion("v1beta2"))
	if err := m.Get(ctx, client.ObjectKey{Namespace: namespace, Name: ref.Name}, object); err != nil {
		return nil, err
	}
	return &contract.Object{Unstructured: object, Contract: contract.V1Beta2}, nil
}

type workloads struct {
	engine.Workloads
	workload client.Client
	probe    engine.Probe
}

func (w workloads) Reader(ctx context.Context, key engine.Key) (client.Reader, error) {
	return w.Writer(ctx, key)
}

func (w workloads) Writer(context.Context, engine.Key) (client.Client, error) {
	if w.workload == nil {
		return nil, engine.ErrNotConnected
	}
	return w.workload, nil
}

func (w workloads) Probe(engine.Key) engine.Probe { return w.probe }

// Etcd gives one healthy member on each Node.
func (w workloads) Etcd(_ context.Context, _ engine.Key, nodes []string) (etcd.View, error) {
	view := etcd.View{Answers: map[string]etcd.Answer{}}
	for i, node := range nodes {
		view.Members = append(view.Members, etcd.Member{ID: uint64(i + 1), Name: node})
		view.Answers[node] = etcd.Answer{ID: uint64(i + 1), Leader: 1}
	}
	return view, nil
}

// Subscribe gives no events: observing needs none.
func (w workloads) Subscribe(context.Context) <-chan engine.WorkloadEvent { return nil }

func holding(t *testing.T, objects ...client.Object) client.Client {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, clusterv1.AddToScheme, bootstrapv1.AddToScheme, controlplanev1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	return fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).WithReturnManagedFields().Build()
}

// beginnings are a control plane and its cluster, whose infrastructure is there; keys
// are of an algorithm that is quick to make.
func beginnings() (*controlplanev1.KubeadmControlPlane, *clusterv1.Cluster, *unstructured.Unstructured) {
	yes := true
	controlPlane := &controlplanev1.KubeadmControlPlane{ObjectMeta: metav1.ObjectMeta{
		Namespace: "default", Name: "cp", UID: "kcp-uid", Finalizers: []string{controlplanev1.KubeadmControlPlaneFinalizer},
	}}
	controlPlane.Spec.Version = "v1.37.1"
	controlPlane.Spec.KubeadmConfigSpec.ClusterConfiguration.EncryptionAlgorithm = bootstrapv1.EncryptionAlgorithmECDSAP256
	controlPlane.Spec.MachineTemplate.Spec.InfrastructureRef = clusterv1.ContractVersionedObjectReference{
		APIGroup: "infrastructure.cluster.x-k8s.io", Kind: "DockerMachineTemplate", Name: "cp",
	}
	cluster := &clusterv1.Cluster{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "demo", UID: "cluster-uid"}}
	cluster.Spec.ControlPlaneRef = clusterv1.ContractVersionedObjectReference{APIGroup: kind.Group, Kind: kind.Kind, Name: "cp"}
	cluster.Spec.ControlPlaneEndpoint = clusterv1.APIEndpoint{Host: "192.0.2.1", Port: 6443}
	cluster.Status.Initialization.InfrastructureProvisioned = &yes
	template := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "infrastructure.cluster.x-k8s.io/v1beta2", "kind": "DockerMachineTemplate",
		"metadata": map[string]any{"namespace": "default", "name": "cp"},
	}}
	return controlPlane, cluster, template
}

// secrets are the four pairs, as the control plane with the UID given made them.
func secrets(t *testing.T, controlPlane *controlplanev1.KubeadmControlPlane) []client.Object {
	t.Helper()
	var objects []client.Object
	for _, purpose := range credentials.Purposes() {
		pair, err := credentials.NewPair(purpose, credentials.ECDSAP256, 0, testTime, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		secret := credentials.PairSecret("default", "demo", purpose, pair)
		secret.OwnerReferences = []metav1.OwnerReference{*plan.OwnerReference(kind, controlPlane, true)}
		objects = append(objects, secret)
	}
	return objects
}

func observed(t *testing.T, reader engine.Reader) Snapshot {
	t.Helper()
	s, err := observe(context.Background(), reader, engine.Key{Namespace: "default", Name: "cp"})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Keys are made for what is missing, and for nothing else.
func TestKeysAreMadeOnlyWhenMissing(t *testing.T) {
	controlPlane, cluster, template := beginnings()
	if s := observed(t, memory{Reader: holding(t, controlPlane, cluster, template)}); len(s.FreshPairs) != 4 || s.FreshKubeconfig != nil {
		t.Errorf("with no Secret: %d candidates for pairs, kubeconfig %t; want 4 and none", len(s.FreshPairs), s.FreshKubeconfig != nil)
	}

	there := append(secrets(t, controlPlane), controlPlane, cluster, template)
	s := observed(t, memory{Reader: holding(t, there...)})
	if len(s.FreshPairs) != 0 {
		t.Errorf("with all Secrets there are %d candidates for pairs", len(s.FreshPairs))
	}
	if s.FreshKubeconfig != nil {
		t.Error("a key for the kubeconfig was made before the first Machine, which has to wait for it")
	}
	if created := Plan(s).Actions; len(created) != 1 || created[0].Target().Kind != "Machine" {
		t.Errorf("the plan is %v, not to make a Machine", created)
	}

	// The infrastructure is still coming: there is time for the kubeconfig.
	no := false
	cluster.Status.Initialization.InfrastructureProvisioned = &no
	there = append(secrets(t, controlPlane), controlPlane, cluster, template)
	s = observed(t, memory{Reader: holding(t, there...)})
	parsed, err := credentials.ParseKubeconfig(s.FreshKubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	if parsed.Server != "https://192.0.2.1:6443" {
		t.Errorf("the kubeconfig is for %s", parsed.Server)
	}

	// It is stored: no other is made, until the endpoint changes.
	stored := credentials.KubeconfigSecret("default", "demo", s.FreshKubeconfig)
	stored.OwnerReferences = []metav1.OwnerReference{*plan.OwnerReference(kind, controlPlane, true)}
	ca := there[0]
	if s = observed(t, memory{Reader: holding(t, append(there, stored)...)}); s.FreshKubeconfig != nil || !s.Kubeconfig.Ours {
		t.Errorf("with a stored kubeconfig: candidate %t, ours %t", s.FreshKubeconfig != nil, s.Kubeconfig.Ours)
	}
	cluster.Spec.ControlPlaneEndpoint.Host = "192.0.2.2"
	if s = observed(t, memory{Reader: holding(t, append(there, stored)...)}); s.FreshKubeconfig == nil || s.Kubeconfig.Renewal == "" {
		t.Errorf("after a change of the endpoint: candidate %t, renewal %q (authority %s)", s.FreshKubeconfig != nil, s.Kubeconfig.Renewal, ca.GetName())
	}
}

// While the user has yet to supply a pair, keys for the others would be thrown away with
// each look.
func TestNoKeysWhileOneIsMissing(t *testing.T) {
	controlPlane, cluster, template := beginnings()
	controlPlane.Spec.KubeadmConfigSpec.ClusterConfiguration.Etcd.External.Endpoints = []string{"https://192.0.2.9:2379"}
	s := observed(t, memory{Reader: holding(t, controlPlane, cluster, template)})
	if outcome := Plan(s).Outcome; len(s.FreshPairs) != 0 || outcome.Reason != "CertificateMissing" || !strings.Contains(outcome.Message, "demo-etcd does not exist; create it") {
		t.Errorf("%d candidates for pairs, and the outcome is %s", len(s.FreshPairs), outcome)
	}
	pair, err := credentials.NewPair(credentials.EtcdCA, credentials.ECDSAP256, 0, testTime, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	there := []client.Object{controlPlane, cluster, template}
	for _, purpose := range []credentials.Purpose{credentials.EtcdCA, credentials.APIServerEtcdClient} {
		there = append(there, credentials.PairSecret("default", "demo", purpose, pair))
	}
	if s := observed(t, memory{Reader: holding(t, there...)}); len(s.FreshPairs) != 3 {
		t.Errorf("with what the user supplies there are %d candidates for pairs (%s), want 3", len(s.FreshPairs), Plan(s).Outcome)
	}
}

// A Secret that was made here and has lost its owner is told from one that the user
// supplied.
func TestOwnerlessSecrets(t *testing.T) {
	controlPlane, cluster, template := beginnings()
	there := secrets(t, controlPlane)
	for i, object := range there {
		object.SetOwnerReferences(nil)
		object.SetUID(types.UID(object.GetName() + "-uid"))
		manager := []string{"kubectl-create", plan.Manager(name)}[i%2]
		object.SetManagedFields([]metav1.ManagedFieldsEntry{{
			Manager: manager, Operation: metav1.ManagedFieldsOperationUpdate, APIVersion: "v1", FieldsType: "FieldsV1",
			FieldsV1: metav1.NewFieldsV1(`{"f:data":{"f:tls.crt":{},"f:tls.key":{}}}`),
		}})
	}
	s := observed(t, memory{Reader: holding(t, append(there, controlPlane, cluster, template)...)})
	got := map[credentials.Purpose]types.UID{}
	for purpose, certificate := range s.Certificates {
		if certificate.Ownerless != "" {
			got[purpose] = certificate.Ownerless
		}
	}
	want := map[credentials.Purpose]types.UID{credentials.EtcdCA: "demo-etcd-uid", credentials.ServiceAccount: "demo-sa-uid"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("ours without owner (-want +got):\n%s", diff)
	}
}

// Secrets of an earlier control plane are not built on, whatever it was called.
func TestLeftoverSecrets(t *testing.T) {
	for _, name := range []string{"cp", "demo-control-plane"} {
		controlPlane, cluster, template := beginnings()
		earlier := controlPlane.DeepCopy()
		earlier.Name, earlier.UID = name, "earlier"
		kubeconfig := credentials.KubeconfigSecret("default", "demo", []byte("whatever"))
		kubeconfig.OwnerReferences = []metav1.OwnerReference{*plan.OwnerReference(kind, earlier, true)}
		s := observed(t, memory{Reader: holding(t, append(secrets(t, earlier), controlPlane, cluster, template, kubeconfig)...)})
		got := Plan(s)
		if got.Outcome.Reason != "WaitingForOldCertificates" || len(s.FreshPairs) != 0 || got.Recheck.IsZero() {
			t.Errorf("%s: the outcome is %s with %d candidates, to be looked at again %s", name, got.Outcome, len(s.FreshPairs), got.Recheck)
		}
		if s.Kubeconfig.Leftover == "" {
			t.Errorf("%s: the kubeconfig of the earlier control plane counts as %+v", name, s.Kubeconfig)
		}
	}
}

// Secrets that the user supplied are built on, and are not waited for.
func TestUserSecrets(t *testing.T) {
	controlPlane, cluster, template := beginnings()
	there := append(secrets(t, controlPlane), controlPlane, cluster, template)
	for _, object := range there[:4] {
		object.SetOwnerReferences(nil)
	}
	s := observed(t, memory{Reader: holding(t, there...)})
	for purpose, certificate := range s.Certificates {
		if certificate != (Certificate{}) {
			t.Errorf("%s of the user counts as %+v", purpose, certificate)
		}
	}
}

// Of two Clusters that name the control plane the one that owns it is served, however
// they are listed; while neither does, none is.
func TestTwoClusters(t *testing.T) {
	owned := func(name string, uid types.UID) []metav1.OwnerReference {
		return []metav1.OwnerReference{{APIVersion: clusterKind.GroupVersion().String(), Kind: clusterKind.Kind, Name: name, UID: uid}}
	}
	for name, test := range map[string]struct {
		owners  []metav1.OwnerReference
		others  []string
		serves  string
		outcome string
	}{
		"one, not its owner yet":      {nil, nil, "demo", ""},
		"neither owns it":             {nil, []string{"another"}, "", "NameTaken"},
		"the last by name owns it":    {owned("demo", "cluster-uid"), []string{"another"}, "demo", ""},
		"the first by name owns it":   {owned("another", "another-uid"), []string{"another"}, "another", ""},
		"owned by one that is not":    {owned("gone", "gone-uid"), nil, "", "NameTaken"},
		"owned by an earlier one":     {owned("demo", "earlier-uid"), nil, "", "WaitingForOldCluster"},
		"owned by neither of the two": {owned("gone", "gone-uid"), []string{"another"}, "", "NameTaken"},
	} {
		t.Run(name, func(t *testing.T) {
			controlPlane, cluster, template := beginnings()
			controlPlane.OwnerReferences = test.owners
			there := []client.Object{controlPlane, cluster, template}
			for _, other := range test.others {
				copied := cluster.DeepCopy()
				copied.Name, copied.UID = other, types.UID(other+"-uid")
				there = append(there, copied)
			}
			s := observed(t, memory{Reader: holding(t, there...)})
			serves := ""
			if s.Cluster != nil {
				serves = s.Cluster.Name
			}
			if serves != test.serves {
				t.Errorf("it serves %q, want %q", serves, test.serves)
			}
			if outcome := Plan(s).Outcome; test.outcome != "" && outcome.Reason != test.outcome {
				t.Errorf("the outcome is %s, want %s", outcome, test.outcome)
			}
		})
	}
}

// Machines can join when both ConfigMaps are there; pods are read for machines with nodes.
func TestWorkload(t *testing.T) {
	controlPlane, cluster, template := beginnings()
	machine := &clusterv1.Machine{ObjectMeta: metav1.ObjectMeta{
		Namespace: "default", Name: "cp-1", OwnerReferences: []metav1.OwnerReference{*plan.OwnerReference(kind, controlPlane, true)},
	}}
	machine.Spec.InfrastructureRef = clusterv1.ContractVersionedObjectReference{APIGroup: "infrastructure.cluster.x-k8s.io", Kind: "DockerMachineTemplate", Name: "cp"}
	machine.Status.NodeRef.Name = "n1"
	there := append(secrets(t, controlPlane), controlPlane, cluster, template, machine)
	configuration := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "kubeadm-config"}}
	information := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-public", Name: "cluster-info"}}
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "etcd-n1"}, Status: corev1.PodStatus{Phase: corev1.PodRunning}}

	begun := engine.Probe{Since: testTime.Add(-time.Second)}
	if s := observed(t, memory{Reader: holding(t, there...), probe: begun}); s.Workload.OK() || !s.Connecting || !s.LastContact.Equal(begun.Since) {
		t.Errorf("not connected yet: workload %+v, connecting %t, last contact %s", s.Workload, s.Connecting, s.LastContact)
	}
	lost := engine.Probe{Since: testTime.Add(-time.Hour), LastSuccess: testTime.Add(-time.Minute)}
	if s := observed(t, memory{Reader: holding(t, there...), probe: lost}); !s.LastContact.Equal(lost.LastSuccess) {
		t.Errorf("connected before: last contact %s", s.LastContact)
	}
	if s := observed(t, memory{Reader: holding(t, there...), unlisted: "DockerMachineTemplate"}); !strings.Contains(s.Objects["cp-1"].Infrastructure.Unread, "cannot list") {
		t.Errorf("infrastructure that cannot be listed counts as %+v", s.Objects["cp-1"].Infrastructure)
	}
	s := observed(t, memory{Reader: holding(t, there...), workload: holding(t, configuration, pod)})
	if !s.Workload.OK() || s.Workload.Value.Initialized || len(s.Workload.Value.Pods) != 0 {
		t.Errorf("half-way through kubeadm the workload is %+v", s.Workload)
	}
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n1", Labels: map[string]string{controlPlaneRole: ""}}}
	s = observed(t, memory{Reader: holding(t, there...), workload: holding(t, configuration, information, pod, node)})
	if !s.Workload.Value.Initialized || len(s.Workload.Value.Pods) != 1 || s.Workload.Value.Pods["etcd-n1"] == nil {
		t.Errorf("after kubeadm the workload is %+v", s.Workload)
	}
	if _, there := s.Workload.Value.Nodes["n1"].Labels[controlPlaneRole]; !there || len(s.Workload.Value.Nodes) != 1 {
		t.Errorf("after kubeadm the Nodes are %+v", s.Workload.Value.Nodes)
	}
	if _, there := s.Etcd.Value.On("n1"); !s.Etcd.OK() || !there {
		t.Errorf("after kubeadm the members are %+v", s.Etcd)
	}
}

// countingPods counts requests for single Pods.
type countingPods struct {
	client.Reader
	gets int
}

func (c *countingPods) Get(ctx context.Context, key client.ObjectKey, object client.Object, options ...client.GetOption) error {
	if _, pod := object.(*corev1.Pod); pod {
		c.gets++
	}
	return c.Reader.Get(ctx, key, object, options...)
}

// Pods that are labelled as kubeadm does it are read at once, others by name.
func TestPodsAreReadAtOnce(t *testing.T) {
	controlPlane, _, _ := beginnings()
	machine := &clusterv1.Machine{}
	machine.Status.NodeRef.Name = "n1"
	s := Snapshot{ControlPlane: controlPlane, Machines: []*clusterv1.Machine{machine, {}}}
	var there []client.Object
	for i, part := range components(s) {
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: podName(part, machine)}, Status: corev1.PodStatus{Phase: corev1.PodRunning}}
		if i > 0 {
			pod.Labels = map[string]string{"tier": "control-plane"}
		}
		there = append(there, pod)
	}
	reader, pods := &countingPods{Reader: holding(t, there...)}, map[string]*corev1.PodStatus{}
	if err := observePods(t.Context(), reader, s, pods); err != nil {
		t.Fatal(err)
	}
	if len(pods) != len(there) || reader.gets != 1 {
		t.Errorf("%d of %d Pods are seen, %d asked for by name", len(pods), len(there), reader.gets)
	}
}

// With an external etcd nobody asks for its members; what is not asked for is not known.
func TestExternalEtcdIsNotAsked(t *testing.T) {
	controlPlane, cluster, template := beginnings()
	controlPlane.Spec.KubeadmConfigSpec.ClusterConfiguration.Etcd.External.Endpoints = []string{"https://192.0.2.9:2379"}
	machine := &clusterv1.Machine{ObjectMeta: metav1.ObjectMeta{
		Namespace: "default", Name: "cp-1", OwnerReferences: []metav1.OwnerReference{*plan.OwnerReference(kind, controlPlane, true)},
	}}
	machine.Spec.InfrastructureRef = clusterv1.ContractVersionedObjectReference{APIGroup: "infrastructure.cluster.x-k8s.io", Kind: "DockerMachineTemplate", Name: "cp"}
	machine.Status.NodeRef.Name = "n1"
	yes := true
	cluster.Status.Initialization.ControlPlaneInitialized = &yes
	there := append(secrets(t, controlPlane), controlPlane, cluster, template, machine)
	if s := observed(t, memory{Reader: holding(t, there...), workload: holding(t)}); !s.Workload.OK() || s.Etcd.OK() {
		t.Errorf("the workload is %+v and the members are %+v", s.Workload, s.Etcd)
	}
}

// Machines of the control plane that nobody controls are found, but for those of other
// clusters, workers, and those on their way out; and no certificates are made beside them.
func TestOrphans(t *testing.T) {
	controlPlane, cluster, template := beginnings()
	machine := func(name, of string, change func(*clusterv1.Machine)) *clusterv1.Machine {
		made := &clusterv1.Machine{ObjectMeta: metav1.ObjectMeta{
			Namespace: "default", Name: name, Labels: map[string]string{clusterv1.MachineControlPlaneLabel: ""},
		}, Spec: clusterv1.MachineSpec{ClusterName: of}}
		change(made)
		return made
	}
	s := observed(t, memory{Reader: holding(t, controlPlane, cluster, template,
		machine("orphan", "demo", func(*clusterv1.Machine) {}),
		machine("elsewhere", "other", func(*clusterv1.Machine) {}),
		machine("worker", "demo", func(m *clusterv1.Machine) { m.Labels = nil }),
		machine("going", "demo", func(m *clusterv1.Machine) {
			m.Finalizers, m.DeletionTimestamp = []string{clusterv1.MachineFinalizer}, &metav1.Time{Time: testTime}
		}),
		machine("owned", "demo", func(m *clusterv1.Machine) {
			m.OwnerReferences = []metav1.OwnerReference{*plan.OwnerReference(machineKind, &metav1.ObjectMeta{Name: "x", UID: "x"}, true)}
		}),
	)})
	if len(s.Orphans) != 1 || s.Orphans[0].Name != "orphan" {
		t.Errorf("the orphans are %v", s.Orphans)
	}
	if len(s.FreshPairs) != 0 {
		t.Errorf("%d pairs are made beside machines that have others", len(s.FreshPairs))
	}
}

// A control plane that nothing is to be done for costs no key and no look outside.
func TestPausedIsNotLookedAt(t *testing.T) {
	controlPlane, cluster, template := beginnings()
	controlPlane.Annotations = map[string]string{clusterv1.PausedAnnotation: ""}
	s := observed(t, memory{Reader: holding(t, controlPlane, cluster, template)})
	if s.FreshPairs != nil || s.Certificates != nil {
		t.Error("a paused control plane was looked at")
	}
}

func TestPodCondition(t *testing.T) {
	waiting := func(reason string) []corev1.ContainerStatus {
		return []corev1.ContainerStatus{{Name: "c", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason}}}}
	}
	ready := []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
	for name, test := range map[string]struct {
		status corev1.PodStatus
		want   string
	}{
		"ready":       {corev1.PodStatus{Phase: corev1.PodRunning, Conditions: ready}, "Running"},
		"starting":    {corev1.PodStatus{Phase: corev1.PodRunning}, "Provisioning"},
		"creating":    {corev1.PodStatus{Phase: corev1.PodPending, ContainerStatuses: waiting("ContainerCreating")}, "Provisioning"},
		"no image":    {corev1.PodStatus{Phase: corev1.PodPending, ContainerStatuses: waiting("ErrImagePull")}, "Failed"},
		"crashing":    {corev1.PodStatus{Phase: corev1.PodRunning, ContainerStatuses: waiting("CrashLoopBackOff")}, "Failed"},
		"ended":       {corev1.PodStatus{Phase: corev1.PodFailed}, "Failed"},
		"not told":    {corev1.PodStatus{}, "InspectionFailed"},
		"ready, gone": {corev1.PodStatus{Phase: corev1.PodFailed, Conditions: ready}, "Failed"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := podCondition("X", &test.status); got.Reason != test.want {
				t.Errorf("the reason is %s, not %s", got.Reason, test.want)
			}
		})
	}
}

func TestFailureDomain(t *testing.T) {
	yes := true
	controlPlane, cluster, _ := beginnings()
	in := func(domain string) *clusterv1.Machine {
		return &clusterv1.Machine{Spec: clusterv1.MachineSpec{FailureDomain: domain, Version: "v1.37.1"}}
	}
	old := in("a")
	old.Spec.Version = "v1.36.3"
	moved := in("a")
	moved.Status.FailureDomain = "b"
	for name, test := range map[string]struct {
		domains  []clusterv1.FailureDomain
		machines []*clusterv1.Machine
		want     string
	}{
		"none":                    {nil, nil, ""},
		"only for workers":        {[]clusterv1.FailureDomain{{Name: "a"}}, nil, ""},
		"first by name":           {[]clusterv1.FailureDomain{{Name: "b", ControlPlane: &yes}, {Name: "a", ControlPlane: &yes}}, nil, "a"},
		"fewest":                  {[]clusterv1.FailureDomain{{Name: "b", ControlPlane: &yes}, {Name: "a", ControlPlane: &yes}}, []*clusterv1.Machine{in("a")}, "b"},
		"where it was really put": {[]clusterv1.FailureDomain{{Name: "b", ControlPlane: &yes}, {Name: "a", ControlPlane: &yes}}, []*clusterv1.Machine{moved}, "a"},
		"fewest up to date":       {[]clusterv1.FailureDomain{{Name: "b", ControlPlane: &yes}, {Name: "a", ControlPlane: &yes}}, []*clusterv1.Machine{old, old, in("b")}, "a"},
	} {
		t.Run(name, func(t *testing.T) {
			cluster.Status.FailureDomains = test.domains
			if got := failureDomain(Snapshot{ControlPlane: controlPlane, Cluster: cluster, Machines: test.machines}); got != test.want {
				t.Errorf("the failure domain is %q, not %q", got, test.want)
			}
		})
	}
}
