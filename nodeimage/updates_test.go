// SPDX-License-Identifier: Apache-2.0

package nodeimage

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestUpdateSources(t *testing.T) {
	const (
		release  = "deb http://mirror.example/debian bookworm main\n"
		updates  = "deb http://mirror.example/debian bookworm-updates main contrib\n"
		security = "deb http://mirror.example/debian-security bookworm-security main\n"
	)
	for name, test := range map[string]struct {
		files            map[string]string
		sources, missing []string
	}{
		"all": {map[string]string{"sources.list": release + updates + security}, []string{
			"bookworm http://mirror.example/debian", "bookworm-updates http://mirror.example/debian", "bookworm-security http://mirror.example/debian-security"}, nil},
		"stanzas": {map[string]string{"sources.list.d/debian.sources": "Types: deb\nURIs: http://deb.debian.org/debian\nSuites: bookworm bookworm-updates\nComponents: main\n\n" +
			"Types: deb\n# a comment\nURIs: http://deb.debian.org/debian-security\nSuites: bookworm-security\nComponents: main\nSigned-By: /x.gpg\n"}, []string{
			"bookworm http://deb.debian.org/debian", "bookworm-updates http://deb.debian.org/debian", "bookworm-security http://deb.debian.org/debian-security"}, nil},
		"a closed mirror": {map[string]string{"sources.list": release}, []string{"bookworm http://mirror.example/debian"}, []string{"bookworm-updates", "bookworm-security"}},
		"a password": {map[string]string{"sources.list": release + updates + "deb https://me:secret@x.example/ bookworm-security main\n"}, []string{
			"bookworm http://mirror.example/debian", "bookworm-updates http://mirror.example/debian"}, []string{"bookworm-security"}},
		// debootstrap takes Debian's own server there, which has the updates too.
		"another distribution": {map[string]string{"sources.list": "deb http://ubuntu.example noble main\ndeb http://ubuntu.example noble-security main\n"}, []string{
			"bookworm http://deb.debian.org/debian", "bookworm-updates http://deb.debian.org/debian", "bookworm-security http://deb.debian.org/debian-security"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			found, missing, err := updateSources(writeTree(t, test.files))
			if err != nil {
				t.Fatal(err)
			}
			var sources []string
			for _, source := range found {
				sources = append(sources, source.suite+" "+source.mirror)
			}
			if diff := cmp.Diff(test.sources, sources); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(test.missing, missing); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestSourceLines(t *testing.T) {
	lines, binds := sourceLines([]aptSource{
		{"bookworm", "http://mirror.example/debian"}, {"bookworm-updates", "file:/srv/debian"}, {"bookworm-security", "file:///srv/security"},
	})
	want := "deb [signed-by=/run/slipway/keyring.gpg] http://mirror.example/debian bookworm main\n" +
		"deb [signed-by=/run/slipway/keyring.gpg] file:/run/slipway/mirrors/bookworm-updates bookworm-updates main\n" +
		"deb [signed-by=/run/slipway/keyring.gpg] file:/run/slipway/mirrors/bookworm-security bookworm-security main\n"
	if diff := cmp.Diff(want, lines); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"/srv/debian", "/run/slipway/mirrors/bookworm-updates", "/srv/security", "/run/slipway/mirrors/bookworm-security"}, binds); diff != "" {
		t.Error(diff)
	}
}

func TestPassedSettings(t *testing.T) {
	got := passedSettings(`APT "";
Acquire "";
Acquire::Check-Valid-Until "false";
Acquire::Languages:: "de";
Acquire::http "";
Acquire::http::Proxy "http://me:secret@proxy.example:3128";
Acquire::http::Proxy::mirror.example "DIRECT";
Acquire::http::Proxy-Auto-Detect "/usr/bin/of-the-host";
Dir::Etc::SourceList "sources.list";
`)
	want := "Acquire::Check-Valid-Until \"false\";\nAcquire::http::Proxy \"http://me:secret@proxy.example:3128\";\nAcquire::http::Proxy::mirror.example \"DIRECT\";\n"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestAptReason(t *testing.T) {
	err := fmt.Errorf("exit status 100:\n%s", "W: a warning\nE: Failed to fetch http://x  404  Not Found\nE: Some index files failed")
	if got := aptReason(err); got != "Failed to fetch http://x  404  Not Found" {
		t.Errorf("%q", got)
	}
	if got := aptReason(errors.New("exit status 1:\nmount: refused")); got != "exit status 1: mount: refused" {
		t.Errorf("%q", got)
	}
}

// TestUpdateGoesOnWithoutASuite runs the update in a small system whose apt-get is
// a script: it cannot reach the security suite, and writes down what it is given.
func TestUpdateGoesOnWithoutASuite(t *testing.T) {
	if _, err := os.Stat(debianKeyring); err != nil || os.Geteuid() != 0 {
		t.Skip("needs root and Debian's archive keys")
	}
	if _, err := (command{program: "true", isolated: true}).run(t.Context()); err != nil {
		t.Skip("needs namespaces: ", err)
	}
	mirror := writeTree(t, map[string]string{"dists": ""})
	apt := writeTree(t, map[string]string{"sources.list": "deb http://one.example/debian bookworm main\n" +
		"deb file:" + mirror + " bookworm-updates main\ndeb http://two.example/debian-security bookworm-security main\n"})
	root, downloads := t.TempDir(), filepath.Join(t.TempDir(), "debs")
	if err := copyPrograms("/", root, []string{"usr/bin/bash", "usr/bin/cat"}, nil); err != nil {
		t.Skip("needs a Debian-like file system: ", err)
	}
	const script = `#!/bin/bash
list=${3#Dir::Etc::SourceList=}
echo "$4 $(cat $list)" >> /calls
[[ -e /var/cache/apt/archives/partial && -e /usr/sbin/policy-rc.d && -r $APT_CONFIG && -r /run/slipway/keyring.gpg ]] || exit 1
if [[ $4 == update && $list == *security* ]]; then echo "E: no route to host" >&2; exit 100; fi
if [[ $4 == update && $list == *updates* && ! -e /run/slipway/mirrors/bookworm-updates/dists ]]; then exit 1; fi
`
	for _, dir := range []string{"proc", "dev", "etc"} {
		if err := os.Mkdir(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := writeFile(root, "usr/bin/apt-get", "", []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	var notices []string
	options := Options{Notice: func(text string) { notices = append(notices, text) }}
	suites, err := update(t.Context(), options, apt, root, downloads)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"bookworm-updates"}, suites); diff != "" {
		t.Error(diff)
	}
	if len(notices) != 1 {
		t.Fatalf("%q", notices)
	}
	for _, part := range []string{"without bookworm-security of Debian", "http://two.example/debian-security", "no route to host", "--no-cache"} {
		if !strings.Contains(notices[0], part) {
			t.Errorf("%q does not say %q", notices[0], part)
		}
	}
	calls, err := os.ReadFile(filepath.Join(root, "calls"))
	if err != nil {
		t.Fatal(err)
	}
	const (
		release = "deb [signed-by=/run/slipway/keyring.gpg] http://one.example/debian bookworm main\n"
		updates = "deb [signed-by=/run/slipway/keyring.gpg] file:/run/slipway/mirrors/bookworm-updates bookworm-updates main\n"
		fixes   = "deb [signed-by=/run/slipway/keyring.gpg] http://two.example/debian-security bookworm-security main\n"
	)
	if diff := cmp.Diff("update "+release+"update "+updates+"update "+fixes+"upgrade "+release+updates, string(calls)); diff != "" {
		t.Error(diff)
	}
	if _, err := os.Stat(filepath.Join(root, "usr/sbin/policy-rc.d")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what kept services from starting stays in the image: %v", err)
	}
}

func TestUpdateSaysWhatTheHostDoesNotName(t *testing.T) {
	apt := writeTree(t, map[string]string{"sources.list": "deb http://one.example/debian bookworm main\n"})
	var notices []string
	suites, err := update(t.Context(), Options{Notice: func(text string) { notices = append(notices, text) }}, apt, "/nonexistent", "/nonexistent")
	if err != nil || suites != nil || len(notices) != 1 || !strings.Contains(notices[0], "bookworm-updates and bookworm-security") {
		t.Errorf("%v, %v, %q", suites, err, notices)
	}
}
