// SPDX-License-Identifier: Apache-2.0

package bootstrap

import (
	"runtime"
	"strings"
	"testing"
)

func TestTemplateFunctions(t *testing.T) {
	const content = `{{ printf "%s %v %d%% %q" "a" true 7 "b\n" }} {{ print 1 2 "c" }} {{ html "<" }} {{ js "'" }} {{ urlquery "a b" }} {{ println .controlPlane.version }}`
	const want = "a true 7% \"b\\n\" 1 2c &lt; \\' a+b v1.37.1\n"
	got, err := renderTemplate(content, "v1.37.1", false)
	if err != nil || got != want {
		t.Errorf("rendered %q (%v), want %q", got, err, want)
	}
}

// TestTemplatesStayCheap: what a template costs is bounded by what may be written into one, whether it is refused or not.
func TestTemplatesStayCheap(t *testing.T) {
	const most = 32 << 20
	const half = `{{ $x := "xxxxxxxxxxxxxxxx" }}`
	full := half + strings.Repeat(`{{ $x = print $x $x }}`, 12) // 64 KiB
	for name, content := range map[string]string{
		"a width":              `{{ printf "%999999[1]d" 1 }}`,
		"many widths":          `{{ printf "` + strings.Repeat("%999999[1]d", 5000) + `" 1 }}`,
		"a width as argument":  `{{ printf "%*d" 999999 1 }}`,
		"a precision":          `{{ printf "%.999999f" 1.0 }}`,
		"one argument often":   `{{ $x := "` + strings.Repeat("x", 30000) + `" }}{{ printf "` + strings.Repeat("%[1]s", 6000) + `" $x }}`,
		"doubling":             half + strings.Repeat(`{{ $x = print $x $x }}`, 60),
		"doubling by printf":   half + strings.Repeat(`{{ $x = printf "%s%s" $x $x }}`, 60),
		"one string, joined":   full + `{{ print` + strings.Repeat(` $x`, 20000) + ` }}`,
		"one string, escaped":  full + strings.Repeat(`{{ $y := js $x }}`, 3500),
		"one string, compared": full + strings.Repeat(`{{ $y := eq $x $x }}`, 3000),
		"missing arguments":    `{{ printf "` + strings.Repeat("%s", 30000) + `" }}`,
		"too many arguments":   `{{ printf ""` + strings.Repeat(" 1", 30000) + ` }}`,
		"nested parentheses":   `{{ ` + strings.Repeat("(", 30000) + `1` + strings.Repeat(")", 30000) + ` }}`,
		"nested branches":      strings.Repeat("{{ if 1 }}", 3000) + strings.Repeat("{{ end }}", 3000),
		"too long":             strings.Repeat("{{ 1 }}", 1<<20),
	} {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := renderTemplate(content, "v1.37.1", false)
			runtime.ReadMemStats(&after)
			if used := after.TotalAlloc - before.TotalAlloc; used > most {
				t.Errorf("it took %d MiB (%v)", used>>20, err)
			} else {
				t.Logf("%d KiB, %.100v", used>>10, err)
			}
		})
	}
}
