// SPDX-License-Identifier: Apache-2.0

package kubeadmconfig

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/version"

	bootstrapv1 "github.com/slipway-project/slipway/api/bootstrap/v1beta2"
	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	"github.com/slipway-project/slipway/bootstrap"
	"github.com/slipway-project/slipway/credentials"
	"github.com/slipway-project/slipway/plan"
)

// Keys of the Secret with the user data, as the bootstrap contract has them.
const (
	dataKey   = "value"
	formatKey = "format"
)

// ignoredAnnotation on the Secret says which fields of the KubeadmConfig have no effect on
// the user data in it. It is known only while that is made, and a condition shows it.
const ignoredAnnotation = "slipway.dev/ignored-fields"

// initialize makes the user data of the machine that initializes the control plane.
func initialize(s Snapshot) plan.Decision {
	if locked := takeLock(s); locked != nil {
		return *locked
	}
	if problem := certificateProblem(s); problem != nil {
		return *problem
	}
	if s.Config.Spec.ClusterConfiguration.ControlPlaneEndpoint == "" && !s.Cluster.Spec.ControlPlaneEndpoint.IsValid() {
		return plan.Wait("WaitingForControlPlaneEndpoint", fmt.Sprintf("Cluster %s has no spec.controlPlaneEndpoint yet", s.Cluster.Name))
	}
	return create(s, bootstrap.Init, initToken(s))
}

// initToken is a token that nobody uses: kubeadm init always makes one, and left to
// itself one that lives for a day.
func initToken(s Snapshot) credentials.Token {
	if s.FreshTokenSecret == "" || len(s.Config.Spec.InitConfiguration.BootstrapTokens) > 0 {
		return credentials.Token{}
	}
	return credentials.Token{ID: tokenID(s.Config), Secret: s.FreshTokenSecret}
}

// join makes the user data of a machine that joins a control plane that is there.
func join(s Snapshot) plan.Decision {
	if problem := certificateProblem(s); problem != nil {
		return *problem
	}
	token, problem := joinToken(s)
	if problem != nil {
		return *problem
	}
	return create(s, joinStep(s), token)
}

func joinStep(s Snapshot) bootstrap.Step {
	if isControlPlane(s) {
		return bootstrap.JoinControlPlane
	}
	return bootstrap.JoinWorker
}

// joinToken is the zero token where the user has said how to join.
func joinToken(s Snapshot) (credentials.Token, *plan.Decision) {
	if !bootstrap.NeedsToken(s.Config.Spec) {
		return credentials.Token{}, nil
	}
	token, problem := readyToken(s)
	if problem != nil || s.TokenSigned {
		return token, problem
	}
	age := s.Now.Sub(s.Token.Value.CreationTimestamp.Time)
	if age >= signaturePatience {
		return token, nil
	}
	decision := plan.Wait("WaitingForTokenSignature", fmt.Sprintf("Cluster %s has not signed its public information with the bootstrap token yet", s.Cluster.Name)).
		At(s.Now.Add(min(max(age/8, recheckSignature), recheckSoon)))
	return token, &decision
}

// create makes the Secret with the user data.
func create(s Snapshot, step bootstrap.Step, token credentials.Token) plan.Decision {
	rendered, err := bootstrap.Render(input(s, step, token))
	if err != nil {
		return invalid(s, err)
	}
	return plan.Act("CreatingDataSecret", "",
		plan.Create{Object: plan.Intent(secretKind, dataSecret(s, rendered)), Reason: "Machine " + s.Machine.Name + " boots from it"})
}

// rewrite makes user data anew whose token could not be kept.
func rewrite(s Snapshot) plan.Decision {
	if problem := certificateProblem(s); problem != nil {
		return *problem
	}
	token, problem := readyToken(s)
	if problem != nil {
		return *problem
	}
	rendered, err := bootstrap.Render(input(s, joinStep(s), token))
	if err != nil {
		return invalid(s, err)
	}
	intent := plan.Intent(secretKind, dataSecret(s, rendered))
	intent.SetUID(s.Data.UID)
	if !plan.NeedsApply(plan.Live(secretKind, s.Data), intent, plan.Manager(name), "") {
		return plan.Settle("DataSecretAvailable")
	}
	return plan.Act("RewritingDataSecret", "", plan.Apply{Object: intent, Reason: "the bootstrap token in it ended before the machine had joined"})
}

// invalid tells of user data that cannot be made from what the user gave.
func invalid(s Snapshot, err error) plan.Decision {
	decision := plan.Block("InvalidConfiguration", err.Error())
	if len(bootstrap.SecretKeys(s.Config.Spec)) > 0 || usesTemplates(s.Config.Spec) {
		decision = decision.At(s.Now.Add(recheckSecrets))
	}
	return decision
}

// input draws together what the user data is made of.
func input(s Snapshot, step bootstrap.Step, token credentials.Token) bootstrap.Input {
	endpoint := s.Cluster.Spec.ControlPlaneEndpoint
	network := s.Cluster.Spec.ClusterNetwork
	in := bootstrap.Input{
		Spec: s.Config.Spec, Step: step, ClusterName: s.Cluster.Name, KubernetesVersion: s.Machine.Spec.Version,
		ControlPlaneVersion: s.ControlPlaneVersion, ControlPlaneEndpoint: bootstrap.Endpoint(endpoint.Host, endpoint.Port),
		Network: bootstrap.Network{
			PodCIDRs: network.Pods.CIDRBlocks, ServiceCIDRs: network.Services.CIDRBlocks, ServiceDomain: network.ServiceDomain,
		},
		Certificates: bootstrap.Certificates{
			ClusterCA: keyPair(s, credentials.ClusterCA), EtcdCA: keyPair(s, credentials.EtcdCA),
			FrontProxyCA: keyPair(s, credentials.FrontProxyCA), ServiceAccount: keyPair(s, credentials.ServiceAccount),
			APIServerEtcdClient: keyPair(s, credentials.APIServerEtcdClient),
		},
		Discovery: bootstrap.Discovery{CACertHashes: s.Certificates[credentials.ClusterCA].Hashes, CACert: s.Certificates[credentials.ClusterCA].Pair.Cert},
		Secrets:   map[bootstrap.SecretKey][]byte{},
		// The Machine controller takes the taint off once the node has its labels.
		TaintUninitialized: true,
	}
	if token != (credentials.Token{}) {
		in.Discovery.Token, in.Discovery.TokenTTL = token.Value(), initTokenTTL
	}
	for _, key := range bootstrap.SecretKeys(s.Config.Spec) {
		if content, ok := s.Contents[key.Name][key.Key]; ok {
			in.Secrets[key] = content
		}
	}
	if port := network.APIServerPort; port != 0 {
		in.Spec = *in.Spec.DeepCopy()
		bindPort(&in.Spec, step, port)
	}
	return in
}

// bindPort has the API server listen where the Cluster says, unless the configuration
// of this very machine says otherwise.
func bindPort(spec *bootstrapv1.KubeadmConfigSpec, step bootstrap.Step, port int32) {
	switch step {
	case bootstrap.Init:
		if spec.InitConfiguration.LocalAPIEndpoint.BindPort == 0 {
			spec.InitConfiguration.LocalAPIEndpoint.BindPort = port
		}
	case bootstrap.JoinControlPlane:
		if spec.JoinConfiguration.ControlPlane == nil {
			spec.JoinConfiguration.ControlPlane = &bootstrapv1.JoinControlPlane{}
		}
		if spec.JoinConfiguration.ControlPlane.LocalAPIEndpoint.BindPort == 0 {
			spec.JoinConfiguration.ControlPlane.LocalAPIEndpoint.BindPort = port
		}
	}
}

func keyPair(s Snapshot, purpose credentials.Purpose) bootstrap.KeyPair {
	pair := s.Certificates[purpose].Pair
	return bootstrap.KeyPair{Cert: pair.Cert, Key: pair.Key}
}

func dataSecret(s Snapshot, rendered bootstrap.Output) *corev1.Secret {
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: s.Config.Namespace, Name: s.Config.Name,
			Labels:          map[string]string{clusterv1.ClusterNameLabel: s.Cluster.Name},
			OwnerReferences: []metav1.OwnerReference{*plan.OwnerReference(kind, s.Config, true)},
		},
		Type: clusterv1.ClusterSecretType,
		Data: map[string][]byte{dataKey: rendered.Data, formatKey: []byte(rendered.Format)},
	}
	if len(rendered.Ignored) > 0 {
		secret.Annotations = map[string]string{ignoredAnnotation: strings.Join(rendered.Ignored, "; ")}
	}
	return secret
}

func isOurs(s Snapshot, secret *corev1.Secret) bool { return metav1.IsControlledBy(secret, s.Config) }

// delivered looks after user data that is there.
func delivered(s Snapshot) plan.Decision {
	if isOurs(s, s.Data) {
		return keepToken(s)
	}
	where := fmt.Sprintf("Secret %s/%s", s.Data.Namespace, s.Data.Name)
	if owner := metav1.GetControllerOf(s.Data); owner != nil && owner.Kind == kind.Kind && owner.Name == s.Config.Name {
		return plan.Wait("WaitingForOldDataSecret", where+" is that of an earlier KubeadmConfig of this name and is being removed").At(s.Now.Add(recheckSoon))
	}
	return plan.Block("NameTaken", where+" exists already and is not this KubeadmConfig's; rename or delete it, the user data goes there").
		At(s.Now.Add(recheckSecrets))
}

// purposes are the pairs that the user data is made of: of workers, only the
// authority that they are to trust.
func purposes(s Snapshot) []credentials.Purpose {
	if !isControlPlane(s) {
		return []credentials.Purpose{credentials.ClusterCA}
	}
	list := credentials.Purposes()
	if externalEtcd(s.Config.Spec) {
		list = append(list, credentials.APIServerEtcdClient)
	}
	return list
}

func externalEtcd(spec bootstrapv1.KubeadmConfigSpec) bool {
	return len(spec.ClusterConfiguration.Etcd.External.Endpoints) > 0
}

// suppliedByUser are the pairs that nobody here can make: those of an external etcd.
func suppliedByUser(s Snapshot, purpose credentials.Purpose) bool {
	return purpose == credentials.APIServerEtcdClient || (purpose == credentials.EtcdCA && externalEtcd(s.Config.Spec))
}

// makesCertificates reports that missing certificates are this controller's to make.
// Where a control-plane object exists, it makes them; else the machine that holds the
// lock on initializing does, so that never two do at once.
func makesCertificates(s Snapshot) bool {
	return !s.Cluster.Spec.ControlPlaneRef.IsDefined() && !initialized(s.Cluster) && holdsLock(s)
}

// certificateProblem is what stands between the certificates and their use; nil when
// nothing does.
func certificateProblem(s Snapshot) *plan.Decision {
	if problem := firstUnusable(s); problem != nil {
		return problem
	}
	var creates []plan.Action
	for _, purpose := range purposes(s) {
		switch {
		case !s.Certificates[purpose].Missing:
		case len(s.FreshPairs[purpose].Cert) > 0:
			creates = append(creates, createCertificate(s, purpose))
		case s.Cluster.Spec.ControlPlaneRef.IsDefined():
			decision := plan.Wait("WaitingForCertificates", fmt.Sprintf("%s does not exist yet; %s %s makes it",
				where(s, purpose), s.Cluster.Spec.ControlPlaneRef.Kind, s.Cluster.Spec.ControlPlaneRef.Name)).At(s.Now.Add(growing(s)))
			return &decision
		default:
			decision := plan.Block("CertificateMissing", where(s, purpose)+" does not exist any more; restore it, the control plane stands on it").
				At(s.Now.Add(recheckSecrets))
			return &decision
		}
	}
	if len(creates) == 0 {
		return nil
	}
	decision := plan.Act("CreatingCertificates", "", creates...)
	return &decision
}

// where names the Secret of a certificate.
func where(s Snapshot, purpose credentials.Purpose) string {
	return fmt.Sprintf("Secret %s/%s", s.Cluster.Namespace, credentials.SecretName(s.Cluster.Name, purpose))
}

// firstUnusable is what keeps a certificate from being used that somebody else has to put
// right; nil when all are there or can be made.
func firstUnusable(s Snapshot) *plan.Decision {
	for _, purpose := range purposes(s) {
		certificate := s.Certificates[purpose]
		var decision plan.Decision
		switch {
		case certificate.Problem != "":
			decision = plan.Block("InvalidCertificate", certificate.Problem).At(s.Now.Add(recheckSecrets))
		case certificate.Leftover != "":
			decision = plan.Wait("WaitingForOldCertificates", fmt.Sprintf("%s belongs to an earlier cluster of this name (%s) and is removed with it; delete that one if it is still there",
				where(s, purpose), certificate.Leftover)).At(s.Now.Add(growing(s)))
		case certificate.Missing && suppliedByUser(s, purpose):
			decision = plan.Block("CertificateMissing", fmt.Sprintf("%s does not exist; create it with %s and %s of the external etcd",
				where(s, purpose), credentials.CertKey, credentials.KeyKey)).At(s.Now.Add(recheckSecrets))
		default:
			continue
		}
		return &decision
	}
	return nil
}

func createCertificate(s Snapshot, purpose credentials.Purpose) plan.Action {
	secret := credentials.PairSecret(s.Cluster.Namespace, s.Cluster.Name, purpose, s.FreshPairs[purpose])
	secret.OwnerReferences = []metav1.OwnerReference{*plan.OwnerReference(clusterKind, s.Cluster, false)}
	return plan.Create{Object: plan.Intent(secretKind, secret), Reason: "the control plane stands on it, and no control-plane object makes it"}
}

func usesTemplates(spec bootstrapv1.KubeadmConfigSpec) bool {
	return slices.ContainsFunc(spec.Files, func(f bootstrapv1.File) bool { return f.ContentFormat == bootstrapv1.FileContentFormatTemplate })
}

// lowest is the lowest of some Kubernetes versions; empty when none can be read.
func lowest(versions []string) string {
	var least *version.Version
	text := ""
	for _, candidate := range versions {
		parsed, err := version.ParseSemantic(candidate)
		if err == nil && (least == nil || parsed.LessThan(least)) {
			least, text = parsed, candidate
		}
	}
	return text
}
