// SPDX-License-Identifier: Apache-2.0

package wiring

import (
	"crypto/rand"
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	"github.com/slipway-project/slipway/controllers/defaultnetwork"
	"github.com/slipway-project/slipway/credentials"
	"github.com/slipway-project/slipway/engine"
)

// TestKubeconfigWithoutControlPlane: a Cluster without a control plane object gets its
// kubeconfig as soon as there is an authority to sign it with, once, and it goes with the
// Cluster.
func TestKubeconfigWithoutControlPlane(t *testing.T) {
	w := newWorld(t, 0)
	pair, err := credentials.NewPair(credentials.ClusterCA, credentials.ECDSAP256, 0, time.Now(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	w.create(credentials.PairSecret(w.namespace, "demo", credentials.ClusterCA, pair))
	line := &wire{resync: time.Second}
	startControllers(t, line, w.namespace)
	w.clusterIsClaimed()
	kubeconfig := &corev1.Secret{}
	key := client.ObjectKey{Namespace: w.namespace, Name: "demo-kubeconfig"}
	eventually(t, 10*time.Second, func() string {
		if err := w.client.Get(t.Context(), key, kubeconfig); err != nil {
			return err.Error()
		}
		return ""
	})
	if parsed, err := credentials.ParseKubeconfig(kubeconfig.Data["value"]); err != nil || parsed.Server != "https://192.0.2.1:6443" {
		t.Errorf("the kubeconfig leads to %q, error %v", parsed.Server, err)
	}
	if kubeconfig.Type != clusterv1.ClusterSecretType || kubeconfig.Labels[clusterv1.ClusterNameLabel] != "demo" {
		t.Errorf("the Secret has type %s and labels %v", kubeconfig.Type, kubeconfig.Labels)
	}
	before := w.quiet()
	line.written(w.namespace)
	w.staysSo(before, line, 2*time.Second)
	w.deleteCluster("demo")
	w.gone(kubeconfig)
}

// TestDefaultNetworkGoesWithTheLastCluster: all Clusters of a namespace own the ConfigMap.
func TestDefaultNetworkGoesWithTheLastCluster(t *testing.T) {
	w := newWorld(t, 0)
	startControllers(t, &wire{}, w.namespace, func(e *engine.Engine) error { return engine.Add(e, defaultnetwork.Controller()) })
	configMap := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "default-network"}}
	owned := func(count int) {
		t.Helper()
		eventually(t, 20*time.Second, func() string {
			if err := w.client.Get(t.Context(), client.ObjectKeyFromObject(configMap), configMap); err != nil {
				return err.Error()
			}
			if owners := configMap.OwnerReferences; len(owners) != count {
				return fmt.Sprintf("its owners are %v", owners)
			}
			return ""
		})
	}
	owned(1)
	w.create(&clusterv1.Cluster{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "second"},
		Spec:       clusterv1.ClusterSpec{InfrastructureRef: clusterv1.ContractVersionedObjectReference{APIGroup: providerGroup, Kind: "MemoryCluster", Name: "second"}},
	})
	owned(2)
	w.deleteCluster("demo")
	w.gone(&clusterv1.Cluster{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "demo"}})
	owned(1)
	w.deleteCluster("second")
	w.gone(configMap)
}

func (w *world) deleteCluster(name string) {
	w.Helper()
	if err := w.client.Delete(w.Context(), &clusterv1.Cluster{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: name}}); err != nil {
		w.Fatal(err)
	}
}

// gone waits until an object is not there any more.
func (w *world) gone(object client.Object) {
	w.Helper()
	eventually(w.T, 20*time.Second, func() string {
		if err := w.client.Get(w.Context(), client.ObjectKeyFromObject(object), object); !apierrors.IsNotFound(err) {
			return fmt.Sprintf("%T %s is there: %v", object, object.GetName(), err)
		}
		return ""
	})
}
