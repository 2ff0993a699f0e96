// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"slices"
	"time"
)

// stages are what happens to a cluster, in words.
var stages = []struct {
	name, words string
	floor       bool
}{
	{stageGrow, "a second and a third control plane are made", true},
	{stageUpgrade, "all machines are replaced by an upgrade", true},
	{stageFollower, "a control plane is killed that follows in etcd, and replaced", false},
	{stageLeader, "a control plane is killed that leads etcd, and replaced", false},
}

func (b *bench) upgradeTables(ours, floor []changes) string {
	var text lines
	text.add("%s", b.provenance("bench-upgrade", fmt.Sprintf("%s to %s, %d control planes and %d worker", b.from, b.version, controlPlanes, someWorkers)))
	text.askedTable(ours, floor)
	for _, part := range []struct {
		stage, since, until string
		phases              []phase
	}{
		{stageGrow, "Seconds since 3 control planes are asked for in the place of 1, until", "all nodes were Ready", growPhases},
		{stageUpgrade, "Seconds since the upgrade is asked for, until", "all was settled", upgradePhases},
	} {
		we, they := times(ours, part.stage), times(floor, part.stage)
		text.compare(part.since, part.phases, we, they)
		text.ratio(part.phases[len(part.phases)-1].name, 1.5, part.until, we, they)
	}
	text.repairTable(ours)
	text.usageTable(ours)
	return text.String()
}

// times are those of one stage in all runs.
func times(of []changes, stage string) []timing {
	var taken []timing
	for _, one := range of {
		taken = append(taken, one.taken[stage])
	}
	return taken
}

// askedTable is what clients noticed, all runs together: the worst counts, not the median.
func (l *lines) askedTable(ours, floor []changes) {
	l.add("| While | Connection | Questions | Failed (aim: none) | Longest gap (aim: under 1 s) | floor: failed | floor: longest gap |")
	l.add("|---|---|---:|---:|---:|---:|---:|")
	for _, stage := range stages {
		for i, way := range connections {
			we, theirs := together(ours, stage.name, i), "- | -"
			if stage.floor {
				they := together(floor, stage.name, i)
				theirs = fmt.Sprintf("%d of %d | %.2f s", len(they.failures), they.questions, they.gap.Seconds())
			}
			l.add("| %s | %s | %d | %d | %.2f s | %s |", stage.words, way.words, we.questions, len(we.failures), we.gap.Seconds(), theirs)
		}
	}
	l.add("")
}

func together(of []changes, stage string, way int) asked {
	var sum asked
	for _, one := range of {
		sum = sum.and(one.asked[stage][way])
	}
	return sum
}

// repairTable is when a control plane that was killed was replaced.
func (l *lines) repairTable(ours []changes) {
	l.add("| Seconds since a control plane's container is removed, until | it followed in etcd | it led etcd |")
	l.add("|---|---:|---:|")
	for _, phase := range repairPhases {
		l.add("| %s | %s | %s |", phase.words, seconds(median(times(ours, stageFollower), phase.name)), seconds(median(times(ours, stageLeader), phase.name)))
	}
	l.add("")
}

// usageTable is what the processes of the management cluster took: medians of the time, and the most memory of all runs.
func (l *lines) usageTable(ours []changes) {
	l.add("| CPU seconds, and most resident memory, while | %s | %s | %s | %s |", stageGrow, stageUpgrade, stageFollower, stageLeader)
	l.add("|---|---:|---:|---:|---:|")
	var names []string
	for name := range ours[0].used[stageGrow] {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		row := "| " + name
		for _, stage := range stages {
			var cpu []timing
			var peak int64
			for _, one := range ours {
				used := one.used[stage.name][name]
				// A process that did nothing has a time too, unlike a phase that was not seen.
				cpu, peak = append(cpu, timing{name: max(used.cpu, time.Nanosecond)}), max(peak, used.peak)
			}
			row += fmt.Sprintf(" | %.1f s, %d MiB", median(cpu, name).Seconds(), peak>>20)
		}
		l.add("%s |", row)
	}
}
