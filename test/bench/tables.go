// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"fmt"
	"maps"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/moby/moby/client"

	"github.com/slipway-project/slipway/standalone"
)

// Phases, as floor.sh prints them and as they are seen from outside. Each time is from the start of all.
const (
	phaseInfrastructure = "infrastructure"
	phaseBooted         = "booted"
	phaseInitialized    = "initialized"
	phaseNetwork        = "network"
	phaseJoined         = "joined"
	phaseReady          = "ready"
)

// phase is something that is over at some time.
type phase struct{ name, words string }

var quickstartPhases = []phase{
	{phaseInfrastructure, "network and load balancer are there"},
	{phaseBooted, "control-plane container has booted"},
	{phaseInitialized, "`kubeadm init` is done"},
	{phaseNetwork, "pod network is applied"},
	{phaseJoined, "`kubeadm join` is done on all workers"},
	{phaseReady, "**all nodes are Ready**"},
}

// timing is when each phase was over, from the start.
type timing map[string]time.Duration

func (t timing) String() string {
	var said []string
	for _, name := range slices.SortedFunc(maps.Keys(t), func(a, b string) int { return cmp.Or(cmp.Compare(t[a], t[b]), strings.Compare(a, b)) }) {
		said = append(said, fmt.Sprintf("%s %.1f s", name, t[name].Seconds()))
	}
	return strings.Join(said, ", ")
}

// median is that of one phase; 0 where the phase was not seen.
func median(of []timing, phase string) time.Duration {
	var all []time.Duration
	for _, one := range of {
		if one[phase] > 0 {
			all = append(all, one[phase])
		}
	}
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	return all[(len(all)-1)/2]
}

// lines is text that grows by a line at a time.
type lines struct{ strings.Builder }

func (l *lines) add(format string, values ...any) { fmt.Fprintf(l, format+"\n", values...) }

// provenance says how, when and where the figures were taken.
func (b *bench) provenance(target, made string) string {
	return fmt.Sprintf("Taken with `make %s` on %s: %s; load average %s before. Kubernetes %s, medians of %d runs each, alternating.\n",
		target, time.Now().UTC().Format(time.DateOnly), machine(), b.load, made, b.runs)
}

// compare is a table of phases, ours beside the floor's.
func (l *lines) compare(since string, phases []phase, ours, floor []timing) {
	l.add("| %s | Slipway | floor |", since)
	l.add("|---|---:|---:|")
	for _, phase := range phases {
		l.add("| %s | %s | %s |", phase.words, seconds(median(ours, phase.name)), seconds(median(floor, phase.name)))
	}
}

// ratio says how we compare with the floor in one phase.
func (l *lines) ratio(last string, aim float64, until string, ours, floor []timing) {
	l.add("\nSlipway takes %.2f times the floor (aim: at most %.1f). All runs, in seconds until %s: Slipway %s; floor %s.\n",
		median(ours, last).Seconds()/median(floor, last).Seconds(), aim, until, all(ours, last), all(floor, last))
}

func (b *bench) quickstartTables(ours, floor []timing, busy standalone.State, images []image) string {
	var text lines
	text.add("%s", b.provenance("bench-quickstart", fmt.Sprintf("%s, 1 control plane and %d workers", b.version, b.workers)))
	text.compare("Seconds since the start until", quickstartPhases, ours, floor)
	text.ratio(phaseReady, 1.3, "all nodes were Ready", ours, floor)
	text.add("| The management cluster | |")
	text.add("|---|---:|")
	text.add("| `slipway up` on an empty data directory, until ready | %.1f s |", b.up.Seconds())
	text.add("| resident memory when ready, no cluster | %s |", resident(b.empty))
	text.add("| the same after %d clusters were made and deleted | %s |", b.runs, resident(busy))
	text.add("\n| Image | Size, unpacked |")
	text.add("|---|---:|")
	for _, image := range images {
		text.add("| `%s` | %d MB |", image.name, image.bytes/1_000_000)
	}
	return text.String()
}

func seconds(d time.Duration) string {
	if d == 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f", d.Seconds())
}

func all(of []timing, phase string) string {
	var said []string
	for _, one := range of {
		said = append(said, seconds(one[phase]))
	}
	return strings.Join(said, ", ")
}

func resident(state standalone.State) string {
	var total int64
	var parts []string
	for _, process := range state.Processes {
		total += process.ResidentBytes
		parts = append(parts, fmt.Sprintf("%s %d", process.Name, process.ResidentBytes>>20))
	}
	return fmt.Sprintf("%d MiB (%s)", total>>20, strings.Join(parts, ", "))
}

// machine describes what the figures were taken on.
func machine() string {
	said := fmt.Sprintf("%d cores", runtime.NumCPU())
	if info, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for scanner := bufio.NewScanner(bytes.NewReader(info)); scanner.Scan(); {
			if name, value, ok := strings.Cut(scanner.Text(), ":"); ok && strings.TrimSpace(name) == "model name" {
				said += " (" + strings.TrimSpace(value) + ")"
				break
			}
		}
	}
	if info, err := os.ReadFile("/proc/meminfo"); err == nil {
		var kib int64
		if _, err := fmt.Sscanf(string(info), "MemTotal: %d kB", &kib); err == nil {
			said += fmt.Sprintf(", %d GiB", (kib+1<<19)>>20)
		}
	}
	if kernel, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		said += ", Linux " + strings.TrimSpace(string(kernel))
	}
	return said
}

// load is the load average of the last minute.
func load() string {
	content, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	minute, _, _ := strings.Cut(string(content), " ")
	return minute
}

func listImages(ctx context.Context, names []string) ([]image, error) {
	api, err := client.New(client.FromEnv)
	if err != nil {
		return nil, fmt.Errorf("connect to the container engine: %w", err)
	}
	defer api.Close()
	var images []image
	for _, name := range names {
		found, err := api.ImageInspect(ctx, name)
		if err != nil {
			return nil, fmt.Errorf("read image %s: %w", name, err)
		}
		images = append(images, image{name: name, bytes: found.Size})
	}
	return images, nil
}

// replace puts text between the marks of a target in a file.
func replace(file, target, text string) error {
	begin, end := "<!-- begin: make "+target+" -->\n", "<!-- end: make "+target+" -->\n"
	content, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("read tables: %w", err)
	}
	before, rest, found := strings.Cut(string(content), begin)
	_, after, ended := strings.Cut(rest, end)
	if !found || !ended {
		return fmt.Errorf("%s lacks the lines %q and %q, between which the tables go", file, strings.TrimSpace(begin), strings.TrimSpace(end))
	}
	if err := os.WriteFile(file, []byte(before+begin+text+end+after), 0o644); err != nil {
		return fmt.Errorf("write tables: %w", err)
	}
	return nil
}
