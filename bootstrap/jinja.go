// SPDX-License-Identifier: Apache-2.0

package bootstrap

import (
	"regexp"
	"strings"
)

// instanceData matches, at its beginning, an expression that asks cloud-init for instance data. The names are the
// roots that cloud-init defines (docs, "Instance metadata"): ds, v1 and the others, and v1's keys, which it also offers
// without the "v1.".
var instanceData = regexp.MustCompile(`^\{\{[-+]?\s*(?:ds|v1|base64_encoded_keys|merged_cfg|merged_system_cfg|sensitive_keys|sys_info|userdata|vendordata|vendordata2|` +
	`availability_zone|beta_keys|cloud_id|cloud_name|distro|distro_release|distro_version|instance_id|kernel_release|local_hostname|machine|` +
	`platform|public_ssh_keys|python_version|region|subplatform|system_platform|unified_id|variant)(?:[\s.\[|][^{}\n]*)?\}\}`)

// braceLiteral matches, at its beginning, the way to have Jinja print braces, as authors who know it write it.
var braceLiteral = regexp.MustCompile(`^\{\{[-+]?\s*(?:'[{}%#]{2}'|"[{}%#]{2}")\s*[-+]?\}\}`)

// authored matches the tags that show that a text was written for Jinja as a whole.
var authored = regexp.MustCompile(`\{%[-+]?\s*raw\s*[-+]?%\}|\{%[^%]*\b(?:ds|v1)[.\[][^%]*%\}`)

// opener returns where the next Jinja tag would open in text, or -1.
func opener(text string) int {
	for i := 0; i+1 < len(text); i++ {
		if text[i] == '{' && (text[i+1] == '{' || text[i+1] == '%' || text[i+1] == '#') {
			return i
		}
	}
	return -1
}

// meantForJinja is the expression at the beginning of text that Jinja is to see, or "".
func meantForJinja(text string) string {
	if found := instanceData.FindString(text); found != "" {
		return found
	}
	return braceLiteral.FindString(text)
}

// escapeJinja makes Jinja print text as it is, but for what its author meant for Jinja (see the package comment).
// It works on finished YAML: Jinja runs before YAML, so quoting does not matter to it. One item (a command, a file) is
// given at a time, so that one item's tags say nothing about another.
func escapeJinja(text string) string {
	if authored.MatchString(text) {
		return text
	}
	var out strings.Builder
	for {
		at := opener(text)
		if at < 0 {
			out.WriteString(text)
			return out.String()
		}
		out.WriteString(text[:at])
		text = text[at:]
		if meant := meantForJinja(text); meant != "" {
			out.WriteString(meant)
			text = text[len(meant):]
			continue
		}
		// Not {% raw %}: cloud-init has Jinja eat the line break after a block tag.
		out.WriteString("{{ '" + text[:2] + "' }}")
		text = text[2:]
	}
}

// dependsOnJinja is true where the machine's text is to differ from this one: something in it is meant for Jinja.
func dependsOnJinja(text string) bool {
	if authored.MatchString(text) {
		return true
	}
	for at := opener(text); at >= 0; at = opener(text) {
		if meantForJinja(text[at:]) != "" {
			return true
		}
		text = text[at+2:]
	}
	return false
}
