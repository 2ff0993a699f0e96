// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"

	"github.com/go-logr/logr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/slipway-project/slipway/controllers/defaultnetwork"
	"github.com/slipway-project/slipway/engine"
	"github.com/slipway-project/slipway/simulate"
	"github.com/slipway-project/slipway/workload"
)

// benchControllers are those that can be run apart from what they act on.
func benchControllers() []simulate.Controller {
	var all []simulate.Controller
	for _, registered := range append(coreControllers(), register(defaultnetwork.Controller())) {
		all = append(all, registered.onBench)
	}
	return all
}

// connectWorkloads connects to workload clusters until the context ends.
func connectWorkloads(ctx context.Context, secrets client.Reader) engine.Workloads {
	connections := workload.New(workload.Options{Secrets: secrets, Log: logr.Discard()})
	go func() {
		// Without a cache of Clusters there is nothing that it could fail at.
		_ = connections.Start(ctx)
	}()
	return connections
}
