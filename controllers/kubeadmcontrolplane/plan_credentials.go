// SPDX-License-Identifier: Apache-2.0

package kubeadmcontrolplane

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	bootstrapv1 "github.com/slipway-project/slipway/api/bootstrap/v1beta2"
	"github.com/slipway-project/slipway/credentials"
	"github.com/slipway-project/slipway/plan"
)

func externalEtcd(spec bootstrapv1.KubeadmConfigSpec) bool {
	return len(spec.ClusterConfiguration.Etcd.External.Endpoints) > 0
}

// purposes are the key pairs that the control plane stands on.
func purposes(s Snapshot) []credentials.Purpose {
	list := credentials.Purposes()
	if externalEtcd(s.ControlPlane.Spec.KubeadmConfigSpec) {
		list = append(list, credentials.APIServerEtcdClient)
	}
	return list
}

// suppliedByUser are the pairs that nobody here can make: those of an external etcd.
func suppliedByUser(s Snapshot, purpose credentials.Purpose) bool {
	return purpose == credentials.APIServerEtcdClient ||
		(purpose == credentials.EtcdCA && externalEtcd(s.ControlPlane.Spec.KubeadmConfigSpec))
}

// makesCertificates reports that missing pairs may be made. Once there is a machine,
// new ones would not fit those that it was made with.
func makesCertificates(s Snapshot) bool {
	return len(s.Machines) == 0 && len(s.Orphans) == 0 && !wasInitialized(s)
}

func algorithm(s Snapshot) credentials.Algorithm {
	return credentials.Algorithm(s.ControlPlane.Spec.KubeadmConfigSpec.ClusterConfiguration.EncryptionAlgorithm)
}

func serverURL(s Snapshot) string {
	return credentials.ServerURL(s.Cluster.Spec.ControlPlaneEndpoint.Host, s.Cluster.Spec.ControlPlaneEndpoint.Port)
}

// certificateProblem is what stands between the certificates and their use; nil when
// nothing does.
func certificateProblem(s Snapshot) *plan.Decision {
	if problem := firstUnusable(s); problem != nil {
		return problem
	}
	var creates, adoptions []plan.Action
	for _, purpose := range purposes(s) {
		certificate := s.Certificates[purpose]
		switch {
		case certificate.Ownerless != "":
			adoptions = append(adoptions, adoptPair(s, purpose))
		case !certificate.Missing:
		case len(s.FreshPairs[purpose].Cert) == 0:
			decision := plan.Block("CertificateMissing", where(s, purpose)+" does not exist any more; restore it, the machines that are there stand on it").
				At(s.Now.Add(recheckHealthy))
			return &decision
		default:
			creates = append(creates, createPair(s, purpose))
		}
	}
	var decision plan.Decision
	switch {
	case len(creates) > 0:
		decision = plan.Act("CreatingCertificates", "", creates...)
	case len(adoptions) > 0:
		decision = plan.Act("AdoptingCertificates", "", adoptions...)
	default:
		return nil
	}
	return &decision
}

// where names the Secret of a pair.
func where(s Snapshot, purpose credentials.Purpose) string {
	return fmt.Sprintf("Secret %s/%s", s.Cluster.Namespace, credentials.SecretName(s.Cluster.Name, purpose))
}

// firstUnusable is what keeps the first such pair from being used; nil when none is.
func firstUnusable(s Snapshot) *plan.Decision {
	for _, purpose := range purposes(s) {
		if problem := unusable(s, purpose); problem != nil {
			return problem
		}
	}
	return nil
}

// unusable is what keeps a pair from being used that somebody else has to put right; nil
// for one that is there, and for one that can be made.
func unusable(s Snapshot, purpose credentials.Purpose) *plan.Decision {
	certificate := s.Certificates[purpose]
	var decision plan.Decision
	switch {
	case certificate.Problem != "":
		decision = plan.Block("InvalidCertificate", certificate.Problem).At(s.Now.Add(recheckHealthy))
	case certificate.Leftover != "":
		decision = plan.Wait("WaitingForOldCertificates", leftBehind(where(s, purpose), certificate.Leftover)).At(s.Now.Add(growing(s, recheckComing, recheckHealthy)))
	case certificate.Missing && suppliedByUser(s, purpose):
		decision = plan.Block("CertificateMissing", fmt.Sprintf("%s does not exist; create it with %s and %s of the external etcd",
			where(s, purpose), credentials.CertKey, credentials.KeyKey)).At(s.Now.Add(recheckHealthy))
	default:
		return nil
	}
	return &decision
}

// leftBehind is what to say of a Secret that an earlier cluster of the name left.
func leftBehind(where, owner string) string {
	return fmt.Sprintf("%s belongs to an earlier cluster of this name (%s) and is removed with it; delete that one if it is still there", where, owner)
}

func createPair(s Snapshot, purpose credentials.Purpose) plan.Action {
	secret := credentials.PairSecret(s.Cluster.Namespace, s.Cluster.Name, purpose, s.FreshPairs[purpose])
	return plan.Create{Object: plan.Intent(secretKind, owned(s, secret)), Reason: "the control plane stands on it, and the user supplied none"}
}

// adoptPair gives a Secret of ours its owner back, with which it is to go.
func adoptPair(s Snapshot, purpose credentials.Purpose) plan.Action {
	intent := plan.Partial(secretKind, &metav1.ObjectMeta{
		Namespace: s.Cluster.Namespace, Name: credentials.SecretName(s.Cluster.Name, purpose), UID: s.Certificates[purpose].Ownerless,
	})
	intent.SetOwnerReferences([]metav1.OwnerReference{*plan.OwnerReference(kind, s.ControlPlane, true)})
	return plan.Apply{Object: intent, Reason: "this control plane made it, and it has no owner any more"}
}

func owned(s Snapshot, secret *corev1.Secret) *corev1.Secret {
	secret.OwnerReferences = []metav1.OwnerReference{*plan.OwnerReference(kind, s.ControlPlane, true)}
	return secret
}

// kubeconfigDue reports that the kubeconfig is to be made or made anew, and can be.
func kubeconfigDue(s Snapshot) bool {
	ca, known := s.Certificates[credentials.ClusterCA]
	if !known || ca.Missing || ca.Leftover != "" || ca.Problem != "" || ca.KeyMissing || !s.Cluster.Spec.ControlPlaneEndpoint.IsValid() {
		return false
	}
	return s.Kubeconfig.Missing || (s.Kubeconfig.Ours && s.Kubeconfig.Renewal != "")
}

// kubeconfigDecision is what is to be done or said about the kubeconfig; nil when
// nothing is.
func kubeconfigDecision(s Snapshot) *plan.Decision {
	secret := fmt.Sprintf("Secret %s/%s", s.Cluster.Namespace, credentials.KubeconfigSecretName(s.Cluster.Name))
	noKey := s.Certificates[credentials.ClusterCA].KeyMissing
	var decision plan.Decision
	switch {
	case s.Kubeconfig.Problem != "":
		decision = plan.Block("InvalidKubeconfig", s.Kubeconfig.Problem).At(s.Now.Add(recheckHealthy))
	case s.Kubeconfig.Leftover != "":
		decision = plan.Wait("WaitingForOldKubeconfig", leftBehind(secret, s.Kubeconfig.Leftover)).At(s.Now.Add(growing(s, recheckComing, recheckHealthy)))
	case s.Kubeconfig.Missing && noKey:
		decision = plan.Block("KubeconfigMissing", fmt.Sprintf("%s does not exist, and it cannot be made: %s has no %s to sign with; create it with an admin kubeconfig under the key %s",
			secret, where(s, credentials.ClusterCA), credentials.KeyKey, credentials.KubeconfigKey)).
			At(s.Now.Add(recheckHealthy))
	case s.Kubeconfig.Ours && s.Kubeconfig.Renewal != "" && noKey:
		decision = plan.Block("KubeconfigNotRenewable", fmt.Sprintf("%s is to be made anew (%s), and cannot be: %s has no %s to sign with any more; put the key back, or delete the first and create it with an admin kubeconfig under the key %s",
			secret, strings.TrimSuffix(s.Kubeconfig.Renewal, "."), where(s, credentials.ClusterCA), credentials.KeyKey, credentials.KubeconfigKey)).
			At(s.Now.Add(recheckHealthy))
	case !kubeconfigDue(s) || len(s.FreshKubeconfig) == 0:
		return nil
	case s.Kubeconfig.Missing:
		decision = plan.Act("CreatingKubeconfig", "", plan.Create{Object: plan.Intent(secretKind, kubeconfigSecret(s)), Reason: "clients need it to reach the cluster"})
	default:
		intent := plan.Intent(secretKind, kubeconfigSecret(s))
		intent.SetUID(s.Kubeconfig.UID)
		decision = plan.Act("RenewingKubeconfig", "", plan.Apply{Object: intent, Reason: strings.TrimSuffix(s.Kubeconfig.Renewal, ".")})
	}
	return &decision
}

func kubeconfigSecret(s Snapshot) *corev1.Secret {
	return owned(s, credentials.KubeconfigSecret(s.Cluster.Namespace, s.Cluster.Name, s.FreshKubeconfig))
}
