// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
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

var phases = []struct{ name, words string }{
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
	for _, phase := range phases {
		if t[phase.name] > 0 {
			said = append(said, fmt.Sprintf("%s %.1f s", phase.name, t[phase.name].Seconds()))
		}
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

func (b *bench) tables(ours, floor []timing, up time.Duration, empty, busy standalone.State, images []image) string {
	var text strings.Builder
	line := func(format string, values ...any) { fmt.Fprintf(&text, format+"\n", values...) }
	line("Taken with `make bench-quickstart` on %s: %s; load average %s before. Kubernetes %s, 1 control plane and %d workers, medians of %d runs each, alternating.\n",
		time.Now().UTC().Format(time.DateOnly), machine(), b.load, b.version, b.workers, b.runs)
	line("| Seconds since the start until | Slipway | floor |")
	line("|---|---:|---:|")
	for _, phase := range phases {
		line("| %s | %s | %s |", phase.words, seconds(median(ours, phase.name)), seconds(median(floor, phase.name)))
	}
	ratio := median(ours, phaseReady).Seconds() / median(floor, phaseReady).Seconds()
	line("\nSlipway takes %.2f times the floor (aim: at most 1.3). All runs, in seconds until all nodes were Ready: Slipway %s; floor %s.\n",
		ratio, all(ours), all(floor))
	line("| The management cluster | |")
	line("|---|---:|")
	line("| `slipway up` on an empty data directory, until ready | %.1f s |", up.Seconds())
	line("| resident memory when ready, no cluster | %s |", resident(empty))
	line("| the same after %d clusters were made and deleted | %s |", b.runs, resident(busy))
	line("\n| Image | Size, unpacked |")
	line("|---|---:|")
	for _, image := range images {
		line("| `%s` | %d MB |", image.name, image.bytes/1_000_000)
	}
	return text.String()
}

func seconds(d time.Duration) string {
	if d == 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f", d.Seconds())
}

func all(of []timing) string {
	var said []string
	for _, one := range of {
		said = append(said, seconds(one[phaseReady]))
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

// replace puts text between the marks in a file.
func replace(file, text string) error {
	const begin, end = "<!-- begin: make bench-quickstart -->\n", "<!-- end: make bench-quickstart -->\n"
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
