// SPDX-License-Identifier: Apache-2.0

package kubeadmcontrolplane

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coredns/corefile-migration/migration"
	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	controlplanev1 "github.com/slipway-project/slipway/api/controlplane/v1beta2"
	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	"github.com/slipway-project/slipway/engine"
	"github.com/slipway-project/slipway/plan"
)

const uploaded136 = "apiVersion: kubeadm.k8s.io/v1beta4\nkind: ClusterConfiguration\nclusterName: demo\nkubernetesVersion: v1.36.3\n" +
	"encryptionAlgorithm: ECDSA-P256\n"

// oldCorefile has an option that later versions of CoreDNS do not read.
const oldCorefile = ".:53 {\n    errors # as it was\n    kubernetes cluster.local {\n        pods insecure\n        upstream\n    }\n    cache 30\n}\n"

// kubeSystem are the objects that kubeadm v1.36.3 leaves, with a CoreDNS and a Corefile of
// our choice.
func kubeSystem(coreDNSTag, corefile string) []client.Object {
	named := func(name string) metav1.ObjectMeta {
		return metav1.ObjectMeta{Namespace: metav1.NamespaceSystem, Name: name, UID: types.UID("uid-of-" + name)}
	}
	labels := map[string]string{"k8s-app": "of-kubeadm"}
	selector := &metav1.LabelSelector{MatchLabels: labels}
	proxy := &appsv1.DaemonSet{ObjectMeta: named("kube-proxy"), Spec: appsv1.DaemonSetSpec{Selector: selector}}
	proxy.Spec.Template.Labels = labels
	proxy.Spec.Template.Spec.Containers = []corev1.Container{{Name: "kube-proxy", Image: "registry.k8s.io/kube-proxy:v1.36.3"}}
	dns := &appsv1.Deployment{ObjectMeta: named("coredns"), Spec: appsv1.DeploymentSpec{Selector: selector}}
	dns.Spec.Template.Labels = labels
	dns.Spec.Template.Spec.Containers = []corev1.Container{{Name: "coredns", Image: "registry.k8s.io/coredns/coredns:" + coreDNSTag}}
	dns.Spec.Template.Spec.Volumes = []corev1.Volume{{Name: "config-volume", VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{
		LocalObjectReference: corev1.LocalObjectReference{Name: "coredns"}, Items: []corev1.KeyToPath{{Key: "Corefile", Path: "Corefile"}},
	}}}}
	config, corefiles := &corev1.ConfigMap{ObjectMeta: named("kubeadm-config")}, &corev1.ConfigMap{ObjectMeta: named("coredns")}
	config.Data = map[string]string{"ClusterConfiguration": uploaded136}
	corefiles.Data = map[string]string{"Corefile": corefile}
	return []client.Object{proxy, dns, config, corefiles, &corev1.ConfigMap{ObjectMeta: named("kubelet-config")}}
}

// upgradedPlane is a control plane of one machine of v1.37.1 that has joined.
func upgradedPlane() Snapshot {
	controlPlane, cluster, _ := beginnings()
	machine := &clusterv1.Machine{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "m1", UID: "m1"}}
	machine.Spec.Version, machine.Status.NodeRef.Name = "v1.37.1", "n1"
	return Snapshot{Now: testTime, ControlPlane: controlPlane, Cluster: cluster, Machines: []*clusterv1.Machine{machine}}
}

// carryOutAddon does what an action says in a workload cluster.
func carryOutAddon(t *testing.T, workload client.Client, action plan.Action) {
	t.Helper()
	switch action := action.(type) {
	case plan.Create:
		if action.In != (types.NamespacedName{Namespace: "default", Name: "demo"}) {
			t.Fatalf("%s goes to another cluster", action)
		}
		if err := workload.Create(context.Background(), action.Object.DeepCopy()); err != nil {
			t.Fatalf("%s: %v", action, err)
		}
	case plan.Patch:
		var object client.Object
		switch action.On.Kind {
		case "ConfigMap":
			object = &corev1.ConfigMap{}
		case "Deployment":
			object = &appsv1.Deployment{}
		case "DaemonSet":
			object = &appsv1.DaemonSet{}
		}
		object.SetNamespace(action.On.Namespace)
		object.SetName(action.On.Name)
		raw, err := json.Marshal(action.Operations)
		if err != nil {
			t.Fatal(err)
		}
		if err := workload.Patch(context.Background(), object, client.RawPatch(types.JSONPatchType, raw)); err != nil {
			t.Fatalf("%s: %v", action, err)
		}
	default:
		t.Fatalf("%s is not expected", action)
	}
}

// settleAddons plans and does one action at a time, as if a crash came after each, until there is
// nothing to do. It gives what was done.
func settleAddons(t *testing.T, workload client.Client, s Snapshot, check func()) []string {
	t.Helper()
	var done []string
	for range 20 {
		seen, err := observeAddons(context.Background(), workload, &s)
		if err != nil {
			t.Fatal(err)
		}
		s.Addons = seen
		decided := addonsPlan(s)
		if len(decided.Actions) == 0 {
			if decided.Outcome.Kind != plan.Converged {
				t.Fatalf("it ends with %s", decided.Outcome)
			}
			return done
		}
		carryOutAddon(t, workload, decided.Actions[0])
		done = append(done, decided.Actions[0].Verb()+" "+decided.Actions[0].Target().Kind+" "+decided.Actions[0].Target().Name)
		check()
	}
	t.Fatalf("it does not end: %v", done)
	return nil
}

// An upgrade that is broken off after each of its actions comes to the same end, and at no
// moment does a version of CoreDNS that is told to run find a Corefile that it does not
// read.
func TestAddonsOneActionAtATime(t *testing.T) {
	upgradeOneByOne(t, holding(t, kubeSystem("v1.6.7", oldCorefile)...))
}

// The same on a real kube-apiserver, which fills in defaults, and is strict about patches.
func TestAddonsOnAPIServer(t *testing.T) {
	workload := newServer(t).client
	for _, object := range kubeSystem("v1.6.7", oldCorefile) {
		object.SetUID("")
		if err := workload.Create(t.Context(), object); err != nil {
			t.Fatal(err)
		}
	}
	upgradeOneByOne(t, workload)
}

func upgradeOneByOne(t *testing.T, workload client.Client) {
	t.Helper()
	get := func(object client.Object, name string) {
		t.Helper()
		if err := workload.Get(context.Background(), client.ObjectKey{Namespace: "kube-system", Name: name}, object); err != nil {
			t.Fatal(err)
		}
	}
	dns, corefiles, proxy, config := &appsv1.Deployment{}, &corev1.ConfigMap{}, &appsv1.DaemonSet{}, &corev1.ConfigMap{}
	done := settleAddons(t, workload, upgradedPlane(), func() {
		get(dns, "coredns")
		get(corefiles, "coredns")
		pods := dns.Spec.Template.Spec
		reads := corefiles.Data[pods.Volumes[0].ConfigMap.Items[0].Key]
		if old := strings.HasSuffix(pods.Containers[0].Image, ":v1.6.7"); old != strings.Contains(reads, "upstream") {
			t.Errorf("image %s reads:\n%s", pods.Containers[0].Image, reads)
		}
	})
	want := []string{
		"create Role kubeadm:kubelet-config", "create RoleBinding kubeadm:kubelet-config",
		"create ClusterRoleBinding kubeadm:cluster-admins", "create ClusterRoleBinding kubeadm:apiserver-kubelet-client",
		"patch ConfigMap kubeadm-config", "patch DaemonSet kube-proxy",
		"patch ConfigMap coredns", "patch Deployment coredns", "patch ConfigMap coredns", "patch Deployment coredns",
	}
	if diff := cmp.Diff(want, done); diff != "" {
		t.Errorf("what was done (-want +got):\n%s", diff)
	}
	get(proxy, "kube-proxy")
	get(config, "kubeadm-config")
	if image := proxy.Spec.Template.Spec.Containers[0].Image; image != "registry.k8s.io/kube-proxy:v1.37.1" {
		t.Errorf("kube-proxy is %s", image)
	}
	if image := dns.Spec.Template.Spec.Containers[0].Image; image != "registry.k8s.io/coredns/coredns:v1.14.6" {
		t.Errorf("CoreDNS is %s", image)
	}
	if corefiles.Data["Corefile-backup"] != oldCorefile {
		t.Errorf("the Corefile that was is not kept:\n%s", corefiles.Data["Corefile-backup"])
	}
	if text := config.Data["ClusterConfiguration"]; !strings.Contains(text, "kubernetesVersion: v1.37.1") || !strings.Contains(text, "clusterName: demo") {
		t.Errorf("kubeadm-config is:\n%s", text)
	}
}

// A Corefile that the next version reads stays as it is, comments and all.
func TestCorefileIsLeftWhereItCanBe(t *testing.T) {
	text := strings.Replace(oldCorefile, "        upstream\n", "", 1)
	workload := holding(t, kubeSystem("v1.14.2", text)...)
	done := settleAddons(t, workload, upgradedPlane(), func() {})
	corefiles := &corev1.ConfigMap{}
	if err := workload.Get(context.Background(), client.ObjectKey{Namespace: "kube-system", Name: "coredns"}, corefiles); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{"Corefile": text}, corefiles.Data); diff != "" || !slices.Contains(done, "patch Deployment coredns") {
		t.Errorf("after %v the ConfigMap is other (-want +got):\n%s", done, diff)
	}
}

// A Corefile that was migrated is not changed again by the same step, or it would be
// written without end. All versions that are known are tried.
func TestCorefilesSettle(t *testing.T) {
	rich := ".:53 {\n    errors\n    health\n    kubernetes cluster.local in-addr.arpa ip6.arpa {\n        pods insecure\n        upstream\n        resyncperiod 5m\n" +
		"        transfer to 192.0.2.1\n        fallthrough in-addr.arpa\n    }\n    prometheus :9153\n    forward . /etc/resolv.conf\n    federation {\n        a b\n    }\n    cache 30\n    reload\n}\n"
	known, changed := migration.ValidVersions(), 0
	for i, from := range known {
		for _, to := range known[i+1:] {
			next, err := migratedCorefile(from, to, rich)
			if err != nil {
				continue // told to whoever asks for it
			}
			if next != rich {
				changed++
			}
			again, err := migratedCorefile(from, to, next)
			if err != nil || again != next {
				t.Errorf("from %s to %s it changes a second time (%v):\n%s", from, to, err, cmp.Diff(next, again))
			}
		}
	}
	if changed == 0 {
		t.Error("no step changes the Corefile: the test shows nothing")
	}
}

// failingKind refuses to read one kind of object.
type failingKind struct {
	client.Reader
	kind string
}

func (f failingKind) Get(ctx context.Context, key client.ObjectKey, object client.Object, options ...client.GetOption) error {
	if strings.HasSuffix(fmt.Sprintf("%T", object), "."+f.kind) {
		return errors.New("it fails")
	}
	return f.Reader.Get(ctx, key, object, options...)
}

// A request that fails is an error, so that nothing is taken for missing.
func TestAddonsAreNotTakenForMissing(t *testing.T) {
	workload, s := holding(t, kubeSystem("v1.14.2", oldCorefile)...), upgradedPlane()
	for _, kind := range []string{"ConfigMap", "Role", "RoleBinding", "ClusterRoleBinding", "DaemonSet", "Deployment"} {
		seen, err := observeAddons(context.Background(), failingKind{workload, kind}, &s)
		if err == nil || !strings.Contains(err.Error(), kind) || seen.Looked {
			t.Errorf("%s: error %v, seen %+v", kind, err, seen)
		}
	}
}

// Before every machine is of the version, the add-ons are not read; once kubeadm-config is
// of it, neither is what joins need.
func TestAddonsAreReadWhenNeeded(t *testing.T) {
	workload, s := holding(t, kubeSystem("v1.14.2", oldCorefile)...), upgradedPlane()
	s.Machines[0].Spec.Version = "v1.36.3"
	seen, err := observeAddons(context.Background(), workload, &s)
	if err != nil {
		t.Fatal(err)
	}
	if seen.KubeProxy != nil || seen.CoreDNS != nil || seen.CoreDNSConfig != nil || len(seen.MissingForJoins) != 4 {
		t.Errorf("with a machine of v1.36.3: %+v", seen)
	}
	s.ControlPlane.Spec.Version = "v1.36.3"
	if seen, err = observeAddons(context.Background(), workload, &s); err != nil {
		t.Fatal(err)
	}
	if seen.KubeProxy == nil || seen.CoreDNS == nil || seen.CoreDNSConfig == nil || seen.MissingForJoins != nil {
		t.Errorf("with all of v1.36.3: %+v", seen)
	}
}

// certificateEnds answers for some nodes, and notes whom it was asked for.
type certificateEnds struct {
	engine.Workloads
	mu    sync.Mutex
	asked []string
	ends  map[string]time.Time
}

func (e *certificateEnds) CertificateExpiry(ctx context.Context, cluster engine.Key, node string) (time.Time, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.asked = append(e.asked, node)
	if _, bounded := ctx.Deadline(); !bounded || cluster.Name != "demo" {
		return time.Time{}, errors.New("asked without bound, or of another cluster")
	}
	if node == "n3" {
		return time.Time{}, errors.New("no answer")
	}
	return e.ends[node], nil
}

type asking struct {
	memory
	workloads engine.Workloads
}

func (a asking) Workloads() engine.Workloads { return a.workloads }

// Only machines whose API server runs and of which nothing is noted are asked for.
func TestCertificateExpiryIsAskedOnce(t *testing.T) {
	s, ends := upgradedPlane(), testTime.Add(365*24*time.Hour)
	s.Machines = nil
	pods := map[string]*corev1.PodStatus{}
	for i := 1; i <= 6; i++ {
		machine := upgradedPlane().Machines[0]
		machine.Name, machine.Status.NodeRef.Name = fmt.Sprintf("m%d", i), fmt.Sprintf("n%d", i)
		s.Machines = append(s.Machines, machine)
		pods["kube-apiserver-"+machine.Status.NodeRef.Name] = &corev1.PodStatus{Phase: corev1.PodRunning, Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}}
	}
	s.Machines[0].Annotations = map[string]string{clusterv1.MachineCertificatesExpiryDateAnnotation: ends.Format(time.RFC3339)}
	pods["kube-apiserver-n5"].Conditions = nil
	s.Machines[5].Status.NodeRef.Name = ""
	s.Workload = plan.KnownValue(Workload{Initialized: true, Pods: pods}, testTime)
	workloads := &certificateEnds{ends: map[string]time.Time{"n2": ends}}
	got := observeCertificateExpiry(context.Background(), asking{workloads: workloads}, s)
	slices.Sort(workloads.asked)
	if diff := cmp.Diff([]string{"n2", "n3", "n4"}, workloads.asked); diff != "" {
		t.Errorf("asked for (-want +got):\n%s", diff)
	}
	if len(got) != 3 || !got["m2"].OK() || !got["m2"].Value.Equal(ends) || got["m3"].OK() || got["m4"].OK() {
		t.Errorf("answers: %+v", got)
	}
	s.Workload = plan.Unknown[Workload](errors.New("not connected"), testTime)
	if got := observeCertificateExpiry(context.Background(), asking{workloads: workloads}, s); got != nil || len(workloads.asked) != 3 {
		t.Errorf("without a connection: %+v", got)
	}
}

func TestCertificatesExpireSoon(t *testing.T) {
	for name, test := range map[string]struct {
		days int32
		ends string
		want string
	}{
		"not asked for": {0, "2026-01-03T00:00:00Z", ""},
		"not noted":     {30, "", ""},
		"no time":       {30, "soon", ""},
		"later":         {30, "2026-02-01T03:04:05Z", ""},
		"within": {30, "2026-02-01T03:04:04Z",
			"the certificate of its API server ends at 2026-02-01T03:04:04Z, within the 30 days of spec.rollout.before.certificatesExpiryDays"},
		"over": {7, "2025-12-01T00:00:00Z",
			"the certificate of its API server ends at 2025-12-01T00:00:00Z, within the 7 days of spec.rollout.before.certificatesExpiryDays"},
	} {
		s := upgradedPlane()
		s.ControlPlane.Spec.Rollout.Before = controlplanev1.KubeadmControlPlaneRolloutBeforeSpec{CertificatesExpiryDays: test.days}
		s.Machines[0].Annotations = map[string]string{clusterv1.MachineCertificatesExpiryDateAnnotation: test.ends}
		if why, soon := certificatesExpireSoon(s, s.Machines[0]); why != test.want || soon != (test.want != "") {
			t.Errorf("%s: %q %t", name, why, soon)
		}
	}
}

var (
	kubernetesPin = regexp.MustCompile(`(?m)^\tk8s\.io/kubernetes (v\S+)`)
	coreDNSPin    = regexp.MustCompile(`(?m)^\tgithub\.com/coredns/coredns (v\S+)`)
	coreDNSOfHere = regexp.MustCompile(`CoreDNSVersion = "(\S+)"`)
)

// TestCoreDNSVersions holds the table against what node images are built from: what they
// pin, which their build holds against kubeadm's own list, and kubeadm's source where it
// is on this machine.
func TestCoreDNSVersions(t *testing.T) {
	folders, err := filepath.Glob("../../nodeimage/v1.*")
	if err != nil || len(folders) != len(coreDNSVersions) {
		t.Fatalf("there are node images for %v (%v), and CoreDNS is known for %v", folders, err, coreDNSVersions)
	}
	pinned := func(pattern *regexp.Regexp, path ...string) string {
		t.Helper()
		raw, err := os.ReadFile(filepath.Join(path...))
		if err != nil {
			t.Fatal(err)
		}
		match := pattern.FindSubmatch(raw)
		if match == nil {
			t.Fatalf("%s: nothing matches %s", filepath.Join(path...), pattern)
		}
		return string(match[1])
	}
	for _, folder := range folders {
		s := upgradedPlane()
		s.ControlPlane.Spec.Version = pinned(kubernetesPin, folder, "go.mod")
		has := coreDNSVersions[minorOf(s)]
		if want := pinned(coreDNSPin, folder, "coredns", "go.mod"); has != want {
			t.Errorf("%s: node images have CoreDNS %s and it is brought to %q", folder, want, has)
		}
		if known := migration.ValidVersions(); !slices.Contains(known, strings.TrimPrefix(has, "v")) {
			t.Errorf("%s: Corefiles cannot be brought to CoreDNS %q", folder, has)
		}
		command := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "k8s.io/kubernetes")
		command.Dir = folder
		source, err := command.Output()
		if err != nil || strings.TrimSpace(string(source)) == "" {
			t.Logf("%s: the source of Kubernetes is not on this machine", folder)
			continue
		}
		if want := pinned(coreDNSOfHere, strings.TrimSpace(string(source)), "cmd", "kubeadm", "app", "constants", "constants.go"); has != want {
			t.Errorf("%s: kubeadm deploys CoreDNS %s and it is brought to %q", folder, want, has)
		}
	}
}

// TestKubeadmNamesTheSameImages has the real kubeadm say which images it would deploy.
func TestKubeadmNamesTheSameImages(t *testing.T) {
	folder := os.Getenv("SLIPWAY_TEST_BINARIES")
	if folder == "" {
		t.Skip("SLIPWAY_TEST_BINARIES names no folder with kubeadm")
	}
	kubeadm := filepath.Join(folder, "kubeadm")
	own, err := exec.Command(kubeadm, "version", "-o", "short").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, repository := range []string{"", "mirror.example:5000/k8s"} {
		s := upgradedPlane()
		s.ControlPlane.Spec.Version = strings.TrimSpace(string(own))
		s.ControlPlane.Spec.KubeadmConfigSpec.ClusterConfiguration.ImageRepository = repository
		arguments := []string{"config", "images", "list", "--kubernetes-version", s.ControlPlane.Spec.Version}
		if repository != "" {
			arguments = append(arguments, "--image-repository", repository)
		}
		output, err := exec.Command(kubeadm, arguments...).Output()
		if err != nil {
			t.Fatal(err)
		}
		for _, image := range []string{
			imageRepository(s) + "/kube-proxy:" + imageTag(s.ControlPlane.Spec.Version),
			coreDNSRepository(s) + "/coredns:" + coreDNSVersions[minorOf(s)],
		} {
			if !slices.Contains(strings.Fields(string(output)), image) {
				t.Errorf("kubeadm does not name %s:\n%s", image, output)
			}
		}
	}
}
