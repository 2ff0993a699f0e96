// SPDX-License-Identifier: Apache-2.0

package simulate

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/slipway-project/slipway/engine"
	"github.com/slipway-project/slipway/etcd"
)

// workloads connects controllers to the played workload clusters.
type workloads struct{ world *World }

var _ engine.Workloads = workloads{}

func (w workloads) of(key engine.Key) (*workloadCluster, error) {
	c := w.world.clusters[key]
	if c == nil || !c.initialized {
		return nil, fmt.Errorf("%w: no API server answers yet", engine.ErrNotConnected)
	}
	return c, nil
}

func (w workloads) Reader(ctx context.Context, key engine.Key) (client.Reader, error) {
	return w.Writer(ctx, key)
}

func (w workloads) Writer(_ context.Context, key engine.Key) (client.Client, error) {
	c, err := w.of(key)
	if err != nil {
		return nil, err
	}
	return c.store, nil
}

func (w workloads) Probe(key engine.Key) engine.Probe {
	if _, err := w.of(key); err != nil {
		return engine.Probe{Since: w.world.options.Start, Err: err.Error()}
	}
	return engine.Probe{Connected: true, LastSuccess: w.world.now, Since: w.world.options.Start, InSightSince: w.world.options.Start}
}

// Subscribe streams nothing: in this world all controllers look whenever anything changed.
func (w workloads) Subscribe(ctx context.Context) <-chan engine.WorkloadEvent {
	events := make(chan engine.WorkloadEvent)
	context.AfterFunc(ctx, func() { close(events) })
	return events
}

func (w workloads) Etcd(_ context.Context, key engine.Key, nodes []string) (etcd.View, error) {
	c, err := w.of(key)
	if err != nil {
		return etcd.View{}, err
	}
	return c.view(nodes), nil
}

// certificateLife is how long the certificates last that kubeadm makes.
const certificateLife = 365 * 24 * time.Hour

// CertificateExpiry counts from when the Node came.
func (w workloads) CertificateExpiry(_ context.Context, key engine.Key, node string) (time.Time, error) {
	c, err := w.of(key)
	if err != nil {
		return time.Time{}, err
	}
	there := c.store.held(nodeKind.GroupKind(), types.NamespacedName{Name: node})
	if there == nil {
		return time.Time{}, fmt.Errorf("there is no Node %s", node)
	}
	return there.GetCreationTimestamp().Add(certificateLife), nil
}

// plain is a value as objects in the store hold it.
func plain(value any) any {
	raw, err := json.Marshal(value)
	if err != nil {
		panic(fmt.Sprintf("encode %T: %v", value, err)) // no API type can cause it
	}
	var out any
	if err := utiljson.Unmarshal(raw, &out); err != nil {
		panic(fmt.Sprintf("decode %T: %v", value, err))
	}
	return out
}

// statusOf is the status of an object of which a played component makes both.
func statusOf(object client.Object) any {
	switch object := object.(type) {
	case *corev1.Node:
		return plain(object.Status)
	case *corev1.Pod:
		return plain(object.Status)
	default:
		return nil
	}
}

func kindOf(store *Store, object runtime.Object) schema.GroupVersionKind {
	kind, err := store.GroupVersionKindFor(object)
	if err != nil {
		panic(err) // the scheme lacks a kind of Kubernetes itself
	}
	return kind
}
