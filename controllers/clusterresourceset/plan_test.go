// SPDX-License-Identifier: Apache-2.0

package clusterresourceset

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	addonsv1 "github.com/slipway-project/slipway/api/addons/v1beta2"
	"github.com/slipway-project/slipway/plan/plantest"
)

func TestPlanBinding(t *testing.T) {
	plantest.GoldenIn(t, "testdata/binding", plantest.Subject[BindingSnapshot, BindingStatus]{
		Plan: PlanBinding, Now: func(s BindingSnapshot) time.Time { return s.Now },
	})
}

func TestPlanSet(t *testing.T) {
	plantest.GoldenIn(t, "testdata/set", plantest.Subject[SetSnapshot, addonsv1.ClusterResourceSetStatus]{
		Plan: PlanSet, Now: func(s SetSnapshot) time.Time { return s.Now },
	})
}

func TestParse(t *testing.T) {
	content := parse(map[string][]byte{
		"b.yaml": []byte("apiVersion: apps/v1\nkind: DaemonSet\nmetadata: {name: agent}\n"),
		"a.yaml": []byte("---\n# nothing\n---\napiVersion: v1\nkind: Service\nmetadata: {name: s}\n---\napiVersion: v1\nkind: Namespace\nmetadata: {name: space}\n"),
		"c.json": []byte(`{"apiVersion":"v1","kind":"List","items":[{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c"}}]}`),
	})
	if content.Problem != "" {
		t.Fatal(content.Problem)
	}
	var kinds []string
	for _, object := range content.Objects {
		kinds = append(kinds, object.GetKind())
	}
	if diff := cmp.Diff([]string{"Namespace", "ConfigMap", "Service", "DaemonSet"}, kinds); diff != "" {
		t.Errorf("order of objects (-want +got):\n%s", diff)
	}
}

func TestParseTakesEqualObjectsOnce(t *testing.T) {
	content := parse(map[string][]byte{
		"a.yaml": []byte("apiVersion: v1\nkind: Namespace\nmetadata: {name: space}\n---\napiVersion: v1\nkind: Namespace\nmetadata: {name: space}\n"),
		"b.json": []byte(`{"kind":"Namespace","apiVersion":"v1","metadata":{"name":"space"}}`),
	})
	if content.Problem != "" || len(content.Objects) != 1 {
		t.Errorf("one object that comes three times is read as %d (problem %q)", len(content.Objects), content.Problem)
	}
}

func TestParseProblems(t *testing.T) {
	const item = `{"apiVersion":"v1","kind":"List","items":[{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c"}},`
	for name, test := range map[string]struct{ text, want string }{
		"nothing":        {"# only a comment\n", "holds no manifests"},
		"no kind":        {"metadata: {name: x}\n", `key "x.yaml", document 1: it has no apiVersion, kind or metadata.name`},
		"no version":     {"apiVersion: a/b/c\nkind: Thing\nmetadata: {name: x}\n", "has no apiVersion"},
		"not yaml":       {"a: [\n", "document 1"},
		"nameless item":  {item + `{"apiVersion":"v1","kind":"ConfigMap","metadata":{}}]}`, `key "x.yaml", document 1: item 2: it has no apiVersion`},
		"item no object": {item + `1]}`, `key "x.yaml", document 1: items member`},
		"twice, differing": {
			"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {a: b}\n",
			`key "x.yaml", document 1 and key "x.yaml", document 2 both hold ConfigMap c, and differ`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			content := parse(map[string][]byte{"x.yaml": []byte(test.text)})
			if !strings.Contains(content.Problem, test.want) || content.Reason == "" {
				t.Errorf("problem is %q (reason %q); want it to say %q", content.Problem, content.Reason, test.want)
			}
		})
	}
}
