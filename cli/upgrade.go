// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	"github.com/slipway-project/slipway/nodeimage"
	"github.com/slipway-project/slipway/providers/docker/containers"
)

// defaultUpgradeWait is how long an upgrade may take where nobody says: each machine is
// replaced by itself, and some infrastructure takes minutes for one.
const defaultUpgradeWait = time.Hour

// upgradeFlags are those of slipway upgrade cluster.
type upgradeFlags struct {
	target  target
	request upgradeRequest
	wait    time.Duration
	dryRun  bool
	output  format
}

func (t *tool) upgradeCommand() *cobra.Command {
	return group("upgrade", "Upgrade clusters to another version of Kubernetes", "  slipway upgrade cluster demo --to v1.37.1 --wait", t.upgradeClusterCommand())
}

func (t *tool) upgradeClusterCommand() *cobra.Command {
	var flags upgradeFlags
	command := &cobra.Command{
		Use:   "cluster NAME",
		Short: "Upgrade a cluster to another version of Kubernetes",
		Long: `Upgrade a cluster: first its control plane, and when that is done its MachineDeployments. For each,
a machine template with the new image is made, named after the old one, and the version and the
reference to the template are changed in one write; controllers replace the machines.

The command stays until the control plane is done, with --wait until the workers are too.
Interrupted and run again it goes on where it was. What would not be upgraded (a version that skips
another, an image that is not there, an unhealthy control plane) is refused before anything is
written.`,
		Example: `  slipway upgrade cluster demo --to v1.37.1 --wait

  # only print what would be written, to apply it by hand
  slipway upgrade cluster demo --to v1.37.1 --dry-run -o yaml`,
		Args: oneName("cluster"),
		RunE: func(command *cobra.Command, arguments []string) error {
			return t.upgradeCluster(command.Context(), flags, arguments[0], command.Flags().Changed("output"))
		},
		ValidArgsFunction: t.completeClusters(&flags.target),
	}
	flags.target.place(command)
	flags.output.place(command)
	f := command.Flags()
	f.StringVar(&flags.request.Version, "to", "", "version of Kubernetes to upgrade to (needed)")
	f.StringVar(&flags.request.Image, "image", "", "node image of the new machines (default: that of the old ones, with the new version as its tag)")
	f.StringVar(&flags.request.ControlPlaneTemplate, "control-plane-template", "", "machine template of your own for the control plane")
	f.StringVar(&flags.request.WorkersTemplate, "workers-template", "", "machine template of your own for the workers")
	f.BoolVar(&flags.request.ControlPlaneOnly, "control-plane-only", false, "leave the workers as they are")
	f.BoolVar(&flags.dryRun, "dry-run", false, "print the templates and edits, and write nothing")
	f.DurationVar(&flags.wait, "wait", 0, "wait for the workers too, at most for the time given for all as in --wait=30m")
	f.Lookup("wait").NoOptDefVal = defaultUpgradeWait.String()
	_ = command.RegisterFlagCompletionFunc("to", func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
		versions, _ := nodeimage.Versions("")
		return versions, cobra.ShellCompDirectiveNoFileComp
	})
	return command
}

// check says what is wrong with the flags themselves.
func (flags *upgradeFlags) check(printed bool) error {
	if flags.request.Version == "" {
		return usage("--to is needed: the version of Kubernetes to upgrade to, such as %s", defaultKubernetesVersion)
	}
	version, err := versionOf("--to", flags.request.Version)
	if err != nil {
		return err
	}
	flags.request.Version = version
	switch {
	case flags.wait < 0:
		return usage("--wait: %s is less than none", flags.wait)
	case printed && !flags.dryRun:
		return usage("-o prints what would be written, and needs --dry-run")
	case flags.request.ControlPlaneOnly && flags.request.WorkersTemplate != "":
		return usage("--workers-template is for workers, which --control-plane-only leaves as they are: give one of them")
	}
	return nil
}

func (t *tool) upgradeCluster(ctx context.Context, flags upgradeFlags, name string, printed bool) error {
	if err := flags.check(printed); err != nil {
		return err
	}
	m, err := t.connect(ctx, flags.target)
	if err != nil {
		return err
	}
	u, err := m.readUpgrade(ctx, flags, name)
	if err != nil {
		return err
	}
	p := newProgress(t.err, t.now)
	for _, note := range u.Notes {
		p.say("%s", note)
	}
	record := engineRecord(kubeconfigHomes(flags.target.kubeconfig))
	if images := u.images(); len(images) > 0 && !flags.dryRun {
		if err := checkImages(ctx, containers.Options{ManagementID: m.id, Record: record, Logger: logr.Discard()}, "--to", flags.request.Version, images...); err != nil {
			return err
		}
	}
	if err := m.rehearseUpgrade(ctx, u); err != nil {
		return err
	}
	if flags.dryRun {
		return t.printUpgrade(flags.output, u)
	}
	if err := t.carryOut(ctx, m, flags, u, client.ObjectKey{Namespace: flags.target.namespace, Name: name}, p); err != nil {
		return fmt.Errorf("%w\nRun the same command again to go on with the upgrade", err)
	}
	return nil
}

// printUpgrade prints what would be written, with how to apply it.
func (t *tool) printUpgrade(output format, u upgrade) error {
	objects := u.objects()
	if len(objects) == 0 {
		fmt.Fprintln(t.err, "There is nothing to write: all is at that version already.")
		return nil
	}
	for _, edit := range u.all() {
		if edit.needed() && edit.ClientSide {
			fmt.Fprintf(t.err, "%s was applied without --server-side before: kubectl apply --server-side would take out of it what is not stated here. Run slipway upgrade cluster without --dry-run instead.\n", edit.title())
		}
	}
	if output != formatJSON {
		fmt.Fprintln(t.out, "# Apply with: kubectl apply --server-side --field-manager=upgrade --force-conflicts -f FILE\n"+
			"# The workers' part comes last; apply it when the control plane is done.")
	}
	return printObjects(t.out, output, objects)
}

// images are the node images that the upgrade needs on the container engine's host.
func (u upgrade) images() []string {
	var images []string
	for _, edit := range u.all() {
		if edit.Image != "" && edit.needed() && !slices.Contains(images, edit.Image) {
			images = append(images, edit.Image)
		}
	}
	return images
}

// readUpgrade reads a cluster and decides what has to be written.
func (m *management) readUpgrade(ctx context.Context, flags upgradeFlags, name string) (upgrade, error) {
	cluster, err := m.getCluster(ctx, flags.target.namespace, name)
	if err != nil {
		return upgrade{}, err
	}
	f, err := m.readFamily(ctx, cluster)
	if err != nil {
		return upgrade{}, err
	}
	if f.Cluster == nil {
		return upgrade{}, noCluster(flags.target.namespace, name, nil)
	}
	return flags.request.edits(f, m.templateReader(ctx, flags.target.namespace))
}

// templateReader reads templates of a namespace.
func (m *management) templateReader(ctx context.Context, namespace string) templateReader {
	return func(kind schema.GroupKind, name string) (*unstructured.Unstructured, error) {
		mapping, err := m.client.RESTMapper().RESTMapping(kind)
		if meta.IsNoMatchError(err) {
			return nil, fmt.Errorf("the management cluster does not serve %s, the kind of template %s; install its provider first", kind, name)
		}
		if err != nil {
			return nil, fmt.Errorf("find kind %s: %w", kind, err)
		}
		template := &unstructured.Unstructured{}
		template.SetGroupVersionKind(mapping.GroupVersionKind)
		err = m.client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, template)
		if apierrors.IsNotFound(err) {
			return nil, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read %s %s/%s: %w", kind.Kind, namespace, name, err)
		}
		return template, nil
	}
}

// rehearseUpgrade has the server check every write before any is done.
func (m *management) rehearseUpgrade(ctx context.Context, u upgrade) error {
	for _, edit := range u.all() {
		if err := m.writeEdit(ctx, edit, true); err != nil {
			return err
		}
	}
	return nil
}

// writeEdit makes the template of an edit, then changes the object, if both are still to
// be done. A crash in between leaves a template that the next run uses.
func (m *management) writeEdit(ctx context.Context, edit upgradeEdit, rehearse bool) error {
	if !edit.needed() {
		return nil
	}
	verb := "write"
	var applying []client.ApplyOption
	var patching []client.PatchOption
	if rehearse {
		verb, applying, patching = "check", append(applying, client.DryRunAll), append(patching, client.DryRunAll)
	}
	if edit.Template != nil {
		err := m.client.Apply(ctx, client.ApplyConfigurationFromUnstructured(edit.Template.DeepCopy()), append(applying, fieldOwner)...)
		if err != nil {
			return fmt.Errorf("%s %s %s: %w", verb, edit.Template.GetKind(), edit.Template.GetName(), err)
		}
	}
	for attempt := 1; ; attempt++ {
		live := &unstructured.Unstructured{}
		live.SetGroupVersionKind(edit.Kind)
		if err := m.client.Get(ctx, client.ObjectKey{Namespace: edit.Namespace, Name: edit.Name}, live); err != nil {
			return fmt.Errorf("read %s: %w", edit.title(), err)
		}
		if edit.changed(live) {
			return fmt.Errorf("%s was changed by somebody else meanwhile; nothing was written to it", edit.title())
		}
		err := m.patch(ctx, live, edit.patch(), patching...)
		if apierrors.IsConflict(err) && attempt < writeAttempts {
			continue // most often a controller that wrote the status
		}
		if err != nil {
			return fmt.Errorf("%s %s: %w", verb, edit.title(), err)
		}
		return nil
	}
}

// changed tells that an object is no longer what the edit was decided by.
func (e upgradeEdit) changed(live *unstructured.Unstructured) bool {
	version, _, _ := unstructured.NestedString(live.Object, e.versionPath...)
	template := ""
	if e.refPath != nil {
		template, _, _ = unstructured.NestedString(live.Object, append(slices.Clone(e.refPath), "name")...)
	}
	return version != e.From || template != e.OldTemplate || live.GetDeletionTimestamp() != nil
}

// carryOut writes the control plane's part, waits for it, and then the workers'.
func (t *tool) carryOut(ctx context.Context, m *management, flags upgradeFlags, u upgrade, key client.ObjectKey, p *progress) error {
	began, to := t.now(), flags.request.Version
	limit := flags.wait
	if limit == 0 {
		limit = defaultUpgradeWait
	}
	if err := m.writeEdit(ctx, u.ControlPlane, false); err != nil {
		return err
	}
	if len(u.objects()) == 0 {
		p.say("All of Cluster %s is set to %s already.", key, to)
	}
	if u.ControlPlane.needed() {
		p.say("%s goes from %s to %s.", u.ControlPlane.title(), u.ControlPlane.From, to)
	}
	waiting := wait{key: key, limit: limit, what: "upgrade", done: "upgraded"}
	var err error
	if waiting.kinds, err = m.upgradeKinds(ctx, key); err != nil {
		return err
	}
	waiting.steps = func(f family) []step { return []step{controlPlaneUpgrade(f, to)} }
	waiting.troubles = func(f family) []trouble { return mendFirst(slices.Concat(clusterTroubles(f), controlPlaneTroubles(f))) }
	if err := t.await(ctx, m, waiting, p); err != nil {
		return err
	}
	if flags.request.ControlPlaneOnly {
		p.say("The control plane of Cluster %s is at %s after %s; its workers stay as they are.", key, to, elapsed(t.now().Sub(began)))
		return nil
	}
	// Read again: much can have happened meanwhile.
	if u, err = m.readUpgrade(ctx, flags, key.Name); err != nil {
		return err
	}
	for _, edit := range u.Workers {
		if err := m.writeEdit(ctx, edit, false); err != nil {
			return err
		}
		if edit.needed() {
			p.say("%s goes from %s to %s.", edit.title(), edit.From, to)
		}
	}
	if flags.wait == 0 {
		p.say("The control plane of Cluster %s is at %s after %s, and its workers follow; see how they get on with: slipway describe cluster %s%s --watch",
			key, to, elapsed(t.now().Sub(began)), key.Name, inNamespace(key.Namespace))
		return nil
	}
	waiting.limit = max(limit-t.now().Sub(began), time.Second)
	waiting.steps = func(f family) []step { return upgradeSteps(f, to) }
	waiting.troubles = func(f family) []trouble { return mendFirst(slices.Concat(clusterTroubles(f), workerTroubles(f))) }
	if err := t.await(ctx, m, waiting, p); err != nil {
		return err
	}
	p.say("Cluster %s is at %s after %s.", key, to, elapsed(t.now().Sub(began)))
	return nil
}

// upgradeKinds are the kinds to watch during an upgrade.
func (m *management) upgradeKinds(ctx context.Context, key client.ObjectKey) ([]schema.GroupKind, error) {
	cluster := &clusterv1.Cluster{}
	if err := m.client.Get(ctx, key, cluster); err != nil {
		return nil, fmt.Errorf("read Cluster %s: %w", key, err)
	}
	references, err := m.references(ctx, cluster)
	if err != nil {
		return nil, err
	}
	return familyKinds(references...), nil
}
