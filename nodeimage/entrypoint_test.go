// SPDX-License-Identifier: Apache-2.0

package nodeimage

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func entrypointScript(t *testing.T) string {
	t.Helper()
	script, err := files.ReadFile("files/entrypoint")
	if err != nil {
		t.Fatal(err)
	}
	return string(script)
}

func TestEntrypointIsShell(t *testing.T) {
	shell, err := exec.LookPath("bash")
	if err != nil {
		t.Skip(err)
	}
	if _, err := (command{program: shell, args: []string{"-n"}, stdin: strings.NewReader(entrypointScript(t))}).run(t.Context()); err != nil {
		t.Error(err)
	}
}

// entrypointSteps are the lines of the entry point that carry its functions out.
var entrypointSteps = regexp.MustCompile(`(?m)^make_mounts_writable\n(.*\n)*`)

// absolutePaths are those of a node that its functions read and write.
var absolutePaths = strings.NewReplacer(
	"/proc/sys/net/", "$ROOT/proc/sys/net/", "/proc/sys/kernel/", "$ROOT/proc/sys/kernel/", "/etc/", "$ROOT/etc/",
	"/kind/", "$ROOT/kind/", "/var/", "$ROOT/var/", "/sys/class/", "$ROOT/sys/class/",
)

// entrypointNode is a folder that functions of the entry point take for a node's root, and
// programs that stand in for those of the node. Each writes its arguments to "calls".
type entrypointNode struct {
	t    *testing.T
	root string
}

func newEntrypointNode(t *testing.T, files, stubs map[string]string) entrypointNode {
	t.Helper()
	if _, err := exec.LookPath("bash"); err != nil {
		t.Skip(err)
	}
	n := entrypointNode{t, writeTree(t, files)}
	for name, script := range stubs {
		text := "#!/bin/bash\necho \"" + name + " $*\" >> \"$ROOT/calls\"\n" + script + "\n"
		if err := writeFile(n.root, "stubs/"+name, "", []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return n
}

// run carries a function of the entry point out and returns the stubs' calls.
func (n entrypointNode) run(function string) []string {
	n.t.Helper()
	script := entrypointScript(n.t)
	if !entrypointSteps.MatchString(script) {
		n.t.Fatal("the entry point does not end with its steps")
	}
	script = absolutePaths.Replace(entrypointSteps.ReplaceAllString(script, "")) + function + "\n"
	_ = os.Remove(filepath.Join(n.root, "calls"))
	_, err := command{
		program: "bash", stdin: strings.NewReader(script),
		env: []string{"ROOT=" + n.root, "PATH=" + filepath.Join(n.root, "stubs") + ":" + os.Getenv("PATH")},
	}.run(n.t.Context())
	if err != nil {
		n.t.Fatal(err)
	}
	calls, err := os.ReadFile(filepath.Join(n.root, "calls"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		n.t.Fatal(err)
	}
	return strings.Split(strings.TrimSpace(string(calls)), "\n")
}

func (n entrypointNode) expectFile(path, want string) {
	n.t.Helper()
	got, err := os.ReadFile(filepath.Join(n.root, path))
	if err != nil {
		n.t.Error(err)
	} else if diff := cmp.Diff(want, string(got)); diff != "" {
		n.t.Errorf("%s: %s", path, diff)
	}
}

// engineRules are what Docker puts into a container's network namespace for its DNS.
const engineRules = `*nat
:DOCKER_OUTPUT - [0:0]
:DOCKER_POSTROUTING - [0:0]
-A OUTPUT -d 127.0.0.11/32 -j DOCKER_OUTPUT
-A POSTROUTING -d 127.0.0.11/32 -j DOCKER_POSTROUTING
-A DOCKER_OUTPUT -d 127.0.0.11/32 -p udp -m udp --dport 53 -j DNAT --to-destination 127.0.0.11:40000
-A DOCKER_POSTROUTING -s 127.0.0.11/32 -p udp -m udp --sport 40000 -j SNAT --to-source :53
COMMIT
`

func TestEntrypointMovesTheEnginesDNS(t *testing.T) {
	files := map[string]string{
		"rules": engineRules, "route": "default via 172.18.0.1 dev eth0\n",
		"etc/resolv.conf": "nameserver 127.0.0.11\noptions ndots:0\n", "proc/sys/net/ipv4/conf/all/route_localnet": "0", "kind/x": "",
	}
	stubs := map[string]string{
		"iptables-save": `cat "$ROOT/rules"`, "iptables-restore": `cat > "$ROOT/restored"`,
		"ip": `[[ "$*" != "-4 route show default" ]] || cat "$ROOT/route"`,
	}
	moved := func(gateway string) string {
		return `*nat
:DOCKER_OUTPUT - [0:0]
:DOCKER_POSTROUTING - [0:0]
-A OUTPUT -d ` + gateway + `/32 -j DOCKER_OUTPUT
-A PREROUTING -d ` + gateway + `/32 -j DOCKER_OUTPUT
-A POSTROUTING -d ` + gateway + `/32 -j DOCKER_POSTROUTING
-A DOCKER_OUTPUT -d ` + gateway + `/32 -p udp -m udp --dport 53 -j DNAT --to-destination 127.0.0.11:40000
-A DOCKER_POSTROUTING -s 127.0.0.11/32 -p udp -m udp --sport 40000 -j SNAT --to-source ` + gateway + `:53
COMMIT
`
	}
	n := newEntrypointNode(t, files, stubs)
	// The second time is a restart: the engine has made its rules anew, the file is as it was left.
	for range 2 {
		n.run("move_engine_dns")
		n.expectFile("restored", moved("172.18.0.1"))
		n.expectFile("etc/resolv.conf", "nameserver 172.18.0.1\noptions ndots:0\n")
		n.expectFile("proc/sys/net/ipv4/conf/all/route_localnet", "1\n")
	}

	files["route"] = ""
	n = newEntrypointNode(t, files, stubs)
	calls := n.run("move_engine_dns")
	n.expectFile("restored", moved("172.31.255.254"))
	if !strings.Contains(strings.Join(calls, "\n"), "ip route replace 172.31.255.254/32 dev lo") {
		t.Errorf("without a gateway: %q", calls)
	}

	files["rules"] = "*nat\nCOMMIT\n" // an engine's default network has no DNS of its own
	n = newEntrypointNode(t, files, stubs)
	if diff := cmp.Diff([]string{"iptables-save -t nat"}, n.run("move_engine_dns")); diff != "" {
		t.Error(diff)
	}
	n.expectFile("etc/resolv.conf", files["etc/resolv.conf"])
}

func TestEntrypointSelectsIptables(t *testing.T) {
	for name, test := range map[string]struct {
		nft, legacy string // what the backends' programs do
		want        string
	}{
		"nothing there":                {"true", "true", "nft"},
		"the engine's rules in legacy": {"true", "echo '-A DOCKER_OUTPUT -d x'", "legacy"},
		"the engine's rules in nft":    {"echo '-A DOCKER_OUTPUT -d x'", "echo '-A DOCKER_OUTPUT -d x'", "nft"},
		"no nf_tables in the kernel":   {"false", "true", "legacy"},
	} {
		t.Run(name, func(t *testing.T) {
			other := map[string]string{"nft": "legacy", "legacy": "nft"}[test.want]
			n := newEntrypointNode(t, nil, map[string]string{
				"iptables-nft": test.nft, "iptables-nft-save": test.nft, "iptables-legacy-save": test.legacy,
				"readlink": "echo /usr/sbin/xtables-" + other, "update-alternatives": "",
			})
			var set []string
			for _, call := range n.run("select_iptables") {
				if strings.HasPrefix(call, "update-alternatives") {
					set = append(set, call)
				}
			}
			want := []string{
				"update-alternatives --quiet --set iptables /usr/sbin/iptables-" + test.want,
				"update-alternatives --quiet --set ip6tables /usr/sbin/ip6tables-" + test.want,
			}
			if diff := cmp.Diff(want, set); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestEntrypointGivesAnIdentityOnce(t *testing.T) {
	n := newEntrypointNode(t, map[string]string{
		"proc/sys/kernel/random/uuid": "7f9c0a52-0000-4000-8000-1234567890ab\n", "kind/x": "", "etc/machine-id": "",
		"sys/class/dmi/id/product_uuid": "the host's",
	}, map[string]string{"mount": ""})
	first := n.run("make_identity")
	n.expectFile("etc/machine-id", "7f9c0a520000400080001234567890ab\n")
	n.expectFile("kind/product_uuid", "7f9c0a52-0000-4000-8000-1234567890ab\n")
	hidden := "mount -o ro,bind " + n.root + "/kind/product_uuid " + n.root + "/sys/class/dmi/id/product_uuid"
	if diff := cmp.Diff([]string{hidden}, first); diff != "" {
		t.Error(diff)
	}
	// A restart keeps it.
	if err := os.WriteFile(filepath.Join(n.root, "proc/sys/kernel/random/uuid"), []byte("another\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	n.run("make_identity")
	n.expectFile("etc/machine-id", "7f9c0a520000400080001234567890ab\n")
}
