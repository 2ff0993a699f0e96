// SPDX-License-Identifier: Apache-2.0

package bootstrap

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/version"
	"sigs.k8s.io/yaml"

	bootstrapv1 "github.com/slipway-project/slipway/api/bootstrap/v1beta2"
)

// Uploaded is the ClusterConfiguration that kubeadm init leaves in the workload cluster (ConfigMap kubeadm-config of
// kube-system, key ClusterConfiguration), and that every kubeadm join reads instead of one of its own.
type Uploaded struct {
	text string
	tree map[string]any
}

// ParseUploaded reads it. The error says what is wrong with the text; where it was found is the caller's to say.
func ParseUploaded(text string) (Uploaded, error) {
	tree := map[string]any{}
	if err := yaml.Unmarshal([]byte(text), &tree); err != nil {
		return Uploaded{}, fmt.Errorf("it is not YAML: %w", err)
	}
	apiVersion, kind := tree["apiVersion"], tree["kind"]
	if kind != "ClusterConfiguration" || (apiVersion != "kubeadm.k8s.io/v1beta3" && apiVersion != "kubeadm.k8s.io/v1beta4") {
		return Uploaded{}, fmt.Errorf("it is of kind %v, version %v, and not a ClusterConfiguration of kubeadm.k8s.io/v1beta3 or v1beta4", kind, apiVersion)
	}
	uploaded := Uploaded{text: text, tree: tree}
	if _, err := version.ParseSemantic(uploaded.KubernetesVersion()); err != nil {
		return Uploaded{}, errors.New("its kubernetesVersion is not a Kubernetes version such as v1.37.1")
	}
	return uploaded, nil
}

// KubernetesVersion is the version that a control-plane machine that joins now is given; such as v1.37.1.
func (u Uploaded) KubernetesVersion() string {
	text, _ := u.tree["kubernetesVersion"].(string)
	return text
}

// kubeadmDefaults is what kubeadm itself writes where a configuration says nothing. What is set and then taken out of
// the configuration goes back to it. Source: the defaults of kubeadm's v1beta4, which TestKubeadmWritesNoDifference
// holds against kubeadm itself.
func kubeadmDefaults(d *dialect, out *wireCluster) {
	out.ImageRepository = cmp.Or(out.ImageRepository, DefaultImageRepository)
	if out.Etcd == nil {
		out.Etcd = &wireEtcd{Local: &wireLocalEtcd{}}
	}
	if local := out.Etcd.Local; local != nil {
		local.DataDir = cmp.Or(local.DataDir, "/var/lib/etcd")
	}
	if d.beta4 {
		const year = 365 * 24 * time.Hour
		out.EncryptionAlgorithm = cmp.Or(out.EncryptionAlgorithm, string(bootstrapv1.EncryptionAlgorithmRSA2048))
		out.CertificateValidityPeriod = cmp.Or(out.CertificateValidityPeriod, year.String())
		out.CACertificateValidityPeriod = cmp.Or(out.CACertificateValidityPeriod, (10 * year).String())
	}
}

// DefaultImageRepository is where kubeadm takes images from unless it is told otherwise.
const DefaultImageRepository = "registry.k8s.io"

// settingKeys are the parts of the document that follow the configuration; see Following.
var settingKeys = []string{
	"apiVersion", "kubernetesVersion", "imageRepository", "featureGates", "apiServer", "controllerManager", "scheduler", "etcd",
	"encryptionAlgorithm", "certificateValidityPeriod", "caCertificateValidityPeriod",
}

// Following is the text for machines of the version and the configuration given. It is the text that was read, to the
// byte, where that says the same in other words. What identifies the cluster stays (name, networks, endpoint, folder of
// certificates), and so do the add-ons: for CoreDNS see FollowingDNS. Errors are Render's.
func (u Uploaded) Following(kubernetesVersion string, spec bootstrapv1.ClusterConfiguration) (string, error) {
	d, err := newDialect(kubernetesVersion)
	if err != nil {
		return "", err
	}
	wanted := &wireCluster{wireMeta: d.meta("ClusterConfiguration"), KubernetesVersion: "v" + d.kubernetes.String()}
	if err := d.settings("spec.kubeadmConfigSpec.clusterConfiguration", spec, wanted); err != nil {
		return "", err
	}
	kubeadmDefaults(d, wanted)
	raw, err := json.Marshal(wanted)
	if err != nil {
		return "", fmt.Errorf("encode kubeadm configuration: %w", err)
	}
	fields := map[string]any{}
	if err := json.Unmarshal(raw, &fields); err != nil {
		return "", fmt.Errorf("encode kubeadm configuration: %w", err)
	}
	if !d.beta4 {
		// v1beta3 keeps here what is a setting of each machine: how long kubeadm waits.
		keepTimeout(u.tree, fields)
	}
	return u.with(settingKeys, fields), nil
}

func keepTimeout(before, wanted map[string]any) {
	const name = "timeoutForControlPlane"
	server, _ := before["apiServer"].(map[string]any)
	if server[name] == nil {
		return
	}
	fields, ok := wanted["apiServer"].(map[string]any)
	if !ok {
		fields = map[string]any{}
	}
	fields[name] = server[name]
	wanted["apiServer"] = fields
}

// FollowingDNS is the text with the image of CoreDNS that the configuration names, and without one where it names none:
// a kubeadm that joins then asks for the version that it was made with. As Following, it changes nothing else.
func (u Uploaded) FollowingDNS(dns bootstrapv1.DNS) string {
	section, _ := u.tree["dns"].(map[string]any)
	section = maps.Clone(section)
	if section == nil {
		section = map[string]any{}
	}
	for name, value := range map[string]string{"imageRepository": dns.ImageRepository, "imageTag": dns.ImageTag} {
		delete(section, name)
		if value != "" {
			section[name] = value
		}
	}
	return u.with([]string{"dns"}, map[string]any{"dns": section})
}

func (u Uploaded) with(keys []string, wanted map[string]any) string {
	tree, changed := maps.Clone(u.tree), false
	for _, key := range keys {
		if equality.Semantic.DeepEqual(meant(tree[key], key), meant(wanted[key], key)) {
			continue
		}
		changed = true
		delete(tree, key)
		if wanted[key] != nil {
			tree[key] = wanted[key]
		}
	}
	if !changed {
		return u.text
	}
	return treeText(tree, 0)
}

// meant is a value without what kubeadm takes for absent (empty texts, lists and maps, flags that are off), and with
// durations as such. A feature gate that is off is off on purpose.
func meant(value any, key string) any {
	switch v := value.(type) {
	case map[string]any:
		out := map[string]any{}
		for name, field := range v {
			if key == "featureGates" {
				out[name] = field
			} else if field := meant(field, name); field != nil {
				out[name] = field
			}
		}
		if len(out) > 0 {
			return out
		}
	case []any:
		var out []any
		for _, item := range v {
			out = append(out, meant(item, ""))
		}
		if len(out) > 0 {
			return out
		}
	case string:
		if period, err := time.ParseDuration(v); err == nil && slices.Contains([]string{"certificateValidityPeriod", "caCertificateValidityPeriod"}, key) {
			return period
		}
		if v != "" {
			return v
		}
	case bool:
		if v {
			return v
		}
	case nil:
	default:
		return v
	}
	return nil
}
