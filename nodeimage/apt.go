// SPDX-License-Identifier: Apache-2.0

package nodeimage

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// hostAptDir is where the host has apt's configuration.
const hostAptDir = "/etc/apt"

// Debian's own servers: the first is debootstrap's default.
const (
	debianServer         = "http://deb.debian.org/debian"
	debianSecurityServer = "http://deb.debian.org/debian-security"
)

// aptSource is a suite of Debian and the address that it is read from.
type aptSource struct{ suite, mirror string }

// updateSources returns where to read the release and its updates from, as the
// host's own apt configuration has it, and which suites that has no address for. A
// host that does not name the release at all (another distribution) gets it from
// Debian's own servers, and so it does the updates.
func updateSources(aptDir string) (sources []aptSource, missing []string, err error) {
	release, err := debianMirror(aptDir, debianSuite)
	if err != nil {
		return nil, nil, err
	}
	sources = []aptSource{{debianSuite, release}}
	if release == "" {
		sources[0].mirror = debianServer
	}
	for _, suite := range updateSuites {
		mirror, err := debianMirror(aptDir, suite)
		if err != nil {
			return nil, nil, err
		}
		if mirror == "" && release == "" {
			mirror = debianServer
			if strings.HasSuffix(suite, "-security") {
				mirror = debianSecurityServer
			}
		}
		if mirror == "" {
			missing = append(missing, suite)
			continue
		}
		sources = append(sources, aptSource{suite, mirror})
	}
	return sources, missing, nil
}

// debianMirror returns the address that the host's own apt configuration has for
// a Debian suite, so that a host behind a mirror uses it here too; empty when it
// has none (another distribution) and debootstrap's default is to be used.
func debianMirror(aptDir, suite string) (string, error) {
	files := []string{filepath.Join(aptDir, "sources.list")}
	for _, pattern := range []string{"*.list", "*.sources"} {
		matches, err := filepath.Glob(filepath.Join(aptDir, "sources.list.d", pattern))
		if err != nil {
			return "", fmt.Errorf("list apt sources: %w", err)
		}
		files = append(files, matches...)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return "", fmt.Errorf("read apt sources: %w", err)
		}
		find := mirrorInList
		if strings.HasSuffix(file, ".sources") {
			find = mirrorInStanzas
		}
		if mirror := find(string(data), suite); mirror != "" {
			return mirror, nil
		}
	}
	return "", nil
}

// mirrorInList reads the one-line format: "deb [options] <address> <suite> <component>...".
func mirrorInList(text, suite string) string {
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		if start, end := strings.Index(line, "["), strings.Index(line, "]"); start >= 0 && end > start {
			line = line[:start] + line[end+1:]
		}
		fields := strings.Fields(line)
		if len(fields) >= 4 && fields[0] == "deb" && fields[2] == suite && slices.Contains(fields[3:], "main") && usableMirror(fields[1]) {
			return fields[1]
		}
	}
	return ""
}

// mirrorInStanzas reads the deb822 format: stanzas of "Field: values".
func mirrorInStanzas(text, suite string) string {
	for stanza := range strings.SplitSeq(text, "\n\n") {
		fields := map[string][]string{}
		var last string
		for line := range strings.Lines(stanza) {
			if strings.HasPrefix(line, "#") {
				continue
			}
			if strings.HasPrefix(line, " ") || strings.HasPrefix(line, "\t") {
				fields[last] = append(fields[last], strings.Fields(line)...)
				continue
			}
			name, value, found := strings.Cut(line, ":")
			if found {
				last = strings.ToLower(name)
				fields[last] = strings.Fields(value)
			}
		}
		if slices.Contains(fields["enabled"], "no") || !slices.Contains(fields["types"], "deb") ||
			!slices.Contains(fields["suites"], suite) || !slices.Contains(fields["components"], "main") {
			continue
		}
		for _, mirror := range fields["uris"] {
			if usableMirror(mirror) {
				return mirror
			}
		}
	}
	return ""
}

// usableMirror says whether debootstrap understands the address (apt knows more
// methods than it) and may have it: all users of the machine can read its
// arguments, so an address with a user's name or password stays with apt.
func usableMirror(address string) bool {
	parsed, err := url.Parse(address)
	return err == nil && parsed.User == nil && slices.Contains([]string{"http", "https", "file"}, parsed.Scheme)
}
