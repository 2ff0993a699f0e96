// SPDX-License-Identifier: Apache-2.0

package main

import (
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	infrav1 "github.com/slipway-project/slipway/api/infrastructure/v1beta2"
)

const before, after = "v1.36.3", "v1.37.1"

var leading = map[string]string{clusterv1.MachineControlPlaneLabel: ""}

func condition(kind string, is metav1.ConditionStatus) []metav1.Condition {
	return []metav1.Condition{{Type: kind, Status: is}}
}

func machines(labels map[string]string, versions ...string) []clusterv1.Machine {
	var made []clusterv1.Machine
	for i, version := range versions {
		machine := clusterv1.Machine{}
		machine.Name, machine.Labels, machine.Spec.Version = string(rune('a'+i)), labels, version
		machine.Status.Conditions = condition(clusterv1.NodeReadyCondition, metav1.ConditionTrue)
		made = append(made, machine)
	}
	return made
}

// settled is a cluster that is whole.
func settled(version string) seen {
	var s seen
	three, one := int32(controlPlanes), int32(someWorkers)
	s.machines = append(machines(leading, version, version, version), machines(nil, version)...)
	s.controlPlane.Generation, s.controlPlane.Status.ObservedGeneration = 2, 2
	s.controlPlane.Status.Replicas, s.controlPlane.Status.ReadyReplicas, s.controlPlane.Status.UpToDateReplicas = &three, &three, &three
	s.workers.Status.Replicas, s.workers.Status.ReadyReplicas, s.workers.Status.UpToDateReplicas = &one, &one, &one
	return s
}

// withAddons has add-ons rolled out from the images given.
func (s seen) withAddons(proxy, dns string) seen {
	two := int32(2)
	s.proxy.Spec.Template.Spec.Containers = []corev1.Container{{Image: proxy}}
	s.proxy.Status.DesiredNumberScheduled, s.proxy.Status.UpdatedNumberScheduled, s.proxy.Status.NumberReady = 4, 4, 4
	s.dns.Spec.Template.Spec.Containers, s.dns.Spec.Replicas = []corev1.Container{{Image: dns}}, &two
	s.dns.Status.Replicas, s.dns.Status.UpdatedReplicas, s.dns.Status.ReadyReplicas = 2, 2, 2
	s.nodes = []corev1.Node{{Status: corev1.NodeStatus{Images: []corev1.ContainerImage{
		{Names: []string{coreDNSRepository + "v1.14.10", "registry.k8s.io/etcd:3.7.0-0"}}, {Names: []string{coreDNSRepository + "v1.14.9"}},
	}}}}
	return s
}

func expect(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: over are %v; want %v", what, got, want)
	}
}

func TestGrown(t *testing.T) {
	s := seen{}
	for range 2 {
		s.containers = append(s.containers, infrav1.DockerMachine{
			ObjectMeta: metav1.ObjectMeta{Labels: leading},
			Status:     infrav1.DockerMachineStatus{Conditions: condition(infrav1.BootstrapCompletedCondition, metav1.ConditionTrue)},
		})
	}
	worker := infrav1.DockerMachine{Status: s.containers[0].Status}
	s.containers = append(s.containers, worker)
	expect(t, "two have joined, and a worker", s.grown(), phaseSecondJoined)
	s.machines, s.controlPlane, s.workers = settled(before).machines, settled(before).controlPlane, settled(before).workers
	s.containers = append(s.containers, s.containers[0])
	expect(t, "all", s.grown(), phaseGrown, phaseSecondJoined, phaseThirdJoined)
	s.controlPlane.Generation++
	expect(t, "what was asked for was not seen yet", s.grown(), phaseSecondJoined, phaseThirdJoined)
	s.controlPlane.Generation--
	s.machines[1].Status.Conditions[0].Status = metav1.ConditionUnknown
	expect(t, "a node is not Ready", s.grown(), phaseSecondJoined, phaseThirdJoined)
}

func TestUpgraded(t *testing.T) {
	s := settled(before)
	expect(t, "before", s.upgraded(after))
	s.machines = append(machines(leading, before, before, before, after), machines(nil, before)...)
	expect(t, "one more has joined", s.upgraded(after))
	s.machines = append(machines(leading, before, after, after), machines(nil, before)...)
	expect(t, "two are replaced", s.upgraded(after), phaseFirstReplaced, phaseSecondReplaced)
	three := []string{phaseFirstReplaced, phaseSecondReplaced, phaseThirdReplaced}
	s.machines = append(machines(leading, after, after, after), machines(nil, before)...)
	expect(t, "three are replaced", s.upgraded(after), slices.Sorted(slices.Values(three))...)
	proxy, dns := kubeProxyRepository+after, coreDNSRepository+"v1.14.10"
	expect(t, "the add-ons too", s.withAddons(proxy, dns).upgraded(after), slices.Sorted(slices.Values(append(three, phaseAddons)))...)
	workers := append(three, phaseWorkersReplaced)
	for what, s := range map[string]seen{
		"kube-proxy is of before": settled(after).withAddons(kubeProxyRepository+before, dns),
		"CoreDNS is of before":    settled(after).withAddons(proxy, coreDNSRepository+"v1.14.9"),
		"no add-ons were seen":    settled(after),
	} {
		expect(t, what, s.upgraded(after), slices.Sorted(slices.Values(workers))...)
	}
	s = settled(after).withAddons(proxy, dns)
	s.proxy.Status.NumberReady--
	expect(t, "a pod of kube-proxy is not ready", s.upgraded(after), slices.Sorted(slices.Values(workers))...)
	expect(t, "all", settled(after).withAddons(proxy, dns).upgraded(after), slices.Sorted(slices.Values(append(workers, phaseAddons, phaseUpgraded)))...)
}

func TestRepaired(t *testing.T) {
	s := settled(after)
	expect(t, "nobody has noticed", s.repaired("b"))
	s.machines[1].Status.Conditions = append(s.machines[1].Status.Conditions, condition(clusterv1.OwnerRemediatedCondition, metav1.ConditionFalse)...)
	expect(t, "it is noticed", s.repaired("b"), phaseUnhealthy)
	s = settled(after)
	s.machines = slices.Delete(s.machines, 1, 2)
	expect(t, "it is gone", s.repaired("b"), phaseUnhealthy)
	s = settled(after)
	s.machines[1].Name = "new"
	expect(t, "it is replaced", s.repaired("b"), phaseRepaired, phaseUnhealthy)
}
