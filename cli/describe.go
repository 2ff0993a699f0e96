// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func (t *tool) describeCommand() *cobra.Command {
	return group("describe", "Show how a cluster is doing", "  slipway describe cluster demo", t.describeClusterCommand())
}

func (t *tool) describeClusterCommand() *cobra.Command {
	var flags target
	var options treeOptions
	var output format
	var watch bool
	command := &cobra.Command{
		Use:   "cluster NAME",
		Short: "Show the objects of a cluster as a tree, and how they are doing",
		Long: `Show the objects of a cluster as a tree: how many machines they have, what each waits for and since
when. --watch keeps the tree up to date until Ctrl-C: on a terminal it is drawn again, elsewhere a
line tells each change.`,
		Example: `  slipway describe cluster demo

  # with all conditions of all objects, or of Machines only
  slipway describe cluster demo --show-conditions
  slipway describe cluster demo --show-conditions=Machine

  # and what changes, as it changes
  slipway describe cluster demo --watch`,
		Args: oneName("cluster"),
		RunE: func(command *cobra.Command, arguments []string) error {
			if watch && output != formatTable {
				return usage("--watch shows changes as they come, which -o %s cannot hold: give one of them", output)
			}
			return t.describeCluster(command.Context(), flags, arguments[0], options, output, watch)
		},
		ValidArgsFunction: t.completeClusters(&flags),
	}
	flags.place(command)
	output.place(command)
	f := command.Flags()
	f.BoolVar(&options.Grouping, "grouping", true, "draw equal Machines together")
	f.BoolVar(&options.Sets, "show-machinesets", false, "show MachineSets")
	f.StringSliceVar(&options.Conditions, "show-conditions", nil, "show all conditions: of all objects, or of those named as Kind or Kind/name")
	f.Lookup("show-conditions").NoOptDefVal = "all"
	f.BoolVar(&watch, "watch", false, "keep the tree up to date until Ctrl-C")
	return command
}

func (t *tool) describeCluster(ctx context.Context, flags target, name string, options treeOptions, output format, watch bool) error {
	m, err := t.connect(ctx, flags)
	if err != nil {
		return err
	}
	cluster, err := m.getCluster(ctx, flags.namespace, name)
	if err != nil {
		return err
	}
	if watch {
		return t.watchTree(ctx, m, cluster, options)
	}
	f, err := m.readFamily(ctx, cluster)
	if err != nil {
		return err
	}
	if f.Cluster == nil {
		return noCluster(flags.namespace, name, nil)
	}
	drawn := tree(f, options)
	if output != formatTable {
		return output.print(t.out, described(drawn))
	}
	return table(t.out, treeRows(drawn, t.now()))
}

// describedBranch is a branch as -o prints it.
type describedBranch struct {
	Name       string             `json:"name"`
	Replicas   string             `json:"replicas,omitempty"`
	Available  string             `json:"available,omitempty"`
	Ready      string             `json:"ready,omitempty"`
	UpToDate   string             `json:"upToDate,omitempty"`
	Condition  *metav1.Condition  `json:"condition,omitempty"`
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	Children   []describedBranch  `json:"children,omitempty"`
}

func described(b branch) describedBranch {
	d := describedBranch{
		Name: b.Title, Replicas: b.Replicas, Available: b.Available, Ready: b.Ready, UpToDate: b.UpToDate,
		Condition: b.Condition, Conditions: b.Conditions,
	}
	for _, child := range b.Children {
		d.Children = append(d.Children, described(child))
	}
	return d
}

// treeRows are the lines of a tree. A message of several lines takes several rows.
func treeRows(root branch, now time.Time) [][]string {
	rows := [][]string{{"NAME", "REPLICAS", "AVAILABLE", "READY", "UP TO DATE", "STATUS", "REASON", "SINCE", "MESSAGE"}}
	return appendBranch(rows, root, "", "", now)
}

// messageWidth is where messages are broken, in characters.
const messageWidth = 100

// appendBranch adds a branch's rows: lead stands before its name, under before what
// comes below it.
func appendBranch(rows [][]string, b branch, lead, under string, now time.Time) [][]string {
	first := []string{lead + b.Title, b.Replicas, b.Available, b.Ready, b.UpToDate}
	below := under
	if len(b.Children) > 0 {
		below += "│ "
	} else {
		below += "  "
	}
	if b.Condition != nil && b.Condition.Type != "" {
		first = append(first, b.Condition.Type+": "+string(b.Condition.Status), b.Condition.Reason, age(now, b.Condition.LastTransitionTime.Time))
		rows = appendMessage(rows, first, b.Condition.Message, below)
	} else {
		rows = append(rows, first)
	}
	for _, condition := range b.Conditions {
		row := []string{below + "  " + condition.Type, "", "", "", "", string(condition.Status), condition.Reason, age(now, condition.LastTransitionTime.Time)}
		rows = appendMessage(rows, row, condition.Message, below)
	}
	for i, child := range b.Children {
		joint, space := "├─", "│ "
		if i == len(b.Children)-1 {
			joint, space = "└─", "  "
		}
		rows = appendBranch(rows, child, under+joint, under+space, now)
	}
	return rows
}

func appendMessage(rows [][]string, row []string, message, below string) [][]string {
	lines := wrap(message, messageWidth)
	rows = append(rows, append(row, lines[0]))
	for _, line := range lines[1:] {
		rows = append(rows, []string{strings.TrimRight(below, " "), "", "", "", "", "", "", "", line})
	}
	return rows
}
