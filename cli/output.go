// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/util/duration"
	"sigs.k8s.io/yaml"
)

// format is what -o asks for.
type format string

const (
	formatTable format = ""
	formatJSON  format = "json"
	formatYAML  format = "yaml"
)

// place adds -o to a command.
func (f *format) place(command *cobra.Command) {
	command.Flags().VarP(f, "output", "o", "print as json or yaml")
	_ = command.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]cobra.Completion{"json", "yaml"}, cobra.ShellCompDirectiveNoFileComp))
}

func (f *format) String() string { return string(*f) }

// Set reads the flag's value.
func (f *format) Set(value string) error {
	if value != string(formatJSON) && value != string(formatYAML) {
		return fmt.Errorf("%q is no format; use json or yaml", value)
	}
	*f = format(value)
	return nil
}

// Type is what help calls the flag's value.
func (f *format) Type() string { return "json|yaml" }

// print writes a value in a format other than a table.
func (f *format) print(out io.Writer, value any) error {
	var text []byte
	var err error
	if *f == formatJSON {
		text, err = json.MarshalIndent(value, "", "  ")
		text = append(text, '\n')
	} else {
		text, err = yaml.Marshal(value)
	}
	if err != nil {
		return fmt.Errorf("encode output: %w", err)
	}
	_, err = out.Write(text)
	return err
}

// writePrivate writes a file that only its owner can read, whoever could read one of
// that name before. An end in between leaves the old file or the new one, never a part.
func writePrivate(path string, text []byte) (err error) {
	if info, statErr := os.Stat(path); statErr == nil && !info.Mode().IsRegular() {
		return fmt.Errorf("--output-file: %s is there and is no file; give the name of a file", path)
	}
	// Through a link, to what it points at.
	if resolved, linkErr := filepath.EvalSymlinks(path); linkErr == nil {
		path = resolved
	}
	temporary, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*") // 0600
	if err != nil {
		return fmt.Errorf("--output-file: write %s: %w; give a place that you may write to", path, err)
	}
	defer func() {
		if err != nil {
			_ = temporary.Close()
			_ = os.Remove(temporary.Name())
			err = fmt.Errorf("--output-file: write %s: %w", path, err)
		}
	}()
	if _, err = temporary.Write(text); err != nil {
		return err
	}
	if err = temporary.Sync(); err != nil {
		return err
	}
	if err = temporary.Close(); err != nil {
		return err
	}
	return os.Rename(temporary.Name(), path)
}

// table writes rows in columns; the first row is the heading. A row may have fewer
// cells than others.
func table(out io.Writer, rows [][]string) error {
	var widths []int
	for _, row := range rows {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	var text strings.Builder
	for _, row := range rows {
		var line strings.Builder
		for i, cell := range row {
			line.WriteString(cell)
			line.WriteString(strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell)+3))
		}
		text.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
	_, err := io.WriteString(out, text.String())
	return err
}

// wrap breaks each line of a text between words, at a number of characters if there
// is a place to break; what was broken is indented as its line.
func wrap(text string, limit int) []string {
	var lines []string
	for line := range strings.SplitSeq(strings.TrimSpace(text), "\n") {
		// The mark of a list belongs to the first word.
		body := strings.TrimLeft(line, " *")
		lead := line[:len(line)-len(body)]
		indent := strings.Repeat(" ", len(lead))
		words := strings.Split(body, " ")
		current := lead + words[0]
		for _, word := range words[1:] {
			if utf8.RuneCountInString(current)+1+utf8.RuneCountInString(word) > limit {
				lines = append(lines, current)
				current = indent + word
			} else {
				current += " " + word
			}
		}
		lines = append(lines, current)
	}
	return lines
}

// age is how long ago a time was, short, as kubectl has it.
func age(now, at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return duration.HumanDuration(now.Sub(at))
}

// elapsed is a length of time for a person, with a tenth of a second.
func elapsed(d time.Duration) string {
	if d < 0 {
		d = 0
	}
	if d < time.Minute {
		return fmt.Sprintf("%.1fs", d.Seconds())
	}
	d = d.Round(time.Second)
	return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
}

// listed joins names in order, for a sentence.
func listed(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	names = slices.Clone(names)
	slices.Sort(names)
	return strings.Join(names, ", ")
}

// oneLine folds a text of several lines.
func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

// plural is a count with its noun: "1 Machine", "2 Machines".
func plural(count int, noun string) string {
	if count == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", count, noun)
}
