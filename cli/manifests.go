// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	addonsv1 "github.com/slipway-project/slipway/api/addons/v1beta2"
	bootstrapv1 "github.com/slipway-project/slipway/api/bootstrap/v1beta2"
	controlplanev1 "github.com/slipway-project/slipway/api/controlplane/v1beta2"
	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	infrav1 "github.com/slipway-project/slipway/api/infrastructure/v1beta2"
	"github.com/slipway-project/slipway/deploy/network"
	"github.com/slipway-project/slipway/plan"
	"github.com/slipway-project/slipway/providers/docker/containers"
)

// Kinds that the command line knows by name.
var (
	clusterKind                = clusterv1.GroupVersion.WithKind("Cluster")
	machineKind                = clusterv1.GroupVersion.WithKind("Machine")
	machineSetKind             = clusterv1.GroupVersion.WithKind("MachineSet")
	machineHealthCheckKind     = clusterv1.GroupVersion.WithKind(clusterv1.MachineHealthCheckKind)
	machineDeploymentKind      = clusterv1.GroupVersion.WithKind("MachineDeployment")
	kubeadmConfigKind          = bootstrapv1.GroupVersion.WithKind("KubeadmConfig")
	kubeadmConfigTemplateKind  = bootstrapv1.GroupVersion.WithKind("KubeadmConfigTemplate")
	kubeadmControlPlaneKind    = controlplanev1.GroupVersion.WithKind("KubeadmControlPlane")
	clusterResourceSetKind     = addonsv1.GroupVersion.WithKind("ClusterResourceSet")
	clusterResourceBindingKind = addonsv1.GroupVersion.WithKind("ClusterResourceSetBinding")
	dockerClusterKind          = infrav1.GroupVersion.WithKind("DockerCluster")
	dockerMachineKind          = infrav1.GroupVersion.WithKind("DockerMachine")
	dockerMachineTemplateKind  = infrav1.GroupVersion.WithKind("DockerMachineTemplate")
)

const (
	// networkLabel with networkDefault on a Cluster asks for the pod network that
	// comes with Slipway.
	networkLabel   = "cni"
	networkDefault = "default"
	// poolLabel tells the Machines of one MachineDeployment from others.
	poolLabel = "pool"
	// neverEvict: the disk that a node sees is the host's, and how full that is must
	// not evict pods.
	neverEvict = "nodefs.available<0%,nodefs.inodesFree<0%,imagefs.available<0%"
)

// clusterPlan is what slipway create cluster was asked for. It has been checked.
type clusterPlan struct {
	Namespace, Name string
	Version         string // v1.37.1
	ControlPlanes   int32
	Workers         int32
	PodCIDR         string
	ServiceCIDR     string
	WithResourceSet bool // the namespace has none for the default network
	NodeImage       string
}

// manifests are the objects of a cluster in the order in which they are applied:
// the Cluster first, so that it can own what would outlive it otherwise.
func manifests(p clusterPlan) []*unstructured.Unstructured {
	objects := []*unstructured.Unstructured{
		plan.Intent(clusterKind, clusterManifest(p)),
		plan.Intent(dockerClusterKind, &infrav1.DockerCluster{ObjectMeta: p.meta(p.Name)}),
		plan.Intent(dockerMachineTemplateKind, machineTemplateManifest(p, p.template("control-plane"))),
		plan.Intent(kubeadmControlPlaneKind, controlPlaneManifest(p)),
	}
	if p.WithResourceSet {
		objects = append(objects, plan.Intent(clusterResourceSetKind, resourceSetManifest(p)))
	}
	return append(objects,
		plan.Intent(dockerMachineTemplateKind, machineTemplateManifest(p, p.template("workers"))),
		plan.Intent(kubeadmConfigTemplateKind, &bootstrapv1.KubeadmConfigTemplate{
			ObjectMeta: p.meta(p.Name + "-workers"),
			Spec: bootstrapv1.KubeadmConfigTemplateSpec{Template: bootstrapv1.KubeadmConfigTemplateResource{
				Spec: bootstrapv1.KubeadmConfigSpec{JoinConfiguration: bootstrapv1.JoinConfiguration{NodeRegistration: registration()}},
			}},
		}),
		plan.Intent(machineDeploymentKind, workersManifest(p)),
	)
}

// template is the name of a machine template: it holds the version, because a
// template is not changed but replaced when the version is.
func (p clusterPlan) template(role string) string {
	return p.Name + "-" + role + "-" + nameOfVersion(p.Version)
}

// nameOfVersion is a version as part of an object's name: v1-37-1.
func nameOfVersion(version string) string {
	return strings.NewReplacer(".", "-", "+", "-", "_", "-").Replace(strings.ToLower(version))
}

// image is the node image that machines are made of.
func (p clusterPlan) image() string {
	if p.NodeImage != "" {
		return p.NodeImage
	}
	return containers.NodeImage(p.Version)
}

func (p clusterPlan) meta(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: p.Namespace, Name: name}
}

func ref(kind schema.GroupVersionKind, name string) clusterv1.ContractVersionedObjectReference {
	return clusterv1.ContractVersionedObjectReference{APIGroup: kind.Group, Kind: kind.Kind, Name: name}
}

func registration() bootstrapv1.NodeRegistrationOptions {
	value := neverEvict
	return bootstrapv1.NodeRegistrationOptions{KubeletExtraArgs: []bootstrapv1.Arg{{Name: "eviction-hard", Value: &value}}}
}

func clusterManifest(p clusterPlan) *clusterv1.Cluster {
	meta := p.meta(p.Name)
	meta.Labels = map[string]string{networkLabel: networkDefault}
	return &clusterv1.Cluster{
		ObjectMeta: meta,
		Spec: clusterv1.ClusterSpec{
			ClusterNetwork: clusterv1.ClusterNetwork{
				Pods:          clusterv1.NetworkRanges{CIDRBlocks: []string{p.PodCIDR}},
				Services:      clusterv1.NetworkRanges{CIDRBlocks: []string{p.ServiceCIDR}},
				ServiceDomain: "cluster.local",
			},
			InfrastructureRef: ref(dockerClusterKind, p.Name),
			ControlPlaneRef:   ref(kubeadmControlPlaneKind, p.Name+"-control-plane"),
		},
	}
}

func machineTemplateManifest(p clusterPlan, name string) *infrav1.DockerMachineTemplate {
	return &infrav1.DockerMachineTemplate{
		ObjectMeta: p.meta(name),
		Spec: infrav1.DockerMachineTemplateSpec{Template: infrav1.DockerMachineTemplateResource{
			Spec: infrav1.DockerMachineSpec{CustomImage: p.image()},
		}},
	}
}

func controlPlaneManifest(p clusterPlan) *controlplanev1.KubeadmControlPlane {
	return &controlplanev1.KubeadmControlPlane{
		ObjectMeta: p.meta(p.Name + "-control-plane"),
		Spec: controlplanev1.KubeadmControlPlaneSpec{
			Replicas: &p.ControlPlanes,
			Version:  p.Version,
			MachineTemplate: controlplanev1.KubeadmControlPlaneMachineTemplate{
				Spec: controlplanev1.KubeadmControlPlaneMachineTemplateSpec{
					InfrastructureRef: ref(dockerMachineTemplateKind, p.template("control-plane")),
				},
			},
			KubeadmConfigSpec: bootstrapv1.KubeadmConfigSpec{
				ClusterConfiguration: bootstrapv1.ClusterConfiguration{
					APIServer: bootstrapv1.APIServer{CertSANs: []string{"localhost", "127.0.0.1"}},
				},
				InitConfiguration: bootstrapv1.InitConfiguration{NodeRegistration: registration()},
				JoinConfiguration: bootstrapv1.JoinConfiguration{NodeRegistration: registration()},
			},
		},
	}
}

func workersManifest(p clusterPlan) *clusterv1.MachineDeployment {
	name := p.Name + "-workers"
	pool := map[string]string{poolLabel: "workers"}
	return &clusterv1.MachineDeployment{
		ObjectMeta: p.meta(name),
		Spec: clusterv1.MachineDeploymentSpec{
			ClusterName: p.Name,
			Replicas:    &p.Workers,
			Selector:    metav1.LabelSelector{MatchLabels: pool},
			Template: clusterv1.MachineTemplateSpec{
				ObjectMeta: clusterv1.ObjectMeta{Labels: pool},
				Spec: clusterv1.MachineSpec{
					ClusterName:       p.Name,
					Version:           p.Version,
					InfrastructureRef: ref(dockerMachineTemplateKind, p.template("workers")),
					Bootstrap:         clusterv1.Bootstrap{ConfigRef: ref(kubeadmConfigTemplateKind, name)},
				},
			},
		},
	}
}

func resourceSetManifest(p clusterPlan) *addonsv1.ClusterResourceSet {
	return &addonsv1.ClusterResourceSet{
		ObjectMeta: p.meta(network.ConfigMapName),
		Spec: addonsv1.ClusterResourceSetSpec{
			Strategy:        string(addonsv1.ClusterResourceSetStrategyApplyOnce),
			ClusterSelector: metav1.LabelSelector{MatchLabels: map[string]string{networkLabel: networkDefault}},
			Resources:       []addonsv1.ResourceRef{{Kind: string(addonsv1.ConfigMapClusterResourceSetResourceKind), Name: network.ConfigMapName}},
		},
	}
}
