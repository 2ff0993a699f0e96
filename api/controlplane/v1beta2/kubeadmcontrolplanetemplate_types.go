// SPDX-License-Identifier: Apache-2.0

package v1beta2

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	bootstrapv1 "github.com/slipway-project/slipway/api/bootstrap/v1beta2"
	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
)

// KubeadmControlPlaneTemplate is what a managed topology makes KubeadmControlPlanes from. Accepted but not acted on by
// this version.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:path=kubeadmcontrolplanetemplates,scope=Namespaced,categories=cluster-api
// +kubebuilder:storageversion
// +kubebuilder:metadata:labels={"cluster.x-k8s.io/v1beta2=v1beta2","cluster.x-k8s.io/provider=control-plane-kubeadm","clusterctl.cluster.x-k8s.io="}
// +kubebuilder:printcolumn:name="ClusterClass",type="string",JSONPath=`.metadata.ownerReferences[?(@.kind=="ClusterClass")].name`,description="ClusterClass that owns this template"
// +kubebuilder:printcolumn:name="Age",type="date",JSONPath=".metadata.creationTimestamp",description="Time since the template was created"
type KubeadmControlPlaneTemplate struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is the standard object metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec holds the template.
	// +optional
	Spec KubeadmControlPlaneTemplateSpec `json:"spec,omitempty,omitzero"`
}

// KubeadmControlPlaneTemplateList is a list of KubeadmControlPlaneTemplates.
//
// +kubebuilder:object:root=true
type KubeadmControlPlaneTemplateList struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is the standard list metadata.
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`

	// items are the KubeadmControlPlaneTemplates.
	Items []KubeadmControlPlaneTemplate `json:"items"`
}

// KubeadmControlPlaneTemplateSpec holds what KubeadmControlPlanes are made from.
type KubeadmControlPlaneTemplateSpec struct {
	// template is what KubeadmControlPlanes are made from.
	// +required
	// +kubebuilder:validation:XValidation:rule="has(self.spec) == has(oldSelf.spec) && (!has(self.spec) || self.spec == oldSelf.spec)",message="spec.template.spec cannot be changed: make another template and refer to that one"
	Template KubeadmControlPlaneTemplateResource `json:"template,omitempty,omitzero"`
}

// KubeadmControlPlaneTemplateResource is what KubeadmControlPlanes are made from.
//
// +kubebuilder:validation:MinProperties=1
type KubeadmControlPlaneTemplateResource struct {
	// metadata that new KubeadmControlPlanes get.
	// +optional
	// +kubebuilder:validation:XValidation:rule="!has(self.labels) || self.labels.all(k, !format.labelValue().validate(self.labels[k]).hasValue())",message="the value of one of the labels is not valid: write it as at most 63 letters, digits, '-', '_' and '.' that begin and end with a letter or digit, or leave it empty"
	ObjectMeta clusterv1.ObjectMeta `json:"metadata,omitempty,omitzero"`

	// spec that new KubeadmControlPlanes get. It cannot be changed.
	// +optional
	Spec KubeadmControlPlaneTemplateResourceSpec `json:"spec,omitempty,omitzero"`
}

// KubeadmControlPlaneTemplateResourceSpec is a KubeadmControlPlaneSpec without what a topology fills in itself: replicas,
// version and the reference to the infrastructure.
//
// +kubebuilder:validation:XValidation:rule="!self.?kubeadmConfigSpec.?clusterConfiguration.?certificateValidityPeriodDays.hasValue() || self.?rollout.?before.?certificatesExpiryDays.orValue(0) < self.kubeadmConfigSpec.clusterConfiguration.certificateValidityPeriodDays",message="with rollout.before.certificatesExpiryDays not below kubeadmConfigSpec.clusterConfiguration.certificateValidityPeriodDays every new machine would be due for replacement at once: lower the first or raise the second"
// +kubebuilder:validation:MinProperties=1
type KubeadmControlPlaneTemplateResourceSpec struct {
	// machineTemplate is what the machines are made from.
	// +optional
	MachineTemplate KubeadmControlPlaneTemplateMachineTemplate `json:"machineTemplate,omitempty,omitzero"`

	// kubeadmConfigSpec is how the machines become nodes.
	// +optional
	// +kubebuilder:validation:XValidation:rule="self.?clusterConfiguration.?certificateValidityPeriodDays.orValue(0) <= self.?clusterConfiguration.?caCertificateValidityPeriodDays.orValue(3650)",message="no certificate outlives the CA that signs it: lower clusterConfiguration.certificateValidityPeriodDays to at most caCertificateValidityPeriodDays, which is 3650 when absent"
	// +kubebuilder:validation:XValidation:rule="self.?initConfiguration.?timeouts.?controlPlaneComponentHealthCheckSeconds == self.?joinConfiguration.?timeouts.?controlPlaneComponentHealthCheckSeconds",message="all machines of a control plane wait equally long: give timeouts.controlPlaneComponentHealthCheckSeconds the same value in initConfiguration and joinConfiguration, or leave it out of both"
	// +kubebuilder:validation:XValidation:rule="!has(self.clusterConfiguration) || !has(self.clusterConfiguration.dns) || !has(self.clusterConfiguration.dns.imageTag) || isSemver(self.clusterConfiguration.dns.imageTag.replace('_', '+'), true)",message="clusterConfiguration.dns.imageTag has to be a version of CoreDNS, or nobody could tell whether it can follow the one that runs: write it like v1.14.2"
	KubeadmConfigSpec bootstrapv1.KubeadmConfigSpec `json:"kubeadmConfigSpec,omitempty,omitzero"`

	// rollout says when and how machines are replaced.
	// +optional
	Rollout KubeadmControlPlaneRolloutSpec `json:"rollout,omitempty,omitzero"`

	// remediation bounds how unhealthy machines are replaced.
	// +optional
	Remediation KubeadmControlPlaneRemediationSpec `json:"remediation,omitempty,omitzero"`

	// machineNaming says how new Machines are named.
	// +optional
	MachineNaming MachineNamingSpec `json:"machineNaming,omitempty,omitzero"`
}

// KubeadmControlPlaneTemplateMachineTemplate is what the machines are made from.
//
// +kubebuilder:validation:MinProperties=1
type KubeadmControlPlaneTemplateMachineTemplate struct {
	// metadata that new Machines get.
	// +optional
	// +kubebuilder:validation:XValidation:rule="!has(self.labels) || self.labels.all(k, !format.labelValue().validate(self.labels[k]).hasValue())",message="the value of one of the labels is not valid: write it as at most 63 letters, digits, '-', '_' and '.' that begin and end with a letter or digit, or leave it empty"
	ObjectMeta clusterv1.ObjectMeta `json:"metadata,omitempty,omitzero"`

	// spec that new Machines get.
	// +optional
	Spec KubeadmControlPlaneTemplateMachineTemplateSpec `json:"spec,omitempty,omitzero"`
}

// KubeadmControlPlaneTemplateMachineTemplateSpec is the part of a Machine's spec that can be chosen in a template.
//
// +kubebuilder:validation:MinProperties=1
type KubeadmControlPlaneTemplateMachineTemplateSpec struct {
	// deletion bounds the steps that are gone through when a Machine is deleted.
	// +optional
	Deletion KubeadmControlPlaneMachineTemplateDeletionSpec `json:"deletion,omitempty,omitzero"`

	// taints that the nodes are to have.
	// +optional
	// +listType=map
	// +listMapKey=key
	// +listMapKey=effect
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:XValidation:rule="self.all(t, !format.qualifiedName().validate(t.key).hasValue())",message="the key of one of the taints is too long: use at most 253 characters before its '/' and 63 after it"
	Taints []clusterv1.MachineTaint `json:"taints,omitempty"`
}
