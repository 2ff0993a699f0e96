// SPDX-License-Identifier: Apache-2.0

package containers

import "testing"

// TestDeletionLeavesOthersInDocker: a deletion that was decided for another object of the same name touches nothing, be
// it a container with its volume or a volume that is there alone.
func TestDeletionLeavesOthersInDocker(t *testing.T) {
	c := newTestClient(t)
	spec := testSpec("owned")
	machine := mustCreate(t, c, spec)
	remove := func(uid string) Machine {
		t.Helper()
		if err := c.DeleteMachine(t.Context(), spec.Key, uid); err != nil {
			t.Fatal(err)
		}
		left, err := c.Machine(t.Context(), spec.Key)
		if err != nil {
			t.Fatal(err)
		}
		return left
	}
	if left := remove("another"); !left.Running() || left.VolumeUID != spec.UID {
		t.Errorf("after a deletion for an object with another UID the machine is %+v", left)
	}
	if err := c.remove(t.Context(), machine.ID); err != nil {
		t.Fatal(err)
	}
	if left := remove("another"); left.Exists || left.VolumeUID != spec.UID {
		t.Errorf("after a deletion for an object with another UID the rest is %+v", left)
	}
	if left := remove(spec.UID); left.Exists || left.VolumeExists {
		t.Errorf("after its own deletion there is %+v", left)
	}
}
