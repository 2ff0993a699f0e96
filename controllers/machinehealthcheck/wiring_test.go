// SPDX-License-Identifier: Apache-2.0

package machinehealthcheck_test

import (
	"context"
	"testing"
	"time"

	"github.com/go-logr/logr/testr"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	"github.com/slipway-project/slipway/conditions"
	"github.com/slipway-project/slipway/controllers/machinehealthcheck"
	"github.com/slipway-project/slipway/credentials"
	"github.com/slipway-project/slipway/engine"
	"github.com/slipway-project/slipway/workload"
	"github.com/slipway-project/slipway/workload/workloadtest"
)

// world is a management cluster with the controller at work, and a workload cluster whose
// Nodes the test plays. It plays the Machine controller and the owner of Machines too.
type world struct {
	*testing.T
	management client.WithWatch
	nodes      client.Client
	server     *workloadtest.Server
}

func newWorld(t *testing.T) world {
	t.Helper()
	managing, server := workloadtest.Start(t), workloadtest.Start(t)
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, apiextensionsv1.AddToScheme, clusterv1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	w := world{T: t, server: server}
	config := w.config(managing)
	var err error
	if w.management, err = client.NewWithWatch(config, client.Options{Scheme: scheme}); err != nil {
		t.Fatal(err)
	}
	if w.nodes, err = client.New(w.config(server), client.Options{Scheme: scheme}); err != nil {
		t.Fatal(err)
	}
	w.until("the servers answer", func() bool {
		return w.management.Get(t.Context(), client.ObjectKey{Name: "default"}, &corev1.Namespace{}) == nil && w.nodes.List(t.Context(), &corev1.NodeList{}) == nil
	})
	if _, err := envtest.InstallCRDs(config, envtest.CRDInstallOptions{
		Paths: []string{"../../deploy/crds"}, CRDs: []*apiextensionsv1.CustomResourceDefinition{providerCRD("Reboot", "reboots"), providerCRD("RebootTemplate", "reboottemplates")},
		Scheme: scheme, ErrorIfPathMissing: true,
	}); err != nil {
		t.Fatal(err)
	}
	manager, err := ctrl.NewManager(config, ctrl.Options{Scheme: scheme, Logger: testr.New(t), Metrics: metricsserver.Options{BindAddress: "0"}})
	if err != nil {
		t.Fatal(err)
	}
	connections := workload.New(workload.Options{Secrets: manager.GetAPIReader(), Clusters: manager.GetCache(), Log: manager.GetLogger()})
	if err := manager.Add(connections); err != nil {
		t.Fatal(err)
	}
	if err := engine.Add(engine.New(manager, engine.Options{Workloads: connections}), machinehealthcheck.Controller()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- manager.Start(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("manager: %v", err)
		}
	})
	w.create(credentials.KubeconfigSecret("default", "demo", server.Kubeconfig()))
	return w
}

func (w world) config(server *workloadtest.Server) *rest.Config {
	w.Helper()
	config, err := workload.RESTConfig(server.Kubeconfig())
	if err != nil {
		w.Fatal(err)
	}
	return config
}

// providerCRD is a kind of a provider that takes anything.
func providerCRD(kind, plural string) *apiextensionsv1.CustomResourceDefinition {
	anything := true
	return &apiextensionsv1.CustomResourceDefinition{
		ObjectMeta: metav1.ObjectMeta{Name: plural + ".infrastructure.cluster.x-k8s.io", Labels: map[string]string{"cluster.x-k8s.io/v1beta2": "v1alpha1"}},
		Spec: apiextensionsv1.CustomResourceDefinitionSpec{
			Group: "infrastructure.cluster.x-k8s.io", Scope: apiextensionsv1.NamespaceScoped,
			Names: apiextensionsv1.CustomResourceDefinitionNames{Kind: kind, Plural: plural},
			Versions: []apiextensionsv1.CustomResourceDefinitionVersion{{
				Name: "v1alpha1", Served: true, Storage: true,
				Schema: &apiextensionsv1.CustomResourceValidation{OpenAPIV3Schema: &apiextensionsv1.JSONSchemaProps{Type: "object", XPreserveUnknownFields: &anything}},
			}},
		},
	}
}

func (w world) until(what string, holds func() bool) {
	w.Helper()
	deadline := time.After(2 * time.Minute)
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for !holds() {
		select {
		case <-deadline:
			w.Fatalf("not within two minutes: %s", what)
		case <-ticker.C:
		}
	}
}

func (w world) create(object client.Object) {
	w.Helper()
	if err := w.management.Create(w.Context(), object); err != nil {
		w.Fatal(err)
	}
}

func (w world) get(name string, object client.Object) {
	w.Helper()
	if err := w.management.Get(w.Context(), client.ObjectKey{Namespace: "default", Name: name}, object); err != nil {
		w.Fatal(err)
	}
}

func (w world) machine(name string) *clusterv1.Machine {
	w.Helper()
	machine := &clusterv1.Machine{}
	w.get(name, machine)
	return machine
}

// says is the reason of a Machine's condition, with its status before it; empty without one.
func (w world) says(machine, conditionType string) string {
	w.Helper()
	condition := conditions.Find(w.machine(machine).Status.Conditions, conditionType)
	if condition == nil {
		return ""
	}
	return string(condition.Status) + " " + condition.Reason
}

func (w world) allowed() string {
	w.Helper()
	check := &clusterv1.MachineHealthCheck{}
	w.get("workers", check)
	condition := conditions.Find(check.Status.Conditions, clusterv1.RemediationAllowedCondition)
	if condition == nil {
		return ""
	}
	return string(condition.Status) + " " + condition.Reason
}

// makeMachine makes a Machine of a set, and its Node.
func (w world) makeMachine(name string) {
	w.Helper()
	machine := &clusterv1.Machine{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "default", Name: name, Labels: map[string]string{"pool": "workers"},
			OwnerReferences: []metav1.OwnerReference{{APIVersion: "cluster.x-k8s.io/v1beta2", Kind: "MachineSet", Name: "workers", UID: "ms-uid", Controller: new(true)}},
		},
		Spec: clusterv1.MachineSpec{
			ClusterName: "demo", ProviderID: "test:////" + name, Bootstrap: clusterv1.Bootstrap{DataSecretName: new("x")},
			InfrastructureRef: clusterv1.ContractVersionedObjectReference{APIGroup: "infrastructure.cluster.x-k8s.io", Kind: "DockerMachine", Name: name},
		},
	}
	w.create(machine)
	machine.Status.NodeRef.Name = name
	if err := w.management.Status().Update(w.Context(), machine); err != nil {
		w.Fatal(err)
	}
	if err := w.nodes.Create(w.Context(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.NodeSpec{ProviderID: "test:////" + name}}); err != nil {
		w.Fatal(err)
	}
	w.ready(name, corev1.ConditionTrue)
}

func (w world) ready(name string, status corev1.ConditionStatus) {
	w.Helper()
	node := &corev1.Node{}
	if err := w.nodes.Get(w.Context(), client.ObjectKey{Name: name}, node); err != nil {
		w.Fatal(err)
	}
	node.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: status, LastTransitionTime: metav1.Now()}}
	if err := w.nodes.Status().Update(w.Context(), node); err != nil {
		w.Fatal(err)
	}
}

// TestFromUnwellToWell goes the whole way on real servers.
func TestFromUnwellToWell(t *testing.T) {
	w := newWorld(t)
	cluster := &clusterv1.Cluster{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "demo"}, Spec: clusterv1.ClusterSpec{
		InfrastructureRef: clusterv1.ContractVersionedObjectReference{APIGroup: "infrastructure.cluster.x-k8s.io", Kind: "DockerCluster", Name: "demo"},
	}}
	w.create(cluster)
	cluster.Status.Initialization = clusterv1.ClusterInitializationStatus{InfrastructureProvisioned: new(true), ControlPlaneInitialized: new(true)}
	if err := w.management.Status().Update(t.Context(), cluster); err != nil {
		t.Fatal(err)
	}
	w.makeMachine("a")
	w.makeMachine("b")
	w.create(&clusterv1.MachineHealthCheck{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "workers"},
		Spec: clusterv1.MachineHealthCheckSpec{
			ClusterName: "demo", Selector: metav1.LabelSelector{MatchLabels: map[string]string{"pool": "workers"}},
			Checks: clusterv1.MachineHealthCheckChecks{UnhealthyNodeConditions: []clusterv1.UnhealthyNodeCondition{{Type: "Ready", Status: "Unknown", TimeoutSeconds: new(int32(2))}}},
		},
	})
	const checked, owner = clusterv1.HealthCheckSucceededCondition, clusterv1.OwnerRemediatedCondition
	w.until("both are healthy", func() bool {
		return w.says("a", checked) == "True HealthCheckSucceeded" && w.says("b", checked) == "True HealthCheckSucceeded"
	})
	w.until("and the status says so", func() bool {
		check := &clusterv1.MachineHealthCheck{}
		w.get("workers", check)
		return w.allowed() == "True RemediationAllowed" && *check.Status.ExpectedMachines == 2 && *check.Status.CurrentHealthy == 2 && len(check.Status.Targets) == 2 && len(check.OwnerReferences) == 1
	})
	w.staysQuiet()

	w.ready("a", corev1.ConditionUnknown)
	w.until("the owner is asked", func() bool {
		return w.says("a", checked) == "False UnhealthyNode" && w.says("a", owner) == "False WaitingForRemediation"
	})
	w.ownerSays("a", "RemediationDeferred", owner)
	w.until("the word is the owner's alone", func() bool { return !w.hasPart("a", "slipway-machinehealthcheck-owner") })
	w.staysQuiet()
	if got := w.says("a", owner); got != "False RemediationDeferred" {
		t.Errorf("the owner's words were overwritten: %s", got)
	}
	w.ownerSays("a", "")
	w.until("the owner is asked again when it has taken its words back", func() bool { return w.says("a", owner) == "False WaitingForRemediation" })
	w.ownerSays("a", "RemediationDeferred", owner)
	w.ready("a", corev1.ConditionTrue)
	w.until("it is healthy again, and the owner's words are overruled", func() bool {
		return w.says("a", checked) == "True HealthCheckSucceeded" && w.says("a", owner) == "True HealthCheckSucceeded"
	})
	w.staysQuiet()
	w.ownerSays("a", "")
	w.until("nothing is left of it when the owner has taken its words back", func() bool { return w.says("a", owner) == "" })
	w.staysQuiet()
	w.remediesByObject(t)
	w.bearsAnOutage(t)

	w.ready("b", corev1.ConditionUnknown)
	w.until("the owner of b is asked", func() bool { return w.says("b", owner) == "False WaitingForRemediation" })
	w.ownerSays("a", "RemediationDeferred", owner)
	w.until("words about a healthy Machine are overruled", func() bool { return w.says("a", owner) == "True HealthCheckSucceeded" })
	check := &clusterv1.MachineHealthCheck{}
	w.get("workers", check)
	if err := w.management.Delete(t.Context(), check); err != nil {
		t.Fatal(err)
	}
	w.until("the health check is gone", func() bool {
		return apierrors.IsNotFound(w.management.Get(t.Context(), client.ObjectKeyFromObject(check), check))
	})
	for _, mark := range []string{w.says("b", checked), w.says("b", owner), w.says("a", checked)} {
		if mark != "" {
			t.Errorf("a mark is left: %s", mark)
		}
	}
	if got := w.says("a", owner); got != "True HealthCheckSucceeded" {
		t.Errorf("where the owner has its part, OwnerRemediated is %q; it can only be overruled", got)
	}
}

// remediesByObject goes from a template to an object, and back.
func (w world) remediesByObject(t *testing.T) {
	t.Helper()
	template := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "infrastructure.cluster.x-k8s.io/v1alpha1", "kind": "RebootTemplate",
		"spec": map[string]any{"template": map[string]any{"spec": map[string]any{"attempts": int64(2)}}},
	}}
	template.SetNamespace("default")
	template.SetName("reboot")
	w.setTemplate(clusterv1.MachineHealthCheckRemediationTemplateReference{APIVersion: template.GetAPIVersion(), Kind: template.GetKind(), Name: template.GetName()})
	w.until("the missing template is told", func() bool { return w.allowed() == "False RemediationTemplateNotFound" })
	w.create(template)
	w.until("the template is found", func() bool { return w.allowed() == "True RemediationAllowed" })
	w.ready("b", corev1.ConditionUnknown)
	reboot := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "infrastructure.cluster.x-k8s.io/v1alpha1", "kind": "Reboot"}}
	key := client.ObjectKey{Namespace: "default", Name: "b"}
	w.until("a remediation object is made", func() bool { return w.management.Get(t.Context(), key, reboot) == nil })
	if attempts, _, _ := unstructured.NestedInt64(reboot.Object, "spec", "attempts"); attempts != 2 || !metav1.IsControlledBy(reboot, w.machine("b")) {
		t.Errorf("the remediation object is %v", reboot.Object)
	}
	w.until("the Machine says so", func() bool {
		return w.says("b", clusterv1.ExternallyRemediatedCondition) == "False WaitingForRemediation"
	})
	if got := w.says("b", clusterv1.OwnerRemediatedCondition); got != "" {
		t.Errorf("the owner was asked too: %s", got)
	}
	w.ready("b", corev1.ConditionTrue)
	w.until("the remediation object is gone, and its mark", func() bool {
		return apierrors.IsNotFound(w.management.Get(t.Context(), key, reboot)) && w.says("b", clusterv1.ExternallyRemediatedCondition) == ""
	})
	w.setTemplate(clusterv1.MachineHealthCheckRemediationTemplateReference{})
	w.until("the owner is to be asked again", func() bool {
		check := &clusterv1.MachineHealthCheck{}
		w.get("workers", check)
		return check.Status.ObservedGeneration == check.Generation && w.allowed() == "True RemediationAllowed"
	})
	w.staysQuiet()
}

func (w world) setTemplate(ref clusterv1.MachineHealthCheckRemediationTemplateReference) {
	w.Helper()
	check := &clusterv1.MachineHealthCheck{}
	w.get("workers", check)
	before := check.DeepCopy()
	check.Spec.Remediation.TemplateRef = ref
	if err := w.management.Patch(w.Context(), check, client.MergeFrom(before)); err != nil {
		w.Fatal(err)
	}
}

// bearsAnOutage stops the workload cluster for a while: what was judged stands, and the
// outage counts against nobody.
func (w world) bearsAnOutage(t *testing.T) {
	t.Helper()
	w.server.Stop()
	w.until("the outage is noticed", func() bool { return w.allowed() == "Unknown ConnectionDown" })
	if got := w.says("a", clusterv1.HealthCheckSucceededCondition); got != "True HealthCheckSucceeded" {
		t.Errorf("what was judged before does not stand: %s", got)
	}
	w.server.Restart()
	w.until("the outage is over", func() bool { return w.allowed() == "True RemediationAllowed" })
	for _, machine := range []string{"a", "b"} {
		if got := w.says(machine, clusterv1.HealthCheckSucceededCondition); got != "True HealthCheckSucceeded" {
			t.Errorf("the outage counted against Machine %s: %s", machine, got)
		}
	}
}

// ownerSays is an owner that states the conditions given, and no others.
func (w world) ownerSays(machine, reason string, conditionTypes ...string) {
	w.Helper()
	list := []any{}
	for _, conditionType := range conditionTypes {
		list = append(list, map[string]any{
			"type": conditionType, "status": "False", "reason": reason, "message": "later", "lastTransitionTime": "2026-01-02T03:04:05Z",
		})
	}
	words := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "cluster.x-k8s.io/v1beta2", "kind": "Machine", "status": map[string]any{"conditions": list},
	}}
	words.SetNamespace("default")
	words.SetName(machine)
	if err := w.management.Status().Apply(w.Context(), client.ApplyConfigurationFromUnstructured(words), client.FieldOwner("owner"), client.ForceOwnership); err != nil {
		w.Fatal(err)
	}
}

func (w world) hasPart(machine, manager string) bool {
	w.Helper()
	for _, entry := range w.machine(machine).ManagedFields {
		if entry.Manager == manager {
			return true
		}
	}
	return false
}

// staysQuiet makes the controller look again, and sees that it writes nothing.
func (w world) staysQuiet() {
	w.Helper()
	watches := []client.ObjectList{&clusterv1.MachineList{}, &clusterv1.MachineHealthCheckList{}}
	versions := map[string]string{}
	events := make(chan client.Object, 100)
	for _, list := range watches {
		watched, err := w.management.Watch(w.Context(), list, client.InNamespace("default"))
		if err != nil {
			w.Fatal(err)
		}
		defer watched.Stop()
		go func() {
			for event := range watched.ResultChan() {
				if object, ok := event.Object.(client.Object); ok {
					events <- object
				}
			}
		}()
	}
	cluster := &clusterv1.Cluster{}
	w.get("demo", cluster)
	cluster.Annotations = map[string]string{"test.example.com/look": time.Now().String()}
	if err := w.management.Update(w.Context(), cluster); err != nil {
		w.Fatal(err)
	}
	quiet := time.After(1500 * time.Millisecond)
	for {
		select {
		case seen := <-events:
			key := string(seen.GetUID())
			if was, ok := versions[key]; ok && was != seen.GetResourceVersion() {
				w.Errorf("%T %s was written again though nothing had changed", seen, seen.GetName())
			}
			versions[key] = seen.GetResourceVersion()
		case <-quiet:
			return
		}
	}
}
