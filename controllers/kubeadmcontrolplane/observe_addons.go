// SPDX-License-Identifier: Apache-2.0

package kubeadmcontrolplane

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	"github.com/slipway-project/slipway/engine"
	"github.com/slipway-project/slipway/plan"
)

// expiryTimeout bounds how long API servers are asked for their certificates, all at the
// same time.
const expiryTimeout = 5 * time.Second

// Addons are what kubeadm leaves in the workload cluster and what follows the control
// plane's version. The zero value means that nobody has looked.
type Addons struct {
	Looked bool
	// KubeadmConfig is the ConfigMap that joins read; nil when it is missing.
	KubeadmConfig *ConfigData
	// MissingForJoins are those of joinNeeds that are not there. They are looked for only
	// while the ConfigMap is for another version than spec.version: with the version they
	// are brought in line.
	MissingForJoins []string
	// KubeProxy, CoreDNS and CoreDNSConfig are looked at once every machine is of
	// spec.version; nil when they are missing.
	KubeProxy, CoreDNS *PodTemplate
	CoreDNSConfig      *ConfigData
	// CertificateExpiry is, by name of a Machine, when the certificate of its API server
	// ends. It is asked for only where it is not yet noted.
	CertificateExpiry map[string]plan.Known[time.Time]
}

// ConfigData is what counts of a ConfigMap.
type ConfigData struct {
	UID  types.UID
	Data map[string]string
}

// PodTemplate is what counts of a Deployment or DaemonSet: the names and images of its
// containers, and the names and ConfigMaps of its volumes, each in its place.
type PodTemplate struct {
	UID        types.UID
	Containers []ContainerImage
	Volumes    []ConfigVolume
}

// ContainerImage is what counts of a container.
type ContainerImage struct{ Name, Image string }

// ConfigVolume is what counts of a volume.
type ConfigVolume struct {
	Name string
	// ConfigMap is its name; empty for volumes of other kinds.
	ConfigMap string
	// Items say which key becomes which file; none where all do under their own names.
	Items []corev1.KeyToPath
}

// observeAddons reads them. An error is a request that failed; what is missing is a fact.
func observeAddons(ctx context.Context, workload client.Reader, s *Snapshot) (Addons, error) {
	seen := Addons{Looked: true}
	var err error
	if seen.KubeadmConfig, err = observeConfig(ctx, workload, kubeadmConfigName); err != nil {
		return Addons{}, err
	}
	looked := *s
	looked.Addons = seen
	if uploaded, refused := uploadedConfiguration(looked); refused == nil && uploaded.KubernetesVersion() != s.ControlPlane.Spec.Version {
		if seen.MissingForJoins, err = observeJoinNeeds(ctx, workload, *s); err != nil {
			return Addons{}, err
		}
	}
	if !allOfVersion(*s) {
		return seen, nil
	}
	proxy := &appsv1.DaemonSet{}
	found, err := readSystem(ctx, workload, "DaemonSet", kubeProxyName, proxy)
	if err != nil {
		return Addons{}, err
	}
	if found {
		seen.KubeProxy = podTemplate(proxy.UID, proxy.Spec.Template.Spec)
	}
	dns := &appsv1.Deployment{}
	if found, err = readSystem(ctx, workload, "Deployment", coreDNSName, dns); err != nil {
		return Addons{}, err
	}
	if found {
		seen.CoreDNS = podTemplate(dns.UID, dns.Spec.Template.Spec)
	}
	if seen.CoreDNSConfig, err = observeConfig(ctx, workload, coreDNSName); err != nil {
		return Addons{}, err
	}
	return seen, nil
}

// readSystem reads an object of kube-system, or one without a namespace, and tells whether it
// exists.
func readSystem(ctx context.Context, workload client.Reader, what, name string, object client.Object) (bool, error) {
	key := client.ObjectKey{Namespace: metav1.NamespaceSystem, Name: name}
	if _, global := object.(*rbacv1.ClusterRoleBinding); global {
		key.Namespace = ""
	}
	err := workload.Get(ctx, key, object)
	if err != nil && !apierrors.IsNotFound(err) {
		return false, fmt.Errorf("read %s %s: %w", what, key, err)
	}
	return err == nil, nil
}

func observeConfig(ctx context.Context, workload client.Reader, name string) (*ConfigData, error) {
	config := &corev1.ConfigMap{}
	if found, err := readSystem(ctx, workload, "ConfigMap", name, config); err != nil || !found {
		return nil, err
	}
	return &ConfigData{UID: config.UID, Data: config.Data}, nil
}

func podTemplate(uid types.UID, spec corev1.PodSpec) *PodTemplate {
	template := &PodTemplate{UID: uid}
	for _, container := range spec.Containers {
		template.Containers = append(template.Containers, ContainerImage{Name: container.Name, Image: container.Image})
	}
	for _, volume := range spec.Volumes {
		kept := ConfigVolume{Name: volume.Name}
		if volume.ConfigMap != nil {
			kept.ConfigMap, kept.Items = volume.ConfigMap.Name, volume.ConfigMap.Items
		}
		template.Volumes = append(template.Volumes, kept)
	}
	return template
}

func observeJoinNeeds(ctx context.Context, workload client.Reader, s Snapshot) ([]string, error) {
	blank := map[string]func() client.Object{
		"ConfigMap":          func() client.Object { return &corev1.ConfigMap{} },
		"Role":               func() client.Object { return &rbacv1.Role{} },
		"RoleBinding":        func() client.Object { return &rbacv1.RoleBinding{} },
		"ClusterRoleBinding": func() client.Object { return &rbacv1.ClusterRoleBinding{} },
	}
	var missing []string
	for _, need := range joinNeeds(s) {
		found, err := readSystem(ctx, workload, need.kind.Kind, need.name, blank[need.kind.Kind]())
		if err != nil {
			return nil, err
		}
		if !found {
			missing = append(missing, need.String())
		}
	}
	return missing, nil
}

// observeCertificateExpiry asks the API servers of machines for which it is not noted yet
// when their certificates end. One that does not answer is a fact, and asked again.
func observeCertificateExpiry(ctx context.Context, reader engine.Reader, s Snapshot) map[string]plan.Known[time.Time] {
	unmarked := unmarkedMachines(s)
	if len(unmarked) == 0 || reader.Workloads() == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, expiryTimeout)
	defer cancel()
	answers := make([]plan.Known[time.Time], len(unmarked))
	var all sync.WaitGroup
	for i, machine := range unmarked {
		all.Add(1)
		go func(machine *clusterv1.Machine) {
			defer all.Done()
			expiry, err := reader.Workloads().CertificateExpiry(ctx, client.ObjectKeyFromObject(s.Cluster), machine.Status.NodeRef.Name)
			if err == nil && expiry.IsZero() {
				err = errors.New("it is not known when the certificate of the API server ends")
			}
			if err != nil {
				answers[i] = plan.Unknown[time.Time](err, reader.Now())
				return
			}
			answers[i] = plan.KnownValue(expiry, reader.Now())
		}(machine)
	}
	all.Wait()
	expiries := map[string]plan.Known[time.Time]{}
	for i, machine := range unmarked {
		expiries[machine.Name] = answers[i]
	}
	return expiries
}
