// SPDX-License-Identifier: Apache-2.0

package kubeadmcontrolplane

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	bootstrapv1 "github.com/slipway-project/slipway/api/bootstrap/v1beta2"
	controlplanev1 "github.com/slipway-project/slipway/api/controlplane/v1beta2"
	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	"github.com/slipway-project/slipway/engine"
	"github.com/slipway-project/slipway/etcd"
)

// Controller is the KubeadmControlPlane controller.
func Controller() engine.Controller[Snapshot, controlplanev1.KubeadmControlPlaneStatus] {
	return engine.Controller[Snapshot, controlplanev1.KubeadmControlPlaneStatus]{
		Name: name, Kind: kind,
		Inputs: []engine.Input{
			engine.Subject(&controlplanev1.KubeadmControlPlane{}),
			engine.Mapped(&clusterv1.Cluster{}, controlPlaneOfCluster),
			engine.Mapped(&clusterv1.Machine{}, controlPlanesOfMachine),
			engine.Mapped(&bootstrapv1.KubeadmConfig{}, controlPlaneOfMachineObject),
			engine.Contract("InfraMachineTemplate", controlPlanesOfTemplate),
			engine.Contract("InfraMachine", controlPlaneOfMachineObject),
			engine.Live(&corev1.Secret{}),
			engine.WorkloadNodes(controlPlaneOfWorkload),
		},
		Outputs: []engine.Output{
			engine.Writes(kind, "patch", "patch status"),
			engine.Writes(machineKind, "create", "delete", "patch", "patch status"),
			engine.Writes(configKind, "create", "patch"),
			engine.Writes(secretKind, "create", "patch"),
			engine.WritesContract("InfraMachine", "create", "patch"),
			engine.WritesWorkload(configMapKind, "patch"),
			engine.WritesWorkload(deploymentKind, "patch"),
			engine.WritesWorkload(daemonSetKind, "patch"),
			engine.WritesWorkload(roleKind, "create"),
			engine.WritesWorkload(roleBindingKind, "create"),
			engine.WritesWorkload(clusterRoleBindingKind, "create"),
			engine.Operates(etcd.System),
		},
		Observe: observe,
		Subject: func(s Snapshot) client.Object {
			if s.ControlPlane == nil {
				return nil
			}
			return s.ControlPlane
		},
		Plan:        Plan,
		Invariants:  invariants,
		Concurrency: 50,
	}
}

func controlPlaneOfCluster(_ context.Context, _ engine.Reader, object client.Object) []engine.Key {
	cluster, ok := object.(*clusterv1.Cluster)
	if !ok || !refersTo(cluster, cluster.Spec.ControlPlaneRef.Name) {
		return nil
	}
	return []engine.Key{{Namespace: cluster.Namespace, Name: cluster.Spec.ControlPlaneRef.Name}}
}

// controlPlanesOfMachine are the control plane that controls a machine or, for a
// worker, those being deleted, which wait for the last worker to be gone; for a machine of
// a control plane that nobody controls all of its Cluster, one of which may take it over.
func controlPlanesOfMachine(ctx context.Context, reader engine.Reader, machine client.Object) []engine.Key {
	if owner := metav1.GetControllerOf(machine); owner != nil && owner.Kind == kind.Kind {
		return []engine.Key{{Namespace: machine.GetNamespace(), Name: owner.Name}}
	}
	return controlPlanes(ctx, reader, machine.GetNamespace(), func(controlPlane *controlplanev1.KubeadmControlPlane) bool {
		cluster := machine.GetLabels()[clusterv1.ClusterNameLabel]
		_, orphan := machine.GetLabels()[clusterv1.MachineControlPlaneLabel]
		return controlPlane.DeletionTimestamp != nil || (orphan && controlPlane.Labels[clusterv1.ClusterNameLabel] == cluster)
	})
}

// controlPlaneOfMachineObject is the control plane of the machine that owns a
// bootstrap or infrastructure object.
func controlPlaneOfMachineObject(ctx context.Context, reader engine.Reader, object client.Object) []engine.Key {
	var keys []engine.Key
	for _, key := range engine.Owners(object, machineKind.GroupKind()) {
		machine := &clusterv1.Machine{}
		if err := reader.Get(ctx, key, machine); err != nil {
			continue
		}
		if owner := metav1.GetControllerOf(machine); owner != nil && owner.Kind == kind.Kind {
			keys = append(keys, engine.Key{Namespace: machine.Namespace, Name: owner.Name})
		}
	}
	return keys
}

func controlPlanesOfTemplate(ctx context.Context, reader engine.Reader, template client.Object) []engine.Key {
	templateKind := template.GetObjectKind().GroupVersionKind()
	return controlPlanes(ctx, reader, template.GetNamespace(), func(controlPlane *controlplanev1.KubeadmControlPlane) bool {
		ref := controlPlane.Spec.MachineTemplate.Spec.InfrastructureRef
		return ref.APIGroup == templateKind.Group && ref.Kind == templateKind.Kind && ref.Name == template.GetName()
	})
}

// controlPlaneOfWorkload is the control plane of a workload cluster whose connection
// changed. Nodes are the Machine controller's.
func controlPlaneOfWorkload(ctx context.Context, reader engine.Reader, event engine.WorkloadEvent) []engine.Key {
	if event.Node != nil {
		return nil
	}
	cluster := &clusterv1.Cluster{}
	if err := reader.Get(ctx, event.Cluster, cluster); err != nil {
		return nil
	}
	return controlPlaneOfCluster(ctx, reader, cluster)
}

func controlPlanes(ctx context.Context, reader engine.Reader, namespace string, which func(*controlplanev1.KubeadmControlPlane) bool) []engine.Key {
	list := &controlplanev1.KubeadmControlPlaneList{}
	if err := reader.List(ctx, list, client.InNamespace(namespace)); err != nil {
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
