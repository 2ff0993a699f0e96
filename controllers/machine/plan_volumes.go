// SPDX-License-Identifier: Apache-2.0

package machine

import (
	"fmt"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	"github.com/slipway-project/slipway/machines"
	"github.com/slipway-project/slipway/plan"
)

// volumesNamed is how many volumes a message names.
const volumesNamed = 3

// detaches reports whether the volumes of the Machine's Node are to be waited for at all.
func detaches(s Snapshot) bool {
	_, excluded := s.Machine.Annotations[clusterv1.ExcludeWaitForNodeVolumeDetachAnnotation]
	return machines.Deleting(s.Machine) && nodeDeletable(s) && !pastDrain(s) && !excluded && !over(s, detachDeadline(s))
}

// detachDeadline is when the wait for volumes is given up; zero for never.
func detachDeadline(s Snapshot) time.Time {
	if s.Machine.Status.Deletion == nil {
		return time.Time{}
	}
	return deadline(s.Machine.Status.Deletion.WaitForNodeVolumeDetachStartTime, s.Machine.Spec.Deletion.NodeVolumeDetachTimeoutSeconds)
}

// volumeDetach waits until no volume is attached to the Node, but for those of Pods that
// stay on it; nil when that is so, is not to be waited for, or is given up. Nobody would
// detach what an unreachable kubelet may still write to.
func volumeDetach(s Snapshot) *plan.Decision {
	if !detaches(s) || (s.Node.OK() && (s.Node.Value == nil || unreachable(s.Node.Value))) {
		return nil
	}
	problem := ""
	switch {
	case !s.Node.OK():
		problem = "the Node of the Machine cannot be read: " + s.Node.Err
	case !s.Drain.OK():
		problem = s.Drain.Err
	case !s.Volumes.OK():
		problem = s.Volumes.Err
	case s.Volumes.Value == nil:
		problem = fmt.Sprintf("the volumes of Node %s have not been read yet", s.Node.Value.Name)
	}
	if problem != "" {
		step := unreadable(s, clusterv1.WaitingForVolumeDetachReason, problem, detachDeadline(s), clusterv1.ExcludeWaitForNodeVolumeDetachAnnotation)
		return &step
	}
	attached := attachedVolumes(s)
	if len(attached) == 0 {
		return nil
	}
	began := metav1.Time{}
	if s.Machine.Status.Deletion != nil {
		began = s.Machine.Status.Deletion.WaitForNodeVolumeDetachStartTime
	}
	named := attached[:min(len(attached), volumesNamed)]
	more := ""
	if rest := len(attached) - len(named); rest > 0 {
		more = fmt.Sprintf(" and %d more", rest)
	}
	step := plan.Wait(clusterv1.WaitingForVolumeDetachReason, fmt.Sprintf("volumes are attached to Node %s and have to be detached by their driver: %s%s; %s",
		s.Node.Value.Name, strings.Join(named, ", "), more, givenUp(s, detachDeadline(s), clusterv1.ExcludeWaitForNodeVolumeDetachAnnotation))).
		At(again(s, began, detachDeadline(s)))
	return &step
}

// attachedVolumes are the volumes on the Node that have to go. Those that a VolumeAttachment
// tells of are named by their PersistentVolume; others by what the Node calls them.
func attachedVolumes(s Snapshot) []string {
	var attached []string
	for _, volume := range s.Volumes.Value.Attached {
		if !slices.ContainsFunc(s.Volumes.Value.Kept, func(k KeptVolume) bool { return k.Name == volume }) {
			attached = append(attached, "PersistentVolume "+volume)
		}
	}
	if len(attached) > 0 {
		slices.Sort(attached)
		return slices.Compact(attached)
	}
	for _, volume := range s.Node.Value.Status.VolumesAttached {
		name := string(volume.Name)
		if !slices.ContainsFunc(s.Volumes.Value.Kept, func(k KeptVolume) bool { return k.OnNode != "" && k.OnNode == name }) {
			attached = append(attached, name)
		}
	}
	slices.Sort(attached)
	return attached
}
