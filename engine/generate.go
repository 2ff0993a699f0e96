// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"

	"github.com/slipway-project/slipway/contract"
)

// Declaration is what a controller says of itself, with its types taken off: the
// source of RBAC rules and of the dependency graph.
type Declaration struct {
	Name    string
	Kind    schema.GroupVersionKind
	Inputs  []Input
	Outputs []Output
}

// Declare takes the declaration out of a controller.
func Declare[Snapshot, Status any](c Controller[Snapshot, Status]) Declaration {
	return Declaration{Name: c.Name, Kind: c.Kind, Inputs: c.Inputs, Outputs: c.Outputs}
}

// providerGroup is the API group that a role's kinds are in by custom. Which kinds there
// are is not known beforehand, so rights are to all of the group. Providers with groups of
// their own aggregate their rules by the label cluster.x-k8s.io/aggregate-to-manager.
func providerGroup(role string) (string, error) {
	for prefix, group := range map[string]string{"Bootstrap": "bootstrap", "ControlPlane": "controlplane", "Infra": "infrastructure"} {
		if strings.HasPrefix(role, prefix) {
			return group + ".cluster.x-k8s.io", nil
		}
	}
	return "", fmt.Errorf("role %q is none of the contract", role)
}

type access struct{ group, resource string }

// Rules are the RBAC rules that the declared controllers need in the management
// cluster, and no more.
func Rules(scheme *runtime.Scheme, declarations ...Declaration) ([]rbacv1.PolicyRule, error) {
	verbs := map[access]map[string]bool{}
	allow := func(group, resource string, granted ...string) {
		key := access{group, resource}
		if verbs[key] == nil {
			verbs[key] = map[string]bool{}
		}
		for _, verb := range granted {
			verbs[key][verb] = true
		}
	}
	allow(crdKind.Group, "customresourcedefinitions", "get", "list", "watch")
	allow("events.k8s.io", "events", "create", "patch")
	for _, declaration := range declarations {
		for _, input := range declaration.Inputs {
			if err := allowInput(scheme, input, allow); err != nil {
				return nil, fmt.Errorf("controller %s: %w", declaration.Name, err)
			}
		}
		for _, output := range declaration.Outputs {
			if err := allowOutput(output, allow); err != nil {
				return nil, fmt.Errorf("controller %s: %w", declaration.Name, err)
			}
		}
		// What a controller makes keeps its owner from being gone first, which the admission
		// plug-in OwnerReferencesPermissionEnforcement grants to who may write the finalizers.
		allow(declaration.Kind.Group, resourceOf(declaration.Kind.GroupKind())+"/finalizers", "update")
	}
	keys := slices.SortedFunc(maps.Keys(verbs), func(a, b access) int {
		return cmp.Or(cmp.Compare(a.group, b.group), cmp.Compare(a.resource, b.resource))
	})
	rules := make([]rbacv1.PolicyRule, 0, len(keys))
	for _, key := range keys {
		rules = append(rules, rbacv1.PolicyRule{
			APIGroups: []string{key.group}, Resources: []string{key.resource}, Verbs: slices.Sorted(maps.Keys(verbs[key])),
		})
	}
	return rules, nil
}

func allowInput(scheme *runtime.Scheme, input Input, allow func(group, resource string, verbs ...string)) error {
	switch {
	case input.Workload || input.source != nil:
		return nil
	case input.object != nil:
		kind, err := apiutil.GVKForObject(input.object, scheme)
		if err != nil {
			return fmt.Errorf("find the kind of input %T: %w", input.object, err)
		}
		if input.Live {
			allow(kind.Group, resourceOf(kind.GroupKind()), "get")
		} else {
			allow(kind.Group, resourceOf(kind.GroupKind()), "get", "list", "watch")
		}
	default:
		group, err := providerGroup(input.Role)
		if err != nil {
			return err
		}
		allow(group, "*", "get", "list", "watch")
	}
	return nil
}

func allowOutput(output Output, allow func(group, resource string, verbs ...string)) error {
	if output.Workload || output.System != "" {
		return nil
	}
	for _, verb := range output.Verbs {
		verb, subresource, _ := strings.Cut(verb, " ")
		suffix := ""
		if subresource != "" {
			suffix = "/" + subresource
		}
		granted := []string{verb}
		if verb == "create" {
			// Create answers "exists already" by looking at what is there.
			granted = append(granted, "get")
		}
		if output.Role == "" {
			allow(output.Kind.Group, resourceOf(output.Kind)+suffix, granted...)
			continue
		}
		group, err := providerGroup(output.Role)
		if err != nil {
			return err
		}
		allow(group, "*", granted...)
	}
	return nil
}

func resourceOf(kind schema.GroupKind) string {
	resource, _, _ := strings.Cut(contract.CRDName(kind), ".")
	return resource
}

// Graph is the dependency graph of the declared controllers as Mermaid text: kinds,
// and the controllers that read and write them.
func Graph(scheme *runtime.Scheme, declarations ...Declaration) string {
	var out strings.Builder
	out.WriteString("flowchart LR\n")
	for _, declaration := range declarations {
		fmt.Fprintf(&out, "  %s([%s])\n", declaration.Name, declaration.Name)
		reads := map[string]bool{}
		for _, input := range declaration.Inputs {
			name := input.Role
			if input.object != nil {
				kind, err := apiutil.GVKForObject(input.object, scheme)
				if err != nil {
					continue
				}
				name = kind.Kind
			} else if input.Workload {
				name = "workload " + input.Kind.Kind
			}
			reads[name] = true
		}
		for _, name := range slices.Sorted(maps.Keys(reads)) {
			fmt.Fprintf(&out, "  %s[%s] --> %s\n", node(name), name, declaration.Name)
		}
		for _, line := range writtenBy(declaration) {
			out.WriteString(line)
		}
	}
	return out.String()
}

func writtenBy(declaration Declaration) []string {
	writes := map[string][]string{}
	for _, output := range declaration.Outputs {
		name := output.Kind.Kind
		switch {
		case output.System != "":
			name = output.System
		case output.Role != "":
			name = output.Role
		}
		if output.Workload {
			name = "workload " + name
		}
		writes[name] = append(writes[name], output.Verbs...)
	}
	var lines []string
	for _, name := range slices.Sorted(maps.Keys(writes)) {
		verbs := writes[name]
		slices.Sort(verbs)
		lines = append(lines, fmt.Sprintf("  %s -- %s --> %s[%s]\n", declaration.Name, strings.Join(slices.Compact(verbs), ", "), node(name), name))
	}
	return lines
}

func node(name string) string { return "k_" + strings.ReplaceAll(name, " ", "_") }
