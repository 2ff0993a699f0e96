// SPDX-License-Identifier: Apache-2.0

package nodeimage

import "testing"

func TestDebianMirror(t *testing.T) {
	const stanzas = `# a comment
Types: deb
URIs: http://security.example/debian-security
Suites: bookworm-security
Components: main

Types: deb deb-src
# old: http://snapshot.example/debian
URIs: tor+http://hidden.example
 http://mirror.example/debian
Suites: bookworm-updates
 bookworm
Components: main contrib
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
`
	for name, test := range map[string]struct {
		files map[string]string
		want  string
	}{
		"none":            {map[string]string{}, ""},
		"one line":        {map[string]string{"sources.list": "# deb http://old.example bookworm main\ndeb http://one.example/debian bookworm main contrib\n"}, "http://one.example/debian"},
		"options":         {map[string]string{"sources.list": "deb [arch=amd64 signed-by=/x] https://two.example/debian bookworm main\n"}, "https://two.example/debian"},
		"in a folder":     {map[string]string{"sources.list": "", "sources.list.d/debian.list": "deb http://three.example bookworm main"}, "http://three.example"},
		"stanzas":         {map[string]string{"sources.list.d/debian.sources": stanzas}, "http://mirror.example/debian"},
		"turned off":      {map[string]string{"sources.list.d/debian.sources": "Enabled: no\n" + stanzas[len("# a comment\n"):]}, "http://mirror.example/debian"},
		"other suite":     {map[string]string{"sources.list": "deb http://ubuntu.example noble main\ndeb http://x.example bookworm-security main\n"}, ""},
		"other component": {map[string]string{"sources.list": "deb http://x.example bookworm non-free\n"}, ""},
		"source packages": {map[string]string{"sources.list": "deb-src http://x.example bookworm main\n"}, ""},
		"with a password": {map[string]string{"sources.list": "deb https://me:secret@x.example/debian bookworm main\ndeb https://me@y.example/debian bookworm main\n" +
			"deb https://z.example/debian bookworm main\n"}, "https://z.example/debian"},
		"a folder":       {map[string]string{"sources.list": "deb file:/mirror bookworm main\n"}, "file:/mirror"},
		"unknown method": {map[string]string{"sources.list": "deb cdrom:[Debian]/ bookworm main\ndeb mirror+file:/etc/m bookworm main\n"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := debianMirror(writeTree(t, test.files), "bookworm")
			if err != nil || got != test.want {
				t.Errorf("got %q, %v; want %q", got, err, test.want)
			}
		})
	}
	if got := mirrorInStanzas("Enabled: no\nTypes: deb\nURIs: http://x.example\nSuites: bookworm\nComponents: main\n", "bookworm"); got != "" {
		t.Errorf("a source that is turned off gave %q", got)
	}
}
