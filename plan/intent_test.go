// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// live is a Machine as a server gives it after two managers applied to it: ours with the
// label, an owner and a condition, the test's with everything else. The managed fields
// are a server's own.
const live = `
apiVersion: cluster.x-k8s.io/v1beta2
kind: Machine
metadata:
  name: m
  namespace: default
  uid: u
  resourceVersion: "77"
  finalizers: [mine, other]
  labels: {ours: a, theirs: b}
  ownerReferences:
  - {apiVersion: cluster.x-k8s.io/v1beta2, kind: Cluster, name: demo, uid: cluster-uid}
  - {apiVersion: cluster.x-k8s.io/v1beta2, kind: MachineSet, name: set, uid: set-uid}
  managedFields:
  - manager: slipway-tested
    operation: Apply
    apiVersion: cluster.x-k8s.io/v1beta2
    fieldsType: FieldsV1
    fieldsV1:
      f:metadata:
        f:finalizers: {'v:"mine"': {}}
        f:labels: {f:ours: {}}
        f:ownerReferences:
          k:{"uid":"cluster-uid"}: {}
      f:spec:
        f:clusterName: {}
        f:minReadySeconds: {}
        f:order: {}
  - manager: slipway-tested
    operation: Apply
    subresource: status
    apiVersion: cluster.x-k8s.io/v1beta2
    fieldsType: FieldsV1
    fieldsV1:
      f:status:
        f:conditions:
          k:{"type":"Ready"}: {.: {}, f:lastTransitionTime: {}, f:message: {}, f:reason: {}, f:status: {}, f:type: {}}
        f:addresses: {}
        f:replicas: {}
  - manager: kubectl
    operation: Update
    apiVersion: cluster.x-k8s.io/v1beta2
    fieldsType: FieldsV1
    fieldsV1:
      f:metadata: {f:labels: {f:theirs: {}}}
      f:spec: {f:version: {}}
spec:
  clusterName: demo
  version: v1.37.1
  minReadySeconds: 5
  order: [a, b]
status:
  replicas: 3
  addresses:
  - {type: InternalIP, address: 10.0.0.1}
  - {type: Hostname, address: m}
  conditions:
  - {type: Ready, status: "True", reason: Ready, message: "", lastTransitionTime: "2026-01-02T03:04:05Z"}
  - {type: Other, status: "False", reason: Theirs, message: x, lastTransitionTime: "2026-01-02T03:04:05Z"}
`

const ownMeta = `
metadata:
  name: m
  namespace: default
  uid: u
  finalizers: [mine]
  labels: {ours: a}
  ownerReferences:
  - {apiVersion: cluster.x-k8s.io/v1beta2, kind: Cluster, name: demo, uid: cluster-uid}
`

const own = ownMeta + `
spec: {clusterName: demo, minReadySeconds: 5, order: [a, b]}
`

const ready = `{type: Ready, status: "True", reason: Ready, message: "", lastTransitionTime: "2026-01-02T03:04:05Z"}`

const ownStatus = `
metadata: {name: m, namespace: default, uid: u}
status:
  replicas: 3
  addresses: [{type: InternalIP, address: 10.0.0.1}, {type: Hostname, address: m}]
  conditions: [` + ready + `]
`

func TestNeedsApply(t *testing.T) {
	for _, test := range []struct {
		name, intent, subresource string
		want                      bool
	}{
		{"all as stated", own, "", false},
		{"label changed", replace(own, "ours: a", "ours: c"), "", true},
		{"label more", replace(own, "ours: a", "ours: a, more: c"), "", true},
		{"label no longer stated", replace(own, "ours: a", ""), "", true},
		{"somebody else's label stated alike", replace(own, "ours: a", "ours: a, theirs: b"), "", false},
		{"number changed", replace(own, "minReadySeconds: 5", "minReadySeconds: 6"), "", true},
		{"number as a float", replace(own, "minReadySeconds: 5", "minReadySeconds: 5.0"), "", false},
		{"field no longer stated", replace(own, "minReadySeconds: 5, ", ""), "", true},
		{"another finalizer", replace(own, "finalizers: [mine]", "finalizers: [mine, new]"), "", true},
		{"no finalizer any more", replace(own, "finalizers: [mine]", "finalizers: []"), "", true},
		{"another owner", replace(own, "uid: cluster-uid", "uid: other-uid"), "", true},
		{"owner becomes controller", replace(own, "uid: cluster-uid", "uid: cluster-uid, controller: true"), "", true},
		{"atomic list in another order", replace(own, "order: [a, b]", "order: [b, a]"), "", true},
		{"atomic list with one less", replace(own, "order: [a, b]", "order: [a]"), "", true},
		{"whole spec no longer stated", ownMeta, "", true},
		{"field of the wrong shape", replace(own, "clusterName: demo", "clusterName: {a: b}"), "", true},

		{"status as stated", ownStatus, "status", false},
		{"condition changed", replace(ownStatus, `reason: Ready, message: ""`, `reason: Ready, message: more`), "status", true},
		{"condition more", replace(ownStatus, ready, ready+`, {type: New, status: "True"}`), "status", true},
		{"condition no longer stated", replace(ownStatus, ready, ""), "status", true},
		{"counter changed", replace(ownStatus, "replicas: 3", "replicas: 4"), "status", true},
		{"counter no longer stated", replace(ownStatus, "replicas: 3", ""), "status", true},
		{"list of addresses cut", replace(ownStatus, ", {type: Hostname, address: m}", ""), "status", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := NeedsApply(parse(t, live), parse(t, test.intent), Manager("tested"), test.subresource); got != test.want {
				t.Errorf("needs apply is %t, want %t", got, test.want)
			}
		})
	}
}

// TestNeedsApplyOfOthers: what other managers, other subresources or updates own is
// never taken back.
func TestNeedsApplyOfOthers(t *testing.T) {
	little := parse(t, replace(ownMeta, "finalizers: [mine]", ""))
	for _, manager := range []string{"slipway-other", "kubectl"} {
		if NeedsApply(parse(t, live), little, manager, "") {
			t.Errorf("manager %s would take back what it did not apply", manager)
		}
	}
	object := parse(t, live)
	entries := object.GetManagedFields()
	entries[0].FieldsV1 = &metav1.FieldsV1{}
	entries[0].FieldsV1.SetRawString(`{"f:metadata":{"k:nonsense":{}}}`)
	object.SetManagedFields(entries)
	if !NeedsApply(object, parse(t, own), Manager("tested"), "") {
		t.Error("with managed fields that cannot be read it must apply to be sure")
	}
}

func TestNeedsApplyToNothing(t *testing.T) {
	if !NeedsApply(&unstructured.Unstructured{Object: map[string]any{}}, parse(t, own), Manager("tested"), "") {
		t.Error("an intent needs no apply to an object with nothing in it")
	}
}

func parse(t *testing.T, text string) *unstructured.Unstructured {
	t.Helper()
	raw, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	object := &unstructured.Unstructured{Object: map[string]any{}}
	if err := yaml.Unmarshal(raw, &object.Object); err != nil {
		t.Fatal(err)
	}
	return object
}

// replace changes one part of a text, which must be there.
func replace(text, old, with string) string {
	if !strings.Contains(text, old) {
		panic("there is no " + old)
	}
	return strings.Replace(text, old, with, 1)
}
