// SPDX-License-Identifier: Apache-2.0

package kubeadmcontrolplane

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/version"

	"github.com/slipway-project/slipway/plan"
)

var (
	roleKind               = rbacv1.SchemeGroupVersion.WithKind("Role")
	roleBindingKind        = rbacv1.SchemeGroupVersion.WithKind("RoleBinding")
	clusterRoleBindingKind = rbacv1.SchemeGroupVersion.WithKind("ClusterRoleBinding")
)

// joinNeed is an object of the workload cluster that a join, or what it leaves on the
// machine, relies on. kubeadm init of one version makes it; kubeadm join never does.
type joinNeed struct {
	kind schema.GroupVersionKind
	name string
	// object makes it; nil for what only kubeadm can make.
	object plan.Object
}

func (n joinNeed) String() string { return n.kind.Kind + " " + n.name }

const (
	kubeletConfigName = "kubelet-config"
	kubeletConfigRole = "kubeadm:kubelet-config"
	clusterAdmins     = "kubeadm:cluster-admins"
	kubeletClient     = "kubeadm:apiserver-kubelet-client"
)

// joinNeeds are those of kubeadm of spec.version that an older kubeadm may not have made.
// Source: kubeadm's init phases upload-config, bootstrap-token and kubeconfig.
func joinNeeds(s Snapshot) []joinNeed {
	wanted, err := version.ParseSemantic(s.ControlPlane.Spec.Version)
	if err != nil {
		return nil // refused before
	}
	var needs []joinNeed
	if wanted.AtLeast(version.MustParseSemantic("v1.24.0-0")) {
		// Before, its name held the version. Joining machines read it with the rights of the
		// group of bootstrap tokens, and later with those of nodes.
		needs = append(needs, joinNeed{kind: configMapKind, name: kubeletConfigName},
			joinNeed{kind: roleKind, name: kubeletConfigRole, object: &rbacv1.Role{
				ObjectMeta: metav1.ObjectMeta{Namespace: metav1.NamespaceSystem, Name: kubeletConfigRole},
				Rules: []rbacv1.PolicyRule{{Verbs: []string{"get"}, APIGroups: []string{corev1.GroupName}, Resources: []string{"configmaps"},
					ResourceNames: []string{kubeletConfigName}}},
			}},
			joinNeed{kind: roleBindingKind, name: kubeletConfigRole, object: &rbacv1.RoleBinding{
				ObjectMeta: metav1.ObjectMeta{Namespace: metav1.NamespaceSystem, Name: kubeletConfigRole},
				RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: kubeletConfigRole},
				Subjects:   []rbacv1.Subject{groupSubject("system:nodes"), groupSubject("system:bootstrappers:kubeadm:default-node-token")},
			}})
	}
	if wanted.AtLeast(version.MustParseSemantic("v1.29.0-0")) {
		// admin.conf is of this group, and no longer of system:masters.
		needs = append(needs, joinNeed{kind: clusterRoleBindingKind, name: clusterAdmins, object: &rbacv1.ClusterRoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: clusterAdmins},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "cluster-admin"},
			Subjects:   []rbacv1.Subject{groupSubject(clusterAdmins)},
		}})
	}
	if wanted.AtLeast(version.MustParseSemantic("v1.36.0-0")) {
		// The certificate with which API servers talk to kubelets is of no group any more. Logs,
		// exec and the port-forward to etcd go by it.
		needs = append(needs, joinNeed{kind: clusterRoleBindingKind, name: kubeletClient, object: &rbacv1.ClusterRoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: kubeletClient},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "system:kubelet-api-admin"},
			Subjects:   []rbacv1.Subject{{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: "kube-apiserver-kubelet-client"}},
		}})
	}
	return needs
}

func groupSubject(name string) rbacv1.Subject {
	return rbacv1.Subject{Kind: rbacv1.GroupKind, APIGroup: rbacv1.GroupName, Name: name}
}

// missingForJoins makes what is missing for joins, or says what only kubeadm can make.
func missingForJoins(s Snapshot) ([]plan.Action, *plan.Decision) {
	var created []plan.Action
	for _, need := range joinNeeds(s) {
		if !slices.Contains(s.Addons.MissingForJoins, need.String()) {
			continue
		}
		if need.object == nil {
			return nil, blockedOnAddons("KubeletConfigMissing", fmt.Sprintf("%s in kube-system of Cluster %s is missing, and kubelets of machines that join are set up by it: "+
				"write it again, on a control-plane machine, with kubeadm init phase upload-config kubelet --config FILE", need, s.Cluster.Name), s)
		}
		created = append(created, plan.Create{Object: plan.Intent(need.kind, need.object), In: workloadOf(s),
			Reason: "machines of " + s.ControlPlane.Spec.Version + " need it, and an older kubeadm did not make it"})
	}
	return created, nil
}
