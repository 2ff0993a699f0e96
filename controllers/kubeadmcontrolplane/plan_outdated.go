// SPDX-License-Identifier: Apache-2.0

package kubeadmcontrolplane

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/version"

	bootstrapv1 "github.com/slipway-project/slipway/api/bootstrap/v1beta2"
	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	"github.com/slipway-project/slipway/machines"
	"github.com/slipway-project/slipway/plan"
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
	if ends, soon := expiring(s, machine); soon {
		differs = append(differs, fmt.Sprintf("its certificates expire at %s, and spec.rollout.before.certificatesExpiryDays is %d", ends.UTC().Format(time.RFC3339), spec.Rollout.Before.CertificatesExpiryDays))
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

// expiring reports that the certificates of a machine end sooner than the spec bears, and
// when that is.
func expiring(s Snapshot, machine *clusterv1.Machine) (ends time.Time, soon bool) {
	days := s.ControlPlane.Spec.Rollout.Before.CertificatesExpiryDays
	ends, err := time.Parse(time.RFC3339, machine.Annotations[clusterv1.MachineCertificatesExpiryDateAnnotation])
	return ends, days > 0 && err == nil && !s.Now.Before(ends.AddDate(0, 0, -int(days)))
}

// sameConfig reports that two configurations make the same node. What the API fills in
// counts as if it had been written, and how a machine finds the cluster is no part of what
// it is: a bootstrap provider may have written that.
func sameConfig(made, wanted bootstrapv1.KubeadmConfigSpec) bool {
	made.Format = cmp.Or(made.Format, bootstrapv1.CloudConfig)
	wanted.Format = cmp.Or(wanted.Format, bootstrapv1.CloudConfig)
	if equality.Semantic.DeepEqual(wanted.JoinConfiguration.Discovery, bootstrapv1.Discovery{}) {
		made.JoinConfiguration.Discovery = wanted.JoinConfiguration.Discovery
	}
	return equality.Semantic.DeepEqual(made, wanted)
}

// outdated are the machines that are to be replaced because the spec asks for others.
func outdated(s Snapshot) []*clusterv1.Machine {
	return slices.DeleteFunc(active(s), func(machine *clusterv1.Machine) bool { return len(differences(s, machine)) == 0 })
}

// skewProblem says which versions lie too far apart. The API refuses most of it before.
func skewProblem(s Snapshot) *plan.Decision {
	wanted, err := version.ParseSemantic(s.ControlPlane.Spec.Version)
	text := lowest(machines.Versions(active(s)))
	if err != nil || text == "" {
		return nil
	}
	least := version.MustParseSemantic(text)
	var decision plan.Decision
	switch {
	case wanted.LessThan(least):
		decision = plan.Block("VersionDowngrade", fmt.Sprintf("spec.version is %s, and no Machine is older than %s: a control plane never goes back; set spec.version to %s or a later one", s.ControlPlane.Spec.Version, text, text))
	case wanted.Major() != least.Major() || wanted.Minor() > least.Minor()+1:
		decision = plan.Block("VersionSkew", fmt.Sprintf("spec.version is %s, and there are Machines of %s: a control plane goes up one minor at a time; set spec.version to one of v%d.%d first",
			s.ControlPlane.Spec.Version, text, least.Major(), least.Minor()+1))
	default:
		return nil
	}
	return &decision
}
