// SPDX-License-Identifier: Apache-2.0

package kubeadmcontrolplane

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/slipway-project/slipway/credentials"
	"github.com/slipway-project/slipway/engine"
	"github.com/slipway-project/slipway/plan"
)

// observeCredentials reads the Secrets with the certificates and the kubeconfig, and
// makes candidates for what is missing. Keys are dear: none is made that a plan could
// not use.
func observeCredentials(ctx context.Context, reader engine.Reader, s *Snapshot) error {
	s.Certificates = map[credentials.Purpose]Certificate{}
	var ca credentials.Pair
	for _, purpose := range purposes(*s) {
		certificate, pair, err := observeCertificate(ctx, reader, *s, purpose)
		if err != nil {
			return err
		}
		s.Certificates[purpose] = certificate
		if purpose == credentials.ClusterCA {
			ca = pair
		}
	}
	if err := freshPairs(s); err != nil {
		return err
	}
	if err := observeKubeconfig(ctx, reader, s, ca); err != nil {
		return err
	}
	if !kubeconfigDue(*s) || creationAhead(*s) {
		return nil
	}
	kubeconfig, err := credentials.NewKubeconfig(s.Cluster.Name, serverURL(*s), ca, algorithm(*s), s.Now, rand.Reader)
	if err != nil {
		return err
	}
	s.FreshKubeconfig = kubeconfig
	return nil
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

func observeCertificate(ctx context.Context, reader engine.Reader, s Snapshot, purpose credentials.Purpose) (Certificate, credentials.Pair, error) {
	secret, err := getSecret(ctx, reader, s.Cluster.Namespace, credentials.SecretName(s.Cluster.Name, purpose))
	switch {
	case err != nil:
		return Certificate{}, credentials.Pair{}, err
	case secret == nil:
		return Certificate{Missing: true}, credentials.Pair{}, nil
	}
	if earlier := leftover(s, secret); earlier != "" {
		return Certificate{Leftover: earlier}, credentials.Pair{}, nil
	}
	pair, err := credentials.PairFromSecret(secret, purpose, s.Now)
	if err != nil {
		return Certificate{Problem: err.Error()}, credentials.Pair{}, nil
	}
	certificate := Certificate{KeyMissing: !pair.HasKey()}
	if len(secret.OwnerReferences) == 0 && madeHere(secret) {
		certificate.Ownerless = secret.UID
	}
	return certificate, pair, nil
}

// madeHere reports that this controller made a Secret: one that the user supplied stays
// the user's, and outlives the control plane.
func madeHere(secret *corev1.Secret) bool {
	return slices.ContainsFunc(secret.ManagedFields, func(entry metav1.ManagedFieldsEntry) bool {
		return entry.Manager == plan.Manager(name) && entry.Operation == metav1.ManagedFieldsOperationUpdate
	})
}

// leftover names the earlier control plane or Cluster that a Secret belongs to; empty
// when it is ours or the user's.
func leftover(s Snapshot, secret *corev1.Secret) string {
	owner := credentials.EarlierOwner(secret, s.ControlPlane.UID, s.Cluster.UID)
	if owner == nil {
		return ""
	}
	return fmt.Sprintf("%s %s with UID %s", owner.Kind, owner.Name, owner.UID)
}

// freshPairs makes candidates where all that are missing can be made. While something
// else stands in the way of one, those for the others would be thrown away.
func freshPairs(s *Snapshot) error {
	if !makesCertificates(*s) || firstUnusable(*s) != nil {
		return nil
	}
	spec := s.ControlPlane.Spec.KubeadmConfigSpec.ClusterConfiguration
	validity := time.Duration(spec.CACertificateValidityPeriodDays) * 24 * time.Hour
	s.FreshPairs = map[credentials.Purpose]credentials.Pair{}
	for _, purpose := range purposes(*s) {
		if !s.Certificates[purpose].Missing {
			continue
		}
		pair, err := credentials.NewPair(purpose, algorithm(*s), validity, s.Now, rand.Reader)
		if err != nil {
			return err
		}
		s.FreshPairs[purpose] = pair
	}
	return nil
}

func observeKubeconfig(ctx context.Context, reader engine.Reader, s *Snapshot, ca credentials.Pair) error {
	secret, err := getSecret(ctx, reader, s.Cluster.Namespace, credentials.KubeconfigSecretName(s.Cluster.Name))
	switch {
	case err != nil:
		return err
	case secret == nil:
		s.Kubeconfig.Missing = true
		return nil
	}
	if s.Kubeconfig.Leftover = leftover(*s, secret); s.Kubeconfig.Leftover != "" {
		return nil
	}
	s.Kubeconfig.UID, s.Kubeconfig.Ours = secret.UID, metav1.IsControlledBy(secret, s.ControlPlane)
	parsed, err := credentials.ParseKubeconfig(secret.Data[credentials.KubeconfigKey])
	switch {
	case err != nil && s.Kubeconfig.Ours:
		s.Kubeconfig.Renewal = err.Error()
		return nil
	case err != nil:
		s.Kubeconfig.Problem = fmt.Sprintf("Secret %s/%s, key %s: %s", secret.Namespace, secret.Name, credentials.KubeconfigKey, err)
		return nil
	case !s.Kubeconfig.Ours || !s.Cluster.Spec.ControlPlaneEndpoint.IsValid() || len(ca.Cert) == 0:
		return nil
	}
	_, s.Kubeconfig.Renewal, err = credentials.NeedsRenewal(parsed, serverURL(*s), ca, s.Now)
	return err
}
