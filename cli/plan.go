// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/util/csaupgrade"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	"github.com/slipway-project/slipway/engine"
	"github.com/slipway-project/slipway/simulate"
)

// planFlags are those of slipway plan.
type planFlags struct {
	target  target
	files   []string
	manager string
	force   bool
	details bool
	output  format
}

func (t *tool) planCommand() *cobra.Command {
	var flags planFlags
	command := &cobra.Command{
		Use:   "plan -f FILE...",
		Short: "Show what would happen after applying files, and do nothing",
		Long: `Show what applying files would lead to: the fields that change, then the machines that would be
made and deleted, in order and with reasons, and what is reached in the end or stands in the way.

The management cluster checks the files as for "kubectl apply --server-side", without keeping
anything. Its objects are copied into memory, and there the controllers themselves play on, with an
infrastructure and nodes that are played and come up as they should. Nothing is written. No Secret's
value is read but the kubeconfigs, to look at workload clusters. What a provider makes of its own
objects, and how long anything takes, is not told.`,
		Example: `  slipway plan -f upgrade.yaml
  slipway plan -f upgrade.yaml --field-manager upgrade --force-conflicts -o json

  # what the controllers are about to do with what is there
  slipway plan cluster demo`,
		Args: noArguments,
		RunE: func(command *cobra.Command, _ []string) error {
			if len(flags.files) == 0 {
				return usage("slipway plan needs a file: -f FILE; or a cluster: slipway plan cluster NAME")
			}
			return t.planFiles(command.Context(), command.InOrStdin(), flags)
		},
	}
	flags.target.place(command)
	flags.output.place(command)
	f := command.Flags()
	f.StringSliceVarP(&flags.files, "filename", "f", nil, "files or folders with objects, as YAML or JSON; - reads them from the standard input")
	f.StringVar(&flags.manager, "field-manager", "kubectl", "who is to own the fields, as for kubectl apply --server-side")
	f.BoolVar(&flags.force, "force-conflicts", false, "take fields over that others own, as for kubectl apply --server-side")
	f.BoolVar(&flags.details, "details", false, "show also the writes that come along with actions on machines")
	_ = command.MarkFlagFilename("filename", "yaml", "yml", "json")
	command.AddCommand(t.planClusterCommand())
	return command
}

func (t *tool) planFiles(ctx context.Context, in io.Reader, flags planFlags) error {
	objects, err := readFiles(in, flags.files)
	if err != nil {
		return err
	}
	m, err := t.connect(ctx, flags.target)
	if err != nil {
		return err
	}
	forecast, err := t.foresee(ctx, m, objects, flags)
	if err != nil {
		return err
	}
	if flags.output != formatTable {
		return flags.output.print(t.out, forecast)
	}
	_, err = io.WriteString(t.out, forecast.Text())
	return err
}

// foresee has the management cluster check the objects, and plays on from there.
func (t *tool) foresee(ctx context.Context, m *management, objects []located, flags planFlags) (simulate.Forecast, error) {
	var none simulate.Forecast
	if err := m.checkInstalled(); err != nil {
		return none, err
	}
	known, err := newScheme()
	if err != nil {
		return none, err
	}
	question := simulate.Question{
		Source: simulate.Source{Reader: m.client}, Scheme: known, Controllers: t.wiring.Controllers(), Start: t.now(), Details: flags.details,
	}
	namespaces := map[string]bool{}
	var notes []string
	for _, object := range objects {
		applied, err := m.tryOut(ctx, object, flags)
		if err != nil {
			return none, err
		}
		if applied.Before != nil && appliedByClient(applied.Before.GetManagedFields()) {
			notes = append(notes, fmt.Sprintf("%s %s/%s was applied without --server-side before. kubectl apply --server-side takes all of that over, and removes what %s does not state; kubectl apply removes it too. The plan does not show this.",
				applied.After.GetKind(), applied.After.GetNamespace(), applied.After.GetName(), object.place))
		}
		question.Applied = append(question.Applied, applied)
		namespaces[applied.After.GetNamespace()] = true
	}
	connected, done := context.WithCancel(ctx)
	defer done()
	if question.Source.Workloads, err = t.workloads(connected, m, namespaces); err != nil {
		return none, err
	}
	forecast, err := simulate.Foresee(ctx, question)
	forecast.Notes = append(notes, forecast.Notes...)
	return forecast, err
}

// appliedByClient reports that kubectl apply without --server-side wrote an object, by its
// managed fields. Only
// kubectl itself makes its fields those of a later apply, by a patch of its own beforehand,
// so that a dry run of the apply shows nothing of what goes with them.
func appliedByClient(fields []metav1.ManagedFieldsEntry) bool {
	lastApplied := fieldpath.NewSet(fieldpath.MakePathOrDie("metadata", "annotations", corev1.LastAppliedConfigAnnotation))
	return len(csaupgrade.FindFieldsOwners(fields, metav1.ManagedFieldsOperationUpdate, lastApplied)) > 0
}

// tryOut has the API server apply an object without keeping it, so that its own rules
// speak, and what it would make of the object is known.
func (m *management) tryOut(ctx context.Context, given located, flags planFlags) (simulate.Applied, error) {
	object := given.object.DeepCopy()
	kind := object.GroupVersionKind()
	mapping, err := m.client.RESTMapper().RESTMapping(kind.GroupKind(), kind.Version)
	if meta.IsNoMatchError(err) {
		return simulate.Applied{}, fmt.Errorf("%s: the management cluster has no kind %s in %s; correct apiVersion and kind, or install the provider that brings it", given.place, kind.Kind, kind.GroupVersion())
	}
	if err != nil {
		return simulate.Applied{}, fmt.Errorf("%s: look up kind %s: %w", given.place, kind.Kind, err)
	}
	if mapping.Scope.Name() == meta.RESTScopeNameNamespace && object.GetNamespace() == "" {
		object.SetNamespace(flags.target.namespace)
	}
	live := &unstructured.Unstructured{}
	live.SetGroupVersionKind(kind)
	err = m.client.Get(ctx, client.ObjectKeyFromObject(object), live)
	if apierrors.IsNotFound(err) {
		live = nil
	} else if err != nil {
		return simulate.Applied{}, fmt.Errorf("%s: read %s %s: %w", given.place, kind.Kind, object.GetName(), err)
	}
	options := []client.ApplyOption{client.FieldOwner(flags.manager), client.DryRunAll}
	if flags.force {
		options = append(options, client.ForceOwnership)
	}
	err = m.client.Apply(ctx, client.ApplyConfigurationFromUnstructured(object), options...)
	if apierrors.IsConflict(err) {
		return simulate.Applied{}, fmt.Errorf("%s: %s %s: %s; to take these fields over, as kubectl apply --server-side would be told to: --force-conflicts",
			given.place, kind.Kind, object.GetName(), oneLine(innermost(err)))
	}
	if err != nil {
		return simulate.Applied{}, fmt.Errorf("%s: %w", given.place, err)
	}
	return simulate.Applied{Before: live, After: object}, nil
}

const (
	// connectLimit is how long workload clusters have to answer, all together.
	connectLimit = 5 * time.Second
	connectPause = 50 * time.Millisecond
)

// workloads connects to the workload clusters in some namespaces that are there already,
// and waits a moment for them. Those that do not answer are told in the plan. Without a way
// to connect it is nil.
func (t *tool) workloads(ctx context.Context, m *management, namespaces map[string]bool) (engine.Workloads, error) {
	if t.wiring.ConnectWorkloads == nil {
		return nil, nil
	}
	connections := t.wiring.ConnectWorkloads(ctx, m.client)
	list := &clusterv1.ClusterList{}
	if err := m.client.List(ctx, list); err != nil {
		return nil, fmt.Errorf("list Clusters: %w", err)
	}
	waiting, done := context.WithTimeout(ctx, connectLimit)
	defer done()
	for i := range list.Items {
		cluster := &list.Items[i]
		if !namespaces[cluster.Namespace] || !isTrue(cluster.Status.Initialization.ControlPlaneInitialized) {
			continue
		}
		awaitConnection(waiting, connections, client.ObjectKeyFromObject(cluster))
	}
	return connections, ctx.Err()
}

func awaitConnection(ctx context.Context, connections engine.Workloads, cluster client.ObjectKey) {
	ticker := time.NewTicker(connectPause)
	defer ticker.Stop()
	for {
		if _, err := connections.Reader(ctx, cluster); err == nil {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

func (t *tool) planClusterCommand() *cobra.Command {
	var flags target
	var output format
	var full bool
	command := &cobra.Command{
		Use:   "cluster NAME",
		Short: "Show what the controllers would do now for a cluster, and do nothing",
		Long: `Ask each controller what it would do now with the objects of a cluster, as they are, and why.
These are next steps: what follows from them is seen when they are done, or with slipway plan -f.
Nothing is written. Controllers of providers are not asked.`,
		Example: `  slipway plan cluster demo

  # with the objects that would be written, and the statuses
  slipway plan cluster demo --full`,
		Args: oneName("cluster"),
		RunE: func(command *cobra.Command, arguments []string) error {
			return t.planCluster(command.Context(), flags, arguments[0], full, output)
		},
		ValidArgsFunction: t.completeClusters(&flags),
	}
	flags.place(command)
	output.place(command)
	command.Flags().BoolVar(&full, "full", false, "print each plan whole")
	return command
}

func (t *tool) planCluster(ctx context.Context, flags target, name string, full bool, output format) error {
	m, err := t.connect(ctx, flags)
	if err != nil {
		return err
	}
	if _, err := m.getCluster(ctx, flags.namespace, name); err != nil {
		return err
	}
	looked, err := t.lookAt(ctx, m, client.ObjectKey{Namespace: flags.namespace, Name: name})
	if err != nil {
		return err
	}
	if output != formatTable {
		return output.print(t.out, looked)
	}
	_, err = io.WriteString(t.out, lookedText(looked, full))
	return err
}

// lookAt asks each controller what it would do with the objects of a Cluster.
func (t *tool) lookAt(ctx context.Context, m *management, cluster client.ObjectKey) ([]simulate.Looked, error) {
	known, err := newScheme()
	if err != nil {
		return nil, err
	}
	connected, done := context.WithCancel(ctx)
	defer done()
	workloads, err := t.workloads(connected, m, map[string]bool{cluster.Namespace: true})
	if err != nil {
		return nil, err
	}
	bench := engine.Bench{Scheme: known, Reader: m.client, Live: m.client, Mapper: m.client.RESTMapper(), Workloads: workloads, Now: t.now}
	return simulate.Look(ctx, bench, t.wiring.Controllers(), cluster)
}

// lookedText is what each controller would do, for a person.
func lookedText(all []simulate.Looked, full bool) string {
	var out strings.Builder
	for _, looked := range all {
		fmt.Fprintf(&out, "%s (controller %s): %s %s", looked.Object, looked.Controller, looked.Outcome, looked.Reason)
		if looked.Message != "" {
			fmt.Fprintf(&out, ": %s", oneLine(looked.Message))
		}
		out.WriteString("\n")
		if full {
			for line := range strings.Lines(looked.Text) {
				out.WriteString("  " + line)
			}
			continue
		}
		for _, next := range looked.Actions {
			fmt.Fprintf(&out, "  - %s (%s)\n", next.Action, next.Reason)
		}
	}
	return out.String()
}
