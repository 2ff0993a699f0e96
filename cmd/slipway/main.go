// SPDX-License-Identifier: Apache-2.0

// Command slipway operates Kubernetes clusters with Kubernetes: it runs a management
// cluster, its controllers, and the commands to use them.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/slipway-project/slipway/cli"
)

// version is set at build time.
var version = "dev"

// sameWish is how long after an interruption another one is taken for the same: timeout(1), for one, sends its signal to
// the process and to its group, and so twice.
const sameWish = 500 * time.Millisecond

// interruptible ends the context at Ctrl-C or SIGTERM, for everything to stop in order. A Ctrl-C after that ends the process
// at once, whatever it waits for. A SIGTERM does not: slipway down sends one, and it may find a process that stops already.
func interruptible(parent context.Context) (context.Context, context.CancelFunc) {
	ctx, stop := signal.NotifyContext(parent, os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, func() {
		time.Sleep(sameWish)
		signal.Reset(os.Interrupt)
	})
	return ctx, stop
}

func main() {
	ctx, stop := interruptible(context.Background())
	defer stop()
	os.Exit(cli.Main(ctx, cli.Wiring{
		RunControllers: runControllers, InstalledObjects: installedObjects, Version: version,
		Controllers: benchControllers, ConnectWorkloads: connectWorkloads,
	}))
}
