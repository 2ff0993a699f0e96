// SPDX-License-Identifier: Apache-2.0

package v1beta2

// Discovery is how a machine finds the control plane and comes to trust it: by one of token and file.
//
// +kubebuilder:validation:XValidation:rule="!has(self.bootstrapToken) || !has(self.file)",message="discovery is either by bootstrapToken or by file: keep one of them"
// +kubebuilder:validation:MinProperties=1
type Discovery struct {
	// bootstrapToken is discovery by token.
	// +optional
	BootstrapToken BootstrapTokenDiscovery `json:"bootstrapToken,omitempty,omitzero"`

	// file is discovery by a kubeconfig on the host.
	// +optional
	File FileDiscovery `json:"file,omitempty,omitzero"`

	// tlsBootstrapToken is the token to get the kubelet's certificate with. bootstrapToken.token when absent.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	TLSBootstrapToken string `json:"tlsBootstrapToken,omitempty"`
}

// BootstrapTokenDiscovery is discovery by token.
//
// +kubebuilder:validation:MinProperties=1
type BootstrapTokenDiscovery struct {
	// token to read the cluster's information with. A fresh one is made when absent.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	Token string `json:"token,omitempty"`

	// apiServerEndpoint is host:port of an API server. The Cluster's endpoint when absent.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	APIServerEndpoint string `json:"apiServerEndpoint,omitempty"`

	// caCertHashes are hashes, such as sha256:<hex>, of public keys of CAs to trust. Those of the cluster's CA when absent.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=100
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=512
	CACertHashes []string `json:"caCertHashes,omitempty"`

	// unsafeSkipCAVerification true trusts whoever answers. Anybody who can answer can then take the machine over.
	// +optional
	UnsafeSkipCAVerification *bool `json:"unsafeSkipCAVerification,omitempty"`
}

// FileDiscovery is discovery by a kubeconfig on the host.
type FileDiscovery struct {
	// kubeConfigPath is the path, on the host, or the URL of the kubeconfig.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	KubeConfigPath string `json:"kubeConfigPath,omitempty"`

	// kubeConfig, when there, is written to kubeConfigPath.
	// +optional
	KubeConfig FileDiscoveryKubeConfig `json:"kubeConfig,omitempty,omitzero"`
}

// FileDiscoveryKubeConfig is a kubeconfig with one cluster and one user.
type FileDiscoveryKubeConfig struct {
	// cluster to connect to. Filled in from the Cluster when absent.
	// +optional
	Cluster KubeConfigCluster `json:"cluster,omitempty,omitzero"`

	// user to connect as.
	// +required
	User KubeConfigUser `json:"user,omitempty,omitzero"`
}

// KubeConfigCluster is the cluster of a kubeconfig.
//
// +kubebuilder:validation:MinProperties=1
type KubeConfigCluster struct {
	// server is the URL of the API server. That of the Cluster's endpoint when absent.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	Server string `json:"server,omitempty"`

	// tlsServerName is the name to check the server's certificate for. The one in server when absent.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	TLSServerName string `json:"tlsServerName,omitempty"`

	// insecureSkipTLSVerify true does not check the server's certificate.
	// +optional
	InsecureSkipTLSVerify *bool `json:"insecureSkipTLSVerify,omitempty"`

	// certificateAuthorityData is the CA certificate, PEM. That of the cluster when absent.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=51200
	CertificateAuthorityData []byte `json:"certificateAuthorityData,omitempty"`

	// proxyURL of a proxy to connect through.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	ProxyURL string `json:"proxyURL,omitempty"`
}

// KubeConfigUser is the user of a kubeconfig. One of the fields is set.
//
// +kubebuilder:validation:XValidation:rule="!has(self.authProvider) || !has(self.exec)",message="a user of a kubeconfig has either authProvider or exec: keep one of them"
// +kubebuilder:validation:MinProperties=1
type KubeConfigUser struct {
	// authProvider is a plug-in inside the client.
	// +optional
	AuthProvider KubeConfigAuthProvider `json:"authProvider,omitempty,omitzero"`

	// exec is a command that gets credentials.
	// +optional
	Exec KubeConfigAuthExec `json:"exec,omitempty,omitzero"`
}

// KubeConfigAuthProvider is a plug-in inside the client that gets credentials.
type KubeConfigAuthProvider struct {
	// name of the plug-in.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	Name string `json:"name,omitempty"`

	// config of the plug-in.
	// +optional
	Config map[string]string `json:"config,omitempty"`
}

// KubeConfigAuthExec is a command that gets credentials.
type KubeConfigAuthExec struct {
	// command to run.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	Command string `json:"command,omitempty"`

	// args of the command.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=100
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=512
	Args []string `json:"args,omitempty"`

	// env are environment variables for the command, besides those of the process that runs it.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=100
	Env []KubeConfigAuthExecEnv `json:"env,omitempty"`

	// apiVersion of what the command prints. client.authentication.k8s.io/v1 when absent.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	APIVersion string `json:"apiVersion,omitempty"`

	// provideClusterInfo true tells the command about the cluster, in the variable KUBERNETES_EXEC_INFO.
	// +optional
	ProvideClusterInfo *bool `json:"provideClusterInfo,omitempty"`
}

// KubeConfigAuthExecEnv is an environment variable for a command that gets credentials.
type KubeConfigAuthExecEnv struct {
	// name of the variable.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	Name string `json:"name,omitempty"`

	// value of the variable.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	Value string `json:"value,omitempty"`
}
