// SPDX-License-Identifier: Apache-2.0

package containers

import (
	"crypto/sha256"
	"encoding/base32"
	"strings"

	"k8s.io/apimachinery/pkg/types"
)

// Key names an object of the management cluster; its String is "namespace/name", the form that our labels hold.
type Key = types.NamespacedName

// Role is what a container is for; it is the value of LabelRole.
type Role string

// The roles a container can have.
const (
	RoleControlPlane Role = "control-plane"
	RoleWorker       Role = "worker"
	RoleLoadBalancer Role = "load-balancer"
)

// Labels on every container, volume and network that this package makes.
const (
	// LabelManagementCluster holds the id of the management cluster. What does not carry ours is not ours.
	LabelManagementCluster = "slipway.dev/management-cluster"
	// LabelCluster holds "namespace/name" of the DockerCluster's cluster.
	LabelCluster = "slipway.dev/cluster"
	// LabelMachine holds "namespace/name" of the DockerMachine; on node containers and their volumes only.
	LabelMachine = "slipway.dev/machine"
	// LabelRole holds a Role.
	LabelRole = "slipway.dev/role"
	// LabelUID holds the UID of the object the container was made for, so that a later object of the same name is not
	// taken for the one that made it.
	LabelUID = "slipway.dev/uid"
	// LabelAddress holds the fixed IPv4 address of the container on our network. It is kept as a label because the engine
	// shows the address of running containers only, and a stopped one must keep its own.
	LabelAddress = "slipway.dev/address"
	// LabelFailureDomain holds the machine's failure domain, where it has one.
	LabelFailureDomain = "slipway.dev/failure-domain"
	// LabelIsolated is "true" on a network that does not lead out of the host.
	LabelIsolated = "slipway.dev/isolated"

	// LabelNetwork holds, on node images that are built here and so on containers of them, the version of the pod network's
	// agent whose image is in them.
	LabelNetwork = "slipway.dev/network"

	// labelProbe marks the short-lived network that is made to learn which subnet the engine has free.
	labelProbe = "slipway.dev/probe"

	// Labels by kind's convention, so that tools which look for kind's nodes find ours.
	labelKindCluster = "io.x-k8s.kind.cluster"
	labelKindRole    = "io.x-k8s.kind.role"
	kindRoleBalancer = "external-load-balancer"
)

const (
	// maxName is the longest host name: the container's name is the node's host name and so the Node's name.
	maxName = 63
	// tagLength is how many characters of a hash a name ends in: 30 bits.
	tagLength = 6
)

// tag is a short hash of the parts, in lower-case letters and digits.
func tag(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return strings.ToLower(base32.StdEncoding.EncodeToString(sum[:]))[:tagLength]
}

// Realm is the tag that the names of all containers of one namespace of one management cluster carry, so that two
// management clusters on one host, or two namespaces, can use the same names.
func Realm(managementID, namespace string) string {
	return tag("realm", managementID, namespace)
}

// MachineName is the name of a machine's container, its host name and its Node's name: "<machine>-<realm>". A name that is
// too long for a host name, or has characters that a host name cannot have, is shortened and its characters replaced by
// "-"; a tag of the full name then stands before the realm: "<shortened>-<tag>-<realm>". At most 63 characters, lower-case
// letters, digits and "-". The same arguments always give the same name.
func MachineName(managementID string, machine Key) string {
	realm := Realm(managementID, machine.Namespace)
	return label(machine.Name, maxName-1-len(realm)) + "-" + realm
}

// LoadBalancerName is the name of a cluster's load balancer: "<cluster>-<realm>-lb", shortened as MachineName is. It ends
// in "-lb", which no machine's container does, so that a machine called "demo-lb" does not meet cluster demo's.
func LoadBalancerName(managementID string, cluster Key) string {
	realm := Realm(managementID, cluster.Namespace)
	return label(cluster.Name, maxName-1-len(realm)-len("-lb")) + "-" + realm + "-lb"
}

// NetworkName is the name of the management cluster's network. There is one per management cluster, not one per host, so
// that it can be removed with the last container without asking whether somebody else is about to use it, and not one per
// cluster, because an engine has subnets for about thirty networks.
func NetworkName(managementID string) string {
	return "slipway-" + tag("network", managementID)
}

// VolumeName is the name of the volume that a machine's container has at /var.
func VolumeName(managementID string, machine Key) string {
	return MachineName(managementID, machine) + "-var"
}

// ProviderID is the provider id of the machine with the given container name. The four slashes are the form that existing
// tools expect: no region, no zone.
func ProviderID(containerName string) string {
	return "docker:////" + containerName
}

// label makes name fit for a host name of at most limit characters.
func label(name string, limit int) string {
	clean := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '-':
			return r
		case r >= 'A' && r <= 'Z':
			return r - 'A' + 'a'
		}
		return '-'
	}, name)
	clean = strings.Trim(clean, "-")
	if clean == name && len(name) <= limit {
		return name
	}
	full := tag("name", name)
	if room := limit - 1 - len(full); len(clean) > room {
		clean = strings.TrimRight(clean[:room], "-")
	}
	if clean == "" {
		return full
	}
	return clean + "-" + full
}

// MachineName is the name of the machine's container, host and Node. See the function of the same name.
func (c *Client) MachineName(machine Key) string { return MachineName(c.id, machine) }

// LoadBalancerName is the name of the cluster's load balancer container.
func (c *Client) LoadBalancerName(cluster Key) string { return LoadBalancerName(c.id, cluster) }

// NetworkName is the name of this management cluster's network.
func (c *Client) NetworkName() string { return NetworkName(c.id) }

// labels are the labels of everything this client makes for a cluster.
func (c *Client) labels(cluster Key, role Role, uid string) map[string]string {
	labels := map[string]string{
		LabelManagementCluster: c.id,
		LabelCluster:           cluster.String(),
		LabelRole:              string(role),
		labelKindCluster:       cluster.Name,
		labelKindRole:          string(role),
	}
	if role == RoleLoadBalancer {
		labels[labelKindRole] = kindRoleBalancer
	}
	if uid != "" {
		labels[LabelUID] = uid
	}
	return labels
}

// parseKey reads the "namespace/name" of a label.
func parseKey(value string) Key {
	namespace, name, found := strings.Cut(value, "/")
	if !found {
		return Key{}
	}
	return Key{Namespace: namespace, Name: name}
}
