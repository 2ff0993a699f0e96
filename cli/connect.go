// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	addonsv1 "github.com/slipway-project/slipway/api/addons/v1beta2"
	bootstrapv1 "github.com/slipway-project/slipway/api/bootstrap/v1beta2"
	controlplanev1 "github.com/slipway-project/slipway/api/controlplane/v1beta2"
	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	infrav1 "github.com/slipway-project/slipway/api/infrastructure/v1beta2"
	"github.com/slipway-project/slipway/standalone"
)

// answerLimit is how long a management cluster has for its first answer.
const answerLimit = 10 * time.Second

// target are the flags that say which management cluster, and where in it.
type target struct {
	kubeconfig, context, namespace string
	allNamespaces                  bool
}

// place adds the flags of a target to a command that works on objects.
func (t *target) place(command *cobra.Command) {
	t.placeCluster(command)
	command.Flags().StringVarP(&t.namespace, "namespace", "n", "default", "namespace of the objects")
}

func (t *target) placeCluster(command *cobra.Command) {
	command.Flags().StringVar(&t.kubeconfig, "kubeconfig", "", "kubeconfig of the management cluster (default: $KUBECONFIG, else that of slipway up)")
	command.Flags().StringVar(&t.context, "context", "", "context of the kubeconfig to use")
	_ = command.MarkFlagFilename("kubeconfig")
}

// management is a management cluster that has answered.
type management struct {
	config *rest.Config
	client client.Client
	// id is the UID of its namespace kube-system.
	id string
	// source says in words where the kubeconfig came from.
	source string
}

// source is where a kubeconfig comes from.
type source struct {
	paths []string
	words string
	// explicit is true when the user named the file for this very command.
	explicit bool
}

// findKubeconfig tells which kubeconfig counts: the flag, else $KUBECONFIG, else the
// one that slipway up writes.
func findKubeconfig(flag, environment, home string) source {
	if flag != "" {
		return source{paths: []string{flag}, words: "--kubeconfig", explicit: true}
	}
	var paths []string
	for _, path := range filepath.SplitList(environment) {
		if path != "" {
			paths = append(paths, path)
		}
	}
	if len(paths) > 0 {
		return source{paths: paths, words: "$" + clientcmd.RecommendedConfigPathEnvVar}
	}
	return source{paths: []string{filepath.Join(home, "kubeconfig")}, words: "slipway up"}
}

// load reads the kubeconfig into a configuration to connect with.
func (s source) load(contextName string) (*rest.Config, error) {
	where := strings.Join(s.paths, string(filepath.ListSeparator))
	there := 0
	for _, path := range s.paths {
		if _, err := os.Stat(path); err == nil {
			there++
		} else if !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("kubeconfig %s (from %s) cannot be read: %s", path, s.words, innermost(err))
		}
	}
	if there == 0 {
		if s.words == "slipway up" {
			return nil, fmt.Errorf("no management cluster has been started yet (there is no %s); start one with: slipway up", where)
		}
		return nil, fmt.Errorf("kubeconfig %s (from %s) does not exist; correct %s, or start a management cluster with: slipway up", where, s.words, s.words)
	}
	rules := &clientcmd.ClientConfigLoadingRules{Precedence: s.paths, WarnIfAllMissing: false}
	if s.explicit {
		rules = &clientcmd.ClientConfigLoadingRules{ExplicitPath: s.paths[0]}
	}
	raw, err := rules.Load()
	if err != nil {
		return nil, fmt.Errorf("kubeconfig %s (from %s) is not one: %s; correct the file or name another with --kubeconfig", where, s.words, parseProblem(err))
	}
	if contextName != "" && raw.Contexts[contextName] == nil {
		var have []string
		for name := range raw.Contexts {
			have = append(have, name)
		}
		return nil, fmt.Errorf("kubeconfig %s has no context %q; it has %s", where, contextName, listed(have))
	}
	if len(raw.Clusters) == 0 {
		return nil, fmt.Errorf("kubeconfig %s (from %s) names no cluster to connect to; correct the file or name another with --kubeconfig", where, s.words)
	}
	config, err := clientcmd.NewNonInteractiveClientConfig(*raw, contextName, &clientcmd.ConfigOverrides{}, nil).ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("kubeconfig %s (from %s) cannot be used: %s; correct the file, choose a context with --context, or name another with --kubeconfig", where, s.words, oneLine(err.Error()))
	}
	// The server's own fairness limits us; a client-side limit would only add delay.
	config.QPS = -1
	config.WarningHandler = rest.NoWarnings{}
	config.UserAgent = "slipway"
	return config, nil
}

// parseProblem is what is wrong with a file, without its name, which stands before it.
func parseProblem(err error) string {
	text := oneLine(err.Error())
	if _, problem, found := strings.Cut(text, `": `); found {
		return problem
	}
	return text
}

// connect finds the management cluster and makes sure that it answers.
func (t *tool) connect(ctx context.Context, flags target) (*management, error) {
	home, err := standalone.DefaultHome()
	if err != nil {
		return nil, err
	}
	found := findKubeconfig(flags.kubeconfig, os.Getenv(clientcmd.RecommendedConfigPathEnvVar), home)
	config, err := found.load(flags.context)
	if err != nil {
		return nil, err
	}
	return dial(ctx, config, found.words)
}

// dial makes sure that the cluster answers, and learns its id.
func dial(ctx context.Context, config *rest.Config, words string) (*management, error) {
	known, err := newScheme()
	if err != nil {
		return nil, err
	}
	asking, done := context.WithTimeout(ctx, answerLimit)
	defer done()
	c, err := client.New(config, client.Options{Scheme: known})
	if err != nil {
		return nil, fmt.Errorf("the kubeconfig (from %s) cannot be used: %s", words, oneLine(innermost(err)))
	}
	system := &corev1.Namespace{}
	err = c.Get(asking, client.ObjectKey{Name: "kube-system"}, system)
	switch {
	case err == nil:
		return &management{config: config, client: c, id: string(system.UID), source: words}, nil
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case apierrors.IsUnauthorized(err):
		return nil, fmt.Errorf("%s does not accept the credentials of the kubeconfig (from %s); take a current one", config.Host, words)
	case apierrors.ReasonForError(err) != "":
		return nil, fmt.Errorf("read namespace kube-system of %s: %w", config.Host, err)
	case strings.Contains(err.Error(), "x509:"):
		return nil, fmt.Errorf("the certificate of %s is not one that the kubeconfig (from %s) trusts (%s); take a current kubeconfig", config.Host, words, oneLine(innermost(err)))
	case errors.Is(asking.Err(), context.DeadlineExceeded):
		return nil, unreachable(config.Host, words, fmt.Sprintf("silent for %s", answerLimit))
	default:
		return nil, unreachable(config.Host, words, oneLine(innermost(err)))
	}
}

func unreachable(host, words, why string) error {
	if words == "slipway up" {
		return fmt.Errorf("no management cluster answers at %s (%s); start one with: slipway up", host, why)
	}
	return fmt.Errorf("no management cluster answers at %s (%s; the address is from %s); start one with slipway up, or correct %s", host, why, words, words)
}

// newScheme knows the kinds that the command line reads and writes.
func newScheme() (*runtime.Scheme, error) {
	known := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		scheme.AddToScheme, clusterv1.AddToScheme, bootstrapv1.AddToScheme, controlplanev1.AddToScheme, addonsv1.AddToScheme, infrav1.AddToScheme,
	} {
		if err := add(known); err != nil {
			return nil, fmt.Errorf("make scheme: %w", err)
		}
	}
	return known, nil
}

// completeClusters offers names of Clusters; none where no management cluster answers.
func (t *tool) completeClusters(flags *target) cobra.CompletionFunc {
	return func(command *cobra.Command, arguments []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(arguments) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		ctx, done := context.WithTimeout(command.Context(), 2*time.Second)
		defer done()
		m, err := t.connect(ctx, *flags)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		list := &clusterv1.ClusterList{}
		if err := m.client.List(ctx, list, client.InNamespace(flags.namespace)); err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		var found []cobra.Completion
		for _, cluster := range list.Items {
			found = append(found, cluster.Name)
		}
		return found, cobra.ShellCompDirectiveNoFileComp
	}
}

// checkInstalled makes sure that the cluster serves Slipway's kinds.
func (m *management) checkInstalled() error {
	_, err := m.client.RESTMapper().RESTMapping(clusterv1.GroupVersion.WithKind("Cluster").GroupKind(), clusterv1.GroupVersion.Version)
	if meta.IsNoMatchError(err) {
		return fmt.Errorf("the cluster at %s (from %s) is no management cluster: it does not serve Clusters; name another kubeconfig with --kubeconfig, or install Slipway there with: slipway controllers --install", m.config.Host, m.source)
	}
	if err != nil {
		return fmt.Errorf("ask %s for its kinds: %w", m.config.Host, err)
	}
	return nil
}
