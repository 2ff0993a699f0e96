// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"context"
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// ProviderIDField is the index of the Node cache by spec.providerID: list Nodes with
// client.MatchingFields{ProviderIDField: id}.
const ProviderIDField = "spec.providerID"

// slim drops from a Node what nobody here reads and what makes up most of it: the
// bookkeeping of field owners and the list of images.
func slim(object any) (any, error) {
	if node, ok := object.(*corev1.Node); ok {
		node.ManagedFields = nil
		node.Status.Images = nil
	}
	return object, nil
}

func providerIDOf(object client.Object) []string {
	if node, ok := object.(*corev1.Node); ok && node.Spec.ProviderID != "" {
		return []string{node.Spec.ProviderID}
	}
	return nil
}

// nodeEvents calls tell for every change of a Node that somebody could act upon.
func nodeEvents(tell func(*corev1.Node)) toolscache.ResourceEventHandler {
	return toolscache.ResourceEventHandlerFuncs{
		AddFunc: func(object any) {
			if node, ok := object.(*corev1.Node); ok {
				tell(node)
			}
		},
		UpdateFunc: func(before, after any) {
			was, ok := before.(*corev1.Node)
			if !ok {
				return
			}
			is, ok := after.(*corev1.Node)
			if !ok || sameNode(was, is) {
				return
			}
			if was.Spec.ProviderID != is.Spec.ProviderID || was.UID != is.UID {
				tell(was)
			}
			tell(is)
		},
		DeleteFunc: func(object any) {
			if missed, ok := object.(toolscache.DeletedFinalStateUnknown); ok {
				object = missed.Obj
			}
			if node, ok := object.(*corev1.Node); ok {
				tell(node)
			}
		},
	}
}

// sameNode reports whether two states of a Node differ in nothing but heartbeats.
func sameNode(a, b *corev1.Node) bool {
	return a.UID == b.UID &&
		a.DeletionTimestamp.Equal(b.DeletionTimestamp) &&
		maps.Equal(a.Labels, b.Labels) &&
		maps.Equal(a.Annotations, b.Annotations) &&
		equality.Semantic.DeepEqual(a.Spec, b.Spec) &&
		a.Status.NodeInfo == b.Status.NodeInfo &&
		slices.Equal(a.Status.Addresses, b.Status.Addresses) &&
		slices.Equal(a.Status.VolumesAttached, b.Status.VolumesAttached) &&
		slices.EqualFunc(a.Status.Conditions, b.Status.Conditions, func(x, y corev1.NodeCondition) bool {
			return x.Type == y.Type && x.Status == y.Status && x.Reason == y.Reason && x.Message == y.Message
		})
}

// reader reads Nodes from the cache and everything else from the server.
type reader struct {
	client.Reader
	nodes client.Reader
}

func (r reader) Get(ctx context.Context, key client.ObjectKey, object client.Object, options ...client.GetOption) error {
	if _, ok := object.(*corev1.Node); ok {
		return r.nodes.Get(ctx, key, object, options...)
	}
	return r.Reader.Get(ctx, key, object, options...)
}

func (r reader) List(ctx context.Context, list client.ObjectList, options ...client.ListOption) error {
	if _, ok := list.(*corev1.NodeList); ok {
		return r.nodes.List(ctx, list, options...)
	}
	return r.Reader.List(ctx, list, options...)
}

// writer writes, and after a write to a Node waits until the cache shows it, so that
// who reads next reads what was written.
type writer struct {
	client.Client
	nodes client.Reader
}

// The cache follows a write within milliseconds; when it does not, the connection is
// in trouble and the next plan is made from what the cache has.
const (
	settlePatience = 2 * time.Second
	settleInterval = 2 * time.Millisecond
)

func (w writer) Apply(ctx context.Context, object runtime.ApplyConfiguration, options ...client.ApplyOption) error {
	if err := w.Client.Apply(ctx, object, options...); err != nil {
		return err
	}
	if named, ok := object.(interface {
		GetKind() string
		GetAPIVersion() string
		GetName() string
		GetResourceVersion() string
	}); ok && named.GetKind() == "Node" && named.GetAPIVersion() == "v1" {
		w.settle(ctx, named.GetName(), "", named.GetResourceVersion())
	}
	return nil
}

func (w writer) Patch(ctx context.Context, object client.Object, patch client.Patch, options ...client.PatchOption) error {
	if err := w.Client.Patch(ctx, object, patch, options...); err != nil {
		return err
	}
	if w.isNode(object) {
		w.settle(ctx, object.GetName(), "", object.GetResourceVersion())
	}
	return nil
}

func (w writer) Delete(ctx context.Context, object client.Object, options ...client.DeleteOption) error {
	if err := w.Client.Delete(ctx, object, options...); err != nil {
		return err
	}
	if w.isNode(object) {
		var asked client.DeleteOptions
		asked.ApplyOptions(options)
		if asked.Preconditions != nil && asked.Preconditions.UID != nil {
			w.settle(ctx, object.GetName(), *asked.Preconditions.UID, "")
		}
	}
	return nil
}

func (w writer) isNode(object client.Object) bool {
	kind, err := w.GroupVersionKindFor(object)
	return err == nil && kind == corev1.SchemeGroupVersion.WithKind("Node")
}

// settle waits until the cache has the resource version, or, where it is empty, no
// longer has the Node with the UID.
func (w writer) settle(ctx context.Context, name string, gone types.UID, resourceVersion string) {
	ctx, cancel := context.WithTimeout(ctx, settlePatience)
	defer cancel()
	ticker := time.NewTicker(settleInterval)
	defer ticker.Stop()
	for {
		node := &corev1.Node{}
		err := w.nodes.Get(ctx, client.ObjectKey{Name: name}, node)
		if shows(node, err, gone, resourceVersion) {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

func shows(node *corev1.Node, err error, gone types.UID, resourceVersion string) bool {
	if resourceVersion == "" {
		return apierrors.IsNotFound(err) || (err == nil && (node.UID != gone || node.DeletionTimestamp != nil))
	}
	if err != nil {
		return false
	}
	order, err := resourceversion.CompareResourceVersion(node.ResourceVersion, resourceVersion)
	return err == nil && order >= 0
}
