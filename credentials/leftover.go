// SPDX-License-Identifier: Apache-2.0

package credentials

import (
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	controlplanev1 "github.com/slipway-project/slipway/api/controlplane/v1beta2"
	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
)

// EarlierOwner is the owner by which a cluster's Secret is known to be of an earlier
// cluster of the same name: a Cluster or a KubeadmControlPlane that is none of the
// living, which are the UIDs of the Cluster and the control plane there are now. Such a
// Secret is on its way out with its owner, and what is built on it would lose it. nil
// for a Secret that also belongs to one of the living, and for one that the user
// supplied, which belongs to neither kind.
func EarlierOwner(secret metav1.Object, living ...types.UID) *metav1.OwnerReference {
	var earlier *metav1.OwnerReference
	for _, owner := range secret.GetOwnerReferences() {
		group, err := schema.ParseGroupVersion(owner.APIVersion)
		if err != nil {
			continue
		}
		switch (schema.GroupKind{Group: group.Group, Kind: owner.Kind}) {
		case schema.GroupKind{Group: clusterv1.GroupVersion.Group, Kind: "Cluster"},
			schema.GroupKind{Group: controlplanev1.GroupVersion.Group, Kind: "KubeadmControlPlane"}:
		default:
			continue
		}
		if slices.Contains(living, owner.UID) {
			return nil
		}
		if earlier == nil {
			earlier = &owner
		}
	}
	return earlier
}
