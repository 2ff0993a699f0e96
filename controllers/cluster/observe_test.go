// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	"github.com/slipway-project/slipway/contract"
	"github.com/slipway-project/slipway/credentials"
	"github.com/slipway-project/slipway/engine"
	"github.com/slipway-project/slipway/plan"
)

var today = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// memory reads objects that are in memory, and gives one answer about every object of a
// provider.
type memory struct {
	client.Reader
	err error
}

func (m memory) Live() client.Reader         { return m.Reader }
func (m memory) Now() time.Time              { return today }
func (m memory) LastFailure() *plan.Failure  { return nil }
func (m memory) Workloads() engine.Workloads { return nil }

func (m memory) Contract(context.Context, string, contract.Ref, string) (*contract.Object, error) {
	return nil, m.err
}

func holding(t *testing.T, objects ...client.Object) memory {
	t.Helper()
	known := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clusterv1.AddToScheme, corev1.AddToScheme} {
		if err := add(known); err != nil {
			t.Fatal(err)
		}
	}
	return memory{Reader: fake.NewClientBuilder().WithScheme(known).WithObjects(objects...).Build()}
}

// TestObserveWhatCannotBeRead: only where the API has no such kind is it certain that
// there is no object.
func TestObserveWhatCannotBeRead(t *testing.T) {
	ref := clusterv1.ContractVersionedObjectReference{APIGroup: "g.io", Kind: "K", Name: "n"}
	for name, test := range map[string]struct {
		err    error
		noKind bool
	}{
		"no kind":        {errors.Join(engine.ErrNoProvider, engine.ErrNoKind), true},
		"no contract":    {fmt.Errorf("%w: no label", engine.ErrNoProvider), false},
		"may not listed": {fmt.Errorf("%w: objects", engine.ErrNotListed), false},
	} {
		t.Run(name, func(t *testing.T) {
			seen, err := observeReferenced(t.Context(), memory{err: test.err}, "InfraCluster", ref, &clusterv1.Cluster{})
			if err != nil || seen != (Referenced{Err: test.err.Error(), NoKind: test.noKind}) {
				t.Errorf("it is seen as %+v, error %v", seen, err)
			}
		})
	}
}

// TestObserveKubeconfig: a kubeconfig is made exactly where the Cluster has no control
// plane object, no kubeconfig, and an authority to sign with.
func TestObserveKubeconfig(t *testing.T) {
	pair, err := credentials.NewPair(credentials.ClusterCA, credentials.ECDSAP256, 0, today, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	authority := func(change ...func(*corev1.Secret)) *corev1.Secret {
		secret := credentials.PairSecret("default", "demo", credentials.ClusterCA, pair)
		for _, f := range change {
			f(secret)
		}
		return secret
	}
	ownedBy := func(uid types.UID) func(*corev1.Secret) {
		return func(secret *corev1.Secret) {
			secret.OwnerReferences = []metav1.OwnerReference{{APIVersion: kind.GroupVersion().String(), Kind: kind.Kind, Name: "demo", UID: uid}}
		}
	}
	withoutKey := func(secret *corev1.Secret) { delete(secret.Data, credentials.KeyKey) }
	stored := credentials.KubeconfigSecret("default", "demo", []byte("supplied"))
	for name, test := range map[string]struct {
		secrets []client.Object
		change  func(*clusterv1.Cluster)
		fresh   bool
		want    Kubeconfig
	}{
		"none yet":              {secrets: []client.Object{authority()}, fresh: true, want: Kubeconfig{Missing: true}},
		"authority of its own":  {secrets: []client.Object{authority(ownedBy("cluster-uid"))}, fresh: true, want: Kubeconfig{Missing: true}},
		"it is there":           {secrets: []client.Object{authority(), stored}},
		"no authority":          {want: Kubeconfig{Missing: true, NoAuthority: true}},
		"authority without key": {secrets: []client.Object{authority(withoutKey)}, want: Kubeconfig{Missing: true, Problem: "Secret default/demo-ca has no tls.key to sign with"}},
		"authority of an earlier cluster": {secrets: []client.Object{authority(ownedBy("old"))},
			want: Kubeconfig{Missing: true, Leftover: "Secret default/demo-ca belongs to an earlier cluster of this name (Cluster demo with UID old)"}},
		"a control plane object makes it": {secrets: []client.Object{authority()}, change: func(c *clusterv1.Cluster) {
			c.Spec.ControlPlaneRef = clusterv1.ContractVersionedObjectReference{APIGroup: "g.io", Kind: "K", Name: "n"}
		}},
		"no endpoint":       {secrets: []client.Object{authority()}, change: func(c *clusterv1.Cluster) { c.Spec.ControlPlaneEndpoint = clusterv1.APIEndpoint{} }},
		"not claimed yet":   {secrets: []client.Object{authority()}, change: func(c *clusterv1.Cluster) { c.Finalizers = nil }},
		"is being deleted":  {secrets: []client.Object{authority()}, change: func(c *clusterv1.Cluster) { c.DeletionTimestamp = &metav1.Time{Time: today} }},
		"is paused":         {secrets: []client.Object{authority()}, change: func(c *clusterv1.Cluster) { yes := true; c.Spec.Paused = &yes }},
		"unusable text":     {secrets: []client.Object{authority(func(s *corev1.Secret) { s.Data[credentials.CertKey] = []byte("x") })}, want: Kubeconfig{Missing: true, Problem: "Secret default/demo-ca, key tls.crt"}},
		"a managed cluster": {secrets: []client.Object{authority()}, change: func(c *clusterv1.Cluster) { c.Spec.Topology.ClassRef.Name = "class" }},
	} {
		t.Run(name, func(t *testing.T) {
			cluster := &clusterv1.Cluster{
				ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "demo", UID: "cluster-uid", Finalizers: []string{clusterv1.ClusterFinalizer}},
				Spec:       clusterv1.ClusterSpec{ControlPlaneEndpoint: clusterv1.APIEndpoint{Host: "192.0.2.1", Port: 6443}},
			}
			if test.change != nil {
				test.change(cluster)
			}
			s := Snapshot{Now: today, Cluster: cluster}
			if makesKubeconfig(s) {
				if s.Kubeconfig, err = observeKubeconfig(t.Context(), holding(t, test.secrets...), s); err != nil {
					t.Fatal(err)
				}
			}
			got := s.Kubeconfig
			if (len(got.Fresh) > 0) != test.fresh {
				t.Fatalf("a kubeconfig was made: %t, want %t", !test.fresh, test.fresh)
			}
			if got.Missing != test.want.Missing || got.NoAuthority != test.want.NoAuthority || got.Leftover != test.want.Leftover ||
				(got.Problem == "") != (test.want.Problem == "") || !strings.HasPrefix(got.Problem, test.want.Problem) {
				t.Errorf("it is seen as %+v, want %+v", got, test.want)
			}
			if !test.fresh {
				return
			}
			parsed, err := credentials.ParseKubeconfig(got.Fresh)
			if err != nil || parsed.Server != "https://192.0.2.1:6443" || string(parsed.CAData) != string(pair.Cert) {
				t.Errorf("the kubeconfig leads to %s, error %v", parsed.Server, err)
			}
		})
	}
}
