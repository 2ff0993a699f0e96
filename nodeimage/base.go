// SPDX-License-Identifier: Apache-2.0

package nodeimage

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

const (
	debianSuite   = "bookworm"
	debianKeyring = "/usr/share/keyrings/debian-archive-keyring.gpg"
)

// nodePackages are the Debian packages of a node besides the minimal system.
var nodePackages = []string{
	"bash", "ca-certificates", "conntrack", "dbus", "ebtables", "ethtool", "iproute2", "iptables", "jq", "kmod",
	"mount", "nftables", "procps", "runc", "socat", "systemd", "systemd-sysv", "udev", "util-linux",
}

// loadBalancerPackage is installed beside them, taken out into the load
// balancer's image and then removed: one installation serves both images.
const loadBalancerPackage = "haproxy"

// base is the Debian part of the images, in the cache.
type base struct {
	dir string
	key string
}

func (b base) rootfs() string       { return filepath.Join(b.dir, "rootfs.tar") }
func (b base) netfilter() string    { return filepath.Join(b.dir, "netfilter") }
func (b base) loadBalancer() string { return filepath.Join(b.dir, "loadbalancer") }

// debianPackage is one installed package.
type debianPackage struct {
	Name, Version, Architecture string
}

// packages returns the packages of the base and of the load balancer's image.
func (b base) packages() (node, loadBalancer []debianPackage, err error) {
	data, err := os.ReadFile(filepath.Join(b.dir, "packages.json"))
	if err != nil {
		return nil, nil, fmt.Errorf("read package list: %w", err)
	}
	var lists struct{ Node, LoadBalancer []debianPackage }
	if err := json.Unmarshal(data, &lists); err != nil {
		return nil, nil, fmt.Errorf("read package list: %w", err)
	}
	return lists.Node, lists.LoadBalancer, nil
}

// baseIn says where the base is, or will be, in a cache. Its name tells apart
// what it is made from: packages, suites, and what is stripped. Not what the
// suites held on the day, nor which of them could be read: a base is made anew
// when that is asked for (NoCache), not when a mirror changes.
func baseIn(cache string) base {
	hash := newContentHash("base/2")
	hash.add("packages", append([]string{debianSuite, loadBalancerPackage}, nodePackages...)...)
	hash.add("updates", updateSuites...)
	hash.add("stripped", stripped...)
	hash.add("masked", maskedUnits...)
	key := hash.sum()[:16]
	return base{dir: filepath.Join(cache, "base", debianSuite+"-"+key), key: key}
}

// ensureBase installs the base into the cache unless it is there. The caller
// holds the cache's lock.
func ensureBase(ctx context.Context, o Options, cache string) (base, error) {
	b := baseIn(cache)
	if _, err := os.Stat(b.rootfs()); err == nil && !o.again(b.dir) {
		return b, nil
	}
	debootstrap, err := checkDebootstrap()
	if err != nil {
		return base{}, err
	}
	if err := checkSpace([]need{{path: cache, bytes: gibibyte, what: "Debian packages"}}, measureFree); err != nil {
		return base{}, fmt.Errorf("install Debian base: %w", err)
	}
	done := o.phase(installPhase, debianSuite)
	dir, err := makeUnfinished(b.dir)
	if err != nil {
		return base{}, err
	}
	defer os.RemoveAll(dir)
	building := base{dir: dir, key: b.key}
	if err := building.install(ctx, o, debootstrap, cache); err != nil {
		return base{}, err
	}
	if err := replaceDir(building.dir, b.dir); err != nil {
		return base{}, err
	}
	o.renewed(b.dir)
	done("")
	return b, nil
}

func checkDebootstrap() (string, error) {
	debootstrap, err := findProgram("debootstrap", "building images without a registry", "install it (Debian and Ubuntu: apt-get install debootstrap) and run this again")
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(debianKeyring); err != nil {
		return "", fmt.Errorf("building images needs Debian's archive keys in %s, which are not there; install them (apt-get install debian-archive-keyring) and run this again", debianKeyring)
	}
	if os.Geteuid() != 0 {
		return "", errors.New("installing the images' Debian packages needs root, for file owners and chroot; run this again as root or with sudo")
	}
	return debootstrap, nil
}

const installPhase = "Installing Debian packages"

func (b base) install(ctx context.Context, o Options, debootstrap, cache string) error {
	root := filepath.Join(b.dir, "root")
	downloads := filepath.Join(cache, "debs")
	if err := os.MkdirAll(downloads, 0o755); err != nil {
		return fmt.Errorf("create package cache: %w", err)
	}
	if err := bootstrap(ctx, debootstrap, root, downloads); err != nil {
		return err
	}
	o.phase(installPhase, strings.Join(updateSuites, ", "))
	suites, err := update(ctx, o, hostAptDir, root, downloads)
	if err != nil {
		return err
	}
	all, err := installedPackages(ctx, root)
	if err != nil {
		return err
	}
	loadBalancer, err := copyLoadBalancer(ctx, root, b.loadBalancer(), all)
	if err != nil {
		return err
	}
	if err := copyNetfilter(root, b.netfilter()); err != nil {
		return err
	}
	if _, err := (command{program: "chroot", args: []string{root, "dpkg", "--purge", loadBalancerPackage}, isolated: true}).run(ctx); err != nil {
		return fmt.Errorf("remove %s from the base: %w", loadBalancerPackage, err)
	}
	node, err := installedPackages(ctx, root)
	if err != nil {
		return err
	}
	lists, err := json.MarshalIndent(map[string]any{"Suites": suites, "Node": node, "LoadBalancer": loadBalancer}, "", "  ")
	if err != nil {
		return fmt.Errorf("encode package list: %w", err)
	}
	if err := os.WriteFile(filepath.Join(b.dir, "packages.json"), lists, 0o644); err != nil {
		return fmt.Errorf("write package list: %w", err)
	}
	if err := strip(root); err != nil {
		return err
	}
	if _, err := writeLayer(root, b.rootfs(), ownersKept); err != nil {
		return fmt.Errorf("archive base: %w", err)
	}
	return os.RemoveAll(root)
}

// bootstrap installs the release and the packages that the images need.
func bootstrap(ctx context.Context, debootstrap, root, downloads string) error {
	mirror, err := debianMirror(hostAptDir, debianSuite)
	if err != nil {
		return err
	}
	include := strings.Join(append([]string{loadBalancerPackage}, nodePackages...), ",")
	args := []string{
		"--variant=minbase", "--components=main", "--force-check-gpg", "--keyring=" + debianKeyring,
		"--cache-dir=" + downloads, "--include=" + include, debianSuite, root,
	}
	if mirror != "" {
		args = append(args, mirror)
	}
	if _, err := (command{program: debootstrap, args: args, isolated: true}).run(ctx); err != nil {
		return fmt.Errorf("install Debian packages with debootstrap: %w\nCheck that the machine reaches its Debian mirror (apt-get update; one whose address holds a password is not used) and run this again", err)
	}
	return nil
}

// installedPackages asks the base's own package manager.
func installedPackages(ctx context.Context, root string) ([]debianPackage, error) {
	output, err := (command{program: "chroot", args: []string{root, "dpkg-query", "-W", "-f", "${Package} ${Version} ${Architecture}\n"}}).run(ctx)
	if err != nil {
		return nil, fmt.Errorf("list installed packages: %w", err)
	}
	var packages []debianPackage
	for line := range strings.Lines(output) {
		if fields := strings.Fields(line); len(fields) == 3 {
			packages = append(packages, debianPackage{fields[0], fields[1], fields[2]})
		}
	}
	return packages, nil
}

// stripped are paths that a node never reads; patterns as of filepath.Match,
// relative to the root. Copyright files stay: they are part of the licences.
var stripped = []string{
	"var/cache/apt/*", "var/cache/debconf/*-old", "var/cache/ldconfig/*", "var/lib/apt/lists/*", "var/log/*",
	"usr/share/man/*", "usr/share/info/*", "usr/share/locale/*", "usr/share/lintian/*", "usr/share/bug/*",
	"usr/share/doc-base/*", "usr/share/bash-completion/*", "usr/share/zsh/*",
	"usr/lib/udev/hwdb.bin", "usr/lib/udev/hwdb.d", "etc/udev/hwdb.bin",
	"etc/hostname", "etc/hosts", "etc/resolv.conf", "var/lib/dbus/machine-id",
	// Where this host has its packages from is no business of who gets the image.
	"etc/apt/sources.list*",
	// Links that start what a container has no use for.
	"etc/systemd/system/*.wants",
	"tmp/*", "run/*",
}

// maskedUnits would fail or disturb the host from within a container.
var maskedUnits = []string{
	"systemd-udevd.service", "systemd-udev-trigger.service", "systemd-udevd-control.socket", "systemd-udevd-kernel.socket",
	"systemd-modules-load.service", "kmod-static-nodes.service", "systemd-binfmt.service", "proc-sys-fs-binfmt_misc.automount",
	"sys-kernel-debug.mount", "sys-kernel-tracing.mount", "sys-kernel-config.mount", "sys-fs-fuse-connections.mount",
	"dev-hugepages.mount", "dev-mqueue.mount", "systemd-random-seed.service", "systemd-firstboot.service", "systemd-repart.service",
	"systemd-machine-id-commit.service", "systemd-update-utmp.service", "systemd-update-utmp-runlevel.service",
	"systemd-ask-password-console.path", "systemd-ask-password-wall.path", "systemd-logind.service", "getty.target",
	"getty-static.service", "systemd-remount-fs.service", "systemd-networkd-wait-online.service", "systemd-initctl.socket",
	"systemd-journald-audit.socket", "systemd-pcrphase.service", "systemd-pcrphase-sysinit.service", "systemd-user-sessions.service",
	"remote-fs.target", "cryptsetup.target", "integritysetup.target", "veritysetup.target",
}

// strip removes what only costs space or start time, and what must differ
// between nodes.
func strip(root string) error {
	for _, pattern := range stripped {
		matches, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			return fmt.Errorf("strip base: %w", err)
		}
		for _, path := range matches {
			if err := os.RemoveAll(path); err != nil {
				return fmt.Errorf("strip base: %w", err)
			}
		}
	}
	if err := keepCopyrights(filepath.Join(root, "usr/share/doc")); err != nil {
		return fmt.Errorf("strip base: %w", err)
	}
	for _, unit := range maskedUnits {
		path := filepath.Join(root, "etc/systemd/system", unit)
		if err := os.RemoveAll(path); err != nil {
			return fmt.Errorf("mask unit: %w", err)
		}
		if err := os.Symlink("/dev/null", path); err != nil {
			return fmt.Errorf("mask unit: %w", err)
		}
	}
	// /var becomes a volume that the engine fills by copying, for every node: the
	// package database's many small files stay outside it.
	if err := os.MkdirAll(filepath.Join(root, "usr/lib/sysimage"), 0o755); err != nil {
		return fmt.Errorf("move package database: %w", err)
	}
	if err := os.Rename(filepath.Join(root, "var/lib/dpkg"), filepath.Join(root, "usr/lib/sysimage/dpkg")); err != nil {
		return fmt.Errorf("move package database: %w", err)
	}
	if err := os.Symlink("../../usr/lib/sysimage/dpkg", filepath.Join(root, "var/lib/dpkg")); err != nil {
		return fmt.Errorf("move package database: %w", err)
	}
	// Empty, not absent: systemd then takes the identity that the entry point gives.
	if err := os.WriteFile(filepath.Join(root, "etc/machine-id"), nil, 0o444); err != nil {
		return fmt.Errorf("empty machine-id: %w", err)
	}
	return nil
}

// keepCopyrights removes everything but copyright files.
func keepCopyrights(doc string) error {
	return filepath.WalkDir(doc, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || entry.Name() == "copyright" {
			return err
		}
		// A package may share another's directory by a link.
		if info, err := os.Stat(path); entry.Type()&fs.ModeSymlink != 0 && err == nil && info.IsDir() {
			return nil
		}
		return os.Remove(path)
	})
}

// copyNetfilter takes out the tools that program rules of the network, for
// kube-proxy's image.
func copyNetfilter(root, dir string) error {
	programs := []string{"usr/sbin/xtables-nft-multi", "usr/sbin/xtables-legacy-multi", "usr/sbin/nft", "usr/sbin/conntrack"}
	if err := copyPrograms(root, dir, programs, []string{"xtables"}); err != nil {
		return fmt.Errorf("copy netfilter tools: %w", err)
	}
	for _, family := range []string{"iptables", "ip6tables"} {
		for _, suffix := range []string{"", "-save", "-restore"} {
			for infix, target := range map[string]string{"": "xtables-nft-multi", "-nft": "xtables-nft-multi", "-legacy": "xtables-legacy-multi"} {
				link := filepath.Join(dir, "usr/sbin", family+infix+suffix)
				if err := os.Symlink(target, link); err != nil {
					return fmt.Errorf("link netfilter tools: %w", err)
				}
			}
		}
	}
	return nil
}

// copyLoadBalancer takes out HAProxy and returns the packages that its files are of.
func copyLoadBalancer(ctx context.Context, root, dir string, all []debianPackage) ([]debianPackage, error) {
	if err := copyPrograms(root, dir, []string{"usr/sbin/haproxy"}, nil); err != nil {
		return nil, fmt.Errorf("copy load balancer: %w", err)
	}
	names := map[string]bool{}
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		name, err := owningPackage(ctx, root, "/"+strings.TrimPrefix(path, dir+"/"))
		names[name] = true
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("find packages of the load balancer: %w", err)
	}
	var packages []debianPackage
	for _, p := range all {
		if names[p.Name] {
			packages = append(packages, p)
		}
	}
	return packages, nil
}

// owningPackage finds the package that a file came with. The database knows
// files by the paths before /lib and /sbin became links into /usr.
func owningPackage(ctx context.Context, root, path string) (string, error) {
	var failure error
	for _, candidate := range []string{path, strings.TrimPrefix(path, "/usr")} {
		output, err := (command{program: "chroot", args: []string{root, "dpkg-query", "-S", candidate}}).run(ctx)
		if err == nil {
			name, _, _ := bytes.Cut([]byte(output), []byte(":"))
			return string(name), nil
		}
		failure = err
	}
	return "", fmt.Errorf("find package of %s: %w", path, failure)
}
