// SPDX-License-Identifier: Apache-2.0

package containers

import (
	"os"
	"strings"

	"github.com/moby/moby/api/types/container"
)

// Two ways to let a node run. Privileged is what node images are made for. Where the host's own bounds forbid to give a
// container every capability, the engine refuses to start it; then the container gets all capabilities but the one that
// such hosts withhold, and each other thing that "privileged" stands for one by one.

// remount does in a confined container what the engine does for a privileged one: it mounts /sys and the cgroup file
// systems writable. Then it goes on with the image's own entry point, which may do the same again.
const remount = `mount -o remount,rw /sys
awk '$5 == "/sys/fs/cgroup" || index($5, "/sys/fs/cgroup/") == 1 { print $5 }' /proc/self/mountinfo |
while read -r point; do mount -o remount,bind,rw "$point"; done
mount --make-rshared /
exec "$@"`

// privilege sets what a node's container may do.
func (c *Client) privilege(config *container.Config, host *container.HostConfig, image Image, confined bool) {
	host.CgroupnsMode = container.CgroupnsModePrivate
	host.SecurityOpt = []string{"seccomp=unconfined", "apparmor=unconfined"}
	if !confined {
		host.Privileged = true
		return
	}
	host.CapAdd = []string{"ALL"}
	host.CapDrop = []string{"SYS_RESOURCE"}
	// Not nil, which means the engine's defaults: nothing is masked, nothing read-only.
	host.MaskedPaths = []string{}
	host.ReadonlyPaths = []string{}
	host.DeviceCgroupRules = []string{"a *:* rwm"}
	for _, device := range []string{"/dev/kmsg", "/dev/fuse"} {
		if c.hostLacks(device) {
			continue
		}
		host.Devices = append(host.Devices, container.DeviceMapping{PathOnHost: device, PathInContainer: device, CgroupPermissions: "rwm"})
	}
	config.Entrypoint = []string{"/bin/sh", "-c", remount, "slipway"}
	config.Cmd = append(append([]string{}, image.entrypoint...), image.command...)
}

// hostLacks tells whether the engine's host is known not to have a file; of another host nothing is known.
func (c *Client) hostLacks(path string) bool {
	if !strings.HasPrefix(c.engine.Host, "unix://") {
		return false
	}
	_, err := os.Stat(path)
	return os.IsNotExist(err)
}

// isPrivilegeRefused tells whether the engine could not start a container because the host withholds capabilities. The
// words are runc's ("unable to apply caps: operation not permitted", with "can't apply capabilities" in newer ones) and
// crun's ("set capabilities: Operation not permitted", "capset: Operation not permitted").
func isPrivilegeRefused(err error) bool {
	if err == nil {
		return false
	}
	text := strings.ToLower(err.Error())
	if !strings.Contains(text, "not permitted") {
		return false
	}
	for _, known := range []string{"apply caps", "apply capabilities", "set capabilities", "capset", "bounding set"} {
		if strings.Contains(text, known) {
			return true
		}
	}
	return false
}

// isAddressTaken tells whether the engine could not start a container because its fixed address is in use: Docker says
// "Address already in use", Podman "requested ip address is already allocated". A host port in use ("bind: address already
// in use") is another matter.
func isAddressTaken(err error) bool {
	if err == nil {
		return false
	}
	text := strings.ToLower(err.Error())
	return strings.Contains(text, "is already allocated to container") ||
		strings.Contains(text, "address already in use") && !strings.Contains(text, "bind:")
}
