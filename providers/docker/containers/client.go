// SPDX-License-Identifier: Apache-2.0

package containers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"github.com/moby/moby/client"
)

const (
	// IsolatedVariable is the environment variable that asks for a network which does not lead out of the host.
	IsolatedVariable = "SLIPWAY_DOCKER_ISOLATED"

	// answerTimeout bounds how long an engine may take to answer the first question.
	answerTimeout = 5 * time.Second
)

// Options say which engine to use and on whose behalf.
type Options struct {
	// Host is the engine's address, as DOCKER_HOST has it (unix:///path, tcp://host:port). Empty: DOCKER_HOST, else the
	// usual sockets of Docker, then of Podman.
	Host string
	// ManagementID tells this management cluster from every other one that uses the same engine. Required, and the same for
	// the whole life of the management cluster: names and ownership are derived from it.
	ManagementID string
	// Isolated makes the network one that does not lead out of the host: containers reach each other and the host reaches
	// them, everything else is unreachable. For tests and for hosts where no packet may leave.
	Isolated bool
	// Record is the path of a small file that remembers which engine has this management cluster's containers, so that no
	// other is ever taken for it. It is written when something is made, and read by New: only the engine remembered is
	// then asked, unless Host or DOCKER_HOST names another address. Empty: nothing is remembered.
	Record string
	// Logger gets the few things that are worth saying once, such as the fall-back from privileged containers.
	Logger logr.Logger
}

// IsolatedFromEnvironment reads IsolatedVariable: unset or empty is false.
func IsolatedFromEnvironment() (bool, error) {
	value := os.Getenv(IsolatedVariable)
	if value == "" {
		return false, nil
	}
	isolated, err := strconv.ParseBool(value)
	if err != nil {
		return false, fmt.Errorf("environment variable %s is %q: set it to true or false", IsolatedVariable, value)
	}
	return isolated, nil
}

// Engine tells which container engine answers.
type Engine struct {
	Host       string // its address
	Name       string // "Docker" or "Podman"
	Version    string
	APIVersion string // what was agreed on
	// ID is Docker's own id of the engine, asked for where Options.Record is set; empty for Podman.
	ID string
}

// Client reads and writes the containers of one management cluster. It is safe for concurrent use.
type Client struct {
	api      *client.Client
	id       string
	isolated bool
	engine   Engine
	log      logr.Logger
	bounds   bounds

	// making serialises "choose a free address, create with it" and the making of the network: the engine tells of an
	// address in use only when the container starts.
	making sync.Mutex
	// recordFile is Options.Record, recorded what stands in it; making guards both.
	recordFile string
	recorded   record
	// confined is set once the host has refused a privileged container.
	confined atomic.Bool
	// loaded are the digests of the configurations that load balancers have loaded, by container ID: nobody else loads one,
	// and to read a digest anew for every look at a cluster would cost more than all the rest of it.
	loaded sync.Map
}

// New connects to the engine and asks it for its version. It gives *EngineUnavailableError within seconds when none
// answers, and *OtherEngineError when the one that answers is not the one remembered.
func New(ctx context.Context, options Options) (*Client, error) {
	if options.ManagementID == "" {
		return nil, errors.New("connect to container engine: no management cluster id is given")
	}
	recorded, err := readRecord(options.Record, options.ManagementID)
	if err != nil {
		return nil, fmt.Errorf("connect to container engine: %w", err)
	}
	hosts, given := candidates(options.Host)
	unavailable := &EngineUnavailableError{FromEnvironment: given}
	if !given && !recorded.empty() {
		hosts, unavailable.Record = []string{recorded.Host}, options.Record
	}
	for _, host := range hosts {
		api, engine, err := dial(ctx, host, options.Record != "")
		if err != nil {
			unavailable.Tried = append(unavailable.Tried, fmt.Sprintf("%s: %s", host, firstLine(err.Error())))
			continue
		}
		if err := usable(engine, options, recorded); err != nil {
			_ = api.Close()
			return nil, err
		}
		return &Client{
			api: api, id: options.ManagementID, isolated: options.Isolated, engine: engine, log: options.Logger, bounds: usualBounds,
			recordFile: options.Record, recorded: recorded,
		}, nil
	}
	return nil, unavailable
}

// usable tells why an engine that answers is not to be used.
func usable(engine Engine, options Options, recorded record) error {
	if !recorded.empty() && !recorded.same(engine) {
		return &OtherEngineError{Found: engine, Recorded: Engine{Host: recorded.Host, Name: recorded.Engine, ID: recorded.ID}, Record: options.Record}
	}
	if options.Isolated && engine.Name == enginePodman {
		return fmt.Errorf("connect to container engine: %s=true needs Docker Engine, but %s is Podman: unset it or set DOCKER_HOST", IsolatedVariable, engine.Host)
	}
	return nil
}

// Close drops the connections. Containers stay as they are.
func (c *Client) Close() error { return c.api.Close() }

// Engine tells which engine this client talks to.
func (c *Client) Engine() Engine { return c.engine }

// ManagementID is the id that everything made by this client is labelled with.
func (c *Client) ManagementID() string { return c.id }

const enginePodman = "Podman"

// candidates lists the addresses to try, and whether the user named the address.
func candidates(host string) (hosts []string, given bool) {
	if host == "" {
		host = os.Getenv(client.EnvOverrideHost)
	}
	if host != "" {
		return []string{host}, true
	}
	hosts = []string{client.DefaultDockerHost}
	runtime := os.Getenv("XDG_RUNTIME_DIR")
	if runtime != "" {
		hosts = append(hosts, "unix://"+runtime+"/docker.sock", "unix://"+runtime+"/podman/podman.sock")
	}
	return append(hosts, "unix:///run/podman/podman.sock"), false
}

// dial connects to one address and asks what answers there, and with identify which one of its kind it is.
func dial(ctx context.Context, host string, identify bool) (*client.Client, Engine, error) {
	if strings.HasPrefix(host, "ssh://") {
		return nil, Engine{}, errors.New("ssh addresses are not supported: forward the socket (ssh -L) and name it as unix://")
	}
	api, err := client.New(client.WithTLSClientConfigFromEnv(), client.WithHost(host), client.WithAPIVersionFromEnv())
	if err != nil {
		return nil, Engine{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	version, err := api.ServerVersion(ctx, client.ServerVersionOptions{})
	if err != nil {
		_ = api.Close()
		return nil, Engine{}, err
	}
	engine := Engine{Host: host, Name: "Docker", Version: version.Version, APIVersion: api.ClientVersion()}
	for _, component := range version.Components {
		if strings.Contains(component.Name, enginePodman) {
			engine.Name = enginePodman
		}
	}
	if identify && engine.Name != enginePodman { // which makes up another id for each answer
		info, err := api.Info(ctx, client.InfoOptions{})
		if err != nil {
			_ = api.Close()
			return nil, Engine{}, err
		}
		engine.ID = info.Info.ID
	}
	return api, engine, nil
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	return line
}
