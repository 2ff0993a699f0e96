// SPDX-License-Identifier: Apache-2.0

package simulate

import (
	"context"
	"fmt"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
)

// Applied is an object before and after an apply that the API server tried and did not
// carry out. Before is nil for one that does not exist.
type Applied struct {
	Before, After *unstructured.Unstructured
}

// Question is what a forecast is asked for.
type Question struct {
	// Source is the management cluster; the namespaces and kinds of what is applied are
	// added to its own.
	Source Source
	// Scheme, Controllers and Start are as in Options.
	Scheme      *runtime.Scheme
	Controllers []Controller
	Start       time.Time
	Applied     []Applied
	// Details are actions that come along with those on machines.
	Details bool
}

// Forecast is what would happen after an apply.
type Forecast struct {
	// Changes are what the apply itself does, in the order of what is applied.
	Changes []Change `json:"changes"`
	Report
	// Notes say what was not looked at, and what was taken for granted.
	Notes []string `json:"notes,omitempty"`
}

// Foresee copies the objects concerned, applies to the copy, and lets the controllers play
// on until the world comes to rest. Nothing is written to the source.
func Foresee(ctx context.Context, q Question) (Forecast, error) {
	forecast := Forecast{Changes: []Change{}}
	namespaces := map[string]bool{}
	for _, namespace := range q.Source.Namespaces {
		namespaces[namespace] = true
	}
	for _, applied := range q.Applied {
		forecast.Changes = append(forecast.Changes, ChangeOf(applied.Before, applied.After))
		kind := applied.After.GroupVersionKind().GroupKind()
		q.Source.Kinds = append(q.Source.Kinds, kind)
		if namespace := applied.After.GetNamespace(); namespace != "" && !namespaces[namespace] {
			namespaces[namespace] = true
			q.Source.Namespaces = append(q.Source.Namespaces, namespace)
		}
	}
	crds, err := Definitions(ctx, q.Source.Reader, q.Source.Kinds)
	if err != nil {
		return forecast, err
	}
	world, err := New(Options{Scheme: q.Scheme, CRDs: crds, Start: q.Start, Controllers: q.Controllers})
	if err != nil {
		return forecast, err
	}
	copied, err := world.Copy(ctx, q.Source)
	if err != nil {
		return forecast, fmt.Errorf("copy the management cluster: %w", err)
	}
	for _, applied := range q.Applied {
		world.Accept(applied.After)
	}
	if err := world.Run(ctx); err != nil {
		return forecast, err
	}
	forecast.Report, forecast.Notes = world.Report(q.Details), append(copied.Notes, world.Notes...)
	return forecast, nil
}

// Text is the forecast for a person.
func (f Forecast) Text() string {
	var out strings.Builder
	out.WriteString("Changes:\n")
	for _, change := range f.Changes {
		switch {
		case change.New:
			fmt.Fprintf(&out, "  %s: new\n", change.Object)
		case len(change.Fields) == 0:
			fmt.Fprintf(&out, "  %s: unchanged\n", change.Object)
		default:
			fmt.Fprintf(&out, "  %s\n", change.Object)
		}
		for _, field := range change.Fields {
			fmt.Fprintf(&out, "    %s\n", field)
		}
	}
	out.WriteString("\nThen:\n")
	out.WriteString(f.Report.Text())
	if len(f.Notes) > 0 {
		out.WriteString("\nNot looked at, or taken for granted:\n")
	}
	for _, note := range f.Notes {
		fmt.Fprintf(&out, "  %s\n", note)
	}
	return out.String()
}
