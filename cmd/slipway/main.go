// SPDX-License-Identifier: Apache-2.0

// Command slipway operates Kubernetes clusters with Kubernetes: it runs a management
// cluster, its controllers, and the commands to use them.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/slipway-project/slipway/cli"
)

// version is set at build time.
var version = "dev"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(cli.Main(ctx, cli.Wiring{RunControllers: runControllers, InstalledObjects: installedObjects, Version: version}))
}
