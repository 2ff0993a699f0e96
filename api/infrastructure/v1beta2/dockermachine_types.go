// SPDX-License-Identifier: Apache-2.0

package v1beta2

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
)

// DockerMachine is a machine that is a container.
//
// +kubebuilder:validation:XValidation:rule=`(has(self.spec) && has(self.spec.customImage) ? self.spec.customImage : "") == (has(oldSelf.spec) && has(oldSelf.spec.customImage) ? oldSelf.spec.customImage : "")`,message="spec.customImage cannot be changed once the machine is made from it: set it back, or have the Machine replaced by one with another image"
// +kubebuilder:object:root=true
// +kubebuilder:resource:path=dockermachines,scope=Namespaced,categories=cluster-api
// +kubebuilder:storageversion
// +kubebuilder:subresource:status
// +kubebuilder:metadata:labels={"cluster.x-k8s.io/v1beta2=v1beta2","cluster.x-k8s.io/provider=infrastructure-docker","clusterctl.cluster.x-k8s.io="}
// +kubebuilder:printcolumn:name="Cluster",type="string",JSONPath=".metadata.labels['cluster\\.x-k8s\\.io/cluster-name']",description="Cluster of this DockerMachine"
// +kubebuilder:printcolumn:name="Provider ID",type="string",JSONPath=".spec.providerID",description="Identity of the container",priority=10
// +kubebuilder:printcolumn:name="Failure domain",type="string",JSONPath=".status.failureDomain",description="Failure domain that the container is said to be in"
// +kubebuilder:printcolumn:name="IP",type="string",JSONPath=".status.addresses[?(@.type==\"InternalIP\")].address",description="Addresses of the container",priority=10
// +kubebuilder:printcolumn:name="Paused",type="string",JSONPath=".status.conditions[?(@.type==\"Paused\")].status",description="Whether controllers leave the DockerMachine alone",priority=10
// +kubebuilder:printcolumn:name="Provisioned",type="string",JSONPath=".status.initialization.provisioned",description="Whether the machine is there"
// +kubebuilder:printcolumn:name="Age",type="date",JSONPath=".metadata.creationTimestamp",description="Time since the DockerMachine was created"
type DockerMachine struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is the standard object metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is what the machine should be.
	// +optional
	Spec DockerMachineSpec `json:"spec,omitempty"`

	// status is what was last seen of it.
	// +optional
	Status DockerMachineStatus `json:"status,omitempty"`
}

// GetConditions returns the conditions of the object, not a copy.
func (m *DockerMachine) GetConditions() []metav1.Condition { return m.Status.Conditions }

// SetConditions replaces the conditions of the object.
func (m *DockerMachine) SetConditions(conditions []metav1.Condition) {
	m.Status.Conditions = conditions
}

// DockerMachineList is a list of DockerMachines.
//
// +kubebuilder:object:root=true
type DockerMachineList struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is the standard list metadata.
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`

	// items are the DockerMachines.
	Items []DockerMachine `json:"items"`
}

// DockerMachineTemplate is what DockerMachines are made from. To change it, make another one and refer to that.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:path=dockermachinetemplates,scope=Namespaced,categories=cluster-api
// +kubebuilder:storageversion
// +kubebuilder:subresource:status
// +kubebuilder:metadata:labels={"cluster.x-k8s.io/v1beta2=v1beta2","cluster.x-k8s.io/provider=infrastructure-docker","clusterctl.cluster.x-k8s.io="}
// +kubebuilder:printcolumn:name="Age",type="date",JSONPath=".metadata.creationTimestamp",description="Time since the template was created"
type DockerMachineTemplate struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is the standard object metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec holds the template.
	// +optional
	Spec DockerMachineTemplateSpec `json:"spec,omitempty"`

	// status tells an autoscaler about machines that do not exist yet.
	// +optional
	Status DockerMachineTemplateStatus `json:"status,omitempty"`
}

// DockerMachineTemplateList is a list of DockerMachineTemplates.
//
// +kubebuilder:object:root=true
type DockerMachineTemplateList struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is the standard list metadata.
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`

	// items are the DockerMachineTemplates.
	Items []DockerMachineTemplate `json:"items"`
}

// DockerMachineTemplateSpec holds what DockerMachines are made from.
type DockerMachineTemplateSpec struct {
	// template is what DockerMachines are made from.
	// +required
	Template DockerMachineTemplateResource `json:"template"`
}

// DockerMachineTemplateResource is what DockerMachines are made from.
type DockerMachineTemplateResource struct {
	// metadata that new DockerMachines get.
	// +optional
	// +kubebuilder:validation:XValidation:rule="!has(self.labels) || self.labels.all(k, !format.labelValue().validate(self.labels[k]).hasValue())",message="the value of one of the labels is not valid: write it as at most 63 letters, digits, '-', '_' and '.' that begin and end with a letter or digit, or leave it empty"
	ObjectMeta clusterv1.ObjectMeta `json:"metadata,omitempty,omitzero"`

	// spec that new DockerMachines get. It cannot be changed.
	// +required
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="spec.template.spec cannot be changed: make another template and refer to that one"
	Spec DockerMachineSpec `json:"spec"`
}

// DockerMachineTemplateStatus tells an autoscaler about machines that do not exist yet.
type DockerMachineTemplateStatus struct {
	// capacity that a machine made from this template would have.
	// +optional
	Capacity corev1.ResourceList `json:"capacity,omitempty"`
}

// DockerMachineSpec is what a machine that is a container should be.
type DockerMachineSpec struct {
	// providerID is the identity of the container. The provider fills it in.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	ProviderID string `json:"providerID,omitempty"`

	// customImage is the node image. The one for the Machine's version when absent. It cannot be changed.
	// +optional
	CustomImage string `json:"customImage,omitempty"`

	// preLoadImages are images of the host that are put into the machine's image store before anything is started there.
	// +optional
	PreLoadImages []string `json:"preLoadImages,omitempty"`

	// extraMounts are paths of the host that the machine sees.
	// +optional
	ExtraMounts []Mount `json:"extraMounts,omitempty"`

	// bootstrapTimeout is for how long the bootstrap data may take to be carried out, as a duration such as 5m. 5m when
	// absent.
	// +optional
	BootstrapTimeout *metav1.Duration `json:"bootstrapTimeout,omitempty"`
}

// Mount is a path of the host that a machine sees.
//
// +kubebuilder:validation:XValidation:rule="has(self.hostPath) && has(self.containerPath)",message="a mount needs both hostPath and containerPath"
type Mount struct {
	// containerPath is the path in the machine.
	// +optional
	ContainerPath string `json:"containerPath,omitempty"`

	// hostPath is the path on the host.
	// +optional
	HostPath string `json:"hostPath,omitempty"`

	// readOnly true keeps the machine from writing.
	// +optional
	Readonly bool `json:"readOnly,omitempty"`
}

// DockerMachineStatus is what was last seen of a machine that is a container.
type DockerMachineStatus struct {
	// conditions of the DockerMachine.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=32
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// initialization holds what other controllers wait for. Its fields turn true once and never back.
	// +optional
	Initialization DockerMachineInitializationStatus `json:"initialization,omitempty,omitzero"`

	// loadBalancerConfigured is true once the load balancer knows a control-plane machine.
	// +optional
	LoadBalancerConfigured bool `json:"loadBalancerConfigured"`

	// addresses of the container.
	// +optional
	Addresses []clusterv1.MachineAddress `json:"addresses,omitempty"`

	// failureDomain that the container is said to be in.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	FailureDomain string `json:"failureDomain,omitempty"`

	// deprecated keeps status of older API versions. Accepted but not acted on by this version.
	// +optional
	Deprecated *DockerMachineDeprecatedStatus `json:"deprecated,omitempty"`
}

// DockerMachineInitializationStatus holds what others wait for while a machine is first made.
//
// +kubebuilder:validation:MinProperties=1
type DockerMachineInitializationStatus struct {
	// provisioned is true once the container runs.
	// +optional
	Provisioned *bool `json:"provisioned,omitempty"`
}

// DockerMachineDeprecatedStatus keeps status of older API versions.
type DockerMachineDeprecatedStatus struct {
	// v1beta1 keeps status of API version v1beta1.
	// +optional
	V1Beta1 *DockerMachineV1Beta1DeprecatedStatus `json:"v1beta1,omitempty"`
}

// DockerMachineV1Beta1DeprecatedStatus keeps status of API version v1beta1.
type DockerMachineV1Beta1DeprecatedStatus struct {
	// conditions in the old form.
	// +optional
	Conditions clusterv1.Conditions `json:"conditions,omitempty"`
}
