// SPDX-License-Identifier: Apache-2.0

package standalone

import (
	"bytes"
	"fmt"
	"os"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// contextName is the name of cluster, user and context in kubeconfigs.
const contextName = "slipway"

// writeKubeconfig writes the administrator's kubeconfig, all in one file so that it can be
// copied, and leaves a file that is already right untouched.
func writeKubeconfig(home dataDir, url string) error {
	config := newKubeconfig(url)
	var err error
	cluster, user := config.Clusters[contextName], config.AuthInfos[contextName]
	if cluster.CertificateAuthorityData, err = os.ReadFile(home.certificateFile(authorityFile)); err != nil {
		return fmt.Errorf("write kubeconfig: %w", err)
	}
	if user.ClientCertificateData, err = os.ReadFile(home.certificateFile(adminFile)); err != nil {
		return fmt.Errorf("write kubeconfig: %w", err)
	}
	if user.ClientKeyData, err = os.ReadFile(home.keyFile(adminFile)); err != nil {
		return fmt.Errorf("write kubeconfig: %w", err)
	}
	return writeIfChanged(home.kubeconfig(), config)
}

// writeControllerManagerKubeconfig refers to the certificate's files, which
// client-go reads again when they change.
func writeControllerManagerKubeconfig(home dataDir, url string) error {
	config := newKubeconfig(url)
	config.Clusters[contextName].CertificateAuthority = authorityFile + ".crt"
	config.AuthInfos[contextName].ClientCertificate = controllerManagerFile + ".crt"
	config.AuthInfos[contextName].ClientKey = controllerManagerFile + ".key"
	return writeIfChanged(home.path("pki", controllerManagerFile+".kubeconfig"), config)
}

func newKubeconfig(url string) *clientcmdapi.Config {
	config := clientcmdapi.NewConfig()
	config.Clusters[contextName] = &clientcmdapi.Cluster{Server: url}
	config.AuthInfos[contextName] = &clientcmdapi.AuthInfo{}
	config.Contexts[contextName] = &clientcmdapi.Context{Cluster: contextName, AuthInfo: contextName}
	config.CurrentContext = contextName
	return config
}

func writeIfChanged(path string, config *clientcmdapi.Config) error {
	content, err := clientcmd.Write(*config)
	if err != nil {
		return fmt.Errorf("encode kubeconfig: %w", err)
	}
	if old, err := os.ReadFile(path); err == nil && bytes.Equal(old, content) {
		return os.Chmod(path, 0o600)
	}
	return writeFile(path, content, 0o600)
}

// restConfig authenticates with a certificate of the data directory, by its
// files, so that a renewed one is picked up. There is no client-side rate limit.
func restConfig(home dataDir, url, certificate string) *rest.Config {
	return &rest.Config{
		Host: url,
		TLSClientConfig: rest.TLSClientConfig{
			CAFile:   home.certificateFile(authorityFile),
			CertFile: home.certificateFile(certificate),
			KeyFile:  home.keyFile(certificate),
		},
		QPS:       -1,
		UserAgent: "slipway",
	}
}
