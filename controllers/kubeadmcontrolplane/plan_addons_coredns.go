// SPDX-License-Identifier: Apache-2.0

package kubeadmcontrolplane

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/util/version"

	controlplanev1 "github.com/slipway-project/slipway/api/controlplane/v1beta2"
	"github.com/slipway-project/slipway/bootstrap"
	"github.com/slipway-project/slipway/plan"
)

const (
	// coreDNSName is the name of the Deployment, of its container, of its ConfigMap and of
	// the image.
	coreDNSName = "coredns"
	corefileKey = "Corefile"
	// corefileBackupKey holds the Corefile of the version that still runs while the other
	// key gets that of the next; kubeadm uses the same.
	corefileBackupKey = "Corefile-backup"
)

// coreDNSVersions are, by minor of Kubernetes 1, the tags that kubeadm deploys. Node images
// have just these in their image store. TestCoreDNSVersions holds them against the modules
// that node images are built from.
var coreDNSVersions = map[uint]string{36: "v1.14.2", 37: "v1.14.6"}

// coreDNSStep is one upgrade of CoreDNS: the image that runs and the one that is to run.
type coreDNSStep struct {
	container     int
	before, after string
	// from and to are versions such as 1.14.6; equal when the Corefile need not change.
	from, to string
}

// coreDNS brings CoreDNS along, one step at a time, each of which may be the last for a
// while: the image that kubeadm-config names, the Corefile of the version that runs put
// aside, the Deployment pointed to that, the Corefile for the next version, and the image
// with the Deployment pointed back.
func coreDNS(s Snapshot) ([]plan.Action, *plan.Decision) {
	_, skipped := s.ControlPlane.Annotations[controlplanev1.SkipCoreDNSAnnotation]
	if skipped || s.Addons.CoreDNS == nil || s.Addons.CoreDNSConfig == nil {
		return nil, nil
	}
	step, problem := nextCoreDNS(s)
	if problem != nil {
		return nil, problem
	}
	uploaded, problem := uploadedConfiguration(s)
	if problem != nil {
		return nil, problem
	}
	if text := uploaded.FollowingDNS(s.ControlPlane.Spec.KubeadmConfigSpec.ClusterConfiguration.DNS); text != s.Addons.KubeadmConfig.Data[kubeadmConfigKey] {
		return []plan.Action{writeConfig(s, kubeadmConfigName, s.Addons.KubeadmConfig, "spec.kubeadmConfigSpec.clusterConfiguration.dns asks for it",
			configChange{key: kubeadmConfigKey, text: text})}, nil
	}
	if step == nil {
		return nil, nil
	}
	return corefileStep(s, *step)
}

// nextCoreDNS is what is to run, by the rules of kubeadm: the tag that the spec names, or
// else that of the Kubernetes version unless a later one runs already. nil when nobody can
// tell and nobody has asked for anything.
func nextCoreDNS(s Snapshot) (*coreDNSStep, *plan.Decision) {
	dns := s.ControlPlane.Spec.KubeadmConfigSpec.ClusterConfiguration.DNS
	own := "look after CoreDNS yourself and set annotation " + controlplanev1.SkipCoreDNSAnnotation + " on KubeadmControlPlane " + s.ControlPlane.Name
	at, found := s.Addons.CoreDNS.container(coreDNSName)
	if !found {
		return nil, blockedOnAddons("CoreDNSVersionUnknown", fmt.Sprintf("Deployment kube-system/%s of Cluster %s has no container %s, so it is not the one that kubeadm made: %s",
			coreDNSName, s.Cluster.Name, coreDNSName, own), s)
	}
	image := s.Addons.CoreDNS.Containers[at].Image
	runs := tagOf(image)
	from, asked := numbers(runs), dns.ImageTag
	if asked == "" {
		if asked = coreDNSVersions[minorOf(s)]; asked == "" || (from != nil && numbers(asked).LessThan(from)) {
			asked = runs
		}
	}
	if asked == "" {
		return nil, nil
	}
	step := &coreDNSStep{container: at, before: image, after: fmt.Sprintf("%s/%s:%s", coreDNSRepository(s), coreDNSName, asked)}
	to := numbers(asked)
	switch {
	case asked == runs:
		if withoutDigest(image) == step.after {
			step.after = image
		}
		return step, nil
	case to == nil:
		return nil, blockedOnAddons("CoreDNSVersionUnknown", fmt.Sprintf("spec.kubeadmConfigSpec.clusterConfiguration.dns.imageTag is %s, which does not begin with a version such as v1.14.6: correct it, or %s",
			asked, own), s)
	case from == nil:
		return nil, blockedOnAddons("CoreDNSVersionUnknown", fmt.Sprintf("CoreDNS of Cluster %s runs image %s, which does not tell its version, so its Corefile cannot be brought to %s: set an image with a version such as v1.14.6 in Deployment kube-system/%s, or %s",
			s.Cluster.Name, image, asked, coreDNSName, own), s)
	case to.LessThan(from):
		return nil, blockedOnAddons("CoreDNSDowngrade", fmt.Sprintf("CoreDNS of Cluster %s runs %s, and spec.kubeadmConfigSpec.clusterConfiguration.dns.imageTag is %s; a Corefile cannot be taken back: set %s or later, or %s",
			s.Cluster.Name, runs, asked, runs, own), s)
	}
	step.from, step.to = from.String(), to.String()
	return step, nil
}

// coreDNSRepository is where kubeadm takes the image from. In the default registry it lies
// one level deeper.
func coreDNSRepository(s Snapshot) string {
	repository := s.ControlPlane.Spec.KubeadmConfigSpec.ClusterConfiguration.DNS.ImageRepository
	if repository == "" {
		repository = imageRepository(s)
	}
	if repository == bootstrap.DefaultImageRepository {
		repository += "/" + coreDNSName
	}
	return repository
}

// minorOf is the minor of spec.version; 0 for other majors than 1.
func minorOf(s Snapshot) uint {
	parsed, err := version.ParseSemantic(s.ControlPlane.Spec.Version)
	if err != nil || parsed.Major() != 1 {
		return 0
	}
	return parsed.Minor()
}

func withoutDigest(image string) string {
	image, _, _ = strings.Cut(image, "@")
	return image
}

// tagOf is the tag of an image; empty when it has none.
func tagOf(image string) string {
	image = withoutDigest(image)
	_, tag, _ := strings.Cut(image[strings.LastIndex(image, "/")+1:], ":")
	return tag
}

var leadingVersion = regexp.MustCompile(`^v?([0-9]+\.[0-9]+\.[0-9]+)`)

// numbers are the three numbers that a tag begins with; nil when it does not. What comes
// after them is the builder's.
func numbers(tag string) *version.Version {
	match := leadingVersion.FindStringSubmatch(tag)
	if match == nil {
		return nil
	}
	parsed, err := version.ParseGeneric(match[1])
	if err != nil {
		return nil
	}
	return parsed
}

// corefileItem is where the Deployment says which key of the ConfigMap is the Corefile.
type corefileItem struct {
	// path of the item in the Deployment; empty where all keys are mounted as they are.
	path, volume, key string
}

func findCorefile(pods PodTemplate) corefileItem {
	for i, volume := range pods.Volumes {
		if volume.ConfigMap != coreDNSName {
			continue
		}
		for j, item := range volume.Items {
			if item.Path == corefileKey {
				path := "/spec/template/spec/volumes/" + strconv.Itoa(i)
				return corefileItem{path: path + "/configMap/items/" + strconv.Itoa(j) + "/key", volume: path, key: item.Key}
			}
		}
	}
	return corefileItem{key: corefileKey}
}

// corefileStep is the next thing to do for an image. What has been done shows in the
// ConfigMap and in the Deployment, so that a plan made after a crash goes on from there.
func corefileStep(s Snapshot, step coreDNSStep) ([]plan.Action, *plan.Decision) {
	config, item := s.Addons.CoreDNSConfig, findCorefile(*s.Addons.CoreDNS)
	now, aside := config.Data[corefileKey], config.Data[corefileBackupKey]
	if step.from == step.to {
		if item.key == corefileBackupKey && now != aside {
			return nil, blockedOnAddons("CorefileChangeBrokenOff", fmt.Sprintf("CoreDNS of Cluster %s still reads key %s of ConfigMap kube-system/%s, since a change of its version was broken off; "+
				"put into key %s what version %s is to read, and the same into %s",
				s.Cluster.Name, corefileBackupKey, coreDNSName, corefileKey, tagOf(step.before), corefileBackupKey), s)
		}
		return setCoreDNS(s, step, item), nil
	}
	if item.key != corefileKey && item.key != corefileBackupKey {
		return nil, blockedOnAddons("CorefileUnknown", fmt.Sprintf("CoreDNS of Cluster %s reads key %s of ConfigMap kube-system/%s, which kubeadm does not know: let Deployment %s read key %s",
			s.Cluster.Name, item.key, coreDNSName, coreDNSName, corefileKey), s)
	}
	next, err := migratedCorefile(step.from, step.to, now)
	if err != nil {
		return nil, blockedOnAddons("CorefileNotMigrated", fmt.Sprintf("the Corefile in ConfigMap kube-system/%s of Cluster %s cannot be brought from CoreDNS %s to %s: %v; "+
			"change it by hand, or set spec.kubeadmConfigSpec.clusterConfiguration.dns.imageTag to another version, or look after CoreDNS yourself and set annotation %s on KubeadmControlPlane %s",
			coreDNSName, s.Cluster.Name, step.from, step.to, err, controlplanev1.SkipCoreDNSAnnotation, s.ControlPlane.Name), s)
	}
	reason := fmt.Sprintf("CoreDNS goes from %s to %s, which reads another Corefile", step.from, step.to)
	switch {
	case next == now:
		return setCoreDNS(s, step, item), nil
	case item.key == corefileKey && now != aside:
		return []plan.Action{writeConfig(s, coreDNSName, config, reason, configChange{corefileKey, now}, configChange{corefileBackupKey, now})}, nil
	case item.key == corefileKey && item.path != "":
		return []plan.Action{patchCoreDNS(s, item.read(corefileBackupKey), "the version that runs keeps its Corefile while the next one's is written")}, nil
	default:
		return []plan.Action{writeConfig(s, coreDNSName, config, reason, configChange{corefileKey, next})}, nil
	}
}

// setCoreDNS sets the image and lets the Deployment read the Corefile again.
func setCoreDNS(s Snapshot, step coreDNSStep, item corefileItem) []plan.Action {
	var operations []plan.PatchOperation
	if step.before != step.after {
		operations = s.Addons.CoreDNS.setImage(step.container, step.after)
	}
	if item.key == corefileBackupKey {
		operations = append(operations, item.read(corefileKey)...)
	}
	if len(operations) == 0 {
		return nil
	}
	return []plan.Action{patchCoreDNS(s, operations, "every machine of the control plane is of "+s.ControlPlane.Spec.Version)}
}

// read lets the Deployment read another key, if all is still in its place.
func (i corefileItem) read(key string) []plan.PatchOperation {
	return append([]plan.PatchOperation{{Op: "test", Path: i.volume + "/configMap/name", Value: coreDNSName}}, replacing(i.path, i.key, key)...)
}

func patchCoreDNS(s Snapshot, operations []plan.PatchOperation, reason string) plan.Patch {
	return plan.Patch{On: inWorkload(s, deploymentKind, coreDNSName, s.Addons.CoreDNS.UID),
		Operations: append(uidTest(s.Addons.CoreDNS.UID), operations...), Reason: reason}
}
