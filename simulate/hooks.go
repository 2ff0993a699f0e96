// SPDX-License-Identifier: Apache-2.0

package simulate

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/types"

	controlplanev1 "github.com/slipway-project/slipway/api/controlplane/v1beta2"
	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	"github.com/slipway-project/slipway/conditions"
)

// playHooks releases the hooks that hold up a Machine's deletion in place of those who set
// them: providers, and whoever else is not among the controllers. That they will is taken
// for granted, and noted.
func (w *World) playHooks(machine *clusterv1.Machine) error {
	deleting := conditions.Find(machine.Status.Conditions, clusterv1.DeletingCondition)
	if machine.DeletionTimestamp == nil || deleting == nil {
		return nil
	}
	var prefix string
	switch deleting.Reason {
	case clusterv1.WaitingForPreDrainHookReason:
		prefix = clusterv1.PreDrainDeleteHookAnnotationPrefix
	case clusterv1.WaitingForPreTerminateHookReason:
		prefix = clusterv1.PreTerminateDeleteHookAnnotationPrefix
	default:
		return nil
	}
	var hooks []string
	for name := range machine.Annotations {
		if (name == prefix || strings.HasPrefix(name, prefix+"/")) && name != controlplanev1.PreTerminateHookCleanupAnnotation {
			hooks = append(hooks, name)
		}
	}
	object := w.Store.held(clusterv1.GroupVersion.WithKind(clusterv1.MachineKind).GroupKind(), types.NamespacedName{Namespace: machine.Namespace, Name: machine.Name})
	if len(hooks) == 0 || object == nil {
		return nil
	}
	for _, hook := range hooks {
		note := fmt.Sprintf("it is taken for granted that hook %s is released by who set it", hook)
		if !slices.Contains(w.Notes, note) {
			w.Notes = append(w.Notes, note)
		}
	}
	slices.Sort(w.Notes)
	_, err := w.Store.edit(object, player, "", func(content map[string]any) {
		metadata, _ := content["metadata"].(map[string]any)
		annotations, _ := metadata["annotations"].(map[string]any)
		for _, hook := range hooks {
			delete(annotations, hook)
		}
	})
	return err
}
