// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"strings"
	"testing"
	"time"
)

func TestTree(t *testing.T) {
	eachRecorded(t, func(t *testing.T, name string, f family, now time.Time) {
		var out strings.Builder
		if err := table(&out, treeRows(tree(f, treeOptions{Grouping: true}), now)); err != nil {
			t.Fatal(err)
		}
		golden(t, "tree/"+name+".txt", out.String())
	})
}

func TestTreeInFull(t *testing.T) {
	objects, now := recorded(t, "testdata/objects/ready.yaml")
	f, err := familyOf(objects, "demo")
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if err := table(&out, treeRows(tree(f, treeOptions{Sets: true, Conditions: []string{"all"}, Grouping: true}), now)); err != nil {
		t.Fatal(err)
	}
	golden(t, "tree/ready-in-full.txt", out.String())
	if strings.Contains(out.String(), "Machines...") {
		t.Error("machines whose conditions are asked for are drawn together")
	}
}

// What a Cluster refers to and is not there is told as such.
func TestTreeOfClusterAlone(t *testing.T) {
	objects, now := recorded(t, "testdata/objects/creating-infrastructure.yaml")
	alone := objects[:0]
	for _, object := range objects {
		if object.GetKind() == "Cluster" {
			alone = append(alone, object)
		}
	}
	f, err := familyOf(alone, "demo")
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if err := table(&out, treeRows(tree(f, treeOptions{}), now)); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"DockerCluster/demo (does not exist)", "KubeadmControlPlane/demo-control-plane (does not exist)"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the tree does not tell %q:\n%s", want, out.String())
		}
	}
}

func TestFamilyLeavesOthersOut(t *testing.T) {
	objects, _ := recorded(t, "testdata/objects/ready.yaml")
	f, err := familyOf(objects, "another")
	if err != nil {
		t.Fatal(err)
	}
	if list := members(f); len(list) > 0 {
		t.Errorf("objects of cluster demo are taken for those of another: %v", list)
	}
}
