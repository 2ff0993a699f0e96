// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
)

func (t *tool) whyCommand() *cobra.Command {
	var flags target
	var output format
	command := &cobra.Command{
		Use:   "why KIND/NAME",
		Short: "Tell why an object is not done, down to the root cause",
		Long: `Follow an object that is not done to the root cause: from a Cluster over its control plane and its
MachineDeployments to Machines and what they are made of. Each link has its reason, the evidence
for it and since when it stands; the last one what to do next. KIND is that of any object of a
cluster, of any provider, as kubectl takes it.`,
		Example: `  slipway why cluster/demo
  slipway why machine/demo-workers-x7k2p-4zq8d
  slipway why kcp/demo-control-plane -o json`,
		Args: oneObject,
		RunE: func(command *cobra.Command, arguments []string) error {
			kind, name, err := objectArgument(command, arguments)
			if err != nil {
				return err
			}
			return t.why(command.Context(), flags, kind, name, output)
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	flags.place(command)
	output.place(command)
	return command
}

func (t *tool) why(ctx context.Context, flags target, word, name string, output format) error {
	m, err := t.connect(ctx, flags)
	if err != nil {
		return err
	}
	if err := m.checkInstalled(); err != nil {
		return err
	}
	kind, err := m.findKind(word)
	if err != nil {
		return err
	}
	object, err := m.getObject(ctx, kind, client.ObjectKey{Namespace: flags.namespace, Name: name})
	if err != nil {
		return err
	}
	f, err := m.familyAround(ctx, object)
	if err != nil {
		return err
	}
	start := f.find(kind.Kind, name)
	if start == nil {
		alone := memberOf(object)
		start = &alone
	}
	found := explained(*start, whyNot(f, *start), remedies{family: f, managementID: m.id})
	if output != formatTable {
		return output.print(t.out, found)
	}
	return found.write(t.out, t.now())
}

// familyAround reads the family that an object belongs to; an empty one where it belongs
// to no Cluster that is there.
func (m *management) familyAround(ctx context.Context, object *unstructured.Unstructured) (family, error) {
	cluster := &clusterv1.Cluster{}
	key := client.ObjectKey{Namespace: object.GetNamespace(), Name: clusterNameOf(object)}
	if key.Name == "" {
		return family{}, nil
	}
	if err := m.client.Get(ctx, key, cluster); client.IgnoreNotFound(err) != nil {
		return family{}, fmt.Errorf("read Cluster %s: %w", key, err)
	}
	// Of a Cluster that is gone there may be objects left.
	cluster.Namespace, cluster.Name = key.Namespace, key.Name
	return m.readFamily(ctx, cluster)
}

// explanation is what slipway why prints.
type explanation struct {
	Object string `json:"object"`
	Done   bool   `json:"done"`
	// Chain begins with the object and ends with the root cause.
	Chain     []explainedLink `json:"chain,omitempty"`
	RootCause string          `json:"rootCause,omitempty"`
	// NeedsAction is true when nothing goes on until somebody mends the root cause.
	NeedsAction bool     `json:"needsAction"`
	Next        []string `json:"next,omitempty"`
	// NotDoneEither are objects that are not done and not in the chain.
	NotDoneEither []string `json:"notDoneEither,omitempty"`
}

type explainedLink struct {
	Object    string           `json:"object"`
	Condition metav1.Condition `json:"condition"`
}

func explained(start member, c chain, r remedies) explanation {
	e := explanation{Object: start.title(), Done: len(c.Links) == 0, NeedsAction: c.Mend, NotDoneEither: c.Beside}
	for _, each := range c.Links {
		e.Chain = append(e.Chain, explainedLink{Object: each.title(), Condition: each.Condition})
	}
	if !e.Done {
		last := c.Links[len(c.Links)-1]
		e.RootCause, e.Next = last.sentence(), r.next(last)
	}
	return e
}

// write prints an explanation for a person.
func (e explanation) write(out io.Writer, now time.Time) error {
	var text strings.Builder
	if e.Done {
		fmt.Fprintf(&text, "%s is done: none of its conditions tells of anything to wait for.\n", e.Object)
	}
	for i, each := range e.Chain {
		lead := ""
		if i > 0 {
			lead = "└─ because of "
		}
		since := ""
		if at := each.Condition.LastTransitionTime; !at.IsZero() {
			since = ", since " + age(now, at.Time)
		}
		fmt.Fprintf(&text, "%s%s: %s is %s (%s%s)\n", lead, each.Object, each.Condition.Type, each.Condition.Status, each.Condition.Reason, since)
		if each.Condition.Message != "" {
			for _, line := range wrap(each.Condition.Message, messageWidth) {
				text.WriteString("     " + line + "\n")
			}
		}
	}
	if e.RootCause != "" {
		fmt.Fprintf(&text, "\nRoot cause: %s\n", e.RootCause)
		if e.NeedsAction {
			text.WriteString("Nothing goes on until this is mended. Next:\n")
		} else {
			text.WriteString("The controllers go on by themselves when this is over. To look closer:\n")
		}
		for _, step := range e.Next {
			text.WriteString("  " + shell(step) + "\n")
		}
	}
	switch {
	case len(e.NotDoneEither) == 0:
	case e.Done:
		fmt.Fprintf(&text, "Of what belongs to it, not done: %s\n", strings.Join(e.NotDoneEither, ", "))
	default:
		fmt.Fprintf(&text, "\nNot done either: %s\n", strings.Join(e.NotDoneEither, ", "))
	}
	_, err := io.WriteString(out, text.String())
	return err
}

// shell marks a step that is a command.
func shell(step string) string {
	for _, program := range []string{"kubectl ", "slipway ", "docker "} {
		if strings.HasPrefix(step, program) {
			return "$ " + step
		}
	}
	return step
}
