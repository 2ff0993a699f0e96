// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"
)

const (
	// resyncInterval bounds how long a route, rule or file that somebody removed stays away.
	resyncInterval = 10 * time.Second

	// patience is how long a node may be without a pod CIDR before the agent says why that may be. The
	// controller manager assigns one within seconds of the node's registration.
	patience = time.Minute
)

// agent keeps one node's routes, packet filter and CNI configuration in line with the Node objects.
type agent struct {
	self    string // name of this node
	confDir string // where the CNI configuration goes
	nodes   func() ([]node, []string)
	log     *slog.Logger
	health  *health

	waitingSince time.Time       // zero: this node has a pod CIDR
	waitingSaid  time.Time       // when the log was last told
	said         map[string]bool // problems that the log was told and that last
}

// run brings things in line at every poke and every resyncInterval until ctx ends. What the kernel or the disk
// refuses is tried again; the error it returns, if any, is one that trying again cannot mend.
func (a *agent) run(ctx context.Context, poke <-chan struct{}) error {
	ticker := time.NewTicker(resyncInterval)
	defer ticker.Stop()
	for {
		err := a.bringInLine(time.Now())
		if needsRight(err) {
			return fmt.Errorf("%w: the agent needs the capability NET_ADMIN and the host's network, and may write to %s", err, a.confDir)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-poke:
		case <-ticker.C:
		}
	}
}

// bringInLine makes one pass. The packet filter comes before the routes, so that no pod is reached whose answers
// would be masqueraded, and the CNI configuration last: with it the node becomes Ready.
func (a *agent) bringInLine(now time.Time) error {
	nodes, problems := a.nodes()
	i := slices.IndexFunc(nodes, func(n node) bool { return n.Name == a.self })
	if i < 0 {
		// A list in which even this node is missing tells about a cluster made anew or a node that is
		// being removed. Taking all routes away on its word would cut off pods that still run.
		a.wait(now, fmt.Sprintf("there is no Node object named %s: routes are left as they are until there is", a.self))
		a.health.passed(now, passResult{})
		return nil
	}
	if len(nodes[i].PodCIDRs) == 0 {
		a.wait(now, fmt.Sprintf("node %s has no pod CIDR: kube-controller-manager runs without --allocate-node-cidrs (kubeadm: networking.podSubnet) "+
			"or its --cluster-cidr is used up; waiting for one", a.self))
	} else {
		a.waitingSince, a.waitingSaid = time.Time{}, time.Time{}
	}

	result := passResult{Nodes: len(nodes)}
	err := a.apply(nodes, nodes[i], &result, problems)
	result.Err = err
	result.Ready = err == nil && len(nodes[i].PodCIDRs) > 0
	a.health.passed(now, result)
	if err != nil {
		a.log.Error("pass failed; it is tried again", "error", err)
	}
	return err
}

// apply makes kernel and disk match the nodes. A route that is refused does not hold up the rest.
func (a *agent) apply(nodes []node, self node, result *passResult, problems []string) error {
	rules := planMasquerade(a.self, nodes)
	changed, err := ensureMasquerade(rules)
	if err != nil {
		return err
	}
	if changed {
		result.FilterChanges++
		a.log.Info("packet filter written", "families", len(rules), "podCIDRs", self.PodCIDRs)
	}
	current, err := currentRoutes()
	if err != nil {
		return err
	}
	plan := planRoutes(a.self, nodes, current)
	var refused error
	for _, c := range plan.Changes {
		if err := applyChange(c); err != nil {
			if needsRight(err) {
				return err
			}
			refused = errors.Join(refused, err)
			continue
		}
		result.RouteChanges++
		a.log.Info("route changed", "change", c.String())
	}
	problems = append(problems, plan.Problems...)
	for _, rule := range rules {
		on, err := ensureForwarding(forwardingSwitch(rule.IPv6))
		if err != nil {
			return err
		}
		a.log.Debug("forwarding", "ipv6", rule.IPv6, "on", on)
	}
	a.tell(problems)
	result.Problems = len(problems)
	if len(self.PodCIDRs) > 0 {
		if err := a.configure(self, result); err != nil {
			return errors.Join(err, refused)
		}
	}
	return refused
}

// configure writes the CNI configuration of this node.
func (a *agent) configure(self node, result *passResult) error {
	mtu, err := uplinkMTU(self.Addresses)
	if err != nil {
		return err
	}
	content, err := conflist(self.PodCIDRs, mtu)
	if err != nil {
		return err
	}
	written, err := writeConflist(a.confDir, content)
	if err != nil {
		return err
	}
	if written {
		result.ConflistWrites++
		a.log.Info("CNI configuration written", "file", conflistName, "podCIDRs", self.PodCIDRs, "mtu", mtu)
	}
	return nil
}

// wait tells the log why this node has no network yet, once patience has run out and then as often.
func (a *agent) wait(now time.Time, why string) {
	if a.waitingSince.IsZero() {
		a.waitingSince, a.waitingSaid = now, now
		a.log.Info("waiting for the node's pod CIDR", "node", a.self)
		return
	}
	if now.Sub(a.waitingSaid) >= patience {
		a.waitingSaid = now
		a.log.Warn(why, "waited", now.Sub(a.waitingSince).Round(time.Second).String())
	}
}

// tell logs each problem once for as long as it lasts.
func (a *agent) tell(problems []string) {
	still := map[string]bool{}
	for _, p := range problems {
		if !a.said[p] {
			a.log.Warn(p)
		}
		still[p] = true
	}
	a.said = still
}
