// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"net/netip"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
)

// clusterRequest is what the flags of slipway create cluster say.
type clusterRequest struct {
	namespace, name      string
	version              string
	image                string
	controlPlanes        int
	workers              int
	podCIDR, serviceCIDR string
}

const (
	// podBits is the prefix length of the range that each node has for its pods, and
	// mostNodeBits the most that kubeadm lets lie between that and the range of all.
	podBits      = 24
	mostNodeBits = 16
	// largestServiceRange is the shortest prefix that kube-apiserver takes for
	// services.
	largestServiceRange = 12
	// mostControlPlanes is where more members of etcd only cost.
	mostControlPlanes = 7
)

// check makes a plan of a request, or says what is wrong with it.
func (r clusterRequest) check() (clusterPlan, error) {
	p := clusterPlan{Namespace: r.namespace, Name: r.name, NodeImage: r.image}
	if problems := validation.IsDNS1123Label(r.name); len(problems) > 0 {
		return p, usage("%q cannot be the name of a Cluster: use at most 63 lower-case letters, digits and '-', with a letter or digit first and last", r.name)
	}
	if problems := validation.IsDNS1123Label(r.namespace); len(problems) > 0 {
		return p, usage("--namespace: %q cannot be the name of a namespace: use at most 63 lower-case letters, digits and '-', with a letter or digit first and last", r.namespace)
	}
	var err error
	if p.Version, err = kubernetesVersion(r.version); err != nil {
		return p, err
	}
	switch {
	case r.controlPlanes < 1:
		return p, usage("--control-plane-machine-count: %d is too few: a cluster needs a control-plane machine; use 1, 3 or 5", r.controlPlanes)
	case r.controlPlanes%2 == 0:
		return p, usage("--control-plane-machine-count: %d is even: etcd needs more than half of its members, so %d bear no more failures than %d; use %d or %d",
			r.controlPlanes, r.controlPlanes, r.controlPlanes-1, r.controlPlanes-1, r.controlPlanes+1)
	case r.controlPlanes > mostControlPlanes:
		return p, usage("--control-plane-machine-count: %d is too many: etcd gets slower with each member; use at most %d", r.controlPlanes, mostControlPlanes)
	case r.workers < 0:
		return p, usage("--worker-machine-count: %d is less than none; use 0 or more", r.workers)
	case r.workers > 5000:
		return p, usage("--worker-machine-count: %d is more than a cluster can have; use at most 5000", r.workers)
	}
	p.ControlPlanes, p.Workers = int32(r.controlPlanes), int32(r.workers)
	return p, r.checkNetworks(&p)
}

func (r clusterRequest) checkNetworks(p *clusterPlan) error {
	pods, err := parseCIDR("--pod-cidr", r.podCIDR)
	if err != nil {
		return err
	}
	services, err := parseCIDR("--service-cidr", r.serviceCIDR)
	if err != nil {
		return err
	}
	if pods.Overlaps(services) {
		return usage("--pod-cidr %s and --service-cidr %s overlap, so an address could be a pod's and a service's; choose ranges apart, such as %s and %s",
			pods, services, defaultPodCIDR, defaultServiceCIDR)
	}
	if services.Bits() < largestServiceRange || services.Bits() > 28 {
		return usage("--service-cidr: %s has no size that Kubernetes takes; use a prefix from /%d to /28", services, largestServiceRange)
	}
	machines := int(p.ControlPlanes + p.Workers)
	if pods.Bits() > podBits || 1<<(podBits-pods.Bits()) < machines {
		return usage("--pod-cidr: %s is too small: each node takes a /%d of it, and %d are asked for; use a wider range, such as %s", pods, podBits, machines, defaultPodCIDR)
	}
	if pods.Bits() < podBits-mostNodeBits {
		return usage("--pod-cidr: %s is too large: each node takes a /%d of it, and kubeadm takes a /%d at the most; use a range such as %s",
			pods, podBits, podBits-mostNodeBits, defaultPodCIDR)
	}
	p.PodCIDR, p.ServiceCIDR = pods.String(), services.String()
	return nil
}

func parseCIDR(flag, text string) (netip.Prefix, error) {
	prefix, err := netip.ParsePrefix(strings.TrimSpace(text))
	switch {
	case err != nil:
		return prefix, usage("%s: %q is not a network in CIDR notation; write it like 10.244.0.0/16", flag, text)
	case !prefix.Addr().Is4():
		return prefix, usage("%s: %s is an IPv6 network, and the Docker provider's networks are IPv4; use one like 10.244.0.0/16", flag, prefix)
	case prefix != prefix.Masked():
		return prefix, usage("%s: %s has bits set behind its prefix; did you mean %s?", flag, prefix, prefix.Masked())
	}
	return prefix, nil
}
