// SPDX-License-Identifier: Apache-2.0

// Command bench takes the figures of docs/performance.md, next to a floor taken in the same run by a script that does the
// same with plain kubeadm and without us. In mode quickstart: how long slipway create cluster takes until all nodes are
// Ready, by phase (floor.sh). In mode upgrade: how long it takes to get more control planes and to be upgraded, by phase
// (floor-upgrade.sh), what clients of the cluster's API notice of it and of repairs, and what our processes need for it.
//
// It runs bin/slipway as a user does, in a data directory of its own, on a network that does not lead out of the host, and
// removes all of it at the end. It prints the tables, and with -write puts them between the marks in a file.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/slipway-project/slipway/deploy/network"
	"github.com/slipway-project/slipway/providers/docker/containers"
	"github.com/slipway-project/slipway/standalone"
)

// bench is one run of this command.
type bench struct {
	version string
	// from is the version of which a cluster is that is upgraded.
	from    string
	workers int
	runs    int
	home    string
	// id is that of the management cluster, which everything it has in the engine carries.
	id string
	// load is how busy the machine was with other things at the start.
	load string
	// up is how long the start of the management cluster took, and empty how it was then.
	up    time.Duration
	empty standalone.State
}

// mode is something to take figures of.
type mode struct {
	take func(b *bench, ctx context.Context, manifest string) (tables string, err error)
	// target is the one of the Makefile; the marks in the file name it.
	target string
}

var modes = map[string]mode{
	"quickstart": {take: (*bench).takeQuickstart, target: "bench-quickstart"},
	"upgrade":    {take: (*bench).takeUpgrade, target: "bench-upgrade"},
}

func main() {
	b := bench{}
	var file, name string
	flag.StringVar(&name, "mode", "quickstart", "what to take figures of: quickstart or upgrade")
	flag.StringVar(&b.version, "kubernetes-version", "v1.37.1", "version of Kubernetes")
	flag.StringVar(&b.from, "from-version", "v1.36.3", "version of Kubernetes to upgrade from")
	flag.IntVar(&b.workers, "workers", 2, "number of workers of quickstart")
	flag.IntVar(&b.runs, "runs", 3, "how often to take each time; the medians count")
	flag.StringVar(&file, "write", "", "file to put the tables into")
	flag.Parse()
	ctrllog.SetLogger(logr.Discard())
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // whoever does not want to wait for what is cleaned up interrupts again
	chosen, known := modes[name]
	if !known {
		fmt.Fprintf(os.Stderr, "bench: there is no mode %q: give quickstart or upgrade\n", name)
		os.Exit(2)
	}
	if err := b.run(ctx, chosen, file); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		stop()
		os.Exit(1)
	}
}

func (b *bench) run(ctx context.Context, chosen mode, file string) (failure error) {
	home, err := os.MkdirTemp("", "slipway-bench-")
	if err != nil {
		return fmt.Errorf("make data directory: %w", err)
	}
	b.home, b.load = home, load()
	// Not in the context of the run, which may have been interrupted.
	defer func() { failure = errors.Join(failure, b.clean(context.WithoutCancel(ctx))) }()
	began := time.Now()
	if _, err := b.slipway(ctx, "up", "--detach", "--kubernetes-version", b.version); err != nil {
		return err
	}
	b.up = time.Since(began)
	if b.empty, err = standalone.Status(ctx, home); err != nil {
		return err
	}
	b.id = b.empty.ManagementClusterID
	manifest := filepath.Join(home, "network.yaml")
	if err := os.WriteFile(manifest, []byte(network.Manifest()), 0o600); err != nil {
		return fmt.Errorf("write network manifest: %w", err)
	}
	text, err := chosen.take(b, ctx, manifest)
	if err != nil {
		return err
	}
	fmt.Print(text)
	if file == "" {
		return nil
	}
	return replace(file, chosen.target, text)
}

func say(format string, values ...any) { fmt.Fprintf(os.Stderr, format+"\n", values...) }

// slipway runs a verb and returns what it prints.
func (b *bench) slipway(ctx context.Context, arguments ...string) (string, error) {
	command := exec.CommandContext(ctx, "bin/slipway", arguments...)
	// An interrupted verb ends by itself.
	command.Cancel = func() error { return command.Process.Signal(syscall.SIGTERM) }
	command.Env = append(slices.DeleteFunc(os.Environ(), func(entry string) bool { return strings.HasPrefix(entry, "KUBECONFIG=") }),
		standalone.HomeVariable+"="+b.home, containers.IsolatedVariable+"=true")
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	if err := command.Run(); err != nil {
		return "", fmt.Errorf("run slipway %s: %w\n%s", strings.Join(arguments, " "), err, stderr.String())
	}
	return stdout.String(), nil
}
