// SPDX-License-Identifier: Apache-2.0

package v1beta2

import (
	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
)

// KubeadmControlPlaneFinalizer holds a KubeadmControlPlane until all its Machines are gone.
const KubeadmControlPlaneFinalizer = "kubeadm.controlplane.cluster.x-k8s.io"

// Annotations that act as API.
const (
	// SkipCoreDNSAnnotation on a KubeadmControlPlane keeps the controller from looking after CoreDNS.
	SkipCoreDNSAnnotation = "controlplane.cluster.x-k8s.io/skip-coredns"

	// SkipKubeProxyAnnotation on a KubeadmControlPlane keeps the controller from looking after kube-proxy.
	SkipKubeProxyAnnotation = "controlplane.cluster.x-k8s.io/skip-kube-proxy"

	// RemediationInProgressAnnotation on a KubeadmControlPlane says, in JSON, which Machine is being replaced.
	RemediationInProgressAnnotation = "controlplane.cluster.x-k8s.io/remediation-in-progress"

	// RemediationForAnnotation on a Machine says, in JSON, which Machine it replaces.
	RemediationForAnnotation = "controlplane.cluster.x-k8s.io/remediation-for"

	// PreTerminateHookCleanupAnnotation on a control-plane Machine holds its deletion up until its etcd member is out.
	PreTerminateHookCleanupAnnotation = clusterv1.PreTerminateDeleteHookAnnotationPrefix + "/kcp-cleanup"
)

// DefaultMinHealthyPeriodSeconds is what remediation.minHealthyPeriodSeconds means when it is absent.
const DefaultMinHealthyPeriodSeconds int32 = 3600

// Types of conditions of a KubeadmControlPlane, besides those of the core group (Available, MachinesReady,
// MachinesUpToDate, RollingOut, ScalingUp, ScalingDown, Remediating, Deleting, Paused).
const (
	// InitializedCondition: the API server has answered once. It stays True from then on.
	InitializedCondition = "Initialized"

	// CertificatesAvailableCondition: the cluster's certificates exist.
	CertificatesAvailableCondition = "CertificatesAvailable"

	// EtcdClusterHealthyCondition sums up EtcdMemberHealthy of all Machines.
	EtcdClusterHealthyCondition = "EtcdClusterHealthy"

	// ControlPlaneComponentsHealthyCondition sums up the ...PodHealthy conditions of all Machines.
	ControlPlaneComponentsHealthyCondition = "ControlPlaneComponentsHealthy"
)

// Types of conditions that the KubeadmControlPlane controller sets on its Machines.
const (
	APIServerPodHealthyCondition           = "APIServerPodHealthy"
	ControllerManagerPodHealthyCondition   = "ControllerManagerPodHealthy"
	SchedulerPodHealthyCondition           = "SchedulerPodHealthy"
	EtcdPodHealthyCondition                = "EtcdPodHealthy"
	EtcdMemberHealthyCondition             = "EtcdMemberHealthy"
	NodeKubeadmLabelsAndTaintsSetCondition = "NodeKubeadmLabelsAndTaintsSet"
)

// Reasons, besides those of the core group.
const (
	HealthyReason       = "Healthy"
	NotHealthyReason    = "NotHealthy"
	HealthUnknownReason = "HealthUnknown"

	// Of the ...PodHealthy conditions.
	RunningReason      = "Running"
	ProvisioningReason = "Provisioning"
	DoesNotExistReason = "DoesNotExist"
	FailedReason       = "Failed"

	// Of NodeKubeadmLabelsAndTaintsSet.
	SetReason    = "Set"
	NotSetReason = "NotSet"

	// WaitingForMachineDeletionReason: the object goes when its Machines have gone.
	WaitingForMachineDeletionReason = "WaitingForMachineDeletion"
)
