// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
)

// watchTree keeps the tree of a cluster up to date until the context ends or the Cluster
// is gone.
func (t *tool) watchTree(ctx context.Context, m *management, cluster *clusterv1.Cluster, options treeOptions) error {
	key := client.ObjectKeyFromObject(cluster)
	references, err := m.references(ctx, cluster)
	if err != nil {
		return err
	}
	w, err := m.watchFamily(ctx, "", key, familyKinds(references...))
	if err != nil {
		return ignoreEnd(ctx, err)
	}
	defer w.close()
	alive := m.pulse("", key, t.now)
	defer alive.due.Stop()
	shown := &treeScreen{tool: t, key: key, options: options}
	shown.width, shown.height = screen(t.out)
	// On a terminal the ages go on without events.
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	p := newProgress(t.err, t.now)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-alive.due.C:
			if err := alive.ask(ctx, p); err != nil {
				return err
			}
			continue
		case <-tick.C:
			if shown.width == 0 {
				continue
			}
		case <-w.changed:
		}
		f, err := w.read(ctx)
		if err != nil {
			return ignoreEnd(ctx, err)
		}
		if f.Cluster == nil {
			p.say("Cluster %s is gone.", key)
			return nil
		}
		if err := shown.show(f); err != nil {
			return err
		}
	}
}

// ignoreEnd is no error for what was ended on purpose.
func ignoreEnd(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// treeScreen shows a tree again and again.
type treeScreen struct {
	tool    *tool
	key     client.ObjectKey
	options treeOptions
	// width and height are those of the terminal; 0 means that it is none.
	width, height int
	last          *branch
}

// show draws the tree over the one before; where the output is no terminal it prints the
// first, and then the changes.
func (s *treeScreen) show(f family) error {
	now := s.tool.now()
	if s.width > 0 {
		var text bytes.Buffer
		if err := table(&text, treeRows(tree(f, s.options), now)); err != nil {
			return err
		}
		// A terminal can change its size.
		s.width, s.height = screen(s.tool.out)
		heading := fmt.Sprintf("Cluster %s at %s; Ctrl-C ends", s.key, now.Format(time.TimeOnly))
		_, err := s.tool.out.Write([]byte(picture(heading, text.String(), s.width, s.height)))
		return err
	}
	// Machines that are drawn together would hide which of them changed.
	s.options.Grouping = false
	drawn := tree(f, s.options)
	if s.last == nil {
		s.last = &drawn
		return table(s.tool.out, treeRows(drawn, now))
	}
	for _, change := range treeChanges(*s.last, drawn) {
		if _, err := fmt.Fprintf(s.tool.out, "%s %s\n", now.Format(time.TimeOnly), change); err != nil {
			return err
		}
	}
	s.last = &drawn
	return nil
}

// picture is a text that covers a terminal: drawn from its upper left corner, and cut to
// its size.
func picture(heading, text string, width, height int) string {
	lines := append([]string{heading}, strings.Split(strings.TrimSuffix(text, "\n"), "\n")...)
	if room := max(height-1, 2); len(lines) > room {
		left := len(lines) - room + 1
		lines = append(lines[:room-1], fmt.Sprintf("... and %s", plural(left, "more line")))
	}
	var out strings.Builder
	out.WriteString("\x1b[H")
	for _, line := range lines {
		out.WriteString(cut(line, width) + "\x1b[K\r\n")
	}
	out.WriteString("\x1b[J")
	return out.String()
}

// treeChanges are what is different in a tree, an object a line.
func treeChanges(before, after branch) []string {
	was, order := rowsByObject(before)
	is, now := rowsByObject(after)
	var changes []string
	for _, name := range now {
		row, known := was[name]
		switch current := is[name]; {
		case !known:
			changes = append(changes, "new: "+stateOf(name, current))
		case stateOf(name, row) != stateOf(name, current):
			changes = append(changes, stateOf(name, current))
		}
	}
	for _, name := range order {
		if _, there := is[name]; !there {
			changes = append(changes, "gone: "+name)
		}
	}
	return changes
}

// rowsByObject are the rows of a tree that stand for objects, by Kind/name, and their
// order.
func rowsByObject(root branch) (rows map[string]branch, order []string) {
	rows = map[string]branch{}
	var visit func(branch)
	visit = func(b branch) {
		name, _, _ := strings.Cut(b.Title, " (")
		if _, behind, found := strings.Cut(name, " - "); found {
			name = behind
		}
		if strings.Contains(name, "/") {
			rows[name] = b
			order = append(order, name)
		}
		for _, child := range b.Children {
			visit(child)
		}
	}
	visit(root)
	return rows, order
}

// stateOf says a row in one line.
func stateOf(name string, b branch) string {
	text := name
	if _, marks, found := strings.Cut(b.Title, " ("); found {
		text += " (" + marks
	}
	text += ":"
	// A Machine counts as one of itself, which tells nothing.
	if b.Replicas != "" && !strings.HasPrefix(name, machineKind.Kind+"/") {
		text += fmt.Sprintf(" %s machines", b.Replicas)
		for _, each := range []struct{ count, what string }{{b.Available, "available"}, {b.Ready, "ready"}, {b.UpToDate, "up to date"}} {
			if each.count != "" {
				text += fmt.Sprintf(", %s %s", each.count, each.what)
			}
		}
		text += ";"
	}
	if b.Condition == nil || b.Condition.Type == "" {
		return strings.TrimRight(text, ":;")
	}
	text += fmt.Sprintf(" %s is %s (%s)", b.Condition.Type, b.Condition.Status, b.Condition.Reason)
	if b.Condition.Message != "" {
		text += ": " + oneLine(b.Condition.Message)
	}
	return text
}
