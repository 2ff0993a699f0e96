// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestNetnsStory lets real agents keep the network of three nodes through the days of a cluster: joining, traffic,
// drift, a crash, a reused pod CIDR, an outage of the API server, leaving.
func TestNetnsStory(t *testing.T) {
	w := newWorld(t)
	a, b, c := w.addMachine("a", 11), w.addMachine("b", 12), w.addMachine("c", 13)
	a.run() // before its Node object is there
	w.addNode("b", []string{b.ip, b.ip6}, "10.244.2.0/24", "fd10:0:0:2::/64")
	w.addNode("c", []string{c.ip, c.ip6}, "10.244.3.0/24", "fd10:0:0:3::/64")
	b.run()
	c.run()
	b.hasRoutes("unreachable 10.244.2.0/24", "10.244.3.0/24 via "+c.ip, "unreachable fd10:0:0:2::/64", "fd10:0:0:3::/64 via "+c.ip6)

	w.checkWaiting(a)
	w.patchNode("a", "", map[string]any{"spec": map[string]any{
		"podCIDR": "10.244.1.0/24", "podCIDRs": []string{"10.244.1.0/24", "fd10:0:0:1::/64"},
	}})
	all := []string{
		"unreachable 10.244.1.0/24", "10.244.2.0/24 via " + b.ip, "10.244.3.0/24 via " + c.ip,
		"unreachable fd10:0:0:1::/64", "fd10:0:0:2::/64 via " + b.ip6, "fd10:0:0:3::/64 via " + c.ip6,
	}
	a.hasRoutes(all...)
	w.checkConflist(a)

	podA := a.addPod("a1", "10.244.1.5", "fd10:0:0:1::5")
	podB := b.addPod("b1", "10.244.2.5", "fd10:0:0:2::5")
	w.checkTraffic(a, b, podA, podB)
	w.checkDrift(a, all)
	w.reaches(podB.namespace, podA.ip, podB.ip)

	w.checkCrash(a, b, c)
	w.checkReuse(a, b)
	w.checkOutage(a, b)
	w.checkLeaving(a, b)
	w.logFootprint(a)
}

// checkWaiting holds an agent whose node has no pod CIDR to being alive and not ready, with no CNI configuration.
func (w *world) checkWaiting(m *machine) {
	w.t.Helper()
	w.addNode(m.name, []string{m.ip, m.ip6})
	w.eventually("agent waits and routes to the others", func() error {
		if code, body := m.get("/readyz"); code != http.StatusServiceUnavailable || !strings.Contains(body, "no pod CIDR yet") {
			return fmt.Errorf("/readyz: %d %s", code, body)
		}
		return nil
	})
	if code, body := m.get("/healthz"); code != http.StatusOK {
		w.t.Errorf("/healthz of a waiting agent: %d %s", code, body)
	}
	if _, err := os.Stat(w.path(m.name + "/net.d/" + conflistName)); !errors.Is(err, os.ErrNotExist) {
		w.t.Errorf("CNI configuration before there is a pod CIDR: %v", err)
	}
}

func (w *world) checkConflist(m *machine) {
	w.t.Helper()
	w.eventually("ready", func() error {
		if code, body := m.get("/readyz"); code != http.StatusOK {
			return fmt.Errorf("/readyz: %d %s", code, body)
		}
		return nil
	})
	raw, err := os.ReadFile(filepath.Join(w.path(m.name), "net.d", conflistName))
	if err != nil {
		w.t.Fatal(err)
	}
	var list struct {
		Plugins []struct {
			MTU  int
			IPAM struct{ Ranges [][]struct{ Subnet string } }
		}
	}
	if err := json.Unmarshal(raw, &list); err != nil {
		w.t.Fatal(err)
	}
	if got := fmt.Sprint(list.Plugins[0].MTU, list.Plugins[0].IPAM.Ranges); got != "1430 [[{10.244.1.0/24}] [{fd10:0:0:1::/64}]]" {
		w.t.Errorf("CNI configuration has %s; want the uplink's MTU and the node's two ranges", got)
	}
}

// checkTraffic holds the data path: pods see each other's own addresses, the world sees the node's, and a pod that
// is not there is refused at once.
func (w *world) checkTraffic(a, b *machine, podA, podB testPod) {
	w.t.Helper()
	w.reaches(podA.namespace, podB.ip, podA.ip)
	w.reaches(podB.namespace, podA.ip, podB.ip)
	w.reaches(podA.namespace, podB.ip6, podA.ip6)
	w.reaches(podB.namespace, podA.ip6, podB.ip6)
	w.serve(apiNamespace, "outside", ":80")
	w.reaches(podA.namespace, apiAddress, a.ip)
	w.reaches(podA.namespace, apiAddress6, a.ip6)
	for _, absent := range []string{"10.244.2.99", "fd10:0:0:2::99"} {
		start := time.Now()
		_, err := w.dial(podA.namespace, absent)
		if err == nil || strings.Contains(err.Error(), "i/o timeout") {
			w.t.Errorf("dial of absent pod %s: %v after %s; want a refusal", absent, err, time.Since(start))
		}
	}
}

// checkDrift holds that what somebody removes comes back, and that what is not the agent's stays as it is.
func (w *world) checkDrift(m *machine, routes []string) {
	w.t.Helper()
	in := func(args ...string) string {
		return w.must(append([]string{"ip", "netns", "exec", m.namespace}, args...)...)
	}
	in("ip", "route", "add", "10.99.0.0/16", "via", apiAddress)
	in("ip", "route", "del", "10.244.2.0/24")
	in("ip", "-6", "route", "del", "fd10:0:0:3::/64")
	in("ip", "route", "del", "unreachable", "10.244.1.0/24")
	in("ip", "route", "add", "10.244.77.0/24", "via", apiAddress, "proto", fmt.Sprint(routeProtocol)) // as an earlier run might have left
	in("nft", "flush", "ruleset")
	// Stands for kube-proxy in its nftables mode, and the next line for it in its iptables mode.
	in("nft", "add table ip kube-proxy; add chain ip kube-proxy nat-postrouting { type nat hook postrouting priority srcnat; }; "+
		"add rule ip kube-proxy nat-postrouting meta mark & 0x4000 != 0 masquerade")
	in("iptables-nft", "-t", "nat", "-A", "POSTROUTING", "-m", "mark", "--mark", "0x4000/0x4000", "-j", "MASQUERADE")
	if err := os.Remove(w.path(m.name + "/net.d/" + conflistName)); err != nil {
		w.t.Fatal(err)
	}
	m.hasRoutes(routes...)
	w.eventually("packet filter and CNI configuration are back", func() error {
		_, err := os.Stat(w.path(m.name + "/net.d/" + conflistName))
		if rules := in("nft", "list", "ruleset"); strings.Count(rules, "table ip slipway-network") != 1 || strings.Count(rules, "table ip6 slipway-network") != 1 {
			return errors.Join(err, fmt.Errorf("rules:\n%s", rules))
		}
		return err
	})
	// A set that somebody thinned out is made whole, and nothing is written when nothing is missing.
	in("nft", "flush set ip slipway-network own-pods")
	w.eventually("set is whole", func() error {
		if set := in("nft", "list", "set", "ip", "slipway-network", "own-pods"); !strings.Contains(set, "10.244.1.0/24") {
			return errors.New(set)
		}
		return nil
	})
	rules := in("nft", "list", "ruleset")
	for _, foreign := range []string{"table ip kube-proxy", "meta mark & 0x00004000", "table ip nat", "chain POSTROUTING"} {
		if !strings.Contains(rules, foreign) {
			w.t.Errorf("somebody else's %q is gone:\n%s", foreign, rules)
		}
	}
	if got := in("ip", "route", "show", "10.99.0.0/16"); got == "" {
		w.t.Error("somebody else's route is gone")
	}
	w.checkQuiet(m)
}

// checkQuiet holds that an agent with nothing to do writes nothing: its counters stay for two passes.
func (w *world) checkQuiet(m *machine) {
	w.t.Helper()
	counters := func() (passes, writes string) {
		_, body := m.get("/metrics")
		for line := range strings.Lines(body) {
			switch {
			case strings.HasPrefix(line, "slipway_network_passes_total"):
				passes = line
			case strings.Contains(line, "_changes_total ") || strings.Contains(line, "_writes_total "):
				writes += line
			}
		}
		return passes, writes
	}
	var last string
	seen := map[string]bool{}
	passes, writes := counters()
	seen[passes], last = true, writes
	w.eventuallyWithin(3*resyncInterval, "two quiet passes", func() error {
		passes, writes := counters()
		if writes != last {
			w.t.Errorf("an idle agent writes: before\n%snow\n%s", last, writes)
			last = writes
		}
		if seen[passes] = true; len(seen) < 3 {
			return fmt.Errorf("%d passes seen", len(seen)-1)
		}
		return nil
	})
}

// checkCrash holds that an agent that comes back finds what it left: no stale route survives what happened meanwhile.
func (w *world) checkCrash(a, b, c *machine) {
	w.t.Helper()
	stop(a.agent)
	w.deleteNode("c")
	w.addNode("d", []string{"192.168.77.14", "fd77::14"}, "10.244.3.0/24", "fd10:0:0:4::/64")
	a.run()
	a.hasRoutes("unreachable 10.244.1.0/24", "10.244.2.0/24 via "+b.ip, "10.244.3.0/24 via 192.168.77.14",
		"unreachable fd10:0:0:1::/64", "fd10:0:0:2::/64 via "+b.ip6, "fd10:0:0:4::/64 via fd77::14")
	stop(c.agent)
}

// checkReuse holds that a pod CIDR and a node address that go to another node are followed at once.
func (w *world) checkReuse(a, b *machine) {
	w.t.Helper()
	w.deleteNode("d")
	w.addNode("e", []string{"192.168.77.15"}, "10.244.3.0/24")
	start := time.Now()
	a.hasRoutes("unreachable 10.244.1.0/24", "10.244.2.0/24 via "+b.ip, "10.244.3.0/24 via 192.168.77.15",
		"unreachable fd10:0:0:1::/64", "fd10:0:0:2::/64 via "+b.ip6)
	w.t.Logf("reused pod CIDR followed in %s", time.Since(start).Round(time.Millisecond))
	w.patchNode("e", "/status", map[string]any{"status": map[string]any{"addresses": []map[string]string{
		{"type": "InternalIP", "address": "192.168.77.16"},
	}}})
	a.hasRoutes("unreachable 10.244.1.0/24", "10.244.2.0/24 via "+b.ip, "10.244.3.0/24 via 192.168.77.16",
		"unreachable fd10:0:0:1::/64", "fd10:0:0:2::/64 via "+b.ip6)

	// A node that cannot be reached directly is refused by the kernel, and holds up nobody else.
	w.addNode("far", []string{"10.1.2.3"}, "10.244.9.0/24")
	w.addNode("near", []string{"192.168.77.17"}, "10.244.10.0/24")
	w.eventually("the far node is told of", func() error {
		if code, body := a.get("/readyz"); code != http.StatusServiceUnavailable || !strings.Contains(body, "10.1.2.3 is not on a network that this node is on") {
			return fmt.Errorf("/readyz: %d %s", code, body)
		}
		return nil
	})
	a.hasRoutes("unreachable 10.244.1.0/24", "10.244.2.0/24 via "+b.ip, "10.244.3.0/24 via 192.168.77.16",
		"10.244.10.0/24 via 192.168.77.17", "unreachable fd10:0:0:1::/64", "fd10:0:0:2::/64 via "+b.ip6)
	w.deleteNode("far")
	w.deleteNode("near")
}

// checkOutage holds that the network stays, and is repaired, while the API server is away, and that what happened
// in the meantime is followed after it.
func (w *world) checkOutage(a, b *machine) {
	w.t.Helper()
	a.hasRoutes("unreachable 10.244.1.0/24", "10.244.2.0/24 via "+b.ip, "10.244.3.0/24 via 192.168.77.16",
		"unreachable fd10:0:0:1::/64", "fd10:0:0:2::/64 via "+b.ip6)
	stop(w.api)
	w.must("ip", "-n", a.namespace, "route", "del", "10.244.2.0/24")
	a.hasRoutes("unreachable 10.244.1.0/24", "10.244.2.0/24 via "+b.ip, "10.244.3.0/24 via 192.168.77.16",
		"unreachable fd10:0:0:1::/64", "fd10:0:0:2::/64 via "+b.ip6)
	if code, body := a.get("/healthz"); code != http.StatusOK {
		w.t.Errorf("/healthz without an API server: %d %s", code, body)
	}
	w.api = w.start(apiNamespace, "apiserver-2.log", nil, w.apiArgs...)
	end := time.Now().Add(90 * time.Second)
	for code := 0; code != http.StatusOK; code, _ = w.request(http.MethodGet, "/readyz", nil) {
		if time.Now().After(end) {
			w.t.Fatal("kube-apiserver does not come back")
		}
		time.Sleep(200 * time.Millisecond)
	}
	w.deleteNode("e")
	end = time.Now().Add(60 * time.Second) // the watch is tried again at growing distances
	for want := 4; len(a.routes()) != want; time.Sleep(100 * time.Millisecond) {
		if time.Now().After(end) {
			w.t.Fatalf("after the outage: %q", a.routes())
		}
	}
}

// checkLeaving holds that a node that goes takes its routes with it, and that an agent whose own node is gone holds
// still.
func (w *world) checkLeaving(a, b *machine) {
	w.t.Helper()
	w.deleteNode("a")
	b.hasRoutes("unreachable 10.244.2.0/24", "unreachable fd10:0:0:2::/64")
	a.hasRoutes("unreachable 10.244.1.0/24", "10.244.2.0/24 via "+b.ip, "unreachable fd10:0:0:1::/64", "fd10:0:0:2::/64 via "+b.ip6)
}

// logFootprint tells what the agent weighs.
func (w *world) logFootprint(m *machine) {
	w.t.Helper()
	info, err := os.Stat(w.agent)
	if err != nil {
		w.t.Fatal(err)
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", m.agent.Process.Pid))
	if err != nil {
		w.t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if strings.HasPrefix(line, "VmRSS") || strings.HasPrefix(line, "RssAnon") {
			w.t.Log(strings.TrimSpace(line))
		}
	}
	w.t.Logf("binary: %d bytes", info.Size())
}
