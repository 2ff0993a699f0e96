// SPDX-License-Identifier: Apache-2.0

package simulate

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	"github.com/slipway-project/slipway/contract"
	"github.com/slipway-project/slipway/machines"
)

type ownerReference = metav1.OwnerReference

// player is the field manager of what is played.
const player = "played-infrastructure"

// playedPort is where a played API server is said to answer.
const playedPort = 6443

// playInfrastructure makes the infrastructure of a Cluster provisioned, or lets it go.
func (w *World) playInfrastructure(owner *clusterv1.Cluster) error {
	if !owner.Spec.InfrastructureRef.IsDefined() {
		return nil
	}
	object := w.provided(owner.Spec.InfrastructureRef, owner.Namespace)
	switch {
	case object == nil:
		return nil
	case object.GetDeletionTimestamp() != nil:
		return w.release(object.Unstructured)
	case object.Provisioned() || paused(owner, object) || !ownedBy(object, owner.UID):
		return nil
	}
	there := object.Unstructured
	var err error
	if host, _ := object.Endpoint(); host == "" {
		there, err = w.Store.edit(there, player, "", func(content map[string]any) {
			_ = unstructured.SetNestedMap(content, map[string]any{"host": address(owner.Namespace, owner.Name), "port": int64(playedPort)}, "spec", "controlPlaneEndpoint")
		})
		if err != nil {
			return err
		}
	}
	_, err = w.Store.edit(there, player, statusSubresource, func(content map[string]any) {
		provision(content, object.Contract)
		domains, found, _ := unstructured.NestedSlice(content, "spec", "failureDomains")
		if found && object.Contract == contract.V1Beta2 {
			_ = unstructured.SetNestedSlice(content, domains, "status", "failureDomains")
		}
		w.ready(content)
	})
	return err
}

// paused reports that somebody asked for an object to be left alone, which a provider heeds.
func paused(owner *clusterv1.Cluster, object metav1.Object) bool {
	is, _ := machines.Paused(owner, object)
	return is
}

func ownedBy(object metav1.Object, uid types.UID) bool {
	for _, owner := range object.GetOwnerReferences() {
		if owner.UID == uid {
			return true
		}
	}
	return false
}

// provision sets the mark of the contract that says that an object stands for something.
func provision(content map[string]any, contractVersion string) {
	if contractVersion == contract.V1Beta1 {
		_ = unstructured.SetNestedField(content, true, "status", "ready")
		return
	}
	_ = unstructured.SetNestedField(content, true, "status", "initialization", "provisioned")
}

// ready sets the condition that controllers pass on.
func (w *World) ready(content map[string]any) {
	_ = unstructured.SetNestedSlice(content, []any{map[string]any{
		"type": clusterv1.ReadyCondition, "status": "True", "reason": clusterv1.ReadyReason, "message": "",
		"lastTransitionTime": w.second(),
	}}, "status", "conditions")
}

func (w *World) second() string { return w.Store.second().UTC().Format("2006-01-02T15:04:05Z") }

// release takes the finalizers off an object whose deletion its provider has finished.
func (w *World) release(object *unstructured.Unstructured) error {
	_, err := w.Store.edit(object, player, "", func(content map[string]any) {
		unstructured.RemoveNestedField(content, "metadata", "finalizers")
	})
	return err
}

// playHost moves the host of a Machine one stage on: made and booted once there is data to
// boot with, then joined to its cluster; or gone, with its object.
func (w *World) playHost(machine *clusterv1.Machine) error {
	object := w.provided(machine.Spec.InfrastructureRef, machine.Namespace)
	key := types.NamespacedName{Namespace: machine.Namespace, Name: machine.Spec.ClusterName}
	owner := w.clusterNamed(key)
	switch {
	case object == nil:
		return nil
	case object.GetDeletionTimestamp() != nil:
		if c := w.clusters[key]; c != nil {
			c.lose(object.ProviderID())
		}
		return w.release(object.Unstructured)
	case owner == nil || paused(owner, object) || !metav1.IsControlledBy(object, machine):
		return nil
	case object.Provisioned():
		return w.playJoin(owner, machine, object)
	case machine.Spec.Bootstrap.DataSecretName == nil:
		return nil
	}
	there, err := w.Store.edit(object.Unstructured, player, "", func(content map[string]any) {
		_ = unstructured.SetNestedField(content, "played:////"+machine.Name, "spec", "providerID")
	})
	if err != nil {
		return err
	}
	_, err = w.Store.edit(there, player, statusSubresource, func(content map[string]any) {
		provision(content, object.Contract)
		_ = unstructured.SetNestedSlice(content, []any{
			map[string]any{"type": "Hostname", "address": machine.Name},
			map[string]any{"type": "InternalIP", "address": address(machine.Namespace, machine.Name)},
		}, "status", "addresses")
		if machine.Spec.FailureDomain != "" && object.Contract == contract.V1Beta2 {
			_ = unstructured.SetNestedField(content, machine.Spec.FailureDomain, "status", "failureDomain")
		}
		w.ready(content)
	})
	return err
}

// playJoin boots the host: the first of a control plane makes the cluster, all others join
// it once it is there.
func (w *World) playJoin(owner *clusterv1.Cluster, machine *clusterv1.Machine, object *contract.Object) error {
	c, err := w.clusterOf(owner)
	if err != nil {
		return err
	}
	if !c.initialized && !machines.IsControlPlane(machine) {
		return nil
	}
	return c.join(host{
		name: machine.Name, providerID: object.ProviderID(), version: machine.Spec.Version,
		controlPlane: machines.IsControlPlane(machine), address: address(machine.Namespace, machine.Name),
	}, machine.Status.NodeRef.Name)
}

// address is one for documentation that belongs to a name: it leads nowhere.
func address(namespace, name string) string {
	sum := 0
	for _, letter := range namespace + "/" + name {
		sum = (sum*31 + int(letter)) % (254 * 3)
	}
	return fmt.Sprintf("%s.%d", []string{"192.0.2", "198.51.100", "203.0.113"}[sum/254], sum%254+1)
}

func (w *World) clusterNamed(key types.NamespacedName) *clusterv1.Cluster {
	for _, owner := range w.allClusters() {
		if owner.Namespace == key.Namespace && owner.Name == key.Name {
			return owner
		}
	}
	return nil
}
