// SPDX-License-Identifier: Apache-2.0

package kubeadmcontrolplane

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	bootstrapv1 "github.com/slipway-project/slipway/api/bootstrap/v1beta2"
	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	"github.com/slipway-project/slipway/conditions"
	"github.com/slipway-project/slipway/contract"
	"github.com/slipway-project/slipway/machines"
	"github.com/slipway-project/slipway/plan"
)

// rolloutNotServed is what to say of machines that would have to be replaced.
const rolloutNotServed = "this version does not replace the Machines of a control plane, which stay as they are: take the change back (a version cannot go back), or create a new cluster for it"

// membership makes machines complete and brings their number up to what is asked for.
func membership(s Snapshot) plan.Decision {
	now, want := active(s), replicas(s.ControlPlane)
	if !s.Template.OK() && (len(now) < want || incomplete(s)) {
		return templateMissing(s)
	}
	if incomplete(s) {
		completed, err := completions(s)
		if err != nil {
			return plan.Block("InvalidTemplate", err.Error())
		}
		return plan.Act("CompletingMachines", "", completed...)
	}
	if unread := unreadInfrastructure(s); unread != "" {
		return plan.Block("InfrastructureNotReadable", unread).At(s.Now.Add(recheckHealthy))
	}
	going := len(s.Machines) - len(now)
	outdated := outdatedReasons(s)
	switch {
	case len(now) > want:
		return plan.Block("ScaleDownNotServed", fmt.Sprintf("spec.replicas is %d and %d Machines are there: this version does not shrink a control plane, "+
			"for each Machine is a member of etcd; set spec.replicas to %d", want, len(now), len(now)))
	case len(s.Machines) == 0 && wasInitialized(s):
		return plan.Block("ControlPlaneLost", fmt.Sprintf("the control plane was initialized and all its Machines are gone, and with them the data of Cluster %s; "+
			"delete the Cluster and create it anew", s.Cluster.Name))
	case going > 0 && len(now) < want:
		return plan.Wait(clusterv1.ScalingUpReason, fmt.Sprintf("waiting for %d Machines to be gone before others are made", going))
	case len(outdated) > 0:
		return plan.Block("RolloutNotServed", fmt.Sprintf("the spec asks for other Machines than are there: %s; %s",
			some(outdated), rolloutNotServed))
	case len(now) < want:
		return scaleUp(s)
	case !isInitializedNow(s):
		return plan.Wait(clusterv1.WaitingForControlPlaneInitializedReason, notInitialized(s))
	default:
		return plan.Settle("AllMachinesThere")
	}
}

// templateMissing is the answer where the template is needed and cannot be had. The
// reference is looked up again, because a provider may be installed meanwhile.
func templateMissing(s Snapshot) plan.Decision {
	return plan.Block("TemplateNotAvailable", s.Template.Err+"; create it, or correct spec.machineTemplate.spec.infrastructureRef of KubeadmControlPlane "+s.ControlPlane.Name).
		At(s.Now.Add(recheckHealthy))
}

// scaleUp adds one machine when those that are there are in order.
func scaleUp(s Snapshot) plan.Decision {
	now, want := active(s), replicas(s.ControlPlane)
	if !provisioned(s) {
		return plan.Wait(clusterv1.WaitingForClusterInfrastructureReadyReason,
			fmt.Sprintf("the infrastructure of Cluster %s is not provisioned yet", s.Cluster.Name))
	}
	if len(now) > 0 {
		if !isInitializedNow(s) {
			return plan.Wait(clusterv1.WaitingForControlPlaneInitializedReason, notInitialized(s))
		}
		if !s.Workload.OK() {
			return plan.Wait(clusterv1.ScalingUpReason, "Machines join one by one, and the state of those that are there cannot be seen: "+s.Workload.Err)
		}
		if unready := notReadyForJoin(s); len(unready) > 0 {
			return plan.Wait(clusterv1.ScalingUpReason, "Machines join one by one; waiting for "+list(unready))
		}
	}
	machine, err := newMachine(s)
	if err != nil {
		return plan.Block("InvalidMachineNaming", err.Error())
	}
	return plan.Act(clusterv1.ScalingUpReason, fmt.Sprintf("from %d to %d Machines", len(now), want),
		plan.Create{Object: machine, Reason: "there are fewer Machines than asked for"})
}

// notReadyForJoin says what of the members that are there is not in order. A join changes
// the membership of etcd, and one more member that does not run may cost the majority.
func notReadyForJoin(s Snapshot) []string {
	var unready []string
	for _, machine := range active(s) {
		shown := machineConditions(s, machine)
		lacks := []string{}
		if !conditions.Is(machine.Status.Conditions, clusterv1.ReadyCondition, metav1.ConditionTrue) {
			lacks = append(lacks, clusterv1.ReadyCondition)
		}
		for _, part := range components(s) {
			if !conditions.Is(shown, part.condition, metav1.ConditionTrue) {
				lacks = append(lacks, part.condition)
			}
		}
		if len(lacks) > 0 {
			unready = append(unready, fmt.Sprintf("%s (%s)", machine.Name, strings.Join(lacks, ", ")))
		}
	}
	return unready
}

func notInitialized(s Snapshot) string {
	message := fmt.Sprintf("the control plane of Cluster %s is not initialized yet", s.Cluster.Name)
	if !s.Workload.OK() && s.Workload.Err != "" {
		message += ": " + s.Workload.Err
	}
	return message
}

// creationAhead reports that the next thing to do is to make a Machine or its objects.
// A key for the kubeconfig is not made then: nothing waits for it yet.
func creationAhead(s Snapshot) bool {
	return s.Template.OK() && (incomplete(s) || (provisioned(s) && len(s.Machines) == 0))
}

// incomplete reports that a machine lacks an object that it refers to.
func incomplete(s Snapshot) bool {
	return slices.ContainsFunc(active(s), func(machine *clusterv1.Machine) bool {
		objects := s.Objects[machine.Name]
		return (objects.Config == nil && !bootstrapped(machine)) || (objects.Infrastructure == nil && !hosted(machine))
	})
}

// unreadInfrastructure says why the infrastructure of a machine that has no host yet
// cannot be read; empty when it can, or was not there.
func unreadInfrastructure(s Snapshot) string {
	for _, machine := range sorted(active(s)) {
		if made := s.Objects[machine.Name].Infrastructure; made != nil && made.Unread != "" && !hosted(machine) {
			return fmt.Sprintf("Machine %s: %s", machine.Name, made.Unread)
		}
	}
	return ""
}

// bootstrapped and hosted machines have had their objects. Where one is gone since,
// making it again would not bring back what it stood for.
func bootstrapped(machine *clusterv1.Machine) bool {
	return isTrue(machine.Status.Initialization.BootstrapDataSecretCreated)
}

func hosted(machine *clusterv1.Machine) bool {
	return isTrue(machine.Status.Initialization.InfrastructureProvisioned)
}

// completions make the objects that machines refer to and that are not there.
func completions(s Snapshot) ([]plan.Action, error) {
	var actions []plan.Action
	for _, machine := range sorted(active(s)) {
		objects := s.Objects[machine.Name]
		reason := "Machine " + machine.Name + " refers to it"
		if objects.Config == nil && !bootstrapped(machine) {
			actions = append(actions, plan.Create{Object: newConfig(s, machine), Reason: reason})
		}
		if objects.Infrastructure == nil && !hosted(machine) {
			made, err := newInfrastructure(s, machine)
			if err != nil {
				return nil, err
			}
			if ref := machine.Spec.InfrastructureRef; made.GetKind() != ref.Kind || made.GroupVersionKind().Group != ref.APIGroup {
				return nil, fmt.Errorf("Machine %s refers to %s.%s, and the template makes %s; set spec.machineTemplate.spec.infrastructureRef of KubeadmControlPlane %s back, or delete the Machine",
					machine.Name, ref.Kind, ref.APIGroup, made.GroupVersionKind().GroupKind(), s.ControlPlane.Name)
			}
			actions = append(actions, plan.Create{Object: made, Reason: reason})
		}
	}
	return actions, nil
}

// newInfrastructure is what the template makes for a machine.
func newInfrastructure(s Snapshot, machine *clusterv1.Machine) (*unstructured.Unstructured, error) {
	return contract.FromTemplate(s.Template.Value, contract.Clone{
		Namespace: machine.Namespace, Name: machine.Spec.InfrastructureRef.Name,
		Labels: machineLabels(s), Annotations: s.ControlPlane.Spec.MachineTemplate.ObjectMeta.Annotations,
		Owner: *plan.OwnerReference(machineKind, machine, true),
	})
}

func newConfig(s Snapshot, machine *clusterv1.Machine) *unstructured.Unstructured {
	config := &bootstrapv1.KubeadmConfig{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: machine.Namespace, Name: machine.Spec.Bootstrap.ConfigRef.Name,
			Labels: machineLabels(s), Annotations: s.ControlPlane.Spec.MachineTemplate.ObjectMeta.Annotations,
			OwnerReferences: []metav1.OwnerReference{*plan.OwnerReference(machineKind, machine, true)},
		},
		Spec: configSpec(s, isInitializedNow(s)),
	}
	intent := plan.Intent(configKind, config)
	if joinsAsControlPlane(config) && isZeroEndpoint(config) {
		// An empty controlPlane says "join as one"; intents leave empty maps out.
		join, _, _ := unstructured.NestedMap(intent.Object, "spec", "joinConfiguration")
		if join == nil {
			join = map[string]any{}
		}
		join["controlPlane"] = map[string]any{}
		spec, _ := intent.Object["spec"].(map[string]any)
		if spec == nil {
			spec = map[string]any{}
		}
		spec["joinConfiguration"] = join
		intent.Object["spec"] = spec
	}
	return intent
}

func joinsAsControlPlane(config *bootstrapv1.KubeadmConfig) bool {
	return config.Spec.JoinConfiguration.ControlPlane != nil
}

func isZeroEndpoint(config *bootstrapv1.KubeadmConfig) bool {
	return *config.Spec.JoinConfiguration.ControlPlane == bootstrapv1.JoinControlPlane{}
}

// configSpec is the configuration of a machine that joins, or of the one that
// initializes. The cluster's part is in both: it says where certificates go.
func configSpec(s Snapshot, joins bool) bootstrapv1.KubeadmConfigSpec {
	spec := *s.ControlPlane.Spec.KubeadmConfigSpec.DeepCopy()
	if !joins {
		spec.JoinConfiguration = bootstrapv1.JoinConfiguration{}
		return spec
	}
	spec.InitConfiguration = bootstrapv1.InitConfiguration{}
	if spec.JoinConfiguration.ControlPlane == nil {
		spec.JoinConfiguration.ControlPlane = &bootstrapv1.JoinControlPlane{}
	}
	return spec
}

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
	objects := s.Objects[machine.Name]
	if made := objects.Infrastructure; made != nil && made.ClonedFromName != "" && !fromTemplate(s, *made) {
		differs = append(differs, fmt.Sprintf("it was made from %s %s", made.ClonedFromGroupKind, made.ClonedFromName))
	}
	if config := objects.Config; config != nil && !equality.Semantic.DeepEqual(config.Spec, configSpec(s, joinsAsControlPlane(config))) {
		differs = append(differs, "spec.kubeadmConfigSpec has changed")
	}
	return differs
}

func machineLabels(s Snapshot) map[string]string {
	labels := maps.Clone(s.ControlPlane.Spec.MachineTemplate.ObjectMeta.Labels)
	if labels == nil {
		labels = map[string]string{}
	}
	labels[clusterv1.ClusterNameLabel] = s.Cluster.Name
	labels[clusterv1.MachineControlPlaneLabel] = ""
	labels[clusterv1.MachineControlPlaneNameLabel] = machines.LabelValue(s.ControlPlane.Name)
	return labels
}

// naming gives the Machines their names.
func naming(s Snapshot) machines.Naming {
	template := s.ControlPlane.Spec.MachineNaming.Template
	if template == "" {
		template = "{{ .kubeadmControlPlane.name }}-{{ .random }}"
	}
	return machines.Naming{
		Template: template, Owner: s.ControlPlane, There: machines.Names(s.Machines),
		Values: map[string]any{
			"kubeadmControlPlane": map[string]any{"name": s.ControlPlane.Name},
			"cluster":             map[string]any{"name": s.Cluster.Name},
		},
	}
}

// noteOrdinal is due before a Machine is gone, or its name would be given to the next.
func noteOrdinal(s Snapshot) []plan.Action {
	if len(active(s)) == len(s.Machines) {
		return nil
	}
	value, needed := naming(s).Note()
	if !needed {
		return nil
	}
	intent := plan.Partial(kind, s.ControlPlane)
	intent.SetAnnotations(map[string]string{machines.NextAnnotation: value})
	return []plan.Action{plan.Apply{Object: intent, Aspect: "ordinal", Reason: "so that no name is given twice"}}
}

// newMachine is the machine to add.
func newMachine(s Snapshot) (*unstructured.Unstructured, error) {
	names, err := naming(s).Next(1)
	if err != nil {
		return nil, err
	}
	machineName := names[0]
	template := s.ControlPlane.Spec.MachineTemplate
	infrastructure := template.Spec.InfrastructureRef
	infrastructureKind := contract.ClonedKind(schema.GroupVersionKind{Group: infrastructure.APIGroup, Kind: infrastructure.Kind})
	machine := &clusterv1.Machine{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: s.ControlPlane.Namespace, Name: machineName,
			Labels: machineLabels(s), Annotations: template.ObjectMeta.Annotations,
			OwnerReferences: []metav1.OwnerReference{*plan.OwnerReference(kind, s.ControlPlane, true)},
			Finalizers:      []string{clusterv1.MachineFinalizer},
		},
		Spec: clusterv1.MachineSpec{
			ClusterName: s.Cluster.Name, Version: s.ControlPlane.Spec.Version, FailureDomain: failureDomain(s),
			Bootstrap: clusterv1.Bootstrap{ConfigRef: clusterv1.ContractVersionedObjectReference{
				APIGroup: configKind.Group, Kind: configKind.Kind, Name: machineName,
			}},
			InfrastructureRef: clusterv1.ContractVersionedObjectReference{
				APIGroup: infrastructure.APIGroup, Kind: infrastructureKind.Kind, Name: machineName,
			},
		},
	}
	setInPlace(s, &machine.Spec)
	return plan.Intent(machineKind, machine), nil
}

// setInPlace sets what of a machine's spec follows the control plane's without a new host.
func setInPlace(s Snapshot, spec *clusterv1.MachineSpec) {
	template := s.ControlPlane.Spec.MachineTemplate.Spec
	spec.ReadinessGates = slices.Clone(template.ReadinessGates)
	spec.Deletion = clusterv1.MachineDeletionSpec{
		NodeDrainTimeoutSeconds:        template.Deletion.NodeDrainTimeoutSeconds,
		NodeVolumeDetachTimeoutSeconds: template.Deletion.NodeVolumeDetachTimeoutSeconds,
		NodeDeletionTimeoutSeconds:     template.Deletion.NodeDeletionTimeoutSeconds,
	}
	if spec.Deletion.NodeDeletionTimeoutSeconds == nil {
		// The API fills it in, so it has to be stated: see plan.Follow.
		spec.Deletion.NodeDeletionTimeoutSeconds = new(clusterv1.DefaultNodeDeletionTimeoutSeconds)
	}
	spec.Taints = slices.Clone(template.Taints)
}

// inPlaceChanges bring machines and their objects in line with the template where that
// needs no new host. Machines on their way out are included: time-outs matter to them
// most.
func inPlaceChanges(s Snapshot) []plan.Action {
	reason := "spec.machineTemplate of KubeadmControlPlane " + s.ControlPlane.Name + " asks for it"
	metadata := []string{"/metadata/labels", "/metadata/annotations"}
	wanted := &clusterv1.Machine{ObjectMeta: metav1.ObjectMeta{Labels: machineLabels(s), Annotations: s.ControlPlane.Spec.MachineTemplate.ObjectMeta.Annotations}}
	setInPlace(s, &wanted.Spec)
	intent := plan.Intent(machineKind, wanted)
	var actions []plan.Action
	for _, machine := range sorted(s.Machines) {
		if patch, needed := plan.Follow(machineKind, machine, intent, name, reason, append(metadata, machines.InPlace("/spec")...)...); needed {
			actions = append(actions, patch)
		}
		objects := s.Objects[machine.Name]
		if objects.Config != nil {
			if patch, needed := plan.Follow(configKind, objects.Config, intent, name, reason, metadata...); needed {
				actions = append(actions, patch)
			}
		}
		if made := objects.Infrastructure; made != nil && made.Metadata != nil && s.Template.OK() && fromTemplate(s, *made) {
			// The template has metadata of its own for what it makes.
			again, err := newInfrastructure(s, machine)
			if err != nil {
				continue // not a template, which is told where one is needed
			}
			if patch, needed := plan.Follow(made.Metadata.GroupVersionKind(), made.Metadata, again, name, reason, metadata...); needed {
				actions = append(actions, patch)
			}
		}
	}
	return actions
}

// fromTemplate reports that an infrastructure machine was made from the template that the
// control plane refers to now.
func fromTemplate(s Snapshot, made Infrastructure) bool {
	ref := s.ControlPlane.Spec.MachineTemplate.Spec.InfrastructureRef
	return made.ClonedFromName == ref.Name && made.ClonedFromGroupKind == schema.GroupKind{Group: ref.APIGroup, Kind: ref.Kind}.String()
}

// failureDomain is where a new machine goes: among the domains for control planes the
// one with the fewest machines, the first by name among equals. Empty where there are
// none: then the infrastructure provider chooses.
func failureDomain(s Snapshot) string {
	count := map[string]int{}
	for _, machine := range s.Machines {
		count[cmp.Or(machine.Status.FailureDomain, machine.Spec.FailureDomain)]++
	}
	best := ""
	for _, domain := range slices.SortedFunc(slices.Values(s.Cluster.Status.FailureDomains), func(a, b clusterv1.FailureDomain) int {
		return strings.Compare(a.Name, b.Name)
	}) {
		if isTrue(domain.ControlPlane) && (best == "" || count[domain.Name] < count[best]) {
			best = domain.Name
		}
	}
	return best
}
