// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"crypto/rand"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/slipway-project/slipway/credentials"
	"github.com/slipway-project/slipway/engine"
)

// Kubeconfig is what stands between a Cluster without a control plane object and its
// kubeconfig; the zero value when it is there, or when it is not for this controller to
// make.
type Kubeconfig struct {
	// Missing is true when there is no Secret with the kubeconfig.
	Missing bool
	// Leftover names the earlier cluster to which the Secret with the kubeconfig, or the
	// one with the authority, belongs.
	Leftover string
	// NoAuthority is true when there is no Secret with the authority to sign with.
	NoAuthority bool
	// Problem says why the authority cannot be used.
	Problem string
	// Fresh is a kubeconfig to store.
	Fresh []byte
}

// observeKubeconfig looks at the two Secrets, and makes a kubeconfig where there is none
// and one can be signed. A key is dear: no other is made.
func observeKubeconfig(ctx context.Context, reader engine.Reader, s Snapshot) (Kubeconfig, error) {
	kubeconfig, err := getSecret(ctx, reader, s.Cluster.Namespace, credentials.KubeconfigSecretName(s.Cluster.Name))
	if err != nil {
		return Kubeconfig{}, err
	}
	if kubeconfig != nil {
		return Kubeconfig{Leftover: leftover(s, kubeconfig)}, nil
	}
	authority, err := getSecret(ctx, reader, s.Cluster.Namespace, credentials.SecretName(s.Cluster.Name, credentials.ClusterCA))
	if err != nil {
		return Kubeconfig{}, err
	}
	seen := Kubeconfig{Missing: true, NoAuthority: authority == nil}
	if authority == nil {
		return seen, nil
	}
	if seen.Leftover = leftover(s, authority); seen.Leftover != "" {
		return seen, nil
	}
	pair, err := credentials.PairFromSecret(authority, credentials.ClusterCA, s.Now)
	if err == nil && !pair.HasKey() {
		err = fmt.Errorf("Secret %s/%s has no %s to sign with", authority.Namespace, authority.Name, credentials.KeyKey)
	}
	if err != nil {
		seen.Problem = err.Error()
		return seen, nil
	}
	endpoint := s.Cluster.Spec.ControlPlaneEndpoint
	seen.Fresh, err = credentials.NewKubeconfig(s.Cluster.Name, credentials.ServerURL(endpoint.Host, endpoint.Port), pair, "", s.Now, rand.Reader)
	return seen, err
}

func getSecret(ctx context.Context, reader engine.Reader, namespace, name string) (*corev1.Secret, error) {
	secret := &corev1.Secret{}
	err := reader.Live().Get(ctx, engine.Key{Namespace: namespace, Name: name}, secret)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read Secret %s/%s: %w", namespace, name, err)
	}
	return secret, nil
}

// leftover names the earlier cluster that a Secret belongs to; empty when it is this
// one's or the user's.
func leftover(s Snapshot, secret *corev1.Secret) string {
	owner := credentials.EarlierOwner(secret, s.Cluster.UID)
	if owner == nil {
		return ""
	}
	return fmt.Sprintf("Secret %s/%s belongs to an earlier cluster of this name (%s %s with UID %s)", secret.Namespace, secret.Name, owner.Kind, owner.Name, owner.UID)
}
