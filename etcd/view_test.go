// SPDX-License-Identifier: Apache-2.0

package etcd

import "testing"

// world is three voters that run, led by the first; change alters it.
func world(change func(*View)) View {
	v := View{Answers: map[string]Answer{}}
	for i, name := range []string{"a", "b", "c"} {
		id := uint64(i + 1)
		v.Members = append(v.Members, Member{ID: id, Name: name})
		v.Answers[name] = Answer{ID: id, Leader: 1}
	}
	if change != nil {
		change(&v)
	}
	return v
}

func TestWithout(t *testing.T) {
	down := func(names ...string) func(*View) {
		return func(v *View) {
			for _, name := range names {
				v.Answers[name] = Answer{Err: "no answer"}
			}
		}
	}
	add := func(member Member) func(*View) {
		return func(v *View) { v.Members = append(v.Members, member) }
	}
	for name, test := range map[string]struct {
		view    View
		removed []uint64
		want    Projection
		holds   bool
	}{
		"all healthy, nothing removed":            {world(nil), nil, Projection{3, 3}, true},
		"a healthy one goes":                      {world(nil), []uint64{1}, Projection{2, 2}, true},
		"the dead one goes":                       {world(down("c")), []uint64{3}, Projection{2, 2}, true},
		"a healthy one goes beside a dead one":    {world(down("c")), []uint64{1}, Projection{2, 1}, false},
		"two dead, one of them goes":              {world(down("b", "c")), []uint64{3}, Projection{2, 1}, false},
		"a learner has no vote":                   {world(add(Member{ID: 4, Name: "d", Learner: true})), []uint64{1}, Projection{2, 2}, true},
		"one that never started has an idle vote": {world(add(Member{ID: 4})), nil, Projection{4, 3}, true},
		"it counts against a removal":             {world(add(Member{ID: 4})), []uint64{1}, Projection{3, 2}, true},
		"and with a dead one no more goes":        {world(func(v *View) { add(Member{ID: 4})(v); down("c")(v) }), []uint64{1}, Projection{3, 1}, false},
		"the last member":                         {world(nil), []uint64{1, 2, 3}, Projection{0, 0}, false},
		"an alarm makes it unhealthy":             {world(func(v *View) { v.Members[1].Alarms = []string{"NOSPACE"} }), []uint64{3}, Projection{2, 1}, false},
	} {
		t.Run(name, func(t *testing.T) {
			got := test.view.Without(test.removed...)
			if got != test.want || got.Holds() != test.holds {
				t.Errorf("%s, holds %t; want %s, holds %t", got, got.Holds(), test.want, test.holds)
			}
		})
	}
}

func TestLeader(t *testing.T) {
	if leader, ok := world(nil).Leader(); !ok || leader.Name != "a" {
		t.Errorf("the leader is %v, %t; want a", leader, ok)
	}
	split := world(func(v *View) { v.Answers["c"] = Answer{ID: 3, Leader: 2} })
	if leader, ok := split.Leader(); !ok || leader.Name != "a" {
		t.Errorf("with one that is behind the leader is %v, %t; want a", leader, ok)
	}
	none := world(func(v *View) {
		for name, answer := range v.Answers {
			answer.Leader = 0
			v.Answers[name] = answer
		}
	})
	if leader, ok := none.Leader(); ok {
		t.Errorf("where nobody follows anybody the leader is %v", leader)
	}
	if problem := none.Problem(none.Members[0]); problem == "" {
		t.Error("a member without a leader is healthy")
	}
}

func TestOnFindsStartedMembers(t *testing.T) {
	v := world(func(v *View) { v.Members = append(v.Members, Member{ID: 4}) })
	if _, ok := v.On(""); ok {
		t.Error("a member that never started is found by an empty name")
	}
	if member, ok := v.On("b"); !ok || member.ID != 2 {
		t.Errorf("on b is %v, %t", member, ok)
	}
}
