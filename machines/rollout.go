// SPDX-License-Identifier: Apache-2.0

package machines

import (
	"errors"
	"fmt"

	"k8s.io/apimachinery/pkg/util/intstr"

	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
)

// Fleet is what the next step of a MachineDeployment is decided from, in numbers of
// Machines.
type Fleet struct {
	// Replicas is how many Machines are asked for.
	Replicas int
	// Surge is how many there may be above that, Unavailable how many may be missing.
	Surge, Unavailable int
	// OnDelete replaces a Machine when somebody deletes it, and not before.
	OnDelete bool
	// Shares are the MachineSets, the oldest first.
	Shares []Share
	// Current is the index of the set of the template; -1 where there is none, or where
	// rollouts are paused: then the number of Machines is kept, and nothing is replaced.
	Current int
}

// Share is the part of one MachineSet in a Fleet.
type Share struct {
	// Replicas is how many Machines are asked of it.
	Replicas int
	// Seen are its Machines, those on their way out among them; Going are those.
	Seen, Going int
	// Available are the Machines that Fit holds for. These go last when the set shrinks.
	Available int
	// Unknown are Machines of which it is not known whether they are available.
	Unknown int
	// Reported is how many Machines its status tells of.
	Reported int
	// Behind: its status is of an earlier number than Replicas. What it does meanwhile may
	// still follow that, so how many Machines it has is not known.
	Behind bool
	// Idle: it told that it lacks Machines and makes none, so that there are none that are
	// not seen yet.
	Idle bool
	// Leaving: the set itself is being deleted. Nothing is asked of it.
	Leaving bool
}

// Step is what is to be asked of the MachineSets next.
type Step struct {
	// Replicas are by MachineSet, in the order of Fleet.Shares.
	Replicas []int
	// Behind is the index of the MachineSet that has to be waited for before anything can
	// be told; -1 for none.
	Behind int
}

// Roll decides the next step. It holds to two limits, however old what is known of the
// MachineSets is: no more than Replicas+Surge Machines are asked for in all, counting those
// that are not gone yet, and no available Machine is given up while that would leave fewer
// than Replicas-Unavailable. Where they are exceeded already it makes that no worse.
//
// The new set grows as far as there is room. Of the old ones those Machines go first that
// are not available, of the oldest set first. Old sets make no Machines any more, so what
// they lack is no longer asked of them. Fewer Replicas are taken from all sets in proportion.
func Roll(f Fleet) Step {
	step := Step{Replicas: make([]int, len(f.Shares)), Behind: -1}
	for i, share := range f.Shares {
		step.Replicas[i] = share.Replicas
	}
	if only := f.only(); only >= 0 {
		step.Replicas[only] = f.Replicas
		return step
	}
	for i, share := range f.Shares {
		if share.Behind {
			step.Behind = i
			return step
		}
	}
	r := &roll{Fleet: f, target: step.Replicas}
	switch {
	case f.Current < 0:
		r.keep()
	case f.OnDelete:
		r.replaceDeleted()
	default:
		r.replace()
	}
	return step
}

// Limit is how many Machines there may be at a time.
func (f Fleet) Limit() int {
	if f.OnDelete || f.Replicas == 0 {
		return f.Replicas
	}
	return f.Replicas + f.Surge
}

// Least is how many of them have to be available.
func (f Fleet) Least() int { return max(f.Replicas-f.Unavailable, 0) }

// only is the set that has all there is, and so can be asked for any number at once; -1
// when several have Machines. One that is behind may have some though none is asked of it.
func (f Fleet) only() int {
	only := f.Current
	for i, share := range f.Shares {
		switch {
		case i == f.Current:
		case share.Behind, share.Replicas > 0 && !share.Leaving, share.most() > 0:
			if only >= 0 {
				return -1
			}
			only = i
		}
	}
	for i := len(f.Shares) - 1; only < 0 && i >= 0; i-- {
		if !f.Shares[i].Leaving {
			only = i
		}
	}
	if only >= 0 && f.Shares[only].Leaving {
		return -1
	}
	return only
}

// most is how many Machines a set has at most, now and until more is asked of it.
func (s Share) most() int {
	if s.Leaving && !s.Behind {
		return max(s.Seen, s.Reported)
	}
	return max(s.Replicas, s.Seen, s.Reported)
}

// roll is a step as it is made.
type roll struct {
	Fleet
	target []int
}

// available are the Machines of a set that stay available if so many are asked of it: a
// set gives up those first that are not. What it was asked to give up before, and is not on
// its way out yet, it may have chosen when others were available.
func (r *roll) available(i int) int {
	share := r.Shares[i]
	if share.Leaving {
		return 0
	}
	chosen := max(share.Seen-share.Going-share.Replicas, 0)
	return min(max(share.Available-chosen, 0), r.target[i])
}

func (r *roll) sum(of func(i int) int) int {
	total := 0
	for i := range r.Shares {
		total += of(i)
	}
	return total
}

func (r *roll) totalAvailable() int { return r.sum(r.available) }

// asked is what is asked of all sets that stay.
func (r *roll) asked() int {
	return r.sum(func(i int) int {
		if r.Shares[i].Leaving {
			return 0
		}
		return r.target[i]
	})
}

// room is how many Machines can be asked for beyond those that there may be now.
func (r *roll) room(limit int) int {
	return max(limit-r.sum(func(i int) int { return r.Shares[i].most() }), 0)
}

// old are the sets to be emptied, the oldest first.
func (r *roll) old() []int {
	var old []int
	for i, share := range r.Shares {
		if i != r.Current && !share.Leaving {
			old = append(old, i)
		}
	}
	return old
}

// replace is a step of RollingUpdate.
func (r *roll) replace() {
	r.shrink(r.asked() - r.Limit())
	r.target[r.Current] = min(r.target[r.Current], r.Replicas)
	r.target[r.Current] += min(r.room(r.Limit()), r.Replicas-r.target[r.Current])
	old := r.old()
	r.forget(old)
	// Those that are not available count here as if they were: they may come back, and
	// are not given up faster than others are there in their place.
	spare := func() int {
		return r.sum(func(i int) int {
			switch {
			case r.Shares[i].Leaving:
				return 0
			case i == r.Current:
				return r.available(i)
			default:
				return r.target[i]
			}
		}) - r.Least()
	}
	for _, i := range old {
		r.target[i] -= max(min(r.target[i]-r.available(i), spare()), 0)
	}
	for _, i := range old {
		r.target[i] -= max(min(r.target[i], spare(), r.totalAvailable()-r.Least()), 0)
	}
	r.unlock(old)
}

// unlock gives up one old Machine that is not available where nothing else moves: the new
// ones may be waiting for its place, as where a quota is used up. It does not where it is
// not known how the old ones are, for then our own connection may be the cause, nor while
// more new ones are not available than may be at a time, so that what stays can be gone
// back to.
func (r *roll) unlock(old []int) {
	for i, share := range r.Shares {
		if share.Leaving || r.target[i] != share.Replicas || share.Seen != share.Replicas || share.Reported != share.Replicas || share.Going > 0 {
			return
		}
	}
	current := r.Shares[r.Current]
	if current.Replicas-current.Available > r.Surge+r.Unavailable {
		return
	}
	for _, i := range old {
		if r.target[i] > r.Shares[i].Available && r.Shares[i].Unknown == 0 {
			r.target[i]--
			return
		}
	}
}

// forget asks no old set for Machines that are on their way out or that it lacks. What a
// set lacks may be made already and not seen yet, until it tells that it makes none.
func (r *roll) forget(old []int) {
	for _, i := range old {
		if share := r.Shares[i]; share.Idle || share.Seen >= share.Replicas {
			r.target[i] = min(r.target[i], share.Seen-share.Going)
		}
	}
}

// CreationDisabled is what a MachineSet tells in its condition ScalingUp when it makes no
// Machines, and what its MachineDeployment knows by that it has taken note.
const CreationDisabled = "no Machine is made while the annotation " + clusterv1.DisableMachineCreateAnnotation + " is there"

// replaceDeleted is a step of OnDelete.
func (r *roll) replaceDeleted() {
	old := r.old()
	r.forget(old)
	for _, i := range append(old, r.Current) {
		r.target[i] -= max(min(r.target[i], r.asked()-r.Replicas), 0)
	}
	r.target[r.Current] += max(min(r.room(r.Replicas), r.Replicas-r.asked()), 0)
}

// keep only keeps the number of Machines, in the proportions that there are.
func (r *roll) keep() {
	r.shrink(r.asked() - r.Limit())
	missing := min(r.room(r.Replicas), r.Replicas-r.asked())
	if missing <= 0 {
		return
	}
	staying := r.old()
	if len(staying) == 0 {
		return
	}
	shares := proportions(r.target, staying, r.asked()+missing)
	for i, share := range shares {
		r.target[staying[i]] = share
	}
}

// shrink takes so many Machines from all sets, in proportion as far as that can be done
// without an available one too many.
func (r *roll) shrink(excess int) {
	if excess <= 0 {
		return
	}
	staying := r.old()
	if r.Current >= 0 && !r.Shares[r.Current].Leaving {
		staying = append(staying, r.Current)
	}
	take := func(i, count int) {
		idle := r.target[i] - r.available(i)
		count = min(count, idle+max(r.totalAvailable()-r.Least(), 0), excess, r.target[i])
		r.target[i] -= count
		excess -= count
	}
	for i, share := range proportions(r.target, staying, r.asked()-excess) {
		take(staying[i], r.target[staying[i]]-share)
	}
	for _, i := range staying {
		take(i, r.target[i]-r.available(i))
	}
	for _, i := range staying {
		take(i, r.target[i])
	}
}

// proportions share a total out by the numbers given, to those of them that are chosen.
// What the division leaves over goes to the last, which is the newest.
func proportions(numbers, chosen []int, total int) []int {
	sum := 0
	for _, i := range chosen {
		sum += numbers[i]
	}
	shares := make([]int, len(chosen))
	left := total
	for at, i := range chosen {
		if sum > 0 {
			shares[at] = numbers[i] * total / sum
		}
		left -= shares[at]
	}
	for at := len(chosen) - 1; left > 0; at = (at + len(chosen) - 1) % len(chosen) {
		step := left
		if total < sum {
			// None gets more than it had.
			step = min(left, numbers[chosen[at]]-shares[at], 1)
		}
		shares[at] += step
		left -= step
	}
	return shares
}

// ErrNoRoom says that a strategy permits no step at all.
var ErrNoRoom = errors.New("with maxSurge and maxUnavailable both 0 no Machine could ever be replaced: raise one of them")

// RolloutLimits are the surge and the Machines that may be missing under a strategy, for so
// many replicas. A percentage of replicas is rounded up for the surge and down for what may
// be missing; where that leaves both at nothing, one may be missing. The error names the
// field that cannot be read, or is ErrNoRoom.
func RolloutLimits(strategy clusterv1.MachineDeploymentRolloutStrategy, replicas int) (surge, unavailable int, err error) {
	if strategy.Type == clusterv1.OnDeleteMachineDeploymentStrategyType {
		return 0, 0, nil
	}
	maxSurge, maxUnavailable := intstr.FromInt32(1), intstr.FromInt32(0)
	if strategy.RollingUpdate.MaxSurge != nil {
		maxSurge = *strategy.RollingUpdate.MaxSurge
	}
	if strategy.RollingUpdate.MaxUnavailable != nil {
		maxUnavailable = *strategy.RollingUpdate.MaxUnavailable
	}
	if surge, err = scaled(maxSurge, replicas, true); err != nil {
		return 0, 0, fmt.Errorf("maxSurge: %w", err)
	}
	if unavailable, err = scaled(maxUnavailable, replicas, false); err != nil {
		return 0, 0, fmt.Errorf("maxUnavailable: %w", err)
	}
	if isZero(maxSurge) && isZero(maxUnavailable) {
		return 0, 0, ErrNoRoom
	}
	if surge == 0 && unavailable == 0 {
		unavailable = 1
	}
	return surge, min(unavailable, replicas), nil
}

func isZero(value intstr.IntOrString) bool {
	count, err := scaled(value, 1000, true)
	return err == nil && count == 0
}

// InFlight is how many of so many Machines may be under replacement at a time, by a limit
// that is a number or a percentage: that is rounded down, but to one at least. Without a
// limit it is all of them. The error says what cannot be read.
func InFlight(limit *intstr.IntOrString, replicas int) (int, error) {
	if limit == nil {
		return replicas, nil
	}
	count, err := scaled(*limit, replicas, false)
	if err != nil {
		return 0, fmt.Errorf("maxInFlight: %w", err)
	}
	if limit.Type == intstr.String && !isZero(*limit) {
		count = max(count, 1)
	}
	return count, nil
}

func scaled(value intstr.IntOrString, total int, up bool) (int, error) {
	count, err := intstr.GetScaledValueFromIntOrPercent(&value, total, up)
	if err != nil || count < 0 {
		return 0, fmt.Errorf("%q is neither a number that is not negative nor a percentage such as 25%%", value.String())
	}
	return count, nil
}
