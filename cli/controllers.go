// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/slipway-project/slipway/standalone"
)

// controllersFlags are those of slipway controllers.
type controllersFlags struct {
	target         target
	leaderElect    bool
	namespace      string
	dryRun         bool
	metricsAddress string
	healthAddress  string
	install        bool
	defaultNetwork bool
	debug          bool
}

func (t *tool) controllersCommand() *cobra.Command {
	var flags controllersFlags
	command := &cobra.Command{
		Use:   "controllers",
		Short: "Run the controllers against any Kubernetes cluster",
		Long: `Run the same controllers that slipway up runs, against a management cluster that exists:
that of a kubeconfig, or the one that this process runs in. With leader election, several such
processes can stand by for each other. A management cluster of slipway up runs them itself.

The user of the kubeconfig needs the rights of the ClusterRole slipway-controllers, which --install
makes, and --install itself those of an administrator. As a pod, run it in namespace kube-system
with the ServiceAccount slipway-controllers, which has them.`,
		Example: `  # once: install kinds and permissions; then run
  slipway controllers --kubeconfig management.kubeconfig --install

  # see what would be done, and do nothing
  slipway controllers --kubeconfig management.kubeconfig --dry-run`,
		Args: noArguments,
		RunE: func(command *cobra.Command, _ []string) error { return t.controllers(command.Context(), flags) },
	}
	flags.target.placeCluster(command)
	f := command.Flags()
	f.BoolVar(&flags.leaderElect, "leader-elect", true, "act only while holding the lease kube-system/slipway-controllers (with --namespace, slipway-controllers.<namespace>)")
	f.StringVarP(&flags.namespace, "namespace", "n", "", "act on objects of one namespace only (default: all); not beside a process that acts on all")
	f.BoolVar(&flags.dryRun, "dry-run", false, "log what would be done and write nothing")
	f.StringVar(&flags.metricsAddress, "metrics-bind-address", "0", "address to serve metrics at, such as :8080; 0: nowhere")
	f.StringVar(&flags.healthAddress, "health-probe-bind-address", "0", "address to serve /healthz at, such as :8081; 0: nowhere")
	f.BoolVar(&flags.install, "install", false, "install or update Slipway's kinds and permissions first; needs Kubernetes 1.34 or newer")
	f.BoolVar(&flags.defaultNetwork, "default-network", true, "keep the ConfigMap default-network in each namespace with Clusters")
	f.BoolVar(&flags.debug, "debug", false, "log more")
	return command
}

func (t *tool) controllers(ctx context.Context, flags controllersFlags) error {
	m, err := t.connectController(ctx, flags.target)
	if err != nil {
		return err
	}
	if !flags.dryRun {
		if err := refuseSecondSet(ctx, m, kubeconfigHomes(flags.target.kubeconfig)); err != nil {
			return err
		}
	}
	level := slog.LevelInfo
	if flags.debug {
		level = slog.LevelDebug
	}
	log := newLog(t.err, level)
	if flags.install {
		if flags.dryRun {
			return usage("--install writes and --dry-run must not: give one of them")
		}
		objects, err := t.wiring.InstalledObjects()
		if err != nil {
			return err
		}
		if err := standalone.Install(ctx, m.config, objects); err != nil {
			return err
		}
		log.Info("installed kinds and permissions", "objects", len(objects))
	} else if err := m.checkInstalled(); err != nil {
		return err
	}
	log.Info("starting controllers", "server", m.config.Host, "managementCluster", m.id)
	err = t.wiring.RunControllers(ctx, ControllerOptions{
		Config: m.config, ManagementID: m.id, Namespace: flags.namespace, LeaderElection: flags.leaderElect && !flags.dryRun, DryRun: flags.dryRun,
		DefaultNetwork: flags.defaultNetwork, MetricsAddress: flags.metricsAddress, HealthAddress: flags.healthAddress, Log: log,
		Ready: func() { log.Info("controllers run") },
	})
	switch {
	case ctx.Err() != nil:
		return nil
	case err != nil:
		return fmt.Errorf("run controllers: %w", err)
	default:
		return errors.New("the controllers ended without a reason")
	}
}

// kubeconfigHomes are the data directories in which a slipway up may run on this
// machine: the default one, and where the kubeconfigs lie, as one that was started
// with --home leaves its there.
func kubeconfigHomes(kubeconfig string) []string {
	var homes []string
	if home, err := standalone.DefaultHome(); err == nil { // a container may have none
		homes = append(homes, home)
	}
	for _, path := range findKubeconfig(kubeconfig, os.Getenv(clientcmd.RecommendedConfigPathEnvVar), "").paths {
		homes = append(homes, filepath.Dir(path))
	}
	return homes
}

// refuseSecondSet keeps these controllers from a management cluster whose slipway up
// runs them: that one takes no lease, which would delay its start after a crash, so
// leader election would not keep the two apart.
func refuseSecondSet(ctx context.Context, m *management, homes []string) error {
	for _, home := range homes {
		// What cannot be learnt of a state is left out of it; and a directory that is no
		// data directory is none in which slipway up runs.
		state, _ := standalone.Status(ctx, home)
		// The id too: the same server may be reached at another address.
		if state.Running && (state.URL == m.config.Host || (m.id != "" && state.ManagementClusterID == m.id)) {
			return fmt.Errorf("slipway up runs these controllers already (process %d, data in %s); stop it first with: slipway down", state.PID, state.Home)
		}
	}
	return nil
}

// connectController also looks for the cluster that this process runs in, as a
// Deployment does.
func (t *tool) connectController(ctx context.Context, flags target) (*management, error) {
	if flags.kubeconfig == "" && os.Getenv(clientcmd.RecommendedConfigPathEnvVar) == "" {
		config, err := rest.InClusterConfig()
		if err == nil {
			return dial(ctx, config, "the cluster this process runs in")
		}
		if !errors.Is(err, rest.ErrNotInCluster) {
			return nil, fmt.Errorf("use the cluster that this process runs in: %w", err)
		}
	}
	return t.connect(ctx, flags)
}
