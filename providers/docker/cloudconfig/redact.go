// SPDX-License-Identifier: Apache-2.0

package cloudconfig

import (
	"regexp"
	"strings"
)

const hidden = "[redacted]"

var secrets = []struct {
	pattern *regexp.Regexp
	with    string
}{
	{regexp.MustCompile(`(?s)-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(-----END [A-Z ]*PRIVATE KEY-----|$)`), hidden},
	// The end of a key whose beginning was cut off, as the last lines of an output may begin.
	{regexp.MustCompile(`(?s)\A.*?-----END [A-Z ]*PRIVATE KEY-----`), hidden},
	// https://user:password@host, and a token in the user's place.
	{regexp.MustCompile(`(\b[A-Za-z][A-Za-z0-9+.-]*://)[^/\s"'<>]+@`), "${1}" + hidden + "@"},
	// -u user:password, as curl takes it.
	{regexp.MustCompile(`((?:^|[\s"'\[,(])(?:-[uU]|--(?:proxy-)?user)["']?[ =,]*)("[^"\n]*:[^"\n]*"|'[^'\n]*:[^'\n]*'|[^\s"':]+:[^\s"']+)`), "${1}" + hidden},
	// Bootstrap tokens, wherever they stand.
	{regexp.MustCompile(`\b[a-z0-9]{6}\.[a-z0-9]{16}\b`), hidden},
	// --token x, --certificate-key=x and the like.
	{regexp.MustCompile(`(--[a-z-]*(?:token|certificate-key|password|passwd|secret)[ =]+)("[^"]*"|'[^']*'|[^\s"']+)`), "${1}" + hidden},
	// token: x, "password"="x" and the like; not --discovery-token-ca-cert-hash, which is no secret.
	{regexp.MustCompile(`(?i)\b((?:[a-z_-]*(?:token|password|passwd|secret|certificatekey|certificate[-_ ]key|private[-_ ]key))["']?[ \t]*[:=][ \t]*)("[^"\n]*"|'[^'\n]*'|[^\s"']+)`), "${1}" + hidden},
	// AWS_SECRET_ACCESS_KEY=x, registryPassword2=x and the like; in capitals, as environment variables are written, with a
	// colon too.
	{regexp.MustCompile(`(?i)\b([a-z0-9_]*(?:secret|password|passwd|token|access_?key)[a-z0-9_]*["']?[ \t]*=[ \t]*)("[^"\n]*"|'[^'\n]*'|[^\s"']+)`), "${1}" + hidden},
	{regexp.MustCompile(`\b([A-Z0-9_]*(?:SECRET|PASSWORD|PASSWD|TOKEN|ACCESS_?KEY)[A-Z0-9_]*["']?[ \t]*:[ \t]*)("[^"\n]*"|'[^'\n]*'|[^\s"']+)`), "${1}" + hidden},
	{regexp.MustCompile(`(?i)\b(authorization:\s*(?:bearer|basic)\s+)\S+`), "${1}" + hidden},
	// kubeadm prints the certificate key, 32 bytes in hexadecimal, on a line of its own.
	{regexp.MustCompile(`(?m)^([ \t]*)[0-9a-f]{64}[ \t]*$`), "${1}" + hidden},
}

// Redact replaces what looks like a secret of a bootstrap (tokens, keys, passwords) and drops control characters, so that
// the text can stand in a condition, an event or a log.
func Redact(text string) string {
	for _, secret := range secrets {
		text = secret.pattern.ReplaceAllString(text, secret.with)
	}
	return strings.Map(func(r rune) rune {
		if (r < ' ' && r != '\n' && r != '\t') || r == 0x7f {
			return -1
		}
		return r
	}, text)
}
