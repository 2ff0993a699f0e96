// SPDX-License-Identifier: Apache-2.0

package standalone

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// encryptionTemplate is read by kube-apiserver. secretbox (XSalsa20 with
// Poly1305) encrypts what is written; identity, last, only lets what was
// written before there was a key be read. KubeadmConfigs are in it because a
// join token may stand in them.
const encryptionTemplate = `apiVersion: apiserver.config.k8s.io/v1
kind: EncryptionConfiguration
resources:
- resources:
  - secrets
  - kubeadmconfigs.bootstrap.cluster.x-k8s.io
  providers:
  - secretbox:
      keys:
      - name: key-1
        secret: %s
  - identity: {}
`

// ensureEncryption makes the key at the first start and says whether it did. A
// key that is gone while there is data is an error: a new key would make an API
// server that starts well and can read no Secret.
func ensureEncryption(home dataDir) (bool, error) {
	path := home.encryption()
	content, err := os.ReadFile(path)
	switch {
	case err == nil && bytes.Contains(content, []byte("secretbox:")):
		return false, nil
	case err == nil:
		return false, fmt.Errorf("the encryption configuration %s has no secretbox key: put the file back from a backup", path)
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
	text := fmt.Sprintf(encryptionTemplate, base64.StdEncoding.EncodeToString(key))
	return true, writeFile(path, []byte(text), 0o600)
}
