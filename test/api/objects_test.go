// SPDX-License-Identifier: Apache-2.0

package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/dynamic"
	sigsyaml "sigs.k8s.io/yaml"
)

// of returns the client for the kind of an object.
func (s *server) of(t *testing.T, object *unstructured.Unstructured, namespace string) dynamic.ResourceInterface {
	t.Helper()
	resource, ok := s.resources[object.GetKind()]
	if !ok || resource.GroupVersion().String() != object.GetAPIVersion() {
		t.Fatalf("no CRD for %s %s", object.GetAPIVersion(), object.GetKind())
	}
	return s.client.Resource(resource).Namespace(namespace)
}

func (s *server) remove(t *testing.T, client dynamic.ResourceInterface, name string) {
	t.Helper()
	// The test's own context has ended by the time of its clean-up.
	if err := client.Delete(context.Background(), name, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
		t.Errorf("delete %s: %v", name, err)
	}
}

// parse reads YAML documents.
func parse(t *testing.T, text string) []*unstructured.Unstructured {
	t.Helper()
	decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewBufferString(text), 4096)
	var objects []*unstructured.Unstructured
	for {
		object := &unstructured.Unstructured{}
		err := decoder.Decode(&object.Object)
		if errors.Is(err, io.EOF) {
			return objects
		}
		if err != nil {
			t.Fatal(err)
		}
		if len(object.Object) > 0 {
			objects = append(objects, object)
		}
	}
}

func find(t *testing.T, objects []*unstructured.Unstructured, kind string) *unstructured.Unstructured {
	t.Helper()
	for _, object := range objects {
		if object.GetKind() == kind {
			return object
		}
	}
	t.Fatalf("no base object of kind %s", kind)
	return nil
}

// set carries out a change of the form that ruleCase.set has.
func set(t *testing.T, object map[string]any, change string) {
	t.Helper()
	path, text, _ := strings.Cut(change, "=")
	var value any
	if err := sigsyaml.Unmarshal([]byte(text), &value); err != nil {
		t.Fatalf("parse %q: %v", change, err)
	}
	steps := strings.Split(path, ".")
	var place any = object
	for i, step := range steps {
		last := i == len(steps)-1
		if list, ok := place.([]any); ok {
			place = list[int(step[0]-'0')]
			continue
		}
		fields, ok := place.(map[string]any)
		switch {
		case !ok:
			t.Fatalf("no place for %q", change)
		case last && text == "":
			delete(fields, step)
		case last:
			fields[step] = value
		default:
			if fields[step] == nil {
				fields[step] = map[string]any{}
			}
			place = fields[step]
		}
	}
}

func asJSON(t *testing.T, value any) string {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
