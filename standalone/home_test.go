// SPDX-License-Identifier: Apache-2.0

package standalone

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func TestLockIsHeldOnce(t *testing.T) {
	home := newHome(t)
	held, err := takeLock(t.Context(), home, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = takeLock(t.Context(), home, time.Hour)
	if !errors.Is(err, ErrLocked) {
		t.Fatalf("second lock: %v", err)
	}
	for _, part := range []string{"process " + strconv.Itoa(os.Getpid()), "slipway status", "slipway down", string(home)} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q is not in: %v", part, err)
		}
	}
	if by, running := runningHolder(home); !running || by.PID != os.Getpid() {
		t.Errorf("holder %+v, running %v", by, running)
	}
	held.release()
	if _, running := runningHolder(home); running {
		t.Error("a holder after release")
	}
	again, err := takeLock(t.Context(), home, 0)
	if err != nil {
		t.Fatal(err)
	}
	again.release()
}

// Who only looks after what is left, as Down does, is not taken for the cluster.
func TestAcquiredLockNamesNobody(t *testing.T) {
	home := newHome(t)
	held, err := acquire(t.Context(), home, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer held.release()
	if by, running := runningHolder(home); running {
		t.Errorf("the cluster is said to run, in process %d", by.PID)
	}
	if stopped, err := Down(t.Context(), string(home)); err != nil || stopped.Running {
		t.Errorf("down meanwhile: %+v %v", stopped, err)
	}
	if _, err := takeLock(t.Context(), home, 0); !errors.Is(err, ErrLocked) {
		t.Errorf("start meanwhile: %v", err)
	}
}

func TestLockOfUnnamedHolder(t *testing.T) {
	home := newHome(t)
	held, err := takeLock(t.Context(), home, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer held.release()
	if err := os.Truncate(home.lockFile(), 0); err != nil {
		t.Fatal(err)
	}
	if _, err := takeLock(t.Context(), home, 0); !errors.Is(err, ErrLocked) {
		t.Errorf("lock of one that has not signed: %v", err)
	}
}

// A pid that was used anew is another process, and must not be signalled.
func TestIdentityIsMoreThanThePID(t *testing.T) {
	self, err := identify(os.Getpid())
	if err != nil || !self.alive() {
		t.Fatal(self, err)
	}
	for name, other := range map[string]identity{
		"started at another time": {PID: self.PID, StartTicks: self.StartTicks + 1, BootID: self.BootID},
		"of another boot":         {PID: self.PID, StartTicks: self.StartTicks, BootID: "x"},
		"none":                    {},
	} {
		if other.alive() {
			t.Errorf("%s: alive", name)
		}
		if err := other.signal(syscall.SIGKILL); err == nil {
			t.Errorf("%s: signalled", name)
		}
	}
}

func TestPauseTellsWhyItEnded(t *testing.T) {
	if err := pause(t.Context(), 0); err != nil {
		t.Error(err)
	}
	why := errors.New("a signal")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(why)
	if err := pause(ctx, time.Hour); !errors.Is(err, why) || !errors.Is(err, context.Canceled) {
		t.Errorf("ended with a cause: %v", err)
	}
	ended, cancelPlain := context.WithCancel(t.Context())
	cancelPlain()
	if err := pause(ended, time.Hour); err == nil || err.Error() != context.Canceled.Error() {
		t.Errorf("ended without a cause: %v", err)
	}
}

func TestParseStat(t *testing.T) {
	line := "42 (a) R b) S 1 42 42 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 9 0 98765 1 2"
	got, err := parseStat([]byte(line))
	if err != nil || got.state != 'S' || got.startTicks != 98765 {
		t.Errorf("parsed %+v, %v", got, err)
	}
	for _, bad := range []string{"", "42 a S", "42 (a) S 1 2"} {
		if _, err := parseStat([]byte(bad)); err == nil {
			t.Errorf("parsed %q", bad)
		}
	}
}

func TestIsChildOf(t *testing.T) {
	home := dataDir("/data")
	cases := []struct {
		arguments []string
		dir       string
		want      bool
	}{
		{[]string{"etcd", "--name=slipway", "--data-dir=etcd"}, "/data", true},
		{[]string{"/opt/etcd", "--data-dir=etcd"}, "/data", true},
		{[]string{"etcd", "--data-dir=etcd"}, "/other", false},
		{[]string{"etcd", "--data-dir=other"}, "/data", false},
		{[]string{"vim", "--data-dir=etcd"}, "/data", false},
		{nil, "/data", false},
	}
	for _, c := range cases {
		if got := isChildOf(home, c.arguments, c.dir); got != c.want {
			t.Errorf("%v in %s: %v", c.arguments, c.dir, got)
		}
	}
}

// A process with the name, the mark and the directory of a child is found and
// ended; one of another data directory is not.
func TestLeftoversAreFoundAndStopped(t *testing.T) {
	home, other := newHome(t), newHome(t)
	waits := map[dataDir]chan error{}
	for _, dir := range []dataDir{home, other} {
		// "sleep" ignores its name; the mark is given after the script, as $1.
		command := exec.Command("/bin/sh", "-c", "read forever", childMarks[etcdName])
		command.Args = []string{etcdName, "-c", "read forever", childMarks[etcdName]}
		command.Dir = string(dir)
		stdin, err := command.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := command.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		waits[dir] = ended
		go func() { ended <- command.Wait() }()
		t.Cleanup(func() { _ = stdin.Close() })
		// The kernel lets Start return a moment before the arguments can be read.
		eventually(t, 10*time.Second, "the process shows its arguments", func() bool {
			return isChildOf(dir, commandLine(command.Process.Pid), workingDirectory(command.Process.Pid))
		})
	}
	found, err := stopLeftovers(home, 10*time.Second)
	if err != nil || len(found) != 1 || found[0].name != etcdName {
		t.Fatalf("found %v, %v", found, err)
	}
	if err := <-waits[home]; err == nil {
		t.Error("the leftover was not killed")
	}
	if left, _ := leftovers(home); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
	if left, _ := leftovers(other); len(left) != 1 {
		t.Errorf("of the other data directory: %v", left)
	}
}

func TestWriteFileReplacesWhole(t *testing.T) {
	home := newHome(t)
	for _, content := range []string{"long content", "short"} {
		if err := writeFile(home.path("file"), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(home.path("file"))
		if err != nil || string(got) != content {
			t.Errorf("read %q, %v", got, err)
		}
	}
	if err := writeFile(home.path("none", "file"), nil, 0o600); err == nil {
		t.Error("wrote into a directory that is not there")
	}
	left, _ := filepath.Glob(home.path(".*"))
	if len(left) != 0 {
		t.Errorf("temporary files left: %v", left)
	}
}

func TestTemporaryOf(t *testing.T) {
	for name, want := range map[string]string{
		".state.json.123": "state.json", ".kubeconfig.4": "kubeconfig", ".kube-apiserver.crt.0012": "kube-apiserver.crt",
		"state.json.123": "", ".state.json": "", ".state.json.": "", ".123": "", "..123": "", ".": "", "": "", ".state.json.12x": "",
	} {
		if got := temporaryOf(name); got != want {
			t.Errorf("%q is of %q, want %q", name, got, want)
		}
	}
}

// What a process that was killed had begun to write goes with the next start, and other hidden files stay.
func TestWhatWasWrittenInPartIsRemoved(t *testing.T) {
	home := newHome(t)
	var temporary []string
	for _, path := range append(ownPaths(home), home.keyFile(etcdFile), home.certificateFile(etcdFile), home.path("pki", controllerManagerFile+".kubeconfig")) {
		file, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*") // as writeFile does
		if err != nil {
			t.Fatal(err)
		}
		_ = file.Close()
		temporary = append(temporary, file.Name())
	}
	others := []string{home.path(".thesis.txt.1"), home.path(".profile"), home.stateFile()}
	for _, other := range others {
		if err := os.WriteFile(other, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	broken := programs(t, map[string]string{apiServerName: "exit 1"})
	if _, err := Start(t.Context(), Options{Home: string(home), BinariesDir: broken}); err == nil {
		t.Fatal("it started")
	}
	for _, path := range temporary {
		if _, err := os.Stat(path); err == nil {
			t.Errorf("%s is still there", path)
		}
	}
	for _, path := range others {
		if _, err := os.Stat(path); err != nil {
			t.Error(err)
		}
	}
}

func ownPaths(home dataDir) []string {
	var paths []string
	for _, name := range ownFiles {
		paths = append(paths, home.path(name))
	}
	return paths
}

func TestSettingsAndSpace(t *testing.T) {
	home := newHome(t)
	if s, err := home.readSettings(); err != nil || s != (settings{}) {
		t.Errorf("first: %+v %v", s, err)
	}
	want := settings{ListenAddress: "127.0.0.1", APIServerPort: 1, EtcdPort: 2, KubernetesVersion: "v1.37.1"}
	if err := home.writeSettings(want); err != nil {
		t.Fatal(err)
	}
	if got, err := home.readSettings(); err != nil || got != want {
		t.Errorf("read %+v %v", got, err)
	}
	if err := os.WriteFile(home.settings(), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := home.readSettings(); err == nil || !strings.Contains(err.Error(), home.settings()) {
		t.Errorf("broken settings: %v", err)
	}
	if err := home.checkSpace(1); err != nil {
		t.Error(err)
	}
	if err := home.checkSpace(math.MaxUint64); err == nil || !strings.Contains(err.Error(), HomeVariable) {
		t.Errorf("no space: %v", err)
	}
	if err := explainWrite(fmt.Errorf("write x: %w", syscall.ENOSPC)); !strings.Contains(err.Error(), "free some space") {
		t.Error(err)
	}
}

func TestPorts(t *testing.T) {
	loopback := net.IPv4(127, 0, 0, 1)
	home := dataDir("/some/home")
	first, err := choosePort(loopback, home)
	if err != nil || first < firstPort || first > lastPort {
		t.Fatal(first, err)
	}
	if second, err := choosePort(loopback, home, first); err != nil || second == first {
		t.Errorf("second port %d, first %d, %v", second, first, err)
	}
	busy, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(first)))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = busy.Close() }()
	if next, err := choosePort(loopback, home); err != nil || next == first {
		t.Errorf("chose %d, which is in use, %v", next, err)
	}
	err = checkPort(loopback, first, FlagEtcdPort, 0)
	for _, part := range []string{strconv.Itoa(first), "process " + strconv.Itoa(os.Getpid()), "--etcd-port"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%q is not in: %v", part, err)
		}
	}
	if err := checkPort(net.ParseIP("192.0.2.1"), first, FlagEtcdPort, 0); err == nil || !strings.Contains(err.Error(), "--listen-address") {
		t.Errorf("foreign address: %v", err)
	}
}

func TestChildLogRotatesAndKeepsTheTail(t *testing.T) {
	home := newHome(t)
	path := home.log("x")
	l, err := openChildLog(path, 100)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		if _, err := fmt.Fprintf(l, "line number %02d\n", i); err != nil {
			t.Fatal(err)
		}
	}
	_, _ = l.Write([]byte("half"))
	tail := l.tail()
	if got := tail[len(tail)-2:]; !cmp.Equal(got, []string{"line number 19", "half"}) {
		t.Errorf("tail %v", got)
	}
	for _, file := range []string{path, path + ".1"} {
		if info, err := os.Stat(file); err != nil || info.Size() > 100 || info.Size() == 0 {
			t.Errorf("%s: %v %v", file, info, err)
		}
	}
	for range 200 {
		_, _ = l.Write([]byte("more\n"))
	}
	if n := len(l.tail()); n != tailLines {
		t.Errorf("%d lines kept", n)
	}
	// A log that cannot be written does not stop the child, and its words are still known.
	if err := os.RemoveAll(home.path("logs")); err != nil {
		t.Fatal(err)
	}
	l.forget()
	for range 30 {
		if n, err := l.Write([]byte("last words\n")); n != 11 || err != nil {
			t.Fatal(n, err)
		}
	}
	if got := l.tail(); len(got) == 0 || got[0] != "last words" {
		t.Errorf("tail without a file %v", got)
	}
	l.close()
}

func TestTellingLines(t *testing.T) {
	lines := []string{"I1123 14:00:00 fine", "E1123 14:00:01 cause", "", "Error: given up", "I1123 bye", `{"level":"fatal","msg":"x"}`}
	want := []string{"Error: given up", `{"level":"fatal","msg":"x"}`}
	if diff := cmp.Diff(want, tellingLines(lines, 2)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"b"}, tellingLines([]string{"a", "b"}, 1)); diff != "" {
		t.Error(diff)
	}
}

func TestBoundFileAndTail(t *testing.T) {
	home := newHome(t)
	path := home.log(ownLogName)
	if err := boundFile(path, 10); err != nil {
		t.Fatal(err)
	}
	if lines, err := tailOfFile(path, 0, 5); err != nil || lines != nil {
		t.Error(lines, err)
	}
	open, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = open.Close() }()
	_, _ = open.WriteString("one\ntwo\nthree\n")
	if lines, err := tailOfFile(path, 4, 5); err != nil || !cmp.Equal(lines, []string{"two", "three"}) {
		t.Error(lines, err)
	}
	if err := boundFile(path, 10); err != nil {
		t.Fatal(err)
	}
	_, _ = open.WriteString("four\n")
	if lines, err := tailOfFile(path, 4000, 5); err != nil || !cmp.Equal(lines, []string{"four"}) {
		t.Error(lines, err)
	}
	if old, err := os.ReadFile(path + ".1"); err != nil || string(old) != "two\nthree\n"[len("two\nthree\n")-10:] {
		t.Errorf("old part %q %v", old, err)
	}
}

func TestChildEnvironment(t *testing.T) {
	got := childEnvironment([]string{"PATH=/bin", "ETCD_NAME=x", "HTTPS_PROXY=p", "KUBECONFIG=k", "HOME=/h"})
	if diff := cmp.Diff([]string{"GOGC=50", "PATH=/bin", "HOME=/h"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestWorthDefragmenting(t *testing.T) {
	for _, c := range []struct {
		size, used int64
		want       bool
	}{{100 << 20, 30 << 20, true}, {100 << 20, 60 << 20, false}, {60 << 20, 1 << 20, false}, {1 << 30, 600 << 20, false}} {
		if got := worthDefragmenting(Database{SizeBytes: c.size, InUseBytes: c.used}); got != c.want {
			t.Errorf("%d of %d MiB in use: %v", c.used>>20, c.size>>20, got)
		}
	}
}

func TestCompareKubernetes(t *testing.T) {
	for _, c := range []struct {
		wrote, now string
		refused    bool
	}{{"", "v1.37.1", false}, {"v1.37.1", "v1.37.0", false}, {"v1.36.3", "v1.37.1", false}, {"v1.37.1", "v1.36.3", true}, {"v1.37.1", "unknown", false}} {
		if err := CheckKubernetes(c.wrote, c.now); (err != nil) != c.refused {
			t.Errorf("%s then %s: %v", c.wrote, c.now, err)
		}
	}
}

func TestRefuseDowngrade(t *testing.T) {
	given := &unstructured.Unstructured{Object: map[string]any{"metadata": map[string]any{"name": "a"},
		"spec": map[string]any{"versions": []any{map[string]any{"name": "v1"}}}}}
	present := apiextensionsv1.CustomResourceDefinition{}
	present.Name = "a"
	present.Status.StoredVersions = []string{"v1"}
	if err := refuseDowngrade([]apiextensionsv1.CustomResourceDefinition{present}, []*unstructured.Unstructured{given}); err != nil {
		t.Error(err)
	}
	present.Status.StoredVersions = []string{"v1", "v2"}
	err := refuseDowngrade([]apiextensionsv1.CustomResourceDefinition{present}, []*unstructured.Unstructured{given})
	if err == nil || !strings.Contains(err.Error(), "a stores version v2") {
		t.Error(err)
	}
}

func TestBadOptions(t *testing.T) {
	dir := t.TempDir()
	for want, options := range map[string]Options{
		"--listen-address":    {Home: dir, ListenAddress: "localhost"},
		"--api-server-port":   {Home: dir, APIServerPort: 70000},
		"--etcd-port":         {Home: dir, APIServerPort: 7000, EtcdPort: 7000},
		"slipway image build": {Home: dir, BinariesDir: dir},
	} {
		if _, err := Start(t.Context(), options); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in: %v", want, err)
		}
	}
}

func TestDetachTellsWhyItFailed(t *testing.T) {
	t.Setenv(parentVariable, "broken")
	_, err := Detach(t.Context(), Options{Home: t.TempDir()}, nil)
	if err == nil || !strings.Contains(err.Error(), "broken on purpose") || !strings.Contains(err.Error(), "exit status 3") {
		t.Errorf("detach: %v", err)
	}
}

func TestStatusAndDownOfNothing(t *testing.T) {
	home := filepath.Join(t.TempDir(), "none")
	state, err := Status(t.Context(), home)
	if err != nil || state.Running || !strings.Contains(state.Message, "slipway up") {
		t.Errorf("status: %+v %v", state, err)
	}
	if stopped, err := Down(t.Context(), home); err != nil || stopped.Running {
		t.Errorf("down: %+v %v", stopped, err)
	}
	if _, err := os.Stat(home); err == nil {
		t.Error("asking made the data directory")
	}
}

// A directory that somebody uses for something else stays as it is.
func TestForeignDirectoryIsRefused(t *testing.T) {
	foreign := t.TempDir()
	if err := os.WriteFile(filepath.Join(foreign, "thesis.txt"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(foreign, 0o755); err != nil {
		t.Fatal(err)
	}
	_, created := dataDir(foreign).create()
	_, asked := RecordedVersion(foreign)
	_, detached := Detach(t.Context(), Options{Home: foreign}, nil)
	for name, err := range map[string]error{"create": created, "recorded version": asked, "detach": detached} {
		if err == nil || !strings.Contains(err.Error(), foreign) || !strings.Contains(err.Error(), "thesis.txt") || !strings.Contains(err.Error(), HomeVariable) {
			t.Errorf("%s: %v", name, err)
		}
	}
	info, err := os.Stat(foreign)
	if err != nil || info.Mode().Perm() != 0o755 {
		t.Errorf("mode after the refusal: %v %v", info.Mode(), err)
	}
	if entries, err := os.ReadDir(foreign); err != nil || len(entries) != 1 {
		t.Errorf("contents after the refusal: %v %v", entries, err)
	}
	// What was being written when something was killed is no other thing, wherever the rest went.
	cleaned := t.TempDir()
	if err := os.WriteFile(filepath.Join(cleaned, ".state.json.4711"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := dataDir(cleaned).create(); err != nil {
		t.Error(err)
	}
	for name, own := range map[string]string{"empty": "", "new file system": "lost+found", "interrupted": "etcd", "with settings": "settings.json", "locked": "lock"} {
		home := t.TempDir()
		if own != "" {
			if err := os.WriteFile(filepath.Join(home, "other"), nil, 0o600); err != nil {
				t.Fatal(err)
			}
			if own == "lost+found" {
				home = t.TempDir()
			}
			if err := os.Mkdir(filepath.Join(home, own), 0o700); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := dataDir(home).create(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRecordedVersion(t *testing.T) {
	home := newHome(t)
	if got, err := RecordedVersion(string(home)); err != nil || got != "" {
		t.Errorf("new: %q %v", got, err)
	}
	if err := home.writeSettings(settings{KubernetesVersion: "v1.36.3"}); err != nil {
		t.Fatal(err)
	}
	if got, err := RecordedVersion(string(home)); err != nil || got != "v1.36.3" {
		t.Errorf("recorded: %q %v", got, err)
	}
	if got, err := RecordedVersion(filepath.Join(t.TempDir(), "none")); err != nil || got != "" {
		t.Errorf("none: %q %v", got, err)
	}
}

// An address that was chosen once stays, as the ports do.
func TestListenAddressIsThatOfBefore(t *testing.T) {
	home := newHome(t)
	working := programs(t, nil)
	for _, step := range []struct{ recorded, given, want string }{
		{"", "", "127.0.0.1"}, {"0.0.0.0", "", "0.0.0.0"}, {"0.0.0.0", "127.0.0.2", "127.0.0.2"},
	} {
		if err := home.writeSettings(settings{ListenAddress: step.recorded}); err != nil {
			t.Fatal(err)
		}
		m, err := prepare(Options{Home: string(home), BinariesDir: working, ListenAddress: step.given})
		if err != nil || m.listen.String() != step.want {
			t.Errorf("recorded %q, given %q: %v, %v; want %s", step.recorded, step.given, m, err, step.want)
		}
	}
}

// The id outlives the processes: by it one finds what the cluster had made.
func TestStatusTellsTheIDOfWhatIsStopped(t *testing.T) {
	home := newHome(t)
	if err := home.writeSettings(settings{ManagementClusterID: "an-id"}); err != nil {
		t.Fatal(err)
	}
	if state, err := Status(t.Context(), string(home)); err != nil || state.Running || state.ManagementClusterID != "an-id" {
		t.Errorf("status: %+v %v", state, err)
	}
}
