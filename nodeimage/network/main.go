// SPDX-License-Identifier: Apache-2.0

// Command slipway-network is the routing agent of Slipway's default pod network. One runs on each node of a
// workload cluster. It owns, on that node, the file 10-slipway.conflist of the CNI configuration, the routes of
// protocol 83 in the kernel's main table and the nftables tables named slipway-network; the reference CNI
// plugins do the rest. It never touches routes, rules or files of anybody else, never tunnels or encrypts, knows
// nothing of network policies, and writes nothing to the API server.
//
// It needs the host's network, the capability NET_ADMIN, write access to the CNI configuration folder, and a
// service account that may get, list and watch nodes. The nodes must be on one network: a route to a node that is
// reached through a router is refused by the kernel, and reported.
package main

import (
	"context"
	_ "embed"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
)

//go:embed version.txt
var versionFile string

// version is the tag of the agent's image.
var version = strings.TrimSpace(versionFile)

// options is the command line.
type options struct {
	nodeName      string
	confDir       string
	kubeletConfig string
	credentials   string
	healthAddress string
	verbose       bool
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Getenv, os.Stderr)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "slipway-network:", err)
		os.Exit(1)
	}
}

// parseOptions reads the command line; the node's name may come from the environment too (downward API).
func parseOptions(args []string, getenv func(string) string, out io.Writer) (options, error) {
	var o options
	showVersion := false
	f := flag.NewFlagSet("slipway-network", flag.ContinueOnError)
	f.SetOutput(out)
	f.StringVar(&o.nodeName, "node-name", getenv("NODE_NAME"), "name of this node's Node object (default: $NODE_NAME)")
	f.StringVar(&o.confDir, "cni-config-dir", "/etc/cni/net.d", "folder that the container runtime reads CNI configuration from")
	f.StringVar(&o.kubeletConfig, "kubelet-kubeconfig", "/etc/kubernetes/kubelet.conf", "kubeconfig to take the API server's address from, and nothing else; empty: use the service address only")
	f.StringVar(&o.credentials, "credentials-dir", "/var/run/secrets/kubernetes.io/serviceaccount", "folder with ca.crt and token")
	f.StringVar(&o.healthAddress, "health-address", "127.0.0.1:10283", "host:port for /healthz, /readyz and /metrics")
	f.BoolVar(&o.verbose, "verbose", false, "log each pass")
	f.BoolVar(&showVersion, "version", false, "print the version and exit")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if showVersion {
		fmt.Fprintln(out, version)
		return o, flag.ErrHelp
	}
	if f.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q", f.Arg(0))
	}
	if o.nodeName == "" {
		return o, errors.New("the node's name is not known: set NODE_NAME from the downward API (spec.nodeName) or give --node-name")
	}
	if info, err := os.Stat(o.confDir); err != nil || !info.IsDir() {
		return o, fmt.Errorf("CNI configuration folder %s is not a folder: mount the node's there or name it with --cni-config-dir", o.confDir)
	}
	return o, nil
}

// run is the program. It returns when ctx ends (nil) or on an error that trying again does not mend.
func run(ctx context.Context, args []string, getenv func(string) string, out io.Writer) error {
	o, err := parseOptions(args, getenv, out)
	if err != nil {
		return err
	}
	level := slog.LevelInfo
	if o.verbose {
		level = slog.LevelDebug
	}
	log := slog.New(slog.NewTextHandler(out, &slog.HandlerOptions{Level: level}))
	klog.SetSlogLogger(log) // client-go's own voice
	servers, err := apiServers(o.kubeletConfig, getenv)
	if err != nil {
		return err
	}
	client, err := nodeClient(servers, o.credentials, log)
	if err != nil {
		return err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", o.healthAddress)
	if err != nil {
		return fmt.Errorf("serve health: %w; another agent runs on this node, or choose --health-address", err)
	}
	status := newHealth(time.Now)
	server := &http.Server{Handler: status.handler(), ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = server.Serve(listener) }()
	defer server.Close()

	log.Info("starting", "version", version, "node", o.nodeName, "server", servers[0].Host)
	poke := make(chan struct{}, 1)
	store, controller := watchNodes(client, func() {
		select {
		case poke <- struct{}{}:
		default: // one is waiting already
		}
	})
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go controller.RunWithContext(ctx)
	if !cache.WaitForCacheSync(ctx.Done(), controller.HasSynced) {
		return nil // told to stop before the API server answered
	}
	a := &agent{
		self: o.nodeName, confDir: o.confDir, log: log, health: status,
		nodes: func() ([]node, []string) { return parseNodes(store) },
	}
	return a.run(ctx, poke)
}
