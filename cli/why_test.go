// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	controlplanev1 "github.com/slipway-project/slipway/api/controlplane/v1beta2"
	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
)

// explainAll prints why each of some members is not done.
func explainAll(t *testing.T, f family, now time.Time, chosen ...string) string {
	t.Helper()
	var out strings.Builder
	for _, title := range chosen {
		kind, name, _ := strings.Cut(title, "/")
		start := f.find(kind, name)
		if start == nil {
			t.Fatalf("there is no %s", title)
		}
		fmt.Fprintf(&out, "$ slipway why %s/%s\n", strings.ToLower(kind), name)
		if err := explained(*start, whyNot(f, *start), remedies{family: f, managementID: "m1"}).write(&out, now); err != nil {
			t.Fatal(err)
		}
		out.WriteString("\n")
	}
	return out.String()
}

// The goldens hold the chains of clusters as they were recorded.
func TestWhyRecorded(t *testing.T) {
	eachRecorded(t, func(t *testing.T, name string, f family, now time.Time) {
		chosen := []string{"Cluster/" + f.Cluster.Name}
		if workers := f.workers(); len(workers) > 0 {
			chosen = append(chosen, "Machine/"+workers[0].Name)
		}
		golden(t, "why/"+name+".txt", explainAll(t, f, now, chosen...))
	})
}

// The goldens hold chains of states that are not recorded yet: the second line of each
// file says for which objects.
func TestWhyChains(t *testing.T) {
	paths, err := filepath.Glob("testdata/chains/*.yaml")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no chains (%v)", err)
	}
	for _, path := range paths {
		name := strings.TrimSuffix(filepath.Base(path), ".yaml")
		t.Run(name, func(t *testing.T) {
			f, now := chainFamily(t, path)
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			asked := strings.TrimPrefix(strings.Split(string(text), "\n")[1], "# Ask for ")
			golden(t, "chains/"+name+".txt", explainAll(t, f, now, strings.Fields(asked)...))
		})
	}
}

// What programs read of a chain.
func TestWhyAsJSON(t *testing.T) {
	f, _ := chainFamily(t, "testdata/chains/other-provider.yaml")
	start := f.find("MachineSet", "demo-workers-x")
	var out strings.Builder
	output := formatJSON
	if err := output.print(&out, explained(*start, whyNot(f, *start), remedies{family: f, managementID: "m1"})); err != nil {
		t.Fatal(err)
	}
	golden(t, "chains/other-provider.json", out.String())
}

// A hook that keeps the quorum of etcd is not to be taken away, and a MachineHealthCheck says
// by its reason what keeps it from having machines replaced.
func TestRemedies(t *testing.T) {
	f, _ := chainFamily(t, "testdata/chains/etcd-member-sick.yaml")
	machine := f.controlPlaneMachines()[0]
	machine.DeletionTimestamp = &metav1.Time{Time: time.Unix(1, 0)}
	healthCheck := &unstructured.Unstructured{}
	healthCheck.SetGroupVersionKind(machineHealthCheckKind)
	healthCheck.SetName("checks")
	orphaned := f
	orphaned.ControlPlane = nil
	kcpHook := controlplanev1.PreTerminateHookCleanupAnnotation
	for name, test := range map[string]struct {
		family          family
		hook            string
		reason          string
		want, unwelcome string
	}{
		"the hook of the control plane": {f, kcpHook, clusterv1.WaitingForPreTerminateHookReason, "slipway why kubeadmcontrolplane/", "away yourself"},
		"its control plane is gone":     {orphaned, kcpHook, clusterv1.WaitingForPreTerminateHookReason, "make sure that the member has left etcd", "slipway why"},
		"a hook of somebody else":       {f, clusterv1.PreDrainDeleteHookAnnotationPrefix + "/x", clusterv1.WaitingForPreDrainHookReason, "take it away yourself", "etcd"},
		"too many":                      {f, "", clusterv1.TooManyUnhealthyReason, "raise spec.remediation.triggerIf", "templateRef"},
		"too few":                       {f, "", clusterv1.TooFewUnhealthyReason, "lower it", "raise"},
		"no template":                   {f, "", clusterv1.RemediationTemplateNotFoundReason, "templateRef", "triggerIf"},
		"out of sight":                  {f, "", "InternalError", "kubectl describe machinehealthcheck checks", "triggerIf"},
	} {
		last := link{member: member{Kind: machineHealthCheckKind.Kind, Object: healthCheck}, Condition: metav1.Condition{Reason: test.reason}}
		if test.hook != "" {
			machine.Annotations = map[string]string{test.hook: ""}
			last.member = ofMachine(machine)
		}
		got := strings.Join(remedies{family: test.family, managementID: "m1"}.next(last), "\n")
		if !strings.Contains(got, test.want) || strings.Contains(got, test.unwelcome) {
			t.Errorf("%s: the next steps are\n%s\nwant %q and not %q", name, got, test.want, test.unwelcome)
		}
	}
}

func chainFamily(t *testing.T, path string) (family, time.Time) {
	t.Helper()
	objects, now := recorded(t, path)
	f, err := familyOf(objects, "demo")
	if err != nil {
		t.Fatal(err)
	}
	return f, now
}

// Whatever there is to ask for, a chain ends, names no object twice, and says what to do.
func TestWhyAlwaysEnds(t *testing.T) {
	for _, pattern := range []string{"testdata/chains/*.yaml", "testdata/objects/*.yaml"} {
		paths, err := filepath.Glob(pattern)
		if err != nil || len(paths) == 0 {
			t.Fatalf("nothing at %s (%v)", pattern, err)
		}
		for _, path := range paths {
			objects, _ := recorded(t, path)
			f, err := familyOf(objects, map[bool]string{false: "demo", true: "bad"}[strings.HasSuffix(path, "image-missing.yaml")])
			if err != nil {
				t.Fatal(err)
			}
			for _, start := range f.everything() {
				c := whyNot(f, start)
				seen := map[string]bool{}
				for _, each := range c.Links {
					if seen[each.title()] || each.Condition.Type == "" || each.Condition.Reason == "" {
						t.Errorf("%s, %s: link %s is there twice or without a condition: %+v", path, start.title(), each.title(), each.Condition)
					}
					seen[each.title()] = true
				}
				e := explained(start, c, remedies{family: f, managementID: "m1"})
				if !e.Done && (e.RootCause == "" || len(e.Next) == 0) {
					t.Errorf("%s, %s: no root cause or next step: %+v", path, start.title(), e)
				}
				if start.decides() != nil && e.Done {
					t.Errorf("%s, %s: done is %t", path, start.title(), e.Done)
				}
			}
		}
	}
}
