// SPDX-License-Identifier: Apache-2.0

package kubeadmcontrolplane

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/equality"

	bootstrapv1 "github.com/slipway-project/slipway/api/bootstrap/v1beta2"
	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
)

// some are the first of many reasons: the next step, which comes after them, has to
// fit into an event with them.
func some(reasons []string) string {
	const shown = 2
	if len(reasons) > shown {
		return fmt.Sprintf("%s; and %d more", strings.Join(reasons[:shown], "; "), len(reasons)-shown)
	}
	return strings.Join(reasons, "; ")
}

// outdatedReasons say which machines would have to be replaced, and why.
func outdatedReasons(s Snapshot) []string {
	var reasons []string
	for _, machine := range sorted(active(s)) {
		if differs := differences(s, machine); len(differs) > 0 {
			reasons = append(reasons, fmt.Sprintf("Machine %s: %s", machine.Name, strings.Join(differs, ", ")))
		}
	}
	return reasons
}

// differences are what of a machine is not as the spec asks for and needs a new host.
func differences(s Snapshot, machine *clusterv1.Machine) []string {
	var differs []string
	spec := s.ControlPlane.Spec
	if machine.Spec.Version != spec.Version {
		differs = append(differs, fmt.Sprintf("version is %s and spec.version %s", machine.Spec.Version, spec.Version))
	}
	if after := spec.Rollout.After; !after.IsZero() && !after.After(s.Now) && machine.CreationTimestamp.Before(&after) {
		differs = append(differs, "it was made before spec.rollout.after")
	}
	if why, soon := certificatesExpireSoon(s, machine); soon {
		differs = append(differs, why)
	}
	objects := s.Objects[machine.Name]
	if made := objects.Infrastructure; made != nil && made.ClonedFromName != "" && !fromTemplate(s, *made) {
		differs = append(differs, fmt.Sprintf("it was made from %s %s", made.ClonedFromGroupKind, made.ClonedFromName))
	}
	if config := objects.Config; config != nil && !sameConfig(config.Spec, configSpec(s, joinsAsControlPlane(config))) {
		differs = append(differs, "spec.kubeadmConfigSpec has changed")
	}
	return differs
}

// sameConfig reports that two configurations make the same node. What the API fills in
// counts as if it had been written, and how a machine finds the cluster is no part of what
// it is: a bootstrap provider may have written that. DNS is no part of a node either: it is
// brought along in the workload cluster.
func sameConfig(made, wanted bootstrapv1.KubeadmConfigSpec) bool {
	made.Format = cmp.Or(made.Format, bootstrapv1.CloudConfig)
	wanted.Format = cmp.Or(wanted.Format, bootstrapv1.CloudConfig)
	made.ClusterConfiguration.DNS = wanted.ClusterConfiguration.DNS
	if equality.Semantic.DeepEqual(wanted.JoinConfiguration.Discovery, bootstrapv1.Discovery{}) {
		made.JoinConfiguration.Discovery = wanted.JoinConfiguration.Discovery
	}
	return equality.Semantic.DeepEqual(made, wanted)
}

// outdated are the machines that are to be replaced because the spec asks for others.
func outdated(s Snapshot) []*clusterv1.Machine {
	return slices.DeleteFunc(active(s), func(machine *clusterv1.Machine) bool { return len(differences(s, machine)) == 0 })
}
