// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
)

var (
	machineKind = schema.GroupVersionKind{Group: "cluster.x-k8s.io", Version: "v1beta2", Kind: "Machine"}
	secretKind  = corev1.SchemeGroupVersion.WithKind("Secret")
	nodeKind    = corev1.SchemeGroupVersion.WithKind("Node")
)

func object(kind schema.GroupVersionKind, name, uid string) *unstructured.Unstructured {
	made := &unstructured.Unstructured{}
	made.SetGroupVersionKind(kind)
	made.SetNamespace("default")
	made.SetName(name)
	made.SetUID(types.UID(uid))
	return made
}

type work struct{ name string }

func (w work) String() string { return "do " + w.name }
func (w work) Subject() Ref {
	return Ref{GroupVersionKind: machineKind, Namespace: "default", Name: w.name, UID: "u"}
}

func TestCheck(t *testing.T) {
	ref := Ref{GroupVersionKind: machineKind, Namespace: "default", Name: "m", UID: "u"}
	noUID := ref
	noUID.UID = ""
	noName := ref
	noName.Name = ""
	remove := Delete{On: ref, Reason: "r"}
	for _, test := range []struct {
		name string
		plan Plan[struct{}]
		want string // part of the one rule broken; "" for none
	}{
		{"settled", Of(Settle("Done"), struct{}{}), ""},
		{"waiting", Of(Wait("Waiting", "for x"), struct{}{}), ""},
		{"blocked", Of(Block("Blocked", "do y"), struct{}{}), ""},
		{"acting", Of(Act("Acting", "", remove), struct{}{}), ""},
		{"waiting with actions", Plan[struct{}]{Outcome: Outcome{Waiting, "Waiting", "for x"}, Actions: []Action{remove}}, ""},
		{"zero", Plan[struct{}]{Outcome: Outcome{Reason: "R"}}, "outcome kind"},
		{"reason with a blank", Of(Settle("all done"), struct{}{}), "CamelCase"},
		{"reason in small letters", Of(Settle("done"), struct{}{}), "CamelCase"},
		{"no reason", Of(Settle(""), struct{}{}), "CamelCase"},
		{"waiting for nothing", Of(Wait("Waiting", ""), struct{}{}), "must say for what"},
		{"blocked by nothing", Of(Block("Blocked", ""), struct{}{}), "must say for what"},
		{"converged with actions", Plan[struct{}]{Outcome: Outcome{Converged, "Done", ""}, Actions: []Action{remove}}, "has actions"},
		{"acting without actions", Of(Act("Acting", ""), struct{}{}), "has no actions"},
		{"twice the same", Of(Act("Acting", "", remove, remove), struct{}{}), "planned twice"},
		{"two of a kind", Of(Act("Acting", "", Operate{"docker", work{"a"}, "r"}, Operate{"docker", work{"b"}, "r"}), struct{}{}), ""},
		{"delete without UID", Of(Act("Acting", "", Delete{On: noUID, Reason: "r"}), struct{}{}), "carry the UID"},
		{"delete without reason", Of(Act("Acting", "", Delete{On: ref}), struct{}{}), "no reason"},
		{"delete without name", Of(Act("Acting", "", Delete{On: noName, Reason: "r"}), struct{}{}), "no name"},
		{"patch without test", Of(Act("Acting", "", Patch{On: ref, Operations: []PatchOperation{{Op: "remove", Path: "/a"}}, Reason: "r"}), struct{}{}), "carry a test"},
		{"patch with test", Of(Act("Acting", "", Patch{On: ref, Operations: []PatchOperation{{Op: "test", Path: "/a", Value: 1}}, Reason: "r"}), struct{}{}), ""},
		{"apply without UID", Of(Act("Acting", "", Apply{Object: object(machineKind, "m", ""), Reason: "r"}), struct{}{}), "carry its UID"},
		{"apply that makes", Of(Act("Acting", "", Apply{Object: object(machineKind, "m", ""), Creates: true, Reason: "r"}), struct{}{}), ""},
		{"apply with UID", Of(Act("Acting", "", Apply{Object: object(machineKind, "m", "u"), Reason: "r"}), struct{}{}), ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			broken := Check(test.plan)
			switch {
			case test.want == "" && len(broken) > 0:
				t.Errorf("a sound plan breaks %v", broken)
			case test.want != "" && (len(broken) != 1 || !strings.Contains(broken[0], test.want)):
				t.Errorf("it breaks %q, want one rule with %q", broken, test.want)
			}
		})
	}
}

func TestPrint(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	secret := object(secretKind, "s", "")
	secret.Object["data"] = map[string]any{"key": "c2VjcmV0"}
	secret.Object["stringData"] = map[string]any{"word": "hunter2"}
	applied := object(machineKind, "m", "u")
	applied.Object["spec"] = map[string]any{"clusterName": "demo"}
	in := types.NamespacedName{Namespace: "default", Name: "demo"}
	printed := Print(Of(Act("Working", "on it",
		Create{Object: secret, Reason: "it is wanted"},
		Apply{Object: applied, Subresource: "status", Reason: "to show it"},
		RemoveFinalizer(machineKind, withFinalizers("mine", "other"), "mine", "all is gone"),
		Delete{On: Ref{GroupVersionKind: nodeKind, Name: "n", UID: "u", Cluster: in}, Reason: "its machine is gone"},
		Operate{System: "docker", Operation: work{"it"}, Reason: "it is time"},
	).At(now.Add(5*time.Second)), map[string]string{"phase": "Pending"}), now)
	want := `outcome: Acting Working: on it
actions:
- create Secret default/s (it is wanted)
    apiVersion: v1
    data:
      key: (not shown)
    kind: Secret
    metadata:
      name: s
      namespace: default
    stringData:
      word: (not shown)
- apply status of Machine default/m (to show it)
    apiVersion: cluster.x-k8s.io/v1beta2
    kind: Machine
    metadata:
      name: m
      namespace: default
      uid: u
    spec:
      clusterName: demo
- patch Machine default/m: replace /metadata/finalizers ["other"] (all is gone)
- delete Node n in cluster default/demo (its machine is gone)
- docker: do it (it is time)
status:
    phase: Pending
recheck: in 5s
`
	if diff := cmp.Diff(want, printed); diff != "" {
		t.Errorf("printed (-want +got):\n%s", diff)
	}
	if got := secret.Object["data"].(map[string]any)["key"]; got != "c2VjcmV0" {
		t.Errorf("printing changed the Secret that is to be made: %v", got)
	}
}

func withFinalizers(finalizers ...string) *unstructured.Unstructured {
	made := object(machineKind, "m", "u")
	made.SetFinalizers(finalizers)
	return made
}

func TestFinalizers(t *testing.T) {
	remove := RemoveFinalizer(machineKind, withFinalizers("a", "mine", "b"), "mine", "r")
	want := []PatchOperation{
		{Op: "test", Path: "/metadata/uid", Value: "u"},
		{Op: "test", Path: "/metadata/finalizers", Value: []string{"a", "mine", "b"}},
		{Op: "replace", Path: "/metadata/finalizers", Value: []string{"a", "b"}},
	}
	if diff := cmp.Diff(want, remove.Operations); diff != "" {
		t.Errorf("removal (-want +got):\n%s", diff)
	}
	add := AddFinalizer(machineKind, withFinalizers("a"), "mine")
	if diff := cmp.Diff([]string{"mine"}, add.Object.GetFinalizers()); diff != "" {
		t.Errorf("it states the finalizers of others too (-want +got):\n%s", diff)
	}
	if add.Object.GetUID() != "u" || add.Aspect == "" {
		t.Errorf("an added finalizer has UID %q and aspect %q", add.Object.GetUID(), add.Aspect)
	}
}

func TestIntent(t *testing.T) {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name: "p", Namespace: "ns", UID: "u", ResourceVersion: "5", Generation: 3, CreationTimestamp: metav1.Now(),
			Labels: map[string]string{}, ManagedFields: []metav1.ManagedFieldsEntry{{Manager: "x"}},
		},
		Spec:   corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "i"}}},
		Status: corev1.PodStatus{Phase: corev1.PodRunning},
	}
	want := map[string]any{
		"apiVersion": "v1", "kind": "Pod",
		"metadata": map[string]any{"name": "p", "namespace": "ns", "uid": "u"},
		"spec":     map[string]any{"containers": []any{map[string]any{"name": "c", "image": "i", "resources": map[string]any{}}}},
	}
	if diff := cmp.Diff(want, Intent(corev1.SchemeGroupVersion.WithKind("Pod"), pod).Object); diff != "" {
		t.Errorf("intent (-want +got):\n%s", diff)
	}
	if pod.ResourceVersion != "5" {
		t.Error("the object given was changed")
	}
}

func TestManager(t *testing.T) {
	for want, got := range map[string]string{
		"slipway-cluster": Manager("cluster"), "slipway-cluster-endpoint": Manager("cluster", "endpoint"), "slipway-machine": Manager("machine", ""),
	} {
		if got != want {
			t.Errorf("field manager %q, want %q", got, want)
		}
	}
}

func TestOwnerReference(t *testing.T) {
	owner := object(machineKind, "m", "u")
	if got := OwnerReference(machineKind, owner, false); got.Controller != nil || got.BlockOwnerDeletion != nil || got.UID != "u" || got.APIVersion != "cluster.x-k8s.io/v1beta2" {
		t.Errorf("owner: %+v", got)
	}
	if got := OwnerReference(machineKind, owner, true); got.Controller == nil || !*got.Controller || got.BlockOwnerDeletion == nil || !*got.BlockOwnerDeletion {
		t.Errorf("controller owner: %+v", got)
	}
}

func TestKnown(t *testing.T) {
	now := time.Now()
	if known := KnownValue(3, now); !known.OK() || known.Value != 3 || known.At != now {
		t.Errorf("known: %+v", known)
	}
	if unknown := Unknown[int](errors.New("no answer"), now); unknown.OK() || unknown.Err != "no answer" {
		t.Errorf("unknown: %+v", unknown)
	}
}

func TestVerbs(t *testing.T) {
	verbs := []string{Create{}.Verb(), Apply{}.Verb(), Patch{}.Verb(), Delete{}.Verb(), Operate{}.Verb()}
	if !slices.Equal(verbs, []string{"create", "patch", "patch", "delete", "operate"}) {
		t.Errorf("verbs: %v", verbs)
	}
}

func TestLongPatchesAreCut(t *testing.T) {
	patch := Patch{On: RefTo(machineKind, object(machineKind, "m", "u")), Operations: []PatchOperation{{Op: "replace", Path: "/a", Value: strings.Repeat("é", 5000)}}}
	if text := patch.String(); len(text) > 400 || !utf8.ValidString(text) || !strings.HasSuffix(text, " ... (10002 bytes)") {
		t.Errorf("printed with %d bytes: %.400s", len(text), text)
	}
}

// TestPrintHoldsNoSecrets: plans go to logs, in a dry run and when they are refused.
func TestPrintHoldsNoSecrets(t *testing.T) {
	config := object(schema.GroupVersionKind{Group: "bootstrap.cluster.x-k8s.io", Version: "v1beta2", Kind: "KubeadmConfig"}, "c", "")
	config.Object["spec"] = map[string]any{
		"files":             []any{map[string]any{"path": "/etc/key", "content": "hunter2"}, map[string]any{"path": "/b", "contentFrom": map[string]any{"secret": map[string]any{"name": "kept"}}}},
		"users":             []any{map[string]any{"name": "kept", "passwd": "hunter2", "passwdFrom": map[string]any{"secret": map[string]any{"name": "kept"}}}},
		"initConfiguration": map[string]any{"bootstrapTokens": []any{map[string]any{"token": "hunter2", "description": "kept"}}},
		"joinConfiguration": map[string]any{"discovery": map[string]any{
			"tlsBootstrapToken": "hunter2", "bootstrapToken": map[string]any{"token": "hunter2", "apiServerEndpoint": "kept"},
			"file": map[string]any{"kubeConfig": map[string]any{"user": map[string]any{"exec": map[string]any{"env": []any{map[string]any{"value": "hunter2"}}}}}},
		}},
	}
	manifest := object(schema.GroupVersionKind{Version: "v1", Kind: "ConfigMap"}, "m", "")
	manifest.Object["data"] = map[string]any{"settings": "hunter2"}
	manifest.SetLabels(map[string]string{"app": "kept"})
	in := types.NamespacedName{Namespace: "default", Name: "demo"}
	ref := RefTo(secretKind, object(secretKind, "s", "u"))
	printed := Print(Of(Act("Working", "",
		Create{Object: config, Reason: "r"}, Create{Object: manifest, In: in, Reason: "r"}, Apply{Object: manifest, In: in, Reason: "r"},
		Patch{On: ref, Operations: []PatchOperation{{Op: "test", Path: "/data/a", Value: "hunter2"}, {Op: "replace", Path: "/data/a", Value: "hunter2"}, {Op: "add", Path: "/metadata/labels/kept", Value: "kept"}}, Reason: "r"},
	), map[string]string{}), time.Time{})
	if strings.Contains(printed, "hunter2") {
		t.Errorf("a secret is printed:\n%s", printed)
	}
	if kept := strings.Count(printed, "kept"); kept != 9 {
		t.Errorf("of what is no secret, %d words are printed, want 9:\n%s", kept, printed)
	}
	if got := config.Object["spec"].(map[string]any)["users"].([]any)[0].(map[string]any)["passwd"]; got != "hunter2" {
		t.Errorf("printing changed the object that is to be made: %v", got)
	}
}
