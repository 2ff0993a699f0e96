// SPDX-License-Identifier: Apache-2.0

package dockercluster

import (
	"bytes"
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	infrav1 "github.com/slipway-project/slipway/api/infrastructure/v1beta2"
	"github.com/slipway-project/slipway/conditions"
	"github.com/slipway-project/slipway/machines"
	"github.com/slipway-project/slipway/plan"
	"github.com/slipway-project/slipway/providers/docker/containers"
	"github.com/slipway-project/slipway/providers/docker/operations"
)

const (
	name = "dockercluster"

	// engineRecheck is how often a container engine that does not answer is asked again.
	engineRecheck = 5 * time.Second
	// templateRecheck is how often the user's HAProxy template is read: ConfigMaps are
	// not watched, so a change of it brings no event.
	templateRecheck = 15 * time.Second
	templateField   = "spec.loadBalancer.customHAProxyConfigTemplateRef"
)

var (
	kind        = infrav1.GroupVersion.WithKind("DockerCluster")
	clusterKind = clusterv1.GroupVersion.WithKind("Cluster")
)

// Plan decides what to do for a DockerCluster.
func Plan(s Snapshot) plan.Plan[infrav1.DockerClusterStatus] {
	decided := decide(s)
	return plan.Of(decided, status(s, decided.Outcome))
}

func decide(s Snapshot) plan.Decision {
	if paused, why := machines.Paused(s.Cluster, s.DockerCluster); paused {
		return plan.Wait(clusterv1.PausedReason, why)
	}
	if s.DockerCluster.DeletionTimestamp != nil {
		return deletion(s)
	}
	if s.Cluster == nil {
		return plan.Wait("WaitingForCluster", "no Cluster refers to this DockerCluster yet; create one whose spec.infrastructureRef names it")
	}
	if !slices.Contains(s.DockerCluster.Finalizers, infrav1.ClusterFinalizer) {
		return plan.Act("Claiming", "", plan.AddFinalizer(kind, s.DockerCluster, infrav1.ClusterFinalizer))
	}
	if !s.LoadBalancer.OK() || !s.Containers.OK() {
		return plan.Block("ContainerEngineUnavailable", cmp.Or(s.LoadBalancer.Err, s.Containers.Err)).At(s.Now.Add(engineRecheck))
	}
	if stopped(s) { // whatever it is to load afterwards
		return start(s)
	}
	if !s.Template.OK() {
		return plan.Block("InvalidLoadBalancerConfig", s.Template.Err+"; create it, or correct "+templateField).At(s.Now.Add(templateRecheck))
	}
	config, names, err := configuration(s)
	if err != nil {
		return plan.Block("InvalidLoadBalancerConfig", err.Error()+"; correct the ConfigMap that "+templateField+" names").At(s.Now.Add(templateRecheck))
	}
	if operation := balance(s, config, names); operation != nil {
		return balancing(operation)
	}
	if misplaced(s) {
		return plan.Block(operations.EndpointReason, misplacement(s))
	}
	if s.DockerCluster.Spec.ControlPlaneEndpoint == (infrav1.APIEndpoint{}) {
		intent := plan.Partial(kind, s.DockerCluster)
		intent.Object["spec"] = map[string]any{"controlPlaneEndpoint": map[string]any{
			"host": s.LoadBalancer.Value.Address.String(), "port": int64(s.LoadBalancer.Value.Port),
		}}
		return plan.Act("SettingEndpoint", "", plan.Apply{Object: intent, Reason: "it is where the load balancer listens"})
	}
	settled := plan.Settle(clusterv1.ProvisionedReason)
	if s.Template.Value != "" {
		settled = settled.At(s.Now.Add(templateRecheck))
	}
	return settled
}

func balancing(operation plan.Operation) plan.Decision {
	return plan.Act("BalancingLoad", "", plan.Operate{System: operations.System, Operation: operation, Reason: "the control plane is reached through it"})
}

// start starts a load balancer that has stopped, after a pause when it does not run for
// long.
func start(s Snapshot) plan.Decision {
	balancer := s.LoadBalancer.Value
	if again := balancer.StartsAgain(s.Now); again.After(s.Now) {
		return plan.Wait("ContainerStops", stops(balancer)).At(again)
	}
	return balancing(operations.StartLoadBalancer{On: plan.RefTo(kind, s.DockerCluster), Cluster: clusterKey(s)})
}

// balance is what has to be done so that the load balancer is there with the
// configuration given; nil when it is.
func balance(s Snapshot, config string, names []string) plan.Operation {
	on := plan.RefTo(kind, s.DockerCluster)
	key := clusterKey(s)
	balancer := s.LoadBalancer.Value
	switch {
	case !balancer.Exists || balancer.HalfMade() || balancer.TakenBy != "" || former(s):
		// Making it again refuses what is not ours, and says whose it is.
		meta := s.DockerCluster.Spec.LoadBalancer.ImageMeta
		image := ""
		if meta != (infrav1.ImageMeta{}) {
			image = containers.LoadBalancerImage(meta.ImageRepository, meta.ImageTag)
		}
		return operations.CreateLoadBalancer{On: on, Behind: names, Spec: containers.LoadBalancerSpec{
			Cluster: key, UID: string(s.DockerCluster.UID), Image: image, Config: config, Address: endpointAddress(s),
		}}
	case balancer.ConfigDigest != containers.ConfigDigest(config):
		return operations.UpdateLoadBalancer{On: on, Cluster: key, Config: config, Behind: names}
	default:
		return nil
	}
}

// former reports a load balancer that was made for an earlier DockerCluster of the same
// name.
func former(s Snapshot) bool {
	balancer := s.LoadBalancer.Value
	return balancer.Exists && !balancer.MadeFor(string(s.DockerCluster.UID), named(s))
}

// named reports that the DockerCluster names the load balancer as its own, by its
// endpoint: it may have got another UID since, by being restored from a backup.
func named(s Snapshot) bool {
	balancer := s.LoadBalancer.Value
	return balancer.Address.IsValid() && s.DockerCluster.Spec.ControlPlaneEndpoint.Host == balancer.Address.String()
}

// endpointAddress is the endpoint where that is an IP address; the zero value for a name,
// and while there is no endpoint.
func endpointAddress(s Snapshot) netip.Addr {
	address, err := netip.ParseAddr(s.DockerCluster.Spec.ControlPlaneEndpoint.Host)
	if err != nil {
		return netip.Addr{}
	}
	return address
}

// misplaced reports that the endpoint should be the load balancer's address and is not:
// it is an address of the same network, or one that this controller has set. Any other
// that the user gave, such as a name, leads to the load balancer by ways of the user's.
func misplaced(s Snapshot) bool {
	balancer, endpoint := s.LoadBalancer.Value, endpointAddress(s)
	if !endpoint.IsValid() || !balancer.Address.IsValid() || endpoint == balancer.Address {
		return false
	}
	return balancer.Subnet.Contains(endpoint) || setHere(s.DockerCluster)
}

var endpointPath = fieldpath.MakePathOrDie("spec", "controlPlaneEndpoint", "host")

// setHere reports that this controller, and not the user, has set the endpoint.
func setHere(cluster *infrav1.DockerCluster) bool {
	return slices.ContainsFunc(cluster.ManagedFields, func(entry metav1.ManagedFieldsEntry) bool {
		if entry.Manager != plan.Manager(name) || entry.Subresource != "" || entry.FieldsV1 == nil {
			return false
		}
		var owned fieldpath.Set
		return owned.FromJSON(bytes.NewReader(entry.FieldsV1.GetRawBytes())) == nil && owned.Has(endpointPath)
	})
}

// misplacement says what to do about it.
func misplacement(s Snapshot) string {
	balancer, endpoint := s.LoadBalancer.Value, endpointAddress(s)
	text := fmt.Sprintf("endpoint %s is not the load balancer's address %s, so the control plane is not reached: ", endpoint, balancer.Address)
	if !balancer.Subnet.Contains(endpoint) {
		return text + "the network has been made again with other addresses, which the cluster's nodes do not know; delete the cluster and create it again"
	}
	return text + fmt.Sprintf("free the endpoint's address, if something else has it, and remove the load balancer (docker rm -f %s), which is then made again there", balancer.Name)
}

// stopped reports that the load balancer is its own, was started and does not run.
func stopped(s Snapshot) bool {
	balancer := s.LoadBalancer.Value
	return balancer.Exists && !balancer.HalfMade() && !balancer.Running() && balancer.TakenBy == "" && !former(s)
}

func stops(balancer containers.LoadBalancer) string {
	when := " right after it was started, and is started again after a pause"
	if balancer.State == containers.StateRestarting {
		when = ", and the container engine is about to start it again"
	}
	return fmt.Sprintf("the load balancer stopped with exit code %d%s; \"docker logs %s\" tells what it said", balancer.ExitCode, when, balancer.Name)
}

func clusterKey(s Snapshot) types.NamespacedName {
	return types.NamespacedName{Namespace: s.DockerCluster.Namespace, Name: s.Cluster.Name}
}

// configuration is what the load balancer should have loaded, and the machines in it.
func configuration(s Snapshot) (config string, names []string, err error) {
	backends := backends(s)
	for _, backend := range backends {
		names = append(names, described(backend))
	}
	if s.Template.Value != "" {
		config, err = containers.RenderHAProxyTemplate(s.Template.Value, backends)
	} else {
		config, err = containers.HAProxyConfig(backends)
	}
	return config, names, err
}

func described(backend containers.Backend) string {
	text := fmt.Sprintf("%s at %s:%d", backend.Name, backend.Address, backend.Port)
	if backend.Weight != nil {
		text += fmt.Sprintf(" with weight %d", *backend.Weight)
	}
	return text
}

// backends are the control-plane machines that serve: those that run, have joined and are
// to stay. A new one would be taken for one that serves until its first check has failed,
// and the endpoint must not point to machines that are about to go. Where there are no such
// machines, as while the first one is made, it is those that are to stay, and then any.
func backends(s Snapshot) []containers.Backend {
	var serving, staying, going []containers.Backend
	for _, container := range s.Containers.Value {
		if container.Role != containers.RoleControlPlane || !container.Running() || !container.Address.IsValid() {
			continue
		}
		backend := containers.Backend{Name: container.Key.Name, Address: container.Address.String(), Port: apiServerPort(s)}
		machine := machineOf(s, container)
		if machine == nil || machine.DeletionTimestamp != nil || slices.Contains(s.Leaving, machine.Name) {
			going = append(going, backend)
			continue
		}
		if weight, err := strconv.Atoi(machine.Annotations[infrav1.LoadBalancerWeightAnnotation]); err == nil && weight >= 0 && weight <= 256 {
			backend.Weight = &weight
		}
		staying = append(staying, backend)
		if conditions.Is(machine.Status.Conditions, infrav1.BootstrapCompletedCondition, metav1.ConditionTrue) {
			serving = append(serving, backend)
		}
	}
	switch {
	case len(serving) > 0:
		return serving
	case len(staying) > 0:
		return staying
	default:
		return going
	}
}

func apiServerPort(s Snapshot) int {
	if port := s.Cluster.Spec.ClusterNetwork.APIServerPort; port != 0 {
		return int(port)
	}
	return containers.APIServerPort
}

func machineOf(s Snapshot, container containers.Machine) *infrav1.DockerMachine {
	for _, machine := range s.Machines {
		named := machine.Spec.ProviderID == containers.ProviderID(container.Name)
		if machine.Name == container.Key.Name && container.MadeFor(string(machine.UID), named) {
			return machine
		}
	}
	return nil
}

func deletion(s Snapshot) plan.Decision {
	if !slices.Contains(s.DockerCluster.Finalizers, infrav1.ClusterFinalizer) {
		return plan.Wait(clusterv1.DeletingReason, "the other finalizers of the DockerCluster are not removed yet")
	}
	if !s.LoadBalancer.OK() || !s.Containers.OK() {
		return plan.Block("ContainerEngineUnavailable", cmp.Or(s.LoadBalancer.Err, s.Containers.Err)).At(s.Now.Add(engineRecheck))
	}
	if left := len(s.Machines); left > 0 {
		return plan.Wait(clusterv1.DeletingReason, fmt.Sprintf("waiting for %d DockerMachines to be gone", left))
	}
	if !s.LoadBalancer.Value.Exists || s.LoadBalancer.Value.TakenBy != "" || former(s) {
		return deleted(s)
	}
	return plan.Act(clusterv1.DeletingReason, "", plan.Operate{
		System:    operations.System,
		Operation: operations.DeleteLoadBalancer{On: plan.RefTo(kind, s.DockerCluster), Cluster: s.LoadBalancer.Value.Cluster, MadeFor: s.LoadBalancer.Value.UID},
		Reason:    "its DockerCluster is being deleted",
	})
}

// deleted lets go of a DockerCluster that has no load balancer any more. The network
// goes first, when this was the last to use it: afterwards nobody would remember it,
// however it came to be there. Others that are just being made need not be asked for:
// they make it when they need it.
func deleted(s Snapshot) plan.Decision {
	return plan.Act(clusterv1.DeletionCompletedReason, "",
		plan.Operate{
			System:    operations.System,
			Operation: operations.DeleteUnusedNetwork{On: plan.RefTo(kind, s.DockerCluster)},
			Reason:    "it goes with the last that uses it",
		},
		plan.RemoveFinalizer(kind, s.DockerCluster, infrav1.ClusterFinalizer, "it has no load balancer any more"))
}
