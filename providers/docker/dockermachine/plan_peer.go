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

// addonImages reports an image of what an upgraded control plane brings to all nodes,
// those of an older version too. A host that can pull images needs no such help; here the
// images come with the nodes' own image, and the older ones do not hold the newer.
func addonImages(name string) bool {
	repository, _, _ := strings.Cut(name, "@")
	if at := strings.LastIndex(repository, ":"); at > strings.LastIndex(repository, "/") {
		repository = repository[:at]
	}
	return strings.HasSuffix(repository, "/kube-proxy") || strings.HasSuffix(repository, "/coredns")
}

// passOn gives a node the images that newer control planes of its cluster have the add-ons
// run from; ok is false when there is nothing to do.
func passOn(s Snapshot) (decided plan.Decision, ok bool) {
	if s.Peer == nil {
		return plan.Decision{}, false
	}
	if !s.Peer.Images.OK() {
		return plan.Settle(provisioned).At(s.Now.Add(engineRecheck)), true
	}
	if missing := s.Peer.Images.Value; len(missing) > 0 {
		return plan.Act("LoadingImages", "", operate(operations.CopyImages{On: plan.RefTo(kind, s.DockerMachine), From: s.Peer.Machine, To: key(s), Images: slices.Sorted(slices.Values(missing))},
			fmt.Sprintf("the control plane of Cluster %s is at %s, and its add-ons run on all nodes", s.Cluster.Name, s.Peer.Version))), true
	}
	intent := plan.Partial(kind, s.DockerMachine)
	intent.SetAnnotations(map[string]string{addonImagesAnnotation: s.Peer.Version})
	return plan.Act("Marking", "", plan.Apply{Object: intent, Aspect: "addons", Reason: "the node has the images of the add-ons"}), true
}
