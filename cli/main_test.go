// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func newTool() (t *tool, out, failures *bytes.Buffer) {
	out, failures = &bytes.Buffer{}, &bytes.Buffer{}
	return &tool{wiring: Wiring{Version: "test"}, out: out, err: failures, now: time.Now}, out, failures
}

func eachCommand(command *cobra.Command, visit func(*cobra.Command)) {
	visit(command)
	for _, child := range command.Commands() {
		eachCommand(child, visit)
	}
}

// Every command says what it does and shows how, and examples name flags that exist.
func TestHelp(t *testing.T) {
	tool, _, _ := newTool()
	root := tool.root()
	eachCommand(root, func(command *cobra.Command) {
		path := command.CommandPath()
		if command.Short == "" || command.Example == "" {
			t.Errorf("%s lacks a short text or an example", path)
		}
		if !strings.Contains(command.Example, "slipway") {
			t.Errorf("%s: the example shows no command: %s", path, command.Example)
		}
		if command.Args == nil {
			t.Errorf("%s does not check its arguments", path)
		}
		if !command.Runnable() {
			t.Errorf("%s does nothing", path)
		}
		for line := range strings.Lines(command.Example) {
			line = strings.TrimSpace(line)
			if !strings.HasPrefix(line, path+" ") {
				continue
			}
			words, _, _ := strings.Cut(strings.TrimPrefix(line, path), ">")
			for _, word := range strings.Fields(words) {
				name, _, _ := strings.Cut(strings.TrimLeft(word, "-"), "=")
				if strings.HasPrefix(word, "--") && command.Flags().Lookup(name) == nil && !command.HasSubCommands() {
					t.Errorf("%s: its example has --%s, which it does not know", path, name)
				}
			}
		}
	})
}

func TestUsageErrors(t *testing.T) {
	t.Setenv("KUBECONFIG", "")
	t.Setenv("SLIPWAY_HOME", t.TempDir())
	var said strings.Builder
	for _, line := range []string{
		"nonsense", "image", "image nonsense", "create cluster", "create cluster a b", "create cluster a --nonsense",
		"create cluster a --wait=-1m", "get clusters extra", "get clusters -o wide", "completion", "completion tcsh", "up extra",
		"up --kubernetes-version 1.37", "delete cluster a --wait=x",
	} {
		tool, out, failures := newTool()
		if code := tool.run(context.Background(), strings.Fields(line)); code != exitUsage {
			t.Errorf("slipway %s: exit code %d, want %d", line, code, exitUsage)
		}
		if out.Len() > 0 {
			t.Errorf("slipway %s prints to standard output: %s", line, out)
		}
		fmt.Fprintf(&said, "$ slipway %s\n%s", line, failures)
	}
	golden(t, "usage.txt", said.String())
}

func TestDryRunNeedsNothing(t *testing.T) {
	t.Setenv("KUBECONFIG", "/does/not/exist")
	t.Setenv("DOCKER_HOST", "unix:///does/not/exist")
	for format, want := range map[string]string{"yaml": "kind: Cluster\n", "json": `"kind": "List"`} {
		tool, out, failures := newTool()
		if code := tool.run(context.Background(), []string{"create", "cluster", "a", "--dry-run", "-o", format}); code != 0 {
			t.Fatalf("exit code %d: %s", code, failures)
		}
		if !strings.Contains(out.String(), want) {
			t.Errorf("-o %s prints no %q:\n%s", format, want, out)
		}
	}
}

func TestCompletionScripts(t *testing.T) {
	for _, shell := range []string{"bash", "fish", "powershell", "zsh"} {
		tool, out, failures := newTool()
		if code := tool.run(context.Background(), []string{"completion", shell}); code != 0 || !strings.Contains(out.String(), "slipway") {
			t.Errorf("%s: exit code %d, %s", shell, code, failures)
		}
	}
}

// freePort is a port on which nothing listens.
func freePort(t *testing.T) int {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port
}

const kubeconfigText = `apiVersion: v1
kind: Config
current-context: one
contexts: [{name: one, context: {cluster: one, user: one}}]
clusters: [{name: one, cluster: {server: "https://127.0.0.1:PORT"}}]
users: [{name: one, user: {token: x}}]
`

// Wherever the kubeconfig comes from and whatever is wrong with it, the message names
// it and says what to do.
func TestManagementClusterIsNotFound(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good := strings.ReplaceAll(kubeconfigText, "PORT", fmt.Sprint(freePort(t)))
	home := filepath.Join(dir, "home")
	if err := os.Mkdir(home, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name, flag, environment, home, context string
		want                                   []string
	}{
		{name: "nothing anywhere", want: []string{"no management cluster has been started yet", "slipway up"}},
		{name: "flag names nothing", flag: dir + "/none", want: []string{dir + "/none", "--kubeconfig", "does not exist"}},
		{name: "variable names nothing", environment: dir + "/none", want: []string{dir + "/none", "$KUBECONFIG", "does not exist"}},
		{name: "not a kubeconfig", flag: write("broken", "a: ["), want: []string{"broken", "is not one", "yaml: line 1"}},
		{name: "empty", flag: write("empty", "{}"), want: []string{"empty", "names no cluster"}},
		{name: "a directory", flag: home, want: []string{home, "is a directory"}},
		{name: "no such context", flag: write("good", good), context: "two", want: []string{`no context "two"`, "it has one"}},
		{name: "nobody answers", flag: write("good", good), want: []string{"no management cluster answers at https://127.0.0.1", "connection refused", "--kubeconfig", "slipway up"}},
		{name: "slipway up is down", home: good, want: []string{"no management cluster answers at https://127.0.0.1", "start one with: slipway up"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Setenv("KUBECONFIG", test.environment)
			t.Setenv("SLIPWAY_HOME", home)
			_ = os.Remove(filepath.Join(home, "kubeconfig"))
			if test.home != "" {
				write("home/kubeconfig", test.home)
			}
			tool, _, _ := newTool()
			_, err := tool.connect(context.Background(), target{kubeconfig: test.flag, context: test.context})
			if err == nil {
				t.Fatal("no error")
			}
			for _, want := range test.want {
				if !strings.Contains(explain(err), want) {
					t.Errorf("%q does not say %q", explain(err), want)
				}
			}
		})
	}
}

func TestExplain(t *testing.T) {
	kind := schema.GroupKind{Group: "cluster.x-k8s.io", Kind: "Cluster"}
	invalid := apierrors.NewInvalid(kind, "demo", field.ErrorList{field.Invalid(field.NewPath("spec", "replicas"), 2, "replicas has to be odd: use 1, 3 or 5")})
	for _, test := range []struct {
		err  error
		want string
	}{
		{fmt.Errorf("check KubeadmControlPlane demo: %w", invalid), "check KubeadmControlPlane demo: Cluster demo is refused: spec.replicas: 2: replicas has to be odd: use 1, 3 or 5"},
		{fmt.Errorf("a: %w", fmt.Errorf("b: %w", errors.New("c"))), "a: b: c"},
		{fmt.Errorf("wait: %w", context.Canceled), "interrupted"},
		{fmt.Errorf("list Clusters: %w", apierrors.NewUnauthorized("x")), "list Clusters: the management cluster does not accept the credentials of the kubeconfig; take a current one"},
	} {
		if got := explain(test.err); got != test.want {
			t.Errorf("got %q\nwant %q", got, test.want)
		}
	}
}
