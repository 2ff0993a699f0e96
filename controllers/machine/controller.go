// SPDX-License-Identifier: Apache-2.0

package machine

import (
	"context"
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	"github.com/slipway-project/slipway/engine"
	"github.com/slipway-project/slipway/machines"
)

// The parts that providers' kinds play for a Machine.
const (
	roleBootstrap      = "BootstrapConfig"
	roleInfrastructure = "InfraMachine"
	roleControlPlane   = "ControlPlane"
)

// Controller is the Machine controller.
func Controller() engine.Controller[Snapshot, clusterv1.MachineStatus] {
	return engine.Controller[Snapshot, clusterv1.MachineStatus]{
		Name: name, Kind: kind,
		Inputs: []engine.Input{
			engine.Subject(&clusterv1.Machine{}),
			engine.Mapped(&clusterv1.Cluster{}, engine.WhenChanged(clusterFacts, machinesOfCluster)),
			engine.Contract(roleBootstrap, machinesOfObject(func(m *clusterv1.Machine) clusterv1.ContractVersionedObjectReference {
				return m.Spec.Bootstrap.ConfigRef
			})),
			engine.Contract(roleInfrastructure, machinesOfObject(func(m *clusterv1.Machine) clusterv1.ContractVersionedObjectReference {
				return m.Spec.InfrastructureRef
			})),
			engine.Contract(roleControlPlane, deletingMachinesOfControlPlane),
			engine.Mapped(&clusterv1.MachineSet{}, engine.WhenChanged(revision, machinesOfMachineSet)),
			engine.Mapped(&clusterv1.MachineDeployment{}, engine.WhenChanged(revision, machinesOfMachineDeployment)),
			engine.Mapped(&clusterv1.MachineDrainRule{}, deletingMachinesOfDrainRule),
			engine.WorkloadNodes(machinesOfNode),
		},
		Outputs: []engine.Output{
			engine.Writes(kind, "patch", "patch status"),
			engine.WritesContract(roleBootstrap, "patch", "delete"),
			engine.WritesContract(roleInfrastructure, "patch", "delete"),
			engine.WritesWorkload(nodeKind, "patch", "delete"),
			engine.WritesWorkload(podKind, "evict"),
		},
		Observe: observe,
		Subject: func(s Snapshot) client.Object {
			if s.Machine == nil {
				return nil
			}
			return s.Machine
		},
		Plan:        Plan,
		Invariants:  invariants,
		Concurrency: 50,
	}
}

func machinesOfCluster(ctx context.Context, reader engine.Reader, cluster client.Object) []engine.Key {
	return machinesIn(ctx, reader, cluster.GetNamespace(), func(m *clusterv1.Machine) bool { return m.Spec.ClusterName == cluster.GetName() })
}

// machinesOfObject are the Machines that own an object and those that refer to it: it
// may have been made before anybody owned it, and a Machine that found the name taken
// by another's object waits for that one to go.
func machinesOfObject(ref func(*clusterv1.Machine) clusterv1.ContractVersionedObjectReference) func(context.Context, engine.Reader, client.Object) []engine.Key {
	return func(ctx context.Context, reader engine.Reader, object client.Object) []engine.Key {
		keys := engine.Owners(object, kind.GroupKind())
		objectKind := object.GetObjectKind().GroupVersionKind()
		referring := machinesIn(ctx, reader, object.GetNamespace(), func(m *clusterv1.Machine) bool {
			return ref(m) == clusterv1.ContractVersionedObjectReference{APIGroup: objectKind.Group, Kind: objectKind.Kind, Name: object.GetName()}
		})
		for _, key := range referring {
			if !slices.Contains(keys, key) {
				keys = append(keys, key)
			}
		}
		return keys
	}
}

// deletingMachinesOfControlPlane are the Machines whose deletion depends on whether
// the control plane is being deleted too.
func deletingMachinesOfControlPlane(ctx context.Context, reader engine.Reader, controlPlane client.Object) []engine.Key {
	cluster := controlPlane.GetLabels()[clusterv1.ClusterNameLabel]
	if owners := engine.Owners(controlPlane, schema.GroupKind{Group: clusterv1.GroupVersion.Group, Kind: "Cluster"}); len(owners) > 0 {
		cluster = owners[0].Name
	}
	return machinesIn(ctx, reader, controlPlane.GetNamespace(), func(m *clusterv1.Machine) bool {
		return m.DeletionTimestamp != nil && m.Spec.ClusterName == cluster
	})
}

// deletingMachinesOfDrainRule are the Machines whose Nodes may be drained now.
func deletingMachinesOfDrainRule(ctx context.Context, reader engine.Reader, rule client.Object) []engine.Key {
	return machinesIn(ctx, reader, rule.GetNamespace(), machines.Deleting)
}

func machinesOfMachineSet(ctx context.Context, reader engine.Reader, set client.Object) []engine.Key {
	return machinesIn(ctx, reader, set.GetNamespace(), func(m *clusterv1.Machine) bool { return metav1.IsControlledBy(m, set) })
}

func machinesOfMachineDeployment(ctx context.Context, reader engine.Reader, deployment client.Object) []engine.Key {
	name := machines.LabelValue(deployment.GetName())
	return machinesIn(ctx, reader, deployment.GetNamespace(), func(m *clusterv1.Machine) bool {
		return m.Labels[clusterv1.MachineDeploymentNameLabel] == name
	})
}

// revision is what counts of a MachineSet or a MachineDeployment.
func revision(object client.Object) string {
	return object.GetAnnotations()[clusterv1.RevisionAnnotation]
}

// clusterFacts are what counts of a Cluster: its status otherwise tells of its Machines.
func clusterFacts(object client.Object) string {
	cluster, ok := object.(*clusterv1.Cluster)
	if !ok {
		return ""
	}
	return fmt.Sprint(cluster.Generation, cluster.DeletionTimestamp != nil, isTrue(cluster.Status.Initialization.ControlPlaneInitialized))
}

// machinesOfNode is the Machine of a Node; all of a cluster's when the connection to
// it has changed.
func machinesOfNode(ctx context.Context, reader engine.Reader, event engine.WorkloadEvent) []engine.Key {
	return machinesIn(ctx, reader, event.Cluster.Namespace, func(m *clusterv1.Machine) bool {
		if m.Spec.ClusterName != event.Cluster.Name {
			return false
		}
		if event.Node == nil || m.Status.NodeRef.Name == event.Node.Name {
			return true
		}
		return m.Spec.ProviderID != "" && m.Spec.ProviderID == event.Node.Spec.ProviderID
	})
}

func machinesIn(ctx context.Context, reader engine.Reader, namespace string, which func(*clusterv1.Machine) bool) []engine.Key {
	list := &clusterv1.MachineList{}
	// Nothing is changed in the list, so it need not be a copy of the cache.
	if err := reader.List(ctx, list, client.InNamespace(namespace), client.UnsafeDisableDeepCopy); err != nil {
		return nil
	}
	var keys []engine.Key
	for i := range list.Items {
		if which(&list.Items[i]) {
			keys = append(keys, client.ObjectKeyFromObject(&list.Items[i]))
		}
	}
	return keys
}
