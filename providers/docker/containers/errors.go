// SPDX-License-Identifier: Apache-2.0

package containers

import (
	"errors"
	"fmt"
	"net/netip"
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
	// Record is the file that names the only engine that was asked, see Options.Record; empty when others were too.
	Record string
}

func (e *EngineUnavailableError) Error() string {
	next := "install Docker Engine (Debian and Ubuntu: apt-get install docker.io), start it (systemctl start docker, or run dockerd as root), or set DOCKER_HOST to a Docker or Podman socket"
	switch {
	case e.FromEnvironment:
		next = "start the engine at that address, or correct or unset DOCKER_HOST"
	case e.Record != "":
		next = fmt.Sprintf("start that engine, which has this management cluster's containers; where it has another address now, set DOCKER_HOST to that; where it is gone for good, remove %s", e.Record)
	}
	return fmt.Sprintf("no container engine answers (tried %s): %s", strings.Join(e.Tried, "; "), next)
}

// OtherEngineError says that the engine that answers is not the one that has this management cluster's containers. Nothing
// that it says of them counts: they are not deleted, they are elsewhere.
type OtherEngineError struct {
	Found, Recorded Engine
	// Record is the file that remembers, see Options.Record.
	Record string
}

func (e *OtherEngineError) Error() string {
	return fmt.Sprintf("the container engine that answers, %s, is not the one that has this management cluster's containers, %s: start that one and set DOCKER_HOST to its address; if it is gone for good with all that was in it, remove %s",
		e.Found.identity(), e.Recorded.identity(), e.Record)
}

// identity is what tells an engine from others, in words.
func (e Engine) identity() string {
	text := e.Name + " at " + e.Host
	if e.ID != "" {
		text += " with id " + e.ID
	}
	return text
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

// SeveralContainersError says that several containers carry the labels of one object and none of them has its name, so that
// nobody knows which one is the object's.
type SeveralContainersError struct {
	Name  string   // that the object's container should have
	Found []string // names of those that carry its labels
}

func (e *SeveralContainersError) Error() string {
	return fmt.Sprintf("containers %s carry the same labels, as copies of one do, and none is called %q: remove those that are copies (docker rm -f), or give the original its name back (docker rename)",
		strings.Join(e.Found, ", "), e.Name)
}

// EndpointTakenError says that a load balancer cannot be made at its cluster's endpoint, which is an address of our network,
// because something else has that address.
type EndpointTakenError struct {
	Cluster Key
	Address netip.Addr
	Network string
	By      string // container, or what else
}

func (e *EndpointTakenError) Error() string {
	return fmt.Sprintf("load balancer of cluster %s: its address is %s, the endpoint of the cluster, and on network %s %s has that: remove it from there",
		e.Cluster, e.Address, e.Network, e.By)
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
	case strings.Contains(text, "too many open files") && (strings.Contains(text, "inotify") || strings.Contains(text, "fsnotify")):
		return errors.Join(&KernelLimitError{Sysctl: inotifyInstances, Wanted: wantedInotifyInstances}, err)
	case strings.Contains(text, "too many open files"):
		// The kernel has the same words for both.
		return fmt.Errorf("the container engine has reached its limit of open files (raise LimitNOFILE of its service: systemctl edit docker), or the host its limit of inotify instances (as root: sysctl -w %s=%d): %w",
			inotifyInstances, wantedInotifyInstances, err)
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
