// SPDX-License-Identifier: Apache-2.0

package standalone

import (
	"errors"
	"fmt"
	"hash/fnv"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Flags that `slipway up` offers, as error messages name them. The command line
// must use these names.
const (
	FlagListenAddress = "listen-address"
	FlagAPIServerPort = "api-server-port"
	FlagEtcdPort      = "etcd-port"
)

// The range that ports are chosen from: below the kernel's range for outgoing
// connections (from 32768), in which a port that is free now may be taken by
// any client when the cluster is started again.
const (
	firstPort = 20000
	lastPort  = 29999
)

// choosePort returns a port of the range on which one can listen, not in taken.
// The search begins at a place that depends on the data directory, so that two
// clusters started at once do not choose the same.
func choosePort(address net.IP, home dataDir, taken ...int) (int, error) {
	hash := fnv.New32a()
	_, _ = hash.Write([]byte(home))
	size := lastPort - firstPort + 1
	begin := int(hash.Sum32() % uint32(size))
	for i := range size {
		port := firstPort + (begin+i)%size
		used := false
		for _, t := range taken {
			used = used || t == port
		}
		if !used && canListen(address, port) == nil {
			return port, nil
		}
	}
	return 0, fmt.Errorf("no port from %d to %d is free on %s", firstPort, lastPort, address)
}

func canListen(address net.IP, port int) error {
	listener, err := net.Listen("tcp", net.JoinHostPort(address.String(), strconv.Itoa(port)))
	if err != nil {
		return err
	}
	return listener.Close()
}

// checkPort says clearly why one cannot listen on a port. A port that is in use
// is tried for as long as patience lasts: the process of an earlier run may be
// just ending.
func checkPort(address net.IP, port int, flag string, patience time.Duration) error {
	deadline := time.Now().Add(patience)
	for {
		err := canListen(address, port)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, syscall.EADDRINUSE):
			if time.Now().Before(deadline) {
				time.Sleep(50 * time.Millisecond)
				continue
			}
			by := "another process"
			if holder := portHolder(port); holder != "" {
				by = holder
			}
			return fmt.Errorf("port %d of %s is in use by %s: stop it, or choose another port with --%s", port, address, by, flag)
		case errors.Is(err, syscall.EADDRNOTAVAIL):
			return fmt.Errorf("no interface of this machine has the address %s: choose another with --%s", address, FlagListenAddress)
		case errors.Is(err, syscall.EACCES):
			return fmt.Errorf("listening on port %d of %s is not allowed: choose a port above 1023 with --%s", port, address, flag)
		default:
			return fmt.Errorf("listen on port %d of %s: %w", port, address, err)
		}
	}
}

// portHolder names the process that listens on a port, like "nginx (process
// 812)"; empty where it cannot be found, as for other users' processes.
func portHolder(port int) string {
	inodes := map[string]bool{}
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		content, err := os.ReadFile(table)
		if err != nil {
			continue
		}
		for _, inode := range listeningInodes(string(content), port) {
			inodes["socket:["+inode+"]"] = true
		}
	}
	if len(inodes) == 0 {
		return ""
	}
	pids, err := processIDs()
	if err != nil {
		return ""
	}
	for _, pid := range pids {
		descriptors, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
		for _, descriptor := range descriptors {
			if target, err := os.Readlink(descriptor); err == nil && inodes[target] {
				name, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
				return fmt.Sprintf("%s (process %d)", strings.TrimSpace(string(name)), pid)
			}
		}
	}
	return ""
}

// listeningInodes reads a table like /proc/net/tcp (proc_pid_net(5)): column 2
// is the local address and port in hexadecimal, 4 the state (0A: listening),
// 10 the socket's inode.
func listeningInodes(table string, port int) []string {
	var inodes []string
	for line := range strings.Lines(table) {
		fields := strings.Fields(line)
		if len(fields) < 10 || fields[3] != "0A" {
			continue
		}
		_, hex, found := strings.Cut(fields[1], ":")
		if !found {
			continue
		}
		if number, err := strconv.ParseUint(hex, 16, 16); err == nil && int(number) == port {
			inodes = append(inodes, fields[9])
		}
	}
	return inodes
}
