// SPDX-License-Identifier: Apache-2.0

package main

import (
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/util/version"

	controlplanev1 "github.com/slipway-project/slipway/api/controlplane/v1beta2"
	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	infrav1 "github.com/slipway-project/slipway/api/infrastructure/v1beta2"
)

// Numbers of machines of a cluster that changes, when it is whole.
const (
	controlPlanes = 3
	someWorkers   = 1
)

// Phases of a cluster that changes, as floor-upgrade.sh prints them and as they are seen from outside.
const (
	phaseGrow            = "grow"
	phaseSecondJoined    = "grow-second"
	phaseThirdJoined     = "grow-third"
	phaseGrown           = "grow-ready"
	phaseUpgrade         = "upgrade"
	phaseFirstReplaced   = "upgrade-first"
	phaseSecondReplaced  = "upgrade-second"
	phaseThirdReplaced   = "upgrade-third"
	phaseWorkersReplaced = "upgrade-workers"
	phaseAddons          = "upgrade-addons"
	phaseUpgraded        = "upgrade-settled"
	phaseUnhealthy       = "unhealthy"
	phaseRepaired        = "repaired"
)

var (
	growPhases = []phase{
		{phaseSecondJoined, "`kubeadm join` is done on the second control plane"},
		{phaseThirdJoined, "`kubeadm join` is done on the third"},
		{phaseGrown, "**all nodes are Ready**"},
	}
	upgradePhases = []phase{
		{phaseFirstReplaced, "the first control plane is replaced, the old one gone"},
		{phaseSecondReplaced, "the second"},
		{phaseThirdReplaced, "the third"},
		{phaseWorkersReplaced, "the worker is replaced, the old one gone"},
		{phaseAddons, "kube-proxy and CoreDNS run from the new images on all nodes"},
		{phaseUpgraded, "**all is settled**"},
	}
	repairPhases = []phase{
		{phaseUnhealthy, "its Machine is to be remediated"},
		{phaseRepaired, "**it is replaced and all is settled**"},
	}
)

// seen is what one look gave, at the management cluster's objects of one cluster and at the add-ons in it.
type seen struct {
	controlPlane controlplanev1.KubeadmControlPlane
	workers      clusterv1.MachineDeployment
	machines     []clusterv1.Machine
	containers   []infrav1.DockerMachine
	nodes        []corev1.Node
	proxy        appsv1.DaemonSet
	dns          appsv1.Deployment
}

// grown are the phases that are over when a cluster gets more control planes.
func (s seen) grown() []string {
	joined := 0
	for _, machine := range s.containers {
		_, leads := machine.Labels[clusterv1.MachineControlPlaneLabel]
		if leads && meta.IsStatusConditionTrue(machine.Status.Conditions, infrav1.BootstrapCompletedCondition) {
			joined++
		}
	}
	return over(map[string]bool{phaseSecondJoined: joined >= 2, phaseThirdJoined: joined >= 3, phaseGrown: s.whole()})
}

// upgraded are the phases that are over when a cluster is upgraded.
func (s seen) upgraded(to string) []string {
	oldLeaders, old := 0, 0
	for _, machine := range s.machines {
		if machine.Spec.Version == to {
			continue
		}
		old++
		if leads(machine) {
			oldLeaders++
		}
	}
	addons := oldLeaders == 0 && s.addonsAre(to)
	workers := old == 0 && s.nodesReady()
	return over(map[string]bool{
		phaseFirstReplaced: oldLeaders <= controlPlanes-1, phaseSecondReplaced: oldLeaders <= controlPlanes-2, phaseThirdReplaced: oldLeaders == 0,
		phaseWorkersReplaced: workers, phaseAddons: addons, phaseUpgraded: workers && addons && s.whole(),
	})
}

// repaired are the phases that are over after a Machine was killed.
func (s seen) repaired(killed string) []string {
	at := slices.IndexFunc(s.machines, func(machine clusterv1.Machine) bool { return machine.Name == killed })
	unhealthy := at < 0 || !s.machines[at].DeletionTimestamp.IsZero() ||
		meta.IsStatusConditionFalse(s.machines[at].Status.Conditions, clusterv1.OwnerRemediatedCondition)
	return over(map[string]bool{phaseUnhealthy: unhealthy, phaseRepaired: at < 0 && s.whole()})
}

// over are the names of the phases that are, sorted.
func over(phases map[string]bool) []string {
	var names []string
	for name, is := range phases {
		if is {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func leads(machine clusterv1.Machine) bool {
	_, leads := machine.Labels[clusterv1.MachineControlPlaneLabel]
	return leads
}

// nodesReady tells whether there are as many Machines as there are to be, and all their nodes Ready.
func (s seen) nodesReady() bool {
	return len(s.machines) == controlPlanes+someWorkers && !slices.ContainsFunc(s.machines, func(machine clusterv1.Machine) bool {
		return !machine.DeletionTimestamp.IsZero() || !meta.IsStatusConditionTrue(machine.Status.Conditions, clusterv1.NodeReadyCondition)
	})
}

// whole tells whether the cluster is as it is to be, and what makes its Machines has nothing left to do.
func (s seen) whole() bool {
	leaders, workers := s.controlPlane.Status, s.workers.Status
	return s.nodesReady() &&
		leaders.ObservedGeneration == s.controlPlane.Generation && are(controlPlanes, leaders.Replicas, leaders.ReadyReplicas, leaders.UpToDateReplicas) &&
		workers.ObservedGeneration == s.workers.Generation && are(someWorkers, workers.Replicas, workers.ReadyReplicas, workers.UpToDateReplicas)
}

func are(want int32, counts ...*int32) bool {
	return !slices.ContainsFunc(counts, func(count *int32) bool { return count == nil || *count != want })
}

// addonsAre tells whether kube-proxy runs at a version on all nodes, and all of CoreDNS from the image that nodes of that
// version come with.
func (s seen) addonsAre(to string) bool {
	proxy, dns := s.proxy.Status, s.dns.Status
	return podImage(s.proxy.Spec.Template) == kubeProxyRepository+to &&
		proxy.ObservedGeneration == s.proxy.Generation && proxy.DesiredNumberScheduled > 0 &&
		proxy.UpdatedNumberScheduled == proxy.DesiredNumberScheduled && proxy.NumberReady == proxy.DesiredNumberScheduled &&
		podImage(s.dns.Spec.Template) == s.newestDNS() && s.dns.Spec.Replicas != nil && dns.ObservedGeneration == s.dns.Generation &&
		are(*s.dns.Spec.Replicas, &dns.Replicas, &dns.UpdatedReplicas, &dns.ReadyReplicas)
}

// Where the images of the add-ons come from, up to the tag.
const (
	kubeProxyRepository = "registry.k8s.io/kube-proxy:"
	coreDNSRepository   = "registry.k8s.io/coredns/coredns:"
)

func podImage(of corev1.PodTemplateSpec) string {
	if len(of.Spec.Containers) != 1 {
		return ""
	}
	return of.Spec.Containers[0].Image
}

// newestDNS is the newest image of CoreDNS that a node has. That of the new version is on its nodes from the start; those
// of before may have been passed on to them.
func (s seen) newestDNS() string {
	var newest *version.Version
	for _, node := range s.nodes {
		for _, image := range node.Status.Images {
			for _, name := range image.Names {
				tag, is := strings.CutPrefix(name, coreDNSRepository)
				if !is {
					continue
				}
				if one, err := version.ParseSemantic(tag); err == nil && (newest == nil || newest.LessThan(one)) {
					newest = one
				}
			}
		}
	}
	if newest == nil {
		return ""
	}
	return coreDNSRepository + "v" + newest.String()
}
