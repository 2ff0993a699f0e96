// SPDX-License-Identifier: Apache-2.0

package dockermachine

import (
	"fmt"
	"slices"
	"strings"

	"github.com/slipway-project/slipway/plan"
	"github.com/slipway-project/slipway/providers/docker/operations"
)

// addonImagesAnnotation on a DockerMachine is the Kubernetes version whose images of
// add-ons its node has been given, beside those of its own version.
const addonImagesAnnotation = "slipway.dev/addon-images"

// addonImages reports an image of what a control plane runs on all nodes, whatever their
// version: during an upgrade the new machines run kube-proxy of the old version, and after
// it the old workers that of the new. A host that can pull images needs no such help; here
// they come with the nodes' own image, which holds those of its own version only.
func addonImages(name string) bool {
	repository, _, _ := strings.Cut(name, "@")
	if at := strings.LastIndex(repository, ":"); at > strings.LastIndex(repository, "/") {
		repository = repository[:at]
	}
	return strings.HasSuffix(repository, "/kube-proxy") || strings.HasSuffix(repository, "/coredns")
}

// copyAttempts is how often images are copied into a node while it joins. Then its join has
// the word again: it may well be able to pull them.
const copyAttempts = 2

// passOn gives a node the images from which control planes of its cluster at another
// version have the add-ons run; ok is false when there is nothing to do.
func passOn(s Snapshot) (decided plan.Decision, ok bool) {
	if s.Peer == nil {
		return plan.Decision{}, false
	}
	joined := bootstrapped(s.DockerMachine)
	if !joined && (!s.Peer.Images.OK() || (s.LastFailure != nil && s.LastFailure.Count >= copyAttempts)) {
		return plan.Decision{}, false
	}
	if !s.Peer.Images.OK() {
		return plan.Settle(provisioned).At(s.Now.Add(engineRecheck)), true
	}
	if missing := s.Peer.Images.Value; len(missing) > 0 {
		return plan.Act("LoadingImages", "", operate(operations.CopyImages{On: plan.RefTo(kind, s.DockerMachine), From: s.Peer.Machine, To: key(s), Images: slices.Sorted(slices.Values(missing))},
			fmt.Sprintf("Cluster %s has a control plane at %s, and its add-ons run on all nodes", s.Cluster.Name, s.Peer.Version))), true
	}
	intent := plan.Partial(kind, s.DockerMachine)
	intent.SetAnnotations(map[string]string{addonImagesAnnotation: s.Peer.Version})
	return plan.Act("Marking", "", plan.Apply{Object: intent, Aspect: "addons", Reason: "the node has the images of the add-ons"}), true
}
