// SPDX-License-Identifier: Apache-2.0

package v1beta2

import (
	"encoding/json"
	"fmt"
	"regexp"
)

// bootstrapTokenForm is the form of bootstrap tokens that Kubernetes documents.
var bootstrapTokenForm = regexp.MustCompile(`^([a-z0-9]{6})\.([a-z0-9]{16})$`)

// BootstrapTokenString is a bootstrap token, on the wire a string of the form ID.Secret.
//
// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]{6}[.][a-z0-9]{16}$')",message="not a bootstrap token: write six letters or digits, a point, sixteen letters or digits, all in lower case"
// +kubebuilder:validation:Type=string
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=23
type BootstrapTokenString struct {
	// ID is the public part, six letters (lower case) or digits.
	ID string `json:"-"`

	// Secret is the part to keep, sixteen letters (lower case) or digits.
	Secret string `json:"-"`
}

// NewBootstrapTokenString splits a token. The error says what form it should have, and does not repeat the token.
func NewBootstrapTokenString(token string) (BootstrapTokenString, error) {
	parts := bootstrapTokenForm.FindStringSubmatch(token)
	if parts == nil {
		return BootstrapTokenString{}, fmt.Errorf("parse bootstrap token: want six letters or digits, a point, sixteen letters or digits (%s)", bootstrapTokenForm)
	}
	return BootstrapTokenString{ID: parts[1], Secret: parts[2]}, nil
}

// String returns the token as it is on the wire: empty for the zero value.
func (t BootstrapTokenString) String() string {
	if t.ID == "" && t.Secret == "" {
		return ""
	}
	return t.ID + "." + t.Secret
}

// MarshalJSON returns the token as a JSON string.
func (t BootstrapTokenString) MarshalJSON() ([]byte, error) {
	return json.Marshal(t.String())
}

// UnmarshalJSON reads a JSON string; the empty one and null are the zero value.
func (t *BootstrapTokenString) UnmarshalJSON(data []byte) error {
	var text string
	if err := json.Unmarshal(data, &text); err != nil {
		return fmt.Errorf("parse bootstrap token: %w", err)
	}
	if text == "" {
		*t = BootstrapTokenString{}
		return nil
	}
	token, err := NewBootstrapTokenString(text)
	if err != nil {
		return err
	}
	*t = token
	return nil
}
