// SPDX-License-Identifier: Apache-2.0

package credentials

import (
	"bytes"
	"crypto/rand"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestTokenRoundTrip(t *testing.T) {
	token, err := NewToken(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := ParseToken(token.Value())
	if err != nil || parsed != token {
		t.Fatalf("parsed %v: %v", parsed, err)
	}
	expires := today.Add(DefaultTokenTTL)
	secret := TokenSecret(token, expires, "machine default/demo-0")
	got, gotExpires, err := TokenFromSecret(secret)
	if err != nil || got != token || !gotExpires.Equal(expires) {
		t.Errorf("read back %v until %s: %v", got, gotExpires, err)
	}
	want := map[string]string{
		"token-id": token.ID, "token-secret": token.Secret, "expiration": "2026-11-23T12:15:00Z",
		"usage-bootstrap-authentication": "true", "usage-bootstrap-signing": "true",
		"auth-extra-groups": "system:bootstrappers:kubeadm:default-node-token", "description": "machine default/demo-0",
	}
	data := map[string]string{}
	for key, value := range secret.Data {
		data[key] = string(value)
	}
	if diff := cmp.Diff(want, data); diff != "" {
		t.Error(diff)
	}
	if secret.Name != "bootstrap-token-"+token.ID || secret.Namespace != "kube-system" || secret.Type != "bootstrap.kubernetes.io/token" {
		t.Errorf("Secret %s/%s of type %s", secret.Namespace, secret.Name, secret.Type)
	}
}

func TestNewTokenDrawsEvenlyAndOnlyFromItsSource(t *testing.T) {
	// Every byte value once: those from 252 on must be skipped, or a to d would come more often.
	var source []byte
	for i := 255; i >= 0; i-- {
		source = append(source, byte(i))
	}
	a, err := NewToken(bytes.NewReader(source))
	if err != nil {
		t.Fatal(err)
	}
	b, err := NewToken(bytes.NewReader(source))
	if err != nil || a != b {
		t.Errorf("same bytes gave %s and %s: %v", a.Value(), b.Value(), err)
	}
	if a.Value() != "987654.3210zyxwvutsrqpo" {
		t.Errorf("token %s", a.Value())
	}
	for name, source := range map[string][]byte{"dry": nil, "dries up": source[:10], "unusable": bytes.Repeat([]byte{255}, 1<<13)} {
		if _, err := NewToken(bytes.NewReader(source)); err == nil {
			t.Errorf("%s source gave a token", name)
		}
	}
}

func TestParseTokenRefuses(t *testing.T) {
	for _, text := range []string{"", "abcdef", "ghijkl.", "ghijkl.0123456789abcde", "ghijkl.0123456789abcdefg", "GHIJKL.0123456789abcdef", "ghijkl.0123456789abcdef\n", " ghijkl.0123456789abcdef", "ghijk.0123456789abcdef"} {
		_, err := ParseToken(text)
		if err == nil {
			t.Errorf("%q was accepted", text)
		} else if strings.Contains(err.Error(), text) && len(text) > 7 {
			t.Errorf("the error repeats the token: %v", err)
		}
	}
}

func TestTokenFromSecretNamesTheFault(t *testing.T) {
	token := Token{ID: "abcdef", Secret: "0123456789abcdef"}
	secret := TokenSecret(token, today, "")
	secret.Data["expiration"] = []byte("tomorrow")
	if _, _, err := TokenFromSecret(secret); err == nil || !strings.Contains(err.Error(), `Secret kube-system/bootstrap-token-abcdef, key expiration: "tomorrow"`) {
		t.Errorf("bad time: %v", err)
	}
	delete(secret.Data, "expiration")
	if _, expires, err := TokenFromSecret(secret); err != nil || !expires.IsZero() {
		t.Errorf("no expiration: %s, %v", expires, err)
	}
	secret.Name = "bootstrap-token-zzzzzz"
	if _, _, err := TokenFromSecret(secret); err == nil || !strings.Contains(err.Error(), "named bootstrap-token-abcdef") {
		t.Errorf("wrong name: %v", err)
	}
	delete(secret.Data, "token-secret")
	if _, _, err := TokenFromSecret(secret); err == nil {
		t.Error("a token without secret was accepted")
	}
}

func TestTokenNeedsRefresh(t *testing.T) {
	expires, ttl := today.Add(12*time.Minute), 12*time.Minute
	for left, want := range map[time.Duration]bool{12 * time.Minute: false, 10 * time.Minute: false, 10*time.Minute - 1: true, -time.Hour: true} {
		if got := TokenNeedsRefresh(expires, ttl, expires.Add(-left)); got != want {
			t.Errorf("%s left: %t", left, got)
		}
	}
	if TokenNeedsRefresh(time.Time{}, ttl, today) {
		t.Error("a token that never expires is to be refreshed")
	}
}
