// SPDX-License-Identifier: Apache-2.0

package credentials

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strconv"
	"time"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

const (
	// AdminValidity is the life of the admin client certificate in a kubeconfig that we make.
	AdminValidity = 365 * 24 * time.Hour
	// renewBefore is the time left under which the admin certificate is made anew: half of its life.
	renewBefore = AdminValidity / 2
)

// ServerURL is the API server's address as kubeconfigs carry it. IPv6 hosts come without brackets.
func ServerURL(host string, port int32) string {
	return "https://" + net.JoinHostPort(host, strconv.Itoa(int(port)))
}

// NewKubeconfig makes the admin kubeconfig of a cluster: a fresh key, a client certificate for CN kubernetes-admin,
// O system:masters, valid AdminValidity and never beyond the authority, and one context "<cluster>-admin@<cluster>".
// server is a URL, see ServerURL. It makes a key: call once, store, and ask NeedsRenewal from then on.
// It is an error where ca has no key; then the user supplies the kubeconfig Secret.
func NewKubeconfig(cluster, server string, ca Pair, algorithm Algorithm, now time.Time, random io.Reader) ([]byte, error) {
	if err := checkServer(server); err != nil {
		return nil, fmt.Errorf("make kubeconfig of cluster %s: %w", cluster, err)
	}
	if !ca.HasKey() {
		return nil, fmt.Errorf("make kubeconfig of cluster %s: Secret %s has no %s, so no client certificate can be signed; create the Secret %s with an admin kubeconfig under the key %s",
			cluster, SecretName(cluster, ClusterCA), KeyKey, KubeconfigSecretName(cluster), KubeconfigKey)
	}
	client, err := newClientCertificate(ca, pkix.Name{CommonName: "kubernetes-admin", Organization: []string{"system:masters"}}, algorithm, AdminValidity, now, random)
	if err != nil {
		return nil, fmt.Errorf("make kubeconfig of cluster %s: %w", cluster, err)
	}
	user := cluster + "-admin"
	context := user + "@" + cluster
	config := clientcmdapi.NewConfig()
	config.Clusters[cluster] = &clientcmdapi.Cluster{Server: server, CertificateAuthorityData: ca.Cert}
	config.AuthInfos[user] = &clientcmdapi.AuthInfo{ClientCertificateData: client.Cert, ClientKeyData: client.Key}
	config.Contexts[context] = &clientcmdapi.Context{Cluster: cluster, AuthInfo: user}
	config.CurrentContext = context
	out, err := clientcmd.Write(*config)
	if err != nil {
		return nil, fmt.Errorf("encode kubeconfig of cluster %s: %w", cluster, err)
	}
	return out, nil
}

// Kubeconfig is what the current context of a kubeconfig says.
type Kubeconfig struct {
	Server string
	CAData []byte // PEM; nil where the file names none
	// ClientCertificate is nil where the user signs in otherwise (a token, a plugin).
	ClientCertificate *x509.Certificate
	clientKey         []byte
}

// ParseKubeconfig reads and checks a kubeconfig: it has a current context whose cluster and user exist, a server with
// a host, and, if it has a client certificate, the key that belongs to it. Paths to files are refused: the files would
// be those of another machine.
func ParseKubeconfig(text []byte) (Kubeconfig, error) {
	const remedy = "; supply a kubeconfig as kubectl config view --raw --flatten --minify prints it"
	config, err := clientcmd.Load(text)
	if err != nil {
		return Kubeconfig{}, fmt.Errorf("parse kubeconfig: %w%s", err, remedy)
	}
	context, found := config.Contexts[config.CurrentContext]
	if !found {
		return Kubeconfig{}, fmt.Errorf("parse kubeconfig: current-context %q is not among its contexts%s", config.CurrentContext, remedy)
	}
	cluster, found := config.Clusters[context.Cluster]
	if !found {
		return Kubeconfig{}, fmt.Errorf("parse kubeconfig: cluster %q of context %q is missing%s", context.Cluster, config.CurrentContext, remedy)
	}
	user, found := config.AuthInfos[context.AuthInfo]
	if !found {
		return Kubeconfig{}, fmt.Errorf("parse kubeconfig: user %q of context %q is missing%s", context.AuthInfo, config.CurrentContext, remedy)
	}
	if cluster.CertificateAuthority != "" || user.ClientCertificate != "" || user.ClientKey != "" || user.TokenFile != "" {
		return Kubeconfig{}, errors.New("parse kubeconfig: it points to files that are not part of it" + remedy)
	}
	if err := checkServer(cluster.Server); err != nil {
		return Kubeconfig{}, fmt.Errorf("parse kubeconfig: %w%s", err, remedy)
	}
	out := Kubeconfig{Server: cluster.Server, CAData: cluster.CertificateAuthorityData, clientKey: user.ClientKeyData}
	if len(user.ClientCertificateData) == 0 {
		return out, nil
	}
	certs, err := parseCertificates(user.ClientCertificateData)
	if err != nil {
		return Kubeconfig{}, fmt.Errorf("parse kubeconfig: client-certificate-data: %w", err)
	}
	key, err := parseKey(user.ClientKeyData)
	if err != nil {
		return Kubeconfig{}, fmt.Errorf("parse kubeconfig: client-key-data: %w", err)
	}
	if !samePublicKey(key.Public(), certs[0].PublicKey) {
		return Kubeconfig{}, errors.New("parse kubeconfig: client-key-data does not belong to client-certificate-data" + remedy)
	}
	out.ClientCertificate = certs[0]
	return out, nil
}

// NeedsRenewal tells whether a kubeconfig that we made must be made anew, and why in words for a log or an event: the
// client certificate has under half of its year left, or the server's address or the authority is another one now.
// A certificate that already lasts as long as its authority is left alone: a new one would end on the same day, and
// renewing would never stop. Kubeconfigs without client certificate are the user's own and never renewed for age.
func NeedsRenewal(kubeconfig Kubeconfig, server string, ca Pair, now time.Time) (bool, string, error) {
	caCerts, err := parseCertificates(ca.Cert)
	if err != nil {
		return false, "", fmt.Errorf("check kubeconfig against authority: %w", err)
	}
	if kubeconfig.Server != server {
		return true, fmt.Sprintf("the server is %s and no longer %s", server, kubeconfig.Server), nil
	}
	if !bytes.Equal(bytes.TrimSpace(kubeconfig.CAData), bytes.TrimSpace(ca.Cert)) {
		return true, "the cluster's authority has changed", nil
	}
	cert := kubeconfig.ClientCertificate
	if cert == nil {
		return false, "", nil
	}
	if err := cert.CheckSignatureFrom(caCerts[0]); err != nil {
		return true, "the client certificate is not signed by the cluster's authority", nil
	}
	if cert.NotAfter.Sub(now) < renewBefore && cert.NotAfter.Before(caCerts[0].NotAfter) {
		return true, "the client certificate ends at " + cert.NotAfter.UTC().Format(time.RFC3339), nil
	}
	return false, "", nil
}

func checkServer(server string) error {
	parsed, err := url.Parse(server)
	if err != nil || parsed.Hostname() == "" || (parsed.Scheme != "https" && parsed.Scheme != "http") {
		return fmt.Errorf("server %q is not a URL such as https://192.0.2.1:6443", server)
	}
	return nil
}
