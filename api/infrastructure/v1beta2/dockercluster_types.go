// SPDX-License-Identifier: Apache-2.0

package v1beta2

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
)

// DockerCluster is the infrastructure of a cluster whose machines are containers: a network and a load balancer in
// front of the API servers.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:path=dockerclusters,scope=Namespaced,categories=cluster-api
// +kubebuilder:storageversion
// +kubebuilder:subresource:status
// +kubebuilder:metadata:labels={"cluster.x-k8s.io/v1beta2=v1beta2","cluster.x-k8s.io/provider=infrastructure-docker","clusterctl.cluster.x-k8s.io="}
// +kubebuilder:printcolumn:name="Cluster",type="string",JSONPath=".metadata.labels['cluster\\.x-k8s\\.io/cluster-name']",description="Cluster of this DockerCluster"
// +kubebuilder:printcolumn:name="Age",type="date",JSONPath=".metadata.creationTimestamp",description="Time since the DockerCluster was created"
type DockerCluster struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is the standard object metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is what the infrastructure should be.
	// +optional
	Spec DockerClusterSpec `json:"spec,omitempty"`

	// status is what was last seen of it.
	// +optional
	Status DockerClusterStatus `json:"status,omitempty"`
}

// GetConditions returns the conditions of the object, not a copy.
func (c *DockerCluster) GetConditions() []metav1.Condition { return c.Status.Conditions }

// SetConditions replaces the conditions of the object.
func (c *DockerCluster) SetConditions(conditions []metav1.Condition) {
	c.Status.Conditions = conditions
}

// DockerClusterList is a list of DockerClusters.
//
// +kubebuilder:object:root=true
type DockerClusterList struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is the standard list metadata.
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`

	// items are the DockerClusters.
	Items []DockerCluster `json:"items"`
}

// DockerClusterTemplate is what a managed topology makes DockerClusters from. Accepted but not acted on by this version.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:path=dockerclustertemplates,scope=Namespaced,categories=cluster-api
// +kubebuilder:storageversion
// +kubebuilder:metadata:labels={"cluster.x-k8s.io/v1beta2=v1beta2","cluster.x-k8s.io/provider=infrastructure-docker","clusterctl.cluster.x-k8s.io="}
// +kubebuilder:printcolumn:name="Age",type="date",JSONPath=".metadata.creationTimestamp",description="Time since the template was created"
type DockerClusterTemplate struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is the standard object metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec holds the template.
	// +optional
	Spec DockerClusterTemplateSpec `json:"spec,omitempty"`
}

// DockerClusterTemplateList is a list of DockerClusterTemplates.
//
// +kubebuilder:object:root=true
type DockerClusterTemplateList struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is the standard list metadata.
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`

	// items are the DockerClusterTemplates.
	Items []DockerClusterTemplate `json:"items"`
}

// DockerClusterTemplateSpec holds what DockerClusters are made from.
type DockerClusterTemplateSpec struct {
	// template is what DockerClusters are made from.
	// +required
	Template DockerClusterTemplateResource `json:"template"`
}

// DockerClusterTemplateResource is what DockerClusters are made from.
type DockerClusterTemplateResource struct {
	// metadata that new DockerClusters get.
	// +optional
	// +kubebuilder:validation:XValidation:rule="!has(self.labels) || self.labels.all(k, !format.labelValue().validate(self.labels[k]).hasValue())",message="the value of one of the labels is not valid: write it as at most 63 letters, digits, '-', '_' and '.' that begin and end with a letter or digit, or leave it empty"
	ObjectMeta clusterv1.ObjectMeta `json:"metadata,omitempty,omitzero"`

	// spec that new DockerClusters get. It cannot be changed.
	// +required
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="spec.template.spec cannot be changed: make another template and refer to that one"
	Spec DockerClusterSpec `json:"spec"`
}

// DockerClusterSpec is what the infrastructure of a cluster should be.
type DockerClusterSpec struct {
	// controlPlaneEndpoint is where the load balancer answers. The provider fills it in.
	// +optional
	ControlPlaneEndpoint APIEndpoint `json:"controlPlaneEndpoint,omitempty,omitzero"`

	// failureDomains to pretend to have, sorted by name. All containers are on one host; the names serve to try out
	// spreading.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=100
	// +kubebuilder:validation:XValidation:rule="self.all(i, d, i == 0 || self[i - 1].name < d.name)",message="failureDomains have to stand in the order of their names: sort them by name"
	FailureDomains []clusterv1.FailureDomain `json:"failureDomains,omitempty"`

	// loadBalancer is the container in front of the API servers.
	// +optional
	LoadBalancer DockerLoadBalancer `json:"loadBalancer,omitempty"`
}

// DockerLoadBalancer is the container in front of the API servers.
type DockerLoadBalancer struct {
	// The image of the container. What the provider chooses when absent.
	ImageMeta `json:",inline"`

	// customHAProxyConfigTemplateRef names a ConfigMap, in the same namespace, whose key value holds a Go template for the
	// configuration of HAProxy. The provider's own when absent.
	// +optional
	CustomHAProxyConfigTemplateRef *corev1.LocalObjectReference `json:"customHAProxyConfigTemplateRef,omitempty"`
}

// ImageMeta names a container image.
type ImageMeta struct {
	// imageRepository is the part of the image's name before the last '/'.
	// +optional
	ImageRepository string `json:"imageRepository,omitempty"`

	// imageTag is the tag of the image.
	// +optional
	ImageTag string `json:"imageTag,omitempty"`
}

// APIEndpoint is where the load balancer answers.
//
// +kubebuilder:validation:MinProperties=1
type APIEndpoint struct {
	// host is a DNS name or an IP address.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	Host string `json:"host,omitempty"`

	// port is a TCP port.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	Port int32 `json:"port,omitempty"`
}

// DockerClusterStatus is what was last seen of the infrastructure of a cluster.
type DockerClusterStatus struct {
	// conditions of the DockerCluster.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=32
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// initialization holds what other controllers wait for. Its fields turn true once and never back.
	// +optional
	Initialization DockerClusterInitializationStatus `json:"initialization,omitempty,omitzero"`

	// failureDomains are those of the spec.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=100
	FailureDomains []clusterv1.FailureDomain `json:"failureDomains,omitempty"`

	// deprecated keeps status of older API versions. Accepted but not acted on by this version.
	// +optional
	Deprecated *DockerClusterDeprecatedStatus `json:"deprecated,omitempty"`
}

// DockerClusterInitializationStatus holds what others wait for while a cluster is first made.
//
// +kubebuilder:validation:MinProperties=1
type DockerClusterInitializationStatus struct {
	// provisioned is true once network and load balancer are there.
	// +optional
	Provisioned *bool `json:"provisioned,omitempty"`
}

// DockerClusterDeprecatedStatus keeps status of older API versions.
type DockerClusterDeprecatedStatus struct {
	// v1beta1 keeps status of API version v1beta1.
	// +optional
	V1Beta1 *DockerClusterV1Beta1DeprecatedStatus `json:"v1beta1,omitempty"`
}

// DockerClusterV1Beta1DeprecatedStatus keeps status of API version v1beta1.
type DockerClusterV1Beta1DeprecatedStatus struct {
	// conditions in the old form.
	// +optional
	Conditions clusterv1.Conditions `json:"conditions,omitempty"`
}
