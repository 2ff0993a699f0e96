// SPDX-License-Identifier: Apache-2.0

package standalone

import (
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// coreControllers are the only controllers of kube-controller-manager that run.
// Without the first, deleting an object would leave what it owns; without the
// second, a deleted namespace would stay forever; the third fills the roles
// admin, edit and view, and any that is aggregated.
var coreControllers = map[string]string{
	"garbage-collector-controller":       "system:controller:generic-garbage-collector",
	"namespace-controller":               "system:controller:namespace-controller",
	"clusterrole-aggregation-controller": "system:controller:clusterrole-aggregation-controller",
}

func controllerManagerArguments() []string {
	return []string{
		childMarks[controllerManagerName],
		"--controllers=garbage-collector-controller,namespace-controller,clusterrole-aggregation-controller",
		// The lock on the data directory is stronger than a lease, and a
		// lease would have to run out after kill -9.
		"--leader-elect=false",
		// Nothing is served: health is whether the process runs.
		"--secure-port=0",
		"--concurrent-gc-syncs=5",
		"--kube-api-qps=100",
		"--kube-api-burst=200",
		"--profiling=false",
		"--v=1",
	}
}

// controllerManagerRoles bind kube-controller-manager's user to the roles that
// the API server makes for those controllers' service accounts. It then acts
// under its own certificate, and no token has to be made for it.
func controllerManagerRoles() []client.Object {
	var bindings []client.Object
	for controller, role := range coreControllers {
		bindings = append(bindings, &rbacv1.ClusterRoleBinding{
			TypeMeta:   metav1.TypeMeta{APIVersion: rbacv1.SchemeGroupVersion.String(), Kind: "ClusterRoleBinding"},
			ObjectMeta: metav1.ObjectMeta{Name: "slipway:core:" + controller},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
			Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: controllerManagerUser}},
		})
	}
	return bindings
}
