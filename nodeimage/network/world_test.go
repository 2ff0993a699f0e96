// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// The tests on a world build a small data centre on the machine: a network namespace for the API server and the
// bridge, one for each node, one for each pod. They need root, the ip command, and the binaries etcd and
// kube-apiserver, the ones that node images are built with:
//
//	SLIPWAY_TEST_NETNS=1 SLIPWAY_TEST_BINARIES=<folder> go test -run Netns .
//
// Nothing in them touches the machine's own namespace.

const (
	apiNamespace = "slw-api"
	apiAddress   = "192.168.77.1"
	apiAddress6  = "fd77::1"
	within       = 20 * time.Second // generous: the machine may be busy, and a drift waits for resyncInterval
	adminToken   = "admin-token"
	agentToken   = "agent-token"
)

// TestMain lets the test binary play the pods: in a pod's namespace it is started again with this variable.
func TestMain(m *testing.M) {
	switch part := os.Getenv("SLIPWAY_TEST_PART"); part {
	case "":
		os.Exit(m.Run())
	case "serve":
		playServer(os.Getenv("SLIPWAY_TEST_ADDRESS"))
	case "dial":
		playClient(os.Getenv("SLIPWAY_TEST_ADDRESS"))
	default:
		fmt.Fprintln(os.Stderr, "unknown part", part)
		os.Exit(2)
	}
}

// playServer answers each connection with the address that it came from.
func playServer(address string) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	for {
		c, err := l.Accept()
		if err != nil {
			os.Exit(1)
		}
		host, _, _ := net.SplitHostPort(c.RemoteAddr().String())
		fmt.Fprint(c, host)
		c.Close()
	}
}

// playClient prints what the server at address says.
func playClient(address string) {
	c, err := net.DialTimeout("tcp", address, 2*time.Second)
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	b, _ := io.ReadAll(c)
	fmt.Print(string(b))
}

// world is the data centre of one test.
type world struct {
	t       *testing.T
	dir     string
	agent   string // path of the agent's binary
	bin     string // folder of etcd and kube-apiserver
	client  *http.Client
	api     *exec.Cmd
	apiArgs []string
}

func newWorld(t *testing.T) *world {
	if os.Getenv("SLIPWAY_TEST_NETNS") != "1" {
		t.Skip("SLIPWAY_TEST_NETNS=1 is not set: it makes network namespaces and needs root")
	}
	w := &world{t: t, dir: t.TempDir(), bin: os.Getenv("SLIPWAY_TEST_BINARIES")}
	for _, name := range []string{"etcd", "kube-apiserver"} {
		if _, err := os.Stat(filepath.Join(w.bin, name)); err != nil {
			t.Fatalf("SLIPWAY_TEST_BINARIES=%q holds no %s: %v", w.bin, name, err)
		}
	}
	w.agent = filepath.Join(w.dir, "slipway-network")
	w.must("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", w.agent, ".")
	w.namespace(apiNamespace)
	w.must("ip", "-n", apiNamespace, "link", "add", "br0", "type", "bridge")
	w.must("ip", "-n", apiNamespace, "addr", "add", apiAddress+"/24", "dev", "br0")
	w.must("ip", "-n", apiNamespace, "addr", "add", apiAddress6+"/64", "dev", "br0", "nodad")
	w.must("ip", "-n", apiNamespace, "link", "set", "br0", "up")
	w.startAPI()
	return w
}

// must runs a command and returns what it printed.
func (w *world) must(args ...string) string {
	w.t.Helper()
	b, err := exec.Command(args[0], args[1:]...).CombinedOutput()
	if err != nil {
		w.t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, b)
	}
	return string(b)
}

// namespace makes a network namespace for the time of the test; one of a test that was killed is replaced.
func (w *world) namespace(name string) {
	w.t.Helper()
	_ = exec.Command("ip", "netns", "del", name).Run()
	w.must("ip", "netns", "add", name)
	w.t.Cleanup(func() { _ = exec.Command("ip", "netns", "del", name).Run() })
	w.must("ip", "-n", name, "link", "set", "lo", "up")
}

// start runs a program in a namespace until the test ends, or until stop.
func (w *world) start(namespace, logName string, env []string, args ...string) *exec.Cmd {
	w.t.Helper()
	log, err := os.Create(filepath.Join(w.dir, logName))
	if err != nil {
		w.t.Fatal(err)
	}
	cmd := exec.Command("ip", append([]string{"netns", "exec", namespace}, args...)...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		stop(cmd)
		log.Close()
		if w.t.Failed() {
			b, _ := os.ReadFile(log.Name())
			w.t.Logf("%s:\n%s", logName, b[max(0, len(b)-6000):])
		}
	})
	return cmd
}

// stop kills a program: nothing here may depend on a clean end.
func stop(cmd *exec.Cmd) {
	if cmd.ProcessState == nil {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
}

// eventually waits for a condition; it is told why not from check.
func (w *world) eventually(what string, check func() error) {
	w.t.Helper()
	w.eventuallyWithin(within, what, check)
}

func (w *world) eventuallyWithin(within time.Duration, what string, check func() error) {
	w.t.Helper()
	var err error
	for end := time.Now().Add(within); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if err = check(); err == nil {
			return
		}
	}
	w.t.Fatalf("%s: not within %s: %v", what, within, err)
}

func (w *world) path(name string) string { return filepath.Join(w.dir, name) }

func (w *world) write(name, content string) string {
	w.t.Helper()
	if err := os.MkdirAll(filepath.Dir(w.path(name)), 0o755); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(w.path(name), []byte(content), 0o600); err != nil {
		w.t.Fatal(err)
	}
	return w.path(name)
}

// testPod is a namespace behind a node's, joined the way the ptp plugin joins it.
type testPod struct{ namespace, ip, ip6 string }

// machine is a node: its namespace slw-<name> is on the bridge with the address .number.
type machine struct {
	w         *world
	name      string
	namespace string
	ip, ip6   string
	agent     *exec.Cmd
	runs      int
}

// addMachine makes the machine; addNode makes its Node object.
func (w *world) addMachine(name string, number int) *machine {
	w.t.Helper()
	m := &machine{
		w: w, name: name, namespace: "slw-" + name,
		ip: fmt.Sprintf("192.168.77.%d", number), ip6: fmt.Sprintf("fd77::%d", number),
	}
	w.namespace(m.namespace)
	w.must("ip", "-n", m.namespace, "link", "add", "eth0", "mtu", "1430", "type", "veth", "peer", "name", "p-"+name, "netns", apiNamespace)
	w.must("ip", "-n", apiNamespace, "link", "set", "p-"+name, "master", "br0", "up")
	w.must("ip", "-n", m.namespace, "addr", "add", m.ip+"/24", "dev", "eth0")
	w.must("ip", "-n", m.namespace, "addr", "add", m.ip6+"/64", "dev", "eth0", "nodad")
	w.must("ip", "-n", m.namespace, "link", "set", "eth0", "up")
	w.must("ip", "-n", m.namespace, "route", "add", "default", "via", apiAddress)
	w.must("ip", "-n", m.namespace, "-6", "route", "add", "default", "via", apiAddress6)
	w.write(name+"/net.d/.keep", "")
	w.write(name+"/kubelet.conf", "current-context: a\ncontexts:\n- {name: a, context: {cluster: c}}\nclusters:\n- {name: c, cluster: {server: 'https://"+apiAddress+":6443'}}\n")
	return m
}

// addPod makes a pod on the machine with the addresses that end in number. The pod's server answers on port 80.
func (m *machine) addPod(name, ip, ip6 string) testPod {
	w := m.w
	w.t.Helper()
	p := testPod{"slw-" + name, ip, ip6}
	w.namespace(p.namespace)
	w.must("ip", "-n", p.namespace, "link", "add", "eth0", "type", "veth", "peer", "name", name, "netns", m.namespace)
	w.must("ip", "-n", p.namespace, "addr", "add", ip+"/32", "dev", "eth0")
	w.must("ip", "-n", p.namespace, "addr", "add", ip6+"/128", "dev", "eth0", "nodad")
	w.must("ip", "-n", p.namespace, "link", "set", "eth0", "up")
	w.must("ip", "-n", m.namespace, "link", "set", name, "up")
	// The gateway that ptp puts on the node's end.
	w.must("ip", "-n", m.namespace, "addr", "add", "169.254.1.1/32", "dev", name)
	w.must("ip", "-n", m.namespace, "addr", "add", "fd01::1/128", "dev", name, "nodad")
	w.must("ip", "-n", m.namespace, "route", "add", ip+"/32", "dev", name)
	w.must("ip", "-n", m.namespace, "route", "add", ip6+"/128", "dev", name)
	w.must("ip", "-n", p.namespace, "route", "add", "169.254.1.1/32", "dev", "eth0")
	w.must("ip", "-n", p.namespace, "route", "add", "default", "via", "169.254.1.1")
	w.must("ip", "-n", p.namespace, "route", "add", "fd01::1/128", "dev", "eth0")
	w.must("ip", "-n", p.namespace, "route", "add", "default", "via", "fd01::1")
	w.serve(p.namespace, name, ":80")
	return p
}

// serve answers in a namespace with the address of whoever asks.
func (w *world) serve(namespace, name, address string) {
	w.t.Helper()
	self, err := os.Executable()
	if err != nil {
		w.t.Fatal(err)
	}
	w.start(namespace, name+"-server.log", []string{"SLIPWAY_TEST_PART=serve", "SLIPWAY_TEST_ADDRESS=" + address}, self)
}

// dial asks host at port 80 from a namespace and returns the address that the other side saw.
func (w *world) dial(namespace, host string) (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(w.t.Context(), 10*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, "ip", "netns", "exec", namespace, self)
	cmd.Env = append(os.Environ(), "SLIPWAY_TEST_PART=dial", "SLIPWAY_TEST_ADDRESS="+net.JoinHostPort(host, "80"))
	b, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, b)
	}
	return string(b), nil
}

// reaches waits until from sees host, which must see it as seenAs.
func (w *world) reaches(from, host, seenAs string) {
	w.t.Helper()
	w.eventually(from+" reaches "+host, func() error {
		got, err := w.dial(from, host)
		if err == nil && netip.MustParseAddr(got).Unmap().String() != seenAs {
			err = fmt.Errorf("%s was seen as %s; want %s", from, got, seenAs)
		}
		return err
	})
}

// run starts the agent; a second time is a restart after a crash.
func (m *machine) run() {
	m.w.t.Helper()
	m.runs++
	m.agent = m.w.start(m.namespace, fmt.Sprintf("%s-agent-%d.log", m.name, m.runs), []string{"KUBERNETES_SERVICE_HOST=", "NODE_NAME=" + m.name}, m.w.agent,
		"--cni-config-dir", m.w.path(m.name+"/net.d"), "--kubelet-kubeconfig", m.w.path(m.name+"/kubelet.conf"),
		"--credentials-dir", m.w.path("credentials"))
}

// routes lists the agent's routes on a machine, in order, as the ip command tells them.
func (m *machine) routes() []string {
	var out []string
	for _, fam := range []string{"-4", "-6"} {
		for line := range strings.Lines(m.w.must("ip", fam, "-n", m.namespace, "route", "show", "proto", fmt.Sprint(routeProtocol))) {
			f := strings.Fields(line)
			out = append(out, strings.Join(f[:min(3, len(f))], " "))
		}
	}
	for i, s := range out {
		if strings.HasPrefix(s, "unreachable") {
			out[i] = strings.Join(strings.Fields(s)[:2], " ")
		}
	}
	slices.Sort(out)
	return out
}

// hasRoutes waits until the agent's routes on a machine are these and no others.
func (m *machine) hasRoutes(want ...string) {
	m.w.t.Helper()
	slices.Sort(want)
	m.w.eventually("routes of "+m.name, func() error {
		if got := m.routes(); !slices.Equal(got, want) {
			return fmt.Errorf("have %q; want %q", got, want)
		}
		return nil
	})
}

// get asks the agent's own health server.
func (m *machine) get(path string) (int, string) {
	response, err := m.w.clientIn(m.namespace).Get("http://127.0.0.1:10283" + path)
	if err != nil {
		return 0, err.Error()
	}
	defer response.Body.Close()
	b, _ := io.ReadAll(response.Body)
	return response.StatusCode, string(b)
}
