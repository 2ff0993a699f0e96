// SPDX-License-Identifier: Apache-2.0

package bootstrap

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"text/template"
	"text/template/parse"
)

const (
	// templateLimit bounds a file's template, what it may write, and each string it computes on the way, in bytes. A
	// node's whole user data is rarely allowed to be larger.
	templateLimit = 64 << 10
	// workLimit bounds all that one template takes in and gives out in computing strings, together.
	workLimit = 16 * templateLimit
)

// renderTemplate renders a file's content as a Go template. Its one variable is .controlPlane.version; it is absent
// where the cluster's control plane shows no version, and asking for it is an error then.
// Loops and nested templates are refused and strings are bounded: the data has no lists, and a text that anyone with
// access to one namespace may write must not hold up or blow up the process that serves all of them. What goes into a
// string is counted before the string is made.
// Errors end up in conditions and events. Of a content that comes from a Secret they tell the line at most.
func renderTemplate(content, controlPlaneVersion string, fromSecret bool) (string, error) {
	if len(content) > templateLimit {
		return "", fmt.Errorf("its template has %d bytes, and %d are the most; make it shorter, or set contentFormat to Raw", len(content), templateLimit)
	}
	because := func(err error) string {
		if fromSecret {
			return lineOf(err)
		}
		return err.Error()
	}
	parsed, err := template.New("content").Option("missingkey=error").Funcs(boundedFunctions()).Parse(content)
	if err != nil {
		return "", fmt.Errorf("it is not a Go template (%s); correct it, or set contentFormat to Raw", because(err))
	}
	if len(parsed.Templates()) > 1 {
		return "", errors.New("its template defines further templates; write it without define and block")
	}
	if parsed.Tree == nil { // nothing but comments
		return "", nil
	}
	if err := checkNodes(parsed.Root, content); err != nil {
		return "", err
	}
	controlPlane := map[string]any{}
	if controlPlaneVersion != "" {
		controlPlane["version"] = controlPlaneVersion
	}
	var out boundedText
	if err := parsed.Execute(&out, map[string]any{"controlPlane": controlPlane}); err != nil {
		return "", fmt.Errorf("its template cannot be rendered (%s); the one variable is .controlPlane.version, there when the cluster's control plane has a version", because(err))
	}
	return out.String(), nil
}

var errorLine = regexp.MustCompile(`^template: content:(\d+)`)

// lineOf is what an error of package template says without a word of the template.
func lineOf(err error) string {
	if found := errorLine.FindStringSubmatch(err.Error()); found != nil {
		return "line " + found[1]
	}
	return "its text is not shown"
}

// plainVerbs are what printf is left with here: widths and argument numbers would make much out of little.
var plainVerbs = regexp.MustCompile(`^(?:[^%]|%[svdq%])*$`)

// boundedFunctions stand in for those of the template language that make strings.
func boundedFunctions() template.FuncMap {
	done := 0
	bounded := func(function func(...any) string) func(...any) (string, error) {
		return func(arguments ...any) (string, error) {
			taken := 0
			for _, argument := range arguments {
				taken += size(argument)
			}
			if taken > templateLimit {
				return "", fmt.Errorf("a string grows beyond %d bytes", templateLimit)
			}
			out := function(arguments...)
			if done += taken + len(out); done > workLimit {
				return "", fmt.Errorf("it computes more than %d bytes", workLimit)
			}
			if len(out) > templateLimit {
				return "", fmt.Errorf("a string grows beyond %d bytes", templateLimit)
			}
			return out, nil
		}
	}
	return template.FuncMap{
		"print":    bounded(fmt.Sprint),
		"println":  bounded(fmt.Sprintln),
		"html":     bounded(template.HTMLEscaper),
		"js":       bounded(template.JSEscaper),
		"urlquery": bounded(template.URLQueryEscaper),
		"printf": func(format string, arguments ...any) (string, error) {
			if !plainVerbs.MatchString(format) {
				return "", errors.New("printf takes only %s, %v, %d, %q and %% here, without widths")
			}
			return bounded(func(a ...any) string { return fmt.Sprintf(a[0].(string), a[1:]...) })(append([]any{format}, arguments...)...)
		},
	}
}

// size is how many bytes an argument may take, roughly.
func size(argument any) int {
	if text, ok := argument.(string); ok {
		return len(text)
	}
	return 64 // a number, a truth value, or the data with its one short string
}

// checkNodes refuses what could run without end.
func checkNodes(node parse.Node, content string) error {
	refused := func(word string) error {
		line := 1 + strings.Count(content[:node.Position()], "\n")
		return fmt.Errorf("its template uses %s in line %d; range and template are not allowed here", word, line)
	}
	var branches []*parse.ListNode
	switch n := node.(type) {
	case *parse.RangeNode:
		return refused("range")
	case *parse.TemplateNode:
		return refused("template")
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
			if err := checkNodes(child, content); err != nil {
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
