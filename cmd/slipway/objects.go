// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/slipway-project/slipway/deploy"
	"github.com/slipway-project/slipway/engine"
	"github.com/slipway-project/slipway/standalone"
)

const (
	roleName       = "slipway-controllers"
	aggregateLabel = "cluster.x-k8s.io/aggregate-to-manager"
)

// installedObjects are what a management cluster needs before controllers run.
func installedObjects() ([]client.Object, error) {
	crds, err := deploy.CRDs()
	if err != nil {
		return nil, err
	}
	var objects []client.Object
	for _, crd := range crds {
		objects = append(objects, crd)
	}
	access, err := accessObjects()
	if err != nil {
		return nil, err
	}
	return append(objects, access...), nil
}

// accessObjects are the RBAC objects of the controllers: a role with the rules that
// they declare, joined with those of providers by aggregation.
func accessObjects() ([]client.Object, error) {
	known, err := newScheme()
	if err != nil {
		return nil, err
	}
	rules, err := engine.Rules(known, declarations()...)
	if err != nil {
		return nil, fmt.Errorf("make the rules of role %s: %w", roleName, err)
	}
	// The namespace's UID tells this management cluster from others.
	rules = append(rules, rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"namespaces"}, ResourceNames: []string{metav1.NamespaceSystem}, Verbs: []string{"get"}})
	typeMeta := metav1.TypeMeta{APIVersion: rbacv1.SchemeGroupVersion.String(), Kind: "ClusterRole"}
	own := &rbacv1.ClusterRole{
		TypeMeta:   typeMeta,
		ObjectMeta: metav1.ObjectMeta{Name: roleName + "-own", Labels: map[string]string{aggregateLabel: "true"}},
		Rules:      rules,
	}
	all := &rbacv1.ClusterRole{
		TypeMeta:   typeMeta,
		ObjectMeta: metav1.ObjectMeta{Name: roleName},
		AggregationRule: &rbacv1.AggregationRule{ClusterRoleSelectors: []metav1.LabelSelector{
			{MatchLabels: map[string]string{aggregateLabel: "true"}},
		}},
	}
	// The own role is bound by itself too: aggregation is done by a controller, and
	// ours should not wait for it.
	account := &corev1.ServiceAccount{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "ServiceAccount"},
		ObjectMeta: metav1.ObjectMeta{Namespace: metav1.NamespaceSystem, Name: roleName},
	}
	return append([]client.Object{account, own, all, binding(own.Name), binding(all.Name)}, leadership()...), nil
}

// subjects are who the controllers run as: a user in a management cluster of slipway up,
// a service account as pods of another one.
func subjects() []rbacv1.Subject {
	return []rbacv1.Subject{
		{APIGroup: rbacv1.GroupName, Kind: "User", Name: standalone.ControllersUser},
		{Kind: "ServiceAccount", Namespace: metav1.NamespaceSystem, Name: roleName},
	}
}

// leadership lets the controllers hold the lease by which one of several processes
// leads.
func leadership() []client.Object {
	meta := metav1.ObjectMeta{Namespace: metav1.NamespaceSystem, Name: roleName + "-leader"}
	role := &rbacv1.Role{
		TypeMeta: metav1.TypeMeta{APIVersion: rbacv1.SchemeGroupVersion.String(), Kind: "Role"}, ObjectMeta: meta,
		Rules: []rbacv1.PolicyRule{{APIGroups: []string{"coordination.k8s.io"}, Resources: []string{"leases"}, Verbs: []string{"create", "get", "update"}}},
	}
	return []client.Object{role, &rbacv1.RoleBinding{
		TypeMeta: metav1.TypeMeta{APIVersion: rbacv1.SchemeGroupVersion.String(), Kind: "RoleBinding"}, ObjectMeta: meta,
		RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: role.Name},
		Subjects: subjects(),
	}}
}

func binding(role string) *rbacv1.ClusterRoleBinding {
	return &rbacv1.ClusterRoleBinding{
		TypeMeta:   metav1.TypeMeta{APIVersion: rbacv1.SchemeGroupVersion.String(), Kind: "ClusterRoleBinding"},
		ObjectMeta: metav1.ObjectMeta{Name: role},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
		Subjects:   subjects(),
	}
}
