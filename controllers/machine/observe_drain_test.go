// SPDX-License-Identifier: Apache-2.0

package machine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
)

// workloadWith is a workload cluster that notes what is read from it; what is read of the
// kind refused fails.
func workloadWith(t *testing.T, reads *[]string, refused string, objects ...client.Object) client.Client {
	t.Helper()
	scheme := schemeOf(t)
	for _, add := range []func(*runtime.Scheme) error{policyv1.AddToScheme, storagev1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	note := func(object any) error {
		name := fmt.Sprintf("%T", object)
		if partial, ok := object.(*metav1.PartialObjectMetadataList); ok {
			name = partial.Kind
		}
		name = name[strings.LastIndex(name, ".")+1:]
		*reads = append(*reads, name)
		if name == refused {
			return errors.New("refused")
		}
		return nil
	}
	return fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).
		WithIndex(&corev1.Pod{}, "spec.nodeName", func(o client.Object) []string { return []string{o.(*corev1.Pod).Spec.NodeName} }).
		WithInterceptorFuncs(interceptor.Funcs{
			List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, options ...client.ListOption) error {
				if err := note(list); err != nil {
					return err
				}
				return c.List(ctx, list, options...)
			},
			Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, object client.Object, options ...client.GetOption) error {
				if err := note(object); err != nil {
					return err
				}
				return c.Get(ctx, key, object, options...)
			},
		}).Build()
}

func onNode(pod corev1.Pod, change ...func(*corev1.Pod)) *corev1.Pod {
	pod.Spec.NodeName = "a"
	for _, apply := range change {
		apply(&pod)
	}
	return &pod
}

func managementWith(t *testing.T, objects ...client.Object) memory {
	t.Helper()
	return memory{fake.NewClientBuilder().WithScheme(schemeOf(t)).WithObjects(objects...).Build()}
}

// TestObserveDrainReadsWhatIsNeeded and nothing more: it is repeated every few seconds, for
// every Node that is drained.
func TestObserveDrainReadsWhatIsNeeded(t *testing.T) {
	web := onNode(somePod("shop", "web", nil))
	elsewhere := somePod("shop", "elsewhere", nil)
	skipped := onNode(somePod("shop", "log", map[string]string{clusterv1.PodDrainLabel: clusterv1.PodDrainLabelSkip}))
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop", Labels: map[string]string{"team": "a"}}}
	volume := "pv"
	attachment := &storagev1.VolumeAttachment{ObjectMeta: metav1.ObjectMeta{Name: "x"}, Spec: storagev1.VolumeAttachmentSpec{NodeName: "a", Source: storagev1.VolumeAttachmentSource{PersistentVolumeName: &volume}}}
	byTeam := &clusterv1.MachineDrainRule{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "r"}, Spec: clusterv1.MachineDrainRuleSpec{
		Drain: clusterv1.MachineDrainRuleDrainConfig{Behavior: clusterv1.MachineDrainRuleDrainBehaviorSkip},
		Pods:  []clusterv1.MachineDrainRulePodSelector{{NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"team": "a"}}}},
	}}
	annotated := func(key string) func(*Snapshot) {
		return func(s *Snapshot) { s.Machine.Annotations = map[string]string{key: ""} }
	}
	for name, test := range map[string]struct {
		objects []client.Object
		rules   []client.Object
		change  func(*Snapshot)
		want    []string
	}{
		"a Pod to evict":       {objects: []client.Object{web, &elsewhere}, want: []string{"PodList", "PodDisruptionBudgetList"}},
		"Pods that stay":       {objects: []client.Object{skipped}, want: []string{"PodList", "VolumeAttachmentList"}},
		"no Pods":              {rules: []client.Object{byTeam}, want: []string{"PodList", "VolumeAttachmentList"}},
		"a rule by namespaces": {objects: []client.Object{web, namespace}, rules: []client.Object{byTeam}, want: []string{"PodList", "NamespaceList", "VolumeAttachmentList"}},
		"volumes, nobody's":    {objects: []client.Object{attachment, skipped}, want: []string{"PodList", "VolumeAttachmentList"}},
		"not cordoned":         {objects: []client.Object{web}, change: func(s *Snapshot) { s.Node.Value.Spec.Unschedulable = false }},
		"paused":               {objects: []client.Object{web}, change: annotated(clusterv1.PausedAnnotation)},
		"a hook":               {objects: []client.Object{web}, change: annotated(clusterv1.PreDrainDeleteHookAnnotationPrefix + "/x")},
		"no draining":          {objects: []client.Object{web}, change: annotated(clusterv1.ExcludeNodeDrainingAnnotation), want: []string{"PodList", "VolumeAttachmentList"}},
		"no detaching":         {objects: []client.Object{skipped}, change: annotated(clusterv1.ExcludeWaitForNodeVolumeDetachAnnotation), want: []string{"PodList"}},
		"an unreachable Node": {objects: []client.Object{skipped}, want: []string{"PodList"}, change: func(s *Snapshot) {
			s.Node.Value.Status.Conditions[0].Status = corev1.ConditionUnknown
		}},
		"the host is going": {objects: []client.Object{web}, change: func(s *Snapshot) {
			s.Infrastructure.Object.SetDeletionTimestamp(&metav1.Time{Time: drainTime})
		}},
		"the last control plane": {objects: []client.Object{web}, change: func(s *Snapshot) { s.ControlPlane.Others = 0 }},
		"no Node":                {objects: []client.Object{web}, change: func(s *Snapshot) { s.Node.Value = nil }},
	} {
		t.Run(name, func(t *testing.T) {
			var reads []string
			s := draining()
			s.Drain.Value = nil
			if test.change != nil {
				test.change(&s)
			}
			reader := answering{memory: managementWith(t, test.rules...), workloads: connected{nodes: workloadWith(t, &reads, "", test.objects...)}}
			observeDrain(t.Context(), reader, &s)
			if diff := cmp.Diff(test.want, reads); diff != "" {
				t.Errorf("read is (-want +got):\n%s", diff)
			}
			if s.Drain.Value != nil && slices.ContainsFunc(s.Drain.Value.Pods, func(p corev1.Pod) bool { return p.Name == "elsewhere" }) {
				t.Error("a Pod of another Node was read")
			}
		})
	}
}

// TestObserveDrainFailures: a list that failed is never taken for an empty one.
func TestObserveDrainFailures(t *testing.T) {
	web := onNode(somePod("shop", "web", nil))
	for refused, objects := range map[string][]client.Object{
		"PodList": {web}, "PodDisruptionBudgetList": {web}, "VolumeAttachmentList": nil,
	} {
		t.Run(refused, func(t *testing.T) {
			var reads []string
			s := draining()
			s.Drain.Value = nil
			observeDrain(t.Context(), answering{memory: managementWith(t), workloads: connected{nodes: workloadWith(t, &reads, refused, objects...)}}, &s)
			decided := Plan(s)
			if len(decided.Actions) > 0 || decided.Outcome.Kind != "Waiting" || !strings.Contains(decided.Outcome.Message, "refused") || decided.Recheck.IsZero() {
				t.Errorf("the plan is %s with %v", decided.Outcome, decided.Actions)
			}
		})
	}
}

// TestObserveKeptVolumes finds the volumes of Pods that stay by their claims.
func TestObserveKeptVolumes(t *testing.T) {
	using := func(name string, volumes ...corev1.Volume) *corev1.Pod {
		return onNode(somePod("shop", name, map[string]string{clusterv1.PodDrainLabel: clusterv1.PodDrainLabelSkip}), func(p *corev1.Pod) { p.Spec.Volumes = volumes })
	}
	claimed := corev1.Volume{Name: "v", VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "data"}}}
	gone := corev1.Volume{Name: "g", VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "gone"}}}
	ephemeral := corev1.Volume{Name: "scratch", VolumeSource: corev1.VolumeSource{Ephemeral: &corev1.EphemeralVolumeSource{}}}
	claim := func(name, volume string) *corev1.PersistentVolumeClaim {
		return &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name}, Spec: corev1.PersistentVolumeClaimSpec{VolumeName: volume}}
	}
	csi := &corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: "pv-1"}, Spec: corev1.PersistentVolumeSpec{
		PersistentVolumeSource: corev1.PersistentVolumeSource{CSI: &corev1.CSIPersistentVolumeSource{Driver: "csi.example.com", VolumeHandle: "h"}},
	}}
	var reads []string
	s := draining()
	s.Drain.Value = nil
	s.Node.Value.Status.VolumesAttached = []corev1.AttachedVolume{{Name: "kubernetes.io/csi/csi.example.com^h"}}
	workload := workloadWith(t, &reads, "", using("log", claimed, gone), using("cache", ephemeral), claim("data", "pv-1"), claim("cache-scratch", "pv-2"), csi)
	observeDrain(t.Context(), answering{memory: managementWith(t), workloads: connected{nodes: workload}}, &s)
	want := []KeptVolume{{Name: "pv-2"}, {Name: "pv-1", OnNode: "kubernetes.io/csi/csi.example.com^h"}}
	if s.Volumes.Value == nil || !s.Volumes.OK() {
		t.Fatalf("no volumes were read: %s %s", s.Volumes.Err, s.Drain.Err)
	}
	if diff := cmp.Diff(want, s.Volumes.Value.Kept); diff != "" {
		t.Errorf("kept are (-want +got):\n%s", diff)
	}
	if waits := volumeDetach(s); waits != nil {
		t.Errorf("a volume of a Pod that stays is waited for: %s", waits.Outcome)
	}
}

// TestObserveRevisions follows the owners up, as far as they are there.
func TestObserveRevisions(t *testing.T) {
	yes := true
	owner := func(kind, name string) []metav1.OwnerReference {
		return []metav1.OwnerReference{{APIVersion: clusterv1.GroupVersion.String(), Kind: kind, Name: name, UID: "u", Controller: &yes}}
	}
	number := func(n string) map[string]string { return map[string]string{clusterv1.RevisionAnnotation: n} }
	set := &clusterv1.MachineSet{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "set", Annotations: number("1"), OwnerReferences: owner("MachineDeployment", "deployment")}}
	deployment := &clusterv1.MachineDeployment{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "deployment", Annotations: number("2")}}
	alone := &clusterv1.MachineSet{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "set", Annotations: number("1")}}
	for name, test := range map[string]struct {
		owners  []metav1.OwnerReference
		objects []client.Object
		want    Revisions
	}{
		"of a deployment":        {owner("MachineSet", "set"), []client.Object{set, deployment}, Revisions{"1", "2"}},
		"the deployment is gone": {owner("MachineSet", "set"), []client.Object{set}, Revisions{MachineSet: "1"}},
		"a set of its own":       {owner("MachineSet", "set"), []client.Object{alone}, Revisions{MachineSet: "1"}},
		"the set is gone":        {owner("MachineSet", "set"), nil, Revisions{}},
		"a control plane's":      {owner("KubeadmControlPlane", "set"), []client.Object{set, deployment}, Revisions{}},
		"nobody's":               {nil, []client.Object{set, deployment}, Revisions{}},
	} {
		t.Run(name, func(t *testing.T) {
			machine := &clusterv1.Machine{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "m", OwnerReferences: test.owners}}
			got, err := observeRevisions(t.Context(), managementWith(t, test.objects...), machine)
			if err != nil || got != test.want {
				t.Errorf("revisions are %+v (%v), want %+v", got, err, test.want)
			}
		})
	}
}

// TestWhatCounts: Machines are looked at when what they depend on changes, and not whenever
// the status of their MachineSet or their Cluster does.
func TestWhatCounts(t *testing.T) {
	set := &clusterv1.MachineSet{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{clusterv1.RevisionAnnotation: "1"}}}
	other := set.DeepCopy()
	other.Status.Replicas = new(int32(3))
	if revision(set) != revision(other) {
		t.Error("the status of a MachineSet counts")
	}
	other.Annotations[clusterv1.RevisionAnnotation] = "2"
	if revision(set) == revision(other) {
		t.Error("the revision of a MachineSet does not count")
	}
	for name, test := range map[string]struct {
		change func(*clusterv1.Cluster)
		counts bool
	}{
		"counters":    {func(c *clusterv1.Cluster) { c.Status.Workers = &clusterv1.WorkersStatus{Replicas: new(int32(3))} }, false},
		"spec":        {func(c *clusterv1.Cluster) { c.Generation++ }, true},
		"deletion":    {func(c *clusterv1.Cluster) { c.DeletionTimestamp = &metav1.Time{Time: time.Now()} }, true},
		"initialized": {func(c *clusterv1.Cluster) { c.Status.Initialization.ControlPlaneInitialized = new(true) }, true},
	} {
		before, after := &clusterv1.Cluster{}, &clusterv1.Cluster{}
		test.change(after)
		if counts := clusterFacts(before) != clusterFacts(after); counts != test.counts {
			t.Errorf("%s: counts %t, want %t", name, counts, test.counts)
		}
	}
}
