// SPDX-License-Identifier: Apache-2.0

package machines

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	"github.com/slipway-project/slipway/conditions"
)

func TestPaused(t *testing.T) {
	yes, no := true, false
	cluster := func(paused *bool) *clusterv1.Cluster {
		return &clusterv1.Cluster{ObjectMeta: metav1.ObjectMeta{Name: "demo"}, Spec: clusterv1.ClusterSpec{Paused: paused}}
	}
	plain := &clusterv1.Machine{}
	noted := &clusterv1.Machine{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{clusterv1.PausedAnnotation: ""}}}
	for _, test := range []struct {
		name    string
		cluster *clusterv1.Cluster
		object  metav1.Object
		paused  bool
		why     []string
	}{
		{"neither", cluster(nil), plain, false, nil},
		{"not paused", cluster(&no), plain, false, nil},
		{"no cluster", nil, plain, false, nil},
		{"cluster", cluster(&yes), plain, true, []string{"Cluster demo"}},
		{"annotation, whatever its value", nil, noted, true, []string{clusterv1.PausedAnnotation}},
		{"both", cluster(&yes), noted, true, []string{"Cluster demo", clusterv1.PausedAnnotation}},
	} {
		t.Run(test.name, func(t *testing.T) {
			paused, why := Paused(test.cluster, test.object)
			if paused != test.paused || (why == "") != !paused {
				t.Errorf("paused is %t, because %q", paused, why)
			}
			for _, part := range test.why {
				if !strings.Contains(why, part) {
					t.Errorf("%q does not name %q", why, part)
				}
			}
			want := metav1.ConditionFalse
			if paused {
				want = metav1.ConditionTrue
			}
			if condition := PausedCondition(paused, why); condition.Status != want || condition.Message != why {
				t.Errorf("condition %+v", condition)
			}
		})
	}
}

// machine is one that works: it has a node, and is as old in hours as given.
func machine(name string, age int, change ...func(*clusterv1.Machine)) *clusterv1.Machine {
	made := &clusterv1.Machine{
		ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID(name + "-uid"), CreationTimestamp: metav1.NewTime(time.Date(2026, 1, 2, 12-age, 0, 0, 0, time.UTC))},
		Status:     clusterv1.MachineStatus{NodeRef: clusterv1.MachineNodeReference{Name: name}},
	}
	for _, f := range change {
		f(made)
	}
	return made
}

func deleting(m *clusterv1.Machine) { now := metav1.Now(); m.DeletionTimestamp = &now }
func marked(m *clusterv1.Machine) {
	m.Annotations = map[string]string{clusterv1.DeleteMachineAnnotation: ""}
}
func nodeless(m *clusterv1.Machine) { m.Status.NodeRef = clusterv1.MachineNodeReference{} }
func with(list ...metav1.Condition) func(*clusterv1.Machine) {
	return func(m *clusterv1.Machine) { m.Status.Conditions = list }
}

func names(list []*clusterv1.Machine) []string {
	var out []string
	for _, m := range list {
		out = append(out, m.Name)
	}
	return out
}

func TestDeletionOrder(t *testing.T) {
	list := []*clusterv1.Machine{
		machine("young", 1), machine("old", 9), machine("middle", 5),
		machine("unhealthy", 2, with(conditions.False(clusterv1.NodeHealthyCondition, "R", ""))),
		machine("checked", 3, with(conditions.False(clusterv1.HealthCheckSucceededCondition, "R", ""))),
		machine("nodeless", 4, nodeless), machine("marked", 6, marked), machine("going", 7, deleting),
		machine("unknown", 8, with(conditions.Unknown(clusterv1.NodeHealthyCondition, "R", ""))),
	}
	before := names(list)
	for order, want := range map[clusterv1.MachineSetDeletionOrder][]string{
		clusterv1.OldestMachineSetDeletionOrder: {"going", "marked", "nodeless", "checked", "unhealthy", "old", "unknown", "middle", "young"},
		clusterv1.NewestMachineSetDeletionOrder: {"going", "marked", "unhealthy", "checked", "nodeless", "young", "middle", "unknown", "old"},
	} {
		if diff := cmp.Diff(want, names(DeletionOrder(list, order))); diff != "" {
			t.Errorf("order %s (-want +got):\n%s", order, diff)
		}
	}
	if !slices.Equal(before, names(list)) {
		t.Error("the list given was changed")
	}
}

// TestRandomDeletionOrder: by chance, but the same each time, whatever order the
// machines are listed in, and not by age or name.
func TestRandomDeletionOrder(t *testing.T) {
	var list []*clusterv1.Machine
	for i := range 9 {
		list = append(list, machine(string(rune('a'+i)), i))
	}
	first := names(DeletionOrder(list, clusterv1.RandomMachineSetDeletionOrder))
	slices.Reverse(list)
	if diff := cmp.Diff(first, names(DeletionOrder(list, clusterv1.RandomMachineSetDeletionOrder))); diff != "" {
		t.Errorf("asked again it differs (-first +second):\n%s", diff)
	}
	if diff := cmp.Diff(first, names(DeletionOrder(list, ""))); diff != "" {
		t.Errorf("it is not the default (-random +default):\n%s", diff)
	}
	if slices.IsSorted(first) {
		t.Errorf("it is by name: %v", first)
	}
	list[0].Annotations = map[string]string{clusterv1.DeleteMachineAnnotation: "yes"}
	if got := names(DeletionOrder(list, "")); got[0] != list[0].Name {
		t.Errorf("a marked machine is not first: %v", got)
	}
}

func TestSuffix(t *testing.T) {
	seen := map[string]bool{}
	shape := regexp.MustCompile(`^[bcdfghjklmnpqrstvwxz2456789]{5}$`)
	for i := range 1000 {
		suffix := Suffix("uid", strings.Repeat("x", i))
		if !shape.MatchString(suffix) {
			t.Fatalf("suffix %q", suffix)
		}
		seen[suffix] = true
	}
	if len(seen) < 995 {
		t.Errorf("of 1000 suffixes only %d differ", len(seen))
	}
	if again := []string{"a", "b"}; Suffix("a", "b") != Suffix(again...) || Suffix("a", "b") == Suffix("ab") || Suffix("a", "b") == Suffix("b", "a") {
		t.Error("a suffix must follow from its parts, each by itself")
	}
}

func TestName(t *testing.T) {
	values := map[string]any{"machineSet": map[string]any{"name": "workers"}, "cluster": map[string]any{"name": "demo"}}
	long := strings.Repeat("l", 80)
	longValues := map[string]any{"machineSet": map[string]any{"name": long}}
	for _, test := range []struct {
		naming string
		values map[string]any
		want   string
		wrong  string
	}{
		{"{{ .machineSet.name }}-{{ .random }}", values, "workers-b2c4d", ""},
		{"{{ .cluster.name }}-x-{{ .random }}", values, "demo-x-b2c4d", ""},
		{"{{ .random }}", values, "b2c4d", ""},
		{"fixed", values, "fixed", ""},
		{"{{ .machineSet.name }}-{{ .random }}", longValues, strings.Repeat("l", 57) + "-b2c4d", ""},
		{strings.Repeat("l", 56) + ".more-{{ .random }}", values, strings.Repeat("l", 56) + "-b2c4d", ""},
		{"{{ .machineSet.name }}", longValues, "", "longer than 63"},
		{"{{ .machineSet.nam }}-{{ .random }}", values, "", "nam"},
		{"{{ .machineSet.name", values, "", "machineNaming.template"},
		{"{{ if gt (len .machineSet.name) 4 }}{{ slice .machineSet.name 0 4 }}{{ else }}{{ .machineSet.name }}{{ end }}-{{ .random }}", values, "work-b2c4d", ""},
		{"{{ with .cluster }}{{ .name }}{{ end }}-{{ .random }}", values, "demo-b2c4d", ""},
		{"{{ range 2000000000 }}x{{ end }}-{{ .random }}", values, "", "range"},
		{`{{ printf "%999999d" 1 }}-{{ .random }}`, values, "", "printf"},
		{`{{ $x := "aaaa" }}{{ $x = print $x $x }}{{ .random }}`, values, "", "print"},
		{`{{ if (print "a") }}{{ .random }}{{ end }}`, values, "", "print"},
		{`{{ define "t" }}{{ template "t" }}{{ end }}{{ template "t" }}{{ .random }}`, values, "", "template"},
	} {
		got, err := Name(test.naming, test.values, "b2c4d")
		if (err != nil) != (test.wrong != "") || (err != nil && (!strings.Contains(err.Error(), test.wrong) || !strings.Contains(err.Error(), strconv.Quote(test.naming)))) {
			t.Errorf("name by %q: error %v, want one with %q", test.naming, err, test.wrong)
		}
		if got != test.want {
			t.Errorf("name by %q is %q, want %q", test.naming, got, test.want)
		}
		if len(got) > MaxNameLength {
			t.Errorf("name by %q has %d characters", test.naming, len(got))
		}
	}
}

func TestSameMachines(t *testing.T) {
	five := int32(5)
	base := clusterv1.MachineTemplateSpec{Spec: clusterv1.MachineSpec{ClusterName: "demo", Version: "v1.37.1"}}
	for name, test := range map[string]struct {
		change func(*clusterv1.MachineTemplateSpec)
		same   bool
	}{
		"nothing":         {func(*clusterv1.MachineTemplateSpec) {}, true},
		"labels":          {func(s *clusterv1.MachineTemplateSpec) { s.Labels = map[string]string{"a": "b"} }, true},
		"annotations":     {func(s *clusterv1.MachineTemplateSpec) { s.Annotations = map[string]string{"a": "b"} }, true},
		"minReadySeconds": {func(s *clusterv1.MachineTemplateSpec) { s.Spec.MinReadySeconds = &five }, true},
		"readiness gates": {func(s *clusterv1.MachineTemplateSpec) {
			s.Spec.ReadinessGates = []clusterv1.MachineReadinessGate{{ConditionType: "X"}}
		}, true},
		"deletion":       {func(s *clusterv1.MachineTemplateSpec) { s.Spec.Deletion.NodeDrainTimeoutSeconds = &five }, true},
		"version":        {func(s *clusterv1.MachineTemplateSpec) { s.Spec.Version = "v1.36.3" }, false},
		"failure domain": {func(s *clusterv1.MachineTemplateSpec) { s.Spec.FailureDomain = "fd" }, false},
		"infrastructure": {func(s *clusterv1.MachineTemplateSpec) { s.Spec.InfrastructureRef.Name = "other" }, false},
		"bootstrap":      {func(s *clusterv1.MachineTemplateSpec) { s.Spec.Bootstrap.ConfigRef.Name = "other" }, false},
	} {
		changed := *base.DeepCopy()
		test.change(&changed)
		before := changed.DeepCopy()
		if got := SameMachines(base, changed); got != test.same {
			t.Errorf("%s: same is %t, want %t", name, got, test.same)
		}
		if diff := cmp.Diff(before, &changed); diff != "" {
			t.Errorf("%s: the template was changed:\n%s", name, diff)
		}
	}
}

func TestSets(t *testing.T) {
	yes := true
	mine := func(m *clusterv1.Machine) {
		m.OwnerReferences = []metav1.OwnerReference{{UID: "set", Controller: &yes}}
	}
	ownedOnly := func(m *clusterv1.Machine) { m.OwnerReferences = []metav1.OwnerReference{{UID: "set"}} }
	controlPlane := func(m *clusterv1.Machine) {
		m.Labels = map[string]string{clusterv1.MachineControlPlaneLabel: ""}
	}
	version := func(v string) func(*clusterv1.Machine) { return func(m *clusterv1.Machine) { m.Spec.Version = v } }
	list := []*clusterv1.Machine{
		machine("c", 1, mine, version("v1.37.1"), with(conditions.True(clusterv1.ReadyCondition, "R", ""), conditions.True(clusterv1.AvailableCondition, "R", ""))),
		machine("a", 1, mine, version("v1.36.3"), with(conditions.True(clusterv1.ReadyCondition, "R", ""), conditions.True(clusterv1.UpToDateCondition, "R", ""))),
		machine("b", 1, ownedOnly, version("v1.37.1"), controlPlane), machine("d", 1),
	}
	if diff := cmp.Diff([]string{"c", "a"}, names(ControlledBy(list, "set"))); diff != "" {
		t.Errorf("controlled (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"a", "b", "c", "d"}, Names(list)); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
	if got := Count(list); got != (Counters{Replicas: 4, Ready: 2, Available: 1, UpToDate: 1}) {
		t.Errorf("counters %+v", got)
	}
	going := machine("going", 1, deleting, with(conditions.True(clusterv1.ReadyCondition, "R", ""), conditions.True(clusterv1.AvailableCondition, "R", "")))
	if got := Count([]*clusterv1.Machine{going}); got != (Counters{Replicas: 1}) {
		t.Errorf("counters of one on its way out: %+v", got)
	}
	if diff := cmp.Diff([]clusterv1.StatusVersion{{Version: "v1.36.3", Replicas: 1}, {Version: "v1.37.1", Replicas: 2}}, Versions(list)); diff != "" {
		t.Errorf("versions (-want +got):\n%s", diff)
	}
	members := Members(list, clusterv1.ReadyCondition)
	if len(members) != 4 || members[0].Name != "a" || members[0].Condition == nil || members[1].Condition != nil {
		t.Errorf("members %+v", members)
	}
	if !IsControlPlane(list[2]) || IsControlPlane(list[0]) {
		t.Error("the control plane is not told by its label")
	}
	if Deleting(list[0]) || !Deleting(machine("x", 1, deleting)) {
		t.Error("deletion is not told by its time")
	}
}
