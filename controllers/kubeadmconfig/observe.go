// SPDX-License-Identifier: Apache-2.0

package kubeadmconfig

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	bootstrapv1 "github.com/slipway-project/slipway/api/bootstrap/v1beta2"
	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	"github.com/slipway-project/slipway/bootstrap"
	"github.com/slipway-project/slipway/contract"
	"github.com/slipway-project/slipway/credentials"
	"github.com/slipway-project/slipway/engine"
	"github.com/slipway-project/slipway/plan"
)

// Snapshot is all that a plan for a KubeadmConfig is made from. It holds secrets:
// what is to be written into the user data has to be known.
type Snapshot struct {
	Now    time.Time
	Config *bootstrapv1.KubeadmConfig
	// Owner is what the KubeadmConfig belongs to; nil when nothing has claimed it.
	Owner *Owner
	// Machine is the owner; nil when it does not exist or is of another kind.
	Machine *clusterv1.Machine
	// Cluster is nil when it does not exist.
	Cluster *clusterv1.Cluster
	// ControlPlaneVersion is the lowest version that the control plane runs. It is read
	// only when a file's template may ask for it.
	ControlPlaneVersion string

	// What follows is read from the servers, and only at the stage that needs it.

	// Lock is the ConfigMap that says which machine initializes the control plane.
	Lock *Lock
	// Certificates are the pairs that the user data is made of, by purpose.
	Certificates map[credentials.Purpose]Certificate
	// FreshPairs are candidates for missing certificates that are ours to make.
	FreshPairs map[credentials.Purpose]credentials.Pair
	// Contents are, by name, the data of the Secrets that the spec refers to. Those
	// that are not there are missing here too.
	Contents map[string]map[string][]byte
	// Data is the Secret with the user data; nil when there is none.
	Data *corev1.Secret
	// Token is the Secret with the bootstrap token in the workload cluster; its value
	// is nil when there is none.
	Token plan.Known[*corev1.Secret]
	// Connecting is true while there is no connection to the workload cluster: an event
	// tells when there is.
	Connecting bool
	// TokenSigned is true when the workload cluster has signed its public information
	// with the token. It is asked only until the user data is made.
	TokenSigned bool
	// FreshTokenSecret is a candidate for the secret half of a token.
	FreshTokenSecret string
	LastFailure      *plan.Failure
}

// Owner names what a KubeadmConfig belongs to.
type Owner struct {
	Kind, Name string
	UID        types.UID
}

// Lock is the lock on initializing a control plane.
type Lock struct {
	UID types.UID
	// OwnedByCluster is false for a ConfigMap that only happens to have the name.
	OwnedByCluster bool
	// Leftover names the owner of a lock of an earlier cluster of the same name, as for a
	// Certificate.
	Leftover string
	// Machine is the name of the machine that holds it; empty when it cannot be read.
	Machine string
	// MachineExists is true while there is a Machine of that name.
	MachineExists bool
}

// Certificate is one of the cluster's key pairs as its Secret holds it.
type Certificate struct {
	Missing bool
	// Leftover names the owner of a Secret of an earlier cluster of the same name, which
	// is being garbage collected with that owner; empty for all others.
	Leftover string
	Pair     credentials.Pair
	// Problem says why the pair cannot be used; empty when it can.
	Problem string
	// Hashes pin the authority, in kubeadm's form; only of the cluster's CA.
	Hashes []string
}

func observe(ctx context.Context, reader engine.Reader, key engine.Key) (Snapshot, error) {
	s := Snapshot{Now: reader.Now(), LastFailure: reader.LastFailure()}
	config := &bootstrapv1.KubeadmConfig{}
	if err := reader.Get(ctx, key, config); err != nil {
		return s, client.IgnoreNotFound(err)
	}
	s.Config = config
	if err := observeOwners(ctx, reader, &s); err != nil {
		return s, err
	}
	reads := readsOf(s)
	if reads.lock {
		if err := observeLock(ctx, reader, &s); err != nil {
			return s, err
		}
	}
	if reads.token {
		if err := observeToken(ctx, reader, &s); err != nil {
			return s, err
		}
	}
	if !reads.data {
		return s, nil
	}
	data := &corev1.Secret{}
	found, err := getLive(ctx, reader, key, data)
	if err != nil {
		return s, err
	}
	if found {
		s.Data = data
	}
	if !needsRendering(s) {
		return s, nil
	}
	if !reads.token {
		// For kubeadm init, which makes a token in any case.
		if err := drawToken(&s); err != nil {
			return s, err
		}
	}
	return s, observeMaterial(ctx, reader, &s)
}

// observeOwners finds the Machine and the Cluster.
func observeOwners(ctx context.Context, reader engine.Reader, s *Snapshot) error {
	if s.Owner = ownerOf(s.Config); s.Owner == nil || s.Owner.Kind != machineKind.Kind {
		return nil
	}
	machine := &clusterv1.Machine{}
	err := reader.Get(ctx, engine.Key{Namespace: s.Config.Namespace, Name: s.Owner.Name}, machine)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read Machine: %w", err)
	}
	if machine.UID != s.Owner.UID {
		// Another Machine has the name by now. It makes a KubeadmConfig of its own.
		return nil
	}
	s.Machine = machine
	cluster := &clusterv1.Cluster{}
	err = reader.Get(ctx, engine.Key{Namespace: machine.Namespace, Name: machine.Spec.ClusterName}, cluster)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read Cluster: %w", err)
	}
	s.Cluster = cluster
	return nil
}

// getLive reads by name from the server; found is false when the object is not there.
func getLive(ctx context.Context, reader engine.Reader, key engine.Key, object client.Object) (found bool, err error) {
	err = reader.Live().Get(ctx, key, object)
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("read %T %s: %w", object, key, err)
	}
	return true, nil
}

func observeLock(ctx context.Context, reader engine.Reader, s *Snapshot) error {
	configMap := &corev1.ConfigMap{}
	found, err := getLive(ctx, reader, engine.Key{Namespace: s.Cluster.Namespace, Name: lockName(s.Cluster)}, configMap)
	if err != nil || !found {
		return err
	}
	s.Lock = &Lock{UID: configMap.UID, OwnedByCluster: isOwner(configMap, s.Cluster.UID), Machine: lockHolder(configMap)}
	if earlier := credentials.EarlierOwner(configMap, s.Cluster.UID); earlier != nil {
		s.Lock.Leftover = fmt.Sprintf("%s %s with UID %s", earlier.Kind, earlier.Name, earlier.UID)
	}
	if s.Lock.Machine == "" {
		return nil
	}
	key := engine.Key{Namespace: s.Cluster.Namespace, Name: s.Lock.Machine}
	err = reader.Get(ctx, key, &clusterv1.Machine{})
	switch {
	case err == nil:
		s.Lock.MachineExists = true
	case apierrors.IsNotFound(err):
		// The cache may be behind, and on this answer a second machine may initialize.
		s.Lock.MachineExists, err = getLive(ctx, reader, key, &clusterv1.Machine{})
	}
	if err != nil {
		return fmt.Errorf("read Machine that holds the init lock: %w", err)
	}
	return nil
}

// observeToken reads the token of this KubeadmConfig, and draws the secret for one in
// case there is none. What was drawn counts only once the workload cluster holds it.
func observeToken(ctx context.Context, reader engine.Reader, s *Snapshot) error {
	now := reader.Now()
	if reader.Workloads() == nil {
		s.Token, s.Connecting = plan.Unknown[*corev1.Secret](engine.ErrNotConnected, now), true
		return nil
	}
	workload, err := reader.Workloads().Reader(ctx, client.ObjectKeyFromObject(s.Cluster))
	if err != nil {
		s.Token, s.Connecting = plan.Unknown[*corev1.Secret](err, now), errors.Is(err, engine.ErrNotConnected)
		return nil
	}
	secret := &corev1.Secret{}
	err = workload.Get(ctx, tokenKey(s.Config), secret)
	switch {
	case err == nil:
		s.Token = plan.KnownValue(secret, now)
		s.TokenSigned = dataCreated(s.Config) || isSigned(ctx, workload, tokenID(s.Config))
		return nil
	case !apierrors.IsNotFound(err):
		s.Token = plan.Unknown[*corev1.Secret](err, now)
		return nil
	}
	s.Token = plan.KnownValue[*corev1.Secret](nil, now)
	return drawToken(s)
}

func drawToken(s *Snapshot) error {
	token, err := credentials.NewToken(rand.Reader)
	if err != nil {
		return err
	}
	s.FreshTokenSecret = token.Secret
	return nil
}

// isSigned reports that a joining machine will be able to trust the public information
// of the workload cluster by the token. An error counts as not yet: it is asked again.
func isSigned(ctx context.Context, workload client.Reader, id string) bool {
	information := &corev1.ConfigMap{}
	key := client.ObjectKey{Namespace: metav1.NamespacePublic, Name: "cluster-info"}
	if err := workload.Get(ctx, key, information); err != nil {
		return false
	}
	_, signed := information.Data["jws-kubeconfig-"+id]
	return signed
}

// observeMaterial reads what the user data is made of.
func observeMaterial(ctx context.Context, reader engine.Reader, s *Snapshot) error {
	controlPlane, err := controlPlaneUID(ctx, reader, *s)
	if err != nil {
		return err
	}
	s.Certificates = map[credentials.Purpose]Certificate{}
	for _, purpose := range purposes(*s) {
		certificate, err := observeCertificate(ctx, reader, *s, purpose, controlPlane)
		if err != nil {
			return err
		}
		s.Certificates[purpose] = certificate
	}
	if err := freshPairs(s); err != nil {
		return err
	}
	s.Contents = map[string]map[string][]byte{}
	for _, secretKey := range bootstrap.SecretKeys(s.Config.Spec) {
		secret := &corev1.Secret{}
		found, err := getLive(ctx, reader, engine.Key{Namespace: s.Config.Namespace, Name: secretKey.Name}, secret)
		if err != nil {
			return err
		}
		if found {
			s.Contents[secretKey.Name] = secret.Data
		}
	}
	return observeControlPlane(ctx, reader, s)
}

// controlPlaneUID is that of the KubeadmControlPlane that may have made the cluster's
// certificates; empty when there is none. A machine of its own tells it for sure, which
// the cache may not.
func controlPlaneUID(ctx context.Context, reader engine.Reader, s Snapshot) (types.UID, error) {
	if owner := metav1.GetControllerOf(s.Machine); owner != nil && owner.Kind == controlPlaneKind {
		return owner.UID, nil
	}
	ref := s.Cluster.Spec.ControlPlaneRef
	if ref.Kind != controlPlaneKind {
		return "", nil
	}
	object, err := reader.Contract(ctx, "ControlPlane", contract.RefFrom(ref), s.Cluster.Namespace)
	switch {
	case err == nil:
		return object.GetUID(), nil
	case apierrors.IsNotFound(err), errors.Is(err, engine.ErrNoProvider):
		return "", nil
	default:
		return "", fmt.Errorf("read %s %s: %w", ref.Kind, ref.Name, err)
	}
}

func observeCertificate(ctx context.Context, reader engine.Reader, s Snapshot, purpose credentials.Purpose, controlPlane types.UID) (Certificate, error) {
	secret := &corev1.Secret{}
	key := engine.Key{Namespace: s.Cluster.Namespace, Name: credentials.SecretName(s.Cluster.Name, purpose)}
	found, err := getLive(ctx, reader, key, secret)
	if err != nil {
		return Certificate{}, err
	}
	if !found {
		return Certificate{Missing: true}, nil
	}
	if earlier := credentials.EarlierOwner(secret, s.Cluster.UID, controlPlane); earlier != nil {
		return Certificate{Leftover: fmt.Sprintf("%s %s with UID %s", earlier.Kind, earlier.Name, earlier.UID)}, nil
	}
	pair, err := credentials.PairFromSecret(secret, purpose, s.Now)
	if err != nil {
		return Certificate{Problem: err.Error()}, nil
	}
	certificate := Certificate{Pair: pair}
	if purpose == credentials.ClusterCA {
		if certificate.Hashes, err = credentials.CACertHashes(pair.Cert); err != nil {
			certificate.Problem = err.Error()
		}
	}
	return certificate, nil
}

// freshPairs makes keys for the certificates that are missing and ours to make. Keys
// are dear, so none is made that a plan could not use, as while something else stands in
// the way of one of the certificates.
func freshPairs(s *Snapshot) error {
	if !makesCertificates(*s) || firstUnusable(*s) != nil {
		return nil
	}
	spec := s.Config.Spec.ClusterConfiguration
	validity := time.Duration(spec.CACertificateValidityPeriodDays) * 24 * time.Hour
	s.FreshPairs = map[credentials.Purpose]credentials.Pair{}
	for _, purpose := range purposes(*s) {
		if !s.Certificates[purpose].Missing {
			continue
		}
		pair, err := credentials.NewPair(purpose, credentials.Algorithm(spec.EncryptionAlgorithm), validity, s.Now, rand.Reader)
		if err != nil {
			return err
		}
		s.FreshPairs[purpose] = pair
	}
	return nil
}

// observeControlPlane reads the version of the control plane, where a file's template
// may ask for it. A control plane that cannot be read has no version: rendering says so.
func observeControlPlane(ctx context.Context, reader engine.Reader, s *Snapshot) error {
	if !usesTemplates(s.Config.Spec) || !s.Cluster.Spec.ControlPlaneRef.IsDefined() {
		return nil
	}
	object, err := reader.Contract(ctx, "ControlPlane", contract.RefFrom(s.Cluster.Spec.ControlPlaneRef), s.Cluster.Namespace)
	if apierrors.IsNotFound(err) || errors.Is(err, engine.ErrNoProvider) || errors.Is(err, engine.ErrNotListed) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read control plane: %w", err)
	}
	versions := []string{}
	for _, counted := range object.Versions() {
		versions = append(versions, counted.Version)
	}
	if s.ControlPlaneVersion = lowest(versions); s.ControlPlaneVersion == "" {
		s.ControlPlaneVersion = object.DesiredVersion()
	}
	return nil
}
