// SPDX-License-Identifier: Apache-2.0

package credentials

import (
	"errors"
	"fmt"
	"io"
	"regexp"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	// DefaultTokenTTL is how long a bootstrap token is valid where no flag says otherwise.
	DefaultTokenTTL = 15 * time.Minute
	// TokenSecretType is the type of Secret that kube-apiserver's bootstrap authenticator and kube-controller-manager's
	// token cleaner look for, in TokenNamespace of the workload cluster.
	TokenSecretType corev1.SecretType = "bootstrap.kubernetes.io/token"
	TokenNamespace                    = metav1.NamespaceSystem
	// TokenGroup is the group kubeadm lets sign up nodes.
	TokenGroup = "system:bootstrappers:kubeadm:default-node-token"

	tokenAlphabet     = "abcdefghijklmnopqrstuvwxyz0123456789"
	tokenIDLength     = 6
	tokenSecretLength = 16
)

var tokenForm = regexp.MustCompile(`^([a-z0-9]{6})\.([a-z0-9]{16})$`)

// Token is a bootstrap token. ID is public (it names the Secret), Secret is not.
type Token struct {
	ID     string
	Secret string
}

// Value is the token as kubeadm wants it: "<id>.<secret>".
func (t Token) Value() string { return t.ID + "." + t.Secret }

// String shows the public half only, so that a token in a log line does no harm.
func (t Token) String() string { return t.ID + ".<secret>" }

// GoString is String, for %#v.
func (t Token) GoString() string { return t.String() }

// SecretName is the name under which the workload cluster looks for the token.
func (t Token) SecretName() string { return "bootstrap-token-" + t.ID }

// NewToken makes a token of some 113 random bits, drawn evenly from the alphabet; the same bytes give the same token.
func NewToken(random io.Reader) (Token, error) {
	id, err := randomText(tokenIDLength, random)
	if err != nil {
		return Token{}, fmt.Errorf("make bootstrap token: %w", err)
	}
	secret, err := randomText(tokenSecretLength, random)
	if err != nil {
		return Token{}, fmt.Errorf("make bootstrap token: %w", err)
	}
	return Token{ID: id, Secret: secret}, nil
}

// ParseToken reads "<id>.<secret>". The error does not repeat the text, which may be a secret with a slip of the pen.
func ParseToken(text string) (Token, error) {
	parts := tokenForm.FindStringSubmatch(text)
	if parts == nil {
		return Token{}, errors.New("parse bootstrap token: it is not of the form abcdef.0123456789abcdef (6 and 16 of a-z, 0-9); make one with kubeadm token generate")
	}
	return Token{ID: parts[1], Secret: parts[2]}, nil
}

// TokenSecret packs a token for the workload cluster, which drops it by itself when it has expired.
// expires is kept with a precision of one second.
func TokenSecret(token Token, expires time.Time, description string) *corev1.Secret {
	return &corev1.Secret{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"},
		ObjectMeta: metav1.ObjectMeta{Namespace: TokenNamespace, Name: token.SecretName()},
		Type:       TokenSecretType,
		Data: map[string][]byte{
			"token-id":                       []byte(token.ID),
			"token-secret":                   []byte(token.Secret),
			"expiration":                     []byte(expires.UTC().Format(time.RFC3339)),
			"usage-bootstrap-authentication": []byte("true"),
			"usage-bootstrap-signing":        []byte("true"),
			"auth-extra-groups":              []byte(TokenGroup),
			"description":                    []byte(description),
		},
	}
}

// TokenFromSecret is the inverse of TokenSecret. A token without expiration never expires: expires is zero then.
func TokenFromSecret(secret *corev1.Secret) (token Token, expires time.Time, err error) {
	token, err = ParseToken(string(secret.Data["token-id"]) + "." + string(secret.Data["token-secret"]))
	if err != nil {
		return Token{}, time.Time{}, fmt.Errorf("Secret %s/%s: %w", secret.Namespace, secret.Name, err)
	}
	if token.SecretName() != secret.Name {
		return Token{}, time.Time{}, fmt.Errorf("Secret %s/%s: token-id %q belongs into a Secret named %s; the cluster ignores it under this name", secret.Namespace, secret.Name, token.ID, token.SecretName())
	}
	text, found := secret.Data["expiration"]
	if !found {
		return token, time.Time{}, nil
	}
	expires, err = time.Parse(time.RFC3339, string(text))
	if err != nil {
		return Token{}, time.Time{}, fmt.Errorf("Secret %s/%s, key expiration: %q is not a time of the form %s", secret.Namespace, secret.Name, text, time.RFC3339)
	}
	return token, expires, nil
}

// TokenNeedsRefresh is true when less than five sixths of the ttl are left, as long as the machine that is to use the
// token has not come up: a slow infrastructure must not meet an expired token.
func TokenNeedsRefresh(expires time.Time, ttl time.Duration, now time.Time) bool {
	return !expires.IsZero() && expires.Sub(now) < ttl*5/6
}

// randomText drops bytes beyond the largest multiple of the alphabet's size, or some letters would come more often.
func randomText(length int, random io.Reader) (string, error) {
	const usable = 256 - 256%len(tokenAlphabet)
	// A source that only gives unusable bytes must end in an error, not in an endless loop.
	const tries = 1 << 12
	out := make([]byte, 0, length)
	octet := make([]byte, 1)
	for range tries {
		if len(out) == length {
			return string(out), nil
		}
		if _, err := io.ReadFull(random, octet); err != nil {
			return "", fmt.Errorf("read randomness: %w", err)
		}
		if int(octet[0]) < usable {
			out = append(out, tokenAlphabet[int(octet[0])%len(tokenAlphabet)])
		}
	}
	return "", errors.New("read randomness: the source repeats itself")
}
