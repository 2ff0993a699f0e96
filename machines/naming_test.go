// SPDX-License-Identifier: Apache-2.0

package machines

import (
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func testNaming(noted string, there ...string) Naming {
	owner := &metav1.ObjectMeta{Name: "workers", UID: "uid"}
	if noted != "" {
		owner.Annotations = map[string]string{NextAnnotation: noted}
	}
	return Naming{
		Template: "{{ .machineSet.name }}-{{ .random }}", Values: map[string]any{"machineSet": map[string]any{"name": "workers"}},
		Owner: owner, There: there,
	}
}

func mustNext(t *testing.T, n Naming, count int) []string {
	t.Helper()
	names, err := n.Next(count)
	if err != nil || len(names) != count {
		t.Fatalf("names %q, %v", names, err)
	}
	return names
}

// TestNamesAreNeverGivenAgain: whoever asks twice gets the same names, and a name whose
// machine is gone is not among them.
func TestNamesAreNeverGivenAgain(t *testing.T) {
	all := mustNext(t, testNaming(""), 6)
	if again := mustNext(t, testNaming(""), 6); !slices.Equal(again, all) {
		t.Errorf("asked again the names are %q, were %q", again, all)
	}
	sorted := slices.Clone(all)
	slices.Sort(sorted)
	if len(slices.Compact(sorted)) != 6 {
		t.Errorf("not all differ: %q", all)
	}
	if got := mustNext(t, testNaming("", all[0]), 2); !slices.Equal(got, all[1:3]) {
		t.Errorf("beside the first the names are %q, want %q", got, all[1:3])
	}
	for _, test := range []struct {
		name  string
		noted string
		there []string
		note  string // what is to be noted before a machine goes
		next  string
	}{
		{"nothing was made", "", nil, "", all[0]},
		{"three are there", "", all[:3], "3", all[3]},
		{"it was noted", "3", all[:3], "", all[3]},
		{"the last has gone since", "3", all[:2], "", all[3]},
		{"all have gone since", "3", nil, "", all[3]},
		{"two more came", "3", []string{all[0], all[3], all[4]}, "5", all[5]},
		{"one that was made by hand", "", []string{"by-hand"}, "", all[0]},
		{"one has gone that was not noted", "", []string{all[0], all[2]}, "3", all[1]},
		{"somebody wrote nonsense", "many", nil, "", all[0]},
		{"somebody wrote less than nothing", "-3", nil, "", all[0]},
	} {
		t.Run(test.name, func(t *testing.T) {
			n := testNaming(test.noted, test.there...)
			if note, needed := n.Note(); needed != (test.note != "") || (needed && note != test.note) {
				t.Errorf("note %q, needed %t; want %q", note, needed, test.note)
			}
			if next := mustNext(t, n, 1)[0]; next != test.next {
				t.Errorf("the next is %q, want %q of %q", next, test.next, all)
			}
		})
	}
}

func TestNamesThatCannotBeGiven(t *testing.T) {
	n := testNaming("", "fixed")
	n.Template = "fixed"
	if names, err := n.Next(1); err == nil || !strings.Contains(err.Error(), "{{ .random }}") {
		t.Errorf("names %q, error %v; want one that says to use .random", names, err)
	}
	if note, needed := n.Note(); needed {
		t.Errorf("note %q where the ordinal makes no difference: it would be noted without end", note)
	}
	n.Template = "{{ .nothing }}"
	if names, err := n.Next(1); err == nil {
		t.Errorf("names %q by a field that there is not", names)
	}
	if note, needed := n.Note(); needed {
		t.Errorf("note %q where no name can be given", note)
	}
}
