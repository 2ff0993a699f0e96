// SPDX-License-Identifier: Apache-2.0

package kubeadmconfig

import (
	"context"
	"crypto/rand"
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	bootstrapv1 "github.com/slipway-project/slipway/api/bootstrap/v1beta2"
	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	"github.com/slipway-project/slipway/contract"
	"github.com/slipway-project/slipway/credentials"
	"github.com/slipway-project/slipway/engine"
	"github.com/slipway-project/slipway/plan"
)

var testTime = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// memory reads a management and a workload cluster that are in memory, and counts what
// is read past the cache.
type memory struct {
	client.Client
	workload client.Client
	live     *int
	// server is what the management cluster's server has; nil: what the cache shows.
	server client.Client
}

func (m memory) Live() client.Reader {
	*m.live++
	if m.server != nil {
		return m.server
	}
	return m.Client
}

func (m memory) Now() time.Time              { return testTime }
func (m memory) LastFailure() *plan.Failure  { return nil }
func (m memory) Workloads() engine.Workloads { return workloads{workload: m.workload} }

func (m memory) Contract(context.Context, string, contract.Ref, string) (*contract.Object, error) {
	return nil, engine.ErrNoProvider
}

type workloads struct {
	engine.Workloads
	workload client.Client
}

func (w workloads) Reader(ctx context.Context, key engine.Key) (client.Reader, error) {
	return w.Writer(ctx, key)
}

func (w workloads) Writer(context.Context, engine.Key) (client.Client, error) {
	if w.workload == nil {
		return nil, fmt.Errorf("dial: %w", engine.ErrNotConnected)
	}
	return w.workload, nil
}

func (w workloads) Probe(engine.Key) engine.Probe { return engine.Probe{} }

// Subscribe gives no events: observing needs none.
func (w workloads) Subscribe(context.Context) <-chan engine.WorkloadEvent { return nil }

func holding(t *testing.T, objects ...client.Object) client.Client {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, clusterv1.AddToScheme, bootstrapv1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	return fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).Build()
}

func observed(t *testing.T, workload client.Client, objects ...client.Object) (s Snapshot, live int) {
	t.Helper()
	s, err := observe(context.Background(), memory{Client: holding(t, objects...), workload: workload, live: &live}, engine.Key{Namespace: "default", Name: "worker"})
	if err != nil {
		t.Fatal(err)
	}
	return s, live
}

// claimed is the worker of joining with its owner reference, as stored objects.
func claimed() (config *bootstrapv1.KubeadmConfig, machine *clusterv1.Machine, cluster *clusterv1.Cluster) {
	s := joining()
	s.Config.OwnerReferences = []metav1.OwnerReference{*plan.OwnerReference(machineKind, s.Machine, true)}
	return s.Config, s.Machine, s.Cluster
}

// What stands in the management cluster decides what is read past the cache.
func TestNothingIsReadThatNoPlanNeeds(t *testing.T) {
	config, machine, cluster := claimed()
	cluster.Status.Initialization.ControlPlaneInitialized = nil
	if _, live := observed(t, nil, config, machine, cluster); live != 0 {
		t.Errorf("a worker that waits for the control plane costs %d reads", live)
	}
	config, machine, cluster = claimed()
	machine.Status.NodeRef.Name = "worker"
	if _, live := observed(t, nil, config, machine, cluster); live != 0 {
		t.Errorf("a worker that has joined costs %d reads", live)
	}
}

func TestTokenIsRead(t *testing.T) {
	config, machine, cluster := claimed()
	s, _ := observed(t, nil, config, machine, cluster)
	if s.Token.OK() || !s.Connecting || s.FreshTokenSecret != "" {
		t.Errorf("without a connection the token is %+v", s.Token)
	}

	workload := holding(t)
	s, _ = observed(t, workload, config, machine, cluster)
	other, _ := observed(t, workload, config, machine, cluster)
	if !s.Token.OK() || s.Token.Value != nil || len(s.FreshTokenSecret) != 16 || s.FreshTokenSecret == other.FreshTokenSecret {
		t.Errorf("with no token the candidates are %q and %q", s.FreshTokenSecret, other.FreshTokenSecret)
	}

	config.Annotations = map[string]string{tokenAnnotation: tokenID(config)}
	token := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: tokenKey(config).Namespace, Name: tokenKey(config).Name}}
	information := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: "kube-public", Name: "cluster-info"},
		Data:       map[string]string{"jws-kubeconfig-" + tokenID(config): "x"},
	}
	s, _ = observed(t, holding(t, token, information), config, machine, cluster)
	if s.Token.Value == nil || !s.TokenSigned || s.FreshTokenSecret != "" {
		t.Errorf("with a signed token: %+v, signed %t, candidate %q", s.Token, s.TokenSigned, s.FreshTokenSecret)
	}
}

// The lock tells whether the machine that holds it is still there, and no key is made
// by a machine that does not hold it.
func TestLockIsRead(t *testing.T) {
	config, machine, cluster := claimed()
	machine.Labels = map[string]string{clusterv1.MachineControlPlaneLabel: ""}
	cluster.Status.Initialization.ControlPlaneInitialized = nil
	config.Spec.ClusterConfiguration.EncryptionAlgorithm = bootstrapv1.EncryptionAlgorithmECDSAP256
	lock := func(holder string) *corev1.ConfigMap {
		return &corev1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{
				Namespace: "default", Name: "demo-lock", UID: "lock-uid",
				OwnerReferences: []metav1.OwnerReference{*plan.OwnerReference(clusterKind, cluster, false)},
			},
			Data: map[string]string{lockKey: `{"machineName":"` + holder + `"}`},
		}
	}
	s, _ := observed(t, nil, config, machine, cluster, lock("gone"))
	if s.Lock == nil || s.Lock.MachineExists || !s.Lock.OwnedByCluster || s.FreshPairs != nil {
		t.Errorf("the lock of a machine that is gone is %+v, candidates %d", s.Lock, len(s.FreshPairs))
	}
	earlier := lock("gone")
	earlier.OwnerReferences[0].UID = "earlier"
	if s, _ = observed(t, nil, config, machine, cluster, earlier); s.Lock.OwnedByCluster || s.Lock.Leftover != "Cluster demo with UID earlier" {
		t.Errorf("the lock of an earlier cluster is %+v", s.Lock)
	}
	holder := &clusterv1.Machine{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "holder"}}
	live := 0
	late := memory{Client: holding(t, config, machine, cluster), server: holding(t, holder, lock("holder")), live: &live}
	if s, err := observe(t.Context(), late, engine.Key{Namespace: "default", Name: "worker"}); err != nil || !s.Lock.MachineExists {
		t.Errorf("the lock of a machine that the cache does not show yet is %+v (%v)", s.Lock, err)
	}
	s, _ = observed(t, nil, config, machine, cluster, lock("worker"))
	if !holdsLock(s) || len(s.FreshPairs) != 4 {
		t.Errorf("our own lock is %+v, candidates %d", s.Lock, len(s.FreshPairs))
	}
	external := config.DeepCopy()
	external.Spec.ClusterConfiguration.Etcd.External.Endpoints = []string{"https://192.0.2.9:2379"}
	s, _ = observed(t, nil, external, machine, cluster, lock("worker"))
	if problem := certificateProblem(s); s.FreshPairs != nil || problem == nil || problem.Outcome.Reason != "CertificateMissing" {
		t.Errorf("while the user has yet to supply a pair %d keys were made (%+v)", len(s.FreshPairs), problem)
	}
	cluster.Spec.ControlPlaneRef = clusterv1.ContractVersionedObjectReference{APIGroup: "controlplane.cluster.x-k8s.io", Kind: "KubeadmControlPlane", Name: "cp"}
	if s, _ = observed(t, nil, config, machine, cluster, lock("worker")); s.FreshPairs != nil {
		t.Errorf("%d keys were made that are the control-plane object's to make", len(s.FreshPairs))
	}
}

// providing is a memory that also has the control-plane object given.
type providing struct {
	memory
	controlPlane *unstructured.Unstructured
}

func (p providing) Contract(context.Context, string, contract.Ref, string) (*contract.Object, error) {
	return &contract.Object{Unstructured: p.controlPlane, Contract: contract.V1Beta2}, nil
}

// Certificates of an earlier cluster are told from those of this one and from the
// user's, by a worker as by a machine that the control plane made.
func TestLeftoverCertificates(t *testing.T) {
	pair, err := credentials.NewPair(credentials.ClusterCA, credentials.ECDSAP256, 0, testTime, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	controlPlane := func(name string, uid types.UID) metav1.OwnerReference {
		yes := true
		return metav1.OwnerReference{APIVersion: "controlplane.cluster.x-k8s.io/v1beta2", Kind: controlPlaneKind, Name: name, UID: uid, Controller: &yes}
	}
	cluster := func(uid types.UID) metav1.OwnerReference {
		return metav1.OwnerReference{APIVersion: clusterKind.GroupVersion().String(), Kind: clusterKind.Kind, Name: "demo", UID: uid}
	}
	object := &unstructured.Unstructured{}
	object.SetUID("cp-uid")
	for name, test := range map[string]struct {
		owners   []metav1.OwnerReference
		leftover bool
	}{
		"the user's":                      {nil, false},
		"the control plane's":             {[]metav1.OwnerReference{controlPlane("cp", "cp-uid")}, false},
		"the Cluster's":                   {[]metav1.OwnerReference{cluster("cluster-uid")}, false},
		"an earlier control plane's":      {[]metav1.OwnerReference{controlPlane("cp", "earlier")}, true},
		"one's that was called otherwise": {[]metav1.OwnerReference{controlPlane("demo-control-plane", "earlier")}, true},
		"an earlier Cluster's":            {[]metav1.OwnerReference{cluster("earlier")}, true},
	} {
		t.Run(name, func(t *testing.T) {
			config, machine, demo := claimed()
			demo.Spec.ControlPlaneRef = clusterv1.ContractVersionedObjectReference{APIGroup: "controlplane.cluster.x-k8s.io", Kind: controlPlaneKind, Name: "cp"}
			secret := credentials.PairSecret("default", "demo", credentials.ClusterCA, pair)
			secret.OwnerReferences = test.owners
			made := machine.DeepCopy()
			made.OwnerReferences = []metav1.OwnerReference{controlPlane("cp", "cp-uid")}
			stale := object.DeepCopy()
			stale.SetUID("earlier")
			for _, at := range []struct {
				machine      *clusterv1.Machine
				controlPlane *unstructured.Unstructured
			}{{machine, object}, {made, stale}} {
				live := 0
				reader := providing{memory{Client: holding(t, config, at.machine, demo, secret), live: &live}, at.controlPlane}
				s, err := observe(t.Context(), reader, engine.Key{Namespace: "default", Name: "worker"})
				if err != nil {
					t.Fatal(err)
				}
				certificate := s.Certificates[credentials.ClusterCA]
				if got := certificate.Leftover != ""; got != test.leftover || (len(certificate.Pair.Cert) == 0) != test.leftover {
					t.Errorf("with the control plane %s it is %+v", at.controlPlane.GetUID(), certificate)
				}
			}
		})
	}
}

// A Machine that only has the name of the one that owned the KubeadmConfig is not
// served: it may be of another cluster, and it makes a KubeadmConfig of its own.
func TestMachineOfTheSameName(t *testing.T) {
	config, machine, cluster := claimed()
	machine.UID = "another"
	s, live := observed(t, nil, config, machine, cluster)
	if s.Machine != nil || live != 0 {
		t.Errorf("Machine %v was taken, at %d reads", s.Machine, live)
	}
	if got := Plan(s).Outcome.Reason; got != "MachineNotFound" {
		t.Errorf("the outcome is %s", got)
	}
}
