// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	dockerclient "github.com/moby/moby/client"

	"github.com/slipway-project/slipway/providers/docker/containers"
)

// TestFiveLosesTwo has two of five control planes die at the same time.
func TestFiveLosesTwo(t *testing.T) {
	needUpgrade(t)
	m := startManagement(t)
	key := keyOf("five")
	m.must("create", "cluster", key.Name, "--kubernetes-version", version, "--control-plane-machine-count", "5", "--worker-machine-count", "0", "--wait")
	w := m.awaitCluster(key, 5, 0)
	w.expectVoters(t, 5)
	m.mustKubectl(fmt.Sprintf(checks, key.Name), "apply", "-f", "-")
	fresh := w.askAPI(t, false)
	dead := w.controlPlaneMachines(t)[:2]
	for _, machine := range dead {
		w.killMachine(t, machine)
	}
	w.awaitReplaced(t, 5, 0, dead...)
	w.expectVoters(t, 5)
	fresh.end()
	m.sees()
	m.must("delete", "cluster", key.Name, "--wait")
}

// TestFaultsWhileUpgraded upgrades a cluster while things go wrong: each fault in a rollout of its own.
func TestFaultsWhileUpgraded(t *testing.T) {
	needUpgrade(t)
	m := newManagement(t)
	m.launch()
	m.awaitUp()
	key := keyOf("faults")
	m.must("create", "cluster", key.Name, "--kubernetes-version", talkFrom, "--control-plane-machine-count", "3", "--worker-machine-count", "1", "--wait")
	w := m.awaitCluster(key, 3, 1)
	m.mustKubectl(fmt.Sprintf(checks, key.Name), "apply", "-f", "-")
	controlPlane := "kubeadmcontrolplane/" + w.controlPlane(t).Name

	m.step("management process killed at random", func(t *testing.T) {
		upgraded := make(chan result, 1)
		fresh := w.askAPI(t, false)
		go func() { upgraded <- m.slipway("upgrade", "cluster", key.Name, "--to", talkTo, "--control-plane-only") }()
		for range 5 {
			time.Sleep(time.Duration(2+rand.IntN(12)) * time.Second)
			m.kill()
			m.launch()
			m.awaitUp()
		}
		<-upgraded // it may have failed when it met a management cluster that was down
		m.must("upgrade", "cluster", key.Name, "--to", talkTo, "--wait")
		m.awaitCluster(key, 3, 1)
		w.expectVoters(t, 3)
		fresh.expect(0, gapLimit)
	})
	m.step("leader of etcd killed", func(t *testing.T) {
		m.must("rollout", "restart", controlPlane)
		eventually(t, time.Minute, "the rollout has begun", func() string {
			if got := len(w.controlPlaneMachines(t)); got < 4 {
				return fmt.Sprintf("%d Machines", got)
			}
			return ""
		})
		leader := w.leader(t)
		w.killMachine(t, leader)
		w.awaitRollout(t, talkTo, func([]string) string { return "" })
		w.awaitReplaced(t, 3, 1, leader)
		w.expectVoters(t, 3)
	})
	m.step("a machine freezes for a minute", func(t *testing.T) {
		m.must("rollout", "restart", controlPlane)
		w.pauseMachine(t, w.controlPlaneMachines(t)[1], time.Minute)
		w.awaitRollout(t, talkTo, func([]string) string { return "" })
		m.awaitCluster(key, 3, 1)
		w.expectVoters(t, 3)
	})
	m.step("load balancer restarted", func(t *testing.T) {
		m.must("rollout", "restart", controlPlane)
		time.Sleep(5 * time.Second)
		name := containers.LoadBalancerName(m.id, key)
		if _, err := m.engine.ContainerRestart(t.Context(), name, dockerclient.ContainerRestartOptions{}); err != nil {
			t.Fatal(err)
		}
		w.awaitRollout(t, talkTo, func([]string) string { return "" })
		m.awaitCluster(key, 3, 1)
		w.expectVoters(t, 3)
	})
	m.sees()
	m.must("delete", "cluster", key.Name, "--wait")
}
