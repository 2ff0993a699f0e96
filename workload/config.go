// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/slipway-project/slipway/credentials"
	"github.com/slipway-project/slipway/engine"
)

// kubeconfigKey is the key of the kubeconfig in its Secret, by the contract for
// cluster Secrets.
const kubeconfigKey = "value"

// RESTConfig makes a client configuration out of the text of a kubeconfig, after
// checking it. Kubeconfigs that name files or programs are refused: they come from
// Secrets, and the files and programs would be those of this machine, read and run
// with this process's rights.
func RESTConfig(kubeconfig []byte) (*rest.Config, error) {
	if _, err := credentials.ParseKubeconfig(kubeconfig); err != nil {
		return nil, err
	}
	parsed, err := clientcmd.Load(kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("parse kubeconfig: %w", err)
	}
	user := parsed.AuthInfos[parsed.Contexts[parsed.CurrentContext].AuthInfo]
	if user.Exec != nil || user.AuthProvider != nil {
		return nil, errors.New("parse kubeconfig: its user signs in by running a program; supply one with a client certificate or a token")
	}
	config, err := clientcmd.RESTConfigFromKubeConfig(kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("parse kubeconfig: %w", err)
	}
	return config, nil
}

// kubeconfigOf is the text of the kubeconfig of a cluster, read by name with the
// reader given. The error names the Secret and the key.
func kubeconfigOf(ctx context.Context, reader client.Reader, cluster engine.Key) ([]byte, error) {
	name := client.ObjectKey{Namespace: cluster.Namespace, Name: credentials.KubeconfigSecretName(cluster.Name)}
	secret := &corev1.Secret{}
	if err := reader.Get(ctx, name, secret); err != nil {
		if apierrors.IsNotFound(err) {
			return nil, fmt.Errorf("Secret %s does not exist yet; the control plane's controller makes it once the Cluster has an endpoint, or you do", name)
		}
		return nil, fmt.Errorf("read Secret %s: %w", name, cause(err))
	}
	text := secret.Data[kubeconfigKey]
	if len(text) == 0 {
		return nil, fmt.Errorf("Secret %s: key %s is missing or empty; it must hold a kubeconfig", name, kubeconfigKey)
	}
	return text, nil
}

// configFor is RESTConfig for the text in a cluster's Secret, which the error names.
func configFor(cluster engine.Key, text []byte) (*rest.Config, error) {
	config, err := RESTConfig(text)
	if err != nil {
		return nil, fmt.Errorf("Secret %s/%s, key %s: %w", cluster.Namespace, credentials.KubeconfigSecretName(cluster.Name), kubeconfigKey, err)
	}
	return config, nil
}
