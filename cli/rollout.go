// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
)

// rolled are the kinds whose machines roll out, with the words for them.
var rolled = map[schema.GroupVersionKind][]string{
	machineDeploymentKind:   {"machinedeployment", "machinedeployments", "md"},
	kubeadmControlPlaneKind: {"kubeadmcontrolplane", "kubeadmcontrolplanes", "kcp"},
}

func (t *tool) rolloutCommand() *cobra.Command {
	return group("rollout", "Replace machines, and pause that",
		`  slipway rollout restart machinedeployment/demo-workers
  slipway rollout pause kcp/demo-control-plane`,
		t.rolloutVerbCommand("restart", "Replace all machines by new ones",
			`Replace every machine that exists now by a new one, at the pace of the rollout strategy, though
nothing changed: spec.rollout.after is set to this moment.`, restartChange),
		t.rolloutVerbCommand("pause", "Keep a change from rolling out",
			`Pause: a MachineDeployment (spec.paused) goes on keeping its number of machines and replaces none;
a KubeadmControlPlane (annotation cluster.x-k8s.io/paused) is left alone altogether.`, pauseChange),
		t.rolloutVerbCommand("resume", "Go on after a pause", "Take back what slipway rollout pause did.", resumeChange),
	)
}

// rolloutChange is what a verb makes of an object: the merge patch, nil where there is
// nothing to do, and what is said of it.
type rolloutChange func(object *unstructured.Unstructured, cluster *clusterv1.Cluster, now time.Time) (patch map[string]any, said string, err error)

func (t *tool) rolloutVerbCommand(verb, short, long string, change rolloutChange) *cobra.Command {
	var flags target
	command := &cobra.Command{
		Use: verb + " KIND/NAME", Short: short, Long: long,
		Example: fmt.Sprintf("  slipway rollout %s machinedeployment/demo-workers\n  slipway rollout %s kcp/demo-control-plane", verb, verb),
		Args: func(command *cobra.Command, arguments []string) error {
			kind, _, err := objectArgument(command, arguments)
			if err == nil {
				_, err = rolledKind(kind)
			}
			return err
		},
		RunE: func(command *cobra.Command, arguments []string) error {
			word, name, err := objectArgument(command, arguments)
			if err != nil {
				return err
			}
			kind, err := rolledKind(word)
			if err != nil {
				return err
			}
			return t.rollout(command.Context(), flags, kind, name, change)
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	flags.place(command)
	return command
}

// rolledKind is the kind that a word means.
func rolledKind(word string) (schema.GroupVersionKind, error) {
	for kind, words := range rolled {
		if slices.Contains(words, strings.ToLower(word)) {
			return kind, nil
		}
	}
	return schema.GroupVersionKind{}, usage("%q does not roll out: name a machinedeployment (md) or a kubeadmcontrolplane (kcp)", word)
}

func (t *tool) rollout(ctx context.Context, flags target, kind schema.GroupVersionKind, name string, change rolloutChange) error {
	m, err := t.connect(ctx, flags)
	if err != nil {
		return err
	}
	if err := m.checkInstalled(); err != nil {
		return err
	}
	said, err := m.changeRollout(ctx, kind, client.ObjectKey{Namespace: flags.namespace, Name: name}, change, t.now())
	if err != nil {
		return err
	}
	fmt.Fprintln(t.err, said)
	return nil
}

// writeAttempts is how often a change is tried while controllers write the same object.
const writeAttempts = 10

// changeRollout changes an object as it is now: the patch holds the resourceVersion that
// the change was decided by.
func (m *management) changeRollout(ctx context.Context, kind schema.GroupVersionKind, key client.ObjectKey, change rolloutChange, now time.Time) (string, error) {
	for attempt := 1; ; attempt++ {
		object, err := m.getObject(ctx, kind, key)
		if err != nil {
			return "", err
		}
		cluster := &clusterv1.Cluster{}
		if err := m.client.Get(ctx, client.ObjectKey{Namespace: key.Namespace, Name: clusterNameOf(object)}, cluster); client.IgnoreNotFound(err) != nil {
			return "", fmt.Errorf("read Cluster of %s %s: %w", kind.Kind, key, err)
		}
		patch, said, err := change(object, cluster, now)
		if err != nil || patch == nil {
			return said, err
		}
		err = m.patch(ctx, object, patch)
		if apierrors.IsConflict(err) && attempt < writeAttempts {
			continue
		}
		if err != nil {
			return "", fmt.Errorf("change %s %s: %w", kind.Kind, key, err)
		}
		return said, nil
	}
}

// clusterNameOf is the name of the Cluster that an object belongs to; empty where it
// says none.
func clusterNameOf(object *unstructured.Unstructured) string {
	if object.GroupVersionKind().GroupKind() == clusterKind.GroupKind() {
		return object.GetName()
	}
	if name, _, _ := unstructured.NestedString(object.Object, "spec", "clusterName"); name != "" {
		return name
	}
	if name := object.GetLabels()[clusterv1.ClusterNameLabel]; name != "" {
		return name
	}
	for _, owner := range object.GetOwnerReferences() {
		if owner.Kind == clusterKind.Kind && strings.HasPrefix(owner.APIVersion, clusterv1.GroupVersion.Group+"/") {
			return owner.Name
		}
	}
	return ""
}

// pausedBy says by what an object is paused, and the command that ends it; empty where
// nothing pauses it.
func pausedBy(object *unstructured.Unstructured, cluster *clusterv1.Cluster) (why, resume string) {
	place := inNamespace(object.GetNamespace())
	_, annotated := object.GetAnnotations()[clusterv1.PausedAnnotation]
	paused, _, _ := unstructured.NestedBool(object.Object, "spec", "paused")
	kind := strings.ToLower(object.GetKind())
	switch {
	case cluster != nil && isTrue(cluster.Spec.Paused):
		return "spec.paused of Cluster " + cluster.Name,
			fmt.Sprintf(`kubectl patch cluster %s%s --type merge -p '{"spec":{"paused":null}}'`, cluster.Name, place)
	case annotated && kind != "kubeadmcontrolplane":
		return "annotation " + clusterv1.PausedAnnotation,
			fmt.Sprintf("kubectl annotate %s.%s %s%s %s-", kind, object.GroupVersionKind().Group, object.GetName(), place, clusterv1.PausedAnnotation)
	case annotated:
		return "annotation " + clusterv1.PausedAnnotation, fmt.Sprintf("slipway rollout resume %s/%s%s", kind, object.GetName(), place)
	case paused && kind == "machinedeployment":
		return "spec.paused", fmt.Sprintf("slipway rollout resume %s/%s%s", kind, object.GetName(), place)
	}
	return "", ""
}

func restartChange(object *unstructured.Unstructured, cluster *clusterv1.Cluster, now time.Time) (map[string]any, string, error) {
	title := fmt.Sprintf("%s %s/%s", object.GetKind(), object.GetNamespace(), object.GetName())
	if object.GetDeletionTimestamp() != nil {
		return nil, "", fmt.Errorf("%s is being deleted, and its machines with it; there is nothing to restart", title)
	}
	if why, resume := pausedBy(object, cluster); why != "" {
		return nil, "", fmt.Errorf("%s is paused by %s, and nothing would come of a restart; resume it first with: %s", title, why, resume)
	}
	if text, _, _ := unstructured.NestedString(object.Object, "spec", "rollout", "after"); text != "" {
		if after, err := time.Parse(time.RFC3339, text); err == nil && after.After(now) {
			return nil, "", fmt.Errorf("%s has a restart planned for %s (spec.rollout.after); take that out first, or wait for it", title, text)
		}
	}
	after := now.UTC().Format(time.RFC3339)
	said := fmt.Sprintf("%s replaces its machines that were made before %s; see how it gets on with: slipway describe cluster %s%s --watch",
		title, after, clusterNameOf(object), inNamespace(object.GetNamespace()))
	return map[string]any{"spec": map[string]any{"rollout": map[string]any{"after": after}}}, said, nil
}

func pauseChange(object *unstructured.Unstructured, _ *clusterv1.Cluster, _ time.Time) (map[string]any, string, error) {
	title := fmt.Sprintf("%s %s/%s", object.GetKind(), object.GetNamespace(), object.GetName())
	if object.GetDeletionTimestamp() != nil {
		return nil, "", fmt.Errorf("%s is being deleted; it cannot be paused", title)
	}
	resume := fmt.Sprintf("slipway rollout resume %s/%s%s", strings.ToLower(object.GetKind()), object.GetName(), inNamespace(object.GetNamespace()))
	if object.GetKind() == machineDeploymentKind.Kind {
		if paused, _, _ := unstructured.NestedBool(object.Object, "spec", "paused"); paused {
			return nil, title + " is paused already; resume it with: " + resume, nil
		}
		return map[string]any{"spec": map[string]any{"paused": true}}, title + " is paused; resume it with: " + resume, nil
	}
	if _, paused := object.GetAnnotations()[clusterv1.PausedAnnotation]; paused {
		return nil, title + " is paused already; resume it with: " + resume, nil
	}
	return map[string]any{"metadata": map[string]any{"annotations": map[string]any{clusterv1.PausedAnnotation: "true"}}},
		title + " is paused; resume it with: " + resume, nil
}

func resumeChange(object *unstructured.Unstructured, cluster *clusterv1.Cluster, _ time.Time) (map[string]any, string, error) {
	title := fmt.Sprintf("%s %s/%s", object.GetKind(), object.GetNamespace(), object.GetName())
	patch := map[string]any{"metadata": map[string]any{"annotations": map[string]any{clusterv1.PausedAnnotation: nil}}}
	_, paused := object.GetAnnotations()[clusterv1.PausedAnnotation]
	if object.GetKind() == machineDeploymentKind.Kind {
		// An annotation is somebody else's pause, of all that the controller does.
		paused, _, _ = unstructured.NestedBool(object.Object, "spec", "paused")
		patch = map[string]any{"spec": map[string]any{"paused": nil}}
	}
	// What is left after this one.
	rest := object.DeepCopy()
	if object.GetKind() == machineDeploymentKind.Kind {
		unstructured.RemoveNestedField(rest.Object, "spec", "paused")
	} else {
		unstructured.RemoveNestedField(rest.Object, "metadata", "annotations", clusterv1.PausedAnnotation)
	}
	why, resume := pausedBy(rest, cluster)
	if !paused {
		patch = nil
	}
	switch {
	case why != "":
		return patch, fmt.Sprintf("%s stays paused by %s; end that with: %s", title, why, resume), nil
	case paused:
		return patch, title + " goes on.", nil
	}
	return nil, title + " was not paused.", nil
}

// patch writes a merge patch, on the condition that the object is still as it was read.
func (m *management) patch(ctx context.Context, object *unstructured.Unstructured, change map[string]any, options ...client.PatchOption) error {
	body := &unstructured.Unstructured{Object: runtime.DeepCopyJSON(change)}
	body.SetResourceVersion(object.GetResourceVersion())
	text, err := json.Marshal(body.Object)
	if err != nil {
		return fmt.Errorf("encode change: %w", err)
	}
	target := &unstructured.Unstructured{}
	target.SetGroupVersionKind(object.GroupVersionKind())
	target.SetNamespace(object.GetNamespace())
	target.SetName(object.GetName())
	return m.client.Patch(ctx, target, client.RawPatch(types.MergePatchType, text), append(options, fieldOwner)...)
}
