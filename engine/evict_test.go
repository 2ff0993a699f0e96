// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"errors"
	"testing"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	"github.com/slipway-project/slipway/plan"
)

var podKind = corev1.SchemeGroupVersion.WithKind("Pod")

func evictWeb(seconds *int64) plan.Evict {
	return plan.Evict{
		On:                 plan.Ref{GroupVersionKind: podKind, Namespace: "shop", Name: "web", UID: "web-uid", Cluster: types.NamespacedName{Namespace: "default", Name: "demo"}},
		GracePeriodSeconds: seconds, Reason: "the Node is being drained",
	}
}

// evicting is a workload cluster that notes evictions and answers them with an error.
func evicting(answer error, asked *[]*policyv1.Eviction) client.Client {
	return fake.NewClientBuilder().WithScheme(testScheme()).WithInterceptorFuncs(interceptor.Funcs{
		SubResourceCreate: func(_ context.Context, _ client.Client, subresource string, object, body client.Object, _ ...client.SubResourceCreateOption) error {
			eviction, ok := body.(*policyv1.Eviction)
			if _, isPod := object.(*corev1.Pod); !ok || !isPod || subresource != "eviction" {
				return errors.New("no eviction of a Pod")
			}
			*asked = append(*asked, eviction)
			return answer
		},
	}).Build()
}

// TestEvictAsksForExactlyThisPod: the request carries the UID and the time to end.
func TestEvictAsksForExactlyThisPod(t *testing.T) {
	for name, seconds := range map[string]*int64{"its own time": nil, "one second": new(int64(1))} {
		t.Run(name, func(t *testing.T) {
			var asked []*policyv1.Eviction
			result, err := perform(t.Context(), evicting(nil, &asked), evictWeb(seconds), client.FieldOwner("x"))
			if err != nil || result != nil || len(asked) != 1 {
				t.Fatalf("%d evictions, result %v, error %v; want one, and nothing for a cache to show", len(asked), result, err)
			}
			sent := asked[0]
			if sent.Namespace != "shop" || sent.Name != "web" || *sent.DeleteOptions.Preconditions.UID != "web-uid" {
				t.Errorf("sent is %+v", sent)
			}
			if got := sent.DeleteOptions.GracePeriodSeconds; (got == nil) != (seconds == nil) || got != nil && *got != *seconds {
				t.Errorf("the grace is %v", got)
			}
		})
	}
}

// TestAnswersToEvictions: what the next plan sees by itself is no failure.
func TestAnswersToEvictions(t *testing.T) {
	pods := schema.GroupResource{Resource: "pods"}
	terminating := apierrors.NewForbidden(pods, "web", errors.New("namespace shop is being terminated"))
	terminating.ErrStatus.Details.Causes = []metav1.StatusCause{{Type: corev1.NamespaceTerminatingCause}}
	for name, test := range map[string]struct {
		answer error
		fails  bool
	}{
		"a budget refuses":                 {apierrors.NewTooManyRequests("Cannot evict pod as it would violate the pod's disruption budget.", 0), false},
		"another Pod of that name":         {apierrors.NewConflict(pods, "web", errors.New("the UID in the precondition differs")), false},
		"gone":                             {apierrors.NewNotFound(pods, "web"), false},
		"its namespace goes":               {terminating, false},
		"the controllers may not":          {apierrors.NewForbidden(pods, "web", errors.New("no rights")), true},
		"two budgets, or a server's error": {apierrors.NewInternalError(errors.New("more than one PodDisruptionBudget")), true},
	} {
		t.Run(name, func(t *testing.T) {
			var asked []*policyv1.Eviction
			if _, err := perform(t.Context(), evicting(test.answer, &asked), evictWeb(nil), client.FieldOwner("x")); (err != nil) != test.fails {
				t.Errorf("the error is %v", err)
			}
		})
	}
}

type evictingWorkloads struct {
	Workloads
	cluster client.Client
}

func (e evictingWorkloads) Writer(context.Context, Key) (client.Client, error) { return e.cluster, nil }

// TestEvictionsGoToWorkloadClusters: they need an output that is declared, and a budget's
// refusal neither ends the list nor is told as a failure; asking again slows down.
func TestEvictionsGoToWorkloadClusters(t *testing.T) {
	var asked []*policyv1.Eviction
	refuses := apierrors.NewTooManyRequests("budget", 0)
	decide := func(snapshot) plan.Plan[clusterv1.MachineStatus] {
		second := evictWeb(nil)
		second.On.Name, second.On.UID = "web-2", "web-2-uid"
		return plan.Of(plan.Act("DrainingNode", "", evictWeb(nil), second), clusterv1.MachineStatus{})
	}
	options := Options{Workloads: evictingWorkloads{cluster: evicting(refuses, &asked)}}
	w := newWorld(t, options, []Output{WritesWorkload(podKind, "evict")}, decide, subject())
	first, _ := w.pass()
	if len(asked) != 2 || w.run.state(subjectKey).failure != nil {
		t.Errorf("%d evictions were asked for, failure %v; want both and none", len(asked), w.run.state(subjectKey).failure)
	}
	again, _ := w.pass()
	if again.RequeueAfter <= first.RequeueAfter {
		t.Errorf("the same evictions are asked for again after %s and %s", first.RequeueAfter, again.RequeueAfter)
	}

	asked = nil
	undeclared := newWorld(t, options, []Output{WritesWorkload(podKind, "delete"), Writes(podKind, "evict")}, decide, subject())
	undeclared.pass()
	if len(asked) != 0 {
		t.Error("an eviction that is not among the outputs was carried out")
	}
}
