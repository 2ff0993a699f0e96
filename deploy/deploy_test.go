// SPDX-License-Identifier: Apache-2.0

package deploy_test

import (
	"testing"

	"github.com/slipway-project/slipway/deploy"
)

func TestCRDs(t *testing.T) {
	definitions, err := deploy.CRDs()
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[string]bool{}
	for _, definition := range definitions {
		kinds[definition.Spec.Names.Kind] = true
		if want := definition.Spec.Names.Plural + "." + definition.Spec.Group; definition.Name != want {
			t.Errorf("CRD %s should be called %s", definition.Name, want)
		}
	}
	for _, kind := range []string{
		"Cluster", "Machine", "MachineSet", "MachineDeployment", "MachineDrainRule", "MachineHealthCheck", "KubeadmConfig", "KubeadmConfigTemplate",
		"KubeadmControlPlane", "KubeadmControlPlaneTemplate", "ClusterResourceSet", "ClusterResourceSetBinding",
		"DockerCluster", "DockerClusterTemplate", "DockerMachine", "DockerMachineTemplate",
	} {
		if !kinds[kind] {
			t.Errorf("no CRD for kind %s", kind)
		}
	}

	// What one caller does to its values does not show in another's.
	definitions[0].Name = "changed"
	again, err := deploy.CRDs()
	if err != nil {
		t.Fatal(err)
	}
	if again[0].Name == "changed" {
		t.Error("callers share values")
	}
}
