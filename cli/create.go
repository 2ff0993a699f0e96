// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	addonsv1 "github.com/slipway-project/slipway/api/addons/v1beta2"
	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	"github.com/slipway-project/slipway/nodeimage"
	"github.com/slipway-project/slipway/plan"
	"github.com/slipway-project/slipway/providers/docker/containers"
	"github.com/slipway-project/slipway/standalone"
)

const (
	defaultPodCIDR     = "10.244.0.0/16"
	defaultServiceCIDR = "10.96.0.0/16"
	defaultWait        = 10 * time.Minute
	// fieldOwner is the field manager of what the command line writes.
	fieldOwner = client.FieldOwner("slipway-cli")
)

// createFlags are those of slipway create cluster.
type createFlags struct {
	target  target
	request clusterRequest
	wait    time.Duration
	dryRun  bool
	output  format
	// counted is true when numbers of machines were asked for, and are not the defaults.
	counted bool
}

func (t *tool) createCommand() *cobra.Command {
	return group("create", "Create clusters", "  slipway create cluster demo --worker-machine-count 2 --wait", t.createClusterCommand())
}

func (t *tool) createClusterCommand() *cobra.Command {
	var flags createFlags
	command := &cobra.Command{
		Use:   "cluster NAME",
		Short: "Create a cluster of Docker containers",
		Long: `Write the objects of a cluster: a Cluster, its DockerCluster, a KubeadmControlPlane, a
MachineDeployment of workers, their templates, and a ClusterResourceSet for the pod network where
the namespace has none. Controllers make the cluster; --wait tells how they get on. Run again with
the same flags it goes on where it was; with --wait, it waits for a cluster that exists already.
How many machines such a cluster has is left as it is: change it with kubectl scale.`,
		Example: `  # one control-plane machine and two workers; return when all nodes are Ready
  slipway create cluster demo --worker-machine-count 2 --wait

  # only print the objects
  slipway create cluster demo --kubernetes-version v1.37.1 --dry-run -o yaml`,
		Args: oneName("cluster"),
		RunE: func(command *cobra.Command, arguments []string) error {
			flags.request.name, flags.request.namespace = arguments[0], flags.target.namespace
			changed := command.Flags().Changed
			flags.counted = changed("control-plane-machine-count") || changed("worker-machine-count")
			return t.createCluster(command.Context(), flags)
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	flags.target.place(command)
	flags.output.place(command)
	f := command.Flags()
	placeVersion(command, &flags.request.version)
	f.IntVar(&flags.request.controlPlanes, "control-plane-machine-count", 1, "number of control-plane machines: 1, 3 or 5")
	f.IntVar(&flags.request.workers, "worker-machine-count", 0, "number of worker machines")
	f.StringVar(&flags.request.podCIDR, "pod-cidr", defaultPodCIDR, "network of pods")
	f.StringVar(&flags.request.serviceCIDR, "service-cidr", defaultServiceCIDR, "network of services")
	f.StringVar(&flags.request.image, "image", "", "node image (default: slipway/node:<version>)")
	f.BoolVar(&flags.dryRun, "dry-run", false, "print the objects and write nothing; no management cluster is needed")
	placeWait(command, &flags.wait, "wait until all nodes are Ready")
	return command
}

// placeWait adds --wait[=limit].
func placeWait(command *cobra.Command, wait *time.Duration, help string) {
	command.Flags().DurationVar(wait, "wait", 0, help+", at most for the time given as in --wait=5m")
	command.Flags().Lookup("wait").NoOptDefVal = defaultWait.String()
}

func (t *tool) createCluster(ctx context.Context, flags createFlags) error {
	wanted, err := flags.request.check()
	if err != nil {
		return err
	}
	if flags.wait < 0 {
		return usage("--wait: %s is less than none", flags.wait)
	}
	if flags.dryRun {
		wanted.WithResourceSet = true
		return printObjects(t.out, flags.output, manifests(wanted))
	}
	m, err := t.connect(ctx, flags.target)
	if err != nil {
		return err
	}
	if err := m.checkInstalled(); err != nil {
		return err
	}
	if err := m.checkNamespace(ctx, wanted.Namespace); err != nil {
		return err
	}
	record := engineRecord(kubeconfigHomes(flags.target.kubeconfig))
	if err := checkImages(ctx, containers.Options{ManagementID: m.id, Record: record, Logger: logr.Discard()}, "--kubernetes-version", wanted.Version,
		wanted.image(), containers.DefaultLoadBalancerImage); err != nil {
		return err
	}
	return t.writeCluster(ctx, m, wanted, flags)
}

// writeCluster writes the objects of a cluster and, where that is asked for, waits.
func (t *tool) writeCluster(ctx context.Context, m *management, wanted clusterPlan, flags createFlags) error {
	var err error
	if wanted.WithResourceSet, err = m.lacksResourceSet(ctx, wanted); err != nil {
		return err
	}
	objects := manifests(wanted)
	existed, err := m.rehearse(ctx, wanted, objects)
	if err != nil {
		return err
	}
	kept := keptCounts(wanted, objects)
	wanted.ControlPlanes, wanted.Workers = countOf(objects, kubeadmControlPlaneKind), countOf(objects, machineDeploymentKind)
	applied, err := m.apply(ctx, objects)
	if err != nil {
		return err
	}
	if flags.output != formatTable {
		if err := printObjects(t.out, flags.output, applied); err != nil {
			return err
		}
	}
	p := newProgress(t.err, t.now)
	verb := "created"
	if existed {
		verb = "exists already, as asked for"
	}
	p.say("Cluster %s/%s %s: %s, %s, Kubernetes %s.", wanted.Namespace, wanted.Name, verb,
		plural(int(wanted.ControlPlanes), "control-plane machine"), plural(int(wanted.Workers), "worker"), wanted.Version)
	if flags.counted {
		for _, note := range kept {
			p.say("%s", note)
		}
	}
	if flags.wait == 0 {
		p.say("See how it gets on with: slipway describe cluster %s%s", wanted.Name, inNamespace(wanted.Namespace))
		return nil
	}
	if err := t.awaitCluster(ctx, m, client.ObjectKey{Namespace: wanted.Namespace, Name: wanted.Name}, flags.wait, p); err != nil {
		return err
	}
	if flags.output == formatTable {
		t.clusterUsable(wanted)
	}
	return nil
}

func (t *tool) clusterUsable(wanted clusterPlan) {
	place := inNamespace(wanted.Namespace)
	fmt.Fprintf(t.out, `
Try next:
  slipway get kubeconfig %[1]s%[2]s --output-file %[1]s.kubeconfig
  kubectl --kubeconfig %[1]s.kubeconfig get nodes
  slipway describe cluster %[1]s%[2]s
`, wanted.Name, place)
}

// inNamespace is the flag that names a namespace, where that is needed.
func inNamespace(namespace string) string {
	if namespace == "default" {
		return ""
	}
	return " -n " + namespace
}

// printObjects prints objects, as YAML unless JSON is asked for.
func printObjects(out io.Writer, output format, objects []*unstructured.Unstructured) error {
	if output == formatJSON {
		list := map[string]any{"apiVersion": "v1", "kind": "List", "items": objects}
		return output.print(out, list)
	}
	var text bytes.Buffer
	for i, object := range objects {
		document, err := yaml.Marshal(object.Object)
		if err != nil {
			return fmt.Errorf("encode %s %s: %w", object.GetKind(), object.GetName(), err)
		}
		if i > 0 {
			text.WriteString("---\n")
		}
		text.Write(document)
	}
	_, err := out.Write(text.Bytes())
	return err
}

func (m *management) checkNamespace(ctx context.Context, name string) error {
	namespace := &corev1.Namespace{}
	err := m.client.Get(ctx, client.ObjectKey{Name: name}, namespace)
	switch {
	case apierrors.IsNotFound(err):
		return fmt.Errorf("namespace %s does not exist; make it with: kubectl create namespace %s", name, name)
	case err != nil:
		return fmt.Errorf("read namespace %s: %w", name, err)
	case namespace.DeletionTimestamp != nil:
		return fmt.Errorf("namespace %s is being deleted; wait until it is gone, or use another", name)
	}
	return nil
}

// checkImages makes sure that the images are there, before anything is written. The flag
// is the one that gave the version.
func checkImages(ctx context.Context, engine containers.Options, flag, version string, images ...string) error {
	docker, err := containers.New(ctx, engine)
	if err != nil {
		return err
	}
	defer docker.Close()
	buildable, _ := nodeimage.Versions("")
	for _, name := range images {
		image, err := docker.Image(ctx, name)
		if err != nil {
			return err
		}
		if problem := missingImage(name, flag, version, buildable); !image.Exists && problem != "" {
			return errors.New(problem)
		}
	}
	return nil
}

// engineRecord is the file that remembers the container engine of a management cluster
// whose data directory is one of these; the last that there is, which is nearest to the
// kubeconfig. That of another management cluster says nothing.
func engineRecord(homes []string) string {
	for _, home := range slices.Backward(homes) {
		path, err := standalone.EngineRecord(home)
		if err != nil {
			continue
		}
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	return ""
}

// missingImage says what to do about an image that is not on the host; empty for one
// that may be pulled.
func missingImage(name, flag, version string, buildable []string) string {
	switch {
	case name == containers.DefaultLoadBalancerImage:
		return fmt.Sprintf("the load balancer's image %s has not been built; build it with: slipway image build --load-balancer", name)
	case name != containers.NodeImage(version):
		return ""
	case len(buildable) > 0 && !slices.Contains(buildable, version):
		return fmt.Sprintf("there is no image %s, and this checkout of slipway cannot build it: it has Kubernetes %s; use %s with one of these, or --image with an image of that version",
			name, strings.Join(buildable, ", "), flag)
	default:
		return fmt.Sprintf("there is no image %s; build it with: slipway image build --kubernetes-version %s", name, version)
	}
}

// lacksResourceSet tells that no ClusterResourceSet in the namespace selects the
// cluster, so that it would have no pod network, or that the one that we make is
// there, which is then applied again.
func (m *management) lacksResourceSet(ctx context.Context, wanted clusterPlan) (bool, error) {
	sets := &addonsv1.ClusterResourceSetList{}
	if err := m.client.List(ctx, sets, client.InNamespace(wanted.Namespace)); err != nil {
		return false, fmt.Errorf("list ClusterResourceSets: %w", err)
	}
	return len(selecting(sets.Items, clusterManifest(wanted))) == 0, nil
}

// selecting are the sets that select a Cluster. An empty selector selects nothing.
func selecting(sets []addonsv1.ClusterResourceSet, cluster *clusterv1.Cluster) []addonsv1.ClusterResourceSet {
	var chosen []addonsv1.ClusterResourceSet
	for _, set := range sets {
		selector, err := metav1.LabelSelectorAsSelector(&set.Spec.ClusterSelector)
		if err == nil && !selector.Empty() && selector.Matches(labels.Set(cluster.Labels)) {
			chosen = append(chosen, set)
		}
	}
	return chosen
}

// rehearse has the server check every object before any is written. An object that
// is there already must be what is asked for: create goes on with a cluster that it
// made before, and changes none. Its number of machines it may have got from somebody
// who scaled it since, and keeps: objects are given it.
func (m *management) rehearse(ctx context.Context, wanted clusterPlan, objects []*unstructured.Unstructured) (existed bool, err error) {
	where := wanted.Namespace + "/" + wanted.Name
	for i, object := range objects {
		live := &unstructured.Unstructured{}
		live.SetGroupVersionKind(object.GroupVersionKind())
		err := m.client.Get(ctx, client.ObjectKeyFromObject(object), live)
		exists := err == nil
		if err != nil && !apierrors.IsNotFound(err) {
			return existed, fmt.Errorf("read %s %s: %w", object.GetKind(), object.GetName(), err)
		}
		if exists && live.GetDeletionTimestamp() != nil {
			return existed, fmt.Errorf("%s %s/%s is being deleted; wait until it is gone (slipway delete cluster %s%s --wait), or choose another name",
				object.GetKind(), object.GetNamespace(), object.GetName(), wanted.Name, inNamespace(wanted.Namespace))
		}
		existed = existed || (exists && i == 0)
		if exists {
			keepCount(object, live)
		}
		tried := object.DeepCopy()
		err = m.client.Apply(ctx, client.ApplyConfigurationFromUnstructured(tried), fieldOwner, client.DryRunAll)
		switch {
		case exists && (apierrors.IsConflict(err) || (err == nil && tried.GetGeneration() != live.GetGeneration())):
			return existed, fmt.Errorf("%s %s/%s exists already and is not what is asked for; choose another name than %s, or change what there is with kubectl",
				object.GetKind(), object.GetNamespace(), object.GetName(), where)
		case err != nil:
			return existed, fmt.Errorf("check %s %s: %w", object.GetKind(), object.GetName(), err)
		}
	}
	return existed, nil
}

// scaled are the kinds whose replicas are a number of machines, with their names for kubectl.
var scaled = map[schema.GroupVersionKind]string{kubeadmControlPlaneKind: "kubeadmcontrolplane", machineDeploymentKind: "machinedeployment"}

// keepCount takes the number of machines over from an object that exists. Left out, it
// would go back to the default where nobody but us has set it.
func keepCount(object, live *unstructured.Unstructured) {
	count, found, err := unstructured.NestedInt64(live.Object, "spec", "replicas")
	if scaled[object.GroupVersionKind()] == "" || err != nil || !found {
		return
	}
	_ = unstructured.SetNestedField(object.Object, count, "spec", "replicas") // it has a spec
}

// keptCounts tells what of the numbers asked for is otherwise in what exists.
func keptCounts(wanted clusterPlan, objects []*unstructured.Unstructured) []string {
	var notes []string
	for _, asked := range manifests(wanted) {
		kind := asked.GroupVersionKind()
		want, have := countOf([]*unstructured.Unstructured{asked}, kind), countOf(objects, kind)
		if scaled[kind] == "" || want == have {
			continue
		}
		notes = append(notes, fmt.Sprintf("%s %s has %d replicas, not %d, and keeps them; to change that: kubectl scale %s %s%s --replicas=%d",
			kind.Kind, asked.GetName(), have, want, scaled[kind], asked.GetName(), inNamespace(wanted.Namespace), want))
	}
	return notes
}

// countOf is the number of machines in the object of a kind.
func countOf(objects []*unstructured.Unstructured, kind schema.GroupVersionKind) int32 {
	for _, object := range objects {
		if object.GroupVersionKind() == kind {
			count, _, _ := unstructured.NestedInt64(object.Object, "spec", "replicas")
			return int32(count)
		}
	}
	return 0
}

// apply writes the objects. All that serve this Cluster alone are made its own from the
// start: controllers claim some of them, but only later, and what nobody had claimed
// would stay if the Cluster were deleted before that. The ClusterResourceSet serves
// other Clusters too.
func (m *management) apply(ctx context.Context, objects []*unstructured.Unstructured) ([]*unstructured.Unstructured, error) {
	var applied []*unstructured.Unstructured
	for _, object := range objects {
		written := object.DeepCopy()
		if kind := object.GroupVersionKind(); kind != clusterKind && kind != clusterResourceSetKind {
			written.SetOwnerReferences([]metav1.OwnerReference{*plan.OwnerReference(clusterKind, applied[0], false)})
		}
		if err := m.client.Apply(ctx, client.ApplyConfigurationFromUnstructured(written), fieldOwner); err != nil {
			return nil, fmt.Errorf("write %s %s: %w", object.GetKind(), object.GetName(), err)
		}
		written.SetManagedFields(nil)
		applied = append(applied, written)
	}
	return applied, nil
}
