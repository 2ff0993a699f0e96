// SPDX-License-Identifier: Apache-2.0

package bootstrap

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// This file writes YAML in the few forms that every reader agrees on. The usual libraries are not used for it because
// they fold lines, quote in a way that breaks Jinja expressions with strings in them, and differ with one another on
// tabs and control characters.

// plainForm are strings that no reader takes for anything but a string, reserved words apart.
var plainForm = regexp.MustCompile(`^[A-Za-z/]([A-Za-z0-9/._:-]*[A-Za-z0-9/])?$`)

func isPlain(s string) bool {
	switch strings.ToLower(s) {
	case "y", "n", "yes", "no", "on", "off", "true", "false", "null":
		return false
	}
	return plainForm.MatchString(s)
}

// scalar is s as YAML, to stand after "key: " or "- " in a block whose lines are indented by indent spaces: plain, in
// double quotes, or as a literal block where quotes or line ends would have to be escaped. The block is not only easier
// on the eye: a Jinja expression with a "string" in it survives only there.
func scalar(s string, indent int) string {
	if isPlain(s) {
		return s
	}
	if strings.ContainsAny(s, "\n\"\\") && fitsLiteralBlock(s) {
		return literalBlock(s, indent)
	}
	return quoted(s)
}

// isPrintable is true for what may stand in YAML without an escape, by the strictest of the readers met (PyYAML), line
// separators and byte-order marks apart: readers differ on those.
func isPrintable(r rune) bool {
	switch {
	case r == '\t', r >= 0x20 && r <= 0x7e, r >= 0xa0 && r <= 0xd7ff, r >= 0xe000 && r <= 0xfffd, r >= 0x10000:
		return r != 0x2028 && r != 0x2029 && r != 0xfeff
	}
	return false
}

// isText is true where s is UTF-8 without control characters other than tabs and line feeds.
func isText(s string) bool {
	for _, r := range s {
		if r != '\n' && !isPrintable(r) {
			return false
		}
	}
	return utf8.ValidString(s)
}

// fitsLiteralBlock is true where a literal block gives s back exactly.
func fitsLiteralBlock(s string) bool {
	if !isText(s) || strings.Trim(s, "\n") == "" {
		return false
	}
	// A last line of blanks without line feed, and blank lines with more blanks than the block's indentation before the
	// first word, are where readers differ.
	lines := strings.Split(s, "\n")
	if last := lines[len(lines)-1]; last != "" && strings.Trim(last, " \t") == "" {
		return false
	}
	return strings.Trim(lines[0], " \t") != "" || lines[0] == ""
}

func literalBlock(s string, indent int) string {
	var out strings.Builder
	out.WriteByte('|')
	// Readers take the first line's blanks for the block's indentation unless told.
	if s[0] == ' ' || s[0] == '\t' || s[0] == '\n' {
		out.WriteByte('2')
	}
	body := strings.TrimRight(s, "\n")
	switch ends := len(s) - len(body); {
	case ends == 0:
		out.WriteByte('-')
	case ends > 1:
		out.WriteByte('+')
		body = s[:len(s)-1]
	}
	for line := range strings.SplitSeq(body, "\n") {
		out.WriteByte('\n')
		if line != "" {
			out.WriteString(strings.Repeat(" ", indent+2))
			out.WriteString(line)
		}
	}
	return out.String()
}

// quoted is s between double quotes. Bytes that are no UTF-8 become U+FFFD; callers that carry bytes use base64.
func quoted(s string) string {
	var out strings.Builder
	out.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			out.WriteByte('\\')
			out.WriteRune(r)
		case r == '\n':
			out.WriteString(`\n`)
		case r == '\t':
			out.WriteString(`\t`)
		case isPrintable(r):
			out.WriteRune(r)
		case r <= 0xff:
			fmt.Fprintf(&out, `\x%02x`, r)
		default:
			fmt.Fprintf(&out, `\u%04x`, r)
		}
	}
	out.WriteByte('"')
	return out.String()
}

// treeText is a JSON tree as YAML, lines indented by indent spaces; apiVersion, kind and name come before the other
// keys, which are sorted.
func treeText(tree any, indent int) string {
	pad := strings.Repeat(" ", indent)
	var out strings.Builder
	switch t := tree.(type) {
	case map[string]any:
		for _, key := range slices.SortedFunc(maps.Keys(t), compareKeys) {
			out.WriteString(pad + scalarKey(key) + ":" + valueText(t[key], indent))
		}
	case []any:
		for _, item := range t {
			switch item.(type) {
			case map[string]any, []any:
				if text := treeText(item, indent+2); text != "" {
					// The item's first line begins where its dash leaves it.
					out.WriteString(pad + "- " + text[indent+2:])
					continue
				}
			}
			out.WriteString(pad + "-" + valueText(item, indent))
		}
	}
	return out.String()
}

// valueText is what stands behind "key:" or "-", with the line feed.
func valueText(value any, indent int) string {
	switch v := value.(type) {
	case string:
		return " " + scalar(v, indent) + "\n"
	case bool:
		return " " + strconv.FormatBool(v) + "\n"
	case float64:
		return " " + strconv.FormatFloat(v, 'f', -1, 64) + "\n"
	case map[string]any:
		if len(v) > 0 {
			return "\n" + treeText(v, indent+2)
		}
		return " {}\n"
	case []any:
		if len(v) > 0 {
			return "\n" + treeText(v, indent)
		}
		return " []\n"
	}
	return " null\n"
}

func scalarKey(key string) string {
	if isPlain(key) && !strings.Contains(key, ":") {
		return key
	}
	return quoted(key)
}

func compareKeys(a, b string) int {
	first := []string{"apiVersion", "kind", "name"}
	rank := func(key string) int {
		if i := slices.Index(first, key); i >= 0 {
			return i
		}
		return len(first)
	}
	if byRank := rank(a) - rank(b); byRank != 0 {
		return byRank
	}
	return strings.Compare(a, b)
}
