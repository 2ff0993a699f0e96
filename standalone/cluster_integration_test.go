// SPDX-License-Identifier: Apache-2.0

package standalone

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/testr"
	"go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// binariesVariable names a directory with etcd and the Kubernetes binaries;
// the tests that start them are skipped without it.
const binariesVariable = "SLIPWAY_TEST_BINARIES"

func binaries(t *testing.T) string {
	t.Helper()
	dir := os.Getenv(binariesVariable)
	if dir == "" {
		t.Skipf("set %s to a directory with etcd, kube-apiserver, kube-controller-manager and kubectl", binariesVariable)
	}
	return dir
}

func startCluster(t *testing.T, options Options) *ManagementCluster {
	t.Helper()
	options.BinariesDir = binaries(t)
	if options.Log.GetSink() == nil {
		options.Log = logr.Discard()
	}
	began := time.Now()
	m, err := Start(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	t.Logf("started in %s", time.Since(began).Round(time.Millisecond))
	return m
}

func clientOf(t *testing.T, m *ManagementCluster) client.Client {
	t.Helper()
	scheme, err := installScheme()
	if err != nil {
		t.Fatal(err)
	}
	c, err := client.New(m.AdminConfig(), client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// eventually polls a condition of the running processes.
func eventually(t *testing.T, limit time.Duration, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(limit); !condition(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %s: %s", limit, what)
		}
	}
}

func kubectl(t *testing.T, m *ManagementCluster, arguments ...string) string {
	t.Helper()
	command := exec.Command(filepath.Join(binaries(t), "kubectl"), append([]string{"--kubeconfig", m.KubeconfigPath()}, arguments...)...)
	command.Args[0] = "kubectl"
	output, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("kubectl %v: %v\n%s", arguments, err, output)
	}
	return string(output)
}

func secret(name string) *corev1.Secret {
	return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}, StringData: map[string]string{"word": "open-sesame"}}
}

func widgets(stored string) *apiextensionsv1.CustomResourceDefinition {
	return kindLike("test.slipway.dev", "widgets", "Widget", stored)
}

func kindLike(group, plural, kind, stored string) *apiextensionsv1.CustomResourceDefinition {
	preserve := true
	return &apiextensionsv1.CustomResourceDefinition{
		ObjectMeta: metav1.ObjectMeta{Name: plural + "." + group},
		Spec: apiextensionsv1.CustomResourceDefinitionSpec{
			Group: group, Scope: apiextensionsv1.NamespaceScoped,
			Names: apiextensionsv1.CustomResourceDefinitionNames{Plural: plural, Singular: strings.ToLower(kind), Kind: kind, ListKind: kind + "List"},
			Versions: []apiextensionsv1.CustomResourceDefinitionVersion{{Name: stored, Served: true, Storage: true,
				Schema: &apiextensionsv1.CustomResourceValidation{OpenAPIV3Schema: &apiextensionsv1.JSONSchemaProps{Type: "object", XPreserveUnknownFields: &preserve}}}},
		},
	}
}

func TestClusterKeepsDataOverRestart(t *testing.T) {
	home := t.TempDir()
	var phases []string
	m := startCluster(t, Options{Home: home, Objects: []client.Object{widgets("v1")}, Log: testr.New(t), Progress: func(phase string, done bool, detail string) {
		if done {
			phases = append(phases, phase)
		}
	}})
	if got := strings.Join(phases, " "); got != "credentials etcd kube-apiserver objects kube-controller-manager" {
		t.Errorf("phases: %s", got)
	}
	if out := kubectl(t, m, "get", "namespaces", "-o", "name"); !strings.Contains(out, "namespace/kube-system") {
		t.Errorf("kubectl get namespaces: %s", out)
	}
	c := clientOf(t, m)
	if err := c.Create(t.Context(), secret("kept")); err != nil {
		t.Fatal(err)
	}
	assertEncrypted(t, m, "/registry/secrets/default/kept")
	assertAnonymousSeesHealthOnly(t, m)

	if _, err := Start(t.Context(), Options{Home: home, BinariesDir: binaries(t)}); !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), strconv.Itoa(os.Getpid())) {
		t.Errorf("second start: %v", err)
	}
	state, err := Status(t.Context(), home)
	if err != nil {
		t.Fatal(err)
	}
	if !state.Running || !state.Healthy || state.Database == nil || len(state.Processes) != 4 || state.ManagementClusterID != m.ID() {
		t.Errorf("status: %+v", state)
	}
	for _, p := range state.Processes {
		t.Logf("%s: %d MiB", p.Name, p.ResidentBytes>>20)
	}
	if recorded, err := m.home.readSettings(); err != nil || recorded.KubernetesVersion == "" || recorded.KubernetesVersion != state.KubernetesVersion {
		t.Errorf("recorded settings: %+v %v", recorded, err)
	}
	id, url := m.ID(), m.URL()
	stopping := time.Now()
	if err := m.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Logf("stopped in %s", time.Since(stopping).Round(time.Millisecond))
	if left, _ := leftovers(dataDir(home)); len(left) != 0 {
		t.Errorf("left after stop: %v", left)
	}
	if state, _ := Status(t.Context(), home); state.Running || !strings.Contains(state.Message, "slipway up") {
		t.Errorf("status after stop: %+v", state)
	}

	again := startCluster(t, Options{Home: home, Objects: []client.Object{widgets("v1")}})
	if again.ID() != id || again.URL() != url {
		t.Errorf("restart changed id or URL: %s %s, %s %s", id, again.ID(), url, again.URL())
	}
	var kept corev1.Secret
	if err := clientOf(t, again).Get(t.Context(), client.ObjectKey{Namespace: "default", Name: "kept"}, &kept); err != nil || string(kept.Data["word"]) != "open-sesame" {
		t.Errorf("secret after restart: %v %v", kept.Data, err)
	}
	// A CRD that does not know the stored version must not be installed.
	err = Install(t.Context(), again.AdminConfig(), []client.Object{widgets("v0")})
	if err == nil || !strings.Contains(err.Error(), "newer slipway") {
		t.Errorf("downgrade: %v", err)
	}
}

func assertEncrypted(t *testing.T, m *ManagementCluster, key string) {
	t.Helper()
	raw, err := m.etcd.Get(t.Context(), key)
	if err != nil || len(raw.Kvs) != 1 {
		t.Fatalf("read %s: %v %v", key, raw, err)
	}
	if value := raw.Kvs[0].Value; bytes.Contains(value, []byte("open-sesame")) || !bytes.HasPrefix(value, []byte("k8s:enc:secretbox:v1:key-1:")) {
		t.Errorf("%s is stored as %.60q", key, value)
	}
}

// A join token may stand in a KubeadmConfig. One that was written by a slipway that did not
// encrypt the kind yet is read as before, and encrypted when it is written again.
func TestKubeadmConfigsAreEncrypted(t *testing.T) {
	const key = "/registry/bootstrap.cluster.x-k8s.io/kubeadmconfigs/default/joins"
	definition := kindLike("bootstrap.cluster.x-k8s.io", "kubeadmconfigs", "KubeadmConfig", "v1beta2")
	manifest := writeTemp(t, "apiVersion: bootstrap.cluster.x-k8s.io/v1beta2\nkind: KubeadmConfig\nmetadata: {name: joins, namespace: default}\nspec: {token: open-sesame}\n")
	home := t.TempDir()
	dir, err := dataDir(home).create()
	if err != nil {
		t.Fatal(err)
	}
	older := newEncryption(bytes.Repeat([]byte("k"), 32))
	older.Resources[0].Resources = []string{"secrets"}
	if err := writeEncryption(dir.encryption(), older); err != nil {
		t.Fatal(err)
	}
	// Before the start that extends it, as the older slipway would have run.
	m := startWithout(t, home, definition)
	kubectl(t, m, "apply", "-f", manifest)
	if raw, err := m.etcd.Get(t.Context(), key); err != nil || len(raw.Kvs) != 1 || !bytes.Contains(raw.Kvs[0].Value, []byte("open-sesame")) {
		t.Fatalf("it is encrypted already, and the test shows nothing: %v %v", raw, err)
	}
	if err := m.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	m = startCluster(t, Options{Home: home, Objects: []client.Object{definition}})
	if out := kubectl(t, m, "get", "kubeadmconfig", "joins", "-o", "jsonpath={.spec.token}"); out != "open-sesame" {
		t.Errorf("read %q", out)
	}
	kubectl(t, m, "label", "kubeadmconfig", "joins", "written=again")
	assertEncrypted(t, m, key)
}

// startWithout starts a cluster whose KubeadmConfigs are not encrypted.
func startWithout(t *testing.T, home string, definition client.Object) *ManagementCluster {
	t.Helper()
	keep := encryptedResources
	encryptedResources = []string{"secrets"}
	defer func() { encryptedResources = keep }()
	return startCluster(t, Options{Home: home, Objects: []client.Object{definition}})
}

// Every start installs the same again; what is as it should be is not written.
func TestInstallingAgainChangesNothing(t *testing.T) {
	objects := []client.Object{
		widgets("v1"), aggregated(),
		&rbacv1.ClusterRole{
			ObjectMeta: metav1.ObjectMeta{Name: "test:part", Labels: map[string]string{"test.slipway.dev/aggregate": "true"}},
			Rules:      []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"secrets"}, Verbs: []string{"get"}}},
		},
	}
	m := startCluster(t, Options{Home: t.TempDir(), Objects: objects})
	c := clientOf(t, m)
	read := func() []string {
		var seen []string
		for _, object := range []client.Object{&apiextensionsv1.CustomResourceDefinition{ObjectMeta: metav1.ObjectMeta{Name: "widgets.test.slipway.dev"}},
			&rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "test:all"}}, &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "test:part"}}} {
			if err := c.Get(t.Context(), client.ObjectKeyFromObject(object), object); err != nil {
				t.Fatal(err)
			}
			seen = append(seen, object.GetName()+" "+object.GetResourceVersion())
		}
		return seen
	}
	eventually(t, 40*time.Second, "the role has the rules of its parts", func() bool {
		role := &rbacv1.ClusterRole{}
		return c.Get(t.Context(), client.ObjectKey{Name: "test:all"}, role) == nil && len(role.Rules) == 1
	})
	before := read()
	if err := Install(t.Context(), m.AdminConfig(), objects); err != nil {
		t.Fatal(err)
	}
	if after := read(); !slices.Equal(before, after) {
		t.Errorf("before %v, after %v", before, after)
	}
}

func assertAnonymousSeesHealthOnly(t *testing.T, m *ManagementCluster) {
	t.Helper()
	probe, err := newHealthProbe(m.home, m.URL())
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]int{"/readyz": http.StatusOK, "/version": http.StatusUnauthorized, "/api/v1/secrets": http.StatusUnauthorized} {
		response, err := probe.client.Get(m.URL() + path)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if response.StatusCode != want {
			t.Errorf("anonymous GET %s: %d, want %d", path, response.StatusCode, want)
		}
	}
}

func TestDeletionReachesOwnedObjectsAndNamespaces(t *testing.T) {
	m := startCluster(t, Options{Home: t.TempDir(), Objects: []client.Object{
		widgets("v1"),
		&rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "test:secrets"}, Rules: []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"secrets"}, Verbs: []string{"get"}}}},
	}})
	c := clientOf(t, m)
	ctx := t.Context()
	if out := kubectl(t, m, "apply", "-f", writeTemp(t, "apiVersion: test.slipway.dev/v1\nkind: Widget\nmetadata: {name: owner, namespace: default}\n")); !strings.Contains(out, "created") {
		t.Fatalf("apply: %s", out)
	}
	uid := strings.TrimSpace(kubectl(t, m, "get", "widget", "owner", "-o", "jsonpath={.metadata.uid}"))
	owned := secret("owned")
	controller := true
	owned.OwnerReferences = []metav1.OwnerReference{{APIVersion: "test.slipway.dev/v1", Kind: "Widget", Name: "owner", UID: types.UID(uid), Controller: &controller}}
	if err := c.Create(ctx, owned); err != nil {
		t.Fatal(err)
	}
	deleting := time.Now()
	kubectl(t, m, "delete", "widget", "owner")
	eventually(t, 40*time.Second, "owned secret is collected", func() bool {
		return apierrors.IsNotFound(c.Get(ctx, client.ObjectKeyFromObject(owned), &corev1.Secret{}))
	})
	t.Logf("owned object gone after %s", time.Since(deleting).Round(time.Millisecond))

	kubectl(t, m, "create", "namespace", "short")
	kubectl(t, m, "-n", "short", "create", "configmap", "inside")
	deleting = time.Now()
	kubectl(t, m, "delete", "namespace", "short", "--timeout=60s")
	t.Logf("namespace gone after %s", time.Since(deleting).Round(time.Millisecond))

	// The controllers' user may do what it was given and no more.
	scheme, _ := installScheme()
	limited, err := client.New(m.ControllersConfig(), client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	if err := limited.Create(ctx, secret("forbidden")); !apierrors.IsForbidden(err) {
		t.Errorf("controllers' user without a role creates a secret: %v", err)
	}
}

func TestChildIsStartedAgain(t *testing.T) {
	m := startCluster(t, Options{Home: t.TempDir(), Log: testr.New(t)})
	c := clientOf(t, m)
	if err := c.Create(t.Context(), secret("kept")); err != nil {
		t.Fatal(err)
	}
	for _, victim := range []*child{m.apiServerChild, m.etcdChild, m.controllerManagerChild} {
		before := victim.record()
		if err := before.signal(syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		eventually(t, 30*time.Second, victim.name+" runs again", func() bool {
			now := victim.record()
			return now.Restarts == before.Restarts+1 && now.alive()
		})
		eventually(t, 60*time.Second, "the secret is read again after "+victim.name, func() bool {
			return c.Get(t.Context(), client.ObjectKey{Namespace: "default", Name: "kept"}, &corev1.Secret{}) == nil
		})
	}
	// A reader sees it, too.
	eventually(t, 20*time.Second, "status is healthy", func() bool {
		state, err := Status(t.Context(), string(m.home))
		return err == nil && state.Healthy && state.Processes[1].Restarts == 1 && strings.Contains(state.Processes[1].LastEnd, "signal 9")
	})
}

func TestDetachedParentKilled(t *testing.T) {
	dir := binaries(t)
	home := t.TempDir()
	t.Setenv(parentVariable, "run")
	var phases []string
	progress := func(phase string, done bool, _ string) {
		if done {
			phases = append(phases, phase)
		}
	}
	state, err := Detach(t.Context(), Options{Home: home, Progress: progress}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := Down(context.Background(), home); err != nil {
			t.Error(err)
		}
	})
	if !state.Ready || !state.Detached || !state.Healthy || len(phases) != 6 {
		t.Fatalf("detached: %+v, phases %v", state, phases)
	}
	if _, err := Detach(t.Context(), Options{Home: home}, nil); !errors.Is(err, ErrLocked) {
		t.Errorf("second detach: %v", err)
	}
	t.Setenv(parentVariable, "")
	killed, _ := runningHolder(dataDir(home))
	if err := killed.signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	// At once, with its children perhaps still ending.
	m, err := Start(t.Context(), Options{Home: home, BinariesDir: dir})
	if err != nil {
		t.Fatalf("start after kill -9: %v", err)
	}
	if m.ID() != state.ManagementClusterID || m.URL() != state.URL {
		t.Errorf("after kill -9: id %s, was %s; URL %s, was %s", m.ID(), state.ManagementClusterID, m.URL(), state.URL)
	}
	if err := m.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}

	t.Setenv(parentVariable, "run")
	if _, err := Detach(t.Context(), Options{Home: home}, nil); err != nil {
		t.Fatal(err)
	}
	// Left alone, the children end with their parent, by the kernel's hand.
	killed, _ = runningHolder(dataDir(home))
	if err := killed.signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, 10*time.Second, "children end with their parent", func() bool {
		left, err := leftovers(dataDir(home))
		return err == nil && len(left) == 0 && !killed.alive()
	})
	if state, err := Status(t.Context(), home); err != nil || state.Running || !strings.Contains(state.Message, "without stopping cleanly") {
		t.Errorf("status after kill -9: %+v %v", state, err)
	}
	if _, err := Detach(t.Context(), Options{Home: home}, nil); err != nil {
		t.Fatal(err)
	}
	stopped, err := Down(t.Context(), home)
	if err != nil || !stopped.Running || stopped.Killed || len(stopped.Leftovers) != 0 {
		t.Errorf("down: %+v %v", stopped, err)
	}
	if stopped, err := Down(t.Context(), home); err != nil || stopped.Running {
		t.Errorf("down of none: %+v %v", stopped, err)
	}
}

// Ctrl-C while a detached start is awaited leaves nothing behind.
func TestDetachGivenUp(t *testing.T) {
	binaries(t)
	home := t.TempDir()
	t.Setenv(parentVariable, "run")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	_, err := Detach(ctx, Options{Home: home, Progress: func(phase string, done bool, _ string) {
		if phase == PhaseAPIServer && !done {
			cancel()
		}
	}}, nil)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("detach given up: %v", err)
	}
	if by, running := runningHolder(dataDir(home)); running {
		t.Errorf("process %d still runs", by.PID)
	}
	if left, err := leftovers(dataDir(home)); err != nil || len(left) != 0 {
		t.Errorf("left: %v %v", left, err)
	}
}

func TestEtcdSpaceIsGivenBack(t *testing.T) {
	m := startCluster(t, Options{Home: t.TempDir()})
	ctx := t.Context()
	value := strings.Repeat("x", 1<<20)
	for range 100 { // as many revisions of one key, all but the last of which compaction drops
		if _, err := m.etcd.Put(ctx, "bulk", value); err != nil {
			t.Fatal(err)
		}
	}
	status, before, err := m.etcd.database(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.etcd.Compact(ctx, status.Header.Revision, clientv3.WithCompactPhysical()); err != nil {
		t.Fatal(err)
	}
	if did, err := m.etcd.maintain(ctx); err != nil || !strings.Contains(did, "defragmented") {
		t.Errorf("maintain: %q %v", did, err)
	}
	if _, after, err := m.etcd.database(ctx); err != nil || after.SizeBytes > before.SizeBytes/2 {
		t.Errorf("size %d after, %d before, %v", after.SizeBytes, before.SizeBytes, err)
	}
	if did, err := m.etcd.maintain(ctx); err != nil || did != "" {
		t.Errorf("maintain with nothing to do: %q %v", did, err)
	}
	// A database that has reached its quota takes no writes until maintained.
	raise := &etcdserverpb.AlarmRequest{Action: etcdserverpb.AlarmRequest_ACTIVATE, MemberID: status.Header.MemberId, Alarm: etcdserverpb.AlarmType_NOSPACE}
	if _, err := etcdserverpb.NewMaintenanceClient(m.etcd.ActiveConnection()).Alarm(ctx, raise); err != nil {
		t.Fatal(err)
	}
	if _, err := m.etcd.Put(ctx, "word", "x"); err == nil {
		t.Fatal("a full etcd takes writes: the test proves nothing")
	}
	if did, err := m.etcd.maintain(ctx); err != nil || !strings.Contains(did, "quota") {
		t.Errorf("maintain a full etcd: %q %v", did, err)
	}
	if _, err := m.etcd.Put(ctx, "word", "x"); err != nil {
		t.Errorf("write after maintenance: %v", err)
	}
}

// A child whose parent could not take it along must not block the next start.
func TestStrayChildrenAreStopped(t *testing.T) {
	dir := binaries(t)
	home := t.TempDir()
	m := startCluster(t, Options{Home: home})
	port := m.settings.EtcdPort
	if err := m.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	stray := exec.Command(filepath.Join(dir, etcdName), etcdArguments(port)...)
	stray.Args[0], stray.Dir = etcdName, home
	if err := stray.Start(); err != nil {
		t.Fatal(err)
	}
	gone := make(chan error, 1)
	go func() { gone <- stray.Wait() }()
	eventually(t, 20*time.Second, "stray etcd listens", func() bool {
		return canListen(net.IPv4(127, 0, 0, 1), port) != nil
	})
	again := startCluster(t, Options{Home: home})
	<-gone
	if again.settings.EtcdPort != port {
		t.Errorf("etcd moved from port %d to %d", port, again.settings.EtcdPort)
	}
}

func TestStartSaysWhatIsWrong(t *testing.T) {
	home := t.TempDir()
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = busy.Close() }()
	port := busy.Addr().(*net.TCPAddr).Port
	_, err = Start(t.Context(), Options{Home: home, BinariesDir: binaries(t), APIServerPort: port})
	if err == nil || !strings.Contains(err.Error(), strconv.Itoa(port)) || !strings.Contains(err.Error(), "--api-server-port") || !strings.Contains(err.Error(), strconv.Itoa(os.Getpid())) {
		t.Errorf("port in use: %v", err)
	}
	// A broken flag file makes kube-apiserver end at once; its reason must be in the error.
	m := startCluster(t, Options{Home: home})
	if err := m.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	broken := "apiVersion: nonsense\nkind: EncryptionConfiguration\nresources:\n- resources: [secrets]\n  providers: [{secretbox: {keys: []}}]\n"
	if err := os.WriteFile(m.home.encryption(), []byte(broken), 0o600); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	_, err = Start(t.Context(), Options{Home: home, BinariesDir: binaries(t)})
	if err == nil || !strings.Contains(err.Error(), "encryption") || !strings.Contains(err.Error(), "kube-apiserver.log") || time.Since(began) > 20*time.Second {
		t.Errorf("broken configuration after %s: %v", time.Since(began), err)
	}
	if left, _ := leftovers(m.home); len(left) != 0 {
		t.Errorf("failed start left %v", left)
	}
	// And a key that is gone is no reason to make a new one.
	if err := os.Remove(m.home.encryption()); err != nil {
		t.Fatal(err)
	}
	if _, err = Start(t.Context(), Options{Home: home, BinariesDir: binaries(t)}); err == nil || !strings.Contains(err.Error(), "backup") {
		t.Errorf("lost key: %v", err)
	}
	state, err := Status(t.Context(), home)
	if err != nil || !strings.Contains(state.Message, "backup") {
		t.Errorf("status after failed start: %+v %v", state, err)
	}
}

func writeTemp(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "object.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
