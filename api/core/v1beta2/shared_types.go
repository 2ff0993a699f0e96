// SPDX-License-Identifier: Apache-2.0

package v1beta2

import (
	corev1 "k8s.io/api/core/v1"
)

// ObjectMeta is the part of an object's metadata that a template may carry to what is made from it.
//
// +kubebuilder:validation:MinProperties=1
type ObjectMeta struct {
	// labels are put on every object made from the template, besides those the controllers set themselves.
	// +optional
	// +kubebuilder:validation:MaxProperties=200
	// +kubebuilder:validation:XValidation:rule="self.all(k, !format.qualifiedName().validate(k).hasValue())",message="the key of one of the labels is not valid: write it as a name or prefix/name, the name as at most 63 letters, digits, '-', '_' and '.' that begin and end with a letter or digit"
	Labels map[string]string `json:"labels,omitempty"`

	// annotations are put on every object made from the template, besides those the controllers set themselves.
	// +optional
	// +kubebuilder:validation:MaxProperties=200
	// +kubebuilder:validation:XValidation:rule="self.all(k, !format.qualifiedName().validate(k.lowerAscii()).hasValue())",message="the key of one of the annotations is not valid: write it as a name or prefix/name, the name as at most 63 letters, digits, '-', '_' and '.' that begin and end with a letter or digit"
	// +kubebuilder:validation:XValidation:rule="self.map(k, k.size() + self[k].size()).sum() <= 262144",message="annotations hold more than the 256 KiB that an object can have: take some out"
	Annotations map[string]string `json:"annotations,omitempty"`
}

// ContractVersionedObjectReference names an object of a provider in the same namespace. It holds no version: the
// version to use is found through the contract label on the CRD of the kind (see ContractLabelPrefix).
type ContractVersionedObjectReference struct {
	// kind of the object. Letters, digits and '-', beginning with a letter.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-zA-Z]([-a-zA-Z0-9]*[a-zA-Z0-9])?$`
	Kind string `json:"kind,omitempty"`

	// name of the object, in the namespace of the object that holds this reference.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`
	Name string `json:"name,omitempty"`

	// apiGroup of the object, without a version. It cannot be empty: kinds of the core group are no providers' kinds.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`
	APIGroup string `json:"apiGroup,omitempty"`
}

// IsDefined tells whether the reference names anything: it is false for the zero value only.
func (r ContractVersionedObjectReference) IsDefined() bool {
	return r != ContractVersionedObjectReference{}
}

// ConditionPolarity says which status of a condition is the good one.
//
// +kubebuilder:validation:Enum=Positive;Negative
type ConditionPolarity string

const (
	// PositivePolarityCondition: True is good.
	PositivePolarityCondition ConditionPolarity = "Positive"

	// NegativePolarityCondition: False is good.
	NegativePolarityCondition ConditionPolarity = "Negative"
)

// MachineReadinessGate names one more condition of a Machine that has a say in whether the Machine is Ready.
type MachineReadinessGate struct {
	// conditionType is the type of a condition in the Machine's status.conditions. A missing condition counts as not
	// ready.
	// +required
	// +kubebuilder:validation:Pattern=`^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])$`
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=316
	ConditionType string `json:"conditionType,omitempty"`

	// polarity says whether True (Positive) or False (Negative) is the good status. Positive when absent.
	// +optional
	Polarity ConditionPolarity `json:"polarity,omitempty"`
}

// MachineTaint is a taint that the node of a Machine is to have. Key and effect together identify it.
type MachineTaint struct {
	// key of the taint, with an optional DNS prefix before a '/'.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=317
	// +kubebuilder:validation:Pattern=^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\/)?([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]$
	// +kubebuilder:validation:XValidation:rule="!(self in ['node.cluster.x-k8s.io/uninitialized', 'node.cluster.x-k8s.io/outdated-revision']) && !self.startsWith('node.cloudprovider.kubernetes.io/') && (!self.startsWith('node.kubernetes.io/') || self == 'node.kubernetes.io/out-of-service')",message="the taints node.cluster.x-k8s.io/uninitialized and node.cluster.x-k8s.io/outdated-revision, and those that begin with node.kubernetes.io/ (but node.kubernetes.io/out-of-service) or node.cloudprovider.kubernetes.io/, are set by controllers: choose another key"
	// +kubebuilder:validation:XValidation:rule="self != 'node-role.kubernetes.io/master'",message="Kubernetes no longer uses the taint node-role.kubernetes.io/master: choose another key"
	Key string `json:"key,omitempty"`

	// value of the taint; none when absent.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$
	Value string `json:"value,omitempty"`

	// effect on pods that do not tolerate the taint.
	// +required
	// +kubebuilder:validation:Enum=NoSchedule;PreferNoSchedule;NoExecute
	Effect corev1.TaintEffect `json:"effect,omitempty"`

	// propagation says how long the taint is looked after: Always puts it back when it goes from the node and takes it
	// off when it leaves this list; OnInitialization sets it once, when the node first appears.
	// +required
	Propagation MachineTaintPropagation `json:"propagation,omitempty"`
}

// MachineTaintPropagation is how a taint travels from a Machine to its node.
//
// +kubebuilder:validation:Enum=Always;OnInitialization
type MachineTaintPropagation string

const (
	// MachineTaintPropagationAlways keeps the taint on the node for as long as the Machine lists it.
	MachineTaintPropagationAlways MachineTaintPropagation = "Always"

	// MachineTaintPropagationOnInitialization sets the taint once, when the node is initialized.
	MachineTaintPropagationOnInitialization MachineTaintPropagation = "OnInitialization"
)

// MachineAddressType is the kind of an address of a Machine.
//
// +kubebuilder:validation:Enum=Hostname;ExternalIP;InternalIP;ExternalDNS;InternalDNS
type MachineAddressType string

// The kinds of address that a Machine can have.
const (
	MachineHostName    MachineAddressType = "Hostname"
	MachineExternalIP  MachineAddressType = "ExternalIP"
	MachineInternalIP  MachineAddressType = "InternalIP"
	MachineExternalDNS MachineAddressType = "ExternalDNS"
	MachineInternalDNS MachineAddressType = "InternalDNS"
)

// MachineAddress is one way to reach a Machine.
type MachineAddress struct {
	// type of the address.
	// +required
	Type MachineAddressType `json:"type,omitempty"`

	// address itself: a name or an IP address, as type says.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	Address string `json:"address,omitempty"`
}

// MachineAddresses are the ways to reach a Machine, in no particular order.
//
// +kubebuilder:validation:MaxItems=256
// +listType=atomic
type MachineAddresses []MachineAddress

// FailureDomain is a place that can fail as a whole (a zone, a rack) and that machines can be spread over.
type FailureDomain struct {
	// name of the failure domain, as it stands in failureDomain of a Machine.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	Name string `json:"name,omitempty"`

	// controlPlane is true where control-plane machines may be placed.
	// +optional
	ControlPlane *bool `json:"controlPlane,omitempty"`

	// attributes are notes of the infrastructure provider; nothing here reads them.
	// +optional
	Attributes map[string]string `json:"attributes,omitempty"`
}

// APIEndpoint is where an API server answers.
//
// +kubebuilder:validation:MinProperties=1
type APIEndpoint struct {
	// host is a DNS name or an IP address, without scheme and port.
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

// IsZero tells whether neither host nor port is set.
func (e APIEndpoint) IsZero() bool { return e.Host == "" && e.Port == 0 }

// IsValid tells whether both host and port are set, so that a client can dial it.
func (e APIEndpoint) IsValid() bool { return e.Host != "" && e.Port != 0 }

// StatusVersion counts the machines that run one Kubernetes version.
type StatusVersion struct {
	// version of Kubernetes, with its leading v.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	Version string `json:"version,omitempty"`

	// replicas is the number of machines at that version. Absent where machines are not counted.
	// +optional
	// +kubebuilder:validation:Minimum=1
	Replicas int32 `json:"replicas,omitempty"`
}

// StatusUpgradePlanVersion is one version that an upgrade still has to pass through.
type StatusUpgradePlanVersion struct {
	// version of Kubernetes, with its leading v.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	Version string `json:"version,omitempty"`
}

// MachineNamingSpec says how Machines are named.
//
// +kubebuilder:validation:MinProperties=1
type MachineNamingSpec struct {
	// template is a Go template for the names of new Machines. It can use .cluster.name, .machineSet.name and .random
	// (five letters or digits), and it has to use .random, or two Machines would claim one name. A name that grows past
	// 63 characters is cut before the random part. `{{ .machineSet.name }}-{{ .random }}` when absent.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	// +kubebuilder:validation:XValidation:rule="self.matches('[{][{]-? *[.]random *-?[}][}]')",message="every Machine needs a name of its own: use {{ .random }} in the template, such as {{ .machineSet.name }}-{{ .random }}"
	// +kubebuilder:validation:XValidation:rule="self.matches('^([a-z0-9]|[{][{][^{}]*[}][}])(([a-z0-9.-]|[{][{][^{}]*[}][}])*([a-z0-9]|[{][{][^{}]*[}][}]))?$')",message="the names made from the template would not be valid: outside of {{ }} use lower-case letters, digits, '-' and '.' only, with a letter, a digit or {{ }} first and last"
	Template string `json:"template,omitempty"`
}

// MachineSetDeletionOrder is which Machines go first when there are too many.
//
// +kubebuilder:validation:Enum=Random;Newest;Oldest
type MachineSetDeletionOrder string

const (
	// RandomMachineSetDeletionOrder prefers none by age.
	RandomMachineSetDeletionOrder MachineSetDeletionOrder = "Random"

	// NewestMachineSetDeletionOrder deletes the Machine made last first.
	NewestMachineSetDeletionOrder MachineSetDeletionOrder = "Newest"

	// OldestMachineSetDeletionOrder deletes the Machine made first first.
	OldestMachineSetDeletionOrder MachineSetDeletionOrder = "Oldest"
)
