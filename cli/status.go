// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	infrav1 "github.com/slipway-project/slipway/api/infrastructure/v1beta2"
	"github.com/slipway-project/slipway/conditions"
	"github.com/slipway-project/slipway/providers/docker/containers"
	"github.com/slipway-project/slipway/standalone"
)

// statusReport is what slipway status prints.
type statusReport struct {
	ManagementCluster standalone.State `json:"managementCluster"`
	Clusters          []clusterSummary `json:"clusters"`
	ContainerEngine   engineSummary    `json:"containerEngine"`
	Orphans           []orphanSummary  `json:"orphans"`
	// Problem says what could not be found out.
	Problem string `json:"problem,omitempty"`
}

type clusterSummary struct {
	Namespace string    `json:"namespace"`
	Name      string    `json:"name"`
	Phase     string    `json:"phase"`
	Available string    `json:"available"`
	Message   string    `json:"message,omitempty"`
	Since     time.Time `json:"since,omitzero"`
}

type engineSummary struct {
	Name    string `json:"name,omitempty"`
	Version string `json:"version,omitempty"`
	Host    string `json:"host,omitempty"`
	Problem string `json:"problem,omitempty"`
}

type orphanSummary struct {
	Kind string `json:"kind"`
	Name string `json:"name"`
	Why  string `json:"why"`
	// Remove is the command that takes it away.
	Remove string `json:"remove"`
}

func (t *tool) statusCommand() *cobra.Command {
	var home string
	var output format
	command := &cobra.Command{
		Use:   "status",
		Short: "Show the management cluster on this machine, its clusters, and what they left behind",
		Long: `Show what runs on this machine: the management cluster that slipway up started, its processes
and their memory, its clusters, and orphans: containers, volumes and networks that were made for
objects which are gone.`,
		Example: `  slipway status
  slipway status -o json`,
		Args: noArguments,
		RunE: func(command *cobra.Command, _ []string) error { return t.status(command.Context(), home, output) },
	}
	command.Flags().StringVar(&home, "home", "", "data directory (default: $SLIPWAY_HOME, else ~/.slipway)")
	_ = command.MarkFlagDirname("home")
	output.place(command)
	return command
}

func (t *tool) status(ctx context.Context, home string, output format) error {
	state, err := standalone.Status(ctx, home)
	if err != nil {
		return err
	}
	report := statusReport{ManagementCluster: state, Clusters: []clusterSummary{}, Orphans: []orphanSummary{}}
	if state.Running && state.Kubeconfig != "" {
		if err := fillStatus(ctx, &report); err != nil {
			report.Problem = explain(err)
		}
	}
	if output != formatTable {
		return output.print(t.out, report)
	}
	return writeStatus(t.out, report, t.now())
}

// fillStatus asks the management cluster and the container engine.
func fillStatus(ctx context.Context, report *statusReport) error {
	config, err := clientcmd.BuildConfigFromFlags("", report.ManagementCluster.Kubeconfig)
	if err != nil {
		return fmt.Errorf("read kubeconfig: %w", err)
	}
	m, err := dial(ctx, config, "slipway up")
	if err != nil {
		return err
	}
	clusters := &clusterv1.ClusterList{}
	if err := m.client.List(ctx, clusters); err != nil {
		return fmt.Errorf("list Clusters: %w", err)
	}
	for _, cluster := range clusters.Items {
		report.Clusters = append(report.Clusters, summarize(cluster))
	}
	record, err := standalone.EngineRecord(report.ManagementCluster.Home)
	if err != nil {
		return err
	}
	docker, err := containers.New(ctx, containers.Options{ManagementID: m.id, Record: record, Logger: logr.Discard()})
	if err != nil {
		report.ContainerEngine.Problem = err.Error()
		return nil
	}
	defer docker.Close()
	engine := docker.Engine()
	report.ContainerEngine = engineSummary{Name: engine.Name, Version: engine.Version, Host: engine.Host}
	known := &knownObjects{ctx: ctx, reader: m.client}
	orphans, err := docker.Orphans(ctx, known.has)
	if err := errors.Join(err, known.err); err != nil {
		return err
	}
	for _, orphan := range orphans {
		report.Orphans = append(report.Orphans, orphanOf(orphan))
	}
	return nil
}

func summarize(cluster clusterv1.Cluster) clusterSummary {
	s := clusterSummary{Namespace: cluster.Namespace, Name: cluster.Name, Phase: cluster.Status.Phase, Available: "Unknown", Since: cluster.CreationTimestamp.Time}
	if found := conditions.Find(cluster.Status.Conditions, clusterv1.AvailableCondition); found != nil {
		s.Available = string(found.Status)
		if found.Status != metav1.ConditionTrue {
			s.Message = found.Message
		}
	}
	return s
}

func orphanOf(orphan containers.Orphan) orphanSummary {
	why := strings.TrimPrefix(orphan.String(), orphan.Kind+" "+orphan.Name+": ")
	return orphanSummary{Kind: orphan.Kind, Name: orphan.Name, Why: why, Remove: removal(orphan)}
}

// removal is the command that takes an orphan away.
func removal(orphan containers.Orphan) string {
	switch orphan.Kind {
	case "container":
		return "docker rm -f -v " + orphan.Name
	default:
		return "docker " + orphan.Kind + " rm " + orphan.Name
	}
}

// knownObjects tells which objects exist. The lists are read at the first question,
// which comes after the containers were listed: an object is made before its
// container, so a container that is listed has its object in the lists.
type knownObjects struct {
	ctx    context.Context
	reader client.Reader
	names  map[string]bool
	err    error
}

func (k *knownObjects) has(kind, namespace, name string) bool {
	if k.names == nil && k.err == nil {
		k.names, k.err = k.read()
	}
	// Without a complete list nothing may be called an orphan.
	return k.err != nil || k.names[kind+" "+namespace+"/"+name]
}

func (k *knownObjects) read() (map[string]bool, error) {
	known := map[string]bool{}
	machines := &infrav1.DockerMachineList{}
	if err := k.reader.List(k.ctx, machines); err != nil {
		return nil, fmt.Errorf("list DockerMachines: %w", err)
	}
	for _, machine := range machines.Items {
		known["DockerMachine "+machine.Namespace+"/"+machine.Name] = true
	}
	// A load balancer is labelled with the name of the Cluster, which a DockerCluster
	// carries as a label.
	balanced := &infrav1.DockerClusterList{}
	if err := k.reader.List(k.ctx, balanced); err != nil {
		return nil, fmt.Errorf("list DockerClusters: %w", err)
	}
	for _, docker := range balanced.Items {
		known["DockerCluster "+docker.Namespace+"/"+docker.Name] = true
		if name := docker.Labels[clusterv1.ClusterNameLabel]; name != "" {
			known["DockerCluster "+docker.Namespace+"/"+name] = true
		}
	}
	return known, nil
}

// writeStatus prints a report for a person.
func writeStatus(out io.Writer, report statusReport, now time.Time) error {
	if err := writeManagement(out, report.ManagementCluster, now); err != nil {
		return err
	}
	if report.Problem != "" {
		fmt.Fprintf(out, "\nNot all could be found out: %s\n", report.Problem)
	}
	if !report.ManagementCluster.Running {
		return nil
	}
	if engine := report.ContainerEngine; engine.Problem != "" {
		fmt.Fprintf(out, "\nContainer engine: %s\n", engine.Problem)
	} else if engine.Name != "" {
		fmt.Fprintf(out, "\nContainer engine: %s %s at %s\n", engine.Name, engine.Version, engine.Host)
	}
	fmt.Fprintln(out)
	if len(report.Clusters) == 0 {
		fmt.Fprintln(out, "No clusters; make one with: slipway create cluster demo")
	} else {
		rows := [][]string{{"NAMESPACE", "CLUSTER", "PHASE", "AVAILABLE", "AGE", "MESSAGE"}}
		for _, c := range report.Clusters {
			rows = append(rows, []string{c.Namespace, c.Name, dash(c.Phase), c.Available, age(now, c.Since), firstLine(c.Message)})
		}
		if err := table(out, rows); err != nil {
			return err
		}
	}
	if len(report.Orphans) == 0 {
		return nil
	}
	fmt.Fprintf(out, "\n%s left behind by objects that are gone:\n", plural(len(report.Orphans), "orphan"))
	rows := [][]string{{"KIND", "NAME", "WHY", "REMOVE IT WITH"}}
	for _, o := range report.Orphans {
		rows = append(rows, []string{o.Kind, o.Name, o.Why, o.Remove})
	}
	return table(out, rows)
}

func writeManagement(out io.Writer, state standalone.State, now time.Time) error {
	if !state.Running {
		_, err := fmt.Fprintf(out, "Management cluster: %s\n", state.Message)
		return err
	}
	how := "ready"
	switch {
	case !state.Ready:
		how = "starting"
	case !state.Healthy:
		how = "not healthy"
	}
	if !state.Since.IsZero() {
		how += ", running for " + age(now, state.Since)
	}
	fmt.Fprintf(out, "Management cluster: %s\n", how)
	if state.Message != "" {
		fmt.Fprintf(out, "  problem:    %s\n", state.Message)
	}
	lines := [][2]string{
		{"URL", state.URL}, {"kubeconfig", state.Kubeconfig}, {"data", state.Home}, {"id", state.ManagementClusterID},
		{"versions", fmt.Sprintf("Kubernetes %s, etcd %s", dash(state.KubernetesVersion), dash(state.EtcdVersion))},
	}
	if state.Database != nil {
		lines = append(lines, [2]string{"database", databaseText(*state.Database)})
	}
	for _, line := range lines {
		if line[1] != "" {
			fmt.Fprintf(out, "  %-11s %s\n", line[0]+":", line[1])
		}
	}
	if len(state.Processes) == 0 {
		return nil
	}
	fmt.Fprintln(out)
	rows := [][]string{{"PROCESS", "PID", "MEMORY", "RUNNING FOR", "RESTARTS"}}
	var total int64
	for _, p := range state.Processes {
		since := age(now, p.Since)
		if !p.Running {
			since = "not running: " + p.LastEnd
		}
		total += p.ResidentBytes
		rows = append(rows, []string{p.Name, fmt.Sprint(p.PID), mebibytes(p.ResidentBytes), since, fmt.Sprint(p.Restarts)})
	}
	return table(out, append(rows, []string{"total", "", mebibytes(total)}))
}

func mebibytes(bytes int64) string {
	if bytes == 0 {
		return "-"
	}
	return fmt.Sprintf("%d MiB", bytes>>20)
}

func databaseText(d standalone.Database) string {
	return fmt.Sprintf("%.1f MiB, %.1f MiB of it in use, at most %d MiB", float64(d.SizeBytes)/(1<<20), float64(d.InUseBytes)/(1<<20), d.QuotaBytes>>20)
}
