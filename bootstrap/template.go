// SPDX-License-Identifier: Apache-2.0

package bootstrap

import (
	"errors"
	"fmt"
	"strings"
	"text/template"
	"text/template/parse"
)

// templateLimit bounds what a file's template may write, and each string it computes on the way, in bytes. A node's
// whole user data is rarely allowed to be larger.
const templateLimit = 64 << 10

// renderTemplate renders a file's content as a Go template. Its one variable is .controlPlane.version; it is absent
// where the cluster's control plane shows no version, and asking for it is an error then.
// Loops and nested templates are refused and strings are bounded: the data has no lists, and a text that anyone with
// access to one namespace may write must not hold up or blow up the process that serves all of them.
func renderTemplate(content, controlPlaneVersion string) (string, error) {
	bounded := func(function func(...any) string) func(...any) (string, error) {
		return func(arguments ...any) (string, error) {
			if out := function(arguments...); len(out) <= templateLimit {
				return out, nil
			}
			return "", fmt.Errorf("a string grows beyond %d bytes", templateLimit)
		}
	}
	parsed, err := template.New("content").Option("missingkey=error").Funcs(template.FuncMap{
		"print":    bounded(fmt.Sprint),
		"println":  bounded(fmt.Sprintln),
		"html":     bounded(template.HTMLEscaper),
		"js":       bounded(template.JSEscaper),
		"urlquery": bounded(template.URLQueryEscaper),
		"printf": func(format string, arguments ...any) (string, error) {
			return bounded(func(a ...any) string { return fmt.Sprintf(format, a...) })(arguments...)
		},
	}).Parse(content)
	if err != nil {
		return "", fmt.Errorf("it is not a Go template (%w); correct it, or set contentFormat to Raw", err)
	}
	if len(parsed.Templates()) > 1 {
		return "", errors.New("its template defines further templates; write it without define and block")
	}
	if parsed.Tree == nil { // nothing but comments
		return "", nil
	}
	if err := checkNodes(parsed.Root); err != nil {
		return "", err
	}
	controlPlane := map[string]any{}
	if controlPlaneVersion != "" {
		controlPlane["version"] = controlPlaneVersion
	}
	var out boundedText
	if err := parsed.Execute(&out, map[string]any{"controlPlane": controlPlane}); err != nil {
		return "", fmt.Errorf("its template cannot be rendered (%w); the one variable is .controlPlane.version, there when the cluster's control plane has a version", err)
	}
	return out.String(), nil
}

// checkNodes refuses what could run without end.
func checkNodes(node parse.Node) error {
	var branches []*parse.ListNode
	switch n := node.(type) {
	case *parse.RangeNode, *parse.TemplateNode:
		return fmt.Errorf("its template uses %q; range and template are not allowed here", node)
	case *parse.ListNode:
		branches = []*parse.ListNode{n}
	case *parse.IfNode:
		branches = []*parse.ListNode{n.List, n.ElseList}
	case *parse.WithNode:
		branches = []*parse.ListNode{n.List, n.ElseList}
	}
	for _, branch := range branches {
		if branch == nil {
			continue
		}
		for _, child := range branch.Nodes {
			if err := checkNodes(child); err != nil {
				return err
			}
		}
	}
	return nil
}

// boundedText is a strings.Builder that refuses to grow beyond templateLimit.
type boundedText struct{ strings.Builder }

func (b *boundedText) Write(p []byte) (int, error) {
	if b.Len()+len(p) > templateLimit {
		return 0, fmt.Errorf("it writes more than %d bytes", templateLimit)
	}
	return b.Builder.Write(p)
}
