// SPDX-License-Identifier: Apache-2.0

package machine

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	"github.com/slipway-project/slipway/contract"
	"github.com/slipway-project/slipway/plan"
	"github.com/slipway-project/slipway/plan/plantest"
)

var drainTime = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// draining is a Machine whose Node is cordoned and has the Pods given.
func draining(pods ...corev1.Pod) Snapshot {
	deleted := metav1.NewTime(drainTime.Add(-time.Minute))
	host := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "infrastructure.cluster.x-k8s.io/v1beta2", "kind": "DockerMachine"}}
	host.SetName("a")
	host.SetUID("i-uid")
	return Snapshot{
		Now: drainTime,
		Machine: &clusterv1.Machine{
			ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "a", UID: "m-uid", DeletionTimestamp: &deleted, Finalizers: []string{clusterv1.MachineFinalizer}},
			Spec:       clusterv1.MachineSpec{ClusterName: "demo", ProviderID: "docker:////a"},
			Status:     clusterv1.MachineStatus{NodeRef: clusterv1.MachineNodeReference{Name: "a"}},
		},
		Cluster:        &clusterv1.Cluster{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "demo"}},
		Infrastructure: Referenced{Object: &contract.Object{Unstructured: host, Contract: "v1beta2"}},
		Connection:     Connection{Connected: true},
		ControlPlane:   ControlPlane{Others: 1},
		Node: plan.KnownValue(&corev1.Node{
			ObjectMeta: metav1.ObjectMeta{Name: "a", UID: "n-uid"}, Spec: corev1.NodeSpec{ProviderID: "docker:////a", Unschedulable: true},
			Status: corev1.NodeStatus{Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}},
		}, drainTime),
		Drain: plan.KnownValue(&Drain{Pods: pods}, drainTime),
	}
}

func somePod(namespace, name string, labels map[string]string) corev1.Pod {
	return corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, UID: types.UID(namespace + name), Labels: labels},
		Status:     corev1.PodStatus{Phase: corev1.PodRunning, Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}},
	}
}

func evictedBy(decided plan.Plan[clusterv1.MachineStatus]) []plan.Evict {
	var list []plan.Evict
	for _, action := range decided.Actions {
		if evict, ok := action.(plan.Evict); ok {
			list = append(list, evict)
		}
	}
	return list
}

// TestGraceOfEvictions: Pods end in their own time, unless nobody is there to end them.
func TestGraceOfEvictions(t *testing.T) {
	s := draining(somePod("shop", "web", nil))
	if evictions := evictedBy(Plan(s)); len(evictions) != 1 || evictions[0].GracePeriodSeconds != nil || evictions[0].On.UID != "shopweb" {
		t.Errorf("on a Node that answers: %+v", evictions)
	}
	s.Node.Value.Spec.Taints = []corev1.Taint{{Key: corev1.TaintNodeUnreachable, Effect: corev1.TaintEffectNoExecute}}
	if evictions := evictedBy(Plan(s)); len(evictions) != 1 || evictions[0].GracePeriodSeconds == nil || *evictions[0].GracePeriodSeconds != 1 {
		t.Errorf("on a Node that does not answer: %+v", evictions)
	}
}

// TestFailingEvictionsTakeTurns: whichever Pods cannot be evicted, all others are within as
// many plans as there are Pods.
func TestFailingEvictionsTakeTurns(t *testing.T) {
	var pods []corev1.Pod
	for i := range 6 {
		pods = append(pods, somePod("shop", fmt.Sprint("web-", i), nil))
	}
	broken := map[string]bool{"web-0": true, "web-1": true, "web-4": true}
	s := draining(pods...)
	for range pods {
		for _, evict := range evictedBy(Plan(s)) {
			if broken[evict.On.Name] {
				s.LastFailure = &plan.Failure{Action: evict.String(), Reason: "ActionFailed", Message: "refused", At: drainTime, Count: 1}
				break
			}
			s.Drain.Value.Pods = slices.DeleteFunc(s.Drain.Value.Pods, func(p corev1.Pod) bool { return p.Name == evict.On.Name })
		}
	}
	if len(s.Drain.Value.Pods) != len(broken) {
		t.Errorf("left are %d Pods, of which %d cannot be evicted", len(s.Drain.Value.Pods), len(broken))
	}
}

// randomDrain makes up Pods, rules and budgets. The rules do not overlap but by their
// order of names, and each picks the Pods of one colour.
func randomDrain(random *rand.Rand) (s Snapshot, behaviors map[string]clusterv1.MachineDrainRuleDrainBehavior, orders map[string]int32) {
	behaviors, orders = map[string]clusterv1.MachineDrainRuleDrainBehavior{}, map[string]int32{}
	colours := []string{"red", "green", "blue", "white"}
	var pods []corev1.Pod
	for i := range random.IntN(80) {
		colour := colours[random.IntN(len(colours))]
		pod := somePod([]string{"a", "b"}[random.IntN(2)], fmt.Sprint("p", i), map[string]string{"colour": colour})
		pod.Labels["app"] = fmt.Sprint(random.IntN(3))
		switch random.IntN(12) {
		case 0:
			yes := true
			pod.OwnerReferences = []metav1.OwnerReference{{Kind: "DaemonSet", Controller: &yes}}
		case 1:
			pod.Annotations = map[string]string{corev1.MirrorPodAnnotationKey: "x"}
		case 2:
			pod.Labels[clusterv1.PodDrainLabel] = clusterv1.PodDrainLabelSkip
		case 3:
			pod.Labels[clusterv1.PodDrainLabel] = clusterv1.PodDrainLabelWaitCompleted
		case 4:
			pod.Status.Phase = corev1.PodSucceeded
		case 5:
			going := metav1.NewTime(drainTime.Add(time.Duration(random.IntN(60)-30) * time.Second))
			pod.DeletionTimestamp = &going
		case 6:
			pod.Status.Conditions = nil
		}
		pods = append(pods, pod)
	}
	s = draining(pods...)
	choices := []clusterv1.MachineDrainRuleDrainBehavior{
		clusterv1.MachineDrainRuleDrainBehaviorDrain, clusterv1.MachineDrainRuleDrainBehaviorDrain,
		clusterv1.MachineDrainRuleDrainBehaviorSkip, clusterv1.MachineDrainRuleDrainBehaviorWaitCompleted,
	}
	for i, colour := range colours[:3] {
		rule := clusterv1.MachineDrainRule{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint("rule-", i)}}
		behaviors[colour] = choices[random.IntN(len(choices))]
		rule.Spec.Drain.Behavior = behaviors[colour]
		if behaviors[colour] == clusterv1.MachineDrainRuleDrainBehaviorDrain {
			order := int32(random.IntN(7) - 3)
			orders[colour], rule.Spec.Drain.Order = order, &order
		}
		rule.Spec.Pods = []clusterv1.MachineDrainRulePodSelector{{Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"colour": colour}}}}
		s.Drain.Value.Rules = append(s.Drain.Value.Rules, rule)
	}
	for app := range random.IntN(3) {
		budget := policyv1.PodDisruptionBudget{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: fmt.Sprint("app-", app)}}
		budget.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"app": fmt.Sprint(app)}}
		budget.Status.DisruptionsAllowed, budget.Status.DesiredHealthy = int32(random.IntN(4)), 9
		s.Drain.Value.Budgets = append(s.Drain.Value.Budgets, budget)
	}
	random.Shuffle(len(s.Drain.Value.Pods), func(i, j int) {
		s.Drain.Value.Pods[i], s.Drain.Value.Pods[j] = s.Drain.Value.Pods[j], s.Drain.Value.Pods[i]
	})
	return s, behaviors, orders
}

// TestDrainLaws holds plans for made-up Nodes against what draining promises, told here in
// other words than in the plan: it evicts nothing that is to stay, nothing out of turn, and
// no more than the budgets allow; it does not end while something has to leave; and what
// it decides does not hang on the order in which Pods are read.
func TestDrainLaws(t *testing.T) {
	subject := plantest.Subject[Snapshot, clusterv1.MachineStatus]{Plan: Plan, Invariants: invariants, Now: func(s Snapshot) time.Time { return s.Now }}
	for seed := range uint64(150) {
		random := rand.New(rand.NewPCG(seed, 7))
		s, behaviors, orders := randomDrain(random)
		raw, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		decided := plantest.Laws(t, subject, raw)
		stays := func(pod corev1.Pod) bool {
			label := pod.Labels[clusterv1.PodDrainLabel]
			return len(pod.OwnerReferences) > 0 || len(pod.Annotations) > 0 || label == "skip" || pod.Status.Phase == corev1.PodSucceeded ||
				label == "" && behaviors[pod.Labels["colour"]] == clusterv1.MachineDrainRuleDrainBehaviorSkip
		}
		waits := func(pod corev1.Pod) bool {
			label := pod.Labels[clusterv1.PodDrainLabel]
			return label == "wait-completed" || label == "" && behaviors[pod.Labels["colour"]] == clusterv1.MachineDrainRuleDrainBehaviorWaitCompleted
		}
		order := func(pod corev1.Pod) int32 {
			if waits(pod) || pod.Labels[clusterv1.PodDrainLabel] != "" {
				return 0
			}
			return orders[pod.Labels["colour"]]
		}
		byUID, first, leaves := map[types.UID]corev1.Pod{}, int32(1<<30), 0
		for _, pod := range s.Drain.Value.Pods {
			byUID[pod.UID] = pod
			if !stays(pod) {
				leaves++
				first = min(first, order(pod))
			}
		}
		spent := map[string]int32{}
		for _, evict := range evictedBy(decided) {
			pod := byUID[evict.On.UID]
			if stays(pod) || waits(pod) || pod.DeletionTimestamp != nil || order(pod) != first {
				t.Fatalf("seed %d: %s: it is not its turn, or it has none", seed, evict)
			}
			if pod.Namespace == "a" {
				spent[pod.Labels["app"]]++
			}
		}
		for _, budget := range s.Drain.Value.Budgets {
			if app := strings.TrimPrefix(budget.Name, "app-"); spent[app] > budget.Status.DisruptionsAllowed {
				t.Fatalf("seed %d: %d Pods of app %s are evicted, of which its budget allows %d", seed, spent[app], app, budget.Status.DisruptionsAllowed)
			}
		}
		if drains := decided.Outcome.Reason == clusterv1.DrainingNodeReason; drains != (leaves > 0) {
			t.Fatalf("seed %d: %d Pods have to leave, and the plan is %s", seed, leaves, decided.Outcome)
		}
		slices.Reverse(s.Drain.Value.Pods)
		if got, want := plan.Print(Plan(s), s.Now), plan.Print(decided, s.Now); got != want {
			t.Fatalf("seed %d: another order of the Pods gives another plan:\n%s\n\n%s", seed, want, got)
		}
	}
}

// TestRandomDrainsEnd plays the workload cluster: a Node is always emptied of what has to
// leave, provided that Pods end and budgets come to allow something again.
func TestRandomDrainsEnd(t *testing.T) {
	for seed := range uint64(50) {
		random := rand.New(rand.NewPCG(seed, 11))
		s, _, _ := randomDrain(random)
		rounds := 0
		for ; rounds < 300; rounds++ {
			decided := Plan(s)
			if decided.Outcome.Reason != clusterv1.DrainingNodeReason {
				break
			}
			for _, evict := range evictedBy(decided) {
				for i := range s.Drain.Value.Pods {
					if pod := &s.Drain.Value.Pods[i]; pod.UID == evict.On.UID {
						at := metav1.NewTime(s.Now)
						pod.DeletionTimestamp = &at
					}
				}
			}
			s.Drain.Value.Pods = slices.DeleteFunc(s.Drain.Value.Pods, func(p corev1.Pod) bool { return p.DeletionTimestamp != nil && random.IntN(2) == 0 })
			for i := range s.Drain.Value.Pods {
				if pod := &s.Drain.Value.Pods[i]; random.IntN(20) == 0 && pod.DeletionTimestamp == nil {
					pod.Status.Phase = corev1.PodSucceeded
				}
			}
			for i := range s.Drain.Value.Budgets {
				s.Drain.Value.Budgets[i].Status.DisruptionsAllowed = int32(random.IntN(2))
			}
			s.Now = s.Now.Add(time.Second)
		}
		if rounds == 300 {
			t.Errorf("seed %d: the Node is not drained after %d plans", seed, rounds)
		}
	}
}
