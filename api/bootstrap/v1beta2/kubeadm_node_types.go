// SPDX-License-Identifier: Apache-2.0

package v1beta2

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// InitConfiguration is for the machine that initializes the control plane.
//
// +kubebuilder:validation:MinProperties=1
type InitConfiguration struct {
	// bootstrapTokens to make in the new cluster, besides those that the controller makes for each join.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=100
	BootstrapTokens []BootstrapToken `json:"bootstrapTokens,omitempty"`

	// nodeRegistration is how the node registers. When a control plane grows, the machines that join take theirs from
	// joinConfiguration, so give the same there.
	// +optional
	NodeRegistration NodeRegistrationOptions `json:"nodeRegistration,omitempty,omitzero"`

	// localAPIEndpoint is where the API server on this machine listens.
	// +optional
	LocalAPIEndpoint APIEndpoint `json:"localAPIEndpoint,omitempty,omitzero"`

	// skipPhases of kubeadm init.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=50
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=256
	SkipPhases []string `json:"skipPhases,omitempty"`

	// patches to the manifests that kubeadm writes.
	// +optional
	Patches Patches `json:"patches,omitempty,omitzero"`

	// timeouts of kubeadm. Used from Kubernetes v1.31.
	// +optional
	Timeouts Timeouts `json:"timeouts,omitempty,omitzero"`
}

// JoinConfiguration is for machines that join a control plane that is there.
//
// +kubebuilder:validation:MinProperties=1
type JoinConfiguration struct {
	// nodeRegistration is how the node registers.
	// +optional
	NodeRegistration NodeRegistrationOptions `json:"nodeRegistration,omitempty,omitzero"`

	// caCertPath is the path, on the host, of the CA certificate. /etc/kubernetes/pki/ca.crt when absent.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	CACertPath string `json:"caCertPath,omitempty"`

	// discovery is how the machine finds the control plane and comes to trust it. Filled in with a fresh token when absent.
	// +optional
	Discovery Discovery `json:"discovery,omitempty,omitzero"`

	// controlPlane, when there, makes the machine a control-plane one. Its controller sets it as needed.
	// +optional
	ControlPlane *JoinControlPlane `json:"controlPlane,omitempty"`

	// skipPhases of kubeadm join.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=50
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=256
	SkipPhases []string `json:"skipPhases,omitempty"`

	// patches to the manifests that kubeadm writes.
	// +optional
	Patches Patches `json:"patches,omitempty,omitzero"`

	// timeouts of kubeadm. Used from Kubernetes v1.31.
	// +optional
	Timeouts Timeouts `json:"timeouts,omitempty,omitzero"`
}

// JoinControlPlane is for machines that join as control-plane ones.
type JoinControlPlane struct {
	// localAPIEndpoint is where the API server on this machine listens.
	// +optional
	LocalAPIEndpoint APIEndpoint `json:"localAPIEndpoint,omitempty,omitzero"`
}

// APIEndpoint is where the API server on one machine listens.
//
// +kubebuilder:validation:MinProperties=1
type APIEndpoint struct {
	// advertiseAddress is an IP address of the machine. What kubeadm finds when absent.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=39
	AdvertiseAddress string `json:"advertiseAddress,omitempty"`

	// bindPort is a TCP port. The Cluster's apiServerPort, or 6443, when absent.
	// +optional
	// +kubebuilder:validation:Minimum=1
	BindPort int32 `json:"bindPort,omitempty"`
}

// NodeRegistrationOptions is how a node registers.
//
// +kubebuilder:validation:MinProperties=1
type NodeRegistrationOptions struct {
	// name of the node. The host's name when absent.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name,omitempty"`

	// criSocket is where the container runtime listens. What kubeadm finds when absent.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	CRISocket string `json:"criSocket,omitempty"`

	// taints that the node registers with. Absent: kubeadm's, which for the control plane is NoSchedule. An empty list: none.
	// +optional
	// +kubebuilder:validation:MinItems=0
	// +kubebuilder:validation:MaxItems=100
	Taints *[]corev1.Taint `json:"taints,omitempty"`

	// kubeletExtraArgs are flags of the kubelet. Their order is kept.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +listMapKey=value
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=100
	// +kubebuilder:validation:XValidation:rule="self.all(x, self.exists_one(y, x.name == y.name))",message="a flag stands here once: remove the entries that repeat a name"
	KubeletExtraArgs []Arg `json:"kubeletExtraArgs,omitempty"`

	// ignorePreflightErrors are checks of kubeadm whose errors are shown as warnings.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=50
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=512
	IgnorePreflightErrors []string `json:"ignorePreflightErrors,omitempty"`

	// imagePullPolicy of kubeadm's own pulling of images. IfNotPresent when absent.
	// +optional
	// +kubebuilder:validation:Enum=Always;IfNotPresent;Never
	ImagePullPolicy corev1.PullPolicy `json:"imagePullPolicy,omitempty"`

	// imagePullSerial false pulls images at the same time. true when absent. Used from Kubernetes v1.31.
	// +optional
	ImagePullSerial *bool `json:"imagePullSerial,omitempty"`
}

// BootstrapToken is a token that machines may join with.
//
// +kubebuilder:validation:XValidation:rule="!has(self.ttlSeconds) || !has(self.expires)",message="ttlSeconds and expires exclude each other: keep the one that says how long the token is good"
type BootstrapToken struct {
	// token itself: six characters, a point, sixteen characters.
	// +required
	Token BootstrapTokenString `json:"token,omitempty,omitzero"`

	// description tells people what the token is for.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	Description string `json:"description,omitempty"`

	// ttlSeconds is for how long the token is good. 86400, a day, when absent. Not together with expires.
	// +optional
	// +kubebuilder:validation:Minimum=0
	TTLSeconds *int32 `json:"ttlSeconds,omitempty"`

	// expires is until when the token is good. Not together with ttlSeconds.
	// +optional
	Expires metav1.Time `json:"expires,omitempty,omitzero"`

	// usages of the token. signing and authentication when absent.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=100
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=256
	Usages []string `json:"usages,omitempty"`

	// groups that whoever uses the token is in.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=100
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=256
	Groups []string `json:"groups,omitempty"`
}
