// SPDX-License-Identifier: Apache-2.0

package credentials

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"time"
)

// Algorithm is a key algorithm under the name that kubeadm's encryptionAlgorithm has for it.
type Algorithm string

// The algorithms kubeadm accepts. The empty Algorithm means RSA2048, kubeadm's default.
const (
	RSA2048   Algorithm = "RSA-2048"
	RSA3072   Algorithm = "RSA-3072"
	RSA4096   Algorithm = "RSA-4096"
	ECDSAP256 Algorithm = "ECDSA-P256"
	ECDSAP384 Algorithm = "ECDSA-P384"
)

const (
	// DefaultCAValidity is how long an authority is valid where the user gave no caCertificateValidityPeriodDays.
	DefaultCAValidity = 10 * 365 * 24 * time.Hour
	// backdate is how far before now a certificate begins to be valid: machines' clocks may be a little behind ours.
	backdate = 5 * time.Minute
)

// Pair is a certificate (or, for service accounts, a public key) and its private key, both PEM.
// Key is empty for an authority whose key is kept outside the management cluster.
type Pair struct {
	Cert []byte
	Key  []byte
}

// String tells what a pair has without telling the key.
func (p Pair) String() string {
	return fmt.Sprintf("Pair{Cert: %d bytes, Key: %d bytes}", len(p.Cert), len(p.Key))
}

// GoString keeps private keys out of %#v as String keeps them out of %v.
func (p Pair) GoString() string { return p.String() }

// NewPair makes the pair of one of Purposes: a self-signed authority, or the service-account keys, which have no validity.
// RSA-2048 costs some tenths of a second; call it once and store the result. Randomness is read from random, except
// where Go's crypto packages insist on the system's own source (since Go 1.26 for key generation), so a fixed reader
// does not make keys repeatable. now is the management cluster's time. A validity of zero means DefaultCAValidity.
func NewPair(purpose Purpose, algorithm Algorithm, validity time.Duration, now time.Time, random io.Reader) (Pair, error) {
	switch {
	case purpose == ServiceAccount:
		return newServiceAccountKeys(algorithm, random)
	case purpose.isAuthority():
		return newAuthority(purpose, algorithm, validity, now, random)
	}
	return Pair{}, fmt.Errorf("make key pair %q: only the user can supply it; create the Secret <cluster>-%s with %s and %s", purpose, purpose, CertKey, KeyKey)
}

func newAuthority(purpose Purpose, algorithm Algorithm, validity time.Duration, now time.Time, random io.Reader) (Pair, error) {
	if validity == 0 {
		validity = DefaultCAValidity
	}
	if validity < 0 {
		return Pair{}, fmt.Errorf("make %s authority: validity %s is negative", purpose, validity)
	}
	key, err := newKey(algorithm, random)
	if err != nil {
		return Pair{}, fmt.Errorf("make %s authority: %w", purpose, err)
	}
	serial, err := newSerial(random)
	if err != nil {
		return Pair{}, fmt.Errorf("make %s authority: %w", purpose, err)
	}
	template := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: purpose.commonName()},
		// kubeadm names its authorities in a SAN too: etcd's Go clients and newer verifiers ignore common names.
		DNSNames:              []string{purpose.commonName()},
		NotBefore:             now.Add(-backdate).UTC(),
		NotAfter:              now.Add(validity).UTC(),
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment | x509.KeyUsageCertSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
	}
	return signed(template, template, key, key, random)
}

func newServiceAccountKeys(algorithm Algorithm, random io.Reader) (Pair, error) {
	key, err := newKey(algorithm, random)
	if err != nil {
		return Pair{}, fmt.Errorf("make service-account keys: %w", err)
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return Pair{}, fmt.Errorf("encode service-account public key: %w", err)
	}
	private, err := encodeKey(key)
	if err != nil {
		return Pair{}, err
	}
	return Pair{Cert: pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}), Key: private}, nil
}

// newClientCertificate signs a client certificate with the given authority. It never outlives the authority, because
// a verifier would refuse the chain from then on anyway, and the date shown should be the one that counts.
func newClientCertificate(ca Pair, subject pkix.Name, algorithm Algorithm, validity time.Duration, now time.Time, random io.Reader) (Pair, error) {
	caCert, caKey, err := parseAuthority(ca)
	if err != nil {
		return Pair{}, err
	}
	key, err := newKey(algorithm, random)
	if err != nil {
		return Pair{}, err
	}
	serial, err := newSerial(random)
	if err != nil {
		return Pair{}, err
	}
	notBefore, notAfter := now.Add(-backdate).UTC(), now.Add(validity).UTC()
	if notBefore.Before(caCert.NotBefore) {
		notBefore = caCert.NotBefore
	}
	if notAfter.After(caCert.NotAfter) {
		notAfter = caCert.NotAfter
	}
	template := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               subject,
		NotBefore:             notBefore,
		NotAfter:              notAfter,
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		BasicConstraintsValid: true,
	}
	return signed(template, caCert, key, caKey, random)
}

// signed makes the certificate for key from template, signed by the parent's key, and encodes both.
func signed(template, parent *x509.Certificate, key, parentKey crypto.Signer, random io.Reader) (Pair, error) {
	der, err := x509.CreateCertificate(random, template, parent, key.Public(), parentKey)
	if err != nil {
		return Pair{}, fmt.Errorf("sign certificate %q: %w", template.Subject.CommonName, err)
	}
	private, err := encodeKey(key)
	if err != nil {
		return Pair{}, err
	}
	return Pair{Cert: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), Key: private}, nil
}

func newKey(algorithm Algorithm, random io.Reader) (crypto.Signer, error) {
	switch algorithm {
	case "", RSA2048:
		return rsa.GenerateKey(random, 2048)
	case RSA3072:
		return rsa.GenerateKey(random, 3072)
	case RSA4096:
		return rsa.GenerateKey(random, 4096)
	case ECDSAP256:
		return ecdsa.GenerateKey(elliptic.P256(), random)
	case ECDSAP384:
		return ecdsa.GenerateKey(elliptic.P384(), random)
	}
	return nil, fmt.Errorf("encryption algorithm %q is not one of %s, %s, %s, %s, %s", algorithm, RSA2048, RSA3072, RSA4096, ECDSAP256, ECDSAP384)
}

// newSerial is a random positive serial number of at most 127 bits (RFC 5280 allows 20 octets, and not zero).
func newSerial(random io.Reader) (*big.Int, error) {
	octets := make([]byte, 16)
	if _, err := io.ReadFull(random, octets); err != nil {
		return nil, fmt.Errorf("read randomness for a serial number: %w", err)
	}
	octets[0] &= 0x7f
	serial := new(big.Int).SetBytes(octets)
	if serial.Sign() == 0 {
		return nil, errors.New("read randomness for a serial number: the source gives only zeros")
	}
	return serial, nil
}

// encodeKey writes the PEM form that kubeadm itself writes: PKCS #1 for RSA, SEC 1 for elliptic curves.
func encodeKey(key crypto.Signer) ([]byte, error) {
	switch k := key.(type) {
	case *rsa.PrivateKey:
		return pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(k)}), nil
	case *ecdsa.PrivateKey:
		der, err := x509.MarshalECPrivateKey(k)
		if err != nil {
			return nil, fmt.Errorf("encode private key: %w", err)
		}
		return pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}), nil
	}
	return nil, fmt.Errorf("encode private key: %T has no PEM form here", key)
}
