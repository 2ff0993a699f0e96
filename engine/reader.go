// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/slipway-project/slipway/contract"
	"github.com/slipway-project/slipway/etcd"
	"github.com/slipway-project/slipway/plan"
)

// Reader is what Observe reads with. Get and List answer from the cache.
type Reader interface {
	client.Reader
	// Contract is a provider's object, found by the contract: the API version comes
	// from the labels of the kind's CRD. Errors: ErrNoProvider when no CRD serves
	// the kind, NotFound when the object is not there. Both end with an event.
	Contract(ctx context.Context, role string, ref contract.Ref, namespace string) (*contract.Object, error)
	// Live reads from the server instead of the cache.
	Live() client.Reader
	// Now is the time of this pass.
	Now() time.Time
	// LastFailure is what went wrong when this key's last plan was applied; nil when
	// nothing did.
	LastFailure() *plan.Failure
	// Workloads connects to workload clusters; nil in a process that has none.
	Workloads() Workloads
}

// ErrNoProvider says that no installed provider serves a kind.
var ErrNoProvider = errors.New("no provider serves this kind")

// ErrNoKind says that the API has no such kind at all. It comes with ErrNoProvider.
var ErrNoKind = errors.New("the API has no such kind")

// ErrNotListed says that objects of a provider's kind could not be listed in time, most
// likely because the controllers may not.
var ErrNotListed = errors.New("cannot list")

// listTimeout bounds how long the first read of a provider's kind may wait for its list.
const listTimeout = 10 * time.Second

// ErrNotConnected says that a workload cluster cannot be reached at the moment.
var ErrNotConnected = errors.New("workload cluster is not connected")

// Workloads connects to workload clusters. Package workload has the real one.
type Workloads interface {
	// Reader reads a workload cluster: Nodes from a cache, all else from the
	// server. The error is ErrNotConnected, wrapped with its cause, while there is
	// no connection; connecting goes on in the background, and Subscribe tells.
	Reader(ctx context.Context, cluster Key) (client.Reader, error)
	// Writer writes to a workload cluster; errors as for Reader.
	Writer(ctx context.Context, cluster Key) (client.Client, error)
	// Probe tells how the connection stands.
	Probe(cluster Key) Probe
	// Subscribe streams what changes, until the context ends.
	Subscribe(ctx context.Context) <-chan WorkloadEvent
	// Etcd asks the etcd members that run as static pods on the Nodes named, all at the
	// same time and each within a few seconds. A member that does not answer is an answer
	// of the view with its error; the error is for when nobody gave the list of members,
	// and ErrNotConnected as for Reader.
	Etcd(ctx context.Context, cluster Key, nodes []string) (etcd.View, error)
	// CertificateExpiry is when the certificate ends that the API server on a Node shows.
	CertificateExpiry(ctx context.Context, cluster Key, node string) (time.Time, error)
}

// Probe is the state of the connection to a workload cluster.
type Probe struct {
	// Connected is true when the last probe succeeded.
	Connected bool
	// LastSuccess is when a probe last succeeded; zero if none ever did.
	LastSuccess time.Time
	// InSightSince is from when on probes have succeeded without a break, up to
	// LastSuccess; zero if none ever did. InSightUntil is when one last succeeded before
	// that break; zero if none did in this process. Between the two nobody saw what went
	// on in the cluster.
	InSightSince, InSightUntil time.Time
	// Since is when this process began to look after the connection.
	Since time.Time
	// Err is why the last one failed.
	Err string
}

// WorkloadEvent is a change in a workload cluster: of a Node, or, when Node is nil,
// of the connection.
type WorkloadEvent struct {
	Cluster Key
	Node    *corev1.Node
}

// reader is the Reader of one pass of one controller.
type reader struct {
	client.Reader
	run     *run
	key     Key
	now     time.Time
	failure *plan.Failure
	// awaits is set once a provider was looked for in vain.
	awaits bool
}

func (r *reader) Get(ctx context.Context, key client.ObjectKey, object client.Object, options ...client.GetOption) error {
	if err := r.run.readFrom(object); err != nil {
		return err
	}
	return r.Reader.Get(ctx, key, object, options...)
}

func (r *reader) List(ctx context.Context, list client.ObjectList, options ...client.ListOption) error {
	if err := r.run.readFrom(list); err != nil {
		return err
	}
	return r.Reader.List(ctx, list, options...)
}

func (r *reader) Live() client.Reader        { return r.run.engine.live }
func (r *reader) Now() time.Time             { return r.now }
func (r *reader) LastFailure() *plan.Failure { return r.failure }
func (r *reader) Workloads() Workloads       { return r.run.engine.options.Workloads }

func (r *reader) Contract(ctx context.Context, role string, ref contract.Ref, namespace string) (*contract.Object, error) {
	if r.run.typed[ref.GroupKind()] {
		return nil, noKind{fmt.Errorf("%w: %s.%s is no kind of a provider; correct the reference", ErrNoProvider, ref.Kind, ref.APIGroup)}
	}
	kind, contractVersion, err := r.resolve(ctx, role, ref.GroupKind())
	if err != nil {
		return nil, err
	}
	if err := r.run.watchContract(role, kind); err != nil {
		return nil, fmt.Errorf("watch %s: %w", kind.Kind, err)
	}
	object := &unstructured.Unstructured{}
	object.SetGroupVersionKind(kind)
	listing, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	if err := r.Get(listing, client.ObjectKey{Namespace: namespace, Name: ref.Name}, object); err != nil {
		if listing.Err() != nil && ctx.Err() == nil {
			return nil, fmt.Errorf("%w: objects of kind %s.%s; the provider must give the controllers rights to it, by a ClusterRole with the label cluster.x-k8s.io/aggregate-to-manager=true",
				ErrNotListed, kind.Kind, kind.Group)
		}
		return nil, err
	}
	return &contract.Object{Unstructured: object, Contract: contractVersion}, nil
}

// resolve finds a provider's kind. The key waits for it from before the look: a CRD that
// comes between the two would wake nobody.
func (r *reader) resolve(ctx context.Context, role string, kind schema.GroupKind) (schema.GroupVersionKind, string, error) {
	waits := r.key != (Key{})
	if waits {
		r.run.awaitProvider(kind, r.key)
	}
	found, contractVersion, err := r.run.engine.contracts.resolve(ctx, role, kind)
	if errors.Is(err, ErrNoProvider) {
		r.awaits = true
	} else if waits {
		r.run.stopAwaiting(kind, r.key)
	}
	return found, contractVersion, err
}

// contracts resolves provider kinds to API versions by the labels of their CRDs.
type contracts struct {
	reader client.Reader
	// mapper knows the kinds that the API serves; nil in tests without one.
	mapper meta.RESTMapper
	mu     sync.Mutex
	// seen are the kinds that were found, by the role in which they were looked for.
	seen map[played]bool
}

// played is a role and who plays it.
type played struct {
	role string
	kind schema.GroupKind
}

var crdKind = schema.GroupVersionKind{Group: "apiextensions.k8s.io", Version: "v1", Kind: "CustomResourceDefinition"}

func (c *contracts) resolve(ctx context.Context, role string, kind schema.GroupKind) (schema.GroupVersionKind, string, error) {
	crd := &metav1.PartialObjectMetadata{}
	crd.SetGroupVersionKind(crdKind)
	name := contract.CRDName(kind)
	if err := c.reader.Get(ctx, client.ObjectKey{Name: name}, crd); err != nil {
		if apierrors.IsNotFound(err) {
			return schema.GroupVersionKind{}, "", noKind{fmt.Errorf("%w: %s.%s (there is no CRD %s; install the provider or correct the reference)", ErrNoProvider, kind.Kind, kind.Group, name)}
		}
		return schema.GroupVersionKind{}, "", fmt.Errorf("read CRD %s: %w", name, err)
	}
	contractVersion, apiVersion, ok := contract.Served(crd.Labels)
	if !ok {
		return schema.GroupVersionKind{}, "", fmt.Errorf("%w: CRD %s has no label cluster.x-k8s.io/%s, so it follows no contract that is known here", ErrNoProvider, name, contract.V1Beta2)
	}
	if c.mapper != nil {
		// The CRD is found by a name that several spellings of a kind lead to.
		if _, err := c.mapper.RESTMapping(kind, apiVersion); meta.IsNoMatchError(err) {
			return schema.GroupVersionKind{}, "", noKind{fmt.Errorf("%w: %s.%s (CRD %s serves a kind of another name; correct the reference)", ErrNoProvider, kind.Kind, kind.Group, name)}
		} else if err != nil {
			return schema.GroupVersionKind{}, "", fmt.Errorf("look up kind %s: %w", kind.Kind, err)
		}
	}
	c.mu.Lock()
	c.seen[played{role, kind}] = true
	c.mu.Unlock()
	return kind.WithVersion(apiVersion), contractVersion, nil
}

// noKind is an ErrNoProvider that is an ErrNoKind too.
type noKind struct{ error }

func (n noKind) Unwrap() []error { return []error{n.error, ErrNoKind} }

func (c *contracts) plays(role string, kind schema.GroupKind) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.seen[played{role, kind}]
}
