// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"
)

// created is a Machine as a server gives it that our controller made and to which
// somebody added what has "theirs" in its name.
const created = `
apiVersion: cluster.x-k8s.io/v1beta2
kind: Machine
metadata:
  name: m
  namespace: default
  uid: u
  resourceVersion: "77"
  labels: {ours: a, theirs: b, empty: ""}
  annotations: {ours: a}
  managedFields:
  - manager: slipway-tested
    operation: Update
    apiVersion: cluster.x-k8s.io/v1beta2
    fieldsType: FieldsV1
    fieldsV1:
      f:metadata:
        f:annotations: {.: {}, f:ours: {}}
        f:labels: {.: {}, f:ours: {}, f:empty: {}}
      f:spec:
        .: {}
        f:deletion: {.: {}, f:nodeDrainTimeoutSeconds: {}}
        f:minReadySeconds: {}
        f:order: {}
        f:taints:
          .: {}
          k:{"effect":"NoSchedule","key":"ours"}: {.: {}, f:effect: {}, f:key: {}, f:value: {}}
  - manager: slipway-tested
    operation: Update
    subresource: status
    apiVersion: cluster.x-k8s.io/v1beta2
    fieldsType: FieldsV1
    fieldsV1:
      f:metadata: {f:labels: {f:theirs: {}}}
  - manager: slipway-tested
    operation: Apply
    apiVersion: cluster.x-k8s.io/v1beta2
    fieldsType: FieldsV1
    fieldsV1:
      f:metadata: {f:labels: {f:theirs: {}}}
  - manager: kubectl-edit
    operation: Update
    apiVersion: cluster.x-k8s.io/v1beta2
    fieldsType: FieldsV1
    fieldsV1:
      f:metadata: {f:labels: {f:theirs: {}}}
      f:spec:
        f:taints:
          k:{"effect":"NoSchedule","key":"theirs"}: {.: {}, f:effect: {}, f:key: {}}
spec:
  deletion: {nodeDrainTimeoutSeconds: 60, nodeVolumeDetachTimeoutSeconds: 5}
  minReadySeconds: 30
  order: [b, a]
  taints:
  - {key: theirs, effect: NoSchedule}
  - {key: ours, effect: NoSchedule, value: x}
`

func TestFollow(t *testing.T) {
	const version = `test /metadata/resourceVersion "77"`
	for _, test := range []struct {
		name, field, wanted string
		want                []string // without the test of the UID
	}{
		{"as stated", "/metadata/labels", `{ours: a, empty: ""}`, nil},
		{"theirs is stated too", "/metadata/labels", `{ours: a, theirs: b, empty: ""}`, nil},
		{"added", "/metadata/labels", `{ours: a, empty: "", more: c}`, []string{
			`test /metadata/labels {"empty":"","ours":"a","theirs":"b"}`, `replace /metadata/labels {"empty":"","more":"c","ours":"a","theirs":"b"}`}},
		{"changed", "/metadata/labels", `{ours: z, theirs: q, empty: ""}`, []string{
			`test /metadata/labels {"empty":"","ours":"a","theirs":"b"}`, `replace /metadata/labels {"empty":"","ours":"z","theirs":"q"}`}},
		{"no longer stated", "/metadata/labels", ``, []string{
			`test /metadata/labels {"empty":"","ours":"a","theirs":"b"}`, `replace /metadata/labels {"theirs":"b"}`}},
		{"nothing left", "/metadata/annotations", ``, []string{`test /metadata/annotations {"ours":"a"}`, `remove /metadata/annotations`}},
		{"map within", "/spec/deletion", `{nodeDeletionTimeoutSeconds: 10}`, []string{
			`test /spec/deletion {"nodeDrainTimeoutSeconds":60,"nodeVolumeDetachTimeoutSeconds":5}`,
			`replace /spec/deletion {"nodeDeletionTimeoutSeconds":10,"nodeVolumeDetachTimeoutSeconds":5}`}},
		{"value as stated", "/spec/minReadySeconds", `30`, nil},
		{"value changed", "/spec/minReadySeconds", `0`, []string{`test /spec/minReadySeconds 30`, `replace /spec/minReadySeconds 0`}},
		{"value no longer stated", "/spec/minReadySeconds", ``, []string{`test /spec/minReadySeconds 30`, `remove /spec/minReadySeconds`}},
		{"value that was not there", "/spec/version", `v1`, []string{version, `add /spec/version "v1"`}},
		{"neither there nor stated", "/spec/version", ``, nil},
		{"list compared whole", "/spec/order", `[a, b]`, []string{`test /spec/order ["b","a"]`, `replace /spec/order ["a","b"]`}},
		{"entries as stated", "/spec/taints", `[{key: ours, effect: NoSchedule, value: x}]`, nil},
		{"entry loses a field", "/spec/taints", `[{key: ours, effect: NoSchedule}]`, []string{
			`test /spec/taints [{"effect":"NoSchedule","key":"theirs"},{"effect":"NoSchedule","key":"ours","value":"x"}]`,
			`replace /spec/taints [{"effect":"NoSchedule","key":"theirs"},{"effect":"NoSchedule","key":"ours"}]`}},
		{"entry no longer stated", "/spec/taints", ``, []string{
			`test /spec/taints [{"effect":"NoSchedule","key":"theirs"},{"effect":"NoSchedule","key":"ours","value":"x"}]`,
			`replace /spec/taints [{"effect":"NoSchedule","key":"theirs"}]`}},
		{"entry of another effect", "/spec/taints", `[{key: ours, effect: NoSchedule, value: x}, {key: ours, effect: NoExecute}]`, []string{
			`test /spec/taints [{"effect":"NoSchedule","key":"theirs"},{"effect":"NoSchedule","key":"ours","value":"x"}]`,
			`replace /spec/taints [{"effect":"NoSchedule","key":"theirs"},{"effect":"NoSchedule","key":"ours","value":"x"},{"effect":"NoExecute","key":"ours"}]`}},
	} {
		t.Run(test.name, func(t *testing.T) {
			object := parse(t, created)
			intent := parse(t, "{}")
			var wanted any
			if err := yaml.Unmarshal([]byte(test.wanted), &wanted); err != nil {
				t.Fatal(err)
			}
			if wanted != nil {
				outer, name, _ := strings.Cut(test.field[1:], "/")
				intent.Object[outer] = map[string]any{name: wanted}
			}
			patch, needed := Follow(machineKind, object, intent, "tested", "r", test.field)
			var got []string
			for _, operation := range patch.Operations[1:] {
				text := operation.Op + " " + operation.Path
				if operation.Value != nil {
					raw, err := json.Marshal(operation.Value)
					if err != nil {
						t.Fatal(err)
					}
					text += " " + string(raw)
				}
				got = append(got, text)
			}
			if diff := cmp.Diff(test.want, got); diff != "" || needed != (len(test.want) > 0) {
				t.Errorf("needed: %v; patch (-want +got):\n%s", needed, diff)
			}
			if first := patch.Operations[0]; first.Op != "test" || first.Path != "/metadata/uid" || first.Value != "u" {
				t.Errorf("it begins with %+v", first)
			}
			if diff := cmp.Diff(parse(t, created), object); diff != "" {
				t.Errorf("the object given was changed:\n%s", diff)
			}
		})
	}
}

// TestFollowForeign follows on an object that another controller made: what that wrote
// is never removed.
func TestFollowForeign(t *testing.T) {
	intent := parse(t, "{metadata: {labels: {ours: a}}}")
	if patch, needed := Follow(machineKind, parse(t, created), intent, "stranger", "r", "/metadata/labels", "/metadata/annotations", "/spec/taints", "/spec/minReadySeconds"); needed {
		t.Errorf("it would %s", patch)
	}
}
