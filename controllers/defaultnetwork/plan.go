// SPDX-License-Identifier: Apache-2.0

package defaultnetwork

import (
	"fmt"
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
	// Others says that the namespace has further Clusters that stay.
	Others bool
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
		if s.ConfigMap != nil && !s.Others && s.ConfigMap.Labels[ownedLabel] == "slipway" && s.ConfigMap.DeletionTimestamp == nil {
			return plan.Act("DeletingConfigMap", "", plan.Delete{On: plan.RefTo(configMapKind, s.ConfigMap),
				Reason: fmt.Sprintf("the last Cluster of namespace %s is being deleted", s.Cluster.Namespace)})
		}
		return plan.Settle(clusterv1.DeletingReason)
	}
	wanted := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: s.Cluster.Namespace, Name: s.Name, Labels: map[string]string{ownedLabel: "slipway"}},
		Data:       map[string]string{manifest: s.Manifest},
	}
	if s.ConfigMap == nil {
		return plan.Act("CreatingConfigMap", "", plan.Create{Object: plan.Intent(configMapKind, wanted),
			Reason: fmt.Sprintf("namespace %s has a Cluster", s.Cluster.Namespace)})
	}
	if s.ConfigMap.Labels[ownedLabel] != "slipway" {
		return plan.Settle("ConfigMapOfSomebodyElse")
	}
	wanted.UID = s.ConfigMap.UID
	intent := plan.Intent(configMapKind, wanted)
	if plan.NeedsApply(plan.Live(configMapKind, s.ConfigMap), intent, plan.Manager(name), "") {
		return plan.Act("UpdatingConfigMap", "", plan.Apply{Object: intent, Reason: "it does not hold the manifest of this version of Slipway"})
	}
	return plan.Settle("ConfigMapUpToDate")
}
