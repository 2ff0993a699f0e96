// SPDX-License-Identifier: Apache-2.0

package contract

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"

	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
)

func read(t *testing.T, version, text string) *Object {
	t.Helper()
	object := &Object{Unstructured: &unstructured.Unstructured{}, Contract: version}
	if err := yaml.Unmarshal([]byte(text), &object.Object); err != nil {
		t.Fatal(err)
	}
	return object
}

func TestServed(t *testing.T) {
	const newer, older = "cluster.x-k8s.io/v1beta2", "cluster.x-k8s.io/v1beta1"
	for _, test := range []struct {
		name                  string
		labels                map[string]string
		wantContract, wantAPI string
	}{
		{"one version", map[string]string{newer: "v1"}, "v1beta2", "v1"},
		{"the newest contract first", map[string]string{newer: "v1beta1", older: "v2"}, "v1beta2", "v1beta1"},
		{"only the older contract", map[string]string{older: "v1alpha1"}, "v1beta1", "v1alpha1"},
		{"the highest version", map[string]string{newer: "v1alpha4_v1beta1_v1beta2"}, "v1beta2", "v1beta2"},
		{"stable before beta, ten before nine", map[string]string{newer: "v9_v10beta1_v10"}, "v1beta2", "v10"},
		{"an empty label does not count", map[string]string{newer: "", older: "v1"}, "v1beta1", "v1"},
		{"stray separators", map[string]string{newer: "_v1_"}, "v1beta2", "v1"},
		{"a contract that is not known", map[string]string{"cluster.x-k8s.io/v1alpha3": "v1"}, "", ""},
		{"no labels", nil, "", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			contractVersion, apiVersion, ok := Served(test.labels)
			if contractVersion != test.wantContract || apiVersion != test.wantAPI || ok != (test.wantAPI != "") {
				t.Errorf("it is served as %q by contract %q, %t", apiVersion, contractVersion, ok)
			}
		})
	}
}

func TestCRDName(t *testing.T) {
	for kind, want := range map[string]string{
		"DockerMachine": "dockermachines.g.io", "MachineClass": "machineclasses.g.io", "ProxyPolicy": "proxypolicies.g.io", "GatewayInfra": "gatewayinfras.g.io",
	} {
		if got := CRDName(schema.GroupKind{Group: "g.io", Kind: kind}); got != want {
			t.Errorf("CRD of %s is %s, want %s", kind, got, want)
		}
	}
}

func TestInitialization(t *testing.T) {
	for _, test := range []struct {
		name, version, text string
		ask                 func(*Object) bool
		want                bool
	}{
		{"provisioned", V1Beta2, `{status: {initialization: {provisioned: true}}}`, (*Object).Provisioned, true},
		{"not provisioned", V1Beta2, `{status: {initialization: {provisioned: false}}}`, (*Object).Provisioned, false},
		{"nothing yet", V1Beta2, `{}`, (*Object).Provisioned, false},
		{"the older word does not count", V1Beta2, `{status: {ready: true}}`, (*Object).Provisioned, false},
		{"of the wrong shape", V1Beta2, `{status: {initialization: {provisioned: "true"}}}`, (*Object).Provisioned, false},
		{"the older word", V1Beta1, `{status: {ready: true}}`, (*Object).Provisioned, true},
		{"the newer word does not count", V1Beta1, `{status: {initialization: {provisioned: true}}}`, (*Object).Provisioned, false},
		{"data", V1Beta2, `{status: {initialization: {dataSecretCreated: true}}}`, (*Object).DataSecretCreated, true},
		{"data, older", V1Beta1, `{status: {ready: true}}`, (*Object).DataSecretCreated, true},
		{"control plane", V1Beta2, `{status: {initialization: {controlPlaneInitialized: true}}}`, (*Object).ControlPlaneInitialized, true},
		{"control plane, older", V1Beta1, `{status: {initialized: true, ready: false}}`, (*Object).ControlPlaneInitialized, true},
		{"managed elsewhere", V1Beta2, `{status: {externalManagedControlPlane: true}}`, (*Object).ExternallyManagedControlPlane, true},
		{"interruptible", V1Beta2, `{status: {interruptible: true}}`, (*Object).Interruptible, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := test.ask(read(t, test.version, test.text)); got != test.want {
				t.Errorf("it is %t, want %t", got, test.want)
			}
		})
	}
}

func TestEndpoint(t *testing.T) {
	for _, test := range []struct {
		text, host string
		port       int32
	}{
		{`{spec: {controlPlaneEndpoint: {host: h, port: 6443}}}`, "h", 6443},
		{`{spec: {controlPlaneEndpoint: {host: h}}}`, "h", 0},
		{`{spec: {}}`, "", 0},
		{`{spec: {controlPlaneEndpoint: {host: 7, port: x}}}`, "", 0},
	} {
		if host, port := read(t, V1Beta2, test.text).Endpoint(); host != test.host || port != test.port {
			t.Errorf("endpoint of %s is %s:%d", test.text, host, port)
		}
	}
}

func TestFailureDomains(t *testing.T) {
	yes, no := true, false
	want := []FailureDomain{{Name: "a", ControlPlane: &yes, Attributes: map[string]string{"zone": "1"}}, {Name: "b", ControlPlane: &no}, {Name: "c"}}
	for version, text := range map[string]string{
		V1Beta2: `{status: {failureDomains: [{name: b, controlPlane: false}, {name: a, controlPlane: true, attributes: {zone: "1"}}, {name: c}]}}`,
		V1Beta1: `{status: {failureDomains: {b: {controlPlane: false}, a: {controlPlane: true, attributes: {zone: "1"}}, c: {}}}}`,
	} {
		if diff := cmp.Diff(want, read(t, version, text).FailureDomains()); diff != "" {
			t.Errorf("by contract %s (-want +got):\n%s", version, diff)
		}
	}
	for _, version := range []string{V1Beta1, V1Beta2} {
		if got := read(t, version, `{status: {failureDomains: nonsense}}`).FailureDomains(); got != nil {
			t.Errorf("nonsense gives %v by contract %s", got, version)
		}
	}
}

func TestMachineFields(t *testing.T) {
	object := read(t, V1Beta2, `{spec: {providerID: "docker:////m", failureDomain: asked}, status: {failureDomain: got, dataSecretName: s, addresses: [{type: InternalIP, address: 10.0.0.1}]}}`)
	if object.ProviderID() != "docker:////m" || object.PlacedIn() != "got" || object.DataSecretName() != "s" {
		t.Errorf("it reads %q, %q, %q", object.ProviderID(), object.PlacedIn(), object.DataSecretName())
	}
	if diff := cmp.Diff([]Address{{"InternalIP", "10.0.0.1"}}, object.Addresses()); diff != "" {
		t.Errorf("addresses (-want +got):\n%s", diff)
	}
	object.Contract = V1Beta1
	if object.PlacedIn() != "asked" {
		t.Errorf("by the older contract it is placed in %q", object.PlacedIn())
	}
}

func TestReplicas(t *testing.T) {
	n := func(v int32) *int32 { return &v }
	newer := read(t, V1Beta2, `{spec: {replicas: 3}, status: {replicas: 3, readyReplicas: 2, availableReplicas: 1, upToDateReplicas: 0}}`)
	if diff := cmp.Diff(Replicas{n(3), n(3), n(2), n(1), n(0)}, newer.Replicas()); diff != "" {
		t.Errorf("counters (-want +got):\n%s", diff)
	}
	older := read(t, V1Beta1, `{spec: {replicas: 3}, status: {replicas: 3, readyReplicas: 2, unavailableReplicas: 1, updatedReplicas: 3}}`)
	if diff := cmp.Diff(Replicas{n(3), n(3), n(2), n(2), n(3)}, older.Replicas()); diff != "" {
		t.Errorf("counters by the older contract (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(Replicas{}, read(t, V1Beta2, `{}`).Replicas()); diff != "" {
		t.Errorf("counters that are not reported (-want +got):\n%s", diff)
	}
}

func TestVersions(t *testing.T) {
	n := int32(2)
	for _, test := range []struct {
		text string
		want []VersionCount
	}{
		{`{status: {versions: [{version: v1.37.1, replicas: 2}]}}`, []VersionCount{{"v1.37.1", &n}}},
		{`{status: {version: v1.36.3, replicas: 2}}`, []VersionCount{{"v1.36.3", &n}}},
		{`{status: {versions: [{version: v1.37.1}]}}`, []VersionCount{{"v1.37.1", nil}}},
		{`{}`, nil},
	} {
		if diff := cmp.Diff(test.want, read(t, V1Beta2, test.text).Versions()); diff != "" {
			t.Errorf("versions of %s (-want +got):\n%s", test.text, diff)
		}
	}
	if got := read(t, V1Beta2, `{spec: {version: v1.37.1}}`).DesiredVersion(); got != "v1.37.1" {
		t.Errorf("desired version %q", got)
	}
}

func TestCondition(t *testing.T) {
	for _, test := range []struct {
		name, text string
		want       *metav1.Condition
		malformed  string
	}{
		{"there", `{status: {conditions: [{type: Other, status: "False"}, {type: Ready, status: "True", reason: R, message: m}]}}`,
			&metav1.Condition{Type: "Ready", Status: "True", Reason: "R", Message: "m"}, ""},
		{"older shape", `{status: {conditions: [{type: Ready, status: "False", severity: Warning, reason: R, lastTransitionTime: "2026-01-02T03:04:05Z"}]}}`,
			&metav1.Condition{Type: "Ready", Status: "False", Reason: "R"}, ""},
		{"absent", `{status: {conditions: []}}`, nil, ""},
		{"no status", `{}`, nil, ""},
		{"not a list", `{status: {conditions: {Ready: true}}}`, nil, "not a list"},
		{"unknown status", `{status: {conditions: [{type: Ready, status: yes!}]}}`, nil, "must be True, False or Unknown"},
		{"no status in it", `{status: {conditions: [{type: Ready}]}}`, nil, "must be True, False or Unknown"},
		{"bad time", `{status: {conditions: [{type: Ready, status: "True", lastTransitionTime: yesterday}]}}`, nil, "condition Ready"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, malformed := read(t, V1Beta2, test.text).Condition("Ready")
			if got != nil {
				got.LastTransitionTime = metav1.Time{}
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("condition (-want +got):\n%s", diff)
			}
			if (test.malformed == "") != (malformed == "") || !strings.Contains(malformed, test.malformed) {
				t.Errorf("what is wrong with it: %q, want %q", malformed, test.malformed)
			}
		})
	}
}

// TestMirror: what a provider reports becomes a condition that the server takes,
// whatever it is.
func TestMirror(t *testing.T) {
	for _, test := range []struct {
		name, condition string
		want            metav1.Condition
	}{
		{"as it is", `{type: Ready, status: "False", reason: "WaitingForVPC_2", message: m, observedGeneration: 7}`,
			metav1.Condition{Type: "InfrastructureReady", Status: "False", Reason: "WaitingForVPC_2", Message: "m"}},
		{"true without a reason", `{type: Ready, status: "True"}`, metav1.Condition{Type: "InfrastructureReady", Status: "True", Reason: "Ready"}},
		{"false without a reason", `{type: Ready, status: "False", severity: Info}`, metav1.Condition{Type: "InfrastructureReady", Status: "False", Reason: "NotReady"}},
		{"unknown without a reason", `{type: Ready, status: Unknown, reason: ""}`, metav1.Condition{Type: "InfrastructureReady", Status: "Unknown", Reason: "ReadyUnknown"}},
		{"a reason of several words", `{type: Ready, status: "False", reason: waiting for vpc}`,
			metav1.Condition{Type: "InfrastructureReady", Status: "Unknown", Reason: "InvalidConditionReported", Message: `MemoryCluster default/c: condition Ready has reason "waiting for vpc", which is not a word`}},
		{"a reason without end", `{type: Ready, status: "True", reason: ` + strings.Repeat("x", 1025) + `}`,
			metav1.Condition{Type: "InfrastructureReady", Status: "Unknown", Reason: "InvalidConditionReported", Message: `MemoryCluster default/c: condition Ready has reason "` + strings.Repeat("x", 100) + `", which is not a word`}},
		{"no status", `{type: Ready, reason: R}`,
			metav1.Condition{Type: "InfrastructureReady", Status: "Unknown", Reason: "InvalidConditionReported", Message: `MemoryCluster default/c: condition Ready has status ""; it must be True, False or Unknown`}},
	} {
		t.Run(test.name, func(t *testing.T) {
			object := read(t, V1Beta2, `{kind: MemoryCluster, metadata: {namespace: default, name: c}, status: {conditions: [`+test.condition+`]}}`)
			got, reported := object.Mirror("Ready", "InfrastructureReady")
			if diff := cmp.Diff(test.want, got); diff != "" || !reported {
				t.Errorf("condition (reported: %t; -want +got):\n%s", reported, diff)
			}
		})
	}
	if _, reported := read(t, V1Beta2, `{}`).Mirror("Ready", "InfrastructureReady"); reported {
		t.Error("a condition that is not there is reported")
	}
}

func TestFromTemplate(t *testing.T) {
	template := read(t, V1Beta2, `
apiVersion: infrastructure.cluster.x-k8s.io/v1
kind: MemoryMachineTemplate
metadata: {namespace: default, name: small, labels: {not: copied}}
spec:
  template:
    metadata: {labels: {from: template, both: template}, annotations: {note: x}}
    spec: {size: 3, empty: {}}
`)
	before, _ := json.Marshal(template)
	owner := metav1.OwnerReference{APIVersion: "cluster.x-k8s.io/v1beta2", Kind: "Machine", Name: "m-1", UID: "u"}
	made, err := FromTemplate(template, Clone{Namespace: "default", Name: "m-1", Labels: map[string]string{"both": "clone"}, Owner: owner})
	if err != nil {
		t.Fatal(err)
	}
	want := read(t, V1Beta2, `
apiVersion: infrastructure.cluster.x-k8s.io/v1
kind: MemoryMachine
metadata:
  namespace: default
  name: m-1
  labels: {from: template, both: clone}
  annotations:
    note: x
    cluster.x-k8s.io/cloned-from-name: small
    cluster.x-k8s.io/cloned-from-groupkind: MemoryMachineTemplate.infrastructure.cluster.x-k8s.io
  ownerReferences: [{apiVersion: cluster.x-k8s.io/v1beta2, kind: Machine, name: m-1, uid: u}]
spec: {size: 3, empty: {}}
`)
	wantText, _ := yaml.Marshal(want.Object)
	gotText, _ := yaml.Marshal(made.Object)
	if diff := cmp.Diff(string(wantText), string(gotText)); diff != "" {
		t.Errorf("object (-want +got):\n%s", diff)
	}
	if after, _ := json.Marshal(template); string(after) != string(before) {
		t.Error("the template was changed")
	}
	for kind, wrong := range map[string]string{"MemoryMachine": "must end in Template", "Template": "must end in Template"} {
		template.SetKind(kind)
		if _, err := FromTemplate(template, Clone{}); err == nil || !strings.Contains(err.Error(), wrong) || !strings.Contains(err.Error(), "default/small") {
			t.Errorf("kind %s gives %v", kind, err)
		}
	}
	broken := read(t, V1Beta2, `{kind: XTemplate, spec: {template: {spec: nonsense}}}`)
	if _, err := FromTemplate(broken, Clone{}); err == nil {
		t.Error("a template without a usable spec was cloned")
	}
}

func TestRefs(t *testing.T) {
	ref := RefFrom(clusterv1.ContractVersionedObjectReference{APIGroup: "g.io", Kind: "K", Name: "n"})
	if ref.String() != "K.g.io n" || ref.IsZero() || !(Ref{}).IsZero() || ref.GroupKind() != (schema.GroupKind{Group: "g.io", Kind: "K"}) {
		t.Errorf("reference %v", ref)
	}
}

func TestJSON(t *testing.T) {
	text := `{"apiVersion":"g.io/v1","kind":"K","metadata":{"name":"n"},"spec":{"replicas":3}}`
	var object Object
	if err := json.Unmarshal([]byte(text), &object); err != nil {
		t.Fatal(err)
	}
	if object.Contract != V1Beta2 {
		t.Errorf("a recorded object follows %q", object.Contract)
	}
	raw, err := json.Marshal(&object)
	if err != nil || strings.TrimSpace(string(raw)) != text {
		t.Errorf("written again it is %s, %v", raw, err)
	}
}
