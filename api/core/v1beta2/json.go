// SPDX-License-Identifier: Apache-2.0

package v1beta2

import (
	"bytes"
	"errors"
)

// JSON is any JSON value, kept as the bytes it came in. The zero value stands for "absent".
//
// It does what the type of the same name in k8s.io/apiextensions-apiserver does; it is here so that clients of these
// types need not import that module.
type JSON struct {
	// Raw is the JSON text. nil is written as null.
	Raw []byte `json:"-"`
}

// MarshalJSON returns the bytes as they are.
func (j JSON) MarshalJSON() ([]byte, error) {
	if len(j.Raw) == 0 {
		return []byte("null"), nil
	}
	return j.Raw, nil
}

// UnmarshalJSON keeps a copy of the bytes. null leaves the value absent.
func (j *JSON) UnmarshalJSON(data []byte) error {
	if j == nil {
		return errors.New("unmarshal JSON: nil target")
	}
	j.Raw = nil
	if !bytes.Equal(data, []byte("null")) {
		j.Raw = bytes.Clone(data)
	}
	return nil
}

// IsZero tells whether no value is held. encoding/json calls it for fields with omitzero.
func (j JSON) IsZero() bool { return len(j.Raw) == 0 }
