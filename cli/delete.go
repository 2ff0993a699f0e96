// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	"github.com/slipway-project/slipway/conditions"
)

func (t *tool) deleteCommand() *cobra.Command {
	return group("delete", "Delete clusters", "  slipway delete cluster demo --wait", t.deleteClusterCommand())
}

func (t *tool) deleteClusterCommand() *cobra.Command {
	var flags target
	var wait time.Duration
	command := &cobra.Command{
		Use:   "cluster NAME",
		Short: "Delete a cluster, with its machines",
		Long:  "Delete a Cluster. Its workers go first, then its control plane, then its infrastructure; --wait shows what goes as it goes.",
		Example: `  slipway delete cluster demo
  slipway delete cluster demo --wait=5m`,
		Args: oneName("cluster"),
		RunE: func(command *cobra.Command, arguments []string) error {
			if wait < 0 {
				return usage("--wait: %s is less than none", wait)
			}
			return t.deleteCluster(command.Context(), flags, arguments[0], wait)
		},
		ValidArgsFunction: t.completeClusters(&flags),
	}
	flags.place(command)
	placeWait(command, &wait, "wait until all of it is gone")
	return command
}

func (t *tool) deleteCluster(ctx context.Context, flags target, name string, wait time.Duration) error {
	m, err := t.connect(ctx, flags)
	if err != nil {
		return err
	}
	cluster, err := m.getCluster(ctx, flags.namespace, name)
	if err != nil {
		return err
	}
	key := client.ObjectKeyFromObject(cluster)
	p := newProgress(t.err, t.now)
	// What is there is looked at before it begins to go.
	var watched *familyWatch
	limit, cancel := context.WithTimeout(ctx, max(wait, time.Nanosecond))
	defer cancel()
	if wait > 0 {
		references, err := m.references(ctx, cluster)
		if err != nil {
			return err
		}
		if watched, err = m.watchFamily(limit, "deletion", key, familyKinds(references...)); err != nil {
			return err
		}
		defer watched.close()
	}
	again := cluster.DeletionTimestamp != nil
	uid := cluster.UID
	err = m.client.Delete(ctx, cluster, client.Preconditions{UID: &uid}, client.PropagationPolicy(metav1.DeletePropagationBackground))
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("delete Cluster %s: %w", key, err)
	}
	if wait == 0 {
		said := "Cluster %s is being deleted; see what is left with: slipway describe cluster %s%s"
		if again {
			said = "Cluster %s was being deleted already; see what is left with: slipway describe cluster %s%s"
		}
		p.say(said, key, name, inNamespace(key.Namespace))
		return nil
	}
	alive := m.pulse("deletion", key, t.now)
	defer alive.due.Stop()
	return t.awaitDeletion(ctx, limit, watched, alive, cluster, wait, p)
}

// awaitDeletion tells what goes until nothing is left.
func (t *tool) awaitDeletion(ctx, limit context.Context, w *familyWatch, alive *pulse, cluster *clusterv1.Cluster, wait time.Duration, p *progress) error {
	began, key := t.now(), w.key
	p.begin("Deleting Cluster " + key.String())
	last, err := w.read(limit)
	if err != nil {
		return err
	}
	for {
		select {
		case <-limit.Done():
			p.failed()
			if lost := alive.lost(); lost != nil && ctx.Err() == nil {
				return lost
			}
			return deletionFailure(ctx, key, wait, last)
		case <-alive.due.C:
			if err := alive.ask(limit, p); err != nil {
				p.failed()
				return err
			}
			continue
		case <-w.changed:
		}
		current, err := w.read(limit)
		if err != nil {
			p.failed()
			return err
		}
		for _, gone := range goneBetween(last, current) {
			p.say("   gone: %s", gone)
		}
		last = current
		if current.Cluster != nil && current.Cluster.UID == cluster.UID {
			p.note(deletionDetail(current))
			continue
		}
		p.done("")
		p.say("Cluster %s is gone after %s.", key, elapsed(t.now().Sub(began)))
		return nil
	}
}

// deletionDetail says what a deletion waits for.
func deletionDetail(f family) string {
	condition := conditions.Find(f.Cluster.Status.Conditions, clusterv1.DeletingCondition)
	if condition == nil || condition.Status != metav1.ConditionTrue {
		return ""
	}
	if condition.Message != "" {
		return firstLine(condition.Message)
	}
	return condition.Reason
}

func deletionFailure(ctx context.Context, key client.ObjectKey, wait time.Duration, last family) error {
	hint := fmt.Sprintf("slipway describe cluster %s%s --show-conditions", key.Name, inNamespace(key.Namespace))
	if ctx.Err() != nil {
		return fmt.Errorf("interrupted; the deletion of Cluster %s goes on, see: %s", key, hint)
	}
	left := members(last)
	why := ""
	if list := deletionTroubles(last); len(list) > 0 {
		why = ": " + list[0].sentence()
	}
	return fmt.Errorf("Cluster %s is not gone after %s, with %s left%s\nThe deletion goes on; more is shown by: %s", key, wait, plural(len(left), "object"), why, hint)
}

// deletionTroubles are what the objects that are left say of their deletion, those of
// machines first.
func deletionTroubles(f family) []trouble {
	var list []trouble
	add := func(kind, name string, all []metav1.Condition) {
		if found := conditions.Find(all, clusterv1.DeletingCondition); found != nil && found.Status == metav1.ConditionTrue && found.Message != "" {
			list = append(list, trouble{Kind: kind, Name: name, Condition: *found})
		}
	}
	for _, machine := range f.Machines {
		if host := f.Hosts[machine.Name]; host != nil {
			add(host.GetKind(), host.GetName(), conditionsOf(host))
		}
		add(machineKind.Kind, machine.Name, machine.Status.Conditions)
	}
	for _, other := range f.Others {
		add(other.GetKind(), other.GetName(), conditionsOf(other))
	}
	if f.Infrastructure != nil {
		add(f.Infrastructure.GetKind(), f.Infrastructure.GetName(), conditionsOf(f.Infrastructure))
	}
	if f.Cluster != nil {
		add(clusterKind.Kind, f.Cluster.Name, f.Cluster.Status.Conditions)
	}
	return list
}

// members are all objects of a family, as "Kind/name".
func members(f family) []string {
	var list []string
	add := func(kind, name string) { list = append(list, kind+"/"+name) }
	for _, deployment := range f.Deployments {
		add(machineDeploymentKind.Kind, deployment.Name)
	}
	for _, set := range f.Sets {
		add(machineSetKind.Kind, set.Name)
	}
	for _, machine := range f.Machines {
		add(machineKind.Kind, machine.Name)
		if host := f.Hosts[machine.Name]; host != nil {
			add(host.GetKind(), host.GetName())
		}
		if bootstrap := f.Bootstraps[machine.Name]; bootstrap != nil {
			add(bootstrap.GetKind(), bootstrap.GetName())
		}
	}
	for _, other := range slices.Concat(f.HealthChecks, f.Others) {
		add(other.GetKind(), other.GetName())
	}
	if f.ControlPlane != nil {
		add(f.ControlPlane.GetKind(), f.ControlPlane.GetName())
	}
	if f.Infrastructure != nil {
		add(f.Infrastructure.GetKind(), f.Infrastructure.GetName())
	}
	if f.Cluster != nil {
		add(clusterKind.Kind, f.Cluster.Name)
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// goneBetween are the members that are there before and not after.
func goneBetween(before, after family) []string {
	left := members(after)
	return slices.DeleteFunc(members(before), func(name string) bool {
		_, there := slices.BinarySearch(left, name)
		return there
	})
}
