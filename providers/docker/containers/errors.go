// SPDX-License-Identifier: Apache-2.0

package containers

import (
	"errors"
	"fmt"
	"strings"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/moby/moby/client"
)

// EngineUnavailableError says that no container engine answers.
type EngineUnavailableError struct {
	// Tried holds one "address: cause" for each place that was asked.
	Tried []string
	// FromEnvironment is true when the address came from DOCKER_HOST or an option, not from the usual places.
	FromEnvironment bool
}

func (e *EngineUnavailableError) Error() string {
	next := "install Docker Engine (Debian and Ubuntu: apt-get install docker.io), start it (systemctl start docker, or run dockerd as root), or set DOCKER_HOST to a Docker or Podman socket"
	if e.FromEnvironment {
		next = "start the engine at that address, or correct or unset DOCKER_HOST"
	}
	return fmt.Sprintf("no container engine answers (tried %s): %s", strings.Join(e.Tried, "; "), next)
}

// NameTakenError says that a name which an object's container, volume or network must have belongs to something else. It
// is never adopted or deleted.
type NameTakenError struct {
	Kind  string // "container", "volume" or "network"
	Name  string
	For   string // the object that needs the name, as "DockerMachine default/x"
	Owner string // who has it, as far as its labels tell
}

func (e *NameTakenError) Error() string {
	remove := map[string]string{"container": "docker rm -f ", "volume": "docker volume rm ", "network": "docker network rm "}[e.Kind]
	return fmt.Sprintf("%s: the %s name %q is taken by %s: rename or remove it (%s%s)", e.For, e.Kind, e.Name, e.Owner, remove, e.Name)
}

// MissingImageError says that an image is not on the engine's host and was not to be had.
type MissingImageError struct {
	Image string
	// Cause is why pulling failed; nil when the image is one that is built here and never pulled.
	Cause error
	// Next is what the user can do.
	Next string
}

func (e *MissingImageError) Error() string {
	if e.Cause == nil {
		return fmt.Sprintf("image %q is not on the container engine's host: %s", e.Image, e.Next)
	}
	return fmt.Sprintf("image %q is not on the container engine's host and could not be pulled (%s): %s", e.Image, e.Cause, e.Next)
}

func (e *MissingImageError) Unwrap() error { return e.Cause }

// KernelLimitError says that a limit of the host's kernel is used up, so that another node cannot run.
type KernelLimitError struct {
	Sysctl string // as "fs.inotify.max_user_instances"
	Value  int    // what it is; 0 when unknown
	Wanted int    // what is enough for some dozens of nodes
}

func (e *KernelLimitError) Error() string {
	was := ""
	if e.Value > 0 {
		was = fmt.Sprintf(" (%d)", e.Value)
	}
	return fmt.Sprintf("the host's kernel limit %s%s is used up, so another node cannot run: raise it (as root: sysctl -w %s=%d, and a file in /etc/sysctl.d to keep it)", e.Sysctl, was, e.Sysctl, e.Wanted)
}

// NetworkModeError says that the network in use was made with another isolation than is asked for now.
type NetworkModeError struct {
	Name       string
	Isolated   bool // how it was made
	Containers int  // how many containers use it
}

func (e *NetworkModeError) Error() string {
	return fmt.Sprintf("network %q was made with %s=%t and %d containers use it: delete the clusters first, or start with %s=%t",
		e.Name, IsolatedVariable, e.Isolated, e.Containers, IsolatedVariable, e.Isolated)
}

// SubnetError says that the engine has no free subnet for our network.
type SubnetError struct {
	Network string
	Cause   error
}

func (e *SubnetError) Error() string {
	return fmt.Sprintf("network %q: the container engine has no free subnet (%s): remove networks that are not used (docker network prune), or widen default-address-pools in the engine's daemon.json", e.Network, e.Cause)
}

func (e *SubnetError) Unwrap() error { return e.Cause }

// NotRunningError says that something was asked of a container that does not run.
type NotRunningError struct {
	Name  string
	State State // StateAbsent when there is no such container
}

func (e *NotRunningError) Error() string {
	if e.State == StateAbsent {
		return fmt.Sprintf("container %q does not exist", e.Name)
	}
	return fmt.Sprintf("container %q does not run: it is %s", e.Name, e.State)
}

// LoadBalancerConfigError says that HAProxy refuses a configuration. The one loaded before stays in use.
type LoadBalancerConfigError struct {
	Cluster Key
	Output  string // what HAProxy said
}

func (e *LoadBalancerConfigError) Error() string {
	return fmt.Sprintf("load balancer of cluster %s: HAProxy refuses the configuration (%s), so the former stays in use: correct the ConfigMap that spec.loadBalancer.customHAProxyConfigTemplateRef names", e.Cluster, e.Output)
}

// explain adds the next step to an engine's error that has a known remedy.
func explain(err error) error {
	if err == nil {
		return nil
	}
	if client.IsErrConnectionFailed(err) {
		return fmt.Errorf("the container engine does not answer: start it (systemctl start docker, or run dockerd as root): %w", err)
	}
	text := strings.ToLower(err.Error())
	switch {
	case strings.Contains(text, "no space left on device"):
		return fmt.Errorf("the container engine's disk is full: free space there (docker system df, docker system prune): %w", err)
	case strings.Contains(text, "too many open files"):
		return errors.Join(&KernelLimitError{Sysctl: inotifyInstances, Wanted: wantedInotifyInstances}, err)
	case strings.Contains(text, "bind source path does not exist"):
		return fmt.Errorf("a hostPath of extraMounts does not exist on the container engine's host: make it or correct spec.extraMounts: %w", err)
	}
	return err
}

// isNotFound tells whether the engine said that the thing does not exist.
func isNotFound(err error) bool { return cerrdefs.IsNotFound(err) }

// isConflict tells whether the engine said that a name is in use or a removal is under way.
func isConflict(err error) bool { return cerrdefs.IsConflict(err) }

// isNetworkThere tells whether a network could not be made because one of that name exists. Podman has no code of its own
// for that.
func isNetworkThere(err error) bool {
	return isConflict(err) || err != nil && containsFold(err.Error(), "network already exists")
}
