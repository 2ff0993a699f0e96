// SPDX-License-Identifier: Apache-2.0

package credentials

import (
	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Purpose tells what a key pair of a cluster is for. Its value is the suffix of the Secret's name.
type Purpose string

// The key pairs of a cluster. The suffixes are part of the contract: users supply their own authorities under these names.
const (
	// ClusterCA signs the API server's certificate, kubelet and admin client certificates. Node joins pin its public key.
	ClusterCA Purpose = "ca"
	// EtcdCA signs the certificates of stacked etcd. With external etcd it holds that etcd's CA certificate, without key.
	EtcdCA Purpose = "etcd"
	// FrontProxyCA signs the client certificate of the aggregation layer.
	FrontProxyCA Purpose = "proxy"
	// ServiceAccount signs service-account tokens. It is a bare key pair: tls.crt holds a PEM public key, not a certificate.
	ServiceAccount Purpose = "sa"
	// APIServerEtcdClient is the client certificate for an external etcd. It is always supplied by the user.
	APIServerEtcdClient Purpose = "apiserver-etcd-client"
)

// Purposes are the pairs every cluster with stacked etcd has, in the order in which they are made.
func Purposes() []Purpose { return []Purpose{ClusterCA, EtcdCA, FrontProxyCA, ServiceAccount} }

const (
	// SecretType is the type of every Secret of the contract, bootstrap tokens apart.
	SecretType = clusterv1.ClusterSecretType
	// ClusterNameLabel names the owning Cluster; caches select Secrets by it.
	ClusterNameLabel = clusterv1.ClusterNameLabel
	// CertKey and KeyKey are the data keys of a pair.
	CertKey = corev1.TLSCertKey
	KeyKey  = corev1.TLSPrivateKeyKey
	// KubeconfigKey is the data key of a kubeconfig Secret.
	KubeconfigKey = "value"
)

// SecretName is the name of the Secret that holds the pair for this purpose.
func SecretName(cluster string, purpose Purpose) string { return cluster + "-" + string(purpose) }

// KubeconfigSecretName is the name of the Secret that holds the cluster's admin kubeconfig.
func KubeconfigSecretName(cluster string) string { return cluster + "-kubeconfig" }

// commonName is what kubeadm itself would call the authority; tools that print certificates show it.
func (p Purpose) commonName() string {
	switch p {
	case ClusterCA:
		return "kubernetes"
	case EtcdCA:
		return "etcd-ca"
	case FrontProxyCA:
		return "front-proxy-ca"
	}
	return string(p)
}

// isAuthority is true for the pairs that sign certificates.
func (p Purpose) isAuthority() bool {
	return p == ClusterCA || p == EtcdCA || p == FrontProxyCA
}

// keyMayBeMissing is true where a certificate alone is a working setup: an authority whose key is kept elsewhere.
func (p Purpose) keyMayBeMissing() bool { return p.isAuthority() }

// PairSecret packs a pair into the Secret that the contract names. The caller adds the owner reference.
// An empty key is left out of the data, which is how an external authority is told from one we can sign with.
func PairSecret(namespace, cluster string, purpose Purpose, pair Pair) *corev1.Secret {
	secret := contractSecret(namespace, cluster, SecretName(cluster, purpose))
	secret.Data[CertKey] = pair.Cert
	if len(pair.Key) > 0 {
		secret.Data[KeyKey] = pair.Key
	}
	return secret
}

// KubeconfigSecret packs a kubeconfig. The caller adds the owner reference.
func KubeconfigSecret(namespace, cluster string, kubeconfig []byte) *corev1.Secret {
	secret := contractSecret(namespace, cluster, KubeconfigSecretName(cluster))
	secret.Data[KubeconfigKey] = kubeconfig
	return secret
}

func contractSecret(namespace, cluster, name string) *corev1.Secret {
	return &corev1.Secret{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"},
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: map[string]string{ClusterNameLabel: cluster}},
		Type:       SecretType,
		Data:       map[string][]byte{},
	}
}
