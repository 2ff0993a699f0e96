// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	controlplanev1 "github.com/slipway-project/slipway/api/controlplane/v1beta2"
	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	infrav1 "github.com/slipway-project/slipway/api/infrastructure/v1beta2"
	"github.com/slipway-project/slipway/contract"
	"github.com/slipway-project/slipway/providers/docker/containers"
)

// remedies knows what can be done about a root cause.
type remedies struct {
	family family
	// managementID is the id of the management cluster, which names of containers hold.
	managementID string
}

// next are the steps for somebody who wants the last object of a chain done: a line of
// words or a command each.
func (r remedies) next(last link) []string {
	steps := r.known(last)
	if command := commandIn(last.Condition.Message); command != "" && len(steps) == 0 {
		steps = append(steps, command)
	}
	if len(steps) == 0 && strings.Contains(last.Condition.Message, "does not exist") {
		steps = r.reference(last)
	}
	kind, name := strings.ToLower(last.Kind), last.Object.GetName()
	see := fmt.Sprintf("kubectl describe %s %s%s", r.resource(last, kind), name, inNamespace(last.Object.GetNamespace()))
	return append(steps, see)
}

// resource is a kind for kubectl, with its group where other groups have that kind.
func (r remedies) resource(last link, kind string) string {
	if last.Kind == clusterKind.Kind || last.Kind == machineKind.Kind {
		return kind + "." + clusterv1.GroupVersion.Group
	}
	return kind
}

// commandIn is the command that a message ends in, as those of our controllers do: "build
// it with: slipway image build".
func commandIn(message string) string {
	line, _, _ := strings.Cut(message, "\n")
	_, command, found := strings.Cut(line, "with: ")
	if !found {
		return ""
	}
	return strings.TrimSpace(command)
}

// known are the steps for a reason that is known.
func (r remedies) known(last link) []string {
	condition, place := last.Condition, inNamespace(last.Object.GetNamespace())
	kind, name := strings.ToLower(last.Kind), last.Object.GetName()
	resource := r.resource(last, kind)
	switch condition.Reason {
	case clusterv1.PausedReason:
		return r.resume(last)
	case clusterv1.ObjectDoesNotExistReason:
		return r.reference(last)
	case clusterv1.ObjectDeletedReason:
		if last.Kind == machineKind.Kind {
			return []string{"somebody deleted what the Machine was made of; have it replaced:", fmt.Sprintf("kubectl delete %s %s%s", resource, name, place)}
		}
		return []string{"somebody deleted what it refers to; put that back, or delete the Cluster"}
	case "ContainerEngineUnavailable":
		return []string{"start the container engine; see whether it answers with:", "docker info"}
	case "ImageNotAvailable":
		if command := commandIn(condition.Message); command != "" {
			return []string{command}
		}
		return []string{"make the image available on the container engine's host, or correct customImage in the template"}
	case clusterv1.WaitingForReplicasSetReason:
		return []string{"say how many machines there are to be:", fmt.Sprintf("kubectl scale %s %s%s --replicas=1", resource, name, place)}
	case clusterv1.ConnectionDownReason, clusterv1.InspectionFailedReason, clusterv1.ProbeFailedReason:
		return r.connection(last)
	case clusterv1.InPlaceUpdateFailedReason:
		return []string{"the update in place failed; have the Machine replaced:", fmt.Sprintf("kubectl delete %s %s%s", resource, name, place)}
	}
	if last.Object.GetDeletionTimestamp() != nil {
		return r.deletion(last)
	}
	switch last.Kind {
	case machineKind.Kind:
		return r.machine(last)
	case dockerMachineKind.Kind:
		return r.container(last)
	case dockerClusterKind.Kind:
		name := containers.LoadBalancerName(r.managementID, containers.Key{Namespace: last.Object.GetNamespace(), Name: name})
		return []string{"docker logs --tail 50 " + name}
	case machineHealthCheckKind.Kind:
		return r.healthCheck(last)
	}
	return nil
}

// healthCheck are the steps for a MachineHealthCheck that has nothing replaced.
func (r remedies) healthCheck(last link) []string {
	var said string
	switch last.Condition.Reason {
	case clusterv1.TooManyUnhealthyReason:
		said = "more machines are unhealthy than are remediated at once; look for what ails them all, or raise spec.remediation.triggerIf:"
	case clusterv1.TooFewUnhealthyReason:
		said = "fewer machines are unhealthy than spec.remediation.triggerIf.unhealthyInRange asks for; lower it, or delete the machine by hand:"
	case clusterv1.RemediationTemplateNotFoundReason:
		said = "make the template that is missing, or correct spec.remediation.templateRef:"
	default:
		return nil
	}
	return []string{said, fmt.Sprintf("kubectl edit machinehealthcheck %s%s", last.Object.GetName(), inNamespace(last.Object.GetNamespace()))}
}

// reference are the steps for an object that refers to one that is not there. What a
// MachineSet says is taken from its MachineDeployment.
func (r remedies) reference(last link) []string {
	kind, object := last.Kind, last.Object
	if owner := r.family.owner(object); owner != nil && kind == machineSetKind.Kind {
		kind, object = owner.Kind, owner.Object
	}
	return []string{
		"make the object that is missing, or correct the reference to it:",
		fmt.Sprintf("kubectl edit %s %s%s", r.resource(link{member: member{Kind: kind}}, strings.ToLower(kind)), object.GetName(), inNamespace(object.GetNamespace())),
	}
}

// resume are the steps to end a pause.
func (r remedies) resume(last link) []string {
	object, ok := last.Object.(*contract.Object)
	if ok {
		if _, command := pausedBy(object.Unstructured, r.family.Cluster); command != "" {
			return []string{"end the pause:", command}
		}
	}
	if r.family.Cluster != nil && isTrue(r.family.Cluster.Spec.Paused) {
		return []string{"end the pause:", fmt.Sprintf(`kubectl patch %s %s%s --type merge -p '{"spec":{"paused":null}}'`,
			"cluster."+clusterv1.GroupVersion.Group, r.family.Cluster.Name, inNamespace(r.family.Cluster.Namespace))}
	}
	if last.Kind == machineDeploymentKind.Kind {
		return []string{"end the pause:", fmt.Sprintf("slipway rollout resume machinedeployment/%s%s", last.Object.GetName(), inNamespace(last.Object.GetNamespace()))}
	}
	return []string{"end the pause:", fmt.Sprintf("kubectl annotate %s %s%s %s-", r.resource(last, strings.ToLower(last.Kind)), last.Object.GetName(),
		inNamespace(last.Object.GetNamespace()), clusterv1.PausedAnnotation)}
}

// workload is how to ask the cluster itself.
func (r remedies) workload(arguments string) []string {
	if r.family.Cluster == nil {
		return nil
	}
	name := r.family.Cluster.Name
	return []string{
		fmt.Sprintf("slipway get kubeconfig %s%s --output-file %s.kubeconfig", name, inNamespace(r.family.Cluster.Namespace), name),
		fmt.Sprintf("kubectl --kubeconfig %s.kubeconfig %s", name, arguments),
	}
}

func (r remedies) connection(last link) []string {
	return append([]string{"the workload cluster is not reached from here; see whether its API server answers:"}, r.workload("get --raw '/readyz?verbose'")...)
}

// deletion are the steps for an object that does not go.
func (r remedies) deletion(last link) []string {
	name, place := last.Object.GetName(), inNamespace(last.Object.GetNamespace())
	node := r.node(last)
	switch last.Condition.Reason {
	case clusterv1.DrainingNodeReason:
		return append([]string{"the pods named above are to leave the node first; what holds them is most often a PodDisruptionBudget:"},
			r.workload("get poddisruptionbudgets --all-namespaces")...)
	case clusterv1.WaitingForVolumeDetachReason:
		return append([]string{"volumes are still attached to " + node + ":"}, r.workload("get volumeattachments")...)
	case clusterv1.WaitingForPreDrainHookReason, clusterv1.WaitingForPreTerminateHookReason:
		if _, kept := last.Object.GetAnnotations()[controlplanev1.PreTerminateHookCleanupAnnotation]; kept {
			return r.departure(place)
		}
		return []string{
			"whoever set the hook takes its annotation away when done; if nobody serves it any more, take it away yourself:",
			fmt.Sprintf("kubectl get %s %s%s -o jsonpath='{.metadata.annotations}'", r.resource(last, strings.ToLower(last.Kind)), name, place),
		}
	}
	if last.Kind == dockerMachineKind.Kind {
		return r.container(last)
	}
	return nil
}

// departure are the steps for a Machine that its control plane keeps until its member has
// left etcd. To take that hook away by hand can cost the quorum.
func (r remedies) departure(place string) []string {
	if r.family.ControlPlane == nil {
		return []string{"its control plane, which is to take the hook " + controlplanev1.PreTerminateHookCleanupAnnotation + " away, does not exist any more; make sure that the member has left etcd, then take it away yourself"}
	}
	return []string{
		"its control plane keeps it until its member has left etcd; do not take the hook away, but see what the control plane waits for:",
		fmt.Sprintf("slipway why %s/%s%s", strings.ToLower(r.family.ControlPlane.GetKind()), r.family.ControlPlane.GetName(), place),
	}
}

func (r remedies) node(last link) string {
	if machine, ok := last.Object.(*clusterv1.Machine); ok && machine.Status.NodeRef.IsDefined() {
		return machine.Status.NodeRef.Name
	}
	return "the node"
}

// machine are the steps for a Machine whose parts are done and which is not.
func (r remedies) machine(last link) []string {
	machine, ok := last.Object.(*clusterv1.Machine)
	if !ok {
		return nil
	}
	pods := map[string]string{
		controlplanev1.APIServerPodHealthyCondition: "kube-apiserver", controlplanev1.ControllerManagerPodHealthyCondition: "kube-controller-manager",
		controlplanev1.SchedulerPodHealthyCondition: "kube-scheduler", controlplanev1.EtcdPodHealthyCondition: "etcd",
	}
	node := machine.Status.NodeRef.Name
	switch condition := last.Condition; {
	case pods[condition.Type] != "" && node != "":
		return r.workload(fmt.Sprintf("-n kube-system logs %s-%s --tail 50", pods[condition.Type], node))
	case condition.Type == controlplanev1.EtcdMemberHealthyCondition && node != "":
		return r.workload(fmt.Sprintf("-n kube-system logs etcd-%s --tail 50", node))
	case node != "":
		return r.workload("describe node " + node)
	}
	if host := r.family.Hosts[machine.Name]; host != nil && host.GetKind() == dockerMachineKind.Kind {
		return append([]string{"no node has come of the machine; look at what it says:"}, r.container(link{member: of(host)})...)
	}
	return nil
}

// container are the steps for a machine that is a container.
func (r remedies) container(last link) []string {
	key := containers.Key{Namespace: last.Object.GetNamespace(), Name: last.Object.GetName()}
	name := containers.MachineName(r.managementID, key)
	steps := []string{"docker logs --tail 50 " + name}
	if last.Condition.Type == infrav1.BootstrapCompletedCondition || last.Condition.Type == "" {
		steps = append(steps, fmt.Sprintf("docker exec %s journalctl --no-pager -u kubelet -n 50", name))
	}
	if last.Condition.Type == infrav1.BootstrapCompletedCondition && last.Condition.Reason == infrav1.FailedReason {
		if owner := metav1.GetControllerOf(last.Object); owner != nil {
			steps = append(steps, "a bootstrap that failed is not tried again; have the Machine replaced:",
				fmt.Sprintf("kubectl delete machine.%s %s%s", clusterv1.GroupVersion.Group, owner.Name, inNamespace(last.Object.GetNamespace())))
		}
	}
	return steps
}
