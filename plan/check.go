// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"regexp"
	"slices"
)

var camelCase = regexp.MustCompile(`^[A-Z][A-Za-z0-9]*$`)

// Check gives the rules that the plan breaks, in words; none for a sound plan.
// The engine refuses a plan that breaks one.
func Check[Status any](p Plan[Status]) []string {
	var broken []string
	switch p.Outcome.Kind {
	case Converged, Waiting, Blocked, Acting:
	default:
		broken = append(broken, fmt.Sprintf("outcome kind %q is not one of Converged, Acting, Waiting, Blocked", p.Outcome.Kind))
	}
	if !camelCase.MatchString(p.Outcome.Reason) {
		broken = append(broken, fmt.Sprintf("outcome reason %q is not a CamelCase word", p.Outcome.Reason))
	}
	if p.Outcome.Message == "" && (p.Outcome.Kind == Waiting || p.Outcome.Kind == Blocked) {
		broken = append(broken, fmt.Sprintf("a %s outcome must say for what", p.Outcome.Kind))
	}
	if p.Outcome.Kind == Converged && len(p.Actions) > 0 {
		broken = append(broken, "a converged plan has actions")
	}
	if p.Outcome.Kind == Acting && len(p.Actions) == 0 {
		broken = append(broken, "an acting plan has no actions")
	}
	type write struct {
		ref  Ref
		verb string
		text string
	}
	seen := map[write]bool{}
	for _, action := range p.Actions {
		broken = append(broken, checkAction(action)...)
		target := action.Target()
		target.UID = ""
		key := write{ref: target, verb: action.Verb(), text: action.String()}
		if apply, ok := action.(Apply); ok {
			// Each aspect states fields of its own.
			key.text += " " + apply.Aspect
		}
		if seen[key] {
			broken = append(broken, fmt.Sprintf("%s: planned twice", action))
		}
		seen[key] = true
	}
	return broken
}

func checkAction(action Action) []string {
	var broken []string
	target := action.Target()
	if target.Kind == "" || target.Name == "" {
		broken = append(broken, fmt.Sprintf("%s: the target has no kind or no name", action))
	}
	if action.Because() == "" {
		broken = append(broken, fmt.Sprintf("%s: no reason is given", action))
	}
	switch action := action.(type) {
	case Delete:
		if action.On.UID == "" {
			broken = append(broken, fmt.Sprintf("%s: a delete must carry the UID", action))
		}
	case Patch:
		if !slices.ContainsFunc(action.Operations, func(op PatchOperation) bool { return op.Op == "test" }) {
			broken = append(broken, fmt.Sprintf("%s: a patch must carry a test", action))
		}
	case Apply:
		if action.Object.GetUID() == "" && !action.Creates {
			broken = append(broken, fmt.Sprintf("%s: an apply to an object that exists must carry its UID", action))
		}
	}
	return broken
}
