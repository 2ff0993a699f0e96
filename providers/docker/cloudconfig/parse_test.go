// SPDX-License-Identifier: Apache-2.0

package cloudconfig

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var metadata = Metadata{LocalHostname: "demo-abc123", InstanceID: "docker-1", Address: "172.18.128.5"}

func TestParse(t *testing.T) {
	packed := func(text string) string {
		var buffer bytes.Buffer
		writer := gzip.NewWriter(&buffer)
		if _, err := writer.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
		if err := writer.Close(); err != nil {
			t.Fatal(err)
		}
		return base64.StdEncoding.EncodeToString(buffer.Bytes())
	}
	tests := []struct {
		name, text string
		want       []Step
	}{
		{name: "nothing", text: "#cloud-config\n"},
		{name: "null section", text: "#cloud-config\nruncmd:\n"},
		{
			name: "sections in cloud-init's order, whatever the file's",
			text: "#cloud-config\nruncmd: [last]\nusers: [{name: ann}]\nwrite_files: [{path: /a, content: x}]\nbootcmd: [first]\nfrobnicate: 1\nntp: {enabled: true}\n",
			want: []Step{
				Skipped{What: "frobnicate", Why: "slipway does not know this section"},
				Command{Origin: "bootcmd[0]", Shell: "first"},
				WriteFile{Path: "/a", Mode: 0o644, Content: []byte("x")},
				CreateUser{Name: "ann", LockPassword: true},
				Skipped{What: "ntp", Why: "a container uses the host's clock"},
				Command{Origin: "runcmd[0]", Shell: "last"},
			},
		},
		{
			name: "files",
			text: "#cloud-config\nwrite_files:\n" +
				"- {path: /quoted, permissions: '0640', owner: 'root:root', content: a}\n" +
				"- {path: /number, permissions: 0600, content: b}\n" +
				"- {path: /short, permissions: '755', content: c}\n" +
				"- {path: /b64, encoding: b64, content: aGVsbG8=}\n" +
				"- {path: /b64long, encoding: base64, content: 'aGVs\n  bG8='}\n" +
				"- {path: /packed, encoding: gzip+base64, content: " + packed("wrapped") + "}\n" +
				"- {path: /more, append: yes, content: 'd'}\n" +
				"- {path: /empty}\n" +
				"- path: /block\n  content: |\n    one\n      two\n",
			want: []Step{
				WriteFile{Path: "/quoted", Mode: 0o640, Owner: "root:root", Content: []byte("a")},
				WriteFile{Path: "/number", Mode: 0o600, Content: []byte("b")},
				WriteFile{Path: "/short", Mode: 0o755, Content: []byte("c")},
				WriteFile{Path: "/b64", Mode: 0o644, Content: []byte("hello")},
				WriteFile{Path: "/b64long", Mode: 0o644, Content: []byte("hello")},
				WriteFile{Path: "/packed", Mode: 0o644, Content: []byte("wrapped")},
				WriteFile{Path: "/more", Mode: 0o644, Content: []byte("d"), Append: true},
				WriteFile{Path: "/empty", Mode: 0o644, Content: []byte{}},
				WriteFile{Path: "/block", Mode: 0o644, Content: []byte("one\n  two\n")},
			},
		},
		{
			name: "deferred files come after users and before runcmd",
			text: "#cloud-config\nwrite_files: [{path: /late, defer: true}, {path: /early}]\nusers: [{name: ann}]\nruncmd: [x]\n",
			want: []Step{
				WriteFile{Path: "/early", Mode: 0o644, Content: []byte{}},
				CreateUser{Name: "ann", LockPassword: true},
				WriteFile{Path: "/late", Mode: 0o644, Content: []byte{}},
				Command{Origin: "runcmd[0]", Shell: "x"},
			},
		},
		{
			name: "commands as strings and lists, numbers as written",
			text: "#cloud-config\nruncmd:\n- \"echo 'a: b' | cat\"\n- [sleep, 5, 0640, true]\n- null\n- \"x\\ty\"\n",
			want: []Step{
				Command{Origin: "runcmd[0]", Shell: "echo 'a: b' | cat"},
				Command{Origin: "runcmd[1]", Argv: []string{"sleep", "5", "0640", "true"}},
				Command{Origin: "runcmd[3]", Shell: "x\ty"},
			},
		},
		{
			name: "users",
			text: "#cloud-config\nusers:\n- default\n- name: ann\n  gecos: Ann A\n  groups: adm, sudo\n  lock_passwd: false\n  passwd: $6$x\n  sudo: ALL=(ALL) NOPASSWD:ALL\n  ssh_authorized_keys: [ssh-ed25519 AAA]\n  inactive: true\n  uid: 7\n- {name: bob, groups: [adm], sudo: false}\n",
			want: []Step{
				Skipped{What: "users[0]", Why: "a node image has no default user"},
				Skipped{What: "users[1].uid", Why: "slipway does not know this field of a user"},
				CreateUser{Name: "ann", Gecos: "Ann A", Groups: []string{"adm", "sudo"}, PasswordHash: "$6$x", Sudo: []string{"ALL=(ALL) NOPASSWD:ALL"}, AuthorizedKeys: []string{"ssh-ed25519 AAA"}, Expired: true},
				CreateUser{Name: "bob", Groups: []string{"adm"}, LockPassword: true},
			},
		},
		{
			name: "what a container cannot do is said",
			text: "#cloud-config\ndisk_setup: {/dev/sdb: {table_type: gpt}}\nfs_setup: [{device: /dev/sdb}]\nmounts: [[/dev/sdb, /data]]\n",
			want: []Step{
				Skipped{What: "disk_setup", Why: undoable["disk_setup"]},
				Skipped{What: "fs_setup", Why: undoable["fs_setup"]},
				Skipped{What: "mounts", Why: undoable["mounts"]},
			},
		},
		{
			name: "jinja",
			text: "## template: jinja\n#cloud-config\nruncmd:\n- echo {{ ds.meta_data.local_hostname }} {{v1.instance_id}} {{ ds.meta_data['local-hostname'] }}\n- docker inspect -f '{{ '{{' }}.State}}'\n- '{% raw %}{{ kept }}{% endraw %}'\n",
			want: []Step{
				Command{Origin: "runcmd[0]", Shell: "echo demo-abc123 docker-1 demo-abc123"},
				Command{Origin: "runcmd[1]", Shell: "docker inspect -f '{{.State}}'"},
				Command{Origin: "runcmd[2]", Shell: "{{ kept }}"},
			},
		},
		{
			name: "no jinja without its header",
			text: "#cloud-config\nruncmd: ['echo {{ whatever }}']\n",
			want: []Step{Command{Origin: "runcmd[0]", Shell: "echo {{ whatever }}"}},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := Parse([]byte(test.text), metadata)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("steps (-want +got):\n%s", diff)
			}
		})
	}
}

func TestParseErrors(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"empty", "", "bootstrap data is empty"},
		{"not a cloud-config", "#!/bin/sh\necho\n", "first line is not #cloud-config"},
		{"ignition", `{"ignition": {"version": "2.3.0"}}`, "is Ignition"},
		{"not YAML", "#cloud-config\na: [", "not valid YAML"},
		{"not a mapping", "#cloud-config\n- a\n", "not a mapping"},
		{"double section", "#cloud-config\nruncmd: []\nruncmd: []\n", "runcmd is there twice"},
		{"not a list", "#cloud-config\nruncmd: x\n", "line 2: runcmd is not a list"},
		{"command is a mapping", "#cloud-config\nruncmd:\n- echo a: b\n", "runcmd[0] is neither a string nor a list"},
		{"empty command", "#cloud-config\nruncmd: [[]]\n", "runcmd[0] is an empty list"},
		{"relative path", "#cloud-config\nwrite_files: [{path: etc/x}]\n", `write_files[0]: path "etc/x" is not an absolute path`},
		{"no path", "#cloud-config\nwrite_files: [{content: x}]\n", `path "" is not an absolute path`},
		{"permissions", "#cloud-config\nwrite_files: [{path: /x, permissions: rw}]\n", `permissions "rw" are not an octal number`},
		{"encoding", "#cloud-config\nwrite_files: [{path: /x, encoding: rot13}]\n", `encoding "rot13" is not one of`},
		{"not base64", "#cloud-config\nwrite_files: [{path: /x, encoding: b64, content: '!!'}]\n", "content of /x: it is not base64"},
		{"file from elsewhere", "#cloud-config\nwrite_files: [{path: /x, source: {uri: 'http://x'}}]\n", "source is not supported"},
		{"user name", "#cloud-config\nusers: [{name: '../x'}]\n", "not a valid name"},
		{"unknown expression", "## template: jinja\n#cloud-config\nruncmd: ['{{ ds.meta_data.nope }}']\n", "line 3: the Jinja expression {{ ds.meta_data.nope }} is not known here"},
		{"filter", "## template: jinja\n#cloud-config\nruncmd: ['{{ v1.local_hostname | upper }}']\n", "{{ v1.local_hostname | upper }}"},
		{"statement", "## template: jinja\n#cloud-config\nruncmd: ['{% if x %}a{% endif %}']\n", "{% if x %} is not supported"},
		{"open expression", "## template: jinja\n#cloud-config\nruncmd: ['{{ v1.region']\n", "line 3: a Jinja expression {{ is not closed on its line"},
		{"expression of two lines", "## template: jinja\n#cloud-config\nruncmd: ['{{\n v1.region }}']\n", "line 3: a Jinja expression {{ is not closed on its line"},
		{"open statement", "## template: jinja\n#cloud-config\nruncmd: ['{% if x']\n", "line 3: a Jinja statement {% is not closed on its line"},
		{"long expression", "## template: jinja\n#cloud-config\nruncmd: ['{{ " + strings.Repeat("x", 61) + " }}']\n", "{{ " + strings.Repeat("x", 60) + "... }}"},
		{"open comment", "## template: jinja\n#cloud-config\nruncmd: ['${#names}']\n", "comment {# is not closed"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			steps, err := Parse([]byte(test.text), metadata)
			if err == nil {
				t.Fatalf("no error, but %v", steps)
			}
			if !strings.Contains(err.Error(), test.want) {
				t.Errorf("error is %q, want it to contain %q", err, test.want)
			}
		})
	}
}

func TestParseErrorsHoldNoContent(t *testing.T) {
	for _, text := range []string{
		"#cloud-config\nwrite_files: [{path: /x, append: sesame}]\n",
		"#cloud-config\nwrite_files: [{path: /x, content: [sesame]}]\n",
		"#cloud-config\nwrite_files: [{path: /x, encoding: b64, content: '?sesame'}]\n",
		"## template: jinja\n#cloud-config\nruncmd: ['echo {{ v1.region']\nwrite_files: [{path: /x, content: sesame}, {path: /y, content: '{{ v1.region }}'}]\n",
		"## template: jinja\n#cloud-config\nruncmd: [\"echo {{ 'v1.region\"]\nwrite_files: [{path: /x, content: sesame' }}]\n",
		"## template: jinja\n#cloud-config\nruncmd: ['echo {{ v1.region password=sesame }}']\n",
		"## template: jinja\n#cloud-config\nruncmd: ['echo {{ " + strings.Repeat("x", 60) + " sesame }}']\n",
		"## template: jinja\n#cloud-config\nruncmd: ['echo {% if sesame']\nfinal_message: '%}'\n",
		"## template: jinja\n#cloud-config\nruncmd: ['echo {% set token=sesame %}']\n",
		"## template: jinja\n#cloud-config\nruncmd: ['echo {% " + strings.Repeat("x", 60) + " sesame %}']\n",
		"## template: jinja\n#cloud-config\nruncmd: ['echo {# sesame']\n",
		"## template: jinja\n#cloud-config\nruncmd: ['echo {% raw %} sesame']\n",
	} {
		_, err := Parse([]byte(text), metadata)
		if err == nil {
			t.Fatalf("no error for %q", text)
		}
		if strings.Contains(err.Error(), "sesame") {
			t.Errorf("the error repeats the content: %v", err)
		}
	}
}

func TestRenderJinja(t *testing.T) {
	tests := []struct{ in, want string }{
		{"a {{ v1.local_hostname }} b", "a demo-abc123 b"},
		{"a   {{- local_hostname -}}   b", "ademo-abc123b"},
		{`{{ ds.meta_data["instance_id"] }}`, "docker-1"},
		{"{{ '}}' }}{{ \"{%\" }}", "}}{%"},
		{`"{{ v1.instance_id }}" x }}`, `"docker-1" x }}`},
		{"'{{ '{{' }}' '{{ '}}' }}'", "'{{' '}}'"},
		{`'{{ v1.instance_id }}'`, "'docker-1'"},
		{"x{# gone #}\ny", "xy"},
		{"{% raw %}\n{{ a }}\n{% endraw %}\nz", "{{ a }}\nz"},
		{"{% raw -%}   {{ a }}   {%- endraw %}z", "{{ a }}z"},
		{"{ single } }} left", "{ single } }} left"},
	}
	for _, test := range tests {
		got, err := renderJinja(jinjaHeader+"\n"+test.in, metadata)
		if err != nil {
			t.Errorf("%q: %v", test.in, err)
			continue
		}
		if got != jinjaHeader+"\n"+test.want {
			t.Errorf("%q becomes %q, want %q", test.in, strings.TrimPrefix(got, jinjaHeader+"\n"), test.want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("## template: jinja\n#cloud-config\nwrite_files: [{path: /a, content: '{{ v1.instance_id }}'}]\n")
	f.Add("#cloud-config\nusers: [default, {name: x}]\nruncmd: [[a, b], c]\n")
	f.Fuzz(func(t *testing.T, text string) {
		steps, err := Parse([]byte(text), metadata)
		if err == nil {
			Script(steps)
		}
	})
}

func TestWithProviderID(t *testing.T) {
	argument := KubeletArgument{Name: "provider-id", Value: "docker:////x"}
	boot, file, run := Command{Origin: "bootcmd[0]", Shell: "a"}, WriteFile{Path: "/etc/default/kubelet"}, Command{Origin: "runcmd[0]", Shell: "kubeadm"}
	tests := []struct{ in, want []Step }{
		{nil, []Step{argument}},
		{[]Step{boot, file}, []Step{boot, file, argument}},
		{[]Step{boot, file, run, run}, []Step{boot, file, argument, run, run}},
	}
	for _, test := range tests {
		before := append([]Step{}, test.in...)
		if diff := cmp.Diff(test.want, WithProviderID(test.in, "docker:////x")); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(before, append([]Step{}, test.in...)); diff != "" {
			t.Errorf("the list given was changed:\n%s", diff)
		}
	}
}

func TestRedact(t *testing.T) {
	token, key := "abcdef.0123456789abcdef", strings.Repeat("0f", 32)
	tests := []struct{ in, want string }{
		{"kubeadm join 10.0.0.1:6443 --token " + token + " --discovery-token-ca-cert-hash sha256:" + key, "kubeadm join 10.0.0.1:6443 --token [redacted] --discovery-token-ca-cert-hash sha256:" + key},
		{"--certificate-key=" + key, "--certificate-key=[redacted]"},
		{"using key:\n" + key + "\ndone", "using key:\n[redacted]\ndone"},
		{"token: " + token, "token: [redacted]"},
		{`"password": "a b"`, `"password": [redacted]`},
		{"x " + token + " y", "x [redacted] y"},
		{"-----BEGIN RSA PRIVATE KEY-----\nabc\n-----END RSA PRIVATE KEY-----\nend", "[redacted]\nend"},
		{"-----BEGIN PRIVATE KEY-----\nabc", "[redacted]"},
		{"abc\ndef\n-----END RSA PRIVATE KEY-----\nend", "[redacted]\nend"},
		{"-----BEGIN PRIVATE KEY-----\nabc\n-----END PRIVATE KEY-----\nx\n-----END CERTIFICATE-----", "[redacted]\nx\n-----END CERTIFICATE-----"},
		{"git clone https://ann:sesame@example.org/x.git", "git clone https://[redacted]@example.org/x.git"},
		{"fatal: 'https://sesame@example.org/' not found", "fatal: 'https://[redacted]@example.org/' not found"},
		{"http://a.example/x?mail=ann@example.org ssh ann@host", "http://a.example/x?mail=ann@example.org ssh ann@host"},
		{"curl -u ann:sesame https://x", "curl -u [redacted] https://x"},
		{`curl --user "ann:open sesame" x`, "curl --user [redacted] x"},
		{"curl --proxy-user=ann:sesame x", "curl --proxy-user=[redacted] x"},
		{"sudo -u root sh; id -u ann", "sudo -u root sh; id -u ann"},
		{"export AWS_SECRET_ACCESS_KEY=sesame AWS_REGION=x", "export AWS_SECRET_ACCESS_KEY=[redacted] AWS_REGION=x"},
		{"MY_TOKEN_2='open sesame' ./x", "MY_TOKEN_2=[redacted] ./x"},
		{"registryPassword2=sesame", "registryPassword2=[redacted]"},
		{"{AWS_ACCESS_KEY_ID: sesame, b: c}", "{AWS_ACCESS_KEY_ID: [redacted] b: c}"},
		{"--discovery-token-ca-cert-hash=sha256:abc", "--discovery-token-ca-cert-hash=sha256:abc"},
		{"secret \"kubeadm-certs\" was not found", "secret \"kubeadm-certs\" was not found"},
		{"Authorization: Bearer abc.def", "Authorization: Bearer [redacted]"},
		{"\x1b[31mred\x07", "[31mred"},
		{"error: no tokens here", "error: no tokens here"},
		{"[kubelet-start] Starting the kubelet", "[kubelet-start] Starting the kubelet"},
	}
	for _, test := range tests {
		if got := Redact(test.in); got != test.want {
			t.Errorf("%q becomes %q, want %q", test.in, got, test.want)
		}
	}
}
