// SPDX-License-Identifier: Apache-2.0

package bootstrap

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"path"
	"regexp"
	"strings"

	bootstrapv1 "github.com/slipway-project/slipway/api/bootstrap/v1beta2"
)

const rootOwner = "root:root"

var (
	permissionsForm = regexp.MustCompile(`^0?[0-7]{3,4}$`)
	ownerForm       = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]*(:[A-Za-z0-9_][A-Za-z0-9_.-]*)?$`)
)

// file is one entry of write_files. Empty owner, permissions and encoding are left to cloud-init's defaults
// (root:root, 0644, plain text).
type file struct {
	path, owner, permissions string
	encoding                 bootstrapv1.Encoding
	content                  string
	append                   bool
	// from is the field that asked for the file, for messages; "" for our own.
	from string
}

// userFiles are spec.files, contents resolved and checked, in their order: cloud-init writes them one after the other.
func userFiles(in Input) ([]file, error) {
	files := make([]file, 0, len(in.Spec.Files))
	for i, spec := range in.Spec.Files {
		field := fmt.Sprintf("spec.files[%d]", i)
		switch {
		case !path.IsAbs(spec.Path):
			return nil, fmt.Errorf("%s.path: %q is not an absolute path; give one from / on", field, spec.Path)
		case spec.Permissions != "" && !permissionsForm.MatchString(spec.Permissions):
			return nil, fmt.Errorf(`%s.permissions: %q is not an octal mode; give it like "0640"`, field, spec.Permissions)
		case spec.Owner != "" && !ownerForm.MatchString(spec.Owner):
			return nil, fmt.Errorf("%s.owner: %q is not of the form user or user:group", field, spec.Owner)
		}
		content, source, err := fileContent(field, spec, in.Secrets)
		if err != nil {
			return nil, err
		}
		switch spec.ContentFormat {
		case "", bootstrapv1.FileContentFormatRaw:
		case bootstrapv1.FileContentFormatTemplate:
			if content, err = renderTemplate(content, in.ControlPlaneVersion, spec.ContentFrom.Secret.Name != ""); err != nil {
				return nil, fmt.Errorf("%s: %w", source, err)
			}
		default:
			return nil, fmt.Errorf("%s.contentFormat: %q is not one of %s, %s", field, spec.ContentFormat, bootstrapv1.FileContentFormatRaw, bootstrapv1.FileContentFormatTemplate)
		}
		encoding, content, err := encodedContent(spec.Encoding, content)
		if err != nil {
			return nil, fmt.Errorf("%s.encoding: %w (the content is that of %s)", field, err, source)
		}
		files = append(files, file{
			path: spec.Path, owner: spec.Owner, permissions: spec.Permissions, encoding: encoding, content: content,
			append: spec.Append != nil && *spec.Append, from: field,
		})
	}
	return files, nil
}

// fileContent is the content and the name of where it comes from, for messages.
func fileContent(field string, spec bootstrapv1.File, secrets map[SecretKey][]byte) (content, source string, err error) {
	reference := spec.ContentFrom.Secret
	if reference.Name == "" && reference.Key == "" {
		return spec.Content, field + ".content", nil
	}
	if spec.Content != "" {
		return "", "", fmt.Errorf("%s: content and contentFrom exclude each other; remove one", field)
	}
	key := SecretKey{reference.Name, reference.Key}
	found, ok := secrets[key]
	if !ok {
		return "", "", fmt.Errorf("%s.contentFrom.secret: Secret %s has no key %q, or is not there; create it in the namespace of this object", field, key.Name, key.Key)
	}
	return string(found), field + ".contentFrom.secret", nil
}

// encodedContent checks content against the encoding that the user says it is in, and returns it in a form that YAML
// can carry. Bytes that are no text (from a Secret) are put into base64 here.
func encodedContent(encoding bootstrapv1.Encoding, content string) (bootstrapv1.Encoding, string, error) {
	switch encoding {
	case "":
		if !isText(content) {
			return bootstrapv1.Base64, base64.StdEncoding.EncodeToString([]byte(content)), nil
		}
		return "", content, nil
	case bootstrapv1.Base64, bootstrapv1.GzipBase64:
		decoded, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(content), ""))
		if err != nil {
			return "", "", fmt.Errorf("the content is not %s; encode it, or remove the encoding to have it written as it is", encoding)
		}
		if encoding == bootstrapv1.GzipBase64 && !isGzip(decoded) {
			return "", "", errors.New("the content is base64, but not of gzip; make it with gzip -c FILE | base64")
		}
		return encoding, content, nil
	case bootstrapv1.Gzip:
		if !isGzip([]byte(content)) {
			return "", "", errors.New("the content is not gzip, whose bytes only a Secret can hold; use gzip+base64, with gzip -c FILE | base64")
		}
		return bootstrapv1.GzipBase64, base64.StdEncoding.EncodeToString([]byte(content)), nil
	}
	return "", "", fmt.Errorf("%q is not one of %s, %s, %s", encoding, bootstrapv1.Base64, bootstrapv1.Gzip, bootstrapv1.GzipBase64)
}

func isGzip(content []byte) bool { return bytes.HasPrefix(content, []byte{0x1f, 0x8b}) }

// checkPaths refuses files that would overwrite one another: the earlier of two never had an effect. Appending is
// what a second entry for a path is for. The user's own certificates may replace the cluster's.
func checkPaths(files, own []file) error {
	taken := map[string]string{}
	for _, f := range files {
		clean := path.Clean(f.path)
		if earlier := taken[clean]; earlier != "" && f.from != "" && !f.append {
			return fmt.Errorf("%s.path: %s is written by %s already; remove one, or set append", f.from, f.path, earlier)
		}
		if f.from != "" {
			taken[clean] = f.from
		}
	}
	for _, f := range own {
		if by := taken[path.Clean(f.path)]; by != "" {
			return fmt.Errorf("%s.path: %s is a file that slipway writes itself; choose another path", by, f.path)
		}
	}
	return nil
}

// certificateFiles are the cluster's certificates where kubeadm looks for them, for control planes. kubeadm does not
// copy keys between control planes here: each gets them this way.
func certificateFiles(in Input) ([]file, error) {
	spec := in.Spec.ClusterConfiguration
	folder := spec.CertificatesDir
	if folder == "" {
		folder = defaultCertificatesDir
	}
	type place struct {
		suffix, certPath, keyPath string
		pair                      KeyPair
		needsKey                  bool
	}
	places := []place{
		{"ca", "ca.crt", "ca.key", in.Certificates.ClusterCA, false},
		{"etcd", "etcd/ca.crt", "etcd/ca.key", in.Certificates.EtcdCA, false},
		{"proxy", "front-proxy-ca.crt", "front-proxy-ca.key", in.Certificates.FrontProxyCA, false},
		{"sa", "sa.pub", "sa.key", in.Certificates.ServiceAccount, true},
	}
	for i := range places {
		places[i].certPath, places[i].keyPath = path.Join(folder, places[i].certPath), path.Join(folder, places[i].keyPath)
	}
	if external := spec.Etcd.External; len(external.Endpoints) > 0 {
		// etcd's authority signs nothing here: only its certificate is of use, at the path the user gave.
		places[1] = place{"etcd", external.CAFile, "", KeyPair{Cert: in.Certificates.EtcdCA.Cert}, false}
		places = append(places, place{"apiserver-etcd-client", external.CertFile, external.KeyFile, in.Certificates.APIServerEtcdClient, true})
	}
	byUser := map[string]bool{}
	for _, f := range in.Spec.Files {
		byUser[path.Clean(f.Path)] = true
	}
	var files []file
	for _, p := range places {
		for _, half := range []struct {
			path, permissions, dataKey string
			content                    []byte
			needed                     bool
		}{
			{p.certPath, "0640", "tls.crt", p.pair.Cert, true},
			{p.keyPath, "0600", "tls.key", p.pair.Key, p.needsKey},
		} {
			switch {
			case len(half.content) > 0:
				files = append(files, file{path: half.path, owner: rootOwner, permissions: half.permissions, content: string(half.content)})
			case half.needed && !byUser[path.Clean(half.path)]:
				return nil, fmt.Errorf("Secret %s-%s, key %s: it is missing, and spec.files does not write %s either; supply one of the two", in.ClusterName, p.suffix, half.dataKey, half.path)
			}
		}
	}
	return files, nil
}
