// SPDX-License-Identifier: Apache-2.0

package containers

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr/funcr"
	"github.com/moby/moby/client"
)

// These tests need a container engine. They run when SLIPWAY_TEST_DOCKER is set, make their image from this machine's
// statically linked busybox, and leave nothing behind but that image.
const (
	dockerVariable = "SLIPWAY_TEST_DOCKER"
	testImage      = "localhost/slipway-test:2" // another number with other content: an image of that name is taken as it is
)

// newTestClient connects as a management cluster of the test's own and removes all of it at the end.
func newTestClient(t *testing.T) *Client {
	t.Helper()
	if os.Getenv(dockerVariable) == "" {
		t.Skipf("needs a container engine: set %s=1", dockerVariable)
	}
	c, err := New(t.Context(), Options{ManagementID: fmt.Sprintf("test-%d", time.Now().UnixNano())})
	if err != nil {
		t.Fatal(err)
	}
	c.isolated = c.engine.Name != enginePodman
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		c.removeAll(ctx, t)
		_ = c.Close()
	})
	importTestImage(t, c)
	return c
}

func (c *Client) removeAll(ctx context.Context, t *testing.T) {
	list, err := c.api.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: c.owned()})
	if err != nil {
		t.Errorf("clean up: %v", err)
		return
	}
	for _, item := range list.Items {
		if err := c.remove(ctx, item.ID); err != nil {
			t.Errorf("clean up: %v", err)
		}
	}
	volumes, err := c.api.VolumeList(ctx, client.VolumeListOptions{Filters: c.owned()})
	if err != nil {
		t.Errorf("clean up: %v", err)
		return
	}
	for _, item := range volumes.Items {
		if err := c.removeVolume(ctx, item.Name); err != nil {
			t.Errorf("clean up: %v", err)
		}
	}
	networks, err := c.api.NetworkList(ctx, client.NetworkListOptions{Filters: c.owned()})
	if err != nil {
		t.Errorf("clean up: %v", err)
		return
	}
	for _, item := range networks.Items {
		if err := c.removeNetwork(ctx, item.ID); err != nil {
			t.Errorf("clean up: %v", err)
		}
	}
}

// importTestImage makes an image of busybox, an init that waits, and a stand-in for HAProxy that counts its reloads and
// refuses a configuration with the word "broken".
func importTestImage(t *testing.T, c *Client) {
	t.Helper()
	if image, err := c.Image(t.Context(), testImage); err != nil {
		t.Fatal(err)
	} else if image.Exists {
		return
	}
	binary, err := exec.LookPath("busybox")
	if err != nil {
		t.Fatal("needs a static busybox (Debian: apt-get install busybox-static)")
	}
	content, err := os.ReadFile(binary)
	if err != nil {
		t.Fatal(err)
	}
	const haproxy = `#!/bin/sh
if [ "$1" = -c ]; then
  grep -q broken "$3" && { echo "parsing [$3:1]: unknown keyword 'broken'" >&2; exit 1; }
  exit 0
fi
trap 'echo reloaded >> /reloads' HUP
trap 'exit 0' TERM
while :; do sleep 0.1; done
`
	var archive bytes.Buffer
	writer := tar.NewWriter(&archive)
	add := func(header tar.Header, content []byte) {
		header.Size = int64(len(content))
		if err := errors.Join(writer.WriteHeader(&header), write(writer, content)); err != nil {
			t.Fatal(err)
		}
	}
	for _, dir := range []string{"bin", "sbin", "etc", "tmp", "run", "var", "proc", "sys", "lib"} {
		add(tar.Header{Name: dir + "/", Typeflag: tar.TypeDir, Mode: 0o755}, nil)
	}
	add(tar.Header{Name: "bin/busybox", Typeflag: tar.TypeReg, Mode: 0o755}, content)
	for _, name := range []string{"sh", "cat", "echo", "grep", "sleep", "mount", "awk", "mkdir", "mv", "rm", "chmod", "chown", "dirname", "readlink", "stat", "id", "hostname", "ip", "nc", "ping", "find"} {
		add(tar.Header{Name: "bin/" + name, Typeflag: tar.TypeSymlink, Linkname: "busybox"}, nil)
	}
	add(tar.Header{Name: "sbin/init", Typeflag: tar.TypeReg, Mode: 0o755}, []byte("#!/bin/sh\ntrap 'exit 3' TERM\necho booted\nwhile :; do sleep 0.1; done\n"))
	add(tar.Header{Name: "bin/haproxy", Typeflag: tar.TypeReg, Mode: 0o755}, []byte(haproxy))
	add(tar.Header{Name: "bin/start", Typeflag: tar.TypeReg, Mode: 0o755}, []byte("#!/bin/sh\n[ -e /usr/local/etc/haproxy/haproxy.cfg ] && exec haproxy\nexec /sbin/init\n"))
	add(tar.Header{Name: "etc/passwd", Typeflag: tar.TypeReg, Mode: 0o644}, []byte("root:x:0:0::/:/bin/sh\n"))
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}
	result, err := c.api.ImageImport(t.Context(), client.ImageImportSource{Source: &archive, SourceName: "-"}, "localhost/slipway-test", client.ImageImportOptions{
		Tag: "2", Changes: []string{`ENTRYPOINT ["/bin/start"]`},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer result.Close()
	if _, err := io.Copy(io.Discard, result); err != nil {
		t.Fatal(err)
	}
}

func testSpec(name string) MachineSpec {
	return MachineSpec{
		Key: Key{Namespace: "default", Name: name}, Cluster: Key{Namespace: "default", Name: "demo"},
		UID: "uid-" + name, Role: RoleWorker, Image: testImage, FailureDomain: "fd1",
	}
}

func mustCreate(t *testing.T, c *Client, spec MachineSpec) Machine {
	t.Helper()
	machine, err := c.CreateMachine(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	return machine
}

func TestMachineLifeInDocker(t *testing.T) {
	c := newTestClient(t)
	spec := testSpec("one")
	before, err := c.Machine(t.Context(), spec.Key)
	if err != nil || before.Exists || before.VolumeExists || before.TakenBy != "" {
		t.Fatalf("before: %+v, %v", before, err)
	}
	machine := mustCreate(t, c, spec)
	if !machine.Running() || machine.Role != RoleWorker || machine.Cluster != spec.Cluster || machine.UID != spec.UID || machine.FailureDomain != "fd1" || !machine.VolumeExists || machine.Started.IsZero() {
		t.Errorf("machine is %+v", machine)
	}
	if machine.Name != c.MachineName(spec.Key) || machine.Image != testImage {
		t.Errorf("name %q, image %q", machine.Name, machine.Image)
	}
	network, err := c.Network(t.Context())
	if err != nil || !network.Exists || network.Isolated != c.isolated || !network.Subnet.Contains(machine.Address) || lowerHalf(network.Subnet).Contains(machine.Address) {
		t.Errorf("address %s on network %+v, %v", machine.Address, network, err)
	}
	if again := mustCreate(t, c, spec); again.ID != machine.ID {
		t.Errorf("a second create made another container: %s, was %s", again.ID, machine.ID)
	}
	all, err := c.Machines(t.Context(), spec.Cluster)
	if err != nil || len(all) != 1 || all[0].ID != machine.ID {
		t.Errorf("machines are %+v, %v", all, err)
	}

	// It stops by itself: seen with its exit code and address, not started by a create, started by a restart.
	if err := eventually(func() bool { // its init then minds signals
		diagnosis, err := c.Diagnose(t.Context(), spec.Key)
		return err == nil && diagnosis.LastLine == "booted"
	}); err != nil {
		t.Fatalf("the machine does not say that it has booted: %v", err)
	}
	patience := 10 // seconds
	if _, err := c.api.ContainerStop(t.Context(), machine.ID, client.ContainerStopOptions{Timeout: &patience}); err != nil {
		t.Fatal(err)
	}
	stopped := mustCreate(t, c, spec)
	if stopped.State != StateExited || stopped.ExitCode != 3 || stopped.Address != machine.Address {
		t.Errorf("stopped machine is %+v", stopped)
	}
	if _, _, _, err := c.Node(spec.Key).Exec(t.Context(), []string{"true"}, nil); !errorIs[*NotRunningError](err) {
		t.Errorf("a command in a stopped machine: %v", err)
	}
	if diagnosis, err := c.Diagnose(t.Context(), spec.Key); err != nil || diagnosis != (Diagnosis{LastLine: "booted"}) {
		t.Errorf("diagnosis is %+v, %v", diagnosis, err)
	}
	for range 2 {
		if err := c.RestartMachine(t.Context(), spec.Key); err != nil {
			t.Fatal(err)
		}
	}
	if restarted, err := c.Machine(t.Context(), spec.Key); err != nil || !restarted.Running() || restarted.Address != machine.Address {
		t.Errorf("restarted machine is %+v, %v", restarted, err)
	}

	if gone, err := c.DeleteNetwork(t.Context()); err != nil || gone {
		t.Errorf("the network was deleted under a machine: %t, %v", gone, err)
	}
	for range 2 {
		if err := c.DeleteMachine(t.Context(), spec.Key, spec.UID); err != nil {
			t.Fatal(err)
		}
	}
	after, err := c.Machine(t.Context(), spec.Key)
	if err != nil || after.Exists || after.VolumeExists {
		t.Errorf("after: %+v, %v", after, err)
	}
	for range 2 {
		if gone, err := c.DeleteNetwork(t.Context()); err != nil || !gone {
			t.Errorf("network is gone: %t, %v", gone, err)
		}
	}
	if err := c.RestartMachine(t.Context(), spec.Key); !errorIs[*NotRunningError](err) {
		t.Errorf("restart of nothing: %v", err)
	}
}

func errorIs[T error](err error) bool {
	var target T
	return errors.As(err, &target)
}

func TestHalfMadeMachineInDocker(t *testing.T) {
	c := newTestClient(t)
	spec := testSpec("half")
	image, err := c.Image(t.Context(), spec.Image)
	if err != nil {
		t.Fatal(err)
	}
	// As after a crash between making and starting: privileged, the way a process makes its first one.
	id, err := c.makeMachine(t.Context(), spec, image)
	if err != nil {
		t.Fatal(err)
	}
	half, err := c.Machine(t.Context(), spec.Key)
	if err != nil || !half.HalfMade() || half.ID != id || !half.Address.IsValid() {
		t.Fatalf("half-made machine is %+v, %v", half, err)
	}
	if machine := mustCreate(t, c, spec); !machine.Running() {
		t.Errorf("machine is %+v", machine)
	}
	if all, err := c.Machines(t.Context(), spec.Cluster); err != nil || len(all) != 1 {
		t.Errorf("machines are %+v, %v", all, err)
	}
}

func TestAddressThatSomebodyTookInDocker(t *testing.T) {
	c := newTestClient(t)
	spec := testSpec("address")
	c.confined.Store(true) // so that the address is the only thing in the way
	id, err := c.makeMachine(t.Context(), spec, Image{Exists: true, entrypoint: []string{"/bin/start"}})
	if err != nil {
		t.Fatal(err)
	}
	half, err := c.Machine(t.Context(), spec.Key)
	if err != nil {
		t.Fatal(err)
	}
	name := half.Name + "-foreign"
	foreign, err := c.api.ContainerCreate(t.Context(), client.ContainerCreateOptions{Name: name, Image: testImage, NetworkingConfig: endpoint(c.NetworkName(), half.Address)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.remove(context.Background(), foreign.ID) })
	if err := c.start(t.Context(), foreign.ID); err != nil {
		t.Fatal(err)
	}
	machine := mustCreate(t, c, spec)
	if !machine.Running() || machine.ID == id || machine.Address == half.Address {
		t.Errorf("machine is %+v", machine)
	}
}

// On a host that allows privileged containers this shows that they are used; on one that does not, that the fall-back works,
// is told once and remembered.
func TestPrivilegesInDocker(t *testing.T) {
	c := newTestClient(t)
	var told []string
	c.log = funcr.New(func(_, args string) { told = append(told, args) }, funcr.Options{})
	_ = mustCreate(t, c, testSpec("first"))
	second := mustCreate(t, c, testSpec("second"))
	if (len(told) == 1) != c.confined.Load() || len(told) > 1 {
		t.Errorf("told %q, confined %t", told, c.confined.Load())
	}
	seen, err := c.api.ContainerInspect(t.Context(), second.ID, client.ContainerInspectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if seen.Container.HostConfig.Privileged == c.confined.Load() {
		t.Errorf("privileged is %t, confined %t", seen.Container.HostConfig.Privileged, c.confined.Load())
	}
	result, err := c.Exec(t.Context(), second.Key, []string{"sh", "-c", "mkdir /sys/fs/cgroup/systemd/probe 2>/dev/null || mkdir /sys/fs/cgroup/probe; echo 1 > /proc/sys/net/ipv4/ip_forward && hostname"}, nil)
	if err != nil || result.ExitCode != 0 || strings.TrimSpace(string(result.Stdout)) != second.Name {
		t.Errorf("a node cannot make cgroups or write sysctls, or has the wrong name: %+v %s, %v", result, result.Stderr, err)
	}
	t.Logf("confined: %t", c.confined.Load())
}

func TestForeignNamesInDocker(t *testing.T) {
	c := newTestClient(t)
	spec := testSpec("taken")
	name := c.MachineName(spec.Key)
	foreign, err := c.api.ContainerCreate(t.Context(), client.ContainerCreateOptions{Name: name, Image: testImage})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.remove(context.Background(), foreign.ID) })
	_, err = c.CreateMachine(t.Context(), spec)
	var taken *NameTakenError
	if !errors.As(err, &taken) || taken.Name != name || !strings.Contains(err.Error(), "DockerMachine default/taken") || !strings.Contains(err.Error(), "docker rm -f "+name) {
		t.Fatalf("error is %v", err)
	}
	if found, err := c.Machine(t.Context(), spec.Key); err != nil || found.Exists || found.TakenBy == "" {
		t.Errorf("facts are %+v, %v", found, err)
	}
	if err := c.DeleteMachine(t.Context(), spec.Key, spec.UID); err != nil {
		t.Error(err)
	}
	if _, err := c.api.ContainerInspect(t.Context(), foreign.ID, client.ContainerInspectOptions{}); err != nil {
		t.Errorf("the foreign container was deleted: %v", err)
	}

	// A volume of somebody else.
	spec = testSpec("volume")
	volume := VolumeName(c.id, spec.Key)
	if _, err := c.api.VolumeCreate(t.Context(), client.VolumeCreateOptions{Name: volume}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.removeVolume(context.Background(), volume) })
	if _, err := c.CreateMachine(t.Context(), spec); !errors.As(err, &taken) || taken.Kind != "volume" {
		t.Errorf("error is %v", err)
	}

	// A former object of the same name.
	spec = testSpec("again")
	mustCreate(t, c, spec)
	spec.UID = "another"
	if _, err := c.CreateMachine(t.Context(), spec); !errors.As(err, &taken) || !strings.Contains(err.Error(), "former DockerMachine") {
		t.Errorf("error is %v", err)
	}

	// Another management cluster does not see or touch ours.
	other, err := New(t.Context(), Options{ManagementID: c.id + "-other", Isolated: c.isolated})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	t.Cleanup(func() { other.removeAll(context.Background(), t) })
	if found, err := other.Machine(t.Context(), spec.Key); err != nil || found.Exists || found.TakenBy != "" {
		t.Errorf("another management cluster sees %+v, %v", found, err)
	}
	if theirs, err := other.CreateMachine(t.Context(), spec); err != nil || theirs.Name == name {
		t.Errorf("another management cluster made %+v, %v", theirs, err)
	}
}

func TestLeftVolumeIsReplacedInDocker(t *testing.T) {
	c := newTestClient(t)
	spec := testSpec("volume")
	machine := mustCreate(t, c, spec)
	if result, err := c.Exec(t.Context(), spec.Key, []string{"sh", "-c", "echo old > /var/old"}, nil); err != nil || result.ExitCode != 0 {
		t.Fatalf("%s, %v", result.Stderr, err)
	}
	// As after a crash in the middle of a deletion.
	if _, err := c.api.ContainerRemove(t.Context(), machine.ID, client.ContainerRemoveOptions{Force: true}); err != nil {
		t.Fatal(err)
	}
	all, err := c.Machines(t.Context(), spec.Cluster)
	if err != nil || len(all) != 1 || all[0].Exists || !all[0].VolumeExists {
		t.Errorf("machines are %+v, %v", all, err)
	}
	mustCreate(t, c, spec)
	if result, err := c.Exec(t.Context(), spec.Key, []string{"cat", "/var/old"}, nil); err != nil || result.ExitCode == 0 {
		t.Errorf("a new machine found the old one's state: %q, %v", result.Stdout, err)
	}
}

func TestCommandsInDocker(t *testing.T) {
	c := newTestClient(t)
	spec := testSpec("commands")
	mustCreate(t, c, spec)
	content := bytes.Repeat([]byte("0123456789abcdef\x00\xff"), 60_000) // 1 MiB, no text
	if result, err := c.Exec(t.Context(), spec.Key, []string{"sh", "-c", "cat > /var/x"}, bytes.NewReader(content)); err != nil || result.ExitCode != 0 {
		t.Fatalf("%s, %v", result.Stderr, err)
	}
	if result, err := c.Exec(t.Context(), spec.Key, []string{"cat", "/var/x"}, nil); err != nil || !bytes.Equal(result.Stdout, content) {
		t.Errorf("%d bytes came back, %v", len(result.Stdout), err)
	}
	result, err := c.Exec(t.Context(), spec.Key, []string{"sh", "-c", "cat; echo bad >&2; exit 5"}, strings.NewReader("in"))
	if err != nil || string(result.Stdout) != "in" || string(result.Stderr) != "bad\n" || result.ExitCode != 5 {
		t.Errorf("result is %+v, %v", result, err)
	}
	// Input that nobody reads, output that is too long.
	if c.engine.Name == enginePodman {
		t.Log("Podman breaks the connection when input is not read")
	} else if result, err := c.Exec(t.Context(), spec.Key, []string{"true"}, bytes.NewReader(content)); err == nil && result.ExitCode == 0 {
		t.Log("unread input is fine")
	} else if result.ExitCode != 127 && result.ExitCode != 126 {
		t.Errorf("unread input: %+v, %v", result, err)
	}
	result, err = c.Exec(t.Context(), spec.Key, []string{"sh", "-c", "i=0; while [ $i -lt 6 ]; do cat /var/x; i=$((i+1)); done"}, nil)
	if err != nil || len(result.Stdout) != maxOutput {
		t.Errorf("%d bytes of output, %v", len(result.Stdout), err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := c.Exec(ctx, spec.Key, []string{"sleep", "5"}, nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a command beyond its time: %v", err)
	}
}

func TestOrphansAndEventsInDocker(t *testing.T) {
	c := newTestClient(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	stream := c.Events(ctx)
	next := func() Event {
		select {
		case event := <-stream:
			return event
		case <-time.After(10 * time.Second):
			t.Fatal("no event within ten seconds")
			return Event{}
		}
	}
	if event := next(); event.Action != ActionResync {
		t.Fatalf("the first event is %+v", event)
	}
	spec := testSpec("orphan")
	mustCreate(t, c, spec)
	for {
		if event := next(); event.Action == ActionStart {
			if event.Machine != spec.Key || event.Cluster != spec.Cluster || event.Role != RoleWorker {
				t.Errorf("event is %+v", event)
			}
			break
		}
	}
	orphans, err := c.Orphans(t.Context(), func(kind, namespace, name string) bool {
		return kind == "DockerMachine" && namespace == "default" && name == "orphan"
	})
	if err != nil || len(orphans) != 0 {
		t.Errorf("orphans are %v, %v", orphans, err)
	}
	orphans, err = c.Orphans(t.Context(), func(string, string, string) bool { return false })
	if err != nil || len(orphans) != 2 || orphans[0].Kind != "container" || orphans[0].Object != spec.Key || orphans[1].Kind != "volume" {
		t.Errorf("orphans are %v, %v", orphans, err)
	}
	if err := c.DeleteMachine(t.Context(), spec.Key, spec.UID); err != nil {
		t.Fatal(err)
	}
	for next().Action != ActionDestroy {
	}
	cancel()
	for range stream { // it closes
	}
}

// TestFrozenMachineIsDeletedInDocker: under cgroup v1 a node in which something is frozen does not end when it is killed.
func TestFrozenMachineIsDeletedInDocker(t *testing.T) {
	if _, err := os.Stat("/sys/fs/cgroup/freezer"); err != nil {
		t.Skip("this host has no freezer of cgroup v1: frozen processes can be killed")
	}
	c := newTestClient(t)
	machine := mustCreate(t, c, testSpec("one"))
	const freeze = `mkdir /sys/fs/cgroup/freezer/pod && { sleep 1000 >/dev/null 2>&1 & } &&
echo $! >/sys/fs/cgroup/freezer/pod/cgroup.procs && echo FROZEN >/sys/fs/cgroup/freezer/pod/freezer.state && cat /sys/fs/cgroup/freezer/pod/freezer.state`
	result, err := c.Exec(t.Context(), machine.Key, []string{"/bin/sh", "-c", freeze}, nil)
	if err != nil || result.ExitCode != 0 || !strings.HasPrefix(string(result.Stdout), "FR") {
		t.Fatalf("freeze: %+v, %v", result, err)
	}
	if err := c.DeleteMachine(t.Context(), machine.Key, machine.UID); err != nil {
		t.Fatal(err)
	}
	if after, err := c.Machine(t.Context(), machine.Key); err != nil || after.Exists || after.VolumeExists {
		t.Errorf("after the deletion: %+v, %v", after, err)
	}
	left, err := c.api.ContainerList(t.Context(), client.ContainerListOptions{All: true, Filters: c.owned()})
	if err != nil || len(left.Items) > 0 {
		t.Errorf("left: %+v, %v", left.Items, err)
	}
}
