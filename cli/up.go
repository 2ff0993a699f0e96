// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/slipway-project/slipway/nodeimage"
	"github.com/slipway-project/slipway/standalone"
)

// defaultKubernetesVersion is what management cluster and clusters run when no
// version is given.
const defaultKubernetesVersion = "v1.37.1"

// stopLimit bounds a clean stop; standalone kills what takes longer.
const stopLimit = 45 * time.Second

const phaseControllers = "controllers"

// followStart tells the phases of a start. Which credentials are new is not news.
func followStart(p *progress) func(phase string, done bool, detail string) {
	tell := p.follow(phaseTitles)
	return func(phase string, done bool, detail string) {
		if phase == standalone.PhaseCredentials {
			detail = ""
		}
		tell(phase, done, detail)
	}
}

// phaseTitles are the phases of a start in words.
var phaseTitles = map[string]string{
	standalone.PhaseCredentials:       "Preparing credentials",
	standalone.PhaseEtcd:              "Starting etcd",
	standalone.PhaseAPIServer:         "Starting the API server",
	standalone.PhaseObjects:           "Installing kinds and permissions",
	standalone.PhaseControllerManager: "Starting the garbage collector",
	phaseControllers:                  "Starting controllers",
}

// upFlags are those of slipway up.
type upFlags struct {
	detach            bool
	kubernetesVersion string
	source            string
	listenAddress     string
	apiServerPort     int
	etcdPort          int
	home              string
	metricsAddress    string
	verbose           bool
}

func (t *tool) upCommand() *cobra.Command {
	var flags upFlags
	command := &cobra.Command{
		Use:   "up",
		Short: "Start a management cluster on this machine",
		Long: `Start etcd, kube-apiserver and all controllers on this machine. The data is kept under
$SLIPWAY_HOME (default ~/.slipway): stopped in whatever way, the next start goes on from there,
with the same version of Kubernetes unless --kubernetes-version asks for a newer one.
Without --detach it runs until Ctrl-C.`,
		Example: `  # until Ctrl-C
  slipway up

  # in the background; stop it with slipway down
  slipway up --detach
  export KUBECONFIG=~/.slipway/kubeconfig`,
		Args: noArguments,
		RunE: func(command *cobra.Command, _ []string) error {
			given := command.Flags().Changed("kubernetes-version")
			return t.up(command.Context(), flags, given)
		},
	}
	f := command.Flags()
	f.BoolVar(&flags.detach, "detach", false, "return when all is ready, and let it run in the background")
	f.StringVar(&flags.listenAddress, standalone.FlagListenAddress, "", "IP address that the API server listens on (default: the one used before, else 127.0.0.1)")
	f.IntVar(&flags.apiServerPort, standalone.FlagAPIServerPort, 0, "port of the API server; 0: the one used before, or a free one")
	f.IntVar(&flags.etcdPort, standalone.FlagEtcdPort, 0, "port of etcd; 0: the one used before, or a free one")
	f.StringVar(&flags.home, "home", "", "data directory (default: $SLIPWAY_HOME, else ~/.slipway)")
	f.StringVar(&flags.source, "source", "", sourceHelp)
	f.StringVar(&flags.metricsAddress, "metrics-bind-address", "0", "address to serve metrics at, such as 127.0.0.1:8080; 0: nowhere")
	f.BoolVarP(&flags.verbose, "verbose", "v", false, "log what controllers do to standard error")
	placeVersion(command, &flags.kubernetesVersion)
	asked := f.Lookup("kubernetes-version")
	asked.Usage, asked.DefValue = "version of Kubernetes (default: the one that wrote the data, else "+defaultKubernetesVersion+")", ""
	_ = command.MarkFlagDirname("home")
	return command
}

func (t *tool) up(ctx context.Context, flags upFlags, versionGiven bool) error {
	version, err := kubernetesVersion(flags.kubernetesVersion)
	if err != nil {
		return err
	}
	// Also before the build, which takes minutes: this refuses a directory of others.
	recorded, err := standalone.RecordedVersion(flags.home)
	if err != nil {
		return err
	}
	note := ""
	if !versionGiven {
		version, note = versionToKeep(recorded)
	}
	if err := standalone.CheckKubernetes(recorded, version); err != nil {
		return err
	}
	flags.kubernetesVersion = version
	p := newProgress(t.err, t.now)
	if flags.detach {
		state, err := standalone.Status(ctx, flags.home)
		if err != nil {
			return err
		}
		if state.Running && state.Ready {
			if versionGiven && state.KubernetesVersion != version {
				return fmt.Errorf("the management cluster in %s runs already, at Kubernetes %s; to have it run %s, stop it first with: slipway down", state.Home, state.KubernetesVersion, version)
			}
			p.say("The management cluster runs already, since %s.", state.Since.Local().Format(time.DateTime))
			if !state.SameBuild() {
				p.say("Another build of slipway than this one runs it; to have it run by this one: slipway down, then slipway up --detach")
			}
			t.usable(state.Kubeconfig)
			return nil
		}
	}
	if note != "" {
		p.say("%s", note)
	}
	// Also before detaching: a first build takes minutes, and is told better here.
	began := t.now()
	binaries, err := managementBinaries(ctx, nodeimage.Options{Version: version, SourceDir: flags.source, Progress: p.follow(nil)})
	if err != nil {
		p.failed()
		return err
	}
	if flags.detach {
		return t.upDetached(ctx, flags, p, began)
	}
	return t.upHere(ctx, flags, binaries, p, began)
}

// versionToKeep is the version to run where none is asked for: the one that wrote the
// data, as there is no way back from a newer one, else the default. The note tells a
// person of the former where it is not the default.
func versionToKeep(recorded string) (version, note string) {
	// Binaries built without a version record none that could be built again.
	if !versionForm.MatchString(recorded) || recorded == defaultKubernetesVersion {
		return defaultKubernetesVersion, ""
	}
	return recorded, fmt.Sprintf("The data is of Kubernetes %s, which it goes on with; to have it run %s, for good: slipway up --kubernetes-version %s",
		recorded, defaultKubernetesVersion, defaultKubernetesVersion)
}

// managementBinaries are the binaries that the management cluster runs: those of the
// checkout or, away from any checkout, those that were built before.
func managementBinaries(ctx context.Context, options nodeimage.Options) (string, error) {
	if options.SourceDir == "" {
		if _, err := nodeimage.FindSource(); err != nil {
			dir, ok, builtErr := nodeimage.BuiltBinaries(options)
			if builtErr != nil {
				return "", builtErr
			}
			if ok {
				return dir, nil
			}
		}
	}
	return nodeimage.Binaries(ctx, options)
}

// upDetached has another process of this program do the work.
func (t *tool) upDetached(ctx context.Context, flags upFlags, p *progress, began time.Time) error {
	state, err := standalone.Detach(ctx, standalone.Options{Home: flags.home, Progress: followStart(p)}, detachedArguments(flags))
	if err != nil {
		p.failed()
		return err
	}
	p.say("The management cluster is ready after %s; it runs in the background (stop it with: slipway down).", elapsed(t.now().Sub(began)))
	t.usable(state.Kubeconfig)
	return nil
}

// detachedArguments are those of the process in the background. Its output is its log.
func detachedArguments(flags upFlags) []string {
	arguments := []string{"up", "--verbose", "--kubernetes-version", flags.kubernetesVersion,
		"--" + standalone.FlagListenAddress, flags.listenAddress,
		"--" + standalone.FlagAPIServerPort, strconv.Itoa(flags.apiServerPort),
		"--" + standalone.FlagEtcdPort, strconv.Itoa(flags.etcdPort),
		"--metrics-bind-address", flags.metricsAddress}
	if flags.home != "" {
		arguments = append(arguments, "--home", flags.home)
	}
	if flags.source != "" {
		arguments = append(arguments, "--source", flags.source)
	}
	return arguments
}

// upHere runs the management cluster in this process until the context ends.
func (t *tool) upHere(ctx context.Context, flags upFlags, binaries string, p *progress, began time.Time) (failure error) {
	objects, err := t.wiring.InstalledObjects()
	if err != nil {
		return err
	}
	record, err := standalone.EngineRecord(flags.home)
	if err != nil {
		return err
	}
	level := slog.LevelError
	if flags.verbose {
		level = slog.LevelInfo
	}
	log := newLog(p, level)
	m, err := standalone.Start(ctx, standalone.Options{
		Home: flags.home, BinariesDir: binaries, Objects: objects, Log: log.WithName("standalone"),
		ListenAddress: flags.listenAddress, APIServerPort: flags.apiServerPort, EtcdPort: flags.etcdPort,
		Progress: followStart(p),
	})
	if err != nil {
		p.failed()
		return stopped(ctx, err)
	}
	defer func() {
		p.failed()
		p.begin("Stopping (Ctrl-C ends it at once; nothing is lost by that)")
		clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopLimit)
		defer cancel()
		if err := m.Stop(clean); err != nil {
			p.failed()
			failure = errors.Join(failure, err)
			return
		}
		p.done("")
	}()
	if err := m.Report(phaseControllers, false, ""); err != nil {
		return err
	}
	err = t.wiring.RunControllers(ctx, ControllerOptions{
		Config: m.ControllersConfig(), ManagementID: m.ID(), EngineRecord: record, DefaultNetwork: true,
		MetricsAddress: flags.metricsAddress, HealthAddress: "0", Log: log,
		Ready: func() {
			if err := errors.Join(m.Report(phaseControllers, true, ""), m.MarkReady()); err != nil {
				log.Error(err, "record readiness")
			}
			p.say("The management cluster is ready after %s; it runs until Ctrl-C.", elapsed(t.now().Sub(began)))
			t.usable(m.KubeconfigPath())
		},
	})
	switch {
	case ctx.Err() != nil:
		return nil
	case err != nil:
		return fmt.Errorf("run controllers: %w", err)
	default:
		return errors.New("the controllers ended without a reason; run slipway up --verbose to see what they say")
	}
}

// stopped makes an interrupted start no failure.
func stopped(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return context.Canceled
	}
	return err
}

// usable tells how to use a management cluster.
func (t *tool) usable(kubeconfig string) {
	fmt.Fprintf(t.out, `
Kubeconfig: %s
To use it:  export KUBECONFIG=%s

Try next:
  slipway create cluster demo --worker-machine-count 2 --wait
  slipway status
`, kubeconfig, kubeconfig)
}
