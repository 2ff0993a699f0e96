// SPDX-License-Identifier: Apache-2.0

package bootstrap

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	bootstrapv1 "github.com/slipway-project/slipway/api/bootstrap/v1beta2"
	"golang.org/x/tools/txtar"
	"sigs.k8s.io/yaml"
)

// userData is what a machine reads out of the text.
type userData struct {
	BootCmd    []string `json:"bootcmd"`
	WriteFiles []struct {
		Path, Encoding, Content, Permissions, Owner string
		Append                                      bool
	} `json:"write_files"`
	RunCmd []string       `json:"runcmd"`
	Users  []any          `json:"users"`
	Rest   map[string]any `json:"-"`
}

// fileAt is the decoded content of the last file at path.
func (u userData) fileAt(t *testing.T, path string) string {
	t.Helper()
	for i := len(u.WriteFiles) - 1; i >= 0; i-- {
		if f := u.WriteFiles[i]; f.Path == path {
			if f.Encoding != "base64" {
				return f.Content
			}
			decoded, err := base64.StdEncoding.DecodeString(f.Content)
			if err != nil {
				t.Fatal(err)
			}
			return string(decoded)
		}
	}
	t.Fatalf("no file %s", path)
	return ""
}

var jinjaExpression = regexp.MustCompile(`\{\{\s*(?:'([^']*)'|([a-z0-9_.]+(?:\["[a-z_]+"\]|\['[a-z_]+'\])?))\s*\}\}`)

// readUserData does what an executor without Jinja has to do: print literals, look instance data up, read YAML.
func readUserData(t *testing.T, text []byte) userData {
	t.Helper()
	body, found := strings.CutPrefix(string(text), "## template: jinja\n#cloud-config\n")
	if !found {
		t.Fatalf("the header is missing:\n%s", text)
	}
	rendered := jinjaExpression.ReplaceAllStringFunc(body, func(expression string) string {
		parts := jinjaExpression.FindStringSubmatch(expression)
		switch parts[2] {
		case "":
			return parts[1]
		case "ds.meta_data.local_hostname", `ds.meta_data["local_hostname"]`, "ds.meta_data['local_hostname']", "v1.local_hostname", "local_hostname":
			return "node-7"
		}
		t.Fatalf("unknown instance data %s", expression)
		return ""
	})
	return parseUserData(t, []byte(rendered))
}

func parseUserData(t *testing.T, text []byte) userData {
	t.Helper()
	var out userData
	if err := yaml.Unmarshal(text, &out); err != nil {
		t.Fatalf("not YAML: %v\n%s", err, text)
	}
	if err := yaml.Unmarshal(text, &out.Rest); err != nil {
		t.Fatal(err)
	}
	return out
}

// nasty are texts that break naive writers of YAML or Jinja.
var nasty = []string{
	"plain", "a\n", "a\n\n\n", "\na", "\n", "\n\n", " lead", "\tlead\n\ttab\n", "trail ", "trail \n", "a\n  ", "a\n  \n", "   \na\n", "  \n  \n",
	"key: value # no comment", "- item", "# all comment", "'single' \"double\" \\ back", "%d %s", "---\n...\n", "&a *b !c |d >e @f `g`", "yes", "null", "0755", "1e3", "{a: b}", "[a]",
	"docker inspect -f '{{.State.Running}}' x", "docker ps --format \"{{.Names}}\"", "{{ .Values.x }}\n{{- range .y }}\n{% for a in b %}\n", "${#names[@]} {# no comment #}",
	"{", "{{", "{{{", "{{{{", "}}", "{%", "{#", "{{%", "{{#", "{%{{", "{ {", "}}}{{{", "{{ unclosed", "x{{y}}z{%w%}", "{{ $labels.instance }}", "{{ env \"X\" }}", "{{\n", "{%\n", "{{ \"a\n\" }}",
	"tab\there", "bell\a", "null\x00byte", "del\x7f", "nel\u0085line", "ls\u2028ps\u2029", "bom\ufeff", "emoji \U0001F600 ünïcödé", "cr\r\nlf\r\n", "esc\x1b[0m",
	"very long " + strings.Repeat("word ", 200), strings.Repeat("{{x}}", 50),
	"#!/bin/sh\nset -eu\nfor f in *; do\n  echo \"${f}\"\ndone\n",
}

// nastyInput has each text as a file, as commands and as a flag's value.
func nastyInput() Input {
	in := Input{
		Step: JoinWorker, ClusterName: "demo", KubernetesVersion: "v1.37.1", ControlPlaneEndpoint: "192.0.2.1:6443",
		Discovery: Discovery{Token: "abcdef.0123456789abcdef", CACertHashes: []string{"sha256:" + strings.Repeat("0", 64)}},
	}
	for i, text := range nasty {
		in.Spec.Files = append(in.Spec.Files, bootstrapv1.File{Path: fmt.Sprintf("/nasty/%d", i), Content: text})
		in.Spec.BootCommands = append(in.Spec.BootCommands, text)
		in.Spec.PreKubeadmCommands = append(in.Spec.PreKubeadmCommands, text)
		in.Spec.Users = append(in.Spec.Users, bootstrapv1.User{Name: text, SSHAuthorizedKeys: []string{text}})
		in.Spec.JoinConfiguration.NodeRegistration.KubeletExtraArgs = append(in.Spec.JoinConfiguration.NodeRegistration.KubeletExtraArgs, bootstrapv1.Arg{Name: "x", Value: &text})
	}
	return in
}

func checkNasty(t *testing.T, read userData) {
	t.Helper()
	for i, text := range nasty {
		if got := read.fileAt(t, fmt.Sprintf("/nasty/%d", i)); got != text {
			t.Errorf("file: %q came out as %q", text, got)
		}
		if read.BootCmd[i] != text || read.RunCmd[i] != text {
			t.Errorf("commands: %q came out as %q and %q", text, read.BootCmd[i], read.RunCmd[i])
		}
		user := read.Users[i].(map[string]any)
		if user["name"] != text || user["ssh_authorized_keys"].([]any)[0] != text {
			t.Errorf("user: %q came out as %q", text, user)
		}
	}
	var join struct {
		NodeRegistration struct{ KubeletExtraArgs []wireArg }
	}
	if err := yaml.Unmarshal([]byte(read.fileAt(t, joinConfigPath)), &join); err != nil {
		t.Fatal(err)
	}
	for i, text := range nasty {
		if got := join.NodeRegistration.KubeletExtraArgs[i].Value; got != text {
			t.Errorf("flag: %q came out as %q", text, got)
		}
	}
}

// TestAnyTextSurvives: what the user wrote is what the machine gets.
func TestAnyTextSurvives(t *testing.T) {
	out, err := Render(nastyInput())
	if err != nil {
		t.Fatal(err)
	}
	checkNasty(t, readUserData(t, out.Data))
}

// FuzzAnyTextSurvives is the same for texts nobody thought of: as a file's content, a command and a kubelet flag.
func FuzzAnyTextSurvives(f *testing.F) {
	for _, text := range nasty {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		// The API carries UTF-8 only; and what is meant for Jinja is to change.
		if text == "" || !utf8.ValidString(text) || dependsOnJinja(text) {
			t.Skip()
		}
		in := nastyInput()
		in.Spec = bootstrapv1.KubeadmConfigSpec{
			Files:              []bootstrapv1.File{{Path: "/x", Content: text}},
			PreKubeadmCommands: []string{text},
		}
		in.Spec.JoinConfiguration.NodeRegistration.KubeletExtraArgs = []bootstrapv1.Arg{{Name: "x", Value: &text}}
		out, err := Render(in)
		if err != nil {
			t.Fatal(err)
		}
		read := readUserData(t, out.Data)
		var join struct{ NodeRegistration wireRegistration }
		if err := yaml.Unmarshal([]byte(read.fileAt(t, joinConfigPath)), &join); err != nil {
			t.Fatal(err)
		}
		flag := join.NodeRegistration.KubeletExtraArgs.([]any)[0].(map[string]any)["value"]
		if read.fileAt(t, "/x") != text || read.RunCmd[0] != text || flag != text {
			t.Errorf("%q came out as file %q, command %q, flag %q", text, read.fileAt(t, "/x"), read.RunCmd[0], flag)
		}
	})
}

// TestInstanceDataIsLeftForJinja: what people rely on keeps working, next to braces that are not meant so.
func TestInstanceDataIsLeftForJinja(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"{{ ds.meta_data.local_hostname }}", "{{ ds.meta_data.local_hostname }}"},
		{"{{ds.meta_data['local_hostname']}}", "{{ds.meta_data['local_hostname']}}"},
		{"{{ v1.local_hostname|lower }} {{.x}}", "{{ v1.local_hostname|lower }} {{ '{{' }}.x}}"},
		{"{{ local_hostname }}", "{{ local_hostname }}"},
		{"{{- ds.a -}}", "{{- ds.a -}}"},
		{"{{ '{{' }}.Names}}", "{{ '{{' }}.Names}}"},
		{`{{ "{%" }}`, `{{ "{%" }}`},
		{"{% raw %}{{.Names}}{% endraw %}", "{% raw %}{{.Names}}{% endraw %}"},
		{"{% if ds.meta_data.x %}{{ y }}{% endif %}", "{% if ds.meta_data.x %}{{ y }}{% endif %}"},
		{"{{ dsx }}", "{{ '{{' }} dsx }}"},
		{"{{ machinery }}", "{{ '{{' }} machinery }}"},
		{"{{ ds.a", "{{ '{{' }} ds.a"},
		{"{{ ds.a\n}}", "{{ '{{' }} ds.a\n}}"},
		{"{% for x in y %}", "{{ '{%' }} for x in y %}"},
	} {
		if got := escapeJinja(c.text); got != c.want {
			t.Errorf("%s became %s, want %s", c.text, got, c.want)
		}
	}
	in := nastyInput()
	in.Spec.Files, in.Spec.BootCommands, in.Spec.Users = nil, nil, nil
	in.Spec.JoinConfiguration.NodeRegistration = bootstrapv1.NodeRegistrationOptions{Name: "{{ ds.meta_data['local_hostname'] }}"}
	in.Spec.PreKubeadmCommands = []string{`echo "{{ ds.meta_data["local_hostname"] }}" '{{.x}}'`}
	in.Spec.Files = []bootstrapv1.File{{Path: "/mixed", Content: "{{ ds.meta_data.local_hostname }}: {{ .Labels }} \"x\"\n"}}
	out, err := Render(in)
	if err != nil {
		t.Fatal(err)
	}
	for name, read := range map[string]userData{"small executor": readUserData(t, out.Data), "jinja": jinjaUserData(t, out.Data)} {
		if read.RunCmd == nil {
			continue
		}
		if got := read.RunCmd[0]; got != `echo "node-7" '{{.x}}'` {
			t.Errorf("%s: command %q", name, got)
		}
		if got := read.fileAt(t, "/mixed"); got != "node-7: {{ .Labels }} \"x\"\n" {
			t.Errorf("%s: file %q", name, got)
		}
		if got := read.fileAt(t, joinConfigPath); !strings.Contains(got, "name: \"node-7\"") {
			t.Errorf("%s: kubeadm's configuration:\n%s", name, got)
		}
	}
}

// TestInstanceDataInLists: an expression with a string in it survives in lists too, where it would have to be escaped
// between quotes.
func TestInstanceDataInLists(t *testing.T) {
	const expression, want = `x {{ ds.meta_data["local_hostname"] }}`, "x node-7"
	in := nastyInput()
	in.Spec = bootstrapv1.KubeadmConfigSpec{
		NTP:       bootstrapv1.NTP{Servers: []string{expression, "b"}},
		Users:     []bootstrapv1.User{{Name: "a", SSHAuthorizedKeys: []string{expression, "b"}}},
		Mounts:    []bootstrapv1.MountPoints{{"a", expression}, {}},
		DiskSetup: bootstrapv1.DiskSetup{Filesystems: []bootstrapv1.Filesystem{{Device: "/dev/sdb", Filesystem: "ext4", ExtraOpts: []string{expression}}}},
	}
	out, err := Render(in)
	if err != nil {
		t.Fatal(err)
	}
	for name, read := range map[string]userData{"small executor": readUserData(t, out.Data), "jinja": jinjaUserData(t, out.Data)} {
		if read.Rest == nil {
			continue
		}
		got := []any{
			read.Rest["ntp"].(map[string]any)["servers"], read.Rest["users"].([]any)[0].(map[string]any)["ssh_authorized_keys"],
			read.Rest["mounts"], read.Rest["fs_setup"].([]any)[0].(map[string]any)["extra_opts"],
		}
		if diff := cmp.Diff([]any{[]any{want, "b"}, []any{want, "b"}, []any{[]any{"a", want}, []any{}}, []any{want}}, got); diff != "" {
			t.Errorf("%s: servers, keys, mounts and options (-want +got):\n%s", name, diff)
		}
	}
}

// jinjaUserData reads the text as cloud-init does: Jinja2 with trim_blocks, then PyYAML. Empty where
// SLIPWAY_TEST_PYTHON names no Python that has both.
func jinjaUserData(t *testing.T, text []byte) userData {
	t.Helper()
	python := os.Getenv("SLIPWAY_TEST_PYTHON")
	if python == "" {
		return userData{}
	}
	command := exec.Command(python, "-c", `
import sys, json, jinja2, yaml
text = sys.stdin.buffer.read().decode()
header, body = text.split("\n", 1)
assert header == "## template: jinja"
template = jinja2.Template(body, undefined=jinja2.StrictUndefined, trim_blocks=True, keep_trailing_newline=True)
data = {"ds": {"meta_data": {"local_hostname": "node-7"}}, "v1": {"local_hostname": "node-7"}, "local_hostname": "node-7"}
json.dump(yaml.safe_load(template.render(**data)), sys.stdout)
`)
	command.Stdin = strings.NewReader(string(text))
	var stderr strings.Builder
	command.Stderr = &stderr
	read, err := command.Output()
	if err != nil {
		t.Fatalf("cloud-init's way of reading fails: %v\n%s", err, stderr.String())
	}
	var out userData
	if err := json.Unmarshal(read, &out); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(read, &out.Rest); err != nil {
		t.Fatal(err)
	}
	return out
}

// TestCloudInitReadsTheSame holds the small executor of these tests, and so the format, against the real renderer.
func TestCloudInitReadsTheSame(t *testing.T) {
	if os.Getenv("SLIPWAY_TEST_PYTHON") == "" {
		t.Skip("SLIPWAY_TEST_PYTHON names no Python with jinja2 and yaml")
	}
	t.Run("any text survives", func(t *testing.T) {
		out, err := Render(nastyInput())
		if err != nil {
			t.Fatal(err)
		}
		checkNasty(t, jinjaUserData(t, out.Data))
	})
	goldens(t, func(t *testing.T, _ string, archive *txtar.Archive, input []byte) {
		out, err := Render(parseInput(t, input))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(readUserData(t, out.Data).Rest, jinjaUserData(t, out.Data).Rest); diff != "" {
			t.Error(diff)
		}
	})
}
