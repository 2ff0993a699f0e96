// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// While machines roll, the tree shows their MachineSets, what is being changed of what is
// well, and who watches over the machines.
func TestTreeOfARollout(t *testing.T) {
	for _, name := range []string{"drain-blocked", "etcd-member-sick", "paused"} {
		f, now := chainFamily(t, "testdata/chains/"+name+".yaml")
		var out strings.Builder
		if err := table(&out, treeRows(tree(f, treeOptions{Grouping: true}), now)); err != nil {
			t.Fatal(err)
		}
		golden(t, "tree/"+name+".txt", out.String())
	}
}

// Where the output is no terminal, the tree is followed by a line for each change.
func TestWatchTellsChanges(t *testing.T) {
	objects, now := recorded(t, "testdata/chains/drain-blocked.yaml")
	var out bytes.Buffer
	s := &treeScreen{tool: &tool{out: &out, now: func() time.Time { return now }}}
	show := func() {
		t.Helper()
		f, err := familyOf(objects, "demo")
		if err != nil {
			t.Fatal(err)
		}
		if err := s.show(f); err != nil {
			t.Fatal(err)
		}
	}
	show()
	first := out.Len()
	show()
	if out.Len() != first {
		t.Errorf("without a change it tells: %s", out.String()[first:])
	}
	var left []*unstructured.Unstructured
	for _, object := range objects {
		switch object.GetName() {
		case "demo-workers-old-a":
			continue // drained at last
		case "demo-workers-old-b":
			if object.GetKind() == "Machine" {
				at := object.GetCreationTimestamp()
				object.SetDeletionTimestamp(&at)
			}
		case "demo-workers":
			set(t, object, int64(2), "status", "replicas")
			set(t, object, int64(1), "status", "upToDateReplicas")
		case "demo-workers-new-a":
			if object.GetKind() == "Machine" {
				another := object.DeepCopy()
				another.SetName("demo-workers-new-b")
				left = append(left, another)
			}
		}
		left = append(left, object)
	}
	objects = left
	show()
	golden(t, "watch-changes.txt", out.String()[first:])
}

// A picture fits its terminal, whatever is in it.
func TestPicture(t *testing.T) {
	text := strings.Repeat("a line that is wider than the terminal\n", 9)
	for height := 3; height < 14; height++ {
		drawn := picture("heading", text, 20, height)
		lines := strings.Split(strings.TrimSuffix(strings.TrimPrefix(drawn, "\x1b[H"), "\r\n\x1b[J"), "\r\n")
		if len(lines) >= height {
			t.Errorf("%d lines on a terminal of %d", len(lines), height)
		}
		for _, line := range lines {
			if width := len([]rune(strings.TrimSuffix(line, "\x1b[K"))); width > 20 {
				t.Errorf("a line of %d characters: %q", width, line)
			}
		}
		shown := strings.Count(drawn, "a line")
		if said := strings.Contains(drawn, "more line"); said != (shown < 9) {
			t.Errorf("height %d: %d lines are shown, and that there are more is said: %t", height, shown, said)
		}
	}
}
