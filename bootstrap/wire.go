// SPDX-License-Identifier: Apache-2.0

package bootstrap

import (
	"encoding/json"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/version"
)

// The types of this file are kubeadm's configuration documents as far as the API's fields reach, for both versions of
// kubeadm's format. Fields that only one of them has say so; where both have a field in different shapes its type is any.
// Source: the documentation of kubeadm's configuration (kubernetes.io, reference/config-api); TestKubeadmAccepts
// holds them against kubeadm itself.

type wireMeta struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
}

type wireCluster struct {
	wireMeta
	ClusterName                 string          `json:"clusterName,omitempty"`
	KubernetesVersion           string          `json:"kubernetesVersion"`
	ControlPlaneEndpoint        string          `json:"controlPlaneEndpoint,omitempty"`
	Networking                  wireNetworking  `json:"networking"`
	Etcd                        *wireEtcd       `json:"etcd,omitempty"`
	APIServer                   *wireComponent  `json:"apiServer,omitempty"`
	ControllerManager           *wireComponent  `json:"controllerManager,omitempty"`
	Scheduler                   *wireComponent  `json:"scheduler,omitempty"`
	DNS                         *wireDNS        `json:"dns,omitempty"`
	CertificatesDir             string          `json:"certificatesDir,omitempty"`
	ImageRepository             string          `json:"imageRepository,omitempty"`
	FeatureGates                map[string]bool `json:"featureGates,omitempty"`
	EncryptionAlgorithm         string          `json:"encryptionAlgorithm,omitempty"`         // v1beta4
	CertificateValidityPeriod   string          `json:"certificateValidityPeriod,omitempty"`   // v1beta4, Go duration
	CACertificateValidityPeriod string          `json:"caCertificateValidityPeriod,omitempty"` // v1beta4, Go duration
}

type wireNetworking struct {
	ServiceSubnet string `json:"serviceSubnet,omitempty"` // at most two, joined by a comma
	PodSubnet     string `json:"podSubnet,omitempty"`     // likewise
	DNSDomain     string `json:"dnsDomain,omitempty"`
}

type wireComponent struct {
	ExtraArgs              any             `json:"extraArgs,omitempty"` // v1beta3: map; v1beta4: []wireArg
	ExtraVolumes           []wireVolume    `json:"extraVolumes,omitempty"`
	ExtraEnvs              []corev1.EnvVar `json:"extraEnvs,omitempty"`              // v1beta4
	CertSANs               []string        `json:"certSANs,omitempty"`               // API server
	TimeoutForControlPlane string          `json:"timeoutForControlPlane,omitempty"` // API server, v1beta3
}

type wireArg struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

type wireVolume struct {
	Name      string              `json:"name"`
	HostPath  string              `json:"hostPath"`
	MountPath string              `json:"mountPath"`
	ReadOnly  bool                `json:"readOnly,omitempty"`
	PathType  corev1.HostPathType `json:"pathType,omitempty"`
}

type wireDNS struct {
	ImageRepository string `json:"imageRepository,omitempty"`
	ImageTag        string `json:"imageTag,omitempty"`
}

type wireEtcd struct {
	Local    *wireLocalEtcd    `json:"local,omitempty"`
	External *wireExternalEtcd `json:"external,omitempty"`
}

type wireLocalEtcd struct {
	ImageRepository string          `json:"imageRepository,omitempty"`
	ImageTag        string          `json:"imageTag,omitempty"`
	DataDir         string          `json:"dataDir,omitempty"`
	ExtraArgs       any             `json:"extraArgs,omitempty"`
	ExtraEnvs       []corev1.EnvVar `json:"extraEnvs,omitempty"` // v1beta4
	ServerCertSANs  []string        `json:"serverCertSANs,omitempty"`
	PeerCertSANs    []string        `json:"peerCertSANs,omitempty"`
}

type wireExternalEtcd struct {
	Endpoints []string `json:"endpoints"`
	CAFile    string   `json:"caFile"`
	CertFile  string   `json:"certFile"`
	KeyFile   string   `json:"keyFile"`
}

type wireInit struct {
	wireMeta
	BootstrapTokens  []wireToken       `json:"bootstrapTokens,omitempty"`
	NodeRegistration *wireRegistration `json:"nodeRegistration,omitempty"`
	LocalAPIEndpoint *wireEndpoint     `json:"localAPIEndpoint,omitempty"`
	SkipPhases       []string          `json:"skipPhases,omitempty"`
	Patches          *wirePatches      `json:"patches,omitempty"`
	Timeouts         *wireTimeouts     `json:"timeouts,omitempty"` // v1beta4
}

type wireToken struct {
	Token       string   `json:"token"`
	Description string   `json:"description,omitempty"`
	TTL         string   `json:"ttl,omitempty"` // Go duration
	Usages      []string `json:"usages,omitempty"`
	Groups      []string `json:"groups,omitempty"`
}

type wireRegistration struct {
	Name      string `json:"name,omitempty"`
	CRISocket string `json:"criSocket,omitempty"`
	// nil: kubeadm's own taints; empty: none. They differ, hence the pointer.
	Taints                *[]corev1.Taint   `json:"taints,omitempty"`
	KubeletExtraArgs      any               `json:"kubeletExtraArgs,omitempty"`
	IgnorePreflightErrors []string          `json:"ignorePreflightErrors,omitempty"`
	ImagePullPolicy       corev1.PullPolicy `json:"imagePullPolicy,omitempty"`
	ImagePullSerial       *bool             `json:"imagePullSerial,omitempty"` // v1beta4
}

type wireEndpoint struct {
	AdvertiseAddress string `json:"advertiseAddress,omitempty"`
	BindPort         int32  `json:"bindPort,omitempty"`
}

type wirePatches struct {
	Directory string `json:"directory,omitempty"`
}

// wireTimeouts are Go durations.
type wireTimeouts struct {
	ControlPlaneComponentHealthCheck string `json:"controlPlaneComponentHealthCheck,omitempty"`
	KubeletHealthCheck               string `json:"kubeletHealthCheck,omitempty"`
	KubernetesAPICall                string `json:"kubernetesAPICall,omitempty"`
	EtcdAPICall                      string `json:"etcdAPICall,omitempty"`
	TLSBootstrap                     string `json:"tlsBootstrap,omitempty"`
	Discovery                        string `json:"discovery,omitempty"`
}

type wireJoin struct {
	wireMeta
	NodeRegistration *wireRegistration     `json:"nodeRegistration,omitempty"`
	CACertPath       string                `json:"caCertPath,omitempty"`
	Discovery        wireDiscovery         `json:"discovery"`
	ControlPlane     *wireJoinControlPlane `json:"controlPlane,omitempty"`
	SkipPhases       []string              `json:"skipPhases,omitempty"`
	Patches          *wirePatches          `json:"patches,omitempty"`
	Timeouts         *wireTimeouts         `json:"timeouts,omitempty"` // v1beta4
}

type wireJoinControlPlane struct {
	LocalAPIEndpoint *wireEndpoint `json:"localAPIEndpoint,omitempty"`
}

type wireDiscovery struct {
	BootstrapToken    *wireTokenDiscovery `json:"bootstrapToken,omitempty"`
	File              *wireFileDiscovery  `json:"file,omitempty"`
	TLSBootstrapToken string              `json:"tlsBootstrapToken,omitempty"`
	Timeout           string              `json:"timeout,omitempty"` // v1beta3, Go duration
}

type wireTokenDiscovery struct {
	Token                    string   `json:"token"`
	APIServerEndpoint        string   `json:"apiServerEndpoint"`
	CACertHashes             []string `json:"caCertHashes,omitempty"`
	UnsafeSkipCAVerification bool     `json:"unsafeSkipCAVerification,omitempty"`
}

type wireFileDiscovery struct {
	KubeConfigPath string `json:"kubeConfigPath"`
}

// dialect is kubeadm's format for one Kubernetes version, and collects what that format cannot say.
type dialect struct {
	kubernetes *version.Version
	beta4      bool
	// ignored are the set fields that this kubeadm knows no place for; see Output.Ignored.
	ignored []string
}

// newDialect picks the format. The boundaries: v1beta3 came with Kubernetes 1.22 and is deprecated since v1beta4 came
// with 1.31; 1.37 no longer reads it.
func newDialect(kubernetesVersion string) (*dialect, error) {
	const where = "the Machine's spec.version"
	if kubernetesVersion == "" {
		return nil, fmt.Errorf("%s: it is not set; set it to a Kubernetes version such as v1.37.1", where)
	}
	parsed, err := version.ParseSemantic(kubernetesVersion)
	if err != nil {
		return nil, fmt.Errorf("%s: %q is not a Kubernetes version such as v1.37.1", where, kubernetesVersion)
	}
	if !parsed.AtLeast(version.MustParseSemantic("v1.22.0-0")) {
		return nil, fmt.Errorf("%s: kubeadm of %s does not read the oldest supported configuration (v1beta3); use Kubernetes v1.22.0 or later", where, kubernetesVersion)
	}
	return &dialect{kubernetes: parsed, beta4: parsed.Major() > 1 || parsed.Minor() >= 31}, nil
}

func (d *dialect) meta(kind string) wireMeta {
	if d.beta4 {
		return wireMeta{APIVersion: "kubeadm.k8s.io/v1beta4", Kind: kind}
	}
	return wireMeta{APIVersion: "kubeadm.k8s.io/v1beta3", Kind: kind}
}

// minorWithin is true from minor first to minor last of Kubernetes 1, pre-releases included.
func (d *dialect) minorWithin(first, last uint) bool {
	return d.kubernetes.Major() == 1 && d.kubernetes.Minor() >= first && d.kubernetes.Minor() <= last
}

// ignore notes that a set field has no place in this version's format.
func (d *dialect) ignore(path string) {
	d.ignored = append(d.ignored, fmt.Sprintf("%s: kubeadm knows it from Kubernetes v1.31 on; it has no effect on %s", path, "v"+d.kubernetes.String()))
}

// documents is the YAML of kubeadm's configuration, documents separated by "---", keys sorted.
func documents(docs ...any) (string, error) {
	out := ""
	for i, doc := range docs {
		text, err := document(doc)
		if err != nil {
			return "", err
		}
		if i > 0 {
			out += "---\n"
		}
		out += text
	}
	return out, nil
}

// document goes through JSON, whose tags the types carry.
func document(doc any) (string, error) {
	encoded, err := json.Marshal(doc)
	if err != nil {
		return "", fmt.Errorf("encode kubeadm configuration: %w", err)
	}
	var tree any
	if err := json.Unmarshal(encoded, &tree); err != nil {
		return "", fmt.Errorf("encode kubeadm configuration: %w", err)
	}
	return treeText(tree, 0), nil
}
