// SPDX-License-Identifier: Apache-2.0

package simulate

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	controlplanev1 "github.com/slipway-project/slipway/api/controlplane/v1beta2"
	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	"github.com/slipway-project/slipway/conditions"
	"github.com/slipway-project/slipway/engine"
	"github.com/slipway-project/slipway/plan"
)

// Report is what became of a world.
type Report struct {
	// Actions are those on machines, in order; with all, also what came along with them.
	Actions []Action `json:"actions"`
	// Reached says of each cluster, control plane and pool of workers how it stands.
	Reached []Standing `json:"reached"`
	// Open are the objects that are not done, with what they wait for.
	Open []Open `json:"open,omitempty"`
}

// Standing is how an object stands that is about a number of machines.
type Standing struct {
	Object string `json:"object"`
	// Settled is true when all is as it should be.
	Settled   bool `json:"settled"`
	Desired   int  `json:"desired"`
	Available int  `json:"available"`
	UpToDate  int  `json:"upToDate"`
	// Version is the Kubernetes version that is asked for.
	Version string `json:"version,omitempty"`
	// Text is all of it in words.
	Text string `json:"text"`
}

// Open is an object of which something is left to do.
type Open struct {
	Object string `json:"object"`
	// Outcome is Waiting or Blocked; Failed where actions do not succeed, and Acting where
	// they do and change nothing, such as an eviction that a budget refuses.
	Outcome string `json:"outcome"`
	Reason  string `json:"reason"`
	Message string `json:"message,omitempty"`
}

// Report tells what became of the world; with all, the actions that are details too.
func (w *World) Report(all bool) Report {
	report := Report{Actions: []Action{}, Reached: w.reached(), Open: w.open()}
	for _, action := range w.trail {
		if all || !action.Detail {
			report.Actions = append(report.Actions, action)
		}
	}
	return report
}

func (w *World) reached() []Standing {
	standings := []Standing{}
	count := func(desired, available, upToDate *int32) (int, int, int) {
		return int(value(desired)), int(value(available)), int(value(upToDate))
	}
	for _, cluster := range w.allClusters() {
		standing := Standing{Object: named("Cluster", keyOf(cluster))}
		standing.Settled, standing.Text = available(cluster.Status.Conditions)
		standings = append(standings, standing)
	}
	for _, controlPlane := range decoded[controlplanev1.KubeadmControlPlane](w.Store, controlplanev1.GroupVersion.WithKind("KubeadmControlPlane")) {
		standing := Standing{Object: named("KubeadmControlPlane", keyOf(controlPlane)), Version: controlPlane.Spec.Version}
		status := controlPlane.Status
		standing.Desired, standing.Available, standing.UpToDate = count(controlPlane.Spec.Replicas, status.AvailableReplicas, status.UpToDateReplicas)
		standings = append(standings, standing.counted(int(value(status.Replicas))))
	}
	for _, deployment := range decoded[clusterv1.MachineDeployment](w.Store, clusterv1.GroupVersion.WithKind("MachineDeployment")) {
		standing := Standing{Object: named("MachineDeployment", keyOf(deployment)), Version: deployment.Spec.Template.Spec.Version}
		status := deployment.Status
		standing.Desired, standing.Available, standing.UpToDate = count(deployment.Spec.Replicas, status.AvailableReplicas, status.UpToDateReplicas)
		standings = append(standings, standing.counted(int(value(status.Replicas))))
	}
	return standings
}

// counted fills in the words of an object that counts machines.
func (s Standing) counted(now int) Standing {
	s.Settled = s.Available == s.Desired && s.UpToDate == s.Desired && now == s.Desired
	s.Text = fmt.Sprintf("%d/%d Machines available", s.Available, s.Desired)
	if s.Version != "" {
		s.Text += fmt.Sprintf(", %d/%d as specified at %s", s.UpToDate, s.Desired, s.Version)
	}
	if now > s.Desired {
		s.Text += fmt.Sprintf(", %d too many", now-s.Desired)
	}
	return s
}

// open are the objects whose last plan did not say that all is done. Of one that several
// controllers look after, each may have something to say.
func (w *World) open() []Open {
	var open []Open
	for at, last := range w.turns {
		object := named(w.steppers[at.stepper].Kind().Kind, at.key)
		outcome := last.pass.Outcome
		switch {
		case last.err != "":
			open = append(open, Open{object, "Failed", "NotObserved", last.err})
		case len(last.pass.Broken) > 0:
			open = append(open, Open{object, "Failed", "PlanRefused", strings.Join(last.pass.Broken, "; ")})
		case last.pass.Failure != nil:
			open = append(open, Open{object, "Failed", last.pass.Failure.Reason, last.pass.Failure.Action + ": " + last.pass.Failure.Message})
		case outcome.Kind == plan.Acting:
			open = append(open, Open{object, string(outcome.Kind), outcome.Reason, inVain(last.pass)})
		case outcome.Kind == plan.Waiting || outcome.Kind == plan.Blocked:
			open = append(open, Open{object, string(outcome.Kind), outcome.Reason, outcome.Message})
		}
	}
	slices.SortFunc(open, func(a, b Open) int {
		return cmp.Or(cmp.Compare(order(a), order(b)), strings.Compare(a.Object, b.Object), strings.Compare(a.Reason, b.Reason))
	})
	return open
}

// inVain says what is tried again and again.
func inVain(pass engine.Pass) string {
	if pass.Outcome.Message != "" {
		return pass.Outcome.Message
	}
	var tried []string
	for _, action := range pass.Planned {
		tried = append(tried, fmt.Sprintf("%s (%s)", action, action.Because()))
	}
	return "it goes on trying to " + strings.Join(tried, ", ")
}

// order puts first what does not go away by itself.
func order(o Open) int {
	return slices.Index([]string{"Failed", "Blocked", "Acting", "Waiting"}, o.Outcome)
}

// Text is the report for a person.
func (r Report) Text() string {
	var out strings.Builder
	by, invented := "", false
	for i, action := range r.Actions {
		if action.By != by {
			by = action.By
			fmt.Fprintf(&out, "%s\n", by)
		}
		invented = invented || action.Invented
		fmt.Fprintf(&out, "%4d. %s (%s)\n", i+1, action, action.Reason)
	}
	if len(r.Actions) == 0 {
		out.WriteString("No machine is made, changed or deleted.\n")
	}
	if invented {
		out.WriteString("* is named after an object that does not exist yet, and gets another name when that is made.\n")
	}
	out.WriteString("\nReached:\n")
	for _, standing := range r.Reached {
		fmt.Fprintf(&out, "  %s: %s\n", standing.Object, standing.Text)
	}
	if len(r.Open) > 0 {
		out.WriteString("\nNot done:\n")
	}
	for _, open := range r.Open {
		fmt.Fprintf(&out, "  %s: %s %s: %s\n", open.Object, open.Outcome, open.Reason, open.Message)
	}
	return out.String()
}

func value(number *int32) int32 {
	if number == nil {
		return 0
	}
	return *number
}

func keyOf(object interface {
	GetNamespace() string
	GetName() string
}) types.NamespacedName {
	return types.NamespacedName{Namespace: object.GetNamespace(), Name: object.GetName()}
}

// available tells how the condition stands that sums a Cluster up.
func available(all []metav1.Condition) (bool, string) {
	condition := conditions.Find(all, clusterv1.AvailableCondition)
	switch {
	case condition == nil:
		return false, "nothing is known of it"
	case condition.Status == metav1.ConditionTrue:
		return true, "Available"
	default:
		return false, fmt.Sprintf("not Available: %s %s", condition.Reason, strings.Join(strings.Fields(condition.Message), " "))
	}
}
