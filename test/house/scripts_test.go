// SPDX-License-Identifier: Apache-2.0

package house

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// sandbox is a checkout of a few files with programs in the place of the real ones, for scripts that would change the
// machine.
type sandbox struct {
	t               *testing.T
	folder, program string
}

// newSandbox copies files of the tree. Of the machine's programs only those named are found.
func newSandbox(t *testing.T, copied []string, programs ...string) *sandbox {
	t.Helper()
	s := &sandbox{t: t, folder: t.TempDir(), program: t.TempDir()}
	for _, file := range copied {
		s.write(file, read(t, file))
	}
	for _, name := range programs {
		path, err := exec.LookPath(name)
		if err != nil {
			t.Skipf("there is no %s here", name)
		}
		if err := os.Symlink(path, filepath.Join(s.program, name)); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func (s *sandbox) write(path, text string) {
	s.t.Helper()
	if !filepath.IsAbs(path) {
		path = filepath.Join(s.folder, path)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
		s.t.Fatal(err)
	}
}

// stub is a program in the place of another. $log is where it notes what it was asked.
func (s *sandbox) stub(path, script string) {
	s.t.Helper()
	if !strings.Contains(path, "/") {
		path = filepath.Join(s.program, path)
	}
	s.write(path, "#!/bin/bash\nlog="+filepath.Join(s.program, "log")+"\n"+script+"\n")
}

// run runs a command with the programs of the sandbox; it returns what it says, and what the stubs were asked.
func (s *sandbox) run(environment []string, command ...string) (said string, asked []string, err error) {
	s.t.Helper()
	program, err := exec.LookPath(command[0])
	if err != nil {
		program = filepath.Join(s.folder, command[0])
	}
	running := exec.Command(program, command[1:]...)
	running.Dir = s.folder
	running.Env = append([]string{"PATH=" + s.program, "HOME=" + s.folder}, environment...)
	output, err := running.CombinedOutput()
	log, _ := os.ReadFile(filepath.Join(s.program, "log"))
	_ = os.Remove(filepath.Join(s.program, "log"))
	return string(output), strings.Split(strings.TrimSpace(string(log)), "\n"), err
}

// prerequisites are what the script of that name itself needs.
var prerequisites = []string{"bash", "dirname", "env", "find", "sed", "sort", "head", "tail"}

// Each module says which Go it needs; the newest that any needs counts.
func TestGoThatModulesNeed(t *testing.T) {
	s := newSandbox(t, []string{"scripts/prerequisites"}, prerequisites...)
	s.write("go.mod", "module example.com/x\n\ngo 1.26.0\n")
	s.write("below/go.mod", "module example.com/x/below\n\ngo 1.26.10\n")
	s.write(".cache/below/go.mod", "module example.com/of/others\n\ngo 1.99.0\n")
	for have, enough := range map[string]bool{"1.26.0": false, "1.26.9": false, "1.26.10": true, "1.27.0": true, "1.27rc1": true} {
		s.stub("go", "echo go"+have)
		said, _, err := s.run(nil, "scripts/prerequisites", "go")
		if (err == nil) != enough || (!enough && !strings.Contains(said, "Go 1.26.10 or newer is needed")) {
			t.Errorf("Go %s: %v %s", have, err, said)
		}
	}
}

// What is installed is installed without questions, also by way of a sudo that passes no variables on.
func TestInstallAsksNothing(t *testing.T) {
	s := newSandbox(t, []string{"scripts/prerequisites"}, append(prerequisites, "readlink")...)
	s.stub("id", "echo 1000")
	s.stub("sudo", `[ "$1" != -n ] || shift; [ "$1" != true ] || exit 0; exec env -i PATH="$PATH" "$@"`)
	s.stub("apt-get", `echo "$* frontend=$DEBIAN_FRONTEND restart=$NEEDRESTART_MODE input=$(readlink /proc/$$/fd/0)" >>"$log"`)
	said, asked, err := s.run(nil, "scripts/prerequisites", "tests")
	if err != nil || len(asked) != 1 || !strings.Contains(asked[0], "busybox-static") || !strings.Contains(asked[0], "frontend=noninteractive restart=a input=/dev/null") {
		t.Errorf("asked of apt-get: %q; %v %s", asked, err, said)
	}
}

// Caches are the user's again before a command runs as root, too: the one before it may have been killed.
func TestCachesAreGivenBack(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can leave what is root's in a cache")
	}
	s := newSandbox(t, []string{"scripts/prerequisites"}, append(prerequisites, "chown", "mkdir", "stat", "touch")...)
	s.stub("id", "echo 1000")
	s.stub("sudo", `[ "$1" != -n ] || shift; [ "$1" != true ] || exit 0; exec "$@"`)
	s.stub("go", `case "$2" in GOCACHE | GOMODCACHE) echo "$HOME/$2";; esac`)
	for _, left := range []string{"slipway/images/left", "slipway/base/root", "GOCACHE/left", "GOMODCACHE/left"} {
		s.write(left, "")
	}
	said, _, err := s.run([]string{"SLIPWAY_CACHE=" + filepath.Join(s.folder, "slipway")}, "scripts/prerequisites", "as-root",
		"bash", "-c", `cd "$HOME" && touch GOCACHE/new && stat -c "%n %u" slipway/images/left slipway/base/root GOCACHE/left GOMODCACHE/left GOCACHE/new && exit 7`)
	want := "slipway/images/left 1000\nslipway/base/root 0\nGOCACHE/left 1000\nGOMODCACHE/left 1000\nGOCACHE/new 0\n"
	var code *exec.ExitError
	if !errors.As(err, &code) || code.ExitCode() != 7 || said != want {
		t.Errorf("%v, and while it ran:\n%s\nwant:\n%s", err, said, want)
	}
	info, err := os.Stat(filepath.Join(s.folder, "GOCACHE/new"))
	if err != nil || info.Sys().(*syscall.Stat_t).Uid != 1000 {
		t.Errorf("what it left is not given back: %v %v", info, err)
	}
}

// make clean takes the home of .ci/run with it, each by its own id and in its own engine, and what killed tests have left.
func TestCleanTakesAll(t *testing.T) {
	s := newSandbox(t, []string{"Makefile"}, "bash", "env", "cat", "sed", "head", "grep", "xargs", "rm", "rmdir")
	// No git, so that the Makefile finds none to describe this with.
	s.stub("go", "exit 0")
	s.stub("git", "exit 1")
	s.stub("scripts/prerequisites", "exit 0")
	s.stub("docker", `echo "docker $* at ${DOCKER_HOST:-default}" >>"$log"; case "$1 $2" in "ps -aq") echo node;; "volume ls") echo var;; esac`)
	prepare := func(home, id, engine string) {
		s.write(home+"/settings.json", `{"managementClusterID": "`+id+`"}`)
		for _, name := range []string{"lock", "pki/ca.crt", ".state.json.123", ".container-engine.json.4"} {
			s.write(home+"/"+name, "")
		}
		if engine != "" {
			s.write(home+"/container-engine.json", "{\n  \"host\": \""+engine+"\",\n  \"engine\": \"docker\"\n}\n")
		}
	}
	home := filepath.Join(s.folder, "home")
	prepare(home, "one", "")
	prepare(filepath.Join(s.folder, ".cache/home"), "two", "unix:///two")
	s.write(".cache/e2e-ids", "three "+filepath.Join(s.folder, "gone")+"\n")
	bin := func() {
		s.stub("bin/slipway", `echo "slipway $* of $SLIPWAY_HOME" >>"$log"; [ "$1" != status ] || cat "$SLIPWAY_HOME/settings.json"`)
	}
	bin()
	said, asked, err := s.run([]string{"SLIPWAY_HOME=" + home}, "make", "clean")
	if err != nil {
		t.Fatal(err, said)
	}
	for _, want := range []string{
		"slipway down of " + home, "slipway down of " + filepath.Join(s.folder, ".cache/home"),
		"docker ps -aq --filter label=slipway.dev/management-cluster=one at default",
		"docker ps -aq --filter label=slipway.dev/management-cluster=two at unix:///two", "docker rm -fv node at unix:///two",
		"docker volume ls -q --filter label=slipway.dev/management-cluster=three at default", "docker volume rm var at default",
	} {
		if !strings.Contains("\n"+strings.Join(asked, "\n")+"\n", "\n"+want+"\n") {
			t.Errorf("%q is not among:\n%s", want, strings.Join(asked, "\n"))
		}
	}
	for _, gone := range []string{home, filepath.Join(s.folder, ".cache"), filepath.Join(s.folder, "bin")} {
		if _, err := os.Stat(gone); err == nil {
			t.Errorf("%s is still there", gone)
		}
	}
	// One that was interrupted goes on: what it needs to know goes last.
	s.write("home/settings.json", `{"managementClusterID": "one"}`)
	bin()
	if said, asked, err = s.run([]string{"SLIPWAY_HOME=" + home}, "make", "clean"); err != nil || strings.Contains(strings.Join(asked, "\n"), "slipway up") {
		t.Errorf("after an interruption: %v %s %s", err, said, asked)
	}
	if _, err := os.Stat(home); err == nil {
		t.Errorf("%s is still there", home)
	}
}
