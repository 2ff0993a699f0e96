// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/slipway-project/slipway/controllers/cluster"
	"github.com/slipway-project/slipway/controllers/kubeadmconfig"
	"github.com/slipway-project/slipway/controllers/kubeadmcontrolplane"
	"github.com/slipway-project/slipway/controllers/machine"
	"github.com/slipway-project/slipway/controllers/machinedeployment"
	"github.com/slipway-project/slipway/controllers/machineset"
	"github.com/slipway-project/slipway/engine"
	"github.com/slipway-project/slipway/simulate"
)

func onBench[Snapshot, Status any](c engine.Controller[Snapshot, Status]) simulate.Controller {
	return func(bench engine.Bench) *engine.Stepper { return engine.NewStepper(bench, c) }
}

func planners() []simulate.Controller {
	return []simulate.Controller{
		onBench(cluster.Controller()), onBench(kubeadmcontrolplane.Controller()), onBench(machinedeployment.Controller()),
		onBench(machineset.Controller()), onBench(machine.Controller()), onBench(kubeadmconfig.Controller()),
	}
}

// writes notes the requests that could change something.
type writes struct {
	http.RoundTripper
	mu   sync.Mutex
	seen []string
}

func (w *writes) RoundTrip(request *http.Request) (*http.Response, error) {
	if request.Method != http.MethodGet && request.URL.Query().Get("dryRun") != "All" {
		w.mu.Lock()
		w.seen = append(w.seen, request.Method+" "+request.URL.Path)
		w.mu.Unlock()
	}
	if strings.Contains(request.URL.Path, "/secrets") && !strings.Contains(request.Header.Get("Accept"), "as=PartialObjectMetadata") {
		w.mu.Lock()
		w.seen = append(w.seen, "values of "+request.URL.Path)
		w.mu.Unlock()
	}
	return w.RoundTripper.RoundTrip(request)
}

const talkFiles = "../examples/talk/"

// applyFiles writes the files into the management cluster, which runs no controllers.
func applyFiles(t *testing.T, m *management, names ...string) {
	t.Helper()
	objects, err := readFiles(nil, names)
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range objects {
		if err := m.client.Apply(t.Context(), client.ApplyConfigurationFromUnstructured(one.object), client.FieldOwner("kubectl")); err != nil {
			t.Fatal(err)
		}
	}
}

// On a real API server: what is foretold, what is refused, and that nothing is written.
func TestPlanOnManagementCluster(t *testing.T) {
	running, direct := startManagement(t)
	applyFiles(t, direct, talkFiles+"1-cluster.yaml", talkFiles+"2-docker-cluster.yaml", talkFiles+"3-control-plane.yaml")
	if err := direct.client.Create(t.Context(), &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "someones"}, StringData: map[string]string{"k": "v"},
	}); err != nil {
		t.Fatal(err)
	}
	noted := &writes{}
	config := rest.CopyConfig(running.AdminConfig())
	config.Wrap(func(next http.RoundTripper) http.RoundTripper {
		noted.RoundTripper = next
		return noted
	})
	m, err := dial(t.Context(), config, "slipway up")
	if err != nil {
		t.Fatal(err)
	}
	tool, _, _ := newTool()
	tool.wiring.Controllers = planners
	flags := planFlags{manager: "kubectl"}
	flags.target.namespace = "default"

	objects, err := readFiles(nil, []string{talkFiles + "4-workers.yaml"})
	if err != nil {
		t.Fatal(err)
	}
	forecast, err := tool.foresee(t.Context(), m, objects, flags)
	if err != nil {
		t.Fatal(err)
	}
	for _, standing := range forecast.Reached {
		if !standing.Settled {
			t.Errorf("%s: %s", standing.Object, standing.Text)
		}
	}
	real, invented := 0, 0
	for _, action := range forecast.Actions {
		switch {
		case action.Do != "create" || !strings.HasPrefix(action.Target, "Machine "):
		case action.Invented:
			invented++
		default:
			real++
		}
	}
	if real != 3 || invented != 1 {
		t.Errorf("%d Machines have names that will be true and %d others, want 3 of the control plane and 1 worker:\n%s", real, invented, forecast.Text())
	}

	looked, err := tool.lookAt(t.Context(), m, client.ObjectKey{Namespace: "default", Name: "demo"})
	if err != nil {
		t.Fatal(err)
	}
	if text := lookedText(looked, false); !strings.Contains(text, "KubeadmControlPlane default/demo-control-plane (controller kubeadmcontrolplane): Acting Claiming\n  - apply KubeadmControlPlane default/demo-control-plane (") {
		t.Errorf("the next steps:\n%s", text)
	}

	clientSide(t, tool, direct, m, flags)
	refusedFiles(t, tool, m, flags)
	if len(noted.seen) > 0 {
		t.Errorf("requests that write, or that read values of Secrets: %v", noted.seen)
	}
}

// clientSide is an object that kubectl applied without --server-side: what the apply takes
// out of it, a dry run does not show, and the plan says so.
func clientSide(t *testing.T, tool *tool, direct, m *management, flags planFlags) {
	t.Helper()
	objects, err := readFiles(nil, []string{talkFiles + "6-upgrade.yaml"})
	if err != nil {
		t.Fatal(err)
	}
	template := objects[0].object.DeepCopy()
	template.SetAnnotations(map[string]string{corev1.LastAppliedConfigAnnotation: "{}"})
	if err := direct.client.Create(t.Context(), template, client.FieldOwner("kubectl-client-side-apply")); err != nil {
		t.Fatal(err)
	}
	flags.manager, flags.force = "upgrade", true
	forecast, err := tool.foresee(t.Context(), m, objects, flags)
	if err != nil {
		t.Fatal(err)
	}
	said := slices.DeleteFunc(slices.Clone(forecast.Notes), func(note string) bool { return !strings.Contains(note, "applied without --server-side before") })
	if len(said) != 1 || !strings.HasPrefix(said[0], "DockerMachineTemplate default/demo-control-plane-v1-37-1 ") {
		t.Errorf("notes on objects that were applied without --server-side: %q, want one on the template and none on the control plane, which was applied with it", said)
	}
}

// refusedFiles are told of with their place, in the words of the API server where it has any.
func refusedFiles(t *testing.T, tool *tool, m *management, flags planFlags) {
	t.Helper()
	const controlPlane = "apiVersion: controlplane.cluster.x-k8s.io/v1beta2\nkind: KubeadmControlPlane\nmetadata: {name: demo-control-plane}\nspec: "
	for name, test := range map[string]struct{ text, want string }{
		"a rule of the API":       {controlPlane + "{version: v1.36.3, replicas: 2}", "replicas"},
		"a value of another type": {controlPlane + "{version: 7}", "version"},
		"a kind that is not there": {"apiVersion: infrastructure.cluster.x-k8s.io/v1\nkind: CloudCluster\nmetadata: {name: c}\n",
			"the management cluster has no kind CloudCluster in infrastructure.cluster.x-k8s.io/v1; correct apiVersion and kind, or install the provider"},
		"fields of others": {controlPlane + "{version: v1.37.1}", "--force-conflicts"},
	} {
		file := filepath.Join(t.TempDir(), "bad.yaml")
		if err := os.WriteFile(file, []byte(test.text), 0o600); err != nil {
			t.Fatal(err)
		}
		objects, err := readFiles(nil, []string{file})
		if err != nil {
			t.Fatal(err)
		}
		asked := flags
		asked.manager, asked.force = "somebody", name != "fields of others"
		_, err = tool.foresee(t.Context(), m, objects, asked)
		if err == nil || !strings.Contains(explain(err), test.want) || !strings.Contains(explain(err), file) {
			t.Errorf("%s: it is told as %q, want the file and %q", name, explainOrNone(err), test.want)
		}
	}
}

func explainOrNone(err error) string {
	if err == nil {
		return "nothing"
	}
	return explain(err)
}

func TestReadFiles(t *testing.T) {
	folder := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	const one, two = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: one}\n", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: two}\n"
	for name, test := range map[string]struct {
		paths []string
		want  []string
		err   string
	}{
		"documents":           {paths: []string{write("a.yaml", "# only a comment\n---\n"+one+"---\n"+two)}, want: []string{"one", "two"}},
		"JSON":                {paths: []string{write("b.json", `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"one"}}`)}, want: []string{"one"}},
		"a List":              {paths: []string{write("list.yaml", "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: ConfigMap, metadata: {name: one}}\n- {apiVersion: v1, kind: ConfigMap, metadata: {name: two}}\n")}, want: []string{"one", "two"}},
		"standard input":      {paths: []string{"-"}, want: []string{"in"}},
		"no such file":        {paths: []string{filepath.Join(folder, "none.yaml")}, err: "none.yaml: there is no such file or folder"},
		"not YAML":            {paths: []string{write("broken.yaml", one+"---\na: [\n")}, err: "broken.yaml, document 2: it is not YAML"},
		"not an object":       {paths: []string{write("text.yaml", "just words\n")}, err: "text.yaml: it is not YAML or JSON of an object"},
		"no kind":             {paths: []string{write("nokind.yaml", "apiVersion: v1\nmetadata: {name: n}\n")}, err: "nokind.yaml: it is not an object of Kubernetes"},
		"no apiVersion":       {paths: []string{write("noversion.yaml", "kind: ConfigMap\nmetadata: {name: n}\n")}, err: "noversion.yaml: it has no apiVersion"},
		"no name":             {paths: []string{write("noname.yaml", "apiVersion: v1\nkind: ConfigMap\n")}, err: "noname.yaml: ConfigMap has no metadata.name"},
		"nothing":             {paths: []string{write("empty.yaml", "---\n")}, err: "there is no object in it"},
		"one object twice":    {paths: []string{write("twice.yaml", one+"---\n"+one)}, err: "twice.yaml, document 2: ConfigMap one is in"},
		"no item of a List":   {paths: []string{write("badlist.yaml", "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: ConfigMap}\n")}, err: "item 1: ConfigMap has no metadata.name"},
		"a binary":            {paths: []string{write("binary.yaml", "\x00\x01\x02")}, err: "binary.yaml: "},
		"YAML with a tab":     {paths: []string{write("tab.yaml", "a:\n\tb: c\n")}, err: "tab.yaml: it is not YAML"},
		"several with faults": {paths: []string{write("c.yaml", one), filepath.Join(folder, "none")}, err: "none: there is no such file"},
	} {
		t.Run(name, func(t *testing.T) {
			found, err := readFiles(strings.NewReader("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: in}\n"), test.paths)
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) || strings.Contains(err.Error(), "\n") {
					t.Errorf("the error is %v, want one line with %q", err, test.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var names []string
			for _, one := range found {
				names = append(names, one.object.GetName())
			}
			if diff := cmp.Diff(test.want, names); diff != "" {
				t.Errorf("objects (-want +got):\n%s", diff)
			}
		})
	}
	sub := filepath.Join(folder, "sub")
	if err := os.Mkdir(sub, 0o700); err != nil {
		t.Fatal(err)
	}
	write("sub/2.yml", two)
	write("sub/1.yaml", one)
	write("sub/README.md", "no object")
	found, err := readFiles(nil, []string{sub})
	if err != nil || len(found) != 2 || found[0].object.GetName() != "one" {
		t.Errorf("of a folder: %v, %v; want one, two", found, err)
	}
}

func TestPlanUsage(t *testing.T) {
	t.Setenv("KUBECONFIG", "")
	t.Setenv("SLIPWAY_HOME", t.TempDir())
	for line, want := range map[string]string{
		"plan": "slipway plan needs a file", "plan cluster": "needs the name of a cluster", "plan x -f y": "unknown command", "plan -f y -o wide": "is no format",
	} {
		tool, _, failures := newTool()
		if code := tool.run(context.Background(), strings.Fields(line)); code != exitUsage || !strings.Contains(failures.String(), want) {
			t.Errorf("slipway %s: exit code %d and %q, want %d and %q", line, code, failures, exitUsage, want)
		}
	}
	tool, _, failures := newTool()
	if code := tool.run(context.Background(), []string{"plan", "-f", "nowhere.yaml"}); code != exitFailed || !strings.Contains(failures.String(), "nowhere.yaml: there is no such file") {
		t.Errorf("a file that is not there: exit code %d and %q", code, failures)
	}
}

func TestLookedText(t *testing.T) {
	all := []simulate.Looked{
		{Controller: "machine", Object: "Machine default/m", Outcome: "Waiting", Reason: "WaitingForNode", Message: "no Node\nyet", Text: "outcome: x\n"},
		{Controller: "machineset", Object: "MachineSet default/s", Outcome: "Acting", Reason: "ScalingUp", Actions: []simulate.Next{{Action: "create Machine default/m", Reason: "there are too few"}}},
	}
	want := "Machine default/m (controller machine): Waiting WaitingForNode: no Node yet\n" +
		"MachineSet default/s (controller machineset): Acting ScalingUp\n  - create Machine default/m (there are too few)\n"
	if diff := cmp.Diff(want, lookedText(all, false)); diff != "" {
		t.Errorf("text (-want +got):\n%s", diff)
	}
	if full := lookedText(all, true); !slices.Contains(strings.Split(full, "\n"), "  outcome: x") {
		t.Errorf("the whole plan is not shown:\n%s", full)
	}
}
