// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// oneObject is for commands that take one object, as KIND/NAME or KIND NAME.
func oneObject(command *cobra.Command, arguments []string) error {
	_, _, err := objectArgument(command, arguments)
	return err
}

// objectArgument reads which object is meant.
func objectArgument(command *cobra.Command, arguments []string) (kind, name string, err error) {
	path := command.CommandPath()
	switch len(arguments) {
	case 0:
		return "", "", usage("%s needs an object, as KIND/NAME", path)
	case 1:
		kind, name, _ = strings.Cut(arguments[0], "/")
		if kind == "" || name == "" || strings.Contains(name, "/") {
			return "", "", usage("%q names no object: write KIND/NAME, such as machinedeployment/demo-workers", arguments[0])
		}
		return kind, name, nil
	case 2:
		if !strings.Contains(arguments[0]+arguments[1], "/") {
			return arguments[0], arguments[1], nil
		}
	}
	return "", "", usage("%s takes one object, and got %d: %s", path, len(arguments), strings.Join(arguments, " "))
}

// ourGroups ends the names of the API groups whose kinds make up clusters.
const ourGroups = "cluster.x-k8s.io"

// findKind is the kind that a word means: its name, its plural or a short name, with the
// API group behind a dot where it has to be told from others.
func (m *management) findKind(word string) (schema.GroupVersionKind, error) {
	finder, err := discovery.NewDiscoveryClientForConfig(m.config)
	if err != nil {
		return schema.GroupVersionKind{}, fmt.Errorf("ask %s for its kinds: %w", m.config.Host, err)
	}
	// Groups whose own servers are down are left out of what is found.
	served, err := finder.ServerPreferredResources()
	if len(served) == 0 && err != nil {
		return schema.GroupVersionKind{}, fmt.Errorf("ask %s for its kinds: %w", m.config.Host, err)
	}
	return matchKind(served, word)
}

// matchKind looks a word up in what a server says that it has. Kinds of clusters come
// before others of the same name.
func matchKind(served []*metav1.APIResourceList, word string) (schema.GroupVersionKind, error) {
	asked := schema.ParseGroupResource(strings.ToLower(word))
	var others []schema.GroupVersionKind
	var known []string
	for _, list := range served {
		version, err := schema.ParseGroupVersion(list.GroupVersion)
		if err != nil {
			continue
		}
		ours := strings.HasSuffix(version.Group, ourGroups)
		for _, resource := range list.APIResources {
			if strings.Contains(resource.Name, "/") {
				continue
			}
			words := append([]string{resource.Name, resource.SingularName, strings.ToLower(resource.Kind)}, resource.ShortNames...)
			kind := version.WithKind(resource.Kind)
			if ours {
				known = append(known, strings.ToLower(resource.Kind))
			}
			switch {
			case !slices.Contains(words, asked.Resource) || (asked.Group != "" && asked.Group != version.Group):
			case ours:
				return kind, nil
			default:
				others = append(others, kind)
			}
		}
	}
	if len(others) > 0 {
		return others[0], nil
	}
	if closest := near(asked.Resource, known); len(closest) > 0 {
		return schema.GroupVersionKind{}, usage("the management cluster has no kind %q; did you mean %s?", word, strings.Join(closest, " or "))
	}
	return schema.GroupVersionKind{}, usage("the management cluster has no kind %q; it has %s", word, listed(known))
}

// getObject reads an object; where it does not exist the error names those that do.
func (m *management) getObject(ctx context.Context, kind schema.GroupVersionKind, key client.ObjectKey) (*unstructured.Unstructured, error) {
	object := &unstructured.Unstructured{}
	object.SetGroupVersionKind(kind)
	err := m.client.Get(ctx, key, object)
	if err == nil {
		return object, nil
	}
	if !apierrors.IsNotFound(err) {
		return nil, fmt.Errorf("read %s %s: %w", kind.Kind, key, err)
	}
	list := &unstructured.UnstructuredList{}
	list.SetGroupVersionKind(kind.GroupVersion().WithKind(kind.Kind + "List"))
	if err := m.client.List(ctx, list); err != nil {
		return nil, fmt.Errorf("list %s: %w", kind.Kind, err)
	}
	return nil, noObject(kind.Kind, key, list.Items)
}

// mostNamed is how many names of other objects an error gives.
const mostNamed = 5

// noObject says that an object does not exist, and which are near.
func noObject(kind string, key client.ObjectKey, there []unstructured.Unstructured) error {
	var here, elsewhere []string
	for _, object := range there {
		if object.GetNamespace() == key.Namespace {
			here = append(here, object.GetName())
		} else if object.GetName() == key.Name {
			elsewhere = append(elsewhere, object.GetNamespace())
		}
	}
	closest := near(key.Name, here)
	switch {
	case len(elsewhere) > 0:
		return fmt.Errorf("%s %s does not exist, but there is one of that name in namespace %s; name the namespace with -n", kind, key, listed(elsewhere))
	case len(closest) > 0:
		return fmt.Errorf("%s %s does not exist; did you mean %s?", kind, key, strings.Join(closest, " or "))
	case len(here) == 0:
		return fmt.Errorf("%s %s does not exist, and no other in namespace %s", kind, key, key.Namespace)
	}
	slices.Sort(here)
	more := ""
	if len(here) > mostNamed {
		more = fmt.Sprintf(" and %d more", len(here)-mostNamed)
	}
	return fmt.Errorf("%s %s does not exist; in namespace %s there is: %s%s", kind, key, key.Namespace, strings.Join(here[:min(mostNamed, len(here))], ", "), more)
}

// near are the names that somebody who wrote a name can have meant, the nearest first.
func near(name string, names []string) []string {
	type candidate struct {
		name     string
		distance int
	}
	var found []candidate
	for _, other := range names {
		distance := editDistance(name, other)
		part := len(name) > 2 && len(other) > 2 && (strings.Contains(other, name) || strings.Contains(name, other))
		if distance <= max(1, len(name)/4) || part {
			found = append(found, candidate{other, distance})
		}
	}
	slices.SortFunc(found, func(a, b candidate) int {
		if a.distance != b.distance {
			return a.distance - b.distance
		}
		return strings.Compare(a.name, b.name)
	})
	var nearest []string
	for _, each := range found[:min(mostNamed, len(found))] {
		nearest = append(nearest, each.name)
	}
	return slices.Compact(nearest)
}

// editDistance is how many characters have to be put in, taken out or changed to make
// one text of another.
func editDistance(a, b string) int {
	before := make([]int, len(b)+1)
	for j := range before {
		before[j] = j
	}
	for i := range len(a) {
		row := make([]int, len(b)+1)
		row[0] = i + 1
		for j := range len(b) {
			change := before[j]
			if a[i] != b[j] {
				change++
			}
			row[j+1] = min(change, before[j+1]+1, row[j]+1)
		}
		before = row
	}
	return before[len(b)]
}
