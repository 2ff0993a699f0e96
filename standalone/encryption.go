// SPDX-License-Identifier: Apache-2.0

package standalone

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"sigs.k8s.io/yaml"
)

// encryptedResources are what is encrypted in etcd. KubeadmConfigs are among them because
// a join token may stand in them.
var encryptedResources = []string{"secrets", "kubeadmconfigs.bootstrap.cluster.x-k8s.io"}

// encryption is the configuration that kube-apiserver reads.
type encryption struct {
	APIVersion string           `json:"apiVersion"`
	Kind       string           `json:"kind"`
	Resources  []encryptedGroup `json:"resources"`
}

// encryptedGroup says how some resources are encrypted: by the first provider; the others
// only let be read what was written otherwise.
type encryptedGroup struct {
	Resources []string                     `json:"resources"`
	Providers []map[string]json.RawMessage `json:"providers"`
}

func (g encryptedGroup) has(provider string) bool {
	return slices.ContainsFunc(g.Providers, func(p map[string]json.RawMessage) bool { return p[provider] != nil })
}

// newEncryption encrypts with secretbox (XSalsa20 with Poly1305).
func newEncryption(key []byte) encryption {
	secret, _ := json.Marshal(base64.StdEncoding.EncodeToString(key)) // a string has a form in JSON
	box := fmt.Sprintf(`{"keys":[{"name":"key-1","secret":%s}]}`, secret)
	return encryption{
		APIVersion: "apiserver.config.k8s.io/v1", Kind: "EncryptionConfiguration",
		Resources: []encryptedGroup{{
			Resources: encryptedResources,
			Providers: []map[string]json.RawMessage{{"secretbox": json.RawMessage(box)}, readAsWritten},
		}},
	}
}

// readAsWritten lets be read what was written before its kind was encrypted.
var readAsWritten = map[string]json.RawMessage{"identity": json.RawMessage(`{}`)}

// ensureEncryption makes the key at the first start and says whether it did. A
// key that is gone while there is data is an error: a new key would make an API
// server that starts well and can read no Secret. A configuration that is there
// keeps its keys, and gets what it lacks of the resources.
func ensureEncryption(home dataDir) (bool, error) {
	path := home.encryption()
	content, err := os.ReadFile(path)
	switch {
	case err == nil:
		return false, extendEncryption(path, content)
	case !errors.Is(err, fs.ErrNotExist):
		return false, fmt.Errorf("read encryption key: %w", err)
	case home.hasData():
		return false, fmt.Errorf("the encryption key %s is gone and the Secrets in %s cannot be read without it: put it back from a backup, or remove %s to begin with an empty cluster",
			path, home.path("etcd"), string(home))
	}
	key := make([]byte, 32)
	if _, err := rand.Read(key); err != nil {
		return false, fmt.Errorf("generate encryption key: %w", err)
	}
	return true, writeEncryption(path, newEncryption(key))
}

// extendEncryption adds the resources that an older slipway did not encrypt yet. Objects
// of them are encrypted when they are next written.
func extendEncryption(path string, content []byte) error {
	var configuration encryption
	if err := yaml.Unmarshal(content, &configuration); err != nil {
		return fmt.Errorf("parse the encryption configuration %s: %w: put the file back from a backup", path, err)
	}
	at := slices.IndexFunc(configuration.Resources, func(g encryptedGroup) bool { return g.has("secretbox") })
	if at < 0 {
		return fmt.Errorf("the encryption configuration %s has no secretbox key: put the file back from a backup", path)
	}
	group := &configuration.Resources[at]
	known := len(group.Resources)
	for _, resource := range encryptedResources {
		if !slices.ContainsFunc(configuration.Resources, func(g encryptedGroup) bool { return slices.Contains(g.Resources, resource) }) {
			group.Resources = append(group.Resources, resource)
		}
	}
	if len(group.Resources) == known {
		return nil
	}
	if !group.has("identity") {
		group.Providers = append(group.Providers, readAsWritten)
	}
	return writeEncryption(path, configuration)
}

func writeEncryption(path string, configuration encryption) error {
	text, err := yaml.Marshal(configuration)
	if err != nil {
		return fmt.Errorf("encode encryption configuration: %w", err)
	}
	return writeFile(path, text, 0o600)
}
