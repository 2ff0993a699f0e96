// SPDX-License-Identifier: Apache-2.0

package bootstrap

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	bootstrapv1 "github.com/slipway-project/slipway/api/bootstrap/v1beta2"
)

// Step is what the machine does when it boots.
type Step string

// The steps. Exactly one machine of a cluster does Init.
const (
	Init             Step = "Init"
	JoinControlPlane Step = "JoinControlPlane"
	JoinWorker       Step = "JoinWorker"
)

// Input is everything the text is made of. Render does not change it.
type Input struct {
	// Spec is the KubeadmConfig's. Init reads clusterConfiguration and initConfiguration, the joins joinConfiguration;
	// what the step does not read may be set and is passed over.
	Spec bootstrapv1.KubeadmConfigSpec
	Step Step
	// ClusterName is the Cluster's name, KubernetesVersion the Machine's version such as v1.37.1.
	ClusterName       string
	KubernetesVersion string
	// ControlPlaneVersion is what .controlPlane.version is in templates of files; "" where the control plane has none.
	ControlPlaneVersion string
	// ControlPlaneEndpoint is host:port (IPv6 in brackets) of the Cluster's API server; see Endpoint. A
	// controlPlaneEndpoint or apiServerEndpoint in Spec goes before it.
	ControlPlaneEndpoint string
	Network              Network
	// Certificates are written on control planes; workers get none of them.
	Certificates Certificates
	// Discovery is how a joining node finds and trusts the cluster, where Spec does not say.
	Discovery Discovery
	// Secrets are the contents of what SecretKeys lists.
	Secrets map[SecretKey][]byte
	// TaintUninitialized registers a worker with the taint node.cluster.x-k8s.io/uninitialized:NoSchedule, which keeps
	// pods away until the Machine controller has set the node's labels. Set it only where that controller runs.
	TaintUninitialized bool
}

// Network is the Cluster's spec.clusterNetwork. Empty parts are left to kubeadm's defaults.
type Network struct {
	PodCIDRs      []string // one, or one of each IP family
	ServiceCIDRs  []string // likewise
	ServiceDomain string
}

// KeyPair is PEM text. Key may be empty where it is kept elsewhere.
type KeyPair struct {
	Cert []byte
	Key  []byte
}

// Certificates are the cluster's, from its Secrets. APIServerEtcdClient is for external etcd only.
type Certificates struct {
	ClusterCA, EtcdCA, FrontProxyCA, ServiceAccount, APIServerEtcdClient KeyPair
}

// Discovery is what a joining node is given.
type Discovery struct {
	// Token is a bootstrap token "<id>.<secret>". On Init it is optional: kubeadm init makes a token in any case, prints
	// it, and lets it live for a day, unless it is given one; give it one with a short TokenTTL.
	Token string
	// TokenTTL counts on Init only, in whole seconds. Joins read tokens that the caller has stored with an expiry.
	TokenTTL     time.Duration
	CACertHashes []string // pins of the cluster's authority, "sha256:<hex>"
	CACert       []byte   // PEM; for discovery by a kubeconfig file that names no authority
}

// SecretKey is one entry of a Secret in the KubeadmConfig's namespace.
type SecretKey struct {
	Name, Key string
}

// String is "<secret name>/<key>".
func (k SecretKey) String() string { return k.Name + "/" + k.Key }

// Output is the finished user data.
type Output struct {
	// Data is the text; it holds secrets. It ends with a line feed.
	Data []byte
	// Format is the value of the data Secret's key "format".
	Format string
	// Ignored has a sentence for each field that is set and without effect, because this Kubernetes version's kubeadm
	// has no place for it. It starts with the field's path. Show it (an event, a condition's message); do not fail.
	Ignored []string
}

// Endpoint joins host and port to the form of Input.ControlPlaneEndpoint. IPv6 hosts come without brackets. It is ""
// while the cluster has no endpoint yet.
func Endpoint(host string, port int32) string {
	if host == "" || port == 0 {
		return ""
	}
	return net.JoinHostPort(host, strconv.Itoa(int(port)))
}

// SecretKeys lists what the caller has to read into Input.Secrets, each once, in the order of the fields.
func SecretKeys(spec bootstrapv1.KubeadmConfigSpec) []SecretKey {
	var keys []SecretKey
	seen := map[SecretKey]bool{}
	add := func(key SecretKey) {
		if key.Name != "" && !seen[key] {
			seen[key] = true
			keys = append(keys, key)
		}
	}
	for _, file := range spec.Files {
		add(SecretKey{file.ContentFrom.Secret.Name, file.ContentFrom.Secret.Key})
	}
	for _, user := range spec.Users {
		add(SecretKey{user.PasswdFrom.Secret.Name, user.PasswdFrom.Secret.Key})
	}
	return keys
}

// NeedsToken is true where joining by this configuration takes a bootstrap token from Discovery: the user has given
// neither a token nor a discovery file.
func NeedsToken(spec bootstrapv1.KubeadmConfigSpec) bool {
	discovery := spec.JoinConfiguration.Discovery
	return discovery.BootstrapToken.Token == "" && discovery.File.KubeConfigPath == ""
}

// Render makes the user data. Every error is about the Input, begins with the path of the field at fault (of the
// KubeadmConfig unless it says otherwise) and says what to do; the same Input fails again, so show it and wait for
// a change. No error repeats a token or a secret's content.
func Render(in Input) (Output, error) {
	if in.Spec.Format != "" && in.Spec.Format != bootstrapv1.CloudConfig {
		return Output{}, fmt.Errorf("spec.format: this version of slipway makes no user data of format %q; use %s", in.Spec.Format, bootstrapv1.CloudConfig)
	}
	dialect, err := newDialect(in.KubernetesVersion)
	if err != nil {
		return Output{}, err
	}
	if err := checkInput(in); err != nil {
		return Output{}, err
	}
	config := cloudConfig{spec: in.Spec}
	if in.Step != JoinWorker {
		if config.files, err = certificateFiles(in); err != nil {
			return Output{}, err
		}
	}
	userFiles, err := userFiles(in)
	if err != nil {
		return Output{}, err
	}
	config.files = append(config.files, userFiles...)
	kubeadmFiles, err := kubeadmFiles(in, dialect)
	if err != nil {
		return Output{}, err
	}
	if err := checkPaths(config.files, kubeadmFiles); err != nil {
		return Output{}, err
	}
	config.files = append(config.files, kubeadmFiles...)
	if config.users, err = users(in); err != nil {
		return Output{}, err
	}
	if config.kubeadm, err = kubeadmCommand(in); err != nil {
		return Output{}, err
	}
	text, err := config.text()
	if err != nil {
		return Output{}, err
	}
	return Output{Data: []byte(text), Format: string(bootstrapv1.CloudConfig), Ignored: dialect.ignored}, nil
}

func checkInput(in Input) error {
	switch in.Step {
	case Init, JoinControlPlane, JoinWorker:
	default:
		return fmt.Errorf("render bootstrap data: step %q is not one of %s, %s, %s", in.Step, Init, JoinControlPlane, JoinWorker)
	}
	if in.ClusterName == "" {
		return errors.New("render bootstrap data: the cluster's name is missing")
	}
	if in.ControlPlaneEndpoint != "" {
		if err := checkEndpoint("the Cluster's spec.controlPlaneEndpoint", in.ControlPlaneEndpoint); err != nil {
			return err
		}
	}
	if err := checkCIDRs("the Cluster's spec.clusterNetwork.pods.cidrBlocks", in.Network.PodCIDRs); err != nil {
		return err
	}
	return checkCIDRs("the Cluster's spec.clusterNetwork.services.cidrBlocks", in.Network.ServiceCIDRs)
}

func checkEndpoint(path, endpoint string) error {
	host, port, err := net.SplitHostPort(endpoint)
	number, numberErr := strconv.ParseUint(port, 10, 16)
	if err != nil || numberErr != nil || host == "" || number == 0 {
		return fmt.Errorf("%s: %q is not host:port; give it like 192.0.2.1:6443 or [2001:db8::1]:6443", path, endpoint)
	}
	return nil
}

func checkCIDRs(path string, cidrs []string) error {
	var families []bool
	for i, cidr := range cidrs {
		prefix, err := netip.ParsePrefix(cidr)
		if err != nil {
			return fmt.Errorf("%s[%d]: %q is not a CIDR; give it like 10.244.0.0/16", path, i, cidr)
		}
		if prefix != prefix.Masked() {
			return fmt.Errorf("%s[%d]: %q has bits set behind its prefix; write %s", path, i, cidr, prefix.Masked())
		}
		families = append(families, prefix.Addr().Is4())
	}
	if len(families) > 2 || (len(families) == 2 && families[0] == families[1]) {
		return fmt.Errorf("%s: %s; give one, or one of IPv4 and one of IPv6", path, strings.Join(cidrs, ", "))
	}
	return nil
}
