// SPDX-License-Identifier: Apache-2.0

// Package dockermachine keeps the container of a DockerMachine: a node of a cluster.
//
// The container is made and booted as soon as the cluster's infrastructure is there,
// while its bootstrap data is still being made; the data is carried out when both are
// ready. It decides nothing about other machines, and never looks into the workload
// cluster.
//
// It never removes a container for want of a DockerMachine: that an object is not seen
// may as well mean that the management cluster was set back to an earlier state, and
// would then cost nodes. The price is a rest that can be left in one case: this process
// is killed while the engine makes a container, the DockerMachine is deleted before the
// engine is done, and the engine then completes it. Such a container was never started;
// "slipway status" lists it as an orphan and tells how to remove it, and a later
// DockerMachine of the same name is told so too instead of taking it over.
package dockermachine
