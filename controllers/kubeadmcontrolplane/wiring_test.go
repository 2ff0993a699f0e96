// SPDX-License-Identifier: Apache-2.0

package kubeadmcontrolplane

import (
	"encoding/json"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	bootstrapv1 "github.com/slipway-project/slipway/api/bootstrap/v1beta2"
	controlplanev1 "github.com/slipway-project/slipway/api/controlplane/v1beta2"
	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	"github.com/slipway-project/slipway/contract"
	"github.com/slipway-project/slipway/plan"
	"github.com/slipway-project/slipway/workload"
	"github.com/slipway-project/slipway/workload/workloadtest"
)

// server is a real one with our CRDs, written to as the engine does.
type server struct {
	*testing.T
	client client.Client
}

func newServer(t *testing.T) server {
	t.Helper()
	config, err := workload.RESTConfig(workloadtest.Start(t).Kubeconfig())
	if err != nil {
		t.Fatal(err)
	}
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		clientgoscheme.AddToScheme, apiextensionsv1.AddToScheme, clusterv1.AddToScheme, bootstrapv1.AddToScheme, controlplanev1.AddToScheme,
	} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	w := server{T: t}
	if w.client, err = client.New(config, client.Options{Scheme: scheme}); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(2 * time.Minute)
	for w.client.Get(t.Context(), client.ObjectKey{Name: "default"}, &corev1.Namespace{}) != nil {
		if time.Now().After(deadline) {
			t.Fatal("the server does not answer within two minutes")
		}
	}
	if _, err := envtest.InstallCRDs(config, envtest.CRDInstallOptions{Paths: []string{"../../deploy/crds"}, Scheme: scheme, ErrorIfPathMissing: true}); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w server) create(object *unstructured.Unstructured) {
	w.Helper()
	if err := w.client.Create(w.Context(), object, client.FieldOwner(plan.Manager(name))); err != nil {
		w.Fatal(err)
	}
}

// read gathers the machine and its objects anew.
func (w server) read(s *Snapshot, machineName string) {
	w.Helper()
	key := client.ObjectKey{Namespace: "default", Name: machineName}
	machine, config, infrastructure := &clusterv1.Machine{}, &bootstrapv1.KubeadmConfig{}, &unstructured.Unstructured{}
	infrastructure.SetGroupVersionKind(contract.ClonedKind(s.Template.Value.GroupVersionKind()))
	for _, object := range []client.Object{machine, config, infrastructure} {
		if err := w.client.Get(w.Context(), key, object); err != nil {
			w.Fatal(err)
		}
	}
	s.Machines = []*clusterv1.Machine{machine}
	s.Objects = map[string]Objects{machineName: {Config: config, Infrastructure: infrastructureOf(&contract.Object{Unstructured: infrastructure})}}
}

// follow carries the changes out, which are to be one for each of the three objects, and
// sees that then there are none.
func (w server) follow(s *Snapshot, machineName, what string) {
	w.Helper()
	changes := inPlaceChanges(*s)
	if len(changes) != 3 {
		w.Fatalf("%s: %d changes, want one for each object: %v", what, len(changes), changes)
	}
	for _, action := range changes {
		patch := action.(plan.Patch)
		raw, err := json.Marshal(patch.Operations)
		if err != nil {
			w.Fatal(err)
		}
		on := &unstructured.Unstructured{}
		on.SetGroupVersionKind(patch.On.GroupVersionKind)
		on.SetNamespace(patch.On.Namespace)
		on.SetName(patch.On.Name)
		if err := w.client.Patch(w.Context(), on, client.RawPatch(types.JSONPatchType, raw), client.FieldOwner(plan.Manager(name))); err != nil {
			w.Fatalf("%s: %s: %v", what, action, err)
		}
	}
	w.read(s, machineName)
	if again := inPlaceChanges(*s); len(again) != 0 {
		w.Errorf("%s: once carried out there are changes again: %v", what, again)
	}
}

// TestMachinesFollowTheTemplate: what the server fills in and who wrote what count on a
// real server only. A machine as it was made needs no change, what is added to the
// template comes, and what is taken out goes again.
func TestMachinesFollowTheTemplate(t *testing.T) {
	w := newServer(t)
	controlPlane, cluster, template := beginnings()
	s := Snapshot{Now: testTime, ControlPlane: controlPlane, Cluster: cluster, Template: plan.KnownValue(&contract.Object{Unstructured: template}, testTime)}
	list, err := newMachines(s, 1)
	if err != nil {
		t.Fatal(err)
	}
	made := list[0]
	w.create(made)
	machine := &clusterv1.Machine{}
	if err := w.client.Get(t.Context(), client.ObjectKeyFromObject(made), machine); err != nil {
		t.Fatal(err)
	}
	w.create(newConfig(s, machine))
	infrastructure, err := newInfrastructure(s, machine)
	if err != nil {
		t.Fatal(err)
	}
	w.create(infrastructure)
	w.read(&s, machine.Name)
	if changes := inPlaceChanges(s); len(changes) != 0 {
		t.Errorf("as it was made it needs changes: %v", changes)
	}

	seconds := int32(60)
	asked := &controlPlane.Spec.MachineTemplate
	asked.ObjectMeta = clusterv1.ObjectMeta{Labels: map[string]string{"team": "a"}, Annotations: map[string]string{"note": "b"}}
	asked.Spec.Deletion.NodeDrainTimeoutSeconds, asked.Spec.Deletion.NodeDeletionTimeoutSeconds = &seconds, &seconds
	asked.Spec.ReadinessGates = []clusterv1.MachineReadinessGate{{ConditionType: "Checked"}}
	asked.Spec.Taints = []clusterv1.MachineTaint{{Key: "k", Effect: corev1.TaintEffectNoSchedule, Propagation: clusterv1.MachineTaintPropagationAlways}}
	w.follow(&s, machine.Name, "added to the template")

	*asked = controlplanev1.KubeadmControlPlaneMachineTemplate{Spec: controlplanev1.KubeadmControlPlaneMachineTemplateSpec{InfrastructureRef: asked.Spec.InfrastructureRef}}
	w.follow(&s, machine.Name, "taken out of it")
	left := s.Machines[0]
	if left.Labels["team"] != "" || len(left.Annotations) != 1 || len(left.Spec.Taints) != 0 || len(left.Spec.ReadinessGates) != 0 || left.Spec.Deletion.NodeDrainTimeoutSeconds != nil {
		t.Errorf("something is left of what was taken out: %+v, %+v", left.ObjectMeta.Labels, left.Spec)
	}
	if owner := metav1.GetControllerOf(left); owner == nil || owner.UID != controlPlane.UID {
		t.Errorf("its owner is %v", owner)
	}
}
