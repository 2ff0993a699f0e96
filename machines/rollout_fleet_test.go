// SPDX-License-Identifier: Apache-2.0

package machines

import (
	"bytes"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the transcripts of rollouts into the golden files")

// unit is a Machine of a simulated fleet.
type unit struct {
	set              int
	available, going bool
	// hopeless ones never become available.
	hopeless bool
}

// world is what there was at one time.
type world struct {
	units map[int]unit
}

// simulatedSet is a MachineSet and what its controller has seen and told.
type simulatedSet struct {
	// asked are the numbers asked of it so far, with the pass that each is of; disabled
	// says whether it made Machines no more then.
	asked []asked
	// saw is the number that its controller has seen, told what its status says.
	saw  int
	told told
	// wrote is the time of the last write of its controller: it never looks at an older one.
	wrote int
}

type asked struct {
	replicas, pass int
	disabled       bool
	// at is the time that the MachineDeployment saw. Both controllers read Machines from
	// one cache, so who has seen this number sees nothing older.
	at int
}

// told is a status: of which number it is, how many Machines there are, the time at which
// they were seen, and whether none is made.
type told struct {
	generation, replicas, at int
	idle                     bool
}

// fleet simulates a MachineDeployment with its MachineSets: who acts when, and how old what
// he sees is, is up to the caller.
type fleet struct {
	replicas, surge, unavailable int
	onDelete, paused             bool
	current                      int
	sets                         []*simulatedSet
	history                      []world
	names                        int
	// limits and leasts are those of each pass of the MachineDeployment. Where fewer were
	// available already than have to be, least is how many of them were to be left.
	limits, leasts []int
	broken         []string
}

func (f *fleet) now() world { return f.history[len(f.history)-1] }

// change makes a new time.
func (f *fleet) change(by func(units map[int]unit)) {
	units := map[int]unit{}
	for name, u := range f.now().units {
		units[name] = u
	}
	by(units)
	f.history = append(f.history, world{units})
}

func (w world) of(set int) (owned []int) {
	for name, u := range w.units {
		if u.set == set {
			owned = append(owned, name)
		}
	}
	slices.Sort(owned)
	return owned
}

func (w world) available() (count int) {
	for _, u := range w.units {
		if u.available && !u.going {
			count++
		}
	}
	return count
}

func newFleet(replicas, surge, unavailable int) *fleet {
	return &fleet{
		replicas: replicas, surge: surge, unavailable: unavailable, history: []world{{map[int]unit{}}},
		limits: []int{replicas + surge}, leasts: []int{max(replicas-unavailable, 0)},
	}
}

// add makes a set with Machines, of which so many are available.
func (f *fleet) add(count, available int) {
	at := len(f.sets)
	f.change(func(units map[int]unit) {
		for i := range count {
			units[f.names] = unit{set: at, available: i < available, hopeless: i >= available}
			f.names++
		}
	})
	f.sets = append(f.sets, &simulatedSet{asked: []asked{{replicas: count}}, told: told{replicas: count, at: len(f.history) - 1}, wrote: len(f.history) - 1})
	f.current = at
}

// deployment is a pass of the MachineDeployment, which sees Machines as they were some time
// ago, though never before what it knows a MachineSet to have seen.
func (f *fleet) deployment(lag func(limit int) int) (changed bool) {
	oldest := 0
	for _, set := range f.sets {
		oldest = max(oldest, set.told.at)
	}
	at := len(f.history) - 1 - lag(len(f.history)-1-oldest)
	seen := f.history[at]
	numbers := Fleet{Replicas: f.replicas, Surge: f.surge, Unavailable: min(f.unavailable, f.replicas), OnDelete: f.onDelete, Current: f.current}
	if f.paused {
		numbers.Current = -1
	}
	for i, set := range f.sets {
		share := Share{Replicas: set.asked[len(set.asked)-1].replicas, Reported: set.told.replicas, Idle: set.told.idle && set.asked[len(set.asked)-1].disabled, Behind: set.told.generation < len(set.asked)-1}
		for _, name := range seen.of(i) {
			share.Seen++
			switch u := seen.units[name]; {
			case u.going:
				share.Going++
			case u.available:
				share.Available++
			}
		}
		numbers.Shares = append(numbers.Shares, share)
	}
	step := Roll(numbers)
	limit, least := numbers.Limit(), numbers.Least()
	if f.onDelete {
		least = 0
	}
	left := 0
	for i, count := range step.Replicas {
		share := numbers.Shares[i]
		left += min(count, max(share.Available-max(share.Seen-share.Going-share.Replicas, 0), 0))
	}
	f.mayAsk(numbers, step)
	least = min(least, left)
	if step.Behind >= 0 {
		// What was asked before stands.
		limit, least = max(limit, f.limits[len(f.limits)-1]), min(least, f.leasts[len(f.leasts)-1])
	}
	f.limits, f.leasts = append(f.limits, limit), append(f.leasts, least)
	for i, count := range step.Replicas {
		set := f.sets[i]
		last := set.asked[len(set.asked)-1]
		if disabled := numbers.Current >= 0 && i != f.current; last.replicas != count || last.disabled != disabled {
			set.asked = append(set.asked, asked{count, len(f.limits) - 1, disabled, at})
			changed = true
		}
	}
	return changed
}

// mayAsk: as many Machines stay asked for as have to be available, except for those that are
// known to be gone or to be going. So none is given up that is only not seen yet.
func (f *fleet) mayAsk(numbers Fleet, step Step) {
	before, after := 0, 0
	for i, share := range numbers.Shares {
		before += share.Replicas
		after += step.Replicas[i] + share.Going
		if share.Idle {
			after += max(share.Replicas-share.Seen, 0)
		}
	}
	if after < min(before, numbers.Least()) && !f.onDelete {
		f.broken = append(f.broken, fmt.Sprintf("%v are asked for of %+v", step.Replicas, numbers))
	}
}

// machineSet is a pass of a MachineSet, which sees the number asked of it and its Machines
// as they were some time ago.
func (f *fleet) machineSet(i int, lag func(limit int) int) (changed bool) {
	set := f.sets[i]
	set.saw = len(set.asked) - 1 - lag(len(set.asked)-1-set.saw)
	set.wrote = max(set.wrote, set.asked[set.saw].at)
	at := len(f.history) - 1 - lag(len(f.history)-1-set.wrote)
	set.wrote = at // what was seen once is not unseen
	seen := f.history[at]
	owned := seen.of(i)
	want := set.asked[set.saw]
	status := told{set.saw, len(owned), at, want.disabled && len(owned) < want.replicas}
	before := set.told
	before.at = at
	changed, set.told = before != status, status
	switch {
	case len(owned) < want.replicas && !want.disabled:
		f.make(i, want.replicas-len(owned))
	case len(owned) > want.replicas:
		slices.SortStableFunc(owned, func(a, b int) int { return rank(seen.units[a]) - rank(seen.units[b]) })
		owned = slices.DeleteFunc(owned[:len(owned)-want.replicas], func(name int) bool { return seen.units[name].going })
		if len(owned) == 0 {
			return changed
		}
		for _, name := range owned {
			f.remove(name, seen)
		}
	default:
		return changed
	}
	set.wrote = len(f.history) - 1
	return true
}

func rank(u unit) int {
	switch {
	case u.going:
		return 0
	case !u.available:
		return 1
	default:
		return 2
	}
}

func (f *fleet) make(set, count int) {
	f.change(func(units map[int]unit) {
		for range count {
			units[f.names] = unit{set: set}
			f.names++
		}
	})
	most := 0
	for _, limit := range f.limits[f.oldestPass():] {
		most = max(most, limit)
	}
	if total := len(f.now().units); total > most {
		f.broken = append(f.broken, fmt.Sprintf("set %d made Machines: there are %d where there may be %d", set, total, most))
	}
}

// remove deletes a Machine. That it became available since it was chosen nobody could know.
func (f *fleet) remove(name int, seen world) {
	was := seen.units[name]
	f.change(func(units map[int]unit) {
		if u, there := units[name]; there {
			u.going = true
			units[name] = u
		}
	})
	least := f.replicas
	for _, l := range f.leasts[f.oldestPass():] {
		least = min(least, l)
	}
	if left := f.now().available(); was.available && !was.going && left < least {
		f.broken = append(f.broken, fmt.Sprintf("a Machine of set %d was removed: %d are available where %d have to be", was.set, left, least))
	}
}

// oldestPass is the oldest pass of the MachineDeployment that a MachineSet acts by still.
func (f *fleet) oldestPass() int {
	oldest := len(f.limits) - 1
	for _, set := range f.sets {
		if set.saw < len(set.asked)-1 {
			oldest = min(oldest, set.asked[set.saw].pass)
		}
	}
	return oldest
}

// happens lets Machines come to be available and go, each by the chance given.
func (f *fleet) happens(chance func() bool) (changed bool) {
	names := make([]int, 0, len(f.now().units))
	for name := range f.now().units {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		u := f.now().units[name]
		switch {
		case u.going && chance():
			f.change(func(units map[int]unit) { delete(units, name) })
			changed = true
		case !u.going && !u.available && !u.hopeless && chance():
			f.change(func(units map[int]unit) { u.available = true; units[name] = u })
			changed = true
		}
	}
	return changed
}

func (f *fleet) done() bool {
	for i, set := range f.sets {
		want := 0
		if i == f.current {
			want = f.replicas
		}
		if len(f.now().of(i)) != want || set.asked[len(set.asked)-1].replicas != want {
			return false
		}
	}
	return true
}

func fresh(int) int { return 0 }

// TestRolloutKeepsItsLimits lets random fleets act in random orders on what they saw a
// random time ago, while the number of Machines and the template change
// and rollouts are paused. At no time is there
// a Machine too many, or an available one removed that was needed (I11, I12). Left alone
// then, each comes to an end in a number of rounds that is bounded by its size.
func TestRolloutKeepsItsLimits(t *testing.T) {
	count := 10000
	if testing.Short() {
		count = 300
	}
	for seed := range count {
		random := rand.New(rand.NewPCG(uint64(seed), 3))
		f := randomFleet(random)
		stale := func(limit int) int { return random.IntN(limit + 1) }
		for range 20 + random.IntN(120) {
			switch action := random.IntN(20); {
			case action < 5:
				f.deployment(stale)
			case action < 14:
				f.machineSet(random.IntN(len(f.sets)), stale)
			case action < 18:
				f.happens(func() bool { return random.IntN(3) == 0 })
			case action == 18 && random.IntN(4) == 0:
				f.replicas = random.IntN(10)
			case action == 18:
				f.paused = random.IntN(3) == 0
			case action == 19 && random.IntN(4) == 0 && len(f.sets) < 5:
				f.add(0, 0)
			}
		}
		rounds := 0
		f.paused = false
		for limit := 40 + 6*(len(f.now().units)+f.replicas); !f.done() && !f.onDelete && rounds < limit; rounds++ {
			f.deployment(fresh)
			for i := range f.sets {
				f.machineSet(i, fresh)
			}
			f.happens(func() bool { return true })
		}
		if !f.done() && !f.onDelete {
			f.broken = append(f.broken, fmt.Sprintf("it has no end: after %d rounds %s", rounds, f))
		}
		if len(f.broken) > 0 {
			t.Fatalf("fleet %d: %v", seed, f.broken)
		}
	}
}

func randomFleet(random *rand.Rand) *fleet {
	replicas := random.IntN(10)
	surge, unavailable := random.IntN(4), random.IntN(4)
	if surge == 0 && unavailable == 0 {
		surge = 1
	}
	f := newFleet(replicas, surge, unavailable)
	f.onDelete = random.IntN(8) == 0
	left := f.replicas + random.IntN(f.surge+1)
	for range 1 + random.IntN(3) {
		count := random.IntN(left + 1)
		f.add(count, random.IntN(count+1))
		left -= count
	}
	f.add(0, 0)
	return f
}

func (f *fleet) String() string {
	text := ""
	for i, set := range f.sets {
		available, going := 0, 0
		owned := f.now().of(i)
		for _, name := range owned {
			switch u := f.now().units[name]; {
			case u.going:
				going++
			case u.available:
				available++
			}
		}
		text += fmt.Sprintf("  set %d: asked %d, there %d", i+1, set.asked[len(set.asked)-1].replicas, len(owned))
		if available < len(owned)-going {
			text += fmt.Sprintf(" (%d not available)", len(owned)-going-available)
		}
		if going > 0 {
			text += fmt.Sprintf(" (%d going)", going)
		}
	}
	return text + fmt.Sprintf("  | %d Machines, %d available", len(f.now().units), f.now().available())
}

// TestRolloutTranscripts holds whole rollouts against what is recorded of them.
func TestRolloutTranscripts(t *testing.T) {
	for _, test := range []struct {
		name  string
		about string
		make  func() *fleet
		// meanwhile may change things before a round.
		meanwhile func(f *fleet, round int)
	}{
		{"surge_1", "3 replicas, maxSurge 1, maxUnavailable 0: one more at a time, and never fewer than 3 available.", func() *fleet { return rollout(3, 1, 0) }, nil},
		{"surge_0", "3 replicas, maxSurge 0, maxUnavailable 1: never more than 3.", func() *fleet { return rollout(3, 0, 1) }, nil},
		{"surge_1_unavailable_1", "4 replicas, maxSurge 1, maxUnavailable 1: two at a time.", func() *fleet { return rollout(4, 1, 1) }, nil},
		{"surge_all", "5 replicas, maxSurge 100%: all new ones at once.", func() *fleet { return rollout(5, 5, 0) }, nil},
		{"surge_3_of_10", "10 replicas, maxSurge 25% (3), maxUnavailable 25% (2).", func() *fleet { return rollout(10, 3, 2) }, nil},
		{"unavailable_first", "Two of five old Machines never work: they go first, and none that works goes before a new one does.", func() *fleet {
			f := newFleet(5, 1, 0)
			f.add(5, 3)
			f.add(0, 0)
			return f
		}, nil},
		{"two_old_sets", "A second change in the middle of a rollout: the oldest set goes first, but Machines that are not available before that.", func() *fleet {
			f := newFleet(4, 1, 0)
			f.add(3, 3)
			f.add(2, 1)
			f.add(0, 0)
			return f
		}, nil},
		{"scaled_up", "3 replicas become 6 in the middle: the new set gets them at once.", func() *fleet { return rollout(3, 1, 0) }, func(f *fleet, round int) {
			if round == 3 {
				f.replicas = 6
			}
		}},
		{"scaled_down", "8 replicas become 4 in the middle: both sets shrink, in proportion.", func() *fleet { return rollout(8, 2, 0) }, func(f *fleet, round int) {
			if round == 5 {
				f.replicas = 4
			}
		}},
		{"back", "The template is set back in the middle: the old set grows again.", func() *fleet { return rollout(4, 1, 0) }, func(f *fleet, round int) {
			if round == 4 {
				f.current = 0
			}
		}},
		{"on_delete", "OnDelete: somebody deletes an old Machine in rounds 2 and 5.", func() *fleet {
			f := rollout(3, 0, 0)
			f.onDelete = true
			return f
		}, func(f *fleet, round int) {
			if owned := f.now().of(0); (round == 2 || round == 5) && len(owned) > 0 {
				f.change(func(units map[int]unit) { u := units[owned[0]]; u.going = true; units[owned[0]] = u })
			}
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := test.make()
			var out bytes.Buffer
			fmt.Fprintf(&out, "%s\n\nstart %s\n", test.about, f)
			changed := true
			for round := 1; changed && round < 100 || round < 8; round++ {
				if test.meanwhile != nil {
					test.meanwhile(f, round)
				}
				changed = f.deployment(fresh)
				for i := range f.sets {
					changed = f.machineSet(i, fresh) || changed
				}
				if changed {
					fmt.Fprintf(&out, "%5d %s\n", round, f)
				}
				changed = f.happens(func() bool { return true }) || changed
			}
			if len(f.broken) > 0 || (!f.onDelete && !f.done()) {
				t.Errorf("broken %v, done %t", f.broken, f.done())
			}
			hold(t, filepath.Join("testdata", "rollouts", test.name+".txt"), out.String())
		})
	}
}

func rollout(replicas, surge, unavailable int) *fleet {
	f := newFleet(replicas, surge, unavailable)
	f.add(replicas, replicas)
	f.add(0, 0)
	return f
}

func hold(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("it differs from %s (-recorded +made; run with -update if it is right):\n%s", path, diff)
	}
}
