// SPDX-License-Identifier: Apache-2.0

package kubeadmconfig

import (
	"encoding/json"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	"github.com/slipway-project/slipway/plan"
)

// lockKey is the key of the lock's ConfigMap that holds a lockInformation as JSON.
const lockKey = "lock-information"

// lockInformation is what the lock says; others that speak this contract read it.
type lockInformation struct {
	MachineName string `json:"machineName"`
}

func lockName(cluster *clusterv1.Cluster) string { return cluster.Name + "-lock" }

// lockHolder is the machine that a lock names; empty when it names none.
func lockHolder(configMap *corev1.ConfigMap) string {
	var information lockInformation
	if err := json.Unmarshal([]byte(configMap.Data[lockKey]), &information); err != nil {
		return ""
	}
	return information.MachineName
}

func holdsLock(s Snapshot) bool {
	return s.Lock != nil && s.Lock.OwnedByCluster && s.Lock.Machine == s.Machine.Name
}

// lockRelease gives the lock back when this machine holds it and the control plane is
// initialized. The lock of a machine that goes is kept until the Machine is gone: while
// its host may still run, a second one must not initialize.
func lockRelease(s Snapshot) *plan.Decision {
	if !holdsLock(s) || !initialized(s.Cluster) {
		return nil
	}
	decision := plan.Act("ReleasingInitLock", "", deleteLock(s, "the control plane is initialized"))
	return &decision
}

func deleteLock(s Snapshot, reason string) plan.Action {
	return plan.Delete{Reason: reason, On: plan.Ref{
		GroupVersionKind: configMapKind, Namespace: s.Cluster.Namespace, Name: lockName(s.Cluster), UID: s.Lock.UID,
	}}
}

// takeLock is what stands between this machine and the lock; nil when it holds it.
// The lock is taken by creating it, which only one can. Whether that was us the next
// plan sees: nothing is built on the create itself.
func takeLock(s Snapshot) *plan.Decision {
	var decision plan.Decision
	where := fmt.Sprintf("ConfigMap %s/%s", s.Cluster.Namespace, lockName(s.Cluster))
	switch {
	case holdsLock(s):
		return nil
	case s.Lock == nil:
		decision = plan.Act("TakingInitLock", "", createLock(s))
	case s.Lock.Leftover != "":
		decision = plan.Wait("WaitingForOldInitLock", fmt.Sprintf("%s belongs to an earlier cluster of this name (%s) and is removed with it; delete that one if it is still there", where, s.Lock.Leftover)).
			At(s.Now.Add(growing(s)))
	case !s.Lock.OwnedByCluster:
		decision = plan.Block("InitLockTaken", where+" has the name of the lock on initializing the control plane and does not belong to the Cluster; delete or rename it").
			At(s.Now.Add(recheckSecrets))
	case s.Lock.Machine == "":
		decision = plan.Block("InitLockUnreadable", fmt.Sprintf("%s, key %s, does not say which machine initializes the control plane; delete it if none does", where, lockKey)).
			At(s.Now.Add(recheckSecrets))
	case !s.Lock.MachineExists:
		decision = plan.Act("ReleasingInitLock", "", deleteLock(s, "Machine "+s.Lock.Machine+", which held it, is gone"))
	default:
		decision = plan.Wait(clusterv1.WaitingForControlPlaneInitializedReason,
			fmt.Sprintf("Machine %s is initializing the control plane of Cluster %s", s.Lock.Machine, s.Cluster.Name))
	}
	return &decision
}

func createLock(s Snapshot) plan.Action {
	information, err := json.Marshal(lockInformation{MachineName: s.Machine.Name})
	if err != nil {
		panic(fmt.Sprintf("write lock: %v", err)) // a struct of one string cannot fail
	}
	lock := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: s.Cluster.Namespace, Name: lockName(s.Cluster),
			Labels:          map[string]string{clusterv1.ClusterNameLabel: s.Cluster.Name},
			OwnerReferences: []metav1.OwnerReference{*plan.OwnerReference(clusterKind, s.Cluster, false)},
		},
		Data: map[string]string{lockKey: string(information)},
	}
	return plan.Create{Object: plan.Intent(configMapKind, lock), Reason: "one machine initializes the control plane, and this is to be the one"}
}
