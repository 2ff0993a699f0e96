// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// forwardingSwitch returns the file in which the kernel keeps whether it forwards packets of a family.
func forwardingSwitch(v6 bool) string {
	if v6 {
		return "/proc/sys/net/ipv6/conf/all/forwarding"
	}
	return "/proc/sys/net/ipv4/ip_forward"
}

// ensureForwarding turns forwarding on where it is off, and reports whether it is on now. In a container
// /proc/sys is usually read-only; off is then no error, because the ptp plugin, which the container runtime runs
// on the node itself, turns it on before the first pod has an address.
func ensureForwarding(path string) (on bool, err error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return false, fmt.Errorf("read forwarding: %w", err)
	}
	if strings.TrimSpace(string(b)) != "0" {
		return true, nil
	}
	err = os.WriteFile(path, []byte("1\n"), 0)
	if errors.Is(err, unix.EROFS) || errors.Is(err, fs.ErrPermission) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("turn forwarding on: %w", err)
	}
	return true, nil
}
