// SPDX-License-Identifier: Apache-2.0

package standalone

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"
)

const (
	authorityLife   = 10 * 365 * 24 * time.Hour
	certificateLife = 365 * 24 * time.Hour
	// renewBefore is how long before its end a certificate is made anew: a
	// cluster that is started at least every four months never has an expired one.
	renewBefore = certificateLife / 3
	// backdate allows for clocks that differ a little, as after a resume.
	backdate = 5 * time.Minute
)

// authority is a certificate authority with its key.
type authority struct {
	certificate *x509.Certificate
	key         crypto.Signer
}

// certificateSpec says what a certificate must be; one on disk that is not is made anew.
type certificateSpec struct {
	file         string // without .crt and .key
	authority    string // the file of its authority
	commonName   string
	organization string // for client certificates: the group; may be empty
	hosts        []string
	usages       []x509.ExtKeyUsage
}

// names of the files of authorities and certificates, under pki/.
const (
	authorityFile           = "ca"
	etcdAuthorityFile       = "etcd-ca"
	apiServerFile           = "kube-apiserver"
	etcdFile                = "etcd"
	apiServerEtcdClientFile = "kube-apiserver-etcd-client"
	slipwayEtcdClientFile   = "slipway-etcd-client"
	adminFile               = "admin"
	controllersFile         = "slipway-controllers"
	controllerManagerFile   = "kube-controller-manager"
	serviceAccountFile      = "service-account"
)

// users of the management cluster's API, as they appear in RBAC.
const (
	// ControllersUser is the user that ControllersConfig authenticates as. It
	// may do only what the RBAC objects among Options.Objects allow it.
	ControllersUser = "slipway:controllers"
	// adminUser and adminGroup: the group is the one that the API server's
	// authorizer always lets pass, so that RBAC mistakes can be repaired.
	adminUser             = "slipway:admin"
	adminGroup            = "system:masters"
	controllerManagerUser = "system:kube-controller-manager"
)

// certificateSpecs lists all certificates. apiServerHosts are the addresses and
// names that the API server is reached by.
func certificateSpecs(apiServerHosts []string) []certificateSpec {
	client := []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	return []certificateSpec{
		{file: apiServerFile, authority: authorityFile, commonName: "kube-apiserver",
			hosts: apiServerHosts, usages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}},
		// etcd uses one certificate for clients and, as server and client, for
		// its peer listener, to which nobody else has a certificate.
		{file: etcdFile, authority: etcdAuthorityFile, commonName: "etcd", hosts: []string{"127.0.0.1", "localhost"},
			usages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}},
		{file: apiServerEtcdClientFile, authority: etcdAuthorityFile, commonName: "kube-apiserver", usages: client},
		{file: slipwayEtcdClientFile, authority: etcdAuthorityFile, commonName: "slipway", usages: client},
		{file: adminFile, authority: authorityFile, commonName: adminUser, organization: adminGroup, usages: client},
		{file: controllersFile, authority: authorityFile, commonName: ControllersUser, usages: client},
		{file: controllerManagerFile, authority: authorityFile, commonName: controllerManagerUser, usages: client},
	}
}

// ensurePKI makes what is missing, about to expire or not as wanted, and says
// which files it wrote. Authorities are made anew only where mayReplaceAuthority
// is set: at a start, when nothing runs that trusts the old ones.
func ensurePKI(home dataDir, specs []certificateSpec, now time.Time, mayReplaceAuthority bool) ([]string, error) {
	var written []string
	authorities := map[string]authority{}
	for _, name := range []string{authorityFile, etcdAuthorityFile} {
		ca, made, err := ensureAuthority(home, name, now, mayReplaceAuthority)
		if err != nil {
			return nil, err
		}
		if made {
			written = append(written, name)
		}
		authorities[name] = ca
	}
	for _, spec := range specs {
		made, err := ensureCertificate(home, spec, authorities[spec.authority], now)
		if err != nil {
			return nil, err
		}
		if made {
			written = append(written, spec.file)
		}
	}
	made, err := ensureServiceAccountKey(home)
	if err != nil {
		return nil, err
	}
	if made {
		written = append(written, serviceAccountFile)
	}
	return written, nil
}

func (d dataDir) certificateFile(name string) string { return filepath.Join(d.pki(), name+".crt") }
func (d dataDir) keyFile(name string) string         { return filepath.Join(d.pki(), name+".key") }

func ensureAuthority(home dataDir, name string, now time.Time, mayReplace bool) (authority, bool, error) {
	pair, err := tls.LoadX509KeyPair(home.certificateFile(name), home.keyFile(name))
	if err == nil {
		signer, ok := pair.PrivateKey.(crypto.Signer)
		if ok && pair.Leaf.IsCA && (!mayReplace || now.Add(renewBefore).Before(pair.Leaf.NotAfter)) {
			return authority{certificate: pair.Leaf, key: signer}, false, nil
		}
	} else if _, statErr := os.Stat(home.certificateFile(name)); statErr == nil {
		// The key is always written first, so this is not a crash but a loss;
		// replacing silently would lock out every copied kubeconfig.
		return authority{}, false, fmt.Errorf("load certificate authority %s: %w: put the matching %s back, or remove %s to have a new authority made (kubeconfigs copied elsewhere stop working)",
			home.certificateFile(name), err, home.keyFile(name), home.certificateFile(name))
	}
	if !mayReplace {
		return authority{}, false, fmt.Errorf("certificate authority %s is gone while the cluster runs: `slipway down`, then `slipway up` makes a new one", home.certificateFile(name))
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return authority{}, false, fmt.Errorf("generate key of %s: %w", name, err)
	}
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: "slipway-" + name, Organization: []string{"slipway"}},
		NotBefore:             now.Add(-backdate),
		NotAfter:              now.Add(authorityLife),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign | x509.KeyUsageDigitalSignature,
		IsCA:                  true,
		BasicConstraintsValid: true,
		MaxPathLenZero:        true,
	}
	certificate, err := writePair(home, name, template, template, key, key)
	if err != nil {
		return authority{}, false, err
	}
	return authority{certificate: certificate, key: key}, true, nil
}

func ensureCertificate(home dataDir, spec certificateSpec, ca authority, now time.Time) (bool, error) {
	if reason := unfit(home, spec, ca, now); reason == "" {
		return false, nil
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return false, fmt.Errorf("generate key of %s: %w", spec.file, err)
	}
	end := now.Add(certificateLife)
	if end.After(ca.certificate.NotAfter) {
		end = ca.certificate.NotAfter
	}
	template := &x509.Certificate{
		Subject:     pkix.Name{CommonName: spec.commonName},
		NotBefore:   now.Add(-backdate),
		NotAfter:    end,
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: spec.usages,
	}
	if spec.organization != "" {
		template.Subject.Organization = []string{spec.organization}
	}
	for _, host := range spec.hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	_, err = writePair(home, spec.file, template, ca.certificate, key, ca.key)
	return err == nil, err
}

// unfit says why the certificate on disk cannot be used any longer; empty where it can.
func unfit(home dataDir, spec certificateSpec, ca authority, now time.Time) string {
	pair, err := tls.LoadX509KeyPair(home.certificateFile(spec.file), home.keyFile(spec.file))
	if err != nil {
		return err.Error() // missing, or half of a pair that a crash left
	}
	roots := x509.NewCertPool()
	roots.AddCert(ca.certificate)
	if _, err := pair.Leaf.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: now, KeyUsages: spec.usages[:1]}); err != nil {
		return err.Error()
	}
	if !now.Add(renewBefore).Before(pair.Leaf.NotAfter) && pair.Leaf.NotAfter.Before(ca.certificate.NotAfter) {
		return "expires soon"
	}
	if pair.Leaf.Subject.CommonName != spec.commonName {
		return "other subject"
	}
	if spec.organization != "" && !slices.Equal(pair.Leaf.Subject.Organization, []string{spec.organization}) {
		return "other group"
	}
	for _, host := range spec.hosts {
		if err := pair.Leaf.VerifyHostname(host); err != nil {
			return err.Error()
		}
	}
	return ""
}

// writePair signs and writes the key first: a certificate without its key
// cannot be told from one whose key was lost.
func writePair(home dataDir, name string, template, parent *x509.Certificate, key, parentKey crypto.Signer) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, fmt.Errorf("choose serial of %s: %w", name, err)
	}
	template.SerialNumber = serial.Add(serial, big.NewInt(1))
	raw, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), parentKey)
	if err != nil {
		return nil, fmt.Errorf("sign certificate %s: %w", name, err)
	}
	certificate, err := x509.ParseCertificate(raw)
	if err != nil {
		return nil, fmt.Errorf("parse certificate %s: %w", name, err)
	}
	if err := writeKey(home.keyFile(name), key); err != nil {
		return nil, err
	}
	encoded := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: raw})
	return certificate, writeFile(home.certificateFile(name), encoded, 0o600)
}

func writeKey(path string, key crypto.Signer) error {
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fmt.Errorf("encode key %s: %w", path, err)
	}
	return writeFile(path, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw}), 0o600)
}

// ensureServiceAccountKey makes the key that service account tokens are signed
// with. The API server takes the public part from the private one.
func ensureServiceAccountKey(home dataDir) (bool, error) {
	path := home.keyFile(serviceAccountFile)
	content, err := os.ReadFile(path)
	if err == nil {
		block, _ := pem.Decode(content)
		if block == nil {
			return false, fmt.Errorf("parse %s: no PEM block: remove it to have a new key made (service account tokens stop working)", path)
		}
		if _, err := x509.ParseECPrivateKey(block.Bytes); err != nil {
			return false, fmt.Errorf("parse %s: %w: remove it to have a new key made (service account tokens stop working)", path, err)
		}
		return false, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return false, fmt.Errorf("read %s: %w", path, err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return false, fmt.Errorf("generate service account key: %w", err)
	}
	// kube-apiserver takes the public part from a key in this form only.
	raw, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return false, fmt.Errorf("encode key %s: %w", path, err)
	}
	return true, writeFile(path, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: raw}), 0o600)
}

// apiServerHosts are the names in the API server's certificate: what kubectl
// dials on this machine, the names that exist inside any cluster, and for an
// API server that listens on other interfaces those too.
func apiServerHosts(listen net.IP) []string {
	hosts := []string{"127.0.0.1", "::1", "localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc",
		"kubernetes.default.svc.cluster.local", serviceRangeFirst}
	if !listen.IsLoopback() && !listen.IsUnspecified() {
		hosts = append(hosts, listen.String())
	}
	if listen.IsUnspecified() {
		if name, err := os.Hostname(); err == nil && name != "" {
			hosts = append(hosts, name)
		}
		addresses, _ := net.InterfaceAddrs()
		for _, address := range addresses {
			if network, ok := address.(*net.IPNet); ok && network.IP.IsGlobalUnicast() {
				hosts = append(hosts, network.IP.String())
			}
		}
	}
	slices.Sort(hosts)
	return slices.Compact(hosts)
}
