// SPDX-License-Identifier: Apache-2.0

package containers

import (
	"errors"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var demo = Key{Namespace: "default", Name: "demo"}

func mustCreateBalancer(t *testing.T, c *Client, spec LoadBalancerSpec) LoadBalancer {
	t.Helper()
	spec.Cluster, spec.UID, spec.Image = demo, "u", testImage
	balancer, err := c.CreateLoadBalancer(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	return balancer
}

// An update that ends between the replacing of the configuration and the reload must not look like the former one.
func TestUpdateThatIsCutShort(t *testing.T) {
	engine := newMemoryEngine(t)
	c := engine.client(Options{})
	balancer := mustCreateBalancer(t, c, LoadBalancerSpec{Config: "A"})
	if balancer.ConfigDigest != ConfigDigest("A") {
		t.Fatalf("load balancer is %+v", balancer)
	}
	engine.broken = func(call string) (int, string) {
		if strings.HasSuffix(call, "/kill") {
			return 500, "gone"
		}
		return 0, ""
	}
	if err := c.UpdateLoadBalancer(t.Context(), demo, "B"); err == nil {
		t.Fatal("the update succeeded")
	}
	engine.broken = nil
	seen, err := c.LoadBalancer(t.Context(), demo)
	if err != nil || engine.containers[seen.ID].Files[configPath] != "B" || seen.ConfigDigest != "" {
		t.Errorf("the file is %q, loaded is %q, %v", engine.containers[seen.ID].Files[configPath], seen.ConfigDigest, err)
	}
	if err := c.UpdateLoadBalancer(t.Context(), demo, "A"); err != nil || engine.containers[seen.ID].Files[configPath] != "A" {
		t.Errorf("back to the former the file is %q, %v", engine.containers[seen.ID].Files[configPath], err)
	}
}

// What a load balancer has loaded is read once by a process, and only while it runs; where that fails, it can still be
// deleted.
func TestUnreadableDigest(t *testing.T) {
	engine := newMemoryEngine(t)
	c := engine.client(Options{})
	balancer := mustCreateBalancer(t, c, LoadBalancerSpec{Config: "A"})
	before := engine.count("/archive")
	if seen, err := c.LoadBalancer(t.Context(), demo); err != nil || seen.ConfigDigest != ConfigDigest("A") || engine.count("/archive") != before {
		t.Errorf("load balancer is %+v, %v, read %d times more", seen, err, engine.count("/archive")-before)
	}
	c = engine.client(Options{}) // after a restart
	engine.broken = func(call string) (int, string) {
		if strings.HasSuffix(call, "/archive") {
			return 500, "input/output error"
		}
		return 0, ""
	}
	if seen, err := c.LoadBalancer(t.Context(), demo); err != nil || !seen.Running() || seen.ConfigDigest != "" {
		t.Errorf("load balancer is %+v, %v", seen, err)
	}
	engine.containers[balancer.ID].State = "exited"
	reads := engine.count("/archive")
	if seen, err := c.LoadBalancer(t.Context(), demo); err != nil || seen.State != StateExited || engine.count("/archive") != reads {
		t.Errorf("load balancer is %+v, %v, read %d times more", seen, err, engine.count("/archive")-reads)
	}
	if err := c.DeleteLoadBalancer(t.Context(), demo, "u"); err != nil || len(engine.containers) > 0 {
		t.Errorf("left are %v, %v", engine.containers, err)
	}
}

func TestLoadBalancerAtItsEndpoint(t *testing.T) {
	engine := newMemoryEngine(t)
	c := engine.client(Options{})
	free := mustCreateBalancer(t, c, LoadBalancerSpec{})
	again := func(address string) (LoadBalancer, error) {
		if err := c.DeleteLoadBalancer(t.Context(), demo, "u"); err != nil {
			t.Fatal(err)
		}
		return c.CreateLoadBalancer(t.Context(), LoadBalancerSpec{Cluster: demo, UID: "u", Image: testImage, Address: netip.MustParseAddr(address)})
	}
	if balancer, err := again("172.18.7.7"); err != nil || balancer.Address.String() != "172.18.7.7" || balancer.Subnet.String() != "172.18.0.0/16" {
		t.Errorf("at its endpoint the load balancer is %+v, %v", balancer, err)
	}
	for _, elsewhere := range []string{"192.0.2.1", "fd00::1"} { // that the user gave
		if balancer, err := again(elsewhere); err != nil || balancer.Address != free.Address {
			t.Errorf("with endpoint %s it has address %s, %v", elsewhere, balancer.Address, err)
		}
	}
	// Of a machine that does not run, which keeps its address.
	machine, err := c.CreateMachine(t.Context(), testSpec("m"))
	if err != nil {
		t.Fatal(err)
	}
	engine.containers[machine.ID].State = "exited"
	var taken *EndpointTakenError
	if _, err := again(machine.Address.String()); !errors.As(err, &taken) || !strings.Contains(err.Error(), machine.Name) || !strings.Contains(err.Error(), machine.Address.String()) {
		t.Errorf("an address that is taken: %v", err)
	}
	for _, kept := range []string{"172.18.0.0", "172.18.255.255", "172.18.255.254"} {
		if _, err := again(kept); !errors.As(err, &taken) {
			t.Errorf("address %s is given to a container: %v", kept, err)
		}
	}
	if len(engine.containers) != 1 {
		t.Errorf("what could not be made has left %v", engine.containers)
	}
}

// A copy of a machine's container has its labels; the machine is the one with its name, and where there is none, nobody's.
func TestCopiesOfContainers(t *testing.T) {
	engine := newMemoryEngine(t)
	c := engine.client(Options{})
	machine, err := c.CreateMachine(t.Context(), testSpec("one"))
	if err != nil {
		t.Fatal(err)
	}
	copied := func(id, name string) {
		one := *engine.containers[machine.ID]
		one.ID, one.Name = id, name
		engine.containers[id] = &one
	}
	copied("a-before", "boring_copy")
	copied("z-after", "zealous_copy")
	if seen, err := c.Machine(t.Context(), machine.Key); err != nil || seen.ID != machine.ID {
		t.Errorf("beside copies the machine is %+v, %v", seen, err)
	}
	engine.containers[machine.ID].Name = "renamed"
	var several *SeveralContainersError
	if _, err := c.Machine(t.Context(), machine.Key); !errors.As(err, &several) || len(several.Found) != 3 || !strings.Contains(err.Error(), "zealous_copy") || !strings.Contains(err.Error(), c.MachineName(machine.Key)) {
		t.Errorf("renamed beside copies: %v", err)
	}
	if err := c.DeleteMachine(t.Context(), machine.Key, machine.UID); err == nil || len(engine.containers) != 3 {
		t.Errorf("the deletion left %v, %v", engine.containers, err)
	}
	delete(engine.containers, "a-before")
	delete(engine.containers, "z-after")
	if seen, err := c.Machine(t.Context(), machine.Key); err != nil || seen.ID != machine.ID {
		t.Errorf("renamed the machine is %+v, %v", seen, err)
	}
}

// A privileged container that the host refuses goes with its anonymous volumes.
func TestRefusedContainerLeavesNothing(t *testing.T) {
	engine := newMemoryEngine(t)
	c := engine.client(Options{})
	engine.broken = func(call string) (int, string) {
		if strings.HasSuffix(call, "/start") && !c.confined.Load() {
			return 500, "unable to apply caps: operation not permitted"
		}
		return 0, ""
	}
	if machine, err := c.CreateMachine(t.Context(), testSpec("one")); err != nil || !machine.Running() || len(engine.containers) != 1 {
		t.Errorf("machine is %+v, %v; containers %v", machine, err, engine.containers)
	}
	if engine.keptVolumes > 0 {
		t.Error("the container was removed without its volumes")
	}
}

// A host whose kernel has everything built in may have no folder of modules; any other folder that lacks is the user's matter.
func TestHostWithoutModules(t *testing.T) {
	engine := newMemoryEngine(t)
	c := engine.client(Options{})
	engine.lacks = []string{modulesFolder}
	spec := testSpec("one")
	spec.Mounts = []Mount{{HostPath: "/data", ContainerPath: "/data"}}
	machine, err := c.CreateMachine(t.Context(), spec)
	if err != nil || !machine.Running() {
		t.Fatalf("machine is %+v, %v", machine, err)
	}
	if got := engine.containers[machine.ID].Binds; !slices.Equal(got, []string{"/data"}) {
		t.Errorf("it has the folders %v of its host", got)
	}
	engine.lacks = []string{"/data"}
	spec.Key.Name = "two"
	if _, err := c.CreateMachine(t.Context(), spec); err == nil || !strings.Contains(err.Error(), "extraMounts") {
		t.Errorf("without the user's folder: %v", err)
	}
}

// A container for thawing that was made and not started, and a record that outlived the network, are rests of a crash.
func TestRestsOfACrashDoNotKeepTheNetwork(t *testing.T) {
	engine := newMemoryEngine(t)
	file := filepath.Join(t.TempDir(), "container-engine.json")
	c := engine.client(Options{Record: file})
	machine, err := c.CreateMachine(t.Context(), testSpec("one"))
	if err != nil {
		t.Fatal(err)
	}
	if err := c.DeleteMachine(t.Context(), machine.Key, machine.UID); err != nil {
		t.Fatal(err)
	}
	thawer := func(state State) {
		engine.containers["thawer"] = &memoryContainer{ID: "thawer", Name: "busy", State: string(state), Labels: map[string]string{LabelManagementCluster: "m1", LabelRole: string(roleThaw)}}
	}
	thawer(StateRunning)
	if gone, err := c.DeleteNetwork(t.Context()); gone || err != nil || engine.containers["thawer"] == nil {
		t.Errorf("while one thaws: gone %t, %v; containers %v", gone, err, engine.containers)
	}
	thawer(StateCreated)
	engine.networks = map[string]*memoryNetwork{}
	if gone, err := c.DeleteNetwork(t.Context()); !gone || err != nil || len(engine.containers) > 0 {
		t.Errorf("after a crash: gone %t, %v; containers %v", gone, err, engine.containers)
	}
	if text := recorded(t, file); text != "" || RecordedHost(file) != "" {
		t.Errorf("nothing is left and the engine is still remembered: %s", text)
	}
}
