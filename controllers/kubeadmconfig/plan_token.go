// SPDX-License-Identifier: Apache-2.0

package kubeadmconfig

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"regexp"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	bootstrapv1 "github.com/slipway-project/slipway/api/bootstrap/v1beta2"
	"github.com/slipway-project/slipway/credentials"
	"github.com/slipway-project/slipway/plan"
)

// tokenAnnotation on a KubeadmConfig holds the id of the bootstrap token that stands in
// the workload cluster for it. It is written before the token is made and taken off
// after the token is gone, so that no token is ever forgotten, and a settled
// KubeadmConfig costs no look into the workload cluster.
const tokenAnnotation = "slipway.dev/bootstrap-token"

func hasToken(config *bootstrapv1.KubeadmConfig) bool {
	_, ok := config.Annotations[tokenAnnotation]
	return ok
}

// tokenID follows from the UID: an attempt that is made again finds the token that the
// first one made. The id is the public half of a token.
func tokenID(config *bootstrapv1.KubeadmConfig) string {
	const alphabet = "abcdefghijklmnopqrstuvwxyz0123456789"
	sum := sha256.Sum256([]byte("bootstrap-token\x00" + string(config.UID)))
	id := make([]byte, 6)
	for i := range id {
		id[i] = alphabet[int(sum[i])%len(alphabet)]
	}
	return string(id)
}

func tokenKey(config *bootstrapv1.KubeadmConfig) types.NamespacedName {
	return types.NamespacedName{Namespace: credentials.TokenNamespace, Name: credentials.Token{ID: tokenID(config)}.SecretName()}
}

// clusterKey names the workload cluster.
func clusterKey(s Snapshot) types.NamespacedName {
	return types.NamespacedName{Namespace: s.Cluster.Namespace, Name: s.Cluster.Name}
}

// tokenDescription tells whoever finds the token in the workload cluster whose it is.
func tokenDescription(config *bootstrapv1.KubeadmConfig) string {
	return fmt.Sprintf("Slipway made this for KubeadmConfig %s/%s (%s), until its node has joined", config.Namespace, config.Name, config.UID)
}

func isOurToken(config *bootstrapv1.KubeadmConfig, secret *corev1.Secret) bool {
	return string(secret.Data["description"]) == tokenDescription(config)
}

// readyToken gives the token to join with, once the workload cluster holds it; till
// then what is to be done for that.
func readyToken(s Snapshot) (credentials.Token, *plan.Decision) {
	if !s.Token.OK() {
		decision := plan.Wait("WaitingForWorkloadCluster", fmt.Sprintf("a bootstrap token cannot be made in Cluster %s: %s", s.Cluster.Name, s.Token.Err))
		if !s.Connecting {
			decision = decision.At(s.Now.Add(growing(s)))
		}
		return credentials.Token{}, &decision
	}
	if s.Token.Value == nil {
		decision := plan.Act("CreatingBootstrapToken", "", createToken(s)...)
		return credentials.Token{}, &decision
	}
	token, _, err := credentials.TokenFromSecret(s.Token.Value)
	if err == nil && !isOurToken(s.Config, s.Token.Value) {
		err = fmt.Errorf("Secret %s/%s belongs to somebody else", s.Token.Value.Namespace, s.Token.Value.Name)
	}
	if err != nil {
		decision := plan.Block("BootstrapTokenTaken", fmt.Sprintf("in Cluster %s: %s; delete it there to have a new one made", s.Cluster.Name, err)).
			At(s.Now.Add(recheckSecrets))
		return credentials.Token{}, &decision
	}
	return token, nil
}

// createToken notes the token on the KubeadmConfig and makes it in the workload
// cluster. Nothing is rendered with it yet: the next plan reads back what is there.
func createToken(s Snapshot) []plan.Action {
	token := credentials.Token{ID: tokenID(s.Config), Secret: s.FreshTokenSecret}
	if secret := usedSecret(s, token.ID); secret != "" {
		// The host may have read its data already: the token in it is made good again.
		token.Secret = secret
	}
	note := plan.Partial(kind, s.Config)
	note.SetAnnotations(map[string]string{tokenAnnotation: token.ID})
	var actions []plan.Action
	if plan.NeedsApply(plan.Live(kind, s.Config), note, plan.Manager(name), "") {
		actions = append(actions, plan.Apply{Object: note, Reason: "so that the token is removed again whatever happens"})
	}
	secret := credentials.TokenSecret(token, s.Now.Add(credentials.DefaultTokenTTL), tokenDescription(s.Config))
	return append(actions, plan.Create{
		Object: plan.Intent(secretKind, secret), In: clusterKey(s),
		Reason: "Machine " + s.Machine.Name + " is to join with it",
	})
}

// usedSecret finds the secret half of the token in user data that is there already;
// empty when it is not there, or not to be found because its file is encoded.
func usedSecret(s Snapshot, id string) string {
	if s.Data == nil {
		return ""
	}
	match := regexp.MustCompile(`\b` + id + `\.([a-z0-9]{16})\b`).FindSubmatch(s.Data.Data[dataKey])
	if match == nil {
		return ""
	}
	return string(match[1])
}

// outdated reports that the user data holds another token than the workload cluster.
func outdated(s Snapshot) bool {
	if !hasToken(s.Config) || !s.Token.OK() || s.Token.Value == nil || !isOurs(s, s.Data) {
		return false
	}
	token, _, err := credentials.TokenFromSecret(s.Token.Value)
	return err == nil && !holdsText(s.Data.Data[dataKey], token.Value())
}

// holdsText looks for a text in user data. A file that would be mangled as plain text is
// in it as base64, where the text shows only after decoding.
func holdsText(data []byte, text string) bool {
	if bytes.Contains(data, []byte(text)) {
		return true
	}
	for line := range strings.Lines(string(data)) {
		for _, word := range strings.Fields(line) {
			decoded, err := base64.StdEncoding.DecodeString(strings.Trim(word, `"'`))
			if err == nil && bytes.Contains(decoded, []byte(text)) {
				return true
			}
		}
	}
	return false
}

// keepToken looks after the token of user data that is delivered, as long as no node
// has come of it: slow infrastructure must not meet an expired one.
func keepToken(s Snapshot) plan.Decision {
	settled := plan.Settle("DataSecretAvailable")
	if !hasToken(s.Config) {
		return settled
	}
	if _, problem := readyToken(s); problem != nil {
		return *problem
	}
	if outdated(s) {
		return rewrite(s)
	}
	_, expires, err := credentials.TokenFromSecret(s.Token.Value)
	if err != nil || expires.IsZero() {
		return settled
	}
	if credentials.TokenNeedsRefresh(expires, credentials.DefaultTokenTTL, s.Now) {
		return plan.Act("RefreshingBootstrapToken", "", refreshToken(s))
	}
	return settled.At(refreshTime(expires))
}

// refreshTime is just after the moment from which a token needs a refresh.
func refreshTime(expires time.Time) time.Time {
	return expires.Add(-credentials.DefaultTokenTTL * 5 / 6).Add(time.Second)
}

func refreshToken(s Snapshot) plan.Action {
	intent := plan.Partial(secretKind, s.Token.Value)
	expires := s.Now.Add(credentials.DefaultTokenTTL).UTC().Format(time.RFC3339)
	intent.Object["data"] = map[string]any{"expiration": base64.StdEncoding.EncodeToString([]byte(expires))}
	return plan.Apply{Object: intent, In: clusterKey(s), Reason: "Machine " + s.Machine.Name + " has not joined yet"}
}

// dropToken removes the token of a machine that needs it no more, then the note of it.
// otherwise is what to say when there is none.
func dropToken(s Snapshot, otherwise plan.Decision) plan.Decision {
	if !hasToken(s.Config) {
		return otherwise
	}
	if !s.Token.OK() {
		decision := plan.Wait("WaitingForWorkloadCluster", fmt.Sprintf("the bootstrap token cannot be removed from Cluster %s, and ends by itself within %s: %s",
			s.Cluster.Name, credentials.DefaultTokenTTL, s.Token.Err))
		if !s.Connecting {
			decision = decision.At(s.Now.Add(recheckSecrets))
		}
		return decision
	}
	if s.Token.Value != nil && isOurToken(s.Config, s.Token.Value) {
		on := plan.RefTo(secretKind, s.Token.Value)
		on.Cluster = clusterKey(s)
		return plan.Act("RemovingBootstrapToken", "", plan.Delete{On: on, Reason: "Machine " + s.Machine.Name + " needs it no more"})
	}
	return plan.Act("RemovingBootstrapToken", "", plan.Patch{
		On: plan.RefTo(kind, s.Config), Reason: "the token is gone", Operations: []plan.PatchOperation{
			{Op: "test", Path: "/metadata/uid", Value: string(s.Config.UID)},
			{Op: "test", Path: annotationPath(tokenAnnotation), Value: s.Config.Annotations[tokenAnnotation]},
			{Op: "remove", Path: annotationPath(tokenAnnotation)},
		},
	})
}

func annotationPath(annotation string) string {
	return "/metadata/annotations/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(annotation)
}
