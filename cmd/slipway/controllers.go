// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"

	addonsv1 "github.com/slipway-project/slipway/api/addons/v1beta2"
	bootstrapv1 "github.com/slipway-project/slipway/api/bootstrap/v1beta2"
	controlplanev1 "github.com/slipway-project/slipway/api/controlplane/v1beta2"
	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	infrav1 "github.com/slipway-project/slipway/api/infrastructure/v1beta2"
	"github.com/slipway-project/slipway/cli"
	"github.com/slipway-project/slipway/controllers/cluster"
	"github.com/slipway-project/slipway/controllers/clusterresourceset"
	"github.com/slipway-project/slipway/controllers/defaultnetwork"
	"github.com/slipway-project/slipway/controllers/kubeadmconfig"
	"github.com/slipway-project/slipway/controllers/kubeadmcontrolplane"
	"github.com/slipway-project/slipway/controllers/machine"
	"github.com/slipway-project/slipway/controllers/machinedeployment"
	"github.com/slipway-project/slipway/controllers/machinehealthcheck"
	"github.com/slipway-project/slipway/controllers/machineset"
	"github.com/slipway-project/slipway/deploy/network"
	"github.com/slipway-project/slipway/engine"
	"github.com/slipway-project/slipway/etcd"
	"github.com/slipway-project/slipway/providers/docker/containers"
	"github.com/slipway-project/slipway/providers/docker/dockercluster"
	"github.com/slipway-project/slipway/providers/docker/dockermachine"
	"github.com/slipway-project/slipway/providers/docker/operations"
	"github.com/slipway-project/slipway/simulate"
	"github.com/slipway-project/slipway/workload"
)

// newScheme knows every kind that Slipway reads or writes by its Go type.
func newScheme() (*runtime.Scheme, error) {
	known := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		scheme.AddToScheme, clusterv1.AddToScheme, bootstrapv1.AddToScheme, controlplanev1.AddToScheme, addonsv1.AddToScheme, infrav1.AddToScheme,
	} {
		if err := add(known); err != nil {
			return nil, fmt.Errorf("make scheme: %w", err)
		}
	}
	return known, nil
}

// registration is a controller with its types taken off: what it declares, and how to
// add it to an engine or put it on a bench.
type registration struct {
	declaration engine.Declaration
	add         func(*engine.Engine) error
	onBench     simulate.Controller
}

func register[Snapshot, Status any](c engine.Controller[Snapshot, Status]) registration {
	return registration{
		declaration: engine.Declare(c),
		add:         func(e *engine.Engine) error { return engine.Add(e, c) },
		onBench:     func(bench engine.Bench) *engine.Stepper { return engine.NewStepper(bench, c) },
	}
}

// coreControllers is the list of controllers, in the order of the objects they make.
func coreControllers() []registration {
	return []registration{
		register(cluster.Controller()),
		register(kubeadmcontrolplane.Controller()),
		register(machinedeployment.Controller()),
		register(machineset.Controller()),
		register(machine.Controller()),
		register(machinehealthcheck.Controller()),
		register(kubeadmconfig.Controller()),
		register(clusterresourceset.Controller()),
		register(clusterresourceset.BindingController()),
	}
}

// dockerControllers are those of the Docker provider.
func dockerControllers(docker *containers.Connector) []registration {
	return []registration{
		register(dockercluster.Controller(docker)),
		register(dockermachine.Controller(docker, network.Image())),
	}
}

// declarations are those of all controllers, for RBAC and the dependency graph.
func declarations() []engine.Declaration {
	all := append(coreControllers(), dockerControllers(nil)...)
	all = append(all, register(defaultnetwork.Controller()))
	declared := make([]engine.Declaration, len(all))
	for i, registered := range all {
		declared[i] = registered.declaration
	}
	return declared
}

// runControllers runs every controller until the context ends.
func runControllers(ctx context.Context, options cli.ControllerOptions) error {
	known, err := newScheme()
	if err != nil {
		return err
	}
	mgr, err := newManager(known, options)
	if err != nil {
		return err
	}
	connections := workload.New(workload.Options{Secrets: mgr.GetAPIReader(), Clusters: mgr.GetCache(), Log: options.Log.WithName("workload")})
	if err := mgr.Add(connections); err != nil {
		return fmt.Errorf("add workload connections: %w", err)
	}
	isolated, err := containers.IsolatedFromEnvironment()
	if err != nil {
		return err
	}
	docker := containers.NewConnector(containers.Options{
		ManagementID: options.ManagementID, Isolated: isolated, Record: options.EngineRecord, Logger: options.Log.WithName("docker"),
	})
	defer func() {
		if err := docker.Close(); err != nil {
			options.Log.Error(err, "cannot close the connection to the container engine")
		}
	}()
	operators := map[string]engine.Operator{
		operations.System: operations.NewOperator(docker, mgr.GetAPIReader()),
		etcd.System:       workload.NewEtcdOperator(connections),
	}
	registered := append(coreControllers(), dockerControllers(docker)...)
	if options.DefaultNetwork {
		registered = append(registered, register(defaultnetwork.Controller()))
	}
	e := engine.New(mgr, engine.Options{Workloads: connections, Operators: operators, DryRun: options.DryRun})
	for _, registration := range registered {
		if err := registration.add(e); err != nil {
			return err
		}
	}
	if options.Ready != nil {
		if err := mgr.Add(manager.RunnableFunc(func(ctx context.Context) error {
			if mgr.GetCache().WaitForCacheSync(ctx) {
				options.Ready()
			}
			return nil
		})); err != nil {
			return fmt.Errorf("add readiness: %w", err)
		}
	}
	return mgr.Start(ctx)
}

// leaseName is that of the lease by which one process leads. Those for different
// namespaces do not stand in each other's way.
func leaseName(namespace string) string {
	if namespace == "" {
		return roleName
	}
	return roleName + "." + namespace
}

func newManager(known *runtime.Scheme, options cli.ControllerOptions) (manager.Manager, error) {
	config := rest.CopyConfig(options.Config)
	// The server's own fairness limits us; a client-side limit would only add delay.
	config.QPS = -1
	config.WarningHandler = rest.NoWarnings{}
	grace := 10 * time.Second
	cacheOptions := cache.Options{}
	if options.Namespace != "" {
		cacheOptions.DefaultNamespaces = map[string]cache.Config{options.Namespace: {}}
	}
	mgr, err := manager.New(config, manager.Options{
		Scheme: known, Logger: options.Log, Cache: cacheOptions,
		Client:                  client.Options{Cache: &client.CacheOptions{Unstructured: false}},
		Metrics:                 server.Options{BindAddress: options.MetricsAddress},
		HealthProbeBindAddress:  options.HealthAddress,
		LeaderElection:          options.LeaderElection,
		LeaderElectionID:        leaseName(options.Namespace),
		LeaderElectionNamespace: "kube-system",
		// The process ends when it is no longer the leader.
		LeaderElectionReleaseOnCancel: true,
		GracefulShutdownTimeout:       &grace,
	})
	if err != nil {
		return nil, fmt.Errorf("make controller manager: %w", err)
	}
	if options.HealthAddress != "0" {
		if err := mgr.AddHealthzCheck("ping", healthz.Ping); err != nil {
			return nil, fmt.Errorf("add health check: %w", err)
		}
	}
	return mgr, nil
}
