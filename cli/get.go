// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	"github.com/slipway-project/slipway/conditions"
	"github.com/slipway-project/slipway/credentials"
)

func (t *tool) getCommand() *cobra.Command {
	return group("get", "Show clusters and get their kubeconfigs",
		`  slipway get clusters
  slipway get kubeconfig demo --output-file demo.kubeconfig`,
		t.getClustersCommand(), t.getKubeconfigCommand())
}

func (t *tool) getClustersCommand() *cobra.Command {
	var flags target
	var output format
	command := &cobra.Command{
		Use:     "clusters",
		Aliases: []string{"cluster"},
		Short:   "List clusters",
		Example: `  slipway get clusters
  slipway get clusters --all-namespaces -o json`,
		Args: noArguments,
		RunE: func(command *cobra.Command, _ []string) error {
			return t.getClusters(command.Context(), flags, output)
		},
	}
	flags.place(command)
	command.Flags().BoolVarP(&flags.allNamespaces, "all-namespaces", "A", false, "list clusters of all namespaces")
	output.place(command)
	return command
}

func (t *tool) getClusters(ctx context.Context, flags target, output format) error {
	m, err := t.connect(ctx, flags)
	if err != nil {
		return err
	}
	if err := m.checkInstalled(); err != nil {
		return err
	}
	var where []client.ListOption
	if !flags.allNamespaces {
		where = append(where, client.InNamespace(flags.namespace))
	}
	list := &clusterv1.ClusterList{}
	if err := m.client.List(ctx, list, where...); err != nil {
		return fmt.Errorf("list Clusters: %w", err)
	}
	if output != formatTable {
		list.SetGroupVersionKind(clusterv1.GroupVersion.WithKind("ClusterList"))
		for i := range list.Items {
			list.Items[i].SetGroupVersionKind(clusterKind)
			list.Items[i].ManagedFields = nil
		}
		return output.print(t.out, list)
	}
	if len(list.Items) == 0 {
		where := "namespace " + flags.namespace
		if flags.allNamespaces {
			where = "any namespace"
		}
		fmt.Fprintf(t.err, "There are no clusters in %s; make one with: slipway create cluster demo\n", where)
		return nil
	}
	return table(t.out, clusterRows(list.Items, flags.allNamespaces, t.now()))
}

// clusterRows are the lines of slipway get clusters.
func clusterRows(clusters []clusterv1.Cluster, withNamespace bool, now time.Time) [][]string {
	heading := []string{"NAME", "PHASE", "AVAILABLE", "CONTROL PLANE", "WORKERS", "VERSION", "AGE"}
	if withNamespace {
		heading = append([]string{"NAMESPACE"}, heading...)
	}
	rows := [][]string{heading}
	slices.SortFunc(clusters, func(a, b clusterv1.Cluster) int {
		return strings.Compare(a.Namespace+"/"+a.Name, b.Namespace+"/"+b.Name)
	})
	for _, cluster := range clusters {
		available := "Unknown"
		if condition := conditions.Find(cluster.Status.Conditions, clusterv1.AvailableCondition); condition != nil {
			available = string(condition.Status)
		}
		var controlPlane, workers, version string
		if counted := cluster.Status.ControlPlane; counted != nil {
			controlPlane, version = readyOf(counted.ReadyReplicas, counted.DesiredReplicas), versionsText(counted.Versions)
		}
		if counted := cluster.Status.Workers; counted != nil {
			workers = readyOf(counted.ReadyReplicas, counted.DesiredReplicas)
		}
		row := []string{cluster.Name, dash(cluster.Status.Phase), available, dash(controlPlane), dash(workers), dash(version), age(now, cluster.CreationTimestamp.Time)}
		if withNamespace {
			row = append([]string{cluster.Namespace}, row...)
		}
		rows = append(rows, row)
	}
	return rows
}

func readyOf(ready, desired *int32) string {
	if desired == nil {
		return ""
	}
	return fmt.Sprintf("%d/%d", valueOr(ready, 0), *desired)
}

func versionsText(versions []clusterv1.StatusVersion) string {
	var list []string
	for _, version := range versions {
		list = append(list, version.Version)
	}
	return strings.Join(list, ",")
}

func dash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

func (t *tool) getKubeconfigCommand() *cobra.Command {
	var flags target
	var output format
	var file string
	command := &cobra.Command{
		Use:   "kubeconfig NAME",
		Short: "Print the kubeconfig of a cluster",
		Long: `Print the kubeconfig of a cluster, or write it to a file. It lets whoever can read it do
anything in the cluster: --output-file makes a file that only you can read.`,
		Example: `  slipway get kubeconfig demo --output-file demo.kubeconfig
  kubectl --kubeconfig demo.kubeconfig get nodes`,
		Args: oneName("cluster"),
		RunE: func(command *cobra.Command, arguments []string) error {
			return t.getKubeconfig(command.Context(), flags, arguments[0], output, file)
		},
		ValidArgsFunction: t.completeClusters(&flags),
	}
	flags.place(command)
	output.place(command)
	command.Flags().StringVar(&file, "output-file", "", "write to this file, readable by you only, instead of printing")
	_ = command.MarkFlagFilename("output-file")
	return command
}

func (t *tool) getKubeconfig(ctx context.Context, flags target, name string, output format, file string) error {
	m, err := t.connect(ctx, flags)
	if err != nil {
		return err
	}
	cluster, err := m.getCluster(ctx, flags.namespace, name)
	if err != nil {
		return err
	}
	secret := &corev1.Secret{}
	key := client.ObjectKey{Namespace: flags.namespace, Name: credentials.KubeconfigSecretName(name)}
	if err := m.client.Get(ctx, key, secret); apierrors.IsNotFound(err) {
		return noKubeconfig(cluster, key)
	} else if err != nil {
		return fmt.Errorf("read Secret %s: %w", key, err)
	}
	text := secret.Data[credentials.KubeconfigKey]
	if len(text) == 0 {
		return fmt.Errorf("Secret %s has no kubeconfig under key %q; delete it to have it made again", key, credentials.KubeconfigKey)
	}
	if output == formatJSON {
		converted, err := yaml.YAMLToJSON(text)
		if err != nil {
			return fmt.Errorf("Secret %s holds no kubeconfig (%s); delete it to have it made again", key, oneLine(err.Error()))
		}
		var printed bytes.Buffer
		if err := output.print(&printed, json.RawMessage(converted)); err != nil {
			return err
		}
		text = printed.Bytes()
	}
	if file != "" {
		return writePrivate(file, text)
	}
	_, err = t.out.Write(text)
	return err
}

// noKubeconfig says why a cluster has no kubeconfig.
func noKubeconfig(cluster *clusterv1.Cluster, secret client.ObjectKey) error {
	name, place := cluster.Name, inNamespace(cluster.Namespace)
	switch {
	case cluster.DeletionTimestamp != nil:
		return fmt.Errorf("Cluster %s/%s is being deleted and has no kubeconfig any more", cluster.Namespace, name)
	case !cluster.Spec.ControlPlaneEndpoint.IsValid():
		return fmt.Errorf("Cluster %s/%s has no kubeconfig yet: its infrastructure is not provisioned; see how it gets on with: slipway describe cluster %s%s", cluster.Namespace, name, name, place)
	default:
		return fmt.Errorf("Cluster %s/%s has no kubeconfig yet (Secret %s does not exist); see how it gets on with: slipway describe cluster %s%s", cluster.Namespace, name, secret, name, place)
	}
}
