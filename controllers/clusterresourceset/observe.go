// SPDX-License-Identifier: Apache-2.0

package clusterresourceset

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/controller-runtime/pkg/client"

	addonsv1 "github.com/slipway-project/slipway/api/addons/v1beta2"
	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	"github.com/slipway-project/slipway/engine"
	"github.com/slipway-project/slipway/plan"
)

// BindingSnapshot is all that a plan for what a Cluster gets is made from.
type BindingSnapshot struct {
	Now     time.Time
	Cluster *clusterv1.Cluster
	// Sets are those that select the Cluster, by name.
	Sets []*addonsv1.ClusterResourceSet
	// Binding is nil until something was recorded.
	Binding *addonsv1.ClusterResourceSetBinding
	// Contents are of the resources that are not applied yet, or that are to be kept up
	// to date, by "Kind/name".
	Contents map[string]Content
	// Connection says why the workload cluster cannot be reached; empty when it can.
	// Connecting is true where an event tells when that ends.
	Connection string
	Connecting bool
	// Lookups say, by "Kind/name" and in the order of a content's objects, what the
	// workload cluster has: of the resources up to the one whose turn it is. Unread says
	// instead what the workload cluster refused to tell.
	Lookups     map[string][]Lookup
	Unread      map[string]string
	LastFailure *plan.Failure
}

// Lookup is what the workload cluster knows of one object.
type Lookup struct {
	Exists bool
	// Namespaced objects that name no namespace go to "default".
	Namespaced bool
	// UnknownKind says that the kind is not served there (yet).
	UnknownKind bool
}

// SetSnapshot is all that a plan for a ClusterResourceSet is made from.
type SetSnapshot struct {
	Now time.Time
	Set *addonsv1.ClusterResourceSet
	// Clusters are those that the set selects; AllClusters the names of all in its
	// namespace.
	Clusters    []*clusterv1.Cluster
	AllClusters []string
	Bindings    []*addonsv1.ClusterResourceSetBinding
	// Contents of all its resources; the objects are left out.
	Contents    map[string]Content
	LastFailure *plan.Failure
}

func observeBinding(ctx context.Context, reader engine.Reader, key engine.Key) (BindingSnapshot, error) {
	snapshot := BindingSnapshot{
		Now: reader.Now(), LastFailure: reader.LastFailure(), Contents: map[string]Content{}, Lookups: map[string][]Lookup{}, Unread: map[string]string{},
	}
	cluster := &clusterv1.Cluster{}
	if err := reader.Get(ctx, key, cluster); err != nil {
		return snapshot, client.IgnoreNotFound(err)
	}
	snapshot.Cluster = cluster
	sets := &addonsv1.ClusterResourceSetList{}
	if err := reader.List(ctx, sets, client.InNamespace(key.Namespace)); err != nil {
		return snapshot, fmt.Errorf("list ClusterResourceSets: %w", err)
	}
	for i := range sets.Items {
		if sets.Items[i].DeletionTimestamp == nil && selects(&sets.Items[i], cluster) {
			snapshot.Sets = append(snapshot.Sets, &sets.Items[i])
		}
	}
	// The cache lists in any order, and the plan gives resources their turn in this one.
	slices.SortFunc(snapshot.Sets, func(a, b *addonsv1.ClusterResourceSet) int { return strings.Compare(a.Name, b.Name) })
	binding := &addonsv1.ClusterResourceSetBinding{}
	switch err := reader.Get(ctx, key, binding); {
	case err == nil:
		snapshot.Binding = binding
	case !apierrors.IsNotFound(err):
		return snapshot, fmt.Errorf("read ClusterResourceSetBinding: %w", err)
	}
	if !initialized(cluster) || cluster.DeletionTimestamp != nil {
		return snapshot, nil
	}
	return snapshot, observePending(ctx, reader, &snapshot)
}

// observePending reads what is still to be written, and looks it up in the workload
// cluster. What is settled costs no read of the workload cluster.
func observePending(ctx context.Context, reader engine.Reader, snapshot *BindingSnapshot) error {
	for _, set := range snapshot.Sets {
		for _, ref := range set.Spec.Resources {
			if settledOnce(set, record(snapshot.Binding, set.Name, ref)) {
				continue
			}
			content, err := readContent(ctx, reader, set.Namespace, ref)
			if err != nil {
				return err
			}
			snapshot.Contents[id(ref)] = content
		}
	}
	if len(pendingResources(*snapshot)) == 0 {
		return nil
	}
	workloads := reader.Workloads()
	if workloads == nil {
		snapshot.Connection, snapshot.Connecting = "this process connects to no workload clusters", true
		return nil
	}
	workload, err := workloads.Writer(ctx, client.ObjectKeyFromObject(snapshot.Cluster))
	if err != nil {
		snapshot.Connection, snapshot.Connecting = err.Error(), errors.Is(err, engine.ErrNotConnected)
		return nil
	}
	for _, resource := range inTurn(*snapshot) {
		err := lookUp(ctx, workload, snapshot, resource)
		var unanswered *url.Error
		switch {
		case err == nil:
		case errors.As(err, &unanswered):
			// Every other request would wait in turn.
			snapshot.Connection = err.Error()
			return nil
		default:
			snapshot.Unread[id(resource.ref)] = err.Error()
		}
		if len(step(*snapshot, resource)) > 0 {
			return nil // the others get their turn after it
		}
	}
	return nil
}

func lookUp(ctx context.Context, workload client.Client, snapshot *BindingSnapshot, resource resource) error {
	var lookups []Lookup
	for _, object := range resource.content.Objects {
		lookup, err := look(ctx, workload, object)
		if err != nil {
			return err
		}
		lookups = append(lookups, lookup)
	}
	snapshot.Lookups[id(resource.ref)] = lookups
	return nil
}

func look(ctx context.Context, workload client.Client, object *unstructured.Unstructured) (Lookup, error) {
	namespaced, err := workload.IsObjectNamespaced(object)
	if meta.IsNoMatchError(err) {
		return Lookup{UnknownKind: true}, nil
	}
	if err != nil {
		return Lookup{}, fmt.Errorf("look up kind %s: %w", object.GetKind(), err)
	}
	lookup := Lookup{Namespaced: namespaced}
	there := &metav1.PartialObjectMetadata{}
	there.SetGroupVersionKind(object.GroupVersionKind())
	err = workload.Get(ctx, client.ObjectKeyFromObject(placed(object, lookup)), there)
	switch {
	case err == nil:
		lookup.Exists = true
	case !apierrors.IsNotFound(err):
		return Lookup{}, fmt.Errorf("read %s %s: %w", object.GetKind(), object.GetName(), err)
	}
	return lookup, nil
}

func readContent(ctx context.Context, reader engine.Reader, namespace string, ref addonsv1.ResourceRef) (Content, error) {
	key := engine.Key{Namespace: namespace, Name: ref.Name}
	data := map[string][]byte{}
	var err error
	switch addonsv1.ClusterResourceSetResourceKind(ref.Kind) {
	case addonsv1.SecretClusterResourceSetResourceKind:
		secret := &corev1.Secret{}
		if err = reader.Live().Get(ctx, key, secret); err == nil && secret.Type != addonsv1.ClusterResourceSetSecretType {
			return Content{Reason: addonsv1.WrongSecretTypeReason, Problem: fmt.Sprintf("Secret %s has the type %q; only %q is taken", key, secret.Type, addonsv1.ClusterResourceSetSecretType)}, nil
		}
		data = secret.Data
	default:
		configMap := &corev1.ConfigMap{}
		err = reader.Live().Get(ctx, key, configMap)
		for name, text := range configMap.Data {
			data[name] = []byte(text)
		}
		for name, raw := range configMap.BinaryData {
			data[name] = raw
		}
	}
	if apierrors.IsNotFound(err) {
		return Content{Reason: addonsv1.NotAppliedReason, Problem: fmt.Sprintf("%s %s does not exist; create it", ref.Kind, key)}, nil
	}
	if err != nil {
		return Content{}, fmt.Errorf("read %s %s: %w", ref.Kind, key, err)
	}
	content := parse(data)
	if content.Problem != "" {
		content.Problem = fmt.Sprintf("%s %s: %s", ref.Kind, key, content.Problem)
	}
	return content, nil
}

func observeSet(ctx context.Context, reader engine.Reader, key engine.Key) (SetSnapshot, error) {
	snapshot := SetSnapshot{Now: reader.Now(), LastFailure: reader.LastFailure(), Contents: map[string]Content{}}
	set := &addonsv1.ClusterResourceSet{}
	if err := reader.Get(ctx, key, set); err != nil {
		return snapshot, client.IgnoreNotFound(err)
	}
	snapshot.Set = set
	clusters := &clusterv1.ClusterList{}
	if err := reader.List(ctx, clusters, client.InNamespace(key.Namespace)); err != nil {
		return snapshot, fmt.Errorf("list Clusters: %w", err)
	}
	for i := range clusters.Items {
		snapshot.AllClusters = append(snapshot.AllClusters, clusters.Items[i].Name)
		if selects(set, &clusters.Items[i]) {
			snapshot.Clusters = append(snapshot.Clusters, &clusters.Items[i])
		}
	}
	bindings := &addonsv1.ClusterResourceSetBindingList{}
	if err := reader.List(ctx, bindings, client.InNamespace(key.Namespace)); err != nil {
		return snapshot, fmt.Errorf("list ClusterResourceSetBindings: %w", err)
	}
	for i := range bindings.Items {
		snapshot.Bindings = append(snapshot.Bindings, &bindings.Items[i])
	}
	for _, ref := range contentsOf(snapshot) {
		content, err := readContent(ctx, reader, key.Namespace, ref)
		if err != nil {
			return snapshot, err
		}
		content.Objects = nil
		snapshot.Contents[id(ref)] = content
	}
	return snapshot, nil
}

// selects reports whether a set selects a cluster. An empty selector selects nothing.
func selects(set *addonsv1.ClusterResourceSet, cluster *clusterv1.Cluster) bool {
	selector, err := metav1.LabelSelectorAsSelector(&set.Spec.ClusterSelector)
	return err == nil && !selector.Empty() && selector.Matches(labels.Set(cluster.Labels))
}
