// SPDX-License-Identifier: Apache-2.0

package credentials

import (
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// PairFromSecret takes a pair out of its Secret and checks that a cluster can stand on it: the PEM parses, the key
// belongs to the certificate, an authority may sign and is valid at now. Secrets that users made pass through here
// just as our own do. Authorities may come without tls.key (the key is kept elsewhere); then Pair.Key is empty.
// The error names the Secret, the data key, the cause and what to do.
func PairFromSecret(secret *corev1.Secret, purpose Purpose, now time.Time) (Pair, error) {
	pair := Pair{Cert: secret.Data[CertKey], Key: secret.Data[KeyKey]}
	if dataKey, err := checkPair(pair, purpose, now); err != nil {
		return Pair{}, fmt.Errorf("Secret %s/%s, key %s: %w", secret.Namespace, secret.Name, dataKey, err)
	}
	return pair, nil
}

// HasKey is true where the private key is at hand, so that certificates can be signed here.
func (p Pair) HasKey() bool { return len(p.Key) > 0 }

// checkPair returns which of the two data keys is at fault.
func checkPair(pair Pair, purpose Purpose, now time.Time) (string, error) {
	if len(pair.Cert) == 0 {
		return CertKey, errors.New("it is missing; put the PEM certificate there, or delete the Secret to have one made")
	}
	var public crypto.PublicKey
	if purpose == ServiceAccount {
		key, err := parsePublicKey(pair.Cert)
		if err != nil {
			return CertKey, err
		}
		public = key
	} else {
		certs, err := parseCertificates(pair.Cert)
		if err != nil {
			return CertKey, err
		}
		if err := checkCertificate(certs[0], purpose, now); err != nil {
			return CertKey, err
		}
		public = certs[0].PublicKey
	}
	if !pair.HasKey() {
		if purpose.keyMayBeMissing() {
			return "", nil
		}
		return KeyKey, errors.New("it is missing; put the PEM private key there that belongs to " + CertKey)
	}
	key, err := parseKey(pair.Key)
	if err != nil {
		return KeyKey, err
	}
	if !samePublicKey(key.Public(), public) {
		return KeyKey, errors.New("this private key does not belong to " + CertKey + "; put both of one pair into the Secret")
	}
	return "", nil
}

func checkCertificate(cert *x509.Certificate, purpose Purpose, now time.Time) error {
	if purpose.isAuthority() {
		// Without basic constraints (version 1 certificates) IsCA is false too: kubeadm refuses both.
		if !cert.IsCA {
			return fmt.Errorf("certificate %q is not an authority (basic constraints CA:TRUE is missing); supply a CA certificate", cert.Subject)
		}
		if cert.KeyUsage != 0 && cert.KeyUsage&x509.KeyUsageCertSign == 0 {
			return fmt.Errorf("certificate %q may not sign certificates (key usage keyCertSign is missing); supply a CA certificate that may", cert.Subject)
		}
	}
	if now.After(cert.NotAfter) {
		return fmt.Errorf("certificate %q expired at %s; replace it with a valid one", cert.Subject, cert.NotAfter.UTC().Format(time.RFC3339))
	}
	// The same leeway that our own certificates give to clocks that are behind.
	if now.Add(backdate).Before(cert.NotBefore) {
		return fmt.Errorf("certificate %q is not valid before %s; supply one that is valid now, or set the clock right", cert.Subject, cert.NotBefore.UTC().Format(time.RFC3339))
	}
	return nil
}

// CACertHashes are the pins a joining node checks the API server's authority against, one for each certificate of the
// PEM bundle in its order: "sha256:" and the hex SHA-256 of the certificate's DER SubjectPublicKeyInfo, as kubeadm has it.
func CACertHashes(certPEM []byte) ([]string, error) {
	certs, err := parseCertificates(certPEM)
	if err != nil {
		return nil, fmt.Errorf("hash authority: %w", err)
	}
	hashes := make([]string, 0, len(certs))
	for _, cert := range certs {
		sum := sha256.Sum256(cert.RawSubjectPublicKeyInfo)
		hashes = append(hashes, "sha256:"+hex.EncodeToString(sum[:]))
	}
	return hashes, nil
}

// parseCertificates returns at least one certificate. Other PEM blocks are refused: a private key in tls.crt would
// be copied, world-readable, onto every node.
func parseCertificates(text []byte) ([]*x509.Certificate, error) {
	var certs []*x509.Certificate
	for rest := text; ; {
		var block *pem.Block
		block, rest = pem.Decode(rest)
		if block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("it holds a PEM block %q where only CERTIFICATE belongs; remove that block", block.Type)
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certificate %d does not parse (%w); supply a PEM X.509 certificate", len(certs)+1, err)
		}
		certs = append(certs, cert)
	}
	if len(certs) == 0 {
		return nil, errors.New("it holds no PEM certificate; supply one that begins with -----BEGIN CERTIFICATE-----")
	}
	return certs, nil
}

// parsePublicKey takes what kube-apiserver takes for service-account keys: a public key or a certificate.
func parsePublicKey(text []byte) (crypto.PublicKey, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("it holds no PEM public key; supply one that begins with -----BEGIN PUBLIC KEY-----")
	}
	switch block.Type {
	case "PUBLIC KEY":
		key, err := x509.ParsePKIXPublicKey(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("the public key does not parse (%w); supply a PEM PKIX public key", err)
		}
		return key, nil
	case "RSA PUBLIC KEY":
		key, err := x509.ParsePKCS1PublicKey(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("the public key does not parse (%w); supply a PEM public key", err)
		}
		return key, nil
	case "CERTIFICATE":
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("the certificate does not parse (%w); supply a PEM public key", err)
		}
		return cert.PublicKey, nil
	}
	return nil, fmt.Errorf("it holds a PEM block %q; supply a PUBLIC KEY", block.Type)
}

func parseKey(text []byte) (crypto.Signer, error) {
	rest := text
	for {
		var block *pem.Block
		block, rest = pem.Decode(rest)
		if block == nil {
			return nil, errors.New("it holds no PEM private key; supply one that begins with -----BEGIN PRIVATE KEY----- or its RSA or EC form, not encrypted")
		}
		var parsed any
		var err error
		switch block.Type {
		case "RSA PRIVATE KEY":
			parsed, err = x509.ParsePKCS1PrivateKey(block.Bytes)
		case "EC PRIVATE KEY":
			parsed, err = x509.ParseECPrivateKey(block.Bytes)
		case "PRIVATE KEY":
			parsed, err = x509.ParsePKCS8PrivateKey(block.Bytes)
		case "EC PARAMETERS": // openssl writes these before the key
			continue
		default:
			return nil, fmt.Errorf("it holds a PEM block %q; supply a private key that is not encrypted", block.Type)
		}
		if err != nil {
			// The parser's own words may quote bytes of the key: leave them out.
			return nil, fmt.Errorf("the %s does not parse; supply a PEM private key that is not encrypted", block.Type)
		}
		signer, ok := parsed.(crypto.Signer)
		if !ok {
			return nil, fmt.Errorf("keys of type %T cannot sign; supply an RSA or ECDSA key", parsed)
		}
		return signer, nil
	}
}

// parseAuthority returns what is needed to sign; it is an error where the key is not at hand.
func parseAuthority(ca Pair) (*x509.Certificate, crypto.Signer, error) {
	certs, err := parseCertificates(ca.Cert)
	if err != nil {
		return nil, nil, fmt.Errorf("authority's %s: %w", CertKey, err)
	}
	if !ca.HasKey() {
		return nil, nil, errors.New("the authority's private key is kept outside the management cluster, so nothing can be signed with it here")
	}
	key, err := parseKey(ca.Key)
	if err != nil {
		return nil, nil, fmt.Errorf("authority's %s: %w", KeyKey, err)
	}
	if !samePublicKey(key.Public(), certs[0].PublicKey) {
		return nil, nil, fmt.Errorf("authority's %s does not belong to its %s", KeyKey, CertKey)
	}
	return certs[0], key, nil
}

func samePublicKey(a, b crypto.PublicKey) bool {
	comparable, ok := a.(interface{ Equal(crypto.PublicKey) bool })
	return ok && comparable.Equal(b)
}
