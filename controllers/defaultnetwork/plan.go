// SPDX-License-Identifier: Apache-2.0

package defaultnetwork

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	"github.com/slipway-project/slipway/machines"
	"github.com/slipway-project/slipway/plan"
)

const (
	name = "defaultnetwork"
	// ownedLabel marks the ConfigMap as one that Slipway keeps.
	ownedLabel = "slipway.dev/kept-by"
	manifest   = "network.yaml"

	// recheck is how often the ConfigMap is looked at: it is not watched, since to watch
	// it is to watch all ConfigMaps.
	recheck = time.Minute
)

var (
	kind          = clusterv1.GroupVersion.WithKind("Cluster")
	configMapKind = corev1.SchemeGroupVersion.WithKind("ConfigMap")
)

// Status is empty: this controller shows nothing on the Cluster.
type Status struct{}

// Snapshot is all that a plan is made from.
type Snapshot struct {
	Now     time.Time
	Cluster *clusterv1.Cluster
	// Clusters are all those of its namespace that stay.
	Clusters []*clusterv1.Cluster
	// ConfigMap is the one in the Cluster's namespace; nil when it is not there.
	ConfigMap *corev1.ConfigMap
	// Name of the ConfigMap, and the manifest that it should hold.
	Name, Manifest string
}

// Plan decides what to do for the namespace of a Cluster.
func Plan(s Snapshot) plan.Plan[Status] { return plan.Of(decide(s), Status{}) }

func decide(s Snapshot) plan.Decision {
	if paused, why := machines.Paused(s.Cluster, s.Cluster); paused {
		return plan.Wait(clusterv1.PausedReason, why)
	}
	if s.Cluster.DeletionTimestamp != nil {
		return plan.Settle(clusterv1.DeletingReason)
	}
	wanted := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: s.Cluster.Namespace, Name: s.Name, Labels: map[string]string{ownedLabel: "slipway"}, OwnerReferences: owners(s),
		},
		Data: map[string]string{manifest: s.Manifest},
	}
	if s.ConfigMap == nil {
		return plan.Act("CreatingConfigMap", "", plan.Create{Object: plan.Intent(configMapKind, wanted),
			Reason: fmt.Sprintf("namespace %s has a Cluster", s.Cluster.Namespace)})
	}
	if s.ConfigMap.Labels[ownedLabel] != "slipway" {
		return plan.Settle("ConfigMapOfSomebodyElse").At(s.Now.Add(recheck))
	}
	wanted.UID = s.ConfigMap.UID
	intent := plan.Intent(configMapKind, wanted)
	if plan.NeedsApply(plan.Live(configMapKind, s.ConfigMap), intent, plan.Manager(name), "") {
		return plan.Act("UpdatingConfigMap", "", plan.Apply{Object: intent, Reason: "to hold the manifest of this version of Slipway, and to go with the last Cluster"})
	}
	return plan.Settle("ConfigMapUpToDate").At(s.Now.Add(recheck))
}

// owners are the Clusters that stay, in the same order each time.
func owners(s Snapshot) []metav1.OwnerReference {
	var references []metav1.OwnerReference
	for _, cluster := range s.Clusters {
		references = append(references, *plan.OwnerReference(kind, cluster, false))
	}
	slices.SortFunc(references, func(a, b metav1.OwnerReference) int { return cmp.Compare(a.Name, b.Name) })
	return references
}
