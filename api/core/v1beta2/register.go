// SPDX-License-Identifier: Apache-2.0

package v1beta2

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

var (
	// GroupVersion is the group and version of every kind in this package.
	GroupVersion = schema.GroupVersion{Group: "cluster.x-k8s.io", Version: "v1beta2"}

	schemeBuilder = runtime.NewSchemeBuilder(addKnownTypes)

	// AddToScheme registers the kinds of this package, and their lists, with a scheme.
	AddToScheme = schemeBuilder.AddToScheme
)

// Names of the kinds of this package, as they stand in `kind:`.
const (
	ClusterKind            = "Cluster"
	MachineKind            = "Machine"
	MachineSetKind         = "MachineSet"
	MachineDeploymentKind  = "MachineDeployment"
	MachineHealthCheckKind = "MachineHealthCheck"
	MachineDrainRuleKind   = "MachineDrainRule"
)

// Resource returns the group-qualified resource (plural, lower case), for use in API errors.
func Resource(resource string) schema.GroupResource {
	return GroupVersion.WithResource(resource).GroupResource()
}

func addKnownTypes(scheme *runtime.Scheme) error {
	scheme.AddKnownTypes(GroupVersion,
		&Cluster{}, &ClusterList{},
		&Machine{}, &MachineList{},
		&MachineSet{}, &MachineSetList{},
		&MachineDeployment{}, &MachineDeploymentList{},
		&MachineDrainRule{}, &MachineDrainRuleList{},
		&MachineHealthCheck{}, &MachineHealthCheckList{},
	)
	metav1.AddToGroupVersion(scheme, GroupVersion)
	return nil
}
