// SPDX-License-Identifier: Apache-2.0

package machineset

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/version"

	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	"github.com/slipway-project/slipway/contract"
	"github.com/slipway-project/slipway/plan"
)

// mostMinorsBehind is how many minors a kubelet may be older than the API server, by the
// version skew policy of Kubernetes.
const mostMinorsBehind = 3

// preflight says why no Machine is to be made now, nor one to be replaced; nil when nothing
// is in the way. Only a control plane that has a version is asked for.
//
// A control plane that is being made holds nothing back: by the contract the bootstrap
// provider waits for it, and hosts can be got ready meanwhile.
func preflight(s Snapshot) *plan.Decision {
	if s.Cluster == nil || !s.Cluster.Spec.ControlPlaneRef.IsDefined() || skips(s, clusterv1.MachineSetPreflightCheckAll) {
		return nil
	}
	if !s.ControlPlane.OK() {
		return held(plan.Wait("ControlPlaneNotKnown", "the control plane cannot be read: "+s.ControlPlane.Err).At(s.Now.Add(readRecheck)))
	}
	if s.ControlPlane.Value == nil || s.ControlPlane.Value.DesiredVersion() == "" {
		return nil
	}
	for _, check := range []struct {
		name clusterv1.MachineSetPreflightCheck
		held func(Snapshot, *contract.Object) *plan.Decision
	}{
		{clusterv1.MachineSetPreflightCheckControlPlaneIsStable, controlPlaneIsStable},
		{clusterv1.MachineSetPreflightCheckKubernetesVersionSkew, kubernetesVersionSkew},
		{clusterv1.MachineSetPreflightCheckKubeadmVersionSkew, kubeadmVersionSkew},
		{clusterv1.MachineSetPreflightCheckControlPlaneVersionSkew, controlPlaneVersionSkew},
	} {
		if skips(s, check.name) {
			continue
		}
		if problem := check.held(s, s.ControlPlane.Value); problem != nil {
			return problem
		}
	}
	return nil
}

func held(decision plan.Decision) *plan.Decision { return &decision }

// skips reports that the user wants a check to be left out.
func skips(s Snapshot, check clusterv1.MachineSetPreflightCheck) bool {
	for listed := range strings.SplitSeq(s.MachineSet.Annotations[clusterv1.MachineSetSkipPreflightChecksAnnotation], ",") {
		if listed := clusterv1.MachineSetPreflightCheck(strings.TrimSpace(listed)); listed == check || listed == clusterv1.MachineSetPreflightCheckAll {
			return true
		}
	}
	return false
}

// controlPlaneIsStable: what is upgraded part by part is not joined meanwhile.
func controlPlaneIsStable(s Snapshot, controlPlane *contract.Object) *plan.Decision {
	desired, lowest, problem := controlPlaneVersions(controlPlane)
	switch {
	case problem != nil:
		return problem
	case lowest.LessThan(desired):
		return held(plan.Wait("ControlPlaneNotStable", fmt.Sprintf("%s is being upgraded from v%s to v%s; Machines are made when it is done",
			named(controlPlane), lowest, desired)))
	default:
		return nil
	}
}

// kubernetesVersionSkew: a kubelet is not newer than the API servers, and not too old for
// them.
func kubernetesVersionSkew(s Snapshot, controlPlane *contract.Object) *plan.Decision {
	wanted, problem := ownVersion(s)
	if wanted == nil || problem != nil {
		return problem
	}
	desired, lowest, problem := controlPlaneVersions(controlPlane)
	switch {
	case problem != nil:
		return problem
	case lowest.LessThan(wanted):
		return held(plan.Block("KubernetesVersionSkew", fmt.Sprintf("spec.template.spec.version of %s, v%s, is newer than %s at v%s; upgrade the control plane first, or set the version to v%s",
			owner(s), wanted, named(controlPlane), lowest, lowest)))
	case wanted.Major() == desired.Major() && wanted.Minor()+mostMinorsBehind < desired.Minor():
		return held(plan.Block("KubernetesVersionSkew", fmt.Sprintf("spec.template.spec.version of %s, v%s, is more than %d minors older than %s at v%s; set it to v%s",
			owner(s), wanted, mostMinorsBehind, named(controlPlane), desired, desired)))
	default:
		return nil
	}
}

// kubeadmVersionSkew: kubeadm joins at a control plane of its own minor only.
func kubeadmVersionSkew(s Snapshot, controlPlane *contract.Object) *plan.Decision {
	ref := s.MachineSet.Spec.Template.Spec.Bootstrap.ConfigRef
	wanted, problem := ownVersion(s)
	if ref.Kind != "KubeadmConfigTemplate" || wanted == nil || problem != nil {
		return problem
	}
	desired, _, problem := controlPlaneVersions(controlPlane)
	if problem != nil {
		return problem
	}
	if wanted.Major() != desired.Major() || wanted.Minor() != desired.Minor() {
		return held(plan.Block("KubeadmVersionSkew", fmt.Sprintf("spec.template.spec.version of %s, v%s, is of another minor than %s at v%s, and kubeadm joins its own minor only; set the version to v%s",
			owner(s), wanted, named(controlPlane), desired, desired)))
	}
	return nil
}

// controlPlaneVersionSkew: in a managed topology workers have the version of the control
// plane, so that none is made that is to be replaced at once.
func controlPlaneVersionSkew(s Snapshot, controlPlane *contract.Object) *plan.Decision {
	wanted, problem := ownVersion(s)
	if _, managed := s.MachineSet.Labels[clusterv1.ClusterTopologyOwnedLabel]; !managed || wanted == nil || problem != nil {
		return problem
	}
	desired, _, problem := controlPlaneVersions(controlPlane)
	if problem != nil {
		return problem
	}
	if wanted.LessThan(desired) || desired.LessThan(wanted) {
		return held(plan.Wait("ControlPlaneVersionSkew", fmt.Sprintf("%s has version v%s and %s v%s; Machines are made when the topology has passed the version on",
			owner(s), wanted, named(controlPlane), desired)))
	}
	return nil
}

// ownVersion is what the Machines are to have; nil when none is given.
func ownVersion(s Snapshot) (*version.Version, *plan.Decision) {
	text := s.MachineSet.Spec.Template.Spec.Version
	if text == "" {
		return nil, nil
	}
	parsed, err := version.ParseSemantic(text)
	if err != nil {
		return nil, held(plan.Block("InvalidVersion", fmt.Sprintf("spec.template.spec.version of %s, %q, is not a version of Kubernetes; write it as v1.37.1", owner(s), text)))
	}
	return parsed, nil
}

// controlPlaneVersions are the version that a control plane is to have, and the lowest that
// it has: the former while it has none.
func controlPlaneVersions(controlPlane *contract.Object) (desired, lowest *version.Version, problem *plan.Decision) {
	desired, err := version.ParseSemantic(controlPlane.DesiredVersion())
	if err != nil {
		return nil, nil, held(plan.Block("InvalidControlPlaneVersion", fmt.Sprintf("spec.version of %s, %q, is not a version of Kubernetes; correct it there", named(controlPlane), controlPlane.DesiredVersion())))
	}
	lowest = desired
	for _, running := range controlPlane.Versions() {
		if parsed, err := version.ParseSemantic(running.Version); err == nil && parsed.LessThan(lowest) {
			lowest = parsed
		}
	}
	return desired, lowest, nil
}

func named(object *contract.Object) string {
	return object.GetKind() + " " + object.GetName()
}

// owner is who a person has to change.
func owner(s Snapshot) string {
	if s.Deployment != nil {
		return "MachineDeployment " + s.Deployment.Name
	}
	return "MachineSet " + s.MachineSet.Name
}

// missingTemplate says which template is not there; empty when both are.
func missingTemplate(s Snapshot) string {
	known := []plan.Known[*contract.Object]{s.InfrastructureTemplate, s.BootstrapTemplate}
	if at := slices.IndexFunc(known, func(k plan.Known[*contract.Object]) bool { return !k.OK() }); at >= 0 {
		return known[at].Err
	}
	return ""
}
