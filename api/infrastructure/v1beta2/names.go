// SPDX-License-Identifier: Apache-2.0

package v1beta2

// Finalizers.
const (
	// ClusterFinalizer holds a DockerCluster until its load balancer and network are gone.
	ClusterFinalizer = "dockercluster.infrastructure.cluster.x-k8s.io"

	// MachineFinalizer holds a DockerMachine until its container and volumes are gone.
	MachineFinalizer = "dockermachine.infrastructure.cluster.x-k8s.io"
)

// LoadBalancerWeightAnnotation on a control-plane DockerMachine is its weight, 0 to 256, in the load balancer.
const LoadBalancerWeightAnnotation = "devmachine.infrastructure.cluster.x-k8s.io/weight"

// Types of conditions, besides Ready and Paused of the core group.
const (
	// LoadBalancerAvailableCondition of a DockerCluster: the load balancer runs.
	LoadBalancerAvailableCondition = "LoadBalancerAvailable"

	// ContainerProvisionedCondition of a DockerMachine: its container runs.
	ContainerProvisionedCondition = "ContainerProvisioned"

	// PreLoadedImagesReadyCondition of a DockerMachine: the images in preLoadImages are in it.
	PreLoadedImagesReadyCondition = "PreLoadedImagesReady"

	// BootstrapCompletedCondition of a DockerMachine: the bootstrap data was carried out to its end.
	BootstrapCompletedCondition = "BootstrapCompleted"
)

// Reasons, besides those of the core group (Available, NotAvailable, Provisioned, NotProvisioned, Deleting, Waiting...,
// InternalError).
const (
	// WaitingForContainerReason: the container has to run first.
	WaitingForContainerReason = "WaitingForContainer"

	// WaitingForPreloadedImagesReason: the images have to be loaded first.
	WaitingForPreloadedImagesReason = "WaitingForPreloadedImages"

	// Of BootstrapCompleted.
	CompletedReason    = "Completed"
	NotCompletedReason = "NotCompleted"
	FailedReason       = "Failed"
)
