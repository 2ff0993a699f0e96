// SPDX-License-Identifier: Apache-2.0

package v1beta2

// HoldJoinAnnotation on a KubeadmConfig has its bootstrap data wait for as long as it is
// there. The control plane sets it on a machine that boots already while it is not its turn
// to join: joins change the membership of etcd and are made one by one. It is Slipway's own.
const HoldJoinAnnotation = "slipway.dev/hold-join"
