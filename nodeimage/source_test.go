// SPDX-License-Identifier: Apache-2.0

package nodeimage

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// writeTree writes files, path -> content, under a new directory.
func writeTree(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for path, content := range files {
		target := filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(target, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func goMod(requirements ...string) string {
	return "module example.com/m\n\ngo 1.26.0\n\nrequire (\n\t" + strings.Join(requirements, "\n\t") + "\n)\n"
}

// checkout is a tree with the modules of some Kubernetes versions.
func checkout(t *testing.T, versions ...string) string {
	t.Helper()
	files := map[string]string{"nodeimage/runtime/go.mod": goMod("github.com/containerd/containerd/v2 v2.4.2 // indirect")}
	for _, version := range versions {
		minor := version[:strings.LastIndex(version, ".")]
		files["nodeimage/"+minor+"/go.mod"] = goMod("go.etcd.io/etcd/server/v3 v3.7.0", "k8s.io/kubernetes "+version)
		files["nodeimage/"+minor+"/coredns/go.mod"] = goMod("github.com/coredns/coredns v1.14.6 // indirect")
	}
	return writeTree(t, files)
}

func TestVersionsNewestFirst(t *testing.T) {
	dir := checkout(t, "v1.9.4", "v1.37.1", "v1.36.10", "v1.100.0")
	got, err := Versions(filepath.Join(dir, "nodeimage"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"v1.100.0", "v1.37.1", "v1.36.10", "v1.9.4"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestVersionsOfThisCheckout(t *testing.T) {
	t.Setenv(SourceEnvironment, "")
	versions, err := Versions("")
	if err != nil {
		t.Fatal(err)
	}
	for i := 1; i < len(versions); i++ {
		if compareVersions(versions[i-1], versions[i]) <= 0 {
			t.Errorf("%s before %s", versions[i-1], versions[i])
		}
	}
	for _, version := range versions {
		r, err := findRelease("", version)
		if err != nil {
			t.Fatal(err)
		}
		for _, module := range []string{r.dir, filepath.Join(r.dir, "coredns")} {
			if _, err := os.Stat(filepath.Join(module, "go.sum")); err != nil {
				t.Errorf("%s is not pinned: %v", module, err)
			}
		}
	}
}

func TestFindReleaseNamesWhatThereIs(t *testing.T) {
	dir := filepath.Join(checkout(t, "v1.37.1", "v1.36.3"), "nodeimage")
	r, err := findRelease(dir, "1.36.3") // without v
	if err != nil {
		t.Fatal(err)
	}
	want := release{version: "v1.36.3", dir: filepath.Join(dir, "v1.36"), etcd: "v3.7.0", coreDNS: "v1.14.6"}
	if diff := cmp.Diff(want, r, cmp.AllowUnexported(release{})); diff != "" {
		t.Error(diff)
	}
	_, err = findRelease(dir, "v1.37.2")
	expectError(t, err, `"v1.37.2"`, "v1.37.1, v1.36.3", "docs/checklists/add-a-kubernetes-version.md")
}

func TestReadReleaseRefusesBrokenFolders(t *testing.T) {
	for name, test := range map[string]struct {
		files map[string]string
		want  []string
	}{
		"no Kubernetes": {map[string]string{"v1.37/go.mod": goMod("a.b/c v1.0.0")}, []string{"v1.37/go.mod", "does not require k8s.io/kubernetes"}},
		"wrong minor": {map[string]string{
			"v1.37/go.mod":         goMod("go.etcd.io/etcd/server/v3 v3.6.8", "k8s.io/kubernetes v1.36.3"),
			"v1.37/coredns/go.mod": goMod("github.com/coredns/coredns v1.14.2"),
		}, []string{"v1.36.3", "folder named v1.37"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Versions(writeTree(t, test.files))
			expectError(t, err, test.want...)
		})
	}
	_, err := Versions(writeTree(t, map[string]string{"v1.37/README": "no module", "other/go.mod": ""}))
	expectError(t, err, "no Kubernetes version")
}

func TestRequiredVersionForms(t *testing.T) {
	dir := writeTree(t, map[string]string{
		"single": "module m\nrequire k8s.io/kubernetes v1.2.3\nreplace k8s.io/kubernetes => ../x\n",
		"block":  "require (\n\tk8s.io/kubernetes/more v9.9.9\n\tk8s.io/kubernetes v1.2.3 // indirect\n)\n",
	})
	for _, name := range []string{"single", "block"} {
		if got, err := requiredVersion(filepath.Join(dir, name), kubernetesModule); err != nil || got != "v1.2.3" {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

func TestFindSource(t *testing.T) {
	root := checkout(t, "v1.37.1")
	source := filepath.Join(root, "nodeimage")
	deep := filepath.Join(root, "a", "b")
	if err := os.MkdirAll(deep, 0o755); err != nil {
		t.Fatal(err)
	}
	elsewhere := t.TempDir()

	t.Run("environment names the checkout", func(t *testing.T) {
		t.Setenv(SourceEnvironment, root)
		t.Chdir(elsewhere)
		expectSource(t, source)
	})
	t.Run("environment names the folder", func(t *testing.T) {
		t.Setenv(SourceEnvironment, source)
		expectSource(t, source)
	})
	t.Run("working directory upward", func(t *testing.T) {
		t.Setenv(SourceEnvironment, "")
		t.Chdir(deep)
		expectSource(t, source)
	})
	t.Run("nowhere", func(t *testing.T) {
		t.Setenv(SourceEnvironment, "")
		t.Chdir(elsewhere)
		_, err := FindSource()
		expectError(t, err, "checkout", SourceEnvironment)
	})
	t.Run("environment is wrong", func(t *testing.T) {
		t.Setenv(SourceEnvironment, elsewhere)
		t.Chdir(deep) // is not taken instead
		_, err := FindSource()
		expectError(t, err, SourceEnvironment, elsewhere)
	})
}

func expectSource(t *testing.T, want string) {
	t.Helper()
	got, err := FindSource()
	if err != nil || got != want {
		t.Errorf("got %q, %v; want %q", got, err, want)
	}
}

// expectError checks that there is an error and that its text holds all parts.
func expectError(t *testing.T, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Fatal("no error")
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error %q does not name %q", err, part)
		}
	}
}
