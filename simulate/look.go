// SPDX-License-Identifier: Apache-2.0

package simulate

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	"github.com/slipway-project/slipway/engine"
)

// Looked is what one controller would do now with one object.
type Looked struct {
	Controller string `json:"controller"`
	Object     string `json:"object"`
	Outcome    string `json:"outcome"`
	Reason     string `json:"reason"`
	Message    string `json:"message,omitempty"`
	// Actions are what it would do next, in order.
	Actions []Next `json:"actions,omitempty"`
	// Text is the whole plan as plan.Print shows it.
	Text string `json:"-"`
}

// Next is an action that a controller would carry out.
type Next struct {
	Action string `json:"action"`
	Reason string `json:"reason"`
}

// Look asks each controller what it would do now with the objects of a Cluster, in the
// order of the controllers and of the objects' names. Nothing is carried out: the bench
// needs no writer. The error is for what cannot be read, and says what.
func Look(ctx context.Context, bench engine.Bench, controllers []Controller, of client.ObjectKey) ([]Looked, error) {
	bench.Writer = nil
	owner := &clusterv1.Cluster{}
	if err := bench.Reader.Get(ctx, of, owner); err != nil {
		return nil, fmt.Errorf("read Cluster %s: %w", of, err)
	}
	var all []Looked
	for _, controller := range controllers {
		stepper := controller(bench)
		list := &unstructured.UnstructuredList{}
		list.SetGroupVersionKind(stepper.Kind().GroupVersion().WithKind(stepper.Kind().Kind + "List"))
		err := bench.Reader.List(ctx, list, client.InNamespace(of.Namespace))
		if meta.IsNoMatchError(err) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("list objects of kind %s: %w", stepper.Kind().Kind, err)
		}
		slices.SortFunc(list.Items, func(a, b unstructured.Unstructured) int { return strings.Compare(a.GetName(), b.GetName()) })
		for i := range list.Items {
			if !belongs(&list.Items[i], owner) {
				continue
			}
			looked, err := look(ctx, stepper, client.ObjectKeyFromObject(&list.Items[i]))
			if err != nil {
				return nil, err
			}
			all = append(all, looked...)
		}
	}
	return all, nil
}

func look(ctx context.Context, stepper *engine.Stepper, key client.ObjectKey) ([]Looked, error) {
	pass, err := stepper.Look(ctx, key)
	if err != nil {
		return nil, err
	}
	if pass.Subject == nil {
		return nil, nil
	}
	looked := Looked{
		Controller: stepper.Name(), Object: named(stepper.Kind().Kind, key),
		Outcome: string(pass.Outcome.Kind), Reason: pass.Outcome.Reason, Message: pass.Outcome.Message, Text: pass.Text,
	}
	if len(pass.Broken) > 0 {
		looked.Outcome, looked.Reason, looked.Message = "Failed", "PlanRefused", strings.Join(pass.Broken, "; ")
	}
	for _, action := range pass.Planned {
		looked.Actions = append(looked.Actions, Next{Action: action.String(), Reason: action.Because()})
	}
	return []Looked{looked}, nil
}

// belongs reports that an object is a Cluster's: itself, what names it, what has its
// label, and its control plane.
func belongs(object *unstructured.Unstructured, owner *clusterv1.Cluster) bool {
	kind := object.GroupVersionKind().GroupKind()
	if kind == clusterv1.GroupVersion.WithKind("Cluster").GroupKind() {
		return object.GetName() == owner.Name
	}
	ref := owner.Spec.ControlPlaneRef
	named, _, _ := unstructured.NestedString(object.Object, "spec", "clusterName")
	return named == owner.Name || object.GetLabels()[clusterv1.ClusterNameLabel] == owner.Name ||
		(kind.Group == ref.APIGroup && kind.Kind == ref.Kind && object.GetName() == ref.Name)
}
