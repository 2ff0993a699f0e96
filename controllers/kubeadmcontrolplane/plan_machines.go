// SPDX-License-Identifier: Apache-2.0

package kubeadmcontrolplane

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	bootstrapv1 "github.com/slipway-project/slipway/api/bootstrap/v1beta2"
	controlplanev1 "github.com/slipway-project/slipway/api/controlplane/v1beta2"
	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	"github.com/slipway-project/slipway/contract"
	"github.com/slipway-project/slipway/machines"
	"github.com/slipway-project/slipway/plan"
)

// templateMissing is the answer where the template is needed and cannot be had. The
// reference is looked up again, because a provider may be installed meanwhile.
func templateMissing(s Snapshot) plan.Decision {
	return plan.Block("TemplateNotAvailable", s.Template.Err+"; create it, or correct spec.machineTemplate.spec.infrastructureRef of KubeadmControlPlane "+s.ControlPlane.Name).
		At(s.Now.Add(recheckHealthy))
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

// newConfig is the configuration of a machine. Where there is a control plane to join it
// holds the join: machines boot at the same time and join one by one.
func newConfig(s Snapshot, machine *clusterv1.Machine) *unstructured.Unstructured {
	joins := isInitializedNow(s)
	annotations := maps.Clone(s.ControlPlane.Spec.MachineTemplate.ObjectMeta.Annotations)
	if joins {
		annotations = with(annotations, bootstrapv1.HoldJoinAnnotation, "")
	}
	config := &bootstrapv1.KubeadmConfig{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: machine.Namespace, Name: machine.Spec.Bootstrap.ConfigRef.Name,
			Labels: machineLabels(s), Annotations: annotations,
			OwnerReferences: []metav1.OwnerReference{*plan.OwnerReference(machineKind, machine, true)},
		},
		Spec: configSpec(s, joins),
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

// newMachines are so many machines to add, each in a failure domain. The first replaces
// the machine of a remediation that waits for that.
func newMachines(s Snapshot, wanted int) ([]*unstructured.Unstructured, error) {
	names, err := naming(s).Next(wanted)
	if err != nil {
		return nil, err
	}
	record := inProgress(s)
	var made []*unstructured.Unstructured
	var domains []string
	for _, machineName := range names {
		domain := failureDomain(s, domains...)
		domains = append(domains, domain)
		machine := newMachine(s, machineName, domain)
		if record != nil {
			machine.Annotations = with(machine.Annotations, controlplanev1.RemediationForAnnotation, record.text())
			record = nil
		}
		made = append(made, plan.Intent(machineKind, machine))
	}
	return made, nil
}

// newMachine is a machine to add.
func newMachine(s Snapshot, machineName, domain string) *clusterv1.Machine {
	template := s.ControlPlane.Spec.MachineTemplate
	infrastructure := template.Spec.InfrastructureRef
	infrastructureKind := contract.ClonedKind(schema.GroupVersionKind{Group: infrastructure.APIGroup, Kind: infrastructure.Kind})
	machine := &clusterv1.Machine{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: s.ControlPlane.Namespace, Name: machineName,
			Labels: machineLabels(s), Annotations: with(template.ObjectMeta.Annotations, hook, ""),
			OwnerReferences: []metav1.OwnerReference{*plan.OwnerReference(kind, s.ControlPlane, true)},
			Finalizers:      []string{clusterv1.MachineFinalizer},
		},
		Spec: clusterv1.MachineSpec{
			ClusterName: s.Cluster.Name, Version: s.ControlPlane.Spec.Version, FailureDomain: domain,
			Bootstrap: clusterv1.Bootstrap{ConfigRef: clusterv1.ContractVersionedObjectReference{
				APIGroup: configKind.Group, Kind: configKind.Kind, Name: machineName,
			}},
			InfrastructureRef: clusterv1.ContractVersionedObjectReference{
				APIGroup: infrastructure.APIGroup, Kind: infrastructureKind.Kind, Name: machineName,
			},
		},
	}
	setInPlace(s, &machine.Spec)
	return machine
}

// with is a copy of some annotations with one more.
func with(annotations map[string]string, key, value string) map[string]string {
	more := map[string]string{key: value}
	for name, value := range annotations {
		if name != key {
			more[name] = value
		}
	}
	return more
}

// keeping are the template's annotations with those of an object that are ours and not the
// template's, as far as the object has them.
func keeping(s Snapshot, object metav1.Object, keys ...string) map[string]string {
	annotations := s.ControlPlane.Spec.MachineTemplate.ObjectMeta.Annotations
	for _, key := range keys {
		if value, there := object.GetAnnotations()[key]; there {
			annotations = with(annotations, key, value)
		}
	}
	return annotations
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
	var actions []plan.Action
	for _, machine := range sorted(s.Machines) {
		wanted := &clusterv1.Machine{ObjectMeta: metav1.ObjectMeta{
			Labels: machineLabels(s), Annotations: keeping(s, machine, hook, controlplanev1.RemediationForAnnotation),
		}}
		if !machines.Deleting(machine) {
			wanted.Annotations = with(wanted.Annotations, hook, "")
		}
		setInPlace(s, &wanted.Spec)
		intent := plan.Intent(machineKind, wanted)
		if patch, needed := plan.Follow(machineKind, machine, intent, name, reason, append(metadata, machines.InPlace("/spec")...)...); needed {
			actions = append(actions, patch)
		}
		objects := s.Objects[machine.Name]
		if machines.Deleting(machine) {
			continue // they go with it, and nobody asks what is on them
		}
		if objects.Config != nil {
			intent := plan.Intent(configKind, &bootstrapv1.KubeadmConfig{ObjectMeta: metav1.ObjectMeta{
				Labels: machineLabels(s), Annotations: keeping(s, objects.Config, bootstrapv1.HoldJoinAnnotation),
			}})
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

// failureDomain is where a new machine goes: among the domains for control planes the one
// with the fewest machines that are up to date, then with the fewest at all, the first by
// name among equals; so will those that are made in the same plan, in the domains given.
// Empty where there are none: then the infrastructure provider chooses.
func failureDomain(s Snapshot, taken ...string) string {
	all, current := map[string]int{}, map[string]int{}
	for _, machine := range active(s) {
		all[domainOf(machine)]++
		if len(differences(s, machine)) == 0 {
			current[domainOf(machine)]++
		}
	}
	for _, domain := range taken {
		all[domain]++
		current[domain]++
	}
	domains := slices.DeleteFunc(slices.Clone(s.Cluster.Status.FailureDomains), func(domain clusterv1.FailureDomain) bool { return !isTrue(domain.ControlPlane) })
	if len(domains) == 0 {
		return ""
	}
	return slices.MinFunc(domains, func(a, b clusterv1.FailureDomain) int {
		return cmp.Or(cmp.Compare(current[a.Name], current[b.Name]), cmp.Compare(all[a.Name], all[b.Name]), cmp.Compare(a.Name, b.Name))
	}).Name
}

func domainOf(machine *clusterv1.Machine) string {
	return cmp.Or(machine.Status.FailureDomain, machine.Spec.FailureDomain)
}
