// SPDX-License-Identifier: Apache-2.0

package standalone

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/version"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Phases of a start, in order, as Options.Progress and State.Phases name them.
// A caller adds its own with Report.
const (
	PhaseCredentials       = "credentials"
	PhaseEtcd              = "etcd"
	PhaseAPIServer         = "kube-apiserver"
	PhaseObjects           = "objects"
	PhaseControllerManager = "kube-controller-manager"
)

// Options say where and how a management cluster runs.
type Options struct {
	// Home is the data directory; empty is DefaultHome.
	Home string
	// BinariesDir holds etcd, kube-apiserver and kube-controller-manager.
	BinariesDir string
	// ListenAddress is the IP address that kube-apiserver listens on; empty is the
	// one recorded in the data directory, else 127.0.0.1. etcd listens on loopback in
	// any case.
	ListenAddress string
	// APIServerPort and EtcdPort are the ports to use from now on; 0 is the one
	// recorded in the data directory, or a free one, which is then recorded.
	APIServerPort int
	EtcdPort      int
	// Objects are installed before Start returns; see Install.
	Objects []client.Object
	// Log takes what happens while the cluster runs, as a child that ended.
	Log logr.Logger
	// Progress, where set, is called as phases begin and end, from one
	// goroutine at a time. The detail of an ended phase may be empty.
	Progress func(phase string, done bool, detail string)
}

const (
	etcdReadyLimit      = 2 * time.Minute
	apiServerReadyLimit = 3 * time.Minute
	portPatience        = 3 * time.Second
)

// ManagementCluster is a running management cluster, supervised by this process.
type ManagementCluster struct {
	options  Options
	home     dataDir
	listen   net.IP
	settings settings
	url      string
	id       types.UID
	// kubernetes is the version of the binaries; settings has that which wrote the data.
	kubernetes string
	lock       *lock
	report     *reporter
	etcd       *etcdClient

	etcdChild, apiServerChild, controllerManagerChild *child

	endHousekeeping context.CancelFunc
	housekeeping    sync.WaitGroup
	stopOnce        sync.Once
	stopError       error
}

// Start brings the management cluster of a data directory up and returns when
// its API serves and Options.Objects are installed: seconds. It continues what
// is in the directory, whichever way the last run ended. The context bounds the
// start only; the cluster then runs until Stop, which must be called.
//
// The error wraps ErrLocked where another process runs the cluster. On any
// error nothing is left running.
func Start(ctx context.Context, options Options) (*ManagementCluster, error) {
	m, err := prepare(options)
	if err != nil {
		return nil, err
	}
	if m.lock, err = takeLock(ctx, m.home, lockPatience); err != nil {
		return nil, err
	}
	if err := m.home.removeTemporaries(); err != nil {
		m.lock.release()
		return nil, err
	}
	if m.report, err = newReporter(m.home, m.options.Progress); err != nil {
		m.lock.release()
		return nil, err
	}
	if err := m.start(ctx); err != nil {
		m.report.fail(err)
		clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
		defer cancel()
		err = errors.Join(err, m.halt(clean))
		m.lock.release()
		return nil, err
	}
	return m, nil
}

func prepare(options Options) (*ManagementCluster, error) {
	home, err := openDataDir(options.Home)
	if err != nil {
		return nil, err
	}
	if options.ListenAddress == "" {
		recorded, err := home.readSettings()
		if err != nil {
			return nil, err
		}
		options.ListenAddress = cmp.Or(recorded.ListenAddress, "127.0.0.1")
	}
	listen := net.ParseIP(options.ListenAddress)
	if listen == nil {
		return nil, fmt.Errorf("--%s: %q is not an IP address: use one of this machine, like 127.0.0.1", FlagListenAddress, options.ListenAddress)
	}
	for flag, port := range map[string]int{FlagAPIServerPort: options.APIServerPort, FlagEtcdPort: options.EtcdPort} {
		if port < 0 || port > 65535 {
			return nil, fmt.Errorf("--%s: %d is not a port: use one from 1 to 65535, or 0 for a free one", flag, port)
		}
	}
	if options.APIServerPort != 0 && options.APIServerPort == options.EtcdPort {
		return nil, fmt.Errorf("--%s and --%s are both %d: use different ports", FlagAPIServerPort, FlagEtcdPort, options.EtcdPort)
	}
	if options.BinariesDir, err = filepath.Abs(options.BinariesDir); err != nil {
		return nil, fmt.Errorf("find binaries: %w", err)
	}
	for _, name := range []string{etcdName, apiServerName, controllerManagerName} {
		if _, err := exec.LookPath(filepath.Join(options.BinariesDir, name)); err != nil {
			return nil, fmt.Errorf("find %s: %w: build the binaries with `slipway image build`", name, err)
		}
	}
	if options.Log.GetSink() == nil {
		options.Log = logr.Discard()
	}
	if home, err = home.create(); err != nil {
		return nil, err
	}
	if err := home.checkSpace(minimumFree); err != nil {
		return nil, err
	}
	return &ManagementCluster{options: options, home: home, listen: listen}, nil
}

func (m *ManagementCluster) start(ctx context.Context) error {
	found, err := stopLeftovers(m.home, 10*time.Second)
	if err != nil {
		return err
	}
	for _, l := range found {
		m.options.Log.Info("stopped a process that an earlier run left", "process", l.name, "pid", l.PID)
	}
	if m.settings, err = m.home.readSettings(); err != nil {
		return err
	}
	if err := m.refuseOlderKubernetes(ctx); err != nil {
		return err
	}
	if err := m.choosePorts(); err != nil {
		return err
	}
	steps := []struct {
		phase string
		run   func(context.Context) (string, error)
	}{
		{PhaseCredentials, m.makeCredentials},
		{PhaseEtcd, m.startEtcd},
		{PhaseAPIServer, m.startAPIServer},
		{PhaseObjects, m.installObjects},
		{PhaseControllerManager, m.startControllerManager},
	}
	for _, step := range steps {
		if err := m.report.phase(step.phase, false, ""); err != nil {
			return err
		}
		detail, err := step.run(ctx)
		if err != nil {
			return err
		}
		if err := m.report.phase(step.phase, true, detail); err != nil {
			return err
		}
	}
	m.startHousekeeping()
	return nil
}

// refuseOlderKubernetes keeps binaries of an older minor version from data that
// a newer one wrote: they may not be able to read it, and say so late.
func (m *ManagementCluster) refuseOlderKubernetes(ctx context.Context) error {
	command := exec.CommandContext(ctx, filepath.Join(m.options.BinariesDir, apiServerName), "--version")
	command.Args[0] = apiServerName
	command.Env = childEnvironment(os.Environ())
	output, err := command.CombinedOutput()
	if err != nil {
		return fmt.Errorf("run %s --version: %w: %s: build the binaries anew with `slipway image build`", command.Path, err, clip(strings.TrimSpace(string(output))))
	}
	now := strings.TrimSpace(strings.TrimPrefix(string(output), "Kubernetes "))
	if err := CheckKubernetes(m.settings.KubernetesVersion, now); err != nil {
		return err
	}
	m.kubernetes = now
	return nil
}

// CheckKubernetes refuses a version of Kubernetes that must not go on with the data
// that another one wrote, see RecordedVersion. Start does so too, once there are binaries.
func CheckKubernetes(wrote, now string) error {
	before, err := version.ParseSemantic(wrote)
	if err != nil {
		return nil // the first start, or binaries without a version
	}
	after, err := version.ParseSemantic(now)
	if err != nil || after.Major() > before.Major() || (after.Major() == before.Major() && after.Minor() >= before.Minor()) {
		return nil
	}
	return fmt.Errorf("the data was written by Kubernetes %s, and %s is older and may not be able to read it: use v%d.%d or newer, or set %s to another directory",
		wrote, now, before.Major(), before.Minor(), HomeVariable)
}

// choosePorts settles both ports and records them before anything uses them.
func (m *ManagementCluster) choosePorts() error {
	loopback := net.IPv4(127, 0, 0, 1)
	s := m.settings
	s.ListenAddress = m.listen.String()
	if m.options.APIServerPort != 0 {
		s.APIServerPort = m.options.APIServerPort
	}
	if m.options.EtcdPort != 0 {
		s.EtcdPort = m.options.EtcdPort
	}
	var err error
	if s.APIServerPort == 0 {
		if s.APIServerPort, err = choosePort(m.listen, m.home, s.EtcdPort); err != nil {
			return err
		}
	} else if err := checkPort(m.listen, s.APIServerPort, FlagAPIServerPort, portPatience); err != nil {
		// The recorded port stands in kubeconfigs that were copied; only the user may change it.
		return err
	}
	if s.EtcdPort != 0 {
		err = checkPort(loopback, s.EtcdPort, FlagEtcdPort, portPatience)
		if err != nil && m.options.EtcdPort != 0 {
			return err
		}
	}
	if s.EtcdPort == 0 || err != nil {
		if s.EtcdPort, err = choosePort(loopback, m.home, s.APIServerPort); err != nil {
			return err
		}
	}
	if s.APIServerPort == s.EtcdPort {
		return fmt.Errorf("port %d is to serve both etcd and kube-apiserver: choose another with --%s", s.EtcdPort, FlagEtcdPort)
	}
	m.settings = s
	m.url = apiServerURL(m.listen, s.APIServerPort)
	return m.home.writeSettings(s)
}

func (m *ManagementCluster) makeCredentials(context.Context) (string, error) {
	written, err := ensurePKI(m.home, certificateSpecs(apiServerHosts(m.listen)), time.Now(), true)
	if err != nil {
		return "", err
	}
	if _, err := ensureEncryption(m.home); err != nil {
		return "", err
	}
	if err := writeFile(m.home.path(authenticationFile), []byte(authenticationConfiguration), 0o600); err != nil {
		return "", err
	}
	if err := writeControllerManagerKubeconfig(m.home, m.url); err != nil {
		return "", err
	}
	if err := writeKubeconfig(m.home, m.url); err != nil {
		return "", err
	}
	if len(written) == 0 {
		return "", nil
	}
	return "new: " + strings.Join(written, ", "), nil
}

func (m *ManagementCluster) newChild(name string, arguments []string) (*child, error) {
	c, err := newChild(name, m.home, m.options.BinariesDir, arguments, m.options.Log, m.report.process)
	if err == nil {
		go c.run()
	}
	return c, err
}

func (m *ManagementCluster) startEtcd(ctx context.Context) (string, error) {
	var err error
	if m.etcdChild, err = m.newChild(etcdName, etcdArguments(m.settings.EtcdPort)); err != nil {
		return "", err
	}
	if m.etcd, err = newEtcdClient(m.home, m.settings.EtcdPort); err != nil {
		return "", err
	}
	if err := m.etcdChild.awaitReady(ctx, etcdReadyLimit, m.etcd.ready); err != nil {
		return "", err
	}
	// Now, while nobody writes, is the best time.
	if did, err := m.etcd.maintain(ctx); err != nil {
		m.options.Log.Error(err, "maintain etcd")
	} else if did != "" {
		m.options.Log.Info("maintained etcd", "did", did)
	}
	status, _, err := m.etcd.database(ctx)
	if err != nil {
		return "", err
	}
	m.settings.EtcdVersion = status.Version
	return "v" + status.Version, m.home.writeSettings(m.settings)
}

func (m *ManagementCluster) startAPIServer(ctx context.Context) (string, error) {
	// From here on this version may write, and not before: a start that failed earlier
	// leaves the data to the version that it had.
	m.settings.KubernetesVersion = m.kubernetes
	err := m.home.writeSettings(m.settings)
	if err != nil {
		return "", err
	}
	m.apiServerChild, err = m.newChild(apiServerName, apiServerArguments(m.listen, m.settings.APIServerPort, m.settings.EtcdPort, m.url))
	if err != nil {
		return "", err
	}
	probe, err := newHealthProbe(m.home, m.url)
	if err != nil {
		return "", err
	}
	if err := m.apiServerChild.awaitReady(ctx, apiServerReadyLimit, probe.ready); err != nil {
		return "", err
	}
	scheme, err := installScheme()
	if err != nil {
		return "", err
	}
	c, err := client.New(m.AdminConfig(), client.Options{Scheme: scheme})
	if err != nil {
		return "", fmt.Errorf("make client: %w", err)
	}
	// The API server makes kube-system shortly after it is ready.
	err = m.apiServerChild.awaitReady(ctx, time.Minute, func(ctx context.Context) error {
		var system corev1.Namespace
		if err := c.Get(ctx, client.ObjectKey{Name: "kube-system"}, &system); err != nil {
			return fmt.Errorf("read namespace kube-system: %w", err)
		}
		m.id = system.UID
		return nil
	})
	if err != nil {
		return "", err
	}
	m.settings.ManagementClusterID = string(m.id)
	if err := m.home.writeSettings(m.settings); err != nil {
		return "", err
	}
	m.report.identity(string(m.id), m.url, m.settings)
	return m.settings.KubernetesVersion, nil
}

func (m *ManagementCluster) installObjects(ctx context.Context) (string, error) {
	// What the caller gives comes first: the garbage collector looks for new
	// kinds only every half minute and should find them at its start.
	objects := append(append([]client.Object(nil), m.options.Objects...), controllerManagerRoles()...)
	return "", Install(ctx, m.AdminConfig(), objects)
}

func (m *ManagementCluster) startControllerManager(ctx context.Context) (string, error) {
	var err error
	m.controllerManagerChild, err = m.newChild(controllerManagerName, controllerManagerArguments())
	if err != nil {
		return "", err
	}
	// It serves nothing to ask: that it was started is awaited, its later end is supervised.
	return "", m.controllerManagerChild.awaitReady(ctx, time.Minute, func(context.Context) error {
		if !m.controllerManagerChild.record().alive() {
			return errors.New("not started yet")
		}
		return nil
	})
}

// ID identifies this management cluster for as long as its data lives: the UID
// of its namespace kube-system, as is the custom for Kubernetes clusters.
func (m *ManagementCluster) ID() string { return string(m.id) }

// URL is the API server's address.
func (m *ManagementCluster) URL() string { return m.url }

// KubeconfigPath is the administrator's kubeconfig.
func (m *ManagementCluster) KubeconfigPath() string { return m.home.kubeconfig() }

// AdminConfig connects as a user who may do everything.
func (m *ManagementCluster) AdminConfig() *rest.Config { return restConfig(m.home, m.url, adminFile) }

// ControllersConfig connects as ControllersUser.
func (m *ManagementCluster) ControllersConfig() *rest.Config {
	return restConfig(m.home, m.url, controllersFile)
}

// Report makes a phase of the caller's own, like starting the controllers,
// visible in the same places as those of Start.
func (m *ManagementCluster) Report(phase string, done bool, detail string) error {
	return m.report.phase(phase, done, detail)
}

// MarkReady says that all that `slipway up` starts has been started; Detach
// returns then, and Status shows it.
func (m *ManagementCluster) MarkReady() error { return m.report.ready() }

// Stop ends the cluster: kube-controller-manager, kube-apiserver, etcd, in this
// order, each within 10 s or killed, which loses no data. The caller's
// controllers must have ended. It may be called twice.
func (m *ManagementCluster) Stop(ctx context.Context) error {
	m.stopOnce.Do(func() {
		m.stopError = m.halt(ctx)
		if m.stopError == nil {
			m.report.remove()
		}
		// Last: the next start has a state of its own, which must stay.
		m.lock.release()
	})
	return m.stopError
}

// halt ends what runs. The lock is held on to.
func (m *ManagementCluster) halt(ctx context.Context) error {
	if m.endHousekeeping != nil {
		m.endHousekeeping()
		m.housekeeping.Wait()
	}
	var problems []error
	for _, c := range []*child{m.controllerManagerChild, m.apiServerChild, m.etcdChild} {
		if c != nil {
			problems = append(problems, c.stop(ctx))
		}
	}
	if m.etcd != nil {
		_ = m.etcd.Close()
	}
	return errors.Join(problems...)
}
