// SPDX-License-Identifier: Apache-2.0

package bootstrap

import (
	"errors"
	"fmt"
	"path"
	"regexp"

	bootstrapv1 "github.com/slipway-project/slipway/api/bootstrap/v1beta2"
	clientcmdv1 "k8s.io/client-go/tools/clientcmd/api/v1"
)

var hashForm = regexp.MustCompile(`^sha256:[0-9a-fA-F]{64}$`)

// tokenOrFileDiscovery is how the node finds and trusts the cluster: by the user's file, else by a bootstrap token,
// the user's or the one made for this machine.
func tokenOrFileDiscovery(in Input) (wireDiscovery, error) {
	const path = "spec.joinConfiguration.discovery"
	spec := in.Spec.JoinConfiguration.Discovery
	if spec.File.KubeConfigPath != "" {
		if !isZero(spec.BootstrapToken) {
			return wireDiscovery{}, fmt.Errorf("%s: bootstrapToken and file exclude each other; remove one", path)
		}
		return wireDiscovery{File: &wireFileDiscovery{KubeConfigPath: spec.File.KubeConfigPath}, TLSBootstrapToken: spec.TLSBootstrapToken}, nil
	}
	out := wireTokenDiscovery{Token: in.Discovery.Token, APIServerEndpoint: in.ControlPlaneEndpoint, CACertHashes: in.Discovery.CACertHashes}
	if token := spec.BootstrapToken.Token; token != "" {
		out.Token = token
	}
	if out.Token == "" {
		return wireDiscovery{}, errors.New("render bootstrap data: no bootstrap token was made for this machine")
	}
	if _, err := bootstrapv1.NewBootstrapTokenString(out.Token); err != nil {
		return wireDiscovery{}, fmt.Errorf("%s.bootstrapToken.token: it is not of the form abcdef.0123456789abcdef; remove it to have one made, or correct it", path)
	}
	if address := spec.BootstrapToken.APIServerEndpoint; address != "" {
		out.APIServerEndpoint = address
		if err := checkEndpoint(path+".bootstrapToken.apiServerEndpoint", address); err != nil {
			return wireDiscovery{}, err
		}
	}
	if out.APIServerEndpoint == "" {
		return wireDiscovery{}, errors.New("the Cluster's spec.controlPlaneEndpoint: it is not set, so there is nothing to join; wait for the infrastructure to set it, or set it")
	}
	// Where the user asks for no check of the authority, pins would only contradict that.
	out.UnsafeSkipCAVerification = spec.BootstrapToken.UnsafeSkipCAVerification != nil && *spec.BootstrapToken.UnsafeSkipCAVerification
	switch {
	case len(spec.BootstrapToken.CACertHashes) > 0:
		out.CACertHashes = spec.BootstrapToken.CACertHashes
	case out.UnsafeSkipCAVerification:
		out.CACertHashes = nil
	case len(out.CACertHashes) == 0:
		return wireDiscovery{}, errors.New("render bootstrap data: the hash of the cluster's authority is missing, and without it the node would trust any API server")
	}
	for i, hash := range out.CACertHashes {
		if !hashForm.MatchString(hash) {
			return wireDiscovery{}, fmt.Errorf("%s.bootstrapToken.caCertHashes[%d]: %q is not sha256: and 64 hexadecimal digits; correct it, or remove the list to have it filled in", path, i, hash)
		}
	}
	return wireDiscovery{BootstrapToken: &out, TLSBootstrapToken: spec.TLSBootstrapToken}, nil
}

// discoveryFile is the kubeconfig that discovery.file.kubeConfig describes, at its path on the machine; none where the
// user only names a path, because then the file comes from elsewhere. Server and authority are the Cluster's own where
// the user gives none.
func discoveryFile(in Input) ([]file, error) {
	const field = "spec.joinConfiguration.discovery.file"
	spec := in.Spec.JoinConfiguration.Discovery.File
	if isZero(spec.KubeConfig) {
		return nil, nil
	}
	if spec.KubeConfigPath == "" {
		return nil, fmt.Errorf("%s.kubeConfigPath: it is missing; give the path on the machine, such as /etc/kubernetes/bootstrap.conf", field)
	}
	if !path.IsAbs(spec.KubeConfigPath) {
		return nil, fmt.Errorf("%s.kubeConfigPath: %q is not an absolute path, and kubeConfig is to be written there; give one from / on", field, spec.KubeConfigPath)
	}
	cluster := clientcmdv1.Cluster{
		Server: spec.KubeConfig.Cluster.Server, TLSServerName: spec.KubeConfig.Cluster.TLSServerName,
		CertificateAuthorityData: spec.KubeConfig.Cluster.CertificateAuthorityData, ProxyURL: spec.KubeConfig.Cluster.ProxyURL,
		InsecureSkipTLSVerify: spec.KubeConfig.Cluster.InsecureSkipTLSVerify != nil && *spec.KubeConfig.Cluster.InsecureSkipTLSVerify,
	}
	if cluster.Server == "" {
		if in.ControlPlaneEndpoint == "" {
			return nil, fmt.Errorf("%s.kubeConfig.cluster.server: it is missing, and the Cluster has no controlPlaneEndpoint yet; give one of the two", field)
		}
		cluster.Server = "https://" + in.ControlPlaneEndpoint
	}
	if len(cluster.CertificateAuthorityData) == 0 && !cluster.InsecureSkipTLSVerify {
		if len(in.Discovery.CACert) == 0 {
			return nil, fmt.Errorf("%s.kubeConfig.cluster.certificateAuthorityData: it is missing, and the cluster's own authority is not at hand; give it", field)
		}
		cluster.CertificateAuthorityData = in.Discovery.CACert
	}
	user, err := discoveryUser(field+".kubeConfig.user", spec.KubeConfig.User)
	if err != nil {
		return nil, err
	}
	const name = "default"
	text, err := document(clientcmdv1.Config{
		APIVersion: "v1", Kind: "Config", CurrentContext: name,
		Clusters:  []clientcmdv1.NamedCluster{{Name: name, Cluster: cluster}},
		Contexts:  []clientcmdv1.NamedContext{{Name: name, Context: clientcmdv1.Context{Cluster: name, AuthInfo: name}}},
		AuthInfos: []clientcmdv1.NamedAuthInfo{{Name: name, AuthInfo: user}},
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", field, err)
	}
	return []file{{path: spec.KubeConfigPath, owner: rootOwner, permissions: "0640", content: text}}, nil
}

func discoveryUser(path string, spec bootstrapv1.KubeConfigUser) (clientcmdv1.AuthInfo, error) {
	hasExec, hasProvider := spec.Exec.Command != "", spec.AuthProvider.Name != ""
	if hasExec == hasProvider {
		return clientcmdv1.AuthInfo{}, fmt.Errorf("%s: give either exec with a command or authProvider with a name", path)
	}
	if hasProvider {
		return clientcmdv1.AuthInfo{AuthProvider: &clientcmdv1.AuthProviderConfig{Name: spec.AuthProvider.Name, Config: spec.AuthProvider.Config}}, nil
	}
	exec := &clientcmdv1.ExecConfig{
		Command: spec.Exec.Command, Args: spec.Exec.Args, APIVersion: spec.Exec.APIVersion,
		ProvideClusterInfo: spec.Exec.ProvideClusterInfo != nil && *spec.Exec.ProvideClusterInfo,
		// client.authentication.k8s.io/v1 wants this said, and nobody sits at a booting machine.
		InteractiveMode: clientcmdv1.NeverExecInteractiveMode,
	}
	if exec.APIVersion == "" {
		exec.APIVersion = "client.authentication.k8s.io/v1"
	}
	for _, variable := range spec.Exec.Env {
		exec.Env = append(exec.Env, clientcmdv1.ExecEnvVar{Name: variable.Name, Value: variable.Value})
	}
	return clientcmdv1.AuthInfo{Exec: exec}, nil
}
