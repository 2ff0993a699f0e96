// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"

	"github.com/go-logr/logr"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/slipway-project/slipway/engine"
	"github.com/slipway-project/slipway/simulate"
)

// Wiring is what the binary gives the command line: the command line itself knows no
// controller.
type Wiring struct {
	// RunControllers runs every controller until the context ends.
	RunControllers func(context.Context, ControllerOptions) error
	// InstalledObjects are what a management cluster needs before controllers run:
	// CRDs first, then RBAC.
	InstalledObjects func() ([]client.Object, error)
	// Controllers are those that can be run pass by pass, to tell what they would do: all
	// but those of providers, which act on something real.
	Controllers func() []simulate.Controller
	// ConnectWorkloads connects to workload clusters, whose kubeconfigs it reads, until
	// the context ends.
	ConnectWorkloads func(context.Context, client.Reader) engine.Workloads
	// Version of this build.
	Version string
}

// ControllerOptions say where and how to run the controllers.
type ControllerOptions struct {
	// Config reaches the management cluster.
	Config *rest.Config
	// ManagementID tells this management cluster from others on the same container
	// engine; it is the UID of the namespace kube-system.
	ManagementID string
	// EngineRecord is the file in which the container engine is remembered that has this
	// management cluster's containers; empty: nothing is remembered.
	EngineRecord string
	// Namespace limits the controllers to one namespace; empty means all.
	Namespace string
	// LeaderElection is needed where a second process may run the same controllers.
	LeaderElection bool
	// DryRun logs what would be done and writes nothing.
	DryRun bool
	// DefaultNetwork keeps the ConfigMap default-network in each namespace with Clusters.
	DefaultNetwork bool
	// MetricsAddress serves metrics; "0" means not at all. HealthAddress likewise.
	MetricsAddress, HealthAddress string
	// Ready is called once when all controllers run; may be nil.
	Ready func()
	Log   logr.Logger
}
