// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// conditionText is every condition with something to say, on one line.
func conditionText(all []metav1.Condition) string {
	var said []string
	for _, c := range all {
		if c.Message != "" {
			said = append(said, fmt.Sprintf("%s=%s (%s: %s)", c.Type, c.Status, c.Reason, c.Message))
		}
	}
	return strings.Join(said, "; ")
}

// conditionsOf reads the conditions of one object.
func (m *management) conditionsOf(kind string, key client.ObjectKey) ([]metav1.Condition, error) {
	at := slices.IndexFunc(kinds, func(known schema.GroupVersionKind) bool { return known.Kind == kind })
	if at < 0 {
		return nil, fmt.Errorf("no such kind: %s", kind)
	}
	object := &unstructured.Unstructured{}
	object.SetGroupVersionKind(kinds[at])
	if err := m.api.Get(m.t.Context(), key, object); err != nil {
		return nil, err
	}
	raw, _, err := unstructured.NestedSlice(object.Object, "status", "conditions")
	if err != nil {
		return nil, err
	}
	var all []metav1.Condition
	for _, item := range raw {
		var condition metav1.Condition
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(item.(map[string]any), &condition); err != nil {
			return nil, err
		}
		all = append(all, condition)
	}
	return all, nil
}

// expectTrouble waits, for seconds, until one condition of the object says all of the words.
func (m *management) expectTrouble(kind string, key client.ObjectKey, words ...string) {
	m.t.Helper()
	eventually(m.t, troubleLimit, fmt.Sprintf("%s %s says %q", kind, key, words), func() string {
		all, err := m.conditionsOf(kind, key)
		if err != nil {
			return err.Error()
		}
		for _, c := range all {
			if says(c.Message, words) {
				m.t.Logf("%s %s: %s=%s %s: %s", kind, key, c.Type, c.Status, c.Reason, c.Message)
				return ""
			}
		}
		return "its conditions: " + conditionText(all)
	})
}

func says(text string, words []string) bool {
	return !slices.ContainsFunc(words, func(word string) bool { return !strings.Contains(text, word) })
}
