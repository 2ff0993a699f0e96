// SPDX-License-Identifier: Apache-2.0

package operations

import (
	"fmt"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/slipway-project/slipway/plan"
	"github.com/slipway-project/slipway/providers/docker/containers"
)

// System is the name of the operator in plans.
const System = "docker"

// CreateLoadBalancer makes and starts a cluster's load balancer.
type CreateLoadBalancer struct {
	On     plan.Ref
	Spec   containers.LoadBalancerSpec
	Behind []string // the machines in the configuration, as a person reads them
}

// UpdateLoadBalancer has the load balancer load a configuration.
type UpdateLoadBalancer struct {
	On      plan.Ref
	Cluster types.NamespacedName
	Config  string
	Behind  []string
}

// StartLoadBalancer starts a load balancer that has stopped.
type StartLoadBalancer struct {
	On      plan.Ref
	Cluster types.NamespacedName
}

// DeleteLoadBalancer removes a load balancer.
type DeleteLoadBalancer struct {
	On      plan.Ref
	Cluster types.NamespacedName
	// MadeFor is the UID that the load balancer's label holds. One with another is left alone: it was made meanwhile.
	MadeFor string
}

// DeleteUnusedNetwork removes the management cluster's network, and what is left of the
// making of one, unless a container still uses it.
type DeleteUnusedNetwork struct {
	On plan.Ref
}

// CreateMachine makes and starts a machine's container.
type CreateMachine struct {
	On   plan.Ref
	Spec containers.MachineSpec
}

// StartMachine starts a machine's container that has stopped.
type StartMachine struct {
	On      plan.Ref
	Machine types.NamespacedName
}

// DeleteMachine removes a machine's container and volumes.
type DeleteMachine struct {
	On      plan.Ref
	Machine types.NamespacedName
	// MadeFor is the UID that the labels of container and volume hold. What has another is left alone: it was made
	// meanwhile.
	MadeFor string
}

// LoadImages copies images from the host into a machine.
type LoadImages struct {
	On      plan.Ref
	Machine types.NamespacedName
	Images  []string
}

// StartBootstrap has a machine carry out its bootstrap data.
type StartBootstrap struct {
	On      plan.Ref
	Machine types.NamespacedName
	// Secret in the machine's namespace holds the data under the key "value".
	Secret string
	// ProviderID is what the Node is to register with.
	ProviderID string
	// InstanceID tells this machine from an earlier one of the same name.
	InstanceID string
	Timeout    time.Duration
}

// CopyImages copies images from one machine into another.
type CopyImages struct {
	On       plan.Ref
	From, To types.NamespacedName
	// Images are full names, as containerd lists them.
	Images []string
}

// StopAPIServer has the API server of a control-plane machine end in order, for good.
type StopAPIServer struct {
	On      plan.Ref
	Machine types.NamespacedName
}

func (o CreateLoadBalancer) String() string {
	text := fmt.Sprintf("create the load balancer of cluster %s for %s", o.Spec.Cluster, behind(o.Behind))
	if o.Spec.Image != "" {
		text += " from image " + o.Spec.Image
	}
	if o.Spec.Address.IsValid() {
		text += ", at its endpoint " + o.Spec.Address.String()
	}
	return text
}

func (o UpdateLoadBalancer) String() string {
	return fmt.Sprintf("point the load balancer of cluster %s to %s", o.Cluster, behind(o.Behind))
}

func (o StartLoadBalancer) String() string {
	return fmt.Sprintf("start the load balancer of cluster %s", o.Cluster)
}

func (o DeleteLoadBalancer) String() string {
	return fmt.Sprintf("delete the load balancer of cluster %s", o.Cluster) + madeFor(o.MadeFor, o.On)
}

func (o DeleteUnusedNetwork) String() string {
	return "delete the network unless it is used"
}

func (o CreateMachine) String() string {
	text := fmt.Sprintf("create the container of machine %s as %s from image %s", o.Spec.Key, o.Spec.Role, o.Spec.Image)
	if o.Spec.FailureDomain != "" {
		text += " in failure domain " + o.Spec.FailureDomain
	}
	for _, mount := range o.Spec.Mounts {
		text += fmt.Sprintf(", mounting %s at %s", mount.HostPath, mount.ContainerPath)
	}
	return text
}

func (o StartMachine) String() string {
	return fmt.Sprintf("start the container of machine %s", o.Machine)
}

func (o DeleteMachine) String() string {
	return fmt.Sprintf("delete the container and volumes of machine %s", o.Machine) + madeFor(o.MadeFor, o.On)
}

func (o LoadImages) String() string {
	return fmt.Sprintf("load images %s into machine %s", strings.Join(o.Images, ", "), o.Machine)
}

func (o StartBootstrap) String() string {
	return fmt.Sprintf("bootstrap machine %s with Secret %s as %s within %s", o.Machine, o.Secret, o.ProviderID, o.Timeout)
}

func (o CopyImages) String() string {
	return fmt.Sprintf("copy images %s from machine %s into machine %s", strings.Join(o.Images, ", "), o.From, o.To)
}

func (o StopAPIServer) String() string {
	return fmt.Sprintf("end the API server of machine %s", o.Machine)
}

// Subject is the DockerCluster.
func (o CreateLoadBalancer) Subject() plan.Ref { return o.On }

// Subject is the DockerCluster.
func (o UpdateLoadBalancer) Subject() plan.Ref { return o.On }

// Subject is the DockerCluster.
func (o StartLoadBalancer) Subject() plan.Ref { return o.On }

// Subject is the DockerCluster.
func (o DeleteLoadBalancer) Subject() plan.Ref { return o.On }

// Subject is the DockerCluster.
func (o DeleteUnusedNetwork) Subject() plan.Ref { return o.On }

// Subject is the DockerMachine.
func (o CreateMachine) Subject() plan.Ref { return o.On }

// Subject is the DockerMachine.
func (o StartMachine) Subject() plan.Ref { return o.On }

// Subject is the DockerMachine.
func (o DeleteMachine) Subject() plan.Ref { return o.On }

// Subject is the DockerMachine.
func (o LoadImages) Subject() plan.Ref { return o.On }

// Subject is the DockerMachine.
func (o StartBootstrap) Subject() plan.Ref { return o.On }

// Subject is the DockerMachine.
func (o CopyImages) Subject() plan.Ref { return o.On }

// Subject is the DockerMachine.
func (o StopAPIServer) Subject() plan.Ref { return o.On }

// madeFor tells of a UID that is not the object's own.
func madeFor(uid string, on plan.Ref) string {
	if uid == "" || uid == string(on.UID) {
		return ""
	}
	return fmt.Sprintf(", made for UID %q", uid)
}

func behind(machines []string) string {
	if len(machines) == 0 {
		return "no machines yet"
	}
	return strings.Join(machines, ", ")
}
