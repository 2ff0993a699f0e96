// SPDX-License-Identifier: Apache-2.0

package kubeadmcontrolplane

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/version"

	controlplanev1 "github.com/slipway-project/slipway/api/controlplane/v1beta2"
	"github.com/slipway-project/slipway/bootstrap"
	"github.com/slipway-project/slipway/plan"
)

const (
	kubeadmConfigName = "kubeadm-config"
	// kubeadmConfigKey is the key under which kubeadm keeps its ClusterConfiguration.
	kubeadmConfigKey = "ClusterConfiguration"
	kubeProxyName    = "kube-proxy"
)

var (
	configMapKind  = corev1.SchemeGroupVersion.WithKind("ConfigMap")
	daemonSetKind  = appsv1.SchemeGroupVersion.WithKind("DaemonSet")
	deploymentKind = appsv1.SchemeGroupVersion.WithKind("Deployment")
)

// clusterConfiguration brings what joins read from the workload cluster in line with the
// spec, before the first machine joins with it; nil when nothing is to be done. It is nil
// too while nobody has looked: then the workload cluster cannot be seen, and nothing joins.
func clusterConfiguration(s Snapshot) *plan.Decision {
	if refused := versionRefused(s); refused != nil {
		return refused
	}
	if !s.Addons.Looked {
		return nil
	}
	uploaded, refused := uploadedConfiguration(s)
	if refused != nil {
		return refused
	}
	spec := s.ControlPlane.Spec
	text, err := uploaded.Following(spec.Version, spec.KubeadmConfigSpec.ClusterConfiguration)
	if err != nil {
		return blockedOnAddons("InvalidSpec", err.Error(), s)
	}
	if text == s.Addons.KubeadmConfig.Data[kubeadmConfigKey] {
		return nil
	}
	if ahead := machineAhead(s); ahead != "" {
		decision := plan.Wait("WaitingForMachineDeletion", fmt.Sprintf("Machine %s is of a later version than spec.version %s and did not join; "+
			"it goes before others join with the earlier version", ahead, spec.Version))
		return &decision
	}
	created, refused := missingForJoins(s)
	if refused != nil {
		return refused
	}
	reason := "machines of " + spec.Version + " join by it"
	decision := plan.Act("UpdatingClusterConfiguration", "", append(created, writeConfig(s, kubeadmConfigName, s.Addons.KubeadmConfig, reason,
		configChange{key: kubeadmConfigKey, text: text}))...)
	return &decision
}

// addons bring CoreDNS and kube-proxy along once every machine is of spec.version; nil
// when nothing is to be done.
func addons(s Snapshot) *plan.Decision {
	if !s.Addons.Looked || !allOfVersion(s) {
		return nil
	}
	actions := kubeProxy(s)
	dns, refused := coreDNS(s)
	if actions = append(actions, dns...); len(actions) > 0 {
		decision := plan.Act("UpdatingAddons", "", actions...)
		return &decision
	}
	return refused
}

// allOfVersion reports that there are machines and that all of them, those on their way
// out too, are of spec.version. Before, a new kube-proxy might be newer than the API server
// that it talks to.
func allOfVersion(s Snapshot) bool {
	for _, machine := range s.Machines {
		if machine.Spec.Version != s.ControlPlane.Spec.Version || !machine.Status.NodeRef.IsDefined() {
			return false
		}
	}
	return len(s.Machines) > 0
}

// uploadedConfiguration is what kubeadm left in the workload cluster, or why it cannot be
// used.
func uploadedConfiguration(s Snapshot) (bootstrap.Uploaded, *plan.Decision) {
	where := fmt.Sprintf("ConfigMap kube-system/%s of Cluster %s", kubeadmConfigName, s.Cluster.Name)
	const again = "write it again, on a control-plane machine, with kubeadm init phase upload-config kubeadm --config FILE"
	if s.Addons.KubeadmConfig == nil {
		return bootstrap.Uploaded{}, blockedOnAddons("KubeadmConfigMissing", where+" is missing, and machines join by it: "+again, s)
	}
	text, found := s.Addons.KubeadmConfig.Data[kubeadmConfigKey]
	if !found {
		return bootstrap.Uploaded{}, blockedOnAddons("KubeadmConfigInvalid", where+" has no key "+kubeadmConfigKey+", and machines join by it: "+again, s)
	}
	uploaded, err := bootstrap.ParseUploaded(text)
	if err != nil {
		return bootstrap.Uploaded{}, blockedOnAddons("KubeadmConfigInvalid", fmt.Sprintf("%s, key %s: %v; machines join by it: correct it, or %s", where, kubeadmConfigKey, err, again), s)
	}
	return uploaded, nil
}

// blockedOnAddons blocks on something in the workload cluster, where no event tells when
// it is put right.
func blockedOnAddons(reason, message string, s Snapshot) *plan.Decision {
	decision := plan.Block(reason, message).At(s.Now.Add(recheckHealthy))
	return &decision
}

// versionRefused says which way spec.version may not go: back, once a machine has joined
// with a later one, and more than one minor at a time. nil when it may go there.
//
// Source: Kubernetes' version skew policy: API servers of one cluster are at most one minor
// apart, and kubeadm upgrades neither past a minor nor down.
func versionRefused(s Snapshot) *plan.Decision {
	wanted, err := version.ParseSemantic(s.ControlPlane.Spec.Version)
	if err != nil {
		return nil // refused before
	}
	for _, machine := range sorted(s.Machines) {
		has, err := version.ParseSemantic(machine.Spec.Version)
		if err != nil || !machine.Status.NodeRef.IsDefined() {
			continue
		}
		switch {
		case wanted.LessThan(has):
			decision := plan.Block("VersionDowngrade", fmt.Sprintf("spec.version is %s and Machine %s runs %s; a control plane cannot go back: set spec.version to %s or later",
				s.ControlPlane.Spec.Version, machine.Name, machine.Spec.Version, machine.Spec.Version))
			return &decision
		case wanted.Major() != has.Major() || wanted.Minor() > has.Minor()+1:
			decision := plan.Block("VersionSkipped", fmt.Sprintf("spec.version is %s and Machine %s runs %s; a control plane goes up one minor version at a time: set spec.version to one of v%d.%d first",
				s.ControlPlane.Spec.Version, machine.Name, machine.Spec.Version, has.Major(), has.Minor()+1))
			return &decision
		}
	}
	return nil
}

// machineAhead names a machine of a later version than spec.version; empty when there is
// none. After versionRefused it is one that has not joined.
func machineAhead(s Snapshot) string {
	wanted, err := version.ParseSemantic(s.ControlPlane.Spec.Version)
	if err != nil {
		return ""
	}
	for _, machine := range sorted(s.Machines) {
		if has, err := version.ParseSemantic(machine.Spec.Version); err == nil && wanted.LessThan(has) {
			return machine.Name
		}
	}
	return ""
}

// kubeProxy sets the image that kubeadm of spec.version would deploy.
func kubeProxy(s Snapshot) []plan.Action {
	if _, skipped := s.ControlPlane.Annotations[controlplanev1.SkipKubeProxyAnnotation]; skipped || s.Addons.KubeProxy == nil {
		return nil
	}
	image := fmt.Sprintf("%s/%s:%s", imageRepository(s), kubeProxyName, imageTag(s.ControlPlane.Spec.Version))
	at, found := s.Addons.KubeProxy.container(kubeProxyName)
	if !found || s.Addons.KubeProxy.Containers[at].Image == image {
		return nil
	}
	return []plan.Action{plan.Patch{
		On:         inWorkload(s, daemonSetKind, kubeProxyName, s.Addons.KubeProxy.UID),
		Operations: append(uidTest(s.Addons.KubeProxy.UID), s.Addons.KubeProxy.setImage(at, image)...),
		Reason:     "every machine of the control plane is of " + s.ControlPlane.Spec.Version,
	}}
}

// imageRepository is where the images of Kubernetes come from.
func imageRepository(s Snapshot) string {
	if set := s.ControlPlane.Spec.KubeadmConfigSpec.ClusterConfiguration.ImageRepository; set != "" {
		return set
	}
	return bootstrap.DefaultImageRepository
}

var notInTags = regexp.MustCompile(`[^-a-zA-Z0-9_.]`)

// imageTag is the tag of the images of a Kubernetes version; as kubeadm makes it.
func imageTag(kubernetesVersion string) string {
	return notInTags.ReplaceAllString(kubernetesVersion, "_")
}

// inWorkload names an object of the workload cluster's kube-system.
func inWorkload(s Snapshot, kind schema.GroupVersionKind, name string, uid types.UID) plan.Ref {
	return plan.Ref{GroupVersionKind: kind, Namespace: metav1.NamespaceSystem, Name: name, UID: uid, Cluster: workloadOf(s)}
}

// workloadOf is how actions name the workload cluster.
func workloadOf(s Snapshot) types.NamespacedName {
	return types.NamespacedName{Namespace: s.Cluster.Namespace, Name: s.Cluster.Name}
}

func uidTest(uid types.UID) []plan.PatchOperation {
	return []plan.PatchOperation{{Op: "test", Path: "/metadata/uid", Value: string(uid)}}
}

func replacing(path string, before, after any) []plan.PatchOperation {
	return []plan.PatchOperation{{Op: "test", Path: path, Value: before}, {Op: "replace", Path: path, Value: after}}
}

// container is the place of a container.
func (p PodTemplate) container(name string) (int, bool) {
	at := slices.IndexFunc(p.Containers, func(container ContainerImage) bool { return container.Name == name })
	return at, at >= 0
}

// setImage changes the image of a container, if it is still in its place and has the image
// that was seen.
func (p PodTemplate) setImage(at int, image string) []plan.PatchOperation {
	path := "/spec/template/spec/containers/" + strconv.Itoa(at)
	return append([]plan.PatchOperation{{Op: "test", Path: path + "/name", Value: p.Containers[at].Name}},
		replacing(path+"/image", p.Containers[at].Image, image)...)
}

// configChange is a key of a ConfigMap and the text that it gets.
type configChange struct{ key, text string }

// writeConfig changes keys of a ConfigMap of the workload cluster, if nobody has changed
// them since they were read. A key that is given the text it has is one of those.
func writeConfig(s Snapshot, name string, config *ConfigData, reason string, changes ...configChange) plan.Patch {
	operations := uidTest(config.UID)
	for _, change := range changes {
		path := "/data/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(change.key)
		switch before, found := config.Data[change.key]; {
		case !found:
			operations = append(operations, plan.PatchOperation{Op: "add", Path: path, Value: change.text})
		case before == change.text:
			operations = append(operations, plan.PatchOperation{Op: "test", Path: path, Value: before})
		default:
			operations = append(operations, replacing(path, before, change.text)...)
		}
	}
	return plan.Patch{On: inWorkload(s, configMapKind, name, config.UID), Operations: operations, Reason: reason}
}
