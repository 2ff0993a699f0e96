// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/slipway-project/slipway/credentials"
	"github.com/slipway-project/slipway/machines"
	"github.com/slipway-project/slipway/plan"
)

// makesKubeconfig reports that it is for this controller to see that there is a
// kubeconfig, and that it is its turn. A control plane object brings its own.
func makesKubeconfig(s Snapshot) bool {
	paused, _ := machines.Paused(s.Cluster, s.Cluster)
	spec := s.Cluster.Spec
	return !paused && s.Cluster.DeletionTimestamp == nil && !spec.ControlPlaneRef.IsDefined() && !spec.Topology.IsDefined() &&
		spec.ControlPlaneEndpoint.IsValid() && preparation(s) == nil
}

// createKubeconfig stores the kubeconfig; nil when it is there or cannot be made.
func createKubeconfig(s Snapshot) plan.Action {
	if len(s.Kubeconfig.Fresh) == 0 {
		return nil
	}
	secret := credentials.KubeconfigSecret(s.Cluster.Namespace, s.Cluster.Name, s.Kubeconfig.Fresh)
	secret.OwnerReferences = []metav1.OwnerReference{*plan.OwnerReference(kind, s.Cluster, false)}
	return plan.Create{Object: plan.Intent(secretKind, secret), Reason: "clients need it to reach the cluster, and there is no control plane object to make it"}
}

// kubeconfigProblem says why there is no kubeconfig; nil when there is one.
func kubeconfigProblem(s Snapshot) *plan.Decision {
	supply := fmt.Sprintf("or create Secret %s/%s with an admin kubeconfig under the key %s",
		s.Cluster.Namespace, credentials.KubeconfigSecretName(s.Cluster.Name), credentials.KubeconfigKey)
	var problem plan.Decision
	switch seen := s.Kubeconfig; {
	case seen.Leftover != "":
		problem = plan.Wait("WaitingForOldSecrets", seen.Leftover+" and is removed with it; delete that one if it is still there")
	case seen.Problem != "":
		problem = plan.Block("KubeconfigMissing", fmt.Sprintf("the kubeconfig cannot be made: %s; correct that, %s", seen.Problem, supply))
	case seen.NoAuthority:
		problem = plan.Wait("WaitingForKubeconfig", fmt.Sprintf("waiting for Secret %s/%s, to sign the kubeconfig with; supply it, %s",
			s.Cluster.Namespace, credentials.SecretName(s.Cluster.Name, credentials.ClusterCA), supply))
	default:
		return nil
	}
	problem = problem.At(s.Now.Add(secretRecheck))
	return &problem
}
