// SPDX-License-Identifier: Apache-2.0

package v1beta2

import (
	corev1 "k8s.io/api/core/v1"
)

// Labels that act as API.
const (
	// ClusterNameLabel names the Cluster that an object belongs to. It is on everything.
	ClusterNameLabel = "cluster.x-k8s.io/cluster-name"

	// MachineControlPlaneLabel marks members of a control plane (Machine, bootstrap and infrastructure object). Its value is
	// empty; that it is there is what counts.
	MachineControlPlaneLabel = "cluster.x-k8s.io/control-plane"

	// MachineControlPlaneNameLabel names the control-plane object (a hash of the name if it is longer than 63 characters).
	MachineControlPlaneNameLabel = "cluster.x-k8s.io/control-plane-name"

	// MachineDeploymentNameLabel names the MachineDeployment that an object belongs to.
	MachineDeploymentNameLabel = "cluster.x-k8s.io/deployment-name"

	// MachineSetNameLabel names the MachineSet that an object belongs to (a hash if the name is longer than 63 characters).
	MachineSetNameLabel = "cluster.x-k8s.io/set-name"

	// MachinePoolNameLabel names the MachinePool that an object belongs to.
	MachinePoolNameLabel = "cluster.x-k8s.io/pool-name"

	// MachineDeploymentUniqueLabel tells the MachineSets of one MachineDeployment, and their Machines, apart.
	MachineDeploymentUniqueLabel = "machine-template-hash"

	// ProviderNameLabel is on everything that a provider installs; its value is like infrastructure-docker.
	ProviderNameLabel = "cluster.x-k8s.io/provider"

	// WatchLabel splits objects among managers that were started with a filter.
	WatchLabel = "cluster.x-k8s.io/watch-filter"

	// InterruptibleLabel is on nodes that the infrastructure may take away at any time.
	InterruptibleLabel = "cluster.x-k8s.io/interruptible"

	// PodDrainLabel on a pod of the workload cluster is `skip` or `wait-completed`, and says how draining treats it.
	PodDrainLabel = "cluster.x-k8s.io/drain"

	// ClusterTopologyOwnedLabel marks objects that a managed topology made.
	ClusterTopologyOwnedLabel = "topology.cluster.x-k8s.io/owned"

	// ClusterTopologyMachineDeploymentNameLabel holds the name that a MachineDeployment has in its topology.
	ClusterTopologyMachineDeploymentNameLabel = "topology.cluster.x-k8s.io/deployment-name"

	// ClusterTopologyMachinePoolNameLabel holds the name that a MachinePool has in its topology.
	ClusterTopologyMachinePoolNameLabel = "topology.cluster.x-k8s.io/pool-name"

	// ContractLabelPrefix with the version of a contract behind it (v1beta2, v1beta1) is a label on the CRDs of providers. Its
	// value lists, joined by '_', the API versions of the CRD that keep that contract; the highest of them is used.
	ContractLabelPrefix = "cluster.x-k8s.io/"

	// AggregateToManagerLabel on a ClusterRole makes its rules part of the manager's.
	AggregateToManagerLabel = "cluster.x-k8s.io/aggregate-to-manager"

	// ClusterctlLabel marks CRDs and objects that clusterctl finds its way by.
	ClusterctlLabel = "clusterctl.cluster.x-k8s.io"

	// ClusterctlMoveLabel marks what is moved between management clusters.
	ClusterctlMoveLabel = "clusterctl.cluster.x-k8s.io/move"

	// ClusterctlMoveHierarchyLabel marks what is moved between management clusters together with what it owns.
	ClusterctlMoveHierarchyLabel = "clusterctl.cluster.x-k8s.io/move-hierarchy"
)

// Labels and annotations with these prefixes or in these domains travel from a Machine to its node.
const (
	// NodeRoleLabelPrefix is the part before the '/' of role labels.
	NodeRoleLabelPrefix = "node-role.kubernetes.io"

	// NodeRestrictionLabelDomain is the domain of labels that kubelets cannot set on themselves; subdomains count too.
	NodeRestrictionLabelDomain = "node-restriction.kubernetes.io"

	// ManagedNodeLabelDomain is the domain of labels that are ours; subdomains count too.
	ManagedNodeLabelDomain = "node.cluster.x-k8s.io"

	// ManagedNodeAnnotationDomain is the domain of annotations that are ours; subdomains count too.
	ManagedNodeAnnotationDomain = "node.cluster.x-k8s.io"
)

// Annotations that act as API, on objects of the management cluster.
const (
	// PausedAnnotation, with any value, keeps controllers from acting on the object.
	PausedAnnotation = "cluster.x-k8s.io/paused"

	// ManagedByAnnotation on an infrastructure cluster says that somebody else fills in its spec and status.
	ManagedByAnnotation = "cluster.x-k8s.io/managed-by"

	// ReplicasManagedByAnnotation on a MachinePool says that somebody else sets its replicas.
	ReplicasManagedByAnnotation = "cluster.x-k8s.io/replicas-managed-by"

	// TemplateClonedFromNameAnnotation holds the name of the template that an object was made from.
	TemplateClonedFromNameAnnotation = "cluster.x-k8s.io/cloned-from-name"

	// TemplateClonedFromGroupKindAnnotation holds the kind and group (Kind.group) of that template.
	TemplateClonedFromGroupKindAnnotation = "cluster.x-k8s.io/cloned-from-groupkind"

	// DeleteMachineAnnotation, with any value, makes a Machine go first when there are too many.
	DeleteMachineAnnotation = "cluster.x-k8s.io/delete-machine"

	// MachineSkipRemediationAnnotation keeps health checks from acting on a Machine.
	MachineSkipRemediationAnnotation = "cluster.x-k8s.io/skip-remediation"

	// RemediateMachineAnnotation makes health checks act on a Machine whatever its health.
	RemediateMachineAnnotation = "cluster.x-k8s.io/remediate-machine"

	// DisableMachineCreateAnnotation on a MachineSet, with value true, keeps it from making Machines.
	DisableMachineCreateAnnotation = "cluster.x-k8s.io/disable-machine-create"

	// ExcludeNodeDrainingAnnotation on a Machine skips draining when it is deleted.
	ExcludeNodeDrainingAnnotation = "machine.cluster.x-k8s.io/exclude-node-draining"

	// ExcludeWaitForNodeVolumeDetachAnnotation on a Machine skips the wait for volumes when it is deleted.
	ExcludeWaitForNodeVolumeDetachAnnotation = "machine.cluster.x-k8s.io/exclude-wait-for-node-volume-detach"

	// MachineCertificatesExpiryDateAnnotation on a Machine or its bootstrap configuration holds, in RFC 3339, when its
	// certificates expire.
	MachineCertificatesExpiryDateAnnotation = "machine.cluster.x-k8s.io/certificates-expiry"

	// PreDrainDeleteHookAnnotationPrefix begins the names of annotations that hold up a deletion before draining.
	PreDrainDeleteHookAnnotationPrefix = "pre-drain.delete.hook.machine.cluster.x-k8s.io"

	// PreTerminateDeleteHookAnnotationPrefix begins the names of annotations that hold up a deletion before the host goes.
	PreTerminateDeleteHookAnnotationPrefix = "pre-terminate.delete.hook.machine.cluster.x-k8s.io"

	// MachineSetSkipPreflightChecksAnnotation lists, with commas, the MachineSetPreflightChecks to skip.
	MachineSetSkipPreflightChecksAnnotation = "machineset.cluster.x-k8s.io/skip-preflight-checks"

	// RevisionAnnotation numbers the MachineSets of a MachineDeployment.
	RevisionAnnotation = "machinedeployment.clusters.x-k8s.io/revision"

	// DesiredReplicasAnnotation on a MachineSet holds its MachineDeployment's replicas.
	DesiredReplicasAnnotation = "machinedeployment.clusters.x-k8s.io/desired-replicas"

	// MaxReplicasAnnotation on a MachineSet holds its MachineDeployment's replicas plus surge.
	MaxReplicasAnnotation = "machinedeployment.clusters.x-k8s.io/max-replicas"

	// AutoscalerMinSizeAnnotation is the lowest number of machines that the autoscaler goes to.
	AutoscalerMinSizeAnnotation = "cluster.x-k8s.io/cluster-api-autoscaler-node-group-min-size"

	// AutoscalerMaxSizeAnnotation is the highest number of machines that the autoscaler goes to.
	AutoscalerMaxSizeAnnotation = "cluster.x-k8s.io/cluster-api-autoscaler-node-group-max-size"

	// TopologyDryRunAnnotation on a template tells admission that a managed topology only asks what would change.
	TopologyDryRunAnnotation = "topology.cluster.x-k8s.io/dry-run"
)

// Annotations that the Machine controller writes on nodes of the workload cluster.
const (
	ClusterNameAnnotation            = "cluster.x-k8s.io/cluster-name"
	ClusterNamespaceAnnotation       = "cluster.x-k8s.io/cluster-namespace"
	MachineAnnotation                = "cluster.x-k8s.io/machine"
	OwnerKindAnnotation              = "cluster.x-k8s.io/owner-kind"
	OwnerNameAnnotation              = "cluster.x-k8s.io/owner-name"
	LabelsFromMachineAnnotation      = "cluster.x-k8s.io/labels-from-machine"
	AnnotationsFromMachineAnnotation = "cluster.x-k8s.io/annotations-from-machine"
	TaintsFromMachineAnnotation      = "cluster.x-k8s.io/taints-from-machine"
)

// Finalizers.
const (
	ClusterFinalizer           = "cluster.cluster.x-k8s.io"
	MachineFinalizer           = "machine.cluster.x-k8s.io"
	MachineSetFinalizer        = "cluster.x-k8s.io/machineset"
	MachineDeploymentFinalizer = "cluster.x-k8s.io/machinedeployment"
)

// ClusterSecretType is the type of the Secrets of a cluster: certificates, kubeconfigs and bootstrap data.
const ClusterSecretType corev1.SecretType = "cluster.x-k8s.io/secret"

// TemplateSuffix ends the kind of every template: that of DockerMachine is DockerMachineTemplate.
const TemplateSuffix = "Template"

var (
	// NodeUninitializedTaint keeps pods off a node until the Machine controller has set its labels and taints. Bootstrap
	// providers register nodes with it; the Machine controller removes it.
	NodeUninitializedTaint = corev1.Taint{Key: "node.cluster.x-k8s.io/uninitialized", Effect: corev1.TaintEffectNoSchedule}

	// NodeOutdatedRevisionTaint makes pods prefer nodes whose MachineSet is the current one of its MachineDeployment.
	NodeOutdatedRevisionTaint = corev1.Taint{Key: "node.cluster.x-k8s.io/outdated-revision", Effect: corev1.TaintEffectPreferNoSchedule}
)

// MachineSetPreflightCheck is a check that a MachineSet makes before it makes Machines.
type MachineSetPreflightCheck string

const (
	// MachineSetPreflightCheckAll stands for all of them, in the annotation that skips checks.
	MachineSetPreflightCheckAll MachineSetPreflightCheck = "All"

	// MachineSetPreflightCheckControlPlaneIsStable: the control plane is not being upgraded. One that is being
	// made holds no Machines back: their hosts are got ready, and wait for it before they join.
	MachineSetPreflightCheckControlPlaneIsStable MachineSetPreflightCheck = "ControlPlaneIsStable"

	// MachineSetPreflightCheckKubernetesVersionSkew: workers are not newer than the control plane and at most three minors
	// older.
	MachineSetPreflightCheckKubernetesVersionSkew MachineSetPreflightCheck = "KubernetesVersionSkew"

	// MachineSetPreflightCheckKubeadmVersionSkew: kubeadm joins at the control plane's own minor only.
	MachineSetPreflightCheckKubeadmVersionSkew MachineSetPreflightCheck = "KubeadmVersionSkew"

	// MachineSetPreflightCheckControlPlaneVersionSkew: in a managed topology, workers have the control plane's version.
	MachineSetPreflightCheckControlPlaneVersionSkew MachineSetPreflightCheck = "ControlPlaneVersionSkew"
)
