// SPDX-License-Identifier: Apache-2.0

// Command bench takes the figures of docs/performance.md: how long slipway create cluster takes until all nodes are Ready,
// by phase, next to a floor taken in the same run (floor.sh: the same image and the same steps of kubeadm, without us).
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
	workers int
	runs    int
	home    string
	// id is that of the management cluster, which everything it has in the engine carries.
	id string
	// load is how busy the machine was with other things at the start.
	load string
}

func main() {
	b := bench{}
	var file string
	flag.StringVar(&b.version, "kubernetes-version", "v1.37.1", "version of Kubernetes")
	flag.IntVar(&b.workers, "workers", 2, "number of workers")
	flag.IntVar(&b.runs, "runs", 3, "how often to take each time; the medians count")
	flag.StringVar(&file, "write", "", "file to put the tables into")
	flag.Parse()
	ctrllog.SetLogger(logr.Discard())
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // whoever does not want to wait for what is cleaned up interrupts again
	if err := b.run(ctx, file); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		stop()
		os.Exit(1)
	}
}

func (b *bench) run(ctx context.Context, file string) (failure error) {
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
	up := time.Since(began)
	empty, err := standalone.Status(ctx, home)
	if err != nil {
		return err
	}
	b.id = empty.ManagementClusterID
	manifest := filepath.Join(home, "network.yaml")
	if err := os.WriteFile(manifest, []byte(network.Manifest()), 0o600); err != nil {
		return fmt.Errorf("write network manifest: %w", err)
	}
	var ours, floor []timing
	for i := range b.runs {
		one, err := b.floor(ctx, manifest)
		if err != nil {
			return err
		}
		say("floor %d: %s", i+1, one)
		floor = append(floor, one)
		if one, err = b.ours(ctx); err != nil {
			return err
		}
		say("slipway %d: %s", i+1, one)
		ours = append(ours, one)
	}
	busy, err := standalone.Status(ctx, home)
	if err != nil {
		return err
	}
	images, err := b.images(ctx)
	if err != nil {
		return err
	}
	text := b.tables(ours, floor, up, empty, busy, images)
	fmt.Print(text)
	if file == "" {
		return nil
	}
	return replace(file, text)
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

// floor makes a cluster without us.
func (b *bench) floor(ctx context.Context, manifest string) (timing, error) {
	command := exec.CommandContext(ctx, "test/bench/floor.sh", containers.NodeImage(b.version), fmt.Sprint(b.workers), manifest)
	command.Cancel = func() error { return command.Process.Signal(syscall.SIGTERM) }
	command.WaitDelay = time.Minute
	var stderr bytes.Buffer
	command.Stderr = &stderr
	output, err := command.Output()
	if err != nil {
		return nil, fmt.Errorf("run floor.sh: %w\n%s", err, stderr.String())
	}
	taken := timing{}
	for line := range strings.Lines(string(output)) {
		var phase string
		var seconds float64
		if _, err := fmt.Sscan(line, &phase, &seconds); err != nil {
			return nil, fmt.Errorf("read %q of floor.sh: %w", line, err)
		}
		taken[phase] = time.Duration(seconds * float64(time.Second))
	}
	return taken, nil
}
