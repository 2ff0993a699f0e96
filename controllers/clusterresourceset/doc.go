// SPDX-License-Identifier: Apache-2.0

// Package clusterresourceset puts the manifests that ClusterResourceSets name into the
// workload clusters that they select.
//
// Two controllers share the work. The binding controller looks after one Cluster: it
// writes the manifests into it, one resource after the other so that none waits for what
// another cannot do, and records in its ClusterResourceSetBinding what has been done, and
// in an annotation of that why the rest has not; being the only writer of that record it
// needs no lock. The other one shows on each ClusterResourceSet how far that has come.
//
// Neither takes anything out of a workload cluster again, nor repairs what was changed
// there (but for a changed manifest with the strategy Reconcile).
package clusterresourceset
