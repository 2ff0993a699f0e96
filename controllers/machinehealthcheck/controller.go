// SPDX-License-Identifier: Apache-2.0

package machinehealthcheck

import (
	"context"

	"sigs.k8s.io/controller-runtime/pkg/client"

	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	"github.com/slipway-project/slipway/engine"
)

// The parts that providers' kinds play for a MachineHealthCheck.
const (
	roleTemplate = "InfraRemediationTemplate"
	roleRequest  = "InfraRemediation"
)

// Controller is the MachineHealthCheck controller.
func Controller() engine.Controller[Snapshot, clusterv1.MachineHealthCheckStatus] {
	return engine.Controller[Snapshot, clusterv1.MachineHealthCheckStatus]{
		Name: name, Kind: kind,
		Inputs: []engine.Input{
			engine.Subject(&clusterv1.MachineHealthCheck{}),
			engine.Mapped(&clusterv1.MachineHealthCheck{}, besideHealthCheck),
			engine.Mapped(&clusterv1.Machine{}, ofMachine),
			engine.Mapped(&clusterv1.Cluster{}, ofCluster),
			engine.Contract(roleTemplate, ofTemplate),
			engine.Contract(roleRequest, ofRequest),
			engine.WorkloadNodes(ofNode),
		},
		Outputs: []engine.Output{
			engine.Writes(kind, "patch", "patch status"),
			engine.Writes(machineKind, "patch status"),
			engine.WritesContract(roleRequest, "create", "delete"),
		},
		Observe: observe,
		Subject: func(s Snapshot) client.Object {
			if s.HealthCheck == nil {
				return nil
			}
			return s.HealthCheck
		},
		Plan:        Plan,
		Invariants:  invariants,
		Concurrency: 50,
	}
}

// besideHealthCheck are the other health checks of a cluster: which of them checks a
// Machine depends on all.
func besideHealthCheck(ctx context.Context, reader engine.Reader, object client.Object) []engine.Key {
	healthCheck, ok := object.(*clusterv1.MachineHealthCheck)
	if !ok {
		return nil
	}
	return healthChecks(ctx, reader, healthCheck.Namespace, func(other *clusterv1.MachineHealthCheck) bool {
		return other.Name != healthCheck.Name && other.Spec.ClusterName == healthCheck.Spec.ClusterName
	})
}

// ofMachine are all of the Machine's cluster: a Machine that one no longer selects has to
// be seen by it too.
func ofMachine(ctx context.Context, reader engine.Reader, object client.Object) []engine.Key {
	machine, ok := object.(*clusterv1.Machine)
	if !ok {
		return nil
	}
	return healthChecks(ctx, reader, machine.Namespace, func(h *clusterv1.MachineHealthCheck) bool {
		return h.Spec.ClusterName == machine.Spec.ClusterName
	})
}

func ofCluster(ctx context.Context, reader engine.Reader, cluster client.Object) []engine.Key {
	return healthChecks(ctx, reader, cluster.GetNamespace(), func(h *clusterv1.MachineHealthCheck) bool {
		return h.Spec.ClusterName == cluster.GetName()
	})
}

func ofNode(ctx context.Context, reader engine.Reader, event engine.WorkloadEvent) []engine.Key {
	return healthChecks(ctx, reader, event.Cluster.Namespace, func(h *clusterv1.MachineHealthCheck) bool {
		return h.Spec.ClusterName == event.Cluster.Name
	})
}

func ofTemplate(ctx context.Context, reader engine.Reader, template client.Object) []engine.Key {
	group := template.GetObjectKind().GroupVersionKind().GroupKind()
	return healthChecks(ctx, reader, template.GetNamespace(), func(h *clusterv1.MachineHealthCheck) bool {
		return templateRef(h).GroupKind() == group && templateRef(h).Name == template.GetName()
	})
}

// ofRequest are the health checks with templates for objects of this kind.
func ofRequest(ctx context.Context, reader engine.Reader, request client.Object) []engine.Key {
	group := request.GetObjectKind().GroupVersionKind().GroupKind()
	return healthChecks(ctx, reader, request.GetNamespace(), func(h *clusterv1.MachineHealthCheck) bool {
		return requestRef(h, request.GetName()).GroupKind() == group
	})
}

func healthChecks(ctx context.Context, reader engine.Reader, namespace string, which func(*clusterv1.MachineHealthCheck) bool) []engine.Key {
	list := &clusterv1.MachineHealthCheckList{}
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
