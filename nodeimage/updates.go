// SPDX-License-Identifier: Apache-2.0

package nodeimage

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// debootstrap installs a release as it was at its last point release. What came
// after, security fixes above all, is in suites of their own, often at other
// addresses, which debootstrap cannot read: apt does it, in the new system.

// updateSuites hold what has changed since the release.
var updateSuites = []string{debianSuite + "-updates", debianSuite + "-security"}

// updateFiles is, in the new system, where the files are that the update needs.
// Below /run, so that they are stripped with all that is there.
const updateFiles = "/run/slipway"

// updateScript runs apt-get in a new system: arguments are its root, pairs of a
// directory and where in the system to show it, "--", and apt-get's own. What it
// mounts is gone with its mount namespace.
const updateScript = `set -e
root=$1
shift
mount -t proc proc "$root/proc" 2>/dev/null || mount --rbind /proc "$root/proc"
[ -c "$root/dev/null" ] || mount --rbind /dev "$root/dev"
while [ "$1" != -- ]; do
	mkdir -p "$root$2"
	mount --bind "$1" "$root$2"
	shift 2
done
shift
exec chroot "$root" apt-get "$@"
`

// update brings the packages of a new system to the state of the update suites
// and returns those that it took in; aptDir is the host's apt configuration. Suites that cannot be had are no error: in a
// closed network there may be none, and images are better old than missing. The
// user is told what images go without.
func update(ctx context.Context, o Options, aptDir, root, downloads string) (suites []string, err error) {
	sources, missing, err := updateSources(aptDir)
	if err != nil {
		return nil, err
	}
	if len(missing) > 0 {
		o.notice("Images go without %s of Debian: this host's apt sources name no address for it that can be used (http, https or file, without a password). Add one and run slipway image build --no-cache.", strings.Join(missing, " and "))
	}
	if len(missing) == len(updateSuites) {
		return nil, nil
	}
	u := updater{root: root, downloads: downloads}
	defer u.clear()
	if err := u.prepare(ctx); err != nil {
		return nil, fmt.Errorf("prepare updates of Debian packages: %w", err)
	}
	var reached []aptSource
	for _, source := range sources {
		err := u.read(ctx, source)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		isUpdate := slices.Contains(updateSuites, source.suite)
		if err != nil {
			without := source.suite
			if !isUpdate { // it is installed, and may be asked for more
				without = "updates that need further packages of " + source.suite
			}
			o.notice("Images go without %s of Debian: apt cannot read it from %s (%s). Mend that and run slipway image build --no-cache.", without, source.mirror, aptReason(err))
			continue
		}
		reached = append(reached, source)
		if isUpdate {
			suites = append(suites, source.suite)
		}
	}
	if len(suites) == 0 {
		return nil, nil
	}
	if err := u.upgrade(ctx, reached); err != nil {
		return nil, fmt.Errorf("install updates of %s: %w\nCheck that the machine reaches these suites with all their packages (apt-get update && apt-get upgrade --download-only) and run this again; without an address in the host's apt sources, a suite is left out", strings.Join(suites, " and "), err)
	}
	return suites, nil
}

// updater runs apt in a new system.
type updater struct{ root, downloads string }

// prepare writes what apt needs besides the packages' sources.
func (u updater) prepare(ctx context.Context) error {
	if err := os.MkdirAll(u.file(""), 0o755); err != nil {
		return err
	}
	// Where apt keeps what it is downloading.
	if err := os.MkdirAll(filepath.Join(u.downloads, "partial"), 0o755); err != nil {
		return err
	}
	if err := copyFile(debianKeyring, u.file("keyring.gpg")); err != nil {
		return err
	}
	// An address of a proxy may hold a password.
	if err := os.WriteFile(u.file("apt.conf"), []byte(updateSettings+hostSettings(ctx)), 0o600); err != nil {
		return err
	}
	// Nothing is to be started here: invoke-rc.d asks this.
	if err := os.WriteFile(u.policy(), []byte("#!/bin/sh\nexit 101\n"), 0o755); err != nil {
		return err
	}
	for from, to := range map[string]string{
		// The host may know its mirror by this file alone (debootstrap has copied resolv.conf), and trust it by the other.
		"/etc/hosts": filepath.Join(u.root, "etc/hosts"), hostAuthorities: u.file("authorities.crt"),
	} {
		if err := copyFile(from, to); err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return nil
}

// clear removes what would stay in the image.
func (u updater) clear() { _ = os.Remove(u.policy()) }

func (u updater) policy() string { return filepath.Join(u.root, "usr/sbin/policy-rc.d") }

func (u updater) file(name string) string { return filepath.Join(u.root, updateFiles, name) }

// read has apt read what a suite holds.
func (u updater) read(ctx context.Context, source aptSource) error {
	return u.apt(ctx, source.suite+".list", []aptSource{source}, "update")
}

func (u updater) upgrade(ctx context.Context, sources []aptSource) error {
	return u.apt(ctx, "all.list", sources, "upgrade", "--yes", "--with-new-pkgs")
}

// apt runs apt-get on sources alone, listed in a file with a name.
func (u updater) apt(ctx context.Context, name string, sources []aptSource, args ...string) error {
	lines, binds := sourceLines(sources)
	if err := os.WriteFile(u.file(name), []byte(lines), 0o644); err != nil {
		return fmt.Errorf("write apt sources: %w", err)
	}
	all := []string{"-c", updateScript, "sh", u.root, u.downloads, "/var/cache/apt/archives"}
	all = append(all, binds...)
	all = append(all, "--", "--quiet", "-o", "Dir::Etc::SourceList="+path.Join(updateFiles, name))
	_, err := command{
		program: "sh", args: append(all, args...), isolated: true,
		env: []string{
			"APT_CONFIG=" + path.Join(updateFiles, "apt.conf"), "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C",
			"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "TMPDIR=/tmp",
		},
	}.run(ctx)
	return err
}

// sourceLines is the list of sources in apt's one-line format. A mirror in a folder
// of the host's is shown below updateFiles; binds are the folders and their places.
func sourceLines(sources []aptSource) (lines string, binds []string) {
	for _, source := range sources {
		address := source.mirror
		if parsed, err := url.Parse(address); err == nil && parsed.Scheme == "file" {
			place := path.Join(updateFiles, "mirrors", source.suite)
			binds = append(binds, parsed.Path, place)
			address = "file:" + place
		}
		lines += "deb [signed-by=" + path.Join(updateFiles, "keyring.gpg") + "] " + address + " " + source.suite + " main\n"
	}
	return lines, binds
}

// updateSettings are apt's settings in the new system. Its download cache belongs
// to the user who builds, so apt's own user may not be able to read it. Where no
// packet leaves the machine, apt's usual patience would take minutes a suite.
const updateSettings = `Dir::Etc::SourceParts "/dev/null";
Acquire::Languages "none";
Acquire::Retries "2";
Acquire::http::Timeout "15";
Acquire::https::Timeout "15";
APT::Get::List-Cleanup "false";
APT::Install-Recommends "false";
APT::Sandbox::User "root";
APT::Update::Error-Mode "any";
Dpkg::Use-Pty "false";
`

// hostAuthorities are the certificate authorities that the host trusts.
const hostAuthorities = "/etc/ssl/certs/ca-certificates.crt"

// hostSettings returns those of the host's own settings of apt that decide whether
// a mirror is reached and believed; none on a host without apt. Proxies in the
// environment reach apt by the environment.
func hostSettings(ctx context.Context) string {
	settings := ""
	if _, err := os.Stat(hostAuthorities); err == nil {
		settings = fmt.Sprintf("Acquire::https::CAInfo %q;\n", path.Join(updateFiles, "authorities.crt"))
	}
	dump, err := command{program: "apt-config", args: []string{"dump"}}.run(ctx)
	if err != nil {
		return settings
	}
	return settings + passedSettings(dump)
}

// passedSettings picks from what "apt-config dump" prints.
func passedSettings(dump string) string {
	var passed strings.Builder
	for line := range strings.Lines(dump) {
		name, _, _ := strings.Cut(line, " ")
		for _, wanted := range []string{"Acquire::http::Proxy", "Acquire::https::Proxy", "Acquire::Check-Valid-Until", "Acquire::Check-Date"} {
			// Proxies can be set for single hosts: Acquire::http::Proxy::<host>.
			if name == wanted || strings.HasPrefix(name, wanted+"::") {
				passed.WriteString(line)
			}
		}
	}
	return passed.String()
}

// aptReason is the first error in what apt printed.
func aptReason(err error) string {
	for line := range strings.Lines(err.Error()) {
		if reason, found := strings.CutPrefix(strings.TrimSpace(line), "E: "); found {
			return reason
		}
	}
	return strings.Join(strings.Fields(err.Error()), " ")
}
