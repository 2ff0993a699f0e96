// SPDX-License-Identifier: Apache-2.0

package machines

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	"github.com/slipway-project/slipway/conditions"
)

// healthy is a set at rest, all of whose Machines are available.
func healthy(count int) Share {
	return Share{Replicas: count, Seen: count, Reported: count, Available: count}
}

// sick is a set at rest with so many Machines, of which so many are available.
func sick(count, available int) Share {
	share := healthy(count)
	share.Available = available
	return share
}

func TestRoll(t *testing.T) {
	behind, leaving, going, lacking, unknown := healthy(3), healthy(2), healthy(3), healthy(3), sick(3, 1)
	behind.Behind, leaving.Leaving, going.Going, going.Available = true, true, 1, 2
	lacking.Seen, lacking.Available, lacking.Idle = 1, 1, true
	unseen := Share{Replicas: 3}
	unknown.Unknown = 2
	for _, test := range []struct {
		name                     string
		replicas, surge, unavail int
		current                  int
		onDelete                 bool
		shares                   []Share
		want                     []int
		behind                   bool
	}{
		{"one set follows at once", 100, 1, 0, 0, false, []Share{healthy(1)}, []int{100}, false},
		{"one set follows at once though it is behind", 1, 1, 0, 0, false, []Share{behind}, []int{1}, false},
		{"a new set begins with the surge", 3, 1, 0, 1, false, []Share{healthy(3), {}}, []int{3, 1}, false},
		{"a new set begins with nothing, and the old one gives way", 3, 0, 1, 1, false, []Share{healthy(3), {}}, []int{2, 0}, false},
		{"both at once", 4, 1, 1, 1, false, []Share{healthy(4), {}}, []int{3, 1}, false},
		{"all at once", 3, 3, 0, 1, false, []Share{healthy(3), {}}, []int{3, 3}, false},
		{"a new one is available: an old one goes", 3, 1, 0, 1, false, []Share{healthy(3), healthy(1)}, []int{2, 1}, false},
		{"a new one is not available: it is waited for", 3, 1, 0, 1, false, []Share{healthy(3), sick(1, 0)}, []int{3, 1}, false},
		{"the old one is not gone: there is no room", 3, 1, 0, 1, false, []Share{{Replicas: 2, Seen: 3, Going: 1, Reported: 3, Available: 2}, healthy(1)}, []int{2, 1}, false},
		{"the status tells of one more: there is no room", 3, 1, 0, 1, false, []Share{{Replicas: 2, Seen: 2, Reported: 3, Available: 2}, healthy(1)}, []int{2, 1}, false},
		{"a set is behind: nothing is told", 3, 1, 0, 1, false, []Share{behind, healthy(1)}, []int{3, 1}, true},
		{"a set that is deleted takes room", 3, 1, 0, 1, false, []Share{leaving, healthy(1)}, []int{2, 2}, false},
		{"an old one that is gone is not asked for again", 3, 1, 0, 1, false, []Share{lacking, healthy(1)}, []int{1, 1}, false},
		{"those that are not seen yet may be there", 3, 1, 0, 1, false, []Share{unseen, {}}, []int{3, 1}, false},
		{"OnDelete: those that are not seen yet may be there", 3, 1, 0, 1, true, []Share{unseen, {}}, []int{3, 0}, false},
		{"nor one that somebody deletes", 3, 1, 0, 1, false, []Share{going, healthy(1)}, []int{2, 1}, false},
		{"sick old ones go first, of the oldest set", 4, 1, 0, 2, false, []Share{sick(2, 1), sick(2, 1), healthy(1)}, []int{1, 2, 1}, false},
		{"a sick old one goes before a healthy one of an older set", 4, 1, 0, 2, false, []Share{healthy(2), sick(2, 1), healthy(1)}, []int{2, 1, 1}, false},
		{"a quota is used up: a sick old one makes way", 3, 1, 0, 1, false, []Share{sick(3, 1), sick(1, 0)}, []int{2, 1}, false},
		{"not when it is not known how it is", 3, 1, 0, 1, false, []Share{unknown, sick(1, 0)}, []int{3, 1}, false},
		{"not when there are enough new ones to wait for", 3, 1, 0, 1, false, []Share{sick(2, 0), sick(2, 0)}, []int{2, 2}, false},
		{"back to an old template", 3, 1, 0, 0, false, []Share{healthy(2), sick(2, 0)}, []int{2, 1}, false},
		{"to none in the middle", 0, 1, 0, 1, false, []Share{healthy(3), healthy(1)}, []int{0, 0}, false},
		{"fewer in the middle, in proportion", 5, 1, 0, 1, false, []Share{healthy(8), healthy(3)}, []int{3, 2}, false},
		{"fewer in the middle, as far as enough are available", 5, 1, 0, 1, false, []Share{healthy(8), sick(3, 0)}, []int{5, 1}, false},
		{"more in the middle: the new set gets them", 10, 1, 0, 1, false, []Share{healthy(3), healthy(1)}, []int{3, 8}, false},
		{"OnDelete: nothing goes by itself", 3, 1, 0, 1, true, []Share{healthy(3), {}}, []int{3, 0}, false},
		{"OnDelete: somebody deletes one", 3, 1, 0, 1, true, []Share{going, {}}, []int{2, 0}, false},
		{"OnDelete: it is gone", 3, 1, 0, 1, true, []Share{{Replicas: 2, Seen: 2, Reported: 2, Available: 2}, {}}, []int{2, 1}, false},
		{"OnDelete: fewer", 2, 1, 0, 1, true, []Share{healthy(2), healthy(1)}, []int{1, 1}, false},
		{"OnDelete: more", 5, 1, 0, 1, true, []Share{healthy(2), healthy(1)}, []int{2, 3}, false},
		{"kept: nothing is replaced", 3, 1, 0, -1, false, []Share{healthy(2), healthy(2)}, []int{2, 2}, false},
		{"kept: fewer, in proportion", 4, 1, 0, -1, false, []Share{healthy(6), healthy(4)}, []int{3, 2}, false},
		{"kept: more, in proportion", 10, 1, 0, -1, false, []Share{healthy(2), healthy(3)}, []int{4, 6}, false},
		{"kept: one set", 4, 1, 0, -1, false, []Share{healthy(0), healthy(2)}, []int{0, 4}, false},
		{"kept: no set has any", 2, 1, 0, -1, false, []Share{healthy(0), healthy(0)}, []int{0, 2}, false},
		{"kept: the only set is being deleted", 2, 1, 0, -1, false, []Share{leaving}, []int{2}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			before := slices.Clone(test.shares)
			step := Roll(Fleet{Replicas: test.replicas, Surge: test.surge, Unavailable: test.unavail, OnDelete: test.onDelete, Shares: test.shares, Current: test.current})
			if diff := cmp.Diff(test.want, step.Replicas); diff != "" {
				t.Errorf("asked (-want +got):\n%s", diff)
			}
			if (step.Behind >= 0) != test.behind {
				t.Errorf("behind is set %d", step.Behind)
			}
			if diff := cmp.Diff(before, test.shares); diff != "" {
				t.Errorf("what was given was changed:\n%s", diff)
			}
		})
	}
}

func TestRolloutLimits(t *testing.T) {
	value := func(text string) *intstr.IntOrString { v := intstr.Parse(text); return &v }
	for _, test := range []struct {
		surge, unavailable *intstr.IntOrString
		replicas           int
		want               [2]int
		wrong              string
	}{
		{nil, nil, 3, [2]int{1, 0}, ""},
		{value("2"), value("1"), 3, [2]int{2, 1}, ""},
		{value("25%"), value("25%"), 10, [2]int{3, 2}, ""},
		{value("0"), value("10%"), 3, [2]int{0, 1}, ""},
		{value("0"), value("5"), 3, [2]int{0, 3}, ""},
		{value("150%"), nil, 4, [2]int{6, 0}, ""},
		{value("0"), value("0"), 3, [2]int{}, "both 0"},
		{value("0%"), value("0"), 3, [2]int{}, "both 0"},
		{value("many"), nil, 3, [2]int{}, `maxSurge: "many"`},
		{value("1"), value("a%"), 3, [2]int{}, `maxUnavailable: "a%"`},
		{value("-1"), nil, 3, [2]int{}, `maxSurge: "-1"`},
	} {
		strategy := clusterv1.MachineDeploymentRolloutStrategy{RollingUpdate: clusterv1.MachineDeploymentRolloutStrategyRollingUpdate{MaxSurge: test.surge, MaxUnavailable: test.unavailable}}
		surge, unavailable, err := RolloutLimits(strategy, test.replicas)
		if (err != nil) != (test.wrong != "") || (err != nil && !strings.Contains(err.Error(), test.wrong)) {
			t.Errorf("%v and %v: error %v, want one with %q", test.surge, test.unavailable, err, test.wrong)
		}
		if got := [2]int{surge, unavailable}; got != test.want {
			t.Errorf("%v and %v of %d are %v, want %v", test.surge, test.unavailable, test.replicas, got, test.want)
		}
		strategy.Type = clusterv1.OnDeleteMachineDeploymentStrategyType
		if surge, unavailable, err := RolloutLimits(strategy, test.replicas); surge != 0 || unavailable != 0 || err != nil {
			t.Errorf("OnDelete has no limits, but %d and %d, %v", surge, unavailable, err)
		}
	}
	if _, _, err := RolloutLimits(clusterv1.MachineDeploymentRolloutStrategy{RollingUpdate: clusterv1.MachineDeploymentRolloutStrategyRollingUpdate{
		MaxSurge: value("0"), MaxUnavailable: value("0%")}}, 0); !errors.Is(err, ErrNoRoom) {
		t.Errorf("both 0: error %v", err)
	}
}

func TestInFlight(t *testing.T) {
	value := func(text string) *intstr.IntOrString { v := intstr.Parse(text); return &v }
	for _, test := range []struct {
		limit    *intstr.IntOrString
		replicas int
		want     int
		wrong    bool
	}{
		{nil, 5, 5, false}, {value("2"), 5, 2, false}, {value("0"), 5, 0, false}, {value("0%"), 5, 0, false},
		{value("50%"), 5, 2, false}, {value("10%"), 5, 1, false}, {value("x"), 5, 0, true},
	} {
		got, err := InFlight(test.limit, test.replicas)
		if got != test.want || (err != nil) != test.wrong {
			t.Errorf("%v of %d is %d, %v; want %d", test.limit, test.replicas, got, err, test.want)
		}
	}
}

// TestDifferences: what is told apart is told, and nothing else.
func TestDifferences(t *testing.T) {
	base := clusterv1.MachineTemplateSpec{Spec: clusterv1.MachineSpec{
		ClusterName: "demo", Version: "v1.36.3", InfrastructureRef: clusterv1.ContractVersionedObjectReference{APIGroup: "g.io", Kind: "HostTemplate", Name: "small"},
	}}
	data := "data"
	for _, test := range []struct {
		change func(*clusterv1.MachineSpec)
		want   string
	}{
		{func(*clusterv1.MachineSpec) {}, ""},
		{func(s *clusterv1.MachineSpec) { s.Version = "v1.37.1" }, "version is v1.36.3, v1.37.1 is asked for"},
		{func(s *clusterv1.MachineSpec) { s.Version = "" }, "version is v1.36.3, none is asked for"},
		{func(s *clusterv1.MachineSpec) { s.FailureDomain = "b" }, "failureDomain is not set, b is asked for"},
		{func(s *clusterv1.MachineSpec) { s.InfrastructureRef.Name = "large" }, "infrastructureRef is HostTemplate small, HostTemplate large is asked for"},
		{func(s *clusterv1.MachineSpec) { s.Bootstrap.DataSecretName = &data }, "bootstrap.dataSecretName is not set, data is asked for"},
		{func(s *clusterv1.MachineSpec) {
			s.Taints = []clusterv1.MachineTaint{{Key: "a"}}
			s.ReadinessGates = []clusterv1.MachineReadinessGate{{ConditionType: "X"}}
		}, ""},
	} {
		changed := *base.DeepCopy()
		test.change(&changed.Spec)
		got := strings.Join(Differences(base, changed), "; ")
		if got != test.want {
			t.Errorf("differences %q, want %q", got, test.want)
		}
		same := SameMachines(base, changed)
		if same != (got == "") || same != (TemplateKey(base) == TemplateKey(changed)) {
			t.Errorf("%q: same is %t, and the key says otherwise", got, same)
		}
	}
}

func TestOutdated(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, test := range []struct {
		name     string
		after    time.Time
		created  time.Time
		madeFor  string
		outdated bool
	}{
		{"no time is given", time.Time{}, now.Add(-time.Hour), "", false},
		{"it has not come", now.Add(time.Second), now.Add(-time.Hour), "", false},
		{"it comes now", now, now.Add(-time.Hour), "", true},
		{"the set is younger", now.Add(-time.Minute), now.Add(-time.Second), "", false},
		{"the server's clock is behind", now.Add(-time.Minute), now.Add(-time.Hour), now.Add(-time.Minute).Format(time.RFC3339), false},
		{"it was made for an earlier time", now.Add(-time.Minute), now.Add(-time.Hour), now.Add(-2 * time.Hour).Format(time.RFC3339), true},
		{"somebody wrote nonsense", now.Add(-time.Minute), now.Add(-time.Hour), "soon", true},
	} {
		set := &clusterv1.MachineSet{ObjectMeta: metav1.ObjectMeta{CreationTimestamp: metav1.NewTime(test.created), Annotations: map[string]string{RolloutAfterAnnotation: test.madeFor}}}
		deployment := &clusterv1.MachineDeployment{}
		deployment.Spec.Rollout.After = metav1.NewTime(test.after)
		if got := Outdated(set, deployment, now); (len(got) > 0) != test.outdated {
			t.Errorf("%s: outdated because %q", test.name, got)
		}
	}
}

func TestRemediationOrder(t *testing.T) {
	asks := with(conditions.False(clusterv1.HealthCheckSucceededCondition, "R", ""), conditions.False(clusterv1.OwnerRemediatedCondition, "R", "the node is gone"))
	old, young, done := machine("old", 9, asks), machine("young", 1, asks), machine("done", 3, asks, deleting)
	if diff := cmp.Diff([]string{"young", "old"}, names(RemediationOrder([]*clusterv1.Machine{old, young}))); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
	for _, m := range []*clusterv1.Machine{old, young} {
		if !OwnerIsAsked(m) || BeingRemediated(m) {
			t.Errorf("Machine %s is to be replaced", m.Name)
		}
	}
	if OwnerIsAsked(done) || !BeingRemediated(done) || OwnerIsAsked(machine("fine", 1)) {
		t.Error("who is replaced is not told from the conditions")
	}
	checked := machine("checked", 1, with(conditions.False(clusterv1.HealthCheckSucceededCondition, "R", "")))
	if OwnerIsAsked(checked) {
		t.Error("a health check alone asks for nothing")
	}
	if c := RemediatingCondition([]*clusterv1.Machine{old, checked}); c.Status != metav1.ConditionTrue || c.Message != "* Machine old: the node is gone" {
		t.Errorf("condition %+v", c)
	}
	if c := RemediatingCondition([]*clusterv1.Machine{checked}); c.Status != metav1.ConditionFalse {
		t.Errorf("condition %+v", c)
	}
	var many []*clusterv1.Machine
	for i := range 9 {
		many = append(many, machine(string(rune('a'+i)), 1, asks))
	}
	if c := RemediatingCondition(many); !strings.HasSuffix(c.Message, "\n* and 4 Machines more") {
		t.Errorf("condition %+v", c)
	}
}

// TestFit: what goes before all that is fit is not fit.
func TestFit(t *testing.T) {
	available := with(conditions.True(clusterv1.AvailableCondition, "R", ""))
	list := []*clusterv1.Machine{
		machine("fit", 1, available), machine("unavailable", 2), machine("nodeless", 3, available, nodeless), machine("going", 4, available, deleting),
		machine("marked", 5, available, marked), machine("other", 6, available),
	}
	var fit []string
	for i, m := range DeletionOrder(list, clusterv1.OldestMachineSetDeletionOrder) {
		if Fit(m) {
			fit = append(fit, m.Name)
			if i < 4 {
				t.Errorf("Machine %s goes as number %d of those to go", m.Name, i)
			}
		}
	}
	if diff := cmp.Diff([]string{"other", "fit"}, fit); diff != "" {
		t.Errorf("fit (-want +got):\n%s", diff)
	}
}
