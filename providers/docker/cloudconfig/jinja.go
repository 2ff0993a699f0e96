// SPDX-License-Identifier: Apache-2.0

package cloudconfig

import (
	"fmt"
	"regexp"
	"strings"
)

// Metadata is what the cloud-config can ask for of the machine that it runs on.
type Metadata struct {
	LocalHostname string // the node's host name; also hostname
	InstanceID    string // tells this machine from every other one
	// Address is the node's IP address, "" when not known.
	Address string
}

// lookup gives the value of an instance-data expression. cloud-init offers the standardised keys under "v1." and without
// a prefix, and those of the data source under "ds.meta_data."; a "-" in a key may be written "_".
func (m Metadata) lookup(expression string) (value string, known bool) {
	key := subscript.ReplaceAllString(expression, ".$1")
	key = strings.ReplaceAll(key, "-", "_")
	for _, prefix := range []string{"ds.meta_data.", "v1."} {
		if rest, found := strings.CutPrefix(key, prefix); found {
			key = rest
			break
		}
	}
	switch key {
	case "local_hostname", "hostname":
		return m.LocalHostname, true
	case "instance_id":
		return m.InstanceID, true
	case "local_ipv4", "local_address":
		return m.Address, m.Address != ""
	case "cloud_name", "platform", "cloud_id":
		return "docker", true
	case "region", "availability_zone":
		return "", true
	}
	return "", false
}

var (
	subscript = regexp.MustCompile(`\[\s*["']([\w-]+)["']\s*\]`)
	literal   = regexp.MustCompile(`^(?:'([^'\\]*)'|"([^"\\]*)")$`)
	// literalTag matches, at its beginning, an expression that is nothing but a string.
	literalTag = regexp.MustCompile(`^\{\{[-+]?\s*(?:'[^'\\]*'|"[^"\\]*")\s*[-+]?\}\}`)
	rawTag     = regexp.MustCompile(`^\{%([-+]?)\s*raw\s*([-+]?)%\}`)
	endRawTag  = regexp.MustCompile(`\{%([-+]?)\s*endraw\s*([-+]?)%\}`)
)

const jinjaHeader = "## template: jinja"

// renderJinja substitutes what cloud-init would, when the text begins with the header that asks for it: expressions of
// instance data, string literals, comments and {% raw %}. Anything else of Jinja is an error that quotes it, because text
// that is left as it is, or left out, fails later and further away.
func renderJinja(text string, metadata Metadata) (string, error) {
	first, _, _ := strings.Cut(text, "\n")
	if !strings.HasPrefix(strings.TrimSpace(first), jinjaHeader) {
		return text, nil
	}
	var out strings.Builder
	rest := text
	for {
		at := openTag(rest)
		if at < 0 {
			out.WriteString(rest)
			return out.String(), nil
		}
		before, tagged := rest[:at], rest[at:]
		line := 1 + strings.Count(text[:len(text)-len(tagged)], "\n")
		value, after, err := renderTag(tagged, metadata)
		if err != nil {
			return "", fmt.Errorf("cloud-config line %d: %w", line, err)
		}
		if strings.HasPrefix(tagged[2:], "-") { // whitespace control
			before = strings.TrimRight(before, " \t\r\n")
		}
		out.WriteString(before)
		out.WriteString(value)
		rest = after
	}
}

// renderTag renders the tag at the beginning of text and returns what follows it.
func renderTag(text string, metadata Metadata) (value, rest string, err error) {
	switch text[:2] {
	case "{#":
		end := strings.Index(text, "#}")
		if end < 0 {
			return "", "", fmt.Errorf("a Jinja comment {# is not closed: write {{ '{#' }} for the characters themselves")
		}
		return "", afterBlock(text[end+2:], text[end-1] == '-'), nil
	case "{%":
		return renderRaw(text)
	}
	end := strings.Index(text, "}}")
	if whole := literalTag.FindString(text); whole != "" {
		end = len(whole) - len("}}") // the literals '}}' and "}}" hold the closing characters themselves
	}
	// What closes on a later line belongs to another expression, and between the two may stand anything.
	if end < 0 || strings.Contains(text[:end], "\n") {
		return "", "", fmt.Errorf("a Jinja expression {{ is not closed on its line: write {{ '{{' }} for the characters themselves")
	}
	inner, rest := text[2:end], text[end+2:]
	if strings.HasSuffix(inner, "-") {
		rest = strings.TrimLeft(rest, " \t\r\n")
	}
	expression := strings.TrimSpace(strings.Trim(inner, "-+"))
	if parts := literal.FindStringSubmatch(expression); parts != nil {
		return parts[1] + parts[2], rest, nil
	}
	value, known := metadata.lookup(expression)
	if !known {
		return "", "", fmt.Errorf("the Jinja expression {{ %s }} is not known here: known are ds.meta_data.local_hostname, ds.meta_data.instance_id and their v1 forms; write {{ '{{' }} for the characters themselves", quoted(expression))
	}
	return value, rest, nil
}

// quoted is as much of a template as an error may repeat: enough to find it.
func quoted(text string) string {
	const longest = 60
	text = Redact(text)
	if runes := []rune(text); len(runes) > longest {
		text = string(runes[:longest]) + "..."
	}
	return text
}

// renderRaw gives the text between {% raw %} and {% endraw %} as it is.
func renderRaw(text string) (value, rest string, err error) {
	open := rawTag.FindStringSubmatch(text)
	if open == nil {
		statement, _, _ := strings.Cut(text, "\n")
		statement, _, closed := strings.Cut(statement, "%}")
		if !closed {
			return "", "", fmt.Errorf("a Jinja statement {%% is not closed on its line: write {{ '{%%' }} for the characters themselves")
		}
		return "", "", fmt.Errorf("the Jinja statement %s%%} is not supported: write it without, or {{ '{%%' }} for the characters themselves", quoted(statement))
	}
	body := afterBlock(text[len(open[0]):], open[2] == "-")
	end := endRawTag.FindStringSubmatchIndex(body)
	if end == nil {
		return "", "", fmt.Errorf("the Jinja statement {%% raw %%} has no {%% endraw %%}")
	}
	value = body[:end[0]]
	if body[end[2]:end[3]] == "-" {
		value = strings.TrimRight(value, " \t\r\n")
	}
	return value, afterBlock(body[end[1]:], body[end[4]:end[5]] == "-"), nil
}

// afterBlock drops what Jinja, as cloud-init sets it up, drops after a block or comment tag: one line break, or with "-"
// all white space.
func afterBlock(text string, all bool) string {
	if all {
		return strings.TrimLeft(text, " \t\r\n")
	}
	return strings.TrimPrefix(strings.TrimPrefix(text, "\r"), "\n")
}

// openTag is where the next tag opens, or -1.
func openTag(text string) int {
	for i := 0; i+1 < len(text); i++ {
		if text[i] == '{' && (text[i+1] == '{' || text[i+1] == '%' || text[i+1] == '#') {
			return i
		}
	}
	return -1
}
